"""The front door against senders who mean no good: too many connections, too few descriptors. Plain and over TLS."""
import fcntl
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import time

import pytest

from conftest import ROOT, wait_for

SOURCES = """
sources:
  open: {path: /in/open, verify: none, event: ping}
"""
POST = b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def own_address():
    """One of this machine that is not loopback: what is sent to it does not leave the machine."""
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                packed = fcntl.ioctl(probe, 0x8915, struct.pack("256s", name.encode()))  # SIOCGIFADDR
            except OSError:
                continue
        address = socket.inet_ntoa(packed[20:24])
        if not address.startswith("127."):
            return address
    return None


@pytest.fixture(params=["http", "https"])
def door(request, make_engine):
    """An engine behind that kind of door, and how to connect to it."""
    class Door:
        scheme = request.param

        def open(self, settings="", address="127.0.0.1"):
            tls = "tls: {cert: tls/server.pem, key: tls/server.key}\n" if self.scheme == "https" else "allow_plaintext: true\n"
            self.address = address
            self.engine = make_engine(f"listen: [{self.scheme}://{address}:0]\n" + tls + settings + SOURCES)
            if self.scheme == "https":
                subprocess.run([ROOT / "scripts" / "dev-cert"], cwd=self.engine.folder, check=True, capture_output=True)
                self.context = ssl.create_default_context(cafile=str(self.engine.folder / "tls" / "ca.pem"))
            return self.engine

        def dial(self, is_bare=False):
            bare = socket.create_connection((self.address, self.engine.port), timeout=60)
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return bare if is_bare or self.scheme == "http" else self.context.wrap_socket(bare, server_hostname="localhost")

        def ask(self, request=POST):
            with self.dial() as connection:
                connection.sendall(request)
                return int(connection.recv(4096).split()[1])
    return Door()


def logged(engine, name):
    return [line for line in list(engine.log) if line.get("log") == name]


def test_one_address_may_not_have_all_connections(door):
    address = own_address()
    if not address:
        pytest.skip("this machine has no address but loopback")
    engine = door.open("max_connections_per_address: 4\n", address)
    engine.start()
    inside = [door.dial() for _ in range(4)]
    for _ in range(20):
        with door.dial(is_bare=True) as outside:  # closed at once, before a byte is said
            assert outside.recv(1) == b""
    for connection in inside:
        connection.sendall(POST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 202")
    assert wait_for("the last of them in the log", lambda: sum(line["times"] for line in logged(engine, "ingest.address_full")) == 20)
    assert {line["address"] for line in logged(engine, "ingest.address_full")} == {address}
    assert len(engine.rows("deliveries")) == 4
    inside.pop().close()

    def has_room():
        try:
            return door.ask() == 202
        except (OSError, IndexError):
            return False
    wait_for("room for another", has_room)
    for connection in inside:
        connection.close()


def test_a_storm_with_64_descriptors_is_a_line_a_second_and_no_loop(door):
    """However slow the machine: a line a second is no more lines than seconds have gone by, and one."""
    engine = door.open("request_deadline: 1s\n")
    engine.start()
    began = time.monotonic()
    resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    for _ in range(5):
        storm = [door.dial(is_bare=True) for _ in range(200)]  # most of them wait in the kernel
        failed = len(logged(engine, "ingest.accept_failed"))
        wait_for("the engine to be out of descriptors", lambda: len(logged(engine, "ingest.accept_failed")) > failed)
        for connection in storm:
            connection.close()
        assert door.ask() == 202
    lines = logged(engine, "ingest.accept_failed")
    assert len(lines) <= time.monotonic() - began + 1
    assert not logged(engine, "libevent")


@pytest.mark.parametrize("attack", [
    ["-H", "-i", "1"],                                    # heads that never end
    ["-B", "-i", "1", "-s", "8192", "-x", "10"],          # bodies that drip
    ["-R", "-t", "HEAD"],                                 # ranges
    ["-X", "-w", "1", "-y", "2", "-n", "1", "-z", "1"],   # answers that are not taken
], ids=["heads", "bodies", "ranges", "answers"])
def test_slow_senders_keep_nobody_from_being_served(door, attack):
    if not shutil.which("slowhttptest"):
        pytest.skip("slowhttptest is not installed: scripts/install test")
    engine = door.open("request_deadline: 2s\nidle: 2s\nmax_connections: 500\n")
    engine.start()
    url = f"{door.scheme}://127.0.0.1:{engine.port}/in/open"
    slow = subprocess.Popen(["slowhttptest", *attack, "-c", "200", "-r", "200", "-l", "6", "-p", "3", "-u", url], cwd=engine.folder, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        served = 0
        while slow.poll() is None:
            assert door.ask() == 202
            served += 1
    finally:
        if slow.poll() is None:
            slow.terminate()
            slow.wait(60)
    assert served > 0
    assert door.ask() == 202
