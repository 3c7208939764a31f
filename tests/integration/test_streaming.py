"""ctx.http{…, stream = true}: an answer is read as it comes, the server waits for whoever does not read, and what ends early says so."""
import hashlib
import hmac
import itertools
import json
import textwrap
import threading

import pytest

from conftest import DEADLINE
from fakes.server import Answer, Server


class Streams(Server):
    """/two: an event, and another one when /go was asked for. /endless: until the peer goes, which /gone waits for. /large: its bytes, /finished: were
    all of them sent, half a second later? /silent: an event, and then nothing."""
    LARGE = 48 << 20

    def __init__(self):
        super().__init__()
        self.went_on, self.gone, self.finished, self.closing = (threading.Event() for _ in range(4))
        for path, body in (("/two", self.two), ("/endless", self.endless), ("/large", self.large), ("/silent", self.silent)):
            self.on("GET", path, lambda _, body=body: Answer(200, body(), {"Content-Type": "text/event-stream", "X-Tag": "it"}))
        self.on("GET", "/wide", lambda _: Answer(200, [b"data: ok\n\ndata: " + b"x" * (1 << 20) + b"\n\n"]))
        self.on("GET", "/busy", lambda _: Answer(503, [b"try ", b"later"]))
        self.on("GET", "/go", lambda _: self.went_on.set())
        self.on("GET", "/gone", lambda _: {"gone": self.gone.wait(DEADLINE)})
        self.on("GET", "/finished", lambda _: {"finished": self.finished.wait(0.5)})

    def two(self):
        yield b": hello\n\nevent: first\ndata: 1\ndat"
        yield b"a: 2\r"
        yield b"\nid: 7\r\n\r\n"
        assert self.went_on.wait(DEADLINE)
        yield b"data: last\n\ndata: cut off"

    def endless(self):
        try:
            for number in itertools.count():
                yield b"data: %d\n\n" % number + b": %s\n" % (b"x" * 65536)
        finally:  # the socket can take no more: the generator is given up
            self.gone.set()

    def large(self):
        for number in range(self.LARGE >> 16):
            yield number.to_bytes(4, "big") * (1 << 14)
        self.finished.set()

    def silent(self):
        yield b"data: 1\n\n"
        self.closing.wait(DEADLINE)

    def close(self):
        self.closing.set()
        super().close()


@pytest.fixture
def streams():
    with Streams() as server:
        yield server


@pytest.fixture
def ran(make_engine, streams):
    """What the code of a step gives: its output, or its error."""
    engine = make_engine()

    def run(code):
        code = textwrap.indent(textwrap.dedent(code).replace("URL", streams.url), "      ")
        engine.write("workflows/w.yaml", f"name: w\non: [{{manual: true}}]\nsteps:\n  - id: s\n    retry: {{attempts: 1}}\n    lua: |\n{code}\n")
        lines = [json.loads(line) for line in engine.run("run", "w", "--json", check=False).stdout.splitlines()]
        [step] = [line for line in lines if line.get("what") == "step_finished"]
        return step.get("output") or step["error"]
    return run


def test_an_event_is_there_before_the_answer_is_whole_and_requests_go_on_beside_it(ran):
    assert ran("""
        local answer, seen = ctx.http{url = "URL/two", stream = true}, {}
        for event in answer.events() do
          seen[#seen + 1] = event
          if #seen == 1 then ctx.http{url = "URL/go"} end
        end
        return {status = answer.status, tag = answer.headers["x-tag"], seen = seen, rest = answer.read()}
    """) == {"status": 200, "tag": "it", "seen": [{"event": "first", "data": "1\n2", "id": "7"}, {"event": "message", "data": "last", "id": "7"}]}


def test_chunks_are_the_whole_answer_and_the_server_waits_for_whoever_does_not_read(ran, streams):
    output = ran("""
        local answer, parts, count = ctx.http{url = "URL/large", stream = true}, {}, 0
        local early = ctx.http{url = "URL/finished"}.json.finished
        local size, sum = 0, 0
        for chunk in answer.read do
          size = size + #chunk
          if #parts < 3 then parts[#parts + 1] = #chunk end
          sum = ctx.hmac("sha256", "k", tostring(sum) .. #chunk)
        end
        return {early = early, size = size, most = math.max(table.unpack(parts))}
    """)
    assert output["early"] is False and output["size"] == Streams.LARGE, output
    assert output["most"] <= (64 << 10) + 16384, output


def test_bytes_arrive_as_they_were_sent(ran, streams):
    text = b"".join(hashlib.sha256(b"%d" % i).hexdigest().encode() for i in range(20000))
    streams.on("GET", "/text", lambda _: Answer(200, (text[at:at + 7001] for at in range(0, len(text), 7001))))
    assert ran("""
        local parts = {}
        local answer = ctx.http{url = "URL/text", stream = true}
        for chunk in answer.read do parts[#parts + 1] = chunk; if #parts % 7 == 0 then ctx.sleep("1ms") end end
        return {mac = ctx.hmac("sha256", "k", table.concat(parts))}
    """) == {"mac": hmac.new(b"k", text, "sha256").hexdigest()}


def test_leaving_the_loop_gives_the_answer_up(ran):
    assert ran("""
        local answer = ctx.http{url = "URL/endless", stream = true}
        for event in answer.events() do if event.data == "2" then break end end
        local ok, why = pcall(answer.read)
        return {gone = ctx.http{url = "URL/gone"}.json.gone, ok = ok, given_up = why:find("was given up", 1, true) ~= nil}
    """) == {"gone": True, "ok": False, "given_up": True}


def test_close_another_stream_and_the_end_of_the_code_do_so_too(ran, streams):
    assert ran("""
        local answer = ctx.http{url = "URL/endless", stream = true}
        answer.close()
        answer.close()
        return ctx.http{url = "URL/gone"}.json
    """) == {"gone": True}
    streams.gone.clear()
    assert ran("""
        local first = ctx.http{url = "URL/endless", stream = true}
        local second = ctx.http{url = "URL/busy", stream = true}
        first.close()  -- closes what is open no more: not the second
        return {gone = ctx.http{url = "URL/gone"}.json.gone, first = pcall(first.read), second = second.read():sub(1, 3) == "try"}
    """) == {"gone": True, "first": False, "second": True}
    streams.gone.clear()
    assert ran("""
        local answer = ctx.http{url = "URL/endless", stream = true}
        return {first = answer.events()().data}
    """) == {"first": "0"}
    assert streams.gone.wait(DEADLINE)


def test_a_cut_answer_is_a_failure_behind_what_has_come(ran, streams):
    streams.cut(path="/two", after=40)
    code = """
        local answer, seen = ctx.http{url = "URL/two", stream = true}, ""
        local ok, why = pcall(function() for chunk in answer.read do seen = seen .. chunk end end)
        return {ok = ok, kind = why.kind, code = why.code, seen = seen}
    """
    assert ran(code) == {"ok": False, "kind": "retry", "code": "http.network", "seen": ": hello\n\nevent: first\ndata: 1\ndata: 2\r\nid: 7"[:40]}
    streams.cut(path="/two", after=-1)
    error = ran(code)
    assert (error["code"], error["class"]) == ("http.network", "transient"), error


def test_silence_ends_it_when_idle_says_so(ran):
    error = ran("""
        local seen = 0
        for event in ctx.http{url = "URL/silent", stream = true, idle = "50ms"}.events() do seen = seen + 1 end
    """)
    assert (error["code"], error["class"]) == ("http.timeout", "transient") and "nothing has come of the answer for 50ms" in error["message"], error
    error = ran("""for _ in ctx.http{url = "URL/silent", stream = true, timeout = "50ms"}.events() do end""")
    assert error["code"] == "http.timeout", error


def test_an_event_without_end_is_refused(ran):
    error = ran("""
        local seen = {}
        for event in ctx.http{url = "URL/wide", stream = true}.events() do seen[#seen + 1] = event.data end
    """)
    assert (error["code"], error["class"]) == ("http.too_large", "permanent"), error


def test_every_status_is_an_answer(ran):
    assert ran("""
        local answer, text = ctx.http{url = "URL/busy", stream = true}, ""
        for chunk in answer.read do text = text .. chunk end
        return {status = answer.status, text = text, more = answer.read()}
    """) == {"status": 503, "text": "try later"}


@pytest.mark.parametrize("code,message", [
    ('ctx.http{url = "URL/busy", idle = "1s"}', "idle goes with stream = true"),
    ('ctx.http{url = "URL/busy", stream = true, idle = 0}', "idle goes with stream = true, and must be"),
    ('return ctx.http{url = "URL/busy", stream = true}.json.x', "a streamed answer has no json: use its read() or events()"),
    ('local a = ctx.http{url = "URL/silent", stream = true} table.sort({2, 1}, function() a.read() a.read() return true end)',
     "read cannot be used inside a callback"),
    ('ctx.http{url = "URL/busy", streams = true}', "did you mean 'stream'?"),
])
def test_wrong_use_says_what_is_right(ran, code, message):
    error = ran(code)
    assert error["code"] == "lua.error" and message in error["message"], error


def test_a_run_that_is_cancelled_reads_no_further(make_engine, streams):
    engine = make_engine()
    engine.write("workflows/w.yaml", f"""
name: w
on: [{{event: open.ping}}]
steps:
  - id: s
    lua: |
      ctx.log.info("here")
      for event in ctx.http{{url = "{streams.url}/silent", stream = true}}.events() do ctx.http{{url = "{streams.url}/go"}} end
""")
    engine.start()
    engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
    assert streams.went_on.wait(DEADLINE)
    engine.run("runs", "cancel", engine.wait_log("step.log")["run"])
    [run] = engine.finished_runs(1)
    assert run["state"] == "cancelled" and run["steps"][0]["state"] == "cancelled", run
    assert engine.stop() == 0
