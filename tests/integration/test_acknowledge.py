"""What senders hear when their event is on disk, in their own words; and content types that are not taken."""
import base64
import hashlib
import hmac
import http.client
import json
import subprocess
import time

import pytest

from conftest import wait_for

CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  xero:
    path: /in/xero
    verify: xero
    secrets: {webhook_key: {env: SECRET}}
  adyen:
    path: /in/adyen
    verify: adyen
    secrets: {hmac_key: {env: HEX}}
  own:
    path: /in/own
    verify: none
    dedupe: {refs: ["header:x-id"]}
    acknowledge: {status: 201, headers: {X-Taken: "yes", Content-Type: application/xml}, body: "<ok/>"}
  map:
    path: /in/map
    verify: none
    acknowledge: {body: {ok: true, list: [1, 2]}}
  empty:
    path: /in/empty
    verify: none
    acknowledge: {status: 204}
  status:
    path: /in/status
    verify: none
    acknowledge: {status: 200}
  typed:
    path: /in/typed
    verify: none
    accepts: [application/json, "!text/html", "text/*"]
  grid:
    path: /in/grid
    verify: cloudevents
    secrets: {token: {env: SECRET}}
"""


def start(make_engine):
    engine = make_engine(CONFIG)
    engine.env.update(SECRET="s3cret", HEX="6b6b")
    return engine.start()


def raw(engine, path, body=b"{}", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    headers = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    result = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return result


def test_providers_hear_what_they_want_to(make_engine):
    engine = start(make_engine)
    signature = base64.b64encode(hmac.new(b"s3cret", b"{}", hashlib.sha256).digest()).decode()
    status, body, headers = raw(engine, "/in/xero", X_Xero_Signature=signature)
    assert (status, body) == (200, b"") and "Content-Type" not in headers
    assert raw(engine, "/in/xero", X_Xero_Signature="bad")[0] == 401
    mac = base64.b64encode(hmac.new(b"kk", b"P::M:r:1:EUR:REFUND:true", hashlib.sha256).digest()).decode()
    item = {"NotificationRequestItem": {"additionalData": {"hmacSignature": mac}, "amount": {"currency": "EUR", "value": 1}, "eventCode": "REFUND",
                                        "merchantAccountCode": "M", "merchantReference": "r", "pspReference": "P", "success": "true"}}
    for _ in range(2):  # what is there already is as good
        status, body, headers = raw(engine, "/in/adyen", json.dumps({"notificationItems": [item]}).encode())
        assert (status, body) == (200, b"[accepted]") and headers["Content-Type"].startswith("text/plain")
    assert [event["name"] for event in engine.rows("events")] == ["adyen.REFUND", "xero.event"]
    rows = engine.rows("deliveries", "--source", "adyen")
    assert [(row["status"], row["outcome"]) for row in rows] == [(200, "duplicate"), (200, "accepted")]
    engine.stop()


# What is no 200 is a failure for them, by their documents; for FastSpring a 202 lists those of the events that were taken.
WANT_200 = """airwallex coinbase-commerce docusign elevenlabs fastspring intercom lark lemon-squeezy line linear mailgun mandrill meta nylas paddle paystack
plaid postmark recharge slack trello webflow workos x-twitter xero zoom""".split()


def test_those_who_want_a_200_get_one(engine):
    for scheme in WANT_200:
        facts = json.loads(engine.run("schemes", "show", scheme, "--json").stdout)
        assert facts["acknowledge"]["status"] == 200, scheme
    facts = {name: json.loads(engine.run("schemes", "show", name, "--json").stdout)["acknowledge"] for name in ("airtable", "slack", "twilio")}
    assert facts["airtable"]["body"] == facts["slack"]["body"] == ""  # Airtable counts a body as a failure, Slack would show it
    assert facts["twilio"] == {"status": 200, "body": "<Response/>"}


def test_twilio_hears_an_empty_document(make_engine):
    engine = make_engine("""
listen: [http://127.0.0.1:0]
sources:
  phone: {path: /in/phone, verify: twilio, public_url: "https://hooks.example/in/phone", secrets: {auth_token: {env: SECRET}}}
""")
    engine.env["SECRET"] = "s3cret"
    engine.start()
    signature = base64.b64encode(hmac.new(b"s3cret", b"https://hooks.example/in/phoneBodyhi", hashlib.sha1).digest()).decode()
    status, body, headers = raw(engine, "/in/phone", b"Body=hi", Content_Type="application/x-www-form-urlencoded", X_Twilio_Signature=signature)
    assert (status, body, headers["Content-Type"]) == (200, b"<Response/>", "text/xml")
    engine.stop()


def test_a_source_says_it_in_its_own_words(make_engine):
    engine = start(make_engine)
    status, body, headers = raw(engine, "/in/own", X_Id="1")
    assert (status, body, headers["X-Taken"], headers["Content-Type"]) == (201, b"<ok/>", "yes", "application/xml")
    assert raw(engine, "/in/own", X_Id="1")[:2] == (201, b"<ok/>")
    status, body, headers = raw(engine, "/in/map")
    assert (status, json.loads(body), headers["Content-Type"]) == (200, {"ok": True, "list": [1, 2]}, "application/json")
    assert raw(engine, "/in/empty")[:2] == (204, b"")
    status, body, _ = raw(engine, "/in/status")
    assert status == 200 and json.loads(body)["status"] == "accepted"
    assert [(row["status"], row["outcome"]) for row in engine.rows("deliveries", "--source", "own")] == [(201, "duplicate"), (201, "accepted")]
    assert len(engine.rows("events")) == 4
    engine.stop()


def test_discord_hears_that_an_answer_follows_unless_the_run_has_one_in_time(make_engine, tmp_path):
    key, message = tmp_path / "key.pem", tmp_path / "message"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
    engine = make_engine("listen: [http://127.0.0.1:0]\nsources:\n  discord: {path: /in/discord, verify: discord, secrets: {public_key: {env: PUBLIC}}}\n")
    engine.env["PUBLIC"] = public.hex()
    for name, within, nap in (("quick", "60s", "1ms"), ("slow", "300ms", "1h")):
        engine.write(f"workflows/{name}.yaml", f"""
name: {name}
on: [{{event: discord.2, if: "${{{{ event.data.data.name == '{name}' }}}}"}}]
respond: {{mode: result, within: {within}}}
steps:
  - {{id: nap, sleep: {nap}}}
  - {{id: now, respond: {{body: {{type: 4, data: {{content: here}}}}}}}}
""")
    engine.start()

    def interaction(**data):
        body, stamp = json.dumps(data).encode(), str(int(time.time()))
        message.write_bytes(stamp.encode() + body)
        signed = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message], check=True, capture_output=True).stdout
        return raw(engine, "/in/discord", body, X_Signature_Ed25519=signed.hex(), X_Signature_Timestamp=stamp)
    status, body, headers = interaction(id="1", type=1)
    assert (status, json.loads(body), headers["Content-Type"]) == (200, {"type": 1}, "application/json")
    status, body, _ = interaction(id="2", type=2, data={"name": "quick"})
    assert (status, json.loads(body)) == (200, {"type": 4, "data": {"content": "here"}})
    for event in ({"id": "3", "type": 2, "data": {"name": "slow"}}, {"id": "4", "type": 3}):  # too late for it; and nobody answers
        status, body, headers = interaction(**event)
        assert (status, json.loads(body), headers["Content-Type"]) == (200, {"type": 5}, "application/json")
    assert raw(engine, "/in/discord", X_Signature_Ed25519="00" * 64, X_Signature_Timestamp=str(int(time.time())))[0] == 401
    engine.stop()


def test_what_a_source_does_not_take_is_refused_with_what_it_takes(make_engine):
    engine = start(make_engine)
    for taken in ("application/json", "Application/JSON; charset=utf-8", "text/plain"):
        assert raw(engine, "/in/typed", Content_Type=taken)[0] == 202, taken
    for refused in ("text/html", "application/xml", "application/json5", "", "application/json, text/plain"):
        status, body, headers = raw(engine, "/in/typed", Content_Type=refused)
        assert (status, headers["Accept"]) == (415, "application/json, text/*"), refused
        assert json.loads(body) == {"error": "bad_type", "accepts": ["application/json", "text/*"]}
    wait_for("the records", lambda: [row["outcome"] for row in engine.rows("deliveries", "--source", "typed")].count("bad_type") == 5)
    assert raw(engine, "/in/typed", b"", Content_Type="application/xml")[0] == 202  # nothing is taken of it
    bearer = {"Authorization": "Bearer s3cret"}
    event = json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "made"}).encode()
    assert raw(engine, "/in/grid", event, Content_Type="application/cloudevents+avro", **bearer)[0] == 415
    assert raw(engine, "/in/grid", event, Content_Type="application/cloudevents+json", **bearer)[0] == 202
    binary = {"ce-specversion": "1.0", "ce-id": "2", "ce-source": "/s", "ce-type": "made"}
    assert raw(engine, "/in/grid", b"<xml/>", Content_Type="application/xml", **bearer, **binary)[0] == 202
    engine.stop()


@pytest.mark.parametrize("line,error", [
    ("acknowledge: {status: 302}", "status must be a whole number from 200 to 299"),
    ("acknowledge: {status: 204, body: x}", "a 204 has no body"),
    ("acknowledge: {headers: {Content-Length: '5'}}", "'Content-Length' cannot be sent"),
    ("acknowledge: {headers: {'X Y': a}}", "'X Y' cannot be sent"),
    ("acknowledge: {headers: {X: \"a\\nb\"}}", "'X' cannot be sent"),
    ("acknowledge: {text: x}", "text"),
    ("acknowledge: 200", "acknowledge"),
    ("accepts: json", "accepts must be a list"),
    ("accepts: [json]", "'json' is no content type"),
    ("accepts: ['a/b; c=d']", "is no content type"),
    ("accepts: []", "accepts must be a list"),
])
def test_what_cannot_be_said_is_an_error_with_its_place(make_engine, line, error):
    engine = make_engine(f"sources:\n  open:\n    path: /in/open\n    verify: none\n    {line}\n")
    result = engine.run("check", check=False)
    assert result.returncode == 1 and error in result.stderr and "bellwire.yaml:5:" in result.stderr, result.stderr
