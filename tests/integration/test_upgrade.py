"""Another program takes the engine's place (SIGUSR2): no connection is refused, nothing is lost, the process id stays. And when it cannot, nothing changes."""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import threading

import pytest

from conftest import BINARY, DEADLINE, wait_for
from test_limits import Server
from test_sockets import config, post
from test_systemd import Manager, listening


class Program:
    """Where the engine is started from. What is there next is a script that notes that it was started, and becomes the real one."""

    def __init__(self, folder):
        self.path, self.notes = folder / "bellwire", folder / "started"
        shutil.copy(BINARY, self.path)

    def replace(self, before=""):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f'#!/bin/sh\n{before}\necho "$1" >> {self.notes}\nexec {BINARY} "$@"\n')
        fresh.chmod(0o755)
        fresh.rename(self.path)

    def started(self):
        return self.notes.read_text().split() if self.notes.exists() else []


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    return Program(folder)


def listened(engine):
    return sum(line.get("log") == "engine.listening" for line in engine.log)


def upgrade(engine):
    before = listened(engine)
    engine.process.send_signal(signal.SIGUSR2)
    wait_for("the next program", lambda: listened(engine) > before)


class Callers:
    """Fresh connections without a pause."""

    def __init__(self, port, count=3):
        self.answers, self.ends = [], threading.Event()
        self.port = port
        self.threads = [threading.Thread(target=self.knock) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def knock(self):
        while not self.ends.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
            try:
                connection.request("POST", "/in/open", b"{}", {"Connection": "close"})
                self.answers.append(connection.getresponse().status)
            except OSError as error:
                self.answers.append(repr(error))
            finally:
                connection.close()

    def more(self):
        before = len(self.answers)
        wait_for("traffic", lambda: len(self.answers) > before + 20)

    def end(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(DEADLINE)
        return self.answers


def descriptors(engine):
    """Without the disk's reserve, which the store opens when it is first idle."""
    paths = [path for path in pathlib.Path(f"/proc/{engine.process.pid}/fd").iterdir() if path.is_symlink()]
    return sorted(name for name in (os.readlink(path).split("[")[0].split(":")[0] for path in paths) if not name.endswith("/reserve"))


def listening_sockets(port):
    """Their inodes: connections that wait in the backlog of one that is closed are refused."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


@pytest.mark.parametrize("threads", [[1, 1, 1], [3, 1, 2]])
def test_no_connection_is_refused(make_engine, program, threads):
    """Also when the next one has fewer threads than there are sockets, or more."""
    def text(count):
        return config("http://127.0.0.1:0", f"ingest_threads: {count}\n")
    engine = make_engine(text(threads[0]))
    engine.start("--log-level", "info", binary=program.path)
    pid, port = engine.process.pid, engine.port
    callers, sockets = Callers(port), listening_sockets(port)
    assert len(sockets) == threads[0]
    program.replace()
    for count in threads[1:]:
        callers.more()
        engine.write("bellwire.yaml", text(count))
        upgrade(engine)
        assert program.started() == ["check", "serve"]  # from then on it is the program that the script has become
        assert engine.port == port and engine.process.pid == pid and listening_sockets(port) == sockets
        callers.more()
    answers = callers.end()
    assert set(answers) == {202}
    assert engine.stop() == 0
    assert len(engine.rows("events", "--limit", "100000")) == len(answers)


def test_nothing_is_left_behind_in_the_process(make_engine, program):
    engine = make_engine(config('[http://127.0.0.1:0, "unix:http.sock"]'))
    engine.start(binary=program.path)
    wait_for("both addresses", lambda: listened(engine) == 2)
    upgrade(engine)
    wait_for("both addresses", lambda: listened(engine) == 4)
    first = descriptors(engine)
    for generation in range(3, 6):
        upgrade(engine)
        wait_for("both addresses", lambda: listened(engine) == 2 * generation)
    wait_for("as many descriptors as after the first upgrade", lambda: descriptors(engine) == first)
    environment = pathlib.Path(f"/proc/{engine.children('worker')[0]}/environ").read_bytes()
    assert b"LISTEN_" not in environment and b"WEBHOOK_SECRET" not in environment
    assert post(engine.folder / "http.sock")[0] == 202
    assert engine.stop() == 0
    assert not (engine.folder / "http.sock").exists()  # it was the first one's, and is ours


def start_slow(make_engine, program):
    """Each event's run asks a server that answers nobody before its gate is open."""
    server = Server()
    server.gate.clear()
    engine = make_engine(config("http://127.0.0.1:0"))
    engine.write("workflows/slow.yaml", f"name: slow\non: [{{event: '**'}}]\nsteps: [{{id: ask, lua: \"return {{status = ctx.http{{method = 'POST', url = '{server.url}/a'}}.status}}\"}}]\n")
    engine.start(binary=program.path)
    return engine, server


def test_runs_come_to_their_end_and_what_is_accepted_meanwhile_is_run_by_the_next(make_engine, program):
    engine, server = start_slow(make_engine, program)
    assert engine.request("POST", "/in/open", b'{"n":1}')[0] == 202
    wait_for("the first run's request", lambda: len(server.arrivals) == 1)
    program.replace()
    engine.process.send_signal(signal.SIGUSR2)
    engine.wait_log("upgrade.making_way", events_in_hand=1)
    assert engine.request("POST", "/in/open", b'{"n":2}')[0] == 202
    assert len(server.arrivals) == 1 and listened(engine) == 1
    server.gate.set()
    runs = engine.finished_runs(2)
    assert listened(engine) == 2 and len(server.arrivals) == 2
    assert [run["state"] for run in runs] == ["succeeded", "succeeded"] and [run["steps"][0]["attempt"] for run in runs] == [1, 1]


def test_a_program_that_cannot_read_the_configuration_changes_nothing(make_engine, program):
    engine = make_engine(config("http://127.0.0.1:0"))
    engine.start(binary=program.path)
    good = (engine.folder / "bellwire.yaml").read_text()
    engine.write("bellwire.yaml", good + "listne: 1\n")
    engine.process.send_signal(signal.SIGUSR2)
    line = engine.wait_log("upgrade.refused", code="program.exit")
    assert "listne" in line["message"] and "bellwire.yaml:" in line["message"]
    assert engine.request("POST", "/in/open", b"{}")[0] == 202
    engine.write("bellwire.yaml", good)
    program.path.unlink()
    engine.process.send_signal(signal.SIGUSR2)
    engine.wait_log("upgrade.refused", code="program.start")
    assert engine.request("POST", "/in/open", b"{}")[0] == 202 and listened(engine) == 1


def test_a_program_that_cannot_be_started_leaves_the_one_before(make_engine, program):
    engine = make_engine(config("http://127.0.0.1:0"))
    engine.start(binary=program.path)
    port = engine.port
    program.replace(before='rm "$0"')  # good when it is asked, and gone when it is to serve
    upgrade(engine)
    engine.wait_log("upgrade.failed", code="upgrade.start")
    assert program.started() == ["check"] and engine.port == port
    assert engine.request("POST", "/in/open", b"{}")[0] == 202


def test_an_address_that_is_not_in_the_list_any_more_is_closed(make_engine, program):
    with listening() as one, listening() as other:
        kept, left = one.getsockname()[1], other.getsockname()[1]
    engine = make_engine(config(f"[http://127.0.0.1:{kept}, http://127.0.0.1:{left}]"))
    engine.start(binary=program.path)
    wait_for("both addresses", lambda: listened(engine) == 2)
    engine.write("bellwire.yaml", config(f"[http://127.0.0.1:{kept}, \"unix:new.sock\"]"))
    engine.process.send_signal(signal.SIGUSR2)
    wait_for("both addresses", lambda: listened(engine) == 4)
    assert engine.wait_log("listen.given_up")["address"] == f"127.0.0.1:{left}"
    assert post(engine.folder / "new.sock")[0] == 202
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", left), DEADLINE)
    socket.create_connection(("127.0.0.1", kept), DEADLINE).close()


def test_a_stop_while_it_makes_way_is_a_stop(make_engine, program):
    engine, server = start_slow(make_engine, program)
    assert engine.request("POST", "/in/open", b"{}")[0] == 202
    wait_for("the request", lambda: server.arrivals)
    engine.process.send_signal(signal.SIGUSR2)
    engine.wait_log("upgrade.making_way")
    engine.process.send_signal(signal.SIGTERM)
    engine.wait_log("engine.stopping")
    server.gate.set()
    assert engine.ended() == 0
    assert [row["state"] for row in engine.rows("runs")] == ["succeeded"]


def test_the_service_manager_sees_a_reload_and_its_sockets_stay_its_own(make_engine, program, tmp_path):
    path = tmp_path / "given.sock"
    with listening() as port, listening(socket.AF_UNIX, str(path)) as file:
        engine = make_engine(config(f'[http://127.0.0.1:{port.getsockname()[1]}, "unix:{path}"]'))
        manager = Manager(engine, str(tmp_path / "notify"))
        engine.env["WATCHDOG_USEC"] = "30000000"
        engine.start(sockets=[port, file], binary=program.path)
        assert manager.wait("READY")
        for _ in range(2):
            engine.process.send_signal(signal.SIGUSR2)
            assert int(manager.wait("RELOADING")["MONOTONIC_USEC"]) > 0
            assert manager.wait("READY")["STATUS"].startswith("listening on")
            assert post(path)[0] == 202
        assert engine.stop() == 0
        assert path.exists()  # it was given, two programs ago
        manager.socket.close()
