"""The properties that hold whatever happens, by the numbers of the list in the design; each is a function of what was seen of a schedule. Those of
failures and calls are in properties_endings.py, those of what people and time do in properties_more.py."""
import json
import re

from seen import FAILED, SUCCEEDED, UNKNOWN, ancestors, bare, check, check_of, uid_text


@check_of(1)
def every_answered_event_is_there_with_its_runs(seen):
    there = {uid_text(row["uid"], "evt_"): row for row in seen.events.values()}
    for key, event in seen.outcome.accepted.items():
        if event not in there:
            yield f"{event} ({key}) was answered and is not there"
    for row in seen.events.values():
        runs = [run for run in seen.runs.values() if run["event_id"] == row["id"] and not run["join_id"] and not run["origin"]]
        if any(wanted.keys.get("collect") and wanted.takes(row["name"]) for wanted in seen.schedule.workflows):
            continue  # 11
        if row["matched"] is not None and row["matched"] != len(runs):
            yield f"event {row['id']} matched {row['matched']} and has {len(runs)} runs"
        wanted = [workflow.name for workflow in seen.schedule.workflows if workflow.takes(row["name"])]
        if sorted(wanted) != sorted(run["workflow"] for run in runs):
            yield f"event {row['id']} {row['name']} is for {wanted} and has {[run['workflow'] for run in runs]}"


@check_of(2)
def a_key_has_one_event_and_an_event_one_run_of_a_workflow(seen):
    if len(seen.query("SELECT dedupe FROM events WHERE dedupe IS NOT NULL GROUP BY dedupe HAVING count(*) > 1")):
        yield "a dedupe key has two events"
    sent = {event["key"] for event in seen.schedule.acts if event["do"] == "event"}
    if len([row for row in seen.events.values() if row["source"] == "model"]) != len(sent):  # each within the time that keys are kept
        yield f"{len(sent)} keys were sent, there are {len(seen.events)} events"
    pairs = [(run["event_id"], run["workflow"]) for run in seen.runs.values() if not run["join_id"] and not run["origin"]]
    if len(pairs) != len(set(pairs)):
        yield f"two runs of one event and workflow: {pairs}"


@check_of(3)
def what_is_recorded_as_succeeded_is_not_run_again(seen):
    for place, ended in seen.snapshots:
        for effect in seen.effects + seen.times:
            if effect["place"] >= place and ended.get((effect["run"], effect["step"])) == SUCCEEDED:
                yield f"{effect['run']} {effect['step']} had been recorded before life {effect['life']}"


@check_of(4)
def effects_of_a_step_have_one_key_of_their_own(seen):
    keys = {}
    for effect in seen.effects:
        keys.setdefault((effect["run"], effect["step"]), set()).add(effect["key"])
    for where, of in keys.items():
        if len(of) != 1:
            yield f"{where} had {len(of)} keys"
    every = [key for of in keys.values() for key in of]
    if len(every) != len(set(every)):
        yield "two steps had one key"


@check_of(5)
def what_succeeded_was_done(seen):
    done = {(effect["run"], effect["step"]) for effect in seen.effects}
    for (run, path), step in seen.steps.items():
        if seen.runs[run]["origin"] and run not in {effect["run"] for effect in seen.effects if effect["step"] == path}:
            continue  # what it had before may be copied
        if step["state"] == SUCCEEDED and bare(path) in seen.workflow_of(run).effects and (run, path) not in done:
            yield f"{run} {path} succeeded without an effect"


@check_of(5)
def what_must_not_happen_twice_does_not(seen):
    done = {}
    for effect in seen.effects:
        done.setdefault((effect["run"], effect["step"]), []).append(effect)
    for where, effects in done.items():
        known, attempts = seen.known(effects[0]), [effect["attempt"] for effect in effects]
        if known.is_once and not seen.is_again(where[0]) and (len(set(attempts)) != len(attempts) or any(attempt > known.fails for attempt in attempts[:-1])):
            yield f"{where} was called as attempts {attempts}, of which {known.fails} said that they had done nothing"
    for (run, path), step in seen.steps.items():
        known = seen.workflow_of(run).effects.get(bare(path))
        if step["state"] == UNKNOWN and not (known and known.is_once):
            yield f"{run} {path} is unknown, and was not promised to happen at most once"
        if known and known.is_once and step["state"] == 4:
            yield f"{run} {path} is left as started"


@check_of(6)
def attempts_and_the_time_between_them(seen):
    last = {}
    for effect in seen.effects:
        known, where = seen.known(effect), (effect["run"], effect["step"])
        if effect["attempt"] > known.attempts:
            yield f"{where} had attempt {effect['attempt']} of {known.attempts}"
        if known.is_permanent and effect["attempt"] > 1 and not seen.is_again(effect["run"]):
            yield f"{where} was tried again after a permanent error"
        before = last.get(where)
        if before and seen.is_again(effect["run"]) and effect["attempt"] <= before["attempt"]:
            before = None  # it was resumed
        if before and effect["attempt"] == before["attempt"] + 1:
            least = max(min(known.delay_ms * known.factor ** (before["attempt"] - 1), 600_000) * (1 - known.jitter), known.after_ms)
            if effect["at_ms"] - before["at_ms"] < least - 1:
                yield f"{where} attempt {effect['attempt']} came {effect['at_ms'] - before['at_ms']} ms after the one before, not {least}"
        if before and effect["attempt"] > before["attempt"] + 1 and not seen.is_again(effect["run"]):
            yield f"{where} attempt {effect['attempt']} follows {before['attempt']}"
        last[where] = effect


@check_of(6)
def a_step_is_repeated_at_its_times(seen):
    last, keys_of = {}, {}
    for time in seen.times:
        where = time["run"], time["step"]
        known, before = seen.schedule.version(time["workflow"], bare(time["step"])[0]).repeats[bare(time["step"])], last.get(where)
        keys, is_broken = keys_of.setdefault(where, []), before and seen.is_broken(before["place"], time["place"])
        last[where] = time
        if seen.is_again(time["run"]):
            continue
        if time["key"] not in keys:
            keys.append(time["key"])
            if before and not is_broken and time["at_ms"] - before["at_ms"] < known["every_ms"]:
                yield f"{where} was run again after {time['at_ms'] - before['at_ms']} ms, not {known['every_ms']}"
        elif before["key"] == time["key"] and before["attempt"] == time["attempt"] and not is_broken:
            yield f"{where} was run twice as attempt {time['attempt']} of the key {time['key']}"
        elif before["key"] != time["key"] and not is_broken and keys.index(time["key"]) != keys.index(before["key"]) + 1:
            # what was not recorded when its process died is done once more, under the same keys in their order
            yield f"{where} went back to the key {time['key']}"
        if len(keys) > known["max"]:
            yield f"{where} was run {len(keys)} times of {known['max']}"
    keys = [key for of in keys_of.values() for key in of]
    if len(keys) != len(set(keys)):
        yield "two repeated steps had one key"


@check_of(7, 8)
def nothing_is_left_behind(seen):
    for run in seen.runs.values():
        if run["state"] < SUCCEEDED:
            yield f"{run['uid']} of {run['workflow']} is left in state {run['state']}"
        code = run["error"] and json.loads(run["error"]).get("code")
        if code == "run.timeout" and not any("timeout" in workflow.keys for workflow in seen.schedule.workflows):
            yield f"{run['uid']} of {run['workflow']} waited for 30 days"
    for (run, path), step in seen.steps.items():
        if step["state"] < SUCCEEDED and run in seen.runs and seen.runs[run]["state"] >= SUCCEEDED:
            yield f"{run} has ended and its step {path} is left in state {step['state']}"
    for table in ("queue", "timers", "waits", "wakes", "slots", "pending", "wakings", "delayed", "later"):
        rows = seen.query(f"SELECT * FROM {table}")
        if rows:
            yield f"{table} has {rows[:3]}"
    if seen.query("SELECT * FROM joins WHERE is_open AND NOT is_detached"):
        yield "a join is open"


@check_of(8, 9)
def runs_of_a_key_do_not_overlap_and_keep_their_order(seen):
    """With what they have started: from the first effect to the last one. Who has called what is in its own group has lent its slot."""
    scopes = {}
    for workflow in seen.schedule.workflows:
        scopes.setdefault(workflow.scope(), []).append(workflow)
    for scope, workflows in scopes.items():
        if not scope or any("hold" in workflow.keys["concurrency"] for workflow in workflows):
            continue
        names, limit = {workflow.name for workflow in workflows}, workflows[0].keys["concurrency"]["limit"]
        families = {}
        for effect in seen.effects:
            run = seen.runs[effect["run"]]
            if seen.is_again(effect["run"]):
                continue
            holders = [of for of in (run, *ancestors(seen, run)) if of["workflow"] in names and not seen.is_item(of)]
            if holders:
                families.setdefault(holders[-1]["uid"], []).append(effect["place"])
        spans = {}
        for uid, places in families.items():
            run = seen.runs[uid]
            key = json.loads(seen.events[run["event_id"]]["body"])["k"]
            spans.setdefault(key, []).append((min(places), max(places), run))
        for key, of in spans.items():
            of.sort(key=lambda span: span[0])
            for begin, _, run in of:
                others = [other["uid"] for first, last, other in of if other is not run and first <= begin < last]
                if len(others) >= limit:
                    yield f"{scope} key {key}: {run['uid']} began beside {others}"
            events = [run["event_id"] for _, _, run in of if not run["join_id"]]
            if limit == 1 and events != sorted(events) and len(names) == 1:
                yield f"{scope} key {key}: runs began in the order of the events {events}"


def milliseconds(text):
    return int(text.removesuffix("ms"))


@check_of(10)
def no_more_runs_begin_than_the_rate_allows(seen):
    every = {"2/1s": 500, "5/1m": 12000, "3/1h": 1200000}
    effects = {effect["run"] for effect in seen.effects}
    for workflow in seen.schedule.workflows:
        rule = workflow.keys.get("rate")
        if not rule or workflow.keys.get("concurrency"):
            continue  # a run that waits for its slot begins later than it was let in
        begun = {}
        for run in seen.runs.values():
            if run["workflow"] != workflow.name or seen.is_item(run) or seen.is_again(run["uid"]):
                continue
            refused = run["error"] and json.loads(run["error"]).get("code") == "run.rate"
            if refused and rule["over"] == "delay":
                yield f"{run['uid']} was left out, not delayed"
            if not refused and (run["state"] in (SUCCEEDED, FAILED) or run["uid"] in effects):  # else its end came before its beginning
                begun.setdefault(json.loads(seen.events[run["event_id"]]["body"])["k"], []).append((run["started_ms"], run["id"] if run["join_id"] else run["event_id"]))
        for key, of in begun.items():
            of.sort()
            if [event for _, event in of] != sorted(event for _, event in of):
                yield f"{workflow.name} key {key}: not in the order of the events: {of}"
            for i, (at, _) in enumerate(of):
                for k in range(i):
                    if (i - k + 1 - rule.get("burst", 1)) * every[rule["limit"]] > at - of[k][0] + 1:
                        yield f"{workflow.name} key {key}: {i - k + 1} runs within {at - of[k][0]} ms at {rule}"
                        return


@check_of(2, 11)
def collected_events_are_in_one_run_each_and_in_time(seen):
    for workflow in seen.schedule.workflows:
        rule = workflow.keys.get("collect")
        if not rule or seen.schedule.keep:
            continue
        of_run, owners = {}, {}
        for row in seen.query("SELECT r.id AS run_id, e.event_id FROM collected e JOIN runs r ON r.collector_id = e.collector_id AND r.origin IS NULL LEFT JOIN children c ON c.run_id = r.id WHERE r.workflow = ? AND c.run_id IS NULL", workflow.name):
            of_run.setdefault(row["run_id"], []).append(row["event_id"])
            owners.setdefault(row["event_id"], set()).add(row["run_id"])
        wanted = {row["id"] for row in seen.events.values() if workflow.takes(row["name"])}
        if set(owners) != wanted or any(len(of) != 1 for of in owners.values()):
            yield f"{workflow.name} is to have the events {sorted(wanted)} and has {of_run}"
            continue
        for run in seen.runs.values():
            if run["workflow"] != workflow.name or run["join_id"] or run["origin"]:
                continue
            events = sorted(of_run.get(run["id"], []))
            times = [seen.events[event]["at_ms"] for event in events]
            if not events or run["event_id"] != events[-1]:
                yield f"{run['uid']} is of event {run['event_id']} and has {events}"
                continue
            if len({json.loads(seen.events[event]["body"])["k"] for event in events}) != 1:
                yield f"{run['uid']} has events of several keys: {events}"
            if len(events) > rule.get("max_events", 100):
                yield f"{run['uid']} has {len(events)} events at {rule}"
            if any(later - earlier >= milliseconds(rule["quiet"]) for earlier, later in zip(times, times[1:])):
                yield f"{run['uid']} goes over a time of quiet: {times} at {rule}"
            if "max_wait" in rule and times[-1] - times[0] > milliseconds(rule["max_wait"]):
                yield f"{run['uid']} waited longer than it may: {times} at {rule}"


@check_of(12)
def a_wait_takes_the_first_event_that_fits_or_its_time(seen):
    for (run, path), step in seen.steps.items():
        workflow = seen.workflow_of(run)
        if path not in workflow.waits or run in seen.gone or step["state"] != SUCCEEDED or seen.runs[run]["join_id"] or seen.is_again(run):
            continue  # one that was resumed may wait by a field that no workflow had when the event came
        own = seen.events[seen.runs[run]["event_id"]]
        k = json.loads(own["body"])["k"]
        fitting = sorted(row["id"] for row in seen.events.values() if row["id"] > own["id"] and row["name"] == "model.w" and json.loads(row["body"])[workflow.by] == k
                         and row.get("gone_ms", step["started_ms"] + 1) > step["started_ms"])  # retention may have removed one before anybody waited for it
        output = json.loads(step["output"])
        due_ms = step["started_ms"] + workflow.waits[path]
        if "event" in output:
            got = next(row["id"] for row in seen.events.values() if uid_text(row["uid"], "evt_") == output["event"]["id"])
            if got != fitting[0]:
                yield f"{run} {path} took event {got}, the first that fits is {fitting[0]}"
        else:
            early = [event for event in fitting if seen.events[event]["at_ms"] < due_ms]
            if early:
                yield f"{run} {path} timed out though event {early[0]} had come"
            if step["ended_ms"] < due_ms:
                yield f"{run} {path} timed out {due_ms - step['ended_ms']} ms early"


@check_of(14)
def a_foreach_runs_each_item_once_and_counts_right(seen):
    if seen.schedule.keep:
        return
    for join in seen.query("SELECT j.*, r.uid AS run, s.state AS step_state, s.output AS step_output FROM joins j JOIN runs r ON r.id = j.run_id LEFT JOIN steps s ON s.run_id = j.run_id AND s.path = j.path WHERE NOT j.is_call"):
        children = [run for run in seen.runs.values() if run["join_id"] == join["id"]]
        items = [run["item"] for run in children]
        if len(items) != len(set(items)) or any(item >= join["total"] for item in items):
            yield f"join {join['id']} has the items {sorted(items)} of {join['total']}"
        if join["step_state"] == SUCCEEDED and join["step_output"]:
            output = json.loads(join["step_output"])
            good, bad = (len([run for run in children if (run["state"] == SUCCEEDED) == wanted]) for wanted in (True, False))
            if (output["succeeded"], output["failed"], output["total"]) != (good, bad, join["total"]) or good + bad != join["total"]:
                yield f"{uid_text(join['run'])} {join['path']} says {output['succeeded']}+{output['failed']} of {output['total']}, there are {good}+{bad} of {join['total']}"
        active, most = set(), 0
        of = {run["uid"] for run in children}
        for line in seen.outcome.lines:
            trace = line.get("trace") or {}
            if trace.get("run") in of and trace["what"] == "step_started":
                active.add(trace["run"])
                most = max(most, len(active))
            elif trace.get("run") in of and trace["what"] == "run_finished":
                active.discard(trace["run"])
        if most > join["concurrency"]:
            yield f"{uid_text(join['run'])} {join['path']} had {most} items under way, {join['concurrency']} are allowed"


@check_of(16)
def a_step_begins_when_what_it_needs_has_ended(seen):
    first, last = {}, {}
    for effect in seen.effects:
        where = effect["run"], effect["step"]
        first.setdefault(where, effect["place"])
        last[where] = effect["place"]
    for (run, path), place in first.items():
        workflow = seen.workflow_of(run)
        for earlier, later in workflow.order:
            if path == later and last.get((run, earlier), -1) > place:
                yield f"{run} {later} began before {earlier} had ended"


@check_of(31)
def what_an_effect_depends_on_is_on_disk_when_it_begins(seen):
    """Whenever a life ends, that which came before an effect that was seen is in the store."""
    before = -1
    for place, ended in seen.snapshots:
        for effect in seen.effects:
            if not before <= effect["place"] < place or seen.schedule.keep or seen.is_again(effect["run"]) or effect["run"] not in seen.runs:
                continue
            for earlier, later in seen.workflow_of(effect["run"]).order:
                if effect["step"] == later and (effect["run"], earlier) not in ended:
                    yield f"{effect['run']} {later} had begun when life {effect['life']} ended, and how {earlier} had ended was not recorded"
        before = place


@check_of(32)
def each_emit_is_an_event(seen):
    if seen.schedule.keep:
        return
    recorded = {}  # event → the runs that say it is theirs; a run that was replayed from a later step on has what its origin had emitted
    for (run, path), step in seen.steps.items():
        if step["state"] == SUCCEEDED and path in seen.workflow_of(run).emits:
            recorded.setdefault((json.loads(step["output"])["event"], path), []).append(run)
    there = {uid_text(row["uid"], "evt_") for row in seen.events.values() if row["name"] == "model.emitted"}
    if {event for event, _ in recorded} != there or len(recorded) != len(there):
        yield f"the emit steps recorded {sorted(recorded)}, the events are {sorted(there)}"
    for (event, path), runs in recorded.items():
        if sum(seen.runs[run]["origin"] is None for run in runs) > 1:
            yield f"{event} of {path} is said to be theirs by {runs}"
    by_uid = {uid_text(row["uid"], "evt_"): row for row in seen.events.values()}
    for (run, path), step in seen.steps.items():
        delay_ms = seen.workflow_of(run).emits.get(path)
        if delay_ms and step["state"] == SUCCEEDED:
            event = by_uid.get(json.loads(step["output"])["event"])
            if not event or event["at_ms"] < step["started_ms"] + delay_ms:
                yield f"{run} {path}: its event is to come {delay_ms} ms later and is {event}"


@check_of(36)
def the_sweeper_found_nothing(seen):
    if seen.outcome.repairs:
        yield f"{seen.outcome.repairs} repairs"
    for line in seen.outcome.lines:
        if line.get("log", "").startswith("store.repair") or (line.get("level") == "error" and line.get("log") not in ("catalog.error", "catalog.refused")):
            yield f"a line that must not be: {json.dumps(line)[:300]}"


def ends(outcome):
    """What came of each run, by what it is: its event's key or place, its workflow, its parent's step and item."""
    seen = outcome.seen
    keys = {event: key for key, event in outcome.accepted.items()}
    names = {}

    def name(uid):
        if uid not in names:
            run = seen.runs[uid]
            event = seen.events[run["event_id"]]
            key = keys.get(uid_text(event["uid"], "evt_")) or (event["name"], event["body"])
            names[uid] = (name(run["parent"]), run["parent_path"], run["item"]) if run["parent"] else (key, run["workflow"])
        return names[uid]
    found = {}
    for uid, run in seen.runs.items():
        output = json.loads(run["output"]) if run["output"] else None
        text = re.sub(r'"(emitted|event|id|run)": "[a-z]+_[0-9a-z]{26}"', "", json.dumps(output, sort_keys=True))
        found.setdefault(name(uid), []).append((run["state"], text))
    return {key: sorted(of) for key, of in found.items()}


def may_be_missing(key, one, other):
    """A run that a step has started beside one that failed: whether it had begun by then is a matter of time."""
    if len(key) < 3:
        return False
    failed = [any(state == FAILED for state, _ in of.get(key[0], [])) for of in (one, other)]
    return all(failed) or may_be_missing(key[0], one, other)


def check_same(outcome, calm):
    wrong = check(calm)
    if wrong:
        return [f"without faults: {text}" for text in wrong]
    one, other = ends(outcome), ends(calm)
    for key in set(one) ^ set(other):
        if may_be_missing(key, one, other):
            one.pop(key, None), other.pop(key, None)
    return [f"property 28 (crashes change nothing): {key}: {one.get(key)}, without them {other.get(key)}" for key in sorted(set(one) | set(other), key=str)
            if one.get(key) != other.get(key)]
