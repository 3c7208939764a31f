"""Plugins in Lua and modules: folders with plugin.yaml, what their files see of each other, and what becomes of them while they are changed."""
import contextlib
import json
import pathlib
import shutil
import signal
import sqlite3

import pytest

from conftest import BINARY, CONFIG, wait_for
from test_reload import begin, nth, ping, replace
from test_runs import sink  # noqa: F401 (a fixture)

MANIFEST = "name: greet\nversion: 1.0.0\ndoc: Says things.\n"
ACTION = """
local text = require "text"
return action {
  name = "greet/hello", version = "1.0.0", doc = "Says hello.", effect = "none",
  inputs = {who = {type = "string", required = true}},
  run = function(ctx, input) return {text = text.hello(input.who)} end,
}
"""
MODULE = """
local M = {}
function M.hello(who) return "hello " .. who end
return M
"""
WORKFLOW = """
name: w
on: [{event: open.ping}, {manual: true}]
steps: [{id: s, uses: greet/hello@1, with: {who: you}}]
"""


def write_plugin(engine, name="greet", folder=None):
    folder = folder or f"plugins/{name}"
    engine.write(f"{folder}/plugin.yaml", MANIFEST.replace("greet", name))
    engine.write(f"{folder}/hello.lua", ACTION.replace("greet/", f"{name}/"))
    engine.write(f"{folder}/lib/text.lua", MODULE)


@pytest.fixture
def instance(make_engine):
    engine = make_engine()
    write_plugin(engine)
    engine.write("workflows/w.yaml", WORKFLOW)
    return engine


def errors_of(engine):
    """(code, file below the instance, line) of each error that `check` finds."""
    rows = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
    return [(row["code"], row.get("file", "").removeprefix("./"), row.get("line", 0)) for row in rows], rows


def output_of(engine, *arguments):
    lines = [json.loads(line) for line in engine.run("run", "w", "--json", *arguments, check=False).stdout.splitlines()]
    [step] = [line for line in lines if line.get("what") == "step_finished"]
    return step.get("output") or step["error"]


def test_a_plugin_in_lua_is_a_folder_whose_actions_run(instance):
    # Beside the actions lies what is none: only *.lua there and in lib/ is read.
    instance.write("plugins/greet/README.md", "# greet\n")
    instance.write("plugins/greet/example/actions/other.lua", "this is no Lua\n")
    instance.write("plugins/greet/notes/x.lua", "this is no Lua\n")
    assert errors_of(instance)[0] == []
    assert output_of(instance) == {"text": "hello you"}
    [action] = [row for row in instance.rows("actions") if row["name"] == "greet/hello@1"]
    assert action["kind"] == "lua" and action["plugin"] == "greet" and action["file"].endswith("plugins/greet/hello.lua")
    shown = instance.run("actions", "show", "greet/hello").stdout
    assert "plugin     greet" in shown and "Says hello." in shown, shown


def test_the_users_actions_see_the_lib_beside_them_and_that_of_all(instance):
    instance.write("actions/crm/up.lua", """
return action{name = "crm/up", version = "1.0.0", effect = "none", run = function(ctx, input)
  return {own = require("own").name, shared = require("shared").name, greet = select(2, pcall(require, "text"))}
end}""")
    instance.write("actions/crm/lib/own.lua", "return {name = 'own, with ' .. require('shared').name}")
    instance.write("actions/lib/shared.lua", "return {name = 'shared'}")
    instance.write("workflows/w.yaml", WORKFLOW.replace("greet/hello@1, with: {who: you}", "crm/up@1"))
    assert errors_of(instance)[0] == []
    output = output_of(instance)
    assert (output["own"], output["shared"]) == ("own, with shared", "shared")
    assert "there is no module 'text' in" in output["greet"] and "plugins" not in output["greet"].split("in ", 1)[1], output


@pytest.mark.parametrize("path, text, error", [
    ("plugins/greet/plugin.yaml", "name: greed\nversion: 1.0.0\n", ("plugin.manifest", "plugins/greet/plugin.yaml", 1)),
    ("plugins/greet/plugin.yaml", "name: greet\nversion: 1.0.0\ndocs: x\n", ("plugin.manifest", "plugins/greet/plugin.yaml", 3)),
    ("plugins/greet/plugin.yaml", "name: greet\n", ("plugin.manifest", "plugins/greet/plugin.yaml", 1)),
    ("plugins/greet/plugin.yaml", MANIFEST + "config: {url: {type: text}}\n", ("schema.invalid", "plugins/greet/plugin.yaml", 4)),
    ("plugins/greet/plugin.yaml", MANIFEST + "config: [url]\n", ("plugin.manifest", "plugins/greet/plugin.yaml", 4)),
    ("plugins/greet/plugin.yaml", "name: [\n", ("yaml.syntax", "plugins/greet/plugin.yaml", 2)),
    ("plugins/greet/other.lua", ACTION.replace("greet/hello", "crm/hello"), ("action.foreign", "plugins/greet/other.lua", 0)),
    ("plugins/greet/other.lua", ACTION, ("action.twice", "plugins/greet/other.lua", 0)),
    ("plugins/greet/hello.lua", ACTION.replace('"text"', '"texts"'), ("action.invalid", "plugins/greet/hello.lua", 2)),
    ("plugins/greet/lib/text.lua", "local M = {}\nM.x = = 1\nreturn M\n", ("lua.syntax", "plugins/greet/lib/text.lua", 2)),
    ("plugins/greet/lib/text.lua", "\nerror('not today')\n", ("action.invalid", "plugins/greet/lib/text.lua", 2)),
    ("plugins/greet/lib/Text.lua", MODULE, ("module.name", "plugins/greet/lib/Text.lua", 0)),
    ("plugins/greet/lib/deep/text.lua", MODULE, ("module.nested", "plugins/greet/lib/deep/text.lua", 0)),
    ("plugins/bare/hello.lua", ACTION, ("plugin.no_manifest", "plugins/bare", 0)),
    ("actions/lib/own.lua", MODULE, None),
    ("actions/crm/lib/own.lua", MODULE, None),
])
def test_what_is_wrong_is_told_with_its_place(instance, path, text, error):
    instance.write(path, text)
    found, rows = errors_of(instance)
    assert (error in found) if error else not found, rows


def test_a_wrong_name_is_told_with_the_right_one(instance):
    instance.write("plugins/greet/hello.lua", ACTION.replace('"text"', '"texts"'))
    instance.write("plugins/greet/plugin.yaml", "name: greet\nversion: 1.0.0\ndocs: x\n")
    text = instance.run("check", check=False).stderr
    assert "there is no module 'texts' in" in text and "(did you mean 'text'?)" in text and "did you mean 'doc'?" in text, text


def test_two_modules_of_one_name_that_one_action_sees_are_an_error(instance):
    instance.write("actions/lib/text.lua", MODULE)
    assert errors_of(instance)[0] == []  # the plugin's own is not seen from there
    instance.write("actions/crm/lib/text.lua", MODULE)
    [(code, _, _)], [row] = errors_of(instance)
    assert code == "module.twice" and "text" in row["message"] and row["file"] != row["message"].split()[-1], row


# ---- what is bundled ----

@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A Bellwire with a plugin in Lua of its own, as it is installed."""
    root = tmp_path_factory.mktemp("installed")
    (root / "bin").mkdir()
    shutil.copy2(BINARY, root / "bin" / "bellwire")
    folder = root / "lib" / "bellwire" / "plugins" / "greet"
    (folder / "lib").mkdir(parents=True)
    (folder / "plugin.yaml").write_text(MANIFEST)
    (folder / "hello.lua").write_text(ACTION)
    (folder / "lib" / "text.lua").write_text(MODULE.replace("hello ", "bundled "))
    return root / "bin" / "bellwire"


def bundled_output(engine, bundle, monkeypatch):
    monkeypatch.setattr("conftest.BINARY", bundle)
    return output_of(engine)


def test_a_bundled_plugin_is_there_and_the_instances_own_goes_before_it(make_engine, bundle, monkeypatch):
    engine = make_engine()
    engine.write("workflows/w.yaml", WORKFLOW)
    assert bundled_output(engine, bundle, monkeypatch) == {"text": "bundled you"}
    # one action of the same name…
    engine.write("actions/greet.lua", "return action{name = 'greet/hello', version = '1.9.0', run = function() return {text = 'own'} end}")
    assert bundled_output(engine, bundle, monkeypatch) == {"text": "own"} and errors_of(engine)[0] == []
    # …or the whole plugin
    (engine.folder / "actions" / "greet.lua").unlink()
    write_plugin(engine)
    engine.write("plugins/greet/lib/text.lua", MODULE.replace("hello ", "mine "))
    assert bundled_output(engine, bundle, monkeypatch) == {"text": "mine you"} and errors_of(engine)[0] == []


def bundled_files(engine, activated=None):
    """Of bundled plugins in Lua, in that revision."""
    revision = activated["revision"] if activated else 1
    with contextlib.closing(sqlite3.connect(engine.folder / "data" / "bellwire.db")) as store:
        rows = store.execute("SELECT path FROM revision_files WHERE revision = ? AND path LIKE '%/lib/bellwire/plugins/%'", (revision,))
        return {path.rsplit("/lib/bellwire/plugins/", 1)[1] for path, in rows}


WHOLE = {"greet/plugin.yaml", "greet/hello.lua", "greet/lib/text.lua"}


def test_what_is_bundled_is_a_part_of_the_revision_as_long_as_something_names_it(make_engine, bundle):
    engine = make_engine()
    engine.write("workflows/plain.yaml", "name: plain\non: [{manual: true}]\nsteps: [{id: s, lua: 'return {}'}]\n")
    engine.start(binary=bundle)
    engine.wait_log("catalog.loaded")
    plain = versions(engine)["plain"]
    assert bundled_files(engine) == set()
    replace(engine, "workflows/w.yaml", WORKFLOW)
    assert bundled_files(engine, nth(engine, "catalog.activated", 1)) == WHOLE and versions(engine)["plain"] == plain
    ping(engine)
    [run] = engine.finished_runs(1)
    assert run["steps"][0]["output"] == {"text": "bundled you"}
    (engine.folder / "workflows" / "w.yaml").unlink()
    assert bundled_files(engine, nth(engine, "catalog.activated", 2)) == set() and versions(engine)["plain"] == plain
    engine.write("bellwire.yaml", CONFIG + "config: {tools: [greet/hello@1]}\n")
    engine.process.send_signal(signal.SIGHUP)
    assert bundled_files(engine, nth(engine, "catalog.activated", 3)) == WHOLE


def test_what_nobody_names_is_listed_and_meant_all_the_same(make_engine, bundle, monkeypatch):
    monkeypatch.setattr("conftest.BINARY", bundle)
    engine = make_engine(CONFIG + "configure: {gret: {}}\n")
    engine.write("workflows/w.yaml", WORKFLOW.replace("greet/hello", "gret/hello"))
    found = {row["code"]: row["hint"] for row in errors_of(engine)[1]}
    assert found == {"action.unknown": "did you mean 'greet/hello'?", "configure.plugin": "did you mean 'greet'?"}
    assert [row["name"] for row in engine.rows("actions")] == ["greet/hello@1"]


def test_an_action_that_only_an_event_names_is_not_there_and_the_error_says_what_to_do(make_engine, bundle, monkeypatch):
    monkeypatch.setattr("conftest.BINARY", bundle)
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{manual: true}]
steps:
  - id: s
    with: {uses: "${{ event.data.uses }}"}
    lua: |
      local out, why = ctx.part.run("it[1]", input.uses, {who = "you"})
      return {out = out, why = why}
""")
    engine.write("data.json", '{"uses": "greet/hello@1"}')

    def ended():
        rows = [json.loads(line) for line in engine.run("run", "w", "--json", "--data", "data.json", check=False).stdout.splitlines()]
        return [row for row in rows if row.get("what") == "step_finished"]
    said = ended()[-1]["output"]["why"]
    assert said["code"] == "action.unknown" and "it is there when a workflow or bellwire.yaml has its name" in said["hint"], said
    engine.write("bellwire.yaml", CONFIG + "config: {tools: [greet/hello@1]}\n")
    assert ended()[-1]["output"]["out"] == {"text": "bundled you"}


def test_files_of_bundled_plugins_have_the_names_of_their_actions(engine):
    """By which they are suggested before they are read."""
    rows = [row for row in engine.rows("actions") if row["kind"] == "lua"]
    assert len(rows) > 10
    for row in rows:
        path = pathlib.Path(row["file"])
        assert row["name"].split("@")[0] == f"{path.parent.name}/{path.stem}"


# ---- configuration ----

CONFIGURED = MANIFEST + """
config:
  greeting: {type: string, default: hello}
  token: {type: string, secret: true, required: true}
  retries: {type: integer, default: 3}
"""
TOLD = """
return action{name = "greet/hello", version = "1.0.0", effect = "none", run = function(ctx, input)
  ctx.sleep(0.001)
  return {told = ctx.config, chars = #ctx.secret(ctx.config.token), other = pcall(ctx.secret, "OTHER")}
end}
"""
SECRETS = "\nsecrets: {TOKEN: {env: GREET_TOKEN}, OTHER: {env: GREET_TOKEN}}\n"


@pytest.fixture
def configured(make_engine):
    engine = make_engine(CONFIG + SECRETS + "configure: {greet: {token: {secret: TOKEN}, retries: 5}}\n")
    engine.env["GREET_TOKEN"] = "abcdefg"
    engine.write("plugins/greet/plugin.yaml", CONFIGURED)
    engine.write("plugins/greet/hello.lua", TOLD)
    engine.write("workflows/w.yaml", WORKFLOW.replace(", with: {who: you}", ""))
    return engine


def test_a_plugin_is_told_what_bellwire_yaml_says(configured):
    assert errors_of(configured)[0] == []
    assert output_of(configured) == {"told": {"greeting": "hello", "token": {"secret": "TOKEN"}, "retries": 5}, "chars": 7, "other": False}
    shown = configured.run("actions", "show", "greet/hello").stdout
    assert "configure.greet in bellwire.yaml" in shown and "greeting" in shown and "secret" in shown, shown


@pytest.mark.parametrize("configure, code, told", [
    ("{greet: {}}", "configure.missing", "token"),
    ("{greet: {token: {secret: TOKEM}}}", "configure.secret", "did you mean 'TOKEN'?"),
    ("{greet: {token: {secret: TOKEN}, retrys: 1}}", "configure.unknown", "did you mean 'retries'?"),
    ("{greet: {token: {secret: TOKEN}, retries: many}}", "configure.type", "retries"),
    ("{greed: {token: {secret: TOKEN}}, greet: {token: {secret: TOKEN}}}", "configure.plugin", "did you mean 'greet'?"),
])
def test_a_wrong_configuration_is_told_with_its_place(configured, configure, code, told):
    configured.write("bellwire.yaml", CONFIG + SECRETS + f"configure: {configure}\n")
    found, rows = errors_of(configured)
    lines = len((CONFIG + SECRETS).splitlines()) + 1
    assert found == [(code, rows[0]["file"].removeprefix("./"), lines)] and told in json.dumps(rows[0]), rows


def test_a_reload_tells_it_what_is_new_or_changes_nothing(configured):
    engine = begin(configured)

    def told(count):
        event = ping(engine)
        [run] = [run for run in engine.finished_runs(count) if run["event"] == event]
        return run["steps"][0]["output"]["told"]["retries"]
    assert told(1) == 5
    engine.write("bellwire.yaml", CONFIG + SECRETS + "configure: {greet: {token: {secret: TOKEN}, retries: 7}}\n")
    engine.process.send_signal(signal.SIGHUP)
    nth(engine, "catalog.activated", 1)
    assert told(2) == 7
    engine.write("bellwire.yaml", CONFIG + SECRETS + "configure: {greet: {token: {secret: TOKEN}, retries: [7]}}\n")
    engine.process.send_signal(signal.SIGHUP)
    nth(engine, "catalog.refused", 1)
    assert told(3) == 7


# ---- while they are changed ----

def versions(engine):
    return {row["workflow"]: row["version"] for row in engine.rows("workflows")}


def test_a_run_in_flight_ends_with_the_modules_that_it_began_with(make_engine, sink):
    engine = make_engine()
    engine.write("plugins/slow/plugin.yaml", "name: slow\nversion: 1.0.0\n")
    engine.write("plugins/slow/call.lua", """
return action{name = "slow/call", version = "1.0.0", run = function(ctx, input)
  ctx.http{method = "POST", url = input.url}
  return {version = require("version")}
end}""")
    module = "return '%s'\n"
    engine.write("plugins/slow/lib/version.lua", module % "old")
    engine.write("workflows/w.yaml", f"name: w\non: [{{event: open.ping}}]\nsteps: [{{id: a, uses: slow/call@1, with: {{url: '{sink.url}/a'}}}}, {{id: b, uses: slow/call@1, with: {{url: '{sink.url}/b'}}}}]\n")
    begin(engine)
    sink.gate.clear()
    old = ping(engine)
    wait_for("the old run's first call", lambda: sink.requests)
    replace(engine, "plugins/slow/lib/version.lua", module % "new")
    assert nth(engine, "catalog.activated", 1)["revision"] == 2
    new = ping(engine)
    wait_for("the new run's first call", lambda: len(sink.requests) == 2)
    sink.gate.set()
    runs = {run["event"]: run for run in engine.finished_runs(2)}
    assert {event: [step["output"]["version"] for step in runs[event]["steps"]] for event in runs} == {old: ["old", "old"], new: ["new", "new"]}


def test_a_version_has_the_modules_in_it_and_a_broken_one_changes_nothing(instance):
    engine = begin(instance)
    engine.write("actions/plain.lua", "return action{name = 'a/plain', version = '1.0.0', run = function() end}")
    engine.write("workflows/plain.yaml", "name: plain\non: [{manual: true}]\nsteps: [{id: s, uses: a/plain@1}]\n")
    nth(engine, "catalog.activated", 1)
    before = versions(engine)
    replace(engine, "plugins/greet/lib/text.lua", MODULE.replace("hello ", "good day "))
    nth(engine, "catalog.activated", 2)
    after = versions(engine)
    assert after["w"] != before["w"] and after["plain"] == before["plain"]
    replace(engine, "plugins/greet/lib/text.lua", "local M = = 1\n")
    nth(engine, "catalog.refused", 1)
    assert ("lua.syntax", "./plugins/greet/lib/text.lua", 1) in [(line["code"], line["file"], line.get("line")) for line in engine.log if line["log"] == "catalog.error"]
    ping(engine)
    [run] = engine.finished_runs(1)
    assert run["steps"][0]["output"] == {"text": "good day you"}, run
