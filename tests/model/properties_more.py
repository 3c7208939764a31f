"""Properties of what people do, of versions, limits, schedules and retention."""
import json

from schedules import START_MS
from seen import CANCELLED, FAILED, SUCCEEDED, bare, check_of, intervals, is_part, uid_text

MINUTE = 60_000
PERIODS = {"3/1s": 1000 / 3, "10/1m": 6000, "30/1h": 120_000}  # ms a unit of cost


@check_of(10)
def no_more_begins_than_a_limit_allows(seen):
    lives_broken = seen.outcome.crashed_lives
    by_limit = {}
    for effect in seen.effects:
        known = seen.known(effect)
        if known.limit:
            key = json.loads(seen.events[seen.runs[effect["run"]]["event_id"]]["body"])["k"] if known.is_keyed else None
            by_limit.setdefault((known.limit, key), []).append(effect)
    for (name, key), effects in by_limit.items():
        rule = seen.schedule.limits[name]
        if "rate" in rule:
            for i, last in enumerate(effects):
                cost = 0
                for first in reversed(effects[:i + 1]):
                    cost += seen.known(first).cost
                    crashes = sum(first["life"] <= life < last["life"] for life in lives_broken)  # what was just given may be forgotten then
                    if cost > (last["at_ms"] - first["at_ms"] + 1) / PERIODS[rule["rate"]] + rule["burst"] * (1 + crashes) + 1e-6:
                        yield f"{name} {key}: {cost} within {last['at_ms'] - first['at_ms']} ms at {rule}"
                        return
        for place, end, effect in intervals(seen):
            known = seen.known(effect)
            asked_ms = known.after_ms if effect["attempt"] <= known.fails and effect["attempt"] < known.attempts and not known.is_permanent else 0
            if effect not in effects or not asked_ms:
                continue
            paused_ms = next(line["at_ms"] for line in seen.ends if line["place"] == end)
            for other in effects:
                if other["life"] == effect["life"] and paused_ms < other["at_ms"] < paused_ms + asked_ms:
                    yield f"{name} {key} was to pause for {asked_ms} ms and something began after {other['at_ms'] - paused_ms}"


@check_of(10)
def no_more_are_under_way_than_a_limit_allows(seen):
    by_limit = {}
    for begin, end, effect in intervals(seen):
        known = seen.known(effect)
        if known.limit and "concurrency" in seen.schedule.limits[known.limit] and seen.runs[effect["run"]]["state"] != CANCELLED:
            key = json.loads(seen.events[seen.runs[effect["run"]]["event_id"]]["body"])["k"] if known.is_keyed else None
            by_limit.setdefault((known.limit, key), []).extend([(begin, 1), (end, -1)])
    for (name, key), changes in by_limit.items():
        count = 0
        for _, change in sorted(changes):
            count += change
            if count > seen.schedule.limits[name]["concurrency"]:
                yield f"{name} {key}: {count} at once at {seen.schedule.limits[name]}"
                break


def due(text):
    return int(text.removesuffix("ms"))


@check_of(10)
def runs_begin_in_their_time(seen):
    first = {}
    for effect in seen.effects:
        first.setdefault(effect["run"], effect)
    for uid, effect in first.items():
        at_ms = effect["at_ms"]
        run = seen.runs[uid]
        keys = seen.workflow_of(uid).keys
        if run["join_id"] or seen.is_again(uid):
            continue
        event_ms = seen.events[run["event_id"]]["at_ms"]
        if "delay" in keys and at_ms < event_ms + due(keys["delay"]):
            yield f"{uid} began {at_ms - event_ms} ms after its event, its delay is {keys['delay']}"
        is_first = effect["step"] == seen.workflow_of(uid).steps[0]["id"] and not seen.known(effect).limit  # it begins with the run
        if "start_within" in keys and is_first and effect["attempt"] == 1 and at_ms > event_ms + due(keys["start_within"]):
            yield f"{uid} began {at_ms - event_ms} ms after its event, it was to begin within {keys['start_within']}"


# ---- what people do ----

@check_of(13)
def the_first_decision_stands(seen):
    votes = {}
    for row in [] if seen.schedule.keep else seen.query("SELECT v.*, r.uid FROM votes v JOIN runs r ON r.id = v.run_id"):
        votes.setdefault((uid_text(row["uid"]), row["path"]), []).append(row)
    told = {}
    for act in seen.acts:
        if act["do"] != "vote" or "run" not in act:
            continue
        where = act["run"], act["step"]
        if seen.is_again(act["run"]):
            continue
        if act["new"] and not act["votes"]:
            yield f"{where}: who looked has decided"
        if act["answer"] == "decided":
            decision = act["decision"]
            told.setdefault(where, set()).add((decision["choice"], decision["by"], decision["at"]))
    for where, decisions in told.items():
        if len(decisions) > 1:
            yield f"{where} was told to be {decisions}"
    for (run, path), step in seen.steps.items():
        known = seen.workflow_of(run).approvals.get(path)
        if not known or seen.is_again(run):
            continue
        of, decided = votes.get((run, path), []), told.get((run, path), set())
        output = json.loads(step["output"]) if step["state"] == SUCCEEDED else {}
        if step["state"] == SUCCEEDED and decided and decided != {(output["choice"], output["by"], output["at"])}:
            yield f"{run} {path} was told to be {decided} and is {output}"
        if step["state"] == FAILED and any(by != "timeout" for _, by, _ in decided):
            yield f"{run} {path} was told to be {decided} and has failed"
        if run in seen.gone or seen.schedule.keep:
            continue
        if output and output["by"] != "timeout" and (sum(vote["choice"] == output["choice"] for vote in of) < known["need"] or sum(vote["decides"] for vote in of) != 1):
            yield f"{run} {path} is {output} of {known} by the votes {of}"
        if (not output or output["by"] == "timeout") and step["state"] in (SUCCEEDED, FAILED):
            if any(vote["decides"] for vote in of):
                yield f"{run} {path} was decided by {of} and is {output}"
            if step["ended_ms"] < step["started_ms"] + known["timeout_ms"]:
                yield f"{run} {path} timed out {step['started_ms'] + known['timeout_ms'] - step['ended_ms']} ms early"
            if output and output["choice"] != known["on_timeout"]:
                yield f"{run} {path} timed out with {output}"


@check_of(13)
def each_vote_is_there_and_in_the_audit_and_no_forged_one(seen):
    if seen.schedule.keep:
        return
    votes = {(uid_text(row["uid"]), row["path"], row["actor"]) for row in seen.query("SELECT r.uid, v.path, v.actor FROM votes v JOIN runs r ON r.id = v.run_id")}
    audit = seen.query("SELECT * FROM audit WHERE verb = 'vote'")
    if len(audit) < len(votes) or (not seen.schedule.has_letters and len(audit) != len(votes)):
        yield f"{len(votes)} votes, {len(audit)} rows in the audit"
    by_number = {act["number"]: act for act in seen.schedule.acts}
    for act in seen.acts:
        if act["do"] != "vote" or seen.is_again(act.get("run")):
            continue
        if by_number[act["number"]]["forges"] and "run" in act:
            yield f"a forged link was taken: {act}"
        if act.get("new") and (act["run"], act["step"], act["actor"] or act["decision"]["by"]) not in votes:
            yield f"{act} was answered and is not there"


@check_of(15)
def resume_repeats_nothing_and_replay_has_its_own(seen):
    replays, by_number = {}, {act["number"]: act for act in seen.schedule.acts}
    for uid, run in seen.runs.items():
        if run["origin"]:
            replays.setdefault(uid_text(run["origin"]), []).append(uid)
    origin = {act["replay"]: act["run"] for act in seen.acts if act["do"] == "letter" and act.get("replay") and not act["refused"]}
    for act in seen.acts:
        if act["do"] != "letter" or "run" not in act or act["refused"]:
            continue
        run = seen.runs[act["run"]]
        if act["verb"] == "resume":
            for effect in seen.effects:
                if effect["run"] == act["run"] and effect["place"] > act["place"] and effect["step"] in act["had"]:
                    yield f"{act['run']} was resumed and {effect['step']} was run again, which had succeeded"
            if not run["resumed_ms"]:
                yield f"{act['run']} was told to be resumed and is not"
        from_step = by_number[act["number"]].get("from")
        if act["verb"] == "replay" and by_number[act["number"]]["latest"] and from_step and act["replay"] in seen.runs:
            paths = [step.get("id") for step in seen.workflow_of(act["replay"]).steps]
            for effect in seen.effects:
                if effect["run"] == act["replay"] and from_step in paths and effect["step"] in act["had"] and effect["step"] in paths[:paths.index(from_step)]:
                    yield f"{act['replay']} was to begin with {from_step} and did {effect['step']}"
        if act["verb"] == "replay" and act["run"] not in [origin[uid] for uid in replays.get(act["run"], []) if uid in origin]:
            yield f"{act['run']} has the replays {replays.get(act['run'])}, not {act['replay']}"
        is_revived = (run["resumed_ms"] or 0) >= act["at_ms"]  # with the run that has called it
        if act["verb"] == "discard" and run["resolved"] != 2 and not is_revived and not any(later["verb"] == "replay" and later["run"] == act["run"] for later in seen.acts if later["do"] == "letter" and "run" in later):
            yield f"{act['run']} was told to be discarded and is not"
    audit = [] if seen.schedule.keep else seen.query("SELECT * FROM audit WHERE verb = 'replay'")
    made = sum(len(of) for of in replays.values())
    if not seen.schedule.keep and len(audit) != made:
        yield f"{made} replays, {len(audit)} rows in the audit"
    for old, of in replays.items():
        if seen.runs.get(old, {}).get("state") == FAILED and not seen.runs[old]["resolved"] and not seen.runs[old]["resumed_ms"]:
            yield f"{old} was replayed as {of} and is not resolved"


# ---- versions ----

@check_of(21)
def each_step_is_of_its_runs_version(seen):
    latest = {act["run"] for act in seen.acts if act["do"] == "letter" and "run" in act} | {uid for uid, run in seen.runs.items() if run["origin"]}
    for uid, run in seen.runs.items():
        root = uid
        while seen.runs.get(root, {}).get("parent"):
            root = seen.runs[root]["parent"]
        if root in latest or uid in latest or root not in seen.runs:
            continue
        wanted = seen.revisions.get(seen.events[seen.runs[root]["event_id"]]["revision"]) if seen.runs[root]["event_id"] in seen.events else None
        workflow = seen.schedule.workflow(run["workflow"])
        if wanted and "collect" not in workflow.keys and "collect" not in seen.schedule.workflow(seen.runs[root]["workflow"]).keys and run["version"].hex() != wanted[run["workflow"]]:
            yield f"{uid} of {run['workflow']} has a version that is not of the revision of its event"
    for (uid, path), _ in seen.steps.items():
        if uid not in latest and not seen.is_again(uid) and not is_part(path) and not path.startswith("poison") and not path.startswith("~") and uid in seen.runs:
            prefix = seen.workflow_of(uid).prefix
            if bare(path)[0] not in (prefix, "b"):
                yield f"{uid} has the step {path}, its version has {prefix}…"


@check_of(21)
def what_is_refused_changes_nothing(seen):
    which = {act["number"]: act for act in seen.schedule.acts}
    current = None  # (life, revision) since the last reload that was refused; then those of events are that one
    for act in seen.acts:
        if act["do"] == "reload":
            current = (act["life"], act["revision"]) if which[act["number"]]["which"] == "bad" else None
        elif act["do"] == "event" and current and act["life"] == current[0] and not act["duplicate"] and act["revision"] != current[1]:
            yield f"a refused reload was followed by revision {act['revision']}, before it was {current[1]}"
    for line in seen.outcome.lines:
        if line.get("log") == "catalog.activated" and seen.schedule.others == {}:
            yield f"revision {line['revision']} became the current one, and nothing was changed"


@check_of(21, 22)
def who_comes_after_a_reload_is_of_its_version(seen):
    which = {act["number"]: act for act in seen.schedule.acts}
    wanted, life = {}, None  # workflow → prefix
    by_uid = {uid_text(row["uid"], "evt_"): row["id"] for row in seen.events.values()}
    runs = {}
    for uid, run in seen.runs.items():
        if not run["join_id"] and not seen.is_again(uid):
            runs.setdefault(run["event_id"], []).append(uid)
    for act in seen.acts:
        if act["life"] != life:
            wanted, life = {}, act["life"]
        if act["do"] == "reload" and which[act["number"]]["which"] != "bad":
            wanted = {name: (prefix, act["at_ms"]) for name, prefix in which[act["number"]]["versions"].items()}
        if act["do"] != "event" or act["duplicate"] or act["event"] not in by_uid:
            continue
        for uid in runs.get(by_uid[act["event"]], []):
            name = seen.runs[uid]["workflow"]
            if name in wanted and wanted[name][1] < act["at_ms"] and "collect" not in seen.workflow_of(uid).keys:
                first = seen.versions.get(seen.runs[uid]["version"].hex(), (None, None))[1]
                if first and first[0] != wanted[name][0]:
                    yield f"{uid} came after the reload with the steps {wanted[name][0]}… and has {first}"


# ---- time ----

@check_of(26)
def each_nominal_time_fires_once_and_not_early(seen):
    rule = seen.schedule.cron
    if not rule or seen.schedule.keep:
        return
    minute, hour = rule["schedule"].split()[:2]
    every = 60 if minute == "0" else int(minute[2:])
    last_ms = max(line["at_ms"] for line in seen.outcome.lines if line.get("say") in ("time", "did", "quiet"))
    nominal = [at_ms for at_ms in range(START_MS + MINUTE, last_ms + 1, MINUTE) if at_ms // MINUTE % 60 % every == 0]
    fired, missed = {}, 0
    for row in seen.events.values():
        if row["name"] != "schedule.cron":
            continue
        data = json.loads(row["body"])
        fired[data["at"]] = fired.get(data["at"], 0) + 1
        missed += data["missed"]
        if data["at"] > row["at_ms"]:
            yield f"{data} fired {data['at'] - row['at_ms']} ms early"
    if any(count > 1 for count in fired.values()) or not set(fired) <= set(nominal):
        yield f"{rule} fired at {fired}, its times are {nominal[:20]}"
    if rule["missed"] == "all" and set(fired) != set(nominal):
        yield f"{rule}: {sorted(set(nominal) - set(fired))[:5]} did not fire"
    if rule["missed"] == "latest" and len(fired) + missed != len(nominal):
        yield f"{rule}: {len(fired)} fired and stand for {missed} more, {len(nominal)} times have come"


@check_of(29)
def who_kills_its_worker_ends_as_worker_lost(seen):
    deaths = {}
    for line in seen.outcome.lines:
        if line.get("say") == "poisoned":
            deaths.setdefault(line["run"], []).append(line["life"])
    for run, lives in deaths.items():
        for life in set(lives):
            if lives.count(life) > 6 and not seen.is_again(run):
                yield f"{run} has killed {lives.count(life)} workers in life {life}"
        step = seen.steps.get((run, "poison"))
        if run in seen.gone or run not in seen.runs or seen.is_again(run) or seen.runs[run]["state"] in (CANCELLED, 23):
            continue
        if not step or step["state"] != FAILED or json.loads(step["error"])["code"] != "worker_lost":
            yield f"{run} has killed {len(lives)} workers and its step is {step and (step['state'], step['error'])}"


@check_of(33)
def retention_takes_nothing_that_is_needed_or_young(seen):
    keep = seen.schedule.keep
    if not keep:
        return
    ages = {kind: int(text.removesuffix("s")) * 1000 for kind, text in keep.items()}
    for run in (seen.runs[uid] for uid in seen.gone):
        if run["is_needed"]:
            yield f"{run['uid']} of {run['workflow']}, state {run['state']}, was removed and was needed ({run['is_needed']})"
        is_failed = run["state"] == FAILED
        ended_ms = seen.resolved_ms(run) if is_failed else run["ended_ms"]
        if not run["parent"] and run["gone_ms"] - ended_ms < ages["failed" if is_failed else "succeeded"]:
            yield f"{run['uid']} was removed {run['gone_ms'] - ended_ms} ms after its end, state {run['state']}, at {keep}"
    for row in seen.events.values():
        if "gone_ms" in row and row["is_needed"]:
            yield f"event {row['id']} was removed and was needed ({row['is_needed']})"
        if "gone_ms" in row and row["gone_ms"] - row["at_ms"] < ages["events"]:
            yield f"event {row['id']} was removed {row['gone_ms'] - row['at_ms']} ms after it had come, at {keep}"


@check_of(33)
def what_is_old_is_not_kept(seen):
    """At the last pass, which the schedule has at its end."""
    keep, passes = seen.schedule.keep, [act for act in seen.acts if act["do"] == "retain"]
    if not keep or not passes:
        return
    last_ms, ages = passes[-1]["at_ms"], {kind: int(text.removesuffix("s")) * 1000 for kind, text in keep.items()}
    for uid, run in seen.runs.items():
        if uid in seen.gone or run["parent"] or run["state"] < SUCCEEDED or run["started_ms"] > last_ms:
            continue
        is_failed = run["state"] == FAILED
        ended_ms = seen.resolved_ms(run) if is_failed else run["ended_ms"]
        if last_ms - ended_ms > ages["failed" if is_failed else "succeeded"]:
            yield f"{uid} is there {last_ms - ended_ms} ms after its end, state {run['state']}, at {keep}"
