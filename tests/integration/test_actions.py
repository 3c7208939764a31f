"""What `uses` finds, and what an action's manifest promises: inputs before the first attempt, outputs behind each."""
import json

import pytest

ACTION = """
return action {
  name = "crm/upsert", version = "%s.2.0", doc = "Create or update a contact.",
  inputs = {email = {type = "string", format = "email", required = true}, tags = {type = "array", default = {}}, n = {type = "integer", max = 9}},
  outputs = {id = {type = "string", required = true}}, retry = {attempts = 3, delay = "1ms"},
  run = function(ctx, input)
    if input.n == 7 then return ctx.retry{code = "busy"} end
    return {id = input.n ~= 8 and "%s:" .. input.email .. #input.tags or 8}
  end}
"""
STEP = "name: w\non: [{manual: true}]\nsteps: [{id: up, uses: crm/upsert@%s, with: %s, retry: {on: any}}]\n"


@pytest.fixture
def engine(make_engine):
    engine = make_engine()
    for major in ("1", "2"):
        engine.write(f"actions/crm/v{major}.lua", ACTION % (major, major))
    return engine


def ran(engine, major, inputs):
    """What came of the step: its output or its error, and how often it was tried."""
    engine.write("workflows/w.yaml", STEP % (major, inputs))
    lines = [json.loads(line) for line in engine.run("run", "w", "--json", check=False).stdout.splitlines()]
    [step] = [line for line in lines if line.get("what") == "step_finished"]
    return step.get("output") or step["error"]["code"], step["attempt"]


def test_versions_with_other_majors_stand_beside_each_other(engine):
    for major in ("1", "2"):
        assert ran(engine, major, "{email: a@b.c, tags: [x]}") == ({"id": f"{major}:a@b.c1"}, 1)
    engine.write("workflows/w.yaml", STEP % ("3", "{}"))
    [error] = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
    assert error["code"] == "action.version" and "crm/upsert@2, but not version 3" in error["message"] and error["line"] == 3, error


def test_what_is_offered_twice_is_an_error_that_names_both(engine):
    engine.write("actions/other.lua", ACTION % ("2", "other"))
    [error] = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
    assert error["code"] == "action.twice" and "crm/upsert@2" in error["message"], error
    assert {error["file"].rsplit("/", 1)[-1], error["message"].rsplit("/", 1)[-1]} == {"other.lua", "v2.lua"}, error


@pytest.mark.parametrize("inputs,outcome", [
    ("{}", ("input.missing", 0)),
    ("{email: 7}", ("input.type", 0)),
    ("{email: nobody}", ("input.format", 0)),
    ("{email: a@b.c, n: 10}", ("input.range", 0)),
    ("{email: a@b.c, mail: x}", ("input.unknown", 0)),
    ("{email: a@b.c}", ({"id": "1:a@b.c0"}, 1)),  # with its default
    ("{email: a@b.c, n: 7}", ("busy", 3)),  # its own `retry`
    ("{email: a@b.c, n: 8}", ("output.type", 3)),  # an attempt that has failed, for whoever says `on: any`
])
def test_inputs_are_checked_before_the_first_attempt_and_outputs_behind_each(engine, inputs, outcome):
    assert ran(engine, "1", inputs) == outcome


def test_what_is_no_usable_manifest_is_told_with_its_file(engine):
    for wrong, part in (("timeout = 30", "timeout must be a duration"), ("doc = 7", "doc must be a text"), ("effect = true", "effect must be none, read or write"),
                        ("inputs = {a = {enum = {'x'}, default = 'y'}}", "a: the default: must be one of")):
        engine.write("actions/other.lua", "return action{name = 'a/b', version = '1.0.0', %s, run = function() end}" % wrong)
        [error] = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
        assert error["code"] == "action.invalid" and part in error["message"] and error["file"].endswith("other.lua"), error
