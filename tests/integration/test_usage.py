"""Metered calls: what they took is recorded however the attempt ends, and a budget stops them before they are made."""
import json
import sqlite3
import textwrap

import pytest

from conftest import CONFIG, ROOT, wait_for
from fakes.server import Server
from test_config_values import hang_up
from test_lua_hostile import IS_SANITIZED, rss_kib

CALL = 'local call = ctx.usage.begin{provider = "main", model = "m-1", input_tokens = %d, output_tokens = 50, cost = %s}'


def workflow(engine, code, more="", name="w"):
    code = textwrap.indent(textwrap.dedent(code), "      ")
    engine.write(f"workflows/{name}.yaml", f"name: {name}\non: [{{event: open.ping}}]\nsteps:\n  - id: s\n    retry: {{attempts: 2, delay: 1ms}}\n    lua: |\n{code}\n{more}")


def ring(engine):
    assert engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[0] == 202


def ran(engine, count=1):
    return engine.finished_runs(count)[0]


def test_what_calls_took_is_in_the_run_and_in_the_sums_also_of_an_attempt_that_failed(make_engine):
    engine = make_engine()
    workflow(engine, CALL % (100, 7000) + """
        ctx.usage.finish(call, {input_tokens = 90, cached_tokens = 40, output_tokens = 10, cost = 1234567, first_ms = 5, took_ms = 20})
        if ctx.attempt == 1 then return ctx.retry{code = "busy"} end
        local other = ctx.usage.begin{provider = "local", model = "free-8b"}
        ctx.usage.finish(other, {input_tokens = 1, took_ms = 3})
        return {}
    """)
    engine.start()
    ring(engine)
    run = ran(engine)
    assert run["state"] == "succeeded", run
    first = {"step": "s", "attempt": 1, "ended": True, "provider": "main", "model": "m-1", "input_tokens": 90, "output_tokens": 10, "cached_tokens": 40,
             "cost": 1.234567, "took_ms": 20, "first_ms": 5}
    calls = run["usage"].pop("of")
    assert [{name: value for name, value in call.items() if name != "at_ms"} for call in calls] == [
        first, {**first, "attempt": 2},
        {"step": "s", "attempt": 2, "ended": True, "provider": "local", "model": "free-8b", "input_tokens": 1, "output_tokens": 0, "cached_tokens": 0,
         "cost": None, "took_ms": 3}]
    total = {"calls": 3, "open": 0, "unpriced": 1, "input_tokens": 181, "output_tokens": 20, "cached_tokens": 80, "cost": 2.469134, "took_ms": 43}
    assert run["usage"] == total
    text = engine.run("runs", "show", run["run"]).stdout
    assert "usage    3 calls, 181 tokens in (80 cached), 20 out, 2.469134 and 1 call of unknown price" in text and "main/m-1" in text, text
    [by_workflow] = engine.rows("usage", "--by", "workflow")
    assert by_workflow == {"workflow": "w", **total}
    assert [(row["provider"], row["calls"]) for row in engine.rows("usage", "--by", "provider,model")] == [("local", 1), ("main", 2)]
    [day] = {row["day"] for row in engine.rows("usage")}
    assert len(day) == 10 and "m-1" in engine.run("usage").stdout
    assert engine.rows("usage", "--workflow", "other") == []
    assert engine.run("usage", "--by", "month", check=False).returncode == 2
    assert engine.stop() == 0


BUDGETS = [
    ("day: {calls: 2}", "the budget of the day is 2 calls, and 2 calls are used"),
    ("run: {tokens: 350}", "the budget of the run is 350 tokens, 300 tokens are used, and this call may take 150 tokens"),
    ("workflows: {w: {day: {money: 0.5}}}", "the budget of the workflow's day is 0.500000, 0.400000 are used, and this call may take 0.200000"),
    ("run: {seconds: 3}", "the budget of the run is 3 s, and 4 s are used"),
]


@pytest.mark.parametrize("budget,message", BUDGETS)
def test_a_budget_stops_the_call_that_it_would_not_bear(make_engine, budget, message):
    engine = make_engine(CONFIG + f"budgets: {{{budget}}}\n")
    workflow(engine, "for i = 1, 9 do " + CALL % (100, 200000) + """
          ctx.usage.finish(call, {input_tokens = 100, output_tokens = 50, cost = 200000, took_ms = 2000})
        end
    """)
    engine.start()
    ring(engine)
    run = ran(engine)
    assert run["error"]["code"] == "budget.spent" and run["error"]["class"] == "permanent" and run["error"]["message"] == message, run["error"]
    assert run["usage"]["calls"] == 2 and run["steps"][0]["attempt"] == 1
    assert engine.stop() == 0


def test_a_budget_is_read_again_by_a_reload(make_engine):
    engine = make_engine(CONFIG + "budgets: {day: {calls: 1}}\n")
    workflow(engine, CALL % (100, 200000) + """
          ctx.usage.finish(call, {input_tokens = 100, output_tokens = 50, cost = 200000, took_ms = 2000})
    """)
    engine.start()
    ring(engine)
    assert ran(engine)["state"] == "succeeded"
    ring(engine)
    assert engine.finished_runs(2)[0]["error"]["code"] == "budget.spent"
    for budgets, calls in (("{day: {calls: 3}}", 2), ("{day: {money: 0.65}}", 3)):
        hang_up(engine, f"budgets: {budgets}\n")
        wait_for("the reload", lambda: len([line for line in engine.log if line["log"] == "sources.activated"]) == calls - 1)
        ring(engine)
        assert engine.finished_runs(calls + 1)[0]["state"] == "succeeded"
    ring(engine)
    assert engine.finished_runs(5)[0]["error"]["code"] == "budget.spent"
    hang_up(engine, "budgets: {day: {cals: 3}}\n")
    engine.wait_log("catalog.refused")
    hang_up(engine, "budgets: {workflows: {nobody: {day: {calls: 1}}}}\n")
    assert engine.wait_log("catalog.error", code="budget.workflow")["line"]
    ring(engine)
    assert engine.finished_runs(6)[0]["state"] == "succeeded"
    assert engine.stop() == 0


def test_a_budget_of_money_wants_a_price_and_what_was_estimated_is_given_back(make_engine):
    engine = make_engine(CONFIG + "budgets: {day: {money: 1}}\n")
    workflow(engine, """
        local ok, why = pcall(ctx.usage.begin, {provider = "p", model = "unheard-of"})
        local codes = {why.code}
        for i = 1, 5 do
          local call = ctx.usage.begin{provider = "p", model = "m", cost = 900000}
          ctx.usage.finish(call, {cost = 10})
        end
        ok, why = pcall(ctx.usage.begin, {provider = "p", model = "m", cost = 999951})
        codes[2] = why.code
        ctx.usage.finish(ctx.usage.begin{provider = "p", model = "m", cost = 999950}, {cost = 0})
        ok, why = pcall(ctx.usage.begin, {provider = "p", model = "m", cost = 0, budget = {calls = 6}})
        codes[3] = why.code
        return {codes = codes}
    """)
    engine.start()
    ring(engine)
    assert ran(engine)["steps"][0]["output"] == {"codes": ["budget.price", "budget.spent", "budget.spent"]}
    assert engine.stop() == 0


def test_runs_that_a_run_has_started_spend_its_budget_and_several_workers_share_it(make_engine):
    engine = make_engine(CONFIG + "workers: 3\nbudgets: {run: {calls: 5}, workflows: {fan: {run: {calls: 50}}}}\n")
    workflow(engine, "return {}", name="other")
    engine.write("workflows/fan.yaml", """
name: fan
on: [{event: open.ping}]
steps:
  - id: fan
    foreach: ${{ {1, 2, 3, 4, 5, 6, 7, 8} }}
    concurrency: 8
    tolerate: 8
    steps:
      - {id: s, lua: 'return {id = ctx.usage.begin{provider = "p", model = "m", cost = 1}}'}
""")
    engine.start()
    ring(engine)
    wait_for("both", lambda: len(engine.finished_runs(2)) == 2)
    [run] = [run for run in engine.finished_runs(2) if run["workflow"] == "fan"]
    assert run["steps"][0]["children"] == {"total": 8, "started": 8, "succeeded": 5, "failed": 3}, run
    assert (run["usage"]["calls"], run["usage"]["open"]) == (5, 5)
    assert engine.stop() == 0


@pytest.mark.parametrize("who", ["worker", "engine"])
def test_a_call_whose_process_died_counts_with_what_it_might_have_taken(make_engine, who):
    with Server() as server:
        server.on("POST", "/pay", lambda _: {})
        engine = make_engine(CONFIG + "budgets: {day: {tokens: 400}}\n")
        workflow(engine, CALL % (200, 7) + f"""
            ctx.http{{url = "{server.url}/pay", method = "POST"}}
            ctx.usage.finish(call, {{input_tokens = 200, output_tokens = 50, cost = 7}})
        """)
        server.stall()
        engine.start()
        ring(engine)
        wait_for("the call", lambda: server.at("/pay"))
        engine.strike(who)
        run = ran(engine)
        assert run["error"]["code"] == "budget.spent" and "250 tokens are used" in run["error"]["message"], run["error"]
        assert (run["usage"]["calls"], run["usage"]["open"], run["usage"]["output_tokens"]) == (1, 1, 50) and len(server.at("/pay")) == 1
        text = engine.run("runs", "show", run["run"]).stdout
        assert "at most 200 tokens in, 50 out, 0.000007: it has not said what it took" in text, text
        server.release()
        assert engine.stop() == 0


@pytest.mark.parametrize("who", ["worker", "engine"])
def test_a_call_whose_answer_is_lost_with_its_process_is_not_taken_for_the_one_that_served(make_engine, who):
    """It has said what it took, and that is on disk, when its process dies before the step has ended: the call is made again."""
    with Server() as server:
        server.on("POST", "/behind", lambda _: {})
        engine = make_engine()
        workflow(engine, CALL % (200, 7) + f"""
            ctx.usage.finish(call, {{input_tokens = 20, output_tokens = 5, cost = 7}})
            ctx.http{{url = "{server.url}/behind", method = "POST"}}
        """)
        server.stall()
        engine.start()
        ring(engine)
        wait_for("the request behind the call", lambda: server.at("/behind"))
        database = engine.folder / "data" / "bellwire.db"

        def heard():
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reader:
                return reader.execute("SELECT count(*) FROM usage WHERE input = 20").fetchone()[0]
        wait_for("its end to be on disk", heard)
        engine.strike(who)
        server.release()
        run = ran(engine)
        assert run["state"] == "succeeded" and (run["usage"]["calls"], run["usage"]["open"], run["usage"]["input_tokens"]) == (2, 1, 40), run["usage"]
        assert sorted(call["ended"] for call in run["usage"]["of"]) == [False, True]
        text = engine.run("runs", "show", run["run"]).stdout
        assert text.count("what came of it is not recorded") == 1 and "1 of which no answer is recorded" in text, text
        assert engine.stop() == 0


def test_a_step_that_is_not_wanted_any_more_makes_no_call_and_what_was_paid_is_told(make_engine):
    engine = make_engine()
    workflow(engine, CALL % (1, 1) + """
        ctx.log.info("here")
        while not ctx.cancelled() do ctx.sleep(0) end
    """.replace("ctx.sleep(0)", "local x = 1") + """
        ctx.usage.finish(call, {input_tokens = 5})
        ctx.usage.begin{provider = "p", model = "m"}
    """)
    engine.start()
    ring(engine)
    engine.run("runs", "cancel", engine.wait_log("step.log")["run"])
    run = ran(engine)
    assert run["state"] == "cancelled" and (run["usage"]["calls"], run["usage"]["input_tokens"], run["usage"]["open"]) == (1, 5, 0), run
    assert engine.stop() == 0


@pytest.mark.parametrize("code,message", [
    ("ctx.usage.begin{provider = 'p'}", "ctx.usage.begin: model must be a text of 1 to 128 bytes"),
    ("ctx.usage.begin{provider = 'p', model = 'm', input_tokens = -1}", "input_tokens must be a number of at least 0"),
    ("ctx.usage.begin{provider = 'p', model = 'm', cost = 0/0}", "cost must be a number of at least 0"),
    ("ctx.usage.begin{provider = 'p', model = 'm', budget = {mony = 1}}", "did you mean 'money'?"),
    ("ctx.usage.finish(1, {inputs = 1})", "unknown field 'inputs'"),
    ("ctx.usage.finish('x', {})", "number expected"),
])
def test_wrong_use_says_what_is_right(make_engine, code, message):
    engine = make_engine()
    engine.write("workflows/w.yaml", f"name: w\non: [{{manual: true}}]\nsteps: [{{id: s, lua: \"{code}\"}}]\n")
    lines = [json.loads(line) for line in engine.run("run", "w", "--json", check=False).stdout.splitlines()]
    [step] = [line for line in lines if line.get("what") == "step_finished"]
    assert step["error"]["code"] == "lua.error" and message in step["error"]["message"], step


def test_budgets_are_checked_where_they_are_written(make_engine):
    for text, place, code, part in [
        ("budgets: {day: {money: -1}}", (1, 24), "config.range", "budgets.day.money must be a number from 0"),
        ("budgets: {day: {calls: 1.5}}", (1, 24), "config.range", "budgets.day.calls must be a whole number"),
        ("budgets: {dya: {calls: 1}}", (1, 11), "config.unknown_key", "did you mean 'day'?"),
        ("budgets: {run: {}}", (1, 16), "budget.empty", "budgets.run limits nothing"),
        ("budgets: {workflows: {nobody: {day: {calls: 1}}}}", (1, 23), "budget.workflow", "there is no workflow 'nobody'"),
    ]:
        engine = make_engine(text + CONFIG)
        workflow(engine, "return {}", name="w")
        [error] = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
        assert error["code"] == code and part in error["message"] + error.get("hint", "") and (error["line"], error["column"]) == place, error


def test_a_run_takes_its_calls_with_it_and_the_sums_stay(make_engine):
    engine = make_engine(CONFIG + "retention: {succeeded: 1h}\n")
    workflow(engine, CALL % (1, 1) + "ctx.usage.finish(call, {input_tokens = 1})")
    engine.start()
    ring(engine)
    ran(engine)
    assert engine.stop() == 0
    connection = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    connection.execute("UPDATE runs SET ended_ms = 1, started_ms = 1")
    connection.commit()
    connection.close()
    engine.start()
    wait_for("the run to go", lambda: not engine.rows("runs"))
    connection = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    assert connection.execute("SELECT count(*) FROM usage").fetchone() == (0,)
    connection.close()
    assert [row["calls"] for row in engine.rows("usage")] == [1]
    assert engine.stop() == 0


def test_of_a_call_that_was_not_begun_the_engine_is_not_told(make_engine):
    """Each would be a write of the engine's, and a message that waits in the worker until then: a loop of them filled the worker's memory."""
    engine = make_engine()
    workflow(engine, CALL % (1, 1) + """
        for _ = 1, 200000 do ctx.usage.finish(call, {cost = 5}) end
        return {}
    """)
    engine.start()
    [worker] = engine.children("worker")
    before = rss_kib(worker, "VmRSS")
    ring(engine)
    run = ran(engine)
    assert run["state"] == "succeeded" and run["usage"]["calls"] == 1 and run["usage"]["cost"] == 0.000005, run
    assert IS_SANITIZED or rss_kib(worker, "VmHWM") - before < 4 << 10
