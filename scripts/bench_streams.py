"""What scripts/bench measures of language models: thousands of answers that are streamed to one run worker at once, and how soon the first token of
each is noticed."""
import json
import pathlib
import re
import select
import socket
import sqlite3
import statistics
import threading
import time

STREAMS = 5000
SPREAD_S = 10 # the first tokens come one after the other within this time
WORKFLOW = """
name: ask
on: [{event: github.push}]
steps: [{id: ask, uses: llm/chat@1, timeout: 10m, with: {prompt: "Say something about ${{ event.data.n }}"}}]
"""
CONFIG = """
workers: 1
allow_private_network: true
configure:
  llm:
    providers: [{name: house, api: openai-chat, base_url: "http://127.0.0.1:%d/v1"}]
    models: [{name: m, model: house/m}]
    prices: [{model: house/m, input: 0, output: 0}]
    default: m
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def part(delta, **more):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, **more}]}).encode() + b"\n\n"


class Model:
    """Takes requests and holds them. The first token says for how many ms this server had the request: what the engine counts beyond that is its own."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.came = {}
        self.poll = select.epoll()
        self.poll.register(self.socket, select.EPOLLIN)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connections = {}
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.socket.fileno():
                    try:
                        while True:
                            connection = self.socket.accept()[0]
                            connections[connection.fileno()] = connection
                            self.poll.register(connection, select.EPOLLIN)
                    except BlockingIOError:
                        continue
                self.poll.unregister(fd)  # a request of this size comes in one piece
                self.came[connections[fd]] = time.monotonic()

    def answer(self):
        """To all that are held; SPREAD_S later each has its first token."""
        begin = time.monotonic()
        for number, (connection, came) in enumerate(self.came.items()):
            time.sleep(max(0, begin + SPREAD_S * number / len(self.came) - time.monotonic()))
            had_ms = (time.monotonic() - came) * 1000
            connection.sendall(HEAD + part({"role": "assistant", "content": f"{had_ms:.1f}"}))

    def end(self):
        for connection in self.came:
            connection.setblocking(True)
            connection.recv(65536)
            connection.sendall(part({}, finish_reason="stop") + b"data: [DONE]\n\n")
            connection.close()


def worker_mb(pids):
    for pid in pids:
        if b"\0worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1)) / 1024
    raise SystemExit("bench: there is no worker")


def measure(model, folder, pids, post):
    before, until = worker_mb(pids), time.monotonic() + 300

    def wait(what, condition):
        while not condition():
            if time.monotonic() > until:
                raise SystemExit(f"bench: gave up waiting for {what}: {(folder / 'log').read_text()[-1000:]}")
            time.sleep(0.05)
    for number in range(STREAMS):
        post(number)
        time.sleep(0.002)  # the way to the server must not be crowded: it is counted as well
    wait("the requests", lambda: len(model.came) == STREAMS)
    model.answer()
    memory = worker_mb(pids)
    model.end()

    def outputs():
        with sqlite3.connect(f"file:{folder / 'data' / 'bellwire.db'}?mode=ro", uri=True) as database:
            return [json.loads(output) for output, in database.execute("SELECT CAST(s.output AS TEXT) FROM steps s JOIN runs r ON r.id = s.run_id WHERE r.state = 20")]
    wait("the runs", lambda: len(outputs()) == STREAMS)
    late = [output["first_token_ms"] - float(output["text"]) for output in outputs()]
    return {"each_kb": (memory - before) * 1024 / STREAMS, "late_ms": statistics.median(late), "late_p99_ms": statistics.quantiles(late, n=100)[98]}
