"""What follows the end of a run's steps: undo, on_failure, finally; and catch. Under kills of engine and workers."""
import json
import os
import random
import signal

from conftest import CONFIG, wait_for
from test_crash import Effects

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
RUNS = 60
ORDER = ["/a", "/b", "/caught", "/c", "/bad", "/c~undo", "/a~undo", "/tell", "/clean"]


def post(path, then="return {id = input.id}"):
    return (f"\"local r = ctx.http{{method = 'POST', url = input.sink .. '{path}', headers = {{['X-Delivery'] = input.id, "
            f"['Idempotency-Key'] = ctx.idempotency_key}}, json = {{}}}} if r.status ~= 200 then return ctx.retry{{code = 'sink'}} end {then}\"")


def saga(url):
    with_ = "with: {id: \"${{ event.data.id }}\", sink: \"${{ vars.sink }}\"}"
    undo = "with: {id: \"${{ result.id }}\", sink: \"${{ vars.sink }}\"}"
    return f"""
name: saga
on: [{{event: open.ping}}]
vars: {{sink: "{url}"}}
steps:
  - {{id: a, {with_}, lua: {post("/a")}, undo: {{{undo}, lua: {post("/a~undo")}}}}}
  - id: b
    {with_}
    lua: {post("/b", "return ctx.fail{code = 'odd', message = 'no b today'}")}
    undo: {{{undo}, lua: {post("/b~undo")}}}
    catch: [{{if: "${{{{ error.code == 'odd' }}}}", steps: [{{id: caught, {with_}, lua: {post("/caught")}}}]}}]
  - {{id: c, {with_}, lua: {post("/c")}, undo: {{{undo}, lua: {post("/c~undo")}}}}}
  - {{id: bad, {with_}, lua: {post("/bad", "return ctx.fail{code = 'bad', message = 'as ever'}")}}}
  - {{id: never, {with_}, lua: {post("/never")}}}
on_failure: [{{id: tell, {with_}, lua: {post("/tell")}}}]
finally: [{{id: clean, {with_}, lua: {post("/clean")}}}]
"""

TOLD = """---
name: told
on: [{event: bellwire.run.failed}]
outputs: {run: "${{ event.data.run }}"}
steps: [{id: a, set: {}}]
"""


def test_endings_come_in_order_and_once_however_often_engine_and_workers_are_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    effects, engine = Effects(), make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/saga.yaml", saga(effects.url) + TOLD)
    engine.start()
    for n in range(RUNS):
        status, _, _ = engine.request("POST", "/in/open", json.dumps({"id": str(n)}).encode(), {"Content-Type": "application/json"})
        assert status == 202
    whole = RUNS * len(ORDER)
    for _ in range(10):
        wanted = len(effects.seen) + rng.randrange(whole // 12)
        wait_for("some effects", lambda: len(effects.seen) >= min(wanted, whole))
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(RUNS, "--workflow", "saga")
    told = [run["output"]["run"] for run in engine.finished_runs(RUNS, "--workflow", "told")]
    assert sorted(told) == sorted(run["run"] for run in runs)  # each failure is told of once
    assert all(run["state"] == "failed" and run["error"]["code"] == "bad" and run["error"]["step"] == "bad" for run in runs)
    first, keys = {}, {}
    for path, delivery, key in effects.seen:  # a dict keeps the order in which they came first
        first.setdefault(delivery, []).append(path)
        keys.setdefault((path, delivery), set()).add(key)
    assert all(len(used) == 1 for used in keys.values())  # each under one key
    assert sorted(first, key=int) == [str(n) for n in range(RUNS)]
    assert all(paths == ORDER for paths in first.values()), next(paths for paths in first.values() if paths != ORDER)


def test_endings_survive_a_park(make_engine):
    """A handler sleeps for long: the run is parked and its end is what it was."""
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{event: open.ping}]
steps: [{id: a, lua: "return {n = 1}"}, {id: b, lua: "return ctx.fail{code = 'bad', message = 'no'}"}]
on_failure: [{id: nap, sleep: 6s}, {id: tell, set: {text: "${{ error.code }} ${{ steps.a.n }}"}}]
finally: [{id: clean, set: {text: "${{ steps.tell.text }}!"}}]
""")
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))
    engine.kill()
    engine.start()
    run = engine.finished_runs(1, "--workflow", "w")[0]
    assert run["state"] == "failed" and run["error"]["code"] == "bad"
    assert next(step for step in run["steps"] if step["step"] == "clean")["output"] == {"text": "bad 1!"}
