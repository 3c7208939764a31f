"""Workflows that cannot end well are told at load, each with its place; what is hardly meant is a warning and refuses nothing. § is where it is told."""
import json

import pytest

from conftest import CONFIG

HEAD = "name: w\non: [{manual: true}]\n"
LIMITS = "limits: {llm: {rate: 10/1s, burst: 5}, cms: {concurrency: 2}}\nsecrets: {KEY: {env: PATH}}\n"
CODE = "lua: 'return {a = ctx.attempt}'"
TWO = "name: {name}\non: [{{event: a.b}}]\nrespond: {{mode: result}}\nsteps: [{{id: a, respond: {{body: 1}}}}]\n"

ERRORS = [
    ("steps: [{id: a, set: {x: '${{ steps.§b.x }}'}}]", "expr.unknown_step"),
    ("steps: [{id: a, set: {x: '${{ steps.§b.x }}'}}, {id: b, set: {}}]", "expr.step_order"),
    ("steps: [{id: a, needs: [§nowhere], set: {}}]", "step.needs"),
    ("steps: [{id: a, needs: §[a], set: {}}]", "step.cycle"),
    ("steps: [{id: a, foreach: [1], concurrency: §0, steps: [{id: b, set: {}}]}]", "foreach.concurrency"),
    ("concurrency: {limit: §0}\nsteps: [{id: a, set: {}}]", "workflow.concurrency"),
    ("timeout: 1d\nsteps: [§{id: a, wait: {event: x.y, timeout: 2d}}]", "step.too_long"),
    ("timeout: 1d\nsteps: [§{id: a, sleep: 2d}]", "step.too_long"),
    ("timeout: 1d\nsteps: [§{id: a, approve: {message: x, timeout: 2d}}]", "step.too_long"),
    ("steps: [§{id: a, wait: {event: x.y, timeout: 31d}}]", "step.too_long"),
    ("steps: [{id: a, respond: §{body: 1}}]", "step.respond"),
    ("respond: {mode: ack}\nsteps: [{id: a, respond: §{body: 1}}]", "step.respond"),
    ("delay: 2h\nstart_within: §1h\nsteps: [{id: a, set: {}}]", "workflow.start_within"),
    ("steps: [{id: a, uses: http/request@1, with: {url: '${{ event.id }}', headrs: §{}}}]", "input.unknown"),
    ("steps: [{id: a, uses: http/request@1, with: §{headers: {a: '${{ event.id }}'}}}]", "input.missing"),
    ("steps: [{id: a, uses: http/request@1, with: §{uri: 'https://a.example'}}]", "input.unknown"),
    ("steps: [§{id: a, uses: http/request@1}]", "input.missing"),
    ("steps: [{id: a, uses: http/request@1, with: §{url: 'https://a.example', method: FETCH}}]", "input.enum"),
    (f"steps: [{{id: a, {CODE}, limit: §{{name: llm, cost: 6}}}}]", "limit.cost"),
    (f"steps: [{{id: a, {CODE}, limit: {{name: llm, key: '${{{{ event.id }}}}', cost: §5.5}}}}]", "limit.cost"),
    (f"defaults: {{limit: §{{name: llm, cost: 6}}}}\nsteps: [{{id: a, {CODE}}}]", "limit.cost"),
]


def check(make_engine, text, **more):
    engine = make_engine(CONFIG + LIMITS)
    engine.write("workflows/w.yaml", text)
    return engine.run("check", check=False, **more), engine


def place_of(text):
    before = text[:text.index("§")]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("text,code", ERRORS)
def test_what_cannot_end_well_is_refused_with_its_place(make_engine, text, code):
    text = HEAD + text + "\n"
    _, engine = check(make_engine, text.replace("§", ""))
    result = engine.run("check", "--json", check=False)
    [error] = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1 and error["code"] == code and error["file"].endswith("w.yaml"), error
    assert (error["line"], error["column"]) == place_of(text), error
    assert error.get("hint") or "must be" in error["message"], "it says no next step"


def test_a_circle_is_told_at_each_step_of_it(make_engine):
    _, engine = check(make_engine, HEAD + "steps:\n  - {id: a, needs: [b], set: {}}\n  - {id: b, needs: [a], set: {}}\n")
    errors = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
    assert [(error["code"], error["line"], error["column"]) for error in errors] == [("step.cycle", 4, 20), ("step.cycle", 5, 20)]


def test_a_schedule_that_never_fires(make_engine):
    text = "name: w\non: [{schedule: §0 0 30 2 *}]\nsteps: [{id: a, set: {}}]\n"
    result, _ = check(make_engine, text.replace("§", ""))
    assert result.returncode == 1 and "w.yaml:%d:%d: " % place_of(text) in result.stderr and "[cron.never]" in result.stderr


WARNINGS = [
    ("§name: w\non: [{manual: true}]\ntimeout: 5d\nsteps: [{id: a, sleep: 3d}, {id: b, sleep: 3d}]", "workflow.waits_too_long"),
    ("§name: w\non: [{manual: true}]\nsteps: [{id: a, sleep: 20d}, {if: 'true', steps: [{id: b, wait: {event: x.y, timeout: 11d}}]}]", "workflow.waits_too_long"),
    ("§name: w\non: [{manual: true}]\ntimeout: 4d\nsteps: [{id: a, needs: [b], sleep: 3d}, {id: b, needs: [], sleep: 3d}]", "workflow.waits_too_long"),
    (HEAD + "timeout: 1h\nsteps: [§{id: a, timeout: 2h, lua: 'return {}'}]", "step.timeout_too_long"),
    (HEAD + "steps: [{id: a, stop: {as: succeeded}}, §{id: b, set: {}}, {id: c, set: {}}]", "step.never"),
    (HEAD + "steps: [{if: 'true', steps: [{id: a, stop: {as: failed}}, §{id: b, set: {}}]}]", "step.never"),
    (HEAD + "steps: [{id: a, set: {pieces: 3}}, {id: b, set: {n: '${{ steps.a.§peices }}'}}]", "expr.missing_field"),
    (HEAD + "steps: [{id: a, lua: 'return {}', outputs: {n: '${{ result.n }}'}}, {id: b, if: 'steps[§\"a\"].§m == 1', set: {}}]".replace('§\"', '\"'), "expr.missing_field"),
    (HEAD + "steps: [{id: a, wait: {event: x.y, timeout: 1h}}, {id: b, set: {n: '${{ steps.a.§timeout }}'}}]", "expr.missing_field"),
    (HEAD + "steps: [{id: a, approve: {message: 'go?'}}, {id: b, set: {n: '${{ steps.a[\"§voter\"] }}'}}]", "expr.missing_field"),
    (HEAD + "steps: [{id: a, foreach: [1], steps: [{id: c, set: {}}]}]\noutputs: {n: '${{ steps.a.§item }}'}", "expr.missing_field"),
    (HEAD + "secrets: [KEY, §OTHER]\nsteps: [{id: a, set: {}}]", "workflow.secret_missing"),
]


@pytest.mark.parametrize("text,code", WARNINGS)
def test_what_is_hardly_meant_is_a_warning_with_its_place(make_engine, text, code):
    result, engine = check(make_engine, text.replace("§", "") + "\n")
    assert result.returncode == 0
    [line] = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "w.yaml:%d:%d: " % place_of(text) in line and line.endswith(f"[{code}]") and "(" in line
    assert engine.run("check", "--json").stdout == ""  # where programs look there are errors only


@pytest.mark.parametrize("text", [
    "secrets: [KEY]\nsteps: [{id: a, set: {}}]",
    "timeout: 5d\nsteps: [{id: a, sleep: 3d}, {id: b, needs: [], sleep: 3d}]",
    "timeout: 5d\nsteps: [{if: 'true', steps: [{id: a, sleep: 3d}], else: [{id: b, sleep: 3d}]}]",
    "timeout: 5d\nsteps: [{parallel: [{id: a, sleep: 3d}, {id: b, sleep: 3d}]}]",
    "timeout: 6d\nsteps: [{id: a, sleep: 3d}, {id: b, sleep: 3d}]",
    "steps: [{id: a, if: 'false', stop: {as: failed}}, {id: b, set: {}}]",
    "steps: [{id: b, set: {}}, {id: a, stop: {as: succeeded}}]",
    "steps: [{id: a, lua: 'return {}'}, {id: b, set: {n: '${{ steps.a.n }}', m: '${{ event.data.steps.b.n }}'}}]",  # code gives what it likes
    "steps: [{id: a, set: {n: {m: 1}, k: '${{ event.data.k }}'}}, {id: b, set: {n: '${{ steps.a.n.x or steps.a[\"k\"] or steps.a[event.name] }}'}}]",
    "steps: [{id: a, uses: http/request@1, with: {url: 'http://x.example/'}}, {id: b, set: {n: '${{ steps.a.whatever }}'}}]",  # it may give more
    "steps: [{id: a, foreach: [1], steps: [{id: c, set: {}}], outputs: {n: '${{ result.total }}'}}, {id: b, set: {n: '${{ steps.a.n }}'}}]",
    "steps: [{if: 'true', steps: [{id: a, stop: {as: failed}}]}, {id: b, set: {}}]",
    f"steps: [{{id: a, {CODE}, limit: {{name: llm, cost: 5}}}}, {{id: b, {CODE}, limit: {{name: cms, cost: 50}}}}]",
])
def test_what_is_well_meant_is_not_warned_of(make_engine, text):
    result, _ = check(make_engine, HEAD + text + "\n")
    assert result.returncode == 0 and "warning" not in result.stderr, result.stderr


def test_two_that_answer_one_sender(make_engine):
    result, _ = check(make_engine, TWO.format(name="w") + "---\n" + TWO.format(name="v"))
    assert result.returncode == 0 and "warning: v and w both want to answer the sender of an event: v does" in result.stderr
