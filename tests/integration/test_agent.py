"""llm/agent: a model with tools. Every turn and every call is a step of its own: nothing is paid twice, whoever is killed."""
import json

import pytest

from conftest import CONFIG, wait_for
from fakes.llm import KEY, LLM, Reply
from fakes.server import Server
from test_approve import Link

TOOLS = """
return action {
  name = "crm/%s", version = "1.0.0", doc = "%s a contact.", effect = "%s",
  inputs = {email = {type = "string", format = "email", required = true, doc = "whose"}, note = {type = "string"}},
  run = function(ctx, input)
    local answer = ctx.http{method = "POST", url = "URL/%s", json = input, headers = {["Idempotency-Key"] = ctx.idempotency_key}}
    if answer.status ~= 200 then return ctx.fail{code = "crm.down", message = "status " .. answer.status} end
    return answer.json
  end,
}
"""


class Crm(Server):
    def __init__(self):
        super().__init__()
        self.contacts = {}
        self.on("POST", "/find", lambda request: {"found": request.json["email"] in self.contacts})
        self.on("POST", "/upsert", self.upsert)

    def upsert(self, request):
        with self.lock:
            self.contacts.setdefault(request.json["email"], set()).add(request.headers["idempotency-key"])
        return {"id": len(self.contacts)}


@pytest.fixture
def llm():
    with LLM() as server:
        yield server


@pytest.fixture
def crm():
    with Crm() as server:
        yield server


@pytest.fixture
def make(make_engine, llm, crm):
    def made(api="anthropic", more="", steps=None, **inputs):
        base = llm.url + ("/anthropic/v1" if api == "anthropic" else "/v1")
        engine = make_engine(CONFIG + f"""
secrets: {{LLM_KEY: {{env: LLM_KEY}}}}
{more}
configure:
  llm:
    providers: [{{name: main, api: {api}, key: {{secret: LLM_KEY}}, base_url: '{base}'}}]
    prices: [{{model: m-1, input: 1, output: 1}}]
    default: m-1
""")
        engine.env["LLM_KEY"] = KEY
        for name, verb, effect in (("find", "Finds", "read"), ("upsert", "Writes", "write")):
            engine.write(f"actions/{name}.lua", (TOOLS % (name, verb, effect, name)).replace("URL", crm.url))
        inputs = {"goal": "Add ada@x.org.", "tools": ["crm/find@1", "crm/upsert@1"], **inputs}
        steps = steps or [{"id": "agent", "uses": "llm/agent@1", "with": inputs, "retry": {"attempts": 3, "delay": "1ms"}}]
        engine.write("workflows/w.yaml", "name: w\non: [{event: open.ping}, {manual: true}]\nsteps: " + json.dumps(steps) + "\n")
        return engine
    return made


def ring(engine):
    assert engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[0] == 202


def ended(engine):
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert engine.stop() == 0
    return run


ADA = {"email": "ada@x.org"}
TALK = [("Looking.", [("crm_find", ADA)]), ("", [("crm_upsert", {**ADA, "note": "new"}), ("crm_find", ADA)]), ("Done: ada is in.", [])]


def script():
    return [Reply(text, tools=tools) for text, tools in TALK]


@pytest.mark.parametrize("api", ["openai", "openai-chat", "anthropic"])
def test_turns_and_calls_are_steps_and_the_model_is_told_what_came_of_them(make, llm, crm, api):
    llm.replies = script()
    run = ended(make(api, context={"list": [1, 2]}))
    assert run["state"] == "succeeded", run
    steps = {step["step"]: step["output"] for step in run["steps"]}
    assert list(steps) == ["agent.turn[1]", "agent.turn[1].tool[crm/find]", "agent.turn[2]", "agent.turn[2].tool[crm/upsert]",
                           "agent.turn[2].tool[crm/find]", "agent.turn[3]", "agent"]
    assert steps["agent.turn[1].tool[crm/find]"] == {"found": False} and steps["agent.turn[2].tool[crm/find]"] == {"found": True}
    assert steps["agent"]["text"] == "Done: ada is in." and steps["agent"]["turns"] == 3
    assert steps["agent"]["usage"] == {"calls": 3, "input_tokens": 300, "output_tokens": 60, "cached_tokens": 0, "total_tokens": 360, "cost": 0.00036}
    assert run["usage"]["calls"] == 3 and run["usage"]["cost"] == 0.00036
    first, last = json.dumps(llm.bodies[0]), json.dumps(llm.bodies[2])
    assert '{\\"list\\":[1,2]}' in first and "Finds a contact." in first and '"whose"' in first and '"email"' in first
    assert last.index('{\\"found\\":false}') < last.index('{\\"id\\":1}') < last.index('{\\"found\\":true}')


@pytest.mark.parametrize("where", ["think", "act"])
@pytest.mark.parametrize("who", ["worker", "engine"])
def test_after_a_kill_no_turn_is_paid_twice_and_no_contact_is_there_twice(make, llm, crm, who, where):
    engine = make()
    llm.replies = script()
    if where == "act":
        crm.stall(path="/upsert")
    engine.start()
    if where == "think":
        llm.replies[1].fault = "stall"
    ring(engine)
    wait_for("the middle", lambda: crm.at("/upsert") if where == "act" else len(llm.bodies) == 2)
    with llm.lock:
        if where == "think":
            llm.replies.insert(0, script()[1])  # what it is asked again
    engine.strike(who)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["steps"][-1]["output"]["text"] == "Done: ada is in.", run
    # The call whose answer nobody has seen is told as such, and counts.
    assert (run["usage"]["calls"], run["usage"]["open"], len(llm.bodies)) == ((4, 1, 4) if where == "think" else (3, 0, 3))
    assert {email: len(keys) for email, keys in crm.contacts.items()} == {"ada@x.org": 1}
    crm.release()
    assert engine.stop() == 0


def test_an_attempt_that_fails_goes_on_where_it_was(make, llm, crm):
    llm.replies = script()
    llm.replies.insert(1, Reply("half of an answer", fault="cut"))
    run = ended(make())
    [step] = [step for step in run["steps"] if step["step"] == "agent"]
    assert run["state"] == "succeeded" and step["attempt"] == 2 and step["failures"][0]["error"]["code"] == "llm.network", run
    assert len(llm.bodies) == 4 and len(crm.at("/find")) == 2 and len(crm.at("/upsert")) == 1


def test_what_a_model_must_not_do_is_told_to_it(make, llm, crm):
    crm.fail(503, path="/find")
    llm.replies = [Reply(tools=[("rm_rf", {}), ("crm_find", "{no json"), ("crm_find", {"email": "no"}), ("crm_find", {**ADA, "evil": 1}), ("crm_find", ADA)]),
                   Reply("I give up.")]
    run = ended(make())
    assert run["state"] == "succeeded", run
    results = [json.loads(block["content"])["error"]["code"] for block in llm.bodies[1]["messages"][-1]["content"]]
    assert results == ["tool.unknown", "tool.arguments", "input.format", "input.unknown", "crm.down"]
    assert all(block["is_error"] for block in llm.bodies[1]["messages"][-1]["content"])


@pytest.mark.parametrize("inputs,code,calls", [({"max_turns": 2}, "llm.turns", 2), ({"budget": {"calls": 3}}, "llm.budget", 3)])
def test_turns_and_calls_have_an_end(make, llm, inputs, code, calls):
    llm.replies = [Reply(tools=[("crm_find", ADA)])] * 9
    run = ended(make(**inputs))
    assert run["error"]["code"] == code and len(llm.bodies) == calls and run["steps"][-1]["attempt"] == 1, run


def test_the_last_answer_may_have_a_form(make, llm):
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    llm.replies = [Reply(tools=[("crm_find", ADA)]), Reply('{"id": "x"}'), Reply('{"id": 7}')]
    run = ended(make(schema=schema))
    assert run["steps"][-1]["output"]["data"] == {"id": 7} and run["steps"][-1]["output"]["turns"] == 3, run


def test_a_tool_that_is_not_there_is_an_error_of_the_step(make, llm):
    run = ended(make(tools=["crm/fnd@1"]))
    assert run["error"]["code"] == "llm.tool" and "crm/find" in run["error"]["message"] and not llm.bodies


@pytest.mark.parametrize("choice", ["approve", "reject"])
def test_a_call_that_wants_consent_waits_for_it(make, llm, crm, choice):
    tools = ["crm/find@1", {"uses": "crm/upsert@1", "approve": True}]
    steps = [
        {"id": "agent", "uses": "llm/agent@1", "with": {"goal": "Add ada@x.org.", "tools": tools}},
        {"id": "ask", "if": "${{ steps.agent.asks ~= nil }}", "approve": {
            "message": "${{ steps.agent.asks[1].tool }} ${{ steps.agent.asks[1].input.email }}?", "choices": ["approve", "reject"], "timeout": "1d",
            "notify": {"lua": "return input", "with": {"url": "${{ approval.url }}", "message": "${{ approval.message }}"}}}},
        {"id": "go", "if": "${{ steps.agent.asks ~= nil }}", "uses": "llm/agent@1", "with": {
            "goal": "Add ada@x.org.", "tools": tools, "continue": "${{ steps.agent }}", "approved": "${{ steps.ask.choice == 'approve' }}"}},
    ]
    engine = make(steps=steps)
    llm.replies = script()
    engine.start()
    ring(engine)
    [run] = wait_for("the question", lambda: engine.rows("runs", "--state", "parked"))
    told = next(step for step in engine.show_run(run["run"])["steps"] if step["step"] == "ask~notify")["output"]
    assert told["message"] == "crm/upsert@1 ada@x.org?" and not crm.at("/upsert") and len(crm.at("/find")) == 1
    assert Link(engine, told["url"]).post_json(choice=choice)[0] == 200
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and len(crm.at("/upsert")) == (1 if choice == "approve" else 0), run
    told = json.dumps(llm.bodies[-1])
    assert ("a person has refused this call" in told) == (choice == "reject") and run["steps"][-1]["output"]["text"] == "Done: ada is in."
    assert engine.stop() == 0


def test_a_recorded_run_is_replayed_by_a_test_without_a_model(make, llm, crm):
    engine = make()
    llm.replies = script()
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert engine.stop() == 0
    recorded = json.loads(engine.run("runs", "mocks", run["run"]).stdout)
    assert list(recorded) == [step["step"] for step in run["steps"][:-1]]
    engine.write("workflows/w.recorded.json", json.dumps(recorded))
    test = {"tests": [{"name": "it", "inputs": {}, "mocks_file": "w.recorded.json", "expect": {"steps": {"agent": {"output": {"text": "Done: ada is in."}}}}}]}
    engine.write("workflows/w.test.yaml", json.dumps(test))
    assert "1 passed" in engine.run("test").stdout and len(llm.bodies) == 3
    # What goes before it is the test's own; what it names must be there.
    test["tests"][0]["mocks"] = {"agent.turn[2]": {"output": {"text": "Never mind.", "usage": {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0}}}}
    engine.write("workflows/w.test.yaml", json.dumps(test))
    assert "Never mind." in engine.run("test", check=False).stdout
    engine.write("workflows/w.recorded.json", json.dumps({"agnt.turn[1]": {"output": {}}}))
    assert "names the step agnt.turn[1]" in engine.run("test", "--json", check=False).stdout
    engine.write("workflows/w.recorded.json", "{")
    assert "w.recorded.json:" in engine.run("test", check=False).stderr
    engine.write("workflows/w.test.yaml", json.dumps(test).replace("w.recorded.json", "none.json"))
    assert "mocks_file" in engine.run("test", check=False).stderr
    assert engine.run("runs", "mocks", check=False).returncode == 2
