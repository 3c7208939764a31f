"""Over the real door: what a scheme answers by itself, and forms as events."""
import hashlib
import hmac

from conftest import wait_for

CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  page:
    path: /in/page
    verify: meta
    secrets: {secret: {env: SECRET}, verify_token: {env: TOKEN}}
  grid:
    path: /in/grid
    verify: cloudevents
    secrets: {token: {env: TOKEN}}
    options: {origin: grid.example}
  git:
    path: /in/git
    verify: gitea
    secrets: {secret: {env: SECRET}}
  open:
    path: /in/open
    verify: none
  sms:
    path: /in/sms
    verify: twilio
    public_url: https://hooks.example/in/sms
    secrets: {auth_token: {env: SECRET}}
"""
ECHO = """
name: echo
on: [{event: "git.*"}, {event: "open.*"}]
steps:
  - {id: say, set: {data: "${{ event.data }}"}}
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def raw(engine, method, path, headers=None, body=b""):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    result = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return result


def start(make_engine):
    engine = make_engine(CONFIG)
    engine.env.update(SECRET="s3cret", TOKEN="t0ken")
    engine.write("workflows/echo.yaml", ECHO)
    return engine.start()


def test_handshakes_are_answered_and_make_no_event(make_engine):
    engine = start(make_engine)
    status, body, headers = raw(engine, "GET", "/in/page?hub.mode=subscribe&hub.verify_token=t0ken&hub.challenge=%3Cb%3E")
    assert (status, body) == (200, b"<b>") and headers["Content-Type"].startswith("text/plain") and headers["X-Content-Type-Options"] == "nosniff"
    assert raw(engine, "GET", "/in/page?hub.mode=subscribe&hub.verify_token=other&hub.challenge=1")[0] == 403
    status, body, headers = raw(engine, "OPTIONS", "/in/grid", {"WebHook-Request-Origin": "grid.example"})
    assert (status, headers["webhook-allowed-origin"], headers["webhook-allowed-rate"]) == (200, "grid.example", "*")
    assert raw(engine, "OPTIONS", "/in/grid", {"WebHook-Request-Origin": "evil.example"})[0] == 405
    wait_for("all to be written", lambda: [row["outcome"] for row in engine.rows("deliveries")].count("handshake") == 3)
    assert engine.rows("events") == []
    engine.stop()


def test_a_form_is_an_object_for_the_workflow(make_engine):
    engine = start(make_engine)
    assert raw(engine, "POST", "/in/open", FORM, b"a=1&b=x+y&a=%C3%BC")[0] == 202
    status, body, _ = raw(engine, "POST", "/in/open", FORM, b"a=%zz")
    assert status == 400 and b"broken %XX" in body
    payload = b'{"ref":"main"}'
    mac = hmac.new(b"s3cret", payload, hashlib.sha256).hexdigest()
    assert raw(engine, "POST", "/in/git", {**FORM, "X-Gitea-Signature": mac, "X-Gitea-Event": "push"}, b"payload=%7B%22ref%22%3A%22main%22%7D")[0] == 202
    outputs = [run["steps"][0]["output"]["data"] for run in engine.finished_runs(2)]
    assert {"a": ["1", "ü"], "b": "x y"} in outputs and {"ref": "main"} in outputs
    engine.stop()


def test_what_bellwire_send_signs_is_accepted_by_url_and_form(make_engine):
    engine = start(make_engine)
    engine.write("sms.txt", "To=%2B1&Body=hi")
    engine.run("send", "sms", "sms.txt", "--type", "application/x-www-form-urlencoded", "--url", f"http://127.0.0.1:{engine.port}/in/sms")
    refused = engine.run("send", "sms", "sms.txt", "--type", "application/x-www-form-urlencoded", "--url", f"http://127.0.0.1:{engine.port}/in/sms",
                         "--secret", "auth_token=other", check=False)
    assert refused.returncode == 1 and "401" in refused.stdout
    event, = engine.rows("events")
    assert event["name"] == "sms.event"
    engine.stop()


def test_check_says_whose_names_are_not_signed_and_wants_the_url(make_engine):
    engine = make_engine(CONFIG)
    engine.env.update(SECRET="s3cret", TOKEN="t0ken")
    text = engine.run("check").stderr
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("source")}
    assert "not signed" in lines["git"] and "not signed" in lines["grid"] and "not signed" in lines["open"]
    assert "not signed" not in lines["page"] and "not signed" not in lines["sms"]
    engine.write("bellwire.yaml", CONFIG.replace("    public_url: https://hooks.example/in/sms\n", ""))
    failed = engine.run("check", check=False)
    assert failed.returncode == 1 and "source.no_public_url" in failed.stderr
