"""Runs that wait: they survive restarts, cost nobody memory while they wait, and go on with what woke them."""
import json
import os
import signal
import time

from conftest import wait_for

SLEEP = """
name: sleepy
on: [{event: open.ping}]
steps:
  - {id: before, lua: "ctx.log('before') return {n = input.n}", with: {n: "${{ event.data.n }}"}}
  - {id: nap, sleep: 6s}
  - {id: after, lua: "ctx.log('after') return {n = input.n}", with: {n: "${{ steps.before.n }}"}}
outputs: {n: "${{ steps.after.n }}"}
"""

RETRY = """
name: patient
on: [{event: open.ping}]
steps:
  - {id: try, lua: "if ctx.attempt == 1 then return ctx.retry{code = 'busy', after = 6} end return {n = ctx.attempt, key = ctx.idempotency_key}"}
outputs: {n: "${{ steps.try.n }}"}
"""


def ring(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def parked(engine, count):
    def all_parked():
        rows = engine.rows("runs", "--state", "parked", "--limit", str(count + 10))
        return rows if len(rows) >= count else None
    return wait_for(f"{count} parked runs", all_parked)


def messages(engine, text):
    return [line for line in engine.log if line.get("log") == "step.log" and line.get("message") == text]


def test_a_sleeping_run_survives_a_kill_and_runs_nothing_twice(engine):
    engine.write("workflows/sleepy.yaml", SLEEP)
    engine.start()
    begun = time.time()
    for n in range(3):
        ring(engine, n=n)
    rows = parked(engine, 3)
    step = engine.show_run(rows[0]["run"])["steps"]
    assert [s["state"] for s in step] == ["succeeded", "waiting"] and step[1]["due_ms"] > begun * 1000
    assert "until 20" in engine.run("runs", "show", rows[0]["run"]).stdout
    assert len(messages(engine, "before")) == 3
    engine.kill()
    engine.start()
    runs = engine.finished_runs(3)
    assert sorted(run["output"]["n"] for run in runs) == [0, 1, 2]
    assert all(run["state"] == "succeeded" for run in runs)
    assert time.time() - begun >= 6  # never early
    assert not messages(engine, "before") and len(messages(engine, "after")) == 3


def test_what_was_due_while_nobody_served_is_done_at_the_start(engine):
    engine.write("workflows/sleepy.yaml", SLEEP)
    engine.start()
    ring(engine, n=1)
    due_ms = engine.show_run(parked(engine, 1)[0]["run"])["steps"][1]["due_ms"]
    engine.stop()
    wait_for("the timer to be due", lambda: time.time() * 1000 > due_ms)
    engine.start()
    assert engine.finished_runs(1)[0]["state"] == "succeeded"


def test_a_retry_that_is_far_away_does_not_hold_the_run_in_memory(engine):
    engine.write("workflows/patient.yaml", RETRY)
    engine.start()
    ring(engine)
    run = parked(engine, 1)[0]["run"]
    step = engine.show_run(run)["steps"][0]
    assert step["state"] == "retrying" and step["error"]["code"] == "busy"
    for worker in engine.children("worker"):
        os.kill(worker, signal.SIGKILL)  # a parked run is nobody's
    done = engine.finished_runs(1)[0]
    assert done["state"] == "succeeded" and done["output"] == {"n": 2}
    assert done["steps"][0]["attempt"] == 2


def test_a_run_on_the_command_line_waits_too(engine):
    engine.write("workflows/sleepy.yaml", SLEEP.replace("6s", "5100ms"))
    result = engine.run("run", "sleepy", "--event", "open.ping")
    assert "wait  nap" in result.stdout and result.stdout.count("sleepy") == 1
    assert "succeeded in 5." in result.stdout


WAIT = """
name: order
on: [{event: open.order}]
steps:
  - {id: before, lua: "return {id = input.id}", with: {id: "${{ event.data.id }}"}}
  - id: paid
    wait:
      any:
        - {event: open.paid, by: data.order.id, equals: "${{ event.data.id }}", if: "${{ result.event.data.amount >= 10 }}"}
        - {event: open.cancelled, by: data.order.id, equals: "${{ event.data.id }}"}
      timeout: 1h
outputs: {arm: "${{ steps.paid.arm }}", amount: "${{ steps.paid.event.data.amount }}", name: "${{ steps.paid.event.name }}"}
"""
NAMED = """
listen: [http://127.0.0.1:0]
sources: {open: {path: /in/open, verify: none, event: {refs: ["header:x-event"]}}}
"""


def send(engine, event, **data):
    headers = {"Content-Type": "application/json", "X-Event": event}
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), headers)
    assert status == 202, answer
    return answer["event"]


def order_engine(make_engine, workflow=WAIT):
    engine = make_engine(NAMED)
    engine.write("workflows/order.yaml", workflow)
    return engine.start()


def test_a_wait_ends_with_the_event_that_fits(make_engine):
    engine = order_engine(make_engine)
    for id in ("a", "b", 7):
        send(engine, "order", id=id)
    parked(engine, 3)
    send(engine, "paid", order={"id": "nobody"}, amount=99)
    send(engine, "paid", order={"id": "a"}, amount=5)  # too little: it waits on
    send(engine, "paid", order={"id": "7"}, amount=99)  # a text is no number
    send(engine, "other", order={"id": "a"}, amount=99)
    send(engine, "paid", order={"id": "a"}, amount=20)
    send(engine, "cancelled", order={"id": "b"})
    send(engine, "paid", order={"id": 7.0}, amount=30)
    runs = engine.finished_runs(3)
    outputs = sorted((run["output"]["arm"], run["output"].get("amount") or 0, run["output"]["name"]) for run in runs)
    assert outputs == [(1, 20, "open.paid"), (1, 30, "open.paid"), (2, 0, "open.cancelled")]


def test_an_event_that_comes_before_the_wait_is_not_missed(make_engine):
    slow = WAIT.replace("return {id = input.id}", "ctx.log('at work') ctx.sleep(2) return {id = input.id}")
    engine = order_engine(make_engine, slow)
    send(engine, "order", id="a")
    engine.wait_log("step.log", message="at work")
    send(engine, "paid", order={"id": "a"}, amount=1)
    send(engine, "paid", order={"id": "a"}, amount=11)
    send(engine, "paid", order={"id": "a"}, amount=12)
    assert engine.finished_runs(1)[0]["output"]["amount"] == 11  # the first that fits


def test_a_wait_survives_a_kill_and_a_workflow_that_is_gone(make_engine):
    engine = order_engine(make_engine)
    send(engine, "order", id="a")
    run = parked(engine, 1)[0]["run"]
    engine.kill()
    engine.write("workflows/order.yaml", "name: other\non: [{event: open.nothing}]\nsteps: [{id: a, set: {}}]\n")
    engine.start()
    assert engine.show_run(run)["state"] == "parked"
    send(engine, "paid", order={"id": "a"}, amount=20)
    assert engine.finished_runs(1)[0]["output"]["amount"] == 20


def test_a_wait_declared_by_an_older_catalogue_is_served_after_a_reload(make_engine):
    engine = order_engine(make_engine)
    send(engine, "order", id="a")
    parked(engine, 1)
    engine.write("workflows/order.yaml", "name: other\non: [{event: open.nothing}]\nsteps: [{id: a, set: {}}]\n")
    engine.wait_log("catalog.activated")
    send(engine, "paid", order={"id": "a"}, amount=20)
    assert engine.finished_runs(1)[0]["output"]["amount"] == 20


def test_an_emitted_event_is_there_once_and_starts_and_wakes(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/a.yaml", """
name: first
on: [{event: open.go}]
steps: [{id: tell, emit: [{event: mine.told, data: {n: "${{ event.data.n }}"}}, {event: mine.other, key: "${{ event.data.n }}"}]}]
outputs: {tell: "${{ steps.tell }}"}
---
name: second
on: [{event: mine.told}]
steps: [{id: a, set: {n: "${{ event.data.n }}", source: "${{ event.source }}", run: "${{ event.headers['bellwire-run'] }}"}}]
outputs: {a: "${{ steps.a }}"}
---
name: third
on: [{event: open.wait}]
steps: [{id: a, wait: {event: mine.told, by: data.n, equals: 3}}]
""")
    engine.start()
    send(engine, "wait")
    parked(engine, 1)
    first = send(engine, "go", n=3)
    send(engine, "go", n=3)  # the event with the key is not caused again
    runs = engine.finished_runs(5)
    assert [run["state"] for run in runs] == ["succeeded"] * 5
    told = [run for run in runs if run["workflow"] == "second"]
    cause = [run for run in runs if run["workflow"] == "first" and run["event"] == first][0]
    assert len(told) == 2 and cause["run"] in [run["output"]["a"]["run"] for run in told]
    assert told[0]["output"]["a"]["n"] == 3 and told[0]["output"]["a"]["source"] == "workflow/first"
    names = [row["name"] for row in engine.rows("events", "--limit", "20")]
    assert names.count("mine.told") == 2 and names.count("mine.other") == 1


def test_events_that_cause_each_other_end(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/loop.yaml", "name: loop\non: [{event: open.go}, {event: mine.again}]\nsteps: [{id: again, emit: {event: mine.again}}]\n")
    engine.start()
    send(engine, "go")
    runs = wait_for("the end of the loop", lambda: engine.rows("runs", "--state", "failed"))
    assert engine.show_run(runs[0]["run"])["error"]["code"] == "emit.too_deep"
    assert len(engine.rows("runs", "--limit", "50")) == 17
