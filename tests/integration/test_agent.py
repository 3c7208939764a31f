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
  inputs = {email = {type = "string", format = "email", required = true, doc = "whose"}, note = {type = "string"}, tags = {type = "array"}},
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


def test_calls_of_one_turn_are_told_apart_by_their_ids_too(make, llm, crm):
    llm.replies = [Reply("", tools=[("crm_upsert", ADA), ("crm_find", ADA)], is_loose=True), Reply("Done.")]
    run = ended(make("openai-chat"))
    steps = {step["step"]: step["output"] for step in run["steps"]}
    assert steps["agent.turn[1].tool[crm/upsert]"] == {"id": 1} and steps["agent.turn[1].tool[crm/find]"] == {"found": True}, steps


@pytest.mark.parametrize("fallback", [False, True])
def test_what_a_model_has_thought_goes_back_to_it_and_to_no_other(make, llm, crm, fallback):
    llm.replies = [Reply("Looking.", tools=[("crm_find", {**ADA, "tags": []}), ("crm_upsert", ADA)], thoughts=["first", "hidden", "then"]), Reply("Done.")]
    engine = make(fallback=["m-2"])
    if fallback:
        llm.fail(529, path="/anthropic/v1/messages", after=1)
    run = ended(engine)
    assert run["state"] == "succeeded", run
    said = llm.bodies[1]["messages"][1]["content"]
    kinds = ["text", "tool_use", "tool_use"] if fallback else ["thinking", "text", "redacted_thinking", "tool_use", "thinking", "tool_use"]
    assert llm.bodies[1]["model"] == ("m-2" if fallback else "m-1") and [block["type"] for block in said] == kinds


@pytest.mark.parametrize("fallback", [False, True])
def test_what_openai_gives_to_be_told_again_is_told_again(make, llm, crm, fallback):
    llm.replies = [Reply("Looking.", tools=[("crm_find", ADA), ("crm_upsert", ADA)]), Reply("Done.")]
    engine = make("openai", fallback=["m-2"], options={"include": ["reasoning.encrypted_content"]})
    if fallback:
        llm.fail(503, path="/v1/responses", after=1)
    run = ended(engine)
    assert run["state"] == "succeeded", run
    kinds = [item.get("type") for item in llm.bodies[1]["input"]]
    assert kinds == [None, *([] if fallback else ["reasoning"]), None, "function_call", "function_call", "function_call_output", "function_call_output"]


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


# ---- workflows as tools ----

ENRICH = """
name: enrich-lead
description: Finds out what is known of a lead.
on: [{call: true}]
inputs:
  email: {type: string, format: email, required: true, doc: whose}
  depth: {type: integer, required: true, default: "${{ 1 + 1 }}"}
steps:
  - {id: look, uses: crm/find@1, with: {email: "${{ inputs.email }}"}}
  - {id: note, uses: crm/upsert@1, with: {email: "${{ inputs.email }}", note: "${{ 'depth ' .. inputs.depth }}"}}
outputs: {size: 40, found: "${{ steps.look.found }}"}
"""
ENRICHED = [Reply(tools=[("workflow_enrich-lead", ADA)]), Reply("They are 40.")]


def enriching(make, workflow=ENRICH, **more):
    engine = make(tools=["workflow/enrich-lead"], **more)
    engine.write("workflows/enrich.yaml", workflow)
    return engine


def calls_of(engine, name="enrich-lead"):
    return [row for row in engine.rows("runs", "--children") if row["workflow"] == name]


def test_a_workflow_is_a_tool_as_an_action_is(make, llm, crm):
    llm.replies = list(ENRICHED)
    engine = enriching(make)
    run = ended(engine)
    assert run["state"] == "succeeded", run
    steps = {step["step"]: step for step in run["steps"]}
    assert list(steps) == ["agent.turn[1]", "agent.turn[1].tool[workflow/enrich-lead]", "agent", "agent.turn[2]"]
    tool = steps["agent.turn[1].tool[workflow/enrich-lead]"]
    assert tool["output"] == {"size": 40, "found": False} and tool["children"] == {"total": 1, "started": 1, "succeeded": 1, "failed": 0}
    assert steps["agent"]["output"]["text"] == "They are 40." and steps["agent"]["attempt"] == 1 and len(llm.bodies) == 2
    [child] = calls_of(engine)
    assert engine.show_run(child["run"])["parent"] == {"run": run["run"], "step": tool["step"], "index": 1, "depth": 1}
    [offered] = llm.bodies[0]["tools"]
    assert offered["description"] == "Finds out what is known of a lead." and offered["input_schema"]["required"] == ["email"]
    assert crm.at("/upsert")[0].json["note"] == "depth 2"
    assert json.loads(llm.bodies[1]["messages"][-1]["content"][0]["content"]) == {"size": 40, "found": False}


@pytest.mark.parametrize("given,code", [({"email": "no"}, "input.format"), ({**ADA, "evil": 1}, "input.unknown"), ({}, "input.missing")])
def test_what_a_workflow_does_not_take_starts_no_run(make, llm, crm, given, code):
    llm.replies = [Reply(tools=[("workflow_enrich-lead", given)]), Reply("I give up.")]
    engine = enriching(make)
    run = ended(engine)
    assert run["state"] == "succeeded" and not calls_of(engine), run
    assert json.loads(llm.bodies[1]["messages"][-1]["content"][0]["content"])["error"]["code"] == code


def test_what_becomes_of_a_called_run_is_told_to_the_model(make, llm, crm):
    crm.fail(500, path="/upsert")
    llm.replies = [Reply(tools=[("workflow_enrich-lead", ADA)] * 2), Reply("They are 40.")]
    engine = enriching(make, ENRICH.replace("steps:", "rate: {limit: 1/1h, over: skip}\nsteps:"))
    run = ended(engine)
    assert run["state"] == "succeeded", run
    blocks = llm.bodies[1]["messages"][-1]["content"]
    assert all(block["is_error"] for block in blocks)
    assert [json.loads(block["content"])["error"]["code"] for block in blocks] == ["crm.down", "call.skipped"]
    assert [step["error"]["code"] for step in run["steps"] if "tool[" in step["step"]] == ["crm.down", "call.skipped"]


@pytest.mark.parametrize("tool,message", [("workflow/enrich-laed", "did you mean 'enrich-lead'"), ("workflow/w", "cannot be run by others")])
def test_a_workflow_that_cannot_be_called_is_an_error_of_the_step(make, llm, tool, message):
    engine = make(tools=[tool])
    engine.write("workflows/enrich.yaml", ENRICH)
    run = ended(engine)
    assert run["error"]["code"] == "llm.tool" and message in run["error"]["message"] and not llm.bodies


@pytest.mark.parametrize("who", ["worker", "engine"])
def test_a_kill_while_the_called_run_is_at_work_starts_no_other_one(make, llm, crm, who):
    llm.replies = list(ENRICHED)
    engine = enriching(make)
    crm.stall(path="/upsert")
    engine.start()
    ring(engine)
    wait_for("the called run", lambda: crm.at("/upsert"))
    [waiting] = engine.rows("runs", "--state", "parked")
    shown = engine.run("runs", "show", waiting["run"]).stdout
    assert "for its parts" in shown and "runs: 1 of 1 started" in shown
    engine.strike(who)
    crm.release()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and len(llm.bodies) == 2 and len(calls_of(engine)) == 1, run
    assert {email: len(keys) for email, keys in crm.contacts.items()} == {"ada@x.org": 1}
    assert engine.stop() == 0


def test_whoever_cancels_the_run_cancels_what_it_has_called(make, llm, crm):
    llm.replies = list(ENRICHED)
    engine = enriching(make)
    crm.stall(path="/upsert")
    engine.start()
    ring(engine)
    wait_for("the called run", lambda: crm.at("/upsert"))
    [parent] = engine.rows("runs", "--state", "parked")
    engine.run("runs", "cancel", parent["run"])
    [run] = engine.finished_runs(1)
    states = {step["step"]: step["state"] for step in run["steps"]}
    assert run["state"] == "cancelled" and states["agent"] == "cancelled" and states["agent.turn[1].tool[workflow/enrich-lead]"] == "cancelled", run
    wait_for("its end", lambda: calls_of(engine)[0]["state"] == "cancelled")
    assert len(llm.bodies) == 1
    crm.release()
    assert engine.stop() == 0


def test_a_resumed_run_goes_on_with_the_run_that_it_had_called(make, llm, crm):
    steps = [{"id": "agent", "uses": "llm/agent@1", "with": {"goal": "Go.", "tools": ["workflow/enrich-lead"], "max_turns": 1}}]
    llm.replies = [ENRICHED[0]]
    engine = enriching(make, ENRICH.replace("  - {id: note", "  - {id: bad, lua: \"if #ctx.http{url = 'URL/state'}.body > 5 then return ctx.fail{code = 'not_yet'} end\"}\n  - {id: note").replace("URL", crm.url), steps=steps)
    engine.start()
    ring(engine)
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "llm.turns" and calls_of(engine)[0]["state"] == "failed", run
    crm.on("GET", "/state", lambda _: None)
    engine.run("runs", "resume", run["run"], "--latest")
    wait_for("the called run", lambda: calls_of(engine)[0]["state"] == "succeeded")
    wait_for("its end", lambda: engine.show_run(run["run"])["state"] == "failed")
    assert len(calls_of(engine)) == 1 and len(crm.at("/find")) == 1 and len(llm.bodies) == 1
    assert engine.stop() == 0


def test_a_called_run_that_waits_for_its_slot_is_waited_for(make, llm, crm):
    llm.replies = [Reply(tools=[("workflow_enrich-lead", ADA), ("workflow_enrich-lead", {"email": "bob@x.org"})]), Reply("Both.")]
    engine = enriching(make, ENRICH.replace("steps:", "concurrency: {limit: 1, key: inputs.email}\nsteps:"))
    run = ended(engine)
    assert run["state"] == "succeeded" and [call["state"] for call in calls_of(engine)] == ["succeeded"] * 2, run
    assert [step["step"] for step in run["steps"] if "tool[" in step["step"]] == [
        "agent.turn[1].tool[workflow/enrich-lead]", "agent.turn[1].tool[workflow/enrich-lead#2]"]


def test_workflows_that_a_turn_wants_run_side_by_side(make, llm, crm):
    llm.replies = [Reply(tools=[("workflow_enrich-lead", ADA), ("crm_find", ADA), ("workflow_enrich-lead", {"email": "no"}),
                                ("workflow_enrich-lead", {"email": "bob@x.org"})]), Reply("Both.")]
    engine = enriching(make)
    engine.write("workflows/w.yaml", (engine.folder / "workflows/w.yaml").read_text().replace('["workflow/enrich-lead"]', '["workflow/enrich-lead", "crm/find@1"]'))
    crm.stall(path="/upsert", times=2)
    engine.start()
    ring(engine)
    wait_for("both runs", lambda: len(crm.at("/upsert")) == 2)
    crm.release()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and len(calls_of(engine)) == 2, run
    told = [json.loads(block["content"]) for block in llm.bodies[1]["messages"][-1]["content"]]
    assert [each.get("size") for each in told] == [40, None, None, 40] and told[2]["error"]["code"] == "input.format", told
    assert engine.stop() == 0


# ---- consent ----

NOTIFY = {"uses": "desk/tell@1", "with": {"text": "{message} <{url}>", "to": "{to}"}}
TELL = """
return action {
  name = "desk/tell", version = "1.0.0", inputs = {text = {type = "string"}, to = {type = "string"}},
  run = function(ctx, input)
    local answer = ctx.http{method = "POST", url = "URL/tell", json = input}
    if answer.status == 503 then return ctx.retry{code = "desk.busy"} end
    if answer.status ~= 200 then return ctx.fail{code = "desk.gone", message = "nobody is there"} end
    return {}
  end,
}
"""


def consenting(make, crm, approval=None, approve=True):
    crm.on("POST", "/tell", lambda _: {})
    approval = {key: value for key, value in {"notify": NOTIFY, "timeout": "1d", **(approval or {})}.items() if value is not None}
    engine = make(tools=["crm/find@1", {"uses": "crm/upsert@1", "approve": approve}], approval=approval)
    engine.write("actions/tell.lua", TELL.replace("URL", crm.url))
    return engine


def link_of(engine, request):
    return Link(engine, request.json["text"].split("<")[1].rstrip(">"))


def asked(engine, crm, count=1):
    [run] = wait_for("the question", lambda: len(crm.at("/tell")) >= count and engine.rows("runs", "--state", "parked"))
    return run["run"], [link_of(engine, request) for request in crm.at("/tell")]


@pytest.mark.parametrize("choice", ["approve", "reject"])
@pytest.mark.parametrize("who", [None, "worker", "engine"])
def test_a_call_that_wants_consent_waits_for_it_in_its_step(make, llm, crm, choice, who):
    engine = consenting(make, crm)
    llm.replies = script()
    engine.start()
    ring(engine)
    run, [link] = asked(engine, crm)
    shown = {step["step"]: step for step in engine.show_run(run)["steps"]}
    question = shown["agent.turn[2].ask[crm/upsert]"]
    assert question["state"] == "waiting" and question["due_ms"] > 0 and "crm/upsert@1" in question["output"]["message"]
    assert '"ada@x.org"' in question["output"]["message"] and question["output"]["choices"] == ["approve", "reject"]
    assert shown["agent"]["state"] == "waiting" and shown["agent"]["output"]["waits_for"] == ["agent.turn[2].ask[crm/upsert]"]
    assert not crm.at("/upsert") and len(crm.at("/find")) == 1  # that of the first turn: of the second one nothing is done
    if who:
        engine.strike(who)
        link.engine = engine
    assert wait_for("a page", lambda: link.ask("GET")[0] == 200)
    assert wait_for("the vote", lambda: link.post_json(choice=choice, by="Ann")[0] == 200)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and len(crm.at("/upsert")) == (1 if choice == "approve" else 0), run
    assert len(llm.bodies) == 3 and len(crm.at("/tell")) == 1
    assert ("a person has refused this call" in json.dumps(llm.bodies[-1])) == (choice == "reject")
    steps = {step["step"]: step for step in run["steps"]}
    assert {**steps["agent.turn[2].ask[crm/upsert]"]["output"], "at": 0} == {"choice": choice, "by": "Ann", "at": 0, "form": {}}
    assert steps["agent"]["output"]["text"] == "Done: ada is in." and steps["agent"]["attempt"] == 1
    assert [(act["actor"], act["verb"], act["detail"]) for act in run["audit"]] == [("Ann", "vote", f"agent.turn[2].ask[crm/upsert]: {choice} from 127.0.0.1")]
    status, said = link.post_json(choice="approve")
    assert status == 200 and not said["new"] and said["decision"]["choice"] == choice
    assert engine.stop() == 0


@pytest.mark.parametrize("on_timeout,calls,state", [("reject", 0, "succeeded"), ("approve", 1, "succeeded"), (None, 0, "failed")])
def test_when_nobody_decides_in_time_it_is_as_was_said(make, llm, crm, on_timeout, calls, state):
    engine = consenting(make, crm, approve={"timeout": "10ms", **({"on_timeout": on_timeout} if on_timeout else {})})
    llm.replies = script()
    run = ended(engine)
    assert run["state"] == state and len(crm.at("/upsert")) == calls, run
    [question] = [step for step in run["steps"] if "ask[" in step["step"]]
    if on_timeout:
        assert (question["output"]["choice"], question["output"]["by"]) == (on_timeout, "timeout")
    else:
        assert run["error"]["code"] == question["error"]["code"] == "approval.timeout" and len(llm.bodies) == 2
        assert "nobody has decided within 10ms" in run["error"]["message"], run["error"]


def test_of_several_people_so_many_must_agree_as_is_said(make, llm, crm):
    engine = consenting(make, crm, {"to": ["ann@x.org", "bob@x.org", "cy@x.org"], "need": 2, "message": "May it write?"})
    llm.replies = script()
    engine.start()
    ring(engine)
    run, links = asked(engine, crm, 3)
    assert [request.json["to"] for request in crm.at("/tell")] == ["ann@x.org", "bob@x.org", "cy@x.org"]
    assert crm.at("/tell")[0].json["text"].startswith("May it write?\n\ncrm/upsert@1 {")
    assert links[0].post_json(choice="approve")[1]["status"] != "decided"
    assert links[0].post_json(choice="reject")[0] == 200  # their first vote stands
    assert links[2].post_json(choice="reject")[1]["status"] != "decided"
    assert links[1].post_json(choice="approve")[1]["status"] == "decided"
    [run] = engine.finished_runs(1)
    [question] = [step for step in run["steps"] if "ask[" in step["step"]]
    assert [(vote["by"], vote["choice"]) for vote in question["output"]["votes"]] == [("ann@x.org", "approve"), ("cy@x.org", "reject"), ("bob@x.org", "approve")]
    assert run["state"] == "succeeded" and len(crm.at("/upsert")) == 1
    assert engine.stop() == 0


def test_all_calls_of_a_turn_are_asked_for_at_once_and_decided_one_by_one(make, llm, crm):
    engine = consenting(make, crm)
    llm.replies = [Reply(tools=[("crm_upsert", ADA), ("crm_find", ADA), ("crm_upsert", {"email": "bob@x.org"})]), Reply("Done.")]
    engine.start()
    ring(engine)
    run, links = asked(engine, crm, 2)
    assert links[1].post_json(choice="approve")[0] == 200
    first = lambda: {step["step"]: step for step in engine.show_run(run)["steps"]}["agent.turn[1].ask[crm/upsert#2]"]  # noqa: E731
    wait_for("the first decision", lambda: first()["state"] == "succeeded")
    wait_for("the other question", lambda: engine.rows("runs", "--state", "parked"))
    assert not crm.at("/upsert") and not crm.at("/find")
    engine.strike("engine")
    links[0].engine = engine
    assert wait_for("the vote", lambda: links[0].post_json(choice="reject")[0] == 200)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and list(crm.contacts) == ["bob@x.org"] and len(crm.at("/find")) == 1 and len(crm.at("/tell")) == 2, run
    assert engine.stop() == 0


@pytest.mark.parametrize("given,code", [({"email": "no"}, "input.format"), ({**ADA, "note": "x" * 12000}, "tool.too_long")])
def test_nobody_is_asked_about_a_call_that_does_not_fit_or_cannot_be_shown_whole(make, llm, crm, given, code):
    engine = consenting(make, crm)
    llm.replies = [Reply(tools=[("crm_upsert", given)]), Reply("I give up.")]
    run = ended(engine)
    assert run["state"] == "succeeded" and not crm.at("/tell"), run
    assert json.loads(llm.bodies[1]["messages"][-1]["content"][0]["content"])["error"]["code"] == code


def test_a_run_that_is_cancelled_waits_for_nobody_any_more(make, llm, crm):
    engine = consenting(make, crm)
    llm.replies = script()
    engine.start()
    ring(engine)
    run, [link] = asked(engine, crm)
    engine.run("runs", "cancel", run)
    [done] = engine.finished_runs(1)
    states = {step["step"]: step["state"] for step in done["steps"]}
    assert done["state"] == "cancelled" and states["agent"] == states["agent.turn[2].ask[crm/upsert]"] == "cancelled", done
    assert link.post_json(choice="approve")[0] == 410 and not crm.at("/upsert")
    assert engine.stop() == 0


def test_who_cannot_be_told_is_not_waited_for(make, llm, crm):
    engine = consenting(make, crm)
    crm.fail(503, path="/tell", times=1)
    llm.replies = script()
    engine.start()
    ring(engine)
    _, links = asked(engine, crm, 2)  # told at the second try
    assert links[1].post_json(choice="reject")[0] == 200
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    crm.fail(500, path="/tell")
    llm.replies = script()
    ring(engine)
    run = engine.finished_runs(2)[0]
    assert run["error"]["code"] == "desk.gone" and "notify: nobody is there" in run["error"]["message"], run
    assert engine.stop() == 0


class Wise(LLM):
    """Says what fits, however often it is asked the same."""
    talk = [Reply(tools=[("workflow_enrich-lead", ADA)]), Reply(tools=[("crm_upsert", {**ADA, "note": "agreed"})]), Reply("Done.")]

    def reply_to(self, request, asked):
        with self.lock:
            self.bodies.append(request.json)
            return self.talk[sum(message["role"] == "assistant" for message in request.json["messages"])]


@pytest.fixture
def wise():
    with Wise() as server:
        yield server


POINTS = [("store.before_children", 1), ("store.after_children", 1), ("store.before_join", 1), ("store.after_join", 1), ("store.before_vote", 1),
          ("store.after_vote", 1), ("store.before_wake", 1), ("store.after_wake", 1),
          *((f"store.{when}_park", hit) for when in ("before", "after") for hit in (1, 2)),
          *(("worker.before_report", hit) for hit in range(1, 11)), ("dispatch.before_report", 4), ("dispatch.before_ack", 3)]


@pytest.mark.parametrize("point,hit", POINTS)
def test_wherever_the_engine_or_a_worker_dies_each_call_and_each_question_is_there_once(make_engine, wise, crm, point, hit):
    crm.on("POST", "/tell", lambda _: {})
    engine = make_engine(CONFIG + f"""
secrets: {{LLM_KEY: {{env: LLM_KEY}}}}
configure: {{llm: {{providers: [{{name: main, api: anthropic, key: {{secret: LLM_KEY}}, base_url: '{wise.url}/anthropic/v1'}}], default: m-1}}}}
""")
    engine.env.update({"LLM_KEY": KEY, "BELLWIRE_CRASH": f"{point}:{hit}"})
    for name, verb, effect in (("find", "Finds", "read"), ("upsert", "Writes", "write")):
        engine.write(f"actions/{name}.lua", (TOOLS % (name, verb, effect, name)).replace("URL", crm.url))
    engine.write("actions/tell.lua", TELL.replace("URL", crm.url))
    engine.write("workflows/enrich.yaml", ENRICH)
    tools = ["workflow/enrich-lead", {"uses": "crm/upsert@1", "approve": True}]
    steps = [{"id": "agent", "uses": "llm/agent@1", "with": {"goal": "Go.", "tools": tools, "approval": {"notify": NOTIFY}}}]
    engine.write("workflows/w.yaml", "name: w\non: [{event: open.ping}]\nsteps: " + json.dumps(steps) + "\n")
    engine.start()
    deaths = []

    def alive():
        if engine.process.poll() is not None:
            deaths.append(engine.ended())
            del engine.env["BELLWIRE_CRASH"]
            engine.start()
        return True

    def decided():
        try:
            return alive() and link_of(engine, crm.at("/tell")[-1]).post_json(choice="approve", by="Ann")[0] == 200
        except OSError:
            return False
    ring(engine)
    wait_for("the question", lambda: alive() and crm.at("/tell"))
    wait_for("the decision", decided)
    wait_for("the end", lambda: alive() and [row["state"] for row in engine.rows("runs")] == ["succeeded"])
    [run] = engine.finished_runs(1)
    assert {step["step"]: step["output"] for step in run["steps"]}["agent"]["text"] == "Done.", run
    assert deaths == ([] if point.startswith("worker.") else [137])
    assert not point.startswith("worker.") or [line for line in engine.log if line["log"] == "worker.lost"]
    assert len(calls_of(engine)) == 1 and calls_of(engine)[0]["state"] == "succeeded"
    assert {email: len(keys) for email, keys in crm.contacts.items()} == {"ada@x.org": 2}  # the called run's own, and the tool's
    assert len([act for act in run["audit"] if act["verb"] == "vote"]) == 1
    assert len({json.dumps(body) for body in wise.bodies}) == 3
    assert engine.stop() == 0


@pytest.mark.parametrize("approval,message", [
    ({"notify": None}, "nobody would hear"), ({"to": []}, "to holds"), ({"need": 2}, "need is more than are asked"), ({"timeout": "soon"}, "soon"),
])
def test_consent_that_could_never_come_is_an_error_of_the_step(make, llm, crm, approval, message):
    engine = consenting(make, crm, approval)
    llm.replies = script()
    run = ended(engine)
    assert run["state"] == "failed" and message in run["error"]["message"], run


def test_a_test_decides_in_the_place_of_a_person(make, llm, crm):
    engine = consenting(make, crm)
    usage = {"usage": {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0}}
    mocks = {"agent.turn[1]": {"output": {"text": "", "tool_calls": [{"id": "a", "name": "crm_upsert", "arguments": json.dumps(ADA)}], **usage}},
             "agent.turn[1].ask[crm/upsert]": {"output": {"choice": "approve"}}, "agent.turn[1].tool[crm/upsert]": {"output": {"id": 1}},
             "agent.turn[2]": {"output": {"text": "Done.", **usage}}}
    test = {"tests": [{"name": "it", "inputs": {}, "mocks": mocks, "expect": {"steps": {"agent": {"output": {"text": "Done."}}}}}]}
    engine.write("workflows/w.test.yaml", json.dumps(test))
    result = engine.run("test", check=False)
    assert "1 passed" in result.stdout and not crm.requests, result.stdout
    del mocks["agent.turn[1].ask[crm/upsert]"]
    mocks["agent.turn[1].notify[crm/upsert]"] = {"output": {}}
    test["tests"][0]["expect"] = {"state": "failed", "error": {"code": "approval.timeout"}, "took": "1d"}
    engine.write("workflows/w.test.yaml", json.dumps(test))
    assert "1 passed" in engine.run("test").stdout  # as with `approve`: the time passes


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
