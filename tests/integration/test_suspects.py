"""Steps that end their worker process: in the end they fail, and they take nobody with them after the first time."""
import contextlib
import json
import os
import signal
import threading

import pytest

from conftest import CONFIG, state_of, wait_for
from test_crash import Effects

KILLER = "name: killer\non: [{event: github.kill}]\nsteps: [{id: before, set: {a: 1}}, {id: boom, lua: 'return {b = input.a}', with: {a: '${{ steps.before.a }}'}}]\n"
CALL = """
name: %(name)s
on: [{event: github.%(event)s}]
steps:
  - id: one
    uses: http/request@1
    with: {method: POST, url: "%(url)s/%(name)s", headers: {X-Delivery: "${{ event.data.n }}"}}
  - {id: two, set: {status: "${{ steps.one.status }}"}}
"""


class Slow(Effects):
    """Calls of the innocents are not answered before the gate is open."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()

    def note(self, path, delivery, key):
        status = super().note(path, delivery, key)
        if path == "/innocent":
            self.lock.release()  # the caller holds it
            self.gate.wait()
            self.lock.acquire()
        return status


def ring(engine, event, n):
    assert engine.push(json.dumps({"n": n}).encode(), event=event)[0] == 202


def deaths(engine, **fields):
    return [line for line in engine.log if line.get("log") == "worker.lost" and all(line.get(key) == value for key, value in fields.items())]


def ended(engine, workflow, count=1):
    return engine.finished_runs(count, "--workflow", workflow)


def start(make_engine, crash, *workflows, config=CONFIG + "workers: 1\n"):
    engine = make_engine(config)
    for text in workflows:
        engine.write(f"workflows/{text.split()[1]}.yaml", text)
    engine.env["BELLWIRE_CRASH_STEP"] = crash
    engine.start()
    engine.wait_log("catalog.loaded")
    return engine


def test_a_step_that_always_kills_its_worker_takes_the_innocent_with_it_once(make_engine):
    effects, count = Slow(), 40
    engine = start(make_engine, "boom", KILLER, CALL % {"name": "innocent", "event": "push", "url": effects.url},
                   CALL % {"name": "sibling", "event": "kill", "url": effects.url})
    for n in range(count):
        ring(engine, "push", n)
    wait_for("all calls to be under way", lambda: len(effects.seen) == count)
    ring(engine, "kill", 1000)
    ring(engine, "kill", 1001)
    runs = ended(engine, "killer", 2)
    assert [(run["state"], run["error"]["code"], run["error"]["step"]) for run in runs] == 2 * [("failed", "worker_lost", "boom")]
    assert len(deaths(engine, step="boom")) == 12 and len(deaths(engine)) == 12
    assert len(deaths(engine, pool="default")) <= 2  # each killer once at most; then they are known
    # The siblings of the killers: done before these were tried again.
    siblings = ended(engine, "sibling", 2)
    assert [run["state"] for run in siblings] == ["succeeded"] * 2
    assert max(times for (path, *_), times in effects.seen.items() if path == "/sibling") <= 3
    # None of the others was disturbed any more: what waits is their second call, or the third if the killers died one after the other.
    lost = len(deaths(engine, pool="default"))
    wait_for("the calls that are made again", lambda: all(times >= 2 for (path, *_), times in effects.seen.items() if path == "/innocent"))
    effects.gate.set()
    runs = engine.finished_runs(count, "--workflow", "innocent")
    assert all(run["state"] == "succeeded" for run in runs)
    assert max(times for (path, *_), times in effects.seen.items() if path == "/innocent") <= 1 + lost
    wait_for("the process for suspects to be ended, since there are none", lambda: len(engine.children("worker")) == 1)
    assert engine.stop() == 0


def test_what_dies_between_its_steps_is_found_and_ends_and_the_others_go_on(make_engine):
    effects, count = Effects(), 30
    engine = start(make_engine, "boom~", KILLER, CALL % {"name": "innocent", "event": "push", "url": effects.url})
    for n in range(count):
        ring(engine, "push", n)
        if n == count // 2:
            ring(engine, "kill", 1000)
    [run] = ended(engine, "killer")
    assert (run["state"], run["error"]["code"], run["error"]["class"]) == ("failed", "worker_lost", "lost")
    runs = engine.finished_runs(count, "--workflow", "innocent")
    assert len(runs) == count and all(run["state"] == "succeeded" for run in runs)
    # Three in whatever company it had, two in ever less, six alone; a company that does not end at once may cost one more.
    assert len(deaths(engine)) <= 12 and not deaths(engine, step="boom")
    assert max(effects.seen.values()) <= 7
    assert engine.stop() == 0


FATAL = 5  # of twelve events


def freeze(engine):
    pids = engine.children("worker")
    tell(pids, signal.SIGSTOP)
    wait_for("the workers to stop", lambda: all(is_stopped(pid) for pid in pids))
    return pids


def thaw(pids):
    tell(pids, signal.SIGCONT)


def tell(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # the one for suspects is ended when there are none
            os.kill(pid, number)


def is_stopped(pid):
    return state_of(pid) in ("T", "gone")


def ring_twelve(make_engine, crash, killer, config=CONFIG + "workers: 1\n"):
    """Events that each start a run that comes in its turn; one of them is fatal. Nobody has looked at them. Also who is called by these runs."""
    effects = Effects()
    engine = start(make_engine, crash, killer, """
name: ordered
on: [{event: 'github.*'}]
concurrency: {limit: 1}
steps:
  - id: call
    uses: http/request@1
    with: {method: POST, url: "%s", headers: {X-Delivery: "${{ event.data.n }}"}}
""" % effects.url, config=config)
    pids = freeze(engine)
    for n in range(12):
        ring(engine, "fatal" if n == FATAL else "push", n)
    return engine, effects, pids


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("crash", ["boom", "trigger"])
def test_runs_begin_in_the_order_of_their_events_also_when_one_of_these_kills_its_worker(make_engine, crash, workers):
    # Only the fatal event has the step and the condition of which workers die.
    killer = KILLER.replace("{event: github.kill}", "{event: github.fatal, if: event.data.n == %d}" % FATAL)
    engine, effects, pids = ring_twelve(make_engine, crash, killer, CONFIG + f"workers: {workers}\n")
    thaw(pids)  # it reads them all at once, and dies before anything of those that came before the fatal one has left it
    [run] = ended(engine, "killer")
    assert run["state"] == "failed" and run["error"]["code"] == "worker_lost"
    runs = engine.finished_runs(12, "--workflow", "ordered")
    assert all(run["state"] == "succeeded" for run in runs) and len(runs) == 12
    assert [int(delivery) for _, delivery, _ in effects.seen] == list(range(12))
    assert engine.stop() == 0


def test_events_keep_their_order_when_one_of_them_ends_every_worker_between_two_pieces_of_code(make_engine):
    killer = KILLER.replace("{event: github.kill}", "{event: github.fatal, if: true}")
    engine, effects, pids = ring_twelve(make_engine, "trigger~", killer)
    thaw(pids)
    engine.wait_log("event.given_up")
    runs = engine.finished_runs(11, "--workflow", "ordered")
    assert all(run["state"] == "succeeded" for run in runs) and len(runs) == 11
    assert [int(delivery) for _, delivery, _ in effects.seen] == [n for n in range(12) if n != FATAL]
    assert engine.stop() == 0


def test_a_parked_run_that_kills_its_worker_is_a_suspect_too(make_engine):
    effects = Slow()
    engine = start(make_engine, "boom", KILLER.replace("{id: before, set: {a: 1}}", "{id: before, sleep: 6s}").replace("steps.before.a", "1"),
                   CALL % {"name": "innocent", "event": "push", "url": effects.url}, config=CONFIG + "workers: 1\npools: {slow: {}}\n")
    ring(engine, "kill", 1)
    wait_for("the run to be parked", lambda: [row["state"] for row in engine.rows("runs")] == ["parked"])
    ring(engine, "push", 2)
    wait_for("the call", lambda: len(effects.seen) == 1)
    [run] = ended(engine, "killer")
    assert run["error"]["code"] == "worker_lost" and len(deaths(engine, step="boom")) == 6
    wait_for("the call to be made again, once", lambda: list(effects.seen.values()) == [2])
    effects.gate.set()
    assert engine.finished_runs(1, "--workflow", "innocent")[0]["state"] == "succeeded" and list(effects.seen.values()) == [2]
    assert engine.stop() == 0


# ---- engines that die ----

BUSY = "name: busy\non: [{event: github.busy}]\nsteps: [{id: before, set: {a: 1}}, {id: loop, timeout: 1h, lua: 'while true do end'}]\n"
ACTIVE_AT = 8  # engine/wire/flight.h: deadline_us, 0 while nothing is executed


def is_executing(engine, step):
    """One of the workers does, by what its flight page says."""
    for page in (engine.folder / "data" / "flight").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError):
            content = page.read_bytes()
            if any(content[ACTIVE_AT:ACTIVE_AT + 8]) and step.encode() + b"\0" in content:
                return True
    return False


def stop_while_executing(engine, step):
    """Lua gives way now and then, and a worker whose engine is gone ends then: what kills both kills them at once."""
    def stopped():
        pids = freeze(engine)
        if is_executing(engine, step):
            return pids
        thaw(pids)
        return None
    return wait_for(f"{step} to be executed", stopped)


def die(engine, step):
    stop_while_executing(engine, step)
    assert engine.kill() == -signal.SIGKILL
    engine.start()


def start_busy(make_engine, *workflows, config=CONFIG + "workers: 1\nstall: 1h\n"):
    return start(make_engine, "none", BUSY, *workflows, config=config)


@pytest.mark.parametrize("is_parked", [False, True])
def test_a_step_that_is_there_whenever_the_engine_dies_fails_in_the_end(make_engine, is_parked):
    effects = Effects()
    engine = start_busy(make_engine, CALL % {"name": "innocent", "event": "push", "url": effects.url},
                        BUSY.replace("busy", "nap").replace("set: {a: 1}", "sleep: 6s"))
    ring(engine, "nap" if is_parked else "busy", 1)
    for n in range(6):
        die(engine, "loop")
        ring(engine, "push", n)
        engine.finished_runs(n + 1, "--workflow", "innocent")  # it is nobody's neighbour
        assert [line["step"] for line in engine.log if line.get("log") == "engine.lost"] == ["loop"]
    [run] = ended(engine, "nap" if is_parked else "busy")
    assert (run["state"], run["error"]["code"], run["error"]["step"]) == ("failed", "worker_lost", "loop")
    assert run["lost"] == 6 and max(effects.seen.values()) == 1
    assert json.loads((engine.folder / "data/flight/losses.json").read_text()) == []
    assert engine.stop() == 0
    assert not list((engine.folder / "data/flight").glob("[0-9]*"))


def test_what_is_known_of_deaths_outlives_engines_that_had_no_part_in_them(make_engine):
    engine = start_busy(make_engine)
    ring(engine, "busy", 1)
    [pid] = stop_while_executing(engine, "loop")
    os.kill(pid, signal.SIGKILL)  # it is this step's doing, as far as anybody can see
    engine.wait_log("worker.lost", step="loop")
    for known in range(2, 7):
        die(engine, "loop")
        if known < 6:
            [entry] = json.loads((engine.folder / "data/flight/losses.json").read_text())
            assert (entry["path"], entry["count"]) == ("loop", known)
    assert ended(engine, "busy")[0]["error"]["code"] == "worker_lost"
    assert engine.stop() == 0


def test_a_step_that_gets_on_is_forgiven_what_it_did_not_do(make_engine):
    gate = Slow()
    engine = start_busy(make_engine, """
name: innocent
on: [{event: github.push}]
steps:
  - {id: slow, timeout: 1h, lua: 'for i = 1, 2e8 do end return {}'}
  - {id: call, uses: http/request@1, with: {method: POST, url: "%s/innocent", headers: {X-Delivery: x}}}
""" % gate.url)
    ring(engine, "push", 1)
    die(engine, "slow")
    engine.wait_log("engine.lost", step="slow")
    wait_for("the next step", lambda: gate.seen)
    gate.gate.set()
    assert ended(engine, "innocent")[0]["state"] == "succeeded"
    wait_for("it to be forgotten", lambda: json.loads((engine.folder / "data/flight/losses.json").read_text()) == [])
    assert engine.stop() == 0


def test_events_keep_their_order_when_one_of_them_was_executed_as_the_engine_died(make_engine):
    engine, effects, _ = ring_twelve(make_engine, "none", KILLER)
    assert engine.kill() == -signal.SIGKILL
    (engine.folder / "data/flight/losses.json").write_text(json.dumps(
        [{"job": FATAL + 1, "run": "run_01m8k6e9wd57da8jw7eezbgtyd", "path": "trigger", "count": 1}]))
    engine.start()
    engine.finished_runs(12, "--workflow", "ordered")
    assert [int(delivery) for _, delivery, _ in effects.seen] == list(range(12))
    assert engine.stop() == 0


def test_what_was_known_of_a_run_that_has_ended_is_dropped(make_engine):
    engine = start_busy(make_engine, "name: quick\non: [{event: github.push}]\nsteps: [{id: s, set: {a: 1}}]\n")
    ring(engine, "push", 1)
    [run] = engine.finished_runs(1)
    ring(engine, "busy", 2)
    stop_while_executing(engine, "loop")
    assert engine.kill() == -signal.SIGKILL
    known = engine.folder / "data/flight/losses.json"
    known.write_text(json.dumps([{"job": 1, "run": run["run"], "path": "s", "count": 3, "life": ""}]))
    engine.start()
    assert [(entry["job"], entry["path"], entry["count"]) for entry in json.loads(known.read_text())] == [(2, "loop", 1)]
    assert engine.kill() == -signal.SIGKILL


def test_what_cannot_be_read_of_an_earlier_engine_is_ignored(make_engine):
    engine = start_busy(make_engine)
    ring(engine, "push", 1)
    assert engine.stop() == 0
    folder = engine.folder / "data" / "flight"
    (folder / "losses.json").write_text('[{"job": 1, "cou')
    (folder / "1").write_bytes(b"")
    (folder / "2").write_bytes(os.urandom(4096))
    (folder / "3").mkdir()
    engine.start()
    engine.wait_log("flight.ignored", file="./data/flight/losses.json")
    assert len([line for line in engine.log if line.get("log") == "flight.ignored"]) == 3
    ring(engine, "push", 2)
    assert engine.stop() == 0
