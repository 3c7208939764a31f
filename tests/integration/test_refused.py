"""A version of Bellwire may refuse what the one before it took, and a revision is stored for ever: what had begun under it ends, and says why."""
import contextlib
import os
import signal
import sqlite3

import pytest

from conftest import wait_for
from test_parking import messages, parked, ring

GOOD = """
name: good
on: [{event: open.ping}]
steps:
  - {id: told, wait: {event: open.go, timeout: 1h}}
  - {id: after, set: {n: 1}}
outputs: {n: "${{ steps.after.n }}"}
"""
BAD = """
name: bad
on: [{event: open.ping}, {manual: true}]
steps:
  - {id: before, lua: "ctx.log('before') return {}", undo: {lua: "ctx.log('undone') return {}"}}
  - {id: told, wait: {event: open.go, timeout: 1h}}
  - {id: after, set: {n: 1}}
finally: [{id: last, lua: "ctx.log('finally') return {}"}]
outputs: {n: "${{ steps.after.n }}"}
"""
CONFIG = """
listen: [http://127.0.0.1:0]
data: ./data
workers: 1
sources:
  open: {path: /in/open, verify: none, event: {refs: [json:/event]}}
"""


ACTION = """return action {name = 'shop/count', version = '%s', effect = 'none', run = function() return {n = 1} end}"""


def refuse(engine, what: str, instead: str):
    """As if this version refused what the stored files say: there is no hash that the engine would look at when it reads them back."""
    database = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    try:
        changed = database.execute("UPDATE versions SET content = CAST(replace(CAST(content AS TEXT), ?, ?) AS BLOB) WHERE instr(CAST(content AS TEXT), ?)",
                                   (what, instead, what)).rowcount
        database.commit()
    finally:
        database.close()
    assert changed >= 1


def go(engine):
    ring(engine, event="go")


def is_unharmed(engine):
    assert not [line for line in engine.log if line.get("log") in ("worker.lost", "worker.resting", "catalog.read_back")], engine.log


def begun(make_engine):
    """An event whose two runs are parked, in an engine that is stopped."""
    engine = make_engine(CONFIG)
    engine.write("workflows/good.yaml", GOOD)
    engine.write("workflows/bad.yaml", BAD)
    engine.start()
    event = ring(engine, event="ping")
    runs = {row["workflow"]: row["run"] for row in parked(engine, 2)}
    engine.stop()
    return engine, event, runs


def test_a_parked_run_of_a_refused_workflow_fails_and_others_go_on(make_engine):
    engine, event, runs = begun(make_engine)
    refuse(engine, "{id: after, set: {n: 1}}\nfinally", "{id: after, sets: {n: 1}}\nfinally")
    engine.write("workflows/bad.yaml", BAD.replace("n: 1", "n: 2"))  # in the folder it is right, in another revision
    engine.start()
    go(engine)
    ended = {run["workflow"]: run for run in engine.finished_runs(2)}
    assert ended["good"]["state"] == "succeeded" and ended["good"]["output"] == {"n": 1}
    bad, error = ended["bad"], ended["bad"]["error"]
    assert bad["state"] == "failed" and error["code"] == "revision.refused", bad
    assert "workflows/bad.yaml:7:17: unknown key 'sets'" in error["message"] and "no `undo` or `finally`" in error["message"], error
    assert f"bellwire runs resume {runs['bad']} --latest" in error["hint"], error
    assert [step["state"] for step in bad["steps"]] == ["succeeded", "cancelled"], bad
    assert not messages(engine, "undone") and not messages(engine, "finally")
    shown = engine.run("runs", "show", runs["bad"]).stdout
    assert "revision.refused" in shown and "bad.yaml:7:17" in shown and "--latest" in shown, shown
    why = {row["workflow"]: row for row in engine.rows("why", event)}
    assert why["bad"]["decided"] == "ran" and "failed: this version of Bellwire refuses" in why["bad"]["message"], why
    assert why["good"]["decided"] == "ran" and "succeeded" in why["good"]["message"], why
    logged = engine.wait_log("catalog.revision_refused", workflow="bad")
    assert "bad.yaml:7:17" in logged["message"] and logged["revision"] == 1, logged
    is_unharmed(engine)

    # Under its own revision it cannot do better, and says so again; as the workflow is now, it goes on behind what it had done.
    engine.run("runs", "resume", runs["bad"])
    wait_for("the second failure", lambda: engine.show_run(runs["bad"])["state"] == "failed")
    assert engine.show_run(runs["bad"])["error"]["code"] == "revision.refused"
    engine.run("runs", "resume", runs["bad"], "--latest")  # the event that it waited for has come meanwhile
    wait_for("its end", lambda: engine.show_run(runs["bad"])["state"] == "succeeded")
    run = engine.show_run(runs["bad"])
    assert run["output"] == {"n": 2} and len(messages(engine, "finally")) == 1 and not messages(engine, "before"), run
    is_unharmed(engine)


def test_the_version_before_can_go_on_with_it(make_engine):
    engine, _, runs = begun(make_engine)
    refuse(engine, "{id: after, set: {n: 1}}\nfinally", "{id: after, sets: {n: 1}}\nfinally")
    engine.write("workflows/bad.yaml", BAD.replace("n: 1", "n: 2"))
    engine.start()
    go(engine)
    engine.finished_runs(2)
    engine.stop()
    refuse(engine, "{id: after, sets: {n: 1}}\nfinally", "{id: after, set: {n: 1}}\nfinally")
    engine.start()
    engine.run("runs", "resume", runs["bad"])
    wait_for("its end", lambda: engine.show_run(runs["bad"])["state"] == "succeeded")
    assert engine.show_run(runs["bad"])["output"] == {"n": 1}


def test_one_that_is_cancelled_ends_as_cancelled(make_engine):
    engine, _, runs = begun(make_engine)
    refuse(engine, "{id: after, set: {n: 1}}\nfinally", "{id: after, sets: {n: 1}}\nfinally")
    engine.write("workflows/bad.yaml", BAD.replace("n: 1", "n: 2"))
    engine.start()
    engine.run("runs", "cancel", runs["bad"], "--reason", "wrong customer")
    wait_for("its end", lambda: engine.show_run(runs["bad"])["state"] == "cancelled")
    error = engine.show_run(runs["bad"])["error"]
    assert error["code"] == "run.cancelled" and "wrong customer" in error["message"] and "bad.yaml:7:17" in error["message"], error
    is_unharmed(engine)


BEHIND = """
name: behind
on: [{event: open.ping}]
concurrency: {limit: 1}
steps: [{id: told, wait: {event: open.go, timeout: 1h}}, {id: after, set: {n: 1}}]
"""
LATER = """
name: later
on: [{event: open.ping}]
delay: 6s
steps: [{id: after, set: {n: 1}}]
"""
TOGETHER = """
name: together
on: [{event: open.ping}]
collect: {quiet: 6s}
steps: [{id: after, set: {n: 1}}]
"""
CALLER = """
name: caller
on: [{event: open.ping}]
steps:
  - {id: call, uses: workflow/called}
---
name: called
on: [{call: true}]
steps: [{id: told, wait: {event: open.go, timeout: 1h}}, {id: after, set: {n: 1}}]
"""
EACH = """
name: each
on: [{event: open.ping}]
steps:
  - id: fan
    foreach: [1, 2, 3]
    concurrency: 2
    steps: [{id: told, wait: {event: open.go, timeout: 1h}}, {id: after, set: {n: 1}}]
"""


@pytest.mark.parametrize("name, text, events", [("behind", BEHIND, 2), ("later", LATER, 1), ("together", TOGETHER, 2), ("caller", CALLER, 1),
                                                ("each", EACH, 1)], ids=["blocked", "delayed", "collected", "called", "items"])
def test_whatever_it_waits_for_it_ends(make_engine, name, text, events):
    """All of them are handed out under the revision of then."""
    engine = make_engine(CONFIG)
    engine.write(f"workflows/{name}.yaml", text)
    engine.start()
    engine.wait_log("catalog.loaded", errors=0)
    for _ in range(events):
        ring(engine, event="ping")
    wait_for("all events", lambda: all(row["state"] == "done" for row in engine.rows("events")))
    engine.stop()
    refuse(engine, "{id: after, set: ", "{id: after, sets: ")
    engine.write(f"workflows/{name}.yaml", "name: other\non: [{event: open.never}]\nsteps: [{id: a, set: {}}]\n")
    engine.start()
    go(engine)
    runs = engine.finished_runs(2 if name == "behind" else 1)
    assert runs and all(run["state"] == "failed" and run["error"]["code"] == "revision.refused" for run in runs), runs
    assert not engine.rows("runs", "--state", "parked") and not engine.rows("runs", "--state", "blocked")
    is_unharmed(engine)


def accept_alone(engine):
    """An event that was accepted, and that no worker has looked at when the engine ends."""
    workers = engine.children("worker")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    event = ring(engine, event="ping")
    engine.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return event


def why_of(engine, event):
    wait_for("the event", lambda: [row["state"] for row in engine.rows("events") if row["event"] == event] == ["done"])
    return {row["workflow"]: row for row in engine.rows("why", event)}


def test_an_event_of_then_runs_the_others_and_says_why_that_one_is_not(make_engine):
    engine = make_engine(CONFIG)
    engine.write("workflows/good.yaml", GOOD)
    engine.write("workflows/bad.yaml", BAD)
    engine.start()
    event = accept_alone(engine)
    refuse(engine, "{id: after, set: {n: 1}}\nfinally", "{id: after, sets: {n: 1}}\nfinally")
    engine.write("workflows/bad.yaml", BAD.replace("n: 1", "n: 2"))
    engine.start()
    [run] = parked(engine, 1)
    assert run["workflow"] == "good" and run["event"] == event, run
    why = why_of(engine, event)
    assert why["good"]["decided"] == "ran" and why["bad"]["decided"] == "refused", why
    assert why["bad"]["line"] == 7 and why["bad"]["column"] == 17 and "unknown key 'sets'" in why["bad"]["message"], why
    assert "bad.yaml:7:17" in engine.run("why", event).stdout
    is_unharmed(engine)


def test_an_action_that_is_refused_refuses_its_workflow(make_engine):
    """Its text is in another file, and so is what is wrong: both are told, by the run, and by the event of one that never began."""
    engine = make_engine(CONFIG)
    engine.write("actions/shop/count.lua", ACTION % "1.0.0")
    engine.write("workflows/bad.yaml", BAD.replace("{id: after, set: {n: 1}}", "{id: after, uses: shop/count@1}"))
    engine.start()
    ring(engine, event="ping")
    parked(engine, 1)
    engine.stop()
    refuse(engine, "effect = 'none'", "effects = 'none'")
    engine.write("actions/shop/count.lua", ACTION % "1.1.0")
    engine.start()
    go(engine)
    [ended] = engine.finished_runs(1)
    assert ended["error"]["code"] == "revision.refused", ended
    assert "there is no action shop/count@1" in ended["error"]["message"] and "actions/shop/count.lua" in ended["error"]["message"], ended
    is_unharmed(engine)

    event = accept_alone(engine)
    refuse(engine, "effect = 'none'", "effects = 'none'")
    engine.write("actions/shop/count.lua", ACTION % "1.2.0")
    engine.start()
    why = why_of(engine, event)
    assert why["bad"]["decided"] == "refused" and "there is no action shop/count@1" in why["bad"]["message"], why
    is_unharmed(engine)
