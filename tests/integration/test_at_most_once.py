"""guarantee: at_most_once: whatever dies and whenever, no call is made twice; of a call of which nobody knows what it has done the run says so, and goes
on when somebody has looked. A bank counts the calls that reach it, by their Idempotency-Key."""
import http.client
import http.server
import json
import os
import random
import signal
import socket
import threading

import pytest

from conftest import CONFIG, audit, wait_for

HEAD = """
name: pay
on: [{event: open.ping}]
vars: {bank: "BANK"}
steps:
"""

CHARGE = """
  - id: charge
    guarantee: at_most_once
    timeout: 30s
    retry: {attempts: 3, delay: 10ms}
    with: {bank: "${{ vars.bank }}", n: "${{ event.data.n }}"}
    lua: |
      local r = ctx.http{method = "POST", url = input.bank .. "/charge", headers = {["Idempotency-Key"] = ctx.idempotency_key}, json = {n = input.n}}
      if r.status ~= 200 then return ctx.retry{code = "bank_down", message = "the bank answered " .. r.status} end
      return {n = input.n}
"""

PLUGIN_CHARGE = """
  - id: charge
    guarantee: at_most_once
    uses: http/request@1
    retry: {attempts: 3, delay: 10ms}
    with: {method: POST, url: "${{ vars.bank }}/charge", json: {n: "${{ event.data.n }}"}}
    outputs: {n: "${{ result.json.n }}"}
"""

THANK = """
  - id: thank
    with: {bank: "${{ vars.bank }}", n: "${{ steps.charge.n }}"}
    lua: |
      ctx.http{method = "POST", url = input.bank .. "/thank", headers = {["Idempotency-Key"] = ctx.idempotency_key}, json = {n = input.n or 0}}
      return {}
"""


class Bank:
    """Counts what it has read. `plan` says how the next calls of /charge are answered, one each: a status, "close" (it goes away without an answer)
    or a function that is called first; 200 when it is empty."""

    def __init__(self):
        self.calls, self.plan, self.lock = [], [], threading.Lock()
        bank = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                with bank.lock:
                    bank.calls.append((self.path, self.headers["Idempotency-Key"], body.get("n")))
                    how = bank.plan.pop(0) if bank.plan and self.path == "/charge" else 200
                if callable(how):
                    how = how() or 200
                if how == "close":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                answer = json.dumps({"n": body.get("n")}).encode()
                try:
                    self.send_response(how)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # whoever has called is dead

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # whoever has called is dead

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 4096

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keys(self, path="/charge"):
        with self.lock:
            return [call[1] for call in self.calls if call[0] == path]


@pytest.fixture
def bank():
    bank = Bank()
    yield bank
    bank.server.shutdown()
    bank.server.server_close()


def write(engine, bank, *steps, more=""):
    engine.write("workflows/pay.yaml", HEAD.replace("BANK", bank.url) + "".join(steps) + more)


def ring(engine, n=1):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps({"n": n}).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def state_of(run, step="charge"):
    return next((row["state"] for row in run["steps"] if row["step"] == step), None)


def ended(engine, run, state="succeeded"):
    return wait_for(f"{run} {state}", lambda: next((row for row in [engine.show_run(run)] if row["state"] == state), None))


def kill_worker(engine):
    for pid in engine.children("worker"):
        os.kill(pid, signal.SIGKILL)


def unknown_run(engine, bank, *steps):
    """A run whose worker died while the bank had its call, and whose charge is unknown."""
    write(engine, bank, *(steps or (CHARGE, THANK)))
    engine.start()
    bank.plan = [lambda: kill_worker(engine)]
    ring(engine)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "failed" and run["error"]["code"] == "step.unknown" and state_of(run) == "unknown"
    assert len(bank.keys()) == 1 and not bank.keys("/thank")
    return run


# ---- what ends as unknown, and what does not ----

def test_a_worker_that_dies_under_the_call_leaves_it_unknown(make_engine, bank):
    engine = make_engine()
    run = unknown_run(engine, bank)
    shown = engine.run("runs", "show", run["run"]).stdout
    assert "unknown" in shown and f"bellwire runs resolve {run['run']} --step charge" in shown
    refused = engine.run("runs", "resume", run["run"], check=False)
    assert refused.returncode == 1 and "step.unresolved" in refused.stderr and f"resolve {run['run']} --step charge" in refused.stderr
    assert engine.run("runs", "resume", "--error", "step.unknown", check=False).returncode == 1
    assert [row["run"] for row in engine.rows("runs", "--state", "failed", "--error", "step.unknown")] == [run["run"]]
    assert engine.stop() == 0
    assert len(bank.keys()) == 1 and not audit(engine.folder / "data" / "bellwire.db")


def test_a_catch_deals_with_it(make_engine, bank):
    engine = make_engine()
    caught = CHARGE + """
    catch:
      - if: ${{ error.code == "step.unknown" }}
        steps: [{id: ask, set: {was: "${{ error.message }}"}}]
"""
    write(engine, bank, caught, "  - {id: last, set: {status: \"${{ status('charge') }}\"}}\n", more="outputs: {status: \"${{ steps.last.status }}\"}\n")
    engine.start()
    bank.plan = [lambda: kill_worker(engine)]
    ring(engine)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "succeeded" and run["output"] == {"status": "unknown"} and state_of(run) == "unknown" and state_of(run, "ask") == "succeeded"
    assert len(bank.keys()) == 1
    refused = engine.run("runs", "resolve", run["run"], "--step", "charge", "--retry", check=False)
    assert refused.returncode == 1 and "run.not_failed" in refused.stderr


@pytest.mark.parametrize("charge", [CHARGE, PLUGIN_CHARGE], ids=["lua", "plugin"])
@pytest.mark.parametrize("answers,calls,state", [
    ([503, 429, 200], 3, "succeeded"),
    ([503, 503, 503], 3, "failed"),
    ([500], 1, "unknown"), ([502], 1, "unknown"), ([504], 1, "unknown"), ([503, 500], 2, "unknown"),
    (["close"], 1, "unknown"),
])
def test_only_what_is_known_to_have_done_nothing_is_tried_again(make_engine, bank, charge, answers, calls, state):
    engine = make_engine(CONFIG + "workers: 1\n")
    write(engine, bank, charge)
    engine.start()
    ring(engine)  # the connection is kept: libcurl would send again by itself on one that turns out to be dead
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    bank.plan = list(answers)
    ring(engine)
    run = engine.finished_runs(2)[0]
    assert state_of(run) == state and len(bank.keys()) == 1 + calls
    assert len(set(bank.keys())) == 2  # one for each of the two runs
    if state == "unknown":
        assert run["error"]["code"] == "step.unknown"


@pytest.mark.parametrize("charge", [CHARGE, PLUGIN_CHARGE], ids=["lua", "plugin"])
def test_who_could_not_be_reached_has_done_nothing(make_engine, bank, charge):
    engine = make_engine()
    write(engine, bank, charge)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        text = HEAD.replace("BANK", f"http://127.0.0.1:{closed.getsockname()[1]}").replace("name: pay", "name: nobody").replace("open.ping", "order.paid")
        engine.write("workflows/nobody.yaml", text + charge)
        write(engine, bank, charge, "  - {id: tell, emit: {event: order.paid, data: {n: 1}}}\n")
        engine.start()
        ring(engine)  # one that is reached first: nothing of that request may be taken for a part of the next
        run = engine.finished_runs(2)[0]
    assert run["workflow"] == "nobody" and run["state"] == "failed" and state_of(run) == "failed" and run["error"]["code"] == "http.network"
    assert run["steps"][0]["attempt"] == 3 and len(bank.keys()) == 1


def test_a_run_that_is_cancelled_under_the_call_leaves_it_unknown(make_engine, bank):
    engine = make_engine()
    write(engine, bank, CHARGE, "  - {id: after, set: {}}\n")
    engine.start()
    release = threading.Event()
    bank.plan = [lambda: release.wait(60) and None]
    ring(engine)
    wait_for("the call", lambda: bank.keys())
    run = wait_for("the run", lambda: engine.rows("runs"))[0]["run"]
    engine.run("runs", "cancel", run)
    after = ended(engine, run, "cancelled")
    release.set()
    assert state_of(after) == "unknown" and len(bank.keys()) == 1 and state_of(after, "after") is None


def test_a_limit_and_a_wait_that_parks_between_two_attempts(make_engine, bank):
    engine = make_engine()
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text() + "limits: {bank: {concurrency: 1}}\n")
    write(engine, bank, CHARGE.replace("retry: {attempts: 3, delay: 10ms}", "retry: {attempts: 3, delay: 6s, jitter: 0}\n    limit: bank"))
    bank.plan = [503]
    engine.start()
    ring(engine)
    parked = wait_for("the wait", lambda: engine.rows("runs", "--state", "parked"))[0]
    assert state_of(engine.show_run(parked["run"])) == "retrying"
    engine.kill()  # nothing is under way
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = "10000"
    engine.start()
    run = ended(engine, parked["run"])
    assert run["steps"][0]["attempt"] == 2 and len(bank.keys()) == 2 and len(set(bank.keys())) == 1


def test_a_step_that_took_too_long_is_not_tried_again(make_engine, bank):
    engine = make_engine()  # the step has long asked the bank when its time is over, however slow the machine
    write(engine, bank, CHARGE.replace("timeout: 30s", "timeout: 3s").replace("retry: {", "retry: {on: any, "))
    release = threading.Event()
    bank.plan = [lambda: release.wait(60) and None]
    engine.start()
    ring(engine)
    run = engine.finished_runs(1)[0]
    release.set()
    assert state_of(run) == "unknown" and "step.timeout" in run["error"]["message"] and len(bank.keys()) == 1


def test_code_that_fails_behind_its_request_leaves_it_unknown(make_engine, bank):
    engine = make_engine()
    write(engine, bank, CHARGE.replace("return {n = input.n}", "return {n = r.nothing.n}"))
    engine.start()
    ring(engine)
    run = engine.finished_runs(1)[0]
    assert state_of(run) == "unknown" and "lua.error" in run["error"]["message"] and len(bank.keys()) == 1


def test_a_plugin_that_dies_under_the_call_leaves_it_unknown(make_engine, bank):
    engine = make_engine()
    write(engine, bank, PLUGIN_CHARGE)
    engine.start()
    bank.plan = [lambda: [os.kill(pid, signal.SIGKILL) for pid in engine.children("host")] and None]
    ring(engine)
    run = engine.finished_runs(1)[0]
    assert state_of(run) == "unknown" and "plugin.crashed" in run["error"]["message"] and len(bank.keys()) == 1


def test_a_stop_in_good_order_lets_it_end(make_engine, bank):
    engine = make_engine()
    write(engine, bank, CHARGE)
    engine.start()
    bank.plan = [lambda: engine.process.send_signal(signal.SIGTERM)]
    ring(engine)
    assert engine.ended() == 0
    assert engine.finished_runs(1)[0]["state"] == "succeeded" and len(bank.keys()) == 1


def test_mocks_and_runs_by_hand_are_as_in_the_engine(make_engine, bank):
    engine = make_engine()
    caught = CHARGE.replace("timeout: 30s", "timeout: 5s") + """
    catch: [{if: "${{ error.code == 'step.unknown' }}", steps: [{id: ask, set: {a: 1}}]}]
"""
    write(engine, bank, "  - {id: look, lua: ctx.log('look'), effect: read}\n", caught)
    engine.write("workflows/pay.test.yaml", """
workflow: pay
event: {name: open.ping, data: {n: 1}}
tests:
  - name: it is paid
    mocks: {charge: {output: {n: 1}}}
    expect: {state: succeeded, steps: {charge: {state: succeeded, attempts: 1}, ask: {state: skipped}}}
  - name: the second attempt
    mocks: {charge: [{error: {code: bank_down, class: transient}}, {output: {n: 1}}]}
    expect: {state: succeeded, steps: {charge: {state: succeeded, attempts: 2}}}
  - name: nobody knows
    mocks: {charge: {after: 10s}}
    expect: {state: succeeded, steps: {charge: {state: unknown, attempts: 1, error: {code: step.unknown}}, ask: {state: succeeded}}}
""")
    assert "3 passed, 0 failed" in engine.run("test").stdout
    engine.write("data.json", '{"n": 1}')
    assert not bank.keys() and engine.run("run", "pay", "--data", "data.json").returncode == 0 and len(bank.keys()) == 1


# ---- resolve ----

@pytest.fixture(params=["serving", "offline"])
def resolve(request):
    """Runs the command beside the serving engine, or between its end and its next start."""
    def do(engine, run, *arguments, check=True):
        if request.param == "serving":
            return engine.run("runs", "resolve", run["run"], "--step", "charge", *arguments, check=check)
        assert engine.stop() == 0
        result = engine.run("runs", "resolve", run["run"], "--step", "charge", *arguments, check=check)
        engine.start()
        return result
    return do


def test_succeeded_is_what_later_steps_see(make_engine, bank, resolve):
    engine = make_engine()
    run = unknown_run(engine, bank)
    out = resolve(engine, run, "--succeeded", "--output", '{"n": 42}').stdout
    assert out == f"{run['run']}  charge: succeeded  resumed\n"
    after = ended(engine, run["run"])
    assert [(path, n) for path, _, n in bank.calls] == [("/charge", 1), ("/thank", 42)]
    assert state_of(after) == "succeeded" and after["steps"][0]["output"] == {"n": 42}
    assert [(act["verb"], act["detail"]) for act in after["audit"]][:1] == [("resolve", "the step charge has succeeded")]
    again = engine.run("runs", "resolve", run["run"], "--step", "charge", "--retry", check=False)
    assert again.returncode == 1 and "run.not_failed" in again.stderr


def test_retry_calls_it_once_more_with_the_same_key(make_engine, bank, resolve):
    engine = make_engine()
    run = unknown_run(engine, bank)
    resolve(engine, run, "--retry")
    ended(engine, run["run"])
    assert len(bank.keys()) == 2 and len(set(bank.keys())) == 1 and len(bank.keys("/thank")) == 1


def test_failed_leaves_the_run_failed_until_it_is_resumed(make_engine, bank, resolve):
    engine = make_engine()
    run = unknown_run(engine, bank)
    assert "charge: failed  not resumed" in resolve(engine, run, "--failed").stdout
    after = engine.show_run(run["run"])
    assert after["state"] == "failed" and state_of(after) == "failed" and len(bank.keys()) == 1
    engine.run("runs", "resume", run["run"])
    ended(engine, run["run"])
    assert len(bank.keys()) == 2 and len(set(bank.keys())) == 1


def test_an_item_is_resolved_and_its_run_resumed(make_engine, bank):
    engine = make_engine()
    engine.write("workflows/pay.yaml", HEAD.replace("BANK", bank.url) + "  - id: all\n    foreach: [1, 2]\n    concurrency: 1\n    steps:"
                 + CHARGE.replace("\n", "\n    "))
    engine.start()
    bank.plan = [200, lambda: kill_worker(engine)]
    ring(engine)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "failed" and len(bank.keys()) == 2
    refused = engine.run("runs", "resume", run["run"], check=False)
    item = next(row for row in engine.rows("runs", "--children", "--state", "failed") if "parent" in row)
    assert refused.returncode == 1 and f"resolve {item['run']} --step charge" in refused.stderr
    answer = engine.rows("runs", "resolve", item["run"], "--step", "charge", "--succeeded")[0]
    assert answer["resolved"] and not answer["resumed"] and answer["why"]["code"] == "run.child" and run["run"] in answer["why"]["hint"]
    engine.run("runs", "resume", run["run"])
    ended(engine, run["run"])
    assert len(bank.keys()) == len(set(bank.keys())) == 2


@pytest.mark.parametrize("arguments,text", [
    (["--step", "charge"], "say one of"), (["--step", "charge", "--failed", "--retry"], "say one of"), (["--retry"], "which step?"),
    (["--step", "charge", "--retry", "--output", "{}"], "--output goes with --succeeded"),
])
def test_resolve_is_told_exactly_what_is_known(make_engine, arguments, text):
    result = make_engine().run("runs", "resolve", "run_" + "0" * 26, *arguments, check=False)
    assert result.returncode == 2 and text in result.stderr


def test_an_output_is_an_object(make_engine, bank):
    engine = make_engine()
    run = unknown_run(engine, bank)
    for output, text in (("[1]", "output.invalid"), ("{", "json"), (json.dumps({"x": "y" * 600000}), "output.too_large")):
        if len(output) > 100000:
            continue  # longer than one argument may be
        result = engine.run("runs", "resolve", run["run"], "--step", "charge", "--succeeded", "--output", output, check=False)
        assert result.returncode == 1 and text in result.stderr
    assert state_of(engine.show_run(run["run"])) == "unknown"


# ---- crashes ----

@pytest.mark.parametrize("point,calls,state", [
    ("dispatch.before_report:1", 1, "succeeded"),  # before it is on disk: as if nothing had been
    ("dispatch.before_ack:1", 0, "unknown"),       # on disk, before the call
    ("dispatch.before_report:2", 1, "unknown"),    # after the call, before its record
])
def test_a_crash_at_each_point(make_engine, bank, point, calls, state):
    engine = make_engine()
    write(engine, bank, CHARGE)
    engine.env["BELLWIRE_CRASH"] = point
    engine.start()
    try:
        ring(engine)
    except (OSError, http.client.HTTPException):
        pass  # it has died before it could answer: the event is on disk all the same
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    run = engine.finished_runs(1)[0]
    assert state_of(run) == state and len(bank.keys()) == calls
    assert engine.stop() == 0
    assert not audit(engine.folder / "data" / "bellwire.db")


def all_ended(engine, count):
    return [row["state"] in ("succeeded", "failed") for row in engine.rows("runs", "--limit", str(count + 5))] == [True] * count


@pytest.mark.parametrize("charge", [CHARGE, PLUGIN_CHARGE], ids=["lua", "plugin"])
def test_never_twice_whatever_is_killed_and_when(make_engine, bank, charge):
    chance = random.Random()
    seed = int(os.environ.get("BELLWIRE_SEED") or chance.randrange(1 << 30))
    print("BELLWIRE_SEED =", seed)
    chance.seed(seed)
    engine = make_engine()
    write(engine, bank, charge, THANK)
    engine.start()
    number_of, hosts_left = {}, 4  # one that crashes five times in a minute has to rest
    for _ in range(10):
        reached, killed = threading.Event(), threading.Event()

        def hold():
            reached.set()
            killed.wait(60)

        count = chance.randrange(1, 12)
        with bank.lock:  # one of these calls, or none: then it dies at any other moment
            bank.plan = [200] * chance.randrange(count) + [hold] if chance.randrange(3) else []
            is_held = bool(bank.plan)
        for _ in range(count):
            n = len(number_of)
            number_of[ring(engine, n)] = n
        if is_held:  # calls that went to a host which was dead already, and nobody knew, reach nobody: then there may be none to hold
            wait_for("the call that is held", lambda: reached.wait(1) or all_ended(engine, len(number_of)))
        what = chance.randrange(3 if hosts_left else 2)
        hosts_left -= what == 2
        if what == 0:
            kill_worker(engine)
        elif what == 1:
            engine.kill()
        else:
            for pid in engine.children("host"):
                os.kill(pid, signal.SIGKILL)
        with bank.lock:
            bank.plan = []
        killed.set()
        if what == 1:
            engine.start()
    rung = len(number_of)
    runs = engine.finished_runs(rung)
    assert len(runs) == rung
    keys = bank.keys()
    assert len(keys) == len(set(keys))  # the bank has refused none: a second call would be one too many
    states = [(run["state"], state_of(run)) for run in runs]
    assert set(states) <= {("succeeded", "succeeded"), ("failed", "unknown")}, states
    numbers = {n for path, _, n in bank.calls if path == "/charge"}
    for run in [run for run in runs if run["state"] == "failed"]:  # nobody has to be asked: the bank knows it
        how = "--succeeded" if number_of[run["event"]] in numbers else "--retry"
        engine.run("runs", "resolve", run["run"], "--step", "charge", how)
    wait_for("all of them", lambda: all(row["state"] == "succeeded" for row in engine.rows("runs", "--limit", str(rung + 5))))
    keys = bank.keys()
    assert len(keys) == len(set(keys)) == rung  # each exactly once
    assert engine.stop() == 0
    assert not audit(engine.folder / "data" / "bellwire.db")
