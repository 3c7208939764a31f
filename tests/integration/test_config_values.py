"""`config` of bellwire.yaml: what differs from one instance to the other, read in the `with` of steps; taken over by SIGHUP as a whole or not at all."""
import json
import os
import signal

import pytest

from conftest import CONFIG, wait_for

WORKFLOW = """
name: show
on: [{event: open.ping}]
steps:
  - id: a
    with: {url: "${{ config.crm_url }}/v1", limits: "${{ config.limits }}", first: "${{ config.limits.tiers[1] }}"}
    lua: return input
outputs: {url: "${{ steps.a.url }}", limits: "${{ steps.a.limits }}", first: "${{ steps.a.first }}"}
"""
VALUES = "config: {crm_url: https://crm.example, limits: {tiers: [3, 5], off: false}}\n"


def begin(make_engine, values=VALUES, **files):
    engine = make_engine(CONFIG + values)
    for name, text in (files or {"show": WORKFLOW}).items():
        engine.write(f"workflows/{name}.yaml", text)
    return engine


def output(engine, count):
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    return engine.finished_runs(count)[0]


def hang_up(engine, text):
    engine.write("bellwire.yaml", CONFIG + text)
    engine.process.send_signal(signal.SIGHUP)


def errors(engine):
    result = engine.run("check", "--json", check=False)
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"code"')]


def test_steps_read_values_of_any_kind_and_sighup_changes_them(make_engine):
    engine = begin(make_engine)
    engine.start()
    run = output(engine, 1)
    assert run["output"] == {"url": "https://crm.example/v1", "limits": {"tiers": [3, 5], "off": False}, "first": 3}
    hang_up(engine, VALUES.replace("crm.example", "crm2.example"))
    engine.wait_log("config.changed", values=2)
    second = output(engine, 2)
    assert second["output"]["url"] == "https://crm2.example/v1" and second["version"] == run["version"]
    for pid in engine.children("worker"):  # a new worker has the new ones
        os.kill(pid, signal.SIGKILL)
    assert output(engine, 3)["output"]["url"] == "https://crm2.example/v1"
    engine.stop()
    engine.start()
    assert output(engine, 4)["output"]["url"] == "https://crm2.example/v1"
    engine.stop()


@pytest.mark.parametrize("text,code,line", [
    ("config: {crm: https://crm3.example}\n", "expr.unknown_config", 6),  # what the workflow reads is gone
    ("config: [1]\n", "config.type", None),
    ("config: {crm_url: 1, limits: 2\n", "yaml.syntax", None),
])
def test_what_is_wrong_is_refused_and_the_old_values_stay(make_engine, text, code, line):
    engine = begin(make_engine)
    engine.start()
    hang_up(engine, text)
    found = engine.wait_log("catalog.error")
    assert found["code"].startswith(code.split(".")[0]) and (line is None or found["line"] == line), found
    engine.wait_log("catalog.refused")
    engine.write("bellwire.yaml", CONFIG + VALUES.replace("crm.", "crm4."))  # nobody has asked for it to be read
    assert output(engine, 1)["output"]["url"] == "https://crm.example/v1"
    engine.stop()


def test_check_finds_names_that_are_not_there(make_engine):
    engine = begin(make_engine, show=WORKFLOW.replace("config.crm_url", "config.crm_ulr"))
    status, [error] = errors(engine)
    assert status == 1 and error["code"] == "expr.unknown_config" and error["line"] == 6 and "did you mean 'crm_url'?" in error["hint"]
    engine.write("bellwire.yaml", CONFIG)
    assert "config: {" in errors(engine)[1][0]["hint"]


@pytest.mark.parametrize("step", [
    '{id: a, set: {n: "${{ config.n }}"}}',
    '{id: a, if: "${{ config.n == 1 }}", set: {n: 1}}',
    '{id: a, with: {n: 1}, lua: "return input", outputs: {n: "${{ config[\'n\'] }}"}}',
    '{id: a, emit: {event: x.y, data: {n: "${{ config.n }}"}}}',
    '{id: a, foreach: "${{ config.n }}", steps: [{id: b, set: {n: 1}}]}',
])
def test_elsewhere_it_is_an_error_with_its_place(make_engine, step):
    engine = begin(make_engine, "config: {n: 1}\n", show=f"name: show\non: [{{event: open.ping}}]\nsteps:\n  - {step}\n")
    status, [error] = errors(engine)
    assert status == 1 and error["code"] == "expr.config" and error["line"] == 4 and error["column"] > 5 and "with:" in error["hint"]


def test_names_and_values_that_cannot_be(make_engine):
    for text, code in (("config: {a-b: 1}\n", "config.name"), ("config: {a: [\"${{ event.data.x }}\"]}\n", "config.expression"), ("config: 1\n", "config.type")):
        engine = make_engine(CONFIG + text, name=code)
        result = engine.run("check", check=False)
        assert result.returncode == 1 and "bellwire.yaml:" in result.stderr and "config" in result.stderr, result.stderr


def test_a_called_workflow_is_given_them_and_the_whole_is_nothing_to_pass_on(make_engine):
    caller = "name: caller\non: [{event: open.ping}]\nsteps: [{id: a, uses: workflow/callee, with: {n: \"${{ config.n }}\"}}]\noutputs: {n: \"${{ steps.a.n }}\"}\n"
    callee = "name: callee\non: [{call: true}]\ninputs: {n: {type: integer}}\nsteps: [{id: a, set: {n: \"${{ inputs.n }}\"}}]\noutputs: {n: \"${{ steps.a.n }}\"}\n"
    whole = "name: whole\non: [{manual: true}]\nsteps: [{id: a, with: {all: \"${{ config }}\"}, lua: return input}]\n"
    engine = begin(make_engine, "config: {n: 7}\n", caller=caller, callee=callee, whole=whole)
    engine.start()
    assert output(engine, 1)["output"] == {"n": 7}
    engine.stop()
    assert engine.run("run", "whole", check=False).returncode == 1


def test_a_run_of_an_old_version_whose_value_is_gone_says_so(make_engine):
    text = "name: show\non: [{event: open.ping}]\nsteps:\n  - {id: nap, sleep: 1h}\n  - {id: a, with: {n: \"${{ config.n }}\"}, lua: return input}\n"
    engine = begin(make_engine, "config: {n: 7}\n", show=text)
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked"))
    engine.kill()
    engine.write("workflows/show.yaml", text.replace('"${{ config.n }}"', "1"))
    engine.write("bellwire.yaml", CONFIG)
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = "3700000"
    engine.start()
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed" and "there is no config.n in bellwire.yaml" in run["error"]["message"]
    engine.stop()


def test_tests_set_them(make_engine):
    engine = begin(make_engine)
    engine.write("workflows/show.test.yaml", """
config: {limits: {tiers: [9]}}
tests:
  - name: its own
    config: {crm_url: "https://test.example"}
    event: {name: open.ping}
    expect: {outputs: {url: "https://test.example/v1", first: 9}}
  - name: those of the instance
    event: {name: open.ping}
    expect: {outputs: {url: "https://crm.example/v1", first: 9}}
""")
    engine.run("test")
    engine.write("workflows/show.test.yaml", "tests: [{name: a, config: 3, event: {name: open.ping}}]\n")
    assert engine.run("test", check=False).returncode == 1
