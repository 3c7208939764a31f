"""The examples under workflows/, as they stand, against local servers that play the services that they call."""
import http.server
import json
import os
import random
import re
import shutil
import signal
import threading
import urllib.parse

from conftest import BUILD, ROOT, wait_for

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Services:
    """https://NAME.example/PATH of an example's actions is served here as /NAME/PATH, by the method NAME_METHOD of a subclass."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls = []  # (service, method, path, body, idempotency key)
        services = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                service, _, path = self.path[1:].partition("/")
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                key = self.headers["Idempotency-Key"]
                with services.lock:
                    services.calls.append((service, self.command, path, body, key))
                    status, said, headers = getattr(services, f"{service}_{self.command.lower()}")(path, body, key)
                text = json.dumps(said).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a killed client is part of it
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def to(self, service, method):
        return [(path, body, key) for name, how, path, body, key in list(self.calls) if (name, how) == (service, method)]


def set_up(make_engine, example, services):
    """The example in a folder of its own. Only its addresses change."""
    folder = ROOT / "workflows" / example
    config = re.sub(r"(?m)^listen:.*$", "listen: [http://127.0.0.1:0]\nallow_private_network: true", (folder / "bellwire.yaml").read_text())
    engine = make_engine(config)
    for part in ("workflows", "actions"):
        shutil.copytree(folder / part, engine.folder / part, dirs_exist_ok=True)
    for action in (engine.folder / "actions").rglob("*.lua"):
        action.write_text(re.sub(r"https://([a-z]+)\.example", rf"http://127.0.0.1:{services.server.server_port}/\1", action.read_text()))
    for name in re.findall(r"env: ([A-Z_]+)", config):
        engine.env.setdefault(name, "secret-of-" + name.lower())
    return engine


class Pages(Services):
    def __init__(self, count, gone):
        self.pages = {n: {"text": f"page {n}, as of 2019", "version": 1} for n in range(1, count + 1) if n not in gone}
        self.done = {}  # idempotency key → what was answered: a vendor that keeps its promise
        self.tired = count // 4
        self.messages = []
        super().__init__()

    def cms_get(self, path, body, key):
        page = self.pages.get(int(urllib.parse.parse_qs(path.partition("?")[2])["id"][0]))
        return (200, page, {}) if page else (404, {"error": "no such page"}, {})

    def cms_put(self, path, body, key):
        page = self.pages[int(path.rpartition("/")[2])]
        if key in self.done:
            return 200, self.done[key], {}
        if body["if_version"] != page["version"]:
            return 409, {"error": "changed meanwhile"}, {}
        page.update(text=body["body"], version=page["version"] + 1)
        self.done[key] = {"version": page["version"]}
        return 200, self.done[key], {}

    def llm_post(self, path, body, key):
        if self.tired:
            self.tired -= 1
            return 429, {"error": "slow down"}, {"Retry-After": "0"}
        return 200, {"text": body["prompt"].replace("2019", "2026"), "usage": {"total_tokens": 100}}, {}

    def slack_post(self, path, body, key):
        if key not in self.done:
            self.messages.append(body)
        self.done[key] = {"ts": "1"}
        return 200, self.done[key], {}


def test_bulk_content_refresh_under_kills(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    pages, gone = 60, {17}
    services = Pages(pages, gone)
    engine = set_up(make_engine, "bulk-content-refresh", services)
    # Delays of the example are made for real services: a test does not wait for them.
    workflow = engine.folder / "workflows" / "bulk-content-refresh.yaml"
    workflow.write_text(workflow.read_text().replace("delay: 5s, max_delay: 10m", "delay: 50ms, max_delay: 1s"))
    engine.start()
    for _ in range(2):  # the second one waits: concurrency 1
        status, _, _ = engine.request("POST", "/in/content", json.dumps({"pages": list(range(1, pages + 1))}).encode(),
                                      {"Content-Type": "application/json"})
        assert status == 202
    wait_for("one that waits", lambda: [run["state"] for run in engine.rows("runs")].count("blocked") == 1)
    for _ in range(4):
        wanted = len(services.calls) + rng.randrange(30)
        wait_for("some calls", lambda: len(services.calls) >= wanted or services.messages)
        if rng.random() < 0.5:
            engine.kill()
            engine.start()
        else:
            for pid in engine.children("worker"):
                os.kill(pid, signal.SIGKILL)
    runs = engine.finished_runs(2, "--workflow", "bulk-content-refresh")
    assert all(run["state"] == "succeeded" for run in runs), runs
    assert all(run["output"] == {"succeeded": pages - 1, "failed_keys": [17]} for run in runs)
    assert all(page["text"] == f"page {n}, as of 2026" and page["version"] == 3 for n, page in services.pages.items())  # once by each run
    assert services.messages == 2 * [{"channel": "#content", "text": f"Refreshed {pages - 1} of {pages}, failed 1"}]
    keys = {}
    for path, _, key in services.to("cms", "PUT"):
        keys.setdefault(path, set()).add(key)
    assert all(len(used) == 2 for used in keys.values())  # a key for each run and page, whatever was killed


def test_every_example_passes_its_own_tests(make_engine):
    examples = [folder.name for folder in sorted((ROOT / "workflows").iterdir()) if list((folder / "workflows").glob("*.test.yaml"))]
    assert "bulk-content-refresh" in examples
    for example in examples:
        engine = make_engine(name=example)
        shutil.copytree(ROOT / "workflows" / example, engine.folder, dirs_exist_ok=True)
        if not (engine.folder / "plugins").exists():
            (engine.folder / "plugins").symlink_to(BUILD / "plugins")
        assert ", 0 failed, 0 skipped" in engine.run("test").stdout
