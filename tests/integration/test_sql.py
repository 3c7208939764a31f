"""plugins/sql against a real PostgreSQL and a real SQLite: values come back as they went, a failure has changed nothing, a doubt is said, and nobody
waits for what nobody wants any more."""
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

import postgresql
from conftest import BUILD, ROOT, wait_for
from test_tls import dev_cert

HEAD = """
listen: [http://127.0.0.1:0]
allow_private_network: true
secrets: {DB_URL: {env: DB_URL}, OTHER_URL: {env: OTHER_URL}}
sources: {open: {path: /in/open, verify: none, event: ping}}
configure:
  sql:
    folder: FOLDER
    databases:
      - {name: main, url: {secret: DB_URL}, pool: 5}
      - {name: other, url: {secret: OTHER_URL}, pool: 1}
      - {name: file, file: app.db, pool: 5}
"""


@pytest.fixture(scope="module")
def server():
    server = postgresql.Server()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def tables(server):
    if not server.process:
        server.start()
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bellwire'")
    server.sql("drop schema public cascade; create schema public; create table item (id int primary key, name text not null, tags text[], body jsonb);"
               "create table paid (key text primary key, amount numeric not null check (amount > 0))")
    return server


@pytest.fixture
def app(make_engine, tables, tmp_path):
    folder = tmp_path / "databases"
    folder.mkdir()
    subprocess.run(["sqlite3", folder / "app.db", "pragma journal_mode = wal; create table item (id integer primary key, name text not null unique, "
                    "size integer check (size > 0)); create table part (item integer references item)"], check=True, capture_output=True)
    engine = make_engine(HEAD.replace("FOLDER", str(folder)))
    engine.env.update(DB_URL=tables.url(), OTHER_URL=tables.url())
    engine.databases = folder
    return engine


def steps(engine, *calls, check=True):
    """Each call is (action, input) of a step of one run. Returns what each has given: its output, or its error."""
    lines = ["name: tried", "on: [{manual: true}]", "steps:"]
    for index, (action, given) in enumerate(calls):
        lines.append(f"  - {{id: s{index}, uses: sql/{action}@1, on_error: continue, retry: {{attempts: 1}}, with: {json.dumps(given, ensure_ascii=False)}}}")
    engine.write("workflows/tried.yaml", "\n".join(lines) + "\n")
    result = engine.run("run", "tried", "--json", check=False)
    ends = {}
    for line in map(json.loads, result.stdout.splitlines()):
        if line["what"] == "step_finished":
            ends[line["step"]] = line.get("output") if line["state"] == "succeeded" else line["error"]
    assert len(ends) == len(calls), result.stdout + result.stderr
    return [ends[f"s{index}"] for index in range(len(calls))]


def query(sql, *params, database="main", **more):
    return "query", {"database": database, "sql": sql, "params": list(params), **more}


def execute(sql, *params, database="main", **more):
    return "execute", {"database": database, "sql": sql, "params": list(params), **more}


def transaction(*statements, database="main", **more):
    return "transaction", {"database": database, "statements": [{"sql": sql, "params": list(params)} for sql, *params in statements], **more}


# ---- values ----

VALUES = [  # PostgreSQL's expression, its JSON
    ("1::int2", 1), ("(-2147483648)::int4", -2147483648), ("9223372036854775807::int8", 9223372036854775807), ("true", True), ("null::text", None),
    ("'NaN'::float8", "NaN"), ("0.1::float8", 0.1), ("1e300::float8", 1e300), ("1.50::numeric", "1.50"), ("12345678901234567890.123::numeric", "12345678901234567890.123"),
    ("'é\"\\'::text", "é\"\\"), ("''::text", ""), ("'\\x00ff'::bytea", "\\x00ff"), ("'{\"a\": [1, null]}'::jsonb", {"a": [1, None]}), ("'7'::json", 7),
    ("'1e999'::json", "1e999"), ("date '2026-02-28'", "2026-02-28"), ("timestamp '2026-02-28 10:00:00.5'", "2026-02-28T10:00:00.5"),
    ("timestamptz '2026-02-28 10:00:00+00' at time zone 'UTC'", "2026-02-28T10:00:00"), ("timestamptz 'infinity'", "infinity"), ("timestamp '0044-03-15 BC'", "0044-03-15 00:00:00 BC"),
    ("array[1, null, 3]", [1, None, 3]), ("array[[1, 2], [3, 4]]", [[1, 2], [3, 4]]), ("array['a,b', '{}', '', 'NULL', null, E'q\"\\\\']", ["a,b", "{}", "", "NULL", None, "q\"\\"]),
    ("array[true, false]", [True, False]), ("array['{\"a\": 1}']::jsonb[]", [{"a": 1}]), ("'{}'::int[]", []), ("array[1.5]::numeric[]", ["1.5"]),
    ("'[0:1]={1,2}'::int[]", "[0:1]={1,2}"), ("interval '1 day 2 hours'", "1 day 02:00:00"), ("'10.0.0.0/8'::cidr", "10.0.0.0/8"),
]


def test_values_of_postgresql_are_json(app):
    [answer] = steps(app, query("select " + ", ".join(f"{sql} as c{index}" for index, (sql, _) in enumerate(VALUES))))
    assert "rows" in answer, answer
    [row] = answer["rows"]
    assert [(sql, row[f"c{index}"]) for index, (sql, _) in enumerate(VALUES)] == VALUES


def test_a_moment_has_its_offset(app):
    app.env["DB_URL"] += "?options=-c%20timezone%3DEurope/Berlin"
    [answer] = steps(app, query("select timestamptz '2026-07-01 10:00:00Z' as summer, timestamptz '2026-01-01 00:00:00.25Z' as winter"))
    assert answer["rows"] == [{"summer": "2026-07-01T12:00:00+02:00", "winter": "2026-01-01T01:00:00.25+01:00"}]


def test_columns_of_one_name_are_all_there(app):
    both = query("select 1 as a, 2 as a, 3 as a_2, 4 as a"), query("select 1 as a, 2 as a, 3 as a_2, 4 as a", database="file")
    for answer in steps(app, *both):
        assert answer["rows"] == [{"a": 1, "a_2": 2, "a_2_2": 3, "a_3": 4}]


def random_text(chance):
    return "".join(chance.choice(["a", "Ω", "\"", "\\", "{", "}", ",", " ", "'", "\n", "NULL", "𝄞", "$1", ";", "--"]) for _ in range(chance.randrange(6)))


def random_list(chance, depth):
    size = chance.randrange(1, 4)
    if depth == 0:
        return [chance.choice([None, random_text(chance)]) for _ in range(size)]
    inner = [random_list(chance, depth - 1) for _ in range(size)]
    return [inner[0]] * size  # PostgreSQL's arrays are rectangular


def random_json(chance, depth=3):
    kinds = [None, True, False, chance.randrange(-10**15, 10**15), chance.random(), random_text(chance)]
    if depth:
        kinds += [[random_json(chance, depth - 1) for _ in range(chance.randrange(4))], {random_text(chance): random_json(chance, depth - 1) for _ in range(chance.randrange(4))}] * 2
    return chance.choice(kinds)


def test_parameters_come_back_as_they_went(app):
    """Whatever they hold: they are never part of the statement's text."""
    seed = int(os.environ.get("BELLWIRE_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    texts = [random_text(chance) for _ in range(50)]
    lists = [random_list(chance, chance.randrange(3)) for _ in range(100)]
    values = [[random_json(chance)] for _ in range(100)]
    kinds = [("text", texts), ("text[]", lists), ("jsonb", values)]
    calls = [query("select " + ", ".join(f"${index + 1}::{kind} as c{index}" for index in range(len(given))), *given) for kind, given in kinds]
    for (kind, given), answer in zip(kinds, steps(app, *calls)):
        assert "rows" in answer, (seed, answer)
        assert list(answer["rows"][0].values()) == given, f"BELLWIRE_SEED={seed}"
    [answer] = steps(app, query("select " + ", ".join(f"${index + 1} as c{index}" for index in range(len(texts))), *texts, database="file"))
    assert list(answer["rows"][0].values()) == texts, f"BELLWIRE_SEED={seed}"


def test_a_list_is_an_array_or_json_as_its_column_is(app):
    _, answer = steps(app, execute("insert into item values ($1, $2, $3, $4)", 1, "a", [], []), query("select tags, body, pg_typeof(tags)::text as kind from item where id = any($1)", [1, 2]))
    assert answer["rows"] == [{"tags": [], "body": [], "kind": "text[]"}]


def test_numbers_keep_their_digits(app):
    _, answer = steps(app, execute("insert into paid values ('a', $1), ('b', $2)", 0.1, "1234567890123456789.000000001"), query("select amount from paid order by key"))
    assert [row["amount"] for row in answer["rows"]] == ["0.1", "1234567890123456789.000000001"]


def test_values_of_sqlite_are_json(app):
    [answer] = steps(app, query("select 9223372036854775807 as big, 0.5 as real, 1e999 as inf, 'é' as text, x'00ff' as blob, null as none, $2 as b, $1 as a",
                                True, [1, {"a": None}], database="file"))
    assert answer["rows"] == [{"big": 9223372036854775807, "real": 0.5, "inf": "Infinity", "text": "é", "blob": "\\x00ff", "none": None, "b": '[1,{"a":null}]', "a": 1}]


@pytest.mark.parametrize("database", ["main", "file"])
def test_the_number_of_parameters_must_fit(app, database):
    few, many = steps(app, query("select $1, $2", "a", database=database), query("select 1", "a", database=database))
    assert few["code"] in ("sql.input", "sql.08P01") and many["code"] in ("sql.input", "sql.08P01"), (few, many)


# ---- what a step may do ----

@pytest.mark.parametrize("database", ["main", "file"])
def test_all_or_nothing(app, database):
    good = transaction(("insert into item (id, name) values ($1, $2) returning id", 1, "a"), ("update item set name = $1", "b"), database=database)
    bad = transaction(("insert into item (id, name) values (2, 'c')",), ("insert into item (id, name) values (1, 'd')",), database=database)
    unexpected = execute("update item set name = 'z'", database=database, expect=2)
    answers = steps(app, good, bad, unexpected, query("select id, name from item", database=database))
    assert answers[0] == {"results": [{"affected": 1, "rows": [{"id": 1}]}, {"affected": 1, "rows": []}]}
    assert answers[1]["code"] == "sql.23505" and answers[1]["class"] == "permanent"
    assert answers[2]["code"] == "sql.unexpected_rows" and "concerns 1 row and expects 2" in answers[2]["message"]
    assert answers[3] == {"rows": [{"id": 1, "name": "b"}], "count": 1}


@pytest.mark.parametrize("database", ["main", "file"])
def test_what_changes_no_rows_affects_none(app, database):
    [answer] = steps(app, transaction(("insert into item (id, name) values (1, 'a'), (2, 'b')",), ("create table other (x integer)",), ("update item set name = name where id > 5",),
                                      ("delete from item",), database=database))
    assert [result["affected"] for result in answer["results"]] == [2, 0, 0, 2]


def test_text_that_json_cannot_hold_is_an_error(app):
    broken, null, blob = steps(app, *(query(f"select {sql} as x", database="file") for sql in ("cast(x'ff' as text)", "cast(x'610062' as text)", "x'610062'")))
    assert (broken["code"], null["code"], blob["rows"]) == ("sql.encoding", "sql.encoding", [{"x": "\\x610062"}])


@pytest.mark.parametrize("database", ["main", "file"])
def test_a_query_changes_nothing(app, database):
    insert, several, nothing = steps(app, query("insert into item (id, name) values (1, 'a')", database=database), query("select 1; select 2", database=database),
                                     query(" -- nothing\n/* at /* all */ */ ;", database=database if database == "main" else "main"))
    assert (insert["code"], several["code"], nothing["code"]) == ("sql.25006", "sql.42601", "sql.input")


@pytest.mark.parametrize("database,refused", [("main", ["commit", "/* x */ BEGIN", "set role app", "copy item to stdout", "listen x", "vacuum"]),
                                              ("file", ["commit", "pragma user_version = 2", "attach 'other.db' as o", "savepoint a"])])
def test_what_would_reach_beyond_the_step_is_refused(app, database, refused):
    for sql, answer in zip(refused, steps(app, *(execute(sql, database=database) for sql in refused))):
        assert answer["code"] == "sql.refused" and "a step cannot do" in answer["message"], (sql, answer)


def test_sqlite_reaches_no_other_file(app):
    app.write("databases/other.db", "")
    for answer in steps(app, execute("explain attach 'other.db' as o", database="file"), query("select load_extension('x')", database="file"), query("select * from pragma_database_list", database="file")):
        assert answer["code"].startswith("sql.sqlite"), answer


@pytest.mark.parametrize("database", ["main", "file"])
def test_answers_have_bounds(app, database):
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) "
    rows, exact, large = steps(app, query(numbers + "select i from n", database=database), query(numbers + "select i from n limit 7", database=database, max_rows=7),
                               query(numbers + ("select repeat('x', 10000) as x" if database == "main" else "select hex(zeroblob(5000)) as x") + " from n", database=database, max_rows=5000))
    assert rows["code"] == "sql.too_many_rows" and "max_rows = 1000" in rows["message"]
    assert exact["count"] == 7 and large["code"] == "sql.too_large"
    steps(app, execute("insert into item (id, name) values (1, 'a'), (2, 'b')", database=database))
    much, left = steps(app, execute("update item set name = name || 'z' returning *", database=database, max_rows=1), query("select name from item order by id", database=database))
    assert much["code"] == "sql.too_many_rows" and "nothing was changed" in much["message"]
    assert left["rows"] == [{"name": "a"}, {"name": "b"}]


def test_constraints_have_the_same_codes(app):
    for database in ("main", "file"):
        size = "amount" if database == "main" else "size"
        table = f"{'paid' if database == 'main' else 'item'}"
        null, check = steps(app, execute("insert into item (id, name) values (1, null)", database=database),
                            execute(f"insert into {table} ({'key' if table == 'paid' else 'name'}, {size}) values ('a', -1)", database=database))
        assert (null["code"], check["code"]) == ("sql.23502", "sql.23514")
    [foreign] = steps(app, execute("insert into part values (5)", database="file"))
    assert foreign["code"] == "sql.23503"


def test_errors_say_where(app):
    wrong, missing, none, unnamed = steps(app, query("select nothing from item"), query("select 1", database="mian"), query("selct 1", database="file"),
                                          ("query", {"sql": "select 1"}))
    assert wrong["code"] == "sql.42703" and "character 8" in wrong["message"]
    assert missing["code"] == "sql.input" and "configured: main, other, file" in missing["message"]
    assert "syntax error at character 1" in none["message"] and "which one is meant" in unnamed["message"]


def test_nothing_of_a_step_is_left_for_the_next(app):
    """One connection: what the first leaves in its session the second does not see."""
    answers = steps(app, query("select set_config('search_path', 'nowhere', false), pg_advisory_lock(5)::text", database="other"),
                    execute("create temp table item (x int)", database="other"), query("select count(*) from item", database="other"),
                    query("select current_setting('search_path') as path, (select count(*) from pg_locks where locktype = 'advisory') as locks", database="other"))
    assert answers[2]["rows"] == [{"count": 0}] and answers[3]["rows"] == [{"path": '"$user", public', "locks": 0}], answers


# ---- connections ----

def ping(engine, **data):
    assert engine.request("POST", "/in/open", json.dumps(data).encode(), {"Content-Type": "application/json"})[0] == 202


FAN = """
name: fan
on: [{event: open.ping}]
steps:
  - id: all
    foreach: "${{ event.data.items }}"
    concurrency: 200
    steps:
      - {id: one, uses: sql/query@1, with: {database: DATABASE, sql: "SQL", params: ["${{ item }}"]}}
"""


@pytest.mark.parametrize("database", ["main", "file"])
def test_many_calls_share_few_connections(app, server, database):
    connections = "(select count(*) from pg_stat_activity where application_name = 'bellwire')" if database == "main" else "5"
    app.write("workflows/fan.yaml", FAN.replace("DATABASE", database).replace("SQL", f"select cast($1 as integer) as n, {connections} as c"))
    app.start()
    ping(app, items=list(range(200)))
    [run] = app.finished_runs(1, "--workflow", "fan")
    assert run["state"] == "succeeded", run
    rows = [item["rows"][0] for item in run["steps"][-1]["output"]["items"]]
    assert [row["n"] for row in rows] == list(range(200)) and 5 <= max(row["c"] for row in rows) <= 6  # one may be that of the other database, whose health is asked


class Between:
    """A server that is a way to PostgreSQL. It cuts both ways when the client has said `word`: before it is passed on, or behind it."""

    def __init__(self, port, word=b"never said", passes_on=True):
        self.port, self.word, self.passes_on = port, word, passes_on
        self.cuts = self.refused = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://app:{postgresql.PASSWORD}@127.0.0.1:{self.listener.getsockname()[1]}/postgres"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.listener.accept()[0]
            try:
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                near.close()
                self.refused += 1
                continue
            threading.Thread(target=self.copy, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.copy, args=(far, near, False), daemon=True).start()

    def copy(self, source, target, is_client):
        try:
            while data := source.recv(65536):
                is_word = is_client and self.word in data
                if is_word and not self.passes_on:
                    self.cuts += 1
                    break
                if is_word:
                    self.cuts += 1
                    source.shutdown(socket.SHUT_RDWR)  # the client hears nothing of what the server says
                target.sendall(data)
                if is_word:
                    target.recv(1)
                    break
        except OSError:
            pass
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # the other thread reads from it
            one.close()


COUNT = """
name: count
on: [{event: open.ping}]
steps:
  - id: add
    uses: sql/execute@1
    retry: {attempts: 50, delay: 50ms, max_delay: 50ms}
    with: {database: main, sql: "insert into paid values ($1, $2)", params: ["${{ step.key }}", "${{ event.data.n }}"]}
"""


def test_a_server_that_is_gone_for_a_while_is_waited_for(app, server):
    between = Between(server.port)
    app.env["DB_URL"] = between.url
    app.write("workflows/count.yaml", COUNT)
    app.start()
    ping(app, n=1)
    app.finished_runs(1)
    server.stop()
    ping(app, n=2)
    wait_for("attempts", lambda: between.refused >= 3)
    server.start()
    assert [run["state"] for run in app.finished_runs(2)] == ["succeeded"] * 2
    server.stop("-QUIT")  # idle connections are dead, and nobody has said so
    server.start()
    ping(app, n=3)
    [run, *_] = app.finished_runs(3)
    assert run["state"] == "succeeded" and server.sql("select string_agg(amount::text, ' ' order by amount) from paid") == "1 2 3"


def test_a_killed_host_leaves_each_row_once(app, server):
    """A key that is unique makes what comes twice harmless: on conflict do nothing."""
    app.write("workflows/count.yaml", COUNT.replace("($1, $2)\"", "($1, $2) on conflict do nothing\""))
    app.start()
    for n in range(1, 61):
        ping(app, n=n)
        if n % 15 == 0:
            before = app.children("host")
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_for("new hosts", lambda: len(app.children("host")) == len(before) and not set(before) & set(app.children("host")))
    assert {run["state"] for run in app.finished_runs(60)} == {"succeeded"}
    assert server.sql("select count(*), sum(amount), count(distinct amount) from paid") == f"60|{60 * 61 // 2}|60"


ONCE = COUNT.replace("    uses:", "    guarantee: at_most_once\n    uses:")


@pytest.mark.parametrize("word,passes_on,state,rows", [(b"COMMIT\0", True, "failed", "1"), (b"insert into", True, "succeeded", "1"), (b"COMMIT\0", False, "failed", "0")],
                         ids=["commit", "statement", "commit-that-does-not-arrive"])
def test_only_a_commit_without_an_answer_is_a_doubt(app, server, word, passes_on, state, rows):
    between = Between(server.port, word, passes_on)
    app.env["DB_URL"] = between.url
    app.write("workflows/count.yaml", ONCE)
    app.start()
    ping(app, n=1)
    if state == "succeeded":
        wait_for("attempts", lambda: between.cuts >= 3)
        between.word = b"never said"
    [run] = app.finished_runs(1)
    step = run["steps"][-1]
    assert run["state"] == state and step["state"] == ("unknown" if state == "failed" else "succeeded"), run
    wait_for("the row", lambda: server.sql("select count(*) from paid") == rows)
    assert between.cuts >= 1


SLOW = {"main": "select pg_sleep(3600 * $1::int)::text", "file": "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as c from n where i > $1"}
LONG = """
name: long
on: [{event: open.ping}]
steps:
  - {id: look, uses: sql/query@1, with: {database: file, sql: select 1 as one}}
  - {id: wait, uses: sql/execute@1, timeout: TIMEOUT, retry: {attempts: 1}, with: {database: DATABASE, sql: "SQL", params: ["${{ steps.look.rows[1].one }}"]}}
"""


def begin_long(app, database, timeout):
    app.write("workflows/long.yaml", LONG.replace("TIMEOUT", timeout).replace("DATABASE", database).replace("SQL", SLOW[{"other": "main"}.get(database, database)]))
    app.start()
    ping(app)
    wait_for("its begin", lambda: timeout != "1h" or app.rows("runs", "--state", "active"))


def is_running(server):
    return server.sql("select count(*) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()") != "0"


@pytest.mark.parametrize("database", ["main", "file"])
@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_what_nobody_waits_for_is_stopped_on_the_server(app, server, database, how):
    begin_long(app, database, "1h" if how == "cancel" else "1s")
    if database == "main":
        wait_for("its begin on the server", lambda: is_running(server))
    if how == "cancel":
        app.run("runs", "cancel", app.rows("runs")[0]["run"])
    [run] = app.finished_runs(1)
    assert run["state"] == ("cancelled" if how == "cancel" else "failed"), run
    assert how == "cancel" or run["error"]["code"] == "step.timeout"
    if database == "main":
        wait_for("its end on the server", lambda: not is_running(server))
    assert not [line for line in app.log if line.get("log") in ("plugin.unresponsive", "plugin.crashed")]


def test_who_waits_for_a_connection_can_be_cancelled(app, server):
    begin_long(app, "other", "1h")
    wait_for("its begin on the server", lambda: is_running(server))
    [first] = app.rows("runs")
    ping(app)
    wait_for("two runs", lambda: len(app.rows("runs", "--state", "active")) == 2)
    second = next(row["run"] for row in app.rows("runs") if row["run"] != first["run"])
    app.run("runs", "cancel", second)
    [run] = app.finished_runs(1)
    assert (run["run"], run["state"]) == (second, "cancelled") and is_running(server)
    app.run("runs", "cancel", first["run"])
    assert {run["state"] for run in app.finished_runs(2)} == {"cancelled"}
    wait_for("its end on the server", lambda: not is_running(server))


# ---- who is connected to ----

URLS = [
    ("postgresql://app:WRONG@HOST/postgres", "sql.28P01", "password authentication failed"),
    ("postgresql://app:PASSWORD@HOST/nothing", "sql.3D000", "does not exist"),
    ("postgresql://app:PASSWORD@HOST/postgres?sslmode=require", "sql.tls", "does not support SSL"),
    ("postgresql://app:PASSWORD@HOST/postgres?passfile=/etc/passwd", "sql.url", "'passfile'"),
    ("postgresql://app:PASSWORD@HOST,HOST/postgres", "sql.url", "one host"),
    ("postgresql:///postgres?user=app", "sql.url", "must name a host"),
    ("postgresql://HOST/postgres", "sql.url", "must name a user"),
    ("mysql://app:PASSWORD@HOST/postgres", "sql.url", "must be like"),
    ("postgresql://app:PASSWORD@nowhere.invalid/postgres", "sql.name", "not found"),
]


def test_urls_that_lead_nowhere(app, server):
    names = [f"url{index}" for index in range(len(URLS))]
    secrets = ", ".join(f"{name.upper()}: {{env: {name.upper()}}}" for name in names)
    databases = "".join(f"      - {{name: {name}, url: {{secret: {name.upper()}}}}}\n" for name in names)
    app.write("bellwire.yaml", (app.folder / "bellwire.yaml").read_text().replace("secrets: {", f"secrets: {{{secrets}, ") + databases)
    for name, (url, _, _) in zip(names, URLS):
        app.env[name.upper()] = url.replace("HOST", f"127.0.0.1:{server.port}").replace("PASSWORD", postgresql.PASSWORD)
    for (url, code, says), answer in zip(URLS, steps(app, *(query("select 1", database=name) for name in names))):
        assert says in answer["message"] and answer["code"] == code, (url, answer)
        assert "WRONG" not in json.dumps(answer) and postgresql.PASSWORD not in json.dumps(answer)


def test_private_addresses_are_refused_unless_allowed(app, server):
    app.write("bellwire.yaml", (app.folder / "bellwire.yaml").read_text().replace("allow_private_network: true", ""))
    app.env["OTHER_URL"] = server.url().replace("127.0.0.1", "localhost")
    for answer in steps(app, query("select 1"), query("select 1", database="other")):
        assert answer["code"] == "sql.address_denied" and "allow_private_network" in answer["message"]


def test_tls_off_loopback_has_to_be_verified(app, tmp_path):
    """Off loopback a server has to prove who it is, unless the URL says otherwise."""
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    address = next((one for one in address if ":" not in one), None)
    if not address:
        pytest.skip("this machine has no address but loopback")
    server = postgresql.Server()
    try:
        dev_cert(tmp_path, address, "127.0.0.1", "localhost")
        pair = tmp_path / "tls"
        server.take_certificate(pair / "server.pem", pair / "server.key")
        server.options["listen_addresses"] = "*"
        (server.data / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
        server.start()
        ask = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        app.env["DB_URL"] = server.url().replace("127.0.0.1", address)
        app.env["OTHER_URL"] = server.url().replace("127.0.0.1", address) + "?sslmode=require"
        strict, weak = steps(app, query(ask), query(ask, database="other"))
        assert strict["code"] == "sql.tls" and "certificate" in strict["message"] and weak["rows"] == [{"ssl": True}]
        app.env["SSL_CERT_FILE"] = str(pair / "ca.pem")
        app.env["OTHER_URL"] = server.url().replace("127.0.0.1", "localhost")
        strict, loopback = steps(app, query(ask), query(ask, database="other"))
        assert strict["rows"] == [{"ssl": True}] and loopback["rows"] == [{"ssl": True}]
    finally:
        server.close()


def test_files_that_are_not_there_are_no_new_databases(app):
    (app.databases / "app.db").unlink()
    [answer] = steps(app, query("select 1", database="file"))
    assert answer["code"] == "sql.file" and "a new one is made by" in answer["message"] and not list(app.databases.iterdir())


def test_a_writer_beside_is_waited_for(app):
    look = "steps:\n  - {id: look, uses: sql/query@1, with: {database: file, sql: select 1 as one}}\n"
    count = COUNT.replace("main", "file").replace("paid values ($1, $2)", "item (name, size) values ($1, $2 * $3)").replace("event.data.n }}\"", "event.data.n }}\", \"${{ steps.look.rows[1].one }}\"")
    app.write("workflows/count.yaml", count.replace("steps:\n", look))
    app.start()
    other = sqlite3.connect(app.databases / "app.db", isolation_level=None)
    other.execute("begin immediate")
    for n in range(1, 9):
        ping(app, n=n)
    wait_for("the runs", lambda: len(app.rows("runs", "--state", "active")) == 8)
    other.execute("commit")
    assert {run["state"] for run in app.finished_runs(8)} == {"succeeded"}
    assert other.execute("select count(*), sum(size) from item").fetchone() == (8, 36)
    other.close()


# ---- in an instance ----

def test_the_example_of_the_readme(make_engine, server, tmp_path):
    folder = tmp_path / "sqlite"
    folder.mkdir()
    subprocess.run(["sqlite3", folder / "notes.db", "create table note (key text primary key, text)"], check=True)
    server.sql("drop schema public cascade; create schema public; create table customer (id serial primary key, name text, email text, tags text[], total bigint);"
               "create table booking (key text primary key, customer int references customer, cents bigint); insert into customer (name, email) values ('Ada', 'ada@shop.example')")
    engine = make_engine()
    for name, text in re.findall(r"^```yaml (\S+)\n(.*?)^```$", (ROOT / "plugins" / "sql" / "README.md").read_text(), re.M | re.S):
        text = text.replace("/var/lib/bellwire/sqlite ", f"{folder} ")
        engine.write(name, "listen: [http://127.0.0.1:0]\nallow_private_network: true\n" + text if name == "bellwire.yaml" else text)
    engine.env["ORDERS_DB"] = server.url()
    engine.start()
    for cents in (1999, 1):
        assert engine.request("POST", "/in/shop", json.dumps({"email": "ada@shop.example", "cents": cents}).encode(), {"Content-Type": "application/json"})[0] == 202
    assert [run["state"] for run in engine.finished_runs(2)] == ["succeeded"] * 2
    assert server.sql("select total, (select count(*) from booking) from customer") == "2000|2"
    with contextlib.closing(sqlite3.connect(folder / "notes.db")) as notes:
        assert notes.execute("select text from note").fetchall() == [("ada@shop.example ordered",)] * 2


def test_without_a_configuration_there_is_no_process_and_a_hint(app):
    configured = (app.folder / "bellwire.yaml").read_text()
    bare = configured[:configured.index("configure:")]
    app.write("bellwire.yaml", bare)
    app.write("workflows/count.yaml", COUNT)
    result = app.run("check", check=False)
    assert "there is no action sql/execute@1" in result.stderr and "as soon as bellwire.yaml configures it: bellwire actions show sql/" in result.stderr
    assert "sql/execute" in app.run("actions").stdout
    (app.folder / "workflows" / "count.yaml").unlink()
    app.start()
    before = len(app.children("host"))
    app.write("workflows/count.yaml", COUNT)
    app.write("bellwire.yaml", configured)
    app.process.send_signal(signal.SIGHUP)
    app.wait_log("plugin.changed", plugin="sql.so")
    assert len(app.children("host")) == before + 1
    ping(app, n=1)
    assert app.finished_runs(1)[0]["state"] == "succeeded"
    (app.folder / "workflows" / "count.yaml").unlink()
    app.write("bellwire.yaml", bare)
    app.process.send_signal(signal.SIGHUP)
    wait_for("the end of its process", lambda: len(app.children("host")) == before)


CALLS = """
calls:
  - {action: sql/query, with: {database: main, sql: "select $1::int as one", params: [1]}}
  - {action: sql/query, with: {database: file, sql: select 1 as one}}
  - {action: sql/query, with: {database: main, sql: "select pg_sleep(3600)::text"}, slow: true}
  - {action: sql/execute, with: {database: main, sql: "insert into paid values (gen_random_uuid()::text, $1)", params: ["1.5"]}}
  - {action: sql/execute, with: {database: file, sql: "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as c from n"}, slow: true}
  - {action: sql/transaction, with: {database: file, statements: [{sql: delete from part}, {sql: delete from item}]}}
  - {action: sql/transaction, with: {database: main, statements: [{sql: insert into nowhere values (1)}]}, error: sql.42P01}
"""


def test_the_plugin_keeps_the_contract(app):
    app.write("calls.yaml", CALLS)
    said = app.run("plugin", "test", BUILD / "plugins" / "when-configured" / "sql.so", "--config", "bellwire.yaml", "--calls", "calls.yaml", "--repeat", "200").stdout
    assert not re.findall("^not ok", said, re.M) and said.count("\nok ") >= 29, said


def test_a_folder_that_is_no_path_is_refused_where_it_is_written(app):
    app.write("bellwire.yaml", HEAD.replace("FOLDER", "databases"))
    result = app.run("check", check=False)
    assert result.returncode == 1 and "bellwire.yaml:8:13: configure.sql: folder must be a path from the root" in result.stderr, result.stderr


def test_its_health_is_that_of_the_databases(app, tables):
    app.start()

    def says(health):
        rows = {row["plugin"]: row for row in map(json.loads, app.run("plugin", "list", "--json", check=False).stdout.splitlines())}
        return rows["sql"] if rows["sql"].get("health") == health else None
    wait_for("all databases to answer", lambda: says("well"))
    tables.stop()
    row = wait_for("one that is away", lambda: says("ill"))
    assert row["code"] == "sql.connection" and row["message"].startswith("database 'main': "), row
    tables.start()
    wait_for("all databases to answer again", lambda: says("well"))
