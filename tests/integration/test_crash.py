"""SIGKILL at random moments, under load, from a client that keeps a ledger of every 202 and a sink that counts effects."""
import contextlib
import http.client
import http.server
import os
import random
import signal
import threading
import time

from conftest import CONFIG, DEADLINE, is_sanitized, sign, wait_for

KILLS = int(os.environ.get("BELLWIRE_KILLS", "40" if is_sanitized() else "100"))
SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Effects:
    """Where effects arrive: `seen` counts them by path (which step), delivery and idempotency key, each before it is answered."""

    def __init__(self):
        self.seen, self.lock = {}, threading.Lock()
        effects = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with effects.lock:
                    status = effects.note(self.path, self.headers["X-Delivery"], self.headers["Idempotency-Key"])
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 4096  # with Python's 5 the kernel drops connections, and runs wait for their retries
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a killed client is what this is about
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, path, delivery, key):
        """The status of the answer."""
        self.seen[path, delivery, key] = self.seen.get((path, delivery, key), 0) + 1
        return 200


class Client(threading.Thread):
    """Sends one delivery after the other until it is told to stop; an id is in the ledger only after its 202 or 200 was read. What got no answer is sent
    again, under the same id, as a sender would."""

    def __init__(self, number, engine, ledger):
        super().__init__(daemon=True)
        self.number, self.engine, self.ledger = number, engine, ledger
        self.is_stopped = False

    def run(self):
        sent = 0
        while not self.is_stopped:
            sent += 1
            delivery = f"{self.number}-{sent}"
            while not self.is_stopped and not self.send(delivery):
                time.sleep(0.005)

    def send(self, delivery):
        body = b'{"ref":"refs/heads/main","delivery":"%s"}' % delivery.encode()
        port = self.engine.port
        if port is None:
            return False
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", "/in/github", body, {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery,
                                                            "X-Hub-Signature-256": sign(body)})
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        if status in (202, 200):
            self.ledger[delivery] = status
            return True
        return False


def test_nothing_acknowledged_is_lost_when_the_engine_is_killed(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    effects, ledger = Effects(), {}
    engine = make_engine(CONFIG + "workers: 1\n")
    engine.write("workflows/two.yaml", """
name: two
on: [{event: github.push}]
steps:
  - id: one
    lua: return {status = ctx.http{method = "POST", url = "%s/one", headers = {["X-Delivery"] = input.delivery, ["Idempotency-Key"] = ctx.idempotency_key}}.status}
    with: {delivery: "${{ event.data.delivery }}"}
  - id: two
    uses: http/request@1
    with: {method: POST, url: "%s/two", json: {first: "${{ steps.one.status }}"}, headers: {X-Delivery: "${{ event.data.delivery }}"}}
""" % (effects.url, effects.url))
    engine.write("workflows/quick.yaml", "name: quick\non: [{event: 'github.*'}]\nsteps: [{id: s, set: {d: '${{ event.data.delivery }}'}}]\n")
    engine.start()
    clients = [Client(number, engine, ledger) for number in range(4)]
    for client in clients:
        client.start()
    deaths = 1  # the one before the drain
    for kill in range(KILLS):
        deaths += 2 if kill % 5 == 2 else 1
        time.sleep(rng.uniform(0, 0.3))  # the random moment is the test
        if kill % 5 == 4:  # now and then only a worker
            for pid in engine.children("worker"):
                with contextlib.suppress(ProcessLookupError):  # the one for suspects comes and goes
                    os.kill(pid, signal.SIGKILL)
            continue
        engine.kill()
        if kill % 5 == 2:  # now and then in the middle of recovery
            engine.start(wait=False)
            time.sleep(rng.uniform(0, 0.1))
            engine.kill()
        engine.start()
    for client in clients:
        client.is_stopped = True
    for client in clients:
        client.join(DEADLINE)
    assert len(ledger) > KILLS, "the load was too thin to prove anything"

    # The last start, and drain: every event is done.
    engine.kill()
    engine.start()
    limit = str(4 * len(ledger) + 1000)
    events = wait_for("all events to be done", lambda: (lambda rows: rows if all(row["state"] == "done" for row in rows) else None)(engine.rows("events", "--limit", limit)), 5 * DEADLINE)
    assert engine.stop() == 0
    deliveries = {}
    for row in engine.rows("deliveries", "--limit", str(8 * len(ledger) + 1000)):
        if row["outcome"] == "accepted":
            deliveries.setdefault(row["provider_id"], set()).add(row["event"])

    # Every 202 has its event, one event a delivery id.
    assert set(ledger) <= set(deliveries)
    assert all(len(found) == 1 for found in deliveries.values())
    assert len(events) == len(deliveries)
    # Each matching workflow has one run of it, in a final state.
    runs = engine.rows("runs", "--limit", limit)
    assert all(run["state"] == "succeeded" for run in runs), [run for run in runs if run["state"] != "succeeded"][:3]
    assert sorted((run["event"], run["workflow"]) for run in runs) == sorted((event["event"], workflow) for event in events for workflow in ("two", "quick"))
    # Every effect of a step carries one and the same key, however often it was repeated; no key serves two.
    keys = {}
    for path, delivery, key in effects.seen:
        keys.setdefault((path, delivery), set()).add(key)
    assert all(len(found) == 1 for found in keys.values())
    assert len({key for found in keys.values() for key in found}) == len(keys)
    for delivery in deliveries:
        assert ("/one", delivery) in keys and ("/two", delivery) in keys
    # A recorded step never ran again: repeats are bounded by the deaths, and the oldest go first, so that even a crash loop gets on.
    assert max(effects.seen.values()) <= deaths + 1
    repeated = sum(count - 1 for count in effects.seen.values())
    print(f"{KILLS} kills, {len(ledger)} acknowledged, {len(events)} events, {len(runs)} runs, {repeated} repeated effects")


def test_workers_that_are_killed_again_and_again_do_not_end_the_engine(engine):
    engine.start("--log-level", "debug")
    engine.wait_log("catalog.loaded")
    workers = len(engine.children("worker"))
    dead = set()
    while len(dead) < 20:
        for pid in engine.children("worker"):
            dead.add(pid)
            with contextlib.suppress(ProcessLookupError):  # it ended between the two lines
                os.kill(pid, signal.SIGKILL)
    assert engine.push(delivery="k-1")[0] == 202
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded"
    assert engine.wait_log("worker.resting")
    wait_for("all workers to be back", lambda: len(engine.children("worker")) == workers)
    assert engine.stop() == 0
