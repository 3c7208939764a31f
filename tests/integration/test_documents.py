"""The documents of the scheme and the workflow language are tried: every fenced block of theirs is one of
  yaml|json|lua FILE         a file of the example
  yaml scheme                a whole scheme, which must load; "yaml scheme refused: TEXT" must be refused with TEXT
  yaml workflow              a whole workflow, which must load; "yaml workflow refused: TEXT" must be refused with TEXT
  yaml steps                 steps of a workflow, which must load
  lua expressions            one expression a line with its value as JSON behind "-->"
  console                    "$ bellwire …" and lines that its output must hold, in this order
Blocks are tried from top to bottom in one folder, so a later one sees the files of those above it."""
import json
import os
import re
import subprocess

import pytest

from conftest import BINARY, DEADLINE, ROOT

DOCUMENTS = ["engine/source/schemes/README.md", "engine/workflow/README.md", "engine/lua/README.md", "engine/openapi/README.md", "engine/hooks/README.md",
             "engine/mcp/README.md", "plugins/http/README.md", "plugins/sql/README.md", "plugins/mail/README.md", "plugins/exec/README.md",
             *(str(path.parent.relative_to(ROOT) / "README.md") for path in sorted(ROOT.glob("plugins/*/plugin.yaml")))]
FENCE = re.compile(r"^```(\S*) ?(.*?)\n(.*?)^```$", re.M | re.S)
HEAD = "name: sample\non: [{manual: true}]\nsecrets: [API_KEY]\n"


def blocks():
    found = []
    for document in DOCUMENTS:
        for index, match in enumerate(FENCE.finditer((ROOT / document).read_text())):
            found.append((document, index, *match.groups()))
    return found


class Folder:
    def __init__(self, path):
        self.path = path

    def write(self, name, text):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def run(self, command):
        named = {name: "demo" for document in DOCUMENTS for name in re.findall(r"{env: (\w+)}", (ROOT / document).read_text())}
        environment = {**os.environ, **named, "PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
        return subprocess.run(["bash", "-c", command], cwd=self.path, env=environment, capture_output=True, text=True, timeout=DEADLINE)

    def check(self, refusal):
        result = self.run("bellwire check")
        if refusal is None:
            assert result.returncode == 0, result.stderr
        else:
            assert result.returncode == 1 and refusal in result.stderr, result.stderr


@pytest.fixture(scope="module", params=DOCUMENTS)
def document(request, tmp_path_factory):
    return request.param, Folder(tmp_path_factory.mktemp("document"))


def squeeze(text):
    return " ".join(text.split())


def try_console(folder, text):
    command, *expected = text.strip().split("\n")
    assert command.startswith("$ ")
    result = folder.run(command[2:])
    output = squeeze(result.stdout + result.stderr)
    at = 0
    for line in expected:
        found = output.find(squeeze(line), at)
        assert found >= 0, f"{command}\nsays\n{result.stdout}{result.stderr}\nand not\n{line}"
        at = found + len(squeeze(line))


def try_expressions(folder, text):
    """Each line as an output of a step, and what the run gives for it."""
    samples = [line.split("-->", 1) for line in text.strip().split("\n")]
    body = "".join(f"  - {{id: s{index}, set: {{value: {json.dumps('${{ ' + code.strip() + ' }}')}}}}}\n" for index, (code, _) in enumerate(samples))
    folder.write("tried.yaml", HEAD.replace("sample", "tried") + "steps:\n" + body)
    result = folder.run("bellwire run tried.yaml --json --data data.json --event shop.order_paid")
    values = [json.loads(line).get("output", {}) for line in result.stdout.splitlines() if '"step_finished"' in line]
    assert len(values) == len(samples), result.stdout + result.stderr
    for (code, expected), value in zip(samples, values):
        assert value.get("value") == json.loads(expected), code


def test_every_block_of_the_document_is_true(document):
    name, folder = document
    for path, index, language, rest, text in blocks():
        if path != name:
            continue
        kind, _, refusal = rest.partition(" refused: ")
        refusal = refusal or None
        if language == "console":
            try_console(folder, text)
        elif kind == "expressions":
            try_expressions(folder, text)
        elif language == "yaml" and kind in ("scheme", "workflow", "steps"):
            target = "schemes/sample.yaml" if kind == "scheme" else "workflows/sample.yaml"
            folder.write(target, HEAD + "steps:\n" + text if kind == "steps" else text)
            folder.check(refusal)
            (folder.path / target).unlink()
        elif language in ("yaml", "json", "lua") and "." in kind and " " not in kind:
            folder.write(kind, text)
        else:
            pytest.fail(f"{path}: block {index} says neither what it is nor which file: ```{language} {rest}")


def test_documents_have_examples():
    kinds = {(path, language) for path, _, language, _, _ in blocks()}
    assert all((path, "yaml") in kinds and (path, "console") in kinds for path in DOCUMENTS)
