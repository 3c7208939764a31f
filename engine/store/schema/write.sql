-- The writer's statements, each under its name in write_sql.h, prepared once, when it is needed first.

-- name: begin
BEGIN IMMEDIATE;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;

-- name: get_meta
SELECT value FROM meta WHERE name = ?1;
-- name: set_meta
INSERT INTO meta(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value;

-- name: insert_event
INSERT INTO events(uid, at_ms, revision, trusted, source, name, workflow, dedupe, expire_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
-- name: insert_body
INSERT INTO bodies(event_id, checksum, headers, body, enc, raw_bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6);
-- name: insert_pending
INSERT INTO pending(event_id) VALUES(?1);
-- name: delete_pending
DELETE FROM pending WHERE event_id = ?1;
-- name: insert_matches
INSERT INTO matches(event_id, matched) VALUES(?1, ?2) ON CONFLICT DO NOTHING;
-- name: event_uid
SELECT uid FROM events WHERE id = ?1;

-- name: insert_delivery
INSERT INTO deliveries(at_ms, source, status, outcome, event_id, bytes, took_us, provider_id, remote, detail)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
-- name: repeat_delivery
UPDATE deliveries SET times = times + ?2 WHERE id = ?1;
-- name: refused_counts
SELECT source, count(*) FROM deliveries WHERE outcome >= 10 GROUP BY source;
-- name: trim_refused
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE source = ?1 AND outcome >= 10 ORDER BY id LIMIT ?2);

-- name: insert_run
INSERT INTO runs(uid, event_id, workflow, version, state, lost, started_ms, ended_ms, output, error, asks)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(uid) DO NOTHING;
-- name: find_run
SELECT r.id, r.state, count(s.run_id), coalesce(sum(s.state < 20), 0) OR EXISTS (SELECT 1 FROM timers WHERE run_id = r.id AND path = '')
        OR EXISTS (SELECT 1 FROM wakes WHERE run_id = r.id AND path = ''),
    EXISTS (SELECT 1 FROM children WHERE run_id = r.id)
FROM runs r LEFT JOIN steps s ON s.run_id = r.id WHERE r.uid = ?1 GROUP BY r.id;
-- name: is_awaited_child
SELECT 1 FROM children c JOIN joins j ON j.id = c.join_id WHERE c.run_id = ?1 AND NOT j.is_detached;
-- name: update_run
UPDATE runs SET state = ?2, lost = ?3, started_ms = ?4, ended_ms = ?5, output = ?6, error = ?7 WHERE id = ?1;
-- Failures are added to those that are there; what is above 64 KiB then is long enough.
-- name: put_step
INSERT INTO steps(run_id, path, position, state, attempt, started_ms, ended_ms, input_names, output, error, sensitive, failures)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT(run_id, path) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, started_ms = excluded.started_ms,
    ended_ms = excluded.ended_ms, input_names = excluded.input_names, output = excluded.output, error = excluded.error, sensitive = excluded.sensitive,
    again = 0, failures = CASE WHEN excluded.failures IS NULL OR length(steps.failures) > 65536 THEN steps.failures
        WHEN steps.failures IS NULL THEN excluded.failures
        ELSE substr(steps.failures, 1, length(steps.failures) - 1) || ',' || substr(excluded.failures, 2) END;

-- Parking (parking.c): what a step waits for. Only a step whose row is not final has rows in these tables.
-- name: put_timer
INSERT INTO timers(due_ms, run_id, path) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING;
-- name: put_wait
INSERT INTO waits(khash, run_id, path, arm, since_event) VALUES(?1, ?2, ?3, ?4, ?5);
-- name: put_wake
INSERT INTO wakes(run_id, path, kind, arm, event_id, at_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING;
-- name: delete_step_timer
DELETE FROM timers WHERE run_id = ?1 AND path = ?2;
-- name: delete_step_waits
DELETE FROM waits WHERE run_id = ?1 AND path = ?2;
-- name: delete_step_wake
DELETE FROM wakes WHERE run_id = ?1 AND path = ?2;
-- name: delete_run_timers
DELETE FROM timers WHERE run_id = ?1;
-- name: delete_run_waits
DELETE FROM waits WHERE run_id = ?1;
-- name: delete_run_wakes
DELETE FROM wakes WHERE run_id = ?1;
-- name: has_wake
SELECT 1 FROM wakes WHERE run_id = ?1 LIMIT 1;
-- name: has_source
SELECT 1 WHERE EXISTS (SELECT 1 FROM timers WHERE run_id = ?1 AND path <> '') OR EXISTS (SELECT 1 FROM waits WHERE run_id = ?1)
    OR EXISTS (SELECT 1 FROM joins WHERE run_id = ?1 AND is_open);
-- name: unpark_run
UPDATE runs SET state = 2 WHERE id = ?1 AND state = 3;
-- name: put_queue
INSERT INTO queue(id, run_id) VALUES(?1, ?2);
-- name: delete_queue
DELETE FROM queue WHERE run_id = ?1;
-- name: last_queue_id
SELECT coalesce(max(id), 0) FROM queue;
-- name: first_due
SELECT due_ms, run_id, path FROM timers ORDER BY due_ms, run_id, path LIMIT 1;

-- Keys of events (waking.c). min() of a key's events behind a bound is one seek.
-- name: put_event_key
INSERT INTO event_keys(khash, event_id) VALUES(?1, ?2) ON CONFLICT DO NOTHING;
-- name: keys_of_event
SELECT khash FROM event_keys WHERE event_id = ?1 ORDER BY khash;
-- name: earliest_event
SELECT min(event_id) FROM event_keys WHERE khash = ?1 AND event_id > ?2;
-- name: last_before
SELECT max(k.event_id) FROM event_keys k JOIN events e ON e.id = k.event_id
WHERE k.khash = ?1 AND k.event_id > ?2 AND e.at_ms < ?3;
-- name: earliest_of_step
SELECT (SELECT min(k.event_id) FROM event_keys k WHERE k.khash = w.khash AND k.event_id > w.since_event) AS event, w.arm
FROM waits w WHERE w.run_id = ?1 AND w.path = ?2 AND event IS NOT NULL ORDER BY event, w.arm LIMIT 1;
-- name: run_of_id
SELECT uid, event_id FROM runs WHERE id = ?1;
-- name: event_time
SELECT at_ms FROM events WHERE id = ?1;
-- name: next_waiter
SELECT run_id, path FROM waits WHERE khash = ?1 AND run_id >= ?2 AND since_event < ?3 ORDER BY run_id LIMIT 1;
-- name: put_waking
INSERT INTO wakings(event_id) VALUES(?1);
-- name: first_waking
SELECT event_id FROM wakings ORDER BY event_id LIMIT 1;
-- name: delete_waking
DELETE FROM wakings WHERE event_id = ?1;

-- Runs that steps start (children.c).
-- name: put_join
INSERT INTO joins(run_id, path, event_id, depth, is_call, is_detached, is_open, total, concurrency, allowed, workflow, version, needs_event)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT(run_id, path) DO NOTHING;
-- name: put_context
INSERT INTO join_contexts(join_id, context) VALUES(?1, ?2);
-- name: put_items
INSERT INTO join_items(id, items) VALUES(?1, ?2);
-- name: get_items
SELECT items FROM join_items WHERE id = ?1;
-- name: delete_items
DELETE FROM join_items WHERE id >= ?1 AND id < ?2;
-- name: insert_child_run
INSERT INTO runs(uid, event_id, workflow, version, state, lost, started_ms, ended_ms, revision, collector_id, asks)
SELECT ?1, ?2, ?3, ?4, ?8, 0, ?5, 0, revision, CASE WHEN (SELECT is_call FROM joins WHERE id = ?7) THEN 0 ELSE collector_id END, ?9
FROM runs WHERE id = ?6;
-- name: put_child
INSERT INTO children(run_id, join_id, item, input) VALUES(?1, ?2, ?3, ?4);
-- name: set_started
UPDATE joins SET started = ?2, again = ?3, again_from = ?4 WHERE id = ?1;
-- name: count_child
UPDATE joins SET succeeded = succeeded + (NOT ?2), failed = failed + ?2
WHERE id = (SELECT join_id FROM children WHERE run_id = ?1) AND is_open
RETURNING id, run_id, path, event_id, total, concurrency, allowed, started, succeeded, failed, workflow, version,
    (SELECT uid FROM runs r WHERE r.id = joins.run_id), again, again_from;
-- name: due_join
SELECT 1 FROM joins WHERE run_id = ?1 AND path = ?2 AND is_open AND started - again = succeeded + failed
    AND (started - again = total OR failed > allowed);
-- name: close_join
UPDATE joins SET is_open = 0 WHERE run_id = ?1 AND path = ?2 AND is_open RETURNING id, started = succeeded + failed + again;
-- name: close_any_join
UPDATE joins SET is_open = 0 WHERE id = (SELECT id FROM joins WHERE run_id = ?1 AND is_open LIMIT 1)
RETURNING id, started = succeeded + failed + again;
-- name: next_live_child
SELECT c.run_id, c.item FROM children c JOIN runs r ON r.id = c.run_id
WHERE c.join_id = ?1 AND c.item >= ?2 AND r.state < 20 ORDER BY c.item LIMIT 1;
-- name: holder_to_cancel
SELECT r.id, r.cancel IS NOT NULL FROM slots s JOIN runs r ON r.id = s.run_id WHERE s.grp = ?1 AND s.state = 1 AND r.state < 20
ORDER BY r.cancel IS NULL, s.event_id, s.run_id LIMIT 1;
-- name: find_refused
SELECT state, json_extract(error, '$.code') FROM runs WHERE id = ?1 AND state >= 20;
-- name: find_cancel
SELECT id, state, cancel IS NOT NULL, EXISTS (SELECT 1 FROM steps WHERE run_id = runs.id) FROM runs WHERE uid = ?1;
-- name: set_cancel
UPDATE runs SET cancel = ?2 WHERE id = ?1;
-- name: cancel_run
UPDATE runs SET state = 22, ended_ms = ?2 WHERE id = ?1;
-- Steps that are not over when their run is. An attempt that failed stays failed; whether one with at_most_once was made is not known here.
-- name: end_steps
UPDATE steps SET ended_ms = ?2,
    state = CASE WHEN state = 4 THEN 24 WHEN state = 2 AND error IS NOT NULL THEN 21 ELSE 22 END,
    output = CASE WHEN state = 3 THEN NULL ELSE output END,
    error = CASE WHEN state <> 4 THEN error ELSE json_object('code', 'step.unknown',
        'message', 'the run was ended while the step was under way, so nobody knows whether the step has had its effect', 'class', 'lost',
        'hint', 'look there, then: bellwire runs resolve ' || ?3 || ' --step ' || path || ' --succeeded | --failed | --retry', 'step', path) END
WHERE run_id = ?1 AND state < 20;
-- Its worker was told, and still knew what has become of it.
-- name: put_late_step
UPDATE steps SET state = ?3, ended_ms = ?5, output = ?6, error = ?7 WHERE run_id = ?1 AND path = ?2 AND state = 24 AND attempt = ?4;

-- name: reopen_join
UPDATE joins SET is_open = 1, concurrency = ?3, allowed = ?4, workflow = ?5, version = ?6, needs_event = ?7, failed = 0, again_from = 0,
    again = (SELECT count(*) FROM children c JOIN runs r ON r.id = c.run_id WHERE c.join_id = joins.id AND r.state IN (21, 22))
WHERE run_id = ?1 AND path = ?2 AND NOT is_open
RETURNING id, event_id, total, started, succeeded, again;
-- name: set_context
UPDATE join_contexts SET context = ?2 WHERE join_id = ?1;
-- name: set_input
UPDATE children SET input = ?2 WHERE join_id = ?1;
-- name: next_dead_child
SELECT c.run_id, c.item FROM children c JOIN runs r ON r.id = c.run_id
WHERE c.join_id = ?1 AND c.item >= ?2 AND r.state IN (21, 22) ORDER BY c.item LIMIT 1;

-- A run that was just called, or is run once more, and has not asked when it may begin.
-- name: unadmitted_child
SELECT r.id, r.state FROM joins j JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id
WHERE j.run_id = ?1 AND j.path = ?2 AND ((r.state = 1 AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.run_id = r.id))
    OR (r.state = 2 AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id)));

-- The dead letter (letters.c).
-- name: find_letter
SELECT r.id, r.state, r.resolved, r.event_id, r.workflow, r.version,
    CASE WHEN json_valid(r.error) THEN json_extract(r.error, '$.code') END, c.join_id IS NOT NULL, p.uid,
    coalesce(j.is_detached OR s.state = 20, 1), e.id IS NOT NULL, CASE WHEN r.revision THEN r.revision ELSE e.revision END
FROM runs r LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
LEFT JOIN steps s ON s.run_id = j.run_id AND s.path = j.path LEFT JOIN events e ON e.id = r.event_id
WHERE r.uid = ?1;
-- What the run and those that it takes up again have finished, each step of each workflow once.
-- name: finished_steps
WITH RECURSIVE tree(id) AS (
    SELECT ?1 UNION ALL
    SELECT c.run_id FROM tree t JOIN joins j ON j.run_id = t.id AND NOT j.is_detached
    JOIN steps s ON s.run_id = t.id AND s.path = j.path AND s.state <> 20 JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id AND r.state IN (21, 22)
)
SELECT DISTINCT r.workflow, s.path FROM tree t JOIN runs r ON r.id = t.id LEFT JOIN steps s ON s.run_id = t.id AND s.state = 20 AND instr(s.path, '[') = 0;
-- name: undone_step
WITH RECURSIVE tree(id) AS (
    SELECT ?1 UNION ALL
    SELECT c.run_id FROM tree t JOIN joins j ON j.run_id = t.id AND NOT j.is_detached
    JOIN steps s ON s.run_id = t.id AND s.path = j.path AND s.state <> 20 JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id AND r.state IN (21, 22)
)
SELECT 1 FROM tree t JOIN steps u ON u.run_id = t.id WHERE u.path GLOB '*~undo' AND u.state <> 23 LIMIT 1;
-- Steps with at_most_once of which nobody knows what they have done: unknown, or still started though the run has ended.
-- name: unknown_step
WITH RECURSIVE tree(id) AS (
    SELECT ?1 UNION ALL
    SELECT c.run_id FROM tree t JOIN joins j ON j.run_id = t.id AND NOT j.is_detached
    JOIN steps s ON s.run_id = t.id AND s.path = j.path AND s.state <> 20 JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id AND r.state IN (21, 22)
)
SELECT r.uid, u.path FROM tree t JOIN steps u ON u.run_id = t.id AND u.state IN (4, 24) JOIN runs r ON r.id = t.id LIMIT 1;
-- name: step_state
SELECT state FROM steps WHERE run_id = ?1 AND path = ?2;
-- name: resolve_step
UPDATE steps SET state = ?3, output = ?4, error = CASE ?3 WHEN 21 THEN error END, ended_ms = ?5 WHERE run_id = ?1 AND path = ?2 AND state IN (4, 24);
-- name: revive_run
UPDATE runs SET state = 2, lost = 0, ended_ms = 0, output = NULL, error = NULL, resolved = 0, resolved_ms = 0, resumed_ms = ?2, cancel = NULL WHERE id = ?1;
-- name: revive_steps
UPDATE steps SET again = 1 WHERE run_id = ?1 AND state <> 20;
-- name: set_version
UPDATE runs SET version = ?2, revision = ?3 WHERE id = ?1;
-- name: set_child_version
UPDATE runs SET workflow = ?2, version = ?3, asks = ?5, revision = (SELECT p.revision FROM runs p WHERE p.id = ?4) WHERE id = ?1;
-- name: resolve_run
UPDATE runs SET resolved = ?2, resolved_ms = ?3 WHERE id = ?1 AND state = 21;
-- name: insert_replay
INSERT INTO runs(uid, event_id, workflow, version, state, lost, started_ms, ended_ms, revision, origin, asks, collector_id)
SELECT ?1, ?2, ?3, ?4, 2, 0, ?5, 0, ?6, ?7, asks, collector_id FROM runs WHERE uid = ?7;
-- name: copy_step
INSERT INTO steps(run_id, path, position, state, attempt, started_ms, ended_ms, input_names, output, error, sensitive, again)
SELECT ?1, path, ?4, state, attempt, started_ms, ended_ms, input_names, output, error, sensitive, state <> 20 FROM steps
WHERE run_id = ?2 AND path = ?3 AND state IN (20, 21);
-- While the step waits, and nothing has come that ends the run's steps; a step that waits for something else has no output (votes.c). How many must
-- choose the same, and has it been decided? Then it was asked before, and its votes are those of then. In which iteration does it wait for a callback?
-- name: awaits_vote
SELECT r.id, coalesce(json_extract(CAST(s.output AS TEXT), '$.need'), 1), EXISTS (SELECT 1 FROM votes v WHERE v.run_id = r.id AND v.path = ?2 AND v.decides),
    json_extract(CAST(s.output AS TEXT), '$.iteration')
FROM runs r JOIN steps s ON s.run_id = r.id AND s.path = ?2 AND s.state = 3 AND s.output IS NOT NULL
WHERE r.uid = ?1 AND r.state < 20 AND NOT EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path IN ('', ?2));
-- name: count_votes
SELECT count(*) FROM votes WHERE run_id = ?1 AND path = ?2 AND choice = ?3;
-- name: put_vote
INSERT INTO votes(run_id, path, choice, actor, at_ms, form, remote, decides) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING;
-- name: forget_votes
DELETE FROM votes WHERE run_id = ?1 AND path = ?2;
-- name: has_voted
SELECT 1 FROM votes WHERE run_id = ?1 AND path = ?2 AND actor = ?3;
-- name: settle_votes
UPDATE votes SET decides = 0 WHERE run_id = ?1 AND path = ?2;
-- name: delete_votes
DELETE FROM votes WHERE (run_id, path, actor) IN (SELECT run_id, path, actor FROM votes WHERE run_id = ?1 LIMIT ?2);
-- name: get_key
SELECT value FROM keys WHERE name = ?1;
-- name: put_key
INSERT INTO keys(name, value) VALUES(?1, ?2);
-- name: put_audit
INSERT INTO audit(at_ms, actor, verb, target, detail) VALUES(?1, ?2, ?3, ?4, ?5);
-- name: delete_audit
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE target = ?1 LIMIT ?2);

-- Slots of runs (slots.c).
-- name: any_slot
SELECT 1 FROM slots LIMIT 1;
-- name: put_slot
INSERT INTO slots(run_id, grp, state, event_id, most, holds_parked, order_ms, priority, until_ms, holds_failed, lender, base, called)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13);
-- name: set_slot
UPDATE slots SET state = ?2 WHERE run_id = ?1;
-- name: delete_slot
DELETE FROM slots WHERE run_id = ?1;
-- name: find_slot
SELECT grp, state, most, holds_parked, holds_failed FROM slots WHERE run_id = ?1;
-- name: count_slots
SELECT count(*) FROM slots WHERE grp = ?1 AND state = ?2;
-- name: first_slot
SELECT run_id, most, until_ms FROM slots WHERE grp = ?1 AND state = ?2 ORDER BY order_ms, event_id, run_id LIMIT 1;
-- name: unblock_run
UPDATE runs SET state = 2, started_ms = CASE WHEN EXISTS (SELECT 1 FROM steps WHERE run_id = ?1) THEN started_ms ELSE ?2 END WHERE id = ?1;
-- name: block_run
UPDATE runs SET state = 1 WHERE id = ?1;
-- name: end_blocked_run
UPDATE runs SET state = ?2, ended_ms = ?3, error = ?4 WHERE id = ?1;

-- Is the slot of this run kept for it, although it has ended?
-- name: is_kept
SELECT state = 21 AND NOT resolved FROM runs WHERE id = ?1;
-- The place of the first one of a later event that waits, of those with the same head start.
-- name: earlier_asker
SELECT min(order_ms) FROM slots WHERE grp = ?1 AND state = 0 AND event_id > ?2 AND priority = ?3;
-- name: last_order
SELECT coalesce(max(order_ms + 1000 * priority), 0) FROM slots;
-- name: move_slot
UPDATE slots SET run_id = ?2 WHERE run_id = ?1 AND state = 1;

-- Slots above and below a run (nest.c). Above it: runs that wait for it, the nearest one first.
-- name: slots_above
WITH RECURSIVE up(id, far) AS (
    SELECT ?1, 0 UNION ALL
    SELECT j.run_id, far + 1 FROM up u JOIN children c ON c.run_id = u.id JOIN joins j ON j.id = c.join_id AND j.is_open
)
SELECT s.run_id, s.grp, coalesce(s.base, s.grp) = ?2, s.holds_parked FROM up u JOIN slots s ON s.run_id = u.id AND s.state = 1 WHERE u.far > 0 ORDER BY u.far;
-- name: next_event
SELECT coalesce(max(id), 0) + 1 FROM events;
-- name: group_holders
SELECT run_id, holds_parked FROM slots WHERE grp = ?1 AND state = 1 ORDER BY holds_parked, run_id;
-- Runs below one that it waits for and that wait for slots; whether they have begun. From those that wait upwards: a run may have very many below it.
-- name: waiting_below
SELECT s.run_id, s.grp, EXISTS (SELECT 1 FROM steps WHERE run_id = s.run_id) FROM slots s INDEXED BY slots_called
WHERE EXISTS (SELECT 1 FROM joins WHERE run_id = ?1 AND is_open) AND s.state = 0 AND s.called = 1 AND ?1 IN (
    WITH RECURSIVE up(id) AS (
        SELECT j.run_id FROM children c JOIN joins j ON j.id = c.join_id AND j.is_open WHERE c.run_id = s.run_id UNION ALL
        SELECT j.run_id FROM up u JOIN children c ON c.run_id = u.id JOIN joins j ON j.id = c.join_id AND j.is_open
    ) SELECT id FROM up);
-- A slot that a run below has kept when it failed, of one about which something is done.
-- name: kept_below
SELECT s.run_id FROM slots s INDEXED BY slots_kept WHERE s.state = 1 AND s.holds_failed = 1 AND ?1 IN (
    WITH RECURSIVE up(id) AS (
        SELECT j.run_id FROM children c JOIN joins j ON j.id = c.join_id AND NOT j.is_detached WHERE c.run_id = s.run_id UNION ALL
        SELECT j.run_id FROM up u JOIN children c ON c.run_id = u.id JOIN joins j ON j.id = c.join_id AND NOT j.is_detached
    ) SELECT id FROM up) LIMIT 1;

-- Runs that begin later (admission.c, rates.c). Their timer has the path ~start, that of `start_within` ~within: no step is called like that.
-- name: delay_run
UPDATE runs SET state = 4 WHERE id = ?1;
-- name: find_asks
SELECT state, event_id, asks, EXISTS (SELECT 1 FROM steps WHERE run_id = runs.id), EXISTS (SELECT 1 FROM children WHERE run_id = runs.id),
    started_ms, origin IS NOT NULL OR resumed_ms <> 0
FROM runs WHERE id = ?1;
-- name: find_rate
SELECT taken_us, reserved_us FROM rates WHERE grp = ?1;
-- name: put_rate
INSERT INTO rates(grp, taken_us, reserved_us) VALUES(?1, ?2, ?3)
ON CONFLICT(grp) DO UPDATE SET taken_us = excluded.taken_us, reserved_us = excluded.reserved_us;
-- name: delete_rates
DELETE FROM rates WHERE grp IN (SELECT grp FROM rates WHERE reserved_us <= ?1 ORDER BY reserved_us LIMIT 4);
-- name: any_delayed
SELECT 1 FROM delayed LIMIT 1;
-- name: put_delayed
INSERT INTO delayed(run_id, grp, ready_ms, due_ms) VALUES(?1, ?2, ?3, ?4);
-- name: delete_delayed
DELETE FROM delayed WHERE run_id = ?1 RETURNING grp;
-- name: find_delayed
SELECT ready_ms FROM delayed WHERE run_id = ?1;
-- name: first_delayed
SELECT d.run_id, d.ready_ms, r.asks FROM delayed d JOIN runs r ON r.id = d.run_id WHERE d.grp = ?1 ORDER BY d.run_id LIMIT 1;

-- Secrets that senders hand over, and when they may (handovers.c).
-- name: put_window
INSERT INTO source_windows(source, until_ms, actor) VALUES(?1, ?2, ?3)
ON CONFLICT(source) DO UPDATE SET until_ms = excluded.until_ms, actor = excluded.actor;
-- name: find_window
SELECT until_ms FROM source_windows WHERE source = ?1;
-- name: delete_window
DELETE FROM source_windows WHERE source = ?1;
-- name: put_learnt
INSERT INTO learnt_secrets(source, secret, value, at_ms, remote) VALUES(?1, ?2, ?3, ?4, ?5);
-- name: find_learnt
SELECT secret, value FROM learnt_secrets WHERE source = ?1;
-- name: delete_learnt
DELETE FROM learnt_secrets WHERE source = ?1;

-- Workflows that are paused (pausing.c).
-- name: pauses
SELECT workflow, resumed_ms <> 0 FROM pauses ORDER BY workflow;
-- name: find_pause
SELECT since_ms, resumed_ms FROM pauses WHERE workflow = ?1;
-- name: put_pause
INSERT INTO pauses(workflow, since_ms, actor, reason) VALUES(?1, ?2, ?3, ?4)
ON CONFLICT(workflow) DO UPDATE SET since_ms = excluded.since_ms, actor = excluded.actor, reason = excluded.reason, resumed_ms = 0;
-- name: end_pause
UPDATE pauses SET resumed_ms = ?2 WHERE workflow = ?1;
-- name: delete_pause
DELETE FROM pauses WHERE workflow = ?1;
-- name: hold_run
UPDATE runs SET state = 5, started_ms = ?2 WHERE id = ?1;
-- name: run_workflow
SELECT workflow FROM runs WHERE id = ?1;
-- Nothing of it has been done yet.
-- name: run_to_hold
SELECT workflow FROM runs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM steps WHERE run_id = ?1);
-- name: first_held
SELECT id FROM runs INDEXED BY runs_held WHERE state = 5 AND workflow = ?1 ORDER BY event_id, id LIMIT 1;
-- name: is_called
SELECT 1 FROM joins WHERE id = ?1 AND is_call;

-- Events of which one run is made (collect.c).
-- name: is_collected
SELECT 1 FROM collected d JOIN collectors c ON c.id = d.collector_id WHERE d.event_id = ?1 AND c.workflow = ?2;
-- name: find_collector
SELECT id, first_ms, count, bytes FROM collectors WHERE grp = ?1;
-- name: event_bytes
SELECT coalesce(raw_bytes, length(body)) + coalesce(length(headers), 0) FROM bodies WHERE event_id = ?1;
-- name: put_later
INSERT INTO later(due_ms, uid, source, name, dedupe, window_ms, headers, checksum, enc, raw_bytes, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
-- name: first_later
SELECT id, uid, source, name, dedupe, window_ms, headers, checksum, enc, raw_bytes, body FROM later WHERE due_ms <= ?1 ORDER BY due_ms, id LIMIT 1;
-- name: later_due
SELECT due_ms FROM later ORDER BY due_ms, id LIMIT 1;
-- name: delete_later
DELETE FROM later WHERE id = ?1;
-- name: insert_collector
INSERT INTO collectors(version, due_ms, first_ms, last_ms, count, bytes, asks, workflow, grp) VALUES(?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8);
-- name: update_collector
UPDATE collectors SET version = ?1, due_ms = ?2, last_ms = ?3, count = ?4, bytes = ?5, asks = ?6 WHERE id = ?7;
-- name: put_collected
INSERT INTO collected(collector_id, event_id) VALUES(?1, ?2);
-- name: fill_collector
UPDATE collectors SET grp = NULL, due_ms = min(coalesce(due_ms, ?2), ?2) WHERE id = ?1;
-- name: close_collector
UPDATE collectors SET grp = NULL, due_ms = NULL WHERE id = ?1;
-- name: first_collector
SELECT id, due_ms, workflow, version, asks, (SELECT max(event_id) FROM collected WHERE collector_id = collectors.id)
FROM collectors WHERE due_ms IS NOT NULL ORDER BY due_ms, id LIMIT 1;
-- name: collector_due
SELECT due_ms FROM collectors WHERE due_ms IS NOT NULL ORDER BY due_ms, id LIMIT 1;
-- name: insert_collected_run
INSERT INTO runs(uid, event_id, workflow, version, state, lost, started_ms, ended_ms, revision, asks, collector_id)
VALUES(?1, ?2, ?3, ?4, ?5, 0, ?6, 0, ?7, ?8, ?9) ON CONFLICT(uid) DO NOTHING;
-- Of a run that goes: when no other one has its events.
-- name: delete_collected
DELETE FROM collected WHERE (collector_id, event_id) IN (SELECT d.collector_id, d.event_id FROM runs r JOIN collected d ON d.collector_id = r.collector_id
    WHERE r.id = ?1 AND r.collector_id <> 0 AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.collector_id = r.collector_id AND o.collector_id <> 0
    AND o.id <> r.id) LIMIT ?2);
-- name: delete_run_collector
DELETE FROM collectors WHERE id = (SELECT collector_id FROM runs WHERE id = ?1 AND collector_id <> 0)
    AND NOT EXISTS (SELECT 1 FROM collected WHERE collector_id = collectors.id);
-- name: delete_collector
DELETE FROM collectors WHERE id = ?1;

-- name: delete_spare_pairs
DELETE FROM wait_pairs WHERE NOT EXISTS (SELECT 1 FROM runs WHERE state <> 20 AND state < 20) AND NOT EXISTS (SELECT 1 FROM pending);
-- name: put_pair
INSERT INTO wait_pairs(event, field) VALUES(?1, ?2) ON CONFLICT DO NOTHING;
-- name: put_schedule
INSERT INTO schedules(workflow, rule, last_ms) VALUES(?1, ?2, ?3)
ON CONFLICT(workflow, rule) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms);
-- Of workflows that are gone, and their runs, too. ?1: the names of those that are there, a JSON array.
-- name: delete_spare_about
DELETE FROM workflows WHERE name NOT IN (SELECT value FROM json_each(?1)) AND NOT EXISTS (SELECT 1 FROM runs WHERE workflow = workflows.name);
-- name: put_about
INSERT INTO workflows(name, ok_ms, failed_ms, labels) VALUES(?1, ?2, ?3, ?4)
ON CONFLICT(name) DO UPDATE SET ok_ms = excluded.ok_ms, failed_ms = excluded.failed_ms, labels = excluded.labels
WHERE (ok_ms, failed_ms, labels) IS NOT (excluded.ok_ms, excluded.failed_ms, excluded.labels);
-- name: delete_about
DELETE FROM workflows WHERE name = ?1;
-- The shortest age that one of them says; NULL: none does.
-- name: least_age
SELECT min(age) FROM (SELECT ok_ms AS age FROM workflows WHERE ok_ms > 0 UNION ALL SELECT failed_ms FROM workflows WHERE failed_ms > 0);
-- The next workflow that has runs, and its own ages: one seek.
-- name: next_workflow
SELECT r.workflow, w.ok_ms, w.failed_ms FROM (SELECT min(workflow) AS workflow FROM runs INDEXED BY runs_workflow WHERE workflow > ?1) r
LEFT JOIN workflows w ON w.name = r.workflow WHERE r.workflow IS NOT NULL;
-- name: put_limit
INSERT INTO limits(name, key, free_ms, paused_ms) VALUES(?1, ?2, ?3, ?4)
ON CONFLICT(name, key) DO UPDATE SET free_ms = excluded.free_ms, paused_ms = excluded.paused_ms;
-- name: delete_limits
DELETE FROM limits WHERE free_ms <= ?1 AND paused_ms <= ?1;
-- name: find_revision
SELECT id FROM revisions WHERE hash = ?1;
-- name: insert_revision
INSERT INTO revisions(hash, at_ms) VALUES(?1, ?2);
-- name: insert_version
INSERT INTO versions(hash, content) VALUES(?1, ?2) ON CONFLICT(hash) DO NOTHING;
-- name: insert_revision_file
INSERT INTO revision_files(revision, position, kind, path, version) VALUES(?1, ?2, ?3, ?4, (SELECT id FROM versions WHERE hash = ?5));

-- name: unmerged_keys
SELECT id, dedupe, expire_ms FROM events WHERE id > ?1 AND dedupe IS NOT NULL
UNION ALL SELECT event_id, dedupe, expire_ms FROM dedupe_kept WHERE event_id > ?1 ORDER BY 1;
-- name: generations
SELECT id, page_bits, expire_ms, filter FROM dedupe_generations ORDER BY id;
-- name: put_generation
INSERT OR REPLACE INTO dedupe_generations(id, page_bits, expire_ms, filter) VALUES(?1, ?2, ?3, ?4);
-- name: delete_generation
DELETE FROM dedupe_generations WHERE id = ?1;
-- name: key_page
SELECT entries FROM dedupe_pages WHERE id = ?1;
-- name: put_key_page
INSERT OR REPLACE INTO dedupe_pages(id, entries) VALUES(?1, ?2);
-- name: delete_key_pages
DELETE FROM dedupe_pages WHERE id IN (SELECT id FROM dedupe_pages WHERE id < ?1 ORDER BY id LIMIT ?2);

-- Retention (retention.c, removal.c, revision_sweep.c). A walk reads rows in the order of their ids: id, time, state, is it needed by what
-- lives. The newest event stays always: its id must not be given to another one.
-- name: page_count
PRAGMA page_count;
-- name: free_count
PRAGMA freelist_count;
-- name: walk_deliveries
SELECT id, at_ms, outcome, 0, 0 FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2;
-- name: walk_runs
SELECT r.id, max(r.started_ms, r.ended_ms), r.state, r.state < 20 OR p.event_id IS NOT NULL OR
    (r.collector_id <> 0 AND EXISTS (SELECT 1 FROM collected d JOIN pending q ON q.event_id = d.event_id WHERE d.collector_id = r.collector_id)) OR
    EXISTS (SELECT 1 FROM children c JOIN joins j ON j.id = c.join_id JOIN runs q ON q.id = j.run_id WHERE c.run_id = r.id AND NOT j.is_detached) OR
    EXISTS (SELECT 1 FROM joins j JOIN children c ON c.join_id = j.id JOIN runs q ON q.id = c.run_id
        WHERE j.run_id = r.id AND j.is_detached AND q.state < 20), r.resolved_ms
FROM runs r INDEXED BY runs_workflow LEFT JOIN pending p ON p.event_id = r.event_id
WHERE r.workflow = ?3 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: walk_events
SELECT e.id, e.at_ms, 0, p.event_id IS NOT NULL OR EXISTS (SELECT 1 FROM wakes w WHERE w.event_id = e.id) OR
    EXISTS (SELECT 1 FROM wakings g WHERE g.event_id = e.id) OR
    EXISTS (SELECT 1 FROM collected d JOIN collectors c ON c.id = d.collector_id WHERE d.event_id = e.id AND c.due_ms IS NOT NULL), 0
FROM events e LEFT JOIN pending p ON p.event_id = e.id
WHERE e.id > ?1 AND e.id < (SELECT max(id) FROM events) ORDER BY e.id LIMIT ?2;
-- name: walk_kept_keys
SELECT event_id, expire_ms, event_id <= coalesce((SELECT value FROM meta WHERE name = 'dedupe_merged'), 0), 0, 0
FROM dedupe_kept WHERE event_id > ?1 ORDER BY event_id LIMIT ?2;
-- name: event_runs
SELECT id, state, max(started_ms, ended_ms), resolved_ms FROM runs WHERE event_id = ?1 AND collector_id = 0
UNION ALL SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM collected o JOIN pending q ON q.event_id = o.event_id WHERE o.collector_id = r.collector_id)
    THEN 2 ELSE r.state END, max(r.started_ms, r.ended_ms), r.resolved_ms
FROM collected d CROSS JOIN runs r ON r.collector_id = d.collector_id AND r.collector_id <> 0 WHERE d.event_id = ?1;
-- name: delete_delivery
DELETE FROM deliveries WHERE id = ?1 RETURNING source, outcome;
-- name: delete_steps
DELETE FROM steps WHERE run_id = ?1 AND path IN (SELECT path FROM steps WHERE run_id = ?1 ORDER BY path LIMIT ?2);
-- name: delete_run
DELETE FROM runs WHERE id = ?1;
-- A run goes after the children that it waited for (children have no life of their own), with its joins and its place in that of its parent.
-- name: awaited_child
SELECT c.run_id, r.state < 20 FROM joins j JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id
WHERE j.run_id = ?1 AND NOT j.is_detached LIMIT 1;
-- name: delete_child
DELETE FROM children WHERE run_id = ?1;
-- name: delete_contexts
DELETE FROM join_contexts WHERE join_id IN (SELECT c.join_id FROM joins j JOIN join_contexts c ON c.join_id = j.id WHERE j.run_id = ?1 LIMIT ?2);
-- name: delete_run_items
DELETE FROM join_items WHERE id IN (SELECT i.id FROM joins j JOIN join_items i ON i.id >= j.id * 2048 AND i.id < (j.id + 1) * 2048
    WHERE j.run_id = ?1 LIMIT ?2);
-- name: delete_joins
DELETE FROM joins WHERE id IN (SELECT id FROM joins WHERE run_id = ?1 LIMIT ?2);
-- name: keep_key
INSERT INTO dedupe_kept(event_id, dedupe, expire_ms) SELECT id, dedupe, expire_ms FROM events
WHERE id = ?1 AND dedupe IS NOT NULL AND expire_ms > ?2 AND id > coalesce((SELECT value FROM meta WHERE name = 'dedupe_merged'), 0);
-- name: delete_kept_key
DELETE FROM dedupe_kept WHERE event_id = ?1;
-- name: delete_matches
DELETE FROM matches WHERE event_id = ?1;
-- name: delete_event_keys
DELETE FROM event_keys WHERE event_id = ?1;
-- name: delete_body
DELETE FROM bodies WHERE event_id = ?1;
-- name: delete_event
DELETE FROM events WHERE id = ?1;
-- name: older_revisions
SELECT id FROM revisions v WHERE id < (SELECT max(id) FROM revisions)
    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.revision = v.id AND r.revision <> 0) ORDER BY id;
-- name: run_of_revision
SELECT 1 FROM runs WHERE revision = ?1 AND revision <> 0 LIMIT 1;
-- name: event_revisions
SELECT id, revision FROM events WHERE id > ?1 ORDER BY id LIMIT ?2;
-- name: delete_revision_files
DELETE FROM revision_files WHERE revision = ?1 AND position IN (SELECT position FROM revision_files WHERE revision = ?1 LIMIT ?2);
-- name: delete_revision
DELETE FROM revisions WHERE id = ?1;
-- name: delete_versions
DELETE FROM versions WHERE id IN (SELECT id FROM versions WHERE id NOT IN (SELECT version FROM revision_files) LIMIT ?1);

-- The sweeper (sweep.c): what must not happen. Columns: the id to go on behind, the fault (0 = none; the others: enum fault of sweep.c), the run.
-- What may wake a parked run is the same here and in has_source.
-- name: sweep_parked
SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM wakes WHERE run_id = r.id) THEN 1
    WHEN NOT EXISTS (SELECT 1 FROM timers WHERE run_id = r.id AND path <> '') AND NOT EXISTS (SELECT 1 FROM waits WHERE run_id = r.id)
        AND NOT EXISTS (SELECT 1 FROM joins WHERE run_id = r.id AND is_open) THEN 2 ELSE 0 END, r.id
FROM runs r INDEXED BY runs_unusual WHERE r.state <> 20 AND r.state = 3 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: sweep_active
SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM queue WHERE run_id = r.id) OR EXISTS (SELECT 1 FROM pending WHERE event_id = r.event_id) THEN 0 ELSE 3 END,
    r.id
FROM runs r INDEXED BY runs_unusual WHERE r.state <> 20 AND r.state = 2 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: sweep_timers
SELECT DISTINCT t.run_id, CASE WHEN EXISTS (SELECT 1 FROM runs WHERE id = t.run_id AND state < 20) THEN 0 ELSE 4 END, t.run_id
FROM timers t INDEXED BY timers_step WHERE t.run_id > ?1 ORDER BY t.run_id LIMIT ?2;
-- name: sweep_waits
SELECT DISTINCT w.run_id, CASE WHEN EXISTS (SELECT 1 FROM runs WHERE id = w.run_id AND state < 20) THEN 0 ELSE 4 END, w.run_id
FROM waits w INDEXED BY waits_step WHERE w.run_id > ?1 ORDER BY w.run_id LIMIT ?2;
-- name: sweep_wakes
SELECT DISTINCT w.run_id, CASE WHEN EXISTS (SELECT 1 FROM runs WHERE id = w.run_id AND state < 20) THEN 0 ELSE 4 END, w.run_id
FROM wakes w WHERE w.run_id > ?1 ORDER BY w.run_id LIMIT ?2;
-- name: sweep_queue
SELECT q.run_id, CASE WHEN r.id IS NULL OR r.state >= 20 THEN 4 WHEN r.state <> 2 THEN 5 ELSE 0 END, q.run_id
FROM queue q LEFT JOIN runs r ON r.id = q.run_id WHERE q.run_id > ?1 ORDER BY q.run_id LIMIT ?2;
-- name: sweep_joins
SELECT j.id, CASE WHEN NOT j.is_open THEN 0
    WHEN NOT EXISTS (SELECT 1 FROM runs WHERE id = j.run_id AND state < 20) THEN 6
    WHEN EXISTS (SELECT 1 FROM wakes WHERE run_id = j.run_id AND path = j.path) THEN 0
    WHEN EXISTS (SELECT 1 FROM children c JOIN runs r ON r.id = c.run_id WHERE c.join_id = j.id AND r.state < 20 ORDER BY c.item DESC LIMIT 1) THEN 0
    ELSE 7 END, j.run_id
FROM joins j WHERE j.id > ?1 ORDER BY j.id LIMIT ?2;
-- name: sweep_slots
SELECT s.run_id, CASE WHEN r.id IS NULL OR (r.state >= 20 AND NOT (s.holds_failed AND s.state = 1 AND r.state = 21 AND NOT r.resolved)) THEN 4
    WHEN s.state = 0 AND (SELECT count(*) FROM slots h WHERE h.grp = s.grp AND h.state = 1) < s.most
        AND s.run_id = (SELECT o.run_id FROM slots o WHERE o.grp = s.grp AND o.state = 0 ORDER BY o.order_ms, o.event_id, o.run_id LIMIT 1) THEN 8
    ELSE 0 END, s.run_id
FROM slots s LEFT JOIN runs r ON r.id = s.run_id WHERE s.run_id > ?1 ORDER BY s.run_id LIMIT ?2;
-- name: sweep_delayed
SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM timers WHERE run_id = r.id AND path = '~start') THEN 0
    WHEN EXISTS (SELECT 1 FROM delayed d JOIN delayed f ON f.grp = d.grp AND f.run_id < d.run_id WHERE d.run_id = r.id) THEN 0 ELSE 9 END, r.id
FROM runs r INDEXED BY runs_unusual WHERE r.state <> 20 AND r.state = 4 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: sweep_blocked
SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM slots WHERE run_id = r.id AND state = 0) THEN 0 ELSE 10 END, r.id
FROM runs r INDEXED BY runs_unusual WHERE r.state <> 20 AND r.state = 1 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: sweep_held
SELECT r.id, CASE WHEN EXISTS (SELECT 1 FROM pauses WHERE workflow = r.workflow) THEN 0 ELSE 13 END, r.id
FROM runs r INDEXED BY runs_unusual WHERE r.state <> 20 AND r.state = 5 AND r.id > ?1 ORDER BY r.id LIMIT ?2;
-- name: sweep_collectors
SELECT c.id, CASE WHEN c.due_ms IS NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE collector_id = c.id AND collector_id <> 0) THEN 11
    WHEN c.due_ms IS NOT NULL AND c.count <> (SELECT count(*) FROM collected WHERE collector_id = c.id) THEN 12 ELSE 0 END, 0
FROM collectors c WHERE c.id > ?1 ORDER BY c.id LIMIT ?2;
-- As if the time of all that the run waits for had come.
-- name: wake_all_steps
INSERT INTO wakes(run_id, path, kind, arm, at_ms) SELECT run_id, path, 1, 0, ?2 FROM steps WHERE run_id = ?1 AND state < 20 ON CONFLICT DO NOTHING;
-- name: run_uid
SELECT uid FROM runs WHERE id = ?1;
-- Of a join with no child alive: what has not succeeded has failed.
-- name: recount_join
UPDATE joins SET again = 0, (succeeded, failed) = (SELECT count(*), joins.started - count(*) FROM children c JOIN runs r ON r.id = c.run_id
    WHERE c.join_id = ?1 AND r.state IN (20, 23)) WHERE id = ?1
RETURNING id, run_id, path, event_id, total, concurrency, allowed, started, succeeded, failed, workflow, version,
    (SELECT uid FROM runs r WHERE r.id = joins.run_id), again, again_from;

-- Metered calls (usage.c). A run that another one has started counts for the one at the top.
-- name: usage_root
WITH RECURSIVE up(id, uid) AS (SELECT id, uid FROM runs WHERE uid = ?1
    UNION ALL SELECT r.id, r.uid FROM up JOIN children c ON c.run_id = up.id JOIN joins j ON j.id = c.join_id JOIN runs r ON r.id = j.run_id LIMIT 64)
SELECT uid FROM up WHERE NOT EXISTS (SELECT 1 FROM children WHERE run_id = up.id) LIMIT 1;
-- name: usage_of_step
SELECT count(*), total(input) + total(output), total(cost), total(took_ms) FROM usage WHERE run = ?1 AND path = ?2;
-- name: usage_of_run
SELECT count(*), total(input) + total(output), total(cost), total(took_ms) FROM usage WHERE root = ?1;
-- name: usage_of_workflow
SELECT total(calls), total(input) + total(output), total(cost), total(took_ms) FROM usage_days WHERE day = ?1 AND workflow = ?2;
-- name: usage_of_day
SELECT total(calls), total(input) + total(output), total(cost), total(took_ms) FROM usage_days WHERE day = ?1;
-- name: put_usage
INSERT INTO usage(run, root, workflow, path, attempt, at_ms, state, provider, model, input, output, cached, cost, took_ms)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, 0, ?11, 0);
-- name: find_usage
SELECT at_ms, workflow, provider, model, input, output, cost FROM usage WHERE id = ?1 AND run = ?2 AND state = ?3;
-- name: end_usage
UPDATE usage SET state = ?8, input = ?2, output = ?3, cached = ?4, cost = ?5, first_ms = ?6, took_ms = ?7 WHERE id = ?1;
-- name: settle_usage
UPDATE usage SET state = 2 WHERE id = ?1;
-- name: add_usage_day
INSERT INTO usage_days(day, workflow, provider, model, calls, open, unpriced, input, output, cached, cost, took_ms)
VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, open = open + excluded.open,
    unpriced = unpriced + excluded.unpriced, input = input + excluded.input, output = output + excluded.output, cached = cached + excluded.cached,
    cost = cost + excluded.cost, took_ms = took_ms + excluded.took_ms;
-- name: delete_usage_days
DELETE FROM usage_days WHERE day < ?1;
-- name: delete_usage
DELETE FROM usage WHERE id IN (SELECT id FROM usage WHERE run = (SELECT uid FROM runs WHERE id = ?1) LIMIT ?2);
