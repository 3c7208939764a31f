"""`respond`: the sender waits for the run's answer, gets exactly one, and never keeps the engine from anything."""
import concurrent.futures
import http.client
import json
import signal
import socket
import time

import pytest
from conftest import DEADLINE, wait_for

ECHO = """
name: echo
on: [{event: open.ping}]
respond: {mode: result, within: 30s}
steps:
  - {id: twice, set: {n: "${{ event.data.n * 2 }}"}}
outputs: {n: "${{ steps.twice.n }}"}
"""


def ring(engine, data, headers=None, path="/in/open"):
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE)
    try:
        connection.request("POST", path, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def start(engine, *workflows):
    for number, text in enumerate(workflows):
        engine.write(f"workflows/w{number}.yaml", text)
    return engine.start()


def recorded_run(engine, workflow):
    return [row for row in engine.rows("runs") if row["workflow"] == workflow]


def test_the_outputs_of_the_run_are_the_answer_and_they_are_on_disk_first(engine):
    start(engine, ECHO)
    for n in range(20):
        status, body, headers = ring(engine, {"n": n})
        assert (status, json.loads(body), headers["content-type"]) == (200, {"n": 2 * n}, "application/json")
        engine.kill()  # whatever was answered is there after a kill
        engine.start()
        runs = recorded_run(engine, "echo")
        assert len(runs) == n + 1 and runs[0]["state"] == "succeeded"


def test_a_respond_step_answers_before_the_end_of_the_run(engine):
    start(engine, """
name: early
on: [{event: open.ping}]
respond: {mode: result}
steps:
  - id: answer
    respond: {status: 201, headers: {X-Kind: "${{ event.data.kind }}", Content-Type: text/csv}, body: "a,${{ event.data.n }}"}
  - {id: late, sleep: 1h}
""")
    status, body, headers = ring(engine, {"n": 7, "kind": "cold"})
    assert (status, body, headers["x-kind"], headers["content-type"]) == (201, b"a,7", "cold", "text/csv")
    run = wait_for("the run to park", lambda: engine.rows("runs", "--state", "parked"))[0]["run"]
    assert engine.show_run(run)["steps"][0]["output"] == {"status": 201}


def test_the_first_answer_counts_and_a_body_of_any_kind_is_sent(engine):
    start(engine, """
name: many
on: [{event: open.ping}]
respond: {mode: result}
steps:
  - {id: first, respond: {body: {list: [1, null], text: "${{ event.data.text }}"}}}
  - {id: second, respond: {status: 500, body: never}}
outputs: {never: true}
""")
    status, body, headers = ring(engine, {"text": "ü"})
    assert (status, json.loads(body), headers["content-type"]) == (200, {"list": [1, None], "text": "ü"}, "application/json")
    assert engine.finished_runs(1)[0]["state"] == "succeeded"


def test_a_failed_run_says_that_it_failed_and_not_why(engine):
    start(engine, """
name: broken
on: [{event: open.ping}]
respond: {mode: result}
steps:
  - {id: no, lua: "error('a detail that is for the log')"}
""")
    status, body, _ = ring(engine, {})
    answer = json.loads(body)
    assert status == 500 and answer["run"] == engine.finished_runs(1)[0]["run"] and answer["error"].startswith("lua.")
    assert b"detail" not in body


def test_after_its_time_the_sender_gets_202_and_the_run_goes_on(engine):
    start(engine, """
name: slow
on: [{event: open.ping}]
respond: {mode: result, within: 300ms}
steps:
  - {id: nap, lua: "ctx.sleep(1.5) return {}"}
  - {id: late, respond: {body: nobody hears this}}
outputs: {done: true}
""")
    begun = time.monotonic()
    status, body, _ = ring(engine, {})
    assert status == 202 and json.loads(body)["status"] == "accepted" and time.monotonic() - begun >= 0.3
    assert engine.finished_runs(1)[0]["output"] == {"done": True}
    status, _, _ = ring(engine, {})  # the same connection table serves on
    assert status == 202


OWN_WORDS = """
listen: [http://127.0.0.1:0]
sources:
  words: {path: /in/open, verify: none, event: ping, acknowledge: {status: 200, headers: {X-Taken: "yes"}, body: OK}}
  status: {path: /in/status, verify: none, event: ping, acknowledge: {status: 201, headers: {X-Taken: "yes"}}}
  empty: {path: /in/empty, verify: none, event: ping, acknowledge: {status: 204}}
"""
WAITING = """
name: slow
on: [{event: words.ping}, {event: status.ping}, {event: empty.ping}]
respond: {mode: result, within: WITHIN}
steps:
  - {id: nap, if: "${{ event.data.n ~= 1 }}", sleep: 1h}
outputs: {n: "${{ event.data.n }}"}
"""


def test_after_its_time_the_sender_gets_what_its_source_acknowledges_with(make_engine):
    engine = start(make_engine(OWN_WORDS), WAITING.replace("WITHIN", "300ms"))
    status, body, headers = ring(engine, {"n": 2})
    assert (status, body, headers["x-taken"], headers["content-type"]) == (200, b"OK", "yes", "text/plain; charset=utf-8")
    assert "location" not in headers
    status, body, headers = ring(engine, {"n": 2}, path="/in/status")
    assert (status, json.loads(body)["status_url"], headers["x-taken"]) == (201, headers["location"], "yes")
    status, body, headers = ring(engine, {"n": 2}, path="/in/empty")
    assert (status, body, headers.get("location")) == (204, b"", None)
    assert sorted(row["status"] for row in engine.rows("deliveries")) == [200, 201, 204]


def test_what_the_run_says_in_time_counts_more_and_a_stop_acknowledges(make_engine):
    engine = start(make_engine(OWN_WORDS), WAITING.replace("WITHIN", "60s"))
    status, body, headers = ring(engine, {"n": 1})
    assert (status, json.loads(body)) == (200, {"n": 1}) and "x-taken" not in headers
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ring, engine, {"n": 2}, path=path) for path in ("/in/open", "/in/empty")]
        wait_for("both to be parked", lambda: len(engine.rows("runs", "--state", "parked")) == 2)
        assert engine.stop() == 0
        assert [answer.result()[:2] for answer in waiting] == [(200, b"OK"), (204, b"")]


def test_a_reload_while_a_sender_waits_takes_nothing_of_its_source_away(engine):
    hook = """
name: slow
on: [{webhook: /in/hook, verify: none, name: ping, acknowledge: {body: OK}}]
respond: {mode: result, within: 2s}
steps: [{id: nap, sleep: 1h}]
"""
    start(engine, hook)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ring, engine, {}, path="/in/hook")
        wait_for("it to be parked", lambda: engine.rows("runs", "--state", "parked"))
        engine.write("workflows/w0.yaml", hook.replace("body: OK", "body: other"))
        activated = len([line for line in engine.log if line.get("log") == "sources.activated"])
        engine.process.send_signal(signal.SIGHUP)
        wait_for("the other words", lambda: len([line for line in list(engine.log) if line.get("log") == "sources.activated"]) > activated)
        assert waiting.result()[:2] == (200, b"OK")
    assert ring(engine, {}, path="/in/hook")[:2] == (200, b"other")


def test_who_is_not_waited_for_is_answered_at_once(engine):
    start(engine, """
name: picky
on: [{event: open.ping, if: "${{ event.data.wait }}"}]
respond: {mode: result, within: 60s}
steps:
  - {id: nap, sleep: 1h}
""", """
name: plain
on: [{event: github.push}]
respond: {mode: ack}
steps: [{id: nap, sleep: 1h}]
""")
    status, body, _ = ring(engine, {"wait": False})
    assert status == 202 and json.loads(body)["event"].startswith("evt_")
    assert engine.push()[0] == 202


def test_of_several_workflows_the_first_by_name_answers(engine):
    text = """
name: {name}
on: [{{event: open.ping, if: "${{{{ event.data.{name} }}}}"}}]
respond: {{mode: result}}
steps: [{{id: who, set: {{name: {name}}}}}]
outputs: {{by: "${{{{ steps.who.name }}}}"}}
"""
    start(engine, *(text.format(name=name) for name in ("zebra", "mouse", "ape")))
    everyone = {"zebra": True, "mouse": True, "ape": True}
    assert json.loads(ring(engine, everyone)[1]) == {"by": "ape"}
    assert json.loads(ring(engine, {**everyone, "ape": False})[1]) == {"by": "mouse"}


def test_check_warns_of_two_who_would_answer(engine):
    engine.write("workflows/a.yaml", ECHO)
    engine.write("workflows/b.yaml", ECHO.replace("echo", "twin").replace("open.ping", "open.*"))
    engine.write("workflows/c.yaml", ECHO.replace("echo", "other").replace("open.ping", "other.ping"))
    said = engine.run("check").stderr
    assert said.count("warning: ") == 1 and "echo and twin both want to answer" in said


def test_a_duplicate_is_answered_as_one_and_does_not_wait(engine):
    start(engine, ECHO.replace("open.ping", "github.push"))
    body = b'{"n":1}'
    assert engine.push(body, delivery="same")[:2] == (200, {"n": 2})
    status, answer, _ = engine.push(body, delivery="same")
    assert status == 200 and answer["status"] == "duplicate"


def test_a_sender_that_leaves_is_let_go_and_the_run_goes_on(engine):
    start(engine, """
name: slow
on: [{event: open.ping}]
respond: {mode: result, within: 60s}
steps: [{id: nap, lua: "ctx.sleep(2) return {}"}]
""")
    body = b"{}"
    request = b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", engine.port), timeout=DEADLINE) as left:
        left.sendall(request)
        wait_for("the event", lambda: engine.rows("events"))
    with socket.create_connection(("127.0.0.1", engine.port), timeout=DEADLINE) as half:
        half.sendall(request)
        half.shutdown(socket.SHUT_WR)  # says no more, but listens: it is answered at once
        assert half.recv(100).startswith(b"HTTP/1.1 202 ")
    assert [run["state"] for run in engine.finished_runs(2)] == ["succeeded"] * 2


def test_a_stop_answers_those_who_wait(engine):
    start(engine, """
name: slow
on: [{event: open.ping}]
respond: {mode: result, within: 60s}
steps: [{id: nap, sleep: 1h}]
""")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ring, engine, {}) for _ in range(8)]
        wait_for("all to be parked", lambda: len(engine.rows("runs", "--state", "parked")) == 8)
        assert engine.stop() == 0
        answers = [answer.result() for answer in waiting]
    assert [status for status, _, _ in answers] == [202] * 8
    assert all(headers["connection"] == "close" for _, _, headers in answers)


def test_many_wait_at_once_and_each_gets_its_own_answer(engine):
    start(engine, ECHO.replace('set: {n: "${{ event.data.n * 2 }}"}', 'lua: "ctx.sleep(0.2) return {n = input.n * 2}", with: {n: "${{ event.data.n }}"}'))
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: ring(engine, {"n": n}), range(200)))
    assert [(status, json.loads(body)["n"]) for status, body, _ in answers] == [(200, 2 * n) for n in range(200)]


def test_no_more_than_half_of_the_connections_wait(make_engine):
    engine = make_engine("""
listen: [http://127.0.0.1:0]
max_connections: 16
sources:
  open: {path: /in/open, verify: none, event: ping}
""")
    start(engine, """
name: slow
on: [{event: open.ping}]
respond: {mode: result, within: 60s}
steps: [{id: nap, sleep: 1h}]
""")
    held, answered = [], 0
    for _ in range(12):
        connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE)
        connection.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})
        held.append(connection)
        wait_for("the event", lambda: len(engine.rows("events")) == len(held))
    for connection in held[8:]:
        assert connection.getresponse().status == 202
    assert engine.stop() == 0
    assert [connection.getresponse().status for connection in held[:8]] == [202] * 8


@pytest.mark.parametrize("respond, code", [
    ("{status: 99}", "respond.status"), ("{headers: {Content-Length: '3'}}", "respond.headers"), ("{headers: {'a b': c}}", "respond.headers"),
    ("{headers: {x: \"${{ event.data.bad }}\"}}", "respond.headers"), ("{status: \"${{ event.data.n }}\"}", "respond.status"),
    ("{body: \"${{ event.data.big .. event.data.big }}\"}", "respond.too_large"),
])
def test_an_answer_that_cannot_be_sent_is_a_failed_step(engine, respond, code):
    engine.write("workflows/w.yaml", f"""
name: w
on: [{{event: open.ping}}]
respond: {{mode: result}}
steps: [{{id: a, respond: {respond}}}]
""")
    if "99" in respond:
        assert code in engine.run("check", check=False).stderr
        return
    engine.start()
    status, body, _ = ring(engine, {"n": 1.5, "bad": "a\nb", "big": "x" * 600000})
    assert status == 500 and json.loads(body)["error"] == code


def look(engine, url, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=DEADLINE)
    try:
        connection.request(method, url)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


SLOW = """
name: slow
on: [{event: open.ping}]
respond: {mode: result, within: 100ms}
steps:
  - {id: hold, wait: {event: github.push, by: data.n, equals: "${{ event.data.n }}", timeout: 1h}}
  - {id: made, lua: 'if input.n < 0 then return ctx.fail{code = "negative", message = "not for the sender"} end return {n = input.n}', with: {n: "${{ event.data.n }}"}}
outputs: {n: "${{ steps.made.n }}"}
"""


def test_who_is_answered_202_can_look_what_became_of_the_run(engine):
    start(engine, SLOW)
    status, body, headers = ring(engine, {"n": 3})
    told = json.loads(body)
    assert status == 202 and told["status_url"] == headers["location"] and told["status_url"].startswith("/status/")
    run = wait_for("the run to park", lambda: engine.rows("runs", "--state", "parked"))[0]["run"]
    status, state, headers = look(engine, told["status_url"])
    assert (status, state) == (200, {"event": told["event"], "run": run, "state": "parked"})
    assert headers["retry-after"] == "2" and headers["cache-control"] == "no-store"
    engine.kill()  # the link is as good after a restart
    engine.start()
    assert look(engine, told["status_url"])[1]["state"] == "parked"
    engine.push(b'{"n":3}')
    wait_for("the run to end", lambda: recorded_run(engine, "slow")[0]["state"] == "succeeded")
    status, state, headers = look(engine, told["status_url"])
    assert (status, state) == (200, {"event": told["event"], "run": run, "state": "succeeded", "output": {"n": 3}})
    assert "retry-after" not in headers
    assert look(engine, told["status_url"], "HEAD")[:2] == (200, None)


def test_the_state_of_a_failed_run_says_what_but_not_why(engine):
    start(engine, SLOW)
    told = json.loads(ring(engine, {"n": -1})[1])
    wait_for("the run to park", lambda: engine.rows("runs", "--state", "parked"))
    engine.push(b'{"n":-1}')
    wait_for("the run to fail", lambda: engine.rows("runs", "--state", "failed"))
    run = recorded_run(engine, "slow")[0]["run"]
    assert look(engine, told["status_url"])[1] == {"event": told["event"], "run": run, "state": "failed", "error": "negative"}


def test_a_link_that_was_not_made_here_shows_nothing(engine):
    start(engine, SLOW)
    url = json.loads(ring(engine, {"n": 1})[1])["status_url"]
    other = url[:-1] + ("A" if url[-1] != "A" else "Q")
    for wrong in (other, url[:-4], url + "AAAA", "/status/", "/status/" + "A" * 66):
        assert look(engine, wrong)[0] == 404
    assert look(engine, url, "POST")[0] == 405
