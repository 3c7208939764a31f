"""Hooks of adnanh/webhook become an instance: the same requests start the same programs with the same arguments, and what cannot be taken over has no door."""
import hashlib
import hmac
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import urllib.parse

import pytest

from conftest import BINARY, DEADLINE, wait_for

NOTE = """#!/usr/bin/python3
import json, os, sys
folder = os.path.dirname(os.path.abspath(sys.argv[0])) + "/notes"
env = {name: value for name, value in os.environ.items() if name.startswith("HOOK_") or name in ("REF", "GREETING", "BODY")}
files = {name: open(env.pop(name)).read() for name in ("HOOK_REPO", "BODY") if name in env}
with open(f"{folder}/.{os.getpid()}", "w") as out: json.dump({"args": sys.argv[1:], "env": env, "files": files, "dir": os.getcwd()}, out)
os.rename(f"{folder}/.{os.getpid()}", f"{folder}/{os.getpid()}-{os.urandom(4).hex()}")
print("noted", *sys.argv[1:3])
"""


def payload(name, **more):
    return {"source": "payload", "name": name, **more}


def header(name):
    return {"source": "header", "name": name}


def is_value(parameter, value):
    return {"match": {"type": "value", "value": value, "parameter": parameter}}


def is_regex(parameter, regex):
    return {"match": {"type": "regex", "regex": regex, "parameter": parameter}}


def signed(hash_, secret, name):
    return {"match": {"type": f"payload-hmac-{hash_}", "secret": secret, "parameter": header(name)}}


def digest(body, hash_, secret, prefix=""):
    return prefix + hmac.new(secret.encode(), body, hash_).hexdigest()


MAIN = is_value(payload("ref"), "refs/heads/main")
REGEXES = ["^refs/heads/main$", "refs/(heads|tags)/", "v[0-9]+\\.\\d{1,2}$", "^[^/]+$", "a.c", "a.*c?$", "^$", "main|dev", "^(?:a|b)(c|d)$", "\\w+@\\w+\\.de", "x{2,}y", "é+?|ü", "100%", "^a-b_c$", "[a-c.^-]z", "\\[x\\]"]
TEXTS = ["refs/heads/main", "refs/tags/v1.25", "v1.999", "plain", "abc", "aüc", "a\nc", "", "dev", "bd", "bdx", "me@ü.de", "me@web.de", "xxy", "xy", "ü", "100%", "a-b_c", "-z", "[x]"]
# What webhook understands as well, each with the bodies that it is asked with; {n} makes each body another one.
HOOKS = {
    "all": ({}, ['{"n":{n},"ref":"refs/heads/main"}', '{"n":{n}}']),
    "sha1": ({"trigger-rule": signed("sha1", "one", "X-Hub-Signature")}, ['{"n":{n}}']),
    "sha256": ({"trigger-rule": {"and": [signed("sha256", "two", "X-Hub-Signature-256"), MAIN]}}, ['{"n":{n},"ref":"refs/heads/main"}', '{"n":{n},"ref":"refs/heads/dev"}', '{"n":{n}}']),
    "sha512-bare": ({"trigger-rule": {"and": [{"and": [signed("sha512", "three", "X-Signature")]}]}}, ['{"n":{n}}']),
    "either": ({"trigger-rule": {"or": [MAIN, is_value(payload("repo.name"), "x"), is_value(payload("commits.0.id"), "7")]}},
               ['{"n":{n},"ref":"refs/heads/main"}', '{"n":{n},"repo":{"name":"x"}}', '{"n":{n},"commits":[{"id":7}]}', '{"n":{n},"commits":[{"id":"7"}]}', '{"n":{n},"commits":[]}', '{"n":{n}}']),
    "not": ({"trigger-rule": {"not": is_value(payload("deleted"), "true")}}, ['{"n":{n},"deleted":true}', '{"n":{n},"deleted":false}', '{"n":{n},"deleted":"true"}', '{"n":{n}}']),
    "and-not": ({"trigger-rule": {"and": [{"not": is_value(payload("deleted"), "true")}, {"not": {"or": [MAIN, is_value(payload("x"), "y")]}}]}},
                ['{"n":{n},"deleted":false}', '{"n":{n}}', '{"n":{n},"deleted":false,"ref":"refs/heads/main"}', '{"n":{n},"deleted":0,"x":"z"}']),
    "author": ({"trigger-rule": {"or": [is_value(payload("author"), "ann"), is_value(payload("x"), "y")]}}, ['{"n":{n},"author":"ann"}', '{"n":{n},"author":"bob"}']),
    "nothing": ({"trigger-rule": {"or": []}}, ['{"n":{n}}']),
    "header": ({"trigger-rule": {"and": [is_value(header("X-Event"), "push"), is_regex(header("x-event"), "^pu")]}}, ['{"n":{n}}']),
    "address": ({"trigger-rule": {"match": {"type": "ip-whitelist", "ip-range": "127.0.0.9/24 ::1"}}}, ['{"n":{n}}']),
    "far": ({"trigger-rule": {"match": {"type": "ip-whitelist", "ip-range": "192.0.2.1"}}}, ['{"n":{n}}']),
    "query": ({"trigger-rule": is_value({"source": "url", "name": "token"}, "let me in&")}, ['{"n":{n}}']),
    "token": ({"trigger-rule": {"and": [is_value(header("X-Gitlab-Token"), "let-me-in"), MAIN]}}, ['{"n":{n},"ref":"refs/heads/main"}', '{"n":{n}}']),
    "slash": ({"trigger-rule": is_value(payload("token"), "t0k")}, ['{"n":{n},"token":"t0k"}', '{"n":{n},"token":"other"}', '{"n":{n}}']),
    "slash-form": ({"parse-parameters-as-json": [payload("more")], "trigger-rule": is_value(payload("token"), "t0k")}, ["n={n}&token=t0k&text=a+b", "n={n}&token=other&text=a", "n={n}"]),
    "parsed": ({"parse-parameters-as-json": [payload("payload")], "trigger-rule": is_value(payload("payload.ref"), "x")},
               ["n={n}&payload=" + urllib.parse.quote('{"ref":"x"}'), "n={n}&payload=" + urllib.parse.quote('{"ref":"y"}'), "n={n}"]),
    **{f"regex-{at}": ({"trigger-rule": is_regex(payload("ref"), regex)}, [json.dumps({"n": 0, "ref": text}).replace("0", "{n}", 1) for text in TEXTS]) for at, regex in enumerate(REGEXES)},
}


def make_hooks(folder, hooks=HOOKS):
    return [{"id": name, "execute-command": f"{folder}/note", "command-working-directory": str(folder), "response-message": f"taken by {name}",
             "pass-arguments-to-command": [{"source": "string", "name": name}, payload("n"), payload("ref"), payload("commits"), payload("text"), {"source": "string", "name": "${{ 'x' }} $(id)"}],
             "pass-environment-to-command": [payload("repo.name"), payload("ref", envname="REF"), {"source": "string", "envname": "GREETING", "name": "hello you"}],
             "pass-file-to-command": [payload("repo"), payload("ref", envname="BODY")],
             **more} for name, (more, _) in hooks.items()]


def requests():
    """(hook, path, body, headers), each of them another one; with good proofs and with bad ones."""
    numbers = itertools.count(1)
    for name, (_, bodies) in HOOKS.items():
        for text in bodies:
            proofs = [{}, {"X-Event": "push"}, {"X-Event": "pull"}] if name == "header" else [{}, {"X-Gitlab-Token": "let-me-in"}, {"X-Gitlab-Token": "let-me-out"}] if name == "token" else [{}]
            paths = [f"/hooks/{name}"] + ([f"/hooks/{name}?token=let%20me+in%26", f"/hooks/{name}?token=x"] if name == "query" else [])
            signs = {"sha1": ("X-Hub-Signature", "sha1", "one", "sha1="), "sha256": ("X-Hub-Signature-256", "sha256", "two", "sha256="), "sha512-bare": ("X-Signature", "sha512", "three", "")}.get(name)
            for path, proof, secret in itertools.product(paths, proofs, [None, signs[2], "wrong"] if signs else [None]):
                body = text.replace("{n}", str(next(numbers))).encode()
                kind = {"Content-Type": "application/json" if text.startswith("{") else "application/x-www-form-urlencoded"}
                yield name, path, body, {**kind, **proof, **({signs[0]: digest(body, signs[1], secret, signs[3])} if secret else {})}


def post(port, path, body, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def notes(folder):
    found = [json.loads((folder / "notes" / name).read_text()) for name in os.listdir(folder / "notes") if not name.startswith(".")]
    return sorted(({**note, "args": note["args"]} for note in found), key=lambda note: int(note["args"][1] or 0))


def prepare(folder):
    (folder / "notes").mkdir(parents=True)
    program = folder / "note"
    program.write_text(NOTE)
    program.chmod(0o755)
    return folder


def bring_in(engine, name="hooks.json", *options):
    """Into the engine's folder, with an address of our own."""
    for file in ("bellwire.yaml", "workflows"):
        path = engine.folder / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = engine.run("import", "webhook", name, *options)
    config = engine.folder / "bellwire.yaml"
    config.write_text("listen: [http://127.0.0.1:0]\n" + config.read_text())
    return said.stderr


@pytest.fixture
def webhook(tmp_path):
    """The program itself, as its users have it."""
    if not shutil.which("webhook"):
        pytest.skip("webhook is not installed")
    folder = prepare(tmp_path / "theirs")
    (folder / "hooks.json").write_text(json.dumps(make_hooks(folder)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(["webhook", "-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", str(port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        try:
            return post(port, "/", b"", {})[0]
        except OSError:
            return None
    wait_for("webhook", answers)
    yield folder, port
    process.kill()
    process.wait()


def test_the_same_requests_start_the_same_programs(webhook, make_engine):
    theirs, port = webhook
    engine = make_engine()
    prepare(engine.folder)
    engine.write("hooks.json", json.dumps(make_hooks(engine.folder)))
    said = bring_in(engine)
    closed = {name for name in HOOKS if "manual: true" in (engine.folder / "workflows" / f"{name}.yaml").read_text()}
    assert closed == {f"regex-{REGEXES.index('é+?|ü')}"}, said
    engine.run("check")
    asked = [request for request in requests() if request[0] not in closed]
    taken = {}
    for at, (name, path, body, headers) in enumerate(asked):
        status, answer, _ = post(port, path, body, headers)
        taken[at] = answer == f"taken by {name}"
        assert taken[at] or status == 500 or answer == "Hook rules were not satisfied.", (status, answer)
    assert 50 < sum(taken.values()) < len(asked) - 50
    wait_for("their programs", lambda: len(notes(theirs)) == sum(taken.values()))
    engine.start()
    for at, (name, path, body, headers) in enumerate(asked):
        status, answer, _ = post(engine.port, path, body, headers)
        assert status in (200, 401, 403), (name, body, status, answer)
        assert status == 200 or not taken[at], (name, body, headers, status, answer)
        assert status != 200 or answer == f"taken by {name}"
    wait_for("our programs", lambda: len(notes(engine.folder)) >= sum(taken.values()))
    engine.stop()  # in order: what came before the last one was judged before it
    ours = notes(engine.folder)
    expected = [{**note, "dir": str(engine.folder)} for note in notes(theirs)]
    for note in (*expected, *ours):
        note["args"][3] = json.loads(note["args"][3] or "null")
    assert ours == expected


def test_a_text_of_webhook_does_not_become_an_expression(make_engine):
    engine = make_engine()
    prepare(engine.folder)
    headers = [{"name": "X-Odd", "value": "${{ 1 }}"}, {"name": "X-Good", "value": "1"}, {"name": "", "value": "x"}, {"name": "X Y", "value": "x"}, {"name": "Content-Length", "value": "3"}]
    hooks = make_hooks(engine.folder, {"echo": ({"response-message": "${{ 1 + 1 }}", "response-headers": headers}, [])})
    engine.write("hooks.json", json.dumps(hooks))
    said = bring_in(engine)
    assert "an answer cannot have ${{ in it" in said and "a header of the answer with ${{ in it" in said
    assert said.count("a header of the answer that cannot be sent is left out") == 3
    engine.start()
    status, answer, headers = post(engine.port, "/hooks/echo", b'{"n":5}', {"Content-Type": "application/json"})
    assert (status, answer) == (200, "") and headers["X-Good"] == "1" and "X-Odd" not in headers


def test_the_output_of_a_program_is_the_answer(make_engine):
    engine = make_engine()
    prepare(engine.folder)
    hooks = make_hooks(engine.folder, {"echo": ({"include-command-output-in-response": True, "success-http-response-code": 201, "response-headers": [{"name": "x-made-by", "value": "others"}, {"name": "X-Made-By", "value": "us"}]}, []),
                                       "fails": ({"include-command-output-in-response": True, "execute-command": "false", "command-working-directory": ""}, [])})
    engine.write("hooks.json", json.dumps(hooks))
    bring_in(engine)
    engine.start()
    status, answer, headers = post(engine.port, "/hooks/echo", b'{"n":5}', {"Content-Type": "application/json"})
    assert (status, answer, headers["X-Made-By"]) == (201, "noted echo 5\n", "us")
    status, answer, _ = post(engine.port, "/hooks/fails", b'{"n":5}', {"Content-Type": "application/json"})
    assert status == 500 and json.loads(answer)["error"] == "exec.exit.1"


YAML = """
- id: deploy
  execute-command: {folder}/note
  command-working-directory: {folder}
  pass-arguments-to-command:
    - {{source: payload, name: ref}}
  trigger-rule:
    match:
      type: payload-hmac-sha256
      secret: '%s'
      parameter: {{source: header, name: X-Hub-Signature-256}}
"""


@pytest.mark.parametrize("secret,options,env", [("in-clear", (), {}), ('{{ getenv "DEPLOY_SECRET" | js }}', ("--template",), {"DEPLOY_SECRET": "in-clear"})])
def test_a_secret_is_in_a_file_of_its_own_or_where_it_was(make_engine, secret, options, env):
    engine = make_engine()
    prepare(engine.folder)
    engine.env.update(env)
    engine.write("hooks.yaml", (YAML % secret.replace("{", "{{").replace("}", "}}")).format(folder=engine.folder))
    bring_in(engine, "hooks.yaml", *options)
    written = "".join(path.read_text() for path in engine.folder.glob("workflows/*")) + (engine.folder / "bellwire.yaml").read_text()
    assert "in-clear" not in written and ("{env: DEPLOY_SECRET}" in written) == bool(env)
    if not env:
        assert (engine.folder / "secrets" / "deploy").stat().st_mode & 0o777 == 0o600
    engine.start()
    body = b'{"ref":"x"}'
    assert post(engine.port, "/hooks/deploy", body, {"Content-Type": "application/json", "X-Hub-Signature-256": digest(body, "sha256", "wrong", "sha256=")})[0] == 401
    assert post(engine.port, "/hooks/deploy", body, {"Content-Type": "application/json", "X-Hub-Signature-256": digest(body, "sha256", "in-clear", "sha256=")})[0] == 200
    engine.finished_runs(1)
    [note] = [json.loads(path.read_text()) for path in (engine.folder / "notes").iterdir()]
    assert note["args"] == ["x"]


NOT_TAKEN = [
    ({"trigger-rule": {"or": [signed("sha1", "s", "X-Hub-Signature"), MAIN]}}, "payload-hmac-sha1 cannot be one of several conditions"),
    ({"trigger-rule": {"and": [signed("sha1", "s", "X-Hub-Signature"), signed("sha256", "s", "X-Hub-Signature-256")]}}, "payload-hmac-sha256 cannot be one"),
    ({"trigger-rule": {"not": {"match": {"type": "ip-whitelist", "ip-range": "10.0.0.0/8"}}}}, "ip-whitelist cannot be one"),
    ({"trigger-rule": {"match": {"type": "ip-whitelist", "ip-range": "example.com"}}}, "'example.com' is no address"),
    ({"trigger-rule": {"match": {"type": "scalr-signature", "secret": "s"}}}, "scalr-signature cannot be one"),
    ({"trigger-rule": {"match": {"type": "payload-hmac-sha1", "secret": "", "parameter": header("X-Hub-Signature")}}}, "secret is empty"),
    ({"trigger-rule": signed("sha1", "s", "X-Hub-Signature")["match"] and {"match": {"type": "payload-hmac-sha1", "secret": "s", "parameter": payload("sig")}}}, "not in a header"),
    ({"trigger-rule": is_regex(payload("ref"), "(?i)main")}, "no pattern for the regular expression (?i)main"),
    ({"trigger-rule": {"and": [signed("sha1", "s", "X-Hub-Signature"), is_value(header("X-Token"), "t")]}}, "both of them"),
    ({"trigger-rule": {"or": [MAIN, is_value(header("X-Api-Key"), "t")]}}, "is not kept with an event"),
    ({"trigger-rule": {"or": [MAIN, is_value(payload("token"), "t")]}}, "for all to read"),
    ({"trigger-rules": {}}, "is it trigger-rule?"),
    ({"pass-arguments-to-command": [{"source": "url", "name": "q"}]}, "url.q cannot be given to the program: an event has no query"),
    ({"pass-environment-to-command": [{"source": "request", "name": "remote-addr"}]}, "its sender's address"),
    ({"pass-file-to-command": [payload("x", base64decode=True)]}, "in base64"),
    ({"pass-environment-to-command": [payload("x"), payload("y", envname="HOOK_x")]}, "two variables HOOK_x"),
    ({"http-methods": ["GET"]}, "nothing but POST"),
    ({"incoming-payload-content-type": "application/xml"}, "application/xml"),
    ({"execute-command": "/nowhere/at/all"}, "there is no program /nowhere/at/all"),
    ({"id": "a b"}, "no part of a path"),
]


def test_what_cannot_be_taken_over_has_no_door_and_says_where_it_stands(make_engine):
    engine = make_engine()
    prepare(engine.folder)
    hooks = [{"id": f"h{at}", "execute-command": f"{engine.folder}/note", **more} for at, (more, _) in enumerate(NOT_TAKEN)] + [{"id": "good", "execute-command": f"{engine.folder}/note"}]
    engine.write("hooks.json", json.dumps(hooks, indent=1))
    lines = (engine.folder / "hooks.json").read_text().splitlines()
    said = bring_in(engine)
    assert f"{len(hooks)} hooks, {len(NOT_TAKEN)} of them without a path" in said
    for at, (more, part) in enumerate(NOT_TAKEN):
        name = "a-b" if "id" in more else f"h{at}"
        [told] = [line for line in said.splitlines() if part in line and f": {name}: " in line] or [said]
        number = int(told.split(":")[1])
        begin = next(index for index, line in enumerate(lines) if f'"id": "{more.get("id", f"h{at}")}"' in line)
        assert begin - 1 <= number - 1 <= begin + 40, (told, begin)
        text = (engine.folder / "workflows" / f"{name}.yaml").read_text()
        assert "\non:\n  - manual: true\n" in text and part in text and f"# hooks.json:{number}:" in text
    checked = engine.run("check").stderr
    assert [line.split()[1] for line in checked.splitlines() if line.startswith("webhook ")] == ["good"]


@pytest.mark.parametrize("text,code", [("{}", "hooks.type"), ("[]", "hooks.type"), ("[1]", "hooks.type"), ('[{"id": ]', "yaml.syntax"), ('[{"id": "a", "x": "{{ getenv "X" }}"}]', "hooks.template")])
def test_what_are_no_hooks_is_an_error_and_writes_nothing(make_engine, text, code):
    engine = make_engine()
    engine.write("hooks.json", text)
    said = engine.run("import", "webhook", "hooks.json", "--into", "new", check=False)
    assert said.returncode == 1 and code in said.stderr and "hooks.json" in said.stderr and not (engine.folder / "new").exists()


def test_nothing_is_overwritten(make_engine):
    engine = make_engine()
    engine.write("hooks.json", '[{"id": "a", "execute-command": "true"}]')
    before = (engine.folder / "bellwire.yaml").read_text()
    said = engine.run("import", "webhook", "hooks.json", check=False)
    assert said.returncode == 1 and "new.exists" in said.stderr and (engine.folder / "bellwire.yaml").read_text() == before and not list((engine.folder / "workflows").iterdir())


def test_other_templates_are_said_with_their_place(make_engine):
    engine = make_engine()
    engine.write("hooks.json", '[\n  {"id": "{{ .Name }}"}]')
    said = engine.run("import", "webhook", "hooks.json", "--template", "--into", "new", check=False)
    assert said.returncode == 1 and "hooks.json:2:11" in said.stderr and "getenv" in said.stderr
