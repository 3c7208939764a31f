#!/usr/bin/python3
"""How the front door stands load that does not wait for it: steps up to ten times of what it can take (L1), and half of it for a long time (L4).

usage: scripts/soak load [--steps TIME] [--sizes BYTES,…] [--factors F,…] [--half TIME] [--json FILE]

--steps TIME   each step so long (10m as wanted, 20s to see whether all works); 0s: none
--half TIME    then half of the capacity for so long (24h as wanted); 0s: not at all
--json FILE    a line for each step is added to it

One sender offers requests at a fixed rate (open_loop.c) to a source with a token; beside it an honest client sends five a second to another source.
What was answered 202 is looked for in the store afterwards. Memory is the proportional set size of all the engine's processes.

The engine has half of the cores and the senders the others: what it can take is not to depend on how much of the machine a sender takes from it. Where the sender is busy all the time and the engine
is not ("busy"), the step says what this machine can offer, and not what the engine can take."""
import argparse
import http.client
import json
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BELLWIRE_BUILD_DIR", ROOT / "build" / "release"))
CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  load: {path: /in/load, verify: static-header, secrets: {token: {env: LOAD_TOKEN}}}
  honest: {path: /in/honest, verify: static-header, secrets: {token: {env: LOAD_TOKEN}}}
"""
TOKEN = "a-token-for-the-load-test"
CORES = sorted(os.sched_getaffinity(0))
ENGINE_CORES, SENDER_CORES = CORES[: (len(CORES) + 1) // 2], CORES[len(CORES) // 2:]  # one core: they share it
CONNECTIONS = 9000  # opened when no other is free: nearly as many as the engine lets in,
SOCKETS_BYTES = 2**30  # but what they hold has to fit into what the kernel gives to TCP: above it both sides stand still


def seconds(text):
    unit = {"s": 1, "m": 60, "h": 3600}
    if not text or text[-1] not in unit or not text[:-1].isdigit():
        raise argparse.ArgumentTypeError("a time is 90s, 30m or 8h")
    return int(text[:-1]) * unit[text[-1]]


class Engine:
    """One that has said `begun` in its log."""

    def __init__(self, folder, config=CONFIG, cores=ENGINE_CORES, begun=b'"engine.listening"'):
        self.folder = folder
        (folder / "bellwire.yaml").write_text(config)
        (folder / "workflows").mkdir(exist_ok=True)
        self.log = open(folder / "log", "w+b")
        self.process = subprocess.Popen([BUILD / "bellwire", "serve"], cwd=folder, env={**os.environ, "LOAD_TOKEN": TOKEN}, stdout=subprocess.DEVNULL,
                                        stderr=self.log, preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.port, has_begun = None, False
        while not self.port or not has_begun:
            for line in (folder / "log").read_bytes().splitlines():
                has_begun = has_begun or begun in line
                if b'"engine.listening"' in line:
                    self.port = int(json.loads(line)["url"].rsplit(":", 1)[1])
            if self.process.poll() is not None:
                sys.exit(f"the engine has ended: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        (self.folder / "log").write_bytes(b"")

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    todo += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                pass
        return found

    def memory_kib(self):
        total = 0
        for pid in self.pids():
            try:
                total += int(pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0])
            except (OSError, IndexError):
                pass
        return total

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wal_bytes(self):
        return sum(path.stat().st_size for path in self.folder.rglob("*.db-wal"))

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def events(self, source):
        connection = sqlite3.connect(f"file:{next(self.folder.rglob('bellwire.db'))}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute("SELECT count(*) FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.source = ? AND d.status = 202", (source,)).fetchone()[0]
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        return self.process.wait(120)


class Honest(threading.Thread):
    """Five requests a second, each on a connection of its own."""

    def __init__(self, engine):
        super().__init__(daemon=True)
        self.engine, self.over, self.statuses, self.took = engine, threading.Event(), {}, []
        self.start()

    def run(self):
        while not self.over.wait(0.2):
            began = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=60)
                connection.request("POST", "/in/honest", b"{}", {"Content-Type": "application/json", "X-Token": TOKEN})
                status = connection.getresponse().status
                connection.close()
            except OSError as error:
                status = type(error).__name__
            self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
            self.took.append(time.monotonic() - began)

    def end(self):
        self.over.set()
        self.join()
        took = sorted(self.took) or [0]
        return {"status": self.statuses, "p50_ms": round(1000 * took[len(took) // 2]), "p99_ms": round(1000 * took[int(len(took) * .99)]), "max_ms": round(1000 * took[-1])}


def offer(engine, rate, time_s, size, connections=None, samples=None):
    """What open_loop says, with what was seen of the engine meanwhile."""
    connections = connections or min(CONNECTIONS, SOCKETS_BYTES // size)
    command = [BUILD / "tests" / "open_loop", str(engine.port), "/in/load", str(rate), str(time_s), str(size), str(connections), f"X-Token: {TOKEN}"]
    honest, cpu, memory, began = Honest(engine), engine.cpu_seconds(), [engine.memory_kib()], time.monotonic()
    senders = resource.getrusage(resource.RUSAGE_CHILDREN)
    sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while sender.poll() is None:
        time.sleep(1)
        memory.append(engine.memory_kib())
        if samples is not None:
            samples.append((time.monotonic(), memory[-1], engine.descriptors(), engine.wal_bytes()))
    said = json.loads(sender.stdout.read())
    took, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    said["busy"] = {"engine": round((engine.cpu_seconds() - cpu) / took / len(ENGINE_CORES), 2),
                    "sender": round((now.ru_utime + now.ru_stime - senders.ru_utime - senders.ru_stime) / took, 2)}  # it has one thread
    said["honest"] = honest.end()
    said.update(rate=round(rate), seconds=time_s, bytes=size, memory_kib={"before": memory[0], "most": max(memory), "after": engine.memory_kib()},
                descriptors=engine.descriptors(), load_of_machine=os.getloadavg()[0])
    return said


def tell(what, said, json_file):
    status = ", ".join(f"{count} x {status}" for status, count in said["status"].items())
    print(f"{what:<28} {status}; given up {said['given_up']}, broken {said['broken']}, unanswered {said['unanswered']}; accepted ms p50/p99/p99.9 "
          f"{'/'.join(str(round(us / 1000, 1)) for us in said['accepted_us'].values())}; honest {said['honest']['status']} p99 {said['honest']['p99_ms']} ms; memory MiB "
          f"{'/'.join(str(kib // 1024) for kib in said['memory_kib'].values())}; busy {said['busy']['engine']} sender {said['busy']['sender']}; load {said['load_of_machine']:.1f}", flush=True)
    if json_file:
        with open(json_file, "a") as out:
            out.write(json.dumps({"step": what, **said}) + "\n")


def steps(engine, options, acked):
    for size in options.sizes:
        found = offer(engine, 1e6, min(10, options.steps), size, 64)
        acked.append(found)
        capacity = found["status"].get("202", 0) / found["seconds"]
        tell(f"{size} B, all it can", found, options.json)
        for factor in options.factors:
            said = offer(engine, factor * capacity, options.steps, size)
            acked.append(said)
            tell(f"{size} B, {factor} x {capacity:.0f}/s", said, options.json)
            quiet = offer(engine, capacity / 10, 10, size)  # normal again within 10 s?
            acked.append(quiet)
            if quiet["status"].keys() != {"202"}:
                tell(f"{size} B, after that", quiet, options.json)


def slope(points):
    """Units an hour, by least squares."""
    mean_x, mean_y = (sum(point[i] for point in points) / len(points) for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0


def half(engine, options, acked):
    found = offer(engine, 1e6, 10, 256, 64)
    acked.append(found)
    capacity, samples, windows, end = found["status"].get("202", 0) / 10, [], [], time.monotonic() + options.half
    while time.monotonic() < end:
        said = offer(engine, capacity / 2, min(60, options.half), 256, samples=samples)
        acked.append(said)
        windows.append(said)
        if len(windows) % 10 == 1:
            tell(f"half, minute {len(windows)}", said, options.json)
    settled = samples[len(samples) // 4:]
    quarter = max(1, len(windows) // 4)
    p99 = [sorted(one["accepted_us"]["p99"] for one in part)[len(part) // 2] / 1000 for part in (windows[:quarter], windows[-quarter:])]
    summary = {"capacity": round(capacity), "minutes": len(windows), "accepted": sum(one["status"].get("202", 0) for one in windows),
               "others": sum(count for one in windows for status, count in one["status"].items() if status != "202"),
               "memory_mib_an_hour": round(slope([(at, kib / 1024) for at, kib, _, _ in settled]), 2), "memory_mib": [samples[0][1] // 1024, samples[-1][1] // 1024],
               "descriptors": [min(one[2] for one in samples), max(one[2] for one in samples)], "wal_mib_most": round(max(one[3] for one in samples) / 2**20, 1),
               "p99_ms_first_and_last_quarter": p99}
    print(json.dumps(summary), flush=True)
    if options.json:
        with open(options.json, "a") as out:
            out.write(json.dumps({"step": "half", **summary}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=seconds, default="20s")
    parser.add_argument("--half", type=seconds, default="0s")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default="256,10240,1048576")
    parser.add_argument("--factors", type=lambda text: [float(factor) for factor in text.split(",")], default="0.5,0.8,1,2,5,10")
    parser.add_argument("--json")
    options = parser.parse_args()
    os.sched_setaffinity(0, SENDER_CORES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-load-"))
    engine, acked = Engine(folder), []
    try:
        if options.steps:
            steps(engine, options, acked)
        if options.half:
            half(engine, options, acked)
        answered, stored = sum(said["status"].get("202", 0) for said in acked), engine.events("load")
        unheard = sum(said["broken"] + said["unanswered"] for said in acked)  # their answers got lost: stored or not
        print(f"{answered} answered 202, {stored} stored, {unheard} whose answer was not heard; memory at the end {engine.memory_kib() // 1024} MiB", flush=True)
        if engine.stop() != 0 or not answered <= stored <= answered + unheard:
            return 1
    finally:
        engine.process.kill()
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
