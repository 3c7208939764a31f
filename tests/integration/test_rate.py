"""Runs that begin later: rate, delay, start_within, priority, on_failed: hold; under kills, and with a clock that is ahead instead of sleeping."""
import json
import os
import random
import signal
import time

import pytest

from conftest import CONFIG, wait_for
from test_concurrency import Gate, ring, states, workflow as gated

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


def workflow(keys, steps="[{id: a, set: {n: \"${{ event.data.n }}\"}}]", name="later"):
    return f"name: {name}\non: [{{event: open.ping}}]\n{keys}\nsteps: {steps}\n"


def begin(make_engine, keys, config=CONFIG, **more):
    engine = make_engine(config)
    engine.write("workflows/w.yaml", workflow(keys, **more))
    engine.start()
    return engine


def restart_ahead(engine, milliseconds):
    """As if so much time had passed while nobody served."""
    engine.kill()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(int(engine.env.get("BELLWIRE_CLOCK_AHEAD_MS", "0")) + milliseconds)
    engine.start()


def of(engine, state):
    return engine.rows("runs", "--limit", "1000", "--state", state)


def why(engine, event):
    rows = engine.rows("why", event)
    assert len(rows) == 1
    return rows[0]["message"]


def test_runs_begin_in_order_and_never_more_than_the_rate_however_often_all_is_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    count, burst, each_ms = 60, 3, 50
    engine = begin(make_engine, 'rate: {limit: 20/1s, burst: 3, key: "${{ event.data.key }}"}', CONFIG + "workers: 2\n")
    for n in range(count):
        ring(engine, str(n % 2), n)
    for _ in range(4):
        ended = len(of(engine, "succeeded"))
        wait_for("some runs", lambda: len(of(engine, "succeeded")) > min(ended + rng.randrange(6), count - 1))
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(count)
    assert all(run["state"] == "succeeded" for run in runs) and len(runs) == count
    begun = sorted((run["started_ms"], run["steps"][0]["output"]["n"]) for run in runs)
    for key in range(2):
        mine = [(at, n) for at, n in begun if n % 2 == key]
        assert [n for _, n in mine] == list(range(key, count, 2))
        for i, (at, _) in enumerate(mine):
            for k in range(i):
                assert (i - k + 1 - burst) * each_ms <= at - mine[k][0] + 1, (k, i, mine)


@pytest.mark.parametrize("hit", [1, 2, 4, 7])
@pytest.mark.parametrize("point", ["store.before_admission", "store.after_admission"])
def test_an_engine_that_dies_at_a_commit_gives_nobody_more_and_loses_nobody(make_engine, point, hit):
    engine = make_engine()
    engine.write("workflows/w.yaml", workflow("rate: {limit: 10/1s}"))
    engine.env["BELLWIRE_CRASH"] = f"{point}:{hit}"
    engine.start()
    sent = 0
    try:
        for sent in range(8):
            ring(engine, "k", sent)
        sent = 8
    except OSError:  # it died: what was answered with 202 is there
        pass
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    for n in range(sent, 8):
        ring(engine, "k", n)
    stored = len(engine.rows("events", "--limit", "100"))  # the one that was not answered may be there twice
    assert stored in (8, 9)
    runs = sorted(engine.finished_runs(stored), key=lambda run: run["started_ms"])
    numbers = [run["steps"][0]["output"]["n"] for run in runs]
    assert list(dict.fromkeys(numbers)) == list(range(8)) and len(runs) == stored
    begun = [run["started_ms"] for run in runs]
    assert all(later - earlier >= 99 for earlier, later in zip(begun, begun[1:]))


def test_who_is_delayed_says_when_it_begins_and_a_rest_of_the_engine_lets_one_begin_at_a_time(make_engine):
    engine = begin(make_engine, "rate: {limit: 1/1h}")
    events = [ring(engine, "k", n) for n in range(4)]
    wait_for("three that wait", lambda: states(engine) == ["delayed"] * 3 + ["succeeded"])
    assert "delayed: begins at" in why(engine, events[2]) and "under the rate 1/1h, 1 run in front of it" in why(engine, events[2])
    delayed = engine.show_run(of(engine, "delayed")[0]["run"])
    assert "2 runs in front of it" in delayed["waits"]
    for ended in (2, 3, 4):
        restart_ahead(engine, 5 * 3600 * 1000)
        wait_for("the next one", lambda: len(of(engine, "succeeded")) == ended)
    assert states(engine) == ["succeeded"] * 4


def test_who_is_too_many_is_skipped_and_says_why(make_engine):
    engine = begin(make_engine, "rate: {limit: 5/1h, over: skip}")
    ring(engine, "k", 0)
    event = ring(engine, "k", 1)
    wait_for("both", lambda: states(engine) == ["skipped", "succeeded"])
    run = engine.show_run(of(engine, "skipped")[0]["run"])
    assert run["error"]["code"] == "run.rate" and "5/1h is used up" in run["error"]["message"]
    assert "skipped: not run, because the rate 5/1h is used up: the next one may begin in 1" in why(engine, event)
    engine.run("runs", "replay", run["run"])  # somebody wants it now
    wait_for("the replay", lambda: states(engine) == ["skipped", "succeeded", "succeeded"])


def test_a_reload_keeps_who_waits_and_what_is_owed(make_engine):
    engine = begin(make_engine, "rate: {limit: 1/1h}")
    for n in range(2):
        ring(engine, "k", n)
    wait_for("one that waits", lambda: states(engine) == ["delayed", "succeeded"])
    engine.write("workflows/w.yaml", workflow("rate: {limit: 1/1h}", "[{id: b, set: {}}]"))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    ring(engine, "k", 2)
    wait_for("two that wait", lambda: states(engine) == ["delayed", "delayed", "succeeded"])
    restart_ahead(engine, 3600 * 1000)
    wait_for("the first of them", lambda: states(engine) == ["delayed", "succeeded", "succeeded"])
    restart_ahead(engine, 3600 * 1000)
    runs = engine.finished_runs(3)
    assert [run["steps"][0]["step"] for run in reversed(runs)] == ["a", "a", "b"]  # as its version was when its event came


def test_a_turn_that_is_too_far_away_fails_the_run(make_engine):
    engine = begin(make_engine, "rate: {limit: 1/1h}\ntimeout: 90m")
    for n in range(3):
        ring(engine, "k", n)
    wait_for("the third one", lambda: states(engine) == ["delayed", "failed", "succeeded"])
    assert of(engine, "failed")[0]["error"]["code"] == "run.rate_too_far"


def test_a_delay_is_waited_for_and_may_be_an_expression(make_engine):
    engine = begin(make_engine, 'delay: "${{ event.data.n }}h"')
    event = ring(engine, "k", 2)
    ring(engine, "k", "x")
    wait_for("both", lambda: states(engine) == ["delayed", "failed"])
    assert of(engine, "failed")[0]["error"]["code"] == "delay.value"
    assert "delayed: begins at" in why(engine, event)
    restart_ahead(engine, 3600 * 1000)
    time.sleep(0.2)
    assert states(engine) == ["delayed", "failed"]
    restart_ahead(engine, 3600 * 1000)
    wait_for("its time", lambda: states(engine) == ["failed", "succeeded"])


def test_who_is_delayed_is_cancelled_at_once_and_makes_room(make_engine):
    engine = begin(make_engine, "rate: {limit: 1/1h}")
    for n in range(3):
        ring(engine, "k", n)
    wait_for("two that wait", lambda: states(engine) == ["delayed", "delayed", "succeeded"])
    first = of(engine, "delayed")[1]["run"]
    engine.run("runs", "cancel", first)
    assert engine.show_run(first)["state"] == "cancelled"
    restart_ahead(engine, 3600 * 1000)
    wait_for("the other one", lambda: states(engine) == ["cancelled", "succeeded", "succeeded"])


def test_who_does_not_get_a_slot_in_time_is_skipped(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", gated(gate, "{limit: 1}").replace("steps:", "start_within: 1h\nsteps:", 1))
    engine.start()
    for n in range(2):
        ring(engine, "k", n)
    wait_for("one that waits", lambda: states(engine) == ["active", "blocked"] and gate.begun)
    assert "for a slot: 1 of 1 taken; skipped if it has not begun by" in engine.show_run(of(engine, "blocked")[0]["run"])["waits"]
    restart_ahead(engine, 3600 * 1000 + 1000)
    wait_for("its end", lambda: states(engine) == ["active", "skipped"])
    assert of(engine, "skipped")[0]["error"]["code"] == "run.start_within"
    gate.open.set()
    wait_for("the other one", lambda: states(engine) == ["skipped", "succeeded"])


def test_who_has_a_head_start_is_next(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    engine.write("workflows/w.yaml", gated(gate, "{limit: 1}").replace("steps:", 'priority: "${{ event.data.key == \'vip\' and 60 or 0 }}"\nsteps:', 1))
    engine.start()
    for key, n in (("a", 0), ("a", 1), ("vip", 2), ("a", 3), ("vip", 4)):
        ring(engine, key, n)
    wait_for("those who wait", lambda: states(engine).count("blocked") == 4 and gate.begun)
    gate.open.set()
    engine.finished_runs(5)
    assert [n for _, n in gate.begun] == [0, 2, 4, 1, 3]


FAILS = """
name: strict
on: [{event: open.ping}]
concurrency: {key: "${{ event.data.key }}", limit: 1, on_failed: hold}
steps:
  - {id: first, set: {n: "${{ event.data.n }}"}}
  - {id: may_fail, lua: "if io_is_fixed or input.n ~= 0 then return {} end error('no')", with: {n: "${{ event.data.n }}"}}
"""


def held(make_engine):
    engine = make_engine()
    engine.write("workflows/w.yaml", FAILS)
    engine.start()
    events = [ring(engine, "k", n) for n in range(3)]
    wait_for("the failure", lambda: states(engine) == ["blocked", "blocked", "failed"])
    return engine, of(engine, "failed")[0]["run"], events


def test_a_failed_run_keeps_its_slot_until_it_is_discarded(make_engine):
    engine, failed, events = held(make_engine)
    ring(engine, "other", 1)
    wait_for("another key", lambda: states(engine) == ["blocked", "blocked", "failed", "succeeded"])
    assert f"{failed} has failed and keeps its slot" in why(engine, events[2])
    engine.kill()
    engine.start()
    time.sleep(0.2)
    assert states(engine) == ["blocked", "blocked", "failed", "succeeded"]
    engine.run("runs", "discard", failed)
    wait_for("the others", lambda: states(engine) == ["failed"] + 3 * ["succeeded"])


def test_a_failed_run_keeps_its_slot_when_it_is_resumed_and_fails_again(make_engine):
    engine, failed, _ = held(make_engine)
    engine.run("runs", "resume", failed)
    wait_for("the second failure", lambda: len(engine.rows("runs", "show", failed)[0]["audit"]) == 1 and states(engine) == ["blocked", "blocked", "failed"])
    engine.write("workflows/w.yaml", FAILS.replace("io_is_fixed", "true"))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    engine.run("runs", "resume", "--latest", failed)
    runs = engine.finished_runs(3)
    assert all(run["state"] == "succeeded" for run in runs)
    # Two may end within a millisecond: the engine's log has them in their order.
    def ended():
        return [line["run"] for line in list(engine.log) if line.get("log") == "run" and line["state"] == "succeeded"]
    wait_for("their lines", lambda: len(ended()) == 3)
    assert ended()[0] == failed, (ended(), runs)


def test_a_replay_takes_the_slot_of_the_run_that_it_repeats(make_engine):
    engine, failed, _ = held(make_engine)
    engine.run("runs", "replay", failed)  # and fails, too: it holds the slot now
    wait_for("the second failure", lambda: states(engine) == ["blocked", "blocked", "failed", "failed"])
    again = [run["run"] for run in of(engine, "failed") if run["run"] != failed][0]
    engine.run("runs", "discard", again)
    wait_for("the others", lambda: states(engine) == ["failed", "failed", "succeeded", "succeeded"])


def test_a_resumed_run_waits_for_its_slot(make_engine):
    gate, engine = Gate(), make_engine()
    engine.write("workflows/w.yaml", gated(gate, "{limit: 1}", "  - {id: check, lua: \"if input.n == 0 then error('no') end return {}\", with: {n: \"${{ event.data.n }}\"}}\n"))
    engine.start()
    ring(engine, "k", 0)
    wait_for("the failure", lambda: states(engine) == ["failed"])
    gate.open.clear()
    ring(engine, "k", 1)
    wait_for("the other one", lambda: len(gate.begun) == 1)
    failed = of(engine, "failed")[0]["run"]
    engine.run("runs", "resume", failed)
    engine.run("runs", "replay", of(engine, "active")[0]["run"], check=False)
    wait_for("it waits", lambda: engine.show_run(failed)["state"] == "blocked")
    gate.open.set()
    wait_for("its second failure", lambda: states(engine) == ["failed", "succeeded"])


def test_who_was_cancelled_while_it_waited_does_nothing_when_it_begins(make_engine):
    gate, engine = Gate(), make_engine()
    text = gated(gate, "{limit: 50}").replace("on: [{event: open.ping}]", 'on: [{event: open.ping, if: "${{ event.data.n < 90 }}"}]')
    cancel_on = '[{event: open.ping, by: data.key, equals: "${{ event.data.key }}", if: "${{ result.event.data.n == 99 }}"}]'
    engine.write("workflows/w.yaml", text.replace("steps:", f"delay: 1h\ncancel_on: {cancel_on}\nsteps:", 1))
    engine.start()
    for n in range(20):
        ring(engine, str(n), n)
    wait_for("all", lambda: states(engine) == ["delayed"] * 20)
    for n in range(0, 20, 2):
        ring(engine, str(n), 99)
    restart_ahead(engine, 3600 * 1000)
    runs = engine.finished_runs(20)
    assert sorted(run["state"] for run in runs) == ["cancelled"] * 10 + ["succeeded"] * 10
    assert sorted(n for _, n in gate.begun) == list(range(1, 20, 2))
