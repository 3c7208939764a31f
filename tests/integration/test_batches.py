"""Requests that hold several events: each becomes one, all of them or none, and what comes again is known by its own id."""
import hashlib
import hmac
import json

import pytest

from conftest import wait_for

CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  grid:
    path: /in/grid
    verify: cloudevents
    secrets: {token: {env: SECRET}}
    max_body: 1MiB
  pay:
    path: /in/pay
    verify: gocardless
    secrets: {secret: {env: SECRET}}
  whole:
    path: /in/whole
    verify: gocardless
    batch: whole
    secrets: {secret: {env: SECRET}}
  strict:
    path: /in/strict
    verify: gocardless
    secrets: {secret: {env: SECRET}}
    schema: {type: object, properties: {id: {type: string, required: true}, amount: {type: number, min: 0}}}
"""
ECHO = "name: echo\non: [{event: 'grid.*'}, {event: 'pay.**'}, {event: 'whole.*'}]\nsteps:\n  - {id: say, set: {name: \"${{ event.name }}\", data: \"${{ event.data }}\"}}\n"


def start(make_engine):
    engine = make_engine(CONFIG)
    engine.env["SECRET"] = "s3cret"
    engine.write("workflows/echo.yaml", ECHO)
    return engine.start()


def cloud(*ids, **more):
    return [{"specversion": "1.0", "id": id, "source": "/s", "type": "made", **more} for id in ids]


def send(engine, events):
    headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": "Bearer s3cret"}
    status, answer, _ = engine.request("POST", "/in/grid", json.dumps(events).encode(), headers)
    return status, answer


def pay(engine, body, path="/in/pay"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Webhook-Signature": hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()}
    status, answer, _ = engine.request("POST", path, body, headers)
    return status, answer


def test_each_event_of_a_batch_starts_a_run_of_its_own(make_engine):
    engine = start(make_engine)
    status, answer = send(engine, cloud("1", "2", "3"))
    assert status == 202 and answer["status"] == "accepted" and answer["duplicates"] == 0 and len(set(answer["events"])) == 3
    outputs = [run["steps"][0]["output"] for run in engine.finished_runs(3)]
    assert sorted(output["data"]["id"] for output in outputs) == ["1", "2", "3"] and {output["name"] for output in outputs} == {"grid.made"}
    assert [event["event"] for event in engine.rows("events")][::-1] == answer["events"]
    details = {row["detail"] for row in engine.rows("deliveries")}
    assert details == {"1 of 3", "2 of 3", "3 of 3"}
    engine.wait_log("delivery", source="grid", status=202, reason="3 events, 0 known")
    engine.stop()


def test_what_comes_again_is_known_by_its_own_id(make_engine):
    engine = start(make_engine)
    _, first = send(engine, cloud("1", "2"))
    status, mixed = send(engine, cloud("2", "3", "3"))
    assert status == 202 and mixed["duplicates"] == 2 and mixed["events"][0] == first["events"][1] and mixed["events"][1] == mixed["events"][2]
    status, again = send(engine, cloud("3", "1"))
    assert (status, again) == (200, {"status": "duplicate", "events": [mixed["events"][1], first["events"][0]], "duplicates": 2})
    single = cloud("1")[0]
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer s3cret"}
    status, answer, _ = engine.request("POST", "/in/grid", json.dumps(single).encode(), headers)  # one by one it is the same event
    assert (status, answer["event"]) == (200, first["events"][0])
    assert len(engine.finished_runs(3)) == 3 and len(engine.rows("events")) == 3
    engine.stop()


def test_one_that_is_none_keeps_out_all(make_engine):
    engine = start(make_engine)
    for bad in (7, [], None, "x"):
        status, answer = send(engine, [*cloud("1", "2"), bad, *cloud("3")])
        assert (status, answer) == (400, {"error": "malformed"})
        engine.wait_log("delivery", status=400, reason="item 3 of the batch: it is no JSON object, or names something twice")
    assert send(engine, [*cloud("1"), *cloud("2", type="x" * 201)])[0] == 400
    assert pay(engine, b'{"events":[{"id":"1"},{"id":"2","id":"3"}]}')[0] == 400
    assert pay(engine, {"events": [{"id": "1", "amount": 3}, {"id": "2", "amount": -3}]}, "/in/strict") == (
        422, {"error": "invalid", "message": "item 2 of the batch: must be at least 0", "at": "/amount"})
    assert pay(engine, {"events": [{"id": "1", "amount": 3}, {"id": "2"}]}, "/in/strict")[0] == 202
    assert {event["name"] for event in engine.rows("events")} == {"strict.event"}
    engine.stop()


def test_a_batch_has_bounds(make_engine):
    engine = start(make_engine)
    status, answer = send(engine, cloud(*map(str, range(1000))))
    assert status == 202 and len(set(answer["events"])) == 1000
    assert send(engine, cloud(*map(str, range(1000)), "more")) == (413, {"error": "too_large"})
    status, answer = send(engine, [])
    assert status == 401  # nothing in it says of which version it is
    assert pay(engine, {"events": []}) == (200, {"status": "accepted", "events": [], "duplicates": 0})
    wait_for("its record", lambda: any(row["outcome"] == "handshake" for row in engine.rows("deliveries")))
    assert pay(engine, {"no": "events"})[0] == 202  # no batch
    engine.stop()


def test_a_source_may_want_a_batch_as_one_event(make_engine):
    engine = start(make_engine)
    body = {"events": [{"id": "1", "resource_type": "payments", "action": "paid_out"}, {"id": "2", "resource_type": "payments", "action": "failed"}]}
    status, answer = pay(engine, body, "/in/whole")
    assert status == 202 and answer["event"].startswith("evt_")
    assert pay(engine, body)[1]["duplicates"] == 0
    outputs = [run["steps"][0]["output"] for run in engine.finished_runs(3)]
    assert {output["name"] for output in outputs} == {"whole.event", "pay.payments.paid_out", "pay.payments.failed"}
    assert next(output["data"] for output in outputs if output["name"] == "whole.event") == body
    engine.stop()


def test_forged_batches_are_refused_before_they_are_read(make_engine):
    engine = start(make_engine)
    status, answer, _ = engine.request("POST", "/in/pay", b'{"events":[{"id":"1"}]}', {"Content-Type": "application/json", "Webhook-Signature": "00" * 32})
    assert (status, answer) == (401, {"error": "unverified"}) and engine.rows("events") == []
    engine.stop()


@pytest.mark.parametrize("value", ["both", "[]", "true"])
def test_batch_is_split_or_whole(make_engine, value):
    engine = make_engine(CONFIG.replace("batch: whole", f"batch: {value}"))
    engine.env["SECRET"] = "s3cret"
    result = engine.run("check", check=False)
    assert result.returncode == 1 and "batch must be split or whole" in result.stderr
