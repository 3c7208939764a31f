"""A plugin's file is replaced while it serves: new steps go to the new one, calls in progress end on the old one, and what does not load changes nothing."""
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from conftest import CONFIG, ROOT, is_sanitized, wait_for

SWAPS = 30 if is_sanitized() else 100

SOURCE = r"""
#include "bellwire_plugin.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bw_plugin_host *host;
static const char padding[300000] = {1}; /* most of its pages are read for the first time long after it was loaded */

static void answer(struct bw_plugin_call *call)
{
    char output[80];
    int len = snprintf(output, sizeof output, "{\"version\":%d,\"pid\":%d,\"sum\":%d}", VERSION, (int)getpid(), padding[getpid() % 300000]);
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .output = output, .output_len = (size_t)len});
}

static void look(void *arg)
{
    struct bw_plugin_call *call = arg;
    char path[300] = "";
    const char *at = strstr(call->input, "\"hold\":\"");
    if (at) sscanf(at, "\"hold\":\"%299[^\"]", path);
    if (*path && access(path, F_OK))
        host->timer(host, 10, look, call);
    else
        answer(call);
}

static void execute(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
    if (strstr(call->input, "\"hold\":\"/")) host->log(host, call, BW_PLUGIN_INFO, "begun");
    look(call);
}

static void *start(const struct bw_plugin_host *given, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    if (VERSION == 13) abort();
    return (void *)(host = given);
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"swap\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"swap/do\",\"retry\":{\"attempts\":1},\"inputs\":{\"hold\":{\"type\":\"string\"}" INPUTS "}}]}",
    .init = start,
    .execute = execute,
};
"""
WORKFLOW = """
name: swap
on: [{event: open.ping}]
steps:
  - {id: a, uses: swap/do@1, timeout: 50s, with: {hold: "${{ event.data.hold or '' }}"}}
outputs: {all: "${{ steps.a }}"}
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    (folder / "swap.c").write_text(SOURCE)

    def build(version, inputs=""):
        path = folder / f"{version}.so"
        subprocess.run(["cc", "-shared", "-fPIC", f"-DVERSION={version}", f"-DINPUTS={json.dumps(inputs)}", "-I", ROOT / "engine/plugin", "-o", path, folder / "swap.c"], check=True)
        return path
    wanted = ',"who":{"type":"string","required":true}'
    return {1: build(1), 2: build(2), 3: build(3, wanted), 13: build(13)}


@pytest.fixture
def begin(make_engine, versions):
    def make(version=1):
        engine = make_engine(CONFIG)
        (engine.folder / "plugins").mkdir()
        engine.write("workflows/swap.yaml", WORKFLOW)
        if version:
            shutil.copyfile(versions[version], plugin(engine))
        return engine
    return make


def plugin(engine):
    return engine.folder / "plugins" / "swap.so"


def put(engine, path):
    """As `cp` does: into the file that is there."""
    with open(plugin(engine), "r+b") as file:
        file.truncate(0)
        file.write(path.read_bytes())


def ask(engine, **data):
    assert engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})[0] == 202


def output(engine, count):
    ask(engine)
    return engine.finished_runs(count)[0]["output"]["all"]


def changes(engine):
    return sum(line.get("log") == "plugin.changed" for line in list(engine.log))


def test_a_call_in_progress_ends_on_the_old_one_although_its_file_is_written_over(begin, versions, tmp_path):
    engine = begin().start()
    ask(engine, hold=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="begun")
    put(engine, versions[2])
    engine.wait_log("plugin.changed", plugin="swap.so")
    assert output(engine, 1)["version"] == 2
    (tmp_path / "go").touch()
    old = engine.finished_runs(2)[0]["output"]["all"]
    assert old["version"] == 1
    wait_for("the end of the old process", lambda: not os.path.exists(f"/proc/{old['pid']}"))
    assert not [line for line in engine.log if line["log"] in ("plugin.crashed", "plugin.not_renewed")]
    engine.stop()


def test_swaps_under_load_lose_nothing(begin, versions):
    engine = begin().start()
    sent, is_over = [0], threading.Event()

    def load():
        while not is_over.is_set():
            ask(engine)
            sent[0] += 1
    sender = threading.Thread(target=load)
    sender.start()
    for swap in range(1, SWAPS + 1):
        shutil.copyfile(versions[1 + swap % 2], engine.folder / "new")
        (engine.folder / "new").rename(plugin(engine))  # as `mv` does: half a file could be taken for another version when the one who writes it rests
        engine.process.send_signal(signal.SIGHUP)
        wait_for(f"swap {swap}", lambda: changes(engine) >= swap)
    is_over.set()
    sender.join()
    ended = wait_for("the last run", lambda: [line for line in list(engine.log) if line["log"] == "run"] if sum(line["log"] == "run" for line in list(engine.log)) == sent[0] else None)
    assert {line["state"] for line in ended} == {"succeeded"} and sent[0] > SWAPS
    assert not [line for line in engine.log if line["level"] in ("warn", "error")]
    assert len({run["output"]["all"]["version"] for run in engine.finished_runs(20)[:20]}) >= 1
    engine.stop()


@pytest.mark.parametrize("broken", ["text", "half", "init"])
def test_what_does_not_load_changes_nothing_and_the_old_one_can_even_be_started_again(begin, versions, broken):
    engine = begin().start()
    before = output(engine, 1)
    (engine.folder / "broken").write_bytes({"text": b"no shared object", "half": versions[2].read_bytes()[:9000], "init": versions[13].read_bytes()}[broken])
    put(engine, engine.folder / "broken")
    error = engine.wait_log("catalog.error")
    assert error["code"] in {"text": ["plugin.not_loadable"], "half": ["plugin.not_loadable", "plugin.crashed"], "init": ["plugin.crashed"]}[broken] and error["file"].endswith("swap.so"), error
    engine.wait_log("catalog.refused")
    assert output(engine, 2) == before
    os.kill(before["pid"], signal.SIGKILL)
    engine.wait_log("plugin.crashed")
    again = output(engine, 3)
    assert again["version"] == 1 and again["pid"] != before["pid"]
    put(engine, versions[2])
    engine.wait_log("plugin.changed")
    assert output(engine, 4)["version"] == 2
    engine.stop()


def test_workflows_are_checked_against_what_the_new_one_offers(begin, versions):
    engine = begin().start()
    put(engine, versions[3])  # it needs an input that the workflow does not give: the one that serves stays
    assert "who" in engine.wait_log("catalog.error", code="input.missing")["message"]
    engine.wait_log("catalog.refused")
    assert output(engine, 1)["version"] == 1
    assert "who" in engine.run("actions", "show", "swap/do").stdout  # what is in the folder
    engine.stop()


def test_a_plugin_comes_and_goes_with_the_workflows_that_use_it(begin, versions):
    engine = begin(version=None)
    (engine.folder / "workflows" / "swap.yaml").rename(engine.folder / "swap.yaml")
    engine.start()
    shutil.copyfile(versions[1], plugin(engine))
    engine.wait_log("plugin.changed", plugin="swap.so")
    (engine.folder / "swap.yaml").rename(engine.folder / "workflows" / "swap.yaml")
    wait_for("the workflow", lambda: any(line.get("log") == "catalog.activated" and line["workflows"] == 1 for line in list(engine.log)))
    pid = output(engine, 1)["pid"]
    plugin(engine).rename(engine.folder / "swap.so")
    engine.wait_log("catalog.error", code="action.unknown")  # it is needed
    assert output(engine, 2)["pid"] == pid
    (engine.folder / "workflows" / "swap.yaml").rename(engine.folder / "swap.yaml")
    engine.wait_log("plugin.removed", plugin="swap.so")
    wait_for("its end", lambda: not os.path.exists(f"/proc/{pid}"))
    (engine.folder / "swap.so").rename(plugin(engine))
    wait_for("its return", lambda: changes(engine) == 2)
    engine.stop()


def test_the_same_bytes_are_no_change(begin, versions):
    engine = begin().start("--log-level", "debug")
    before = output(engine, 1)
    put(engine, versions[1])
    engine.wait_log("catalog.unchanged")
    assert output(engine, 2) == before and not changes(engine)
    engine.stop()
