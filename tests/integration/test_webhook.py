"""Webhooks that workflows declare: a file alone opens a path, and a reload opens, changes and closes it without a request that fails."""
import json
import signal
import threading

import pytest

from conftest import sign, wait_for
from test_reload import begin, lines, nth, replace

BARE = "listen: [http://127.0.0.1:0]\n"
SOURCES = BARE + "sources:\n  open: {path: /in/open, verify: none, event: ping}\n"
ORDERS = """
name: orders
on: [{webhook: /hooks/orders, verify: github, secrets: {webhook_secret: {env: GITHUB_WEBHOOK_SECRET}}}]
steps: [{id: s, set: {name: "${{ event.name }}", source: "${{ event.source }}", n: "${{ event.data.n }}"}}]
"""
PLAIN = "name: %s\non: [{webhook: %s, verify: none, name: came}]\nsteps: [{id: s, set: {value: %s}}]\n"
JSON = {"Content-Type": "application/json"}


def push(engine, body=b'{"n":1}', path="/hooks/orders", secret=None, event="push", **headers):
    signature = sign(body, secret) if secret else sign(body)
    return engine.request("POST", path, body, {**JSON, "X-GitHub-Event": event, "X-Hub-Signature-256": signature, **headers})


def post(engine, path, body=b"{}"):
    return engine.request("POST", path, body, JSON)


def reload(engine, name="sources.activated"):
    """SIGHUP, and the line that says what came of it."""
    count = len(lines(engine, name))
    engine.process.send_signal(signal.SIGHUP)
    return nth(engine, name, count + 1)


# ---- a file is enough ----

def test_a_workflow_file_alone_is_a_webhook(make_engine):
    engine = make_engine(BARE)
    engine.write("workflows/orders.yaml", ORDERS)
    checked = engine.run("check").stderr
    assert "webhook   orders" in checked and "POST /hooks/orders, verified as github" in checked and "all good: 1 source," in checked, checked
    begin(engine)
    status, answer, _ = push(engine, **{"X-GitHub-Delivery": "d-1"})
    assert status == 202
    assert push(engine, secret="wrong")[0] == 401
    assert push(engine, **{"X-GitHub-Delivery": "d-1"})[:2] == (200, {"status": "duplicate", "event": answer["event"]})
    [run] = engine.finished_runs(1)
    assert (run["workflow"], run["event"], run["steps"][0]["output"]) == ("orders", answer["event"], {"name": "orders.push", "source": "orders", "n": 1})
    engine.write("body.json", '{"n":2}')
    sent = engine.run("send", "orders", "body.json", "--event", "push", "--url", f"http://127.0.0.1:{engine.port}/hooks/orders")
    assert sent.stdout.startswith("202 ")
    assert engine.finished_runs(2)[0]["steps"][0]["output"]["n"] == 2
    rows = engine.rows("deliveries", "--source", "orders")
    assert [row["status"] for row in rows] == [202, 200, 401, 202], rows
    why = engine.run("why", answer["event"]).stdout
    assert "orders" in why and run["run"] in why, why
    assert engine.run("send", "nobody", check=False).stderr.startswith("bellwire send: there is no source 'nobody'; there are: orders")
    assert engine.stop() == 0


def test_other_workflows_may_wait_for_its_events_and_emitted_ones_do_not_come_in_by_it(make_engine):
    engine = make_engine(SOURCES)
    engine.write("workflows/orders.yaml", PLAIN.replace("}]\n", ", if: event.data.n == 1}]\n", 1) % ("orders", "/hooks/orders", 1))
    engine.write("workflows/watch.yaml", "name: watch\non: [{event: 'orders.*'}]\nsteps: [{id: s, set: {from: '${{ event.source }}'}}]\n")
    engine.write("workflows/emit.yaml", "name: emit\non: [{event: open.ping}]\nsteps: [{id: s, emit: {event: orders.came, data: {n: 1}}}]\n")
    begin(engine)
    _, one, _ = post(engine, "/hooks/orders", b'{"n":1}')
    _, two, _ = post(engine, "/hooks/orders", b'{"n":2}')
    runs = engine.finished_runs(3)
    assert sorted((run["workflow"], run["event"]) for run in runs) == sorted([("orders", one["event"]), ("watch", one["event"]), ("watch", two["event"])])
    post(engine, "/in/open")
    runs = engine.finished_runs(5)
    assert sorted(run["workflow"] for run in runs) == ["emit", "orders", "watch", "watch", "watch"]
    assert runs[0]["steps"][0]["output"] == {"from": "workflow/emit"} or runs[1]["steps"][0]["output"] == {"from": "workflow/emit"}
    why = [row for row in engine.rows("why", two["event"]) if row.get("workflow") == "orders"]
    assert why[0]["decided"] == "condition", why
    assert engine.stop() == 0


def test_bellwire_test_sends_by_the_webhook(make_engine):
    engine = make_engine(BARE)
    engine.write("workflows/orders.yaml", ORDERS)
    engine.write("workflows/orders.test.yaml", "workflow: orders\ntests:\n  - name: a push\n    event: {name: orders.push, data: {n: 3}}\n"
                 "    expect: {state: succeeded}\n  - name: somebody else's\n    event: {name: orders.push, source: other, data: {n: 3}}\n    expect: {state: none}\n")
    assert "2 passed" in (lambda done: done.stdout + done.stderr)(engine.run("test"))


# ---- what is refused ----

COLLISIONS = [
    ("/in/open", "the path /in/open is that of the source open already, in ", "bellwire.yaml:3:16"),
    ("/hooks/first", "the path /hooks/first is that of the webhook of first already, in ", "first.yaml:2:16"),
    ("/approve/x", "paths below /approve/ are the engine's own", ""), ("/status/x", "paths below /status/ are the engine's own", ""),
    ("/healthz", "the path /healthz is the engine's own", ""),
]


@pytest.mark.parametrize("path, message, other", COLLISIONS)
def test_a_path_that_is_taken_is_an_error_that_names_both(make_engine, path, message, other):
    engine = make_engine(SOURCES)
    engine.write("workflows/first.yaml", PLAIN % ("first", "/hooks/first", 1))
    begin(engine)
    replace(engine, "workflows/second.yaml", PLAIN % ("second", path, 1))
    engine.wait_log("catalog.refused")
    [error] = lines(engine, "catalog.error")
    assert message in error["message"] and other in error["message"], error
    assert error["file"].endswith("second.yaml") and (error["line"], error["column"]) == (2, 16), error
    result = engine.run("check", check=False)
    assert result.returncode == 1 and "second.yaml:2:16: " + message in result.stderr, result.stderr
    status, _, _ = post(engine, path)
    assert status in (202, 200, 404, 405)
    assert post(engine, "/hooks/first")[0] == 202
    assert engine.stop() == 0


def test_a_name_that_a_source_has_is_an_error_that_names_both(make_engine):
    engine = make_engine(SOURCES)
    engine.write("workflows/open.yaml", PLAIN % ("open", "/hooks/open", 1))
    result = engine.run("check", check=False)
    assert result.returncode == 1 and "open.yaml:2:6: " in result.stderr and "bellwire.yaml:3:3" in result.stderr, result.stderr


def test_what_is_wrong_at_the_start_is_left_out_and_the_rest_serves(make_engine):
    engine = make_engine(SOURCES)
    engine.write("workflows/late.yaml", "name: late\non: [{webhook: /hooks/late, verify: github, secrets: {webhook_secret: {file: secret}}}]\nsteps: [{id: s, set: {n: 1}}]\n")
    engine.write("workflows/good.yaml", PLAIN % ("good", "/hooks/good", 1))
    begin(engine)
    [error] = lines(engine, "catalog.error")
    assert error["code"] == "secret.unreadable" and error["file"].endswith("late.yaml") and (error["line"], error["column"]) == (2, 78), error
    assert post(engine, "/hooks/good")[0] == 202 and post(engine, "/hooks/late")[0] == 404
    assert reload(engine, "catalog.refused")["revision"] == 1
    engine.write("secret", "it-is-here-now\n", 0o600)
    assert reload(engine)["sources"] == 3
    assert push(engine, path="/hooks/late", secret="it-is-here-now")[0] == 202
    assert engine.stop() == 0


# ---- reload ----

def test_paths_come_change_and_go_with_their_files(make_engine):
    engine = begin(make_engine(SOURCES))
    assert post(engine, "/hooks/a")[0] == 404
    replace(engine, "workflows/a.yaml", PLAIN % ("a", "/hooks/a", 1))
    nth(engine, "sources.activated", 1)
    first = post(engine, "/hooks/a")[1]["event"]
    replace(engine, "workflows/a.yaml", PLAIN % ("a", "/hooks/other", 2))
    nth(engine, "sources.activated", 2)
    assert post(engine, "/hooks/a")[0] == 404
    second = post(engine, "/hooks/other")[1]["event"]
    replace(engine, "workflows/bad.yaml", "name: bad\non: [{webhook: /hooks/bad}]\nsteps: [{id: s, set: {n: 1}}]\n")
    engine.wait_log("catalog.refused")
    assert post(engine, "/hooks/bad")[0] == 404
    third = post(engine, "/hooks/other")[1]["event"]
    (engine.folder / "workflows/bad.yaml").unlink()
    replace(engine, "workflows/b.yaml", PLAIN % ("b", "/hooks/a", 3))  # the path that was left
    wait_for("b", lambda: engine.request("GET", "/hooks/a")[0] == 405)
    replace(engine, "workflows/a.yaml", "name: a\non: [{manual: true}]\nsteps: [{id: s, set: {value: 4}}]\n")
    wait_for("the path to close", lambda: engine.request("GET", "/hooks/other")[0] == 404)
    assert post(engine, "/hooks/a")[0] == 202
    runs = {run["event"]: (run["workflow"], run["steps"][0]["output"]["value"]) for run in engine.finished_runs(4)}
    assert (runs[first], runs[second], runs[third]) == (("a", 1), ("a", 2), ("a", 2))
    assert engine.stop() == 0


def test_a_missing_secret_refuses_the_reload_and_the_old_one_serves(make_engine):
    engine = make_engine(BARE)
    engine.write("workflows/orders.yaml", ORDERS)
    begin(engine)
    replace(engine, "workflows/orders.yaml", ORDERS.replace("GITHUB_WEBHOOK_SECRET", "NOBODY_HAS_SET_THIS"))
    engine.wait_log("catalog.refused")
    [error] = lines(engine, "catalog.error")
    assert error["code"] == "secret.missing" and error["file"].endswith("orders.yaml") and error["line"] == 3, error
    assert push(engine)[0] == 202
    assert engine.stop() == 0


def test_a_secret_is_rotated_by_its_file_and_a_signal(make_engine):
    engine = make_engine(BARE + "sources:\n  hub: {path: /in/hub, verify: github, secrets: {webhook_secret: {file: keys/hub}}}\n")
    engine.write("keys/orders", "orders-secret-1\n", 0o600)
    engine.write("keys/hub", "hub-secret-1\n", 0o600)
    engine.write("workflows/orders.yaml", ORDERS.replace("{env: GITHUB_WEBHOOK_SECRET}", "{file: keys/orders}"))
    begin(engine)
    assert push(engine, secret="orders-secret-1")[0] == 202 and push(engine, path="/in/hub", secret="hub-secret-1")[0] == 202
    engine.write("keys/orders", "orders-secret-2\n", 0o600)
    engine.write("keys/hub", "hub-secret-2\n", 0o600)
    assert push(engine, secret="orders-secret-1")[0] == 202  # nobody has said anything yet
    reload(engine)
    for path, name in (("/hooks/orders", "orders"), ("/in/hub", "hub")):
        assert push(engine, path=path, secret=f"{name}-secret-1")[0] == 401 and push(engine, path=path, secret=f"{name}-secret-2")[0] == 202
    engine.write("keys/orders", "\n", 0o600)
    assert reload(engine, "catalog.refused")
    assert lines(engine, "catalog.error")[-1]["code"] == "secret.empty"
    assert push(engine, secret="orders-secret-2")[0] == 202
    assert "secret-2" not in json.dumps(engine.log)
    assert engine.stop() == 0


def test_sources_of_the_configuration_are_read_again_with_the_workflows(make_engine):
    engine = begin(make_engine(SOURCES))
    engine.write("bellwire.yaml", SOURCES + "  more: {path: /in/more, verify: none, event: ping, max_body: 4MiB}\n")
    assert reload(engine)["sources"] == 2
    assert post(engine, "/in/more", b'"' + b"x" * 3000000 + b'"')[0] == 202  # larger than what any source took at the start
    engine.write("bellwire.yaml", SOURCES + "  bad: {path: /in/open, verify: none}\n")
    reload(engine, "catalog.refused")
    assert post(engine, "/in/more")[0] == 202
    engine.write("bellwire.yaml", SOURCES)
    assert reload(engine)["sources"] == 1
    assert post(engine, "/in/more")[0] == 404 and post(engine, "/in/open")[0] == 202
    assert engine.stop() == 0


def test_no_request_is_lost_or_refused_while_paths_come_and_go(make_engine):
    engine = make_engine(BARE + "workers: 1\n")
    engine.write("workflows/steady.yaml", PLAIN % ("steady", "/hooks/steady", 0))
    begin(engine)
    accepted, bad, over = [], [], threading.Event()

    def send(number):
        while not over.is_set():
            status, answer, _ = post(engine, "/hooks/steady", json.dumps({"n": number}).encode())
            (accepted if status == 202 else bad).append(answer["event"] if status == 202 else (status, answer))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for sender in senders:
        sender.start()
    came_and_went = []
    for turn in range(8):  # steady changes in each, the other one comes and goes
        replace(engine, "workflows/steady.yaml", PLAIN % ("steady", "/hooks/steady", turn + 1))
        if turn % 2:
            (engine.folder / "workflows/other.yaml").unlink()
        else:
            replace(engine, "workflows/other.yaml", PLAIN % ("other", "/hooks/other", turn))
        wait_for("the other path", lambda: came_and_went.append(post(engine, "/hooks/other")) or came_and_went[-1][0] == (404 if turn % 2 else 202))
    over.set()
    for sender in senders:
        sender.join()
    assert not bad and len(accepted) > 50, bad[:3]
    others = [answer["event"] for status, answer, _ in came_and_went if status == 202]
    total = len(accepted) + len(others)

    def ended():
        rows = engine.rows("runs", "--limit", str(total + 10))
        return rows if len(rows) >= total and {row["state"] for row in rows} == {"succeeded"} else None
    runs = wait_for(f"{total} runs", ended)
    assert sorted(run["event"] for run in runs if run["workflow"] == "steady") == sorted(accepted)
    assert sorted(run["event"] for run in runs if run["workflow"] == "other") == sorted(others)  # whoever got 202 started it
    assert engine.stop() == 0


# ---- schema, rate, allow ----

GUARDED = """
name: guarded
on:
  - webhook: /hooks/guarded
    verify: github
    secrets: {webhook_secret: {env: GITHUB_WEBHOOK_SECRET}}
    schema: {type: object, properties: {n: {type: integer, required: true, min: 1}}}
    rate: {limit: 3/1h}
steps: [{id: s, set: {n: "${{ event.data.n }}"}}]
"""


def test_schema_and_rate_of_a_webhook(make_engine):
    engine = make_engine(BARE)
    engine.write("workflows/guarded.yaml", GUARDED)
    begin(engine)
    assert [push(engine, b'{"n":0}', "/hooks/guarded", secret="wrong")[0] for _ in range(5)] == [401] * 5
    status, answer, _ = push(engine, b'{"n":0}', "/hooks/guarded")
    assert (status, answer) == (422, {"error": "invalid", "message": "must be at least 1", "at": "/n"})
    assert push(engine, b'{"n":1}', "/hooks/guarded")[0] == 202
    reload(engine)  # no way to a fresh burst
    assert push(engine, b'{"n":2}', "/hooks/guarded")[0] == 202
    status, answer, headers = push(engine, b'{"n":3}', "/hooks/guarded")
    assert (status, answer) == (429, {"error": "rate_limited"}) and 1 <= int(headers["Retry-After"]) <= 30
    assert sorted(run["steps"][0]["output"]["n"] for run in engine.finished_runs(2)) == [1, 2]
    assert engine.stop() == 0
    rows = engine.rows("deliveries", "--source", "guarded", "--refused")
    assert [(row["status"], row["outcome"], row["detail"]) for row in rows][:2] == \
        [(429, "rate_limited", "rate of the source"), (422, "invalid", "/n must be at least 1")], rows


def test_refusals_by_rate_and_address_are_folded_like_others(make_engine):
    engine = make_engine(BARE + "trusted_proxies: [127.0.0.1]\nsources:\n"
                         "  slow: {path: /in/slow, verify: none, event: ping, rate: {limit: 1/1h, by: address}}\n"
                         "  near: {path: /in/near, verify: none, event: ping, allow: [192.0.2.0/24]}\n")
    begin(engine)
    assert post(engine, "/in/slow")[0] == 202
    for _ in range(250):
        assert post(engine, "/in/slow")[0] == 429 and post(engine, "/in/near")[0] == 403
    assert engine.request("POST", "/in/near", b"{}", {**JSON, "X-Forwarded-For": "192.0.2.7"})[0] == 202
    assert engine.stop() == 0
    for source, outcome in (("slow", "rate_limited"), ("near", "forbidden")):
        rows = engine.rows("deliveries", "--source", source, "--refused", "--limit", "1000")
        assert sum(row["times"] for row in rows) == 250 and {row["outcome"] for row in rows} == {outcome}
    [row] = [row for row in engine.rows("deliveries", "--source", "near") if row["status"] == 202]
    assert row["remote"] == "192.0.2.7"
