"""Compiled plugins: built outside the tree with the header alone; a faulty one harms nobody."""
import contextlib
import functools
import os
import pathlib
import shlex
import sqlite3
import subprocess
import tempfile
import time

import pytest

from conftest import BUILD, CONFIG, ONE_STEP, ROOT, wait_for

HOUR_MS = 3_600_000
ECHO = r"""
#include <bellwire_plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *start(const struct bw_plugin_host *host, const char *config, char *error, size_t size)
{
    (void)config;
#ifdef BAD_INIT
    snprintf(error, size, "no licence found");
    return NULL;
#elif defined(CRASH_INIT)
    raise(SIGSEGV);
#endif
    (void)error, (void)size;
    return (void *)host;
}

static void execute(void *instance, struct bw_plugin_call *call)
{
    const struct bw_plugin_host *host = instance;
#ifdef CRASH
    raise(SIGSEGV);
#elif defined(HANG)
    for (;;) pause();
#elif defined(NEVER)
    (void)host, (void)call;
    return;
#elif defined(EXIT)
    exit(0);
#endif
    puts("printed by the plugin");
    host->log(host, call, BW_PLUGIN_INFO, "logged by the plugin");
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = call->input, .output_len = call->input_len});
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
#ifdef BAD_ABI
    .abi = 999,
#else
    .abi = BELLWIRE_PLUGIN_ABI,
#endif
    .manifest = "{\"name\":\"echo\",\"version\":\"1.2.0\",\"actions\":[{\"name\":\"echo/say\",\"retry\":{\"attempts\":1},\"inputs\":{\"text\":{\"type\":\"string\",\"required\":true}}}]}",
    .init = start,
    .execute = execute,
};
"""
WORKFLOW = """
name: say
on: [{event: open.ping}]
steps:
  - {id: say, uses: echo/say@1, timeout: 2s, with: {text: "${{ event.data.text }}"}}
"""


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """What an author has: the installed header and pkg-config file."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    pc = next(prefix.rglob("bellwire-plugin.pc"))
    answer = subprocess.run(["pkg-config", "--cflags", "bellwire-plugin"], env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"},
                            capture_output=True, text=True, check=True)
    return shlex.split(answer.stdout)


@functools.lru_cache(maxsize=None)
def compiled(source, flags):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "echo.c"
        path.write_text(source)
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c11", "-D_GNU_SOURCE", *flags, "-o", path.with_suffix(".so"), path],
                       check=True)
        return path.with_suffix(".so").read_bytes()


def build(engine, flags, *defines, source=ECHO, name="echo.so"):
    (engine.folder / "plugins").mkdir(exist_ok=True)
    new = engine.folder / "new.so"
    new.write_bytes(compiled(source, (*flags, *(f"-D{define}" for define in defines))))
    new.chmod(0o755)
    new.rename(engine.folder / "plugins" / name)  # one that is in use must not be written over


def ping(engine, body=b'{"text":"hi"}'):
    assert engine.request("POST", "/in/open", body, {"Content-Type": "application/json"})[0] == 202


def good_neighbour(engine):
    engine.push()
    assert engine.finished_runs(1, "--workflow", "one-step")[0]["state"] == "succeeded"


@pytest.fixture
def engine_with(make_engine, flags):
    def make(*defines, **options):
        engine = make_engine()
        engine.write("workflows/one-step.yaml", ONE_STEP)
        engine.write("workflows/say.yaml", WORKFLOW)
        build(engine, flags, *defines, **options)
        return engine
    return make


def test_plugin_built_outside_the_tree_runs(engine_with):
    engine = engine_with().start()
    ping(engine)
    [run] = engine.finished_runs(1)
    assert run["steps"][0]["output"] == {"text": "hi"}, run
    engine.wait_log("plugin.log", message="printed by the plugin")
    engine.wait_log("plugin.log", message="logged by the plugin")
    assert "echo/say@1" in engine.run("actions").stdout


def test_inputs_are_checked_before_the_plugin_sees_them(engine_with):
    engine = engine_with("CRASH").start()
    ping(engine, b'{"text":5}')
    [run] = engine.finished_runs(1)
    assert run["error"]["code"] == "input.type" and "text" in run["error"]["message"]


@pytest.mark.parametrize("define,code", [("CRASH", "plugin.crashed"), ("EXIT", "plugin.crashed"), ("HANG", "step.timeout"), ("NEVER", "step.timeout")])
def test_faulty_execute_costs_its_own_step(engine_with, define, code):
    engine = engine_with(define).start()
    ping(engine)
    [run] = engine.finished_runs(1, "--workflow", "say")
    assert run["state"] == "failed" and run["error"]["code"] == code, run
    good_neighbour(engine)


def test_crashed_host_is_replaced(engine_with):
    engine = engine_with("CRASH").start()
    ping(engine)
    engine.finished_runs(1, "--workflow", "say")
    wait_for("a host again", lambda: len(engine.children("host")) == 2)  # echo and the bundled http


@pytest.mark.parametrize("define,code", [("BAD_ABI", "plugin.abi"), ("BAD_INIT", "plugin.init"), ("CRASH_INIT", "plugin.crashed")])
def test_plugin_that_cannot_be_used_is_refused_with_the_reason(engine_with, define, code):
    engine = engine_with(define).start()
    line = engine.wait_log("plugin.refused")
    assert line["code"] == code and line["file"].endswith("echo.so")
    good_neighbour(engine)


def test_missing_symbol_and_no_shared_object_are_refused(engine_with, flags):
    engine = engine_with(source="int nothing_here;\n")
    engine.write("plugins/text.so", "this is text")
    engine.start()
    engine.wait_log("plugin.refused", code="plugin.no_symbol")
    engine.wait_log("plugin.refused", code="plugin.not_loadable")
    good_neighbour(engine)


def test_world_writable_plugin_is_refused(engine_with):
    engine = engine_with()
    (engine.folder / "plugins" / "echo.so").chmod(0o777)
    engine.start()
    engine.wait_log("plugin.refused", code="plugin.writable")
    good_neighbour(engine)


def without_its_plugin(engine_with, take_away):
    """A run that began when its plugin was there comes to the step that needs it when the plugin is not."""
    engine = engine_with()
    engine.write("workflows/say.yaml", WORKFLOW.replace("steps:\n", "steps:\n  - {id: nap, sleep: 1h}\n"))
    engine.start()
    ping(engine)
    wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))
    engine.stop()
    (engine.folder / "workflows" / "say.yaml").unlink()  # else it would not load
    take_away(engine.folder / "plugins" / "echo.so")
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(HOUR_MS)
    engine.start()
    return engine


def step_that_says(engine):
    [row] = engine.rows("runs", "--workflow", "say")
    run = engine.show_run(row["run"])
    return run, next((step for step in run["steps"] if step["step"] == "say"), None)


def waits_for_its_plugin(engine):
    run, step = step_that_says(engine)
    return step if run["state"] == "parked" and step and step["error"]["code"] == "action.missing" else None


@pytest.mark.parametrize("take_away", [lambda path: path.unlink(), lambda path: path.chmod(0o777)], ids=["gone", "refused"])
def test_a_run_whose_plugin_is_missing_waits_for_it(engine_with, flags, take_away):
    engine = without_its_plugin(engine_with, take_away)
    step = wait_for("the run to wait", lambda: waits_for_its_plugin(engine))
    assert step["attempt"] == 0 and "put the plugin back" in step["error"]["hint"] and "runs cancel run_" in step["error"]["hint"]
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(HOUR_MS + 40_000)  # looked for in vain
    engine.start()
    engine.wait_log("catalog.loaded")
    wait_for("a new time to look", lambda: due_ms(engine) > (time.time() + 3600 + 40) * 1000)
    assert wait_for("the run to wait on", lambda: waits_for_its_plugin(engine))["attempt"] == 0
    engine.stop()
    (engine.folder / "plugins" / "echo.so").unlink(missing_ok=True)
    build(engine, flags)
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(HOUR_MS + 80_000)
    engine.start()
    wait_for("its end", lambda: engine.rows("runs", "--workflow", "say", "--state", "succeeded"))
    _, step = step_that_says(engine)
    assert step["output"] == {"text": "hi"} and step["attempt"] == 1
    good_neighbour(engine)


def due_ms(engine):
    with contextlib.closing(sqlite3.connect(next(engine.folder.rglob("bellwire.db")))) as store:
        return store.execute("SELECT coalesce(max(due_ms), 0) FROM timers WHERE path = 'say'").fetchone()[0]


def test_a_run_whose_plugin_is_missing_can_be_cancelled(engine_with):
    engine = without_its_plugin(engine_with, lambda path: path.unlink())
    wait_for("the run to wait", lambda: waits_for_its_plugin(engine))
    run, _ = step_that_says(engine)
    engine.run("runs", "cancel", run["run"])
    wait_for("its end", lambda: engine.rows("runs", "--workflow", "say", "--state", "cancelled"))


def test_header_needs_nothing_else_of_the_tree():
    text = (ROOT / "engine" / "plugin" / "bellwire_plugin.h").read_text()
    includes = [line.split()[1] for line in text.splitlines() if line.startswith("#include")]
    assert sorted(includes) == ["<stdbool.h>", "<stddef.h>", "<stdint.h>"]
