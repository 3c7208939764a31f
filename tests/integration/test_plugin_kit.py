"""bellwire plugin test: what keeps the contract passes every check, in whatever language it is written; each fault fails the check that it belongs to."""
import json
import pathlib
import shutil
import subprocess

import pytest

from conftest import BINARY, ROOT

FAULTS = pathlib.Path(__file__).parent / "faults"
CALLS = "calls:\n  - {action: kit/do, with: {text: hello}}\n  - {action: kit/do, with: {slow: true}, slow: true}\n"
IS_SANITIZED = b"__asan_init" in BINARY.read_bytes()


@pytest.fixture
def build(tmp_path):
    def make(*defines):
        path = tmp_path / "kit.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-pthread", "-D_GNU_SOURCE", "-I", ROOT / "engine/plugin", *[f"-D{define}" for define in defines], "-o", path, FAULTS / "kit.c"], check=True)
        (tmp_path / "calls.yaml").write_text(CALLS)
        return path
    return make


def kit(path, *arguments):
    """Exit status, and the checks by "action name" or "name"."""
    result = subprocess.run([BINARY, "plugin", "test", path, "--json", "--timeout", "2s", *arguments], cwd=path.parent, capture_output=True, text=True, timeout=300)
    checks = {" ".join(filter(None, (line.get("action"), line["check"]))): line for line in map(json.loads, result.stdout.splitlines())}
    return result.returncode, checks, result.stderr


def failed(checks):
    return [name for name, check in checks.items() if check["state"] == "failed"]


ALL = ["load", "abi", "manifest", "config", "constant", "init", "kit/do inputs", "kit/do answer", "kit/do edges", "kit/do together", "kit/do cancel", "kit/do timeout", "kit/do reuse", "once", "fini"]


def test_what_keeps_the_contract_passes_every_check(build):
    path = build()
    status, checks, said = kit(path, "--calls", "calls.yaml")
    assert status == 0 and list(checks) == ALL and {check["state"] for check in checks.values()} == {"passed"}, (checks, said)
    status, checks, _ = kit(path)  # also without a word about its inputs
    assert status == 0 and {check["state"] for check in checks.values()} == {"passed"}, checks


@pytest.mark.parametrize("define", ["CLASH", "AT_EXIT"])
def test_what_harms_nobody_passes_as_well(build, define):
    """Functions of the names of the host's own, and hooks that never end."""
    status, checks, said = kit(build(define), "--calls", "calls.yaml")
    assert status == 0 and {check["state"] for check in checks.values()} == {"passed"}, (checks, said)


@pytest.mark.parametrize("define,check,part", [
    ("CRASH_LOADING", "load", "SIGSEGV"),
    ('HANG_LOADING=""', "load", "did not end within 5000 ms"),
    ("BAD_ABI", "abi", "ABI 999"),
    ('NEEDS=",\\"need\\":[]"', "manifest", "unknown key 'need'"),
    ("BAD_INIT", "init", "no licence found"),
    ("CRASH_INIT", "init", "SIGBUS"),
    ("CRASH", "kit/do answer", "SIGSEGV"),
    ("NEVER", "kit/do answer", "no answer within 2000 ms"),
    ("NO_OBJECT", "kit/do answer", "no JSON object"),
    ("WRONG_OUTPUT", "kit/do answer", "expected a boolean"),
    ("NO_REASON", "kit/do answer", "plugin.failed"),
    ("FAILS", "kit/do answer", "kit.empty"),
    ("CRASH_AT_EDGE", "kit/do edges", "SIGABRT"),
    ("ONE_AT_A_TIME", "kit/do together", "no answer"),
    ("WRONG_CODE", "kit/do cancel", "kit.bored"),
    ("CRASH_AT_THE_TENTH", "kit/do reuse", "SIGILL"),
    ("LEAK_FILES", "kit/do reuse", "descriptors more"),
    ("TWICE", "once", "again"),
    ("CRASH_FINI", "fini", "SIGFPE"),
    ("HANG_FINI", "fini", "not ended"),
])
def test_each_fault_fails_its_check_and_says_what_to_do(build, define, check, part):
    status, checks, _ = kit(build(define), "--calls", "calls.yaml")
    assert status == 1 and check in failed(checks), checks
    assert part in checks[check]["found"] and checks[check]["hint"], checks[check]
    assert failed(checks) == [check], failed(checks)


@pytest.mark.skipif(IS_SANITIZED, reason="what is freed is kept for a while: the sanitizer")
def test_a_leak_is_told_with_its_size(build):
    status, checks, _ = kit(build("LEAK=4000"), "--calls", "calls.yaml")
    assert status == 1 and failed(checks) == ["kit/do reuse"] and "KiB" in checks["kit/do reuse"]["found"], checks


def test_a_call_that_is_not_given_up_costs_its_process_and_no_other_check(build):
    status, checks, _ = kit(build("DEAF"), "--calls", "calls.yaml")
    assert status == 1 and set(failed(checks)) == {"kit/do cancel", "kit/do timeout"}, checks


@pytest.mark.parametrize("define,fails", [("BEAT=1", False), ("SILENT=1", True)])
def test_a_heartbeat_that_is_promised_has_to_come(build, define, fails):
    status, checks, _ = kit(build(define, 'MORE=",\\"heartbeat\\":\\"200ms\\""'), "--calls", "calls.yaml")
    assert (status == 1) == fails and checks["kit/do heartbeat"]["state"] == ("failed" if fails else "passed"), checks


def test_what_changes_something_elsewhere_is_called_only_as_it_is_told(build, tmp_path):
    path = build('NEEDS=",\\"needs\\":[\\"network\\"]"')
    (tmp_path / "calls.yaml").unlink()
    status, checks, _ = kit(path)
    assert status == 0 and all(checks[f"kit/do {name}"]["state"] == "skipped" for name in ("answer", "edges", "together", "cancel", "reuse")), checks
    (tmp_path / "calls.yaml").write_text(CALLS)
    status, checks, _ = kit(path, "--calls", "calls.yaml")
    assert status == 0 and checks["kit/do answer"]["state"] == "passed" and checks["kit/do reuse"]["state"] == "skipped", checks
    assert kit(path, "--calls", "calls.yaml", "--repeat", "30")[1]["kit/do reuse"]["state"] == "passed"


def test_the_configuration_decides_what_it_is_told_and_what_it_may(build, tmp_path):
    path = build('NEEDS=",\\"needs\\":[\\"exec\\"],\\"config\\":{\\"url\\":{\\"type\\":\\"string\\",\\"required\\":true}}"')
    config = tmp_path / "bellwire.yaml"
    for text, part in (("", "url: is required"), ("configure: {kit: {url: x}}\nplugins_may: {kit: []}\n", "off"), ("configure: {kit: {url: x}}\nplugins_may: {kit: [network]}\n", "needs exec")):
        config.write_text(text)
        status, checks, _ = kit(path, "--config", "bellwire.yaml")
        assert status == 1 and failed(checks) == ["config"] and part in checks["config"]["found"], checks
    config.write_text("configure: {kit: {url: x}}\nplugins_may: {kit: [exec]}\n")
    assert kit(path, "--config", "bellwire.yaml")[0] == 0


def test_tap_for_people_and_tools(build):
    result = subprocess.run([BINARY, "plugin", "test", build("CRASH_INIT"), "--timeout", "2s"], capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert result.returncode == 1 and lines[0] == "TAP version 14" and lines[-1] == "1..6", lines
    assert lines[1].startswith("ok 1 - kit.so: load: ") and any(line.startswith("not ok 6 - kit.so: init: ") for line in lines), lines
    assert any(line.startswith("  # found: its process has ended: SIGBUS") for line in lines) and any(line.startswith("  # do: ") for line in lines), lines


def test_what_is_not_there_is_no_success_for_any_harness(tmp_path):
    result = subprocess.run([BINARY, "plugin", "test", tmp_path / "none.so"], capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout.splitlines()[1:] == ["Bail out! cannot read the file: No such file or directory"] and "none.so" in result.stderr


def test_examples_that_are_wrong_are_refused_with_their_place(build, tmp_path):
    path = build()
    for text, part in (("calls:\n  - {action: kit/do, wth: {}}\n", "calls.yaml:2:22"), ("calls: 3\n", "must be a list"), ("calls:\n  - {with: {}}\n", "names its action")):
        (tmp_path / "calls.yaml").write_text(text)
        status, checks, said = kit(path, "--calls", "calls.yaml")
        assert status == 1 and not checks and part in said, said
    (tmp_path / "calls.yaml").write_text("calls:\n  - {action: kit/do, with: {text: 7}}\n")
    status, checks, _ = kit(path, "--calls", "calls.yaml")
    assert status == 1 and "example 1 does not fit" in checks["kit/do inputs"]["found"]
    (tmp_path / "calls.yaml").write_text("calls:\n  - {action: kit/do, with: {text: x}, error: kit.empty}\n")
    assert "it should fail as kit.empty" in kit(path, "--calls", "calls.yaml")[1]["kit/do answer"]["found"]
    assert kit(build("FAILS"), "--calls", "calls.yaml")[0] == 1  # build() has written other calls
    (tmp_path / "calls.yaml").write_text("calls:\n  - {action: kit/do, with: {text: x}, error: kit.empty}\n")
    assert kit(path, "--calls", "calls.yaml")[1]["kit/do answer"]["state"] == "passed"


def test_a_folder_stands_for_what_is_built_of_it(build, tmp_path):
    path = build()
    folder = tmp_path / "shout"
    folder.mkdir()
    status, checks, said = kit(folder)
    assert status == 1 and "there is no shared object" in said and "cmake" in said
    path.rename(tmp_path / "shout.so")
    (folder / "calls.yaml").write_text(CALLS)
    status, checks, _ = kit(folder)
    assert status == 0 and checks["kit/do cancel"]["state"] == "passed", checks


def test_a_plugin_in_lua(tmp_path):
    folder = tmp_path / "shout"
    folder.mkdir()
    (folder / "plugin.yaml").write_text("name: shout\nversion: 1.0.0\nconfig: {url: {type: string, required: true}}\n")
    (folder / "say.lua").write_text('return action{name = "shout/say", version = "1.0.0", doc = "x", inputs = {text = {type = "string", required = true}}, run = function(input) return {} end}\n')
    (tmp_path / "bellwire.yaml").write_text("configure: {shout: {url: x}}\n")
    status, checks, said = kit(folder, "--config", "bellwire.yaml")
    assert status == 0 and list(checks) == ["load", "config", "actions", "shout/say@1 inputs", "calls"] and not failed(checks), (checks, said)
    (tmp_path / "bellwire.yaml").write_text("configure: {shout: {ulr: x}}\n")
    status, checks, _ = kit(folder, "--config", "bellwire.yaml")
    assert status == 1 and failed(checks) == ["config"] and "ulr" in checks["config"]["found"] and "did you mean 'url'?" in checks["config"]["hint"], checks
    (folder / "say.lua").write_text("return action{name = 'shout/say', inputs = \n")
    status, checks, _ = kit(folder, "--config", "bellwire.yaml")
    assert status == 1 and "say.lua:" in checks["load"]["found"] and "actions" in failed(checks), checks


@pytest.mark.parametrize("name", ["crm", "llm", "mcp"])
def test_the_bundled_plugins_in_lua(name):
    status, checks, said = kit(ROOT / "plugins" / name, "--config", "/dev/null")
    assert status == 0 and checks["load"]["state"] == checks["actions"]["state"] == "passed", (checks, said)


def test_a_plugin_in_cplusplus(tmp_path):
    (tmp_path / "kit.cc").write_text((FAULTS / "kit.cc").read_text())
    subprocess.run(["g++", "-std=c++20", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "engine/plugin", "-o", tmp_path / "kit.so", tmp_path / "kit.cc"], check=True)
    status, checks, said = kit(tmp_path / "kit.so")
    assert status == 0 and {check["state"] for check in checks.values()} == {"passed"}, (checks, said)


@pytest.mark.skipif(not shutil.which("rustc"), reason="there is no rustc on this machine")
def test_a_plugin_in_rust(tmp_path):
    subprocess.run(["rustc", "--edition", "2021", "-O", "--crate-type", "cdylib", "-o", tmp_path / "kit.so", FAULTS / "kit.rs"], check=True, capture_output=True)
    status, checks, said = kit(tmp_path / "kit.so")
    assert status == 0 and {check["state"] for check in checks.values()} == {"passed"}, (checks, said)


def test_the_bundled_plugin(tmp_path):
    status, checks, said = kit(BINARY.parent / "plugins" / "http.so")
    assert status == 0 and checks["fini"]["state"] == "passed", (checks, said)
