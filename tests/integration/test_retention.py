"""What has ended goes after its age, what is held stays, and what went is gone from every listing."""
import base64
import random
import sqlite3

from conftest import CONFIG, wait_for
from test_runs import Sink, sink  # noqa: F401: a fixture

SHORT = CONFIG + "retention: {deliveries: 1s, events: 1s, succeeded: 1s}\n"
HELD = """
name: held
on: [{event: open.ping}]
steps:
  - id: first
    lua: return {status = ctx.http{method = "POST", url = "%s/first"}.status}
  - id: second
    lua: return {status = ctx.http{method = "POST", url = "%s/second"}.status}
"""


def test_ended_runs_disappear_and_a_held_one_stays(make_engine, sink):  # noqa: F811
    engine = make_engine(SHORT)
    open_sink = Sink()
    engine.write("workflows/held.yaml", HELD % (open_sink.url, sink.url))
    sink.gate.clear()
    engine.start()
    held = engine.request("POST", "/in/open", b'{"n":1}', {"Content-Type": "application/json"})[1]["event"]
    wait_for("the held call", lambda: sink.requests)
    quick = [engine.push(delivery=f"d-{number}")[1]["event"] for number in range(5)]
    newest = engine.push(event="issues")[1]["event"]  # the newest event always stays

    def gone():
        return {row["event"] for row in engine.rows("events")} <= {held, newest} and not engine.rows("runs", "--state", "succeeded")
    wait_for("the ended ones to go", gone)
    line = engine.wait_log("store.retention")
    assert line["by"] == "age" and line["deliveries"] + line["runs"] + line["events"] > 0, line
    assert "there is no event" in engine.run("events", quick[0], check=False).stderr
    status, answer, _ = engine.push(delivery="d-0")  # its key lives longer than the event
    assert status == 200 and answer == {"status": "duplicate"}

    active = engine.rows("runs", "--state", "active")
    assert [run["event"] for run in active] == [held] and [step["step"] for step in engine.show_run(active[0]["run"])["steps"]] == ["first"]
    sink.gate.set()
    wait_for("the held run to end and go", lambda: held not in {row["event"] for row in engine.rows("events")})
    open_sink.server.shutdown()
    assert engine.rows("runs") == []
    wait_for("deliveries to go", lambda: engine.rows("deliveries") == [])
    assert engine.stop() == 0


def test_above_max_size_old_events_go_and_the_engine_goes_on_accepting(make_engine):
    engine = make_engine(CONFIG + "retention: {max_size: 16MiB}\n")
    engine.start()
    def body():  # packing letters without a pattern leaves three quarters: 44 such bodies are 16 MiB
        return b'{"ref":"refs/heads/main","pad":"%s"}' % base64.b64encode(random.randbytes(375_000))
    accepted = [engine.push(body()) for _ in range(60)]
    assert all(status == 202 for status, _, _ in accepted)
    wait_for("all runs to end", lambda: not engine.rows("runs", "--state", "active") and all(row["state"] == "done" for row in engine.rows("events")))
    engine.wait_log("store.retention", by="max_size")

    def is_below():
        with sqlite3.connect(f"file:{engine.folder / 'data' / 'bellwire.db'}?mode=ro", uri=True) as database:
            pages, free = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return (pages - free) * 4096 <= 16 << 20
    wait_for("the database to be below its cap", is_below)
    listed = [row["event"] for row in engine.rows("events", "--limit", "100")]
    assert 5 <= len(listed) <= 44 and listed == [answer["event"] for _, answer, _ in reversed(accepted)][:len(listed)]
    assert engine.stop() == 0


KEPT = """
name: %s
on: [{event: open.ping}]
%s
steps: [{id: one, set: {a: 1}}]
"""


def test_workflows_have_ages_and_labels_of_their_own(make_engine):
    engine = make_engine(CONFIG + "retention: {events: 1s, succeeded: 1s}\n")
    engine.write("workflows/quick.yaml", KEPT % ("quick", "labels: {team: billing, tier: '1'}"))
    engine.write("workflows/ledger.yaml", KEPT % ("ledger", "labels: {team: ledger}\nretention: {ok: none}"))
    engine.start()
    event = engine.request("POST", "/in/open", b'{"n":1}', {"Content-Type": "application/json"})[1]["event"]
    engine.push(event="issues")  # the newest event always stays
    wait_for("the runs without an age of their own to go", lambda: [row["workflow"] for row in engine.rows("runs")] == ["ledger"])
    assert engine.run("events", event).returncode == 0  # as long as a run of it
    [run] = engine.rows("runs", "--label", "team=ledger")
    assert run["labels"] == {"team": "ledger"} and engine.show_run(run["run"])["labels"] == {"team": "ledger"}
    assert "labels   {\"team\":\"ledger\"}" in engine.run("runs", "show", run["run"]).stdout
    assert engine.rows("runs", "--label", "team") and not engine.rows("runs", "--label", "team=billing") and not engine.rows("runs", "--label", "tier")
    assert not engine.rows("runs", "--label", "team=")  # an empty value, not any
    before = run["version"]
    engine.write("workflows/ledger.yaml", KEPT % ("ledger", "labels: {team: ledger, old: 'yes'}"))
    engine.wait_log("catalog.activated")
    wait_for("the runs of what has no age of its own any more to go", lambda: not engine.rows("runs"))
    engine.request("POST", "/in/open", b'{"n":2}', {"Content-Type": "application/json"})
    assert wait_for("another run", lambda: engine.rows("runs", "--label", "old=yes"))[0]["version"] == before
    assert engine.stop() == 0
