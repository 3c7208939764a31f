"""The 33 cases of h1spec (github.com/uNetworking/h1spec, http_test.ts) against the engine as the front door's README says it is set up for them: what is
sent, and which statuses are right. Where h1spec only looks whether a server waits for half a second, the rest is sent here as well: then there is exactly
one answer to the whole."""
import re
import select
import socket

import pytest

from conftest import ROOT


def documented(name):
    """The block of the README that is the file of this name."""
    text = (ROOT / "engine" / "ingest" / "README.md").read_text()
    return re.search(rf"^# {re.escape(name)}\n.*?(?=^```)", text, re.M | re.S)[0]


HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAITS = ["G", "GET ", "GET /hello", "GET /hello ", "GET /hello HTTP", "GET /hello HTTP/1.1", "GET /hello HTTP/1.1\r", "GET /hello HTTP/1.1\r\n",
         "GET /hello HTTP/1.1\r\nHos", "GET /hello HTTP/1.1\r\nHost:", "GET /hello HTTP/1.1\r\nHost: ", "GET /hello HTTP/1.1\r\nHost: localhost",
         "GET /hello HTTP/1.1\r\nHost: localhost\r", "GET /hello HTTP/1.1\r\nHost: localhost\r\n", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r"]


def get(*fields):
    return "".join(line + "\r\n" for line in ("GET / HTTP/1.1",) + fields) + "\r\n"


def post(fields, body):
    return "POST / HTTP/1.1\r\nHost: example.com\r\n" + "".join(field + "\r\n" for field in fields) + "\r\n" + body


HOST = "Host: example.com"
GOOD, WRONG, REFUSED = {2}, {4}, {4, 5}
CHUNKS = "c\r\nHellO world1\r\n0\r\n\r\n"
ANSWERED = [  # what is sent, the first digit of the status, 1 being that of "100 Continue"
    ("no version", "GET / \r\n\r\n", REFUSED),
    ("expectation without a body", get(HOST, "Expect: 100-continue"), GOOD | {1}),
    ("GET", get(HOST), GOOD),
    ("tab before a value, no value, names in any case", get("hoSt:\texample.com", "empty:"), GOOD),
    ("brackets in a name", get(HOST, "X-Invalid[]: test"), WRONG),
    ("no host", get("Content-Length: 5"), WRONG),
    ("two hosts", get(HOST, "Host: example.org"), WRONG),
    ("a length far below zero", get(HOST, "Content-Length: -123456789123456789123456789"), WRONG),
    ("a length below zero", get(HOST, "Content-Length: -1234"), WRONG),
    ("a length of letters", get(HOST, "Content-Length: abc"), WRONG),
    ("no value but a blank", get(HOST, "X-Empty-Header: "), GOOD),
    ("control character in a value", get(HOST, "X-Bad-Control-Char: test\x07"), WRONG),
    ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: example.com\r\n\r\n", REFUSED),
    ("words in front of the method", "Extra line" + get(HOST), REFUSED),
    ("carriage return in front of a name", get(HOST, "\rSome-Header: Test"), WRONG),
    ("POST", post(["Content-Length: 5"], "hello"), GOOD),
    ("chunks", post(["Transfer-Encoding: chunked"], CHUNKS), GOOD),
    ("length and chunks in any case", post(["content-LengtH: 5", "TransFer-Encoding: chunked"], CHUNKS), WRONG),  # 2xx would be right, too
]


@pytest.fixture
def instance(make_engine):
    engine = make_engine(documented("bellwire.yaml: one source at the root") + "\nlisten: [http://127.0.0.1:0]\n")
    engine.write("schemes/anybody.yaml", documented("schemes/anybody.yaml"))
    return engine.start()


def dial(engine):
    connection = socket.create_connection(("127.0.0.1", engine.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def hear(connection):
    """The statuses of all that comes until the connection ends: whoever asks says that it sends nothing more."""
    heard = b""
    connection.shutdown(socket.SHUT_WR)
    while piece := connection.recv(65536):
        heard += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", heard)]


def test_there_are_33_cases():
    assert len(WAITS) + len(ANSWERED) == 33


def test_what_is_whole_is_answered(instance):
    for name, text, digits in ANSWERED:
        with dial(instance) as connection:
            connection.sendall(text.encode("latin-1"))
            status = int(connection.recv(65536).split()[1])
        assert status // 100 in digits, (name, status)


def test_what_is_not_whole_is_waited_for(instance):
    for beginning in WAITS:
        with dial(instance) as connection, dial(instance) as other:
            connection.sendall(beginning.encode())
            other.sendall(HELLO)
            assert hear(other) == [404]  # by now the beginning has been read, or it comes to the same
            assert not select.select([connection], [], [], 0)[0], beginning
            connection.sendall(HELLO[len(beginning):])
            assert hear(connection) == [404], beginning
