"""Steps whose result is posted by somebody else: who has the link answers, once; what is forged, altered, late or wrong changes nothing."""
import json
import os
import re
import signal
import urllib.parse

import pytest
from conftest import DEADLINE, wait_for  # noqa: F401
from test_approve import Link, fingerprint, ring, store
from test_plugins import HOUR_MS, build, flags  # noqa: F401: a fixture

ACTION = """
return action{
  name = "lab/print", version = "1.0.0", doc = "Ordered from a lab, which posts what it has made.",
  inputs = {what = {type = "string", default = "photo"}}, outputs = {prints = {type = "integer", required = true}},
  run = function(ctx, input)
    ctx.log(ctx.callback_url())
    return ctx.pending{within = "2h"}
  end,
}
"""
WORKFLOW = """
name: w
on: [{event: open.ping}]
steps:
  - {id: order, uses: lab/print@1, MORE}
  - {id: after, set: {n: "${{ steps.order.prints + 1 }}"}}
"""


def serve(engine, more="retry: {attempts: 1}", workflow=WORKFLOW):
    engine.write("actions/lab/print.lua", ACTION)
    engine.write("workflows/w.yaml", workflow.replace("MORE", more))
    engine.start()
    ring(engine)
    return engine


def links(engine, count=1, step="order"):
    """Those that the step's code was given, in their order."""
    def logged():
        return [line["message"] for line in engine.log if line.get("log") == "step.log" and line.get("step") == step]
    return [Link(engine, url) for url in wait_for(f"{count} links", lambda: len(logged()) >= count and logged())]


def waiting(engine, count=1):
    def found():
        runs = [engine.show_run(row["run"]) for row in engine.rows("runs", "--state", "parked", "--children")]
        return [run for run in runs if any(step["state"] == "waiting" and (step.get("output") or {}).get("callback") for step in run["steps"])]
    return wait_for(f"{count} runs that wait", lambda: len(found()) == count and found())


def post(link, **body):
    return link.post_json(**body)


def ended(engine, count=1):
    return engine.finished_runs(count, "--workflow", "w")


def test_a_result_is_posted(engine):
    serve(engine)
    link = links(engine)[0]
    [run] = waiting(engine)
    assert re.fullmatch(r"/callback/[A-Za-z0-9_-]+", link.path) and run["state"] == "parked"
    before = fingerprint(engine)
    for method in "GET", "HEAD", "PUT", "DELETE":
        status, _, headers = link.ask(method)
        assert status == 405 and headers["allow"] == "POST"
    assert fingerprint(engine) == before
    assert post(link, output={"prints": 3}) == (200, {"status": "done"})
    [done] = ended(engine)
    assert done["state"] == "succeeded" and [step["output"] for step in done["steps"]] == [{"prints": 3}, {"n": 4}]
    assert done["steps"][0]["attempt"] == 1
    assert [(act["verb"], act["detail"]) for act in done["audit"]] == [("callback", "order: output from 127.0.0.1")]
    before = fingerprint(engine)
    for body in {"output": {"prints": 3}}, {"output": {"prints": 4}}, {"error": {"code": "late"}}, {}:
        assert post(link, **body) == (200, {"status": "done"})
    assert fingerprint(engine) == before


def test_what_is_wrong_or_forged_changes_nothing(engine):
    serve(engine)
    engine.write("workflows/ask.yaml", "name: ask\non: [{event: open.ping}]\nsteps: [{id: ask, approve: {message: m, notify: {lua: \"ctx.log(input.url) return {}\", with: {url: \"${{ approval.url }}\"}}}}]\n")
    link = links(engine)[0]
    waiting(engine)
    before = fingerprint(engine)
    wrong = [{}, {"output": {"prints": "three"}}, {"output": {}}, {"output": [1]}, {"output": None}, {"output": {"prints": 1}, "error": {"code": "x"}},
             {"output": {"prints": 1}, "more": 1}, {"error": "x"}, {"error": {}}, {"error": {"code": "Bad Code"}}, {"error": {"code": "x" * 48}},
             {"error": {"code": "x", "message": 1}}, {"error": {"code": "x", "message": "m" * 401}}, {"error": {"code": "x", "retry": "yes"}},
             {"error": {"code": "x", "after": 1}}, {"output": {"prints": 1, "deep": json.loads("[" * 40 + "]" * 40)}}]
    for body in wrong:
        status, answer = post(link, **body)
        assert status == 422 and answer["status"] == "wrong" and answer["error"]["message"], body
    for body in b"", b"[]", b"{", b"3", b"{\"output\":{},\"output\":{}}":
        assert link.ask("POST", body, {"Content-Type": "application/json"})[0] == 400, body
    assert link.ask("POST", "{}", {"Content-Type": "text/plain"})[0] == 415
    assert link.ask("POST", b"{\"output\":{\"prints\":1,\"x\":\"" + b"x" * (1 << 20) + b"\"}}", {"Content-Type": "application/json"})[0] == 413
    token = link.path.rsplit("/", 1)[1]
    altered = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:] for i in range(len(token))] + [token[:-4], token + "AAAA", "x", ""]
    body = json.dumps({"output": {"prints": 1}})
    for forged in altered:
        assert link.ask("POST", body, {"Content-Type": "application/json"}, path="/callback/" + forged)[0] == 404, forged
    assert link.ask("POST", body, {"Content-Type": "application/json"}, path="/approve/" + token)[0] == 404  # no link of that kind
    assert fingerprint(engine) == before
    assert post(link, output={"prints": 1})[0] == 200
    assert ended(engine)[0]["state"] == "succeeded"


def test_a_failure_is_posted(engine):
    serve(engine, "retry: {attempts: 5}")
    waiting(engine)
    assert post(links(engine)[0], error={"code": "lab.no_paper", "message": "there is no paper"})[0] == 200
    [run] = ended(engine)
    assert run["state"] == "failed" and run["error"]["code"] == "lab.no_paper" and run["error"]["message"] == "there is no paper"
    assert run["steps"][0]["attempt"] == 1


def test_a_failure_that_may_pass_is_tried_again_and_each_link_answers_once(engine):
    serve(engine, "retry: {attempts: 3, delay: 1s, jitter: 0}")
    waiting(engine)
    busy = {"error": {"code": "lab.busy", "retry": True}}
    first = links(engine)[0]
    assert post(first, **busy)[0] == 200
    second = links(engine, 2)[1]
    assert second.path != first.path
    waiting(engine)
    before = fingerprint(engine)
    assert post(first, **busy) == post(first, output={"prints": 9}) == (200, {"status": "done"})
    assert fingerprint(engine) == before
    assert post(second, output={"prints": 2})[0] == 200
    [run] = ended(engine)
    assert run["state"] == "succeeded" and run["steps"][0]["output"] == {"prints": 2} and run["steps"][0]["attempt"] == 2
    before = fingerprint(engine)
    assert post(first, **busy)[0] == post(second, **busy)[0] == 200
    assert fingerprint(engine) == before


def test_the_link_of_an_earlier_attempt_still_counts(engine):
    """The first attempt has ordered, and has not heard that it had."""
    serve(engine, workflow="""
name: w
on: [{event: open.ping}]
steps:
  - {id: order, retry: {delay: 0s}, lua: "ctx.log(ctx.callback_url()) if ctx.attempt == 1 then return ctx.retry{code = 'no_answer'} end return ctx.pending()"}
  - {id: after, set: {}}
""")
    first, second = links(engine, 2)
    waiting(engine)
    assert post(first, output={"any": ["thing"]})[0] == 200
    [run] = ended(engine)
    assert run["steps"][0]["output"] == {"any": ["thing"]}
    assert post(second, output={})[0] == 410


def test_one_that_comes_before_the_code_has_said_so_is_told_to_come_again(engine):
    serve(engine, workflow="""
name: w
on: [{event: open.ping}]
steps: [{id: order, timeout: 10m, lua: "ctx.log(ctx.callback_url()) ctx.sleep(3) return ctx.pending()"}]
""", more="")
    link = links(engine)[0]
    status, body, headers = link.ask("POST", json.dumps({"output": {}}), {"Content-Type": "application/json"})
    assert (status, headers["retry-after"], json.loads(body)) == (503, "2", {"status": "later"})
    wait_for("it to be taken", lambda: post(link, output={"n": 1}) == (200, {"status": "done"}))
    assert ended(engine)[0]["steps"][0]["output"] == {"n": 1}


def test_nobody_answers_in_time(engine):
    serve(engine)
    link = links(engine)[0]
    [run] = waiting(engine)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * HOUR_MS + 1000)
    engine.start()
    [done] = ended(engine)
    assert done["run"] == run["run"] and done["error"]["code"] == "callback.timeout" and done["error"]["class"] == "timeout"
    assert post(link, output={"prints": 1}) == (410, {"status": "gone"})


def test_max_elapsed_ends_it_too_and_the_link_ends_with_the_run(engine):
    serve(engine, "retry: {attempts: 1}, max_elapsed: 1h")
    link = links(engine)[0]
    waiting(engine)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(HOUR_MS + 1000)
    engine.start()
    assert ended(engine)[0]["error"]["code"] == "callback.timeout"
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(31 * 24 * HOUR_MS)
    engine.start()
    assert post(link, output={"prints": 1}) == (410, {"status": "gone"})


def test_at_most_once_without_an_answer_is_unknown(engine):
    serve(engine, "guarantee: at_most_once")
    waiting(engine)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * HOUR_MS + 1000)
    engine.start()
    assert ended(engine)[0]["steps"][0]["state"] == "unknown"


def test_at_most_once_with_an_answer_is_not(engine):
    serve(engine, "guarantee: at_most_once")
    waiting(engine)
    assert post(links(engine)[0], output={"prints": 1})[0] == 200
    assert ended(engine)[0]["state"] == "succeeded"


def test_a_run_that_is_resumed_waits_anew(engine):
    serve(engine)
    waiting(engine)
    first = links(engine)[0]
    post(first, error={"code": "lab.fire"})
    [run] = ended(engine)
    engine.run("runs", "resume", run["run"])
    second = links(engine, 2)[1]
    waiting(engine)
    assert second.path != first.path
    assert post(first, output={"prints": 5})[0] == 200  # told what it was told before
    assert len(waiting(engine)) == 1
    assert post(second, output={"prints": 6})[0] == 200
    wait_for("its end", lambda: engine.show_run(run["run"])["state"] == "succeeded")
    assert engine.show_run(run["run"])["steps"][0]["output"] == {"prints": 6}


def test_each_time_of_a_repeat_has_its_own_link(engine):
    serve(engine, "repeat: {until: \"${{ result.prints >= 10 }}\", every: 10ms}")
    waiting(engine)
    first = links(engine)[0]
    assert post(first, output={"prints": 1})[0] == 200
    second = links(engine, 2)[1]
    waiting(engine)
    before = fingerprint(engine)
    assert post(first, output={"prints": 10})[0] == 200
    assert fingerprint(engine) == before
    assert post(second, output={"prints": 10})[0] == 200
    [run] = ended(engine)
    assert run["state"] == "succeeded" and run["steps"][0]["output"] == {"prints": 10}


def test_a_run_that_is_cancelled_waits_no_more(engine):
    serve(engine)
    link = links(engine)[0]
    [run] = waiting(engine)
    engine.run("runs", "cancel", run["run"])
    assert ended(engine)[0]["state"] == "cancelled"
    before = fingerprint(engine)
    assert post(link, output={"prints": 1}) == (410, {"status": "gone"})
    assert fingerprint(engine) == before


def test_items_wait_each_for_its_own(engine):
    serve(engine, workflow="""
name: w
on: [{event: open.ping}]
steps:
  - {id: all, foreach: [1, 2, 3], as: it, steps: [{id: order, uses: lab/print@1}]}
outputs: {prints: "${{ sum(map(steps.all.items, 'prints')) }}"}
""")
    waiting(engine, 3)
    for number, link in enumerate(links(engine, 3)):
        assert post(link, output={"prints": 10 ** number})[0] == 200
    assert ended(engine)[0]["output"] == {"prints": 111}


def test_a_run_with_other_work_takes_the_answer_when_that_is_done(engine):
    serve(engine, workflow="""
name: w
on: [{event: open.ping}]
steps:
  - parallel: [{id: order, uses: lab/print@1}, {id: beside, lua: "ctx.sleep(1) return {}"}]
  - {id: after, set: {n: "${{ steps.order.prints }}"}}
""")
    link = links(engine)[0]
    wait_for("the answer to be taken", lambda: post(link, output={"prints": 8})[0] == 200)
    assert ended(engine)[0]["steps"][-1]["output"] == {"n": 8}


# ---- crashes ----

def test_what_was_told_is_there_after_a_kill(engine):
    serve(engine)
    for _ in range(4):
        ring(engine)
    waiting(engine, 5)
    all_links = links(engine, 5)
    engine.kill()  # while they wait
    with pytest.raises(OSError):
        post(all_links[0], output={"prints": 1})
    engine.start()
    assert len(waiting(engine, 5)) == 5
    for number, link in enumerate(all_links):
        assert post(link, output={"prints": number})[0] == 200
    engine.kill()  # behind the answer
    engine.start()
    assert sorted(run["steps"][0]["output"]["prints"] for run in ended(engine, 5)) == [0, 1, 2, 3, 4]
    assert len(store(engine, "SELECT * FROM votes")) == 5


@pytest.mark.parametrize("point", ["store.before_vote:1", "store.after_vote:1"])
def test_a_crash_at_the_answer_loses_none_that_was_told(engine, point):
    serve(engine)
    link = links(engine)[0]
    waiting(engine)
    engine.stop()
    engine.env["BELLWIRE_CRASH"] = point
    engine.start()
    with pytest.raises(OSError):
        link.ask("POST", json.dumps({"output": {"prints": 1}}), {"Content-Type": "application/json"})
    assert engine.ended() == 137
    engine.env.pop("BELLWIRE_CRASH")
    engine.start()
    assert post(link, output={"prints": 2})[0] == 200
    [run] = ended(engine)
    assert run["state"] == "succeeded"
    assert run["steps"][0]["output"] == {"prints": 2 if "before" in point else 1}


def test_a_worker_that_dies_with_the_code_runs_it_again(engine):
    """The link that it had given away is as good as the new one: it answers when the step waits."""
    serve(engine, workflow="""
name: w
on: [{event: open.ping}]
steps: [{id: order, timeout: 10m, lua: "ctx.log(ctx.callback_url()) ctx.sleep(3) return ctx.pending()"}]
""", more="")
    first = links(engine)[0]
    for pid in engine.children("worker"):
        os.kill(pid, signal.SIGKILL)
    links(engine, 2)
    assert post(first, output={}) == (503, {"status": "later"})
    waiting(engine)
    assert post(first, output={"n": 1})[0] == 200
    assert ended(engine)[0]["steps"][0]["output"] == {"n": 1}


# ---- plugins, tests ----

PLUGIN = r"""
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
    host->log(host, call, BW_PLUGIN_INFO, call->callback_url ? call->callback_url : "none");
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_PENDING, .within_ms = 7200000});
}
BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"press\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"press/run\",\"retry\":{\"attempts\":1},\"outputs\":{\"prints\":{\"type\":\"integer\",\"required\":true}}}]}",
    .init = start, .execute = execute};
"""


def test_a_plugin_may_leave_it_to_others(engine, flags):  # noqa: F811
    build(engine, flags, source=PLUGIN, name="press.so")
    serve(engine, workflow="name: w\non: [{event: open.ping}]\nsteps: [{id: order, uses: press/run@1}]\n")
    waiting(engine)
    url = next(line["message"] for line in engine.log if line.get("log") == "plugin.log" and "/callback/" in line["message"])
    assert urllib.parse.urlsplit(url).netloc
    link = Link(engine, url)
    assert post(link, output={"prints": "many"})[0] == 422
    engine.kill()
    engine.start()
    assert post(link, output={"prints": 1})[0] == 200
    assert ended(engine)[0]["steps"][0]["output"] == {"prints": 1}


def test_the_time_that_a_plugin_gives(engine, flags):  # noqa: F811
    build(engine, flags, source=PLUGIN, name="press.so")
    serve(engine, workflow="name: w\non: [{event: open.ping}]\nsteps: [{id: order, uses: press/run@1}]\n")
    waiting(engine)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * HOUR_MS + 1000)
    engine.start()
    assert ended(engine)[0]["error"]["code"] == "callback.timeout"


def test_in_a_test_it_is_mocked(engine):
    engine.write("actions/lab/print.lua", ACTION)
    engine.write("workflows/w.yaml", WORKFLOW.replace("MORE", "retry: {attempts: 1}"))
    engine.write("workflows/w.test.yaml", """
event: {name: open.ping, data: {}}
tests:
  - name: mocked
    mocks: {order: {output: {prints: 4}}}
    expect: {steps: {after: {output: {n: 5}}}}
  - name: not mocked
    expect: {error: {code: test.pending}}
""")
    result = engine.run("test", check=False)
    assert result.returncode == 0 and "2 passed" in result.stdout, result.stdout + result.stderr
