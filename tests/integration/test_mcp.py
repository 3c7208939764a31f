"""The mcp plugin asks servers that are made of the SDKs of the protocol's makers, and a fake for what those never do."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import CONFIG, ROOT, wait_for
from fakes.server import Answer, Server
from steps import came_to, run_steps

NPM = ROOT / "tests" / "integration" / "npm"
with_sdk = pytest.mark.skipif(not (NPM / "node_modules").is_dir(), reason="the npm servers are not installed (scripts/test installs them)")
CONFIGURED = CONFIG + """
secrets: {TOKEN: {env: MCP_TOKEN}}
configure:
  mcp: {servers: [{name: tools, url: "http://127.0.0.1:%d/mcp", token: {secret: TOKEN}}]}
"""


def make(make_engine, port):
    engine = make_engine(CONFIGURED % port)
    engine.env["MCP_TOKEN"] = "let-me-in"
    return engine


def use(engine, action, given, server="tools"):
    return came_to(engine, f"mcp/{action}@1", {"server": server, **given})


class Sdk:
    """One process for all tests of the module."""

    def __init__(self, log, *kind):
        self.log, self.seen = log, 1
        self.process = subprocess.Popen(["node", NPM / "mcp.mjs", *kind], stdout=log.open("w"))
        wait_for("the server's port", lambda: log.read_text().endswith("\n"))
        self.port = int(log.read_text())

    def requests(self):
        """Those since it was asked last, and the ends of sessions."""
        lines = self.log.read_text().splitlines()[self.seen:]
        self.seen += len(lines)
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module", params=["today auto", "today sse", "before", "before json"], ids=lambda kind: kind.replace(" ", "-"))
def sdk(request, tmp_path_factory):
    sdk = Sdk(tmp_path_factory.mktemp("mcp") / "log", *request.param.split())
    sdk.is_of_today = request.param.startswith("today")
    yield sdk
    sdk.process.kill()
    sdk.process.wait()


@with_sdk
def test_a_tool_is_called(make_engine, sdk):
    engine = make(make_engine, sdk.port)
    sdk.requests()
    output = use(engine, "call", {"tool": "add", "arguments": {"a": 2, "b": 40}})
    assert output == {"text": "2 + 40\n= 42", "structured": {"sum": 42}, "content": [{"type": "text", "text": "2 + 40"}, {"type": "text", "text": "= 42"}]}
    requests = sdk.requests()
    if sdk.is_of_today:
        [request] = requests  # nothing else is needed
        assert request["headers"]["mcp-name"] == "add" and "mcp-session-id" not in request["headers"]
        assert request["body"]["params"]["_meta"]["bellwire/idempotencyKey"]
    else:
        assert [request["body"]["method"] for request in requests if request.get("body")] == [
            "tools/call", "initialize", "notifications/initialized", "tools/call"]
        assert {"closed": True} in requests  # the session was ended


@with_sdk
def test_tools_are_listed(make_engine, sdk):
    tools = use(make(make_engine, sdk.port), "tools", {})["tools"]
    assert [tool["name"] for tool in tools] == ["add", "fail", "größe ü", "picture"]
    assert tools[0]["description"] == "Adds." and set(tools[0]["inputSchema"]["properties"]) == {"a", "b"}


@with_sdk
def test_what_a_tool_refuses_fails_the_step(make_engine, sdk):
    engine = make(make_engine, sdk.port)
    error = use(engine, "call", {"tool": "fail"})
    assert (error["code"], error["message"], error["class"]) == ("mcp.tool_failed", "no ink", "permanent")
    error = use(engine, "call", {"tool": "add", "arguments": {"a": "x"}})
    assert error["code"] == "mcp.tool_failed" and "Invalid" in error["message"]
    assert use(engine, "call", {"tool": "none"})["code"] in ("mcp.error", "mcp.tool_failed")


@with_sdk
def test_a_name_that_no_header_holds_and_content_without_text(make_engine, sdk):
    engine = make(make_engine, sdk.port)
    assert use(engine, "call", {"tool": "größe ü"})["text"] == "here"
    assert use(engine, "call", {"tool": "picture"}) == {"text": "", "content": [{"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}]}


@with_sdk
def test_who_is_not_let_in_hears_it(make_engine, sdk):
    engine = make(make_engine, sdk.port)
    engine.env["MCP_TOKEN"] = "let-me-in-please"
    error = use(engine, "call", {"tool": "add"})
    assert error["code"] == "mcp.401" and "who are you?" in error["message"] and "let-me-in" not in error["message"]


def test_a_server_that_is_not_configured_is_named(make_engine):
    engine = make(make_engine, 9)
    error = use(engine, "call", {"tool": "add"}, server="toolz")
    assert error["code"] == "mcp.server" and "bellwire.yaml has tools" in error["message"]
    engine.write("bellwire.yaml", CONFIG)
    assert "configure: {mcp: {servers: [{name: tools, url: …}]}}" in use(engine, "call", {"tool": "add"})["message"]


# ---- what those servers never do ----

class Fake(Server):
    """Answers each request by the next of `answers`: a result, or a function of the request."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)
        self.on("POST", "/mcp", self.answer)

    def answer(self, request):
        accept = request.headers.get("accept", "")
        if "application/json" not in accept or "text/event-stream" not in accept:  # of every message, also of one that has no answer
            return 406, {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Not Acceptable: Client must accept both"}}
        answer = self.answers.pop(0)
        if callable(answer):
            return answer(request)
        return {"jsonrpc": "2.0", "id": request.json["id"], "result": answer}


def refusal(status, code, data=None):
    return lambda request: (status, {"jsonrpc": "2.0", "id": request.json["id"], "error": {"code": code, "message": "because", "data": data}})


def stream(*messages):
    def answer(request):
        filled = [{**message, "id": request.json["id"]} if message.get("id") == "same" else message for message in messages]
        return Answer(200, "".join(f"event: message\ndata: {json.dumps(message)}\n\n" for message in filled).encode(), {"Content-Type": "text/event-stream"})
    return answer


DONE = {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}
TOOL = {"name": "query", "inputSchema": {"type": "object", "properties": {
    "region": {"type": "string", "x-mcp-header": "Region"}, "at": {"type": "object", "properties": {"row": {"type": "integer", "x-mcp-header": "Row"}}},
    "dry": {"type": "boolean", "x-mcp-header": "Dry"}, "none": {"type": "string", "x-mcp-header": "None"}, "sql": {"type": "string"}}}}


def test_a_server_of_today_that_refuses_with_an_error_of_json_rpc_is_told_with_that_one(make_engine):
    with Fake(refusal(400, -32602), refusal(400, -32020)) as fake:
        error = use(make(make_engine, fake.port), "call", {"tool": "none"})
        assert error["code"] == "mcp.error" and "tools/call" in error["message"] and "-32602" in error["message"], error


def test_arguments_that_belong_into_headers_are_looked_up_and_sent_there(make_engine):
    with Fake(refusal(400, -32020), {"tools": [], "nextCursor": "2"}, {"tools": [TOOL]}, DONE) as fake:
        engine = make(make_engine, fake.port)
        output = use(engine, "call", {"tool": "query", "arguments": {"region": " Zürich", "at": {"row": 7}, "dry": False, "sql": "select 1"}})
        assert output["text"] == "done"
        last = fake.requests[-1].headers
        assert (last["mcp-param-region"], last["mcp-param-row"], last["mcp-param-dry"]) == ("=?base64?IFrDvHJpY2g=?=", "7", "false")
        assert "mcp-param-none" not in last and "mcp-param-sql" not in last
        assert fake.requests[2].json["params"]["cursor"] == "2" and fake.requests[0].json["params"]["_meta"] == fake.requests[3].json["params"]["_meta"]


@pytest.mark.parametrize("answers, code", [
    ([refusal(400, -32020), {"tools": []}, refusal(400, -32020)], "mcp.error"),               # once, not for ever
    ([refusal(400, -32022, {"supported": ["2030-01-01"]})], "mcp.error"),
    ([refusal(404, -32601)], "mcp.error"),
    ([refusal(200, -32602)], "mcp.error"),
    ([{"resultType": "input_required", "inputRequests": {}}], "mcp.input_required"),
    ([lambda request: (200, {"hello": "you"})], "mcp.no_answer"),
    ([lambda request: Answer(200, b"hello", {"Content-Type": "text/plain"})], "mcp.no_answer"),
    ([stream({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})], "mcp.no_answer"),
    ([lambda request: (503, None, {"Retry-After": "7"})], "mcp.503"),
    ([lambda request: (429, None)], "mcp.429"),
    ([lambda request: (403, None)], "mcp.403"),
])
def test_answers_that_are_none(make_engine, answers, code):
    with Fake(*answers) as fake:
        error = use(make(make_engine, fake.port), "call", {"tool": "add"})
        assert error["code"] == code and (error["class"] == "transient") == (code in ("mcp.503", "mcp.429"))
        assert not fake.answers


def test_a_stream_that_is_cut_is_a_failure_that_is_tried_again(make_engine):
    with Fake(stream({"jsonrpc": "2.0", "id": "same", "result": DONE})) as fake:
        fake.cut(after=30)
        error = use(make(make_engine, fake.port), "call", {"tool": "add"})
        assert (error["code"], error["class"]) == ("http.network", "transient")


def test_a_server_of_before_that_asks_something_itself_is_told_that_nobody_is_here(make_engine):
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
    asks = stream({"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "sampling/createMessage", "params": {}},
                  {"jsonrpc": "2.0", "id": "same", "result": DONE})
    with Fake(refusal(400, -32022, {"supported": ["2025-06-18"]}), hello, lambda request: (202, None), asks, lambda request: (202, None), lambda request: (202, None)) as fake:
        assert use(make(make_engine, fake.port), "call", {"tool": "add"})["text"] == "done"
        assert fake.requests[3].headers["mcp-protocol-version"] == "2025-06-18"
        ping, sampling = (request.json for request in fake.requests[4:])
        assert ping == {"jsonrpc": "2.0", "id": 1, "result": {}} and sampling["id"] == 2 and sampling["error"]["code"] == -32601


# ---- servers that are programs ----

PROGRAM = """#!/usr/bin/python3
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if "method" not in message or "id" not in message: continue
    how = sys.argv[1]
    if how == "dies": sys.exit(3)
    if how == "hangs" and message["method"] != "initialize":
        if not os.fork(): os.execlp("sleep", "sleep", "1007.3")
        print("waiting", file=sys.stderr, flush=True)
        os.execlp("sleep", "sleep", "1007.3")
    if how == "talks":
        print("hello there\\n[]\\n7")
        for more in ({"method": "ping", "id": "a"}, {"method": "sampling/createMessage", "id": "b"}, {"method": "notifications/progress"}, {"id": 99, "result": {}}):
            print(json.dumps({"jsonrpc": "2.0", **more}), flush=True)
        heard = [json.loads(sys.stdin.readline()) for _ in range(2)] if message["method"] == "initialize" else []
        if heard: open(sys.argv[2], "w").write(json.dumps(heard))
    if how == "boasts": print("x" * 3000, end="")
    if how == "mute": print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": 7}), flush=True)
    else: print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": message["method"]}]}}), flush=True)
"""


def with_programs(make_engine, more=""):
    engine = make_engine()
    engine.write("server", PROGRAM, 0o755)
    programs = [{"name": kind, "run": ["/usr/bin/node", f"{NPM}/mcp.mjs", "stdio", kind]} for kind in ("today", "both", "before")]
    programs += [{"name": how, "run": [f"{engine.folder}/server", how, f"{engine.folder}/heard"]} for how in ("dies", "hangs", "talks", "boasts", "mute")]
    config = {"exec": {"programs": programs, "files": ["/"], "output_bytes": 2000}, "mcp": {"servers": [{"name": one["name"], "program": one["name"]} for one in programs]}}
    engine.write("bellwire.yaml", CONFIG + f"configure: {json.dumps(config)}\n{more}")
    return engine


@with_sdk
@pytest.mark.parametrize("kind", ["today", "both", "before"])
def test_a_server_that_is_a_program_is_asked_the_same(make_engine, kind):
    engine = with_programs(make_engine)
    ends, _ = run_steps(engine, *((f"mcp/{action}@1", {"server": kind, **given}) for action, given in (
        ("call", {"tool": "add", "arguments": {"a": 2, "b": 40}}), ("call", {"tool": "fail"}), ("call", {"tool": "none"}), ("call", {"tool": "größe ü"}), ("tools", {}))))
    told = {end["step"]: end.get("output") or end["error"] for end in ends}
    assert told["s1"] == {"text": "2 + 40\n= 42", "structured": {"sum": 42}, "content": [{"type": "text", "text": "2 + 40"}, {"type": "text", "text": "= 42"}]}
    assert (told["s2"]["code"], told["s2"]["message"]) == ("mcp.tool_failed", "no ink") and told["s3"]["code"] in ("mcp.error", "mcp.tool_failed")
    assert told["s4"]["text"] == "here" and [tool["name"] for tool in told["s5"]["tools"]] == ["add", "fail", "größe ü", "picture"]


def test_a_program_may_greet_and_ask_and_is_told_that_nobody_is_here(make_engine):
    engine = with_programs(make_engine)
    assert use(engine, "call", {"tool": "x"}, server="talks")["text"] == "tools/call"
    ping, sampling = json.loads((engine.folder / "heard").read_text())
    assert ping == {"jsonrpc": "2.0", "id": "a", "result": {}} and sampling["id"] == "b" and sampling["error"]["code"] == -32601


@pytest.mark.parametrize("server,code,part", [("dies", "exec.no_answer", "dies: dies has ended"), ("boasts", "exec.output_too_large", "2000 bytes"), ("mute", "mcp.no_answer", "mute: tools/call: the answer has no result")])
def test_programs_that_do_not_answer(make_engine, server, code, part):
    error = use(with_programs(make_engine), "call", {"tool": "x"}, server=server)
    assert error["code"] == code and part in error["message"]


def test_a_program_that_hangs_costs_its_attempt_and_nothing_of_it_is_left(make_engine):
    engine = with_programs(make_engine)
    engine.write("workflows/w.yaml", "name: w\non: [{event: open.ping}]\nsteps: [{id: a, uses: mcp/call@1, timeout: 12s, retry: {attempts: 1}, with: {server: hangs, tool: x}}]\n")
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    engine.wait_log("plugin.log", message="waiting")
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed", run
    wait_for("its end", lambda: b"\0".join([b"sleep", b"1007.3", b""]) not in [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)])


def test_an_instance_that_runs_no_programs_says_what_to_write(make_engine):
    engine = make_engine(CONFIG + "configure: {mcp: {servers: [{name: tools, program: files}, {name: none}]}}\n")
    error = use(engine, "call", {"tool": "x"})
    assert error["code"] == "mcp.program" and "{exec: {programs: [{name: files" in error["message"]
    assert "neither url nor program" in use(engine, "call", {"tool": "x"}, server="none")["message"]
