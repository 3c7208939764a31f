"""Named limits that steps of all workflows share, measured by the server that the steps call.

All bounds hold however slow the machine is: an arrival can only be later than its permit, so arrivals are counted from a moment before the first
permit, and how many are in the server at once can only be less than how many have a permit."""
import http.server
import json
import os
import random
import signal
import sqlite3
import threading
import time

from conftest import CONFIG, wait_for

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Server:
    """Notes when each request came and where, how many were inside at once, and what it answered with."""

    def __init__(self):
        self.lock = threading.Lock()
        self.arrivals = []  # (time, path)
        self.inside, self.most = {}, {}
        self.hold_s = 0
        self.gate = threading.Event()
        self.gate.set()
        self.refuse = {}  # path -> (status, Retry-After) for each of the next requests
        self.refused = []  # when it was said, and for how long
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                group = self.path
                with server.lock:
                    server.arrivals.append((time.monotonic(), group))
                    server.inside[group] = server.inside.get(group, 0) + 1
                    server.most[group] = max(server.most.get(group, 0), server.inside[group])
                    answer = server.refuse[group].pop(0) if server.refuse.get(group) else None
                server.gate.wait(60)
                time.sleep(server.hold_s)
                with server.lock:
                    server.inside[group] -= 1
                    if answer:
                        server.refused.append((time.monotonic(), answer[1]))
                self.send_response(answer[0] if answer else 200)
                if answer:
                    self.send_header("Retry-After", str(answer[1]))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True
        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.listener.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.listener.server_port}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def of(self, path):
        return [at for at, where in self.arrivals if where == path]


def calls(url, name="call", limit="llm", path="/call", more=""):
    """A workflow with one step that posts to the server under a limit."""
    return f"""
name: {name}
on: [{{event: open.ping}}]
steps:
  - id: post
    limit: {limit}
    {more}
    with: {{url: "{url}{path}"}}
    lua: |
      local r = ctx.http{{method = "POST", url = input.url, json = {{}}}}
      if r.status == 429 then return ctx.retry{{code = "busy", after = r.headers["retry-after"]}} end
      if r.status ~= 200 then return ctx.fail{{code = "status"}} end
      return {{status = r.status}}
"""


def ring(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def limits(text, workers=2):
    return CONFIG + f"limits: {text}\nworkers: {workers}\n"


def check_rate(arrivals, began, per_second, burst, cost=1):
    """However late they arrive: none before its turn."""
    for count, (at, *_) in enumerate(arrivals, 1):
        allowed = per_second * (at - began) + burst
        assert count * cost <= allowed + 1e-6, f"{count} arrivals at {at - began:.3f} s, {allowed:.2f} are allowed"


def test_a_rate_with_a_burst_holds_over_workflows_and_workers(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {rate: 20/1s, burst: 5}}"))
    engine.write("workflows/one.yaml", calls(server.url, "one"))
    engine.write("workflows/two.yaml", calls(server.url, "two"))
    engine.start()
    began = time.monotonic()
    for _ in range(15):
        ring(engine)
    engine.finished_runs(30)
    assert len(server.arrivals) == 30
    check_rate(server.arrivals, began, 20, 5)


def test_cost_is_what_a_step_takes_of_the_rate(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {rate: 100/1s, burst: 20}}"))
    engine.write("workflows/call.yaml", calls(server.url, limit='{name: llm, cost: "${{ event.data.cost }}"}'))
    engine.start()
    began = time.monotonic()
    for _ in range(12):
        ring(engine, cost=20)
    engine.finished_runs(12)
    assert len(server.arrivals) == 12
    check_rate(server.arrivals, began, 100, 20, cost=20)
    ring(engine, cost=21)  # its turn would never come
    run = wait_for("a failed run", lambda: engine.rows("runs", "--state", "failed"))[0]
    assert run["error"]["code"] == "limit.cost" and run["error"]["line"] == 6
    assert len(server.arrivals) == 12


def test_no_more_at_once_than_the_limit_says_and_keys_are_apart(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {concurrency: 3}, tenant: {concurrency: 1}}"))
    engine.write("workflows/one.yaml", calls(server.url, "one"))
    engine.write("workflows/two.yaml", calls(server.url, "two"))
    engine.write("workflows/keyed.yaml", calls(server.url, "keyed", '{name: tenant, key: "${{ event.data.tenant }}"}', "/keyed/${{ event.data.tenant }}"))
    engine.start()
    server.gate.clear()
    for n in range(12):
        ring(engine, tenant=f"t{n % 2}")
    wait_for("as many as may be", lambda: sum(server.inside.values()) == 3 + 1 + 1)  # the tenants are apart
    server.hold_s = 0.02
    server.gate.set()
    engine.finished_runs(36)
    assert len(server.arrivals) == 36
    assert server.most == {"/call": 3, "/keyed/t0": 1, "/keyed/t1": 1}


def test_after_a_429_nobody_of_that_limit_starts_before_its_time(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {concurrency: 1}}"))
    engine.write("workflows/one.yaml", calls(server.url, "one", more="retry: {delay: 1ms}"))
    engine.write("workflows/two.yaml", calls(server.url, "two", more="retry: {attempts: 1}"))
    engine.write("workflows/other.yaml", calls(server.url, "other", "none", "/other"))
    engine.start()
    server.refuse = {"/call": [(429, 2)]}
    server.gate.clear()
    for _ in range(3):
        ring(engine)
    wait_for("the one whose turn it is, and those without a limit", lambda: sum(server.inside.values()) == 1 + 3)
    server.gate.set()
    wait_for("all others", lambda: len(server.of("/call")) >= 6)
    said, seconds = server.refused[0]
    assert all(at >= said + seconds for at in server.of("/call")[1:])
    assert len(engine.finished_runs(9)) == 9


def test_the_permits_of_a_worker_that_dies_come_back(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {concurrency: 2}}", workers=1))
    engine.write("workflows/call.yaml", calls(server.url))
    engine.start()
    server.gate.clear()
    for _ in range(8):
        ring(engine)
    for killed in range(1, 5):
        wait_for("two inside", lambda: len(server.arrivals) == 2 * killed)  # of this round: those before have nobody who listens
        for pid in engine.children("worker"):
            os.kill(pid, signal.SIGKILL)
    wait_for("two inside", lambda: len(server.arrivals) == 10)
    server.gate.set()
    assert [run["state"] for run in engine.finished_runs(8)] == ["succeeded"] * 8


def test_a_rate_holds_however_often_workers_are_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    server, engine = Server(), make_engine(limits("{llm: {rate: 100/1s, burst: 5, concurrency: 4}}"))
    engine.write("workflows/fan.yaml", f"""
name: fan
on: [{{event: open.ping}}]
steps:
  - id: fan
    foreach: ${{{{ event.data.items }}}}
    concurrency: 40
    steps:
      - id: post
        limit: llm
        with: {{url: "{server.url}/call"}}
        lua: |
          if ctx.http{{method = "POST", url = input.url, json = {{}}}}.status ~= 200 then return ctx.retry{{code = "server"}} end
          return {{}}
""")
    engine.start()
    began = time.monotonic()
    ring(engine, items=list(range(200)))
    for _ in range(6):
        seen = len(server.arrivals) + rng.randrange(20)
        wait_for("some arrivals", lambda: len(server.arrivals) >= min(seen, 200))
        os.kill(rng.choice(wait_for("a worker", lambda: engine.children("worker"))), signal.SIGKILL)
    run = engine.finished_runs(1, "--workflow", "fan")[0]
    assert run["state"] == "succeeded", run
    check_rate(server.arrivals, began, 100, 5)


def stored(engine, column, condition):
    store = sqlite3.connect(f"file:{engine.folder}/data/bellwire.db?mode=ro", uri=True)
    wait_for(f"{column} in the store", lambda: any(condition(value) for value, in store.execute(f"SELECT {column} FROM limits")))
    store.close()


def test_a_restart_grants_no_fresh_burst(make_engine):
    for end in ("stop", "kill"):
        server, engine = Server(), make_engine(limits("{llm: {rate: 1/1s, burst: 6}}"), name=end)
        engine.write("workflows/call.yaml", calls(server.url, limit='{name: llm, key: acme}'))
        engine.start()
        began, began_ms = time.monotonic(), time.time() * 1000
        for _ in range(10):
            ring(engine)
        wait_for("the burst", lambda: len(server.arrivals) >= 6)
        if end == "kill":  # what is owed is written lazily, but soon
            stored(engine, "free_ms", lambda free_ms: free_ms >= began_ms + 6000)
        getattr(engine, end)()
        engine.start()
        engine.finished_runs(10)
        # Whichever of the six had not been recorded are run again, and cost again.
        check_rate(server.arrivals, began, 1, 6)


def test_a_pause_outlives_a_restart(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {concurrency: 1}}"))
    engine.write("workflows/call.yaml", calls(server.url, more="retry: {delay: 1ms}"))
    server.refuse = {"/call": [(429, 4)]}
    engine.start()
    ring(engine)
    said, seconds = wait_for("the refusal", lambda: server.refused)[0]
    stored(engine, "paused_ms", lambda paused_ms: paused_ms > 0)
    engine.kill()
    engine.start()
    ring(engine)
    engine.finished_runs(2)
    assert all(at >= said + seconds for at in server.of("/call")[1:])


def test_a_reload_changes_a_limit_for_who_waits_and_takes_none_away_that_is_named(make_engine):
    server, engine = Server(), make_engine(limits("{llm: {rate: 1/1h}}"))
    engine.write("workflows/call.yaml", calls(server.url))
    engine.start()
    config = engine.folder / "bellwire.yaml"

    def reload(before, after):
        config.write_text(config.read_text().replace(before, after))
        engine.process.send_signal(signal.SIGHUP)
    for _ in range(5):
        ring(engine)
    wait_for("the first one", lambda: len(server.arrivals) == 1)
    reload("1/1h", "1000/1s")
    engine.finished_runs(5)
    assert len(server.arrivals) == 5
    reload("{llm: {rate: 1000/1s}}", "{llm: {concurrency: 1}}")
    wait_for("two reloads", lambda: len([line for line in engine.log if line.get("log") == "catalog.activated"]) == 2)
    reload("{llm: ", "{other: ")
    assert engine.wait_log("catalog.error")["code"] == "limit.unknown"
    engine.wait_log("catalog.refused")
    for _ in range(4):
        ring(engine)
    engine.finished_runs(9)
    assert server.most["/call"] <= 5 and len(server.arrivals) == 9


def test_what_a_step_waits_for_is_said(make_engine):
    engine = make_engine(limits("{llm: {rate: 1/2s}}"))
    engine.write("workflows/twice.yaml", "name: twice\non: [{manual: true}]\ndefaults: {limit: llm}\nsteps:\n"
                 "  - {id: a, lua: return ctx.attempt}\n  - {id: b, lua: return ctx.attempt}\n")
    said = engine.run("run", "twice").stdout
    assert "for its turn: limit llm" in said and "succeeded" in said


def test_an_unknown_limit_is_told_with_its_place(make_engine):
    engine = make_engine(limits("{llm: {concurrency: 1}}"))
    engine.write("workflows/call.yaml", calls("http://127.0.0.1:1", limit="lm"))
    checked = engine.run("check", check=False)
    assert checked.returncode != 0
    assert "call.yaml:6:12" in checked.stdout + checked.stderr and "did you mean 'llm'?" in checked.stdout + checked.stderr
