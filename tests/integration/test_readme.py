"""The README's own files and commands, taken from its text: what it shows has to work as printed."""
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import BINARY, BUILD, ROOT

README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)


def named_files():
    """Blocks whose first line is a comment with a path: that file of an instance."""
    for _, text in FENCES:
        match = re.match(r"(?:#|--|/\*) ([\w/.-]+\.(?:yaml|lua|c))(?:$|:| )", text.splitlines()[0])
        if match:
            yield match[1], text


@pytest.fixture
def instance(make_engine):
    engine = make_engine()
    (engine.folder / "bellwire.yaml").unlink()
    for path, text in named_files():
        engine.write(path, text)
    shutil.copy(ROOT / "workflows" / "hello" / "push.json", engine.folder)
    prefix = engine.folder / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    pc = next(prefix.rglob("bellwire-plugin.pc"))
    engine.env.update(PATH=f"{prefix / 'bin'}:{engine.env['PATH']}", PKG_CONFIG_PATH=str(pc.parent), PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
    command = re.match(r"/\* shout\.c: (.*) \*/", (engine.folder / "shout.c").read_text())[1]
    (engine.folder / "plugins").mkdir()
    subprocess.run(["sh", "-c", command], cwd=engine.folder, env=engine.env, check=True)
    return engine


def test_every_part_is_there_in_its_order():
    headings = re.findall(r"^## (.*)$", README, re.M)
    assert headings == ["Two commands", "A first workflow", "A first plugin", "What is promised", "Measured", "Licence"]
    assert {path for path, _ in named_files()} == {"bellwire.yaml", "workflows/greet.yaml", "actions/demo/names.lua", "shout.c", "workflows/shout.yaml"}
    for link in re.findall(r"\]\(([\w/.-]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_two_commands_are_there():
    [first] = [text for kind, text in FENCES if kind == "sh" and "scripts/demo" in text]
    for line in first.splitlines():
        assert (ROOT / shlex.split(line, comments=True)[0]).exists()


def test_the_first_workflow_and_the_first_plugin_run(instance):
    assert "2 workflows" in instance.run("check").stderr
    instance.write("bellwire.yaml", "listen: [http://127.0.0.1:0]\n" + (instance.folder / "bellwire.yaml").read_text())
    [commands] = [text for kind, text in FENCES if kind == "sh" and "bellwire run " in text]
    run = next(shlex.split(line, comments=True) for line in commands.splitlines() if line.startswith("bellwire run "))
    assert "Thanks to" in instance.run(*run[1:]).stdout
    instance.start()
    send = next(shlex.split(line, comments=True) for line in commands.splitlines() if line.startswith("bellwire send "))
    instance.run(*send[1:], "--url", f"http://127.0.0.1:{instance.port}/in/github")
    runs = {run["workflow"]: run for run in instance.finished_runs(2)}
    assert runs["greet"]["output"]["text"].startswith("Thanks to ")
    assert runs["shout"]["steps"][0]["output"] == {"text": "REFS/HEADS/MAIN"}
    assert instance.stop() == 0


def test_the_demo_says_what_it_is():
    assert BINARY.exists()
    usage = subprocess.run([ROOT / "scripts" / "demo", "--what"], capture_output=True, text=True)
    assert usage.returncode == 2 and "--once" in usage.stdout
