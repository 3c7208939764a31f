"""From the stored event to the finished run."""
import email.utils
import fcntl
import http.client
import http.server
import json
import os
import select
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import BINARY, CONFIG, ONE_STEP, wait_for


class Sink:
    """A server that remembers what it was asked, and answers what the test says."""

    def __init__(self):
        sink = self
        self.requests, self.answers, self.gate = [], [], threading.Event()
        self.gate.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sink.requests.append({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}, "body": body})
                sink.gate.wait(60)
                status, headers, answer = sink.answers.pop(0) if sink.answers else (200, {}, b'{"ok":true}')
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.gate.set()
    sink.server.shutdown()
    sink.server.server_close()


def test_one_step_run_is_recorded(engine):
    engine.start()
    event = engine.push()[1]["event"]
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["event"] == event and run["workflow"] == "one-step"
    [step] = run["steps"]
    assert step["step"] == "greet" and step["output"] == {"text": "pushed refs/heads/main"} and step["inputs"] == ["ref"]


def test_an_event_that_nobody_waits_for_is_stored_and_done(engine):
    """It is bound to the catalogue under which it was accepted: a workflow that comes later does not run it."""
    engine.start()
    engine.wait_log("catalog.loaded")
    status, answer, _ = engine.push(event="issues", delivery="i-1")
    assert status == 202
    [event] = engine.rows("events")
    assert event["event"] == answer["event"] and event["name"] == "github.issues" and event["state"] == "done" and event["matched"] == 0, event
    assert engine.push(event="issues", delivery="i-1")[0] == 200
    assert engine.stop() == 0
    engine.write("workflows/late.yaml", ONE_STEP.replace("one-step", "late").replace("github.push", "github.issues"))
    engine.start()
    engine.wait_log("catalog.loaded")
    engine.push(event="issues", delivery="i-2")
    [run] = engine.finished_runs(1)
    assert run["event"] != answer["event"]


def test_trigger_condition_decides_and_an_error_in_it_is_a_failed_run(make_engine):
    engine = make_engine()
    engine.write("workflows/a.yaml", "name: main-only\non: [{event: github.push, if: \"${{ event.data.ref == 'refs/heads/main' }}\"}]\nsteps: [{id: s, set: {x: 1}}]\n")
    engine.write("workflows/b.yaml", "name: broken-if\non: [{event: github.push, if: \"${{ event.data.ref }}\"}]\nsteps: [{id: s, set: {x: 1}}]\n")
    engine.start()
    engine.push(b'{"ref":"refs/heads/other"}')
    [run] = engine.finished_runs(1)
    assert run["workflow"] == "broken-if" and run["state"] == "failed" and run["error"]["code"] == "expr.not_boolean"
    engine.push(b'{"ref":"refs/heads/main"}')
    assert sorted(run["workflow"] for run in engine.finished_runs(3)) == ["broken-if", "broken-if", "main-only"]


def test_values_keep_their_types_through_steps(make_engine):
    engine = make_engine()
    engine.write("workflows/types.yaml", """
name: types
on: [{event: open.ping}]
vars: {limit: 3}
steps:
  - id: whole
    set: {data: "${{ event.data }}", n: "${{ event.data.n }}", text: "n is ${{ event.data.n }}", missing: "${{ event.data.no.such.thing }}", limit: "${{ vars.limit }}"}
  - id: skipped
    if: ${{ event.data.n > 5 }}
    set: {x: 1}
  - id: after
    set: {skipped: "${{ steps.skipped.x or 'none' }}", n: "${{ steps.whole.n + 1 }}"}
outputs: {n: "${{ steps.after.n }}"}
""")
    engine.start()
    body = '{"n":1,"f":1.5,"big":9007199254740993,"empty":[],"obj":{},"null":null,"text":"\\u00e9\\n"}'
    engine.request("POST", "/in/open", body.encode(), {"Content-Type": "application/json"})
    [run] = engine.finished_runs(1)
    outputs = {step["step"]: step["output"] for step in run["steps"]}
    assert outputs["whole"] == {"data": json.loads(body), "n": 1, "text": "n is 1", "limit": 3}
    assert outputs["after"] == {"skipped": "none", "n": 2} and run["output"] == {"n": 2}
    assert [step["state"] for step in run["steps"]] == ["succeeded", "skipped", "succeeded"]


def test_lua_action_with_http_sends_its_key_and_reads_the_answer(make_engine, sink):
    engine = make_engine()
    engine.write("actions/crm/note.lua", """
return action {
  name = "crm/note", version = "1.0.0", doc = "Leave a note.",
  inputs = {text = {type = "string", required = true}}, outputs = {id = {type = "integer"}},
  run = function(ctx, input)
    local answer = ctx.http{method = "POST", url = "%s/notes", json = {text = input.text}, headers = {["Idempotency-Key"] = ctx.idempotency_key}}
    if answer.status ~= 200 then return ctx.fail{code = "crm_rejected", message = answer.body} end
    return {id = answer.json.id}
  end }
""" % sink.url)
    engine.write("workflows/note.yaml", """
name: note
on: [{event: github.push}]
steps:
  - {id: note, uses: crm/note@1, with: {text: "${{ event.data.ref }}"}}
""")
    sink.answers.append((200, {}, b'{"id":7}'))
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded", run
    assert run["steps"][0]["output"] == {"id": 7}
    [request] = sink.requests
    assert json.loads(request["body"]) == {"text": "refs/heads/main"} and request["headers"]["idempotency-key"].startswith("bw_")


def test_compiled_http_plugin_posts_and_answers(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/post.yaml", """
name: post
on: [{event: github.push}]
steps:
  - {id: post, uses: http/request@1, with: {method: POST, url: "%s/x", json: {ref: "${{ event.data.ref }}"}}}
""" % sink.url)
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded", run
    output = run["steps"][0]["output"]
    assert output["status"] == 200 and output["json"] == {"ok": True}
    assert sink.requests[0]["headers"]["idempotency-key"].startswith("bw_")
    assert json.loads(sink.requests[0]["body"]) == {"ref": "refs/heads/main"}


def test_http_plugin_takes_only_success_for_success(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/post.yaml", """
name: post
on: [{event: github.push}]
steps:
  - {id: known, uses: http/request@1, with: {method: POST, url: "%s/x", json: {}, accept_status: [404]}}
  - {id: refused, uses: http/request@1, with: {method: POST, url: "%s/y", json: {}}}
""" % (sink.url, sink.url))
    sink.answers += [(404, {}, b"{}"), (422, {}, b'{"error":"title is missing"}')]
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed" and run["steps"][0]["output"]["status"] == 404
    assert run["error"]["code"] == "http.status" and run["error"]["class"] == "permanent"
    assert '422: {"error":"title is missing"}' in run["error"]["message"]
    assert len(sink.requests) == 2 and "expect" not in sink.requests[0]["headers"]


def test_http_plugin_ends_a_request_at_its_timeout(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/slow.yaml", """
name: slow
on: [{event: github.push}]
steps:
  - {id: bad, if: "${{ event.data.ref == 'bad' }}", uses: http/request@1, with: {url: "%s/x", timeout: soon}}
  - {id: slow, uses: http/request@1, timeout: 1s, with: {url: "%s/x", timeout: 20ms}}
""" % (sink.url, sink.url))
    sink.gate.clear()
    engine.start()
    engine.push(b'{"ref":"bad"}')
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "http.input" and "500ms" in run["error"]["message"], run
    engine.push(b'{"ref":"slow"}')
    [retrying] = wait_for("the first attempt to fail", lambda: [row for row in engine.rows("runs", "--state", "active")])
    step = engine.show_run(retrying["run"])["steps"][-1]
    assert step["error"]["code"] == "http.timeout" and step["error"]["class"] == "transient", step


def test_private_addresses_are_refused_unless_allowed(make_engine, sink):
    engine = make_engine(CONFIG.replace("allow_private_network: true", ""))
    engine.write("workflows/post.yaml", """
name: post
on: [{event: github.push}]
steps:
  - {id: post, uses: http/request@1, with: {method: POST, url: "%s/x", json: {}}}
""" % sink.url)
    engine.write("workflows/lua.yaml", """
name: lua
on: [{event: github.push}]
steps:
  - id: get
    lua: return {status = ctx.http{url = "%s/y"}.status}
""" % sink.url)
    engine.start()
    engine.push()
    runs = engine.finished_runs(2)
    assert [run["error"]["code"] for run in runs] == ["http.address_denied"] * 2, runs
    assert sink.requests == []


def test_asked_for_retry_is_tried_again_with_the_same_key(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/again.yaml", """
name: again
on: [{event: github.push}]
steps:
  - id: call
    retry: {delay: 10ms}
    lua: |
      local answer = ctx.http{method = "POST", url = "%s/again", headers = {key = ctx.idempotency_key}}
      if answer.status == 429 then return ctx.retry{code = "busy", after = 0} end
      return {attempt = ctx.attempt}
""" % sink.url)
    sink.answers += [(429, {}, b"{}")]
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["steps"][0]["attempt"] == 2
    assert len(sink.requests) == 2 and sink.requests[0]["headers"]["key"] == sink.requests[1]["headers"]["key"]


def test_each_failed_attempt_is_kept(make_engine, sink):
    """Also those before a crash, and those before somebody resumed the run."""
    engine = make_engine()
    engine.write("workflows/again.yaml", """
name: again
on: [{event: github.push}]
steps: [{id: call, uses: http/request@1, with: {method: POST, url: "%s/x"}, retry: {attempts: 4, delay: 1ms, factor: 1}}]
""" % sink.url)
    sink.answers += [(503, {"Retry-After": "60"}, b"tired"), (502, {}, b"lost"), (500, {}, b"sick"), (404, {}, b"gone")]
    engine.start()
    engine.push()
    parked = wait_for("the run to be parked", lambda: engine.rows("runs", "--state", "parked"))[0]["run"]
    [step] = engine.show_run(parked)["steps"]
    assert [(one["attempt"], one["error"]["message"]) for one in step["failures"]] == [(1, "the server answered 503: tired")], step
    engine.kill()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = "61000"
    engine.start()
    [run] = engine.finished_runs(1)
    [step] = run["steps"]
    assert run["state"] == "failed" and step["attempt"] == 4 and "404" in step["error"]["message"]
    failures = step["failures"]
    assert [one["attempt"] for one in failures] == [1, 2, 3] and [word in one["error"]["message"] for one, word in zip(failures, ("tired", "lost", "sick"))] == [True] * 3
    assert all(one["took_ms"] >= 0 and later["at_ms"] >= one["at_ms"] > 0 for one, later in zip(failures, failures[1:]))
    assert "attempt 2 " in engine.run("runs", "show", run["run"]).stdout
    sink.answers += [(500, {}, b"still")]
    engine.run("runs", "resume", run["run"])
    step = wait_for("its end", lambda: [row for row in [engine.show_run(run["run"])] if row["state"] == "succeeded"])[0]["steps"][0]
    assert [one["attempt"] for one in step["failures"]] == [1, 2, 3, 1] and step["attempt"] == 2 and step["error"] is None


def test_retry_after_of_an_answer_is_waited_for_up_to_an_hour(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/again.yaml", """
name: again
on: [{event: github.push}]
steps: [{id: call, uses: http/request@1, with: {url: "%s/x"}}]
""" % sink.url)
    date_s = int(time.time()) + 900
    sink.answers += [(503, {"Retry-After": after}, b"{}") for after in ("7200", "120", email.utils.formatdate(date_s, usegmt=True))]
    engine.start()

    def parked(count):
        runs = engine.rows("runs", "--state", "parked")
        return runs if len(runs) == count else None
    waits = []
    for count in (1, 2, 3):
        engine.push()
        [step] = engine.show_run(wait_for("the run to be parked", lambda: parked(count))[0]["run"])["steps"]
        waits.append((step["due_ms"] - step["ended_ms"], step["due_ms"]))
    slow = 1000  # between its end and its wait the clock is read twice
    assert 0 <= waits[0][0] - 3600_000 < slow and 0 <= waits[1][0] - 120_000 < slow and date_s * 1000 <= waits[2][1] < date_s * 1000 + 3600_000, waits


def test_step_key_is_the_key_of_all_attempts_and_of_each_time_of_a_repeat(make_engine, sink):
    engine = make_engine()
    engine.write("workflows/reference.yaml", """
name: reference
on: [{event: github.push}]
steps:
  - id: transfer
    uses: http/request@1
    with: {method: POST, url: "%(url)s/transfers", json: {reference: "${{ step.key }}"}}
    retry: {attempts: 3, delay: 10ms}
  - id: poll
    with: {reference: "${{ step.key }}"}
    lua: |
      ctx.http{method = "POST", url = "%(url)s/polls", json = {reference = input.reference, own = ctx.idempotency_key}}
      return {reference = input.reference}
  - id: more
    with: {reference: "${{ step.key }}"}
    lua: |
      local answer = ctx.http{method = "POST", url = "%(url)s/more", json = {reference = input.reference}}
      return {ready = answer.status == 201}
    repeat: {until: "${{ result.ready }}", every: 10ms}
""" % {"url": sink.url})
    sink.answers += [(503, {}, b"{}"), (200, {}, b"{}"), (200, {}, b"{}"), (200, {}, b"{}"), (201, {}, b"{}")]
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded", run
    sent = [(request["path"], json.loads(request["body"]), request["headers"]) for request in sink.requests]
    assert [path for path, _, _ in sent] == ["/transfers", "/transfers", "/polls", "/more", "/more"]
    references = [body["reference"] for _, body, _ in sent]
    assert references[0] == references[1] == sent[0][2]["idempotency-key"]  # what the plugin sends by itself
    assert sent[2][1]["own"] == references[2]
    assert len(set(references[1:])) == 4, references  # of each step, and of each time


def test_a_failure_names_the_step_and_stops_the_run(make_engine):
    engine = make_engine()
    engine.write("workflows/fail.yaml", """
name: fail
on: [{event: github.push}]
steps:
  - id: good
    set: {x: 1}
  - id: bad
    lua: |
      local t = {}
      return {y = t.x.y}
  - id: never
    set: {x: 2}
""")
    engine.start()
    engine.push()
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed" and [step["step"] for step in run["steps"]] == ["good", "bad"]
    error = run["steps"][1]["error"]
    assert error["code"] == "lua.error" and error["line"] == 10 and error["file"].endswith("fail.yaml")


def test_killed_worker_is_replaced_and_its_runs_end(make_engine, sink):
    engine = make_engine(CONFIG + "workers: 1\n")
    engine.write("workflows/slow.yaml", """
name: slow
on: [{event: github.push}]
steps:
  - id: first
    lua: return {status = ctx.http{method = "POST", url = "%s/first", headers = {key = ctx.idempotency_key}}.status}
  - id: second
    lua: return {status = ctx.http{method = "POST", url = "%s/second", headers = {key = ctx.idempotency_key}}.status}
""" % (sink.url, sink.url))
    engine.start()
    for _ in range(10):
        engine.push()
    wait_for("ten first calls", lambda: len(sink.requests) >= 10)
    sink.gate.clear()
    wait_for("a second call", lambda: any(request["path"] == "/second" for request in sink.requests))
    [worker] = engine.children("worker")
    os.kill(worker, signal.SIGKILL)
    wait_for("a new worker", lambda: [pid for pid in engine.children("worker") if pid != worker])
    sink.gate.set()
    runs = engine.finished_runs(10)
    assert all(run["state"] == "succeeded" for run in runs)
    keys = {}
    for request in sink.requests:
        keys.setdefault((request["path"], request["headers"]["key"]), 0)
        keys[request["path"], request["headers"]["key"]] += 1
    assert len(keys) == 20  # two steps of ten runs, whatever was repeated
    assert all(count <= 2 for count in keys.values())


def test_many_runs_wait_for_http_at_once_in_one_worker(make_engine, sink):
    engine = make_engine(CONFIG + "workers: 1\n")
    engine.write("workflows/wait.yaml", """
name: wait
on: [{event: github.push}]
steps:
  - id: call
    lua: return {status = ctx.http{method = "POST", url = "%s/x"}.status}
""" % sink.url)
    sink.gate.clear()
    engine.start()
    for _ in range(40):
        engine.push()
    wait_for("forty calls at once", lambda: len(sink.requests) == 40)
    sink.gate.set()
    assert all(run["state"] == "succeeded" for run in engine.finished_runs(40))


def test_logs_are_json_lines_with_ids_that_join(engine):
    engine.start()
    event = engine.push()[1]["event"]
    run = engine.finished_runs(1)[0]["run"]
    line = engine.wait_log("run", run=run)
    assert line["event"] == event and line["state"] == "succeeded"
    engine.wait_log("delivery", event=event, status=202)
    assert engine.stop() == 0
    assert not [line for line in engine.log if line["log"] == "raw"]


def test_a_listing_that_nobody_reads_holds_nothing_open(make_engine):
    """`bellwire deliveries | less`: the store's log could not be emptied for as long as somebody looks at a page."""
    engine = make_engine("""
listen: [http://127.0.0.1:0]
sources: {open: {path: /in/open, verify: none, event: ping}}
""").start()
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    for _ in range(700):
        connection.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.read() is not None and answer.status == 202
    wait_for("the deliveries to be written", lambda: len(engine.rows("deliveries", "--limit", "1000")) == 700)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    listing = subprocess.Popen([BINARY, "deliveries", "--limit", "1000", "--json"], cwd=engine.folder, env=engine.env, stdout=writing)
    wait_for("the pipe to be full", lambda: not select.select([], [writing], [], 0)[1])
    os.close(writing)
    database = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    wait_for("the log to be emptied", lambda: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    database.close()
    with open(reading) as lines:
        numbers = [json.loads(line)["delivery"] for line in lines]
    assert listing.wait(60) == 0
    assert len(set(numbers)) == len(numbers) == 700 and numbers == sorted(numbers, reverse=True)
