"""Every crash point that there is (engine/base/crash_point.h): a small life in which the engine, or a worker, dies at it, another one takes over, the
sender and the operator repeat what was not answered, and all comes to its end. The table says what must have come of it (semantics.md, section 5). A
point that is in no row fails, and so does one that its life never reaches. The lives run side by side, before the first of the tests that judge them."""
import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import http.server
import json
import os
import random
import sqlite3
import subprocess
import threading
import traceback
import urllib.parse

import pytest

from conftest import BINARY, CONFIG, Engine, audit, wait_for

SIDE_BY_SIDE = 4

CALL = """lua: 'ctx.http{method = "POST", url = input.url, headers = {["Idempotency-Key"] = ctx.idempotency_key}, json = {}} return {}'"""


def call(id, path, more=""):
    return f"""  - {{id: {id}, {more}with: {{url: "SINK{path}"}}, {CALL}}}\n"""


PAY = "name: pay\non: [{event: github.push}]\nsteps:\n" + call("charge", "/charge", "guarantee: at_most_once, on_error: continue, ") + call("thank", "/thank")
FAN = "name: fan\non: [{event: github.push}]\nsteps:\n  - id: each\n    foreach: [1, 2, 3]\n    concurrency: 2\n    steps:\n" + \
    call("item", "/item").replace("  - {", "      - {") + "  - {id: child, uses: workflow/child}\n" + call("after", "/after") + \
    "---\nname: child\non: [{call: true}]\nsteps:\n" + call("own", "/child")
NAP = "name: nap\non: [{event: github.push}]\nsteps:\n  - {id: nap, wait: {event: nap.never, timeout: 100ms}}\n" \
    "  - {id: say, emit: {event: nap.over, data: {id: \"${{ event.id }}\"}, delay: 100ms}}\n" \
    "  - {id: hear, wait: {event: nap.over, by: data.id, equals: \"${{ event.id }}\"}}\n" + call("awake", "/awake")
DIGEST = "name: digest\non: [{event: github.push}]\ncollect: {max_wait: 200ms}\nsteps:\n" + call("tell", "/digest")
SLOW = "name: slow\non: [{event: github.push}]\ndelay: 100ms\nconcurrency: {limit: 1}\nsteps:\n" + call("tell", "/slow")
ASK = "name: ask\non: [{event: github.push}]\nsteps:\n  - id: ask\n    approve:\n      message: Go?\n      notify:\n" \
    "        with: {to: \"SINK/ask\", url: \"${{ approval.url }}\"}\n" \
    "        lua: 'ctx.http{method = \"POST\", url = input.to, json = {url = input.url}} return {}'\n" + call("decided", "/decided")
QUOTE = "name: quote\non: [{event: github.push}]\nrespond: {mode: result, within: 60s}\nsteps:\n" + call("price", "/price") + \
    "  - {id: answer, respond: {status: 201, body: {price: 7}}}\n"
BROKEN = "name: broken\non: [{event: github.push}]\nsteps:\n" + call("first", "/first") + """  - id: gate
    retry: {attempts: 1}
    with: {url: "SINK/gate"}
    lua: 'if ctx.http{method = "POST", url = input.url, headers = {["Idempotency-Key"] = ctx.idempotency_key}, json = {}}.status ~= 200 then return ctx.fail{code = "shut"} end return {}'
"""
FOREVER = "name: forever\non: [{event: github.push}]\nsteps: [{id: nap, sleep: 1d}]\nfinally:\n" + call("clean", "/clean")
LIMITED = "name: limited\non: [{event: github.push}]\nsteps:\n" + call("once", "/limited", "limit: crm, ")
CLOCK = "name: clock\non: [{schedule: '* * * * *'}]\nsteps:\n  - {id: meant, set: {at: \"${{ event.data.nominal }}\"}}\n" + call("tick", "/tick")
VALUE = "name: value\non: [{event: github.push}]\nsteps: [{id: a, set: {n: %d}}]\n"


class Sink:
    """Counts the calls that reach it, by path and key."""

    def __init__(self):
        self.calls, self.gate_is_open, self.lock = {}, False, threading.Lock()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                with sink.lock:
                    keys = sink.calls.setdefault(self.path, {})
                    key = body.get("url") or self.headers["Idempotency-Key"]
                    keys[key] = keys.get(key, 0) + 1
                try:
                    self.send_response(503 if self.path == "/gate" and not sink.gate_is_open else 200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    pass  # whoever has called is dead

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, path):
        with self.lock:
            return sum(self.calls.get(path, {}).values())


class Life:
    """One engine that dies once. What is asked of it is asked until it is answered, each time of whoever serves then."""

    def __init__(self, folder, point, hit):
        self.point, self.hit, self.answers, self.has_died = point, hit, [], False
        self.is_of_worker = point.startswith("worker.")
        self.sink = Sink()
        self.engine = Engine(folder, CONFIG + "workers: 1\nretention: {RETENTION}\nlimits: {crm: {rate: 2/3s}}\n")

    def write(self, *workflows, retention=""):
        config = self.engine.folder / "bellwire.yaml"
        config.write_text(config.read_text().replace("RETENTION", retention))
        for number, text in enumerate(workflows):
            self.engine.write(f"workflows/w{number}.yaml", text.replace("SINK", f"http://127.0.0.1:{self.sink.server.server_port}"))

    def begin(self):
        self.engine.env["BELLWIRE_CRASH"] = f"{self.point}:{self.hit}"
        try:
            self.engine.start()
        except AssertionError:
            self.revive()

    def revive(self):
        """If the engine is dead. One that is alive had another reason not to answer."""
        try:
            self.engine.process.wait(5)
        except subprocess.TimeoutExpired:
            raise AssertionError("the engine does not answer, and is alive") from None
        assert self.engine.ended() == 137 and not self.has_died
        self.has_died = True
        del self.engine.env["BELLWIRE_CRASH"]
        self.engine.start()

    def ask(self, what):
        for _ in range(2):
            try:
                return what()
            except (OSError, http.client.HTTPException):
                self.answers.append("none")
                self.revive()
        raise AssertionError("it died twice")

    def push(self, body=b'{"ref":"x"}', delivery="d-1", **more):
        def pushed():
            status, answer, _ = self.engine.push(body, delivery, **more)
            if answer is None:  # it was cut off
                raise http.client.IncompleteRead(b"")
            return status, answer
        status, answer = self.ask(pushed)
        self.answers.append(answer.get("status", status) if status in (200, 202) else status)

    def command(self, *arguments):
        """A command that the engine answers; it may die of it, and then it is given again."""
        while True:
            result = self.engine.run(*arguments, check=False)
            if not result.returncode or "control.closed" not in result.stderr + result.stdout:
                return result
            self.revive()

    def until(self, what, condition):
        """The engine may die on the way."""
        def looked():
            if self.engine.process.poll() is not None:
                self.revive()
            return condition()
        return wait_for(what, looked)

    def runs(self, *arguments):
        return self.engine.rows("runs", "--limit", "100", *arguments)

    def all_ended(self, count):
        self.until(f"{count} runs to end", lambda: len(self.runs()) == count and all(run["state"] in ENDED for run in self.runs()))
        self.until("all events to be done", lambda: all(event["state"] == "done" for event in self.engine.rows("events")))

    def end(self):
        if self.is_of_worker:
            self.has_died = any(line.get("log") == "worker.lost" for line in self.engine.log)
        elif not self.has_died:
            self.engine.process.send_signal(15)  # a point that only a good end has
            status = self.engine.ended()
            self.has_died = status == 137
            assert status in (0, 137)
            if self.has_died:
                del self.engine.env["BELLWIRE_CRASH"]
                self.engine.start()
        if self.engine.process is not None:
            assert self.engine.stop() == 0
        assert self.has_died, f"{self.point} was not hit {self.hit} times"
        assert not audit(self.engine.folder / "data" / "bellwire.db")
        for path, keys in self.sink.calls.items():
            assert all(keys) and max(keys.values()) <= 2, (path, keys)

    def called(self, **expected):
        """How often: a number, or the least and the most. All calls of a path have one key, but for items."""
        for name, counts in expected.items():
            least, most = counts if isinstance(counts, tuple) else (counts, counts)
            assert least <= self.sink.count("/" + name) <= most, (name, self.sink.calls)
            if name != "item":
                assert len(self.sink.calls.get("/" + name, {})) <= 1, (name, self.sink.calls)

    def states(self):
        return {run["workflow"]: run["state"] for run in self.runs()}


ENDED = ("succeeded", "failed", "cancelled", "skipped")


# ---- lives: what happens in each, and what must be so at its end whatever the point is ----

def one_event(life, answers=None, charge=(0, 1), thank=(1, 2), state=None):
    """A push, a step that happens at most once, a step that happens at least once."""
    life.write(PAY)
    life.begin()
    life.push()
    life.all_ended(1)
    [run] = life.runs()
    steps = {step["step"]: step for step in life.engine.show_run(run["run"])["steps"]}
    life.end()
    assert run["state"] == "succeeded" and len(life.engine.rows("events")) == 1
    assert answers is None or life.answers == list(answers), life.answers
    assert steps["charge"]["state"] in ((state,) if state else ("succeeded", "unknown")), steps
    life.called(charge=charge, thank=thank)
    assert steps["charge"]["state"] == "unknown" or life.sink.count("/charge") == 1


def strict(**more):
    """As if nothing had been: each effect once."""
    return {"charge": 1, "thank": 1, "state": "succeeded", **more}


def waiting(life, awake=1):
    life.write(NAP)
    life.begin()
    life.push()
    life.all_ended(1)
    life.end()
    assert life.states() == {"nap": "succeeded"} and len(life.engine.rows("events")) == 2
    life.called(awake=awake)


def children(life):
    life.write(FAN)
    life.begin()
    life.push()
    life.all_ended(1)
    [run] = life.runs()
    output = next(step for step in life.engine.show_run(run["run"])["steps"] if step["step"] == "each")["output"]
    count = len(life.runs("--children"))
    life.end()
    assert run["state"] == "succeeded" and (output["total"], output["succeeded"]) == (3, 3) and count == 5
    life.called(item=(3, 6), child=(1, 2), after=1)  # of an item that was not recorded
    assert len(life.sink.calls["/item"]) == 3


def collecting(life, digest=1):
    life.write(DIGEST)
    life.begin()
    life.push()
    life.all_ended(1)
    life.end()
    assert life.states() == {"digest": "succeeded"}
    life.called(digest=digest)


def admission(life):
    life.write(SLOW)
    life.begin()
    life.push()
    life.all_ended(1)
    life.end()
    assert life.states() == {"slow": "succeeded"}
    life.called(slow=1)


def asking(life, answers=None):
    life.write(ASK)
    life.begin()
    life.push()
    [url] = life.until("the question", lambda: life.sink.calls.get("/ask"))

    def decide():
        headers = {"Content-Type": "application/json"}
        path = urllib.parse.urlsplit(url).path
        return wait_for("the step to ask", lambda: (lambda got: got if got[0] == 200 else None)(
            life.engine.request("POST", path, b'{"choice":"approve"}', headers)))
    life.answers = []
    _, answer, _ = life.ask(decide)
    life.answers.append(answer["new"])
    life.all_ended(1)
    life.end()
    assert life.states() == {"ask": "succeeded"} and life.answers == list(answers)
    life.called(decided=1, ask=1)


def answering(life, price=1):
    life.write(QUOTE)
    life.begin()
    status, answer, _ = life.ask(lambda: life.engine.push(delivery="d-1"))
    life.all_ended(1)
    life.end()
    # Who has lost the answer hears that the event is there already: its run is not run again for it.
    assert life.answers == ["none"] and (status, answer["status"]) == (200, "duplicate")
    assert life.states() == {"quote": "succeeded"}
    life.called(price=price)


def letters(life):
    life.write(BROKEN)
    life.begin()
    life.push()
    life.all_ended(1)
    [run] = life.runs()
    assert run["state"] == "failed"
    life.sink.gate_is_open = True
    result = life.command("runs", "resume", run["run"])
    assert result.returncode == 0 or "letter.resolved" in result.stdout + result.stderr or life.has_died, result
    life.until("the run to succeed", lambda: life.states() == {"broken": "succeeded"})
    life.end()
    life.called(first=1, gate=2)


def cancelling(life):
    life.write(FOREVER)
    life.begin()
    life.push()
    life.until("the run to sleep", lambda: life.states() == {"forever": "parked"})
    life.command("runs", "cancel", life.runs()[0]["run"])
    life.until("the run to end", lambda: life.states() == {"forever": "cancelled"})
    life.end()
    life.called(clean=(1, 2))


def pausing(life):
    """A workflow is paused, a run of it is held, and begins when the pause is over."""
    life.write(VALUE % 1)
    life.begin()
    life.command("workflows", "pause", "value")
    life.push()
    life.until("the run to be held", lambda: life.states() == {"value": "held"})
    life.command("workflows", "resume", "value")
    life.all_ended(1)
    life.end()
    assert life.states() == {"value": "succeeded"}


def handing_over(life):
    """A sender hands over its secret in a window: what it was told is so, and the very secret that it says again is no other one."""
    life.write(VALUE % 1)
    config = life.engine.folder / "bellwire.yaml"
    config.write_text(config.read_text().replace("sources:\n", "sources:\n  asana: {path: /in/asana, verify: asana}\n"))
    life.begin()
    life.command("sources", "open", "asana", "--for", "1h")

    def offer():
        status, _, headers = life.engine.request("POST", "/in/asana", b"", {"X-Hook-Secret": "a-secret-of-theirs"})
        assert (status, headers["X-Hook-Secret"]) == (200, "a-secret-of-theirs")
    life.ask(offer)
    assert life.engine.request("POST", "/in/asana", b"", {"X-Hook-Secret": "another-secret"})[0] == 401
    mac = hmac.new(b"a-secret-of-theirs", b"{}", hashlib.sha256).hexdigest()
    assert life.ask(lambda: life.engine.request("POST", "/in/asana", b"{}", {"X-Hook-Signature": mac}))[0] == 202
    life.end()
    assert [source["secret"] for source in life.engine.rows("sources") if source["source"] == "asana"] == ["learnt"]


def batching(life, answers=None):
    """A request with three events, one of which the engine has already: all the others, or none."""
    life.write(VALUE.replace("github.push", "grid.*") % 1)
    config = life.engine.folder / "bellwire.yaml"
    config.write_text(config.read_text().replace("sources:\n", "sources:\n  grid: {path: /in/grid, verify: cloudevents, secrets: {token: {env: GITHUB_WEBHOOK_SECRET}}}\n"))
    life.begin()

    def send(*ids):
        body = json.dumps([{"specversion": "1.0", "id": id, "source": "/s", "type": "made"} for id in ids]).encode()
        headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {life.engine.env['GITHUB_WEBHOOK_SECRET']}"}
        status, answer, _ = life.ask(lambda: life.engine.request("POST", "/in/grid", body, headers))
        assert status in (200, 202) and len(answer["events"]) == len(ids)
        life.answers.append((answer["status"], answer["duplicates"]))
    send("a")
    send("a", "b", "c")
    life.all_ended(3)
    life.end()
    assert life.answers == list(answers) and len(life.engine.rows("events")) == 3


def limited(life):
    life.write(LIMITED)
    life.begin()
    life.push()
    life.all_ended(1)
    life.until("the debt to be written", lambda: life.has_died)
    life.end()
    assert life.states() == {"limited": "succeeded"}
    life.called(limited=(1, 2))


def refusing(life):
    life.write(PAY)
    life.begin()
    life.push(delivery="bad", secret="another")
    life.push()
    life.all_ended(1)
    life.end()
    assert life.answers[-1] in ("accepted", "duplicate") and 401 in life.answers and len(life.engine.rows("events")) == 1
    life.called(charge=1, thank=1)


def reloading(life):
    """What was accepted before runs under the version of then; what comes afterwards under the new one."""
    life.write(VALUE % 1)
    life.begin()
    life.push(delivery="d-1")
    life.all_ended(1)
    life.engine.write("next", VALUE % 2).replace(life.engine.folder / "workflows" / "w0.yaml")

    def is_new():
        lines = [line for line in life.engine.log if line.get("log") in ("catalog.activated", "engine.listening")]
        return lines and lines[-1]["revision"] == 2
    life.until("the new version", is_new)
    life.push(delivery="d-2")
    life.all_ended(2)
    values = [life.engine.show_run(run["run"])["steps"][0]["output"]["n"] for run in life.runs()]
    life.end()
    assert values == [2, 1]


def forgetting(life):
    """Old things go, what goes on stays, whoever dies over it."""
    life.write(VALUE % 1, FOREVER.replace("github.push", "github.long"), retention="succeeded: 1ms, events: 1ms")
    life.begin()
    life.push(delivery="d-1", event="long")
    life.until("the run to sleep", lambda: life.states().get("forever") == "parked")
    life.push(delivery="d-2")
    life.until("its event to be done", lambda: life.engine.rows("events")[0]["state"] == "done")  # the newest one stays, and that is this one
    life.until("its run to go", lambda: life.has_died and life.states() == {"forever": "parked"})
    life.end()
    assert life.states() == {"forever": "parked"}


def checkpoints(life):
    """So much that the log goes into the database on the way."""
    life.write(VALUE % 1)
    life.begin()
    for number in range(6):
        pad = base64.b64encode(random.randbytes(750_000))
        life.push(b'{"pad":"%s"}' % pad, delivery=f"d-{number}")
    life.all_ended(6)
    life.until("a checkpoint", lambda: life.has_died)
    life.end()
    assert len(life.engine.rows("events")) == 6 and set(life.answers) <= {"none", "accepted", "duplicate"}
    database = sqlite3.connect(life.engine.folder / "data" / "bellwire.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def firing(life, is_new=False):
    """A schedule, whose times come while nobody serves: the last of them fires once at the start."""
    life.write(CLOCK)
    life.begin() if is_new else life.engine.start()
    database = life.engine.folder / "data" / "bellwire.db"
    life.until("the schedule to be there", lambda: life.has_died == is_new and sqlite3.connect(database).execute("SELECT 1 FROM schedules").fetchall())
    life.engine.kill()
    life.engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(30 * 60 * 1000)
    life.engine.start() if is_new else life.begin()
    life.until("the firing", lambda: life.has_died and "succeeded" in life.states().values())
    life.until("its end", lambda: set(life.states().values()) == {"succeeded"})
    meant = [life.engine.show_run(run["run"])["steps"][0]["output"]["at"] for run in life.runs()]
    life.end()
    assert len(set(meant)) == len(meant) <= 2 and life.sink.count("/tick") <= len(meant) + 1  # a minute may begin meanwhile


def scheduling(life):
    """It is new when the engine dies."""
    firing(life, is_new=True)


# ---- the table: point, at which hits, in which life, with what to come of it ----

LOST, DOUBLE = ("none", "accepted"), ("none", "duplicate")  # before it is on disk the sender sends it anew, afterwards it is told so
ROWS = [
    ("ingest.before_store", 1, one_event, strict(answers=LOST)),
    ("store.before_event", 1, one_event, strict(answers=LOST)),
    ("store.after_event", 1, one_event, strict(answers=DOUBLE)),
    ("ingest.before_answer", 1, one_event, {"answers": DOUBLE}),  # its run is under way already
    ("ingest.mid_answer", 1, one_event, {"answers": DOUBLE}),
    ("dispatch.before_job", 1, one_event, strict()),
    # The attempt of a step that happens at most once is on disk before it begins: report 1. Its end is report 2, that of the run report 3.
    ("worker.before_report", 1, one_event, strict(answers=("accepted",))),
    ("worker.before_report", 2, one_event, strict(state="unknown")),
    ("worker.before_report", 3, one_event, strict(thank=2)),
    ("dispatch.before_report", 1, one_event, strict()),
    ("dispatch.before_report", 2, one_event, strict(state="unknown")),
    ("dispatch.before_report", 3, one_event, strict(thank=2)),
    ("store.before_report", 1, one_event, strict()),
    ("store.before_report", 2, one_event, strict(state="unknown")),
    ("store.before_report", 3, one_event, strict(thank=2)),
    ("store.after_report", 1, one_event, strict(charge=0, state="unknown")),
    ("store.after_report", 2, one_event, strict()),
    ("store.after_report", 3, one_event, strict()),
    ("dispatch.before_ack", 1, one_event, strict(charge=0, state="unknown")),
    ("dispatch.before_ack", 2, one_event, strict()),
    ("worker.before_attempt", 1, one_event, strict(charge=0, state="unknown")),
    ("worker.before_attempt", 2, one_event, strict()),
    ("worker.before_request", 1, one_event, strict(charge=0, state="unknown")),
    ("worker.before_request", 2, one_event, strict()),
    ("worker.after_request", 1, one_event, strict(state="unknown")),
    ("worker.after_request", 2, one_event, strict(thank=2)),
    # Whichever commit that is: of the start, of the event, of a report.
    *[(f"store.{point}", hit, one_event, {}) for point in ("before_begin", "before_commit", "before_sync", "after_commit") for hit in (1, 3, 5)],
    *[("store.mid_commit", hit, one_event, {}) for hit in (1, 12, 24)],
    ("store.mid_migration", 1, one_event, strict()),
    ("store.mid_migration", 3, one_event, strict()),
    ("store.before_refusal", 1, refusing, {}),
    ("store.after_refusal", 1, refusing, {}),
    ("ingest.before_response", 1, answering, {}),
    *[(f"store.{point}", hit, waiting, {}) for hit in (1, 2) for point in ("before_park", "after_park", "before_wake", "after_wake", "before_timer", "after_timer")],
    ("store.before_later", 1, waiting, {}),
    ("store.after_later", 1, waiting, {}),
    *[(f"store.{point}", hit, children, {}) for hit in (1, 2) for point in ("before_children", "after_children", "before_join", "after_join")],
    ("store.before_collect", 1, collecting, {}),
    ("store.after_collect", 1, collecting, {}),
    ("store.before_flush", 1, collecting, {}),
    ("store.after_flush", 1, collecting, {}),
    ("store.before_admission", 1, admission, {}),
    ("store.after_admission", 1, admission, {}),
    ("store.before_vote", 1, asking, {"answers": ("none", True)}),
    ("store.after_vote", 1, asking, {"answers": ("none", False)}),
    ("store.before_letters", 1, letters, {}),
    ("store.after_letters", 1, letters, {}),
    ("store.before_cancel", 1, cancelling, {}),
    ("store.after_cancel", 1, cancelling, {}),
    *[(f"store.{point}", 1, pausing, {}) for point in ("before_pause", "after_pause", "before_hold", "after_hold", "before_release", "after_release")],
    *[(f"store.{point}", hit, handing_over, {}) for point in ("before_handover", "after_handover") for hit in (1, 2)],
    ("ingest.before_answer", 1, handing_over, {}),
    ("store.mid_batch", 3, batching, {"answers": (("accepted", 0), "none", ("accepted", 1))}),
    ("store.before_event", 2, batching, {"answers": (("accepted", 0), "none", ("accepted", 1))}),
    ("store.after_event", 2, batching, {"answers": (("accepted", 0), "none", ("duplicate", 3))}),
    ("ingest.before_answer", 2, batching, {"answers": (("accepted", 0), "none", ("duplicate", 3))}),
    ("store.before_limits", 1, limited, {}),
    ("store.after_limits", 1, limited, {}),
    ("store.before_schedule", 1, scheduling, {}),
    ("store.after_schedule", 1, scheduling, {}),
    ("store.before_event", 1, firing, {}),
    ("store.after_event", 1, firing, {}),
    ("store.before_revision", 1, reloading, {}),
    ("store.after_revision", 1, reloading, {}),
    ("store.before_revision", 2, reloading, {}),
    ("store.after_revision", 2, reloading, {}),
    ("dispatch.before_activate", 1, reloading, {}),
    ("dispatch.after_activate", 1, reloading, {}),
    ("store.before_removal", 1, forgetting, {}),
    ("store.after_removal", 1, forgetting, {}),
    ("store.before_checkpoint", 1, checkpoints, {}),
    ("store.mid_checkpoint", 1, checkpoints, {}),
    ("store.mid_checkpoint", 100, checkpoints, {}),
    ("store.after_checkpoint", 1, checkpoints, {}),
]


def name_of(row):
    return f"{row[2].__name__}-{row[0]}:{row[1]}"


def live(row, folder):
    point, hit, scene, expected = row
    life = Life(folder, point, hit)
    try:
        scene(life, **expected)
        return None
    except BaseException:  # it is the test that fails, not the thread
        return traceback.format_exc() + "\n".join(json.dumps(line) for line in life.engine.log[-8:])
    finally:
        if life.engine.process is not None:
            life.engine.kill()
        life.sink.server.shutdown()


@pytest.fixture(scope="module")
def lives(request, tmp_path_factory):
    """Those that are asked for, and what was wrong with each."""
    rows = {item.callspec.params["row"] for item in request.session.items if "row" in getattr(getattr(item, "callspec", None), "params", {})}
    chosen = [row for row in ROWS if name_of(row) in rows]
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        futures = {name_of(row): pool.submit(live, row, tmp_path_factory.mktemp("life") / "instance") for row in chosen}
        return {name: future.result() for name, future in futures.items()}


def points():
    listed = json.loads(subprocess.run([BINARY, "version", "--json"], capture_output=True, text=True, check=True).stdout).get("crash_points")
    if listed is None:
        pytest.skip("this build has no crash points: it is made without BELLWIRE_TEST_HOOKS")
    return listed


@pytest.mark.parametrize("row", [name_of(row) for row in ROWS])
def test_whoever_dies_there_leaves_what_the_table_says(lives, row):
    points()
    assert lives[row] is None, lives[row]


def test_each_point_is_in_a_row_and_each_row_has_a_point():
    assert {row[0] for row in ROWS} == set(points())
    assert len({name_of(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("value", ["store.nowhere:1", "store.before_commit", "store.before_commit:0", ":1"])
def test_a_point_that_nobody_knows_ends_the_program(value):
    points()
    result = subprocess.run([BINARY, "version"], env={**os.environ, "BELLWIRE_CRASH": value}, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "no crash point" in result.stderr
