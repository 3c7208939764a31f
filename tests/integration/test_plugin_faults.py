"""A plugin that does every bad thing: it costs its own attempt, and nobody else anything. The faults are in faults/fault.c, one for each name here."""
import ctypes
import json
import os
import pathlib
import signal
import struct

import pytest

from conftest import BINARY, CONFIG, ONE_STEP, is_gone, state_of, wait_for
from test_plugins import build, flags, good_neighbour  # noqa: F401: flags is a fixture

SOURCE = pathlib.Path(__file__).parent / "faults" / "fault.c"
IS_SANITIZED = b"__asan_init" in BINARY.read_bytes()
WORKFLOW = """
name: faulty
on: [{event: open.ping, if: event.data.what != 'warm'}]
steps:
  - {id: harm, uses: fault/do@1, timeout: TIMEOUT, with: {what: "${{ event.data.what }}", path: "${{ event.data.path or '' }}"}}
"""


WARM = """
name: warm
on: [{event: open.ping, if: event.data.what == 'warm'}]
steps: [{id: a, uses: fault/do@1, with: {what: nothing}}]
"""


@pytest.fixture
def engine_with(make_engine, flags):  # noqa: F811
    def make(needs=(), timeout="60s", config=CONFIG):
        engine = make_engine(config)
        engine.write("workflows/one-step.yaml", ONE_STEP)
        engine.write("workflows/faulty.yaml", WORKFLOW.replace("TIMEOUT", timeout))
        engine.write("workflows/warm.yaml", WARM)
        quoted = json.dumps(f',"needs":{json.dumps(list(needs))}' if needs else "")
        build(engine, flags, f"NEEDS={quoted}", source=SOURCE.read_text(), name="fault.so")
        return engine
    return make


def send(engine, what, **more):
    assert engine.request("POST", "/in/open", json.dumps({"what": what, **more}).encode(), {"Content-Type": "application/json"})[0] == 202


def warm_up(engine, nth=1):
    """The first call of a worker goes through the engine, those after it on a line to the plugin's process."""
    send(engine, "warm")
    assert engine.finished_runs(nth, "--workflow", "warm")[0]["state"] == "succeeded"


def commit(engine, what, nth=1):
    """The run that has committed that fault: the nth of this engine."""
    send(engine, what)
    return engine.finished_runs(nth, "--workflow", "faulty")[0]


def number(run):
    assert run["state"] == "succeeded", run
    return run["steps"][0]["output"]["number"]


def host_of(engine, name="fault.so"):
    """The process that has this plugin loaded."""
    for pid in engine.children("host"):
        try:
            if name in pathlib.Path(f"/proc/{pid}/maps").read_text():
                return pid
        except OSError:
            pass
    return None


# ---- each fault, and what it costs ----

ROUNDS = int(os.environ.get("BELLWIRE_FAULT_ROUNDS", "1"))  # of each; 50 beside other work before a release
CRASHES = ["segv", "use_bad_instruction", "smash_the_stack", "free_twice", "abort", "exit", "exit_at_once", "exit_quickly", "kill_itself"]
HANGS = ["endless", "sleep_for_ever", "lock_itself_out", "listen_to_nobody"]
ANSWERS = [("answer_too_much", "output.too_large"), ("answer_no_text", "output.invalid"), ("answer_deep", "output.invalid"), ("answer_no_number", "output.invalid"),
           ("answer_nothing", "output.invalid"), ("answer_a_list", "output.invalid"), ("answer_two_objects", "output.invalid"), ("answer_with_nul", "output.invalid"),
           ("answer_the_same_key_twice", "output.invalid"), ("end_as_nothing_known", ""), ("ask_for_another_try_never", "x")]


def zombies(engine):
    return [pid for pid in engine.children("host") + engine.children("worker") if state_of(pid) == "Z"]


@pytest.mark.parametrize("what,code", [(what, "plugin.crashed") for what in CRASHES] + [(what, "step.timeout") for what in HANGS] + ANSWERS)
def test_each_fault_costs_one_attempt_and_nobody_else_anything(engine_with, what, code):
    engine = engine_with(timeout="5s" if what in HANGS else "60s")
    for past in range(ROUNDS):  # an engine for each: a plugin that crashes again and again rests
        engine.start()
        warm_up(engine, past + 1)
        run = commit(engine, what, 2 * past + 1)
        assert run["state"] == "failed" and run["error"]["code"] == code and run["steps"][0]["attempt"] == 1, run
        good_neighbour(engine)
        if what in HANGS:  # it has a second to give the call up: what is sent to it meanwhile goes down with it
            engine.wait_log("plugin.crashed")
        assert number(commit(engine, "nothing", 2 * past + 2)) == 0
        wait_for("nobody to be unburied", lambda: not zombies(engine))
        assert engine.stop() == 0


def test_the_second_answer_is_dropped(engine_with):
    engine = engine_with().start()
    assert number(commit(engine, "complete_twice")) == 1
    assert "twice" in engine.wait_log("plugin.log")["message"]
    assert number(commit(engine, "nothing", 2)) == 0


@pytest.mark.parametrize("what,expected", [("complete_in_threads", 7), ("fire_for_ever", 0)])
def test_what_it_does_without_end_or_at_once_holds_up_nobody(engine_with, what, expected):
    engine = engine_with().start()
    assert number(commit(engine, what)) == expected
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0
    assert engine.stop() == 0


def test_one_that_logs_without_end_costs_itself_only(engine_with):
    """Its own calls wait behind what it has to say; what the engine keeps of it is bounded."""
    engine = engine_with().start()
    assert number(commit(engine, "log_for_ever")) == 0
    good_neighbour(engine)
    assert engine.stop() == 0


def test_an_answer_to_a_call_that_is_over_is_dropped(engine_with):
    engine = engine_with().start()
    assert number(commit(engine, "complete_again_later")) == 1
    engine.wait_log("plugin.log", message="it has said so again")
    assert any("twice" in line.get("message", "") for line in engine.log if line.get("log") == "plugin.log")
    assert number(commit(engine, "nothing", 2)) == 0
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


def test_an_error_that_is_no_text_is_one_all_the_same(engine_with):
    engine = engine_with().start()
    assert commit(engine, "fail_with_no_text")["state"] == "failed"
    assert number(commit(engine, "nothing", 2)) == 0
    good_neighbour(engine)


def test_what_is_too_much_to_be_said_is_cut(engine_with):
    """It did not fit into a frame: of the error nobody heard, and for the line in the log the plugin was ended."""
    engine = engine_with().start()
    error = commit(engine, "fail_with_much_to_say")["error"]
    assert error["class"] == "permanent" and len(error["code"]) < 100 and error["code"] != "step.timeout", error
    assert number(commit(engine, "log_much", 2)) == 0
    assert 0 < len(engine.wait_log("plugin.log")["message"]) <= 4096
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


def test_what_it_changes_in_its_process_stays_there(engine_with):
    engine = engine_with().start()
    assert number(commit(engine, "change_everything")) == 0
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0
    for pid in [engine.process.pid, *engine.children("worker")]:
        assert os.readlink(f"/proc/{pid}/cwd") == str(engine.folder)


# ---- how it has ended ----

@pytest.mark.parametrize("what,how,frame", [
    ("segv", "SIGSEGV", "fault.so("),
    ("use_bad_address", "SIGSEGV at address 0x1234", "fault.so("),
    ("overflow_the_stack", "SIGSEGV at address 0x", "fault.so(recurse_for_ever+0x"),
    ("abort", "SIGABRT", "abort+0x"),
    ("exit", "it has ended itself with exit status ", None),
    ("kill_itself", "SIGKILL", None),
])
def test_a_crash_says_why(engine_with, what, how, frame):
    engine = engine_with().start()
    if what != "exit":
        warm_up(engine)
    error = commit(engine, what)["error"]
    assert error["code"] == "plugin.crashed" and how in error["message"], error
    assert (" in " in error["message"].partition("(")[2]) == bool(frame), error
    line = engine.wait_log("plugin.crashed")
    assert line["how"].startswith(how)
    assert (frame or "") in line.get("frames", ""), line
    good_neighbour(engine)


def test_one_that_is_killed_says_why(engine_with):
    engine = engine_with(timeout="5s").start()
    assert commit(engine, "endless")["error"]["code"] == "step.timeout"
    assert "ended by the engine" in engine.wait_log("plugin.crashed")["how"]


@pytest.mark.parametrize("is_warm", [False, True])
def test_what_was_said_before_the_crash_counts(engine_with, tmp_path, is_warm):
    engine = engine_with().start()
    if is_warm:
        warm_up(engine)
    host = wait_for("the host", lambda: host_of(engine))
    send(engine, "complete_then_crash", path=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="it waits")
    engine.process.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    wait_for("its crash", lambda: state_of(host) == "Z")
    engine.process.send_signal(signal.SIGCONT)
    assert number(engine.finished_runs(1, "--workflow", "faulty")[0]) == -host
    engine.wait_log("plugin.crashed")


# ---- what it says ----

def entries(engine, message):
    return [line for line in engine.log if line.get("log") == "plugin.log" and line["message"] == message]


@pytest.mark.parametrize("is_warm", [False, True])
def test_what_a_plugin_says_belongs_to_its_step(engine_with, tmp_path, is_warm):
    engine = engine_with().start()
    if is_warm:
        warm_up(engine)
    alone = commit(engine, "print_line")["run"]
    line = engine.wait_log("plugin.log", message="a line")
    assert line["run"] == alone and line["step"] == "harm"
    entry = engine.wait_log("plugin.log", message="an entry")
    assert entry["run"] == alone and entry["level"] == "warn"
    send(engine, "wait_for_file", path=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="it waits")
    accompanied = commit(engine, "print_line", 2)["run"]
    lines = wait_for("the second line", lambda: entries(engine, "a line")[1:])
    assert "run" not in lines[0]  # it may be of either
    assert wait_for("the second entry", lambda: entries(engine, "an entry")[1:])[0]["run"] == accompanied
    (tmp_path / "go").touch()
    engine.finished_runs(3, "--workflow", "faulty")


@pytest.mark.parametrize("is_warm", [False, True])
def test_the_last_line_before_a_crash_is_there(engine_with, is_warm):
    engine = engine_with().start()
    if is_warm:
        warm_up(engine)
    run = commit(engine, "print_and_abort")
    assert engine.wait_log("plugin.log", message="why I give up")["run"] == run["run"]


def test_a_plugin_that_talks_too_much_is_cut_and_it_is_counted(engine_with):
    engine = engine_with().start()
    assert number(commit(engine, "print_much")) == 0
    good_neighbour(engine)

    def told():
        return sum(len(line["message"]) for line in engine.log if line.get("log") == "plugin.log")

    def dropped():
        return sum(line["bytes"] for line in engine.log if line.get("log") == "plugin.output_dropped")
    wait_for("all of it to be counted", lambda: told() + dropped() == 8192 * 63)
    assert told() < dropped()


# ---- descriptors ----

@pytest.mark.parametrize("what", ["close_low", "scribble_low"])
def test_the_descriptors_that_a_plugin_is_likely_to_harm_are_its_own(engine_with, what):
    engine = engine_with().start()
    assert number(commit(engine, what)) == 0
    assert number(commit(engine, "nothing", 2)) == 0
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


@pytest.mark.parametrize("what,codes", [("close_all", {"plugin.crashed"}), ("scribble_high", {"plugin.crashed"}), ("half_a_frame", {"plugin.crashed", "step.timeout"})])
def test_a_plugin_that_breaks_its_own_connection_breaks_nothing_else(engine_with, what, codes):
    engine = engine_with(timeout="5s").start()
    assert commit(engine, what)["error"]["code"] in codes
    engine.wait_log("plugin.crashed")
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0


HOST_REFUSED, HOST_MANIFEST, HOST_RESULT, HOST_READY, USAGE_ASK = 97, 96, 98, 101, 44  # of wire/messages.h
FORGED = {
    "a message of a worker": (USAGE_ASK, b'{"run": "x"}', "that there is not"),
    "another manifest": (HOST_MANIFEST, b'{"manifest": {"name": "fault", "version": "1.0.0", "actions": [{"name": "other/do"}]}}', "out of turn"),
    "no manifest": (HOST_MANIFEST, b"{}", "out of turn"),
    "that it is ready again": (HOST_READY, b"{}", "out of turn"),
    "that it is refused after all": (HOST_REFUSED, b'{"error": 5}', "out of turn"),
    "the result of another call": (HOST_RESULT, b'{"call": 4611686018427387904, "outcome": "ok"}', "a call that it does not have"),
    "a head that is no object": (HOST_RESULT, b"[]", "garbage"),
    "a head that is too deep": (HOST_RESULT, b'{"a":' * 3000 + b"1" + b"}" * 3000, "garbage"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_plugin_that_speaks_in_the_name_of_its_host_is_ended(engine_with, what):
    type, head, why = FORGED[what]
    engine = engine_with(timeout="5s").start()
    send(engine, "forge", path=(struct.pack("<IHHI", len(head), type, 0, len(head)) + head).hex())
    assert why in engine.wait_log("plugin.crashed")["how"]
    engine.finished_runs(1, "--workflow", "faulty")
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0


def test_a_frame_that_is_longer_than_any_may_be_ends_the_plugin(engine_with):
    engine = engine_with(timeout="5s").start()
    send(engine, "forge", path="ff" * 12)
    assert "garbage" in engine.wait_log("plugin.crashed")["how"]
    good_neighbour(engine)


LINE_OVER = 102
FORGED_ON_LINE = {
    "the result of another call": (HOST_RESULT, b'{"call": 4611686018427387904, "outcome": "ok"}', "a call that it does not have"),
    "a head that is no object": (HOST_RESULT, b"[]", "garbage"),
}


@pytest.mark.parametrize("what", FORGED_ON_LINE)
def test_a_plugin_that_speaks_to_a_worker_in_the_name_of_its_host_is_ended(engine_with, what):
    type, head, why = FORGED_ON_LINE[what]
    engine = engine_with(timeout="5s").start()
    warm_up(engine)
    send(engine, "forge_on_line", path=(struct.pack("<IHHI", len(head), type, 0, len(head)) + head).hex())
    assert why in engine.wait_log("plugin.crashed")["how"]
    engine.finished_runs(1, "--workflow", "faulty")
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0


@pytest.mark.parametrize("type,head", [(HOST_RESULT, b'{"call": 1, "line": 1, "outcome": "ok"}'), (HOST_RESULT, b'{"call": 1, "line": 77, "outcome": "ok"}'),
                                       (LINE_OVER, b'{"line": 1, "calls": []}'), (LINE_OVER, b'{"line": 77}'), (LINE_OVER, b"{}")])
def test_what_a_plugin_says_to_the_engine_of_lines_harms_nobody_else(engine_with, type, head):
    engine = engine_with(timeout="2s").start()
    warm_up(engine)
    send(engine, "forge", path=(struct.pack("<IHHI", len(head), type, 0, len(head)) + head).hex())
    engine.finished_runs(1, "--workflow", "faulty")
    good_neighbour(engine)
    ended = 1  # it may take one more until the process has ended that has to
    while commit(engine, "nothing", ended + 1)["state"] != "succeeded":
        ended += 1
    assert not zombies(engine)


def test_a_line_that_the_plugin_closes_costs_its_calls_and_its_process(engine_with):
    engine = engine_with(timeout="20s").start()
    warm_up(engine)
    assert commit(engine, "close_line")["error"]["code"] == "plugin.crashed"
    assert "closed its connection to a worker" in engine.wait_log("plugin.crashed")["how"]
    good_neighbour(engine)
    assert number(commit(engine, "nothing", 2)) == 0


# ---- lines ----

SEVERAL = """
name: several
on: [{event: open.ping, if: event.data.what == 'warm'}]
steps:
  - {id: first, uses: fault/do@1, with: {what: nothing}}
  - {id: waits, uses: fault/do@1, effect: none, with: {what: wait_in_silence, path: "${{ event.data.path }}"}}
  - {id: second, uses: fault/do@1, effect: none, with: {what: make_a_file, path: "${{ event.data.path }}.after"}}
"""


def test_calls_go_on_while_the_engine_is_at_something_else(engine_with, tmp_path):
    engine = engine_with([f"files:{tmp_path}"])
    engine.write("workflows/warm.yaml", SEVERAL)
    engine.start()
    send(engine, "warm", path=str(tmp_path / "go"))
    wait_for("the call that waits", lambda: (tmp_path / "go.waits").exists())
    engine.process.send_signal(signal.SIGSTOP)
    wait_for("the engine to stand still", lambda: state_of(engine.process.pid) == "T")
    (tmp_path / "go").touch()
    wait_for("the call behind it", lambda: (tmp_path / "go.after").exists())
    engine.process.send_signal(signal.SIGCONT)
    [run] = engine.finished_runs(1, "--workflow", "several")
    assert run["state"] == "succeeded", run


def test_the_end_of_a_worker_costs_its_calls_and_not_the_process(engine_with, tmp_path):
    engine = engine_with(config=CONFIG + "workers: 1\n").start()
    warm_up(engine)
    host = host_of(engine)
    [worker] = engine.children("worker")
    send(engine, "wait_for_file", path=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="it waits")
    os.kill(worker, signal.SIGKILL)
    wait_for("the call of another worker", lambda: len(entries(engine, "it waits")) == 2)
    (tmp_path / "go").touch()
    assert engine.finished_runs(1, "--workflow", "faulty")[0]["state"] == "succeeded"

    def calls():
        rows = map(json.loads, engine.run("plugin", "list", "--json", check=False).stdout.splitlines())
        return {row["plugin"]: row["calls"] for row in rows}["fault"]
    wait_for("the end of the calls", lambda: calls() == 0)
    assert number(commit(engine, "pid", 2)) == host
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


# ---- more than there is for it ----

@pytest.mark.parametrize("what", ["take_memory", "take_addresses", "write_much"])
def test_a_plugin_gets_no_more_than_there_is_for_it(engine_with, what):
    engine = engine_with().start()
    assert number(commit(engine, what)) == 0
    good_neighbour(engine)


def test_a_plugin_gets_only_so_many_files(engine_with):
    engine = engine_with().start()
    assert 0 < number(commit(engine, "take_files")) <= 16384


def test_a_plugin_gets_only_so_many_threads(engine_with):
    engine = engine_with().start()
    run = commit(engine, "take_threads")
    if IS_SANITIZED and run["state"] == "failed":  # the sanitizer's own part of a thread has found no memory: it ends the process
        assert run["error"]["code"] == "plugin.crashed", run
    else:
        assert 100 < number(run) < 2000
    good_neighbour(engine)


# ---- what it may do ----

HAS_LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)  # its version, from 6 on it bounds signals; below 1: the kernel has none
needs_landlock = pytest.mark.skipif(HAS_LANDLOCK < 6, reason="this kernel has no Landlock that bounds files and signals")


@pytest.mark.parametrize("what", ["open_sockets", "bomb", "execute_a_program", "reach_others", "slow_others_down"])
def test_a_plugin_without_needs_reaches_nothing(engine_with, what):
    engine = engine_with().start()
    assert number(commit(engine, what)) == 0
    assert not [line for line in engine.log if line.get("log") == "plugin.not_confined" and "seccomp" in line["message"]]


@needs_landlock
@pytest.mark.parametrize("what,opened", [("open_files", 0), ("construct_more", 0), ("open_software", 1)])
def test_a_plugin_without_needs_reads_nothing_but_software(engine_with, what, opened):
    engine = engine_with().start()
    assert number(commit(engine, what)) == opened


@pytest.mark.parametrize("needs,what,expected", [
    (["network"], "open_sockets", 2),  # IPv4 and IPv6, no Unix sockets
    (["network"], "bomb", 0),
    (["exec"], "execute_a_program", 1),
    (["exec"], "open_sockets", 0),
    (["exec"], "put_a_child_into_a_group", 0),
    (["exec", "groups"], "put_a_child_into_a_group", 1),
    (["exec"], "lower_limits_of_others", 0),
    (["unix"], "open_sockets", 2),  # and a pair of datagrams, which can be sent elsewhere
    (["unix", "network"], "open_sockets", 4),
    pytest.param(["exec"], "reach_others", 0, marks=needs_landlock),
    pytest.param(["exec"], "signal_by_a_descriptor", 0, marks=needs_landlock),
    pytest.param(["network", "exec"], "open_files", 0, marks=needs_landlock),
])
def test_a_plugin_may_do_what_it_needs_and_no_more(engine_with, needs, what, expected):
    engine = engine_with(needs).start()
    assert number(commit(engine, what)) == expected
    shown = engine.run("actions", "show", "fault/do").stdout
    assert all(need in shown for need in needs)


@needs_landlock
def test_a_plugin_may_write_in_the_folder_that_it_needs_and_in_no_other(engine_with, tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir(), other.mkdir()
    engine = engine_with([f"files:{mine}"]).start()
    send(engine, "make_a_file", path=str(mine / "new"))
    assert number(engine.finished_runs(1, "--workflow", "faulty")[0]) == 1 and (mine / "new").exists()
    send(engine, "make_a_file", path=str(other / "new"))
    assert 0 in [number(run) for run in engine.finished_runs(2, "--workflow", "faulty")] and not (other / "new").exists()


@needs_landlock
def test_a_plugin_may_read_in_a_folder_that_it_may_not_write_in(engine_with, tmp_path):
    (tmp_path / "there").touch()
    engine = engine_with([f"reads:{tmp_path}"]).start()
    send(engine, "make_a_file", path=str(tmp_path / "new"))
    assert number(engine.finished_runs(1, "--workflow", "faulty")[0]) == 0 and not (tmp_path / "new").exists()
    send(engine, "read_a_file", path=str(tmp_path / "there"))
    assert 1 in [number(run) for run in engine.finished_runs(2, "--workflow", "faulty")]


def test_a_need_that_there_is_not_is_refused_with_those_that_there_are(engine_with):
    engine = engine_with(["netwrok"]).start()
    line = engine.wait_log("plugin.refused")
    assert line["code"] == "plugin.manifest" and "netwrok" in line["message"] and "files:PATH" in line["hint"]


# ---- a process does not get old ----

MANY = """
name: many
on: [{event: open.ping, if: event.data.what == 'many'}]
steps:
  - id: fan
    foreach: ${{ event.data.items }}
    concurrency: 50
    steps: [{id: harm, uses: fault/do@1, with: {what: pid}}]
"""


def test_after_a_thousand_calls_another_process_goes_on(engine_with):
    engine = engine_with()
    engine.write("workflows/faulty.yaml", MANY)
    engine.start()
    first = wait_for("the host", lambda: host_of(engine))
    send(engine, "many", items=list(range(1100)))
    [run] = engine.finished_runs(1, "--workflow", "many")
    assert run["state"] == "succeeded", run
    renewed = engine.wait_log("plugin.renewed")
    assert renewed["calls"] == 1000 and renewed["plugin"] == "fault.so"
    wait_for("the old one to be gone", lambda: is_gone(first) and len(engine.children("host")) == 2)  # with that of the bundled http
    send(engine, "many", items=[1])
    assert [item["number"] for item in engine.finished_runs(2, "--workflow", "many")[0]["steps"][0]["output"]["items"]] == [host_of(engine)]
    assert not [line for line in engine.log if line.get("log") in ("plugin.crashed", "plugin.not_renewed")]


def test_one_that_has_grown_is_replaced_and_finishes_its_calls(engine_with, tmp_path):
    engine = engine_with().start()
    old = wait_for("the host", lambda: host_of(engine))
    send(engine, "wait_for_file", path=str(tmp_path / "go"))
    engine.wait_log("plugin.log", message="it waits")
    assert number(commit(engine, "leak")) == 1
    renewed = engine.wait_log("plugin.renewed")
    assert renewed["resident_bytes"] > renewed["loaded_bytes"] + (64 << 20)  # it may still be growing
    ended = 1
    while number(commit(engine, "pid", ended + 1)) == old:  # until the new one is ready
        ended += 1
    assert not is_gone(old)  # it still has a call
    (tmp_path / "go").touch()
    wait_for("its end", lambda: is_gone(old))
    assert -old in [number(run) for run in engine.finished_runs(ended + 2, "--workflow", "faulty")]
    assert not [line for line in engine.log if line.get("log") in ("plugin.crashed", "plugin.not_renewed")]


@pytest.mark.parametrize("needs", [["network"], []])
def test_a_new_list_of_name_servers_is_seen_by_those_that_may_ask_them(engine_with, needs):
    """Who writes it puts a new file in its place, which Landlock does not take for the old one. In a mount namespace: the list is that of the whole machine."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a mount namespace")
    engine = engine_with(needs)
    engine.write("workflows/nap.yaml", "name: nap\non: [{event: github.push}]\nsteps: [{id: a, sleep: 2s}]\n")
    apart = engine.write("apart", f"""#!/bin/sh
mkdir etc && cp -a /etc/. etc && rm -f etc/resolv.conf && echo 'nameserver 127.0.0.2' >etc/resolv.conf
exec unshare -m sh -c 'mount --bind etc /etc && exec "$0" "$@"' {BINARY} "$@"
""", 0o755)
    engine.start(binary=apart)
    wait_for("the host", lambda: host_of(engine))
    (engine.folder / "new").write_text("nameserver 127.0.0.3\n")
    (engine.folder / "new").rename(engine.folder / "etc" / "resolv.conf")
    assert "resolv.conf" in engine.wait_log("plugin.renewed", plugin="fault.so" if needs else "http.so")["message"]
    engine.push()  # time enough for the other one to be looked at as well
    engine.finished_runs(1, "--workflow", "nap")
    assert number(commit(engine, "nothing")) == 0
    assert needs or not [line for line in engine.log if line["log"] == "plugin.renewed" and line["plugin"] == "fault.so"]


# ---- what it leaves behind ----

@pytest.mark.parametrize("end", ["segv", "endless", "stop", "kill"])
def test_what_a_plugin_starts_ends_with_it(engine_with, end):
    engine = engine_with(["exec"], timeout="5s").start()
    child = number(commit(engine, "leave_a_child"))
    assert not is_gone(child)
    if end in ("stop", "kill"):
        getattr(engine, end)()
    else:
        commit(engine, end, 2)
    wait_for("the end of its child", lambda: is_gone(child))


# ---- while it is loaded ----

KIT = (pathlib.Path(__file__).parent / "faults" / "kit.c").read_text()


@pytest.mark.parametrize("define,code,part", [("CRASH_LOADING", "plugin.crashed", "SIGSEGV"), ('HANG_LOADING=""', "plugin.load_timeout", "5000 ms"), ("NEEDS=\"!\"", "plugin.manifest", "no JSON")])
def test_what_cannot_be_loaded_is_refused_and_others_serve(engine_with, flags, define, code, part):  # noqa: F811
    engine = engine_with()
    build(engine, flags, define, source=KIT, name="kit.so")
    engine.start()
    refused = engine.wait_log("plugin.refused")
    assert refused["code"] == code and part in refused["message"] and refused["file"].endswith("kit.so"), refused
    assert number(commit(engine, "nothing")) == 0
    good_neighbour(engine)


def test_one_that_hangs_when_it_is_loaded_again_is_ended_and_tried_again(engine_with, flags, tmp_path):  # noqa: F811
    engine = engine_with()
    engine.write("workflows/kit.yaml", "name: kit\non: [{event: open.ping, if: event.data.what == 'kit'}]\nsteps: [{id: a, uses: kit/do@1, retry: {attempts: 9, delay: 100ms}}]\n")
    build(engine, flags, f'HANG_LOADING="{tmp_path}/hang"', source=KIT, name="kit.so")
    engine.start()
    (tmp_path / "hang").touch()
    os.kill(wait_for("the host", lambda: host_of(engine, "kit.so")), signal.SIGKILL)
    send(engine, "kit")
    engine.wait_log("plugin.crashed", how="ended by the engine: it did not finish loading")
    (tmp_path / "hang").unlink()
    assert engine.finished_runs(1, "--workflow", "kit")[0]["state"] == "succeeded"


# ---- what it changes in itself ----

def test_the_state_of_its_floating_point_unit_is_its_own(engine_with):
    engine = engine_with().start()
    assert number(commit(engine, "change_the_fpu")) == 1
    assert number(commit(engine, "nothing", 2)) == 0
    good_neighbour(engine)
