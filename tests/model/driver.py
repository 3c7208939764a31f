#!/usr/bin/python3
"""Model tests: random schedules (schedules.py) on the engine's own store, dispatch, worker and timers (life.c), with crashes, judged by the named
properties (properties.py).

usage: driver.py [--seconds S | --count N] [--seed SEED] [--jobs J]    a seed that fails is printed, and --seed SEED --count 1 tries it alone
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import properties
from schedules import START_MS, Schedule

LIFE = pathlib.Path(os.environ.get("BELLWIRE_BUILD_DIR", "build/debug")) / "tests" / "model_life"
HORIZON_MS = START_MS + 100 * 86_400_000
LIVES_MAX = 12


class Broken(Exception):
    pass


class Outcome:
    """What was seen of a schedule: `lines` of all lives in their order, each with its `life`; `accepted`: key → event."""

    def __init__(self, schedule, folder):
        self.schedule, self.folder, self.lines, self.accepted = schedule, folder, [], {}
        self.snapshots = []  # at the end of each life, what properties.py remembers
        self.repairs, self.crashes = 0, 0


def live(outcome, folder, fault, now_ms, events, number):
    plan = {"now_ms": now_ms, "horizon_ms": HORIZON_MS, "kill_worker": fault["kill_worker"], "events": events}
    (folder / "plan.json").write_text(json.dumps(plan))
    environment = {**os.environ, "BELLWIRE_LOG": "info"}
    environment.pop("BELLWIRE_CRASH", None)
    if fault["crash"]:
        environment["BELLWIRE_CRASH"] = fault["crash"]
    with open(folder / f"life{number}.log", "wb") as log:
        status = subprocess.run([str(LIFE), str(folder)], stderr=log, env=environment, timeout=120, check=False).returncode
    lines = []
    for text in (folder / f"life{number}.log").read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            raise Broken(f"a line that is no JSON: {text[:300]}") from None
        line["life"] = number
        lines.append(line)
    if status not in (0, 137):
        raise Broken(f"life {number} ended with {status}: " + "\n".join(json.dumps(line) for line in lines[-3:]))
    outcome.lines += lines
    outcome.crashes += status == 137
    return status, lines


def run(schedule, folder, faults):
    """Lives until one comes to its end without a fault in between."""
    outcome = Outcome(schedule, folder)
    schedule.write(folder)
    now_ms, left = START_MS, list(schedule.events)
    for number in range(LIVES_MAX):
        fault = faults[number] if number < len(faults) else {"crash": None, "kill_worker": 0}
        status, lines = live(outcome, folder, fault, now_ms, left, number)
        told = [line for line in lines if line.get("say") == "accepted"]
        for line in told:
            outcome.accepted.setdefault(line["key"], line["event"])
            if outcome.accepted[line["key"]] != line["event"]:
                raise Broken(f"two events for the key {line['key']}")
        left = left[len(told):]  # a sender who heard nothing sends again
        now_ms = max([now_ms] + [line["at_ms"] for line in lines if line.get("say") == "time"])
        outcome.snapshots.append((len(outcome.lines), properties.snapshot(folder)))
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
    top = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-model-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        outcome = run(schedule, top / "faulty", schedule.faults)
        wrong = properties.check(outcome)
        if not wrong and outcome.crashes + len(schedule.faults) and not schedule.is_timed:
            wrong = properties.check_same(outcome, run(schedule, top / "calm", []))
        return wrong
    except (Broken, subprocess.TimeoutExpired) as broken:
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
        while waiting or (tried < count and time.monotonic() - begun < seconds and failed < 5):
            while len(waiting) < options.jobs and tried < count and time.monotonic() - begun < seconds and failed < 5:
                waiting[pool.submit(judge, first + tried)] = first + tried
                tried += 1
            for done in concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED).done:
                seed, wrong = waiting.pop(done), done.result()
                for line in wrong or ():
                    print(f"seed {seed}: {line}", flush=True)
                failed += bool(wrong)
    took = time.monotonic() - begun
    print(f"{tried} schedules in {took:.1f} s ({tried / took * 60:.0f} a minute), {failed} failed; properties: {properties.names()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
