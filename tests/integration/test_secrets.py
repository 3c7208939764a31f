"""Canaries: no secret in the database, the logs, the answers."""
import json
import os
import signal
import threading

from conftest import CONFIG, wait_for
from fakes.server import Server

CANARY = "canary-7f3a9c51d2e84b60"


def test_secrets_leave_no_trace(make_engine):
    engine = make_engine(CONFIG + "secrets: {TOKEN: {env: TOKEN}}\n")
    engine.env["TOKEN"] = CANARY
    engine.env["GITHUB_WEBHOOK_SECRET"] = CANARY + "-webhook"
    engine.write("workflows/leak.yaml", """
name: leak
on: [{event: github.push}]
secrets: [TOKEN]
steps:
  - id: out
    with: {token: "Bearer ${{ secrets.TOKEN }}"}
    lua: |
      ctx.log("the token is " .. input.token)
      return {token = input.token, encoded = ctx.urlencode(input.token)}
  - id: fails
    with: {token: "${{ secrets.TOKEN }}"}
    lua: error("refused with " .. input.token)
""")
    engine.start()
    answers = [json.dumps(engine.push(secret=CANARY + "-webhook")[1]), json.dumps(engine.push(secret="wrong")[1])]
    [run] = engine.finished_runs(1)
    assert run["state"] == "failed"
    assert run["steps"][0]["output"]["token"] == "Bearer [secret:TOKEN]", run
    assert CANARY not in json.dumps(run)
    assert "its output held a secret" in engine.wait_log("step.log", run=run["run"], step="out", level="warn")["message"]
    assert engine.stop() == 0
    assert CANARY not in json.dumps(engine.log) and CANARY not in "".join(answers)
    for path in (file for file in (engine.folder / "data").rglob("*") if file.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path


def test_a_secret_that_was_not_granted_is_an_error(make_engine):
    engine = make_engine(CONFIG + "secrets: {TOKEN: {env: TOKEN}}\n")
    engine.env["TOKEN"] = CANARY
    engine.write("workflows/ask.yaml", "name: ask\non: [{event: github.push}]\nsteps:\n  - id: s\n    with: {t: '${{ secrets.TOKEN }}'}\n    lua: return {}\n")
    result = engine.run("check", check=False)
    assert result.returncode == 1 and "TOKEN" in result.stderr and "secrets" in result.stderr


def test_secrets_from_programs(make_engine):
    program = '#!/bin/sh\necho "$1" >>asked\n[ -e broken ] && { echo "no ticket for $1" >&2; exit 3; }\necho "' + CANARY + '-$1"\n'
    engine = make_engine(CONFIG.replace("{env: GITHUB_WEBHOOK_SECRET}", "{exec: [./vault, hook]}") + "secrets:\n  TOKEN: {exec: [./vault, token]}\n")
    engine.write("vault", program, 0o755)
    engine.write("workflows/leak.yaml", "name: leak\non: [{event: github.push}]\nsecrets: [TOKEN]\nsteps:\n"
                 "  - {id: out, with: {t: \"${{ secrets.TOKEN }}\"}, lua: \"return {t = input.t, n = #input.t}\"}\noutputs: {t: \"${{ steps.out.t }}\", n: \"${{ steps.out.n }}\"}\n")
    engine.start()
    assert engine.push(secret=CANARY + "-hook")[0] == 202 and engine.push(secret="wrong")[0] == 401
    [run] = engine.finished_runs(1)
    assert run["output"] == {"t": "[secret:TOKEN]", "n": len(CANARY + "-token")}
    asked = (engine.folder / "asked").read_text().split()
    assert sorted(asked) == ["hook", "token"]  # once each, and not by commands that only look
    engine.stop()
    for path in (file for file in (engine.folder / "data").rglob("*") if file.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path
    engine.write("broken", "")
    result = engine.run("serve", check=False)
    assert result.returncode == 1 and CANARY not in result.stderr
    assert "bellwire.yaml" in result.stderr and "no ticket for token" in result.stderr and "status 3" in result.stderr
    assert engine.run("check", check=False).returncode == 1


def test_sighup_asks_programs_again_and_the_engine_serves_on_while_they_think(make_engine):
    engine = make_engine(CONFIG.replace("{env: GITHUB_WEBHOOK_SECRET}", "{exec: [./vault]}"))
    engine.write("vault", '#!/bin/sh\necho asked >>asked\n[ -e gate ] && cat gate >/dev/null\ncat value\n', 0o755)
    engine.write("value", CANARY + "-one\n")
    engine.write("workflows/w.yaml", "name: w\non: [{event: github.push}]\nsteps: [{id: a, set: {n: 1}}]\n")
    engine.start()
    engine.write("value", CANARY + "-two\n")
    os.mkfifo(engine.folder / "gate")
    engine.process.send_signal(signal.SIGHUP)
    wait_for("the program to be asked", lambda: (engine.folder / "asked").read_text().count("asked") == 2)
    assert engine.push(secret=CANARY + "-one")[0] == 202  # it waits for us, and nobody waits for it
    engine.finished_runs(1)
    engine.write("workflows/v.yaml", "name: v\non: [{event: a.b}]\nsteps: [{id: a, set: {n: 1}}]\n")  # a reload meanwhile asks nobody
    engine.wait_log("catalog.activated")
    assert engine.push(secret=CANARY + "-one")[0] == 202
    (engine.folder / "gate").write_text("go\n")
    os.remove(engine.folder / "gate")
    wait_for("the new secret", lambda: engine.push(secret=CANARY + "-two")[0] == 202)
    assert engine.push(secret=CANARY + "-one")[0] == 401
    engine.write("vault", "#!/bin/sh\necho out of tickets >&2; exit 3\n", 0o755)
    engine.process.send_signal(signal.SIGHUP)
    assert "out of tickets" in engine.wait_log("catalog.error")["message"]
    engine.wait_log("catalog.refused")
    assert engine.push(secret=CANARY + "-two")[0] == 202
    engine.stop()
    assert CANARY not in json.dumps(engine.log)


def test_sighup_hands_the_steps_new_secrets_and_keeps_the_old_ones_when_one_is_missing(make_engine):
    engine = make_engine(CONFIG + "secrets:\n  KEPT: {file: kept}\n  TOKEN: {exec: [./vault]}\n")
    engine.write("vault", "#!/bin/sh\ncat value\n", 0o755)
    engine.write("kept", CANARY + "-k\n", 0o600)
    engine.write("value", CANARY + "-first\n")
    engine.write("actions/look.lua", """
return action {
  name = "lengths/look",
  version = "1.0.0",
  secrets = {"KEPT", "TOKEN"},
  run = function(ctx, input)
    local early = #ctx.secret("TOKEN")
    while ctx.http{url = input.url .. "/gate"}.status ~= 200 do ctx.sleep(0.05) end
    return {early = early, token = #ctx.secret("TOKEN"), kept = #ctx.secret("KEPT")}
  end,
}
""")
    gate = threading.Event()
    server = Server()
    server.on("GET", "/gate", lambda request: (200 if gate.is_set() else 404, {}))
    engine.write("workflows/w.yaml", f"""
name: w
on: [{{event: github.push}}]
secrets: [KEPT, TOKEN]
steps:
  - {{id: held, uses: lengths/look@1, with: {{url: "{server.url}"}}}}
  - {{id: out, with: {{t: "${{{{ secrets.TOKEN }}}}"}}, lua: "return {{n = #input.t}}"}}
outputs: {{held: "${{{{ steps.held }}}}", out: "${{{{ steps.out.n }}}}"}}
""")
    engine.start()
    engine.push()
    wait_for("the attempt to begin", lambda: server.requests)
    engine.write("value", CANARY + "-the-second\n")
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("config.changed")
    gate.set()
    first, second, kept = (len(CANARY + end) for end in ("-first", "-the-second", "-k"))
    [run] = engine.finished_runs(1)
    assert run["output"] == {"held": {"early": first, "token": first, "kept": kept}, "out": second}, run  # an attempt keeps what it began with
    os.remove(engine.folder / "kept")
    engine.write("value", CANARY + "-the-third-one\n")
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("catalog.refused")
    [worker] = engine.children("worker")
    os.kill(worker, signal.SIGKILL)  # the next one is told what counts now
    engine.push()
    wait_for("its run", lambda: len([line for line in engine.log if line["log"] == "run"]) == 2)
    engine.write("kept", CANARY + "-k\n", 0o600)  # commands want it as well
    assert engine.finished_runs(2)[0]["output"] == {"held": {"early": second, "token": second, "kept": kept}, "out": second}
    engine.stop()
    assert CANARY not in json.dumps(engine.log)
    for path in (file for file in (engine.folder / "data").rglob("*") if file.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path
    server.close()


def test_a_workflow_runs_no_programs(make_engine):
    engine = make_engine(CONFIG)
    engine.write("workflows/w.yaml", "name: w\non: [{webhook: /in/w, verify: hmac, secrets: {secret: {exec: [touch, was-run]}}}]\nsteps: [{id: a, set: {n: 1}}]\n")
    result = engine.run("check", check=False)
    assert result.returncode == 1 and "a workflow runs no programs" in result.stderr and not (engine.folder / "was-run").exists()
