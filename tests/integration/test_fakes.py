"""The base of the fakes that play vendors (tests/fakes/server.py)."""
import http.client
import json
import threading

import pytest

from conftest import wait_for
from fakes.server import Answer, Refused, Server


def ask(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def server():
    with Server() as made:
        yield made


def test_requests_are_kept_and_routed(server):
    server.on("GET", "/contacts/{id}/notes", lambda request, id: {"of": id})
    assert ask(server, "GET", "/contacts/a%2Fb/notes?limit=2&limit=3") == (200, b'{"of": "a/b"}')
    server.on("POST", "/contacts", lambda request: (201, {"got": request.json["name"]}, {"X-Made": "yes"}))
    assert ask(server, "POST", "/contacts", json.dumps({"name": "Ada"}), {"X-Key": "k"}) == (201, b'{"got": "Ada"}')
    first, second = server.requests
    assert (first.path, first.query, first.target) == ("/contacts/a%2Fb/notes", {"limit": ["2", "3"]}, "/contacts/a%2Fb/notes?limit=2&limit=3")
    assert (second.method, second.headers["x-key"], second.json) == ("POST", "k", {"name": "Ada"})
    assert server.at("/contacts") == [second]
    assert ask(server, "DELETE", "/contacts")[0] == 404


def test_a_body_in_chunks_is_read_and_sent(server):
    server.on("POST", "/stream", lambda request: Answer(200, (part for part in [request.body, b"", b"second"])))
    assert ask(server, "POST", "/stream", iter([b"fi", b"rst "])) == (200, b"first second")


def test_faults_are_those_of_the_next_requests_only(server):
    server.on("GET", "/a", lambda request: {"ok": True})
    server.on("GET", "/b", lambda request: {"ok": True})
    server.fail(429, {"slow": "down"}, times=2, path="/a$")
    assert [ask(server, "GET", path)[0] for path in ("/b", "/a", "/a", "/a")] == [200, 429, 429, 200]
    server.cut(after=3)
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "GET", "/a")
    server.cut(after=-1)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "GET", "/a")
    assert ask(server, "GET", "/a")[0] == 200


def test_a_fault_may_come_after_the_work_and_be_of_one_method_only(server):
    made = []
    server.on("POST", "/a", lambda request: made.append(1))
    server.on("GET", "/a", lambda request: {"ok": True})
    server.fail(500, method="POST", done=True)
    assert [ask(server, method, "/a")[0] for method in ("GET", "POST", "POST")] == [200, 500, 200] and len(made) == 2


def test_a_stalled_request_is_answered_after_its_release(server):
    server.on("GET", "/slow", lambda request: {"ok": True})
    server.stall()
    answers = []
    client = threading.Thread(target=lambda: answers.append(ask(server, "GET", "/slow")))
    client.start()
    wait_for("the request", lambda: server.at("/slow"))
    assert not answers
    server.release()
    client.join()
    assert answers == [(200, b'{"ok": true}')]


def test_a_refusal_is_an_answer_and_a_faulty_handler_fails_the_test():
    server = Server()

    def refuse(request):
        raise Refused(422, {"message": "email is required"})
    server.on("POST", "/refuses", refuse)
    server.on("POST", "/faulty", lambda request: request.json["missing"])
    assert ask(server, "POST", "/refuses", "{}") == (422, b'{"message": "email is required"}')
    assert ask(server, "POST", "/faulty", "{}")[0] == 500
    with pytest.raises(KeyError):
        server.close()
