"""Real clients from npm: GitHub's example payloads under GitHub's signing library, and the Standard Webhooks library."""
import base64
import json
import subprocess

import pytest

from conftest import CONFIG, ROOT

NPM = ROOT / "tests" / "integration" / "npm"
pytestmark = pytest.mark.skipif(not (NPM / "node_modules").is_dir(), reason="the npm clients are not installed (scripts/test installs them)")
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def send(engine, kind, secret):
    result = subprocess.run(["node", NPM / "send.mjs", kind, str(engine.port)], env={**engine.env, "BELLWIRE_TEST_SECRET": secret}, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_github_example_is_accepted_named_and_run(make_engine):
    engine = make_engine()
    engine.write("workflows/all.yaml", "name: all\non: [{event: 'github.**'}]\nsteps: [{id: s, set: {repository: '${{ event.data.repository.full_name }}'}}]\n")
    engine.start()
    sent = send(engine, "github", engine.env["GITHUB_WEBHOOK_SECRET"])
    assert len(sent) > 200
    assert {row["status"] for row in sent} == {202}, [row for row in sent if row["status"] != 202][:3]
    names = {row["event"]: row["name"] for row in engine.rows("events", "--limit", "1000")}
    assert all(names[row["answer"]["event"]] == "github." + row["name"] for row in sent)
    runs = engine.finished_runs(len(sent))
    assert {run["state"] for run in runs} == {"succeeded"}, [run for run in runs if run["state"] != "succeeded"][:3]


def test_standard_webhooks_library(make_engine):
    engine = make_engine(CONFIG + "  standard: {path: /in/standard, verify: standard-webhooks, secrets: {signing_secret: {env: STANDARD_KEY}}}\n")
    engine.env["STANDARD_KEY"] = KEY
    engine.start()
    sent = send(engine, "standardwebhooks", KEY)
    assert [row["status"] for row in sent] == [202, 200, 401] * 5
    assert {row["name"] for row in engine.rows("events")} == {"standard.user.created"}
