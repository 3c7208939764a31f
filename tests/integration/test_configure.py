"""`configure` of bellwire.yaml: what plugins are told, checked against their manifests; taken over as a whole or not at all, and no call notices."""
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import CONFIG, ROOT, wait_for
from test_config_values import errors, hang_up

SOURCE = r"""
#include "bellwire_plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct instance {
    const struct bw_plugin_host *host;
    char config[1000];
};

static void *start(const struct bw_plugin_host *host, const char *config, char *error, size_t size)
{
    struct instance *instance = calloc(1, sizeof *instance);
    if (strstr(config, "crash")) abort();
    if (strstr(config, "hang")) pause();
    const char *away = strstr(config, "away:");
    if (away) { /* as a service that it wants */
        char path[300] = "";
        sscanf(away, "away:%299[^\"]", path);
        if (!access(path, F_OK)) {
            snprintf(error, size, "the service is away");
            return NULL;
        }
    }
    if (strstr(config, "refuse")) {
        snprintf(error, size, "there is no such place");
        return NULL;
    }
    instance->host = host;
    snprintf(instance->config, sizeof instance->config, "%s", config);
    return instance;
}

struct held {
    struct instance *instance;
    struct bw_plugin_call *call;
};

static void answer(void *arg)
{
    struct held *held = arg;
    const struct bw_plugin_host *host = held->instance->host;
    const char *one = host->secret(host, held->call, "ONE"), *two = host->secret(host, held->call, "TWO");
    char output[1400];
    if (strstr(held->call->input, "\"tell\"")) {
        snprintf(output, sizeof output, "it did not take the token %s", two ? two : "");
        host->complete(host, held->call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = "told.refused", .message = output});
        free(held);
        return;
    }
    int len = snprintf(output, sizeof output, "{\"told\":%s,\"pid\":%d,\"ones\":%zu,\"twos\":%zu}", held->instance->config, (int)getpid(),
                       one ? strlen(one) : 0, two ? strlen(two) : 0);
    host->complete(host, held->call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .output = output, .output_len = (size_t)len});
    free(held);
}

/* With "hold" it answers when that file is there. */
static void look(void *arg)
{
    struct held *held = arg;
    char path[300] = "";
    const char *at = strstr(held->call->input, "\"hold\":\"");
    if (at) sscanf(at, "\"hold\":\"%299[^\"]", path);
    if (*path == '/') held->instance->host->log(held->instance->host, held->call, BW_PLUGIN_INFO, "begun");
    if (*path == '/' && access(path, F_OK))
        held->instance->host->timer(held->instance->host, 20, look, held);
    else
        answer(held);
}

static void execute(void *arg, struct bw_plugin_call *call)
{
    struct held *held = malloc(sizeof *held);
    *held = (struct held){arg, call};
    look(held);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"told\",\"version\":\"1.0.0\",\"needs\":[\"files:/tmp\"],\"config\":{\"url\":{\"type\":\"string\",\"required\":true,\"doc\":\"where it is\"},"
                "\"pages\":{\"type\":\"integer\",\"default\":10},\"token\":{\"type\":\"string\",\"secret\":true}},"
                "\"actions\":[{\"name\":\"told/what\",\"retry\":{\"attempts\":1},\"inputs\":{\"hold\":{\"type\":\"string\",\"default\":\"\"}}}]}",
    .init = start,
    .execute = execute,
};
"""
SECRETS = "secrets: {ONE: {env: ONE}, TWO: {env: TWO}}\n"
WORKFLOW = """
name: ask
on: [{event: open.ping}]
steps:
  - {id: a, uses: told/what@1, timeout: 50s, with: {hold: "${{ event.data.hold or '' }}"}}
outputs: {all: "${{ steps.a }}"}
"""


def build(folder, source=SOURCE):
    (folder / "told.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I", ROOT / "engine/plugin", "-o", folder / "told.so", folder / "told.c"], check=True)
    return folder / "told.so"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("told"))


def told(text):
    return SECRETS + f"configure: {{told: {text}}}\n"


@pytest.fixture
def begin(make_engine, library):
    def make(configuration, workflow=WORKFLOW):
        engine = make_engine(CONFIG + configuration)
        engine.env.update(ONE="x" * 21, TWO="y" * 33)
        (engine.folder / "plugins").mkdir()
        (engine.folder / "plugins" / "told.so").write_bytes(library.read_bytes())
        if workflow:
            engine.write("workflows/ask.yaml", workflow)
        return engine
    return make


def ask(engine, **data):
    assert engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})[0] == 202


def answers(engine, count):
    return [run["output"]["all"] for run in engine.finished_runs(count)]


def test_a_plugin_is_told_what_is_written_and_may_read_the_secrets_that_it_names(begin):
    engine = begin(told("{url: https://a.example, token: {secret: TWO}}")).start()
    ask(engine)
    [answer] = answers(engine, 1)
    assert answer["told"] == {"url": "https://a.example", "token": {"secret": "TWO"}, "pages": 10}
    assert (answer["ones"], answer["twos"]) == (0, 33)  # and no other one
    show = engine.run("actions", "show", "told/what").stdout
    assert "configure.told" in show and "where it is" in show and "secret" in show and "default 10" in show


def test_a_new_secret_reaches_the_process_that_serves(begin):
    engine = begin(told("{url: https://a.example, token: {secret: TWO}}").replace("{env: TWO}", "{file: two}"))
    engine.write("two", "y" * 33, 0o600)
    engine.start()
    ask(engine)
    [before] = answers(engine, 1)
    engine.write("two", "z" * 44, 0o600)
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("config.changed")
    ask(engine)
    after = answers(engine, 2)[0]
    assert (before["twos"], after["twos"]) == (33, 44) and before["pid"] == after["pid"]


def test_a_secret_in_the_text_of_an_error_is_taken_out(begin):
    engine = begin(told("{url: https://a.example, token: {secret: TWO}}")).start()
    ask(engine, hold="tell")
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "told.refused" and "it did not take the token" in run["error"]["message"]
    engine.stop()
    secret = engine.env["TWO"]
    assert secret not in json.dumps(run) and secret not in json.dumps(engine.log)
    assert not [path for path in engine.folder.rglob("bellwire.db*") if secret.encode() in path.read_bytes()]


def test_the_example_of_the_readme(begin, tmp_path):
    text = (ROOT / "engine/plugin/README.md").read_text().split("## What it is told")[1]
    fields, yaml, promised = (re.search(pattern, text, re.DOTALL).group(1) for pattern in (r"```json\n(.*?)```", r"```yaml\n(.*?)```", r"`init` gets `(.*?)`"))
    manifest = {**json.loads(fields), "version": "1.0.0", "actions": [{"name": "told/what"}]}
    source = re.sub(r'\.manifest = .*?,\n    \.init', lambda _: f".manifest = {json.dumps(json.dumps(manifest))},\n    .init", SOURCE, flags=re.DOTALL)
    engine = begin(yaml, WORKFLOW.replace("hold: ", "x: "))
    (engine.folder / "plugins" / "told.so").write_bytes(build(tmp_path, source).read_bytes())
    engine.env["SHOUT_TOKEN"] = "z" * 9
    engine.start()
    ask(engine)
    assert answers(engine, 1)[0]["told"] == json.loads(promised)


def test_a_changed_configuration_is_told_to_a_new_process_and_calls_end_on_the_old_one(begin, tmp_path):
    engine = begin(told("{url: https://a.example}")).start()
    ask(engine, hold=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="begun")
    hang_up(engine, told("{url: https://b.example, pages: 3}"))
    engine.wait_log("plugin.changed", plugin="told.so")
    ask(engine)
    [answer] = answers(engine, 1)
    assert answer["told"] == {"url": "https://b.example", "pages": 3}
    (tmp_path / "go").touch()
    earlier, later = answers(engine, 2)
    assert later == answer and earlier["told"]["url"] == "https://a.example" and earlier["pid"] != later["pid"], (later, earlier)
    engine.stop()


@pytest.mark.parametrize("text,code,part", [
    (told("{pages: 3}"), "configure.missing", "configure.told: url: is required"),
    (told("{url: https://b.example, pages: x}"), "configure.type", "expected an integer"),
    (told("{url: https://b.example, token: {secret: THREE}}"), "configure.secret", "no secret 'THREE'"),
    (told("{url: refuse}"), "plugin.init", "there is no such place"),
    (told("{url: crash}"), "plugin.crashed", "SIGABRT"),
    (told("{url: hang}"), "plugin.load_timeout", "did not finish"),
    (told("{url: https://b.example}").replace("told:", "tolt:"), "configure.plugin", "no plugin 'tolt'"),
])
def test_what_is_wrong_is_refused_as_a_whole_and_the_old_one_serves_on(begin, text, code, part):
    engine = begin(told("{url: https://a.example}")).start()
    ask(engine)
    [before] = answers(engine, 1)
    hang_up(engine, text)
    error = engine.wait_log("catalog.error", code=code)
    assert part in error["message"] and (code.startswith("plugin.") or error["line"] > 12), error
    engine.wait_log("catalog.refused")
    ask(engine)
    assert answers(engine, 2)[0] == before  # the same process
    hang_up(engine, told("{url: https://c.example}"))
    engine.wait_log("plugin.changed")
    ask(engine)
    assert answers(engine, 3)[0]["told"]["url"] == "https://c.example"
    engine.stop()


def test_an_engine_that_stops_does_not_wait_for_a_plugin_that_is_tried(begin):
    engine = begin(told("{url: https://a.example}")).start()
    hang_up(engine, told("{url: hang}"))
    wait_for("the one that is tried", lambda: len(engine.children("host")) == 3)  # with that of the bundled http
    assert engine.stop() == 0


def test_workflow_and_configuration_are_taken_over_together_or_not_at_all(begin):
    engine = begin(told("{url: https://a.example}")).start()
    engine.write("workflows/ask.yaml", WORKFLOW.replace("name: ask", "nam: ask"))
    hang_up(engine, told("{url: https://b.example}"))
    engine.wait_log("catalog.refused")
    ask(engine)
    assert answers(engine, 1)[0]["told"]["url"] == "https://a.example"
    assert not [line for line in engine.log if line["log"] in ("plugin.changed", "plugin.crashed")]
    engine.stop()


def test_at_the_start_what_is_wrong_costs_the_plugin_alone_and_may_be_mended(begin):
    engine = begin(told("{url: https://a.example, page: 3}"))
    engine.write("workflows/other.yaml", "name: other\non: [{event: open.ping}]\nsteps: [{id: a, set: {n: 1}}]\n")
    status, found = errors(engine)
    assert status == 1 and [error["code"] for error in found][0] == "configure.unknown", found
    assert found[0]["file"].endswith("bellwire.yaml") and found[0]["line"] == 14 and "did you mean 'pages'?" in found[0]["hint"], found
    engine.start()
    refused = engine.wait_log("plugin.refused")
    assert refused["code"] == "configure.unknown" and refused["line"] == 14
    ask(engine)
    engine.finished_runs(1, "--workflow", "other")
    hang_up(engine, told("{url: https://a.example, pages: 3}"))
    engine.wait_log("plugin.changed")
    ask(engine)
    [run] = engine.finished_runs(1, "--workflow", "ask")
    assert run["output"]["all"]["told"]["pages"] == 3
    engine.stop()


def test_a_required_field_makes_the_plugin_unusable_until_it_is_there(begin):
    engine = begin("")
    status, found = errors(engine)
    assert status == 1 and found[0]["code"] == "configure.missing" and "url" in found[0]["message"], found
    engine.write("bellwire.yaml", CONFIG + told("{url: x}"))
    assert errors(engine) == (0, [])


def test_what_cannot_be_read_is_refused_as_well(begin):
    engine = begin(told("{url: https://a.example}")).start()
    hang_up(engine, "configure: {told: [1]}\n")
    error = engine.wait_log("catalog.error")
    assert error["code"] == "config.type" and error["line"] == 13, error
    engine.wait_log("catalog.refused")
    hang_up(engine, told("{url: https://c.example}"))
    engine.wait_log("plugin.changed")
    engine.stop()


def test_moved_lines_are_no_change(begin):
    engine = begin(told("{url: https://a.example}")).start("--log-level", "debug")
    [old] = [pid for pid in engine.children("host") if "told" in open(f"/proc/{pid}/maps").read()]
    hang_up(engine, "# a comment\n" + told("{url: https://a.example}"))
    engine.wait_log("catalog.unchanged")
    assert os.path.exists(f"/proc/{old}")
    hang_up(engine, "# a comment\n" + told("{url: 7}"))
    assert engine.wait_log("catalog.error", code="configure.type")["line"] == 15
    engine.stop()


def test_a_process_that_crashes_comes_again_with_what_it_was_told(begin):
    engine = begin(told("{url: https://a.example}")).start()
    hang_up(engine, told("{url: https://b.example}"))
    engine.wait_log("plugin.changed")
    ask(engine)
    [first] = answers(engine, 1)
    os.kill(first["pid"], signal.SIGKILL)
    engine.wait_log("plugin.crashed")
    ask(engine)
    run = engine.finished_runs(2)[0]
    assert run["output"]["all"]["told"]["url"] == "https://b.example", run
    engine.stop()


def test_one_that_does_not_want_to_begin_again_is_asked_again(begin, tmp_path):
    engine = begin(told(f"{{url: \"away:{tmp_path}/away\"}}")).start()
    ask(engine)
    [first] = answers(engine, 1)
    (tmp_path / "away").touch()
    os.kill(first["pid"], signal.SIGKILL)
    refused = engine.wait_log("plugin.refused")
    assert refused["code"] == "plugin.init" and "the service is away" in refused["message"]
    (tmp_path / "away").unlink()
    engine.wait_log("plugin.returned", plugin="told.so")
    ask(engine)
    assert answers(engine, 2)[0]["pid"] != first["pid"]
    engine.stop()


# ---- what it may need ----

def allowed(text):
    return told("{url: x}") + f"plugins_may: {text}\n"


def test_a_plugin_that_needs_what_is_not_allowed_is_refused_with_the_line_to_write(begin):
    engine = begin(allowed("{told: [network]}"))
    status, found = errors(engine)
    assert status == 1 and found[0]["code"] == "configure.needs" and "told needs files:/tmp" in found[0]["message"] and found[0]["line"] == 15, found
    assert 'told: ["files:/tmp"]' in found[0]["hint"]
    for text, good in (('{told: ["files:/tmp"]}', True), ('{told: ["files:/"], http: [network], "*": []}', True), ('{"*": ["files:/tmp"]}', False), ("{http: [network]}", True)):
        engine.write("bellwire.yaml", CONFIG + allowed(text))
        assert (errors(engine) == (0, [])) == good, text
    engine.write("bellwire.yaml", CONFIG + allowed('{tolt: []}'))
    assert [(error["code"], error["hint"]) for error in errors(engine)[1]] == [("configure.plugin", "did you mean 'told'?")]


def test_one_that_is_off_is_not_there_and_nothing_is_wrong(begin):
    engine = begin(allowed("{told: []}"), workflow=None)
    assert errors(engine) == (0, []) and "told/what" not in engine.run("actions").stdout
    engine.write("workflows/ask.yaml", WORKFLOW)
    assert [error["code"] for error in errors(engine)[1]] == ["action.unknown"]


def test_what_is_allowed_changes_while_it_serves(begin):
    engine = begin(allowed("{told: []}"), workflow=None).start()
    engine.wait_log("plugin.off", plugin="told.so")
    assert len(engine.children("host")) == 1
    engine.write("workflows/ask.yaml", WORKFLOW)
    hang_up(engine, allowed('{told: ["files:/tmp"]}'))
    engine.wait_log("plugin.changed", plugin="told.so")
    ask(engine)
    [before] = answers(engine, 1)
    hang_up(engine, allowed("{told: []}"))  # a workflow needs it
    engine.wait_log("catalog.error", code="action.unknown")
    hang_up(engine, allowed("{told: [network]}"))
    engine.wait_log("catalog.error", code="configure.needs")
    ask(engine)
    assert answers(engine, 2)[0] == before
    (engine.folder / "workflows" / "ask.yaml").unlink()
    hang_up(engine, allowed("{told: []}"))
    engine.wait_log("plugin.removed", plugin="told.so")
    wait_for("its end", lambda: not os.path.exists(f"/proc/{before['pid']}"))
    engine.stop()


def test_the_example_of_what_plugins_may(begin):
    text = (ROOT / "engine/plugin/README.md").read_text().split("## What it needs")[1]
    example = re.search(r"```yaml\n(plugins_may:.*?)```", text, re.DOTALL).group(1)
    engine = begin("", workflow=None)
    (engine.folder / "plugins" / "told.so").unlink()
    engine.write("bellwire.yaml", CONFIG + example)
    status, found = errors(engine)
    assert sorted((error["code"], error["message"].split("'")[1]) for error in found) == [("configure.plugin", "convert"), ("configure.plugin", "shout")], found
