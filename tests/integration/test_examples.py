"""The examples under workflows/, as they stand, against local servers that play the services that they call."""
import hashlib
import hmac
import http.server
import json
import os
import random
import re
import shutil
import signal
import threading
import time
import urllib.parse
import urllib.request

from conftest import BUILD, ROOT, wait_for

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
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker"):
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(2, "--workflow", "bulk-content-refresh")
    assert all(run["state"] == "succeeded" for run in runs), runs
    assert all(run["output"] == {"succeeded": pages - 1, "failed_keys": [17]} for run in runs)
    assert all(page["text"] == f"page {n}, as of 2026" and page["version"] == 3 for n, page in services.pages.items())  # once by each run
    assert services.messages == 2 * [{"channel": "#content", "text": f"Refreshed {pages - 1} of {pages}, failed 1"}]
    keys = {}
    for path, _, key in services.to("cms", "PUT"):
        keys.setdefault(path, set()).add(key)
    assert all(len(used) == 2 for used in keys.values())  # a key for each run and page, whatever was killed


class Sales(Services):
    def __init__(self):
        self.contacts, self.lists, self.messages, self.companies = {}, [], [], {"big.example": {"employees": 900}, "small.example": {"employees": 12}}
        super().__init__()

    def crm_put(self, path, body, key):
        email = urllib.parse.unquote(path.partition("/")[2])
        is_new = email not in self.contacts
        contact = self.contacts.setdefault(email, {"id": len(self.contacts) + 1, "fields": body})
        return 201 if is_new else 200, {"id": contact["id"]}, {}

    def crm_post(self, path, body, key):
        self.lists.append((path.rpartition("/")[2], body["contact"]))
        return 200, {}, {}

    def clearbit_get(self, path, body, key):
        company = self.companies.get(path.rpartition("/")[2])
        return (200, company, {}) if company else (503, {"error": "try later"}, {})

    def slack_post(self, path, body, key):
        self.messages.append(body["text"])
        return 200, {"ts": "1"}, {}


def test_new_lead_answers_the_form_and_tells_sales(make_engine):
    services = Sales()
    engine = set_up(make_engine, "new-lead", services)
    engine.start()

    def send(**lead):
        return engine.request("POST", "/in/forms", json.dumps(lead).encode(), {"Content-Type": "application/json"})
    status, answer, _ = send(email="Jo@big.example", name="Jo")
    assert (status, answer) == (201, {"contact": 1})
    assert send(email="al@small.example", name="Al")[:2] == (201, {"contact": 2})
    assert send(email="ed@unknown.example", name="Ed", budget="high")[:2] == (201, {"contact": 3})
    runs = engine.finished_runs(3, "--workflow", "new-lead")
    assert all(run["state"] == "succeeded" for run in runs), runs
    assert sorted(services.messages) == ["Hot lead Jo@big.example, 900 staff", "Hot lead ed@unknown.example, 0 staff"]
    assert services.lists == [("nurture", 2)] and services.contacts["jo@big.example"]["fields"] == {"name": "Jo", "source": "web"}
    assert len([path for path, _, _ in services.to("clearbit", "GET") if "unknown" in path]) == 2
    for n in range(6):  # one address may come five times an hour: burst 1, then one each 12 minutes
        status, answer, _ = send(email="jo@big.example", name=f"Jo {n}")
        assert (status, answer["error"]) == (429, "run.rate")
    wait_for("all", lambda: len(engine.rows("runs")) == 9 and all(run["state"] in ("succeeded", "skipped") for run in engine.rows("runs")))
    skipped = [engine.show_run(run["run"]) for run in engine.rows("runs", "--state", "skipped")]
    assert len(skipped) == 6 and all(run["error"]["code"] == "run.rate" for run in skipped), skipped
    assert send(name="nobody")[0] == 202 and len(engine.rows("runs")) == 9
    engine.stop()


class Site(Services):
    def __init__(self):
        self.page = {"id": 3, "text": "old", "version": 8}
        self.drafts, self.messages, self.live = {}, [], None
        super().__init__()

    def cms_get(self, path, body, key):
        return 200, self.page, {}

    def cms_post(self, path, body, key):
        if path == "drafts":
            self.drafts["d1"] = body
            return 200, {"draft_id": "d1"}, {}
        if body["if_version"] != self.page["version"]:
            return 409, {"error": "changed meanwhile"}, {}
        self.live = self.drafts.pop(path.split("/")[1])["body"]
        return 200, {"version": 9}, {}

    def cms_delete(self, path, body, key):
        self.drafts.pop(path.split("/")[1])
        return 200, {}, {}

    def serp_get(self, path, body, key):
        if path.startswith("rank"):
            return 200, {"position": 2}, {}
        own = f"http://127.0.0.1:{self.server.server_port}/web/"
        return 200, {"results": [{"url": "https://www.example/tea"}] + [{"url": own + name} for name in ("one", "two", "gone", "away")]}, {}

    def web_get(self, path, body, key):
        return (200, f"<p>all about {path}</p>", {}) if path in ("one", "two") else (404, {}, {})

    def llm_post(self, path, body, key):
        if path == "v1/chat":
            return 200, {"text": "new text"}, {}
        assert [item["text"].strip(' "') for item in body["context"]["rivals"] if item] == ["all about one", "all about two"], body
        return 200, {"data": {"confidence": 0.9, "plan": "say more"}}, {}

    def slack_post(self, path, body, key):
        self.messages.append(body)
        return 200, {"ts": "1"}, {}


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


def test_seo_rank_drop_asks_a_person_and_measures_after_two_weeks(make_engine):
    services = Site()
    engine = set_up(make_engine, "seo-rank-drop", services)
    engine.start()
    dropped = json.dumps({"url": "https://www.example/tea", "keyword": "green tea", "before": 4, "after": 11}).encode()
    for _ in range(2):  # the second one is left out: this page is being worked on
        assert engine.request("POST", "/in/seo", dropped, {"Content-Type": "application/json"})[0] == 202
    wait_for("the one that is skipped", lambda: engine.rows("runs", "--state", "skipped"))
    parked_at(engine, "review")
    text = services.messages[0]["text"]
    assert text.startswith("Publish the revision of https://www.example/tea? ") and services.live is None
    engine.kill()
    engine.start()
    assert decide(engine, link_in(text), choice="publish")[0] == 200
    parked_at(engine, "settle")
    assert services.live == "new text"
    later(engine, 14 * 86400 * 1000)
    run = engine.finished_runs(1, "--workflow", "seo-rank-drop", "--state", "succeeded")[0]
    rivals = next(step for step in run["steps"] if step["step"] == "rivals")["output"]
    assert (rivals["total"], rivals["succeeded"], rivals["failed"]) == (4, 2, 2)
    measured = wait_for("the measure", lambda: [event for event in engine.rows("events") if event["name"] == "seo.revision_measured"])
    assert json.loads(json.loads(engine.run("events", measured[0]["event"], "--json").stdout)["body"]) == {"url": "https://www.example/tea", "before": 11, "after": 2}
    assert len(services.messages) == 1
    engine.stop()


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
        self.prompts, self.messages, self.is_broke = [], [], False
        super().__init__()

    def llm_post(self, path, body, key):
        if self.is_broke:
            return 402, {"error": "no credit"}, {}
        self.prompts.append(body["prompt"])
        return 200, {"text": f"{body['prompt'].count('---') + 1} changes", "usage": {"total_tokens": 90}}, {}

    def slack_post(self, path, body, key):
        self.messages.append((body["channel"], body["text"]))
        return 200, {"ts": "1"}, {}


def test_release_notes_are_one_text_for_a_burst_of_pushes(make_engine):
    services = Room()
    engine = set_up(make_engine, "release-notes", services)
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
    assert sorted(services.messages) == [("#releases", "1 changes"), ("#releases", "3 changes")]
    services.is_broke = True
    for n in range(50):  # so many are a run at once
        push(f"Change {n}")
    failed = engine.finished_runs(3)[0]
    assert failed["state"] == "failed" and services.messages[-1][0] == "#ops" and "release-notes failed at notes" in services.messages[-1][1]
    services.is_broke = False
    engine.run("runs", "replay", failed["run"])
    wait_for("the text", lambda: services.messages[-1] == ("#releases", "50 changes"))
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
