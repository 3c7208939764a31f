"""Steps that end their worker process: in the end they fail, and they take nobody with them after the first time."""
import json
import threading

import pytest

from conftest import CONFIG, wait_for
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


@pytest.mark.xfail(strict=False, reason="a suspect may be looked at before earlier events that came back from the same worker: seen once in eight runs")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("crash", ["boom", "trigger"])
def test_runs_begin_in_the_order_of_their_events_also_when_one_of_these_kills_its_worker(make_engine, crash, workers):
    killer = KILLER.replace("{event: github.kill}", "{event: github.push, if: event.data.n == 5}")
    engine = start(make_engine, crash, killer, """
name: ordered
on: [{event: github.push}]
concurrency: {limit: 1}
steps: [{id: s, set: {n: "${{ event.data.n }}"}}]
""", config=CONFIG + f"workers: {workers}\n")
    if crash == "trigger":  # every event has one: only that of one event may be fatal
        engine.kill()
        engine.write("workflows/killer.yaml", KILLER.replace("{event: github.kill}", "{event: github.fatal, if: event.data.n == 5}"))
        engine.write("workflows/ordered.yaml", (engine.folder / "workflows/ordered.yaml").read_text().replace("github.push", "'github.*'"))
        engine.start()
        engine.wait_log("catalog.loaded")
    for n in range(12):
        ring(engine, "fatal" if crash == "trigger" and n == 5 else "push", n)
    [run] = ended(engine, "killer")
    assert run["state"] == "failed" and run["error"]["code"] == "worker_lost"
    runs = engine.finished_runs(12, "--workflow", "ordered")
    assert all(run["state"] == "succeeded" for run in runs) and len(runs) == 12
    begun = sorted((run["started_ms"], run["steps"][0]["output"]["n"]) for run in runs)
    assert sorted(begun, key=lambda run: run[1]) == begun
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
