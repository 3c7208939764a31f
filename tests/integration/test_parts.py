"""Parts of a step (ctx.part): each is recorded before the code goes on, and is not done again by an attempt that is made again."""
import json
import textwrap

import pytest

from conftest import CONFIG, wait_for
from fakes.server import Server
from test_approve import Link
from test_plugins import build, flags  # noqa: F401: a fixture

TOOL = """
return action {
  name = "crm/find", version = "1.0.0", doc = "Finds a contact.", secrets = {"CRM_KEY"}, effect = "read", timeout = "5s",
  inputs = {email = {type = "string", format = "email", required = true}, limit = {type = "integer", default = 3}},
  outputs = {id = {type = "string", required = true}},
  run = function(ctx, input)
    if input.email == "x@no.one" then return ctx.fail{code = "crm.none", message = "nobody"} end
    if input.email == "x@wrong.one" then return {id = 7} end
    if input.email == "x@later.one" then return ctx.pending{} end
    ctx.http{method = "POST", url = "URL/find", json = input, headers = {["Idempotency-Key"] = ctx.idempotency_key, Key = ctx.secret("CRM_KEY")}}
    return {id = input.email .. input.limit, nested = pcall(ctx.part.find, "turn[1]")}
  end,
}
"""


class Crm(Server):
    def __init__(self):
        super().__init__()
        for path in ("/find", "/think"):
            self.on("POST", path, lambda _: {})


@pytest.fixture
def crm():
    with Crm() as server:
        yield server


@pytest.fixture
def make(make_engine, crm):
    def made(code, more="", secrets="secrets: [CRM_KEY]\n"):
        engine = make_engine(CONFIG + "secrets: {CRM_KEY: {env: CRM_KEY}}\n")
        engine.env["CRM_KEY"] = "crm-key-value"
        engine.write("actions/find.lua", TOOL.replace("URL", crm.url))
        code = textwrap.indent(textwrap.dedent(code).replace("URL", crm.url), "      ")
        engine.write("workflows/w.yaml", f"name: w\non: [{{event: open.ping}}, {{manual: true}}]\n{secrets}steps:\n  - id: s\n    retry: {{attempts: 2, delay: 1ms}}\n    lua: |\n{code}\n{more}")
        return engine
    return made


def ring(engine):
    assert engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[0] == 202


def output_of(engine):
    lines = [json.loads(line) for line in engine.run("run", "w", "--json", check=False).stdout.splitlines()]
    [step] = [line for line in lines if line.get("what") == "step_finished" and line["step"] == "s"]
    return step.get("output") or step["error"]


THINK = """
local thought = ctx.part.find("turn[1]")
if not thought then
  ctx.http{method = "POST", url = "URL/think"}
  thought = {plan = "find", by = ctx.attempt}
  ctx.part.keep("turn[1]", thought)
end
local found, why = ctx.part.run("turn[1].tool[crm/find]", "crm/find@1", {email = "a@b.c"})
"""


def test_parts_are_steps_of_their_own_and_a_failed_attempt_finds_them(make, crm):
    engine = make(THINK + """
if ctx.attempt == 1 then return ctx.retry{code = "busy"} end
return {thought = thought, found = found}
""")
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded", run
    assert {step["step"]: step["output"] for step in run["steps"]} == {
        "s.turn[1]": {"plan": "find", "by": 1}, "s.turn[1].tool[crm/find]": {"id": "a@b.c3", "nested": False},
        "s": {"thought": {"plan": "find", "by": 1}, "found": {"id": "a@b.c3", "nested": False}}}
    assert [request.path for request in crm.requests] == ["/think", "/find"]
    assert crm.requests[1].json == {"email": "a@b.c", "limit": 3} and crm.requests[1].headers["key"] == "crm-key-value"
    assert "s.turn[1].tool[crm/find]" in engine.run("runs", "show", run["run"]).stdout
    assert engine.stop() == 0


@pytest.mark.parametrize("who", ["worker", "engine"])
def test_after_a_kill_what_was_recorded_is_not_done_again_and_the_rest_has_the_same_key(make, crm, who):
    engine = make(THINK + "return {by = thought.by, id = found.id}")
    crm.stall(path="/find")
    engine.start()
    ring(engine)
    wait_for("the tool's call", lambda: crm.at("/find"))
    engine.strike(who)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["steps"][-1]["output"] == {"by": 1, "id": "a@b.c3"}, run
    assert len(crm.at("/think")) == 1
    first, second = crm.at("/find")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert engine.stop() == 0


def test_a_run_that_failed_is_resumed_with_what_is_there(make, crm):
    engine = make(THINK + "if #ctx.http{url = 'URL/state'}.body > 5 then return ctx.fail{code = 'not_yet'} end return {id = found.id}")
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "not_yet"
    crm.on("GET", "/state", lambda _: None)
    engine.run("runs", "resume", run["run"], "--latest")
    wait_for("its end", lambda: engine.show_run(run["run"])["state"] == "succeeded")
    assert [len(crm.at(path)) for path in ("/think", "/find")] == [1, 1]
    assert engine.stop() == 0


@pytest.mark.parametrize("call,code,message", [
    ('"crm/find@1", {email = 7}', "input.type", "email"),
    ('"crm/find@1", {email = "x@no.one"}', "crm.none", "nobody"),
    ('"crm/find@1", {email = "x@wrong.one"}', "output.type", "id"),
    ('"crm/find@1", {email = "x@later.one"}', "part.pending", "cannot be a part"),
    ('"crm/fnd@1", {}', "action.unknown", "there is no action crm/fnd@1"),
    ('"crm/find@2", {}', "action.unknown", "there is no action crm/find@2"),
])
def test_an_action_that_fails_is_told_and_recorded(make, call, code, message):
    engine = make(f"""
local found, why = ctx.part.run("turn[1].tool[x]", {call})
local again, same = ctx.part.run("turn[1].tool[x]", "crm/find@1", {{email = "a@b.c"}})
return {{found = found, why = why, same = same.message}}
""")
    output = output_of(engine)
    assert output["why"]["code"] == code and message in output["why"]["message"] and output["same"] == output["why"]["message"], output
    assert "found" not in output


def test_an_action_whose_secret_the_workflow_does_not_grant_is_not_run(make, crm):
    engine = make('local found, why = ctx.part.run("turn[1]", "crm/find@1", {email = "a@b.c"}) return why', secrets="")
    assert output_of(engine)["code"] == "action.secret_not_granted" and not crm.requests


def test_a_compiled_plugins_action_is_a_part_as_well(make, crm):
    engine = make(f'return ctx.part.run("call[1]", "http/request@1", {{url = "{crm.url}/find", method = "POST", json = {{a = 1}}}})')
    assert output_of(engine)["status"] == 200 and crm.requests[0].json == {"a": 1}
    assert crm.requests[0].headers["idempotency-key"].startswith("bw_")
    engine = make(f'local _, why = ctx.part.run("call[1]", "http/request@1", {{url = "{crm.url}/nothing"}}) return why')
    assert output_of(engine)["code"] == "http.status"


def test_what_an_action_offers_can_be_asked(make):
    engine = make("""
    local none, why = ctx.part.offer("crm/fidn@1")
    local _, _, code = ctx.part.offer("crm/find@1", {email = "no"})
    local fits = ctx.part.offer("crm/find@1", {email = "a@b.c"})
    return {offer = ctx.part.offer("crm/find@1"), why = why, code = code, fits = fits.name}
    """)
    output = output_of(engine)
    assert output["code"] == "input.format" and output["fits"] == "crm/find"
    assert output["offer"]["doc"] == "Finds a contact." and output["offer"]["inputs"]["email"]["format"] == "email" and output["offer"]["effect"] == "read"
    assert "did you mean 'crm/find'" in output["why"]


@pytest.mark.parametrize("code,message", [
    ('ctx.part.keep("turn", {})', "write it like turn[1]"),
    ('ctx.part.keep("turn[1] x", {})', "write it like turn[1]"),
    ('ctx.part.keep("turn[1]", 7)', "table expected"),
    ('ctx.part.keep("a[1]", {}) ctx.part.keep("a[1]", {})', "there is a part s.a[1] already"),
    ('ctx.part.keep("a[1]", {x = ("x"):rep(2000000)})', "more than is kept"),
])
def test_wrong_use_says_what_is_right(make, code, message):
    error = output_of(make(code))
    assert message in error["message"], error


def test_a_cancelled_step_gives_up_the_action_that_it_waits_for(make, crm):
    engine = make('ctx.log.info("here") ctx.part.run("turn[1]", "crm/find@1", {email = "a@b.c"}) ctx.part.keep("never[1]", {})')
    crm.stall()
    engine.start()
    ring(engine)
    wait_for("the call", lambda: crm.at("/find"))
    engine.run("runs", "cancel", engine.wait_log("step.log")["run"])
    [run] = engine.finished_runs(1)
    assert run["state"] == "cancelled" and "s.never[1]" not in [step["step"] for step in run["steps"]], run
    assert engine.stop() == 0


def test_a_test_says_what_comes_of_a_part(make):
    engine = make(THINK + 'return {plan = thought.plan, id = found and found.id, why = why and why.code}')
    mocks = {"s.turn[1]": {"output": {"plan": "mocked"}}, "s.turn[1].tool[crm/find]": [{"error": {"code": "busy", "message": "no"}}]}
    engine.write("workflows/w.test.yaml", json.dumps({"tests": [{"name": "it", "inputs": {}, "mocks": mocks,
                                                                  "expect": {"steps": {"s": {"output": {"plan": "mocked", "why": "busy"}}}}}]}))
    assert "1 passed" in engine.run("test").stdout
    engine.write("workflows/w.test.yaml", json.dumps({"tests": [{"name": "it", "inputs": {}, "mocks": {"t.turn[1]": {"output": {}}}}]}))
    assert "names the step t.turn[1]" in engine.run("test", "--json", check=False).stdout


# ---- parts that wait ----

DOUBLE = """
name: double
on: [{call: true}]
inputs: {n: {type: integer, required: true}}
steps: [{id: x, set: {n: "${{ inputs.n * 2 }}"}}]
outputs: {n: "${{ steps.x.n }}"}
"""


def test_a_called_workflow_is_a_part_and_the_code_goes_on_by_the_same_attempt(make, crm):
    engine = make("""
    ctx.http{method = "POST", url = "URL/think"}
    local sum = 0
    for i = 1, 3 do sum = sum + ctx.part.run("call[" .. i .. "]", "workflow/double", {n = i}).n end
    return {sum = sum, attempt = ctx.attempt}
    """)
    engine.write("workflows/double.yaml", DOUBLE)
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    steps = {step["step"]: step for step in run["steps"]}
    assert run["state"] == "succeeded" and steps["s"]["output"] == {"sum": 12, "attempt": 1}, run
    assert [steps[f"s.call[{i}]"]["output"] for i in (1, 2, 3)] == [{"n": 2}, {"n": 4}, {"n": 6}]
    assert len(crm.at("/think")) == 4  # what is no part is done each time that the code begins
    assert len([row for row in engine.rows("runs", "--children") if row["workflow"] == "double"]) == 3
    assert engine.stop() == 0


def test_several_workflows_are_called_side_by_side_or_none_is(make, crm):
    engine = make("""
    local list = {{name = "a[1]", uses = "workflow/double", input = {n = 1}}, {name = "a[2]", uses = "workflow/bad"}, {name = "a[3]", uses = "workflow/double", input = {n = 3}}}
    local wrong = {}
    for i, other in ipairs{{uses = "workflow/duoble"}, {uses = "crm/find@1"}, {uses = "workflow/double", input = {n = "x"}}, {uses = "workflow/double"}} do
      other.name = "b[" .. i .. "]"
      local _, why = pcall(ctx.part.call, {list[1], other})
      wrong[i] = why.code
    end
    local ends = ctx.part.call(list)
    local again = ctx.part.call(list)
    return {one = ends[1].output.n, two = ends[2].error.code, three = again[3].output.n, wrong = wrong, none = #ctx.part.call{}}
    """)
    engine.write("workflows/double.yaml", DOUBLE)
    engine.write("workflows/bad.yaml", "name: bad\non: [{call: true}]\nsteps: [{id: x, lua: \"return ctx.fail{code = 'never'}\"}]\n")
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    output = {step["step"]: step["output"] for step in run["steps"]}["s"]
    assert output == {"one": 2, "two": "never", "three": 6, "none": 0, "wrong": ["call.unknown", "call.unknown", "input.type", "input.missing"]}, run
    assert sorted(row["workflow"] for row in engine.rows("runs", "--children")) == ["bad", "double", "double", "w"]
    assert engine.stop() == 0


def test_each_time_of_a_repeated_step_has_its_own_runs(make):
    engine = make('return ctx.part.run("call[1]", "workflow/double", {n = 4})', more="    repeat: {until: result.n > 0 and step ~= nil, max: 2}\n")
    engine.write("workflows/w.yaml", (engine.folder / "workflows/w.yaml").read_text().replace("result.n > 0 and step ~= nil", '"${{ result.n > 100 }}"'))
    engine.write("workflows/double.yaml", DOUBLE)
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "repeat.exhausted", run
    assert [step["step"] for step in run["steps"] if "call" in step["step"]] == ["s.call[1]", "s{1}.call[1]"]
    assert len([row for row in engine.rows("runs", "--children") if row["workflow"] == "double"]) == 2
    assert engine.stop() == 0


ASK = """
local link = ctx.part.link("ask[1]")
ctx.http{method = "POST", url = "URL/think", json = {link = link}}
local answers = ctx.part.ask{{name = "ask[1]", message = "Go?", choices = {"go", "stay"}, timeout = "TIME", on_timeout = "LATE"}}
return {choice = answers[1].choice, by = answers[1].by, code = answers[1].error and answers[1].error.code}
"""


def test_a_question_is_answered_by_its_link_while_other_steps_go_on(make, crm):
    engine = make(ASK.replace("TIME", "1d").replace("LATE", "stay"), more="  - {id: beside, needs: [], wait: {event: open.never, timeout: 1h}}\n")
    engine.start()
    ring(engine)
    [run] = wait_for("the question", lambda: engine.rows("runs", "--state", "parked"))
    link = Link(engine, crm.at("/think")[0].json["link"])
    assert "Go?" in link.ask("GET")[1] and link.post_json(choice="approve")[0] == 422
    assert link.post_json(choice="go", by="Ann")[0] == 200
    shown = wait_for("the step", lambda: [step for step in engine.show_run(run["run"])["steps"] if step["step"] == "s" and step["state"] == "succeeded"])
    assert shown[0]["output"] == {"choice": "go", "by": "Ann"} and len({request.json["link"] for request in crm.at("/think")}) == 1
    engine.run("runs", "cancel", run["run"])
    engine.finished_runs(1)
    assert engine.stop() == 0


@pytest.mark.parametrize("late,vote", [("1h", "go"), ("50ms", None)])
def test_a_question_waits_in_memory_while_another_step_is_at_work(make, crm, late, vote):
    """The run is not parked: time ends the waiting all the same, a vote as soon as nothing else is under way."""
    text = ASK.replace("TIME", late).replace("LATE", "stay").replace("return {", 'ctx.log.info("on") return {')
    engine = make(text, more="  - id: beside\n    needs: []\n    lua: ctx.http{method = 'POST', url = 'URL/find'}\n".replace("URL", crm.url))
    crm.stall(path="/find")
    engine.start()
    ring(engine)
    wait_for("both steps", lambda: crm.at("/find") and crm.at("/think"))
    run = wait_for("the question", lambda: engine.rows("runs"))[0]["run"]
    wait_for("the question's row", lambda: [step for step in engine.show_run(run)["steps"] if step["step"] == "s.ask[1]"])
    if vote:
        assert Link(engine, crm.at("/think")[0].json["link"]).post_json(choice=vote, by="Ann")[0] == 200
    else:
        engine.wait_log("step.log", message="on")  # before the other step has ended
    crm.release()
    [run] = engine.finished_runs(1)
    output = {step["step"]: step["output"] for step in run["steps"]}["s"]
    assert run["state"] == "succeeded" and output == ({"choice": "go", "by": "Ann"} if vote else {"choice": "stay", "by": "timeout"}), run
    assert engine.stop() == 0


@pytest.mark.parametrize("late,output", [("stay", {"choice": "stay", "by": "timeout"}), ("fail", {"code": "approval.timeout"})])
def test_a_question_that_nobody_answers_ends_in_time(make, late, output):
    engine = make(ASK.replace("TIME", "20ms").replace("LATE", late))
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert run["steps"][-1]["output"] == output or run["steps"][-2]["output"] == output, run
    assert engine.stop() == 0


@pytest.mark.parametrize("question,message", [
    ("{}", "wants a list of questions"), ('{name = "ask"}', "write it like turn[1]"), ('{name = "a[1]"}', "message"), ('{name = "a[1]", message = ""}', "1 to 16384 bytes"),
    ('{name = "a[1]", message = "Go?", mesage = 1}', "no field 'mesage'"), ('{name = "a[1]", message = "Go?", choices = {"x", "x"}}', "different texts"),
    ('{name = "a[1]", message = "Go?", need = 2}', "name them in to"), ('{name = "a[1]", message = "Go?", to = {"ann", "ann"}}', "different names"),
    ('{name = "a[1]", message = "Go?", on_timeout = "no"}', "none of the choices"), ('{name = "a[1]", message = "Go?", timeout = "-1d"}', "-1d"),
])
def test_a_question_that_is_none_is_not_asked(make, question, message):
    error = output_of(make("ctx.part.ask{{name = 'good[1]', message = 'Good?'}, " + question + "}"))
    assert message in error["message"], error


@pytest.mark.parametrize("code", ['ctx.part.run("call[1]", "workflow/double", {n = 1})', 'ctx.part.ask{{name = "a[1]", message = "Go?"}}'])
def test_code_that_must_not_be_run_twice_cannot_wait(make, code):
    engine = make(f"local _, why = {code} return why", more="    guarantee: at_most_once\n")
    engine.write("workflows/double.yaml", DOUBLE)
    assert output_of(engine)["code"] in ("part.once", "lua.error")


def test_a_run_that_stands_too_deep_calls_no_other_one(make):
    engine = make('local got, why = ctx.part.run("call[1]", "workflow/deep", {}) return got or why')
    engine.write("workflows/deep.yaml", """
name: deep
on: [{call: true}]
steps: [{id: x, lua: 'local got, why = ctx.part.run("call[1]", "workflow/deep", {}) return got or why'}]
outputs: {code: "${{ steps.x.code }}"}
""")
    assert output_of(engine)["code"] == "call.too_deep"
