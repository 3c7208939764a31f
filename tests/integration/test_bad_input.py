"""Each broken thing gets a clear error with its place, and changes nothing else."""
import json

import pytest

from conftest import CONFIG, ONE_STEP


def still_works(engine):
    engine.push(b'{"ref":"ok"}')
    runs = [run for run in engine.finished_runs(1, "--workflow", "one-step")]
    assert runs[0]["state"] == "succeeded" and runs[0]["steps"][0]["output"] == {"text": "pushed ok"}


def check_errors(engine):
    result = engine.run("check", "--json", check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_broken_workflow_beside_good_ones(engine):
    engine.write("workflows/broken.yaml", "name: broken\non: [{event: github.push}]\nstpes: []\n")
    [error] = [error for error in check_errors(engine) if error["file"].endswith("broken.yaml")][:1]
    assert (error["line"], error["column"]) == (3, 1) and "steps" in error.get("hint", "")
    engine.start()
    engine.wait_log("catalog.error")
    still_works(engine)


def test_every_error_is_found_in_one_go(engine):
    engine.write("bellwire.yaml", CONFIG + "  extra: {path: /in/x, verify: githubb, secrets: {webhook_secret: {env: GITHUB_WEBHOOK_SECRET}}}\n")
    engine.write("workflows/a.yaml", "name: a\non: [{event: github.push}]\nsteps: [{id: s, uses: no/such@1}]\n")
    engine.write("workflows/b.yaml", "name: b\non: [{event: github.push}]\nsteps: [{id: s, set: {x: '${{ steps.nope.y }}'}}]\n")
    engine.write("actions/bad.lua", "return action {\n  name = 'bad/one', version = '1.0.0',\n  run = function(ctx, input) retrun 1 end\n}\n")
    engine.write("plugins/no.so", "this is no shared object")
    found = {error["file"].rsplit("/", 1)[-1] for error in check_errors(engine)}
    assert {"bellwire.yaml", "a.yaml", "b.yaml", "bad.lua", "no.so"} <= found


def test_lua_syntax_error_names_the_line(engine):
    engine.write("workflows/syntax.yaml", "name: syntax\non: [{event: github.push}]\nsteps:\n  - id: s\n    lua: |\n      local x = 1\n      retrun x\n")
    [error] = check_errors(engine)
    assert error["file"].endswith("syntax.yaml") and error["line"] == 7
    engine.start()
    still_works(engine)


@pytest.mark.parametrize("name,code,expected", [
    ("endless", "while true do end", "lua.timeout"),
    ("pcall", "while true do pcall(function() while true do end end) end", "lua.timeout"),
    ("memory", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", "lua.memory"),
    ("pattern", "return {x = (('a'):rep(300)):find('.-.-.-.-.-b')}", "lua.timeout"),
    ("escape", "return {x = os.execute('true')}", "lua."),
])
def test_hostile_lua_ends_as_an_error_of_its_own_run(make_engine, name, code, expected):
    engine = make_engine(CONFIG + "stall: 1s\n")
    limit = "2s" if expected == "lua.timeout" else "1m"  # a slow machine must not turn another end into a timeout
    engine.write("workflows/one-step.yaml", ONE_STEP)
    engine.write("workflows/hostile.yaml", f"name: hostile\non: [{{event: open.ping}}]\nsteps:\n  - id: s\n    timeout: {limit}\n    lua: |\n      {code}\n")
    engine.start()
    pid = engine.process.pid
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    still_works(engine)
    [run] = engine.finished_runs(1, "--workflow", "hostile")
    assert run["state"] == "failed" and run["error"]["code"].startswith(expected), run
    still_works(engine)
    assert engine.process.pid == pid and engine.process.poll() is None


def test_action_file_that_never_returns_is_refused_alone(make_engine):
    engine = make_engine(CONFIG + "stall: 1s\n")
    engine.write("workflows/one-step.yaml", ONE_STEP)
    engine.write("actions/loop.lua", "while true do end")
    engine.start()
    still_works(engine)


def test_data_folder_of_a_newer_version_is_refused(engine):
    engine.start()
    engine.push()
    engine.finished_runs(1)
    assert engine.stop() == 0
    import sqlite3
    [path] = [path for path in (engine.folder / "data").iterdir() if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"]
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9999")
    database.commit()
    database.close()
    engine.start(wait=False)
    assert engine.ended() == 1
    assert any("9999" in json.dumps(line) for line in engine.log)


def test_unreadable_and_empty_secrets_are_refused_at_load(make_engine):
    engine = make_engine(CONFIG.replace("{env: GITHUB_WEBHOOK_SECRET}", "{file: ./nowhere}"))
    engine.start(wait=False)
    assert engine.ended() == 1
    assert any("nowhere" in json.dumps(line) for line in engine.log)
    empty = make_engine(name="empty")
    empty.env["GITHUB_WEBHOOK_SECRET"] = ""
    empty.start(wait=False)
    assert empty.ended() == 1
    assert any("GITHUB_WEBHOOK_SECRET" in json.dumps(line) for line in empty.log)


def test_no_verify_is_an_error_that_names_the_way_out(make_engine):
    engine = make_engine(CONFIG + "  bare: {path: /in/bare}\n")
    assert any("verify: none" in error["message"] + error.get("hint", "") for error in check_errors(engine))


@pytest.mark.parametrize("body", [b"not json", b"\x00\x01\x02", b'{"a":"\\u0000"}', b"[" * 1000, b"\xff\xfe{\x00}\x00"])
def test_bodies_that_are_not_json(engine, body):
    engine.start()
    assert engine.request("POST", "/in/open", body, {"Content-Type": "application/json"})[0] == 400
    assert engine.rows("events") == []
    still_works(engine)
