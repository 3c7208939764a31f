"""How the engine stands under systemd, without one: sockets that are handed over, and what the service manager is told. The test is the manager."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from conftest import BUILD, DEADLINE, ROOT, wait_for
from test_sockets import config, post, refused


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    one = socket.socket(family, socket.SOCK_STREAM)
    one.bind(address)
    one.listen(128)
    return one


# ---- sockets that are handed over ----

@pytest.mark.parametrize("threads", [1, 3])
def test_sockets_are_found_by_their_address(make_engine, threads, tmp_path):
    path = tmp_path / "given.sock"
    with listening() as v4, listening(socket.AF_INET6, ("::1", 0)) as v6, listening(socket.AF_UNIX, str(path)) as file:
        p4, p6 = v4.getsockname()[1], v6.getsockname()[1]
        engine = make_engine(config(f'["http://[::1]:{p6}", unix:own.sock, http://127.0.0.1:{p4}, "unix:{path}"]', f"ingest_threads: {threads}\n"))
        engine.start(sockets=[file, v4, v6])
        wait_for("all addresses", lambda: sum(line.get("log") == "engine.listening" for line in engine.log) == 4)
        for one in (path, engine.folder / "own.sock"):
            assert post(one)[0] == 202
        for host, port in (("127.0.0.1", p4), ("::1", p6)):
            for _ in range(5):
                connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
                connection.request("POST", "/in/open", b"{}")
                assert connection.getresponse().status == 202
                connection.close()
        for role in ("worker", "host"):
            for pid in engine.children(role):
                names = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
                ours = {f"socket:[{os.fstat(one.fileno()).st_ino}]" for one in (v4, v6, file)}
                assert not names & ours
                assert b"LISTEN_FDS" not in open(f"/proc/{pid}/environ", "rb").read()
        assert engine.stop() == 0
        assert path.exists() and not (engine.folder / "own.sock").exists()  # what was given is not ours to remove


def test_a_socket_that_no_address_is_for_is_an_error(make_engine):
    with listening() as given:
        port = given.getsockname()[1]
        engine = make_engine()
        engine.start(wait=False, sockets=[given])
        line = engine.wait_log("engine.start", code="listen.inherited")
        assert f"127.0.0.1:{port}" in line["message"] and "ListenStream" in line["hint"]
        assert engine.ended() == 1


def test_what_does_not_listen_is_an_error(make_engine):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, open(os.devnull) as nothing:
        for given in (datagrams, nothing):
            engine = make_engine()
            engine.start(wait=False, sockets=[given])
            assert "Accept=no" in engine.wait_log("engine.start", code="listen.inherited_kind")["hint"]
            assert engine.ended() == 1


def test_sockets_of_another_process_are_left_alone(make_engine):
    engine = make_engine()
    engine.env.update(LISTEN_PID="1", LISTEN_FDS="1")
    engine.start()
    assert engine.push()[0] == 202


def test_no_connection_is_refused_while_the_engine_is_started_again(make_engine):
    """Fresh connections without a pause through restarts: each one is answered, and each 202 is in the store."""
    with listening() as given:
        given.listen(4096)
        port = given.getsockname()[1]
        engine = make_engine(config(f"http://127.0.0.1:{port}"))
        engine.start(sockets=[given])
        answers, ends = [], threading.Event()

        def knock():
            while not ends.is_set():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
                try:
                    connection.request("POST", "/in/open", b"{}", {"Connection": "close"})
                    answers.append(connection.getresponse().status)
                except OSError as error:
                    answers.append(repr(error))
                finally:
                    connection.close()
        threads = [threading.Thread(target=knock) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            before = len(answers)
            wait_for("traffic", lambda: len(answers) > before + 20)
            assert engine.stop() == 0
            engine.start(sockets=[given])
        ends.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert set(answers) == {202}
        assert len(engine.rows("events", "--limit", "100000")) == len(answers)


# ---- what the service manager is told ----

class Manager:
    def __init__(self, engine, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(DEADLINE)
        engine.env["NOTIFY_SOCKET"] = address.replace("\0", "@")

    def told(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def wait(self, name):
        while True:
            message = self.told()
            if name in message:
                return message


@pytest.fixture(params=["path", "abstract"])
def manager(request, engine, tmp_path):
    made = Manager(engine, str(tmp_path / "notify") if request.param == "path" else f"\0bellwire-test-{os.getpid()}")
    yield made
    made.socket.close()


def test_ready_reloading_and_stopping_are_told(engine, manager):
    engine.start()
    message = manager.told()
    assert message["READY"] == "1" and message["STATUS"] == f"listening on http://127.0.0.1:{engine.port}"
    for text, log in (("name: [", "catalog.refused"), ("name: other\non: [{event: a.b}]\nsteps: [{id: a, lua: return 1}]\n", "catalog.activated")):
        engine.write("workflows/other.yaml", text)
        engine.process.send_signal(signal.SIGHUP)
        assert int(manager.wait("RELOADING")["MONOTONIC_USEC"]) > 0
        assert manager.told() == {"READY": "1"}  # also when the files are refused: it serves on
        engine.wait_log(log)
    engine.process.send_signal(signal.SIGTERM)
    assert manager.told()["STOPPING"] == "1"
    assert engine.ended() == 0
    worker_knows = [pid for pid in engine.log if "NOTIFY_SOCKET" in str(pid)]
    assert not worker_knows


def test_nothing_is_told_before_it_listens(make_engine, tmp_path):
    with listening() as taken:
        engine = make_engine(config(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        manager = Manager(engine, str(tmp_path / "notify"))
        refused(engine, "listen.in_use")
        manager.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.told()
        manager.socket.close()


def test_the_watchdog_is_fed(engine, tmp_path):
    manager = Manager(engine, str(tmp_path / "notify"))
    engine.env["WATCHDOG_USEC"] = "200000"
    engine.start()
    for _ in range(5):
        assert manager.wait("WATCHDOG") == {"WATCHDOG": "1"}
    assert engine.push()[0] == 202
    manager.socket.close()


def test_a_watchdog_of_another_process_is_not_fed(engine, tmp_path):
    manager = Manager(engine, str(tmp_path / "notify"))
    engine.env.update(WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    engine.start()
    assert engine.push()[0] == 202
    assert engine.stop() == 0
    messages = []
    manager.socket.setblocking(False)
    try:
        while True:
            messages.append(manager.told())
    except BlockingIOError:
        pass
    assert [sorted(message) for message in messages] == [["READY", "STATUS"], ["STATUS", "STOPPING"]]
    manager.socket.close()


def test_a_manager_that_is_gone_does_not_matter(engine, tmp_path):
    engine.env["NOTIFY_SOCKET"] = str(tmp_path / "nobody")
    engine.start()
    engine.wait_log("notify.lost")
    assert engine.push()[0] == 202
    assert engine.stop() == 0


# ---- the units ----

def analyze(*arguments):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not there (package systemd)")
    result = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=DEADLINE)
    return result.stdout + result.stderr


def test_the_service_is_hardened():
    said = analyze("security", "--offline=true", "--no-pager", str(BUILD / "bellwire.service"))
    score = re.search(r"Overall exposure level for bellwire.service: ([0-9.]+)", said)
    assert score, said
    assert float(score.group(1)) <= 2.0, said


def test_the_units_have_no_unknown_setting(tmp_path):
    """With the program where the unit looks for it, nothing is left to complain about."""
    text = (BUILD / "bellwire.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", text, re.M).group(1)
    assert program.endswith("/bin/bellwire")
    (tmp_path / "bellwire.service").write_text(text.replace(program, "/bin/true"))
    shutil.copy(ROOT / "scripts/systemd/bellwire.socket", tmp_path)
    assert analyze("verify", "--man=no", str(tmp_path / "bellwire.service"), str(tmp_path / "bellwire.socket")) == ""
