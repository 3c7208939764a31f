"""The real binary over real sockets: one Engine object is one data folder, started and killed as often as a test likes."""
import contextlib
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # from fakes.server import Server
BUILD = pathlib.Path(os.environ.get("BELLWIRE_BUILD_DIR", ROOT / "build" / "debug"))
BINARY = BUILD / "bellwire"
PLAIN = os.environ.get("BELLWIRE_PLAIN_BINARY")  # the same, not instrumented: for questions that are asked again and again
SHARED = pathlib.Path(os.environ.get("BELLWIRE_SHARED", ROOT.parent / "shared"))
SECRET = "its-a-secret-to-everybody"
HOOKS = ("BELLWIRE_CRASH", "BELLWIRE_CLOCK_AHEAD_MS", "BELLWIRE_KEYS_FROM", "BELLWIRE_CRASH_STEP")  # a test that sets one of these needs a build that obeys it
DEADLINE = 60  # seconds that anything may take before a test gives up; nothing is measured against it

QUESTIONS = ("runs", "events", "deliveries", "why", "usage")  # commands that only read

CONFIG = """
listen: [http://127.0.0.1:0]
allow_private_network: true
sources:
  github:
    path: /in/github
    verify: github
    secrets: {webhook_secret: {env: GITHUB_WEBHOOK_SECRET}}
  open:
    path: /in/open
    verify: none
    event: ping
"""

ONE_STEP = """
name: one-step
on: [{event: github.push}]
steps:
  - id: greet
    with: {ref: "${{ event.data.ref }}"}
    lua: return {text = "pushed " .. tostring(input.ref)}
"""


def wait_for(what, condition, deadline=DEADLINE):
    """Polls until condition() is true; returns its value."""
    end = time.monotonic() + deadline
    rest = 0.01
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(rest)
        rest = min(rest * 1.25, 0.1)  # most conditions start a program: whoever waits long must not take the time from what is waited for


def is_sanitized() -> bool:
    """Then each process takes several times as long to begin."""
    return BINARY.exists() and b"libasan.so" in BINARY.read_bytes()


_begun = set()


def is_first(what) -> bool:
    """Of this test process, so of this file."""
    if what in _begun:
        return False
    _begun.add(what)
    return True


def without_leaks(env: dict, more: str = "") -> dict:
    """Half of what a short life takes under the address sanitizer is the search for leaks at its end: what a file of tests starts for the first time
    has one, what it starts again has none."""
    return {**env, "ASAN_OPTIONS": ":".join(filter(None, [env.get("ASAN_OPTIONS"), "detect_leaks=0", more]))}


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def state_of(pid):
    """Of a process, as ps says it; "gone": there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def is_gone(pid):
    return state_of(pid) in ("Z", "X", "gone")


def children_of(pid):
    """Process ids of those that its first thread has started."""
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Engine:
    def __init__(self, folder: pathlib.Path, config: str = CONFIG):
        self.folder = folder
        self.process = None
        self.port = None
        self.log = []
        self.env = {**os.environ, "GITHUB_WEBHOOK_SECRET": SECRET}
        for hook in HOOKS:
            self.env.pop(hook, None)
        folder.mkdir(parents=True, exist_ok=True)
        self.write("bellwire.yaml", config)
        (folder / "workflows").mkdir(exist_ok=True)

    def write(self, name: str, text: str, mode: int = None) -> pathlib.Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        return path

    # ---- the process ----
    def start(self, *arguments, wait=True, expect_failure=False, sockets=(), binary=BINARY):
        """sockets: handed over as systemd does it, from descriptor 3 on."""
        assert self.process is None
        for hook in HOOKS:
            if hook in self.env and hook.encode() not in BINARY.read_bytes():
                pytest.skip(f"this build does not know {hook}: it is made without BELLWIRE_TEST_HOOKS")
        self.lines = queue.Queue()
        self.log = []  # of this start: a line of the one before must not be taken for news
        self.port = None
        command = [binary, "serve", *arguments]
        given = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 50) for one in sockets]
        if given:
            moves = " ".join(f"{3 + index}<&{fd} {fd}<&-" for index, fd in enumerate(given))
            command = ["/bin/bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(given)} exec "$0" "$@" {moves}', *command]
        env = self.env if is_first("serve") else without_leaks(self.env)
        self.process = subprocess.Popen(command, pass_fds=given, cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for fd in given:
            os.close(fd)
        self.reader = threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        if wait:
            self.wait_log("engine.listening")
        return self

    def _read_log(self, stream):
        for raw in stream:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"log": "raw", "message": raw.decode(errors="replace")}
            if line.get("log") == "engine.listening" and not line["url"].startswith("unix:"):
                self.port = int(line["url"].rsplit(":", 1)[1])
            self.log.append(line)
            self.lines.put(line)

    def wait_log(self, name: str, **fields):
        def found():
            for line in list(self.log):
                if line.get("log") == name and all(line.get(key) == value for key, value in fields.items()):
                    return line
            if self.process.poll() is not None and not self.reader.is_alive():
                raise AssertionError(f"the engine ended with {self.process.returncode} before '{name}': {self.log[-5:]}")
            return None
        return wait_for(f"log line {name} {fields}", found)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> int:
        self.process.send_signal(signal.SIGKILL)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        self.process = None
        return status

    def strike(self, who: str):
        """SIGKILL for its run workers ("worker"), or for itself ("engine"), and then it is started again."""
        if who == "engine":
            self.kill()
            self.start()
            return
        for pid in self.children("worker"):
            with contextlib.suppress(ProcessLookupError):  # the one for suspects comes and goes
                os.kill(pid, signal.SIGKILL)

    def children(self, role: str):
        """Process ids of the engine's children in one role ("worker", "host")."""
        found = []
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                pids = (task / "children").read_text().split()
            except OSError:
                continue
            for pid in pids:
                try:
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if len(words) > 1 and words[1].decode() == role:
                    found.append(int(pid))
        return found

    # ---- requests ----
    def request(self, method: str, path: str, body: bytes = b"", headers: dict = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, (json.loads(data) if data else None), dict(answer.getheaders())
        finally:
            connection.close()

    def push(self, body: bytes = b'{"ref":"refs/heads/main"}', delivery: str = None, event: str = "push", secret: str = SECRET, **more):
        headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Hub-Signature-256": sign(body, secret)}
        if delivery:
            headers["X-GitHub-Delivery"] = delivery
        return self.request("POST", "/in/github", body, {**headers, **more})

    # ---- the command line ----
    def run(self, *arguments, check=True, binary=None, **options):
        options.setdefault("env", self.env if is_first(arguments[:1]) else without_leaks(self.env))
        result = subprocess.run([binary or BINARY, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE, **options)
        if check:
            assert result.returncode == 0, f"bellwire {arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def rows(self, *arguments):
        """What is asked again and again is asked of the plain binary, if there is one, from the second time on."""
        question = arguments[:2] if arguments[1:2] == ("show",) else arguments[:1]
        is_repeated = question[0] in QUESTIONS and not is_first(("asked", question))
        options = {"binary": PLAIN, "env": without_leaks(self.env, "report_globals=0")} if is_repeated else {"env": self.env}
        return [json.loads(line) for line in self.run(*arguments, "--json", **options).stdout.splitlines()]

    def show_run(self, run: str):
        return self.rows("runs", "show", run)[0]

    def finished_runs(self, count: int, *arguments):
        """Waits until `count` runs have ended; returns them, newest first, each with its steps."""
        def ended():
            rows = self.rows("runs", "--limit", str(count + 10), *arguments)
            done = [row for row in rows if row["state"] not in ("active", "parked", "blocked", "delayed", "held")]
            return done if len(done) >= count else None
        return [self.show_run(row["run"]) for row in wait_for(f"{count} finished runs", ended)]


def sweeper_statements():
    """What the sweeper asks (engine/store/sweep.h), by name: rows of (id, fault, run)."""
    text = (ROOT / "engine" / "store" / "schema" / "write.sql").read_text()
    parts = [part.partition("\n") for part in text.split("-- name: ")]
    return {name: sql.split(";")[0] for name, _, sql in parts if name.startswith("sweep_")}


def audit(database: pathlib.Path):
    """What must not happen and is there, or has been and was repaired."""
    connection = sqlite3.connect(database)
    try:
        faults = [(name, row) for name, sql in sweeper_statements().items() for row in connection.execute(sql, (0, 1 << 40)) if row[1]]
        return faults + [("repaired", row) for row in connection.execute("SELECT value FROM meta WHERE name = 'repairs'")]
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def sweeper_finds_nothing(request, tmp_path):
    """After each test, however it ended its engines: each data folder is as the sweeper wants it, and it never had to repair anything."""
    yield
    if request.node.get_closest_marker("damages_the_store"):
        return
    faults = {str(path): audit(path) for path in tmp_path.rglob("bellwire.db")}
    assert not any(faults.values()), faults


def pytest_configure(config):
    config.addinivalue_line("markers", "damages_the_store: what the test leaves is no sound store, so the sweeper's view of it says nothing")


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path / "instance")
    engine.write("workflows/one-step.yaml", ONE_STEP)
    yield engine
    if engine.process is not None:
        engine.kill()


@pytest.fixture
def make_engine(tmp_path):
    made = []

    def make(config: str = CONFIG, name: str = "instance"):
        made.append(Engine(tmp_path / name, config))
        return made[-1]
    yield make
    for engine in made:
        if engine.process is not None:
            engine.kill()
