"""`bellwire test`: tests of workflows. trials/ holds workflows of many kinds with tests that pass; here stands what must fail, and how it is told."""
import json
import pathlib
import shutil
import xml.etree.ElementTree

import pytest

from conftest import ROOT, wait_for

TRIALS = ROOT / "tests" / "integration" / "trials"
CONFIG = """
secrets: {API_KEY: {env: NOBODY_HAS_THIS}}
limits: {crm: {rate: 1/1h, burst: 1}}
"""
CHECKED = """
return action {
  name = "demo/checked", version = "1.0.0", inputs = {n = {type = "integer", required = true}}, outputs = {m = {type = "integer"}},
  run = function(ctx, input) return {m = input.n + 1} end,
}
"""
WORKFLOW = """
name: one
on: [{event: open.ping, if: "${{ event.data.n ~= 0 }}"}, {manual: true}]
steps:
  - {id: set, set: {n: "${{ event.data.n }}"}}
  - {id: act, uses: demo/checked@1, with: {n: "${{ steps.set.n }}"}}
outputs: {m: "${{ steps.act.m }}"}
"""
START = "event: {name: open.ping, data: {n: 4}}\ntests:\n"


@pytest.fixture
def bench(make_engine):
    engine = make_engine()
    engine.write("bellwire.yaml", CONFIG)
    engine.write("actions/demo/checked.lua", CHECKED)
    engine.write("workflows/one.yaml", WORKFLOW)
    return engine


def run(bench, tests, *arguments, head=START):
    bench.write("workflows/one.test.yaml", head + tests)
    result = bench.run("test", "workflows/one.test.yaml", *arguments, check=False)
    return result.returncode, result.stdout, result.stderr


def test_workflows_of_every_kind_pass_their_tests_without_waiting(bench):
    shutil.copytree(TRIALS, bench.folder / "workflows", dirs_exist_ok=True)
    result = bench.run("test", "--json", check=False)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row for row in rows if row["state"] not in ("passed", "skipped")] == [] and result.returncode == 0, result.stdout + result.stderr
    assert len(rows) > 15 and [row["name"] for row in rows if row["state"] == "skipped"] == ["skipped one"]


def test_the_shipped_example_passes_its_tests(make_engine):
    engine = make_engine()
    shutil.copytree(ROOT / "workflows" / "hello", engine.folder, dirs_exist_ok=True)
    if not (engine.folder / "plugins").exists():
        (engine.folder / "plugins").symlink_to(bench_plugins())
    assert "3 passed, 0 failed" in engine.run("test").stdout


def bench_plugins():
    from conftest import BUILD
    return BUILD / "plugins"


def test_what_differs_is_told_with_its_place_and_what_happened(bench):
    status, out, _ = run(bench, "  - name: wrong\n    expect:\n      outputs: {m: 6}\n      steps:\n        act: {attempts: 2, with: {n: 5}}\n")
    assert status == 1
    assert "FAIL  one: wrong" in out and "0 passed, 1 failed, 0 skipped" in out
    assert "workflows/one.test.yaml:5:20: outputs.m\n          expected  6\n          got       5" in out
    assert "7:25: steps.act.attempts\n          expected  2\n          got       1" in out
    assert "7:38: steps.act.with.n\n          expected  5\n          got       4" in out
    assert "ok    act" in out  # the trace


@pytest.mark.parametrize("tests, code", [
    ("  - {name: t, expect: {state: none}}\n", "expected  none\n          got       succeeded"),
    ("  - {name: t, event: {name: open.ping, data: {n: 0}}}\n", "got       none: no trigger of the workflow wants the event"),
    ("  - {name: t, event: {name: other}}\n", "got       none"),
    ("  - {name: t, event: {name: open.ping, data: {n: text}}}\n", "[input.type]"),
    ("  - {name: t, mocks: {act: {output: {m: text}}}}\n", "[output.type]"),
    ("  - {name: t, event: {name: open.ping, data: {n: text}}, mocks: {act: {output: {m: 1}}}}\n", "[input.type]"),
    ("  - {name: t, mocks: {act: {with: {n: 9}, output: {m: 1}}}}\n", "[test.no_answer]"),
    ("  - {name: t, expect: {emitted: [{event: x}]}}\n", "got       []"),
    ("  - {name: t, expect: {took: 1s}}\n", "expected  1s\n          got       0s"),
    ("  - {name: t, expect: {error: {code: x}}}\n", "got       nothing"),
    ("  - {name: t, mocks: {atc: {output: {}}}}\n", "did you mean 'act'?"),
    ("  - {name: t, mocks: {set: {output: {n: 9}}}}\n", "[test.no_mock]"),
    ("  - {name: t, expect: {steps: {sett: {state: succeeded}}}}\n", "did you mean 'set'?"),
    ("  - {name: t, workflow: on}\n", "[test.unknown_workflow]"),
])
def test_each_kind_of_failure_fails_its_test(bench, tests, code):
    status, out, err = run(bench, tests)
    assert status == 1 and code in out and "0 passed, 1 failed" in out, out + err


def test_a_mock_of_the_whole_file_is_for_those_that_can_have_it(bench):
    head = START.replace("tests:", "mocks: {set: {output: {n: 9}}}\ntests:")
    assert "one.test.yaml:2:9: the step set cannot be mocked" in run(bench, "  - {name: t}\n", head=head)[1]
    bench.write("workflows/two.yaml", "name: two\non: [{event: open.ping}]\nsteps: [{id: set, lua: 'return {n = 1}'}]\noutputs: {n: '${{ steps.set.n }}'}\n")
    status, out, err = run(bench, "  - {name: t}\n  - {name: u, workflow: two, expect: {outputs: {n: 9}}}\n", head=head)
    assert status == 0, out + err


@pytest.mark.parametrize("tests, told", [
    ("  - {name: t, expct: {}}\n", "one.test.yaml:3:15: a test has no key 'expct' (did you mean 'expect'?)"),
    ("  - {name: t, expect: {stat: none}}\n", "did you mean 'state'?"),
    ("  - {name: t, expect: {state: suceeded}}\n", "[test.state]"),
    ("  - {name: t, expect: {steps: {act: {atempts: 1}}}}\n", "did you mean 'attempts'?"),
    ("  - {name: t, mocks: {act: {ouput: {}}}}\n", "did you mean 'output'?"),
    ("  - {name: t, mocks: {act: {output: {}, error: {}}}}\n", "[test.mock]"),
    ("  - {name: t, mocks: {act: {error: {class: wrong}}}}\n", "[test.class]"),
    ("  - {name: t, event: {name: x}, inputs: {}}\n", "[test.beginning]"),
    ("  - {name: t, event: {name: x, data_file: missing.json}}\n", "[test.data]"),
    ("  - {name: t, clock: yesterday}\n", "[test.clock]"),
    ("  - {name: t, events: [{after: soon, name: x}]}\n", "[test.duration]"),
    ("  - {expect: {}}\n", "[test.name]"),
    ("  - text\n", "[test.type]"),
])
def test_a_wrong_test_file_is_told_with_its_place_and_nothing_is_run(bench, tests, told):
    status, out, err = run(bench, tests)
    assert status == 1 and out == "" and told in err and "no test was run" in err
    checked = bench.run("check", check=False)
    assert checked.returncode == 1 and told in checked.stderr


def test_tests_beside_workflows_are_no_workflows_and_check_looks_at_their_names(bench):
    bench.env["NOBODY_HAS_THIS"] = "now somebody has"
    bench.write("workflows/one.test.yaml", START + "  - {name: t, mocks: {atc: {output: {}}}}\n")
    result = bench.run("check", check=False)
    assert result.returncode == 1 and "[test.unknown_step]" in result.stderr and "1 error\n" in result.stderr
    bench.write("workflows/one.test.yaml", START + "  - {name: t}\n")
    assert ", 1 test\n" in bench.run("check").stderr


MIXED = """  - {name: "good <&> # \\"one\\""}
  - {name: bad, expect: {outputs: {m: "<&>"}}}
  - {name: left out, skip: "not # yet"}
"""


def test_junit_is_read_by_a_real_parser(bench):
    status, out, _ = run(bench, MIXED, "--format", "junit")
    root = xml.etree.ElementTree.fromstring(out)
    assert status == 1 and root.tag == "testsuites" and (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    good, bad, left_out = root.find("testsuite").findall("testcase")
    assert good.get("name") == 'good <&> # "one"' and len(good) == 0 and good.get("classname") == "one"
    assert 'expected  "<&>"' in bad.find("failure").text and "outputs.m" in bad.find("failure").get("message") and "act" in bad.find("system-out").text
    assert left_out.find("skipped").get("message") == "not # yet"


def test_tap_has_a_plan_points_and_diagnostics(bench):
    status, out, _ = run(bench, MIXED, "--format", "tap")
    lines = out.splitlines()
    assert status == 1 and lines[0] == "TAP version 14" and lines[1] == "1..3"
    assert lines[2] == 'ok 1 - one: good <&> \\# "one"' and lines[3] == "not ok 2 - one: bad"
    assert lines[4] == "  ---" and "  ..." in lines and '    got       5' in "\n".join(lines).replace("        got", "    got")
    assert lines[-1] == "ok 3 - one: left out # SKIP not \\# yet"


def test_a_filter_chooses_by_name_and_a_list_runs_none(bench):
    status, out, _ = run(bench, MIXED, "--filter", "g*", "--json")
    assert status == 0 and [json.loads(line)["name"] for line in out.splitlines()] == ['good <&> # "one"']
    status, out, _ = run(bench, MIXED, "--list")
    assert status == 0 and len(out.splitlines()) == 3 and "one.test.yaml:4  one: bad" in out
    assert run(bench, MIXED, "--filter", "nothing*")[0] == 1
    assert run(bench, MIXED, "--format", "html")[0] == 2


def test_a_step_that_takes_its_worker_with_it_fails_its_test_and_the_next_one_runs(bench):
    bench.write("bellwire.yaml", CONFIG + "stall: 200ms\n")
    bench.write("workflows/hang.yaml", "name: hang\non: [{manual: true}]\nsteps:\n  - {id: act, lua: \"return {n = #string.rep('x', 10)}\"}\n"
                "  - {id: spin, lua: \"local s = string.rep('a', 40) while true do string.find(s, ('a*'):rep(20) .. 'b') end\"}\n")
    bench.write("workflows/hang.test.yaml", "tests:\n  - {name: spins, inputs: {}}\n  - {name: mocked, inputs: {}, mocks: {spin: {}}}\n")
    result = bench.run("test", "workflows/hang.test.yaml", check=False)
    assert result.returncode == 1 and "FAIL  hang: spins" in result.stdout and "lua." in result.stdout and "ok    hang: mocked" in result.stdout, result.stdout


def test_nothing_is_left_behind(bench):
    before = set(pathlib.Path("/dev/shm").glob("bellwire-test-*"))
    run(bench, "  - {name: t}\n")
    assert not (bench.folder / "data").exists()
    new = set(pathlib.Path("/dev/shm").glob("bellwire-test-*")) - before  # those of tests that run beside this one go by themselves
    wait_for("an empty /dev/shm", lambda: not any(path.exists() for path in new))
