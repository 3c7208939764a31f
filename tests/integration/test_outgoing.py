"""What ctx.http sends, and how often, when the server closes a connection that was kept."""
import json
import pathlib

import pytest
from conftest import CONFIG
from fakes.server import Server

WORKFLOW = """
name: w
on: [{{manual: true}}]
steps:
  - id: s
    retry: {{attempts: 1}}
    lua: |
      ctx.http{{url = "{url}/seen"}}
      return ctx.http{{method = "{method}", url = "{url}/cut", {body}}}
"""


@pytest.mark.parametrize("method, body, sent", [("POST", "json = {n = 1}", 1), ("POST", "body = ''", 1), ("PATCH", "json = {n = 1}", 1), ("PUT", "json = {n = 1}", 2), ("GET", "", 2)])
def test_what_may_have_been_done_is_not_sent_again_unseen(make_engine, method, body, sent):
    with Server() as server:
        for path in ("/seen", "/cut"):
            server.on(method, path, lambda request: {"ok": True})
        server.on("GET", "/seen", lambda request: {"ok": True})
        server.cut(after=-1, path="/cut")
        engine = make_engine()
        engine.write("workflows/w.yaml", WORKFLOW.format(url=server.url, method=method, body=body))
        rows = [json.loads(line) for line in engine.run("run", "w", "--json", check=False).stdout.splitlines()]
        [end] = [row for row in rows if row.get("what") == "step_finished"]
        requests = server.at("/cut")
        assert len(requests) == sent and all(request.body == requests[0].body for request in requests)
        if sent == 1:
            assert (end["error"]["code"], end["error"]["class"]) == ("http.network", "transient"), end
        else:
            assert end["output"]["status"] == 200, end


def test_a_large_body_arrives_as_it_is(make_engine):
    with Server() as server:
        server.on("POST", "/large", lambda request: {"bytes": len(request.body), "type": request.headers.get("content-type"), "length": request.headers.get("content-length")})
        engine = make_engine()
        engine.write("workflows/w.yaml", f"""
name: w
on: [{{manual: true}}]
steps: [{{id: s, lua: "return ctx.http{{method = 'POST', url = '{server.url}/large', body = string.rep('0123456789', 100000)}}.json"}}]
""")
        rows = [json.loads(line) for line in engine.run("run", "w", "--json").stdout.splitlines()]
        [end] = [row for row in rows if row.get("what") == "step_finished"]
        assert (end["output"]["bytes"], end["output"]["length"]) == (1000000, "1000000") and server.requests[0].body == b"0123456789" * 100000


def test_a_worker_loads_what_makes_requests_with_its_first_request(make_engine):
    with Server() as server:
        server.on("GET", "/", lambda request: {"ok": True})
        engine = make_engine(CONFIG + "workers: 1\n")
        engine.write("workflows/w.yaml", f"""
name: w
on: [{{event: open.ping}}]
steps: [{{id: s, with: {{url: "${{{{ event.data.url }}}}"}}, lua: "if input.url then return ctx.http{{url = input.url}} end return {{}}"}}]
""")
        engine.start()

        for count, data, is_loaded in ((1, {}, False), (2, {"url": server.url + "/"}, True)):
            assert engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})[0] == 202
            assert {run["state"] for run in engine.finished_runs(count)} == {"succeeded"}
            [worker] = engine.children("worker")
            assert ("libcurl" in pathlib.Path(f"/proc/{worker}/maps").read_text()) == is_loaded
        engine.stop()
