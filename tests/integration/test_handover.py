"""Senders that hand over their secret: only while an operator lets them, only once, and on disk before they are answered."""
import hashlib
import hmac
import json

import pytest

from conftest import wait_for

CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  asana: {path: /in/asana, verify: asana}
  notion: {path: /in/notion, verify: notion}
  given:
    path: /in/given
    verify: asana
    secrets: {secret: {env: GIVEN}}
  open: {path: /in/open, verify: none}
"""
ECHO = "name: echo\non: [{event: 'asana.*'}, {event: 'notion.**'}]\nsteps:\n  - {id: say, set: {data: \"${{ event.data }}\"}}\n"
SECRET = "b537207f20cbfa02357cf448134da559"
JSON = {"Content-Type": "application/json"}


def raw(engine, path, headers=None, body=b""):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    connection.request("POST", path, body, headers or {})
    answer = connection.getresponse()
    result = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return result


def offer(engine, secret=SECRET, path="/in/asana"):
    status, _, headers = raw(engine, path, {"X-Hook-Secret": secret})
    return status, headers.get("X-Hook-Secret")


def signed(engine, body, secret=SECRET):
    return raw(engine, "/in/asana", {**JSON, "X-Hook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}, body)[0]


def start(make_engine):
    engine = make_engine(CONFIG)
    engine.env["GIVEN"] = "the-one-of-the-file"
    engine.write("workflows/echo.yaml", ECHO)
    return engine.start()


def row(engine, source):
    return next(row for row in engine.rows("sources") if row["source"] == source)


def refused_for(engine, reason):
    """In the log, and in the record."""
    engine.wait_log("delivery", source="asana", status=401, reason=reason)
    return wait_for("its record", lambda: any(row["detail"] == reason for row in engine.rows("deliveries", "--refused")))


def test_a_secret_is_taken_in_a_window_and_proves_events_then(make_engine):
    engine = start(make_engine)
    assert row(engine, "asana") == {"source": "asana", "path": "/in/asana", "scheme": "asana", "webhook": False, "secret": "awaited"}
    assert offer(engine) == (401, None)
    assert refused_for(engine, "it may not hand over its secret now: bellwire sources open asana")
    assert signed(engine, b"{}") == 401
    assert "its sender hands it over" in engine.run("send", "asana", check=False).stderr
    opened = json.loads(engine.run("sources", "open", "asana", "--for", "1h", "--json").stdout)
    assert opened["changed"] and row(engine, "asana")["open_until_ms"] == opened["open_until_ms"]
    assert offer(engine) == (200, SECRET)
    assert row(engine, "asana")["secret"] == "learnt" and "learnt_ms" in row(engine, "asana")
    assert signed(engine, b'{"events":[1]}') == 202
    assert offer(engine, "another-secret-that-somebody-says") == (401, None)
    assert refused_for(engine, "it has handed over another secret before: bellwire sources forget asana")
    assert offer(engine) == (200, SECRET)  # the same again: its answer was lost
    assert [run["steps"][0]["output"]["data"] for run in engine.finished_runs(1)] == [{"events": [1]}]
    assert len(engine.rows("events")) == 1
    assert engine.run("send", "asana", "--url", f"http://127.0.0.1:{engine.port}/in/asana").stdout.startswith("202 ")
    assert SECRET not in json.dumps(engine.log) + json.dumps(engine.rows("deliveries")) + json.dumps(engine.rows("sources"))
    engine.stop()


def test_window_and_secret_outlive_a_kill(make_engine):
    engine = start(make_engine)
    engine.run("sources", "open", "asana", "--for", "1h")
    until = row(engine, "asana")["open_until_ms"]
    engine.kill()
    engine.start()
    assert row(engine, "asana")["open_until_ms"] == until and offer(engine) == (200, SECRET)
    engine.kill()
    engine.start()
    assert row(engine, "asana")["secret"] == "learnt" and signed(engine, b"{}") == 202 and offer(engine, "another-one")[0] == 401
    assert SECRET not in json.dumps(engine.log)
    engine.stop()


def test_a_window_ends_and_can_be_closed(make_engine):
    engine = start(make_engine)
    engine.run("sources", "open", "asana", "--for", "1ms")
    assert wait_for("its end", lambda: "open_until_ms" not in row(engine, "asana"))
    assert offer(engine)[0] == 401
    engine.run("sources", "open", "asana")
    assert "is closed" in engine.run("sources", "close", "asana").stdout and "was not open" in engine.run("sources", "close", "asana").stdout
    assert offer(engine)[0] == 401 and row(engine, "asana")["secret"] == "awaited"
    engine.stop()


def test_what_is_forgotten_is_refused_and_learnt_anew(make_engine):
    engine = start(make_engine)
    engine.run("sources", "open", "asana")
    assert offer(engine) == (200, SECRET)
    refused = engine.run("sources", "open", "asana", check=False)
    assert refused.returncode == 1 and "first: bellwire sources forget asana" in refused.stderr
    engine.run("sources", "forget", "asana")
    assert signed(engine, b"{}") == 401 and refused_for(engine, "it has handed over no secret yet: bellwire sources open asana")
    assert offer(engine)[0] == 401
    engine.run("sources", "open", "asana")
    assert offer(engine, "the-next-secret-of-theirs") == (200, "the-next-secret-of-theirs") and signed(engine, b"{}", "the-next-secret-of-theirs") == 202
    engine.stop()


def test_notion_wants_its_token_pasted(make_engine):
    engine = start(make_engine)
    assert engine.run("sources", "reveal", "notion", check=False).returncode == 1
    engine.run("sources", "open", "notion")
    assert raw(engine, "/in/notion", JSON, b'{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}')[:2] == (200, b"")
    assert engine.run("sources", "reveal", "notion").stdout == "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl\n"
    body = b'{"id":"e-1","type":"page.created"}'
    mac = hmac.new(b"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl", body, hashlib.sha256).hexdigest()
    assert raw(engine, "/in/notion", {**JSON, "X-Notion-Signature": "sha256=" + mac}, body)[0] == 202
    assert engine.rows("events")[0]["name"] == "notion.page.created"
    engine.stop()


def test_who_has_a_secret_or_needs_none_learns_nothing(make_engine):
    engine = start(make_engine)
    for name, hint in (("given", "that one counts"), ("open", "no such handshake"), ("asanna", "did you mean 'asana'")):
        refused = engine.run("sources", "open", name, check=False)
        assert refused.returncode == 1 and hint in refused.stderr, refused
    assert offer(engine, path="/in/given")[0] == 401 and offer(engine, "the-one-of-the-file", "/in/given")[0] == 200
    assert [one["secret"] for one in engine.rows("sources")] == ["awaited", "awaited", "given", "none"]
    engine.stop()


def test_without_an_engine_the_folder_is_changed(make_engine):
    engine = make_engine(CONFIG)
    engine.env["GIVEN"] = "the-one-of-the-file"
    assert "still to be handed over" in engine.run("sources").stdout
    engine.run("sources", "open", "asana", "--for", "1h")
    assert "; it may until 20" in engine.run("sources").stdout
    engine.start()
    assert offer(engine) == (200, SECRET)
    engine.stop()
    assert "was handed over 20" in engine.run("sources").stdout and engine.run("sources", "reveal", "asana").stdout == SECRET + "\n"
    assert engine.run("sources", "open", "asana", check=False).returncode == 1
    engine.run("sources", "forget", "asana")
    engine.start()
    assert row(engine, "asana")["secret"] == "awaited"
    engine.stop()


def test_check_says_where_the_secret_comes_from(make_engine):
    engine = make_engine(CONFIG)
    engine.env["GIVEN"] = "the-one-of-the-file"
    lines = engine.run("check").stderr.splitlines()
    assert sum("hands over the secret" in line for line in lines) == 2
    assert any("asana" in line and line.endswith("bellwire sources open asana") for line in lines)


@pytest.mark.parametrize("time", ["0s", "25h", "soon"])
def test_a_window_has_bounds(make_engine, time):
    engine = make_engine(CONFIG)
    assert engine.run("sources", "open", "asana", "--for", time, check=False).returncode == 2
