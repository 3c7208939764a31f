"""Cancelling runs: whatever they are doing, nothing of it goes on, what must follow follows, and an answer survives a kill."""
import http.server
import json
import os
import random
import signal
import threading

import pytest

from conftest import CONFIG, DEADLINE, wait_for
from test_plugins import build, flags  # noqa: F401: a fixture

SEED = int(os.environ.get("BELLWIRE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Sink:
    """/hold is answered never, and says when its peer has gone; everything else is noted and answered."""

    def __init__(self):
        self.seen, self.held, self.gone = [], threading.Semaphore(0), threading.Semaphore(0)
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/hold":
                    sink.held.release()
                    assert self.connection.recv(1) == b""
                    sink.gone.release()
                    return
                sink.seen.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def sink():
    it = Sink()
    yield it
    it.server.shutdown()
    it.server.server_close()


def post(path, sink):
    return f"{{lua: \"return ctx.http{{method = 'POST', url = '{sink.url}{path}', json = {{}}}}\"}}"


def write(engine, steps, more="", name="w"):
    engine.write(f"workflows/{name}.yaml", f"name: {name}\non: [{{event: open.ping}}]\nsteps:\n{steps}\n{more}\n")


def ring(engine, **data):
    status, answer, _ = engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})
    assert status == 202
    return answer["event"]


def parked(engine, workflow="w"):
    return wait_for("a parked run", lambda: engine.rows("runs", "--state", "parked", "--workflow", workflow))[0]["run"]


def only(engine, workflow="w"):
    return engine.finished_runs(1, "--workflow", workflow)[0]


def states(run):
    return {step["step"]: step["state"] for step in run["steps"]}


def cancel(engine, *arguments, check=True):
    return [json.loads(line) for line in engine.run("runs", "cancel", *arguments, "--json", check=check).stdout.splitlines()]


def run_id(engine):
    """Of the one run that a worker is executing and that has no row yet: its steps say it in the log."""
    return wait_for("a log line", lambda: next((line["run"] for line in engine.log if line.get("log") == "step.log"), None))


def logging(lua):
    return f"{{id: a, timeout: 10m, lua: \"ctx.log.info('here') {lua}\"}}"


def test_a_parked_run(make_engine):
    engine = make_engine()
    write(engine, "  - {id: a, set: {n: 1}}\n  - {id: nap, sleep: 1d}\n  - {id: after, set: {n: 2}}")
    engine.start()
    ring(engine)
    run = parked(engine)
    assert cancel(engine, run, "--reason", "wrong \"customer\"") == [{"run": run, "state": "cancelling"}]
    ended = only(engine)
    assert ended["state"] == "cancelled" and [(act["verb"], act["detail"]) for act in ended["audit"]] == [("cancel", "wrong \"customer\"")]
    assert ended["error"]["code"] == "run.cancelled" and "wrong \"customer\"" in ended["error"]["message"]
    assert states(ended) == {"a": "succeeded", "nap": "cancelled"}
    assert "cancelled" in engine.run("runs", "show", run).stdout
    engine.stop()


def test_twice_unknown_and_ended(make_engine):
    engine = make_engine()
    write(engine, "  - {id: nap, sleep: 1d}")
    engine.start()
    ring(engine)
    run = parked(engine)
    cancel(engine, run)
    only(engine)
    again = cancel(engine, run, "run_" + "0" * 26, check=False)
    assert again[0]["error"]["code"] == "run.ended" and "cancelled" in again[0]["error"]["message"]
    assert again[1]["error"]["code"] == "run.unknown"
    assert engine.run("runs", "cancel", "evt_1", check=False).returncode == 2
    assert engine.run("runs", "cancel", check=False).returncode == 2
    engine.stop()
    gone = engine.run("runs", "cancel", run, check=False)
    assert gone.returncode == 1 and "control.not_serving" in gone.stderr and "bellwire serve" in gone.stderr


def test_a_request_that_is_on_its_way_is_broken_off(make_engine, sink):
    engine = make_engine()
    write(engine, f"  - {logging('return ctx.http{method = [[POST]], url = [[' + sink.url + '/hold]], json = {}}')}\n  - {{id: after, set: {{n: 2}}}}")
    engine.start()
    ring(engine)
    run = run_id(engine)
    assert sink.held.acquire(timeout=DEADLINE)
    assert cancel(engine, run)[0]["state"] in ("cancelling", "cancelled")
    assert sink.gone.acquire(timeout=DEADLINE)
    assert states(only(engine)) == {"a": "cancelled"}
    engine.stop()


def test_a_run_with_a_row_that_is_executing(make_engine, sink):
    """A step that is recorded comes first: then the flag is on disk before the worker hears of it."""
    engine = make_engine()
    write(engine, f"  - {{id: first, set: {{n: 1}}}}\n  - {{id: told, emit: {{event: some.thing, data: {{}}}}}}\n  - {logging('return ctx.sleep(600)')}")
    engine.start()
    ring(engine)
    run = run_id(engine)
    assert cancel(engine, run)[0]["state"] in ("cancelling", "cancelled")
    ended = only(engine)
    assert ended["state"] == "cancelled" and states(ended) == {"first": "succeeded", "told": "succeeded", "a": "cancelled"}
    engine.stop()


NEVER = r"""
#include <bellwire_plugin.h>
#include <stddef.h>
static void *start(const struct bw_plugin_host *host, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    return (void *)host;
}
static void execute(void *instance, struct bw_plugin_call *call)
{
    const struct bw_plugin_host *host = instance;
    host->log(host, call, BW_PLUGIN_INFO, "begun");
}
static void cancel(void *instance, struct bw_plugin_call *call)
{
    const struct bw_plugin_host *host = instance;
    host->log(host, call, BW_PLUGIN_INFO, "told to stop");
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = "{}", .output_len = 2});
}
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"echo\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"echo/wait\"}]}",
    .init = start, .execute = execute, .cancel = cancel};
"""


def test_a_plugin_is_told(make_engine, flags):  # noqa: F811
    engine = make_engine()
    build(engine, flags, source=NEVER)
    write(engine, "  - {id: log, lua: \"ctx.log.info('here') return {}\"}\n  - {id: a, timeout: 10m, uses: echo/wait@1}")
    engine.start()
    ring(engine)
    run = run_id(engine)
    said = lambda text: any(text in str(line.get("message")) for line in engine.log)  # noqa: E731
    wait_for("the call", lambda: said("begun"))
    assert cancel(engine, run)[0]["state"] in ("cancelling", "cancelled")
    wait_for("the plugin hears of it", lambda: said("told to stop"))
    ended = only(engine)
    assert ended["state"] == "cancelled" and states(ended)["a"] == "succeeded"  # what it still has to say is recorded
    engine.stop()


# Works in a thread: beats in a tight loop for as long as it is told, or until it is to stop; then it says how often, and why.
WORKER = r"""
#include <bellwire_plugin.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
static const struct bw_plugin_host *host;
static void *work(void *arg)
{
    struct bw_plugin_call *call = arg;
    struct timespec from, now;
    char output[100];
    unsigned long beats = 0;
    double seconds = strstr(call->input, "short") ? 2.5 : 600;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        for (int i = 0; i < 1000; i++, beats++) host->heartbeat(host, call);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (host->is_cancelled(host, call) && strstr(call->input, "slow")) seconds = 0, nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    } while (!host->is_cancelled(host, call) && (double)(now.tv_sec - from.tv_sec) + (double)(now.tv_nsec - from.tv_nsec) / 1e9 < seconds);
    snprintf(output, sizeof output, "{\"beats\":%lu,\"every\":%lld,\"stopped\":%s}", beats, (long long)call->heartbeat_ms,
             host->is_cancelled(host, call) ? "true" : "false");
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = output, .output_len = strlen(output)});
    return NULL;
}
static void *start(const struct bw_plugin_host *given, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    host = given;
    return (void *)given;
}
static void execute(void *instance, struct bw_plugin_call *call)
{
    pthread_t thread;
    (void)instance;
    host->log(host, call, BW_PLUGIN_INFO, "begun");
    if (!strstr(call->input, "deaf")) pthread_create(&thread, NULL, work, call);
}
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"my\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"my/work\",\"timeout\":\"10m\"},{\"name\":\"my/long\",\"heartbeat\":\"1s\"}]}",
    .init = start, .execute = execute};
"""


def at_work(engine, flags, steps, more=""):  # noqa: F811
    build(engine, flags, source=WORKER, name="my.so")
    write(engine, "  - {id: log, lua: \"ctx.log.info('here') return {}\"}\n" + steps, more)
    engine.start()
    ring(engine)
    run = run_id(engine)
    wait_for("the call", lambda: any(line.get("message") == "begun" for line in engine.log))
    return run


@pytest.mark.parametrize("how", ["at once", "slow"])  # slow: later than a call whose time is over may be
def test_threads_of_a_plugin_see_it_and_what_they_have_done_is_undone(make_engine, flags, sink, how):  # noqa: F811
    engine = make_engine()
    run = at_work(engine, flags, f"  - {{id: a, uses: my/work@1, with: {{how: {how}}}, undo: {post('/undo', sink)}}}\n  - {{id: b, set: {{}}}}", "undo_on: [cancel]")
    assert cancel(engine, run) == [{"run": run, "state": "cancelling"}]
    ended = only(engine)
    assert ended["state"] == "cancelled" and {"log": "succeeded", "a": "succeeded", "a~undo": "succeeded"}.items() <= states(ended).items()
    assert "b" not in states(ended) and sink.seen == ["/undo"]
    assert next(step for step in ended["steps"] if step["step"] == "a")["output"]["stopped"] is True
    engine.stop()


def test_a_plugin_that_does_not_listen_is_ended(make_engine, flags, sink):  # noqa: F811
    """The run waits for it; what follows its end comes then."""
    engine = make_engine()
    run = at_work(engine, flags, "  - {id: a, uses: my/work@1, with: {how: deaf}}", f"finally: [{{id: clean, {post('/finally', sink)[1:]}]")
    hosts = set(engine.children("host"))
    cancel(engine, run)
    engine.wait_log("plugin.unresponsive")
    ended = only(engine)
    assert ended["state"] == "cancelled" and (states(ended)["a"], states(ended)["clean"]) == ("cancelled", "succeeded") and sink.seen == ["/finally"]
    wait_for("another process", lambda: len(set(engine.children("host")) & hosts) == 1 and len(engine.children("host")) == 2)
    engine.stop()


def test_a_worker_that_dies_while_its_steps_are_ending(make_engine, flags, sink):  # noqa: F811
    engine = make_engine(CONFIG + "workers: 1\n")
    run = at_work(engine, flags, "  - {id: a, uses: my/work@1, with: {how: deaf}}", f"finally: [{{id: clean, {post('/finally', sink)[1:]}]")
    assert cancel(engine, run) == [{"run": run, "state": "cancelling"}]
    os.kill(engine.children("worker")[0], signal.SIGKILL)
    ended = only(engine)
    assert ended["state"] == "cancelled" and states(ended)["clean"] == "succeeded" and sink.seen == ["/finally"]
    engine.stop()


def test_lua_code_may_say_what_it_has_done(make_engine, sink):
    engine = make_engine()
    code = f"local _, why = pcall(ctx.http, {{method = 'POST', url = '{sink.url}/hold', json = {{}}}}) return {{code = why.code, asked = ctx.cancelled()}}"
    write(engine, f"  - {logging(code)}")
    engine.start()
    ring(engine)
    run = run_id(engine)
    assert sink.held.acquire(timeout=DEADLINE)
    cancel(engine, run)
    assert sink.gone.acquire(timeout=DEADLINE)
    ended = only(engine)
    assert ended["state"] == "cancelled" and ended["steps"][0]["state"] == "succeeded"
    assert ended["steps"][0]["output"] == {"code": "step.cancelled", "asked": True}
    engine.stop()


@pytest.mark.parametrize("step", ["uses: my/work@1, heartbeat: 1s", "uses: my/long@1"])
def test_a_plugin_that_beats_is_alive(make_engine, flags, step):  # noqa: F811
    engine = make_engine()
    at_work(engine, flags, f"  - {{id: a, retry: {{attempts: 1}}, {step}, with: {{how: short}}}}")
    ended = only(engine)
    assert ended["state"] == "succeeded", ended
    output = ended["steps"][1]["output"]
    assert output["stopped"] is False and output["every"] == 1000 and output["beats"] > 1000
    engine.stop()


def test_a_plugin_that_is_silent_is_not(make_engine, flags):  # noqa: F811
    engine = make_engine()
    hosts = lambda: set(engine.children("host"))  # noqa: E731
    at_work(engine, flags, "  - {id: a, retry: {attempts: 1}, uses: my/work@1, heartbeat: 500ms, with: {how: deaf}}")
    before = hosts()
    ended = only(engine)
    assert ended["state"] == "failed" and ended["error"]["code"] == "step.heartbeat" and ended["error"]["class"] == "timeout"
    engine.wait_log("plugin.unresponsive")
    wait_for("another process", lambda: len(hosts() & before) == 1 and len(hosts()) == 2)
    engine.stop()


def test_a_request_that_is_on_its_way_is_no_beat(make_engine, sink):
    engine = make_engine()
    write(engine, f"  - {{id: a, timeout: 10m, heartbeat: 500ms, retry: {{attempts: 1}}, lua: \"ctx.heartbeat() return ctx.http{{method = 'POST', url = '{sink.url}/hold'}}\"}}")
    engine.start()
    ring(engine)
    assert only(engine)["error"]["code"] == "step.heartbeat"
    assert sink.gone.acquire(timeout=DEADLINE)
    engine.stop()


def saga(sink, more=""):
    return (f"  - {{id: a, lua: \"return {{n = 1}}\", undo: {post('/undo', sink)}}}\n  - {{id: nap, sleep: 1d}}",
            f"{more}on_failure: [{{id: wrong, {post('/on_failure', sink)[1:]}]\nfinally: [{{id: clean, {post('/finally', sink)[1:]}]")


@pytest.mark.parametrize("undone", [False, True])
def test_undo_and_finally(make_engine, sink, undone):
    engine = make_engine()
    write(engine, *saga(sink, "undo_on: [failure, cancel]\n" if undone else ""))
    engine.start()
    ring(engine)
    cancel(engine, parked(engine))
    ended = only(engine)
    assert ended["state"] == "cancelled" and ended["error"]["code"] == "run.cancelled"
    assert sink.seen == (["/undo"] if undone else []) + ["/finally"]
    engine.stop()


def test_what_follows_the_end_may_wait_and_is_not_cut_short(make_engine, sink):
    engine = make_engine()
    write(engine, "  - {id: nap, sleep: 1d}", f"finally: [{{id: wait, sleep: 6s}}, {{id: clean, {post('/finally', sink)[1:]}]")
    engine.start()
    ring(engine)
    run = parked(engine)
    cancel(engine, run)
    wait_for("its finally", lambda: "wait" in states(engine.show_run(run)) and engine.show_run(run)["state"] == "parked")
    assert cancel(engine, run) == [{"run": run, "state": "cancelling"}]
    engine.kill()
    engine.start()
    ended = only(engine)
    assert ended["state"] == "cancelled" and sink.seen == ["/finally"]
    engine.stop()


def test_an_answer_survives_a_kill(make_engine, sink):
    engine = make_engine(CONFIG + "workers: 1\n")
    write(engine, *saga(sink, "undo_on: [cancel]\n"))
    engine.start()
    for _ in range(5):
        ring(engine)
    wait_for("parked runs", lambda: len(engine.rows("runs", "--state", "parked")) == 5)
    runs = [row["run"] for row in engine.rows("runs", "--state", "parked")]
    assert [answer["state"] for answer in cancel(engine, *runs)] == ["cancelling"] * 5
    engine.kill()
    engine.start()
    for run in engine.finished_runs(5, "--workflow", "w"):
        assert run["state"] == "cancelled" and run["run"] in runs and states(run)["nap"] == "cancelled"
    assert sink.seen.count("/finally") >= 5 and sink.seen.count("/undo") >= 5 and set(sink.seen) == {"/undo", "/finally"}
    engine.stop()


def test_items_end_with_their_parent(make_engine, sink):
    engine = make_engine()
    hold = "ctx.log.info('here') return ctx.http{method = 'POST', url = '" + sink.url + "/hold', json = {}}"
    write(engine, f"""
  - id: all
    foreach: ${{{{ event.data.items }}}}
    as: it
    concurrency: 3
    steps:
      - {{id: item, timeout: 10m, with: {{n: "${{{{ it }}}}"}}, lua: "{hold}"}}
  - {{id: after, set: {{n: 1}}}}""")
    engine.start()
    ring(engine, items=list(range(10)))
    for _ in range(3):
        assert sink.held.acquire(timeout=DEADLINE)
    run = parked(engine)
    cancel(engine, run)
    for _ in range(3):
        assert sink.gone.acquire(timeout=DEADLINE)
    ended = only(engine)
    assert ended["state"] == "cancelled" and states(ended) == {"all": "cancelled"}
    items = [row for row in engine.rows("runs", "--children") if row.get("parent")]
    assert len(items) == 3 and all(row["state"] == "cancelled" for row in items)
    engine.stop()


def test_an_item_that_is_cancelled_has_failed_for_its_parent(make_engine):
    engine = make_engine()
    write(engine, "  - {id: all, foreach: \"${{ event.data.items }}\", as: it, tolerate: 1, steps: [{id: nap, if: \"${{ it == 2 }}\", sleep: 1d}]}")
    engine.start()
    ring(engine, items=[1, 2, 3])
    item = wait_for("its item", lambda: [row for row in engine.rows("runs", "--children", "--state", "parked") if row.get("parent")])[0]
    cancel(engine, item["run"])
    ended = only(engine)
    assert ended["state"] == "succeeded"
    assert engine.show_run(item["run"])["state"] == "cancelled"
    engine.stop()


def test_what_is_answered_holds_and_the_others_go_on_however_often_workers_and_engine_are_killed(make_engine):
    """Runs that execute, that are parked, that are between the two, with and without a row."""
    print("seed", SEED)
    rng = random.Random(SEED)
    engine = make_engine(CONFIG + "workers: 2\n")
    write(engine, "  - {id: busy, with: {n: \"${{ event.data.n }}\"}, lua: \"ctx.log.info('here') ctx.sleep(0.1 + input.n / 20) return {}\"}\n"
                  "  - {id: nap, sleep: 6s}\n  - {id: last, set: {n: 1}}", "finally: [{id: clean, lua: \"ctx.sleep(0.05) return {}\"}]")
    engine.start()
    known, answered, refused = set(), set(), set()
    for n in range(40):
        ring(engine, n=n)
    for _ in range(25):
        known |= {line["run"] for line in engine.log if line.get("log") == "step.log"}
        if known:
            run = rng.choice(sorted(known))
            line = cancel(engine, run, check=False)[0]
            (answered if "state" in line else refused).add(run)
            assert "state" in line or line["error"]["code"] in ("run.ended", "run.unknown"), line
        dice = rng.random()
        if dice < 0.1:
            engine.kill()
            engine.start()
        elif dice < 0.4:
            for pid in engine.children("worker")[:1]:
                os.kill(pid, signal.SIGKILL)
    runs = {run["run"]: run for run in engine.finished_runs(40, "--workflow", "w")}
    assert answered and len(runs) == 40
    for name, run in runs.items():
        assert run["state"] == ("cancelled" if name in answered else "succeeded"), (name, run, name in refused)
        assert states(run)["clean"] == "succeeded"
    engine.stop()


@pytest.mark.parametrize("point,state", [("store.before_wake", "parked"), ("store.after_wake", "cancelled")])
def test_a_crash_around_the_flag_leaves_all_or_nothing(make_engine, point, state):
    engine = make_engine()
    write(engine, "  - {id: nap, sleep: 1d}")
    engine.env["BELLWIRE_CRASH"] = point + ":1"
    engine.start()
    ring(engine)
    run = parked(engine)
    assert cancel(engine, run, check=False)[0]["error"]["code"] == "control.closed"
    assert engine.ended() == 137
    del engine.env["BELLWIRE_CRASH"]
    engine.start()
    wait_for(state, lambda: engine.show_run(run)["state"] == state)
    if state == "parked":
        cancel(engine, run)
        assert only(engine)["state"] == "cancelled"
    engine.stop()


def test_a_run_that_waits_for_its_slot(make_engine):
    engine = make_engine()
    write(engine, "  - {id: nap, sleep: 1d}", "concurrency: {limit: 1}")
    engine.start()
    for _ in range(3):
        ring(engine)
    holder = parked(engine)
    wait_for("blocked runs", lambda: len(engine.rows("runs", "--state", "blocked")) == 2)
    one, other = [row["run"] for row in engine.rows("runs", "--state", "blocked")]
    assert cancel(engine, one, "--reason", "not this one") == [{"run": one, "state": "cancelled"}]
    ended = engine.show_run(one)
    assert ended["state"] == "cancelled" and not ended["steps"] and ended["error"]["message"].endswith(": not this one")
    cancel(engine, holder)
    wait_for("the slot is handed on", lambda: engine.show_run(other)["state"] == "parked")
    engine.stop()


def test_many_are_cancelled_by_what_they_have_in_common(make_engine):
    engine = make_engine(CONFIG)
    write(engine, "  - {id: nap, sleep: 1d}", "labels: {team: red}", name="one")
    write(engine, "  - {id: nap, sleep: 1d}", name="two")
    write(engine, "  - {id: quick, set: {}}", name="three")
    engine.start()
    first = engine.request("POST", "/in/open", b'{"n":0}', {"Content-Type": "application/json"})[1]["event"]
    for number in range(24):
        engine.request("POST", "/in/open", b'{"n":1}', {"Content-Type": "application/json"})
    wait_for("all to sleep", lambda: len(engine.rows("runs", "--state", "parked", "--limit", "100")) == 50)

    def states(workflow):
        return {row["state"] for row in engine.rows("runs", "--workflow", workflow, "--limit", "100")}
    for arguments, count in ((("--workflow", "one"), 25), (("--state", "parked"), 50), (("--label", "team=red"), 25), (("--event", first), 2),
                             (("--older-than", "1d"), 0), (("--workflow", "one", "--older-than", "1ms", "--state", "active"), 0), (("--workflow", "three"), 0)):
        assert engine.rows("runs", "cancel", *arguments, "--dry-run") == [{"runs": count}], arguments
    assert states("one") == states("two") == {"parked"}
    result = engine.run("runs", "cancel", "--older-than", "1d", check=False)
    assert result.returncode == 0 and "no such runs" in result.stderr
    assert {row["state"] for row in engine.rows("runs", "cancel", "--event", first, "--reason", "first")} == {"cancelling"}
    result = engine.run("runs", "cancel", "--workflow", "one", "--state", "parked", "--reason", "too many")
    assert result.stdout.count("cancelling") == 20 and "24 of 24 are being cancelled, 0 had ended, 0 refused" in result.stdout
    wait_for("all of them to end", lambda: states("one") == {"cancelled"})
    assert sorted(row["error"]["message"] for row in engine.rows("runs", "--workflow", "one", "--limit", "100"))[0].endswith("first")
    assert len(engine.rows("runs", "--workflow", "two", "--state", "parked", "--limit", "100")) == 24
    assert len(engine.rows("runs", "--older-than", "1ms", "--workflow", "two", "--limit", "100")) == 25 and not engine.rows("runs", "--older-than", "1h")

    for arguments, message in (((), "which runs?"), (("--workflow", "one", "run_" + "0" * 26), "not both"), (("--error", "x"), "have ended"),
                               (("--state", "failed"), "nothing to cancel"), (("--state", "odd"), "is no state"), (("--workflow", ""), "is empty"),
                               (("--label", ""), "is empty"), (("--older-than", "soon"), "duration")):
        result = engine.run("runs", "cancel", *arguments, check=False)
        assert result.returncode and message in result.stderr, (arguments, result.stderr)
    assert engine.stop() == 0
    result = engine.run("runs", "cancel", "--workflow", "two", check=False)  # said once, not for each of them
    assert result.returncode == 1 and result.stderr.count("control.not_serving") == 1, result.stderr
    assert states("two") == {"parked", "cancelled"}
