"""plugins/webhook: what is sent is signed as receivers verify it, is known by its id when it comes again, and comes again until it is heard."""
import json
import subprocess

import pytest
from conftest import CONFIG, DEADLINE, ROOT, wait_for
from fakes.server import Answer
from fakes.webhooks import Receiver, make_secret

NPM = ROOT / "tests" / "integration" / "npm"
OLD, NEW = make_secret("old"), make_secret("new")
EVENT = {"type": "order.paid", "timestamp": "2026-01-01T00:00:00Z", "data": {"order": 7, "note": "größer"}}


@pytest.fixture
def receiver():
    with Receiver(NEW) as made:
        yield made


def set_up(engine, url, new=NEW, old=OLD, more=""):
    engine.env.update(HOOK_NEW=new, HOOK_OLD=old)
    endpoint = {"name": "partner", "url": url, "secret": {"secret": "NEW"}, "previous": {"secret": "OLD"}}
    engine.write("bellwire.yaml", CONFIG + more + "secrets: {NEW: {env: HOOK_NEW}, OLD: {env: HOOK_OLD}}\nconfigure: " + json.dumps({"webhook": {"endpoints": [endpoint]}}) + "\n")
    return engine


def sent(engine, attempts=3, **given):
    """How a step with these inputs has ended; `bellwire run` must say no secret."""
    step = {"id": "s", "uses": "webhook/send@1", "with": given, "retry": {"attempts": attempts, "delay": "1ms"}}
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "secrets": ["NEW"], "steps": [step]}))
    result = engine.run("run", "w", "--json", check=False)
    assert NEW not in result.stdout + result.stderr and OLD not in result.stdout + result.stderr
    [end] = [row for row in map(json.loads, result.stdout.splitlines()) if row.get("what") == "step_finished"]
    return end


def test_a_receiver_finds_the_signature_good(make_engine, receiver):
    engine = set_up(make_engine(), receiver.url + "/hooks")
    end = sent(engine, endpoint="partner", headers={"X-Shop": "1", "Webhook-Id": "mine"}, **EVENT)
    assert receiver.seen == [(end["output"]["id"], EVENT)] and end["output"]["status"] == 204
    assert receiver.requests[0].headers["x-shop"] == "1" and receiver.requests[0].headers["content-type"] == "application/json"
    receiver.secret = OLD  # it has not been told of the new one yet
    assert "output" in sent(engine, endpoint="partner", payload=[1, None, {"a": []}]) and receiver.seen[1][1] == [1, None, {"a": []}]
    receiver.secret = make_secret("another")
    error = sent(engine, attempts=1, endpoint="partner", **EVENT)["error"]
    assert (error["code"], error["class"]) == ("webhook.refused", "transient") and "no signature that fits" in error["message"], error


@pytest.mark.skipif(not (NPM / "node_modules").is_dir(), reason="the npm clients are not installed (scripts/test installs them)")
def test_the_reference_library_finds_it_good(make_engine, receiver):
    sent(set_up(make_engine(), receiver.url + "/hooks"), endpoint="partner", **EVENT)
    [request] = receiver.requests
    for secret, status in ((NEW, 0), (OLD, 0), (make_secret("another"), 1)):
        given = json.dumps({"secret": secret, "body": request.body.decode(), "headers": request.headers})
        result = subprocess.run(["node", NPM / "receive.mjs"], input=given, capture_output=True, text=True, timeout=DEADLINE)
        assert result.returncode == status and (status or json.loads(result.stdout) == EVENT), result.stdout + result.stderr


def test_where_to_and_by_what_can_come_with_the_step(make_engine, receiver):
    engine = set_up(make_engine(), "https://partner.example")
    assert "output" in sent(engine, url=receiver.url + "/hooks", signing_secret="${{ secrets.NEW }}", type="a", data=1) and receiver.seen[0][1] == {"type": "a", "data": 1}


def test_all_attempts_have_one_id_and_one_body(make_engine, receiver):
    receiver.fail(503, headers={"Retry-After": "0"})
    receiver.fail(302, headers={"Location": "https://elsewhere.example"})
    receiver.cut(after=-1)
    receiver.fail(404, "no such path")
    end = sent(set_up(make_engine(), receiver.url + "/hooks"), attempts=5, endpoint="partner", **EVENT)
    assert (end["attempt"], len(receiver.requests)) == (5, 5) and "output" in end, end
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1 and len({request.body for request in receiver.requests}) == 1
    assert [id for id, _ in receiver.seen] == [end["output"]["id"]] * 2  # also where the answer was lost: by its id it is known


def test_a_long_answer_is_cut_between_signs(make_engine, receiver):
    receiver.on("POST", "/odd", lambda request: Answer(500, ("x" * 299 + "ü" * 50).encode()))
    end = sent(set_up(make_engine(), receiver.url + "/odd"), attempts=1, endpoint="partner", **EVENT)
    assert end["error"]["message"] == "the receiver answered 500: " + "x" * 299, end


def test_gone_is_for_good(make_engine, receiver):
    receiver.fail(410, {"bye": "bye"})
    end = sent(set_up(make_engine(), receiver.url + "/hooks"), endpoint="partner", **EVENT)
    assert (end["error"]["code"], end["error"]["class"], end["attempt"]) == ("webhook.gone", "permanent", 1), end


@pytest.mark.parametrize("given, code, told", [
    ({"endpoint": "partners", "type": "a"}, "webhook.endpoint", "only partner"),
    ({"type": "a"}, "webhook.input", "url and signing_secret"),
    ({"url": "https://a.example", "type": "a"}, "webhook.input", "url and signing_secret"),
    ({"endpoint": "partner"}, "webhook.input", "type"),
    ({"endpoint": "partner", "payload": {}, "type": "a"}, "webhook.input", "not both"),
    ({"url": "https://a.example", "signing_secret": "whsec_c2hvcnQ=", "type": "a"}, "webhook.secret", "24 to 64"),
    ({"url": "https://a.example", "signing_secret": "not base64 at all", "type": "a"}, "webhook.secret", "24 to 64"),
])
def test_what_cannot_be_sent_is_said(make_engine, receiver, given, code, told):
    end = sent(set_up(make_engine(), receiver.url + "/hooks"), **given)
    assert (end["error"]["code"], end["attempt"]) == (code, 1) and told in end["error"]["message"] and receiver.requests == [], end


def test_bellwire_hears_what_bellwire_sends(make_engine):
    source = "  partner:\n    path: /in/partner\n    verify: standard-webhooks\n    secrets: {signing_secret: {env: HOOK_NEW}}\n"
    engine = set_up(make_engine(), "http://127.0.0.1:1", more=source)
    engine.start()
    set_up(engine, f"http://127.0.0.1:{engine.port}/in/partner", more=source)
    end = sent(engine, endpoint="partner", **EVENT)
    assert end["output"]["status"] == 202, end
    [event] = wait_for("the event", lambda: [event for event in engine.rows("events") if event["name"] == "partner.order.paid"])
    assert json.loads(json.loads(engine.run("events", event["event"], "--json").stdout)["body"]) == EVENT


def test_it_is_tried_for_three_days_as_the_specification_has_it(make_engine):
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, Deliverability and reliability: 75:35:05 to the last."""
    engine = set_up(make_engine(), "https://partner.example")
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [{"id": "s", "uses": "webhook/send@1", "with": {"endpoint": "partner", **EVENT}}]}))
    busy = {"error": {"code": "webhook.refused", "class": "transient"}}
    tests = [{"name": "heard at last", "mocks": {"s": [busy] * 9 + [{"output": {"id": "1", "status": 204}}]}, "expect": {"state": "succeeded", "took": "75h35m5s"}},
             {"name": "heard before", "mocks": {"s": [busy] * 3 + [{"output": {"id": "1", "status": 204}}]}, "expect": {"state": "succeeded", "took": "35m5s"}},
             {"name": "never heard", "mocks": {"s": [busy] * 10}, "expect": {"state": "failed", "took": "75h35m5s"}}]
    engine.write("workflows/w.test.yaml", json.dumps({"inputs": {}, "tests": tests}))
    assert "3 passed" in engine.run("test").stdout
