"""The examples under workflows/, as they stand, against local servers that play the services that they call."""
import collections
import hashlib
import hmac
import http.client
import http.server
import json
import os
import random
import re
import shutil
import threading
import time
import urllib.parse
import urllib.request

import pytest
from conftest import BUILD, DEADLINE, ROOT, wait_for
from fakes import llm
from fakes.hubspot import HubSpot
from fakes.llm import LLM, Reply
from fakes.slack import Slack
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

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
        self.server = Server(("127.0.0.1", 0), Handler)
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
        shutil.copytree(folder / part, engine.folder / part, dirs_exist_ok=True)
    for action in (engine.folder / "actions").rglob("*.lua"):
        action.write_text(re.sub(r"https://([a-z]+)\.example", rf"http://127.0.0.1:{services.server.server_port}/\1", action.read_text()))
    for name in re.findall(r"env: ([A-Z_]+)", config):
        engine.env.setdefault(name, "secret-of-" + name.lower())
    return engine


class Pages(Services):
    def __init__(self, count, gone):
        self.pages = {n: {"text": f"page {n}, as of 2019", "version": 1} for n in range(1, count + 1) if n not in gone}
        self.done = {}  # idempotency key → what was answered: a vendor that keeps its promise
        self.tired = count // 4
        self.messages = []
        super().__init__()

    def cms_get(self, path, body, key):
        page = self.pages.get(int(urllib.parse.parse_qs(path.partition("?")[2])["id"][0]))
        return (200, page, {}) if page else (404, {"error": "no such page"}, {})

    def cms_put(self, path, body, key):
        page = self.pages[int(path.rpartition("/")[2])]
        if key in self.done:
            return 200, self.done[key], {}
        if body["if_version"] != page["version"]:
            return 409, {"error": "changed meanwhile"}, {}
        page.update(text=body["body"], version=page["version"] + 1)
        self.done[key] = {"version": page["version"]}
        return 200, self.done[key], {}

    def llm_post(self, path, body, key):
        if self.tired:
            self.tired -= 1
            return 429, {"error": "slow down"}, {"Retry-After": "0"}
        return 200, {"text": body["prompt"].replace("2019", "2026"), "usage": {"total_tokens": 100}}, {}

    def slack_post(self, path, body, key):
        if key not in self.done:
            self.messages.append(body)
        self.done[key] = {"ts": "1"}
        return 200, self.done[key], {}


def test_bulk_content_refresh_under_kills(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    pages, gone = 60, {17}
    services = Pages(pages, gone)
    engine = set_up(make_engine, "bulk-content-refresh", services)
    # Delays of the example are made for real services: a test does not wait for them.
    workflow = engine.folder / "workflows" / "bulk-content-refresh.yaml"
    workflow.write_text(workflow.read_text().replace("delay: 5s, max_delay: 10m", "delay: 50ms, max_delay: 1s"))
    engine.start()
    for _ in range(2):  # the second one waits: concurrency 1
        status, _, _ = engine.request("POST", "/in/content", json.dumps({"pages": list(range(1, pages + 1))}).encode(),
                                      {"Content-Type": "application/json"})
        assert status == 202
    wait_for("one that waits", lambda: [run["state"] for run in engine.rows("runs")].count("blocked") == 1)
    for _ in range(4):
        wanted = len(services.calls) + rng.randrange(30)
        wait_for("some calls", lambda: len(services.calls) >= wanted or services.messages)
        engine.strike(rng.choice(("engine", "worker")))
    runs = engine.finished_runs(2, "--workflow", "bulk-content-refresh")
    assert all(run["state"] == "succeeded" for run in runs), runs
    assert all(run["output"] == {"succeeded": pages - 1, "failed_keys": [17]} for run in runs)
    assert all(page["text"] == f"page {n}, as of 2026" and page["version"] == 3 for n, page in services.pages.items())  # once by each run
    assert services.messages == 2 * [{"channel": "#content", "text": f"Refreshed {pages - 1} of {pages}, failed 1"}]
    keys = {}
    for path, _, key in services.to("cms", "PUT"):
        keys.setdefault(path, set()).add(key)
    assert all(len(used) == 2 for used in keys.values())  # a key for each run and page, whatever was killed


@pytest.fixture
def slack():
    with Slack() as vendor:
        yield vendor


def use_slack(engine, vendor):
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("vendor: slack", f"vendor: slack, url: '{vendor.url}'"))
    engine.env["SLACK_TOKEN"] = vendor.secrets["TOKEN"]


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
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace('"https://www.example"', f'"{wordpress.url}"')
                 .replace("api: anthropic,", f"api: anthropic, base_url: '{writer.url}/anthropic/v1',")
                 .replace("default: claude", "prices: [{model: claude-sonnet-4-6, input: 3, output: 15}], default: claude"))
    writer.rival = f"http://127.0.0.1:{services.server.server_port}/web/one"
    engine.env.update(WORDPRESS_PASSWORD=wordpress.secrets["PASSWORD"], LLM_KEY=llm.KEY)
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


class Billing(Services):
    def __init__(self):
        self.mails, self.paused = [], []
        super().__init__()

    def mail_post(self, path, body, key):
        self.mails.append(body)
        return 200, {"id": len(self.mails)}, {}

    def stripe_post(self, path, body, key):
        self.paused.append(path)
        return 200, {}, {}


def test_payment_failed_waits_for_the_money_and_then_for_a_person(make_engine):
    services = Billing()
    engine = set_up(make_engine, "payment-failed", services)
    engine.start()

    def stripe(kind, number, **more):
        now = int(time.time()) + int(engine.env.get("BELLWIRE_CLOCK_AHEAD_MS", "0")) // 1000
        data = {"id": f"in_{number}", "number": f"A-{number}", "customer": f"cus_{number}", "customer_email": f"c{number}@shop.example", **more}
        body = json.dumps({"id": f"evt_{kind}_{number}", "type": kind, "data": {"object": data}}).encode()
        mac = hmac.new(engine.env["STRIPE_WEBHOOK_SECRET"].encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        status, answer, _ = engine.request("POST", "/in/stripe", body, {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={mac}"})
        assert status == 202, answer

    for number in range(1, 5):
        stripe("invoice.payment_failed", number, attempt_count=1)
    stripe("invoice.payment_failed", 5, attempt_count=2)  # not the first time: nobody wants it
    wait_for("four that wait", lambda: len(engine.rows("runs", "--state", "parked")) == 4)
    assert sorted(mail["to"] for mail in services.mails) == [f"c{n}@shop.example" for n in range(1, 5)]
    stripe("invoice.paid", 1)
    stripe("customer.subscription.deleted", 2)
    wait_for("two that wait", lambda: len(engine.rows("runs", "--state", "parked")) == 2)
    later(engine, 3 * 86400 * 1000)
    wait_for("two questions", lambda: len([mail for mail in services.mails if mail["template"] == "approval"]) == 2)
    parked_at(engine, "decide")
    links = [link_in(mail["data"]["url"]) for mail in services.mails if mail["template"] == "approval"]
    assert decide(engine, links[0], choice="pause")[0] == 200
    assert decide(engine, links[1], choice="extend", form={"extend_days": 99})[0] == 422
    assert decide(engine, links[1], choice="extend", form={"extend_days": 3})[0] == 200
    wait_for("one that sleeps", lambda: len(engine.rows("runs", "--state", "parked")) == 1 and len(engine.rows("runs", "--state", "succeeded")) == 2)
    later(engine, 3 * 86400 * 1000)
    runs = engine.finished_runs(4, "--workflow", "payment-failed")
    assert sorted(run["state"] for run in runs) == ["cancelled", "succeeded", "succeeded", "succeeded"]
    assert len(services.paused) == 1 and len([event for event in engine.rows("events") if event["name"] == "billing.grace_over"]) == 1
    assert [mail["template"] for mail in services.mails].count("payment_last_notice") == 2
    engine.stop()


class Room(Services):
    def __init__(self):
        self.prompts, self.is_broke = [], False
        super().__init__()

    def llm_post(self, path, body, key):
        if self.is_broke:
            return 402, {"error": "no credit"}, {}
        self.prompts.append(body["prompt"])
        return 200, {"text": f"{body['prompt'].count('---') + 1} changes", "usage": {"total_tokens": 90}}, {}


def test_release_notes_are_one_text_for_a_burst_of_pushes(make_engine, slack):
    services = Room()
    engine = set_up(make_engine, "release-notes", services)
    use_slack(engine, slack)
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
    assert sorted(services.prompts) == ["example/bell, 2 pushes:\nRing twice\n---\nTidy up\n---\nRing louder\n", "example/other, 1 pushes:\nOther\n"]
    assert sorted(slack.posted()) == [("#releases", "1 changes"), ("#releases", "3 changes")]
    services.is_broke = True
    for n in range(50):  # so many are a run at once
        push(f"Change {n}")
    failed = engine.finished_runs(3)[0]
    assert failed["state"] == "failed" and slack.posted()[-1][0] == "#ops" and "release-notes failed at notes" in slack.posted()[-1][1]
    services.is_broke = False
    engine.run("runs", "replay", failed["run"])
    wait_for("the text", lambda: slack.posted()[-1] == ("#releases", "50 changes"))
    engine.stop()


def test_every_example_passes_its_own_tests(make_engine):
    examples = [folder.name for folder in sorted((ROOT / "workflows").iterdir()) if list((folder / "workflows").glob("*.test.yaml"))]
    assert "bulk-content-refresh" in examples
    for example in examples:
        engine = make_engine(name=example)
        shutil.copytree(ROOT / "workflows" / example, engine.folder, dirs_exist_ok=True)
        if not (engine.folder / "plugins").exists():
            (engine.folder / "plugins").symlink_to(BUILD / "plugins")
        assert ", 0 failed, 0 skipped" in engine.run("test").stdout
