"""`cancel_on`: events end the runs that they belong to, whatever those are doing, and no others; an accepted event counts through every kill."""
import json
import random

import pytest

from conftest import CONFIG, wait_for
from test_cancel import SEED, logging, only, parked, post, run_id, sink, states  # noqa: F401: a fixture

NAMED = CONFIG.replace("event: ping", 'event: {refs: ["header:x-event"]}')
HEAD = """
name: %s
on: [{event: open.begin}]
cancel_on: [{event: open.stop, by: data.order, equals: "${{ event.data.order }}"%s}]
"""


def write(engine, steps, more="", condition="", name="w"):
    engine.write(f"workflows/{name}.yaml", HEAD % (name, condition) + f"steps:\n{steps}\n{more}\n")


def say(engine, name, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json", "X-Event": name})
    assert status == 202, answer
    return answer["event"]


def ended(engine, count=1):
    return engine.finished_runs(count, "--workflow", "w")


def test_a_parked_run_ends_by_its_event_and_no_other(make_engine):
    engine = make_engine(NAMED)
    write(engine, "  - {id: nap, sleep: 1d}\n  - {id: after, set: {n: 2}}", "finally: [{id: last, set: {why: '${{ error.code }}'}}]")
    engine.start()
    say(engine, "begin", order=1)
    say(engine, "begin", order=2)
    wait_for("both to park", lambda: len(engine.rows("runs", "--state", "parked")) == 2)
    say(engine, "stop", order=3)
    say(engine, "stop", order="1")  # of another type: not the same
    stop = say(engine, "stop", order=1)
    run = only(engine)
    assert run["state"] == "cancelled" and run["error"]["code"] == "run.cancelled"
    assert stop in run["error"]["message"] and "open.stop" in run["error"]["message"]
    assert states(run) == {"nap": "cancelled", "last": "succeeded", "~main": "cancelled", "~cancel_on": "cancelled"}
    assert len(engine.rows("runs", "--state", "parked")) == 1
    engine.stop()


def test_a_request_that_is_on_its_way_is_broken_off_and_what_was_done_is_undone(make_engine, sink):  # noqa: F811
    engine = make_engine(NAMED)
    write(engine, f"""
  - {{id: book, lua: "return {{n = 1}}", undo: {post('/undo', sink)}}}
  - {{id: slow, lua: "return ctx.http{{method = 'POST', url = '{sink.url}/hold', json = {{}}}}", timeout: 10m}}
  - {{id: after, set: {{n: 2}}}}""", "undo_on: [cancel]")
    engine.start()
    say(engine, "begin", order=7)
    assert sink.held.acquire(timeout=60)
    say(engine, "stop", order=7)
    assert sink.gone.acquire(timeout=60)
    run = only(engine)
    assert run["state"] == "cancelled" and sink.seen == ["/undo"] and states(run)["book"] == "succeeded" and "after" not in states(run)
    engine.stop()


def test_an_event_whose_condition_is_not_met_is_passed_over(make_engine):
    engine = make_engine(NAMED)
    write(engine, "  - {id: nap, sleep: 1d}", condition=', if: "${{ result.event.data.really == true }}"')
    engine.start()
    say(engine, "begin", order=1)
    parked(engine)
    for really in (False, None, False):
        say(engine, "stop", order=1, really=really)
    stop = say(engine, "stop", order=1, really=True)
    assert stop in only(engine)["error"]["message"]
    engine.stop()


def test_the_items_of_a_foreach_end_with_the_run(make_engine):
    engine = make_engine(NAMED)
    write(engine, "  - {id: fan, foreach: '${{ {1, 2, 3} }}', steps: [{id: nap, sleep: 1d}]}")
    engine.start()
    say(engine, "begin", order=1)
    wait_for("the items to park", lambda: len(engine.rows("runs", "--children", "--state", "parked")) == 4)
    say(engine, "stop", order=1)
    assert only(engine)["state"] == "cancelled"
    assert [run["state"] for run in engine.rows("runs", "--children")] == ["cancelled"] * 4
    engine.stop()


def test_an_event_that_comes_while_the_run_executes_or_the_engine_is_away_counts(make_engine, sink):  # noqa: F811
    engine = make_engine(NAMED)
    write(engine, f"  - {{id: slow, lua: \"return ctx.http{{method = 'POST', url = '{sink.url}/hold', json = {{}}}}\", timeout: 10m}}\n  - {{id: after, set: {{n: 2}}}}")
    engine.start()
    say(engine, "begin", order=1)
    assert sink.held.acquire(timeout=60)
    wait_for("the run's first report", lambda: engine.rows("runs", "--state", "active"))
    stop = say(engine, "stop", order=1)
    engine.kill()
    engine.start()
    run = only(engine)
    assert run["state"] == "cancelled" and stop in run["error"]["message"] and "after" not in states(run)
    engine.stop()


def test_a_run_that_ended_before_is_not_touched_and_a_replayed_one_counts_from_its_own_beginning(make_engine):
    engine = make_engine(NAMED)
    write(engine, "  - {id: a, set: {n: 1}}\n  - {id: nap, if: '${{ event.data.order == 2 }}', sleep: 1d}")
    engine.start()
    say(engine, "begin", order=1)
    run = only(engine)
    assert run["state"] == "succeeded"
    say(engine, "stop", order=1)
    replayed = engine.run("runs", "replay", run["run"])
    assert replayed.returncode == 0
    assert [run["state"] for run in ended(engine, 2)] == ["succeeded", "succeeded"]
    engine.stop()


@pytest.mark.parametrize("point", ["store.before_wake", "store.after_wake", "store.before_park", "store.after_park"])
def test_a_crash_around_the_commit_loses_nothing(make_engine, point):
    engine = make_engine(NAMED)
    write(engine, "  - {id: nap, sleep: 1d}")
    engine.env["BELLWIRE_CRASH"] = point + ":1"
    engine.start()
    deliveries = []
    for name in ("begin", "stop"):
        try:
            deliveries.append(say(engine, name, order=1))
            if name == "begin":
                parked(engine)
        except (OSError, AssertionError):
            break
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    if not deliveries:
        deliveries.append(say(engine, "begin", order=1))
    if len(deliveries) == 1:
        say(engine, "stop", order=1)
    assert {run["state"] for run in ended(engine, 1)} == {"cancelled"}
    engine.stop()


def test_however_often_the_engine_is_killed_exactly_those_end_that_were_stopped(make_engine):
    chance = random.Random(SEED)
    print(f"BELLWIRE_SEED={SEED}")
    engine = make_engine(NAMED)
    write(engine, "  - {id: a, set: {n: 1}}\n  - {id: nap, sleep: 1d}")
    engine.start()
    begun, stopped = {}, set()
    for number in range(60):
        begun[say(engine, "begin", order=number)] = number
        for other in chance.sample(range(number + 1), min(2, number + 1)):
            if chance.random() < 0.3:
                say(engine, "stop", order=other)
                stopped.add(other)
        if chance.random() < 0.1:
            engine.kill()
            engine.start()

    def sorted_out():
        by_state = {state: {begun[run["event"]] for run in engine.rows("runs", "--limit", "200", "--state", state)} for state in ("cancelled", "parked")}
        return by_state["cancelled"] == stopped and by_state["parked"] == set(range(60)) - stopped
    wait_for("the stopped ones to end and the others to sleep", sorted_out)
    engine.stop()
