"""Workflows of which only so many runs are active at a time: order, no overlap, under kills; skip, replace; who waits gives its slot up."""
import http.server
import json
import os
import random
import signal
import threading

from conftest import CONFIG, wait_for

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
KEYS, EACH = 4, 25


class Gate:
    """Each call says who it is; records begin and end of each, and holds calls of a closed gate."""

    def __init__(self):
        self.begun, self.active, self.most, self.open = [], {}, {}, threading.Event()
        self.lock = threading.Lock()
        self.open.set()
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with gate.lock:
                    gate.begun.append((call["key"], call["n"]))
                    gate.active.setdefault(call["key"], set()).add(call["n"])
                    gate.most[call["key"]] = max(gate.most.get(call["key"], 0), len(gate.active[call["key"]]))
                gate.open.wait(60)
                with gate.lock:
                    gate.active[call["key"]].discard(call["n"])
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def workflow(gate, concurrency, more=""):
    return f"""
name: one-by-one
on: [{{event: open.ping}}]
concurrency: {concurrency}
steps:
{more}  - id: call
    with: {{key: "${{{{ event.data.key }}}}", n: "${{{{ event.data.n }}}}", url: "{gate.url}"}}
    retry: {{delay: 10ms, factor: 1, attempts: 20}}
    lua: |
      local r = ctx.http{{method = "POST", url = input.url, json = {{key = input.key, n = input.n}}}}
      if r.status ~= 200 then return ctx.retry{{code = "gate"}} end
      return {{}}
"""


def ring(engine, key, n):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps({"key": key, "n": n}).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def states(engine):
    return sorted(run["state"] for run in engine.rows("runs", "--limit", "1000"))


def test_runs_of_a_key_come_one_after_the_other_in_order_however_often_all_is_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    gate, engine = Gate(), make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/w.yaml", workflow(gate, '{key: "${{ event.data.key }}", limit: 1}'))
    engine.start()
    sent = [(str(key), n) for n in range(EACH) for key in range(KEYS)]
    for key, n in sent:
        ring(engine, key, n)
    for _ in range(8):
        wanted = len(gate.begun) + rng.randrange(10)
        wait_for("some calls", lambda: len(gate.begun) >= min(wanted, len(sent)))
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(len(sent), "--workflow", "one-by-one")
    assert all(run["state"] == "succeeded" for run in runs)
    first = list(dict.fromkeys(gate.begun))  # a call that was cut off is made again
    assert sorted(first) == sorted(sent)
    for key in range(KEYS):
        assert [n for of, n in first if of == str(key)] == list(range(EACH))
    last = {call: place for place, call in enumerate(gate.begun)}
    for key in range(KEYS):  # none was called again after the next one had begun
        places = [last[(str(key), n)] for n in range(EACH)]
        assert places == sorted(places)


def test_no_more_than_the_limit_are_active_and_others_wait(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", workflow(gate, "{limit: 3}"))
    engine.start()
    for n in range(10):
        ring(engine, "k", n)
    wait_for("three calls", lambda: len(gate.begun) == 3)
    wait_for("the others", lambda: states(engine).count("blocked") == 7)
    gate.open.set()
    assert all(run["state"] == "succeeded" for run in engine.finished_runs(10))
    assert gate.most["k"] <= 3


def test_a_full_workflow_can_leave_runs_out_or_take_the_newest(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", workflow(gate, "{when_full: skip}"))
    engine.write("workflows/x.yaml", workflow(gate, "{when_full: replace}").replace("one-by-one", "newest"))
    engine.start()
    ring(engine, "k", 0)
    wait_for("both", lambda: len(gate.begun) == 2)
    for n in (1, 2):
        ring(engine, "k", n)
    wait_for("the two that are left out", lambda: states(engine).count("skipped") == 2)
    wait_for("the one that was replaced", lambda: states(engine).count("cancelled") == 1)
    gate.open.set()
    engine.finished_runs(6)
    of = {name: [run["state"] for run in engine.rows("runs", "--workflow", name)] for name in ("one-by-one", "newest")}
    assert sorted(of["one-by-one"]) == ["skipped", "skipped", "succeeded"] and sorted(of["newest"]) == ["cancelled", "succeeded", "succeeded"]
    skipped = [engine.show_run(run["run"]) for run in engine.rows("runs", "--workflow", "one-by-one", "--state", "skipped")]
    assert all(run["error"]["code"] == "concurrency.full" and "run_" in run["error"]["message"] for run in skipped)


def test_the_newest_can_cancel_the_running_one_also_under_kills(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    gate, engine = Gate(), make_engine(CONFIG + "workers: 2\n")
    gate.open.clear()
    engine.write("workflows/w.yaml", workflow(gate, "{when_full: cancel_running}", "  - {id: nap, if: '${{ event.data.n % 2 == 1 }}', sleep: 1d}\n"))
    engine.start()
    for n in range(0, 21, 2):  # executing or asleep, with and without a row
        ring(engine, "k", n)
        ring(engine, "k", n + 1) if n < 20 and rng.random() < 0.7 else None
        if rng.random() < 0.3:
            wait_for("its call", lambda: ("k", n) in gate.begun or states(engine).count("parked"))
        if rng.random() < 0.3:
            engine.kill()
            engine.start()
    wait_for("the last one's call", lambda: ("k", 20) in gate.begun)
    gate.open.set()
    wait_for("all to end", lambda: set(states(engine)) <= {"succeeded", "cancelled"})
    runs = engine.rows("runs", "--limit", "100")
    assert runs[0]["state"] == "succeeded" and {run["state"] for run in runs[1:]} == {"cancelled"}
    engine.stop()


def test_who_sleeps_lets_others_go_with_hold_active(make_engine):
    gate, engine = Gate(), make_engine()
    engine.write("workflows/w.yaml", workflow(gate, "{hold: active}", "  - {id: nap, if: \"${{ event.data.n == 0 }}\", sleep: 6s}\n"))
    engine.start()
    ring(engine, "k", 0)
    wait_for("the sleeper", lambda: states(engine) == ["parked"])
    ring(engine, "k", 1)
    wait_for("the other one", lambda: "succeeded" in states(engine))
    assert gate.begun == [("k", 1)]
    engine.kill()
    engine.start()
    engine.finished_runs(2)
    assert gate.begun == [("k", 1), ("k", 0)]


def test_a_key_that_cannot_be_told_fails_the_run(make_engine):
    gate, engine = Gate(), make_engine()
    engine.write("workflows/w.yaml", workflow(gate, '{key: "${{ event.data.key.no() }}"}'))
    engine.start()
    ring(engine, "k", 0)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "failed" and run["error"]["code"] == "expr.error"


def test_those_who_wait_survive_a_reload(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", workflow(gate, "{limit: 1}"))
    engine.start()
    for n in range(3):
        ring(engine, "k", n)
    wait_for("two that wait", lambda: states(engine).count("blocked") == 2)
    engine.write("workflows/w.yaml", "name: other\non: [{event: open.ping}]\nsteps: [{id: a, set: {}}]\n")
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    gate.open.set()
    runs = engine.finished_runs(3)
    assert all(run["workflow"] == "one-by-one" and run["state"] == "succeeded" for run in runs)
    assert [n for _, n in gate.begun] == [0, 1, 2]
