"""The table of limits in engine/workflow/README.md, walked row by row: what is as large as the row says passes, what is larger by one ends with the
error of the row, at its place. A row without a case fails, and so does a case without a row."""
import http.server
import json
import re
import socket
import threading

import pytest

from conftest import CONFIG, DEADLINE, ROOT, wait_for

README = ROOT / "engine" / "workflow" / "README.md"
HEAD = "name: w\non: [{manual: true}, {event: open.ping}]\n"


def table():
    section = README.read_text().partition("## Limits of size\n")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines[2:]}


def number(text):
    match = re.match(r"(\d+)(?: (KiB|MiB))?", text)
    return int(match[1]) * {"KiB": 1 << 10, "MiB": 1 << 20, None: 1}[match[2]]


def steps(*lines):
    return HEAD + "steps:\n" + "\n".join(f"  - {line}" for line in lines) + "\n"


# ---- how a row is tried: each returns the error that came, as (code, where), or None ----

def loaded(instance, text, name="workflows/w.yaml"):
    """`bellwire check` of a workflow; the place must be in its file."""
    instance.write(name, text)
    result = instance.run("check", "--json", check=False)
    errors = [json.loads(line) for line in result.stdout.splitlines()]
    (instance.folder / name).unlink()
    if not result.returncode:
        return None
    assert len(errors) == 1, errors
    assert errors[0]["file"].endswith(name.rsplit("/", 1)[-1]), errors
    return errors[0]["code"], (errors[0].get("line"), errors[0].get("column"))


def ran(instance, text, data="{}", more=""):
    """`bellwire run` of a workflow: the error of its run, and the step that it names."""
    instance.write("workflows/w.yaml", text)
    instance.write("data.json", data)
    if more:
        instance.write("bellwire.yaml", CONFIG + more)
    result = instance.run("run", "w", "--json", "--data", "data.json", check=False)
    assert result.stdout, result.stderr
    ended = [json.loads(line) for line in result.stdout.splitlines() if '"run_finished"' in line][-1]
    if ended["state"] == "succeeded":
        return None
    return ended["error"]["code"], ended["error"].get("step")


def rang(instance, send):
    """A request to a serving engine: its status and error."""
    if instance.process is None:
        instance.start()
    connection = socket.create_connection(("127.0.0.1", instance.port), timeout=60)
    try:
        connection.sendall(send)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    finally:
        connection.close()
    status = int(head.split()[1])
    return None if status == 202 else f"{status} {json.loads(body)['error']}"


def request(body=b"{}", path="/in/open", fields=()):
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def padded(count, make):
    """make(padding) so long that it has `count` bytes."""
    return make("x" * (count - len(make(""))))


CASES = {}


def case(name, place=None, near=0):
    """A function of (instance, size) for the row. near: it is only known to so many parts in a hundred."""
    def take(function):
        CASES[name] = (function, place, near)
        return function
    return take


def load_case(name, make, place):
    CASES[name] = (lambda instance, size: loaded(instance, make(size)), place, 0)


def run_case(name, make, place, near=0, more=""):
    CASES[name] = (lambda instance, size: ran(instance, make(size), more=more), place, near)


# ---- requests ----

@case("line of a request")
def request_line(instance, size):
    line = len("POST /in/open? HTTP/1.1\r\n")
    return rang(instance, request(path="/in/open?" + "x" * (size - line)))


@case("line and header fields of a request")
def request_head(instance, size):
    return rang(instance, padded(size + 2, lambda pad: request(fields=["X-A: " + pad]).decode()).encode())


@case("number of its header fields")
def request_fields(instance, size):
    return rang(instance, request(fields=[f"X-{i}: 1" for i in range(size - 4)]))


@case("body of a request")
def request_body(instance, size):
    return rang(instance, request(padded(size, lambda pad: '{"a":"%s"}' % pad).encode()))


@case("lists and objects inside each other in a body")
def request_depth(instance, size):
    return rang(instance, request(b"[" * size + b"]" * size))


@case("name of an event, as its sender calls it")
def event_name(instance, size):
    instance.write("bellwire.yaml", CONFIG.replace("event: ping", 'event: {refs: ["json:/type"]}'))
    return rang(instance, request(json.dumps({"type": "n" * size}).encode()))


# ---- files ----

load_case("YAML file", lambda n: padded(n, lambda pad: steps("{id: a, set: {}}") + "#" + pad), None)
load_case("lists and maps inside each other in it", lambda n: steps("{id: a, set: {b: %s1%s}}" % ("[" * (n - 4), "]" * (n - 4))), (4, None))


@case("values and keys in it", (4, None))
def yaml_nodes(instance, size):
    fixed = 20  # the map, and all but the items of the list
    return loaded(instance, steps("{id: a, set: {b: [%s]}}" % ",".join(["1"] * (size - fixed))))


ACTION = "return action {name = 'a/b', version = '1.0.0', run = function() return {} end}"


@case("Lua action")
def action_file(instance, size):
    return loaded(instance, padded(size, lambda pad: ACTION + " --" + pad), "actions/b.lua")


@case("folders inside each other, below `workflows`")
def folders(instance, size):
    name = "workflows/" + "/".join("d" * (i + 1) for i in range(size)) + "/w.yaml"
    instance.write(name, steps("{id: a, set: {}}"))
    result = instance.run("check", "--json", check=False)
    return None if not result.returncode else (json.loads(result.stdout.splitlines()[0])["code"], None)


@case("secret", (None, None))
def secret(instance, size):
    instance.write("secret", "s" * size, mode=0o600)
    instance.write("bellwire.yaml", CONFIG + "secrets: {A: {file: ./secret}}\n")
    result = instance.run("check", "--json", check=False)
    return None if not result.returncode else (json.loads(result.stdout.splitlines()[0])["code"], None)


# ---- workflows ----

def listed(count, text):
    return ", ".join(text.replace("%", str(i)) for i in range(count))


load_case("name of a workflow", lambda n: steps("{id: a, set: {}}").replace("name: w", "name: " + "w" * n), (1, 7))
load_case("steps of a workflow, with those inside of blocks", lambda n: steps("parallel:\n" + "\n".join(
    f"      - {{id: s{i}, set: {{}}}}" for i in range(n - 1))), (4, None))
load_case("blocks inside each other", lambda n: steps("{parallel: [" * n + "{id: a, set: {}}" + "]}" * n), (4, None))
load_case("secrets of a workflow", lambda n: steps("{id: a, set: {}}") + "secrets: [%s]\n" % listed(n, "S%"), (5, None))
load_case("labels", lambda n: steps("{id: a, set: {}}") + "labels: {%s}\n" % listed(n, "l%: x"), (5, None))
load_case("name of a tool (`expose`)", lambda n: steps("{id: a, set: {}}") + "expose: {mcp: {name: %s}}\n" % ("t" * n), (5, 22))
load_case("its title", lambda n: steps("{id: a, set: {}}") + "expose: {mcp: {title: %s}}\n" % ("t" * n), (5, 23))
load_case("its description", lambda n: steps("{id: a, set: {}}") + "expose: {mcp: {description: %s}}\n" % ("t" * n), (5, 29))
load_case("events of a `wait`", lambda n: steps("{id: a, wait: {any: [%s]}}" % listed(n, "{event: e.%}")), (4, None))
load_case("events of `cancel_on`", lambda n: steps("{id: a, set: {}}") + "cancel_on: [%s]\n" % listed(n, "{event: e.%}"), (5, None))
load_case("events of an `emit`", lambda n: steps("{id: a, emit: [%s]}" % listed(n, "{event: e.%}")), (4, None))
load_case("entries of a `catch`", lambda n: steps("{id: a, lua: 'return {}', catch: [%s]}" % listed(n, "{if: 'false', steps: [{id: c%, set: {}}]}")), (4, None))
load_case("codes in `retry.on`", lambda n: steps("{id: a, lua: 'return {}', retry: {on: [%s]}}" % listed(n, "c%")), (4, None))
load_case("waits in `retry.delay`", lambda n: steps("{id: a, lua: 'return {}', retry: {delay: [%s]}}" % ", ".join(["1s"] * n)), (4, None))
load_case("attempts of a step", lambda n: steps("{id: a, lua: 'return {}', retry: {attempts: %d}}" % n), (4, None))
load_case("times of a `repeat`", lambda n: steps("{id: a, lua: 'return {}', repeat: {until: 'true', max: %d}}" % n), (4, None))
load_case("`choices` of an `approve`", lambda n: steps("{id: a, approve: {message: x, choices: [%s]}}" % listed(n, "c%")), (4, None))
load_case("`to` of an `approve`", lambda n: steps("{id: a, approve: {message: x, to: [%s]}}" % listed(n, "p%")), (4, None))
load_case("fields of its `form`", lambda n: steps("{id: a, approve: {message: x, form: {%s}}}" % listed(n, "f%: {type: string}")), (4, None))
load_case("its message", lambda n: steps("{id: a, approve: {message: %s}}" % ("m" * n)), (4, None))
load_case("items of a `foreach` that are under way", lambda n: steps(
    "{id: a, foreach: [1], concurrency: %d, steps: [{id: b, set: {}}]}" % n), (4, None))
load_case("runs of a workflow that are active, with `concurrency`", lambda n: steps("{id: a, set: {}}") + "concurrency: {limit: %d}\n" % n, (5, None))
load_case("events of a `collect`", lambda n: steps("{id: a, set: {}}") + "collect: {quiet: 1s, max_events: %d}\n" % n, (5, None))


@case("runs that wait for them")
def queue(instance, size):
    """The number of the row is too large to wait for: one of 3, and the bounds of the key."""
    assert loaded(instance, steps("{id: a, set: {}}") + "concurrency: {max_queue: 1000001}\n") == ("workflow.concurrency", (5, 26))
    assert loaded(instance, steps("{id: a, set: {}}") + "concurrency: {max_queue: 1000000}\n") is None
    instance.write("workflows/w.yaml", steps("{id: a, sleep: 1h}") + "concurrency: {limit: 1, max_queue: 3}\n")
    instance.start()
    over = size > number(table()["runs that wait for them"][0])
    for _ in range(5 if over else 4):
        assert rang(instance, request()) is None
    wait_for("the runs", lambda: len(instance.rows("runs")) == (5 if over else 4) and [run for run in instance.rows("runs") if run["state"] == "parked"])
    codes = wait_for("all admitted", lambda: [run["error"]["code"] for run in instance.rows("runs") if run["state"] == "skipped"] or not over)
    return (codes[0], None) if over else None


# ---- runs ----

@case("steps of a run that are under way")
def under_way(instance, size):
    """As many calls as there are steps, and a server that answers none before it has seen all that come at once."""
    seen, most, lock, gate = [0], [0], threading.Lock(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with lock:
                seen[0] += 1
                most[0] = max(most[0], seen[0])
                if seen[0] == 32:
                    gate.set()
            gate.wait(60)
            with lock:
                seen[0] -= 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = f'lua: "ctx.http{{url = \'http://127.0.0.1:{server.server_port}/\'}} return {{}}"'
    failed = ran(instance, steps("parallel:\n" + "\n".join(f"      - {{id: s{i}, {code}}}" for i in range(size))))
    server.shutdown()
    assert failed is None and most[0] == 32, (failed, most)
    return "the others wait" if size > 32 else None


TEXT = "{id: a, lua: \"return {t = ('x'):rep(%d)}\"}"
run_case("inputs of a step", lambda n: steps("{id: a, lua: \"return {t = ('x'):rep(524288)}\", outputs: {t: '${{ result.t }}'}}",
                                             "{id: b, with: {%s, rest: '${{ steps.a.t:sub(1, %d) }}'}, lua: 'return {}'}"
                                             % (listed(15, "k%: '${{ steps.a.t }}'"), n - 15 * 524288 - len('"k0":"",') * 10 - len('"k10":"",') * 5 - len('{"rest":""}'))), "b")
run_case("output of a step", lambda n: steps(TEXT % (n - len('{"t":""}'))), "a")
run_case("outputs of all steps of a run", lambda n: steps(*[TEXT.replace("id: a", f"id: s{i}") % (1048576 - 8) for i in range(15)],
                                                          TEXT % (524288 - 8), TEXT.replace("id: a", "id: z") % (n - 15 * 1048576 - 524288 - 8)), "z")
run_case("`outputs` of a workflow", lambda n: steps("{id: a, lua: \"return {t = ('x'):rep(600000)}\"}") + "outputs: {a: '${{ steps.a.t }}', b: '${{ steps.a.t:sub(1, %d) }}'}\n"
         % (n - 600000 - len('{"a":"","b":""}')), "outputs")


def none_tolerated(failed):
    """The first item fails, so that not all of them are run."""
    return None if failed == ("foreach.failed", "f") else failed


@case("items of a `foreach`", "f")
def foreach_items(instance, size):
    return none_tolerated(ran(instance, steps("{id: f, foreach: '${{ event.data.items }}', concurrency: 1, steps: [{id: b, stop: {as: failed}}]}"),
                              json.dumps({"items": [1] * size})))


@case("list of a `foreach`", "f")
def foreach_list(instance, size):
    items = ["x" * 524286] * 15
    items.append("x" * (size - len(json.dumps(items, separators=(",", ":"))) - 3))
    return none_tolerated(ran(instance, steps("{id: f, foreach: '${{ event.data.items }}', concurrency: 1, steps: [{id: b, stop: {as: failed}}]}"),
                              json.dumps({"items": items}, separators=(",", ":"))))


run_case("runs inside runs", lambda n: "".join(f"---\nname: w{i or ''}\non: [{{call: true}}, {{manual: true}}]\nsteps: [{{id: c, uses: workflow/w{i + 1}}}]\n" for i in range(n)) +
         f"---\nname: w{n}\non: [{{call: true}}]\nsteps: [{{id: last, set: {{}}}}]\n", "c")
run_case("instructions of an expression", lambda n: steps(
    "{id: a, lua: \"local t = {} for i = 1, %d do t[i] = i end return {t = t}\"}" % (n // 100),
    "{id: b, set: {n: \"${{ len(map(steps.a.t, function(x) return %s end)) }}\"}}" % " + ".join(["x"] * 60)), "b", near=80)
run_case("memory of an expression", lambda n: steps("{id: a, lua: \"return {t = ('x'):rep(262144)}\"}",
                                                    "{id: b, set: {n: \"${{ len(%s) }}\"}}" % " .. ".join(["steps.a.t"] * (n // 262144 // 2))), "b", near=30)
run_case("memory of a run's Lua code", lambda n: steps("{id: a, lua: \"local t = {} for i = 1, %d do t[i] = ('x'):rep(1048576 - i) end return {}\"}" % (n // 1048576)), "a", near=20)
run_case("tables inside each other in a value that code gives", lambda n: steps(
    "{id: a, lua: \"local t = {} local at = t for i = 2, %d do at.t = {} at = at.t end return t\"}" % n), "a")
run_case("data of an emitted event", lambda n: steps("{id: a, lua: \"return {t = ('x'):rep(600000)}\"}", "{id: b, emit: {event: a.b, data: {a: '${{ steps.a.t }}', b: '${{ steps.a.t:sub(1, %d) }}'}}}"
         % (n - 600000 - len('{"a":"","b":""}'))), "b")
run_case("body of a `respond`", lambda n: steps("{id: a, lua: \"return {t = ('x'):rep(600000)}\"}", "{id: b, respond: {body: {a: '${{ steps.a.t }}', b: '${{ steps.a.t:sub(1, %d) }}'}}}"
         % (n - 600000 - len('{"a":"","b":""}'))) + "respond: {mode: result}\n", "b")
run_case("header fields of a `respond`", lambda n: steps("{id: b, respond: {headers: {%s}}}" % listed(n, "x-%: a")) + "respond: {mode: result}\n", "b")


@case("events that cause each other")
def hops(instance, size):
    instance.write("workflows/w.yaml", "name: w\non: [{event: open.ping}, {event: w.again}]\nsteps:\n"
                   "  - {id: n, set: {n: \"${{ (event.data.n or 0) + 1 }}\"}}\n"
                   "  - {id: e, if: '${{ steps.n.n <= %d }}', emit: {event: w.again, data: {n: '${{ steps.n.n }}'}}}\n" % size)
    instance.start()
    assert rang(instance, request()) is None

    def ended():
        runs = instance.rows("runs", "--limit", "100")
        return runs if len(runs) == min(size, 16) + 1 and all(run["state"] in ("succeeded", "failed") for run in runs) else None
    runs = wait_for("the runs", ended)
    failed = [run["error"] for run in runs if run["state"] == "failed"]
    return (failed[0]["code"], None) if failed else None


class Answers:
    def __init__(self, size=0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                try:
                    self.wfile.write(b"x" * size)
                except OSError:
                    pass  # it has had enough

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@case("header fields of a request of `ctx.http`", "a")
def http_fields(instance, size):
    return ran(instance, steps("{id: a, lua: \"local h = {} for i = 1, %d do h['x-' .. i] = 'a' end ctx.http{url = '%s', headers = h} return {}\"}" % (size, Answers().url)))


@case("answer to it", "a")
def http_answer(instance, size):
    return ran(instance, steps("{id: a, retry: {attempts: 1}, lua: \"ctx.http{url = '%s'} return {}\"}" % Answers(size).url))


# ---- the walk ----

@pytest.mark.parametrize("row", list(table()))
def test_each_limit_holds_and_says_so(make_engine, row):
    default, most, where, error = table()[row]
    assert row in CASES, f"no case tries the limit '{row}'"
    function, place, near = CASES[row]
    size = number(default)
    if where and most[0].isdigit() and "." in where or where == "`concurrency`":
        size = number(most)  # a key of the workflow: its own bound is what is refused
    if row == "runs that wait for them":
        size = number(default)
    slack = max(1, size * near // 100)
    below, above = size if not near else size - slack, size + slack
    assert function(make_engine(name="at"), below) is None
    found = function(make_engine(name="over"), above)
    code = error.strip("`")
    if isinstance(found, str):
        assert found == code
        return
    assert found is not None, f"{above} is not refused"
    assert found[0] == code, found
    if isinstance(place, tuple):
        assert all(wanted is None or wanted == got for wanted, got in zip(place, found[1] or (None, None))), found
    elif place:
        assert found[1] == place, found


def test_each_case_has_a_row():
    assert set(CASES) == set(table())


@pytest.mark.parametrize("key,rows", [
    ("max_body", ["body of a request"]), ("max_output", ["output of a step", "`outputs` of a workflow", "data of an emitted event", "body of a `respond`"]),
    ("max_run_outputs", ["outputs of all steps of a run"]), ("lua_memory", ["memory of a run's Lua code"]),
])
def test_what_bellwire_yaml_may_say_is_what_the_table_says(make_engine, key, rows):
    engine = make_engine()
    for row in rows:
        _, most, where, _ = table()[row]
        assert f"`{key}`" in where
        for size, status in ((number(most), 0), (number(most) + 1, 1)):
            engine.write("bellwire.yaml", f"{key}: {size}B\n")
            result = engine.run("check", "--json", check=False)
            assert result.returncode == status, result.stdout
            assert not status or json.loads(result.stdout.splitlines()[0])["code"] == "config.range"


def test_a_text_that_is_too_large_for_an_expression_is_told_before_it_is_made(make_engine):
    text = steps("{id: a, set: {n: \"${{ len(('x'):rep(1024):rep(%d)) }}\"}}")
    assert ran(make_engine(name="at"), text % 1536) is None  # made in a buffer, and then a text
    assert ran(make_engine(name="over"), text % 4097) == ("expr.memory", "a")


def test_larger_outputs_are_kept_and_come_back_after_a_crash(make_engine):
    """At the hard limits: 8 outputs of 8 MiB, together 64 MiB; a run that is parked behind them is handed to another worker whole."""
    engine = make_engine(CONFIG + "max_output: 8MiB\nmax_run_outputs: 64MiB\nlua_memory: 256MiB\n")
    big = "{id: s%d, lua: \"return {t = ('x'):rep(8388608 - 8)}\"}"
    engine.write("workflows/w.yaml", steps(*[(big % i).replace("- 8", "- 1024") for i in range(8)], "{id: nap, wait: {event: open.go}}", "{id: n, set: {n: '${{ len(steps.s7.t) }}'}}").replace(
        "{event: open.ping}", "{event: github.push}"))
    engine.start()
    assert engine.push()[0] == 202
    wait_for("the run to be parked", lambda: [run for run in engine.rows("runs") if run["state"] == "parked"], 4 * DEADLINE)
    engine.kill()
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("event: ping", "event: go"))
    engine.start()
    assert rang(engine, request()) is None
    [run] = engine.finished_runs(1, "--workflow", "w")
    assert run["state"] == "succeeded", run["error"]
    assert run["steps"][-1]["output"] == {"n": 8388608 - 1024}
    assert ran(make_engine(name="over"), steps(*[big % i for i in range(8)], "{id: more, set: {a: 1}}"), more="max_output: 8MiB\nmax_run_outputs: 64MiB\nlua_memory: 256MiB\n") == (
        "output.too_large", "more")
