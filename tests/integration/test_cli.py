"""The command line as a person and as a program meets it."""
import json
import socket
import subprocess

import pytest

from conftest import BINARY, CONFIG, ONE_STEP, ROOT, SHARED, wait_for

COMMANDS = ["serve", "check", "run", "send", "verify", "events", "runs", "why", "deliveries", "actions", "schemes", "version"]


def test_help_lists_every_command_and_each_teaches(engine):
    listing = engine.run("--help").stdout
    for command in COMMANDS:
        assert f"  {command}" in listing
        text = engine.run(command, "--help").stdout
        assert text.startswith("usage: bellwire " + command)
    keys = engine.run("serve", "--help").stdout.split("bellwire.yaml (every key has a default):")[1]
    assert all(f"\n  {key} " in keys for key in ("listen", "retention", "configure", "plugins_may")) and "configure.PLUGIN" in keys


@pytest.mark.parametrize("arguments,status", [([], 2), (["chekc"], 2), (["runs", "--nope"], 2), (["runs", "run_x"], 2), (["runs"], 1), (["verify"], 2),
    (["runs", "--limit", "ten"], 2), (["events", "--limit", "0"], 2), (["deliveries", "--limit", "-1"], 2), (["events", "--limit", "5x"], 2)])
def test_exit_status_tells_wrong_usage_from_failure(engine, arguments, status):
    result = engine.run(*arguments, check=False)
    assert result.returncode == status
    assert result.stderr


def test_unknown_command_is_guessed(engine):
    assert "did you mean 'check'" in engine.run("chekc", check=False).stderr


def test_check_says_what_would_run(engine):
    result = engine.run("check")
    assert "one-step" in result.stderr and "github" in result.stderr


def test_run_shows_each_step(engine):
    engine.write("push.json", '{"ref":"refs/heads/main"}')
    result = engine.run("run", "one-step", "--data", "push.json")
    assert "greet" in result.stdout and "succeeded" in result.stdout
    lines = [json.loads(line) for line in engine.run("run", "workflows/one-step.yaml", "--data", "push.json", "--json").stdout.splitlines()]
    assert lines[-1]["what"] == "run_finished" and lines[-1]["state"] == "succeeded"
    assert [line["output"] for line in lines if line["what"] == "step_finished"] == [{"text": "pushed refs/heads/main"}]


def test_run_reads_standard_input(engine):
    assert "pushed x" in engine.run("run", "one-step", "--data", "-", input='{"ref":"x"}').stdout


def test_run_of_a_failing_workflow_is_status_1(engine):
    engine.write("workflows/bad.yaml", "name: bad\non: [{manual: true}]\nsteps: [{id: s, lua: 'error(\"no\")'}]\n")
    result = engine.run("run", "bad", check=False)
    assert result.returncode == 1 and "bad.yaml:3" in result.stdout


def test_run_of_an_unknown_workflow_is_guessed(engine):
    result = engine.run("run", "one-stp", check=False)
    assert result.returncode == 1 and "one-step" in result.stderr


def test_send_signs_as_the_provider_does(engine):
    engine.start()
    engine.write("push.json", '{"ref":"refs/heads/main"}')
    result = engine.run("send", "github", "--event", "push", "--url", f"http://127.0.0.1:{engine.port}/in/github", "push.json")
    assert "202" in result.stdout + result.stderr
    assert engine.finished_runs(1)[0]["state"] == "succeeded"


def test_verify_agrees_with_every_shipped_vector(engine):
    if not SHARED.is_dir():
        pytest.skip("the vectors are not here")
    for name in ("github", "standardwebhooks", "svix", "stripe", "slack", "shopify", "gitlab-token", "basic"):
        result = engine.run("verify", str(SHARED / "vectors" / f"{name}.json"))
        count = len(json.loads((SHARED / "vectors" / f"{name}.json").read_text())["vectors"])
        assert len(result.stdout.splitlines()) >= count


def test_verify_is_status_1_on_a_mismatch(engine):
    if not SHARED.is_dir():
        pytest.skip("the vectors are not here")
    data = json.loads((SHARED / "vectors" / "github.json").read_text())
    data["vectors"][0]["expect"] = "reject"
    engine.write("wrong.json", json.dumps(data))
    assert engine.run("verify", "wrong.json", check=False).returncode == 1


def test_a_scheme_says_all_that_counts(engine):
    shown = {name: engine.run("schemes", "show", name).stdout for name in ("box", "asana", "cloudevents", "slack", "sendgrid", "fusionauth")}
    for line in ("secrets   primary_key (optional), secondary_key (optional)", "from      Developer console > App > Webhooks > Manage signature keys",
                 "signature header:box-signature-primary or header:box-signature-secondary, base64", "signed    body + header:box-delivery-timestamp",
                 "  or      ascii-escape:body + header:box-delivery-timestamp",
                 "required  header:box-signature-version is 1, header:box-signature-algorithm is HmacSHA256", "dedupe    header:box-delivery-id", "event     json:/trigger"):
        assert f"  {line}\n" in shown["box"], line
    assert "hands over the secret: 200 X-Hook-Secret: {header:x-hook-secret}\n" in shown["asana"]
    assert "signature header:authorization or query:access_token, behind 'Bearer '\n" in shown["cloudevents"]
    assert 'handshake POST when json:/type is url_verification, signed: 200 {"challenge":"{json:/challenge}"}\n' in shown["slack"]
    assert "  algorithm jwt: HS256, HS384 or HS512\n" in shown["fusionauth"]
    assert "batch     each item of the list is an event\n    dedupe  item:/sg_event_id\n" in shown["sendgrid"]


def test_version_is_json_for_programs(engine):
    assert set(json.loads(engine.run("version", "--json").stdout)) >= {"bellwire", "sqlite", "openssl", "libevent"}


def test_hello_example_runs(make_engine):
    """The example that the README leads to; its second step posts to the port of its own instance, here another one."""
    engine = make_engine()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for path in (ROOT / "workflows" / "hello").rglob("*"):
        if path.is_file():
            engine.write(str(path.relative_to(ROOT / "workflows" / "hello")), path.read_text().replace("8080", str(port)))
    engine.run("check")
    engine.start()
    assert "202" in engine.run("send", "github", "--event", "push", "push.json").stdout
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["steps"][1]["output"] == {"status": 202}
    assert run["output"]["text"].startswith("mona pushed 2 commit(s)")
    names = {event["name"] for event in engine.rows("events")}
    assert len(names) == 2  # the push, and what the workflow posted


def test_why_says_what_decided_for_each_workflow(make_engine):
    engine = make_engine()
    engine.write("workflows/runs.yaml", ONE_STEP)
    engine.write("workflows/prod.yaml", "name: prod\non:\n  - event: github.push\n    if: ${{ event.data.ref == 'refs/heads/prod' and event.data.size > 3 }}\nsteps: [{id: s, set: {}}]\n")
    engine.write("workflows/other.yaml", "name: other\non: [{event: shop.order}, {manual: true}]\nsteps: [{id: s, set: {}}]\n")
    engine.write("workflows/hand.yaml", "name: hand\non: [{manual: true}]\nsteps: [{id: s, set: {}}]\n")
    engine.write("workflows/either.yaml", "name: either\non: [{event: github.push, if: false}, {event: github.*}]\nsteps: [{id: s, set: {}}]\n")
    engine.start()
    event = engine.push(b'{"ref":"refs/heads/main","size":2}')[1]["event"]
    engine.finished_runs(2)
    engine.write("workflows/prod.yaml", "name: prod\non: [{event: never.more}]\nsteps: [{id: s, set: {}}]\n")  # the answer is about what was, not what is
    rows = {row["workflow"]: row for row in engine.rows("why", event)}
    assert {name: row["decided"] for name, row in rows.items()} == {"one-step": "ran", "either": "ran", "prod": "condition", "other": "name", "hand": "manual"}
    assert rows["prod"]["saw"] == {"event.data.ref": "refs/heads/main", "event.data.size": 2} and rows["prod"]["line"] == 4
    text = engine.run("why", event).stdout
    assert "its `if` is false" in text and 'event.data.ref = "refs/heads/main"' in text and "it waits for shop.order" in text and "succeeded" in text
    unknown = engine.run("why", "evt_" + "0" * 26, check=False)
    assert unknown.returncode == 1 and "bellwire deliveries --refused" in unknown.stderr


def test_why_tells_what_a_duplicate_was_a_duplicate_of(make_engine):
    engine = make_engine()
    engine.write("workflows/one-step.yaml", ONE_STEP)
    engine.start()
    first = engine.push(delivery="d-1")[1]["event"]
    assert "came again" not in engine.run("why", first).stdout
    for _ in range(7):
        status, answer, _ = engine.push(delivery="d-1")
        assert status == 200 and answer["status"] == "duplicate"
    engine.push(secret="wrong")
    engine.push(delivery="d-2")
    wait_for("all to be written", lambda: len(engine.rows("deliveries")) == 10)
    deliveries = {row["delivery"]: row for row in engine.rows("deliveries")}
    again = sorted(number for number, row in deliveries.items() if row["outcome"] == "duplicate")
    refused, = (number for number, row in deliveries.items() if row["outcome"] == "unverified")
    accepted = min(number for number, row in deliveries.items() if row["outcome"] == "accepted")

    text = engine.run("why", first).stdout
    assert "it came again 7 times, and was answered as a duplicate" in text and "and 2 more" in text and text.count("  d-1\n") == 5 and f"#{again[0]} " in text
    rows = engine.rows("why", first)
    assert rows[0]["decided"] == "duplicates" and rows[0]["count"] == 7 and [row["delivery"] for row in rows[0]["duplicates"]] == again
    assert rows[1]["workflow"] == "one-step" and rows[1]["decided"] == "ran"

    text = engine.run("why", str(again[3])).stdout
    assert f"#{again[3]} " in text and f"a duplicate, with the id d-1, of {first}, which came at " in text and "one-step" in text
    row = engine.rows("why", f"#{again[3]}")[0]
    assert row["duplicate_of"] == first and row["delivery"] == again[3] and row["event_at_ms"] <= row["at_ms"] and row["provider_id"] == "d-1"
    assert "it became the event" in engine.run("why", str(accepted)).stdout and engine.rows("why", str(accepted))[0]["event"] == first
    text = engine.run("why", str(refused)).stdout
    assert "refused with 401, unverified: " in text and "one-step" not in text
    assert engine.rows("why", str(refused)) == [{**engine.rows("why", str(refused))[0], "status": 401, "outcome": "unverified"}]
    assert f"#{again[0]}" in engine.run("deliveries").stdout
    for wrong, message in (("999", "there is no delivery 999"), ("0", "no number of a delivery"), ("-1", "unknown option"), ("12x", "no number of a delivery")):
        result = engine.run("why", wrong, check=False)
        assert result.returncode and message in result.stderr, result.stderr
    assert engine.stop() == 0


def test_what_a_sender_writes_does_nothing_to_a_terminal(make_engine):
    """ESC and its like are blanks in messages, where line breaks stay, and come out as JSON writes them in all other texts."""
    engine = make_engine(CONFIG)
    engine.write("workflows/w.yaml", "name: w\non: [{event: open.*, if: \"event.data.x ~= 'y'\"}]\nsteps:\n"
                 "  - {id: a, with: {x: '${{ event.data.x }}'}, lua: 'return {x = input.x}'}\n"
                 "  - {id: b, with: {x: '${{ event.data.x }}'}, lua: \"return ctx.fail{code = 'no', message = input.x}\"}\n"
                 "---\nname: v\non: [{event: open.*, if: \"event.data.x == 'y'\"}]\nsteps: [{id: a, set: {}}]\n")
    engine.start()
    data = {"x": "one\ntwo \x1b[31m\r\x7f \u009b31m"}
    body = json.dumps(data, ensure_ascii=False)
    event = engine.request("POST", "/in/open", body.encode(), {"Content-Type": "application/json"})[1]["event"]
    [run] = engine.finished_runs(1)
    engine.write("data.json", body)
    for arguments in (("runs", "show", run["run"]), ("why", event), ("run", "w", "--data", "data.json")):
        shown = engine.run(*arguments, check=False)
        text = shown.stdout + shown.stderr
        assert "one\ntwo  [31m     31m" in text, text
        assert not set(text) & {"\x1b", "\r", "\x7f", "\u009b"}, arguments
    assert json.loads(engine.run("events", event).stdout.splitlines()[-1]) == data  # a program gets the body as it came
    engine.stop()


def test_inputs_by_hand_are_read_whatever_else_the_data_hold(engine):
    engine.write("workflows/w.yaml", "name: w\non: [{manual: true}]\ninputs: {a: {type: integer, required: true}, b: {type: any}}\n"
                 "steps: [{id: s, set: {a: '${{ inputs.a }}', b: '${{ inputs.b }}'}}]\noutputs: {a: '${{ steps.s.a }}', b: '${{ steps.s.b }}'}\n")
    for data, found in (('{"a": 1, "id": 99999999999999999999}', {"a": 1}), ('{"x": 1, "x": 2, "a": 3, "b": {"c": null}}', {"a": 3, "b": {"c": None}}),
                        ('{"a": 4, "b": 18446744073709551616}', "w.yaml:1: b: too big integer"), ("[1]", "a: is required")):
        shown = engine.run("run", "w", "--data", "-", input=data, check=False).stdout
        assert found in shown if isinstance(found, str) else f"output {json.dumps(found, separators=(',', ':'))}\n" in shown, shown
