"""Paused workflows: what is held, who is told, what goes on afterwards; over restarts, reloads, kills and a crash at each commit."""
import json
import os
import random
import signal
import threading
import time

import pytest

from conftest import CONFIG, wait_for
from test_concurrency import Gate, ring, workflow as gated

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
WORKFLOW = """
name: publish
on: [{event: open.ping, if: "${{ event.data.n >= 0 }}"}]
steps: [{id: a, set: {n: "${{ event.data.n }}"}}]
outputs: {n: "${{ steps.a.n }}"}
"""


def begin(make_engine, text=WORKFLOW, config=CONFIG, **files):
    engine = make_engine(config)
    engine.write("workflows/publish.yaml", text)
    for name, more in files.items():
        engine.write(f"workflows/{name}.yaml", more)
    engine.start()
    return engine


def say(engine, verb, *more, name="publish", check=True):
    return engine.run("workflows", verb, name, *more, check=check)


def held(engine):
    return [row["run"] for row in engine.rows("runs", "--state", "held", "--limit", "1000", "--children")]


def listed(engine, name="publish"):
    return next(row for row in engine.rows("workflows") if row["workflow"] == name)


def is_resumed(engine, name="publish"):
    return wait_for("all that was held to have gone", lambda: listed(engine, name)["paused"] is None)


def why(engine, event):
    return engine.run("why", event).stdout


def test_events_are_accepted_and_held_and_go_on_in_order_over_restarts_and_reloads(make_engine):
    engine = begin(make_engine, config=CONFIG + "workers: 2\n")
    assert say(engine, "pause", "--reason", "the CMS is being moved").stdout.startswith("publish is paused")
    events = [ring(engine, "k", n) for n in range(5)]
    assert ring(engine, "k", -1)  # no trigger wants it: there is no run of it
    wait_for("five held runs", lambda: len(held(engine)) == 5)
    assert "  held: the workflow is paused since" in why(engine, events[0]) and "the CMS is being moved" in why(engine, events[0])
    row = listed(engine)
    assert row["paused"]["reason"] == "the CMS is being moved" and row["paused"]["by"] and row["paused"]["since_ms"] > 0
    assert row["runs"] == {"active": 0, "waiting": 0, "held": 5, "failed": 0} and row["events"] == ["open.ping"] and len(row["version"]) == 12
    text = engine.run("workflows").stdout
    assert "paused since" in text and "5 held" in text

    engine.write("workflows/publish.yaml", WORKFLOW.replace("id: a, set", "id: a, name: renamed, set"))
    engine.wait_log("catalog.activated")
    events.append(ring(engine, "k", 5))
    wait_for("six held runs", lambda: len(held(engine)) == 6)
    engine.stop()
    engine.start()
    events.append(ring(engine, "k", 6))
    wait_for("seven held runs", lambda: len(held(engine)) == 7)

    answer = json.loads(say(engine, "resume", "--json").stdout)
    assert answer == {"workflow": "publish", "paused": False, "changed": True, "held": 7}
    runs = engine.finished_runs(7)
    assert [run["state"] for run in runs] == ["succeeded"] * 7
    assert sorted(run["output"]["n"] for run in runs) == list(range(7))
    is_resumed(engine)
    ring(engine, "k", 7)
    assert len(engine.finished_runs(8)) == 8
    engine.stop()


def test_what_is_said_twice_or_of_nobody(make_engine):
    engine = begin(make_engine)
    result = say(engine, "pause", name="publsh", check=False)
    assert result.returncode == 1 and "did you mean 'publish'?" in result.stderr
    assert say(engine, "resume").stdout == "publish is not paused\n"
    first = json.loads(say(engine, "pause", "--json").stdout)
    again = json.loads(say(engine, "pause", "--json", "--reason", "more").stdout)
    assert first["changed"] and not again["changed"] and again["since_ms"] == first["since_ms"]
    assert engine.run("workflows", "pause", check=False).returncode == 2
    assert engine.run("workflows", "stop", "publish", check=False).returncode == 2
    for verb in ("pause", "resume"):
        assert "example:" in engine.run("workflows", verb, "--help").stdout
    engine.stop()


def test_without_an_engine_the_data_folder_is_changed(make_engine):
    engine = make_engine()
    engine.write("workflows/publish.yaml", WORKFLOW)
    assert say(engine, "pause", name="publsh", check=False).returncode == 1
    say(engine, "pause", "--reason", "not yet")
    assert "no engine serves" in engine.run("workflows").stderr and listed(engine)["paused"]["reason"] == "not yet"
    engine.start()
    ring(engine, "k", 1)
    wait_for("a held run", lambda: held(engine))
    engine.stop()
    os.remove(engine.folder / "workflows" / "publish.yaml")  # it is gone, its held run is not
    say(engine, "resume")
    engine.start()
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded"
    engine.stop()


def test_runs_that_have_begun_go_on(make_engine):
    gate = Gate()
    engine = begin(make_engine, gated(gate, "{limit: 2}").replace("one-by-one", "publish"))
    gate.open.clear()
    for n in range(4):
        ring(engine, "k", n)
    wait_for("two calls", lambda: len(gate.begun) == 2)
    wait_for("two that wait", lambda: len(engine.rows("runs", "--state", "blocked")) == 2)
    say(engine, "pause")
    gate.open.set()
    assert [run["state"] for run in engine.finished_runs(2)] == ["succeeded"] * 2
    wait_for("those that were blocked to be held", lambda: len(held(engine)) == 2)
    assert len(gate.begun) == 2
    say(engine, "resume")
    engine.finished_runs(4)
    assert sorted(gate.begun[2:]) == [("k", 2), ("k", 3)] and gate.most["k"] <= 2
    engine.stop()


def test_a_call_waits_with_its_parent(make_engine):
    parent = """
name: order
on: [{event: open.ping}]
steps:
  - {id: before, set: {n: 1}}
  - {id: call, uses: workflow/charge, with: {n: "${{ event.data.n }}"}}
outputs: {n: "${{ steps.call.n }}"}
"""
    child = """
name: charge
on: [{call: true}]
inputs: {n: {type: integer, required: true}}
steps: [{id: a, set: {n: "${{ inputs.n + 1 }}"}}]
outputs: {n: "${{ steps.a.n }}"}
"""
    engine = begin(make_engine, parent, charge=child)
    say(engine, "pause", name="charge")
    ring(engine, "k", 1)
    [run] = wait_for("a held child", lambda: held(engine))
    assert engine.show_run(run)["workflow"] == "charge" and "the workflow is paused" in engine.show_run(run)["waits"]
    assert [row["state"] for row in engine.rows("runs", "--workflow", "order")] == ["parked"]
    say(engine, "resume", name="charge")
    [run] = engine.finished_runs(1, "--workflow", "order")
    assert run["state"] == "succeeded" and run["output"] == {"n": 2}
    engine.stop()


def test_held_runs_are_cancelled_by_name_and_by_filter(make_engine):
    engine = begin(make_engine)
    say(engine, "pause")
    for n in range(3):
        ring(engine, "k", n)
    runs = wait_for("three held runs", lambda: held(engine) if len(held(engine)) == 3 else None)
    assert engine.rows("runs", "cancel", runs[0])[0]["state"] == "cancelled"
    assert [row["state"] for row in engine.rows("runs", "cancel", "--workflow", "publish", "--state", "held")] == ["cancelled"] * 2
    say(engine, "resume")
    is_resumed(engine)
    assert [run["state"] for run in engine.rows("runs")] == ["cancelled"] * 3
    engine.stop()


def test_what_is_replayed_is_a_new_run_and_held_and_what_is_resumed_goes_on(make_engine):
    text = """
name: publish
on: [{event: open.ping}]
concurrency: {limit: 1, when_full: skip}
steps:
  - {id: a, set: {n: 1}}
  - {id: b, if: "${{ event.data.n > 0 }}", stop: {as: failed, message: no}}
"""
    engine = begin(make_engine, text)
    ring(engine, "k", 0)
    engine.finished_runs(1)
    ring(engine, "k", 1)
    good = {run["state"]: run["run"] for run in engine.finished_runs(2)}
    say(engine, "pause")
    replay = engine.rows("runs", "replay", good["succeeded"])[0]["replay"]
    assert engine.show_run(replay)["state"] == "held"
    engine.rows("runs", "resume", good["failed"])
    wait_for("the resumed run to have failed again", lambda: engine.show_run(good["failed"]).get("resumed_ms") and engine.show_run(good["failed"])["state"] == "failed")
    assert engine.show_run(replay)["state"] == "held"
    say(engine, "resume")
    wait_for("the replay", lambda: engine.show_run(replay)["state"] == "succeeded")
    engine.stop()


def test_schedules_fire_and_collected_events_are_held(make_engine):
    engine = make_engine()
    engine.write("workflows/cron.yaml", "name: each-minute\non: [{schedule: '* * * * *'}]\nsteps: [{id: a, set: {n: 1}}]\n")
    engine.write("workflows/batch.yaml", "name: batch\non: [{event: open.ping}]\ncollect: {max_wait: 1h, max_events: 3}\n"
                 "steps: [{id: a, set: {n: \"${{ len(events) }}\"}}]\noutputs: {n: \"${{ steps.a.n }}\"}\n")
    for name in ("each-minute", "batch"):
        say(engine, "pause", name=name)
    now = int(time.time() * 1000)
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str((now // 60000 + 2) * 60000 - 1500 - now)
    engine.start()
    for n in range(3):
        ring(engine, "k", n)
    wait_for("both to be held", lambda: len(held(engine)) == 2)
    for name in ("each-minute", "batch"):
        say(engine, "resume", name=name)
    runs = {run["workflow"]: run for run in engine.finished_runs(2)}
    assert runs["batch"]["output"] == {"n": 3} and runs["each-minute"]["state"] == "succeeded"
    engine.stop()


def test_start_within_counts_and_the_sender_of_a_held_run_is_not_kept(make_engine):
    engine = begin(make_engine, WORKFLOW.replace("steps:", "start_within: 1h\nrespond: {mode: result, within: 1s}\nsteps:", 1))
    say(engine, "pause")
    status, answer, _ = engine.request("POST", "/in/open", b'{"n":1}', {"Content-Type": "application/json"})
    assert status == 202
    [run] = wait_for("a held run", lambda: held(engine))
    assert "skipped if it has not begun by" in engine.show_run(run)["waits"]
    engine.kill()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = "3700000"
    engine.start()
    wait_for("it to be skipped", lambda: engine.show_run(run)["state"] == "skipped")
    assert engine.show_run(run)["error"]["code"] == "run.start_within"
    engine.stop()


def test_no_run_begins_after_the_answer_and_none_is_lost_however_often_all_is_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    gate = Gate()
    text = gated(gate, "{limit: 100}").replace("one-by-one", "publish")
    engine = begin(make_engine, text, config=CONFIG + "workers: 2\n")
    sent, is_over, lock = [], threading.Event(), threading.Lock()

    def send():
        while not is_over.is_set():
            n = len(sent)
            try:
                ring(engine, "k", n)
            except (OSError, AssertionError, ValueError, TypeError):  # it is being killed: whoever asks gets no answer, and nothing was promised
                continue
            with lock:
                sent.append(n)

    sender = threading.Thread(target=send)
    sender.start()
    paused_from = []
    for _ in range(6):
        wanted = len(gate.begun) + rng.randrange(5, 20)
        wait_for("some calls", lambda: len(gate.begun) >= wanted)
        say(engine, "pause")
        with lock:
            first = len(sent) + 1  # one more may have been on its way
        for _ in range(rng.randrange(2)):
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
        wait_for("some that are held", lambda: len(held(engine)) > 3)
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        paused_from.append((first, {n for _, n in list(gate.begun)}))
        assert not [n for n in paused_from[-1][1] if n > first], "a run has begun whose event came after the pause"
        say(engine, "resume")
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
    is_over.set()
    sender.join()
    wait_for("all calls", lambda: {n for _, n in gate.begun} >= set(sent))
    is_resumed(engine)
    wait_for("all ends", lambda: not [run for run in engine.rows("runs", "--limit", "10000") if run["state"] != "succeeded"])
    events = len(engine.rows("events", "--limit", "100000"))
    assert len(engine.rows("runs", "--limit", "100000")) == events >= len(sent)
    engine.stop()


@pytest.mark.parametrize("point", ["store.before_pause", "store.after_pause", "store.before_hold", "store.after_hold", "store.before_release",
                                   "store.after_release"])
def test_a_crash_around_each_commit_loses_nothing(make_engine, point):
    engine = begin(make_engine)
    engine.stop()
    engine.env["BELLWIRE_CRASH"] = f"{point}:1"
    engine.start()
    pause = say(engine, "pause", check=False)
    if point.endswith("_pause"):
        assert pause.returncode == 1 and "control.closed" in pause.stderr
    else:
        try:
            ring(engine, "k", 1)
        except OSError:  # it was stored, and the engine died before it could say so
            assert point.endswith("_hold")
        if not point.endswith("_hold"):
            wait_for("a held run", lambda: held(engine))
            say(engine, "resume", check=False)
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    if point == "store.before_pause":
        assert listed(engine)["paused"] is None
        say(engine, "pause")
    if point.endswith("_pause"):
        assert listed(engine)["paused"]["resuming"] is False
        ring(engine, "k", 1)
    if not point.endswith("_release"):
        wait_for("a held run", lambda: len(held(engine)) == 1)
        say(engine, "resume")
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded"
    is_resumed(engine)
    assert held(engine) == []
    engine.stop()
