"""Properties of how steps and runs end: what a failure leads to, what becomes of that which is under way beside it, and of calls."""
import json

from seen import CANCELLED, FAILED, SKIPPED, SUCCEEDED, UNKNOWN, ancestors, bare, check_of, intervals, is_part

CALLS_MOST = 8


@check_of(17)
def nothing_new_begins_after_a_failure(seen):
    for uid, run in seen.runs.items():
        if run["state"] != FAILED or run["join_id"] or seen.is_again(uid):
            continue
        workflow = seen.workflow_of(uid)
        for earlier, later in workflow.order:
            step = seen.steps.get((uid, earlier))
            written = next(written for written in workflow.steps if written.get("id") == earlier)
            if step and step["state"] in (FAILED, UNKNOWN) and "on_error" not in written and "catch" not in written and (uid, later) in seen.steps:
                yield f"{uid} {later} was run though {earlier} had failed"


@check_of(18)
def undo_in_reverse_order_and_only_of_what_succeeded(seen):
    for uid, run in seen.runs.items():
        if seen.is_again(uid):
            continue
        workflow = seen.workflow_of(uid)
        done = [(place, effect) for place, effect in enumerate(seen.effects) if effect["run"] == uid and effect["step"] in workflow.undo]
        order = list(dict.fromkeys(effect["step"] for _, effect in done))
        for path in order:
            if seen.steps.get((uid, workflow.undo[path]), {}).get("state") != SUCCEEDED:
                yield f"{uid} {path} was run for a step that had not succeeded"
        ended = [seen.steps[uid, workflow.undo[path]]["ended_ms"] for path in order if (uid, workflow.undo[path]) in seen.steps]
        if ended != sorted(ended, reverse=True):
            yield f"{uid} undid {order}, ended at {ended}"
        after = {step["id"] for key in ("on_failure", "finally") for step in workflow.keys.get(key, ())}
        late = [place for place, effect in enumerate(seen.effects) if effect["run"] == uid and effect["step"] in after]
        if done and late and done[-1][0] > min(late):
            yield f"{uid} undid {done[-1][1]['step']} after its on_failure or finally had begun"
        if run["state"] == FAILED:
            for path, of in workflow.undo.items():
                if seen.steps.get((uid, of), {}).get("state") == SUCCEEDED and (uid, path) not in seen.steps:
                    yield f"{uid} failed and {of} was not undone"


@check_of(19, 20)
def children_end_as_their_parents_need(seen):
    for run in seen.runs.values():
        if not run["parent"]:
            continue
        parent, step = seen.runs[run["parent"]], seen.steps.get((run["parent"], run["parent_path"]))
        if parent["state"] == CANCELLED and run["ended_ms"] > parent["ended_ms"] and run["state"] == SUCCEEDED:
            yield f"{run['uid']} went on after {parent['uid']} was cancelled"
        if run["is_call"] and run["state"] in (FAILED, CANCELLED, SKIPPED) and step and step["state"] == SUCCEEDED:
            yield f"{run['uid']} ended as {run['state']} and its step {run['parent_path']} succeeded"
        if run["is_call"] and run["state"] == SKIPPED and run["error"] and step and not is_part(run["parent_path"]) and step["state"] in (FAILED, UNKNOWN):
            yield f"{run['uid']} was skipped and its step {run['parent_path']} is {step['state']}"


def written_steps(steps):
    """By id, those inside of blocks, of `catch` and of `foreach` as well."""
    found = {}
    for step in steps:
        if "id" in step:
            found[step["id"]] = step
        for inside in [step[key] for key in ("steps", "else", "parallel") if key in step] + [each["steps"] for each in step.get("catch", ())]:
            found.update(written_steps(inside))
    return found


def code_of(row):
    return row["error"] and json.loads(row["error"]).get("code")


def main_steps(seen, uid):
    """(path, row, as it is written) of those that are no undo, notify, on_failure or finally."""
    written = written_steps(seen.workflow_of(uid).steps)
    return [(path, row, written[bare(path)]) for path, row in seen.steps_of.get(uid, {}).items() if bare(path) in written]


def is_survived(step):
    return "on_error" in step or "catch" in step


@check_of(17)
def what_is_under_way_beside_a_failure_comes_to_its_end(seen):
    """And with fail_fast it ends with it. Nothing begins after it."""
    for uid, run in seen.runs.items():
        steps = main_steps(seen, uid) if run["state"] == FAILED and run["error"] and not seen.is_again(uid) else []
        failed_path = run["error"] and json.loads(run["error"]).get("step")
        failed = next((row for path, row, step in steps if path == failed_path and not is_survived(step)), None)
        if not failed or any(path.startswith("poison") for path, _, _ in steps):
            continue
        is_fast = seen.workflow_of(uid).keys.get("fail_fast", False)
        for path, row, step in steps:
            is_wait, has_runs = any(key in step for key in ("sleep", "wait", "approve")), "foreach" in step or "uses" in step
            if path == failed_path or row["state"] == SKIPPED:
                continue
            if row["started_ms"] > failed["ended_ms"]:
                yield f"{uid} {path} began {row['started_ms'] - failed['ended_ms']} ms after {failed_path} had failed"
            if not is_fast and row["state"] == CANCELLED and (is_wait or (has_runs and row["started_ms"] < failed["ended_ms"])):
                yield f"{uid} {path} was under way when {failed_path} failed, and is cancelled"
            if is_fast and row["state"] == SUCCEEDED and (is_wait or has_runs) and row["ended_ms"] > failed["ended_ms"]:
                yield f"{uid} {path} went on for {row['ended_ms'] - failed['ended_ms']} ms after {failed_path} had failed, in spite of fail_fast"


@check_of(17)
def what_was_begun_is_recorded(seen):
    """Unless its process has died since, or the run that it belongs to was let go."""
    end = len(seen.outcome.lines) - 1
    for place, _, effect in intervals(seen):
        run = seen.runs.get(effect["run"])
        if run and run["state"] != CANCELLED and effect["run"] not in seen.gone and not seen.is_broken(place, end) and (effect["run"], effect["step"]) not in seen.steps:
            yield f"{effect['run']} {effect['step']} was run and is not recorded"


@check_of(17, 20)
def a_failure_is_handed_up_as_it_is(seen):
    for uid, run in seen.runs.items():
        if seen.is_again(uid):
            continue
        steps = main_steps(seen, uid)
        failed = [path for path, row, step in steps if row["state"] in (FAILED, UNKNOWN) and not is_survived(step)]
        if failed and run["state"] in (SUCCEEDED, SKIPPED):
            yield f"{uid} ended in state {run['state']} though {failed} had failed"
        error = json.loads(run["error"]) if run["state"] == FAILED and run["error"] else {}
        row = seen.steps.get((uid, error.get("step")))
        if row and row["error"] and code_of(row) != error["code"]:
            yield f"{uid} failed with {error['code']}, its step {error['step']} with {code_of(row)}"
        caller = seen.steps.get((run["parent"], run["parent_path"]))
        if run["is_call"] and run["state"] == FAILED and caller and caller["state"] == FAILED and code_of(caller) != code_of(run):
            yield f"{uid} failed with {code_of(run)}, and the step that has called it with {code_of(caller)}"


@check_of(8)
def circles_of_calls_end_where_they_are_too_deep(seen):
    """And who calls itself waits for no slot that its own callers have."""
    called = {(run["parent"], run["parent_path"]) for run in seen.runs.values() if run["parent"]}
    scopes = {workflow.scope() for workflow in seen.schedule.workflows} - {None}
    for uid, run in seen.runs.items():
        depth = len(list(ancestors(seen, run)))
        if depth > CALLS_MOST:
            yield f"{uid} stands {depth} runs deep"
        if len(scopes) < 2 and code_of(run) == "concurrency.deadlock":
            yield f"{uid} failed with a deadlock, and there is only one group"
        if seen.is_again(uid) or uid in seen.gone:
            continue
        for path, row, step in main_steps(seen, uid):
            if not step.get("uses", "").startswith("workflow/") or row["state"] in (SKIPPED, CANCELLED):
                continue
            is_refused = code_of(row) == "call.too_deep" and (uid, path) not in called
            if is_refused != (depth == CALLS_MOST):
                yield f"{uid} {path}, {depth} runs deep, is {row['state']} {row['error']}"


@check_of(26)
def no_sleep_ends_early(seen):
    for uid in seen.steps_of:
        sleeps = seen.workflow_of(uid).sleeps if uid in seen.runs else {}
        for path, row in seen.steps_of[uid].items():
            if bare(path) in sleeps and row["state"] == SUCCEEDED and row["ended_ms"] < row["started_ms"] + sleeps[bare(path)]:
                yield f"{uid} {path} slept {row['ended_ms'] - row['started_ms']} ms of {sleeps[bare(path)]}"
