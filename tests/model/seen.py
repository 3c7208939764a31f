"""What was seen of a schedule, as the properties want it, and the list of the properties."""
import base64
import json
import re
import sqlite3

SUCCEEDED, FAILED, CANCELLED, SKIPPED, UNKNOWN = 20, 21, 22, 23, 24
TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
CHECKS = []
# What retention removes is kept beside, with when that was and whether it was needed then: 1 it was alive, 2 it had failed and nobody had done anything
# about it, 4 and 8 the same of the outermost run that it belongs to.
ARCHIVE = """
CREATE TABLE gone_children(uid, join_id, item, parent_path, parent, fan, is_call, is_needed);
CREATE TABLE gone_runs AS SELECT *, 0 AS join_id, 0 AS item, '' AS parent_path, x'' AS parent, 0 AS fan, 0 AS is_call, 0 AS is_needed, 0 AS gone_ms FROM runs WHERE 0;
CREATE TABLE gone_steps AS SELECT *, x'' AS run FROM steps WHERE 0;
CREATE TABLE gone_bodies(event_id, body);
CREATE TABLE gone_matches(event_id, matched);
CREATE TABLE gone_events AS SELECT *, 0 AS is_needed, 0 AS gone_ms FROM events WHERE 0;
CREATE VIEW outermost AS
  WITH RECURSIVE above(id, run_id, is_end) AS (
    SELECT id, id, NOT EXISTS (SELECT 1 FROM children WHERE run_id = runs.id) FROM runs UNION ALL
    SELECT a.id, j.run_id, NOT EXISTS (SELECT 1 FROM children WHERE run_id = j.run_id) FROM above a JOIN children c ON c.run_id = a.run_id JOIN joins j ON j.id = c.join_id
    WHERE NOT a.is_end)
  SELECT id, run_id FROM above WHERE is_end;
CREATE TRIGGER keep_child BEFORE DELETE ON children BEGIN
  INSERT INTO gone_children SELECT r.uid, OLD.join_id, OLD.item, j.path, p.uid, j.concurrency, j.is_call,
    CASE WHEN j.is_detached OR o.id IS NULL THEN 0 WHEN o.state < 20 THEN 4 WHEN o.state = 21 AND NOT o.resolved AND o.ended_ms > model_now_ms() - 180 * 86400000 THEN 8 ELSE 0 END
    FROM runs r LEFT JOIN joins j ON j.id = OLD.join_id LEFT JOIN runs p ON p.id = j.run_id LEFT JOIN outermost u ON u.id = j.run_id LEFT JOIN runs o ON o.id = u.run_id
    WHERE r.id = OLD.run_id;
END;
CREATE TRIGGER keep_run BEFORE DELETE ON runs BEGIN
  INSERT INTO gone_runs SELECT r.*, g.join_id, g.item, g.parent_path, g.parent, g.fan, g.is_call, coalesce(g.is_needed, 0) +
    CASE WHEN r.state < 20 THEN 1 WHEN r.state = 21 AND NOT r.resolved AND g.uid IS NULL AND r.ended_ms > model_now_ms() - 180 * 86400000 THEN 2 ELSE 0 END, model_now_ms()
    FROM runs r LEFT JOIN gone_children g ON g.uid = r.uid WHERE r.id = OLD.id;
END;
CREATE TRIGGER keep_step BEFORE DELETE ON steps BEGIN INSERT INTO gone_steps SELECT s.*, r.uid FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.run_id = OLD.run_id AND s.path = OLD.path; END;
CREATE TRIGGER keep_body BEFORE DELETE ON bodies BEGIN INSERT INTO gone_bodies VALUES(OLD.event_id, CAST(OLD.body AS TEXT)); END;
CREATE TRIGGER keep_matches BEFORE DELETE ON matches BEGIN INSERT INTO gone_matches VALUES(OLD.event_id, OLD.matched); END;
CREATE TRIGGER keep_event BEFORE DELETE ON events BEGIN
  INSERT INTO gone_events SELECT e.*, EXISTS (SELECT 1 FROM pending WHERE event_id = e.id) + 2 * EXISTS (SELECT 1 FROM wakes WHERE event_id = e.id)
    + 4 * EXISTS (SELECT 1 FROM runs WHERE event_id = e.id) + 8 * EXISTS (SELECT 1 FROM collected WHERE event_id = e.id), model_now_ms()
    FROM events e WHERE e.id = OLD.id;
END;
"""


def uid_text(blob, prefix="run_"):
    return prefix + base64.b32encode(bytes(4) + blob)[6:].translate(TO_CROCKFORD).decode()  # 160 bits, of which the first 30 are none of its digits


def bare(path):
    """The step's id, without that of the foreach around it."""
    return path.rsplit(".")[-1]


def is_part(path):
    """Of a step whose code does it: "s3.ask[1]"."""
    return "[" in path


def connect(folder):
    database = sqlite3.connect(f"file:{folder}/data/bellwire.db?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    return database


def snapshot(folder):
    """(run, step) → state, of those that have ended for the store at the end of a life."""
    with connect(folder) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'steps'").fetchone():
            return {}  # it died before it had a database
        return {(uid_text(row[0]), row[1]): row[2] for row in database.execute("SELECT r.uid, s.path, s.state FROM steps s JOIN runs r ON r.id = s.run_id WHERE s.state >= 20")}


class Seen:
    def __init__(self, outcome):
        self.outcome, self.schedule = outcome, outcome.schedule
        database = connect(outcome.folder)
        self.query = lambda sql, *values: [dict(row) for row in database.execute(sql, values)]
        self.read_store()
        self.steps_of = {}  # run → {path: step}
        for (run, path), step in self.steps.items():
            self.steps_of.setdefault(run, {})[path] = step
        ended = {where: step["state"] for where, step in self.steps.items() if step["state"] >= SUCCEEDED}
        self.snapshots = [(place, ended if then is None else then) for place, then in outcome.snapshots]
        self.workflows = {}  # run → the version that it has run under
        self.read_lines()

    def read_store(self):
        self.runs = {}
        for row in self.query("SELECT r.*, c.join_id, c.item, j.path AS parent_path, p.uid AS parent, j.concurrency AS fan, j.is_call FROM runs r LEFT JOIN children c ON c.run_id = r.id "
                              "LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id"):
            row["uid"] = uid_text(row["uid"])
            row["parent"] = row["parent"] and uid_text(row["parent"])
            self.runs[row["uid"]] = row
        by_id = {row["id"]: uid for uid, row in self.runs.items()}
        self.steps = {}
        for row in self.query("SELECT * FROM steps"):
            self.steps[by_id[row["run_id"]], row["path"]] = row
        self.events = {row["id"]: row for row in self.query("SELECT e.*, b.body, m.matched FROM events e LEFT JOIN bodies b ON b.event_id = e.id LEFT JOIN matches m ON m.event_id = e.id")}
        self.gone = set()  # runs that retention has removed
        if not self.schedule.keep:
            return
        for row in self.query("SELECT * FROM gone_runs"):
            row["uid"] = uid_text(row["uid"])
            row["parent"] = row["parent"] and uid_text(row["parent"])
            self.runs[row["uid"]] = row
            self.gone.add(row["uid"])
        for row in self.query("SELECT * FROM gone_steps"):
            self.steps[uid_text(row["run"]), row["path"]] = row
        for row in self.query("SELECT e.*, b.body, m.matched FROM gone_events e LEFT JOIN gone_bodies b ON b.event_id = e.id LEFT JOIN gone_matches m ON m.event_id = e.id"):
            self.events[row["id"]] = row

    def read_lines(self):
        self.effects, self.ends, self.times = [], [], []  # effects in the order in which they were seen, and their ends; of repeated steps
        self.versions, self.revisions = {}, {}  # hash → (workflow, first step); revision → {workflow: hash}
        self.acts = []
        self.deaths = [place for place, line in enumerate(self.outcome.lines) if line.get("log") == "worker.lost"]
        now, places = None, {"effect": self.effects, "ended": self.ends, "again": self.times}
        for place, line in enumerate(self.outcome.lines):
            say = line.get("say")
            now = line["at_ms"] if say in ("time", "trace", "did") else now
            if say == "did":
                self.acts.append({**line, "place": place})
            elif say == "revision":
                self.revisions[line["revision"]] = {name: version for name, (version, _) in line["workflows"].items()}
                self.versions.update({version: (name, first) for name, (version, first) in line["workflows"].items()})
            found = line.get("log") == "step.log" and re.fullmatch(r"(effect|ended|again) (\S+) (\d+)", line["message"])
            if found:
                places[found[1]].append({"place": place, "life": line["life"], "run": line["run"], "step": line["step"], "workflow": line["workflow"],
                                         "key": found[2], "attempt": int(found[3]), "at_ms": now})

    def is_item(self, run):
        """Of a foreach: it belongs to the run that has started it."""
        return run["join_id"] and not run["is_call"]

    def known(self, effect):
        return self.schedule.version(effect["workflow"], bare(effect["step"])[0]).effects[bare(effect["step"])]

    def workflow_of(self, uid):
        """The version that it has run under."""
        if uid not in self.workflows:
            run = self.runs[uid]
            _, first = self.versions.get(run["version"].hex(), (None, None))
            first = first or next((path for path in self.steps_of.get(uid, ()) if not is_part(path)), "s")
            self.workflows[uid] = self.schedule.version(run["workflow"], bare(first)[0])
        return self.workflows[uid]

    def is_again(self, uid):
        """It, or what it belongs to, was resumed, or is a replay: much of what holds for a run holds for each time of it."""
        run = self.runs.get(uid)
        return bool(run) and bool(run["resumed_ms"] or run["origin"] or (run["parent"] and self.is_again(run["parent"])))

    def is_broken(self, begin, end):
        """Did a worker or the engine die between these places?"""
        return self.outcome.lines[begin]["life"] != self.outcome.lines[end]["life"] or any(begin < place < end for place in self.deaths)

    def resolved_ms(self, run):
        return run["resolved_ms"] or run["ended_ms"] + 180 * 86_400_000


def ancestors(seen, run):
    """Those that wait for it, the nearest first."""
    while run["parent"] and run["parent"] in seen.runs:
        run = seen.runs[run["parent"]]
        yield run


def intervals(seen):
    """(begin, end, effect) of attempts, by places; those of which the end is not known are left out."""
    ends = {}
    for end in seen.ends:
        ends.setdefault((end["life"], end["key"], end["attempt"]), []).append(end["place"])
    for effect in seen.effects:
        end = next((place for place in ends.get((effect["life"], effect["key"], effect["attempt"]), ()) if place > effect["place"]), None)
        if end is not None and not seen.is_broken(effect["place"], end):
            yield effect["place"], end, effect


def check_of(*numbers):
    def add(function):
        CHECKS.append((numbers, function))
        return function
    return add


def names():
    """Of all properties that are looked at here."""
    return " ".join(str(number) for number in sorted({number for numbers, _ in CHECKS for number in numbers} | {28}))


def check(outcome):
    seen = outcome.seen = Seen(outcome)
    wrong = []
    for numbers, function in CHECKS:
        for text in function(seen):
            wrong.append(f"property {'/'.join(map(str, numbers))} ({function.__name__}): {text}")
    return wrong


