"""The examples under workflows/, as they stand, against local servers that play the services that they call."""
import collections
import concurrent.futures
import email
import email.policy
import hashlib
import hmac
import http.client
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest
from conftest import BUILD, DEADLINE, ROOT, wait_for
from fakes import llm
from fakes.hubspot import HubSpot
from fakes.llm import LLM, Reply
from fakes.server import Refused, Server
from fakes.slack import Slack
from fakes.smtp import Mailbox
from fakes.wordpress import WordPress

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Services:
    """https://NAME.example/PATH of an example's actions is served here as /NAME/PATH, by the method NAME_METHOD of a subclass."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls = []  # (service, method, path, body, idempotency key)
        services = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                service, _, path = self.path[1:].partition("/")
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                key = self.headers["Idempotency-Key"]
                with services.lock:
                    services.calls.append((service, self.command, path, body, key))
                    status, said, headers = getattr(services, f"{service}_{self.command.lower()}")(path, body, key)
                text = json.dumps(said).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Threads(http.server.ThreadingHTTPServer):
            request_queue_size = 256
        self.server = Threads(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a killed client is part of it
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def to(self, service, method):
        return [(path, body, key) for name, how, path, body, key in list(self.calls) if (name, how) == (service, method)]


def set_up(make_engine, example, services):
    """The example in a folder of its own. Only its addresses change."""
    folder = ROOT / "workflows" / example
    config = re.sub(r"(?m)^listen:.*$", "listen: [http://127.0.0.1:0]\nallow_private_network: true", (folder / "bellwire.yaml").read_text())
    engine = make_engine(config)
    for part in ("workflows", "actions"):
        if (folder / part).exists():
            shutil.copytree(folder / part, engine.folder / part, dirs_exist_ok=True)
    for action in (engine.folder / "actions").rglob("*.lua"):
        action.write_text(re.sub(r"https://([a-z]+)\.example", rf"http://127.0.0.1:{services.server.server_port}/\1", action.read_text()))
    for name in re.findall(r"env: ([A-Z_]+)", config):
        engine.env.setdefault(name, "secret-of-" + name.lower())
    return engine


class Editor(LLM):
    """Brings texts up to date."""

    def reply_to(self, request, asked):
        super().reply_to(request, asked)
        return Reply(asked.replace("2019", "2026"))


def use_llm(engine, vendor):
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("api: anthropic,", f"api: anthropic, base_url: '{vendor.url}/anthropic/v1',")
                 .replace("default: claude", "prices: [{model: claude-sonnet-4-6, input: 3, output: 15}], default: claude"))
    engine.env["LLM_KEY"] = llm.KEY


def use_wordpress(engine, vendor):
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace('"https://www.example"', f'"{vendor.url}"'))
    engine.env["WORDPRESS_PASSWORD"] = vendor.secrets["PASSWORD"]


def use_slack(engine, vendor):
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("vendor: slack", f"vendor: slack, url: '{vendor.url}'"))
    engine.env["SLACK_TOKEN"] = vendor.secrets["TOKEN"]


@pytest.fixture
def slack():
    with Slack() as vendor:
        yield vendor


def test_bulk_content_refresh_under_kills(make_engine, slack):
    print("seed", SEED)
    rng, pages, gone = random.Random(SEED), 60, 17
    with WordPress() as site, Editor() as editor:
        for n in range(1, pages + 1):
            if n != gone:
                site.posts[n] = {"id": n, "title": f"Page {n}", "content": f"page {n}, as of 2019", "slug": f"page{n}", "status": "publish",
                                 "link": f"https://www.example/page{n}", "modified_gmt": site.now()}
        editor.fail(429, times=pages // 4, headers={"Retry-After": "0"})
        engine = set_up(make_engine, "bulk-content-refresh", None)
        use_wordpress(engine, site)
        use_llm(engine, editor)
        use_slack(engine, slack)
        # Delays and limits of the example are made for real services: a test does not wait for them.
        engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("rate: 20/1s, concurrency: 10", "rate: 2000/1s, concurrency: 10"))
        workflow = engine.folder / "workflows" / "bulk-content-refresh.yaml"
        workflow.write_text(re.sub(r"uses: (cms|chat)/", r"retry: {attempts: 30, delay: 20ms, factor: 1}, uses: \1/", workflow.read_text())
                            .replace("attempts: 8, delay: 5s, max_delay: 10m", "attempts: 30, delay: 50ms, factor: 1"))
        engine.start()
        for _ in range(2):  # the second one waits: concurrency 1
            status, _, _ = engine.request("POST", "/in/content", json.dumps({"pages": list(range(1, pages + 1))}).encode(),
                                          {"Content-Type": "application/json"})
            assert status == 202
        wait_for("one that waits", lambda: [run["state"] for run in engine.rows("runs")].count("blocked") == 1)
        for _ in range(4):
            wanted = len(site.requests) + rng.randrange(60)
            wait_for("some calls", lambda: len(site.requests) >= wanted or slack.posted(), 2 * DEADLINE)
            engine.strike(rng.choice(("engine", "worker")))
        wait_for("both", lambda: [run["state"] for run in engine.rows("runs")].count("succeeded") == 2, 5 * DEADLINE)
        runs = engine.finished_runs(2, "--workflow", "bulk-content-refresh")
        assert all(run["output"] == {"succeeded": pages - 1, "failed_keys": [gone]} for run in runs), runs
        assert {post["content"] for post in site.posts.values()} == {f"page {n}, as of 2026" for n in site.posts}
        assert set(slack.posted()) == {("#content", f"Refreshed {pages - 1} of {pages}, failed 1")} and len(slack.posted()) >= 2
        assert engine.stop() == 0


class Sales(Services):
    def __init__(self):
        self.companies = {"big.example": {"employees": 900}, "small.example": {"employees": 12}}
        super().__init__()

    def clearbit_get(self, path, body, key):
        company = self.companies.get(path.rpartition("/")[2])
        return (200, company, {}) if company else (503, {"error": "try later"}, {})


@pytest.fixture
def hubspot():
    with HubSpot() as vendor:
        yield vendor


def test_new_lead_answers_the_form_and_tells_sales(make_engine, hubspot, slack):
    services = Sales()
    engine = set_up(make_engine, "new-lead", services)
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("vendor: hubspot", f"vendor: hubspot, url: '{hubspot.url}'"))
    use_slack(engine, slack)
    engine.env["HUBSPOT_TOKEN"] = hubspot.secrets["TOKEN"]
    engine.start()

    def send(**lead):
        return engine.request("POST", "/in/forms", json.dumps(lead).encode(), {"Content-Type": "application/json"})
    status, answer, _ = send(email="Jo@big.example", name="Jo")
    assert (status, answer) == (201, {"contact": "101"})
    assert send(email="al@small.example", name="Al")[:2] == (201, {"contact": "102"})
    assert send(email="ed@unknown.example", name="Ed", budget="high")[:2] == (201, {"contact": "103"})
    runs = engine.finished_runs(3, "--workflow", "new-lead")
    assert all(run["state"] == "succeeded" for run in runs), runs
    assert sorted(slack.posted()) == [("#sales-hot", f"Hot lead {who} staff") for who in ("Jo@big.example, 900", "ed@unknown.example, 0")]
    assert hubspot.members == {("77", "102")}
    assert hubspot.contacts["101"] == {"email": "jo@big.example", "firstname": "Jo", "lifecyclestage": "lead"}
    assert len([path for path, _, _ in services.to("clearbit", "GET") if "unknown" in path]) == 2
    for n in range(6):  # one address may come five times an hour: burst 1, then one each 12 minutes
        status, answer, _ = send(email="jo@big.example", name=f"Jo {n}")
        assert (status, answer["error"]) == (429, "run.rate")
    wait_for("all", lambda: len(engine.rows("runs")) == 9 and all(run["state"] in ("succeeded", "skipped") for run in engine.rows("runs")))
    skipped = [engine.show_run(run["run"]) for run in engine.rows("runs", "--state", "skipped")]
    assert len(skipped) == 6 and all(run["error"]["code"] == "run.rate" for run in skipped), skipped
    assert send(name="nobody")[0] == 202 and len(engine.rows("runs")) == 9
    engine.stop()


def test_new_lead_under_kills_makes_each_contact_once(make_engine, hubspot, slack):
    print("seed", SEED)
    rng = random.Random(SEED)
    services = Sales()
    engine = set_up(make_engine, "new-lead", services)
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("vendor: hubspot", f"vendor: hubspot, url: '{hubspot.url}'")
                 .replace("rate: 10/1s, burst: 20", "rate: 1000/1s, burst: 1000"))
    workflow = engine.folder / "workflows" / "new-lead.yaml"  # a killed call is not waited for as long as a busy vendor
    workflow.write_text(re.sub("uses: (crm|chat)/", r"retry: {attempts: 20, delay: 20ms, factor: 1}, uses: \1/", workflow.read_text()))
    use_slack(engine, slack)
    engine.env["HUBSPOT_TOKEN"] = hubspot.secrets["TOKEN"]
    engine.start()
    leads, answers = [f"lead{n}@{'big' if n % 3 == 0 else 'small'}.example" for n in range(60)], {}

    def send(mine):
        for email in mine:
            while email not in answers:
                try:
                    status, _, _ = engine.request("POST", "/in/forms", json.dumps({"email": email, "name": "Jo"}).encode(), {"Content-Type": "application/json"})
                    if status in (201, 202, 429):  # 429: it was taken before, and the answer was lost
                        answers[email] = status
                except (OSError, http.client.HTTPException, ValueError):
                    time.sleep(0.005)  # it is about to be started again, on another port
    senders = [threading.Thread(target=send, args=(leads[n::4],), daemon=True) for n in range(4)]
    for sender in senders:
        sender.start()
    kills = 0
    while any(sender.is_alive() for sender in senders):
        wanted = len(hubspot.requests) + rng.randrange(1, 12)
        wait_for("some calls", lambda: len(hubspot.requests) >= wanted or not any(sender.is_alive() for sender in senders))
        kills += 1
        engine.strike(rng.choice(("engine", "worker")))
    for sender in senders:
        sender.join()
    alive = ("active", "parked", "blocked", "delayed")
    wait_for("all runs to end", lambda: not any(engine.rows("runs", "--state", state) for state in alive), 5 * DEADLINE)
    assert kills >= 1 and set(answers) == set(leads)
    failed = [engine.show_run(run["run"]) for run in engine.rows("runs", "--limit", "1000") if run["state"] not in ("succeeded", "skipped")]
    assert not failed, failed[:3]
    contacts = [contact["email"] for contact in hubspot.contacts.values()]
    assert sorted(contacts) == sorted(leads)  # each once
    ids = {contact["email"]: id for id, contact in hubspot.contacts.items()}
    assert hubspot.members == {("77", ids[email]) for email in leads if "small" in email}
    assert set(slack.posted()) == {("#sales-hot", f"Hot lead {email}, 900 staff") for email in leads if "big" in email}
    assert engine.stop() == 0
    print(f"{kills} kills, {len(hubspot.requests)} requests for {len(leads)} leads")


class Site(Services):
    def serp_get(self, path, body, key):
        if path.startswith("rank"):
            return 200, {"position": 2}, {}
        own = f"http://127.0.0.1:{self.server.server_port}/web/"
        page = re.search(r"tea(\d*)", urllib.parse.unquote(path))[1]
        return 200, {"results": [{"url": "https://www.example/tea" + page}] + [{"url": own + name} for name in ("one", "two", "gone", "away")]}, {}

    def web_get(self, path, body, key):
        return (200, f"<p>all about {path}</p>", {}) if path in ("one", "two") else (404, {}, {})


class Writer(LLM):
    """Reads one rival more, then has a plan; writes what it is told to. `asked`: how often it was asked for each of that, by page."""

    def __init__(self):
        super().__init__()
        self.asked = collections.Counter()

    def reply_to(self, request, asked):
        messages = request.json["messages"]
        first = json.dumps(messages[0])
        page = (re.search(r"(?:green|old) tea(\d+)", first) or ["", ""])[1]
        has_read = "tool_result" in json.dumps(messages[-1])
        stage = "draft" if "ARTICLE" in first else "plan" if has_read else "read"
        with self.lock:
            self.asked[page, stage] += 1
        if stage == "draft":
            return Reply("new text")
        assert "all about one" in first and "all about two" in first, first
        if stage == "plan":
            return Reply(json.dumps({"confidence": 0.9, "plan": "say more"}))
        return Reply(tools=[("web_extract", {"url": self.rival, "max_chars": 100})])


def link_in(text):
    return urllib.parse.urlsplit(re.search(r"http://\S+/approve/\S+", text)[0]).path


def decide(engine, path, **fields):
    with urllib.request.urlopen(f"http://127.0.0.1:{engine.port}{path}", timeout=60) as page:  # looking changes nothing
        assert page.status == 200
    status, answer, _ = engine.request("POST", path, json.dumps(fields).encode(), {"Content-Type": "application/json"})
    return status, answer


def later(engine, milliseconds):
    """The engine is away for so long."""
    engine.kill()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(int(engine.env.get("BELLWIRE_CLOCK_AHEAD_MS", "0")) + milliseconds)
    engine.start()


def parked_at(engine, step):
    return wait_for(f"a run that waits at {step}", lambda: [run for run in engine.rows("runs", "--state", "parked") if any(
        row["step"] == step and row["state"] == "waiting" for row in engine.show_run(run["run"])["steps"])])


@pytest.fixture
def wordpress():
    with WordPress() as vendor:
        vendor.posts[3] = {"id": 3, "title": "Tea", "content": "old", "slug": "tea", "status": "publish", "link": "https://www.example/tea", "modified_gmt": vendor.now()}
        yield vendor


@pytest.fixture
def writer():
    with Writer() as vendor:
        yield vendor


def set_up_seo(make_engine, services, wordpress, writer, slack):
    engine = set_up(make_engine, "seo-rank-drop", services)
    use_slack(engine, slack)
    use_wordpress(engine, wordpress)
    use_llm(engine, writer)
    writer.rival = f"http://127.0.0.1:{services.server.server_port}/web/one"
    return engine


def test_seo_rank_drop_asks_a_person_and_measures_after_two_weeks(make_engine, wordpress, writer, slack):
    services = Site()
    engine = set_up_seo(make_engine, services, wordpress, writer, slack)
    engine.start()
    dropped = json.dumps({"url": "https://www.example/tea", "keyword": "green tea", "before": 4, "after": 11}).encode()
    for _ in range(2):  # the second one is left out: this page is being worked on
        assert engine.request("POST", "/in/seo", dropped, {"Content-Type": "application/json"})[0] == 202
    wait_for("the one that is skipped", lambda: engine.rows("runs", "--state", "skipped"))
    parked_at(engine, "review")
    [(channel, text)] = slack.posted()
    assert channel == "#content" and text.startswith("Publish the revision of https://www.example/tea? ") and wordpress.public("tea") == ("Tea", "old")
    engine.kill()
    engine.start()
    assert decide(engine, link_in(text), choice="publish")[0] == 200
    parked_at(engine, "settle")
    assert wordpress.public("tea") == ("Tea", "new text")
    later(engine, 14 * 86400 * 1000)
    run = engine.finished_runs(1, "--workflow", "seo-rank-drop", "--state", "succeeded")[0]
    rivals = next(step for step in run["steps"] if step["step"] == "rivals")["output"]
    assert (rivals["total"], rivals["succeeded"], rivals["failed"]) == (4, 2, 2)
    measured = wait_for("the measure", lambda: [event for event in engine.rows("events") if event["name"] == "seo.revision_measured"])
    assert json.loads(json.loads(engine.run("events", measured[0]["event"], "--json").stdout)["body"]) == {"url": "https://www.example/tea", "before": 11, "after": 2}
    assert len(slack.posted()) == 1
    engine.stop()


def test_seo_rank_drop_under_kills_pays_for_each_call_of_the_model_once(make_engine, wordpress, writer, slack):
    print("seed", SEED)
    rng, pages, services = random.Random(SEED), range(10), Site()
    for n in pages:
        wordpress.posts[10 + n] = {"id": 10 + n, "title": "Tea", "content": f"old tea{n}", "slug": f"tea{n}", "status": "publish", "link": f"https://www.example/tea{n}",
                                   "modified_gmt": wordpress.now()}
    engine = set_up_seo(make_engine, services, wordpress, writer, slack)
    workflow = engine.folder / "workflows" / "seo-rank-drop.yaml"  # a killed call is tried again without the delays that real services want
    workflow.write_text(re.sub(r"uses: (cms|seo|web|llm|chat)/", r"retry: {attempts: 30, delay: 20ms, factor: 1}, uses: \1/", workflow.read_text())
                        .replace("    uses: llm/agent@1", "    retry: {attempts: 30, delay: 20ms, factor: 1}\n    uses: llm/agent@1")
                        .replace("    retry: {attempts: 30, delay: 20ms, factor: 1}, uses: llm/agent@1", "    uses: llm/agent@1"))
    engine.start()
    for n in pages:
        dropped = json.dumps({"url": f"https://www.example/tea{n}", "keyword": f"green tea{n}", "before": 4, "after": 11}).encode()
        assert engine.request("POST", "/in/seo", dropped, {"Content-Type": "application/json"})[0] == 202
    kills = 0

    def all_wait():
        return len([run for run in engine.rows("runs", "--state", "parked") if any(
            row["step"] == "review" and row["state"] == "waiting" for row in engine.show_run(run["run"])["steps"])]) == len(pages)
    while not all_wait():
        wanted = writer.asked.total() + rng.randrange(4)
        wait_for("some calls", lambda: writer.asked.total() >= wanted or all_wait())
        kills += 1
        engine.strike(rng.choice(("engine", "worker")))
    unheard = 0
    for run in engine.rows("runs", "--state", "parked"):
        usage = engine.show_run(run["run"])["usage"]
        page = re.search(r"tea(\d+)", json.dumps(engine.rows("events", run["event"])))[1]
        assert collections.Counter(call["step"] for call in usage["of"] if call["ended"]) == {"analysis": 2, "draft": 1}, usage  # each once
        asked = sum(count for (of, _), count in writer.asked.items() if of == page)
        assert asked <= usage["calls"] and usage["calls"] == 3 + usage["open"], (asked, usage)  # whatever came again is said to be unknown
        unheard += usage["open"]
    print(f"{kills} kills, {writer.asked.total()} calls, {unheard} of which nobody has heard the answer")
    drafts = {n: wordpress.posts[10 + n]["content"] for n in pages}
    assert kills >= 1 and set(drafts.values()) == {f"old tea{n}" for n in pages}  # nobody has decided yet
    assert {re.search(r"tea(\d+)", text)[1] for _, text in slack.posted()} == {str(n) for n in pages}
    assert engine.stop() == 0


class Billing(Server):
    """Stripe's API, as far as it is asked here: the collection of a subscription is paused."""

    def __init__(self):
        super().__init__()
        self.on("POST", "/v1/subscriptions/{id}", self.update)
        self.paused = {}  # subscription → idempotency keys

    def update(self, request, id):
        if request.headers.get("authorization") != "Bearer sk_test":
            raise Refused(401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_****"}})
        if request.headers.get("content-type") != "application/x-www-form-urlencoded" or request.form != {"pause_collection[behavior]": ["void"]}:
            raise Refused(400, {"error": {"type": "invalid_request_error", "code": "parameter_unknown", "message": "Received unknown parameters"}})
        with self.lock:
            self.paused.setdefault(id, set()).add(request.headers["idempotency-key"])
        return {"id": id, "object": "subscription", "pause_collection": {"behavior": "void", "resumes_at": None}}


@pytest.fixture
def billing():
    with Billing() as vendor:
        yield vendor


@pytest.fixture
def box():
    with Mailbox(users={"billing": "mail-password"}) as mailbox:
        yield mailbox


def letters(box):
    """(to, subject, text) of each."""
    read = [(mail.recipients, email.message_from_bytes(mail.content, policy=email.policy.default)) for mail in list(box.mails)]
    return [(to[0], mail["Subject"], mail.get_body().get_content()) for to, mail in read]


def stripe(engine, kind, number, **more):
    now = int(time.time()) + int(engine.env.get("BELLWIRE_CLOCK_AHEAD_MS", "0")) // 1000
    data = {"id": f"in_{number}", "number": f"A-{number}", "customer": f"cus_{number}", "customer_email": f"c{number}@shop.example",
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": f"sub_{number}"}}, **more}
    body = json.dumps({"id": f"evt_{kind}_{number}", "type": kind, "data": {"object": data}}).encode()
    mac = hmac.new(engine.env["STRIPE_WEBHOOK_SECRET"].encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    status, answer, _ = engine.request("POST", "/in/stripe", body, {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={mac}"})
    assert status == 202, answer


def set_up_billing(make_engine, billing, box):
    engine = set_up(make_engine, "payment-failed", None)
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("https://api.stripe.com", billing.url)
                 .replace("smtp://mail.example:587", box.url))
    engine.env.update(STRIPE_KEY="sk_test", MAIL_PASSWORD="mail-password")
    return engine


def test_payment_failed_waits_for_the_money_and_then_for_a_person(make_engine, billing, box):
    engine = set_up_billing(make_engine, billing, box)
    engine.start()
    for number in range(1, 5):
        stripe(engine, "invoice.payment_failed", number, attempt_count=1)
    stripe(engine, "invoice.payment_failed", 5, attempt_count=2)  # not the first time: nobody wants it
    wait_for("four that wait", lambda: len(engine.rows("runs", "--state", "parked")) == 4)
    assert sorted((to, subject) for to, subject, _ in letters(box)) == [(f"c{n}@shop.example", "Your card was refused") for n in range(1, 5)]
    assert sorted(re.findall(r"invoice (A-\d)", str(letters(box)))) == ["A-1", "A-2", "A-3", "A-4"]
    stripe(engine, "invoice.paid", 1)
    stripe(engine, "customer.subscription.deleted", 2)
    wait_for("two that wait", lambda: len(engine.rows("runs", "--state", "parked")) == 2)
    later(engine, 3 * 86400 * 1000)

    def questions():
        return [text for to, subject, text in letters(box) if (to, subject) == ("billing@example.com", "A decision is wanted")]
    wait_for("two questions", lambda: len(questions()) == 2)
    parked_at(engine, "decide")
    pause, extend = (link_in(text) for text in questions())
    assert decide(engine, extend, choice="extend", form={"extend_days": 99})[0] == 422
    assert decide(engine, extend, choice="extend", form={"extend_days": 3})[0] == 200
    billing.stall(path="/v1/subscriptions")
    assert decide(engine, pause, choice="pause")[0] == 200
    wait_for("the call", lambda: billing.requests)
    engine.strike("engine")
    billing.release()
    wait_for("one that sleeps", lambda: len(engine.rows("runs", "--state", "parked")) == 1 and len(engine.rows("runs", "--state", "succeeded")) == 2)
    later(engine, 3 * 86400 * 1000)
    runs = engine.finished_runs(4, "--workflow", "payment-failed")
    assert sorted(run["state"] for run in runs) == ["cancelled", "succeeded", "succeeded", "succeeded"]
    [keys] = billing.paused.values()  # one subscription, and one key whatever was killed
    assert len(keys) == 1 and len([event for event in engine.rows("events") if event["name"] == "billing.grace_over"]) == 1
    assert [subject for _, subject, _ in letters(box)].count("Last notice") == 2
    assert engine.stop() == 0


def test_payment_failed_writes_no_first_mail_twice(make_engine, billing, box):
    engine = set_up_billing(make_engine, billing, box)
    box.plan = ["take and cut"]  # the server has it, and nobody knows
    engine.start()
    stripe(engine, "invoice.payment_failed", 1, attempt_count=1)
    [run] = engine.finished_runs(1, "--workflow", "payment-failed")
    assert run["state"] == "failed" and run["error"]["code"] == "step.unknown" and len(box.mails) == 1, run
    engine.run("runs", "resolve", run["run"], "--step", "mail1", "--succeeded")
    wait_for("the wait", lambda: engine.rows("runs", "--state", "parked"))
    assert len(box.mails) == 1 and engine.stop() == 0


class Notes(LLM):
    def __init__(self):
        super().__init__()
        self.is_broke = False

    def reply_to(self, request, asked):
        super().reply_to(request, asked)
        if self.is_broke:
            self.refuse_message("Your credit balance is too low to access the API.", 402, "billing_error")
        return Reply(f"{asked.count('---') + 1} changes")


def test_release_notes_are_one_text_for_a_burst_of_pushes(make_engine, slack):
    with Notes() as notes:
        engine = set_up(make_engine, "release-notes", None)
        use_slack(engine, slack)
        use_llm(engine, notes)
        engine.start()

        def push(*messages, ref="main", repository="example/bell"):
            body = {"ref": f"refs/heads/{ref}", "repository": {"full_name": repository}, "commits": [{"message": message} for message in messages]}
            status, answer, _ = engine.push(json.dumps(body).encode())
            assert status == 202
            return answer["event"]
        push("Ring twice", "Tidy up")
        push("Not yet", ref="draft")
        later(engine, 60 * 1000)
        assert engine.rows("runs") == []
        event = push("Ring louder")
        push("Other", repository="example/other")
        wait_for("all are looked at", lambda: all(row["state"] == "done" for row in engine.rows("events")))
        assert [row["decided"] for row in engine.rows("why", event)] == ["collected"]
        later(engine, 2 * 60 * 1000)
        runs = engine.finished_runs(2)
        assert all(run["state"] == "succeeded" for run in runs), runs
        prompts = sorted(body["messages"][0]["content"] for body in notes.bodies)
        assert prompts == ["example/bell, 2 pushes:\nRing twice\n---\nTidy up\n---\nRing louder\n", "example/other, 1 pushes:\nOther\n"]
        assert sorted(slack.posted()) == [("#releases", "1 changes"), ("#releases", "3 changes")]
        notes.is_broke = True
        for n in range(50):  # so many are a run at once
            push(f"Change {n}")
        failed = engine.finished_runs(3)[0]
        assert failed["state"] == "failed" and slack.posted()[-1][0] == "#ops" and "release-notes failed at notes" in slack.posted()[-1][1]
        assert failed["error"]["code"] == "llm.auth" and "credit balance" in failed["error"]["message"]
        notes.is_broke = False
        engine.run("runs", "replay", failed["run"])
        wait_for("the text", lambda: slack.posted()[-1] == ("#releases", "50 changes"))
        assert engine.stop() == 0


class Shop(Services):
    def __init__(self):
        self.orders = {"A-1": {"state": "sent", "total_cents": 4200, "first_name": "Jo"}, "A-2": {"state": "sent", "total_cents": 42000, "first_name": "Al"}}
        self.links = []
        super().__init__()

    def shop_get(self, path, body, key):
        order = self.orders.get(path.rpartition("/")[2])
        return (200, order, {}) if order else (404, {"error": "no such order"}, {})

    def shop_post(self, path, body, key):
        if path == "questions":
            self.links.append(body["url"])
        else:
            self.orders[path.split("/")[1]]["state"] = "refunded"
        return 200, {"id": "r_" + path.split("/")[-1]}, {}


def test_support_agent_refunds_small_ones_and_asks_for_large_ones(make_engine):
    services = Shop()
    engine = set_up(make_engine, "support-agent", services)
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("mcp: true", "mcp: {within: 60s}"))
    engine.start()

    def call(tool, **arguments):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + engine.env["MCP_TOKEN"]}
        return engine.request("POST", "/mcp", json.dumps(message).encode(), headers)[1]["result"]

    assert call("order-status", order="A-1")["structuredContent"] == {"state": "sent", "total_cents": 4200, "first_name": "Jo"}
    missing = call("order-status", order="A-9")
    assert missing["isError"] and missing["structuredContent"]["error"] == {"code": "shop_no_such_order", "message": "there is no order A-9", "step": "order"}
    assert call("refund-order", order="A-1", reason="broken")["structuredContent"] == {"refunded": True, "refund": "r_refund"}
    assert call("refund-order", order="A-1", reason="broken")["structuredContent"]["refunded"] is True
    assert len([path for path, _, _ in services.to("shop", "POST")]) == 1  # once
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(call, "refund-order", order="A-2", reason="never came")
        wait_for("the question", lambda: services.links)
        parked_at(engine, "decide")
        assert services.orders["A-2"]["state"] == "sent" and decide(engine, link_in(services.links[0]), choice="pay")[0] == 200
        assert answer.result()["structuredContent"]["refunded"] is True and services.orders["A-2"]["state"] == "refunded"
    assert engine.stop() == 0


def test_every_example_passes_its_own_tests(make_engine):
    examples = [folder.name for folder in sorted((ROOT / "workflows").iterdir()) if list((folder / "workflows").glob("*.test.yaml"))]
    assert "bulk-content-refresh" in examples
    for example in examples:
        engine = make_engine(name=example)
        shutil.copytree(ROOT / "workflows" / example, engine.folder, dirs_exist_ok=True)
        if not (engine.folder / "plugins").exists():
            (engine.folder / "plugins").symlink_to(BUILD / "plugins")
        assert ", 0 failed, 0 skipped" in engine.run("test").stdout


def test_deploy_builds_what_was_pushed(make_engine, slack):
    if not shutil.which("git") or not shutil.which("make"):
        pytest.skip("git and make are not installed")
    engine = set_up(make_engine, "deploy", None)
    use_slack(engine, slack)
    site, work = engine.folder / "site", engine.folder / "work"

    def git(*command, at=work):
        who = ["-c", "user.name=Jo", "-c", "user.email=jo@site.example", "-c", "init.defaultBranch=main"]
        return subprocess.run(["git", *who, *command], cwd=at, check=True, capture_output=True, text=True).stdout.strip()

    def push(recipe):
        (work / "Makefile").write_text(f"site:\n\t{recipe}\n")
        git("commit", "-qam", "Another one")
        after = git("rev-parse", "HEAD")
        assert engine.push(json.dumps({"ref": "refs/heads/main", "after": after, "pusher": {"name": "Jo"}}).encode())[0] == 202
        return after
    work.mkdir()
    git("init", "-q")
    (work / "Makefile").write_text("site:\n")
    git("add", "Makefile")
    git("commit", "-qm", "The first one")
    git("clone", "-q", str(work), str(site), at=engine.folder)
    config = (engine.folder / "bellwire.yaml").read_text()
    engine.write("bellwire.yaml", config.replace("dir: /srv/site", f"dir: {site}").replace("files: [/srv/site]", f"files: [{engine.folder}]"))
    engine.start()
    after = push("@echo $$RELEASE >page; touch \"; rm -rf x\"")
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded", run
    assert (site / "page").read_text() == after + "\n" and slack.posted() == [("#releases", f"{after[:10]} by Jo is live")]
    push("@echo no ink >&2; exit 3")
    run = engine.finished_runs(2)[0]
    assert run["state"] == "failed" and run["error"]["code"] == "exec.exit.2"
    [told] = [text for channel, text in slack.posted() if channel == "#ops"]
    assert told.startswith("deploy failed at build: build ended with exit status 2: no ink")
