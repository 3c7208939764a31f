"""What a compiled plugin says of its health: asked by the engine, told to people, and no reason to keep calls from it."""
import json
import subprocess

import pytest

from conftest import CONFIG, ROOT, wait_for

SOURCE = """
#include "bellwire_plugin.h"
#include <stdio.h>
#include <string.h>
static const struct bw_plugin_host *host;
static char state[80] = STATE;
static void *start(const struct bw_plugin_host *given, const char *config, char *error, size_t size) { (void)config, (void)error, (void)size; host = given; return state; }
static void end(struct bw_plugin_call *call, enum bw_plugin_outcome outcome, const char *code, const char *message) {
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = outcome, .code = code, .message = message});
}
static void execute(void *instance, struct bw_plugin_call *call) {
    const char *text = strstr(call->input, "\\"state\\":\\"");
    (void)instance;
    if (text && !KIT) sscanf(text + 9, "%79[^\\"]", state);
    if (!strncmp(state, "fail", 4)) end(call, BW_PLUGIN_RETRY, "moody.away", "not now"); else end(call, BW_PLUGIN_OK, NULL, NULL);
}
static void cancel(void *instance, struct bw_plugin_call *call) { (void)instance; end(call, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "given up"); }
#ifdef HEALTH
static void health(void *instance, struct bw_plugin_call *call) {
    const char *secret = host->secret(host, call, "WORD");
    static char said[200];
    (void)instance;
    if (*call->action || strcmp(call->input, "{}")) end(call, BW_PLUGIN_FAIL, "moody.asked", "this is no question of health");
    else if (!strcmp(state, "hang")) return;
    else if (!strcmp(state, "silent")) end(call, BW_PLUGIN_FAIL, "moody.silent", "");
    else if (!strcmp(state, "well")) end(call, BW_PLUGIN_OK, NULL, NULL);
    else { snprintf(said, sizeof said, "%s, and the word is %s", state, secret ? secret : "not there"); end(call, BW_PLUGIN_RETRY, "moody.ill", said); }
}
#endif
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = SIZE, .abi = BELLWIRE_PLUGIN_ABI, .init = start, .execute = execute, .cancel = cancel,
#ifdef HEALTH
    .health = health,
#endif
    .manifest = "{\\"name\\":\\"moody\\",\\"version\\":\\"1.0.0\\",\\"config\\":{\\"word\\":{\\"type\\":\\"string\\",\\"secret\\":true}},\\"actions\\":[{\\"name\\":\\"moody/be\\",\\"effect\\":\\"none\\","
                "\\"inputs\\":{\\"state\\":{\\"type\\":\\"string\\",\\"required\\":true}}}]}",
};
"""
WORKFLOW = """
name: be
on: [{event: open.ping}]
steps: [{id: s, uses: moody/be@1, retry: {attempts: 1}, with: {state: "${{ event.data.state }}"}}]
"""


@pytest.fixture
def build(make_engine):
    def make(state="well", *defines, size="sizeof(struct bw_plugin)", kit=0):
        engine = make_engine(CONFIG + "secrets: {WORD: {env: WORD}}\nconfigure: {moody: {word: {secret: WORD}}}\n")
        engine.env["WORD"] = "open-sesame"
        engine.write("workflows/be.yaml", WORKFLOW)
        engine.write("moody.c", SOURCE)
        (engine.folder / "plugins").mkdir()
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f'-DSTATE="{state}"', f"-DSIZE={size}", f"-DKIT={kit}", *defines, "-I", ROOT / "engine/plugin",
                        "-o", engine.folder / "plugins" / "moody.so", engine.folder / "moody.c"], check=True)
        return engine
    return make


def be(engine, state):
    assert engine.request("POST", "/in/open", json.dumps({"state": state}).encode(), {"Content-Type": "application/json"})[0] == 202


def listed(engine):
    """Its row of `plugin list`, and the exit status."""
    result = engine.run("plugin", "list", "--json", check=False)
    rows = {row["plugin"]: row for row in map(json.loads, result.stdout.splitlines())}
    return rows["moody"], result.returncode


def test_it_is_asked_and_what_it_says_is_shown(build):
    engine = build("the cellar is wet", "-DHEALTH").start()
    line = engine.wait_log("plugin.ill", plugin="moody.so", code="moody.ill")
    assert line["message"] == "the cellar is wet, and the word is [secret:WORD]"
    row, status = wait_for("the list to say so", lambda: (lambda found: found if found[0].get("code") == "moody.ill" else None)(listed(engine)))
    assert (row["state"], row["health"], row["code"], row["version"], status) == ("ready", "ill", "moody.ill", "1.0.0", 1)
    assert "the cellar is wet" in row["message"] and "open-sesame" not in json.dumps(row) and row["since_ms"] > 0 and row["calls"] == 0
    text = engine.run("plugin", "list", check=False).stdout
    assert "ill" in text and "the cellar is wet" in text and "http" in text, text


def test_one_that_is_ill_gets_its_calls_and_gets_well_again(build):
    engine = build("away", "-DHEALTH").start()
    engine.wait_log("plugin.ill", code="moody.ill")
    be(engine, "well")
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    engine.wait_log("plugin.well", plugin="moody.so")
    row, status = wait_for("the list to say so", lambda: (lambda found: found if found[0].get("health") == "well" else None)(listed(engine)))
    assert status == 0 and "message" not in row


def test_a_call_that_fails_makes_the_engine_ask(build):
    engine = build("well", "-DHEALTH").start()
    wait_for("the first answer", lambda: listed(engine)[0].get("health") == "well")
    be(engine, "fail: no connection")
    line = engine.wait_log("plugin.ill", code="moody.ill")
    assert line["message"].startswith("fail: no connection")


def test_one_that_does_not_say_is_ill_and_its_process_goes_on(build):
    engine = build("hang", "-DHEALTH").start()
    line = engine.wait_log("plugin.ill")
    assert "within 5 s" in line["message"]
    be(engine, "well")
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    engine.wait_log("plugin.well")
    assert not [line for line in engine.log if line["log"] in ("plugin.unresponsive", "plugin.crashed")]


@pytest.mark.parametrize("defines, size", [((), "sizeof(struct bw_plugin)"), (("-DHEALTH",), "offsetof(struct bw_plugin, health)")], ids=["left_out", "older"])
def test_one_that_has_none_is_not_asked(build, defines, size):
    engine = build("away", *defines, size=size).start()
    be(engine, "well")
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    row, status = listed(engine)
    assert "health" not in row and (row["state"], status) == ("ready", 0)
    assert not [line for line in engine.log if line["log"] == "plugin.ill"]


def test_without_an_engine_there_is_no_list(build):
    result = build().run("plugin", "list", check=False)
    assert result.returncode == 1 and "plugin list" in result.stderr


@pytest.mark.parametrize("state, verdict, found", [("well", "passed", "well"), ("away", "passed", "ill: away"), ("hang", "failed", "has not said"), ("silent", "failed", "does not say of what")])
def test_the_kit_asks_as_well(build, state, verdict, found):
    engine = build(state, "-DHEALTH", kit=1)
    result = engine.run("plugin", "test", "plugins/moody.so", "--json", "--config", "bellwire.yaml", "--repeat", "1", check=False)
    checks = {row["check"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert checks["health"]["state"] == verdict and found in checks["health"]["found"], checks["health"]


def test_the_kit_does_not_ask_one_that_has_none(build):
    result = build("well").run("plugin", "test", "plugins/moody.so", "--json", "--config", "bellwire.yaml", "--repeat", "1")
    assert "health" not in [row["check"] for row in map(json.loads, result.stdout.splitlines())]
