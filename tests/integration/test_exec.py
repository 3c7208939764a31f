"""The exec plugin: programs of this machine, of which nothing is left when they are over, however that came about."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import BUILD, CONFIG, children_of, is_gone, wait_for
from steps import came_to, run_steps

TALK = """#!/usr/bin/python3
import json, os, sys
print(json.dumps({"argv": sys.argv, "env": dict(os.environ), "dir": os.getcwd(), "stdin": sys.stdin.read(),
                  "fds": sorted(int(fd) for fd in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{fd}"))}))
"""
# A shell, a child of it, one in the background whose parent is gone, and one that wants to be a daemon; each writes its number, and none ends by itself.
TREE = """#!/bin/sh
out=$1
sleep 1000 & echo $! >>$out
(sleep 1000 & echo $! >>$out)
/usr/bin/python3 -c '
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): os._exit(0)
try: os.setsid()
except PermissionError: pass
try: os.setpgid(0, 0)
except PermissionError: pass
if os.fork(): os._exit(0)
open(sys.argv[1], "a").write("%d\\n" % os.getpid())
time.sleep(1000)' $out
echo $$ >>$out
echo "it grows" >&2
[ "$2" ] && exit "$2"
trap 'echo heard >>$out.term; exit 0' TERM
while :; do sleep 1; done
"""
CONFIGURED = """
secrets: {TOKEN: {env: EXEC_TOKEN}}
configure:
  exec:
    reads: [%(folder)s/programs, /proc]
    files: [%(folder)s/work]
    programs:
      - {name: talk, run: [%(folder)s/programs/talk, --first], dir: %(folder)s/work, env: {MODE: live}, secrets: [{name: TOKEN, value: {secret: TOKEN}}], accepts: [REF, MODE]}
      - {name: tree, run: [%(folder)s/programs/tree]}
      - {name: sh, run: [/bin/sh, -c]}
      - {name: cat, run: [/bin/cat]}
      - {name: gone, run: [/bin/true], dir: /nowhere}
%(more)s"""


def configure(engine, more=""):
    (engine.folder / "work").mkdir(exist_ok=True)
    engine.write("bellwire.yaml", CONFIG + CONFIGURED % {"folder": engine.folder, "more": more})
    engine.env["EXEC_TOKEN"] = "let-me-in"
    engine.env["OTHER_SECRET"] = "not-yours"
    return engine


@pytest.fixture
def engine(make_engine):
    engine = make_engine()
    engine.write("programs/talk", TALK, 0o755)
    engine.write("programs/tree", TREE, 0o755)
    yield configure(engine)
    if engine.process is not None:
        engine.kill()


def run(engine, program, *args, **given):
    return came_to(engine, "exec/run@1", {"program": program, "args": list(args), **given})


# ---- what it is given ----

def test_a_program_gets_its_arguments_as_they_are_and_little_else(engine):
    hostile = "$(touch owned); `id` 'a' \"b\" * \n --x"
    output = run(engine, "talk", hostile, "", 7, 1.5, True, {"a": [1, "ü"]}, stdin={"a": [1]}, env={"REF": "x=y z"}, **{"as": "json"})
    told = output["json"]
    assert told["argv"] == [f"{engine.folder}/programs/talk", "--first", hostile, "", "7", "1.5", "true", '{"a":[1,"ü"]}']
    assert told["stdin"] == '{"a":[1]}' and told["dir"] == f"{engine.folder}/work"
    env = {name: value for name, value in told["env"].items() if name not in ("PATH", "HOME", "LANG", "LC_CTYPE")}
    assert len(env.pop("BELLWIRE_KEY")) == 35 and env.pop("BELLWIRE_RUN")
    assert env == {"MODE": "live", "TOKEN": "[secret:TOKEN]", "REF": "x=y z", "BELLWIRE_ATTEMPT": "1"}  # the secret is taken out of what it has said
    assert told["fds"] == [0, 1, 2], "the engine's descriptors are its own"
    assert output["code"] == 0 and output["stderr"] == "" and output["is_cut"] is False and "stdout" not in output


def test_a_program_ends_and_says_how(engine):
    ends, _ = run_steps(engine, *(("exec/run@1", {"program": program, "args": args, **given}) for program, args, given in (
        ("cat", [], {}),
        ("cat", [], {"stdin": "grüß dich"}),
        ("sh", ["echo out; echo err >&2; exit 3"], {"ok_codes": [0, 3]}),
        ("sh", ["echo first >&2; echo 'why: no such branch' >&2; exit 3"], {}),
        ("sh", ["exit 4"], {}),
        ("sh", ["kill -SEGV $$"], {}),
        ("sh", ["printf 'a\\377b\\0c'"], {}),
        ("sh", ["printf 'a\\377'"], {"as": "base64"}),
        ("sh", ["echo '{\"a\": 1'"], {"as": "json"}),
        ("sh", ["echo 7"], {"as": "json"}),
        ("gone", [], {}),
        ("sh", ["exec bash -c 'cat <(echo by a pipe); echo aside >/dev/stderr'"], {}))))
    told = [end.get("output") or end["error"] for end in ends]
    assert [one.get("stdout", one.get("json")) if "stdout" in one or "json" in one else one["code"] for one in told] == [
        "", "grüß dich", "out\n", "exec.exit.3", "exec.exit.4", "exec.signal", "a\ufffdb\ufffdc", "Yf8=", "exec.output", 7, "exec.not_started", "by a pipe\n"]
    assert told[11]["stderr"] == "aside\n"
    assert told[2]["code"] == 3 and told[2]["stderr"] == "err\n"
    assert told[3]["message"] == "sh ended with exit status 3: first\nwhy: no such branch" and told[3]["class"] == "transient"
    assert told[4]["message"] == "sh ended with exit status 4; it wrote nothing to stderr"
    assert "SIGSEGV" in told[5]["message"] and "line 2" in told[8]["message"] and "/nowhere: No such file" in told[10]["message"]


def test_what_a_program_writes_without_end_is_cut_and_said_so(engine):
    configure(engine, "    output_bytes: 2000\n")
    much = "i=0; while [ $i -lt 30000 ]; do echo $i; echo $i >&2; i=$((i+1)); done"
    ends, _ = run_steps(engine, *(("exec/run@1", given) for given in (
        {"program": "sh", "args": [much]}, {"program": "sh", "args": [much], "as": "json"}, {"program": "sh", "args": [much + "; exit 1"]})))
    output = ends[0]["output"]
    assert output["is_cut"] and len(output["stdout"]) == 2000 and output["stdout"].startswith("0\n1\n") and output["stderr"].endswith("\n29999\n") and len(output["stderr"]) == 2000
    assert ends[1]["error"]["code"] == "exec.output_too_large" and "2000 bytes" in ends[1]["error"]["message"]
    assert ends[2]["error"]["message"].endswith("\n29999") and len(ends[2]["error"]["message"]) < 1000


def test_a_failed_program_is_tried_again_only_if_the_step_says_so(engine):
    step = {"id": "a", "uses": "exec/run@1", "with": {"program": "sh", "args": [f"echo x >>{engine.folder}/work/times; exit 1"]}}
    times = engine.folder / "work" / "times"
    for expected, more in ((1, {}), (3, {"retry": {"attempts": 3, "delay": "1ms"}}), (1, {"retry": {"attempts": 3, "delay": "1ms"}, "guarantee": "at_most_once"})):
        engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [{**step, **more}]}))
        said = engine.run("run", "w", check=False)
        assert said.returncode == 1 and times.read_text() == "x\n" * expected, said.stderr
        times.unlink()


def test_lines_of_stderr_are_in_the_log_of_the_run(engine):
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [{"id": "a", "uses": "exec/run@1", "with": {"program": "talk", "args": ["loud"]}}]}))
    engine.write("programs/talk", "#!/bin/sh\necho one >&2; echo \"it is $TOKEN\" >&2; printf two >&2\n", 0o755)
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    [run_] = engine.finished_runs(1)
    for text in ("one", "it is [secret:TOKEN]", "two"):
        assert engine.wait_log("plugin.log", message=text)["run"] == run_["run"]
    assert "let-me-in" not in json.dumps(engine.log) and "let-me-in" not in json.dumps(run_)


def test_files_are_there_as_long_as_the_program(engine):
    configure(engine)
    config = engine.folder / "bellwire.yaml"
    config.write_text(config.read_text().replace("name: sh, ", "name: sh, accepts: [BODY, MORE, NONE], ").replace("files: [", "files: [/tmp, "))
    engine.env.pop("TMPDIR", None)
    output = run(engine, "sh", 'cat "$BODY"; cat "$MORE"; echo "${NONE-unset}"; stat -c %a "$BODY"; echo "$BODY" >&2', files={"BODY": "text\n", "MORE": {"a": [1]}, "NONE": "${{ null }}"})
    assert output["stdout"] == 'text\n{"a":[1]}unset\n600\n'
    path = output["stderr"].strip()
    assert path.startswith("/tmp/bellwire-") and not os.path.exists(path)
    assert run(engine, "sh", "id", files={"PATH": "x"})["code"] == "exec.env"
    config.write_text(config.read_text().replace("files: [/tmp, ", "files: ["))
    from test_plugin_faults import HAS_LANDLOCK
    if HAS_LANDLOCK > 0:
        assert run(engine, "sh", "id", files={"BODY": "x"})["code"] == "exec.files"


# ---- what may be run ----

def test_what_is_not_configured_is_not_run(engine):
    ends, _ = run_steps(engine, *(("exec/run@1", given) for given in (
        {"program": "/bin/sh", "args": ["-c", "id"]}, {"program": "../talk"}, {"program": "talk", "env": {"LD_PRELOAD": "/tmp/x.so"}},
        {"program": "talk", "env": {"PATH": "/tmp"}}, {"program": "cat", "args": [None]}, {"program": "cat", "args": ["a", "${{ null }}"]})))
    assert [end["error"]["code"] for end in ends] == ["exec.not_allowed"] * 2 + ["exec.env"] * 2 + ["exec.input"] * 2
    assert "talk, tree, sh" in ends[0]["error"]["message"] and "accepts" in ends[2]["error"]["message"] and "args[1]" in ends[4]["error"]["message"]


@pytest.mark.parametrize("more,part", [
    ("      - {name: x, run: [bin/x]}\n", "path from the root"), ("      - {name: x, run: [/nowhere/x]}\n", "No such file"), ("      - {name: x, run: [/etc/passwd]}\n", "chmod +x"),
    ("      - {name: x, run: []}\n", "run is empty"), ("      - {name: cat, run: [/bin/cat]}\n", "two with the name cat"), ("      - {name: x, run: [/bin/cat], env: {A=B: c}}\n", "A=B"),
    ("      - {name: x, run: [/bin/cat], dir: here}\n", "dir must be"), ("plugins_may: {exec: [exec]}\n", "needs groups")])
def test_what_cannot_be_run_is_an_error_of_check(engine, more, part):
    configure(engine, more)
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [{"id": "a", "uses": "exec/run@1", "with": {"program": "cat"}}]}))
    said = engine.run("check", check=False)
    assert said.returncode == 1 and part in said.stderr, said.stderr


def test_whoever_does_not_configure_it_does_not_have_it_and_whoever_does_sees_what_it_may(engine, make_engine):
    assert f"starts programs, with exec, groups, files:{engine.folder}/work, reads:{engine.folder}/programs" in " ".join(engine.run("check").stderr.split())
    other = make_engine(name="other")
    other.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [{"id": "a", "uses": "exec/run@1", "with": {"program": "cat"}}]}))
    said = other.run("check", check=False)
    assert said.returncode == 1 and "exec/run" in said.stderr and "starts programs" not in said.stderr


def test_a_program_reads_and_writes_what_it_may_and_reaches_nobody(engine):
    line = "cat {0}/programs/talk >/dev/null && echo reads; echo x >{0}/work/x && echo writes; echo x >>{0}/programs/talk; cat {0}/bellwire.yaml".format(engine.folder)
    connect = "import socket\nfor family in socket.AF_INET, socket.AF_UNIX:\n  try: socket.socket(family); print(family.name)\n  except OSError: pass"
    sockets = ["exec /usr/bin/python3 -c \"$0\"", connect]
    from test_plugin_faults import HAS_LANDLOCK
    if HAS_LANDLOCK > 0:
        assert run(engine, "sh", line, ok_codes=[1])["stdout"] == "reads\nwrites\n"
    assert run(engine, "sh", *sockets)["stdout"] == ""
    configure(engine, "    network: true\n")
    assert run(engine, "sh", *sockets)["stdout"] == "AF_INET\n"
    configure(engine, "    unix: true\n")
    assert run(engine, "sh", *sockets)["stdout"] == "AF_UNIX\n"


def test_limits_of_size_are_those_of_the_engine(engine):
    sizes = "ulimit -v; ulimit -d; ulimit -f; ulimit -c"
    theirs = subprocess.run(["/bin/sh", "-c", sizes], capture_output=True, text=True, check=True).stdout.splitlines()
    assert run(engine, "sh", sizes)["stdout"].splitlines() == [*theirs[:3], "0"]


# ---- nothing is left ----

def tree(engine, timeout="60s", extra=()):
    out = engine.folder / "work" / "pids"
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [
        {"id": "a", "uses": "exec/run@1", "timeout": timeout, "with": {"program": "tree", "args": [str(out), *extra]}}]}))
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    return out


def pids_of(out):
    def all_four():
        lines = out.read_text().split() if out.exists() else []
        return [int(line) for line in lines] if len(lines) == 4 else None
    return wait_for("four processes", all_four)


def gone(pids):
    wait_for("the end of the tree", lambda: all(is_gone(pid) for pid in pids))


def test_what_a_program_leaves_behind_ends_with_it(engine):
    pids = pids_of(tree(engine, extra=["0"]))
    [run_] = engine.finished_runs(1)
    assert run_["state"] == "succeeded" and all(is_gone(pid) for pid in pids)


def test_a_program_that_takes_too_long_ends_with_all_that_it_has_started(engine):
    pids = pids_of(tree(engine, "12s"))  # time enough for a machine that has other things to do
    [run_] = engine.finished_runs(1)
    assert run_["error"]["code"] == "step.timeout"
    gone(pids)
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


def test_a_cancelled_run_ends_its_program_by_sigterm_first(engine):
    pids = pids_of(tree(engine))
    engine.run("runs", "cancel", engine.wait_log("plugin.log", message="it grows")["run"])
    [run_] = engine.finished_runs(1)
    assert run_["state"] == "cancelled"
    gone(pids)
    assert (engine.folder / "work" / "pids.term").read_text() == "heard\n"
    assert not [line for line in engine.log if line.get("log") == "plugin.crashed"]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def host_and_guard(engine):
    [found] = [(host, child) for host in engine.children("host") for child in children_of(host) if name_of(child) == "guard"]
    return found


@pytest.mark.parametrize("who", ["host", "engine", "guard", "stop"])
def test_a_killed_process_takes_the_programs_with_it(engine, who):
    pids = pids_of(tree(engine))
    host, guard = host_and_guard(engine)
    if who == "engine":
        engine.kill()
    elif who == "stop":
        engine.stop()
    else:
        os.kill(host if who == "host" else guard, signal.SIGKILL)
    gone(pids)
    if who in ("host", "guard"):
        [run_] = engine.finished_runs(1)
        assert run_["error"]["code"] == {"host": "plugin.crashed", "guard": "exec.lost"}[who]


def test_a_program_that_signals_its_group_reaches_no_other(engine):
    ready = engine.folder / "work" / "ready"
    steps = [{"id": "waits", "uses": "exec/run@1", "needs": [], "with": {"program": "sh", "args": [f"echo >{ready}; while ! [ -e {ready}.go ]; do sleep 0.1; done; echo done"]}},
             {"id": "kills", "uses": "exec/run@1", "needs": [], "on_error": "continue", "with": {"program": "sh", "args": [f"while ! [ -e {ready} ]; do sleep 0.1; done; kill -KILL 0"]}},
             {"id": "after", "uses": "exec/run@1", "needs": ["kills"], "with": {"program": "sh", "args": [f"echo >{ready}.go"]}}]
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": steps}))
    said = engine.run("run", "w", "--json")
    ends = {row["step"]: row for row in map(json.loads, said.stdout.splitlines()) if row.get("what") == "step_finished"}
    assert ends["waits"]["output"]["stdout"] == "done\n" and "SIGKILL" in ends["kills"]["error"]["message"], ends


def test_two_hundred_programs_run_some_at_a_time_and_leave_nothing(engine):
    configure(engine, "    at_once: 10\n")
    count = "cd {0}/work; echo >here.$$; set -- here.*; echo $#; sleep 0.02; rm here.$$".format(engine.folder)
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [
        {"id": "all", "foreach": "${{ event.data.items }}", "concurrency": 200, "steps": [{"id": "a", "uses": "exec/run@1", "with": {"program": "sh", "args": [count]}}]}]}))
    engine.start()
    engine.request("POST", "/in/open", json.dumps({"items": list(range(200))}).encode(), {"Content-Type": "application/json"})
    [run_] = engine.finished_runs(1)
    assert run_["state"] == "succeeded", run_
    seen = [int(item["stdout"]) for item in run_["steps"][0]["output"]["items"]]
    assert len(seen) == 200 and max(seen) <= 10
    wait_for("the last guard", lambda: not any(children_of(host) for host in engine.children("host")))


def test_the_plugin_keeps_the_contract(engine):
    engine.write("calls.yaml", "calls: [{action: exec/run, with: {program: cat, stdin: x}}]\n")
    engine.run("plugin", "test", BUILD / "plugins" / "when-configured" / "exec.so", "--config", "bellwire.yaml", "--calls", "calls.yaml", "--repeat", "50")
