"""The dead letter: what becomes of a run that failed, by the hand of an operator, beside a serving engine and without one."""
import http.server
import json
import subprocess
import threading

import pytest

from conftest import BINARY, wait_for


class Vendor:
    """Remembers each call with its key; answers 500 to the paths in `broken`."""

    def __init__(self):
        self.calls, self.broken, self.lock = [], set(), threading.Lock()
        vendor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                with vendor.lock:
                    status = 500 if self.path in vendor.broken else 200
                    vendor.calls.append((self.path, status, self.headers["Idempotency-Key"], body))
                answer = json.dumps({"ok": True}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 4096  # with Python's 5 the kernel drops connections, and runs fail that should not

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def to(self, path, status=None):
        with self.lock:
            return [call for call in self.calls if call[0] == path and status in (None, call[1])]

    def keys(self, path, status=None):
        return [call[2] for call in self.to(path, status)]


@pytest.fixture
def vendor():
    vendor = Vendor()
    yield vendor
    vendor.server.shutdown()
    vendor.server.server_close()


def post(step, extra=""):
    return f"""
  - id: {step}
    retry: {{attempts: 2, delay: 10ms}}
    with: {{sink: "${{{{ vars.sink }}}}", n: "${{{{ event.data.n }}}}"}}
    lua: |
      local r = ctx.http{{method = "POST", url = input.sink .. "/{step}", headers = {{["Idempotency-Key"] = ctx.idempotency_key}}, json = {{n = input.n}}}}
      if r.status ~= 200 then return ctx.retry{{code = "vendor_down", message = "the vendor answered " .. r.status}} end
      return {{step = "{step}", n = input.n}}
{extra}"""


def line(vendor, steps=("one", "two", "three"), name="line"):
    return f"""
name: {name}
on: [{{event: open.ping}}]
vars: {{sink: "{vendor.url}"}}
steps:{"".join(post(step) for step in steps)}
outputs: {{last: "${{{{ steps.{steps[-1]}.step }}}}"}}
"""


def ring(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def only(engine, *arguments):
    return engine.finished_runs(1, *arguments)[0]


def ended(engine, run, state="succeeded"):
    return wait_for(f"{run} {state}", lambda: next((row for row in [engine.show_run(run)] if row["state"] == state), None))


def steps_of(run):
    return {step["step"]: step["state"] for step in run["steps"]}


def failed_line(engine, vendor):
    """A run that failed in `two`, and a vendor that is mended."""
    vendor.broken = {"/two"}
    engine.write("workflows/line.yaml", line(vendor))
    engine.start()
    ring(engine, n=7)
    run = only(engine)
    assert run["state"] == "failed" and run["error"]["code"] == "vendor_down" and run["resolution"] == "unresolved"
    assert len(vendor.to("/one")) == 1 and len(vendor.to("/two")) == 2 and not vendor.to("/three")
    vendor.broken = set()
    return run


@pytest.fixture(params=["serving", "offline"])
def letters(request):
    """Runs a command beside the serving engine, or between its end and its next start."""
    def do(engine, *arguments, check=True):
        if request.param == "serving":
            return engine.run(*arguments, check=check)
        assert engine.stop() == 0
        result = engine.run(*arguments, check=check)
        engine.start()
        return result
    return do


def test_resume_keeps_what_succeeded_and_the_keys(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    out = letters(engine, "runs", "resume", run["run"]).stdout
    assert f"{run['run']}  resumed" in out
    after = ended(engine, run["run"])
    assert after["output"] == {"last": "three"} and steps_of(after) == {"one": "succeeded", "two": "succeeded", "three": "succeeded"}
    assert len(vendor.to("/one")) == 1 and len(vendor.to("/two", 200)) == 1 and len(vendor.to("/three")) == 1
    assert len(set(vendor.keys("/two"))) == 1  # the attempts before, and the one after
    assert after["resumed_ms"] and after["started_ms"] == run["started_ms"]
    act = after["audit"][0]
    assert act["verb"] == "resume" and act["actor"] and "vendor_down" in act["detail"]
    assert "resume   " in engine.run("runs", "show", run["run"]).stdout
    refused = letters(engine, "runs", "resume", run["run"], check=False)
    assert refused.returncode == 1 and "run.not_failed" in refused.stderr


def test_a_resumed_step_has_all_its_attempts_again(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    vendor.broken = {"/two"}
    letters(engine, "runs", "resume", run["run"])
    wait_for("two more attempts", lambda: len(vendor.to("/two")) == 4)
    again = ended(engine, run["run"], "failed")
    assert again["resolution"] == "unresolved" and len(set(vendor.keys("/two"))) == 1
    vendor.broken = set()
    letters(engine, "runs", "resume", run["run"])
    after = ended(engine, run["run"])
    assert [act["verb"] for act in after["audit"]] == ["resume", "resume"] and len(vendor.to("/one")) == 1


def test_replay_is_a_new_run_with_keys_of_its_own(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    made = json.loads(letters(engine, "runs", "replay", run["run"], "--json").stdout)
    assert made["run"] == run["run"] and made["replayed"]
    after = ended(engine, made["replay"])
    assert after["replay_of"] == run["run"] and after["event"] == run["event"]
    for path in ("/one", "/two"):
        assert len(set(vendor.keys(path))) == 2
    old = engine.show_run(run["run"])
    assert old["state"] == "failed" and old["resolution"] == "replayed" and old["audit"][0]["detail"] == f"as {made['replay']}"
    assert engine.rows("runs", "--state", "failed") == []
    assert len(engine.rows("runs", "--state", "failed", "--resolved")) == 1
    assert "replayed" in engine.run("runs").stdout
    refused = letters(engine, "runs", "resume", run["run"], check=False)
    assert refused.returncode == 1 and "run.resolved" in refused.stderr


def test_replay_from_a_step_copies_what_earlier_ones_gave(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    made = json.loads(letters(engine, "runs", "replay", run["run"], "--from", "two", "--json").stdout)
    after = ended(engine, made["replay"])
    assert len(vendor.to("/one")) == 1 and len(set(vendor.keys("/two"))) == 2 and len(vendor.to("/three")) == 1
    assert [step["output"] for step in after["steps"]] == [{"step": step, "n": 7} for step in ("one", "two", "three")]
    wrong = letters(engine, "runs", "replay", run["run"], "--from", "tow", check=False)
    assert wrong.returncode == 1 and "step.unknown" in wrong.stderr and "did you mean 'two'" in wrong.stderr


def test_discard_resolves(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    assert len(engine.rows("runs", "--state", "failed")) == 1
    letters(engine, "runs", "discard", run["run"])
    assert engine.rows("runs", "--state", "failed") == []
    assert engine.show_run(run["run"])["resolution"] == "discarded"
    assert len(vendor.to("/two")) == 2


def test_latest_goes_on_as_the_workflow_is_now(make_engine, vendor, letters):
    engine = make_engine()
    run = failed_line(engine, vendor)
    engine.write("workflows/line.yaml", line(vendor, ("zero", "two", "three")))
    engine.wait_log("catalog.activated")
    gone = letters(engine, "runs", "resume", run["run"], "--latest", check=False)
    assert gone.returncode == 1 and "version.step_missing" in gone.stderr and "step one" in gone.stderr
    assert engine.show_run(run["run"])["state"] == "failed"
    engine.log.clear()
    engine.write("workflows/line.yaml", line(vendor, ("one", "two", "extra", "three")))
    engine.wait_log("catalog.activated")
    letters(engine, "runs", "resume", run["run"], "--latest")
    after = ended(engine, run["run"])
    assert sorted(steps_of(after)) == ["extra", "one", "three", "two"] and after["version"] != run["version"]
    assert len(vendor.to("/one")) == 1 and len(set(vendor.keys("/two"))) == 1 and len(vendor.to("/extra")) == 1


FAN = """
name: fan
on: [{{event: open.ping}}]
vars: {{sink: "{url}"}}
steps:
  - id: fan
    foreach: event.data.items
    concurrency: 3
    {more}
    steps:
      - id: first
        with: {{n: "${{{{ item }}}}", sink: "${{{{ vars.sink }}}}"}}
        lua: |
          local r = ctx.http{{method = "POST", url = input.sink .. "/first-" .. tostring(input.n), headers = {{["Idempotency-Key"] = ctx.idempotency_key}}, json = {{}}}}
          return {{}}
      - id: second
        retry: {{attempts: 1}}
        with: {{n: "${{{{ item }}}}", sink: "${{{{ vars.sink }}}}"}}
        lua: |
          local r = ctx.http{{method = "POST", url = input.sink .. "/second-" .. tostring(input.n), headers = {{["Idempotency-Key"] = ctx.idempotency_key}}, json = {{}}}}
          if r.status ~= 200 then return ctx.fail{{code = "bad_item", message = "refused"}} end
          return {{n = input.n}}
outputs: {{fan: "${{{{ steps.fan }}}}"}}
"""


@pytest.mark.parametrize("kills", [0, 4])
def test_a_resumed_foreach_runs_only_what_failed_or_had_not_begun(make_engine, vendor, letters, kills):
    engine = make_engine()
    engine.write("workflows/fan.yaml", FAN.format(url=vendor.url, more=""))
    items = list(range(1, 61))
    vendor.broken = {f"/second-{n}" for n in (20, 21)}
    engine.start()
    ring(engine, items=items)
    run = only(engine)
    counts = run["steps"][0]["children"]
    assert run["state"] == "failed" and counts["started"] < 60 and counts["failed"] >= 1
    before = {call[0]: call[2] for call in vendor.calls}
    done = {call[0] for call in vendor.calls if call[1] == 200 and call[0].startswith("/second")}
    vendor.broken = set()
    calls_before = len(vendor.calls)
    letters(engine, "runs", "resume", run["run"])
    for k in range(kills):
        wait_for("some more", lambda: len(vendor.calls) >= min(calls_before + 20 * (k + 1), 100))
        engine.kill()
        engine.start()
    after = ended(engine, run["run"])
    assert after["output"]["fan"]["items"] == [{"n": n} for n in items] and after["output"]["fan"]["failed"] == 0
    assert after["steps"][0]["children"] == {"total": 60, "started": 60, "succeeded": 60, "failed": 0}
    later = vendor.calls[calls_before:]
    assert not done & {call[0] for call in later}                                       # an item that succeeded is left alone
    assert all(key == before[path] for path, _, key, _ in later if path in before)      # the others have their keys
    firsts = [call[0] for call in vendor.calls if call[0].startswith("/first") and call[0] in before]
    assert kills or len(firsts) == len(set(firsts))                                     # and keep what they had recorded


CALLS = """
name: caller
on: [{{event: open.ping}}]
vars: {{sink: "{url}"}}
steps:
  - {{id: call, uses: workflow/callee, with: {{n: "${{{{ event.data.n }}}}"}}}}
  - {{id: after, set: {{got: "${{{{ steps.call.last }}}}"}}}}
outputs: {{got: "${{{{ steps.after.got }}}}"}}
---
name: callee
on: [{{call: true}}]
inputs: {{n: {{type: integer}}}}
vars: {{sink: "{url}"}}
steps:{steps}
outputs: {{last: "${{{{ steps.two.step }}}}"}}
"""


def test_a_resumed_run_takes_up_the_workflow_that_it_had_called(make_engine, vendor, letters):
    engine = make_engine()
    steps = post("one").replace("event.data.n", "inputs.n") + post("two").replace("event.data.n", "inputs.n")
    engine.write("workflows/calls.yaml", CALLS.format(url=vendor.url, steps=steps))
    vendor.broken = {"/two"}
    engine.start()
    ring(engine, n=5)
    run = only(engine)
    assert run["state"] == "failed"
    child = next(row for row in engine.rows("runs", "--children") if "parent" in row)
    refused = letters(engine, "runs", "resume", child["run"], check=False)
    assert refused.returncode == 1 and "run.child" in refused.stderr and run["run"] in refused.stderr
    vendor.broken = set()
    letters(engine, "runs", "resume", run["run"])
    assert ended(engine, run["run"])["output"] == {"got": "two"}
    assert len(vendor.to("/one")) == 1 and len(set(vendor.keys("/two"))) == 1
    assert engine.show_run(child["run"])["state"] == "succeeded"


def test_a_thousand_failed_runs_at_once(make_engine, vendor, letters):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{event: open.ping}]
steps: [{id: s, lua: "if event.data.bad then return ctx.fail{code = 'bad', message = 'bad'} end return {}"}]
""".replace("event.data.bad", "input.bad").replace("{id: s,", '{id: s, with: {bad: "${{ event.data.bad }}"},'))
    engine.start()
    for n in range(1000):
        ring(engine, bad=True, n=n)
    ring(engine, bad=False)
    wait_for("all failed", lambda: engine.run("runs", "resume", "--state", "failed", "--dry-run").stdout == "1000 runs\n")
    assert engine.run("runs", "discard", "--error", "other.*", "--dry-run").stdout == "0 runs\n"
    result = letters(engine, "runs", "discard", "--workflow", "w", "--error", "b*", "--since", "1h")
    assert result.stdout == "1000 of 1000 discarded, 0 refused\n" and "500 of 1000" in result.stderr
    assert engine.rows("runs", "--state", "failed") == []


ENDINGS = """
name: endings
on: [{{event: open.ping}}]
vars: {{sink: "{url}"}}
steps:{charge}
  - id: order
    retry: {{attempts: 1}}
    with: {{sink: "${{{{ vars.sink }}}}"}}
    lua: |
      local r = ctx.http{{method = "POST", url = input.sink .. "/order", headers = {{["Idempotency-Key"] = ctx.idempotency_key}}, json = {{}}}}
      if r.status ~= 200 then return ctx.fail{{code = "no_order", message = "refused"}} end
      return {{}}
{catch}
finally: {close}
"""


def endings(engine, vendor, charge_more="", catch=""):
    engine.write("workflows/w.yaml", ENDINGS.format(url=vendor.url, charge=post("charge", charge_more), catch=catch, close=post("close")))
    vendor.broken = {"/order"}
    engine.start()
    ring(engine, n=1)
    run = only(engine)
    vendor.broken = set()
    return run


def test_what_was_undone_can_only_be_replayed(make_engine, vendor, letters):
    engine = make_engine()
    run = endings(engine, vendor, charge_more="    undo: {lua: 'return {undone = true}'}\n")
    assert run["state"] == "failed" and steps_of(run)["charge~undo"] == "succeeded"
    refused = letters(engine, "runs", "resume", run["run"], check=False)
    assert refused.returncode == 1 and "run.undone" in refused.stderr and "replay" in refused.stderr
    made = json.loads(letters(engine, "runs", "replay", run["run"], "--json").stdout)
    assert ended(engine, made["replay"])["state"] == "succeeded" and len(set(vendor.keys("/charge"))) == 2


@pytest.mark.parametrize("then", ["fail", "continue"])
def test_resume_tries_again_what_failed_the_run_and_not_what_was_caught(make_engine, vendor, letters, then):
    engine = make_engine()
    catch = f"    catch: [{{steps: [{{id: note, set: {{noted: true}}}}], then: {then}}}]\n" + ("" if then == "fail" else post("late"))
    vendor.broken = {"/late"}
    engine.write("workflows/w.yaml", ENDINGS.format(url=vendor.url, charge=post("charge"), catch=catch, close=post("close")))
    vendor.broken = {"/order", "/late"}
    engine.start()
    ring(engine, n=1)
    run = only(engine)
    assert run["state"] == "failed" and len(vendor.to("/close")) == 1
    vendor.broken = set()
    letters(engine, "runs", "resume", run["run"])
    after = ended(engine, run["run"])
    assert len(vendor.to("/charge")) == 1 and len(vendor.to("/order")) == (2 if then == "fail" else 1)
    assert steps_of(after)["order"] == ("succeeded" if then == "fail" else "failed") and steps_of(after)["note"] == "succeeded"
    assert len(vendor.to("/close")) == 1  # what succeeded is not run again, at the end neither


def test_a_tolerated_item_is_resumed_by_itself(make_engine, vendor, letters):
    engine = make_engine()
    engine.write("workflows/fan.yaml", FAN.format(url=vendor.url, more="tolerate: all"))
    vendor.broken = {"/second-2"}
    engine.start()
    ring(engine, items=[1, 2, 3])
    run = only(engine)
    assert run["state"] == "succeeded"
    vendor.broken = set()
    item = engine.rows("runs", "--children", "--state", "failed")[0]
    assert json.loads(letters(engine, "runs", "resume", "--children", "--error", "bad_item", "--json").stdout) == {"run": item["run"], "resumed": True}
    ended(engine, item["run"])
    assert len(vendor.to("/first-2")) == 1 and len(set(vendor.keys("/second-2"))) == 1 and len(vendor.to("/second-2")) == 2
    assert engine.show_run(run["run"])["output"] == run["output"]


def test_a_resumed_run_has_its_whole_timeout_again(make_engine, vendor, letters):
    engine = make_engine()
    engine.write("workflows/w.yaml", """
name: w
on: [{event: open.ping}]
timeout: 2s
steps:
  - {id: nap, wait: {event: open.go}}
""")
    engine.start()
    ring(engine)
    run = only(engine)
    assert run["error"]["code"] == "run.timeout"
    letters(engine, "runs", "resume", run["run"])
    again = wait_for("its second end", lambda: next((row for row in [engine.show_run(run["run"])] if row.get("resumed_ms") and row["state"] == "failed"), None))
    assert again["error"]["code"] == "run.timeout" and again["ended_ms"] >= again["resumed_ms"] + 2000


@pytest.mark.parametrize("victim", ["engine", "command"])
def test_a_kill_in_the_middle_of_many_loses_nothing_and_doubles_nothing(make_engine, vendor, victim):
    engine = make_engine()
    engine.write("workflows/line.yaml", line(vendor, ("one", "two")))
    vendor.broken = {"/two"}
    engine.start()
    for n in range(200):
        ring(engine, n=n)
    wait_for("all failed", lambda: engine.run("runs", "resume", "--state", "failed", "--dry-run").stdout == "200 runs\n")
    vendor.broken = set()
    if victim == "engine":
        engine.kill()
        engine.env["BELLWIRE_CRASH"] = "store.after_letters:2"
        engine.start()
        assert engine.run("runs", "resume", "--state", "failed", check=False).returncode == 1
        assert engine.ended() == 137
        del engine.env["BELLWIRE_CRASH"]
        engine.start()
    else:
        process = subprocess.Popen([BINARY, "runs", "resume", "--state", "failed", "--json"], cwd=engine.folder, env=engine.env, stdout=subprocess.PIPE)
        process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    engine.run("runs", "resume", "--state", "failed", check=False)  # those that the killed one had asked for may be resumed meanwhile: they are refused
    wait_for("all of them", lambda: len(engine.rows("runs", "--state", "succeeded", "--limit", "500")) == 200)
    assert sorted(call[3]["n"] for call in vendor.to("/one")) == list(range(200))
    keys = {}
    for _, _, key, body in vendor.to("/two"):
        keys.setdefault(body["n"], set()).add(key)
    assert len(keys) == 200 and all(len(of_run) == 1 for of_run in keys.values())


def test_the_command_line_says_what_it_needs(engine):
    for arguments, message in ((("resume",), "which runs"), (("resume", "run_x"), "no run id"), (("resume", "--from", "x"), "for replay"),
                               (("discard", "--latest"), "for resume"), (("replay", "--from", "a", "--same-version", "--state", "failed"), "current version")):
        result = engine.run("runs", *arguments, check=False)
        assert result.returncode == 2 and message in result.stderr, result.stderr


def test_where_there_is_no_store_none_is_made(engine):
    """A configuration that is not the meant one leaves nothing behind, and says what is missing."""
    for arguments in (("resume",), ("replay",), ("discard",), ("resolve", "--step", "a", "--failed")):
        result = engine.run("runs", *arguments, "run_" + "0" * 26, check=False)
        assert result.returncode == 1 and "store.missing" in result.stderr, result.stderr
    assert not (engine.folder / "data").exists()
