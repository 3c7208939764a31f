"""Keys that senders publish: fetched by a worker, cached, and never a reason for 401 or 202."""
import base64
import http.server
import json
import subprocess
import threading
import time

import pytest

from conftest import wait_for

CONFIG = """
listen: [http://127.0.0.1:0]
allow_private_network: true
workers: 1
sources:
  topic:
    path: /in/topic
    verify: aws-sns
  push:
    path: /in/push
    verify: google-pub-sub
    options: {audience: us, email: robot@example.com}
"""
ON_TOPIC = """
name: on-topic
on: [{event: topic.Notification}]
steps:
  - {id: say, set: {message: "${{ event.data.Message }}"}}
"""
PATH = "/sns.eu-west-1.amazonaws.com/k.pem"


class Keys:
    """What the providers' servers would be: answers by path; a path may be held back until the test lets it go."""

    def __init__(self):
        self.answers, self.asked, self.gate = {}, [], threading.Event()
        self.gate.set()
        keys = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                keys.asked.append(self.path)
                assert keys.gate.wait(60)
                status, body, headers = keys.answers.get(self.path, (404, b"", {}))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def keys():
    keys = Keys()
    yield keys
    keys.close()


@pytest.fixture
def pair(tmp_path):
    """A key and a certificate of its own."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sns.amazonaws.com", "-keyout", "key.pem",
                    "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def signed_by(folder, message: bytes) -> bytes:
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", "key.pem"], cwd=folder, input=message, check=True, capture_output=True).stdout


def notification(folder, message: str, host: str = "sns.eu-west-1.amazonaws.com", ident: str = "m1") -> bytes:
    fields = {"Type": "Notification", "MessageId": ident, "TopicArn": "arn:t", "Message": message, "Timestamp": "2025-10-09T08:53:20Z"}
    text = "".join(f"{name}\n{fields[name]}\n" for name in sorted(fields))
    more = {"SignatureVersion": "2", "Signature": base64.b64encode(signed_by(folder, text.encode())).decode(),
            "SigningCertURL": f"https://{host}/k.pem"}
    return json.dumps({**fields, **more}).encode()


def start(make_engine, keys, config=CONFIG):
    engine = make_engine(config)
    engine.env["BELLWIRE_KEYS_FROM"] = keys.url
    engine.write("workflows/on-topic.yaml", ON_TOPIC)
    return engine.start()


def post(engine, body, path="/in/topic", **headers):
    return engine.request("POST", path, body, {"Content-Type": "text/plain; charset=UTF-8", **headers})


def test_a_certificate_is_fetched_once_and_the_request_waits_for_it(make_engine, keys, pair):
    keys.answers[PATH] = (200, (pair / "cert.pem").read_bytes(), {})
    keys.gate.clear()
    engine = start(make_engine, keys)
    answers = []
    senders = [threading.Thread(target=lambda i=i: answers.append(post(engine, notification(pair, f"hello {i}", ident=f"m{i}")))) for i in range(5)]
    for sender in senders:
        sender.start()
    wait_for("the fetch", lambda: keys.asked)
    keys.gate.set()
    for sender in senders:
        sender.join()
    assert [status for status, _, _ in answers] == [202] * 5
    assert keys.asked == [PATH]
    assert post(engine, notification(pair, "again"))[0] == 200  # m1 is known
    forged = notification(pair, "good").replace(b"good", b"evil")
    assert post(engine, forged)[0] == 401
    assert keys.asked == [PATH]
    assert {run["steps"][0]["output"]["message"] for run in engine.finished_runs(5)} == {f"hello {i}" for i in range(5)}
    engine.stop()


def test_a_key_that_cannot_be_fetched_is_503_and_nobody_asks_again_at_once(make_engine, keys, pair):
    engine = start(make_engine, keys)  # 404
    status, body, headers = post(engine, notification(pair, "hello"))
    assert (status, body["error"]) == (503, "overloaded") and int(headers["Retry-After"]) > 0
    assert post(engine, notification(pair, "hello"))[0] == 503
    assert keys.asked == [PATH]
    wait_for("both to be written", lambda: [row["outcome"] for row in engine.rows("deliveries")] == ["overloaded"] * 2)
    engine.stop()


@pytest.mark.parametrize("answer", [
    (302, b"", {"Location": "/elsewhere"}),
    (200, b"no certificate", {}),
    (200, b"x" * 300_000, {}),
])
def test_what_is_no_certificate_is_not_taken(make_engine, keys, pair, answer):
    keys.answers[PATH] = answer
    keys.answers["/elsewhere"] = (200, (pair / "cert.pem").read_bytes(), {})
    engine = start(make_engine, keys)
    assert post(engine, notification(pair, "hello"))[0] == 503
    assert keys.asked == [PATH]
    engine.stop()


def test_only_the_providers_own_hosts_are_asked(make_engine, keys, pair):
    engine = start(make_engine, keys)
    for host in ("evil.example", "sns.s3.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.example", "sns.eu-west-1.amazonaws.com:8443"):
        assert post(engine, notification(pair, "hello", host=host))[0] == 401
    assert keys.asked == []
    engine.stop()


def test_an_engine_that_stops_lets_nobody_wait_for_a_key(make_engine, keys, pair):
    keys.gate.clear()
    engine = start(make_engine, keys)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(post(engine, notification(pair, "hello"))))
    sender.start()
    wait_for("the fetch", lambda: keys.asked)
    assert engine.stop() == 0
    sender.join()
    assert answers[0][0] == 503


def test_a_worker_that_dies_while_it_fetches_is_a_failed_fetch(make_engine, keys, pair):
    keys.gate.clear()
    engine = start(make_engine, keys)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(post(engine, notification(pair, "hello"))))
    sender.start()
    wait_for("the fetch", lambda: keys.asked)
    subprocess.run(["kill", "-9", *map(str, engine.children("worker"))], check=True)
    sender.join()
    assert answers[0][0] == 503
    engine.stop()


def token(folder, claims: dict, kid: str = "k1") -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    text = part(json.dumps({"alg": "RS256", "kid": kid}).encode()) + "." + part(json.dumps(claims).encode())
    return text + "." + part(signed_by(folder, text.encode()))


def test_a_key_set_is_fetched_and_an_unknown_key_is_refused(make_engine, keys, pair):
    modulus = subprocess.run(["openssl", "rsa", "-in", "key.pem", "-noout", "-modulus"], cwd=pair, check=True, capture_output=True, text=True).stdout
    number = bytes.fromhex(modulus.strip().partition("=")[2])
    jwk = {"kty": "RSA", "kid": "k1", "e": "AQAB", "n": base64.urlsafe_b64encode(number).decode().rstrip("=")}
    keys.answers["/www.googleapis.com/oauth2/v3/certs"] = (200, json.dumps({"keys": [{"kty": "odd"}, jwk]}).encode(), {})
    engine = start(make_engine, keys)
    claims = {"aud": "us", "email": "robot@example.com", "email_verified": True, "exp": int(time.time()) + 600}
    body = b'{"message":{"messageId":"m1"}}'
    assert post(engine, body, "/in/push", Authorization="Bearer " + token(pair, claims))[0] == 202
    assert post(engine, body, "/in/push", Authorization="Bearer " + token(pair, {**claims, "aud": "them"}))[0] == 401
    assert post(engine, body, "/in/push", Authorization="Bearer " + token(pair, claims, kid="k2"))[0] == 401
    assert len(keys.asked) == 1
    event, = engine.rows("events")
    assert event["name"] == "push.event"
    engine.stop()
