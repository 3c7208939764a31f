"""Cron rules in the real engine. The test build's clock can be set ahead, so that nobody waits for a full minute."""
import sqlite3
import time

import pytest


WORKFLOW = """
name: each-minute
on: [{schedule: "* * * * *"MORE}]
steps: [{id: a, set: {nominal: "${{ event.data.nominal }}", missed: "${{ event.data.missed }}", name: "${{ event.name }}"}}]
outputs: {a: "${{ steps.a }}"}
"""
MINUTE = 60000


def ahead_of(engine, milliseconds):
    """The engine's clock shows a time that is so many milliseconds before the next full minute; returns that minute."""
    now = int(time.time() * 1000)
    minute = (now // MINUTE + 2) * MINUTE
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(minute - milliseconds - now)
    return minute


def nominal(ms):
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(ms / 1000))


def outputs(engine, count):
    return [run["output"]["a"] for run in reversed(engine.finished_runs(count))]


def seen_until(engine, ms):
    """What an engine leaves behind that was stopped at that time."""
    with sqlite3.connect(engine.folder / "data" / "bellwire.db") as db:
        assert db.execute("UPDATE schedules SET last_ms = ?", (ms,)).rowcount == 1
    db.close()


@pytest.fixture
def scheduled(make_engine):
    engine = make_engine("listen: [http://127.0.0.1:0]\n")

    def begin(more=""):
        engine.write("workflows/w.yaml", WORKFLOW.replace("MORE", more))
        return engine
    return begin


def test_a_rule_fires_at_its_time_and_once(scheduled):
    engine = scheduled()
    minute = ahead_of(engine, 6000)  # it must have started before
    engine.start()
    [output] = outputs(engine, 1)
    assert output == {"nominal": nominal(minute), "missed": 0, "name": "schedule.each-minute"}
    engine.kill()  # and started again in the same minute: it does not fire again
    now = int(time.time() * 1000)
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(minute + 30000 - now)
    engine.start()
    engine.stop()
    assert len(engine.rows("runs")) == 1


@pytest.mark.parametrize("policy, expected", [("", [(10, 9)]), (", missed: skip", []), (", missed: all", [(n, 0) for n in range(1, 11)]),
                                             (", missed: all, max_age: 210s", [(n, 0) for n in range(8, 11)]), (", max_age: 1s", [])])
def test_what_was_missed_is_made_up_for_as_the_rule_says(scheduled, policy, expected):
    engine = scheduled(policy)
    minute = ahead_of(engine, 30000)  # half past
    engine.start()
    engine.stop()
    base = minute - 11 * MINUTE
    seen_until(engine, base)
    engine.start()
    if expected:
        assert [(o["nominal"], o["missed"]) for o in outputs(engine, len(expected))] == [(nominal(base + n * MINUTE), n_missed) for n, n_missed in expected]
    if len(expected) not in (1, 10):
        left_out = engine.wait_log("schedule.left_out")
        assert left_out["firings"] == 10 - len(expected)
    assert len(engine.rows("runs")) == len(expected)


def test_a_schedule_that_is_changed_begins_anew(scheduled):
    engine = scheduled()
    ahead_of(engine, 30000)
    engine.start()
    engine.stop()
    seen_until(engine, int(time.time() * 1000) - 10 * MINUTE)
    engine.write("workflows/w.yaml", WORKFLOW.replace("MORE", ", tz: Europe/Berlin"))
    engine.start()
    engine.stop()
    assert not engine.rows("runs")
    assert [line for line in engine.log if line["log"].startswith("schedule.")] == []
