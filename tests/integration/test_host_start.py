"""How the process of a plugin is started: a small program from memory, beside the engine's main thread; and what comes of it where that does not work."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import BINARY, is_gone, state_of, wait_for
from test_plugins import WORKFLOW, build, flags, ping  # noqa: F401: flags is a fixture

IMAGE = "/memfd:bellwire-host (deleted)"
IS_SANITIZED = b"libasan.so" in BINARY.read_bytes()
# In front of the engine's C library: what some systems refuse. Its children do not have it.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef NOT_EXECUTABLE
int memfd_create(const char *name, unsigned flags)
{
    if (strcmp(name, "bellwire-host") == 0) flags = (flags & ~0x10u) | 0x8u; /* MFD_NOEXEC_SEAL */
    return (int)syscall(SYS_memfd_create, name, flags);
}
#endif
#ifdef NO_MEMORY_FILE
int memfd_create(const char *name, unsigned flags)
{
    if (strcmp(name, "bellwire-host") != 0) return (int)syscall(SYS_memfd_create, name, flags);
    errno = EACCES;
    return -1;
}
#endif
#ifdef NO_PROCESS
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
    int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[], char *const[]);
    *(void **)&real = dlsym(RTLD_NEXT, "posix_spawn");
    if (argv[1] && strcmp(argv[1], "host") == 0 && access("no-process", F_OK) == 0) return EAGAIN;
    return real(pid, path, actions, attributes, argv, environment);
}
#endif
"""


@pytest.fixture
def engine_with(make_engine, flags):  # noqa: F811
    def make(*defines, shim=None):
        engine = make_engine()
        engine.write("workflows/say.yaml", WORKFLOW)
        build(engine, flags, *defines)
        if shim:
            library = engine.folder / "shim.so"
            subprocess.run(["cc", "-shared", "-fPIC", f"-D{shim}", "-x", "c", "-", "-o", library], input=SHIM.encode(), check=True)
            engine.env["LD_PRELOAD"] = str(library)
            engine.env["ASAN_OPTIONS"] = ":".join(filter(None, [engine.env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return engine
    return make


def program_of(pid):
    return os.readlink(f"/proc/{pid}/exe")


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descriptors_of(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]


def maps_of(pid):
    return pathlib.Path(f"/proc/{pid}/maps").read_text()


def host_of(engine, name="echo.so"):
    found = [pid for pid in engine.children("host") if name in maps_of(pid)]
    return found[0] if found else None


def say(engine, count):
    """The plugin is called for the count-th time, and answers."""
    ping(engine)
    run = engine.finished_runs(count, "--workflow", "say")[0]
    assert run["state"] == "succeeded", run


def replaced(engine, old):
    return wait_for("another process", lambda: (new := host_of(engine)) and new != old and new)


def test_a_host_is_a_small_program_whose_parent_is_the_engine(engine_with):
    engine = engine_with().start()
    say(engine, 1)
    hosts = engine.children("host")
    assert len(hosts) == 2  # with that of the bundled http
    for pid in hosts:
        assert parent_of(pid) == engine.process.pid and os.getpgid(pid) == pid
        assert program_of(pid) == IMAGE and pathlib.Path(f"/proc/{pid}/comm").read_text() == "bellwire-host\n"
        assert IMAGE not in descriptors_of(pid)  # it was executed by one
    assert not re.search("libcrypto|libsqlite3|liblua", maps_of(host_of(engine)))
    assert not any(IMAGE in descriptors_of(pid) for pid in engine.children("worker"))
    assert engine.stop() == 0


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer decides itself where things are")
def test_no_host_knows_from_its_own_memory_where_things_are_in_another(engine_with):
    engine = engine_with().start()
    say(engine, 1)
    places = {re.search(r"^(\w+)-.*libc\.so", maps_of(pid), re.MULTILINE)[1] for pid in engine.children("host")}
    assert len(places) == 2


def test_hosts_are_of_the_engine_that_runs_and_not_of_what_lies_on_disk(engine_with, tmp_path):
    program = tmp_path / "bellwire"
    shutil.copy(BINARY, program)
    engine = engine_with()
    engine.start(binary=program)
    say(engine, 1)
    program.unlink()
    program.write_text("#!/bin/false\n")
    old = host_of(engine)
    os.kill(old, signal.SIGKILL)
    new = replaced(engine, old)
    say(engine, 2)
    assert program_of(new) == IMAGE
    assert engine.stop() == 0


@pytest.mark.parametrize("shim", ["NOT_EXECUTABLE", "NO_MEMORY_FILE"])
def test_where_memory_must_not_be_executed_the_engines_own_binary_is_the_host(engine_with, shim):
    engine = engine_with(shim=shim).start()
    say(engine, 1)
    old = host_of(engine)
    assert program_of(old) == str(BINARY.resolve()) and parent_of(old) == engine.process.pid
    os.kill(old, signal.SIGKILL)
    assert program_of(replaced(engine, old)) == str(BINARY.resolve())
    say(engine, 2)
    assert engine.stop() == 0
    assert [line["reason"] for line in engine.log if line.get("log") == "plugin.slow_start"] == ["Permission denied"]


def test_a_host_that_cannot_be_started_is_tried_again_later(engine_with):
    engine = engine_with(shim="NO_PROCESS").start()
    say(engine, 1)
    (engine.folder / "no-process").touch()
    os.kill(host_of(engine), signal.SIGKILL)
    line = engine.wait_log("plugin.refused", code="process.spawn")
    assert line["file"].endswith("echo.so") and "Resource temporarily unavailable" in line["message"]
    (engine.folder / "no-process").unlink()
    engine.wait_log("plugin.returned")
    say(engine, 2)
    assert engine.stop() == 0


def test_one_that_cannot_be_started_at_first_is_refused_and_the_engine_serves(engine_with):
    engine = engine_with(shim="NO_PROCESS")
    (engine.folder / "no-process").touch()
    engine.start()
    assert "Resource temporarily unavailable" in engine.wait_log("plugin.refused", code="process.spawn")["message"]
    assert engine.stop() == 0


USES = """
#include <bellwire_plugin.h>
%s
static void execute(void *instance, struct bw_plugin_call *call)
{
    const struct bw_plugin_host *host = instance;
    const char *text = %s ? "{\\"text\\":\\"yes\\"}" : "{\\"text\\":\\"no\\"}";
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
}
static void *start(const struct bw_plugin_host *host, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    return (void *)host;
}
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI, .init = start, .execute = execute,
    .manifest = "{\\"name\\":\\"echo\\",\\"version\\":\\"1.0.0\\",\\"actions\\":[{\\"name\\":\\"echo/say\\",\\"inputs\\":{\\"text\\":{\\"type\\":\\"string\\"}}}]}",
};
"""


def test_a_plugin_links_what_it_uses_and_a_library_that_all_forget_is_there(engine_with, flags):  # noqa: F811
    engine = engine_with()
    build(engine, flags, source=USES % ("#include <math.h>\n#include <string.h>", "pow(1.5, (double)call->input_len) > 2"))
    engine.start()
    say(engine, 1)
    assert engine.stop() == 0
    build(engine, flags, source=USES % ("#include <string.h>\nextern const char *OpenSSL_version(int);", "OpenSSL_version(0) != NULL"))
    engine.start()
    line = engine.wait_log("plugin.refused", code="plugin.not_loadable")
    assert "undefined symbol: OpenSSL_version" in line["message"] and "ldd -r" in line["hint"]
    assert engine.stop() == 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_hosts_end_with_the_engine_also_while_they_are_started_again_and_again(engine_with, end):
    engine = engine_with("CRASH").start()
    seen = set(engine.children("host"))
    for _ in range(3):
        old = wait_for("a host", lambda: host_of(engine))
        ping(engine)
        wait_for("its crash", lambda: is_gone(old))
        seen |= set(engine.children("host"))
    getattr(engine, end)()
    wait_for("the end of all", lambda: all(state_of(pid) in ("gone", "X") for pid in seen))
