"""ctx.cache: what a plugin in Lua keeps between attempts, in memory and for a time. What was made is counted by a server."""
import json
import signal

import pytest
from conftest import CONFIG, wait_for
from fakes.server import Server
from test_reload import nth

FETCH = """
return action{name = "NAME/fetch", version = "1.0.0", effect = "none", run = function(ctx, input)
  local made = false
  local ok, value = pcall(ctx.cache.fetch, input.key or "k", function()
    made = true
    if input.url then
      local answer = ctx.http{url = input.url}
      if answer.status ~= 200 then error("not made") end
    end
    return input.value or "v", input.life or 60
  end)
  return {ok = ok, value = ok and value or tostring(value), made = made}
end}
"""
DROP = 'return action{name = "NAME/drop", version = "1.0.0", run = function(ctx, input) ctx.cache.drop(input.key or "k", input.value) end}'


def write_plugin(engine, name):
    engine.write(f"plugins/{name}/plugin.yaml", f"name: {name}\nversion: 1.0.0\nconfig: {{tone: {{type: string, default: low}}}}\n")
    engine.write(f"plugins/{name}/fetch.lua", FETCH.replace("NAME", name))
    engine.write(f"plugins/{name}/drop.lua", DROP.replace("NAME", name))


@pytest.fixture
def engine(make_engine):
    engine = make_engine()
    for name in ("one", "two"):
        write_plugin(engine, name)
    return engine


def outputs(engine, *steps):
    """(action, inputs) of one run → their outputs."""
    written = [{"id": f"s{at}", "uses": uses + "@1", "with": given} for at, (uses, given) in enumerate(steps)]
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": written}))
    rows = [json.loads(line) for line in engine.run("run", "w", "--json").stdout.splitlines()]
    return [row["output"] for row in rows if row.get("what") == "step_finished"]


def made(found):
    return [(one.get("made"), one.get("value")) for one in found]


def test_a_value_is_made_once_and_is_of_one_plugin_and_name(engine):
    found = outputs(engine, ("one/fetch", {"value": "a"}), ("one/fetch", {"value": "b"}), ("two/fetch", {"value": "c"}), ("one/fetch", {"key": "other", "value": "d"}), ("one/fetch", {}))
    assert made(found) == [(True, "a"), (False, "a"), (True, "c"), (True, "d"), (False, "a")]


def test_a_value_whose_life_is_over_is_made_again(engine):
    assert made(outputs(engine, ("one/fetch", {"value": "a", "life": 0}), ("one/fetch", {"value": "b", "life": 0}))) == [(True, "a"), (True, "b")]


def test_only_the_value_that_is_meant_is_dropped(engine):
    drop = ("one/drop", {"value": "a"})
    found = outputs(engine, ("one/fetch", {"value": "a"}), drop, ("one/fetch", {"value": "b"}), drop, ("one/fetch", {"value": "c"}))
    assert made([found[0], found[2], found[4]]) == [(True, "a"), (True, "b"), (False, "b")]


def test_it_has_bounds(engine):
    many = [("one/fetch", {"key": f"k{number}", "value": "v"}) for number in range(65)]
    found = outputs(engine, *many, ("one/fetch", {"key": "k64"}), ("one/fetch", {"key": "k1"}), ("one/fetch", {"key": "k0"}))
    assert [one["made"] for one in found] == [True] * 65 + [False, False, True]
    large, long = outputs(engine, ("one/fetch", {"value": "x" * 8193}), ("one/fetch", {"key": "k" * 201}))
    assert not large["ok"] and "8192 bytes" in large["value"] and not long["ok"] and "200 bytes" in long["value"], (large, long)
    wrong, again = outputs(engine, ("one/fetch", {"life": -1}), ("one/fetch", {"value": "good"}))
    assert not wrong["ok"] and "how many seconds" in wrong["value"] and (again["made"], again["value"]) == (True, "good")


def test_code_that_belongs_to_no_plugin_has_none(engine):
    engine.write("actions/own.lua", 'return action{name = "a/own", version = "1.0.0", run = function(ctx) return {why = select(2, pcall(ctx.cache.fetch, "k", function() return "v", 1 end))} end}')
    [own] = outputs(engine, ("a/own", {}))
    assert "only the actions of a plugin" in own["why"]


# ---- while somebody makes it ----

@pytest.fixture
def server():
    with Server() as made:
        made.answers = []
        made.on("GET", "/make", lambda request: made.answers.pop(0) if made.answers else {})
        made.on("GET", "/last", lambda request: {})
        yield made


def begin(engine, server, count, timeout="60s"):
    """So many runs that want the same value, the first of which is about to make it."""
    server.stall(path="/make")
    step = {"id": "s", "uses": "one/fetch@1", "with": {"url": server.url + "/make", "value": "${{ event.id }}"}, "timeout": timeout, "retry": {"attempts": 1}}
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [step]}))
    engine.write("workflows/last.yaml", json.dumps({"name": "last", "on": [{"event": "github.push"}], "steps": [{"id": "s", "lua": f"ctx.http{{url = '{server.url}/last'}}"}]}))
    engine.start()
    for _ in range(count):
        assert engine.request("POST", "/in/open", b"{}")[0] == 202
    assert engine.push()[0] == 202
    wait_for("the run behind all others", lambda: server.at("/last") and server.at("/make"))


def ends(engine, count):
    runs = engine.finished_runs(count, "--workflow", "w")
    return [run["steps"][0] for run in runs]


def test_many_wait_for_the_one_that_makes_it(engine, server):
    begin(engine, server, 8)
    server.release()
    found = [step["output"] for step in ends(engine, 8)]
    assert len({one["value"] for one in found}) == 1 and sum(one["made"] for one in found) == 1 and len(server.at("/make")) == 1


def test_when_it_fails_the_next_one_tries(engine, server):
    server.answers.append((500, {}))
    begin(engine, server, 4)
    server.release()
    found = [step["output"] for step in ends(engine, 4)]
    assert sorted((one["ok"], one["made"]) for one in found) == [(False, True), (True, False), (True, False), (True, True)]
    assert len({one["value"] for one in found if one["ok"]}) == 1 and len(server.at("/make")) == 2


def test_one_whose_time_is_over_keeps_nobody_waiting(engine, server):
    """The first one gets no answer, and the other one, which has more time, takes over."""
    patient = {"id": "s", "uses": "one/fetch@1", "with": {"url": server.url + "/make"}}
    engine.write("workflows/patient.yaml", json.dumps({"name": "patient", "on": [{"event": "forms.lead"}], "steps": [patient]}))
    engine.write("bellwire.yaml", CONFIG + "  forms: {path: /in/forms, verify: none, event: lead}\n")
    begin(engine, server, 1, timeout="1s")
    assert engine.request("POST", "/in/forms", b"{}")[0] == 202
    assert ends(engine, 1)[0]["error"]["code"] == "step.timeout"
    [run] = engine.finished_runs(1, "--workflow", "patient")
    assert run["steps"][0]["output"]["made"] is True and len(server.at("/make")) == 2


@pytest.mark.parametrize("plugin", ["one", "two"])
def test_another_configuration_has_nothing_of_the_one_before(engine, plugin):
    """Also when it is another plugin that is told something else: the secrets behind it may be others."""
    step = {"id": "s", "uses": "one/fetch@1", "with": {"value": "${{ event.id }}"}}
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [step]}))
    engine.start()

    def value(count):
        assert engine.request("POST", "/in/open", b"{}")[0] == 202
        return engine.finished_runs(count)[0]["steps"][0]["output"]["value"]
    first = value(1)
    assert value(2) == first
    engine.write("bellwire.yaml", CONFIG + f"configure: {{{plugin}: {{tone: high}}}}\n")
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("config.changed")
    assert value(3) != first


def test_values_that_are_made_inside_of_each_other_are_not_made_without_end(engine):
    """Behind an error that was caught Lua counts no levels of C any more, and leaving ten thousands of them took longer than any timeout."""
    engine.write("plugins/one/nest.lua", """
return action{name = "one/nest", version = "1.0.0", effect = "none", run = function(ctx)
  pcall(error)
  local function made(n) return ctx.cache.fetch("k" .. n, function() pcall(error) return made(n + 1), 1 end) end
  local ok, why = pcall(made, 1)
  return {ok = ok, why = why, again = ctx.cache.fetch("k101", function() return "v", 1 end)}
end}
""")
    [found] = outputs(engine, ("one/nest", {}))
    assert not found["ok"] and "nested more than 100 deep" in found["why"] and found["again"] == "v", found
