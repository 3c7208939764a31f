#!/usr/bin/python3
"""Model tests: random schedules (schedules.py) on the engine's own store, dispatch, worker and timers (life.c), with crashes, judged by the named
properties (properties.py).

usage: driver.py [--seconds S | --count N] [--seed SEED] [--jobs J]    a seed that fails is printed, and --seed SEED --count 1 tries it alone
"""
import argparse
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import random
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import properties
import properties_endings  # noqa: F401: its checks
import properties_more  # noqa: F401: its checks
import seen
from schedules import START_MS, Schedule

LIFE = pathlib.Path(os.environ.get("BELLWIRE_BUILD_DIR", "build/debug")) / "tests" / "model_life"
HORIZON_MS = START_MS + 400 * 86_400_000
STOPPED, CRASHED = 3, 137  # how a life ends
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
LIVES_MAX = 12
LIFE_SECONDS_MAX = 120
FAILURES_MAX = int(os.environ.get("BELLWIRE_MODEL_FAILURES", "5"))
OF_THREAD, NURSERIES, CORES, THREADS = threading.local(), [], sorted(os.sched_getaffinity(0)), itertools.count()


class Broken(Exception):
    pass


class Outcome:
    """What was seen of a schedule: `lines` of all lives in their order, each with its `life`; `accepted`: key → event."""

    def __init__(self, schedule, folder):
        self.schedule, self.folder, self.lines, self.accepted = schedule, folder, [], {}
        self.seen = None  # seen.Seen, when it is judged
        self.snapshots = []  # at the end of each life; None: what there is when all is judged
        self.repairs, self.crashed_lives = 0, []


class Nursery:
    """A process from which lives are forked, one at a time: see nursery.h."""

    def __init__(self):
        environment = {**os.environ, "BELLWIRE_LOG": "info"}
        environment.pop("BELLWIRE_CRASH", None)
        self.process = subprocess.Popen([str(LIFE), "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.stores = {}

    def live(self, folder, crash, log):
        self.process.stdin.write(f"{folder} {crash or '-'} {log}\n".encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], LIFE_SECONDS_MAX)[0]:
            self.process.kill()
            raise Broken(f"a life does not end: {log}")
        return int(self.process.stdout.readline() or -1)

    def new_store(self, is_kept):
        """A database without rows, as the engine makes it, which keeps what goes or does not: to begin with a copy of it costs less than to make it
        each time."""
        if is_kept not in self.stores:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-model-", dir=MEMORY))
            try:
                (folder / "actions").mkdir()
                (folder / "workflows").mkdir()
                (folder / "bellwire.yaml").write_text("{}\n")
                (folder / "plan.json").write_text('{"events": []}')
                if self.live(folder, None, folder / "log"):
                    raise Broken((folder / "log").read_text())
                with contextlib.closing(sqlite3.connect(folder / "data" / "bellwire.db")) as database:
                    if is_kept:
                        database.executescript(seen.ARCHIVE)
                    self.stores[is_kept] = database.serialize()
            finally:
                shutil.rmtree(folder)
        return self.stores[is_kept]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def nursery(is_pinned):
    """The one of this thread. With all that it does on one core a schedule costs a tenth less, and its threads take turns; on all of them they run side
    by side, which finds other things: one schedule of four does."""
    own = OF_THREAD.__dict__.setdefault("nurseries", {})
    if is_pinned not in own or own[is_pinned].process.poll() is not None:
        if not own:
            OF_THREAD.core = CORES[next(THREADS) % len(CORES)]
        os.sched_setaffinity(0, {OF_THREAD.core} if is_pinned else CORES)  # of this thread, and of what it starts
        own[is_pinned] = Nursery()
        os.sched_setaffinity(0, {OF_THREAD.core})
        NURSERIES.append(own[is_pinned])
    return own[is_pinned]


def read_lines(texts):
    try:
        return json.loads(f"[{','.join(texts)}]")  # all at once takes half of the time
    except ValueError:
        for text in texts:
            try:
                json.loads(text)
            except ValueError:
                raise Broken(f"a line that is no JSON: {text[:300]}") from None
        raise


def live(outcome, folder, fault, now_ms, acts, number):
    plan = {"now_ms": now_ms, "horizon_ms": HORIZON_MS, "kill_worker": fault["kill_worker"], "approvals": outcome.schedule.approvals(), "acts": acts}
    (folder / "plan.json").write_text(json.dumps(plan))
    status = nursery(outcome.schedule.is_pinned).live(folder, fault["crash"], folder / f"life{number}.log")
    lines = read_lines((folder / f"life{number}.log").read_text(errors="replace").splitlines())
    for line in lines:
        line["life"] = number
    if status not in (0, STOPPED, CRASHED):
        raise Broken(f"life {number} ended with {status}: " + "\n".join(json.dumps(line) for line in lines[-3:]))
    outcome.lines += lines
    if status == CRASHED:
        outcome.crashed_lives.append(number)
    return status, lines


def run(schedule, folder, faults):
    """Lives until one comes to its end without a fault in between."""
    outcome = Outcome(schedule, folder)
    schedule.write(folder)
    if schedule.has_store:
        (folder / "data").mkdir()
        (folder / "data" / "bellwire.db").write_bytes(nursery(schedule.is_pinned).new_store(bool(schedule.keep)))
    now_ms, left = START_MS, list(schedule.acts)
    files = {f"workflows/{workflow.name}.yaml": workflow.text() for workflow in schedule.workflows}
    for number in range(LIVES_MAX):
        fault = faults[number] if number < len(faults) else {"crash": None, "kill_worker": 0}
        status, lines = live(outcome, folder, fault, now_ms, left, number)
        did = {line["number"]: line for line in lines if line.get("say") == "did"}
        for line in did.values():
            if line["do"] == "event" and "failed" in line:
                raise Broken(f"an event was refused: {line}")
            if line["do"] == "event" and line["event"] and outcome.accepted.setdefault(line["key"], line["event"]) != line["event"]:
                raise Broken(f"two events for the key {line['key']}")
        for act in left:
            if act["do"] == "reload" and act["number"] in did and act["which"] != "bad":
                files.update(act["files"])
        if schedule.others:
            for path, text in files.items():  # a bad one is taken back by whoever starts the engine again
                (folder / path).write_text(text)
        left = [act for act in left if act["number"] not in did]  # who heard nothing asks again
        now_ms = max([now_ms] + [line["at_ms"] for line in lines if line.get("say") == "time"])
        outcome.snapshots.append((len(outcome.lines), seen.snapshot(folder) if status else None))
        if status == 0:
            quiet = [line for line in lines if line.get("say") == "quiet"]
            if not quiet or quiet[-1]["endless"]:
                raise Broken("there is always something left to do")
            outcome.repairs += quiet[-1]["repairs"]
            return outcome
    raise Broken("it dies again and again")


def judge(seed):
    """None, or what is wrong with the seed."""
    schedule = Schedule(seed)
    top = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-model-", dir=MEMORY))
    try:
        outcome = run(schedule, top / "faulty", schedule.faults)
        wrong = seen.check(outcome)
        if not wrong and not schedule.is_timed and (outcome.crashed_lives or outcome.seen.deaths):  # of the faults, one that came to pass
            wrong = properties.check_same(outcome, run(schedule, top / "calm", []))
        return wrong
    except Broken as broken:
        return [f"broken: {broken}"]
    except Exception:
        return [f"the test itself: {traceback.format_exc()}"]
    finally:
        if not os.environ.get("BELLWIRE_MODEL_KEEP"):
            shutil.rmtree(top, ignore_errors=True)
        else:
            print(top)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 40)
    count = options.count or (1 if options.seed is not None and not options.seconds else 1 << 60)
    begun, tried, failed = time.monotonic(), 0, 0
    seconds = options.seconds or (60 if count == 1 << 60 else float("inf"))
    print(f"seeds from {first} on", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = {}
        while waiting or (tried < count and time.monotonic() - begun < seconds and failed < FAILURES_MAX):
            while len(waiting) < options.jobs and tried < count and time.monotonic() - begun < seconds and failed < FAILURES_MAX:
                waiting[pool.submit(judge, first + tried)] = first + tried
                tried += 1
            for done in concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED).done:
                seed, wrong = waiting.pop(done), done.result()
                for line in wrong or ():
                    print(f"seed {seed}: {line}", flush=True)
                failed += bool(wrong)
    took = time.monotonic() - begun
    for each in NURSERIES:
        each.close()
    spent_ms = sum(os.times()[:4]) * 1000 / max(tried, 1)  # of this process and all below it
    print(f"{tried} schedules in {took:.1f} s ({tried / took * 60:.0f} a minute; {spent_ms:.0f} ms of a core each, {60000 / spent_ms:.0f} a minute on one core), {failed} failed; "
          f"properties: {seen.names()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
