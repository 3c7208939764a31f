"""Called workflows that are admitted as those of events are: in one line with them, on the slot of a caller, under kills; what callers and people see of it."""
import os
import random
import signal

from conftest import CONFIG, wait_for
from test_concurrency import Gate, ring, states

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
CALLS = 40


def called(gate, concurrency, more=""):
    """`direct` and `caller` are events' ways into one group: the first one is in it itself, the other one calls what is."""
    step = f"""  - id: call
    with: {{key: "${{{{ inputs.key }}}}", n: "${{{{ inputs.n }}}}", url: "{gate.url}"}}
    retry: {{delay: 10ms, factor: 1, attempts: 20}}
    lua: |
      local r = ctx.http{{method = "POST", url = input.url, json = {{key = input.key, n = input.n}}}}
      if r.status ~= 200 then return ctx.retry{{code = "gate"}} end
      return {{}}
"""
    inputs = 'inputs: {key: {type: string, default: "${{ event.data.key }}"}, n: {type: integer, default: "${{ event.data.n }}"}}'
    return f"""
name: called
on: [{{call: true}}]
{inputs}
concurrency: {{scope: global:line, key: inputs.key, {concurrency}}}
{more}
steps:
{step}---
name: direct
on: [{{event: open.ping, if: "${{{{ event.data.n % 2 == 0 }}}}"}}]
{inputs}
concurrency: {{scope: global:line, key: inputs.key, {concurrency}}}
steps:
{step}  - id: within
    if: "${{{{ inputs.n % 4 == 0 }}}}"
    uses: workflow/called
    with: {{key: "${{{{ inputs.key }}}}", n: "${{{{ inputs.n + 1000 }}}}"}}
---
name: caller
on: [{{event: open.ping, if: "${{{{ event.data.n % 2 == 1 }}}}"}}]
steps:
  - id: fan
    foreach: [1, 2]
    steps:
      - {{id: call, uses: workflow/called, with: {{key: "${{{{ event.data.key }}}}", n: "${{{{ event.data.n + 2000 * index }}}}"}}}}
"""


def test_one_line_for_what_is_called_and_what_events_start_however_often_all_is_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    gate, engine = Gate(), make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/w.yaml", called(gate, "limit: 1"))
    engine.start()
    for n in range(CALLS):
        ring(engine, str(n % 3), n)
    expected = {n for n in range(0, CALLS, 2)} | {n + 1000 for n in range(0, CALLS, 4)} | {n + 2000 * k for n in range(1, CALLS, 2) for k in (1, 2)}
    for _ in range(8):
        wanted = len(gate.begun) + rng.randrange(15)
        wait_for("some calls", lambda: len({n for _, n in gate.begun}) >= min(wanted, len(expected)))
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(CALLS)
    assert all(run["state"] == "succeeded" for run in runs)
    assert {n for _, n in gate.begun} == expected
    for key in ("0", "1", "2"):
        first = list(dict.fromkeys(n for of, n in gate.begun if of == key))
        last = {n: place for place, (of, n) in enumerate(gate.begun) if of == key}
        assert [last[n] for n in first] == sorted(last[n] for n in first)  # none was called again after the next one had begun
        direct = [n for n in first if n < 1000 and n % 2 == 0]
        assert direct == sorted(direct)                                    # those of events in the order of the events
        for n in direct:                                                   # what is called on a run's slot is part of it: nothing comes between
            assert n % 4 or first[first.index(n) + 1] == n + 1000
    assert [run for run in engine.rows("runs", "--children", "--limit", "1000") if run["state"] in ("blocked", "active", "parked", "delayed")] == []


def test_caller_and_called_say_what_they_wait_for(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", called(gate, "limit: 1"))
    engine.start()
    ring(engine, "k", 2)
    wait_for("the slot to be taken", lambda: len(gate.begun) == 1)
    event = ring(engine, "k", 1)
    wait_for("both calls to be blocked", lambda: [row["state"] for row in engine.rows("runs", "--children", "--workflow", "called")] == ["blocked"] * 2)
    below = engine.show_run(engine.rows("runs", "--children", "--workflow", "called")[0]["run"])
    assert below["waits"] == "for a slot: 1 of 1 taken, 1 run in front of it"
    item = engine.show_run(below["parent"]["run"])
    assert item["waits"] == f"step call for {below['run']}, which waits: for a slot: 1 of 1 taken, 1 run in front of it"
    assert "which waits: for a slot: 1 of 1 taken" in engine.run("runs", "show", item["run"]).stdout
    assert "caller" in engine.run("why", event).stdout
    gate.open.set()
    assert all(run["state"] == "succeeded" for run in engine.finished_runs(2))


OUTCOMES = """
name: caller
on: [{event: open.ping}]
steps:
  - {id: call, uses: workflow/busy, on_error: continue, with: {n: "${{ event.data.n }}"}}
  - {id: after, set: {status: "${{ status('call') }}", code: "${{ (err('call') or {}).code or 'none' }}"}}
outputs: {status: "${{ steps.after.status }}", code: "${{ steps.after.code }}"}
---
name: busy
on: [{call: true}, {manual: true}]
inputs: {n: {type: integer, default: 0}}
concurrency: {when_full: WHEN}
steps: [{id: wait, wait: {event: open.go}}]
"""


def outcome_of(make_engine, when_full):
    engine = make_engine()
    engine.write("workflows/w.yaml", OUTCOMES.replace("WHEN", when_full))
    engine.start()
    events = []
    for n in (1, 2, 3):
        events.append(ring(engine, "k", n))
        wait_for("it to wait or to be left out", lambda: len([row for row in engine.rows("runs", "--children", "--workflow", "busy") if row["state"] != "active"]) >= n)
    return engine, events


def output(engine, event):
    return engine.finished_runs(1, "--event", event)[0]["output"]


def test_a_call_that_is_skipped_skips_its_step(make_engine):
    engine, events = outcome_of(make_engine, "skip")
    assert output(engine, events[1]) == output(engine, events[2]) == {"status": "skipped", "code": "none"}
    run = engine.finished_runs(1, "--event", events[1])[0]
    assert next(step for step in run["steps"] if step["step"] == "call")["state"] == "skipped"


def test_a_call_whose_place_is_taken_fails_its_step_with_that_code(make_engine):
    engine, events = outcome_of(make_engine, "replace")
    assert output(engine, events[1]) == {"status": "failed", "code": "concurrency.replaced"}


def test_a_called_run_that_is_cancelled_by_the_next_one_fails_its_step(make_engine):
    engine, events = outcome_of(make_engine, "cancel_running")
    assert output(engine, events[0]) == {"status": "failed", "code": "run.cancelled"}


def test_a_caller_that_is_cancelled_takes_its_blocked_call_out_of_the_line(make_engine):
    engine, events = outcome_of(make_engine, "queue")
    assert states(engine) == ["parked"] * 3
    caller = engine.rows("runs", "--event", events[1])[0]["run"]
    engine.run("runs", "cancel", caller)
    assert wait_for("its end", lambda: (engine.show_run(caller)["state"] == "cancelled") or None)
    left = {row["parent"]["run"]: row["state"] for row in engine.rows("runs", "--children", "--workflow", "busy")}
    assert left[caller] == "cancelled"
    other = next(row["run"] for row in engine.rows("runs", "--children", "--workflow", "busy") if row["state"] == "blocked")
    assert engine.show_run(other)["waits"] == "for a slot: 1 of 1 taken"


def test_who_is_resumed_has_its_call_run_once_more_in_line(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: caller
on: [{event: open.ping}]
steps: [{id: call, uses: workflow/strict, with: {n: "${{ event.data.n }}"}}]
---
name: strict
on: [{call: true}]
inputs: {n: {type: integer}}
concurrency: {on_failed: hold}
steps:
  - id: act
    with: {n: "${{ inputs.n }}"}
    lua: |
      if input.n == 1 and not FIXED then return ctx.fail{code = "broken", message = "not yet"} end
      return {}
""".replace("FIXED", "false"))
    engine.start()
    first = ring(engine, "k", 1)
    run = engine.finished_runs(1, "--event", first)[0]
    assert run["state"] == "failed" and run["error"]["code"] == "broken"
    second = ring(engine, "k", 2)
    blocked = wait_for("the next one to wait", lambda: next((row for row in engine.rows("runs", "--children", "--workflow", "strict") if row["state"] == "blocked"), None))
    assert "has failed and keeps its slot until it is resumed" in engine.show_run(blocked["run"])["waits"]
    engine.write("workflows/w.yaml", (engine.folder / "workflows" / "w.yaml").read_text().replace("not false", "not true"))
    engine.kill()
    engine.start()
    engine.run("runs", "resume", "--latest", run["run"])
    assert wait_for("the first one", lambda: engine.show_run(run["run"])["state"] == "succeeded" or None)
    assert engine.finished_runs(1, "--event", second)[0]["state"] == "succeeded"
