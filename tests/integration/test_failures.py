"""`bellwire.run.failed`: what the engine says of runs that have failed."""
import json

from conftest import wait_for
from test_parking import NAMED, send

TELL = """
name: tell
on: [{event: bellwire.run.failed}]
steps:
  - {id: told, set: {data: "${{ event.data }}", source: "${{ event.source }}", depth: "${{ event.headers['bellwire-depth'] }}"}}
  - {id: fails, if: "${{ event.data.workflow == 'twice' }}", lua: "return ctx.fail{code = 'chat', message = 'the chat is down'}"}
outputs: {told: "${{ steps.told }}"}
"""
FAILS = """
name: fails
on: [{event: open.go}]
steps: [{id: call, lua: "return ctx.fail{code = 'crm', message = 'no such contact'}"}]
"""


def failures(engine):
    return [row["event"] for row in engine.rows("events", "--limit", "50") if row["name"] == "bellwire.run.failed"]


def test_a_failed_run_is_told_of_with_what_it_was_for(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", FAILS + "---" + TELL)
    engine.start()
    event = send(engine, "go", n=3)
    told = wait_for("the run that tells", lambda: engine.rows("runs", "--workflow", "tell", "--state", "succeeded"))
    [failed] = engine.rows("runs", "--state", "failed")
    value = engine.show_run(told[0]["run"])["output"]["told"]
    data = value["data"]
    assert value["source"] == "workflow/fails" and value["depth"] == "1"
    assert data["run"] == failed["run"] and data["workflow"] == "fails"
    assert data["event"] == {"id": event, "name": "open.go", "source": "open"}
    assert data["error"]["code"] == "crm" and data["error"]["message"] == "no such contact" and data["error"]["step"] == "call"
    assert data["started_ms"] <= data["ended_ms"]
    # resumed in vain it has failed once more
    assert engine.run("runs", "resume", failed["run"]).returncode == 0
    wait_for("the second failure", lambda: len(engine.rows("runs", "--workflow", "tell", "--state", "succeeded")) == 2)
    assert len(failures(engine)) == 2


def test_nobody_who_waits_for_failures_none_are_stored(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", FAILS)
    engine.start()
    send(engine, "go")
    wait_for("the failed run", lambda: engine.rows("runs", "--state", "failed"))
    assert failures(engine) == []


def test_items_and_called_runs_fail_in_their_parent_and_a_detached_one_by_itself(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", FAILS.replace("on: [{event: open.go}]\n", "on: [{call: true}]\n") + """---
name: items
on: [{event: open.items}]
steps: [{id: each, foreach: "${{ {1, 2, 3} }}", steps: [{id: one, lua: "return ctx.fail{code = 'item', message = 'no'}"}]}]
---
name: calls
on: [{event: open.calls}]
steps: [{id: called, uses: workflow/fails}]
---
name: leaves
on: [{event: open.leaves}]
steps: [{id: called, uses: workflow/fails, detach: true}]
---
name: tolerant
on: [{event: open.tolerant}]
steps: [{id: each, foreach: "${{ {1, 2, 3} }}", tolerate: all, steps: [{id: one, lua: "return ctx.fail{code = 'item', message = 'no'}"}]}]
---""" + TELL)
    engine.start()
    for name in ("items", "calls", "leaves", "tolerant"):
        send(engine, name)
    wait_for("three runs that tell", lambda: len(engine.rows("runs", "--workflow", "tell", "--state", "succeeded")) >= 3)
    wait_for("the end of all", lambda: not engine.rows("runs", "--state", "active") and not engine.rows("runs", "--state", "parked"))
    told = [engine.show_run(row["run"])["output"]["told"]["data"] for row in engine.rows("runs", "--workflow", "tell", "--limit", "50")]
    assert sorted(data["workflow"] for data in told) == ["calls", "fails", "items"]


def test_who_tells_and_fails_is_not_told_of(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", FAILS.replace("name: fails", "name: twice") + "---" + TELL)
    engine.start()
    send(engine, "go")
    wait_for("both failed runs", lambda: len(engine.rows("runs", "--state", "failed")) == 2)
    engine.stop()
    engine.start()  # nothing was on its way, either
    assert len(failures(engine)) == 1 and len(engine.rows("runs", "--limit", "50")) == 2


def test_a_run_that_waits_for_a_failure_is_woken_by_it(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", FAILS + """---
name: watches
on: [{event: open.watch}]
steps: [{id: failure, wait: {event: bellwire.run.failed, by: data.workflow, equals: fails, timeout: 1h}}]
outputs: {code: "${{ steps.failure.event.data.error.code }}"}
""")
    engine.start()
    send(engine, "watch")
    wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))
    send(engine, "go")
    ended = wait_for("its end", lambda: engine.rows("runs", "--workflow", "watches", "--state", "succeeded"))
    assert engine.show_run(ended[0]["run"])["output"] == {"code": "crm"}


def test_the_names_of_the_engine_are_its_own(make_engine):
    engine = make_engine(NAMED)
    engine.write("workflows/w.yaml", """
name: forges
on: [{event: open.go}]
steps: [{id: tell, emit: {event: "bellwire.${{ event.data.name }}", data: {}}}]
---""" + TELL)
    engine.start()
    send(engine, "go", name="run.failed")
    told = wait_for("the failure to forge one", lambda: engine.rows("runs", "--workflow", "tell", "--state", "succeeded"))
    assert engine.show_run(told[0]["run"])["output"]["told"]["data"]["error"]["code"] == "emit.event"
    engine.write("bellwire.yaml", json.dumps({"sources": {"bellwire": {"path": "/in/bellwire", "verify": "none"}}}))
    refused = engine.run("check", check=False)
    assert refused.returncode == 1 and "the engine's own" in refused.stderr
