"""What scripts/bench measures at the front door: https beside http and beside nginx with the same key, and 10,000 connections that are idle."""
import pathlib
import re
import select
import socket
import subprocess
import sys
import tempfile

IDLE = 10_000
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {folder}/tls/server.pem;
    ssl_certificate_key {folder}/tls/server.key;
    location / {{ return 200 "ok"; }}
  }}
}}
"""


def certificate(root: pathlib.Path, folder: pathlib.Path):
    subprocess.run([root / "scripts" / "dev-cert"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def wait_for_port(port: int, process: subprocess.Popen):
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except ConnectionRefusedError:
            pass
    sys.exit(f"bench: a server ended with {process.returncode}")


def handshakes(port: int, path: str, seconds: int) -> float:
    """A second's full handshakes: each request has a connection of its own, and the client knows no earlier session."""
    output = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-H", "Connection: close", f"https://127.0.0.1:{port}{path}"],
                            check=True, capture_output=True, text=True).stdout
    if re.search("Non-2xx|Socket errors: connect [^0]", output):
        sys.exit(f"bench: handshakes failed\n{output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))


class Nginx:
    def __init__(self, root: pathlib.Path, folder: pathlib.Path, port: int):
        certificate(root, folder)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        self.process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"], stdout=subprocess.DEVNULL)
        wait_for_port(port, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Crowd:
    """Connections that have asked once and stay."""

    def __init__(self, port: int, count: int):
        self.connections = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(count)]
        poll = select.poll()
        for one in self.connections:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            poll.register(one, select.POLLIN)
        answered = set()
        while len(answered) < count:
            for number, what in poll.poll():
                answered.add(number)
                poll.unregister(number)
        if not all(one.recv(4096).startswith(b"HTTP/1.1 200") for one in self.connections):
            sys.exit("bench: a connection of the crowd was refused")

    def leave(self):
        for one in self.connections:
            one.close()
