"""The last answer of a connection arrives, whatever its sender still has under way: to close a socket with unread bytes in it would make the kernel throw
away what it has not sent yet, and tell the peer to do the same."""
import os
import re
import select
import socket
import ssl
import subprocess

import pytest

from conftest import ROOT, wait_for

REQUESTS_OF_ONE_CONNECTION = 1000
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
CONFIG = """
sources:
  open: {path: /in/open, verify: none, event: ping}
"""


@pytest.fixture(params=["http", "https", "unix"])
def dial(request, make_engine, tmp_path):
    """How to connect to an engine behind such a door. Little room for answers on the way: most of them are still the engine's when it closes."""
    kind = request.param
    listen = {"http": "http://127.0.0.1:0", "https": "https://127.0.0.1:0", "unix": f"unix:{tmp_path}/s"}[kind]
    engine = make_engine(f"listen: [\"{listen}\"]\n" + ("tls: {cert: tls/server.pem, key: tls/server.key}\n" if kind == "https" else "") + CONFIG)
    if kind == "https":
        subprocess.run([ROOT / "scripts" / "dev-cert"], cwd=engine.folder, check=True, capture_output=True)
        context = ssl.create_default_context(cafile=str(engine.folder / "tls" / "ca.pem"))
    engine.start()

    def connect():
        connection = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(str(tmp_path / "s") if kind == "unix" else ("127.0.0.1", engine.port))
        return context.wrap_socket(connection, server_hostname="localhost") if kind == "https" else connection
    connect.engine, connect.kind = engine, kind
    return connect


def statuses(heard):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", heard)]


NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def talk(connection, data, heard_before):
    """Says and hears until so many answers are there; says all the rest, or what is taken of it, and hears nothing meanwhile; then hears all that is left."""
    heard, said = b"", 0
    connection.setblocking(False)
    while len(statuses(heard)) < heard_before or said < len(data):
        is_hearing = len(statuses(heard)) < heard_before
        try:
            said += connection.send(data[said:said + 65536])
        except NOT_NOW:
            assert any(select.select([connection] if is_hearing else [], [connection], [], 60)), "it neither takes anything nor says anything"
        except OSError:
            said = len(data)  # it takes no more
        if not is_hearing:
            continue
        try:
            piece = connection.recv(1024)
        except NOT_NOW:
            continue
        assert piece, f"it ends after {len(statuses(heard))} answers"
        heard += piece
    connection.settimeout(60)
    while piece := connection.recv(65536):
        heard += piece
    return heard


@pytest.mark.parametrize("request_bytes,status", [(GET, 200), (POST, 202)], ids=["answered at once", "stored first"])
def test_of_more_requests_than_one_connection_may_have_all_owed_answers_come(dial, request_bytes, status):
    with dial() as connection:
        heard = talk(connection, request_bytes * (20 * REQUESTS_OF_ONE_CONNECTION), REQUESTS_OF_ONE_CONNECTION - 20)
    assert statuses(heard) == [status] * REQUESTS_OF_ONE_CONNECTION
    assert heard.lower().count(b"connection: close") == 1
    assert len(dial.engine.rows("events", "--limit", "5000")) == (REQUESTS_OF_ONE_CONNECTION if status == 202 else 0)


def test_a_refusal_arrives_though_more_is_on_its_way(dial):
    with dial() as connection:
        heard = talk(connection, POST * 40 + REFUSED + b"x" * 3_000_000, 0)
    assert statuses(heard) == [202] * 40 + [400]


def test_who_never_closes_its_side_is_let_go(dial):
    def sockets():
        folder = f"/proc/{dial.engine.process.pid}/fd"
        return [name for name in os.listdir(folder) if os.path.islink(f"{folder}/{name}") and os.readlink(f"{folder}/{name}").startswith("socket:")]
    before = len(sockets())
    with dial() as connection:
        connection.sendall(REFUSED)
        heard = b""
        while piece := connection.recv(65536):
            heard += piece
        assert statuses(heard) == [400]
        wait_for("its end", lambda: len(sockets()) == before)
