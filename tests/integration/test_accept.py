"""The front door: what is answered, what is stored, what is recorded."""
import base64
import json
import socket
import subprocess
import threading
from random import Random

import pytest

from conftest import CONFIG, DEADLINE, sign, wait_for


def raw(engine, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", engine.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_signed_push_is_accepted_and_stored(engine):
    engine.start()
    body = b'{"ref":"refs/heads/main","n":1.10}'
    status, answer, _ = engine.push(body, delivery="d-1")
    assert status == 202 and answer["status"] == "accepted"
    [event] = engine.rows("events", answer["event"])
    assert event["name"] == "github.push" and event["body"] == body.decode()


def test_redelivery_is_a_duplicate_of_the_same_event(engine):
    engine.start()
    first = engine.push(delivery="d-1")
    again = engine.push(delivery="d-1")
    assert (first[0], again[0]) == (202, 200)
    assert again[1]["status"] == "duplicate" and again[1]["event"] == first[1]["event"]
    assert len(engine.rows("events")) == 1


def test_duplicates_are_known_after_a_restart(engine):
    engine.start()
    event = engine.push(delivery="d-1")[1]["event"]
    engine.kill()
    engine.start()
    status, answer, _ = engine.push(delivery="d-1")
    assert status == 200 and answer["event"] == event


def test_without_a_delivery_id_nothing_is_dropped(engine):
    engine.start()
    assert [engine.push()[0] for _ in range(3)] == [202, 202, 202]
    assert len(engine.rows("events")) == 3


@pytest.mark.parametrize("headers", [
    {"X-Hub-Signature-256": "sha256=" + "0" * 64},
    {"X-Hub-Signature-256": "sha256="},
    {"X-Hub-Signature-256": "sha1=" + "0" * 40},
    {},
])
def test_unproven_requests_are_refused_with_one_and_the_same_answer(engine, headers):
    engine.start()
    status, answer, _ = engine.request("POST", "/in/github", b"{}", {"Content-Type": "application/json", "X-GitHub-Event": "push", **headers})
    assert (status, answer) == (401, {"error": "unverified"})
    assert engine.rows("events") == []
    [delivery] = wait_for("it to be written", lambda: engine.rows("deliveries"))
    assert delivery["outcome"] == "unverified" and delivery["status"] == 401 and delivery["detail"]


def test_signature_header_twice_is_refused(engine):
    engine.start()
    body = b"{}"
    request = (f"POST /in/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nContent-Length: {len(body)}\r\n"
               f"X-Hub-Signature-256: {sign(body)}\r\nX-Hub-Signature-256: {sign(body)}\r\n\r\n").encode() + body
    assert b" 401 " in raw(engine, request).split(b"\r\n")[0]


@pytest.mark.parametrize("body,line,column", [(b'{"a":1,}', 1, 8), (b'{"a":\n tru}', 2, 2), (b"{} x", 1, 4), (b'{"a":"\x00"}', 1, 7), (b"[" * 65 + b"]" * 65, 1, 65), (b'"\xff"', 1, 2)])
def test_malformed_json_is_refused_with_its_place(engine, body, line, column):
    engine.start()
    status, answer, _ = engine.push(body)
    assert status == 400 and answer["error"] == "malformed"
    assert (answer["line"], answer["column"]) == (line, column)
    assert engine.rows("events") == []


def test_malformed_json_without_signature_is_only_unverified(engine):
    engine.start()
    assert engine.push(b"{", secret="wrong")[0] == 401


def test_refusals_by_kind(engine):
    engine.start()
    assert engine.request("POST", "/in/nobody", b"{}")[0] == 404
    assert engine.request("POST", "/in/github/", b"{}")[0] == 404
    assert engine.request("POST", "/in/%67ithub", b"{}")[0] == 404
    status, _, headers = engine.request("DELETE", "/in/github")
    assert status == 405 and "POST" in headers["Allow"]
    body = b"{}"
    assert engine.request("POST", "/in/github", body, {"Content-Type": "application/json", "Content-Encoding": "gzip", "X-Hub-Signature-256": sign(body)})[0] == 415
    status, answer, _ = engine.request("GET", "/healthz")
    assert (status, answer["status"]) == (200, "ok")


def test_ten_megabytes_are_refused_and_not_kept(engine):
    engine.start()
    body = b'{"a":"' + b"x" * 10_000_000 + b'"}'
    try:
        status = engine.push(body)[0]
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it answered and closed before the body was through
    assert status == 413
    assert engine.rows("events") == []
    assert engine.push()[0] == 202


def test_every_request_leaves_a_delivery_row(engine):
    engine.start()
    engine.push(delivery="a")
    engine.push(delivery="a")
    engine.push(secret="wrong")
    engine.push(b"{")
    engine.request("POST", "/nowhere", b"")
    engine.stop()
    rows = engine.rows("deliveries")
    assert [(row["status"], row["outcome"]) for row in reversed(rows)] == [
        (202, "accepted"), (200, "duplicate"), (401, "unverified"), (400, "malformed"), (404, "unknown_path")]
    assert all(row["remote"].startswith("127.0.0.1") for row in rows)


def test_chunked_body_is_verified_whole(engine):
    engine.start()
    body = b'{"ref":"refs/heads/main"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\n\r\n"
    request = (f"POST /in/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nTransfer-Encoding: chunked\r\n"
               f"X-Hub-Signature-256: {sign(body)}\r\n\r\n").encode() + chunks
    assert b" 202 " in raw(engine, request).split(b"\r\n")[0]


def in_chunks(random, body):
    at, chunks = 0, []
    while at < len(body):
        part = body[at:at + random.choice([1, 4095, 4096, 4097, 65536, 70_000, 300_000])]
        chunks.append(b"%x\r\n%s\r\n" % (len(part), part))
        at += len(part)
    return b"".join(chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("seed", range(4))
def test_large_bodies_behind_each_other_arrive_byte_for_byte(engine, seed):
    """Each is signed; what follows one in the socket is not read as its part. Sizes around those of the engine's reads, and the largest."""
    random = Random(seed)
    sizes = random.sample([100, 4000, 4096, 8191, 65_535, 65_536, 69_632, 262_144, 266_240, 700_000, 2**20], 8)
    requests, bodies = b"", []
    for size in sizes:
        body = b'{"n":"' + base64.b64encode(random.randbytes(size))[:size - 8] + b'"}'
        is_chunked = random.random() < 0.5
        length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
        requests += (f"POST /in/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n{length}\r\n"
                     f"X-Hub-Signature-256: {sign(body)}\r\n\r\n").encode() + (in_chunks(random, body) if is_chunked else body)
        bodies.append(body)
    engine.start()
    with socket.create_connection(("127.0.0.1", engine.port), timeout=DEADLINE) as connection:
        sender = threading.Thread(target=connection.sendall, args=(requests,))
        sender.start()
        answers = b""
        while answers.count(b"HTTP/1.1 202 ") < len(sizes):
            heard = connection.recv(65536)
            assert heard, answers[-300:]
            answers += heard
        sender.join()
    stored = [engine.rows("events", row["event"])[0]["body"].encode() for row in reversed(engine.rows("events"))]
    assert stored == bodies


def test_event_name_has_the_sources_prefix_and_the_action(engine):
    engine.start()
    engine.push(b'{"action":"opened"}', event="issues")
    assert engine.rows("events")[0]["name"] == "github.issues.opened"


def test_plain_http_off_loopback_needs_a_written_word(make_engine):
    engine = make_engine(CONFIG.replace("127.0.0.1:0", "0.0.0.0:0"))
    engine.start(wait=False)
    assert engine.ended() == 1
    assert any("allow_plaintext" in json.dumps(line) for line in engine.log)


def test_port_in_use_is_said_with_the_cure(make_engine):
    first = make_engine(name="one").start()
    second = make_engine(CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{first.port}"), name="two")
    second.start(wait=False)
    assert second.ended() == 1
    assert any(str(first.port) in json.dumps(line) for line in second.log)
    assert first.push()[0] == 202


def test_second_instance_on_one_folder_says_who_holds_it(engine):
    engine.start()
    pid = engine.process.pid
    from conftest import Engine
    other = Engine.__new__(Engine)
    other.__dict__.update({**engine.__dict__, "process": None, "log": [], "port": None})
    other.start(wait=False)
    assert other.ended() == 1
    assert any(str(pid) in json.dumps(line) for line in other.log)
    assert engine.push()[0] == 202


def test_sigterm_finishes_what_it_has_and_exits_0(engine):
    engine.start()
    accepted = [engine.push(delivery=f"d-{i}")[1]["event"] for i in range(50)]
    assert engine.stop() == 0
    engine.start()
    engine.finished_runs(50)
    assert {row["event"] for row in engine.rows("events", "--limit", "100")} == set(accepted)


@pytest.mark.parametrize("verify, secrets, user, challenge", [
    ("basic", "{username: {env: NAME}, password: {env: WORD}}", "alice", 'Basic realm="bellwire", charset="UTF-8"'),
    ("bearer", "{token: {env: WORD}}", "", 'Bearer realm="bellwire"'),
    ("standard-webhooks", "{signing_secret: {env: WORD}}", "", None),
])
def test_a_401_says_what_it_asks_for_where_http_has_a_name_for_it(make_engine, verify, secrets, user, challenge):
    engine = make_engine(f"listen: [http://127.0.0.1:0]\nsources:\n  one: {{path: /in/one, verify: {verify}, event: ping, secrets: {secrets}}}\n")
    engine.env["NAME"] = user
    engine.env["WORD"] = base64.b64encode(b"0123456789abcdef01234567").decode()
    engine.start()
    status, _, headers = engine.request("POST", "/in/one", b"{}", {"Content-Type": "application/json"})
    assert status == 401 and headers.get("WWW-Authenticate") == challenge
    if user:  # curl sends the password when it has been asked for one
        words = ["curl", "-sS", "--anyauth", "-u", f"{user}:{engine.env['WORD']}", "-d", "{}", "-H", "Content-Type: application/json"]
        assert json.loads(subprocess.run([*words, f"http://127.0.0.1:{engine.port}/in/one"], capture_output=True, check=True).stdout)["status"] == "accepted"
