"""What must not happen is repaired and reported, and the tests see it: conftest.py looks at each data folder after each test."""
import json
import sqlite3

import pytest
from conftest import audit, wait_for

NAP = """
name: nap
on: [{event: open.ping}]
steps:
  - {id: nap, sleep: 1h}
"""


@pytest.mark.damages_the_store
def test_a_run_that_nothing_would_wake_ends_and_it_is_reported(engine):
    engine.write("workflows/nap.yaml", NAP)
    engine.start()
    status, _, _ = engine.request("POST", "/in/open", json.dumps({"n": 1}).encode(), {"Content-Type": "application/json"})
    assert status == 202
    run = wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))[0]["run"]
    assert engine.stop() == 0
    database = engine.folder / "data" / "bellwire.db"
    assert not audit(database)

    connection = sqlite3.connect(database)
    with connection:
        connection.execute("DELETE FROM timers")
    connection.close()
    assert audit(database), "the fixture that runs after each test would not have seen it"

    engine.start()
    line = engine.wait_log("store.repaired")
    assert line["level"] == "error" and line["run"] == run and "nothing that could wake it" in line["message"]
    assert engine.finished_runs(1)[0]["state"] == "succeeded"
    assert [row for name, row in audit(database)] == [(1,)], "repaired once, counted for good, and nothing else"
