"""The files of tests/corpus over real sockets: the verdict is that of the gate, however the bytes come, and a request never becomes two.

Through nginx and HAProxy too, which see requests their own way: as many as they pass on are as many as the engine sees."""
import http.client
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from conftest import ROOT, wait_for

CONFIG = """
listen: [http://127.0.0.1:0, https://127.0.0.1:0]
tls: {cert: tls/server.pem, key: tls/server.key}
sources:
  open: {path: /in/open, verify: none, event: ping}
"""
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def corpus():
    escapes = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
    cases = []
    texts = [(ROOT / "tests" / "corpus" / name).read_text() for name in ("requests.txt", "desync.txt")]
    for line in "".join(texts).splitlines():
        if line.startswith("#"):
            continue
        verdict, name, text = line.split("\t")
        parts = re.findall(r"\\x([0-9a-f]{2})|\\(.)|([^\\]+)", text)
        cases.append((name, int(verdict[0]), verdict[1] == "!", b"".join(bytes.fromhex(x) if x else escapes[e] if e else t.encode() for x, e, t in parts)))
    return cases


CASES = corpus()


def statuses(heard):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", heard) if status != b"100"]


def hear(connection, count=None):
    """Until so many answers are there, or until the other side ends."""
    heard = b""
    while count is None or len(statuses(heard)) < count or not heard.endswith(b"\n"):
        try:
            piece = connection.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            break
        if not piece:
            break
        heard += piece
    return heard


def say(connection, data, step):
    try:
        for at in range(0, len(data), step):
            connection.sendall(data[at:at + step])
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass  # refused before all was said


@pytest.fixture
def instance(make_engine):
    engine = make_engine(CONFIG)
    subprocess.run([ROOT / "scripts" / "dev-cert"], cwd=engine.folder, check=True, capture_output=True)
    engine.start()

    def ports():
        return [int(line["url"].rsplit(":", 1)[1]) for line in list(engine.log) if line.get("log") == "engine.listening"]
    wait_for("both of its doors in the log", lambda: len(ports()) == 2)
    return engine, ports()


@pytest.mark.parametrize("step", [1 << 20, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("door", ["http", "https"])
def test_over_sockets_the_verdict_is_the_same(instance, door, step):
    engine, ports = instance
    context = ssl.create_default_context(cafile=str(engine.folder / "tls" / "ca.pem"))
    for name, passes, is_refused, data in CASES:
        connection = socket.create_connection(("127.0.0.1", ports[door == "https"]), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if door == "https":
            connection = context.wrap_socket(connection, server_hostname="localhost")
        with connection:
            say(connection, data if is_refused else data + LAST, step)
            heard = hear(connection, None if is_refused else passes + 1)
        got = statuses(heard)
        if is_refused:
            assert all(status < 300 for status in got[:-1]) and len(got) == passes + 1, (name, heard)
            assert 400 <= got[-1] < 500 or got[-1] in (501, 505), (name, heard)
            assert b"connection: close" in heard.lower(), name
        else:
            assert got == [status for status in got if status < 300] and len(got) == passes + 1, (name, heard)


@pytest.mark.parametrize("options", ["close", "Close", "keep-alive, close", "close, keep-alive", "\tx ,close", "x\r\nConnection: close", "keep-alive\r\nX: y\r\nconnection: ,\tCLOSE ,"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_behind_a_request_that_asks_to_close_nothing_is_read(instance, options, version):
    """Whoever passed it on has done with the connection, and takes what follows for nobody's."""
    engine, ports = instance
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=60) as connection:
        say(connection, f"POST /in/open HTTP/{version}\r\nHost: x\r\nConnection: {options}\r\nContent-Length: 2\r\n\r\n{{}}".encode() + LAST, 1 << 20)
        heard = hear(connection)
    assert statuses(heard) == [202] and (b"connection: close" in heard.lower() or version == "1.0"), heard


@pytest.mark.parametrize("options", ["closed", "not-close", "close;q=1", "keep-alive", "Upgrade, HTTP2-Settings", ","])
def test_what_does_not_ask_to_close_does_not(instance, options):
    engine, ports = instance
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=60) as connection:
        say(connection, f"POST /in/open HTTP/1.1\r\nHost: x\r\nConnection: {options}\r\nContent-Length: 2\r\n\r\n{{}}".encode() + LAST, 1 << 20)
        assert statuses(hear(connection, 2)) == [202, 200]


# ---- behind proxies ----

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nginx(folder, port, engine_port):
    """The command, and the file to whose end it writes a line for each request: has it passed it on, and what was asked for."""
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  {temporary}
  log_format forwarded '$upstream_status $request_uri';
  access_log {folder}/access.log forwarded;
  upstream engine {{ server 127.0.0.1:{engine_port}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    merge_slashes off; ignore_invalid_headers off; underscores_in_headers on;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_ignore_client_abort on; proxy_next_upstream off;
    }}
  }}
}}
""")
    return [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"], folder / "access.log"


def haproxy(folder, port, engine_port):
    folder.mkdir()
    (folder / "haproxy.cfg").write_text(f"""
global
  log stdout format raw local0
  maxconn 100
defaults
  mode http
  log global
  retries 0
  option accept-invalid-http-request
  timeout client 20s
  timeout server 20s
  timeout connect 20s
frontend front
  bind 127.0.0.1:{port}
  log-format "%s %HU"
  default_backend back
backend back
  server engine 127.0.0.1:{engine_port}
""")
    return [shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "-f", f"{folder}/haproxy.cfg"], folder / "out"


NOT_PASSED_ON = ("-", "<NOSRV>", "")


@pytest.mark.parametrize("kind", [nginx, haproxy])
def test_behind_a_proxy_requests_are_as_many_as_it_has_passed_on(instance, tmp_path, kind):
    """Lines of both sides are in order, so the one of a last request says that all before it are there."""
    engine, ports = instance
    port = free_port()
    command, log = kind(tmp_path / kind.__name__, port, ports[0])
    if not command[0]:
        pytest.skip(f"{kind.__name__} is not installed: scripts/install test")
    with open(tmp_path / kind.__name__ / "out", "wb") as out:
        proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        def is_up():
            assert proxy.poll() is None, (tmp_path / kind.__name__ / "out").read_text()
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except OSError:
                return None
        wait_for("the proxy", is_up).close()
        for _, _, _, data in CASES:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                say(connection, data, 1 << 20)
                try:
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                hear(connection)
        last = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        last.request("POST", "/the-last-one", b"x" * 777)
        assert last.getresponse().status == 404
        last.close()
        wait_for("the proxy's last line", lambda: "/the-last-one" in log.read_text())
        wait_for("the engine's last line", lambda: any(line.get("bytes") == 777 for line in list(engine.log)))
    finally:
        proxy.terminate()
        proxy.wait(60)
    lines = [line.split(" ", 1) for line in log.read_text().splitlines() if " " in line]
    passed_on = [line for line in lines if line[0] not in NOT_PASSED_ON and not line[1].startswith("/healthz")]
    seen = [line for line in engine.log if line.get("log") == "delivery"]
    assert len(passed_on) > 20  # it has not refused them all
    assert len(seen) == len(passed_on), (passed_on, seen)
