"""The bundled plugin llm, against fakes of the providers: what is sent, what is made of answers, and of all that can go wrong with them."""
import dataclasses
import json
import threading
import time

import pytest

from conftest import CONFIG, wait_for
from fakes.llm import KEY, LLM, Reply
from fakes.server import Refused

APIS = ["openai", "openai-chat", "anthropic"]
PRICES = "prices: [{model: m-1, input: 2, cached: 0.5, output: 10}, {model: m-2, input: 1, output: 1}]"


@pytest.fixture
def llm():
    with LLM() as server:
        yield server


def base_of(llm, api):
    return llm.url + ("/anthropic/v1" if api == "anthropic" else "/v1")


@pytest.fixture
def asked(make_engine, llm):
    """What a step that uses llm/chat gives: its output, or its error."""
    def ask(api="openai-chat", seen=None, **inputs):
        engine = make_engine()
        engine.env["LLM_KEY"] = KEY
        providers = ", ".join(f"{{name: {name}, api: {kind}, key: {{secret: LLM_KEY}}, base_url: '{base_of(llm, kind)}'}}"
                              for name, kind in [("main", api), ("other", "anthropic"), ("plain", "openai-chat")])
        engine.write("bellwire.yaml", CONFIG + f"""
secrets: {{LLM_KEY: {{env: LLM_KEY}}}}
configure:
  llm:
    providers: [{providers.replace("name: plain,", "name: plain, structured: prompt,")}]
    models: [{{name: good, model: m-1, fallback: [other/m-2]}}]
    {PRICES}
    default: m-1
""")
        engine.write("workflows/w.yaml", "name: w\non: [{manual: true}]\nsteps: [" + json.dumps(
            {"id": "s", "uses": f"llm/{inputs.pop('action', 'chat')}@1", "retry": {"attempts": inputs.pop("attempts", 1), "delay": "1ms"}, "with": inputs}) + "]\n")
        result = engine.run("run", "w", "--json", check=False)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        found = [line for line in lines if line.get("what") == "step_finished"]
        if seen is not None:
            seen += [line["text"] for line in lines if line["what"] == "step_progress"]
        assert found, result.stderr
        return found[0].get("output") or found[0]["error"]
    return ask


@pytest.mark.parametrize("api", APIS)
def test_a_question_is_answered_and_its_usage_told(asked, llm, api):
    llm.replies = [Reply("Grüße, Welt: \"{}\"", usage=(1000, 30, 400))]
    output = asked(api, system="Be brief.", prompt="Say ${{ 1 + 1 }} {{x}}", temperature=0.5)
    assert output.pop("first_token_ms") >= 0
    assert output == {"text": "Grüße, Welt: \"{}\"", "finish": "stop", "model": "m-1", "provider": "main", "passed": [],
                      "usage": {"calls": 1, "input_tokens": 1000, "output_tokens": 30, "cached_tokens": 400, "total_tokens": 1030, "cost": 0.0017}}
    [body] = llm.bodies
    assert body["model"] == "m-1" and body["temperature"] == 0.5 and body["stream"] is True
    assert "Say 2 {{x}}" in json.dumps(body) and "Be brief." in json.dumps(body)


def test_what_is_written_into_anthropics_cache_costs_what_it_is_kept_for(asked, llm):
    llm.replies = [Reply("hello", usage=(1000, 30, 400), written=(100, 200))]
    usage = asked("anthropic", prompt="?")["usage"]
    assert (usage["input_tokens"], usage["cached_tokens"]) == (1000, 400)
    assert usage["cost"] == (300 * 2 + 400 * 0.5 + 100 * 2 * 1.25 + 200 * 2 * 2 + 30 * 10) / 1e6


@pytest.mark.parametrize("api", APIS)
def test_a_talk_so_far_goes_before_the_prompt_and_options_go_as_they_are(asked, llm, api):
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    option = {"openai": {"metadata": {"k": "v"}}, "openai-chat": {"seed": 7}, "anthropic": {"stop_sequences": ["X"]}}[api]
    assert asked(api, messages=talk, prompt="c", options=option)["text"] == "You said: c"
    said = llm.bodies[0]["input" if api == "openai" else "messages"]
    assert [(one["role"], one["content"]) for one in said] == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert option.items() <= llm.bodies[0].items()


@pytest.mark.parametrize("api", APIS)
def test_what_the_model_says_is_shown_while_it_says_it(asked, llm, api):
    llm.replies = [Reply("a long answer, word by word, \u001b[2J" + "ä" * 200)]
    texts = []
    asked(api, seen=texts, prompt="?")
    assert texts[0] == "a lon" and texts[1] == "a long ans" and texts[-1].strip("\ufffd") == "ä" * len(texts[-1].strip("\ufffd")), texts


SCHEMA = {"type": "object", "required": ["name", "tags"], "properties": {
    "name": {"type": "string", "minLength": 1}, "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 2}}}


@pytest.mark.parametrize("api", APIS)
def test_an_answer_of_a_form_is_asked_for_in_the_providers_way_and_checked(asked, llm, api):
    llm.replies = [Reply('{"name": "x", "tags": ["a", "b"]}')]
    assert asked(api, prompt="?", schema=SCHEMA)["data"] == {"name": "x", "tags": ["a", "b"]}
    body = llm.bodies[0]
    form = {"openai": lambda: body["text"]["format"]["schema"], "openai-chat": lambda: body["response_format"]["json_schema"]["schema"],
            "anthropic": lambda: body["output_config"]["format"]["schema"]}[api]()
    if api == "openai-chat":
        assert form == {**SCHEMA, "additionalProperties": False}
        return
    name, tags = form["properties"]["name"], form["properties"]["tags"]
    assert name == {"type": "string", "description": "(minLength: 1)"} and form["additionalProperties"] is False
    assert tags["items"] == {"type": "string", "enum": ["a", "b"]}
    assert (tags.get("maxItems"), tags.get("description")) == ((2, None) if api == "openai" else (None, "(maxItems: 2)"))


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_keywords_that_a_vendor_refuses_are_said_in_the_description_and_checked_here(asked, llm, api):
    note = {"type": "string", "description": "A note.", "maxLength": 3, "default": "x", "format": "uri-template", "examples": ["a"], "$comment": "-"}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["note", "n"],
              "properties": {"note": note, "n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}}}
    llm.replies = [Reply('{"note": "four", "n": 1}'), Reply('{"note": "abc", "n": 1}')]
    output = asked(api, prompt="?", schema=schema)
    assert output["data"] == {"note": "abc", "n": 1} and output["usage"]["calls"] == 2, output
    body = llm.bodies[0]
    sent = (body["text"]["format"] if api == "openai" else body["output_config"]["format"])["schema"]["properties"]
    words = 'examples: ["a"], format: "uri-template", maxLength: 3'
    assert sent["note"]["description"] == ('A note. (default: "x", ' if api == "openai" else "A note. (") + words + ")"
    assert sent["n"]["anyOf"][0] == ({"type": "integer", "minimum": 1} if api == "openai" else {"type": "integer", "description": "(minimum: 1)"})


FREE = [{"type": "object"}, {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}, {}, {"type": "array"}, {"enum": ["a", {}]}]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize("free", FREE)
def test_what_a_vendors_forms_do_not_know_is_asked_without_them(asked, llm, api, free):
    value = [] if free.get("type") == "array" else "a" if "enum" in free else {"k": "v"}
    llm.replies = [Reply(json.dumps({"any": value}))]
    output = asked(api, prompt="?", schema={"type": "object", "required": ["any"], "properties": {"any": free}})
    assert output["data"] == {"any": value}, output
    if api == "openai":
        assert llm.bodies[0]["text"]["format"]["strict"] is False
    else:
        assert "output_config" not in llm.bodies[0] and "JSON Schema" in llm.bodies[0]["system"]


def test_a_server_that_knows_no_schemas_is_told_in_words(asked, llm):
    llm.replies = [Reply('```json\n{"name": "x", "tags": []}\n```')]
    assert asked(model="plain/m-1", prompt="?", system="S.", schema=SCHEMA)["data"] == {"name": "x", "tags": []}
    system = llm.bodies[0]["messages"][0]["content"]
    assert "response_format" not in llm.bodies[0] and system.startswith("S.\n") and '"maxItems":2' in system


@pytest.mark.parametrize("answer,wrong", [
    ("no JSON", "the answer is no JSON"),
    ('{"name": "x"}', "/tags: is missing"),
    ('{"name": "", "tags": []}', "/name: is shorter than 1"),
    ('{"name": "x", "tags": ["c"]}', '/tags/0: is none of ["a","b"]'),
    ('{"name": "x", "tags": ["a", "a", "a"]}', "/tags: has more than 2 items"),
    ('{"name": 7, "tags": []}', "/name: is of type integer, not string"),
    ('{"name": "x", "tags": {"a": 1}}', "/tags: is of type object, not array"),
    ("[1]", ": is of type array, not object"),
])
def test_what_does_not_fit_is_sent_back_and_then_an_error_with_the_text(asked, llm, answer, wrong):
    llm.replies = [Reply(answer), Reply('{"name": "x", "tags": []}')]
    output = asked(prompt="?", schema=SCHEMA)
    assert output["data"]["name"] == "x" and output["usage"]["calls"] == 2 and output["usage"]["input_tokens"] == 200
    said = llm.bodies[1]["messages"]
    assert said[-2] == {"role": "assistant", "content": answer} and wrong in said[-1]["content"], said
    llm.replies = [Reply(answer)] * 3
    error = asked(prompt="?", schema=SCHEMA)
    assert (error["code"], error["class"]) == ("llm.schema", "permanent") and wrong in error["message"] and error["message"].endswith("the answer was: " + answer)
    assert len(llm.bodies) == 5


def test_an_answer_that_was_cut_is_not_repaired_and_a_schema_is_checked_itself(asked, llm):
    llm.replies = [Reply('{"name": "x', finish="length")]
    error = asked(prompt="?", schema=SCHEMA, max_tokens=16)
    assert error["code"] == "llm.length" and len(llm.bodies) == 1
    llm.replies = [Reply("half of", finish="length")]
    assert asked(prompt="?", max_tokens=16)["finish"] == "length"
    error = asked(prompt="?", schema={"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}})
    assert error["code"] == "llm.schema" and "schema.properties.a: the keyword 'pattern' is not supported" in error["message"]
    assert asked(prompt="?", schema={"type": "array"})["message"] == "schema: its outermost type must be object"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault,codes", [
    ("cut", ["llm.network"]), ("garbage", ["llm.stream"]), ("silence", ["llm.stream"]), ("error", ["llm.overloaded"]), ("stall", ["llm.timeout"]),
])
def test_a_stream_that_breaks_is_told_and_another_model_takes_over(asked, llm, api, fault, codes):
    llm.replies = [Reply("a long answer, of which half comes", fault=fault), Reply("whole")]
    output = asked(api, prompt="?", model="good", idle="100ms")
    assert output["text"] == "whole" and (output["provider"], output["model"]) == ("other", "m-2"), output
    assert [(one["model"], one["code"]) for one in output["passed"]] == [("main/m-1", code) for code in codes]
    llm.replies = [Reply("a long answer, of which half comes", fault=fault)]
    error = asked(api, prompt="?", idle="100ms")
    assert error["code"] in codes and error["class"] == "transient", error


@pytest.mark.parametrize("api,told,code", [
    ("openai", "rate_limit_exceeded", "llm.rate"), ("openai", "insufficient_quota", "llm.auth"), ("openai", "context_length_exceeded", "llm.context"),
    ("openai", "invalid_prompt", "llm.refused"), ("openai", "bio_policy", "llm.refused"), ("openai", "invalid_image", "llm.request"),
    ("openai", "server_is_overloaded", "llm.overloaded"), ("openai-chat", "rate_limit_exceeded", "llm.rate"), ("openai-chat", "context_length_exceeded", "llm.context"),
    ("openai-chat", 400, "llm.request"), ("openai-chat", 502, "llm.overloaded"), ("anthropic", "rate_limit_error", "llm.rate"), ("anthropic", "billing_error", "llm.auth"),
    ("anthropic", "timeout_error", "llm.overloaded"), ("anthropic", "invalid_request_error", "llm.request"),
])
def test_an_error_inside_of_an_answer_has_the_class_of_its_code(asked, llm, api, told, code):
    llm.replies = [Reply("a long answer", fault="error", code=told)]
    assert asked(api, prompt="?")["code"] == code
    if api == "openai":  # the same as an event of its own, with the error inside
        llm.replies = [Reply("a long answer", fault="error", code=told, is_loose=True)]
        assert asked(api, prompt="?")["code"] == code


def test_a_limit_that_is_told_inside_of_an_answer_says_when_it_is_over(asked, llm):
    llm.replies = [Reply("a long answer", fault="error", code="rate_limit_exceeded"), Reply("whole")]
    started = time.monotonic()
    assert asked("openai", prompt="?", attempts=2)["text"] == "whole" and time.monotonic() - started > 1.5


@pytest.mark.parametrize("words, least, most", [("Please try again in 1.2s.", 1.2, 30), ("try again in 1s20ms. Visit", 1.02, 30)])
def test_a_limit_that_says_when_it_is_over_is_not_waited_for_until_all_is_there_again(asked, llm, words, least, most):
    """The headers have the time until the whole of the limit is there, which is far longer."""
    llm.fail(429, {"error": {"message": f"Rate limit reached for m-1. {words}", "type": "tokens", "code": "rate_limit_exceeded"}},
             headers={"x-ratelimit-reset-requests": "8.64s", "x-ratelimit-reset-tokens": "6m0s"})
    started = time.monotonic()
    output = asked("openai", prompt="?", attempts=2)
    assert output.get("text") == "You said: ?" and least < time.monotonic() - started < most, output


def test_an_answer_is_whole_where_the_last_event_does_not_repeat_it(asked, llm):
    llm.replies = [Reply("whole", is_loose=True)]
    assert asked("openai", prompt="?")["text"] == "whole"


def test_a_block_of_anthropic_that_has_no_end_of_its_own_ends_with_the_message(asked, llm):
    llm.replies = [Reply("whole", is_loose=True)]
    assert asked("anthropic", prompt="?")["text"] == "whole"


@pytest.mark.parametrize("finish, code", [("insufficient_system_resource", "llm.overloaded"), ("error", "llm.overloaded"), ("content_filter", "llm.refused")])
def test_half_of_an_answer_is_none_whatever_a_server_calls_it(asked, llm, finish, code):
    llm.replies = [Reply("half of it", finish=finish)]
    error = asked(prompt="?")
    assert error.get("code") == code, error
    llm.replies = [Reply("half of it", finish="model_length")]
    assert asked(prompt="?")["finish"] == "length"


def test_the_length_of_an_answer_may_go_by_its_newer_name(asked, llm):
    asked(prompt="?", options={"max_completion_tokens": 9})
    assert llm.bodies[0]["max_completion_tokens"] == 9 and "max_tokens" not in llm.bodies[0]


REFUSALS = [
    (429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}, "llm.rate", "transient"),
    (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}, "llm.auth", "permanent"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "llm.overloaded", "transient"),
    (500, None, "llm.overloaded", "transient"),
    (401, {"error": {"message": "no"}}, "llm.auth", "permanent"),
    (402, {"type": "error", "error": {"type": "billing_error", "message": "Your credit balance is too low"}}, "llm.auth", "permanent"),
    (404, {"error": {"message": "no such model"}}, "llm.model", "permanent"),
    (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, "llm.context", "permanent"),
    (400, {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}}, "llm.context", "permanent"),
    (400, {"error": {"message": "the request exceeds", "type": "exceed_context_size_error", "code": 400}}, "llm.context", "permanent"),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 9 + 9 > 10"}}, "llm.context", "permanent"),
    (400, {"error": {"message": "The response was filtered", "code": "content_filter"}}, "llm.refused", "permanent"),
    (403, {"error": {"message": "no access to the model", "type": "invalid_request_error", "code": "model_not_found"}}, "llm.model", "permanent"),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}, "llm.auth", "permanent"),
    (400, {"error": {"message": "bad"}}, "llm.request", "permanent"),
]


@pytest.mark.parametrize("status,body,code,kind", REFUSALS)
def test_a_refusal_has_a_class(asked, llm, status, body, code, kind):
    llm.fail(status, body)
    error = asked(prompt="?")
    assert (error["code"], error["class"]) == (code, kind) and str(status) in error["message"], error


def test_what_the_chain_takes_over_is_chosen_by_class(asked, llm):
    llm.fail(401, {"error": {"message": "no"}})
    assert asked(prompt="?", model="good")["code"] == "llm.auth"
    llm.fail(401, {"error": {"message": "no"}})
    assert asked(prompt="?", fallback=["plain/m-2"], fallback_on=["auth"])["provider"] == "plain"
    llm.fail(429, times=2)
    error = asked(prompt="?", model="good")
    assert error["code"] == "llm.rate" and len(llm.bodies) == 1
    llm.replies = [Reply("", finish="refusal")]
    assert asked(prompt="?")["code"] == "llm.refused"


def test_retry_after_is_waited_for_and_the_shared_limit_pauses(make_engine, llm):
    engine = make_engine(CONFIG + f"""
secrets: {{LLM_KEY: {{env: LLM_KEY}}}}
limits: {{llm: {{concurrency: 4}}}}
configure: {{llm: {{providers: [{{name: main, api: openai, key: {{secret: LLM_KEY}}, base_url: '{llm.url}/v1'}}], default: m-1}}}}
""")
    engine.env["LLM_KEY"] = KEY
    engine.write("workflows/w.yaml", "name: w\non: [{event: open.ping}]\nsteps: [{id: s, uses: llm/chat@1, with: {prompt: hi}, retry: {attempts: 2, delay: 1ms}}]\n")
    llm.fail(429, {"error": {"message": "slow down"}}, headers={"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"})
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    [run] = wait_for("the pause", lambda: engine.rows("runs", "--state", "parked"))
    [step] = engine.show_run(run["run"])["steps"]
    failure = step["failures"][0]
    assert failure["error"]["code"] == "llm.rate" and step["due_ms"] - failure["at_ms"] >= 359000, step
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    assert len(llm.requests) == 1
    engine.kill()  # what waits for the limit would hold up a stop


class HeldInTheMiddle(LLM):
    """No answer goes on before all have begun: what their attempts know waits in the worker side by side."""

    def __init__(self, count):
        super().__init__()
        self.all_there = threading.Barrier(count)

    def stream(self, reply, events):
        answer = super().stream(reply, events)
        parts = list(answer.body)

        def body():
            yield from parts[:len(parts) // 2]
            self.all_there.wait(60)
            yield from parts[len(parts) // 2:]
        return dataclasses.replace(answer, body=body())


def test_answers_that_come_at_the_same_time_reach_the_step_that_asked(make_engine):
    """More than share a Lua state, of several providers, and of two workflows."""
    count = 70
    with HeldInTheMiddle(count) as llm:
        providers = ", ".join(f"{{name: {api}, api: {api}, key: {{secret: LLM_KEY}}, base_url: '{base_of(llm, api)}'}}" for api in APIS)
        engine = make_engine(CONFIG + f"workers: 1\nsecrets: {{LLM_KEY: {{env: LLM_KEY}}}}\nconfigure: {{llm: {{providers: [{providers}], default: openai/m-1}}}}\n")
        engine.env["LLM_KEY"] = KEY
        for name, odd in (("even", 0), ("odd", 1)):
            engine.write(f"workflows/{name}.yaml", f"""
name: {name}
on: [{{event: open.ping, if: "${{{{ event.data.n % 2 == {odd} }}}}"}}]
steps:
  - {{id: before, set: {{n: "${{{{ event.data.n }}}}"}}}}
  - {{id: ask, uses: llm/chat@1, with: {{model: "${{{{ event.data.model }}}}", prompt: "{name} ${{{{ steps.before.n }}}}"}}}}
outputs: {{n: "${{{{ event.data.n }}}}", before: "${{{{ steps.before.n }}}}", text: "${{{{ steps.ask.text }}}}"}}
""")
        engine.start()
        for number in range(count):
            engine.request("POST", "/in/open", json.dumps({"n": number, "model": APIS[number % 3] + "/m-1"}).encode(), {"Content-Type": "application/json"})
        found = sorted((run["output"]["n"], run["output"]["before"], run["output"]["text"]) for run in engine.finished_runs(count))
        assert found == [(number, number, f"You said: {('even', 'odd')[number % 2]} {number}") for number in range(count)]


def test_budgets_of_a_step_hold_over_repairs_and_models(asked, llm):
    llm.replies = [Reply("{}")] * 9
    error = asked(prompt="?", schema=SCHEMA, repair=5, budget={"calls": 2}, model="good")
    assert (error["code"], error["class"]) == ("llm.budget", "permanent") and len(llm.bodies) == 2, error
    error = asked(prompt="?", budget={"money": 0.01})
    assert error["code"] == "llm.budget" and "0.010000" in error["message"] and len(llm.bodies) == 2, error
    assert asked(prompt="?", budget={"money": 0.01}, max_tokens=200)["text"]
    error = asked(prompt="?", model="unheard-of", budget={"money": 5})
    assert error["code"] == "llm.budget" and "nobody knows what a call to unheard-of costs" in error["message"]


def test_a_model_without_a_price_has_no_cost_and_a_server_that_says_no_usage_is_estimated(asked, llm):
    llm.replies = [Reply("abcdef", usage=None)]
    output = asked(prompt="?" * 300, model="unheard-of")
    assert "cost" not in output["usage"] and output["usage"]["input_tokens"] > 100 and output["usage"]["output_tokens"] == 2


def test_texts_become_vectors(asked, llm):
    output = asked(action="embed", texts=["a", "bcd"], dimensions=2)
    assert output == {"vectors": [[1, 0.5], [3, 0.5]], "model": "m-1", "provider": "main",
                      "usage": {"calls": 1, "input_tokens": 4, "total_tokens": 4, "cost": 0.000008}}
    assert asked(action="embed", texts=["a"], model="other/m-2")["code"] == "llm.model"
    assert asked(action="embed", texts=[]) == {"vectors": [], "usage": {"calls": 0, "input_tokens": 0, "cost": 0}}


def test_without_a_provider_the_error_says_what_to_write(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", "name: w\non: [{manual: true}]\nsteps: [{id: s, uses: llm/chat@1, with: {prompt: hi, model: m}}]\n")
    result = engine.run("run", "w", check=False)
    assert "configure: {llm: {providers:" in result.stdout, result.stdout
