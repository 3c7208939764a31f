"""Unix sockets: who listens on one, what becomes of its file, and whose address a request has that came over it."""
import http.client
import json
import os
import socket
import stat

import pytest

from conftest import CONFIG, DEADLINE, wait_for


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self.path)


def post(path, headers=None, target="/in/open"):
    connection = UnixConnection(path)
    try:
        connection.request("POST", target, b"{}", headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def config(listen, more=""):
    return CONFIG.replace("[http://127.0.0.1:0]", listen) + more


def remotes(engine):
    return [row["remote"] for row in engine.rows("deliveries")]


@pytest.mark.parametrize("threads", [1, 3])
def test_it_answers_and_its_file_goes_with_it(make_engine, threads):
    engine = make_engine(config('["unix:http.sock?mode=0606", http://127.0.0.1:0]', f"ingest_threads: {threads}\n"))
    engine.start()
    engine.wait_log("engine.listening", url="unix:./http.sock")
    path = engine.folder / "http.sock"
    assert stat.S_IMODE(path.lstat().st_mode) == 0o606
    for _ in range(8):
        assert post(path)[0] == 202
    assert engine.request("POST", "/in/open", b"{}")[0] == 202
    assert sorted(remotes(engine)) == ["127.0.0.1"] + ["unix"] * 8
    assert engine.stop() == 0
    assert not path.exists()


def test_only_what_trusted_proxies_says_is_believed(make_engine):
    engine = make_engine(config("unix:http.sock")).start()
    path = engine.folder / "http.sock"
    assert post(path, {"X-Forwarded-For": "203.0.113.5"})[0] == 202
    assert remotes(engine) == ["unix"]
    assert engine.stop() == 0
    engine.write("bellwire.yaml", config("unix:http.sock", "trusted_proxies: [unix]\n"))
    engine.start()
    assert post(path, {"X-Forwarded-For": "198.51.100.1, 203.0.113.5"})[0] == 202
    assert post(path, {"X-Forwarded-For": "unix"})[0] == 202
    assert sorted(remotes(engine)) == ["203.0.113.5", "unix", "unix"]


def test_a_source_may_be_for_the_socket_alone(make_engine):
    engine = make_engine(config("[unix:http.sock, http://127.0.0.1:0]").replace("    event: ping\n", "    event: ping\n    allow: [unix]\n"))
    engine.start()
    wait_for("the port", lambda: engine.port)
    assert post(engine.folder / "http.sock")[0] == 202
    assert engine.request("POST", "/in/open", b"{}")[0] == 403


def test_send_finds_the_socket(make_engine):
    engine = make_engine(config("unix:http.sock")).start()
    assert engine.run("send", "github", "--event", "push").stdout.startswith("202 ")


def test_a_socket_that_nobody_listens_on_is_replaced(make_engine):
    engine = make_engine(config("unix:http.sock")).start()
    path = engine.folder / "http.sock"
    engine.kill()
    assert path.is_socket()
    engine.start()
    assert post(path)[0] == 202


def refused(engine, code):
    engine.start(wait=False)
    line = engine.wait_log("engine.listen", code=code)
    assert engine.ended() == 1
    return line


def test_a_socket_that_somebody_listens_on_stays(make_engine):
    first = make_engine(config("unix:http.sock")).start()
    path = first.folder / "http.sock"
    second = make_engine(config(f"unix:{path}"), "second")
    assert "another process listens" in refused(second, "listen.in_use")["message"]
    assert post(path)[0] == 202


def test_a_socket_with_a_full_backlog_is_somebodys(make_engine):
    engine = make_engine(config("unix:http.sock"))
    path = engine.folder / "http.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as owner, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waits:
        owner.bind(str(path))
        owner.listen(0)
        waits.connect(str(path))
        refused(engine, "listen.in_use")
        assert path.is_socket()


def test_what_is_no_socket_stays(make_engine):
    engine = make_engine(config("unix:http.sock"))
    engine.write("http.sock", "a letter")
    assert "is no socket" in refused(engine, "listen.in_use")["message"]
    assert (engine.folder / "http.sock").read_text() == "a letter"
    os.unlink(engine.folder / "http.sock")
    (engine.folder / "http.sock").symlink_to("elsewhere")
    refused(engine, "listen.in_use")
    assert (engine.folder / "http.sock").is_symlink()


def test_a_folder_that_is_not_there_is_said(make_engine):
    engine = make_engine(config("unix:run/http.sock"))
    assert "RuntimeDirectory" in refused(engine, "listen.path")["hint"]


def test_a_file_that_another_engine_has_made_there_is_not_removed(make_engine):
    first = make_engine(config("unix:http.sock")).start()
    path = first.folder / "http.sock"
    path.unlink()
    second = make_engine(config(f"unix:{path}"), "second").start()
    assert first.stop() == 0
    assert post(path)[0] == 202
    assert second.stop() == 0
    assert not path.exists()
