"""Several events, one run: collect; under kills, and with a clock that is ahead instead of sleeping."""
import http.client
import json
import os
import random
import signal
import sqlite3

import pytest
from conftest import CONFIG, wait_for
from test_concurrency import Gate, ring, states
from test_rate import of, restart_ahead, why

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))
KEY = 'key: "${{ event.data.key }}"'
SEEN = """[{id: a, set: {all: "${{ map(events, 'data.n') }}", last: "${{ event.data.n }}", count: "${{ len(events) }}", first: "${{ events[1].name }}"}}]"""


def workflow(collect, more="", steps=SEEN):
    return f"name: gather\non: [{{event: open.ping, if: \"event.data.n ~= 'no'\"}}]\ncollect: {collect}\n{more}\nsteps: {steps}\n"


def begin(make_engine, collect, config=CONFIG, **more):
    engine = make_engine(config)
    engine.write("workflows/w.yaml", workflow(collect, **more))
    engine.start()
    return engine


def collected(engine):
    """How many events are in collectors whose runs are still to be made."""
    connection = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    try:
        return connection.execute("SELECT count(*) FROM collected d JOIN collectors c ON c.id = d.collector_id WHERE c.due_ms IS NOT NULL").fetchone()[0]
    finally:
        connection.close()


def done(engine, events):
    wait_for("the events are looked at", lambda: all(engine.rows("events", event)[0]["state"] == "done" for event in events))


def seen(run):
    return run["steps"][0]["output"]["all"]


def test_a_burst_is_one_run_when_it_is_quiet(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h}}")
    events = [ring(engine, "k", n) for n in range(5)]
    other, none = ring(engine, "other", 7), ring(engine, "k", "no")
    done(engine, events + [other, none])
    assert states(engine) == []
    assert [engine.rows("events", event)[0]["matched"] for event in events + [none]] == [1] * 5 + [0]
    row = engine.rows("why", events[2])[0]
    assert row["decided"] == "collected" and "collected, 5 events so far: their run begins at 20" in row["message"]
    assert "collected, 1 event so far" in why(engine, other) and engine.rows("why", none)[0]["decided"] == "condition"
    restart_ahead(engine, 3600 * 1000)
    runs = engine.finished_runs(2)
    assert sorted(seen(run) for run in runs) == [[0, 1, 2, 3, 4], [7]]
    burst = [run for run in runs if len(seen(run)) == 5][0]
    assert burst["event"] == events[4] and burst["events"] == events
    shown = engine.run("runs", "show", burst["run"]).stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith(("event ", "and "))] == [events[4]] + events[:4]
    assert burst["steps"][0]["output"] == {"all": [0, 1, 2, 3, 4], "last": 4, "count": 5, "first": "open.ping"}
    for event in events:
        row = engine.rows("why", event)[0]
        assert row["decided"] == "ran" and row["message"].startswith(f"{burst['run']}  succeeded, made of 5 events")


def test_it_begins_while_the_engine_runs_when_it_is_quiet_or_after_the_longest_wait(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 150ms, max_wait: 1h}}")
    ring(engine, "k", 0)
    ring(engine, "k", 1)
    assert seen(engine.finished_runs(1)[0]) == [0, 1]
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, max_wait: 150ms}}"))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    ring(engine, "k", 2)
    assert seen(engine.finished_runs(2)[0]) == [2]


def test_a_full_one_begins_at_once_and_the_rest_is_the_next_one(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h, max_events: 3}}", CONFIG + "workers: 2\n")
    events = [ring(engine, "k", n) for n in range(8)]
    runs = engine.finished_runs(2)
    assert [seen(run) for run in reversed(runs)] == [[0, 1, 2], [3, 4, 5]]
    done(engine, events)
    assert collected(engine) == 2
    restart_ahead(engine, 3600 * 1000)
    assert seen(engine.finished_runs(3)[0]) == [6, 7]


def test_it_waits_for_quiet_but_not_longer_than_max_wait(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h, max_wait: 90m}}")
    events = [ring(engine, "k", 0)]
    for n in (1, 2):
        done(engine, events)
        restart_ahead(engine, 40 * 60 * 1000)
        assert states(engine) == []
        events.append(ring(engine, "k", n))
    done(engine, events)
    restart_ahead(engine, 15 * 60 * 1000)  # 95 minutes after the first one, 15 after the last one
    assert seen(engine.finished_runs(1)[0]) == [0, 1, 2]


CRASHES = ["store.before_collect", "store.after_collect", "store.before_flush", "store.after_flush", "store.before_wake", "store.after_wake"]


@pytest.mark.parametrize("point", CRASHES)
def test_each_event_is_in_one_run_whatever_commit_it_dies_at(make_engine, point):
    engine = make_engine(CONFIG + "workers: 2\n")
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, quiet: 1h, max_events: 4}}"))
    acknowledged, n = [], 0
    for hit in (1, 2, 3):
        engine.env["BELLWIRE_CRASH"] = f"{point}:{hit}"
        engine.start()
        try:
            for n in range(n + 1, n + 500):
                ring(engine, str(n % 2), n)
                acknowledged.append(n)
        except (OSError, http.client.HTTPException):  # it died, perhaps before it answered
            pass
        assert engine.ended() == 137
        engine.env.pop("BELLWIRE_CRASH")
    engine.start()
    wait_for("no event is pending", lambda: all(row["state"] == "done" for row in engine.rows("events", "--limit", "1000")))
    restart_ahead(engine, 2 * 3600 * 1000)
    wait_for("the runs", lambda: collected(engine) == 0 and set(states(engine)) <= {"succeeded"})
    gathered = [seen(engine.show_run(row["run"])) for row in engine.rows("runs", "--limit", "1000")]
    everything = sorted(number for numbers in gathered for number in numbers)
    assert len(everything) == len(set(everything)) and set(acknowledged) <= set(everything)
    assert all(numbers == sorted(numbers) and len(numbers) <= 4 and len({number % 2 for number in numbers}) == 1 for numbers in gathered)


def test_nothing_is_lost_or_twice_when_all_is_killed_again_and_again(make_engine):
    print("seed", SEED)
    rng = random.Random(SEED)
    engine = begin(make_engine, f"{{{KEY}, quiet: 300ms, max_wait: 2s, max_events: 7}}", CONFIG + "workers: 2\n")
    for n in range(120):
        ring(engine, str(n % 3), n)
        if rng.random() < 0.06:
            if rng.random() < 0.5:
                engine.kill()
                engine.start()
            else:
                for pid in engine.children("worker")[:1]:
                    os.kill(pid, signal.SIGKILL)
    wait_for("no event is pending", lambda: all(row["state"] == "done" for row in engine.rows("events", "--limit", "1000")))
    wait_for("the runs", lambda: collected(engine) == 0 and set(states(engine)) <= {"succeeded"})
    gathered = [seen(engine.show_run(row["run"])) for row in reversed(engine.rows("runs", "--limit", "1000"))]
    assert sorted(number for numbers in gathered for number in numbers) == list(range(120))
    assert all(numbers == sorted(numbers) and len(numbers) <= 7 for numbers in gathered)
    for key in range(3):
        assert [number for numbers in gathered for number in numbers if number % 3 == key] == list(range(key, 120, 3))


def test_the_run_takes_the_version_that_is_active_then(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h}}")
    done(engine, [ring(engine, "k", 0), ring(engine, "k", 1)])
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, quiet: 2h}}", steps=SEEN.replace("id: a", "id: b")))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    restart_ahead(engine, 3600 * 1000)
    run = engine.finished_runs(1)[0]
    assert run["steps"][0]["step"] == "b" and seen(run) == [0, 1]


@pytest.mark.parametrize("now", [None, "name: gather\non: [{event: open.ping}]\nsteps: [{id: b, set: {}}]\n"])
def test_a_workflow_that_is_gone_or_collects_no_more_runs_as_it_was(make_engine, now):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h}}")
    done(engine, [ring(engine, "k", 0), ring(engine, "k", 1)])
    engine.kill()
    if now:
        engine.write("workflows/w.yaml", now)
    else:
        (engine.folder / "workflows" / "w.yaml").unlink()
    engine.start()
    restart_ahead(engine, 3600 * 1000)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "succeeded" and seen(run) == [0, 1]


def test_the_run_waits_for_its_slot_and_its_delay_as_every_run_does(make_engine):
    gate, engine = Gate(), make_engine()
    gate.open.clear()
    steps = f"""
  - {{id: n, set: {{all: "${{{{ map(events, 'data.n') }}}}"}}}}
  - {{id: call, uses: http/request@1, with: {{method: POST, url: "{gate.url}", json: {{key: k, n: "${{{{ event.data.n }}}}"}}}}}}"""
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, quiet: 1h, max_events: 2}}", "concurrency: {limit: 1}", steps))
    engine.start()
    for n in range(4):
        ring(engine, "k", n)
    wait_for("one that waits", lambda: states(engine) == ["active", "blocked"] and gate.begun)
    gate.open.set()
    runs = engine.finished_runs(2)
    assert [seen(run) for run in reversed(runs)] == [[0, 1], [2, 3]]
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, quiet: 1h, max_events: 2}}", "delay: 2h\nstart_within: 3h"))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    done(engine, [ring(engine, "k", 4)])
    restart_ahead(engine, 90 * 60 * 1000)
    wait_for("its delay", lambda: states(engine) == ["delayed", "succeeded", "succeeded"])
    assert "begins at" in engine.show_run(of(engine, "delayed")[0]["run"])["waits"]
    restart_ahead(engine, 2 * 3600 * 1000)
    assert seen(engine.finished_runs(3)[0]) == [4]


FAILS = """[{id: a, set: {all: "${{ map(events, 'data.n') }}"}}, {id: b, lua: "if is_fixed or input.n > 9 then return {} end error('no')",
  with: {n: "${{ len(events) }}"}}]"""


def test_a_failed_run_is_resumed_and_replayed_with_all_of_its_events(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h, max_events: 3}}", steps=FAILS)
    for n in range(3):
        ring(engine, "k", n)
    failed = engine.finished_runs(1)[0]
    assert failed["state"] == "failed" and seen(failed) == [0, 1, 2]
    engine.write("workflows/w.yaml", workflow(f"{{{KEY}, quiet: 1h, max_events: 3}}", steps=FAILS.replace("is_fixed or input.n > 9", "input.n == 3")))
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    engine.run("runs", "resume", failed["run"])  # as the version that it began with
    wait_for("the second failure", lambda: len(engine.show_run(failed["run"])["audit"]) == 1 and states(engine) == ["failed"])
    engine.run("runs", "replay", failed["run"])
    wait_for("the replay", lambda: states(engine) == ["failed", "succeeded"])
    assert seen(engine.show_run(of(engine, "succeeded")[0]["run"])) == [0, 1, 2]


def test_items_read_the_events_and_a_start_by_hand_is_a_run_of_its_own(make_engine):
    steps = """
  - id: each
    foreach: ${{ events }}
    steps: [{id: one, set: {n: "${{ item.data.n }}", of: "${{ len(events) }}", last: "${{ events[#events].data.n }}"}}]"""
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h, max_events: 3}}", steps=steps)
    for n in range(3):
        ring(engine, "k", n)
    run = engine.finished_runs(1)[0]
    assert run["steps"][0]["output"]["items"] == [{"n": n, "of": 3, "last": 2} for n in range(3)]
    engine.write("data.json", '{"n": 5}')
    shown = engine.run("run", "gather", "--data", "data.json").stdout
    assert '[{"n":5,"of":1,"last":5}]' in shown


def test_a_key_that_cannot_be_told_fails_the_run_of_that_event(make_engine):
    engine = begin(make_engine, '{key: "${{ event.data.key .. event.data.missing }}", quiet: 1h}')
    ring(engine, "k", 0)
    run = engine.finished_runs(1)[0]
    assert run["state"] == "failed" and collected(engine) == 0


def test_bodies_that_are_very_large_begin_the_next_one(make_engine):
    engine = begin(make_engine, f"{{{KEY}, quiet: 1h}}")
    body = json.dumps({"key": "k", "n": 0, "text": "x" * 900_000})
    events = []
    for n in range(20):
        status, answer, _ = engine.request("POST", "/in/open", body.replace('"n": 0', f'"n": {n}').encode(),
                                           {"Content-Type": "application/json"})
        assert status == 202, answer
        events.append(answer["event"])
    first = engine.finished_runs(1)[0]
    assert seen(first) == list(range(18))  # 16 MiB
    done(engine, events)
    assert collected(engine) == 2
