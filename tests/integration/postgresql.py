"""A PostgreSQL server of its own: made in a folder, on a free port, gone afterwards. Debian's package; never the machine's own cluster."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import DEADLINE, wait_for

PASSWORD = "pg-s3cret-passw0rd"


def programs() -> pathlib.Path:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return found[-1].parent


class Server:
    def __init__(self):
        self.bin = programs()
        self.folder = folder = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-postgresql-"))  # pytest's own folders are closed to other users
        self.data = folder / "data"
        self.process = None
        self.who = []
        if os.geteuid() == 0:  # PostgreSQL refuses to be root's
            user = next(name for name in ("postgres", "nobody") if self._knows(name))
            self.who = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
            shutil.chown(folder, user)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        subprocess.run([*self.who, self.bin / "initdb", "-N", "-D", self.data, "-U", "app", "-A", "scram-sha-256", "--pwfile", folder / "password",
                        "-E", "UTF8", "--locale=C"], check=True, capture_output=True, cwd="/")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": folder, "fsync": "off", "max_connections": 30,
                        "shared_buffers": "16MB", "logging_collector": "off", "max_wal_senders": 0, "autovacuum": "off"}

    def take_certificate(self, certificate, key):
        for name, path in (("server.crt", certificate), ("server.key", key)):
            shutil.copy(path, self.data / name)
            (self.data / name).chmod(0o600)
            if self.who:
                shutil.chown(self.data / name, self.data.owner())
        self.options["ssl"] = "on"

    @staticmethod
    def _knows(name):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            return None

    def start(self):
        options = [word for name, value in self.options.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*self.who, self.bin / "postgres", "-D", self.data, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd="/")
        wait_for("PostgreSQL", self.answers)
        return self

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], cwd="/").returncode == 0

    def stop(self, how="-INT"):
        """-INT: at once, but in order; -QUIT: as in a crash."""
        subprocess.run(["kill", how, str(self.process.pid)], check=True)
        self.process.wait(DEADLINE)
        self.process = None

    def close(self):
        if self.process:
            self.stop("-QUIT")
        shutil.rmtree(self.folder)

    def url(self, user="app", password=PASSWORD, database="postgres", more=""):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}{more}"

    def sql(self, text: str, **more) -> str:
        result = subprocess.run([self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(**more), "-c", text], capture_output=True, text=True, cwd="/",
                                timeout=DEADLINE)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()
