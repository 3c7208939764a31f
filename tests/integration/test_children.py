"""Runs in runs: items of a foreach, called workflows; their effects under kills, their outcomes, what the command line shows of them."""
import json
import os
import random
import signal
import time

from conftest import CONFIG, wait_for
from test_crash import Effects

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
ITEMS = 300


def ring(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def only(engine, workflow):
    return engine.finished_runs(1, "--workflow", workflow)[0]


def fan(url, more="tolerate: 20%", of="page"):
    return f"""
name: fan
on: [{{event: open.ping}}]
vars: {{sink: "{url}"}}
steps:
  - {{id: pre, set: {{base: 1000}}}}
  - id: fan
    foreach: ${{{{ event.data.items }}}}
    as: page
    key: ${{{{ 'page-' .. page }}}}
    concurrency: 20
    {more}
    steps:
      - id: post
        with: {{n: "${{{{ page + steps.pre.base }}}}", of: "${{{{ {of} }}}}", sink: "${{{{ vars.sink }}}}", bad: "${{{{ index % 10 == 0 }}}}"}}
        lua: |
          local r = ctx.http{{method = "POST", url = input.sink .. "/post", headers = {{["X-Delivery"] = tostring(input.n), ["Idempotency-Key"] = ctx.idempotency_key}}, json = {{}}}}
          if r.status ~= 200 then return ctx.retry{{code = "sink"}} end
          if input.of ~= input.n - 1000 then return ctx.fail{{code = "wrong_item", message = "not this item"}} end
          if input.bad then return ctx.fail{{code = "bad_page", message = "every tenth fails"}} end
          return {{n = input.n}}
  - {{id: after, set: {{n: "${{{{ steps.fan.succeeded }}}}"}}}}
outputs: {{fan: "${{{{ steps.fan }}}}"}}
"""


def check_fan(run, effects):
    out = run["output"]["fan"]
    failed = [n for n in range(1, ITEMS + 1) if n % 10 == 0]
    assert (out["total"], out["succeeded"], out["failed"]) == (ITEMS, ITEMS - len(failed), len(failed))
    assert out["failed_keys"] == [f"page-{n}" for n in failed]
    assert out["items"] == [None if n % 10 == 0 else {"n": n + 1000} for n in range(1, ITEMS + 1)]
    posted = {}
    for (_, delivery, key), _count in effects.seen.items():
        posted.setdefault(delivery, set()).add(key)
    assert sorted(int(n) for n in posted) == [n + 1000 for n in range(1, ITEMS + 1)]  # each at least once
    assert all(len(keys) == 1 for keys in posted.values())                            # each under one key
    assert len({key for keys in posted.values() for key in keys}) == ITEMS            # of its own


def test_every_item_of_a_foreach_has_its_effect_and_its_place_in_the_output(make_engine):
    effects, engine = Effects(), make_engine()
    engine.write("workflows/fan.yaml", fan(effects.url, of="event.data.items[index]"))
    engine.start()
    ring(engine, items=list(range(1, ITEMS + 1)))
    run = only(engine, "fan")
    assert run["state"] == "succeeded"
    check_fan(run, effects)
    assert all(count == 1 for count in effects.seen.values())  # nobody died: exactly once
    step = next(step for step in run["steps"] if step["step"] == "fan")
    assert step["children"] == {"total": ITEMS, "started": ITEMS, "succeeded": 270, "failed": 30}
    assert len(engine.rows("runs", "--limit", "1000")) == 1
    children = engine.rows("runs", "--children", "--limit", "1000")
    assert len(children) == ITEMS + 1
    child = engine.show_run(children[0]["run"])
    assert child["parent"] == {"run": run["run"], "step": "fan", "index": ITEMS, "depth": 1} and child["state"] == "failed"
    assert f"parent   {run['run']}" in engine.run("runs", "show", child["run"]).stdout
    assert "300 of 300 started, 270 succeeded, 30 failed" in engine.run("runs", "show", run["run"]).stdout


def test_a_foreach_is_exact_however_often_engine_and_workers_are_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    effects, engine = Effects(), make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/fan.yaml", fan(effects.url))
    engine.start()
    ring(engine, items=list(range(1, ITEMS + 1)))
    for _ in range(12):
        seen = len(effects.seen) + rng.randrange(40)
        wait_for("some items", lambda: len(effects.seen) >= min(seen, ITEMS))
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    run = only(engine, "fan")
    assert run["state"] == "succeeded", run
    check_fan(run, effects)
    children = [row for row in engine.rows("runs", "--children", "--limit", "1000") if "parent" in row]
    assert sorted(row["parent"]["index"] for row in children) == list(range(1, ITEMS + 1))  # one run each
    assert engine.rows("runs", "--children", "--state", "active") == [] == engine.rows("runs", "--children", "--state", "parked")


def test_more_failures_than_tolerated_end_the_step_and_start_nothing_more(make_engine):
    effects, engine = Effects(), make_engine()
    engine.write("workflows/fan.yaml", fan(effects.url, "tolerate: 2"))
    engine.start()
    ring(engine, items=list(range(1, ITEMS + 1)))
    run = only(engine, "fan")
    step = next(step for step in run["steps"] if step["step"] == "fan")
    assert run["state"] == "failed" and run["error"]["code"] == "foreach.failed" and "bad_page" in run["error"]["message"]
    assert step["children"]["started"] < ITEMS and step["children"]["started"] == step["children"]["succeeded"] + step["children"]["failed"]
    assert len(effects.seen) == step["children"]["started"]
    assert [s["step"] for s in run["steps"]] == ["pre", "fan"]


CALLS = """
name: caller
on: [{event: open.ping, if: "${{ event.data.what == 'call' }}"}]
steps:
  - {id: call, uses: workflow/callee, on_error: continue, with: {n: "${{ event.data.n }}"}}
  - {id: again, set: {code: "${{ err('call').code }}", text: "${{ steps.call.text }}"}}
outputs: {code: "${{ steps.again.code }}", text: "${{ steps.again.text }}"}
---
name: forgetful
on: [{event: open.ping, if: "${{ event.data.what == 'forget' }}"}]
steps:
  - {id: call, uses: workflow/callee, detach: true, with: {n: 7, nap: 6s}}
outputs: {run: "${{ steps.call.run }}"}
---
name: callee
on: [{call: true}]
inputs: {n: {type: integer, min: 1, required: true}, nap: {type: string, default: 1ms}}
steps:
  - {id: nap, sleep: "${{ inputs.nap }}"}
  - {id: odd, if: "${{ inputs.n % 2 == 1 }}", lua: "return ctx.fail{code = 'odd', message = 'no odd numbers'}"}
  - {id: text, set: {text: "number ${{ inputs.n }}"}}
outputs: {text: "${{ steps.text.text }}"}
"""


def test_a_called_workflow_hands_its_outcome_to_the_step(make_engine):
    engine = make_engine()
    engine.write("workflows/calls.yaml", CALLS)
    engine.start()
    for n, expected in ((2, {"text": "number 2"}), (3, {"code": "odd"}), (0, {"code": "input.range"}), ("x", {"code": "input.type"})):
        event = ring(engine, what="call", n=n)
        run = engine.finished_runs(1, "--event", event)[0]
        assert run["state"] == "succeeded" and run["output"] == expected


def test_a_detached_workflow_goes_on_after_its_caller_and_a_restart(make_engine):
    engine = make_engine()
    engine.write("workflows/calls.yaml", CALLS)
    engine.start()
    ring(engine, what="forget")
    run = only(engine, "forgetful")
    wait_for("the nap", lambda: engine.show_run(run["output"]["run"])["state"] == "parked")
    engine.kill()
    engine.start()
    child = wait_for("the child", lambda: next((row for row in [engine.show_run(run["output"]["run"])] if row["state"] not in ("active", "parked")), None))
    assert child["workflow"] == "callee" and child["state"] == "failed" and child["error"]["code"] == "odd"
    assert engine.show_run(run["run"])["state"] == "succeeded"


def test_the_end_of_a_run_cancels_its_items(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: brief
on: [{event: open.ping}]
timeout: 1s
steps: [{id: fan, foreach: [1, 2, 3], concurrency: 2, steps: [{id: nap, wait: {event: open.never}}]}]
""")
    engine.start()
    ring(engine)
    run = only(engine, "brief")
    assert run["state"] == "failed" and run["error"]["code"] == "run.timeout"
    children = [row for row in engine.rows("runs", "--children") if "parent" in row]
    assert [row["state"] for row in children] == ["cancelled", "cancelled"]


def test_what_cannot_be_fanned_out_is_said(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{event: open.ping}]
steps: [{id: fan, foreach: event.data.items, steps: [{id: s, set: {n: "${{ item }}"}}]}]
outputs: {fan: "${{ steps.fan }}"}
---
name: loop
on: [{manual: true}, {call: true}]
steps: [{id: again, uses: workflow/loop}]
""")
    engine.start()
    for items, code in (({"a": 1}, "foreach.no_list"), (None, "foreach.no_list"), (list(range(100001)), "foreach.too_many"), ([], None)):
        run = engine.finished_runs(1, "--event", ring(engine, items=items))[0]
        assert (run["error"] or {}).get("code") == code
        if not code:
            assert run["output"]["fan"] == {"total": 0, "succeeded": 0, "failed": 0, "failed_keys": [], "items": []}
    result = engine.run("run", "loop", check=False)
    assert result.returncode == 1 and "call.too_deep" in result.stdout


def test_by_hand_the_inputs_come_from_the_data(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{manual: true}]
inputs: {pages: {type: array, max_items: 2, required: true}, dry: {type: boolean, default: "${{ event.data.pages[1] == 'a' }}"}}
steps: [{id: s, set: {pages: "${{ inputs.pages }}", dry: "${{ inputs.dry }}", other: "${{ event.data.other }}"}}]
outputs: {s: "${{ steps.s }}"}
""")
    for data, expected in (({"pages": ["a"], "other": 1}, '{"s":{"pages":["a"],"dry":true,"other":1}}'), ({"pages": [1, 2, 3]}, "input.range"), ({}, "input.missing")):
        engine.write("d.json", json.dumps(data))
        assert expected in engine.run("run", "w", "--data", "d.json", check=False).stdout
