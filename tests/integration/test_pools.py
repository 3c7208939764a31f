"""Worker pools: runs go to the workers of their pool and to no others. A worker that is stopped (SIGSTOP) shows whose a run is."""
import contextlib
import http.client
import json
import os
import signal
import sqlite3

import pytest

from conftest import CONFIG, DEADLINE, wait_for

POOLS = CONFIG + "workers: 1\npools: {slow: {}, other: {workers: 1}}\n"
QUICK = "name: quick\non: [{event: github.push}]\nsteps: [{id: s, set: {ref: '${{ event.data.ref }}'}}]\n"
SLOW = "name: slow\npool: slow\non: [{event: github.push}]\nsteps: [{id: s, lua: 'return {ref = input.ref}', with: {ref: '${{ event.data.ref }}'}}]\n"


def workers(engine):
    """Their process ids, in the order in which they were started: the default pool first, then the others as they stand in the configuration."""
    found = wait_for("all workers", lambda: (lambda pids: pids if len(pids) == 3 else None)(sorted(engine.children("worker"))))
    return dict(zip(("default", "slow", "other"), found))


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def start(make_engine, *workflows, config=POOLS):
    engine = make_engine(config)
    for text in workflows:
        engine.write(f"workflows/{text.split()[1]}.yaml", text)
    engine.start("--log-level", "debug")
    engine.wait_log("catalog.loaded")
    return engine


def state(engine, workflow):
    return [row["state"] for row in engine.rows("runs", "--workflow", workflow)]


ACTIVE, SUCCEEDED = 2, 20  # as they are stored


def counted(engine, workflow):
    """{state: how many runs}, where they are too many to be listed."""
    with contextlib.closing(sqlite3.connect(f"file:{engine.folder / 'data/bellwire.db'}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT state, count(*) FROM runs WHERE workflow = ? GROUP BY state", (workflow,)))


def test_a_pool_that_stands_still_holds_up_nobody_else(make_engine):
    engine = start(make_engine, QUICK, SLOW)
    with stopped(workers(engine)["slow"]):
        assert engine.push()[0] == 202
        [run] = engine.finished_runs(1, "--workflow", "quick")
        assert run["state"] == "succeeded"
        assert state(engine, "slow") == ["active"]
    [run] = engine.finished_runs(1, "--workflow", "slow")
    assert run["state"] == "succeeded" and run["steps"][0]["output"] == {"ref": "refs/heads/main"}
    assert engine.stop() == 0


def test_a_default_pool_that_stands_still_holds_up_no_run_of_another(make_engine):
    engine = start(make_engine, QUICK, "name: slow\npool: slow\non: [{event: github.push}]\nsteps: [{id: w, wait: {event: github.go}}, {id: s, set: {}}]\n")
    assert engine.push()[0] == 202
    wait_for("the run to be parked", lambda: state(engine, "slow") == ["parked"])
    with stopped(workers(engine)["default"]):
        assert engine.push(event="go")[0] == 202  # which the store matches to the wait
        [run] = engine.finished_runs(1, "--workflow", "slow")
        assert run["state"] == "succeeded"
    assert engine.stop() == 0


def test_items_stay_in_the_pool_of_their_workflow_and_a_called_one_goes_to_its_own(make_engine):
    engine = start(make_engine, """
name: parent
pool: slow
on: [{event: github.push}]
steps:
  - {id: each, foreach: [1, 2, 3], steps: [{id: s, set: {n: "${{ item }}"}}]}
  - {id: called, uses: workflow/callee}
""", "name: callee\npool: other\non: [{call: true}]\nsteps: [{id: s, set: {a: 1}}]\noutputs: {a: '${{ steps.s.a }}'}\n")
    pids = workers(engine)
    with stopped(pids["other"]):
        assert engine.push()[0] == 202
        def has_items():
            rows = engine.rows("runs", "--workflow", "parent")
            steps = {step["step"]: step for step in engine.show_run(rows[0]["run"])["steps"]} if rows else {}
            return steps.get("each", {}).get("state") == "succeeded" and "called" in steps
        wait_for("the items, which need nobody of the other pool", has_items)
        assert state(engine, "parent") == ["parked"]
        with stopped(pids["default"]), stopped(pids["slow"]):
            os.kill(pids["other"], signal.SIGCONT)
            wait_for("the called run, in its own pool", lambda: "succeeded" in [row["state"] for row in engine.rows("runs", "--workflow", "callee", "--children")])
    assert engine.finished_runs(1, "--workflow", "parent")[0]["state"] == "succeeded"
    assert engine.stop() == 0


def test_more_runs_than_memory_holds_wait_for_one_pool_and_the_others_go_on(make_engine):
    """A worker that takes nothing is sent 4 MiB, and 4,096 more runs are held in memory: what comes behind them for another pool must not wait in the
    store."""
    items, calls = 275, 20
    count = items * calls
    steps = ", ".join(f'{{id: call_{n}, uses: workflow/slow, with: {{blob: "${{{{ event.data.blob }}}}"}}, detach: true}}' for n in range(calls))
    engine = start(make_engine, "name: many\non: [{event: github.push}]\nsteps: [{id: each, foreach: \"${{ event.data.items }}\", concurrency: 100, steps: [%s]}]\n" % steps,
                   "name: slow\npool: slow\non: [{call: true}]\ninputs: {blob: {type: string}}\nsteps: [{id: s, set: {a: 1}}]\n",
                   "name: later\non: [{event: github.later}]\nsteps: [{id: each, foreach: [1, 2], steps: [{id: s, set: {n: '${{ item }}'}}]}]\n")
    def is_done(workflow):
        return lambda: state(engine, workflow) == ["succeeded"]
    with stopped(workers(engine)["slow"]):
        assert engine.push(json.dumps({"items": list(range(items)), "blob": 4096 * "x"}).encode())[0] == 202
        wait_for("all of them to be there", is_done("many"), 5 * DEADLINE)
        assert engine.push(event="later")[0] == 202
        wait_for("what came behind them", is_done("later"))
        assert counted(engine, "slow") == {ACTIVE: count}
    wait_for("all of them", lambda: counted(engine, "slow") == {SUCCEEDED: count}, 5 * DEADLINE)
    assert engine.stop() == 0


def test_a_worker_of_a_pool_that_dies_is_replaced_in_it(make_engine):
    engine = start(make_engine, SLOW)
    pids = workers(engine)
    with stopped(pids["slow"]):
        assert engine.push()[0] == 202
        wait_for("the run to be there", lambda: state(engine, "slow") == ["active"])
        os.kill(pids["slow"], signal.SIGKILL)
    with stopped(pids["default"]), stopped(pids["other"]):
        assert engine.finished_runs(1)[0]["state"] == "succeeded"
    assert engine.stop() == 0


def test_order_of_concurrency_and_the_answer_to_the_sender_are_as_without_a_pool(make_engine):
    engine = start(make_engine, """
name: ordered
pool: slow
on: [{event: github.push}]
concurrency: {key: "${{ event.data.key }}", limit: 1}
respond: {mode: result, within: 60s}
steps: [{id: s, set: {n: "${{ event.data.n }}"}}]
outputs: {n: "${{ steps.s.n }}"}
""")
    for n in range(20):
        status, body, _ = engine.push(json.dumps({"key": n % 2, "n": n}).encode())
        assert (status, body) == (200, {"n": n})
    runs = engine.finished_runs(20)
    assert [run["steps"][0]["output"]["n"] for run in reversed(runs)] == list(range(20))
    assert engine.stop() == 0


def test_a_parked_run_goes_on_in_the_pool_that_its_workflow_has_now(make_engine):
    text = "name: slow\npool: %s\non: [{event: github.push}]\nsteps: [{id: w, wait: {event: github.go}}, {id: s, set: {}}]\n"
    engine = start(make_engine, text % "slow")
    assert engine.push()[0] == 202
    wait_for("the run to be parked", lambda: state(engine, "slow") == ["parked"])
    before = engine.show_run(engine.rows("runs")[0]["run"])
    engine.write("workflows/slow.yaml", text % "other")
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.activated")
    with stopped(workers(engine)["slow"]):
        assert engine.push(event="go")[0] == 202
        [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["version"] == before["version"]
    # The pool is no part of the version: the next run has the same one.
    assert engine.push()[0] == 202
    assert wait_for("the next run", lambda: [row for row in engine.rows("runs") if row["state"] == "parked"])[0]["version"] == before["version"]
    assert engine.stop() == 0


@pytest.mark.parametrize("crash", ["dispatch.before_report:1", "dispatch.before_report:2", "dispatch.before_report:3", "store.before_admission:1",
                                   "store.after_admission:1"])
def test_one_run_for_each_workflow_whenever_the_engine_dies(make_engine, crash):
    engine = make_engine(POOLS)
    engine.write("workflows/quick.yaml", QUICK)
    engine.write("workflows/slow.yaml", SLOW)
    engine.start()
    engine.wait_log("catalog.loaded")
    assert engine.stop() == 0
    engine.env["BELLWIRE_CRASH"] = crash
    engine.start()
    with contextlib.suppress(OSError, http.client.HTTPException):
        engine.push(delivery="one")
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    assert engine.push(delivery="one")[0] in (200, 202)
    runs = engine.finished_runs(2)
    assert sorted(run["workflow"] for run in runs) == ["quick", "slow"] and all(run["state"] == "succeeded" for run in runs)
    assert len(engine.rows("runs")) == 2
    assert engine.stop() == 0


def test_a_pool_that_is_not_there_is_named(make_engine):
    engine = make_engine(POOLS)
    engine.write("workflows/slow.yaml", SLOW.replace("pool: slow", "pool: slwo"))
    engine.write("workflows/quick.yaml", QUICK.replace("on:", "pool: default\non:"))
    checked = engine.run("check", check=False)
    assert checked.returncode == 1
    assert "slow.yaml:2:7" in checked.stderr and "there is no pool slwo" in checked.stderr and "did you mean 'slow'?" in checked.stderr
    # The engine says so, too, and its runs are not lost: the default pool has them.
    engine.start()
    assert engine.wait_log("catalog.error", code="pool.unknown")
    assert engine.push()[0] == 202
    assert all(run["state"] == "succeeded" for run in engine.finished_runs(2))
    assert engine.stop() == 0


def test_by_hand_there_is_one_pool(make_engine):
    engine = make_engine(POOLS)
    engine.write("workflows/slow.yaml", SLOW.replace("{event: github.push}", "{event: github.push}, {manual: true}"))
    engine.write("data.json", '{"ref": "x"}')
    told = [json.loads(line) for line in engine.run("run", "slow", "--data", "data.json", "--json").stdout.splitlines()]
    assert [line["what"] for line in told] == ["run_started", "step_started", "step_finished", "run_finished"]


def test_in_trials_there_is_one_pool(make_engine):
    engine = make_engine(POOLS)
    engine.write("workflows/slow.yaml", SLOW)
    engine.write("workflows/slow.test.yaml", "workflow: slow\ntests:\n  - name: it runs\n    event: {name: github.push, data: {ref: x}}\n    expect: {state: succeeded}\n")
    assert engine.run("test", "workflows/slow.test.yaml", check=False).returncode == 0
