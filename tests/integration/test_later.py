"""`emit` with `delay`: events that come later, once, whatever happens in between."""
import http.client
import pytest

from conftest import wait_for
from test_parking import NAMED, send

HOUR_MS = 3_600_000
REMIND = """
name: remind
on: [{event: open.go}]
steps:
  - {id: later, emit: {event: mine.due, data: {n: "${{ event.data.n }}", text: "${{ event.data.text }}"}, delay: "${{ event.data.delay or '2h' }}", key: "${{ event.data.key }}"}}
outputs: {id: "${{ steps.later.event }}"}
"""
DUE = """---
name: due
on: [{event: mine.due}]
steps: [{id: a, set: {n: "${{ event.data.n }}", id: "${{ event.id }}", run: "${{ event.headers['bellwire-run'] }}", bytes: "${{ len(event.data.text) }}"}}]
outputs: {a: "${{ steps.a }}"}
"""


def restart_ahead(engine, ms):
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(ms)
    engine.start()


def due(engine):
    rows = engine.rows("runs", "--workflow", "due", "--state", "succeeded", "--limit", "1000")
    return [engine.show_run(row["run"])["output"]["a"] for row in rows]


def reminders(engine, count):
    rows = wait_for("the runs that emit", lambda: [row for row in engine.rows("runs", "--workflow", "remind", "--state", "succeeded", "--limit", "1000")])
    return [engine.show_run(row["run"]) for row in rows] if len(rows) == count else wait_for(
        "all of them", lambda: reminders(engine, count) if len(engine.rows("runs", "--workflow", "remind", "--state", "succeeded", "--limit", "1000")) == count else None)


def test_it_comes_when_its_time_has_come_and_not_before(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND + DUE)
    engine.start()
    send(engine, "go", n=1, text="a" * 20000)
    [cause] = reminders(engine, 1)
    restart_ahead(engine, 2 * HOUR_MS - 60_000)
    assert [row["name"] for row in engine.rows("events")] == ["open.go"]
    restart_ahead(engine, 2 * HOUR_MS)
    [seen] = wait_for("the run of the event", lambda: due(engine))
    assert seen == {"n": 1, "id": cause["output"]["id"], "run": cause["run"], "bytes": 20000}  # the id that its step has told, long before
    restart_ahead(engine, 100 * HOUR_MS)
    assert len(engine.rows("events")) == 2


def test_a_short_delay_needs_no_restart(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND + DUE)
    engine.start()
    for n, delay in enumerate(("300ms", "1ms", "50ms")):
        send(engine, "go", n=n, delay=delay)
    wait_for("the runs of all", lambda: sorted(seen["n"] for seen in due(engine)) == [0, 1, 2])


def test_the_key_decides_when_the_time_has_come(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND + DUE)
    engine.start()
    for n in (1, 2):
        send(engine, "go", n=n, key="same", delay=f"{n}h")
        reminders(engine, n)
    restart_ahead(engine, 2 * HOUR_MS)
    assert [seen["n"] for seen in wait_for("one run", lambda: due(engine))] == [1]
    wait_for("nothing is left", lambda: all(row["state"] == "done" for row in engine.rows("events")))
    restart_ahead(engine, 3 * HOUR_MS)
    assert [row["name"] for row in engine.rows("events")].count("mine.due") == 1


def test_what_is_declared_meanwhile_sees_it(make_engine):
    """A wait that did not exist when the event was caused: it is bound to the catalogue of its time."""
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND)
    engine.start()
    send(engine, "go", n=7)
    reminders(engine, 1)
    engine.stop()
    engine.write("workflows/x.yaml", """
name: waits
on: [{event: open.wait}]
steps: [{id: came, wait: {event: mine.due, by: data.n, equals: 7, timeout: 30d}}]
outputs: {n: "${{ steps.came.event.data.n }}"}
""")
    engine.start()
    send(engine, "wait")
    wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))
    restart_ahead(engine, 2 * HOUR_MS)
    [ended] = wait_for("its end", lambda: engine.rows("runs", "--workflow", "waits", "--state", "succeeded"))
    assert engine.show_run(ended["run"])["output"] == {"n": 7}


def test_a_delay_that_is_none_fails_its_step(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND)
    engine.start()
    for delay in ("soon", "367d", "-1s"):
        send(engine, "go", delay=delay)
    rows = wait_for("three failed runs", lambda: (lambda rows: rows if len(rows) == 3 else None)(engine.rows("runs", "--state", "failed")))
    assert {engine.show_run(row["run"])["error"]["code"] for row in rows} == {"emit.delay"}


@pytest.mark.parametrize("point", ["store.before_later", "store.after_later", "store.before_commit", "store.after_commit"])
def test_each_comes_once_whatever_commit_it_dies_at(make_engine, point):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", REMIND + DUE)
    engine.start()
    for n in range(10):
        send(engine, "go", n=n)
    reminders(engine, 10)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * HOUR_MS)
    engine.env["BELLWIRE_CRASH"] = f"{point}:1"
    try:
        engine.start()
    except (AssertionError, OSError, http.client.HTTPException):  # it may die before it answers
        pass
    assert engine.ended() == 137
    engine.env.pop("BELLWIRE_CRASH")
    engine.start()
    wait_for("the runs of all", lambda: sorted(seen["n"] for seen in due(engine)) == list(range(10)))
    assert [row["name"] for row in engine.rows("events", "--limit", "50")].count("mine.due") == 10
