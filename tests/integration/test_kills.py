"""SIGKILLs of engine and workers while everything is under way that a workflow can wait for: items, retries, sleeps, events, slots, called runs. The
foundation's kill test is test_crash.py; both together kill 200 times by default."""
import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import threading
import time

from conftest import CONFIG, DEADLINE, is_sanitized, sign, wait_for
from test_crash import Effects

KILLS = int(os.environ.get("BELLWIRE_KILLS", "40" if is_sanitized() else "100"))
SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
KINDS = ("batch", "flaky", "waits", "single", "calls")
ITEMS = 4
BUSY_TIMES = 2  # so often /flaky answers 503 under one key


def post(path, mark="${{ event.data.delivery }}", more=""):
    return f"uses: http/request@1, with: {{method: POST, url: \"URL/{path}\", json: {{}}, headers: {{X-Delivery: \"{mark}\"}}}}{more}"


WORKFLOWS = f"""
name: batch
on: [{{event: github.batch}}]
steps:
  - id: each
    foreach: "${{{{ event.data.items }}}}"
    concurrency: 2
    steps: [{{id: one, {post("item", "${{ event.data.delivery }}/${{ item }}")}}}]
  - {{id: all, {post("all")}}}
---
name: flaky
on: [{{event: github.flaky}}]
steps:
  - {{id: busy, {post("flaky", more=", retry: {attempts: 50, delay: 20ms, factor: 1}")}}}
  - {{id: nap, sleep: 150ms}}
  - {{id: rested, {post("rested")}}}
---
name: waits
on: [{{event: github.waits}}]
steps:
  - {{id: ask, {post("ask")}}}
  - {{id: answer, wait: {{event: github.reply, by: data.id, equals: "${{{{ event.data.delivery }}}}", timeout: 1h}}}}
  - {{id: answered, {post("answered")}}}
---
name: single
on: [{{event: github.single}}]
concurrency: {{key: "${{{{ event.data.k }}}}", limit: 1}}
steps:
  - {{id: enter, {post("begin")}}}
  - {{id: leave, {post("end")}}}
---
name: calls
on: [{{event: github.calls}}]
steps:
  - {{id: called, uses: workflow/called, with: {{mark: "${{{{ event.data.delivery }}}}"}}}}
  - {{id: after, {post("after")}}}
---
name: called
on: [{{call: true}}]
inputs: {{mark: {{type: string, required: true}}}}
steps: [{{id: inner, {post("inner", "${{ inputs.mark }}")}}}]
"""
# What each event of a kind must have done, and which workflows have a run of it.
EFFECTS = {"batch": ["item"] * ITEMS + ["all"], "flaky": ["flaky", "rested"], "waits": ["ask", "answered"], "single": ["begin", "end"],
           "calls": ["inner", "after"]}


class Sink(Effects):
    """Is busy at first. Since `seen` keeps the order in which effects came first, it tells which run was before which."""

    def __init__(self):
        super().__init__()
        self.busy = {}

    def note(self, path, delivery, key):
        if path == "/flaky":
            self.busy[key] = self.busy.get(key, 0) + 1
            if self.busy[key] <= BUSY_TIMES:
                return 503
        return super().note(path, delivery, key)


class Client(threading.Thread):
    """One event of each kind, and a reply to the one that waits, whenever it may; each again under its id until it has an answer, as a sender would."""

    def __init__(self, number, engine, acknowledged):
        super().__init__(daemon=True)
        self.number, self.engine, self.acknowledged = number, engine, acknowledged
        self.may_go_on, self.is_stopped, self.rounds = threading.Semaphore(0), False, 0

    def run(self):
        while True:
            self.may_go_on.acquire()
            if self.is_stopped:
                return
            self.rounds += 1
            for kind in KINDS:
                delivery = f"{kind}-{self.number}-{self.rounds}"
                self.send(kind, delivery, {"delivery": delivery, "k": self.number % 2, "items": list(range(ITEMS))})
            waiting = f"waits-{self.number}-{self.rounds}"
            self.send("reply", f"reply-{self.number}-{self.rounds}", {"id": waiting})

    def send(self, event, delivery, data):
        body = json.dumps(data).encode()
        headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": sign(body)}
        while True:
            port = self.engine.port
            try:
                if port is None:
                    raise OSError("it is not up")
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request("POST", "/in/github", body, headers)
                status = connection.getresponse().status
                connection.close()
                if status in (200, 202):
                    self.acknowledged.append(delivery)
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.005)  # its port is another one after each start


def test_all_that_waits_survives_kills(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    sink, acknowledged = Sink(), []
    engine = make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/w.yaml", WORKFLOWS.replace("URL", sink.url))
    assert "all good" in engine.run("check").stderr
    engine.start()
    clients = [Client(number, engine, acknowledged) for number in range(3)]
    for client in clients:
        client.start()
    for kill in range(KILLS):
        for client in clients:
            client.may_go_on.release()
        time.sleep(rng.uniform(0, 0.3))  # the random moment is the test
        if rng.random() < 0.4:
            for pid in engine.children("worker")[:rng.choice((1, 2))]:
                with contextlib.suppress(ProcessLookupError):  # the one for suspects comes and goes
                    os.kill(pid, signal.SIGKILL)
            continue
        engine.kill()
        if rng.random() < 0.2:  # in the middle of recovery
            engine.start(wait=False)
            time.sleep(rng.uniform(0, 0.1))
            engine.kill()
        engine.start()
    for client in clients:
        client.is_stopped = True
        client.may_go_on.release()
    for client in clients:
        client.join(5 * DEADLINE)
        assert not client.is_alive()
    limit = str(10 * len(acknowledged))
    wait_for("all events to be done", lambda: all(row["state"] == "done" for row in engine.rows("events", "--limit", limit)), 5 * DEADLINE)
    alive = ("active", "parked", "blocked", "delayed")
    wait_for("all runs to end", lambda: not any(engine.rows("runs", "--state", state) for state in alive), 5 * DEADLINE)
    assert engine.stop() == 0
    judge(engine, clients, acknowledged, sink)


def judge(engine, clients, acknowledged, sink):
    sent = {f"{kind}-{client.number}-{number}" for client in clients for kind in (*KINDS, "reply") for number in range(1, client.rounds + 1)}
    assert set(acknowledged) == sent and len(sent) > KILLS  # else the load was too thin to prove anything
    store = sqlite3.connect(next(engine.folder.rglob("bellwire.db")))

    # One event for each delivery, one run for each event of a workflow, and one for each item and call.
    accepted = store.execute("SELECT provider_id, event_id FROM deliveries WHERE outcome = 0").fetchall()
    assert sorted(delivery for delivery, _ in accepted) == sorted(sent)
    runs = store.execute("SELECT workflow, state, event_id, id IN (SELECT run_id FROM children) FROM runs").fetchall()
    assert all(state == 20 for _, state, _, _ in runs), [run for run in runs if run[1] != 20][:3]
    events = {event: delivery.split("-")[0] for delivery, event in accepted}
    assert sorted((workflow, event) for workflow, _, event, is_child in runs if not is_child) == sorted(
        (kind, event) for event, kind in events.items() if kind != "reply")
    children = [(workflow, event) for workflow, _, event, is_child in runs if is_child]
    assert sorted(children) == sorted([("batch", event) for event, kind in events.items() if kind == "batch" for _ in range(ITEMS)] +
                                      [("called", event) for event, kind in events.items() if kind == "calls"])
    assert store.execute("SELECT DISTINCT state FROM steps").fetchall() == [(20,)]
    assert store.execute("SELECT count(*) FROM steps").fetchone()[0] == sum({"batch": 2 + ITEMS, "flaky": 3, "waits": 3, "single": 2, "calls": 3, "reply": 0}[kind]
                                                                           for kind in events.values())
    # Nothing is left of what they waited for.
    for table in ("queue", "timers", "waits", "wakes", "wakings", "slots", "delayed", "join_items", "pending"):
        assert store.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    store.close()

    # Each effect was made, and whenever one came again it came under its own key.
    keys = {}
    for path, mark, key in sink.seen:
        keys.setdefault((path[1:], mark), set()).add(key)
    wanted = {(path, f"{delivery}/{i}" if path == "item" else delivery)
              for delivery in sent if not delivery.startswith("reply") for i, path in enumerate(EFFECTS[delivery.split("-")[0]])}
    assert set(keys) == wanted
    assert all(len(found) == 1 for found in keys.values()) and len({key for found in keys.values() for key in found}) == len(keys)

    # Of one key with limit 1 none begins before the one before it has ended: what was first seen counts, repeats of killed workers may come late.
    first = {effect: at for at, effect in enumerate(keys)}
    for parity in (0, 1):
        singles = sorted((first["begin", mark], first["end", mark]) for path, mark in keys
                         if path == "begin" and int(mark.split("-")[1]) % 2 == parity)
        assert all(end < begin for (_, end), (begin, _) in zip(singles, singles[1:]))
    print(f"{KILLS} kills, {len(sent)} acknowledged, {len(runs)} runs, {sum(sink.seen.values()) - len(keys)} repeated effects")
