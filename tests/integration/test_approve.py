"""`approve`: who has the link decides, once; looking changes nothing, nor does what is forged, altered, expired or wrong."""
import base64
import hashlib
import html
import http.client
import json
import re
import sqlite3
import threading
import urllib.parse

import pytest
from conftest import CONFIG, DEADLINE, wait_for

REVIEW = """
name: review
on: [{event: open.ping}]
steps:
  - {id: draft, set: {title: "${{ event.data.title }}"}}
  - id: ask
    approve:
      message: "Publish ${{ steps.draft.title }}?"
      choices: [publish, discard]
      form:
        days: {type: integer, min: 1, max: 30, default: 7, doc: how long}
        share: {type: number}
        note: {type: string, max_length: 20}
        tone: {enum: [calm, loud]}
        sure: {type: boolean}
      timeout: 2d
      notify: {lua: "ctx.log(input.url) return {url = input.url, message = input.message}", with: {url: "${{ approval.url }}", message: "${{ approval.message }}"}}
  - {id: live, if: "${{ steps.ask.choice == 'publish' }}", set: {until: "${{ steps.ask.form.days + 1 }}"}}
outputs: {choice: "${{ steps.ask.choice }}", form: "${{ steps.ask.form }}"}
"""


class Link:
    """The URL that `notify` got, as a browser would use it."""

    def __init__(self, engine, url):
        self.engine = engine
        self.path = urllib.parse.urlsplit(url).path

    def ask(self, method, body=None, headers=None, path=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=DEADLINE)
        try:
            connection.request(method, path or self.path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def post(self, **fields):
        return self.ask("POST", urllib.parse.urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})

    def post_json(self, **fields):
        status, body, _ = self.ask("POST", json.dumps(fields), {"Content-Type": "application/json"})
        return status, json.loads(body)


def start(engine, *workflows):
    for number, text in enumerate(workflows):
        engine.write(f"workflows/w{number}.yaml", text)
    return engine.start()


def ring(engine, data=None):
    status, _, _ = engine.request("POST", "/in/open", json.dumps(data or {"title": "a page"}).encode(), {"Content-Type": "application/json"})
    assert status == 202


def asked(engine, count=1, step="ask"):
    """Runs that wait for a decision, with their links, newest first."""
    def waiting():
        runs = [engine.show_run(row["run"]) for row in engine.rows("runs", "--state", "parked", "--children")]
        return [run for run in runs if any(s["step"] == step and s["state"] == "waiting" for s in run["steps"])]
    runs = wait_for(f"{count} questions", lambda: len(waiting()) >= count and waiting())
    return [(run["run"], Link(engine, next(s for s in run["steps"] if s["step"] == f"{step}~notify")["output"]["url"])) for run in runs]


def store(engine, sql):
    connection = sqlite3.connect(engine.folder / "data" / "bellwire.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def fingerprint(engine):
    """All that a vote could have changed."""
    return [store(engine, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("votes", "audit", "wakes", "timers", "queue", "runs")]


def test_looking_changes_nothing_and_a_post_decides(engine):
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    assert engine.show_run(run)["steps"][1]["output"]["message"] == "Publish a page?"
    before = fingerprint(engine)
    for _ in range(3):
        status, page, headers = link.ask("GET")
        assert status == 200 and "Publish a page?" in page and headers["content-type"] == "text/html; charset=utf-8"
        status, nothing, headers = link.ask("HEAD")
        assert (status, nothing) == (200, "") and headers["content-type"] == "text/html; charset=utf-8"
        assert link.ask("GET", path=link.path + "?choice=publish")[0] == 200
    assert fingerprint(engine) == before
    status, page, _ = link.post(choice="publish", by=" Ann ", **{"form.days": "9", "form.share": "0.5", "form.note": "", "form.tone": "loud", "form.sure": "false"})
    assert status == 200 and "<strong>publish</strong>" in page and "Ann" in page
    done = engine.finished_runs(1)[0]
    form = {"days": 9, "share": 0.5, "note": "", "tone": "loud", "sure": False}
    assert done["run"] == run and done["output"] == {"choice": "publish", "form": form}
    steps = {step["step"]: step for step in done["steps"]}
    assert steps["live"]["output"] == {"until": 10}
    assert {**steps["ask"]["output"], "at": 0} == {"choice": "publish", "by": "Ann", "at": 0, "form": form}
    assert [(act["actor"], act["verb"], act["detail"]) for act in done["audit"]] == [("Ann", "vote", "ask: publish from 127.0.0.1")]


def test_the_first_decision_stands_and_repeating_it_changes_nothing(engine):
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    status, first = link.post_json(choice="publish", form={"days": 3})
    assert (status, first["status"], first["new"]) == (200, "decided", True)
    assert first["decision"]["by"] == "127.0.0.1"  # who does not say so is known by the address
    engine.finished_runs(1)
    before = fingerprint(engine)
    for fields in ({"choice": "publish", "form": {"days": 3}}, {"choice": "discard"}, {"choice": "nonsense"}, {}):
        assert link.post_json(**fields) == (200, {"status": "decided", "new": False, "decision": first["decision"]})
    for method in "GET", "HEAD":
        assert link.ask(method)[0] == 200
    assert "<strong>publish</strong>" in link.ask("GET")[1]
    assert fingerprint(engine) == before
    engine.stop()
    engine.start()
    link.engine = engine
    assert link.post_json(choice="discard")[1]["decision"] == first["decision"]


def test_of_many_at_once_one_decides(engine):
    start(engine, REVIEW)
    ring(engine)
    (_, link), = asked(engine)
    answers, barrier = [], threading.Barrier(16)

    def vote(number):
        barrier.wait()
        answers.append(link.post_json(choice="publish" if number % 2 else "discard", by=f"voter {number}"))
    threads = [threading.Thread(target=vote, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert sum(answer["new"] for _, answer in answers) == 1
    assert len({json.dumps(answer["decision"], sort_keys=True) for _, answer in answers}) == 1
    assert engine.finished_runs(1)[0]["output"]["choice"] == answers[0][1]["decision"]["choice"]
    assert len(store(engine, "SELECT * FROM votes")) == 1 and len(store(engine, "SELECT * FROM audit")) == 1


def test_what_does_not_fit_is_refused_and_says_why(engine):
    start(engine, REVIEW)
    ring(engine)
    (_, link), = asked(engine)
    before = fingerprint(engine)
    wrong = [({}, "choice must be one of: publish, discard"),
             ({"choice": "reject"}, "choice must be one of"),
             ({"choice": "publish", "form.days": "31"}, "days: must be at most 30"),
             ({"choice": "publish", "form.days": "seven"}, "days: expected an integer"),
             ({"choice": "publish", "form.days": "0x7"}, "days: expected an integer"),
             ({"choice": "publish", "form.days": "\t7"}, "days: expected an integer"),
             ({"choice": "publish", "form.days": "7.0"}, "days: expected an integer"),
             ({"choice": "publish", "form.share": "inf"}, "share: expected a number"),
             ({"choice": "publish", "form.share": "1e999"}, "share: expected a number"),
             ({"choice": "publish", "form.note": "x" * 21}, "note: must have at most 20 characters"),
             ({"choice": "publish", "form.tone": "shrill"}, "tone: must be one of"),
             ({"choice": "publish", "form.sure": "perhaps"}, "sure: expected a boolean"),
             ({"choice": "publish", "form.dayz": "7"}, "there is no field"),
             ({"choice": "publish", "by": "x" * 201}, "by must have at most 200 bytes"),
             ({"choice": "publish", "by": "a\nb"}, "by must be in one line")]
    for fields, message in wrong:
        status, page, _ = link.post(**fields)
        assert status == 422 and message in html.unescape(page), (fields, page)
        assert "<form" in page
    for fields, code in (({"choice": "publish", "form": {"days": "7"}}, "form.type"), ({"choice": ["publish"]}, "approval.choice"),
                         ({"choice": "publish", "form": []}, "form.type"), ({"choice": "publish", "by": 7}, "approval.by")):
        status, answer = link.post_json(**fields)
        assert (status, answer["status"], answer["error"]["code"]) == (422, "wrong", code)
    text = {"Content-Type": "text/plain"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert link.ask("POST", "choice=publish", text)[0] == 415
    assert link.ask("POST", "choice=publish")[0] == 415
    assert link.ask("POST", "{", {"Content-Type": "application/json"})[0] == 400
    assert link.ask("POST", "[]", {"Content-Type": "application/json"})[0] == 400
    assert link.ask("POST", "choice=%zz", form)[0] == 400
    assert link.ask("POST", "choice=%ff", form)[0] == 400
    assert link.ask("POST", "choice=publish&choice=discard", form)[0] == 400
    assert link.ask("POST", "choice=publish&form=x", form)[0] == 400
    assert link.ask("POST", "choice=publish&form.note=" + "x" * 70000, form)[0] == 413
    assert link.ask("POST", "choice=publish", {**form, "Content-Encoding": "gzip"})[0] == 415
    for method in "PUT", "DELETE", "PATCH", "OPTIONS":
        assert link.ask(method)[0] == 405
    assert fingerprint(engine) == before
    assert link.post_json(choice="publish", by="  ")[0] == 200
    assert engine.finished_runs(1)[0]["output"]["form"] == {"days": 7}


def test_forged_and_altered_links_are_not_there(engine):
    start(engine, REVIEW)
    ring(engine)
    (_, link), = asked(engine)
    before = fingerprint(engine)
    token = link.path.rsplit("/", 1)[1]
    altered = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:] for i in range(len(token))]
    for wrong in altered + [token[:-1], token + "A", token + "/", "/" + token, token + "%00", "A" * 86, "A", "..", token.lower()]:
        path = "/approve/" + wrong
        assert link.ask("GET", path=path)[0] == 404, wrong
    status, _, _ = link.ask("POST", "choice=publish", {"Content-Type": "application/x-www-form-urlencoded"}, path="/approve/" + altered[5])
    assert status == 404
    for path in "/approve", "/approve/":
        assert link.ask("GET", path=path)[0] == 404
    assert fingerprint(engine) == before


def test_links_of_another_store_are_forged(make_engine):
    one, other = make_engine(name="one"), make_engine(name="other")
    start(one, REVIEW)
    start(other, REVIEW)
    ring(one)
    (_, link), = asked(one)
    assert link.ask("GET")[0] == 200
    link.engine = other
    assert link.ask("GET")[0] == 404


def test_the_page_escapes_everything_and_runs_nothing(engine):
    hostile = "<script>alert(1)</script>\"'&amp;</style><img src=x onerror=y>"
    start(engine, f"""
name: hostile
on: [{{event: open.ping}}]
steps:
  - id: ask
    approve:
      message: "${{{{ event.data.text }}}}"
      choices: ['<b>"yes"&', "o'no"]
      form:
        quote: {{type: string, default: '"><i>', doc: '</label><script>'}}
        pick: {{enum: ['<u>"', 2]}}
      notify: {{lua: "return {{url = input.url}}", with: {{url: "${{{{ approval.url }}}}"}}}}
""")
    ring(engine, {"text": hostile})
    (_, link), = asked(engine)
    pages = [link.ask("GET"), link.post(choice="<s>", by="<q>", **{"form.quote": "<x>"}), link.post(choice='<b>"yes"&', by="<q>&'\"", **{"form.quote": "<x>"})]
    assert [status for status, _, _ in pages] == [200, 422, 200]
    for _, page, headers in pages:
        body = page.split("<body>")[1]
        for tag in "script", "img", "i", "u", "b", "s", "q", "x":
            assert f"<{tag}>" not in body and f"<{tag} " not in body
        style = re.search("<style>(.*)</style>", page).group(1)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert headers["content-security-policy"] == (f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
                                                      "frame-ancestors 'none'; base-uri 'none'")
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert hostile in html.unescape(pages[0][1])
    values = [html.unescape(value) for value in re.findall('<button name="choice" value="([^"]*)"', pages[0][1])]
    assert values == ['<b>"yes"&', "o'no"]
    assert 'value="&lt;x&gt;"' in pages[1][1]  # what was typed is there again
    done = engine.finished_runs(1)[0]["steps"][1]["output"]
    assert {**done, "at": 0} == {"choice": '<b>"yes"&', "by": "<q>&'\"", "at": 0, "form": {"quote": "<x>"}}


def test_enter_in_a_field_decides_nothing(engine):
    """Browsers press the first button of the form then."""
    start(engine, REVIEW)
    ring(engine)
    (_, link), = asked(engine)
    assert re.search("<button[^>]*>", link.ask("GET")[1]).group(0) == "<button disabled hidden>"


@pytest.mark.parametrize("point", ["store.before_vote:1", "store.after_vote:1"])
def test_a_crash_at_the_vote_loses_none_that_was_told(engine, point):
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    engine.stop()
    engine.env["BELLWIRE_CRASH"] = point
    engine.start()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        link.post_json(choice="publish", by="first")
    assert engine.ended() == 137
    engine.env.pop("BELLWIRE_CRASH")
    engine.start()
    status, answer = link.post_json(choice="discard", by="second")
    assert status == 200
    is_there = point.startswith("store.after")
    assert answer["new"] is not is_there and answer["decision"]["choice"] == ("publish" if is_there else "discard")
    done = engine.finished_runs(1)[0]
    assert done["run"] == run and done["output"]["choice"] == answer["decision"]["choice"]
    assert len(store(engine, "SELECT * FROM votes")) == 1


def test_what_was_told_is_there_after_a_kill(engine):
    """Between the vote and the next step of the run."""
    start(engine, REVIEW)
    for number in range(5):
        ring(engine)
        (run, link), = asked(engine)
        _, answer = link.post_json(choice="publish", form={"days": number + 1})
        engine.kill()
        assert store(engine, "SELECT count(*) FROM votes") == [(number + 1,)]
        engine.start()
        done = engine.finished_runs(number + 1)[0]
        assert done["run"] == run and done["output"] == {"choice": "publish", "form": {"days": number + 1}}
        assert link.post_json(choice="discard")[1]["decision"] == answer["decision"]


def test_when_time_is_over_the_choice_is_taken_and_links_show_it(engine):
    start(engine, REVIEW.replace("timeout: 2d", "timeout: 2d, on_timeout: discard".replace(", ", "\n      ")),
          REVIEW.replace("name: review", "name: strict"))
    ring(engine)
    links = {engine.show_run(run)["workflow"]: link for run, link in asked(engine, 2)}
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * 86400 * 1000 + 60000)
    engine.start()
    done = {run["workflow"]: run for run in engine.finished_runs(2)}
    assert done["review"]["state"] == "succeeded"
    assert done["review"]["output"] == {"choice": "discard", "form": {"days": 7}}
    assert done["review"]["steps"][2]["output"]["by"] == "timeout"
    assert done["strict"]["state"] == "failed" and done["strict"]["error"]["code"] == "approval.timeout"
    status, answer = links["review"].post_json(choice="publish")
    assert (status, answer["decision"]["choice"], answer["decision"]["by"]) == (200, "discard", "timeout")
    before = fingerprint(engine)
    assert links["strict"].ask("GET")[0] == 410
    assert links["strict"].post_json(choice="publish") == (410, {"status": "gone"})
    assert fingerprint(engine) == before
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(31 * 86400 * 1000)  # now the links themselves are over
    engine.start()
    assert links["review"].ask("GET")[0] == 410 and links["review"].post_json(choice="publish")[0] == 410


def test_a_cancelled_run_asks_nobody_any_more(engine):
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    engine.run("runs", "cancel", run)
    assert engine.finished_runs(1)[0]["state"] == "cancelled"
    assert link.ask("GET")[0] == 410 and link.post_json(choice="publish")[0] == 410
    assert store(engine, "SELECT * FROM votes") == []


def test_what_follows_the_end_of_a_run_may_ask(engine):
    start(engine, """
name: ends
on: [{event: open.ping}]
steps: [{id: nap, sleep: 1h}]
finally:
  - id: ask
    approve: {message: keep it, notify: {lua: "return {url = input.url}", with: {url: "${{ approval.url }}"}}}
  - {id: last, set: {choice: "${{ steps.ask.choice }}"}}
""")
    ring(engine)
    run, = wait_for("the run to park", lambda: engine.rows("runs", "--state", "parked"))
    engine.run("runs", "cancel", run["run"])
    (_, link), = asked(engine)
    assert "keep it" in link.ask("GET")[1]
    assert link.post_json(choice="approve")[1]["new"]
    done, = engine.finished_runs(1)
    assert done["state"] == "cancelled" and done["steps"][-1]["output"] == {"choice": "approve"}


def test_each_item_and_each_called_run_asks_for_itself(engine):
    start(engine, """
name: many
on: [{event: open.ping}]
steps:
  - id: fan
    foreach: [one, two]
    steps:
      - id: ask
        approve: {message: "${{ item }}?", notify: {lua: "return {url = input.url}", with: {url: "${{ approval.url }}"}}}
  - {id: sub, uses: workflow/callee}
outputs: {items: "${{ steps.fan.items }}", sub: "${{ steps.sub.choice }}"}
""", """
name: callee
on: [{call: true}]
steps:
  - id: ask
    approve: {message: from below, notify: {lua: "return {url = input.url}", with: {url: "${{ approval.url }}"}}}
outputs: {choice: "${{ steps.ask.choice }}"}
""")
    ring(engine)
    for _, link in asked(engine, 2):
        first = "one?" in link.ask("GET")[1]
        assert link.post_json(choice="approve" if first else "reject")[0] == 200
    (_, link), = asked(engine)
    assert "from below" in link.ask("GET")[1]
    link.post_json(choice="approve")
    done = [run for run in engine.finished_runs(1) if run["workflow"] == "many"][0]
    assert [item["choice"] for item in done["output"]["items"]] == ["approve", "reject"] and done["output"]["sub"] == "approve"


def test_a_vote_counts_while_another_step_is_at_work(engine):
    start(engine, """
name: busy
on: [{event: open.ping}]
steps:
  - parallel:
      - id: ask
        approve: {message: m, notify: {lua: "ctx.log(input.url) return {url = input.url}", with: {url: "${{ approval.url }}"}}}
      - {id: work, lua: "ctx.sleep(2) return {}"}
  - {id: after, set: {choice: "${{ steps.ask.choice }}"}}
""")
    ring(engine)

    def question():
        rows = engine.rows("runs", "--state", "active")
        steps = {step["step"]: step for step in engine.show_run(rows[0]["run"])["steps"]} if rows else {}
        return steps if steps.get("ask", {}).get("state") == "waiting" else None
    steps = wait_for("the question of a run that is at work", question)
    assert Link(engine, steps["ask~notify"]["output"]["url"]).post_json(choice="reject")[0] == 200
    assert engine.finished_runs(1)[0]["steps"][-1]["output"] == {"choice": "reject"}


def test_links_begin_with_public_url(make_engine):
    engine = make_engine("public_url: https://hooks.example/bell/\n" + CONFIG)
    start(engine, REVIEW)
    ring(engine)
    run = asked(engine)[0][0]
    url = next(step for step in engine.show_run(run)["steps"] if step["step"] == "ask~notify")["output"]["url"]
    assert url.startswith("https://hooks.example/bell/approve/")
    for wrong in "hooks.example", "ftp://x", "https://", "https://x?a=1", "https://x y", "'https://x/\"'":
        engine.write("bad.yaml", f"public_url: {wrong}\n")
        assert "config.public_url" in engine.run("check", "--config", "bad.yaml", check=False).stderr


def test_a_question_that_is_not_asked_yet_is_told_so(engine):
    """The link is out, and what sends it is tried again: nobody is told that it is gone."""
    start(engine, """
name: slow
on: [{event: open.ping}]
steps:
  - id: ask
    approve:
      message: m
      notify: {lua: "ctx.log(input.url) if ctx.attempt == 1 then return ctx.retry{code = 'busy'} end return {url = input.url}",
               with: {url: "${{ approval.url }}"}, retry: {delay: 3s, jitter: 0}}
""")
    ring(engine)
    line = engine.wait_log("step.log", step="ask~notify")
    link = Link(engine, line["message"])
    status, page, headers = link.ask("GET")
    assert status == 503 and headers["retry-after"] == "2" and "Try again" in page
    assert link.post_json(choice="approve") == (503, {"status": "later"})
    asked(engine)
    assert link.post_json(choice="approve")[0] == 200
    assert engine.finished_runs(1)[0]["state"] == "succeeded"


def test_replaying_from_an_approval_tells_again(engine):
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    link.post_json(choice="publish")
    engine.finished_runs(1)
    engine.run("runs", "replay", run, "--from", "ask")
    (again, link), = asked(engine)
    assert again != run
    assert link.post_json(choice="discard")[1]["decision"]["choice"] == "discard"
    assert {row["output"]["choice"] for row in engine.finished_runs(2)} == {"publish", "discard"}


def test_the_key_is_no_secret_of_users(engine):
    """It is in the store and in the memory of engine and workers: neither in the log nor in what is recorded of runs."""
    start(engine, REVIEW)
    ring(engine)
    (run, link), = asked(engine)
    link.post_json(choice="publish")
    engine.finished_runs(1)
    (key,), = store(engine, "SELECT value FROM keys")
    shown = json.dumps(engine.log) + json.dumps(engine.show_run(run))
    assert len(key) == 32 and key.hex() not in shown and base64.b64encode(key).decode() not in shown


def test_tests_of_workflows_decide_by_mocks_and_by_time(engine):
    engine.write("workflows/review.yaml", REVIEW.replace("timeout: 2d", "timeout: 2d\n      on_timeout: discard"))
    engine.write("workflows/review.test.yaml", """
event: {name: open.ping, data: {title: x}}
tests:
  - name: somebody publishes
    mocks: {ask: {output: {choice: publish, form: {days: 2}}}}
    expect: {outputs: {choice: publish, form: {days: 2}}, steps: {ask: {output: {by: test}}, live: {output: {until: 3}}}}
  - name: somebody takes a day
    mocks: {ask: {after: 1d, output: {choice: discard, by: ann}}}
    expect: {outputs: {choice: discard}, took: 1d, steps: {ask: {output: {by: ann}}}}
  - name: nobody decides
    mocks: {ask~notify: {output: {}}}
    expect: {outputs: {choice: discard, form: {days: 7}}, took: 2d, steps: {ask: {output: {by: timeout}}}}
  - name: somebody is too late
    mocks: {ask: {after: 3d, output: {choice: publish}}}
    expect: {outputs: {choice: discard}, took: 2d}
  - name: a choice that is none
    mocks: {ask: {output: {choice: perhaps}}}
    expect: {error: {code: test.choice}}
""")
    result = engine.run("test", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


COUNCIL = """
name: council
on: [{event: open.ping}]
steps:
  - id: ask
    approve:
      message: Pay?
      choices: [pay, wait]
      form: {note: {type: string, default: ''}}
      need: 2
      to: [ann@example.com, bob, cy]
      timeout: 2d
      notify: {lua: "return {urls = input.urls}", with: {urls: "${{ approval.urls }}"}}
outputs: {ask: "${{ steps.ask }}"}
"""


def council(engine):
    """Who is asked, each with their link."""
    start(engine, COUNCIL)
    ring(engine)
    def urls():
        steps = [step for row in engine.rows("runs", "--state", "parked") for step in engine.show_run(row["run"])["steps"]]
        return [step["output"]["urls"] for step in steps if step["step"] == "ask~notify" and len(steps) == 2]
    return {entry["to"]: Link(engine, entry["url"]) for entry in wait_for("the links", urls)[0]}


def test_a_choice_decides_when_enough_people_have_made_it(engine):
    links = council(engine)
    assert list(links) == ["ann@example.com", "bob", "cy"] and len({link.path for link in links.values()}) == 3
    status, page, _ = links["bob"].ask("GET")
    assert status == 200 and "You decide as bob" in page and "2 must choose the same, of: ann@example.com, bob, cy" in page and 'name="by"' not in page
    status, noted = links["ann@example.com"].post_json(choice="pay", form={"note": "fine"})
    assert status == 200 and {**noted, "vote": {**noted["vote"], "at": 0}} == {
        "status": "noted", "new": True, "need": 2, "votes": {"pay": 1}, "vote": {"choice": "pay", "by": "ann@example.com", "at": 0, "form": {"note": "fine"}}}
    before = fingerprint(engine)
    for fields in {"choice": "pay"}, {"choice": "wait"}, {"choice": "nonsense"}:  # the first decision of each stands
        assert links["ann@example.com"].post_json(**fields) == (200, {**noted, "new": False})
    assert "Your vote: <strong>pay</strong>" in links["ann@example.com"].ask("GET")[1]
    status, answer = links["bob"].post_json(choice="pay", by="ann@example.com")
    assert status == 422 and answer["error"]["code"] == "approval.by"  # nobody is somebody else
    assert fingerprint(engine) == before
    status, page, _ = links["bob"].post(choice="wait", by="bob")
    assert status == 200 and "Your vote: <strong>wait</strong>" in page and html.unescape(page).count("1</p>") == 2
    engine.stop()  # votes are there after a restart
    engine.start()
    for link in links.values():
        link.engine = engine
    status, answer = links["cy"].post_json(choice="pay")
    assert (status, answer["status"], answer["new"], answer["decision"]["by"]) == (200, "decided", True, "cy")
    done = engine.finished_runs(1)[0]
    ask = done["output"]["ask"]
    assert (ask["choice"], ask["by"], ask["form"]) == ("pay", "cy", {"note": ""})
    assert [(vote["by"], vote["choice"]) for vote in ask["votes"]] == [("ann@example.com", "pay"), ("bob", "wait"), ("cy", "pay")]
    assert sorted(act["actor"] for act in done["audit"]) == ["ann@example.com", "bob", "cy"]
    for link in links.values():  # late votes see the result
        assert link.post_json(choice="wait") == (200, {**answer, "new": False})
    assert engine.stop() == 0


def test_of_many_votes_at_once_each_person_has_one_and_one_decides(engine):
    links = council(engine)
    answers, barrier = [], threading.Barrier(12)

    def vote(name, number):
        barrier.wait()
        answers.append(links[name].post_json(choice="pay" if number % 2 else "wait"))
    threads = [threading.Thread(target=vote, args=(name, n)) for name in links for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    votes = store(engine, "SELECT actor, choice, decides FROM votes")
    assert len(votes) in (2, 3) and sum(decides for _, _, decides in votes) == 1
    chosen = engine.finished_runs(1)[0]["output"]["ask"]["choice"]
    assert sum(choice == chosen for _, choice, _ in votes) == 2
    assert len(store(engine, "SELECT * FROM audit")) == len(votes)


def test_a_link_that_is_no_ones_decides_nothing_where_names_are_asked(engine):
    """A run that asked whoever has the link is resumed on a version that asks people."""
    start(engine, COUNCIL.replace("      need: 2\n      to: [ann@example.com, bob, cy]\n", "").replace("urls", "url").replace("timeout: 2d", "timeout: 1h"))
    ring(engine)
    (run, link), = asked(engine)
    engine.stop()
    engine.env["BELLWIRE_CLOCK_AHEAD_MS"] = str(2 * 3600 * 1000)
    engine.start()
    assert engine.finished_runs(1)[0]["error"]["code"] == "approval.timeout"
    engine.write("workflows/w0.yaml", COUNCIL)
    engine.wait_log("catalog.activated")
    engine.run("runs", "resume", run, "--latest")
    wait_for("the question", lambda: engine.show_run(run)["state"] == "parked")
    link.engine = engine
    assert link.ask("GET")[0] == 410 and link.post_json(choice="pay")[0] == 410
    assert store(engine, "SELECT * FROM votes") == []
