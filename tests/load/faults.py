#!/usr/bin/python3
"""What the faults of a plugin cost others: each fault N times while other runs go on, whose answers are timed meanwhile and before.

usage: scripts/soak faults [--rounds N] [--every S] [--only FAULT,…] [--rate R] [--quiet S] [--json FILE]

--rounds N     of each fault, one after the other; 50 as wanted
--every S      seconds from one fault to the next; 0, as else: as fast as they are answered, which is some hundred crashes a second
--only F,…     these; else all of them
--rate R       runs a second that are none of the plugin's business: a step of another plugin and one in Lua, answered with the run's result
--quiet S      seconds without a fault before those of each kind, to compare with
--json FILE    a line for each kind is added to it

The plugin is tests/integration/faults/fault.c, in so many copies that none crashes often enough to be given a rest. Wanted: of each fault one attempt is lost,
with the error that names it; every other run succeeds, and their p99 is within 10 % of what it is without. A hang that computes takes a core of
the machine: what others lose by that is told, and is no fault of the engine where there are no more than two."""
import argparse
import http.client
import json
import pathlib
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import load

SOURCE = (load.ROOT / "tests" / "integration" / "faults" / "fault.c").read_text()
CONFIG = """
listen: [http://127.0.0.1:0]
sources: {open: {path: /in/open, verify: none, event: {refs: [json:/name]}}}
"""
CALM = """
name: calm
on: [{event: open.calm}]
respond: {mode: result, within: 30s}
steps:
  - {id: call, uses: calm/do@1, with: {what: nothing}}
  - {id: compute, lua: "return {n = input.n + 1}", with: {n: "${{ steps.call.number }}"}}
outputs: {n: "${{ steps.compute.n }}"}
"""
FAULTY = """
name: faulty-{n}
on: [{{event: open.faulty-{n}}}]
respond: {{mode: result, within: 30s}}
steps: [{{id: harm, uses: fault{n}/do@1, timeout: {timeout}, retry: {{attempts: 1}}, with: {{what: "${{{{ event.data.what }}}}"}}}}]
"""
CRASHED, TIMEOUT = {"plugin.crashed"}, {"step.timeout"}
FAULTS = {
    **{what: CRASHED for what in ("segv", "use_bad_instruction", "smash_the_stack", "free_twice", "abort", "exit", "exit_at_once", "exit_quickly", "kill_itself",
                                  "overflow_the_stack", "close_all", "scribble_high")},
    "half_a_frame": CRASHED | TIMEOUT,
    **{what: TIMEOUT for what in ("sleep_for_ever", "lock_itself_out", "listen_to_nobody", "endless")},
    "answer_too_much": {"output.too_large"}, "answer_no_text": {"output.invalid"}, "answer_deep": {"output.invalid"}, "answer_no_number": {"output.invalid"},
    **{what: {None} for what in ("complete_twice", "complete_again_later", "change_everything", "close_low", "scribble_low", "write_much", "take_memory", "take_addresses",
                                 "take_threads", "take_files", "print_much", "bomb", "leave_a_child")},
}
COPIES_CRASHES = 4  # of one plugin in a minute; with the fifth it rests
SENDERS = 4


def copies_for(rounds):
    """At least two: one that hangs has a second to give its call up, and what is sent to it meanwhile goes down with it."""
    return max(2, (rounds + COPIES_CRASHES - 1) // COPIES_CRASHES)


def build(folder, name):
    """A copy of the plugin that has another name."""
    text = SOURCE.replace("fault/do", f"{name}/do").replace('\\"name\\":\\"fault\\"', f'\\"name\\":\\"{name}\\"')
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-std=c11", "-D_GNU_SOURCE", '-DNEEDS=""', f"-I{load.ROOT / 'engine' / 'plugin'}", "-x", "c", "-",
                    "-o", folder / "plugins" / f"{name}.so"], input=text.encode(), check=True)


class Engine(load.Engine):
    def __init__(self, folder, copies, library, timeout):
        for name in ("workflows", "plugins"):
            (folder / name).mkdir()
        (folder / "workflows" / "calm.yaml").write_text(CALM)
        shutil.copy(library / "plugins" / "calm.so", folder / "plugins")
        for n in range(copies):
            (folder / "workflows" / f"faulty-{n}.yaml").write_text(FAULTY.format(n=n, timeout=timeout))
            shutil.copy(library / "plugins" / f"fault{n}.so", folder / "plugins")
        super().__init__(folder, CONFIG, load.CORES, b'"catalog.loaded"')

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def runs(self, workflow):
        with sqlite3.connect(f"file:{next(self.folder.rglob('bellwire.db'))}?mode=ro", uri=True, timeout=60) as database:
            return [(state, json.loads(error)["code"] if error else None) for state, error in
                    database.execute("SELECT state, error FROM runs WHERE workflow LIKE ?", (workflow,))]


def ask(connection, body):
    connection.request("POST", "/in/open", json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


class Others:
    """Runs at a fixed rate, and how long each answer took: from when it was due, so that one that waits for another counts its wait."""

    def __init__(self, engine, rate):
        self.engine, self.every, self.took, self.wrong, self.is_over = engine, SENDERS / rate, [], [], False
        self.threads = [threading.Thread(target=self.send, args=(number,)) for number in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def send(self, number):
        connection, due = self.engine.connect(), time.monotonic() + self.every * number / SENDERS
        while not self.is_over:
            time.sleep(max(0, due - time.monotonic()))
            status, answer = ask(connection, {"name": "calm"})
            self.took.append((due, time.monotonic() - due))
            if status != 200 or json.loads(answer).get("n") != 1:
                self.wrong.append((status, answer[:200]))
            due += self.every

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def p99_ms(self, begin, end):
        return 1000 * statistics.quantiles([took for due, took in self.took if begin <= due < end], n=100)[98]


def one_kind(what, arguments, library, folder):
    copies = copies_for(arguments.rounds)
    engine = Engine(folder, copies, library, "2s" if TIMEOUT <= FAULTS[what] else "25s")
    others = Others(engine, arguments.rate)
    try:
        time.sleep(1)  # what it does first is not compared
        begin = time.monotonic()
        time.sleep(arguments.quiet)
        faults = time.monotonic()
        connection = engine.connect()
        for number in range(arguments.rounds):
            time.sleep(max(0, faults + number * arguments.every - time.monotonic()))
            ask(connection, {"name": f"faulty-{number % copies}", "what": what})
        end = max(time.monotonic(), faults + arguments.quiet)
        time.sleep(max(0, end - time.monotonic()))
    finally:
        others.stop()
        answer = engine.stop()
    codes = [code for _, code in engine.runs("faulty-%")]
    wrong = [code for code in codes if code not in FAULTS[what]]
    row = {"fault": what, "rounds": len(codes), "wrong_ends": wrong, "others": len(others.took), "others_wrong": len(others.wrong) + sum(state != 20 for state, _ in engine.runs("calm")),
           "exit": answer, "quiet_p99_ms": others.p99_ms(begin, faults), "p99_ms": others.p99_ms(faults, end)}
    row["of_quiet"] = row["p99_ms"] / row["quiet_p99_ms"]
    row["is_right"] = not wrong and not row["others_wrong"] and row["rounds"] == arguments.rounds and answer == 0
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--every", type=float, default=0)
    parser.add_argument("--only")
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--quiet", type=int, default=10)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(FAULTS)
    if unknown := [what for what in wanted if what not in FAULTS]:
        sys.exit(f"there is no fault {', '.join(unknown)}: {', '.join(FAULTS)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    library = pathlib.Path(tempfile.mkdtemp(prefix="bellwire-faults-"))
    try:
        (library / "plugins").mkdir()
        for name in ["calm"] + [f"fault{n}" for n in range(copies_for(arguments.rounds))]:
            build(library, name)
        rows = []
        print("| fault | times | other runs | p99 without, ms | p99 meanwhile, ms | of it | |\n|---|---|---|---|---|---|---|")
        for what in wanted:
            folder = library / "instance"
            folder.mkdir()
            rows.append(row := one_kind(what, arguments, library, folder))
            print(f"| {what} | {row['rounds']} | {row['others']:,} | {row['quiet_p99_ms']:.1f} | {row['p99_ms']:.1f} | {row['of_quiet']:.2f} | "
                  f"{'' if row['is_right'] else 'WRONG: ' + json.dumps(row)} |", flush=True)
            if arguments.json:
                with open(arguments.json, "a") as file:
                    file.write(json.dumps(row) + "\n")
            if not row["is_right"]:
                print((folder / "log").read_text()[-3000:], file=sys.stderr)
            shutil.rmtree(folder)
        print(f"\nthe median of the ratios: {statistics.median(row['of_quiet'] for row in rows):.2f}")
    finally:
        shutil.rmtree(library, ignore_errors=True)
    sys.exit(any(not row["is_right"] for row in rows))


if __name__ == "__main__":
    main()
