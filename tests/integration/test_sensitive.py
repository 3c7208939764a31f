"""`sensitive`: what such a step gives reaches the steps behind it and the store, and no output of any command, log, page or answer."""
import json
import sqlite3

from conftest import CONFIG, wait_for
from test_approve import Link
from test_runs import Sink, sink  # noqa: F401: a fixture

CANARY = "canary-7f3a9e"  # the event holds it backwards: forwards it is only what sensitive steps give
SEED = CANARY[::-1]

LOGIN = """
name: login
on: [{event: open.ping}, {manual: true}]
steps:
  - id: token
    sensitive: true
    with: {seed: "${{ event.data.seed }}"}
    lua: |
      ctx.log("got " .. input.seed:reverse())
      return {token = input.seed:reverse()}
  - id: broken
    sensitive: true
    on_error: continue
    with: {seed: "${{ event.data.seed }}"}
    retry: {attempts: 2, delay: 10ms, on: any}
    lua: error(input.seed:reverse())
  - id: refused
    sensitive: true
    on_error: continue
    with: {seed: "${{ event.data.seed }}"}
    lua: return ctx.fail{code = "refused", message = input.seed:reverse()}
  - id: shaped
    sensitive: true
    set: {token: "${{ steps.token.token }}"}
    outputs: {twice: "${{ result.token .. result.token }}"}
  - id: each
    foreach: [1, 2]
    steps:
      - {id: inner, sensitive: true, set: {token: "${{ steps.token.token }}"}}
  - {id: called, sensitive: true, uses: workflow/inner, with: {seed: "${{ event.data.seed }}"}}
  - id: use
    with: {token: "${{ steps.token.token }}", each: "${{ steps.each.items[2].token }}", called: "${{ steps.called.token }}", url: "${{ event.data.url }}"}
    lua: |
      return {status = ctx.http{method = "POST", url = input.url .. "/" .. input.each .. "/" .. input.called, headers = {Authorization = input.token}}.status}
"""
INNER = """
name: inner
on: [{call: true}]
inputs: {seed: {type: string}}
steps:
  - {id: make, sensitive: true, with: {seed: "${{ inputs.seed }}"}, lua: "return {token = input.seed:reverse()}"}
outputs: {token: "${{ steps.make.token }}"}
"""
ASK = """
name: asks
on: [{event: open.ping}]
steps:
  - id: ask
    sensitive: true
    approve:
      message: What is the password of ${{ event.data.seed }}?
      form: {password: {type: string, required: true}}
      notify: {lua: "return {url = input.url}", with: {url: "${{ approval.url }}"}}
    undo: {lua: "return {undone = input.form.password}", with: {form: "${{ result.form }}"}}
  - {id: use, set: {length: "${{ len(steps.ask.form.password) }}"}}
  - {id: over, stop: {as: failed}}
"""


def rows(engine, sql):
    connection = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def all_that_is_said(engine):
    events = [row["event"] for row in engine.rows("events")]
    runs = [row["run"] for row in engine.rows("runs", "--children", "--resolved")]
    commands = [("events",), ("deliveries",), ("runs", "--children"), ("runs", "--state", "failed")]
    commands += [("runs", "show", run) for run in runs] + [("why", event) for event in events] + [("events", event) for event in events]
    return [engine.run(*command, *json).stdout for command in commands for json in ((), ("--json",))]


def test_what_a_sensitive_step_gives_is_used_and_shown_nowhere(make_engine, sink):  # noqa: F811
    engine = make_engine(CONFIG)
    for name, text in (("login", LOGIN), ("inner", INNER), ("asks", ASK)):
        engine.write(f"workflows/{name}.yaml", text)
    engine.start("--log-level", "debug")
    body = json.dumps({"seed": SEED, "url": sink.url}).encode()
    engine.request("POST", "/in/open", body, {"Content-Type": "application/json"})
    waiting = wait_for("the question", lambda: [row[0] for row in rows(engine, "SELECT s.output FROM steps s JOIN steps a USING(run_id) "
                                                "WHERE s.path = 'ask~notify' AND a.path = 'ask' AND a.state = 3")])
    link = Link(engine, json.loads(waiting[0])["url"])
    said = [*all_that_is_said(engine), *(str(part) for part in link.ask("GET"))]
    assert all("What is the password" not in text for text in said[:-3]) and "What is the password" in said[-2]  # who decides must see it
    said += [str(part) for part in link.post(choice="approve", **{"form.password": CANARY})]
    said += [str(part) for part in link.ask("GET")] + [str(link.post_json(choice="approve", form={"password": "other"}))]
    runs = {run["workflow"]: run for run in engine.finished_runs(2)}
    assert runs["asks"]["error"]["code"] == "stopped" and runs["login"]["state"] == "succeeded", runs

    # it was there for those who need it
    [request] = sink.requests
    assert request["headers"]["authorization"] == CANARY and request["path"] == f"/{CANARY}/{CANARY}"
    assert {path for path, output in rows(engine, "SELECT path, output FROM steps") if output and CANARY.encode() in output} == \
        {"token", "shaped", "each", "inner", "called", "make", "ask", "ask~undo"}
    # and for nobody else
    said += all_that_is_said(engine) + [json.dumps(line) for line in engine.log]
    steps = {step["step"]: step for run in runs.values() for step in run["steps"]}
    assert steps["token"]["sensitive"] and steps["token"]["output"] is None and steps["each"]["sensitive"] and "sensitive" not in steps["use"]
    assert steps["broken"]["attempt"] == 2 and steps["broken"]["error"]["code"] == "lua.error" and steps["refused"]["error"]["code"] == "refused"
    assert "(not shown: sensitive)" in engine.run("runs", "show", runs["login"]["run"]).stdout
    assert engine.stop() == 0
    said += [json.dumps(line) for line in engine.log]
    assert any("(not shown: the step is sensitive)" in text for text in said) and not [text for text in said if CANARY in text]

    # what a replay copies stays what it is
    engine.start()
    engine.run("runs", "replay", runs["asks"]["run"], "--from", "use")
    wait_for("the replay", lambda: rows(engine, "SELECT count(*) FROM runs WHERE workflow = 'asks' AND state = 21")[0][0] == 2)
    assert engine.stop() == 0
    assert not [text for text in all_that_is_said(engine) if CANARY in text]


def test_a_run_on_the_terminal_and_a_failing_test_do_not_show_it_either(make_engine, sink):  # noqa: F811
    engine = make_engine(CONFIG)
    engine.write("workflows/login.yaml", LOGIN)
    engine.write("workflows/inner.yaml", INNER)
    engine.write("data.json", json.dumps({"seed": SEED, "url": sink.url}))
    for arguments in ((), ("--json",)):
        result = engine.run("run", "login", "--data", "data.json", *arguments)
        assert "sensitive" in result.stdout and CANARY not in result.stdout + result.stderr
    assert len(sink.requests) == 2 and sink.requests[0]["headers"]["authorization"] == CANARY
    engine.write("workflows/login.test.yaml", f"event: {{name: open.ping, data: {{seed: {SEED}}}}}\ntests:\n  - name: one\n    mocks: {{use: {{output: {{}}}}}}\n"
                 "    expect:\n      steps:\n        token: {output: {token: other}}\n        each: {output: {total: 3}}\n        broken: {error: {message: x}}\n")
    for arguments in ((), ("--json",)):
        result = engine.run("test", "workflows/login.test.yaml", *arguments, check=False)
        assert result.returncode == 1 and "(sensitive)" in result.stdout and CANARY not in result.stdout + result.stderr, result.stdout + result.stderr
