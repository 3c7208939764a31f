"""bellwire new: what it writes loads, runs and passes its tests as it is, and nothing is ever overwritten."""
import json
import os
import subprocess

import pytest

from conftest import BUILD, CONFIG


def written(engine, *arguments):
    answer = engine.run("new", *arguments)
    return answer.stdout.splitlines(), answer.stderr


def outcome(engine, workflow, data):
    lines = engine.run("run", workflow, "--data", "-", "--json", input=json.dumps(data)).stdout.splitlines()
    return [json.loads(line) for line in lines][-1]["output"]


def test_a_workflow(make_engine):
    engine = make_engine(CONFIG)
    files, said = written(engine, "workflow", "first-one")
    assert files == ["./workflows/first-one.yaml", "./workflows/first-one.test.yaml"] and "bellwire test" in said
    assert engine.run("check").returncode == 0
    assert "2 passed, 0 failed" in engine.run("test").stderr + engine.run("test").stdout
    assert outcome(engine, "first-one", {"who": "Mona"}) == {"text": "Hello Mona"}
    assert outcome(engine, "first-one", {}) == {"text": "HELLO EVERYBODY"}


def test_an_action(make_engine):
    engine = make_engine(CONFIG)
    files, _ = written(engine, "action", "text/count_words")
    assert files == ["./actions/text/count_words.lua", "./workflows/text-count-words.yaml", "./workflows/text-count-words.test.yaml"]
    assert engine.run("check").returncode == 0
    assert "2 passed, 0 failed" in engine.run("test").stderr + engine.run("test").stdout
    assert outcome(engine, "text-count-words", {"text": "what a day"}) == {"words": 3}
    assert "least" in engine.run("actions", "show", "text/count_words").stdout


def test_a_plugin(make_engine, tmp_path):
    engine = make_engine(CONFIG)
    files, said = written(engine, "plugin", "my-shout")
    assert files == [f"./plugins/my-shout/{name}" for name in ("my_shout.c", "test_my_shout.c", "CMakeLists.txt", "README.md")]
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(next(prefix.rglob("bellwire-plugin.pc")).parent), "CFLAGS": "-Werror"}
    for command in said.split("next: ")[1].split(" && ")[:3]:  # as they are told
        made = subprocess.run(command, shell=True, cwd=engine.folder, env=environment, capture_output=True, text=True)
        assert made.returncode == 0, f"{command}\n{made.stdout}\n{made.stderr}"
    engine.write("workflows/w.yaml", "name: w\non: [{manual: true}]\nsteps: [{id: s, uses: my-shout/greet@1, with: {name: Mona}}]\noutputs: {text: '${{ steps.s.text }}'}\n")
    assert outcome(engine, "w", {}) == {"text": "Hello Mona"}
    tried = engine.run("plugin", "test", "plugins/my-shout").stdout  # its longest wait is found, and cancelled
    assert "not ok" not in tried and "greet cancel" in tried and "SKIP" not in tried, tried


@pytest.mark.parametrize("arguments, why", [
    (["workflow"], "how is it called"), (["cat", "x"], "'cat' is none of"), (["workflow", "../x"], "no name of a workflow"), (["workflow", "Ab"], "no name"),
    (["action", "find"], "crm/find"), (["action", "a/b/c"], "no name of an action"), (["plugin", "a/b"], "no name of a plugin"), (["action", "/x"], "no name"),
])
def test_what_cannot_be_is_refused(make_engine, arguments, why):
    engine = make_engine(CONFIG)
    answer = engine.run("new", *arguments, check=False)
    assert answer.returncode == 2 and why in answer.stderr
    assert sorted(os.listdir(engine.folder)) == ["bellwire.yaml", "workflows"] and not os.listdir(engine.folder / "workflows")


def test_nothing_is_overwritten_and_then_nothing_is_written(make_engine):
    engine = make_engine(CONFIG)
    there = engine.write("workflows/text-count.test.yaml", "# mine\n")
    answer = engine.run("new", "action", "text/count", check=False)
    assert answer.returncode == 1 and "text-count.test.yaml exists" in answer.stderr and "[new.exists]" in answer.stderr and not answer.stdout
    assert there.read_text() == "# mine\n"
    assert not (engine.folder / "actions").exists() and os.listdir(engine.folder / "workflows") == ["text-count.test.yaml"]
