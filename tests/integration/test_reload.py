"""Hot reload: what the folders hold becomes the catalogue as a whole or not at all, and no event falls between two of them."""
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from conftest import CONFIG, ONE_STEP, wait_for
from test_runs import Sink, sink  # noqa: F401 (a fixture)

JSON = {"Content-Type": "application/json"}
VALUE = "name: value\non: [{event: open.ping}]\nsteps: [{id: s, set: {value: %s}}]\n"


def replace(engine, name: str, text: str):
    """Whole or not at all, so that what is read does not depend on the moment."""
    path = engine.write(name + ".new", text)
    path.rename(engine.folder / name)


def lines(engine, name: str):
    return [line for line in list(engine.log) if line.get("log") == name]


def nth(engine, name: str, count: int):
    """The count-th line of that name since the start."""
    wait_for(f"{count} lines {name}", lambda: len(lines(engine, name)) >= count or engine.process.poll() is not None)
    return lines(engine, name)[count - 1]


def ping(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), JSON)
    assert status == 202
    return answer["event"]


def value_of_next_run(engine, count: int):
    event = ping(engine)
    [run] = [run for run in engine.finished_runs(count) if run["event"] == event]
    assert run["state"] == "succeeded", run
    return run["steps"][0]["output"]["value"]


def begin(engine, *arguments):
    engine.start(*arguments)
    engine.wait_log("catalog.loaded")
    return engine


# ---- what is taken over ----

def test_new_events_run_the_new_version_and_a_run_in_flight_ends_as_it_began(make_engine, sink):
    engine = make_engine()
    text = """
name: slow
on: [{event: open.ping}]
steps:
  - id: first
    lua: return {status = ctx.http{method = "POST", url = "%(url)s/%(version)s/first"}.status}
  - id: second
    lua: return {version = "%(version)s", status = ctx.http{method = "POST", url = "%(url)s/%(version)s/second"}.status}
"""
    engine.write("workflows/slow.yaml", text % {"url": sink.url, "version": "old"})
    begin(engine)
    sink.gate.clear()
    old = ping(engine)
    wait_for("the old run's first call", lambda: sink.requests)
    replace(engine, "workflows/slow.yaml", text % {"url": sink.url, "version": "new"})
    line = engine.wait_log("catalog.activated")
    assert line["revision"] == 2 and line["workflows"] == 1 and line["actions"] >= 1, line
    new = ping(engine)
    wait_for("the new run's first call", lambda: len(sink.requests) == 2)
    sink.gate.set()
    runs = {run["event"]: run for run in engine.finished_runs(2)}
    assert {event: runs[event]["steps"][1]["output"]["version"] for event in runs} == {old: "old", new: "new"}
    assert sorted(request["path"] for request in sink.requests) == ["/new/first", "/new/second", "/old/first", "/old/second"]


def test_a_run_goes_on_with_its_version_in_another_worker_and_after_a_restart(make_engine, sink):
    """Its workflow is gone from the folder by then: the store has it."""
    engine = make_engine(CONFIG + "workers: 1\n")
    engine.write("workflows/gone.yaml", """
name: gone
on: [{event: open.ping}]
steps:
  - id: first
    lua: return {status = ctx.http{method = "POST", url = "%s/first"}.status}
""" % sink.url)
    begin(engine)
    sink.gate.clear()
    ping(engine)
    wait_for("the first attempt", lambda: len(sink.requests) == 1)
    (engine.folder / "workflows/gone.yaml").unlink()
    assert engine.wait_log("catalog.activated")["workflows"] == 0
    [worker] = engine.children("worker")
    os.kill(worker, signal.SIGKILL)
    wait_for("the second attempt", lambda: len(sink.requests) == 2)
    engine.kill()
    begin(engine)
    wait_for("the third attempt", lambda: len(sink.requests) == 3)
    sink.gate.set()
    [run] = engine.finished_runs(1)
    assert run["workflow"] == "gone" and run["state"] == "succeeded", run


def test_a_step_that_ends_its_worker_is_found_also_when_its_workflow_is_gone(make_engine, sink):
    """Whose fault it was is told by the names of the workflows: those of older revisions count."""
    engine = make_engine(CONFIG + "workers: 1\n")
    engine.write("gone.yaml", """
name: gone
on: [{event: open.ping}]
steps:
  - {id: deadly, timeout: 1h, lua: 'ctx.http{method = "POST", url = "%s/deadly"}; while true do end'}
""" % sink.url)
    engine.write("workflows/other.yaml", VALUE.replace("open.ping", "github.push") % 1)
    begin(engine)
    (engine.folder / "gone.yaml").rename(engine.folder / "workflows/gone.yaml")
    nth(engine, "catalog.activated", 1)
    ping(engine)
    wait_for("the call", lambda: sink.requests)
    (engine.folder / "workflows/gone.yaml").unlink()
    nth(engine, "catalog.activated", 2)
    for kills in range(1, 30):  # some may hit the moment between two slices of the step, and do not count
        os.kill(max(engine.children("worker")), signal.SIGKILL)  # the youngest: the one for suspects, as soon as there is one
        nth(engine, "worker.lost", kills)
        if wait_for("the next attempt or the end", lambda: len(sink.requests) > kills or [row for row in engine.rows("runs") if row["state"] == "failed"]) is not True:
            break
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed" and run["error"]["code"] == "worker_lost", run


def test_a_new_workflow_runs_for_a_name_that_nobody_awaited(engine):
    begin(engine)
    before = engine.push(event="issues", delivery="i-1")[1]["event"]
    engine.write("workflows/team/issues.yaml", ONE_STEP.replace("one-step", "issues").replace("github.push", "github.issues"))
    assert engine.wait_log("catalog.activated")["workflows"] == 2
    after = engine.push(event="issues", delivery="i-2")[1]["event"]
    [run] = engine.finished_runs(1)
    assert run["event"] == after and run["workflow"] == "issues"
    [event] = [row for row in engine.rows("events") if row["event"] == before]
    assert event["state"] == "done" and event["matched"] == 0, event


def test_a_removed_workflow_stops(engine):
    begin(engine)
    engine.push(delivery="p-1")
    engine.finished_runs(1)
    (engine.folder / "workflows/one-step.yaml").unlink()
    assert engine.wait_log("catalog.activated")["workflows"] == 0
    event = engine.push(delivery="p-2")[1]["event"]
    [row] = [row for row in engine.rows("events") if row["event"] == event]
    assert row["state"] == "done" and row["matched"] == 0 and len(engine.rows("runs")) == 1
    engine.write("workflows/one-step.yaml", ONE_STEP)  # what was there before is the revision it was
    assert nth(engine, "catalog.activated", 2)["revision"] == 1
    engine.push(delivery="p-3")
    engine.finished_runs(2)


def test_a_changed_action_and_folders_that_come_later_are_seen(make_engine):
    action = """
return action {
  name = "shop/value", version = "1.0.0", doc = "A value.", inputs = {}, outputs = {value = {type = "integer"}},
  run = function() return {value = %d} end }
"""
    engine = begin(make_engine())
    replace(engine, "actions/shop/value.lua", action % 1)
    nth(engine, "catalog.activated", 1)
    replace(engine, "workflows/deep/er/value.yaml", "name: value\non: [{event: open.ping}]\nsteps: [{id: s, uses: shop/value@1}]\n")
    nth(engine, "catalog.activated", 2)
    assert value_of_next_run(engine, 1) == 1
    replace(engine, "actions/shop/value.lua", action % 2)
    nth(engine, "catalog.activated", 3)
    assert value_of_next_run(engine, 2) == 2
    new, old = engine.finished_runs(2)
    assert new["version"] != old["version"]


def test_a_signal_alone_reloads(make_engine):
    """The file lies behind a link, where nothing is watched."""
    engine = make_engine()
    engine.write("elsewhere/value.yaml", VALUE % 1)
    (engine.folder / "workflows/value.yaml").symlink_to("../elsewhere/value.yaml")
    begin(engine, "--log-level", "debug")
    engine.write("elsewhere/value.yaml", VALUE % 2)
    assert value_of_next_run(engine, 1) == 1
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    assert value_of_next_run(engine, 2) == 2
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.unchanged", revision=2)
    assert len(lines(engine, "catalog.activated")) == 1


def test_a_burst_of_writes_is_few_reloads(make_engine):
    """However slow this machine is: between two reloads the files were at rest for 200 ms, or changed for 2 s."""
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 0)
    begin(engine)
    began, value = time.monotonic(), 0
    while time.monotonic() < began + 1:
        value += 1
        replace(engine, "workflows/value.yaml", VALUE % value)
    wait_for("the last one", lambda: value_of_next_run(engine, len(engine.rows("runs", "--limit", "1000")) + 1) == value)
    count, most = len(lines(engine, "catalog.activated")), (time.monotonic() - began) / 0.19 + 1
    assert 1 <= count <= most < value and not lines(engine, "catalog.refused"), (count, most, value)


SCHEME = 'doc: "A token"\nalg: equal\nkey: {secret: token}\nsig: {from: "header:%s", enc: utf8}\n'


def test_a_changed_scheme_judges_the_next_request(make_engine):
    engine = make_engine(CONFIG + """
  mine:
    path: /in/mine
    verify: mine
    secrets: {token: {env: MINE}}
""")
    engine.env["MINE"] = "let-me-in"
    engine.write("schemes/mine.yaml", SCHEME % "x-before")
    begin(engine)

    def answer(header):
        return engine.request("POST", "/in/mine", b"{}", {**JSON, header: "let-me-in"})[0]
    assert (answer("x-before"), answer("x-after")) == (202, 401)
    replace(engine, "schemes/mine.yaml", SCHEME % "x-after")
    engine.wait_log("sources.activated")
    assert (answer("x-before"), answer("x-after")) == (401, 202)
    replace(engine, "schemes/mine.yaml", SCHEME % "x-later" + "sgi: {}\n")
    assert engine.wait_log("catalog.error")["file"].endswith("mine.yaml")
    engine.wait_log("catalog.refused")
    assert (answer("x-later"), answer("x-after")) == (401, 202)


# ---- what is not ----

def test_keys_that_only_a_start_reads_are_named_once(make_engine):
    engine = begin(make_engine(CONFIG + "pools: {heavy: {workers: 1}}\nidle: 20s\n"))
    config = engine.folder / "bellwire.yaml"
    config.write_text(config.read_text().replace("workers: 1", "workers: 2").replace("idle: 20s\n", "") + "max_body: 2MiB\n")
    for count in (1, 2):
        engine.process.send_signal(signal.SIGHUP)
        nth(engine, "sources.activated", count)
    [told] = lines(engine, "config.needs_start")
    assert told["keys"] == "pools, max_body, idle" and f"kill -USR2 {engine.process.pid}" in told["message"]
    config.write_text(config.read_text() + "stall: 3s\n")
    engine.process.send_signal(signal.SIGHUP)
    assert "stall" in nth(engine, "config.needs_start", 2)["keys"]


BROKEN = {
    "yaml": ("workflows/b.yaml", "name: b\non: [{event: open.ping}]\nsteps:\n  - {id: s, sett: {x: 1}}\n", "b.yaml", 4, "did you mean"),
    "reference": ("workflows/b.yaml", "name: b\non: [{event: open.ping}]\nsteps:\n  - {id: s, set: {x: '${{ steps.t.x }}'}}\n", "b.yaml", 4, ""),
    "name": ("workflows/b.yaml", VALUE % 7, "value.yaml", 1, ""),
    "action": ("actions/b.lua", "return action {\n  name = 1 +,\n}", "b.lua", 2, ""),
    "large": ("workflows/b.yaml", "#" * (1 << 20) + "\n", "b.yaml", None, ""),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_changes_nothing_and_is_named(make_engine, what):
    name, text, file, line, hint = BROKEN[what]
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 1)
    begin(engine)
    replace(engine, name, text)
    refused = engine.wait_log("catalog.refused")
    assert refused["revision"] == 1 and refused["errors"] >= 1 and "revision 1" in refused["message"], refused
    errors = lines(engine, "catalog.error")
    assert len(errors) == refused["errors"]
    assert [error for error in errors if error["file"].endswith(file) and error.get("line") == line and hint in error.get("hint", "")], errors
    replace(engine, "workflows/value.yaml", VALUE % 2)  # good, but beside a broken one
    nth(engine, "catalog.refused", 2)
    assert value_of_next_run(engine, 1) == 1
    (engine.folder / name).unlink()
    engine.wait_log("catalog.activated")
    assert value_of_next_run(engine, 2) == 2


ACTION = "return action {name = 'shop/value', version = '1.0.0', doc = 'x', inputs = {}, run = function() return {value = 2} end}"
USES = "name: value\non: [{event: open.ping}]\nsteps: [{id: s, uses: shop/value@1}]\n"


def write_slow_files(engine):
    """Loading them takes a second or more: each ends at its budget of instructions."""
    for number in range(60):
        engine.write(f"actions/slow-{number}.lua", "while true do end")


def kill_while_it_loads(pid: int):
    """Half a second of processor time is more than its start takes."""
    ticks = os.sysconf("SC_CLK_TCK")
    wait_for("loading", lambda: int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11]) >= ticks // 2)
    os.kill(pid, signal.SIGKILL)


def test_a_file_that_ends_the_process_which_loads_it_disturbs_no_worker(make_engine):
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 1)
    begin(engine)
    workers = engine.children("worker")
    write_slow_files(engine)
    [trial] = wait_for("the trial", lambda: [pid for pid in engine.children("worker") if pid not in workers])
    kill_while_it_loads(trial)
    assert engine.wait_log("catalog.refused")["errors"] == 1
    [error] = lines(engine, "catalog.error")
    assert error["code"] == "worker_lost" and "/slow-" in error["file"] and "signal 9" in error["message"], error
    assert engine.children("worker") == workers and value_of_next_run(engine, 1) == 1
    engine.process.send_signal(signal.SIGHUP)
    assert nth(engine, "catalog.refused", 2)["errors"] == 60
    assert engine.children("worker") == workers and not lines(engine, "worker.lost")
    for number in range(60):
        (engine.folder / f"actions/slow-{number}.lua").unlink()
    replace(engine, "workflows/value.yaml", VALUE % 2)
    engine.wait_log("catalog.activated")
    assert value_of_next_run(engine, 2) == 2


def test_a_file_refused_at_the_start_is_taken_when_it_is_repaired(make_engine):
    """It ended a worker, so the workers went on without it: in that revision, not for ever."""
    engine = make_engine(CONFIG + "workers: 1\n")
    write_slow_files(engine)
    engine.start(wait=False)
    [worker] = wait_for("the worker", lambda: engine.children("worker"))
    kill_while_it_loads(worker)
    file = engine.wait_log("catalog.file_refused")["file"]
    engine.wait_log("catalog.loaded", errors=60)
    engine.wait_log("engine.listening")
    for number in range(60):
        (engine.folder / f"actions/slow-{number}.lua").unlink()
    replace(engine, file, ACTION)
    replace(engine, "workflows/value.yaml", USES)
    nth(engine, "catalog.activated", 1)
    wait_for("the whole of it", lambda: lines(engine, "catalog.activated")[-1]["workflows"] == 1)
    assert value_of_next_run(engine, 1) == 2


def test_a_folder_that_vanishes_stops_nothing(make_engine):
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 1)
    begin(engine)
    (engine.folder / "workflows").rename(engine.folder / "aside")
    engine.wait_log("catalog.refused", revision=1)
    engine.wait_log("catalog.error", code="catalog.folder_missing")
    assert value_of_next_run(engine, 1) == 1
    (engine.folder / "aside/value.yaml").write_text(VALUE % 2)
    (engine.folder / "aside").rename(engine.folder / "workflows")
    engine.wait_log("catalog.activated")
    replace(engine, "workflows/value.yaml", VALUE % 3)
    nth(engine, "catalog.activated", 2)
    assert value_of_next_run(engine, 2) == 3


def test_an_engine_that_is_told_to_stop_does_not_wait_for_a_reload(make_engine):
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 1)
    begin(engine)
    workers = engine.children("worker")
    write_slow_files(engine)
    wait_for("the trial", lambda: [pid for pid in engine.children("worker") if pid not in workers])
    assert engine.stop() == 0
    assert not lines(engine, "catalog.refused") and not lines(engine, "catalog.activated")


# ---- what must not be lost ----

def test_a_kill_right_after_the_activation_goes_on_with_the_new_content(make_engine):
    engine = make_engine()
    engine.write("workflows/value.yaml", VALUE % 1)
    begin(engine)
    replace(engine, "workflows/value.yaml", VALUE % 2)
    engine.wait_log("catalog.activated", revision=2)
    engine.kill()
    begin(engine)
    assert engine.wait_log("engine.listening")["revision"] == 2
    assert value_of_next_run(engine, 1) == 2


@pytest.mark.parametrize("point", ["dispatch.before_activate", "dispatch.after_activate"])
def test_a_crash_at_the_activation_leaves_each_event_its_version(make_engine, sink, point):
    text = """
name: value
on: [{event: open.ping}]
steps: [{id: s, lua: 'return {value = %d, status = ctx.http{method = "POST", url = "URL/"}.status}'}]
""".replace("URL", sink.url)
    engine = make_engine()
    engine.write("workflows/value.yaml", text % 1)
    engine.env["BELLWIRE_CRASH"] = point + ":1"
    begin(engine)
    sink.gate.clear()
    old = ping(engine)
    wait_for("the old run's call", lambda: sink.requests)
    replace(engine, "workflows/value.yaml", text % 2)
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    begin(engine)
    sink.gate.set()
    new = ping(engine)
    assert {run["event"]: run["steps"][0]["output"]["value"] for run in engine.finished_runs(2)} == {old: 1, new: 2}


def test_events_under_load_run_under_one_version_each_while_twenty_reloads_happen(make_engine):
    """Each version is two workflows in one file, the second in even versions only: what an event ran must be one version, and none is lost."""
    def version(number):
        second = f"---\nname: even\non: [{{event: 'open.*'}}]\nsteps: [{{id: s, set: {{value: {number}}}}}]\n" if number % 2 == 0 else ""
        return VALUE % number + second
    engine = make_engine()
    engine.write("workflows/value.yaml", version(0))
    begin(engine, "--log-level", "info")
    accepted, failures, is_over = [], [], threading.Event()

    def send():
        try:
            while not is_over.is_set():
                least = len(lines(engine, "catalog.activated"))
                accepted.append((ping(engine), least))
        except Exception as error:  # noqa: BLE001 (a thread's failure is the test's)
            failures.append(error)
    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    try:
        for number in range(1, 21):
            seen = len(accepted)
            wait_for("events under this version", lambda: len(accepted) >= seen + 10 or failures)
            replace(engine, "workflows/value.yaml", version(number))
            if number % 2:
                engine.process.send_signal(signal.SIGHUP)
            nth(engine, "catalog.activated", number)
    finally:
        is_over.set()
        for sender in senders:
            sender.join()
    assert not failures, failures
    last = ping(engine)
    wait_for("all events to be done", lambda: not [row for row in engine.rows("events", "--limit", "100000") if row["state"] != "done"])
    ran = {}
    for row in engine.rows("runs", "--limit", "1000000"):
        assert row["state"] == "succeeded", row
        ran.setdefault(row["event"], []).append(row)
    assert set(ran) == {event for event, _ in accepted} | {last}
    versions = {}  # hash of `value` → number, from one run each
    for event, least in [*accepted, (last, 20)]:
        [value] = [row for row in ran[event] if row["workflow"] == "value"]
        if value["version"] not in versions:
            versions[value["version"]] = engine.show_run(value["run"])["steps"][0]["output"]["value"]
        number = versions[value["version"]]
        assert number >= least, (event, number, least)
        assert [row["workflow"] for row in ran[event] if row is not value] == (["even"] if number % 2 == 0 else []), (event, number)
    assert len(versions) == 21
    assert not lines(engine, "catalog.refused") and len(lines(engine, "catalog.activated")) == 20
    assert engine.stop() == 0
