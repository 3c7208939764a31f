"""Workflows as tools (`expose: mcp`): by the clients of the protocol's makers, and by hand for what those never send."""
import base64
import hashlib
import hmac
import http.client
import json
import socket
import subprocess

import pytest
from conftest import BINARY, DEADLINE, ROOT, wait_for

from test_approve import asked

NPM = ROOT / "tests" / "integration" / "npm"
with_sdk = pytest.mark.skipif(not (NPM / "node_modules").is_dir(), reason="the npm clients are not installed (scripts/test installs them)")
TODAY, BEFORE = "2026-07-28", "2025-11-25"
META = {"io.modelcontextprotocol/protocolVersion": TODAY, "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "hand", "version": "9"}}
CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  agents:
    path: /mcp
    verify: bearer
    secrets: {token: {env: MCP_TOKEN}}
    mcp: {within: 60s, origins: ["https://agents.example"]}
  quick:
    path: /quick
    verify: bearer
    secrets: {token: {env: MCP_TOKEN}}
    mcp: {within: 1ms}
    max_body: 4KiB
  open:
    path: /in/open
    verify: none
    event: ping
"""
PRICE = """
name: price
description: What so many pieces cost.
expose: {mcp: {name: price_of, title: Price}}
inputs:
  pieces: {type: integer, required: true, min: 1, doc: how many}
  currency: {type: string, enum: [EUR, USD], default: EUR}
steps:
  - {id: sum, if: "${{ inputs.pieces ~= 13 }}", set: {cents: "${{ inputs.pieces * 250 }}"}}
  - {id: unlucky, if: "${{ inputs.pieces == 13 }}", effect: none, lua: "error('not thirteen', 0)"}
outputs: {cents: "${{ steps.sum.cents }}", currency: "${{ inputs.currency }}"}
"""
REFUND = """
name: refund
description: Pays an order back when somebody has approved it.
expose: mcp
inputs: {order: {type: string, required: true}}
steps:
  - id: ask
    approve:
      message: "Pay ${{ inputs.order }} back?"
      choices: [pay, keep]
      timeout: 2d
      notify: {lua: "return {url = input.url}", with: {url: "${{ approval.url }}"}}
  - {id: done, set: {paid: "${{ steps.ask.choice == 'pay' }}"}}
outputs: {paid: "${{ steps.done.paid }}"}
"""
PINGED = """
name: pinged
on: [{event: open.ping}]
steps: [{id: note, set: {seen: true}}]
"""


def make(make_engine, *workflows, config=CONFIG):
    engine = make_engine(config)
    engine.env["MCP_TOKEN"] = "let-me-in"
    for number, text in enumerate(workflows):
        engine.write(f"workflows/w{number}.yaml", text)
    return engine


def post(engine, message, headers=None, path="/mcp", token="let-me-in", method="POST"):
    """(status, answer or None, headers)"""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", **(headers or {})}
    return engine.request(method, path, body, {name: value for name, value in given.items() if value is not None})


def of_today(method, params=None, **fields):
    """A message with all that the revision asks for, and its headers."""
    params = {"_meta": META, **(params or {})}
    headers = {"MCP-Protocol-Version": TODAY, "Mcp-Method": method, **({"Mcp-Name": params["name"]} if "name" in params else {})}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params, **fields}, headers


def call(engine, tool, arguments, key=None, path="/mcp"):
    """The result of the tool."""
    meta = {**META, **({"bellwire/idempotencyKey": key} if key else {})}
    status, answer, _ = post(engine, *of_today("tools/call", {"name": tool, "arguments": arguments, "_meta": meta}), path=path)
    assert status == 200 and answer["id"] == 7 and answer["result"]["resultType"] == "complete", (status, answer)
    return answer["result"]


def text(result):
    [content] = result["content"]
    assert content["type"] == "text"
    return content["text"]


def tools(engine, path="/mcp"):
    found, cursor = [], None
    while True:
        status, answer, _ = post(engine, *of_today("tools/list", {"cursor": cursor} if cursor else None), path=path)
        assert status == 200 and answer["result"]["cacheScope"] == "private" and answer["result"]["ttlMs"] > 0
        found += answer["result"]["tools"]
        cursor = answer["result"].get("nextCursor")
        if not cursor:
            return found


class Sdk:
    def __init__(self, kind, engine, *command, token="let-me-in"):
        where = command or (f"http://127.0.0.1:{engine.port}/mcp", token)
        self.process = subprocess.Popen(["node", NPM / "mcp_client.mjs", kind, *where], text=True, cwd=engine.folder, env=engine.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.hello = self.line()

    def line(self):
        return json.loads(self.process.stdout.readline())

    def do(self, *what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.line()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0


@with_sdk
@pytest.mark.parametrize("kind", ["today", "before"])
def test_a_client_of_the_makers_finds_and_calls_tools(make_engine, kind):
    engine = make(make_engine, PRICE, PINGED).start()
    sdk = Sdk(kind, engine)
    assert sdk.hello["server"]["name"] == "bellwire" and sdk.hello["capabilities"] == {"tools": {}}
    listed = {tool["name"]: tool for tool in sdk.do("listTools")["result"]["tools"]}
    assert set(listed) == {"get_run", "price_of"}  # what is not exposed is no tool
    price = listed["price_of"]
    assert price["title"] == "Price" and price["description"] == "What so many pieces cost." and price["annotations"] == {"readOnlyHint": True}
    assert price["inputSchema"] == {
        "type": "object", "required": ["pieces"], "additionalProperties": False,
        "properties": {"pieces": {"type": "integer", "minimum": 1, "description": "how many"},
                       "currency": {"type": "string", "enum": ["EUR", "USD"], "default": "EUR"}}}
    good = sdk.do("callTool", {"name": "price_of", "arguments": {"pieces": 3}})["result"]
    assert good["structuredContent"] == json.loads(text(good)) == {"cents": 750, "currency": "EUR"} and not good["isError"]
    for arguments, words in [({"pieces": 0}, "pieces: must be at least 1"), ({}, "pieces"), ({"pieces": 1, "curency": "EUR"}, "currency")]:
        refused = sdk.do("callTool", {"name": "price_of", "arguments": arguments})["result"]
        assert refused["isError"] and words in text(refused), refused
    failed = sdk.do("callTool", {"name": "price_of", "arguments": {"pieces": 13}})["result"]
    assert failed["isError"] and failed["structuredContent"]["error"] == {"code": "lua.error", "message": "not thirteen", "step": "unlucky"}
    assert all(word in text(failed) for word in ("lua.error", "not thirteen", "unlucky", failed["_meta"]["bellwire/run"]))
    known = sdk.do("callTool", {"name": "get_run", "arguments": {"run_id": good["_meta"]["bellwire/run"]}})["result"]
    assert known["structuredContent"] == {"run_id": good["_meta"]["bellwire/run"], "status": "succeeded", "is_over": True, "outputs": {"cents": 750, "currency": "EUR"}}
    assert sdk.do("callTool", {"name": "nothing", "arguments": {}})["code"] == -32602
    sdk.close()
    assert len(engine.rows("events")) == 2  # what was refused is stored nowhere


@with_sdk
@pytest.mark.parametrize("kind", ["today", "before"])
def test_a_client_of_the_makers_is_refused_without_the_token(make_engine, kind):
    engine = make(make_engine, PRICE).start()
    assert "error" in Sdk(kind, engine, token="wrong").hello
    [refused] = wait_for("the record", lambda: engine.rows("deliveries"))  # a refusal is answered before it is recorded
    assert refused["status"] == 401 and not engine.rows("events")


def test_a_call_is_seen_with_who_has_made_it(make_engine):
    engine = make(make_engine, PRICE, PINGED).start()
    run = call(engine, "price_of", {"pieces": 2})["_meta"]["bellwire/run"]
    shown = engine.show_run(run)
    assert shown["event_name"] == "agents.tools.price_of" and shown["caller"] == "the tool price_of, called by MCP through the source agents, by who calls itself hand 9"
    assert shown["caller"] in engine.run("runs", "show", run).stdout
    called, *verdicts = engine.rows("why", shown["event"])
    assert called == {"decided": "called", "message": shown["caller"]}
    assert {row["workflow"]: row["decided"] for row in verdicts} == {"price": "ran", "pinged": "other"}
    [delivery] = engine.rows("deliveries")
    assert delivery["status"] == 200 and delivery["source"] == "agents"


def test_a_token_says_who_has_called(make_engine):
    engine = make(make_engine, PRICE, config=CONFIG + """
  staff:
    path: /staff
    verify: staff
    secrets: {secret: {env: JWT_SECRET}}
    mcp: true
""")
    engine.env["JWT_SECRET"] = "x" * 32
    engine.write("schemes/staff.yaml", """
doc: "Tokens of the staff"
alg: jwt
key: {secret: secret}
sig: {from: "header:authorization", prefix: "Bearer "}
jwt: {algs: [HS256], needs_exp: true, claims: {aud: bellwire}}
""")
    engine.start()

    def token(**claims):
        def part(value):
            return base64.urlsafe_b64encode(value).rstrip(b"=")
        signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps({"aud": "bellwire", "exp": 4102444800, **claims}).encode())
        return (signed + b"." + part(hmac.new(b"x" * 32, signed, hashlib.sha256).digest())).decode()

    def called(by):
        message, headers = of_today("tools/call", {"name": "price_of", "arguments": {"pieces": 1}})
        status, answer, _ = post(engine, message, headers, path="/staff", token=by)
        return engine.show_run(answer["result"]["_meta"]["bellwire/run"])["caller"] if status == 200 else status
    assert called(token(sub='ann "a" <ann@shop.example>')).endswith('source staff, by ann "a" <ann@shop.example> (it calls itself hand 9)')
    for nobody in ({}, {"sub": 7}, {"sub": "n" * 500}):
        assert called(token(**nobody)).endswith("source staff, by who calls itself hand 9")
    assert called(token(sub="ann", aud="other")) == 401


def test_what_takes_longer_is_told_by_get_run(make_engine):
    engine = make(make_engine, REFUND).start()
    result = call(engine, "refund", {"order": "A-1"}, path="/quick")
    run = result["structuredContent"]["run_id"]
    assert not result["isError"] and not result["structuredContent"]["is_over"] and run in text(result) and "get_run" in text(result)
    (asked_run, link), = asked(engine)
    assert asked_run == run
    state = call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"]
    [wait] = state["waits_for"]
    assert (state["status"], state["is_over"], wait["step"], wait["for"]) == ("parked", False, "ask", "what a person decides") and wait["until"]
    assert link.post_json(choice="pay")[0] == 200
    engine.finished_runs(1)
    assert call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"] == {
        "run_id": run, "status": "succeeded", "is_over": True, "outputs": {"paid": True}}
    assert not any(row["bytes"] == 0 for row in engine.rows("deliveries")) and len(engine.rows("deliveries")) == 1  # asking leaves no record


def test_a_run_is_told_to_nobody_else(make_engine):
    engine = make(make_engine, PRICE, PINGED).start()
    run = call(engine, "price_of", {"pieces": 2})["_meta"]["bellwire/run"]
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    pinged = next(row["run"] for row in engine.finished_runs(2) if row["workflow"] == "pinged")
    for path, unknown in [("/quick", run), ("/mcp", pinged), ("/mcp", "run_" + "0" * 26)]:
        result = call(engine, "get_run", {"run_id": unknown}, path=path)
        assert result["isError"] and "run.unknown" in text(result)
    for bad in ({}, {"run_id": 5}, {"run_id": "evt_" + run[4:]}):
        assert "input.format" in text(call(engine, "get_run", bad))


def test_a_repeated_call_is_the_same_call(make_engine):
    engine = make(make_engine, PRICE).start()
    first = call(engine, "price_of", {"pieces": 2, "currency": "USD"}, key="k1")
    again = call(engine, "price_of", {"currency": "USD", "pieces": 2}, key="k1")  # the same, however it is written
    assert again == first and len(engine.rows("runs")) == 1
    other = call(engine, "price_of", {"pieces": 3}, key="k1")
    assert other["isError"] and "call.other_arguments" in text(other)
    assert call(engine, "price_of", {"pieces": 13}, key="k2")["isError"] and call(engine, "price_of", {"pieces": 13}, key="k2")["isError"]
    for _ in range(2):  # without a key each call is one of its own, whatever its JSON-RPC id
        call(engine, "price_of", {"pieces": 2, "currency": "USD"})
    assert len(engine.rows("runs")) == 4


@pytest.mark.parametrize("point, is_stored", [("ingest.before_store:1", False), ("ingest.before_response:1", True)])
def test_a_crash_before_the_answer_loses_no_call_and_makes_none_twice(make_engine, point, is_stored):
    engine = make(make_engine, PRICE)
    engine.env["BELLWIRE_CRASH"] = point
    engine.start()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        call(engine, "price_of", {"pieces": 4}, key="once")
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    before = [row["run"] for row in engine.finished_runs(1)] if is_stored else []
    again = call(engine, "price_of", {"pieces": 4}, key="once")
    assert again["structuredContent"] == {"cents": 1000, "currency": "EUR"} and before in ([], [again["_meta"]["bellwire/run"]])
    assert len(engine.rows("runs")) == len(engine.rows("events")) == 1


def test_a_run_in_hand_is_known_before_it_has_written_anything_and_over_a_kill(make_engine):
    engine = make(make_engine, REFUND).start()
    run = call(engine, "refund", {"order": "A-2"}, path="/quick")["structuredContent"]["run_id"]
    assert not call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"]["is_over"]
    engine.kill()
    engine.start()
    (asked_run, link), = asked(engine)
    assert asked_run == run and link.post_json(choice="keep")[0] == 200
    engine.finished_runs(1)
    assert call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"]["outputs"] == {"paid": False}


def test_a_caller_who_leaves_changes_nothing(make_engine):
    engine = make(make_engine, REFUND).start()
    message, headers = of_today("tools/call", {"name": "refund", "arguments": {"order": "A-3"}})
    body = json.dumps(message).encode()
    lines = {**headers, "Host": "x", "Content-Type": "application/json", "Authorization": "Bearer let-me-in", "Content-Length": len(body)}
    with socket.create_connection(("127.0.0.1", engine.port), DEADLINE) as connection:
        connection.sendall(b"POST /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode() + b"\r\n" + body)
        (run, link), = asked(engine)
    assert post(engine, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})[:2] == (202, None)
    assert link.post_json(choice="pay")[0] == 200
    assert engine.finished_runs(1)[0]["output"] == {"paid": True}
    assert call(engine, "get_run", {"run_id": run})["structuredContent"]["status"] == "succeeded"


def test_a_waiting_caller_hears_of_a_cancelled_run(make_engine):
    engine = make(make_engine, REFUND).start()
    message, headers = of_today("tools/call", {"name": "refund", "arguments": {"order": "A-4"}})
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE)
    connection.request("POST", "/mcp", json.dumps(message), {"Content-Type": "application/json", "Authorization": "Bearer let-me-in", **headers})
    (run, _), = asked(engine)
    engine.run("runs", "cancel", run, "--reason", "no")
    result = json.loads(connection.getresponse().read())["result"]
    connection.close()
    assert result["isError"] and result["structuredContent"]["status"] == "cancelled" and result["structuredContent"]["is_over"]


def test_a_respond_step_is_not_for_who_calls(make_engine):
    engine = make(make_engine, """
name: both
description: Answers a webhook early.
expose: mcp
respond: {mode: result}
on: [{event: open.ping}]
steps:
  - {id: early, respond: {body: early}}
  - {id: late, set: {n: 1}}
outputs: {n: "${{ steps.late.n }}"}
""").start()
    assert call(engine, "both", {})["structuredContent"] == {"n": 1}
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE)
    connection.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().read() == b"early"
    connection.close()


def test_a_run_that_may_not_begin_says_so(make_engine):
    engine = make(make_engine, PRICE.replace("steps:", "rate: {limit: 1/1h, over: skip}\nsteps:", 1)).start()
    assert not call(engine, "price_of", {"pieces": 1})["isError"]
    result = call(engine, "price_of", {"pieces": 1})
    assert result["isError"] and result["structuredContent"]["status"] == "skipped" and "rate" in text(result)


def test_a_paused_workflow_keeps_its_calls(make_engine):
    engine = make(make_engine, PRICE).start()
    engine.run("workflows", "pause", "price")
    run = call(engine, "price_of", {"pieces": 2}, path="/quick")["structuredContent"]["run_id"]
    wait_for("the run to be held", lambda: call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"]["status"] == "held")
    engine.run("workflows", "resume", "price")
    engine.finished_runs(1)
    assert call(engine, "get_run", {"run_id": run}, path="/quick")["structuredContent"]["outputs"]["cents"] == 500


# ---- the protocol, by hand ----

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIST, LIST_HEADERS = of_today("tools/list")
CALL, CALL_HEADERS = of_today("tools/call", {"name": "price_of", "arguments": {"pieces": 1}})


def without(headers, name, **more):
    return {**{key: value for key, value in headers.items() if key != name}, **more}


def in_meta(**fields):
    return {**LIST, "params": {"_meta": {key: value for key, value in {**META, **fields}.items() if value is not None}}}


@pytest.mark.parametrize("message, headers, status, code, id", [
    (b"{", {}, 400, -32700, None),
    (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', {}, 400, -32700, None),
    (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', {}, 400, -32700, None),
    ([PING], {}, 400, -32600, None),
    ("ping", {}, 400, -32600, None),
    ({"id": 1, "method": "ping"}, {}, 400, -32600, 1),
    ({**PING, "jsonrpc": "1.0"}, {}, 400, -32600, 1),
    ({**PING, "id": None}, {}, 400, -32600, None),
    ({**PING, "id": 1.5}, {}, 400, -32600, None),
    ({**PING, "id": True}, {}, 400, -32600, None),
    ({**PING, "id": "x" * 300}, {}, 400, -32600, None),
    ({**PING, "method": 5}, {}, 400, -32600, 1),
    ({"jsonrpc": "2.0", "id": 1}, {}, 400, -32600, 1),
    ({**PING, "params": [1]}, {}, 400, -32602, 1),
    ({**PING, "params": {"_meta": 1}}, {}, 400, -32602, 1),
    ({**PING, "method": "resources/list", "id": "ü\n"}, {}, 200, -32601, "ü\n"),
    ({**PING, "method": "server/discover"}, {}, 400, -32020, 1),  # it is of today, and says nothing of itself
    (PING, {"MCP-Protocol-Version": "1900-01-01"}, 400, -32022, 1),
    (PING, {"MCP-Protocol-Version": TODAY}, 400, -32602, 1),
    ({**LIST, "method": "ping"}, {**LIST_HEADERS, "Mcp-Method": "ping"}, 404, -32601, 7),
    (LIST, without(LIST_HEADERS, "MCP-Protocol-Version"), 400, -32020, 7),
    (LIST, without(LIST_HEADERS, "Mcp-Method"), 400, -32020, 7),
    (LIST, {**LIST_HEADERS, "Mcp-Method": "tools/call"}, 400, -32020, 7),
    (LIST, {**LIST_HEADERS, "MCP-Protocol-Version": BEFORE}, 400, -32020, 7),
    (in_meta(**{"io.modelcontextprotocol/protocolVersion": "2027-01-01"}), {**LIST_HEADERS, "MCP-Protocol-Version": "2027-01-01"}, 400, -32022, 7),
    (in_meta(**{"io.modelcontextprotocol/clientCapabilities": None}), LIST_HEADERS, 400, -32602, 7),
    (CALL, without(CALL_HEADERS, "Mcp-Name"), 400, -32020, 7),
    (CALL, {**CALL_HEADERS, "Mcp-Name": "get_run"}, 400, -32020, 7),
    (CALL, {**CALL_HEADERS, "Mcp-Name": "=?base64?????=?="}, 400, -32020, 7),
    ({**PING, "method": "tools/call"}, {}, 200, -32602, 1),
    ({**PING, "method": "tools/call", "params": {"name": ""}}, {}, 200, -32602, 1),
    ({**PING, "method": "tools/call", "params": {"name": "price_of", "arguments": []}}, {}, 200, -32602, 1),
    ({**PING, "method": "tools/call", "params": {"name": "price_of", "_meta": {"bellwire/idempotencyKey": 5}}}, {}, 200, -32602, 1),
    ({**PING, "method": "tools/list", "params": {"cursor": "!"}}, {}, 200, -32602, 1),
    ({**PING, "method": "tools/list", "params": {"cursor": 5}}, {}, 200, -32602, 1),
])
def test_what_is_wrong_gets_its_code(protocol_engine, message, headers, status, code, id):
    said, answer, _ = post(protocol_engine, message, headers)
    assert (said, answer["error"]["code"]) == (status, code), answer
    assert answer["jsonrpc"] == "2.0" and answer.get("id") == id and answer["error"]["message"] and "result" not in answer
    if code == -32022:
        assert answer["error"]["data"]["supported"] == [TODAY, BEFORE, "2025-06-18"] and answer["error"]["data"]["requested"]


@pytest.fixture(scope="module")
def protocol_engine(tmp_path_factory):
    from conftest import Engine
    engine = Engine(tmp_path_factory.mktemp("tools") / "instance", CONFIG)
    engine.env["MCP_TOKEN"] = "let-me-in"
    engine.write("workflows/price.yaml", PRICE)
    yield engine.start()
    assert not engine.rows("events")  # nothing of all that was stored
    engine.kill()


def test_both_eras_are_answered_and_none_gets_a_session(protocol_engine):
    engine = protocol_engine
    status, answer, headers = post(engine, *of_today("server/discover"))
    assert status == 200 and answer["result"]["supportedVersions"] == [TODAY, BEFORE, "2025-06-18"] and answer["result"]["capabilities"] == {"tools": {}}
    assert answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "bellwire"
    for wanted, spoken in [(BEFORE, BEFORE), ("2025-06-18", "2025-06-18"), ("2024-11-05", BEFORE), (TODAY, BEFORE)]:
        status, answer, headers = post(engine, {**PING, "method": "initialize", "params": {"protocolVersion": wanted, "capabilities": {}}})
        assert status == 200 and answer["result"]["protocolVersion"] == spoken and "Mcp-Session-Id" not in headers and "resultType" not in answer["result"]
    assert post(engine, PING, {"MCP-Protocol-Version": BEFORE, "Mcp-Session-Id": "whatever"})[:2] == (200, {"jsonrpc": "2.0", "id": 1, "result": {}})
    assert post(engine, {"jsonrpc": "2.0", "method": "notifications/initialized"})[:2] == (202, None)
    assert post(engine, {"jsonrpc": "2.0", "id": 3, "result": {}})[:2] == (202, None)
    message, headers = of_today("tools/list")
    assert post(engine, {**message, "id": 12345678901234567}, headers)[1]["id"] == 12345678901234567
    encoded = "=?base64?" + base64.b64encode(b"get_run").decode() + "?="
    message, headers = of_today("tools/call", {"name": "get_run", "arguments": {}})
    assert post(engine, message, {**headers, "Mcp-Name": encoded})[0] == 200


@pytest.mark.parametrize("origin, status", [
    (None, 200), ("http://localhost:6274", 200), ("http://127.0.0.1", 200), ("https://[::1]:8", 200), ("https://agents.example", 200),
    ("https://evil.example", 403), ("null", 403), ("", 403), ("http://127.0.0.1.evil.example", 403), ("http://localhost.evil.example:80", 403),
    ("http://agents.example", 403), ("https://agents.example:444", 403), ("file://localhost", 403), ("http://localhost/x", 403),
])
def test_only_known_pages_may_send(protocol_engine, origin, status):
    assert post(protocol_engine, PING, {"Origin": origin, "Host": "evil.example"})[0] == status


def test_what_http_refuses(protocol_engine):
    engine = protocol_engine
    for method in ("GET", "DELETE", "PUT", "OPTIONS", "HEAD"):
        status, _, headers = post(engine, b"", method=method)
        assert (status, headers["Allow"]) == (405, "POST"), method
    assert post(engine, PING, token="wrong")[0] == 401 and post(engine, PING, {"Authorization": None})[0] == 401
    assert post(engine, b"")[0] == 401  # nothing can be proven of nothing
    assert post(engine, PING, {"Content-Type": "text/plain"})[0] == 415 and post(engine, PING, {"Content-Type": None})[0] == 415
    assert post(engine, json.dumps({**PING, "params": {"x": "y" * 5000}}).encode(), path="/quick")[0] == 413
    deep = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":' + b"[" * 100 + b"]" * 100 + b"}}"
    assert post(engine, deep)[1]["error"]["code"] == -32700


def test_the_rate_of_the_source_counts_calls(make_engine):
    engine = make(make_engine, PRICE, config=CONFIG.replace("mcp: {within: 1ms}", "mcp: true\n    rate: {limit: 2/1h}")).start()
    statuses = [post(engine, PING, path="/quick")[0] for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


# ---- the list ----

def test_a_reload_changes_the_list(make_engine):
    engine = make(make_engine, PRICE).start()
    assert [tool["name"] for tool in tools(engine)] == ["get_run", "price_of"]
    engine.write("workflows/refund.yaml", REFUND)
    wait_for("the new tool", lambda: "refund" in [tool["name"] for tool in tools(engine)])
    (engine.folder / "workflows" / "w0.yaml").unlink()
    wait_for("the old tool to go", lambda: "price_of" not in [tool["name"] for tool in tools(engine)])
    status, answer, _ = post(engine, *of_today("tools/call", {"name": "price_of", "arguments": {"pieces": 1}}))
    assert answer["error"]["code"] == -32602 and "price_of" in answer["error"]["message"]


def test_a_long_list_comes_in_pages(make_engine):
    documents = [PRICE.replace("name: price\n", f"name: price-{n}\n").replace("price_of", f"price_{n}") for n in range(120)]
    engine = make(make_engine, "\n---\n".join(documents)).start()
    names = [tool["name"] for tool in tools(engine)]
    assert len(names) == 121 and names == sorted(names) and set(names) == {"get_run", *(f"price_{n}" for n in range(120))}
    assert len(post(engine, *of_today("tools/list"))[1]["result"]["tools"]) == 50


@pytest.mark.parametrize("expose, place, words", [
    ("expose: rest", "4:9", "mcp is all there is"), ("expose: {}", "4:9", "expose is empty"), ("expose: {mpc: true}", "4:10", "did you mean 'mcp'"),
    ("expose: {mcp: false}", "4:15", "mcp is true"), ("expose: {mcp: {name: has space}}", "4:22", "a tool's name is"),
    ("expose: {mcp: {name: a.b}}", "4:22", "a tool's name is"), ("expose: {mcp: {name: ''}}", "4:22", "a tool's name is"),
    (f"expose: {{mcp: {{name: {'n' * 65}}}}}", "4:22", "a tool's name is"), ("expose: {mcp: {name: \"x\\r\\nSet-Cookie: y\"}}", "4:22", "a tool's name is"),
    ("expose: {mcp: {name: größe}}", "4:22", "a tool's name is"), ("expose: {mcp: {name: get_run}}", "4:22", "the engine's own"),
    ("expose: {mcp: {descripton: x}}", "4:16", "did you mean 'description'"), ("expose: {mcp: {title: " + "t" * 101 + "}}", "4:23", "at most 100 bytes"),
    ("expose: {mcp: {title: \"${{ x }}\"}}", "4:24", "expression"),
])
def test_check_judges_what_is_exposed(make_engine, expose, place, words):
    engine = make(make_engine, f"\nname: sample\ndescription: x\n{expose}\nsteps: [{{id: one, set: {{}}}}]\n")
    result = engine.run("check", check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and f"w0.yaml:{place}: " in said and words in said, said


def test_check_finds_two_tools_of_one_name_and_tools_of_nobody(make_engine):
    engine = make(make_engine, PRICE, PRICE.replace("name: price\n", "name: again\n"))
    said = engine.run("check", check=False)
    assert said.returncode == 1 and "w1.yaml:4:22: the tool price_of is that of the workflow price already, in ./workflows/w0.yaml:4:22" in said.stdout + said.stderr
    engine = make(make_engine, "name: bare\nexpose: mcp\nsteps: [{id: one, set: {}}]\n", config="listen: [http://127.0.0.1:0]\n")
    said = engine.run("check").stderr
    assert "warning: ./workflows/w0.yaml:2:9: the tool bare has no description" in said and "no source has mcp: nobody can call it" in said


@pytest.mark.parametrize("source, words", [
    ("verify: none, mcp: true, path: /mcp", "anybody who reaches 0.0.0.0 could run workflows"),
    ("verify: none, mcp: {within: 61s}, path: /mcp, allow: [10.0.0.0/8]", "at most 60s"),
    ("verify: none, mcp: yes, path: /mcp", "mcp must be true, false or a map"),
    ("verify: none, mcp: {origins: [agents.example]}, path: /mcp", "no origin of a web page"),
    ("verify: none, mcp: {orgins: []}, path: /mcp", "did you mean 'origins'"),
    ("verify: none, mcp: true, event: x, path: /mcp", "`event` is of sources of events"),
    ("verify: none, mcp: true, schema: {type: object}, path: /mcp", "`schema` is of sources of events"),
])
def test_check_judges_the_source(make_engine, source, words):
    engine = make(make_engine, config=f"listen: [http://0.0.0.0:0]\nallow_plaintext: true\nsources: {{agents: {{{source}}}}}\n")
    result = engine.run("check", check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and words in said and "bellwire.yaml:3:" in said, said


def test_on_loopback_a_source_for_everybody_on_the_machine_is_allowed(make_engine):
    engine = make(make_engine, PRICE, config="listen: [http://127.0.0.1:0]\nsources: {agents: {verify: none, mcp: true, path: /mcp}}\n").start()
    assert call(engine, "price_of", {"pieces": 1})["structuredContent"]["cents"] == 250
    said = engine.run("check").stderr
    assert "calls of tools by MCP, 1 and get_run" in said and "as tool price_of" in said


# ---- bellwire mcp: the same over standard input and output ----

def bridge(engine, *lines, source="agents", **options):
    """What comes out, by id, and the whole result."""
    given = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = {"agents": "/mcp", "quick": "/quick"}[source]
    result = engine.run("mcp", source, "--url", options.get("url") or f"http://127.0.0.1:{engine.port}{path}", input=given)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    return {answer.get("id"): answer for answer in answers}, answers


@with_sdk
@pytest.mark.parametrize("kind", ["today", "before"])
def test_a_client_that_starts_its_servers_finds_and_calls_tools(make_engine, kind):
    engine = make(make_engine, PRICE).start()
    sdk = Sdk(kind, engine, BINARY, "mcp", "agents", "--url", f"http://127.0.0.1:{engine.port}/mcp")
    assert sdk.hello["server"]["name"] == "bellwire"
    assert [tool["name"] for tool in sdk.do("listTools")["result"]["tools"]] == ["get_run", "price_of"]
    assert sdk.do("callTool", {"name": "price_of", "arguments": {"pieces": 3}})["result"]["structuredContent"]["cents"] == 750
    assert sdk.do("callTool", {"name": "nothing", "arguments": {}})["code"] == -32602
    sdk.close()


def test_the_bridge_keeps_nobody_waiting_behind_another_call(make_engine):
    engine = make(make_engine, PRICE, REFUND).start()
    slow, _ = of_today("tools/call", {"name": "refund", "arguments": {"order": "A-5"}}, id="slow")
    process = subprocess.Popen([BINARY, "mcp", "agents", "--url", f"http://127.0.0.1:{engine.port}/mcp"], cwd=engine.folder, env=engine.env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(json.dumps(slow) + "\n" + json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}}) + "\n")
    process.stdin.flush()
    (_, link), = asked(engine)
    process.stdin.write("\n" + json.dumps(of_today("tools/call", {"name": "price_of", "arguments": {"pieces": 1}}, id="fast")[0]) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == "fast"
    assert link.post_json(choice="pay")[0] == 200
    last = json.loads(process.stdout.readline())
    assert last["id"] == "slow" and last["result"]["structuredContent"] == {"paid": True}
    process.stdin.close()
    assert process.wait(DEADLINE) == 0 and process.stdout.read() == ""
    process.stdout.close()


def test_the_bridge_says_what_went_wrong(make_engine):
    engine = make(make_engine, PRICE).start()
    by_id, answers = bridge(engine, "{", PING, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {**PING, "id": 2, "method": "nope"})
    assert by_id[None]["error"]["code"] == -32700 and by_id[1]["result"] == {} and by_id[2]["error"]["code"] == -32601 and len(answers) == 3
    by_id, answers = bridge(engine, *({**PING, "id": n} for n in range(50)))  # more than are under way at a time
    assert set(by_id) == set(range(50)) and len(answers) == 50
    engine.env["MCP_TOKEN"] = "another"
    by_id, _ = bridge(engine, PING)
    assert by_id[1]["error"]["code"] == -32603 and "401" in by_id[1]["error"]["message"]
    port = engine.port
    engine.stop()
    by_id, _ = bridge(engine, PING, url=f"http://127.0.0.1:{port}/mcp")
    assert "is the engine running" in by_id[1]["error"]["message"]
    for arguments, words in [(["mcp"], "several sources have mcp"), (["mcp", "open"], "no source 'open' with mcp"), (["mcp", "a", "b"], "at most one")]:
        result = engine.run(*arguments, check=False)
        assert result.returncode != 0 and words in result.stderr and not result.stdout


# ---- beside others ----

def test_who_finds_no_place_to_wait_is_told_at_once(make_engine):
    engine = make(make_engine, REFUND, config="max_connections: 4\n" + CONFIG).start()
    message, headers = of_today("tools/call", {"name": "refund", "arguments": {"order": "A-6"}})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer let-me-in", **headers}
    waiting = []
    for count in (1, 2):  # half of the connections may wait
        waiting.append(http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE))
        waiting[-1].request("POST", "/mcp", json.dumps(message), headers)
        links = asked(engine, count)
    third = call(engine, "refund", {"order": "A-7"})["structuredContent"]
    assert not third["is_over"] and third["run_id"] not in [run for run, _ in links]
    for run, link in asked(engine, 3):
        assert link.post_json(choice="pay")[0] == 200
    for connection in waiting:
        assert json.loads(connection.getresponse().read())["result"]["structuredContent"] == {"paid": True}
        connection.close()
    engine.finished_runs(3)


def test_a_step_of_another_engine_calls_a_tool_once_whatever_is_killed(make_engine, tmp_path):
    shop = make(make_engine, REFUND).start()
    caller = make_engine(f"""
listen: [http://127.0.0.1:0]
allow_private_network: true
sources: {{open: {{path: /in/open, verify: none, event: ping}}}}
secrets: {{TOKEN: {{env: MCP_TOKEN}}}}
configure: {{mcp: {{servers: [{{name: shop, url: "http://127.0.0.1:{shop.port}/mcp", token: {{secret: TOKEN}}}}]}}}}
""", name="caller")
    caller.env["MCP_TOKEN"] = "let-me-in"
    caller.write("workflows/back.yaml", """
name: back
on: [{event: open.ping}]
steps:
  - {id: pay, uses: mcp/call@1, with: {server: shop, tool: refund, arguments: {order: A-8}}, retry: {attempts: 20, delay: 20ms, factor: 1}}
outputs: {paid: "${{ steps.pay.structured.paid }}"}
""")
    caller.start()
    caller.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    (run, link), = asked(shop)
    caller.strike("worker")  # in the middle of the call: it is made again, under the same key
    wait_for("the second attempt", lambda: any(row["outcome"] == "duplicate" for row in shop.rows("deliveries")))
    assert link.post_json(choice="pay")[0] == 200
    shop.finished_runs(1)
    ended = caller.finished_runs(1)[0]
    assert len(shop.rows("runs")) == 1 and ended["output"] == {"paid": True}, ended  # who called again has waited for the same end


def test_what_is_not_kept_any_more_is_said_to_be_gone_and_not_made_again(make_engine):
    engine = make(make_engine, PRICE, config="retention: {deliveries: 1s, events: 1s, succeeded: 1s}\n" + CONFIG).start()
    run = call(engine, "price_of", {"pieces": 2}, key="k")["_meta"]["bellwire/run"]
    newest = engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[1]["event"]  # it always stays
    wait_for("the run to go", lambda: not engine.rows("runs") and [row["event"] for row in engine.rows("events")] == [newest])
    for result, code in [(call(engine, "price_of", {"pieces": 2}, key="k"), "call.gone"), (call(engine, "get_run", {"run_id": run}), "run.unknown")]:
        assert result["isError"] and code in text(result)
    assert [row["event"] for row in engine.rows("events")] == [newest]
