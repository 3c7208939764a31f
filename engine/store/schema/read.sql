-- The readers' statements, each under its name in reader_sql.h, prepared once per reader, when it needs it.
-- The event queries share one list of columns, so do the run and the delivery queries: reader_*.c reads them by position.

-- name: pending_events
SELECT e.id, e.uid, e.at_ms, e.revision, e.trusted, e.source, e.name, e.workflow, 1, 0, b.checksum, b.headers, b.body, b.enc, b.raw_bytes
FROM pending p CROSS JOIN events e ON e.id = p.event_id CROSS JOIN bodies b ON b.event_id = e.id
WHERE p.event_id > ?1 ORDER BY p.event_id LIMIT ?2;
-- name: pending_count
SELECT count(*) FROM pending;
-- name: events
SELECT e.id, e.uid, e.at_ms, e.revision, e.trusted, e.source, e.name, e.workflow, p.event_id IS NOT NULL, m.matched,
    b.checksum, b.headers, CASE WHEN ?4 THEN b.body END, b.enc, b.raw_bytes
FROM events e LEFT JOIN pending p ON p.event_id = e.id LEFT JOIN matches m ON m.event_id = e.id LEFT JOIN bodies b ON b.event_id = e.id
WHERE e.id < ?1 AND (?2 IS NULL OR e.name GLOB ?2) ORDER BY e.id DESC LIMIT ?3;
-- name: event
SELECT e.id, e.uid, e.at_ms, e.revision, e.trusted, e.source, e.name, e.workflow, p.event_id IS NOT NULL, m.matched,
    b.checksum, b.headers, b.body, b.enc, b.raw_bytes
FROM events e LEFT JOIN pending p ON p.event_id = e.id LEFT JOIN matches m ON m.event_id = e.id LEFT JOIN bodies b ON b.event_id = e.id
WHERE e.uid = ?1;
-- name: event_by_id
SELECT e.id, e.uid, e.at_ms, e.revision, e.trusted, e.source, e.name, e.workflow, p.event_id IS NOT NULL, m.matched,
    b.checksum, b.headers, CASE WHEN ?2 THEN b.body END, b.enc, b.raw_bytes
FROM events e LEFT JOIN pending p ON p.event_id = e.id LEFT JOIN matches m ON m.event_id = e.id LEFT JOIN bodies b ON b.event_id = e.id
WHERE e.id = ?1;

-- name: collected_events
SELECT e.id, e.uid, e.at_ms, e.revision, e.trusted, e.source, e.name, e.workflow, 0, 0, b.checksum, b.headers,
    CASE WHEN ?3 THEN b.body END, b.enc, b.raw_bytes
FROM collected d CROSS JOIN events e ON e.id = d.event_id LEFT JOIN bodies b ON b.event_id = e.id
WHERE d.collector_id = ?1 AND d.event_id < ?2 ORDER BY d.event_id;
-- Where an event went that was collected. The run of its collector is the first that has it; others repeat it, or are items of its steps.
-- name: collectors_of_event
SELECT c.workflow, c.count, c.first_ms, c.last_ms, c.due_ms, r.uid, r.state
FROM collected d CROSS JOIN collectors c ON c.id = d.collector_id
LEFT JOIN runs r ON r.id = (SELECT min(id) FROM runs WHERE collector_id = c.id AND collector_id <> 0)
WHERE d.event_id = ?1 ORDER BY c.workflow;

-- One for each index that a filter can use, most selective first; the rest of the filter is checked row by row.
-- name: runs_of_event
SELECT r.id, r.uid, r.event_id, r.workflow, r.version, r.state, r.lost, r.started_ms, r.ended_ms, r.output, r.error, e.uid, e.name,
    EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id), EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path = '' AND w.kind = 1),
    c.join_id, c.item, c.input, j.path, j.depth, j.is_call, j.is_detached, p.uid,
    CASE WHEN r.revision THEN r.revision ELSE e.revision END, r.resumed_ms, r.resolved, r.resolved_ms, r.origin, r.cancel, r.collector_id,
    coalesce(j.needs_event & 2, 0), (SELECT w.labels FROM workflows w WHERE w.name = r.workflow),
    coalesce((SELECT s.sensitive FROM steps s WHERE s.run_id = j.run_id AND s.path = j.path), 0)
FROM runs r LEFT JOIN events e ON e.id = r.event_id
LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
WHERE r.event_id = ?1 AND (?2 IS NULL OR r.workflow = ?2) AND (?3 = 0 OR r.state = ?3) AND r.id < ?4 AND (?6 OR c.run_id IS NULL)
    AND r.started_ms >= ?7 AND (?12 = 0 OR r.started_ms < ?12) AND (?9 OR r.state <> 21 OR NOT r.resolved)
    AND (?8 IS NULL OR (json_valid(r.error) AND json_extract(r.error, '$.code') GLOB ?8))
    AND (?10 IS NULL OR EXISTS (SELECT 1 FROM workflows w, json_each(w.labels) l
        WHERE w.name = r.workflow AND l.key = ?10 AND (?11 IS NULL OR l.value = ?11)))
ORDER BY r.id DESC LIMIT ?5;
-- name: runs_of_workflow
SELECT r.id, r.uid, r.event_id, r.workflow, r.version, r.state, r.lost, r.started_ms, r.ended_ms, r.output, r.error, e.uid, e.name,
    EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id), EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path = '' AND w.kind = 1),
    c.join_id, c.item, c.input, j.path, j.depth, j.is_call, j.is_detached, p.uid,
    CASE WHEN r.revision THEN r.revision ELSE e.revision END, r.resumed_ms, r.resolved, r.resolved_ms, r.origin, r.cancel, r.collector_id,
    coalesce(j.needs_event & 2, 0), (SELECT w.labels FROM workflows w WHERE w.name = r.workflow),
    coalesce((SELECT s.sensitive FROM steps s WHERE s.run_id = j.run_id AND s.path = j.path), 0)
FROM runs r INDEXED BY runs_workflow LEFT JOIN events e ON e.id = r.event_id
LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
WHERE (?1 = 0 OR r.event_id = ?1) AND r.workflow = ?2 AND (?3 = 0 OR r.state = ?3) AND r.id < ?4 AND (?6 OR c.run_id IS NULL)
    AND r.started_ms >= ?7 AND (?12 = 0 OR r.started_ms < ?12) AND (?9 OR r.state <> 21 OR NOT r.resolved)
    AND (?8 IS NULL OR (json_valid(r.error) AND json_extract(r.error, '$.code') GLOB ?8))
    AND (?10 IS NULL OR EXISTS (SELECT 1 FROM workflows w, json_each(w.labels) l
        WHERE w.name = r.workflow AND l.key = ?10 AND (?11 IS NULL OR l.value = ?11)))
ORDER BY r.id DESC LIMIT ?5;
-- name: runs_in_state
SELECT r.id, r.uid, r.event_id, r.workflow, r.version, r.state, r.lost, r.started_ms, r.ended_ms, r.output, r.error, e.uid, e.name,
    EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id), EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path = '' AND w.kind = 1),
    c.join_id, c.item, c.input, j.path, j.depth, j.is_call, j.is_detached, p.uid,
    CASE WHEN r.revision THEN r.revision ELSE e.revision END, r.resumed_ms, r.resolved, r.resolved_ms, r.origin, r.cancel, r.collector_id,
    coalesce(j.needs_event & 2, 0), (SELECT w.labels FROM workflows w WHERE w.name = r.workflow),
    coalesce((SELECT s.sensitive FROM steps s WHERE s.run_id = j.run_id AND s.path = j.path), 0)
FROM runs r INDEXED BY runs_unusual LEFT JOIN events e ON e.id = r.event_id
LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
WHERE (?1 = 0 OR r.event_id = ?1) AND (?2 IS NULL OR r.workflow = ?2) AND r.state <> 20 AND r.state = ?3 AND r.id < ?4 AND (?6 OR c.run_id IS NULL)
    AND r.started_ms >= ?7 AND (?12 = 0 OR r.started_ms < ?12) AND (?9 OR r.state <> 21 OR NOT r.resolved)
    AND (?8 IS NULL OR (json_valid(r.error) AND json_extract(r.error, '$.code') GLOB ?8))
    AND (?10 IS NULL OR EXISTS (SELECT 1 FROM workflows w, json_each(w.labels) l
        WHERE w.name = r.workflow AND l.key = ?10 AND (?11 IS NULL OR l.value = ?11)))
ORDER BY r.id DESC LIMIT ?5;
-- name: runs
SELECT r.id, r.uid, r.event_id, r.workflow, r.version, r.state, r.lost, r.started_ms, r.ended_ms, r.output, r.error, e.uid, e.name,
    EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id), EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path = '' AND w.kind = 1),
    c.join_id, c.item, c.input, j.path, j.depth, j.is_call, j.is_detached, p.uid,
    CASE WHEN r.revision THEN r.revision ELSE e.revision END, r.resumed_ms, r.resolved, r.resolved_ms, r.origin, r.cancel, r.collector_id,
    coalesce(j.needs_event & 2, 0), (SELECT w.labels FROM workflows w WHERE w.name = r.workflow),
    coalesce((SELECT s.sensitive FROM steps s WHERE s.run_id = j.run_id AND s.path = j.path), 0)
FROM runs r LEFT JOIN events e ON e.id = r.event_id
LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
WHERE (?1 = 0 OR r.event_id = ?1) AND (?2 IS NULL OR r.workflow = ?2) AND (?3 = 0 OR r.state = ?3) AND r.id < ?4 AND (?6 OR c.run_id IS NULL)
    AND r.started_ms >= ?7 AND (?12 = 0 OR r.started_ms < ?12) AND (?9 OR r.state <> 21 OR NOT r.resolved)
    AND (?8 IS NULL OR (json_valid(r.error) AND json_extract(r.error, '$.code') GLOB ?8))
    AND (?10 IS NULL OR EXISTS (SELECT 1 FROM workflows w, json_each(w.labels) l
        WHERE w.name = r.workflow AND l.key = ?10 AND (?11 IS NULL OR l.value = ?11)))
ORDER BY r.id DESC LIMIT ?5;
-- name: run
SELECT r.id, r.uid, r.event_id, r.workflow, r.version, r.state, r.lost, r.started_ms, r.ended_ms, r.output, r.error, e.uid, e.name,
    EXISTS (SELECT 1 FROM queue q WHERE q.run_id = r.id), EXISTS (SELECT 1 FROM wakes w WHERE w.run_id = r.id AND w.path = '' AND w.kind = 1),
    c.join_id, c.item, c.input, j.path, j.depth, j.is_call, j.is_detached, p.uid,
    CASE WHEN r.revision THEN r.revision ELSE e.revision END, r.resumed_ms, r.resolved, r.resolved_ms, r.origin, r.cancel, r.collector_id,
    coalesce(j.needs_event & 2, 0), (SELECT w.labels FROM workflows w WHERE w.name = r.workflow),
    coalesce((SELECT s.sensitive FROM steps s WHERE s.run_id = j.run_id AND s.path = j.path), 0)
FROM runs r LEFT JOIN events e ON e.id = r.event_id
LEFT JOIN children c ON c.run_id = r.id LEFT JOIN joins j ON j.id = c.join_id LEFT JOIN runs p ON p.id = j.run_id
WHERE r.uid = ?1;
-- name: steps
SELECT s.path, s.state, s.attempt, s.started_ms, s.ended_ms, s.input_names, s.output, s.error,
    t.due_ms, w.kind, w.arm, w.event_id, w.at_ms, e.uid, j.id, j.total, j.started, j.succeeded, j.failed, s.again, v.choice, v.actor, v.form, s.sensitive,
    CASE WHEN w.kind = 3 THEN (SELECT json_group_array(json_object('choice', choice, 'by', actor, 'at', at_ms, 'form', json(form)))
        FROM (SELECT * FROM votes o WHERE o.run_id = s.run_id AND o.path = s.path ORDER BY o.at_ms, o.decides, o.actor)) END, s.failures
FROM steps s LEFT JOIN timers t ON s.state < 20 AND t.run_id = s.run_id AND t.path = s.path
LEFT JOIN wakes w ON s.state < 20 AND w.run_id = s.run_id AND w.path = s.path LEFT JOIN events e ON e.id = w.event_id
LEFT JOIN joins j ON j.run_id = s.run_id AND j.path = s.path
LEFT JOIN votes v ON w.kind = 3 AND v.run_id = s.run_id AND v.path = s.path AND v.decides
WHERE s.run_id = ?1 ORDER BY s.position, s.path;
-- v: the vote that has decided; o: that of ?3, as long as none has.
-- name: approval
SELECT r.state, EXISTS (SELECT 1 FROM wakes e WHERE e.run_id = r.id AND e.path = ''), s.state, s.output, w.kind, t.due_ms, v.choice, v.actor, v.at_ms, v.form,
    coalesce(s.sensitive, 0), o.choice, o.at_ms, o.form,
    (SELECT json_group_object(choice, n) FROM (SELECT choice, count(*) AS n FROM votes c WHERE c.run_id = r.id AND c.path = ?2 GROUP BY choice)),
    EXISTS (SELECT 1 FROM votes a WHERE a.run_id = r.id AND a.path = ?2 AND a.actor = ?3)
FROM runs r LEFT JOIN steps s ON s.run_id = r.id AND s.path = ?2 LEFT JOIN wakes w ON w.run_id = r.id AND w.path = ?2
LEFT JOIN timers t ON t.run_id = r.id AND t.path = ?2 LEFT JOIN votes v ON v.run_id = r.id AND v.path = ?2 AND v.decides
LEFT JOIN votes o ON o.run_id = r.id AND o.path = ?2 AND o.actor = ?3 AND v.run_id IS NULL
WHERE r.uid = ?1;
-- name: queue
SELECT q.id, q.run_id, r.uid, r.event_id, c.run_id IS NOT NULL, coalesce(j.needs_event, 1), r.revision, r.workflow
FROM queue q CROSS JOIN runs r ON r.id = q.run_id LEFT JOIN children c ON c.run_id = q.run_id LEFT JOIN joins j ON j.id = c.join_id
WHERE q.id > ?1 ORDER BY q.id LIMIT ?2;
-- name: join_context
SELECT context FROM join_contexts WHERE join_id = ?1;
-- name: child_ends
SELECT c.item, r.uid, r.state, r.output, r.error FROM children c JOIN runs r ON r.id = c.run_id
WHERE c.join_id = ?1 AND r.state >= 20 ORDER BY c.item;
-- name: pairs
SELECT event, field FROM wait_pairs ORDER BY event, field;
-- name: schedules
SELECT workflow, rule, last_ms FROM schedules ORDER BY workflow, rule;
-- name: limits
SELECT name, key, free_ms, paused_ms FROM limits ORDER BY name, key;
-- name: audit
SELECT at_ms, actor, verb, target, detail FROM audit WHERE target = ?1 ORDER BY id;
-- name: run_wait
SELECT r.asks, coalesce(t.due_ms, d.due_ms), u.due_ms, s.most, (SELECT count(*) FROM slots h WHERE h.grp = s.grp AND h.state = 1),
    CASE WHEN r.state = 4 THEN (SELECT count(*) FROM delayed f WHERE f.grp = d.grp AND f.run_id < d.run_id)
    ELSE (SELECT count(*) FROM slots o WHERE o.grp = s.grp AND o.state = 0
        AND (o.order_ms, o.event_id, o.run_id) < (s.order_ms, s.event_id, s.run_id)) END,
    (SELECT f.uid FROM slots h JOIN runs f ON f.id = h.run_id WHERE h.grp = s.grp AND h.state = 1 AND f.state = 21 LIMIT 1),
    (SELECT uid FROM runs WHERE id = s.lender)
FROM runs r LEFT JOIN timers t ON t.run_id = r.id AND t.path = '~start' LEFT JOIN timers u ON u.run_id = r.id AND u.path = '~within'
LEFT JOIN delayed d ON d.run_id = r.id LEFT JOIN slots s ON s.run_id = r.id AND s.state = 0 WHERE r.id = ?1 AND r.state IN (1, 4);
-- Of the runs that the run's steps have called, the first one that has not begun.
-- name: unbegun_call
SELECT c.run_id, r.uid, j.path FROM joins j JOIN children c ON c.join_id = j.id JOIN runs r ON r.id = c.run_id
WHERE j.run_id = ?1 AND j.is_open AND j.is_call AND r.state IN (1, 4, 5) ORDER BY c.run_id LIMIT 1;
-- name: held_wait
SELECT CASE WHEN p.resumed_ms THEN 0 ELSE p.since_ms END, p.reason, u.due_ms,
    CASE WHEN p.resumed_ms THEN (SELECT count(*) FROM runs h INDEXED BY runs_held WHERE h.state = 5 AND h.workflow = r.workflow
        AND (h.event_id, h.id) < (r.event_id, r.id)) ELSE 0 END
FROM runs r JOIN pauses p ON p.workflow = r.workflow LEFT JOIN timers u ON u.run_id = r.id AND u.path = '~within' WHERE r.id = ?1 AND r.state = 5;
-- name: windows
SELECT source, until_ms, actor FROM source_windows ORDER BY source;
-- name: learnt
SELECT source, secret, value, at_ms, remote FROM learnt_secrets ORDER BY source;
-- name: pauses
SELECT workflow, since_ms, actor, reason, resumed_ms FROM pauses ORDER BY workflow;
-- Held ones have an index of their own, and may be very many; the others are counted by those that have not succeeded.
-- name: held_count
SELECT count(*) FROM runs INDEXED BY runs_held WHERE state = 5 AND workflow = ?1;
-- name: state_count
SELECT count(*) FROM runs INDEXED BY runs_unusual WHERE state <> 20 AND state = ?2 AND workflow = ?1 AND NOT resolved;
-- name: parked_count
SELECT count(*) FROM runs INDEXED BY runs_unusual WHERE state <> 20 AND state = 3;

-- name: deliveries
SELECT d.id, d.at_ms, d.source, d.status, d.outcome, d.bytes, d.took_us, d.times, d.provider_id, d.remote, d.detail, e.uid
FROM deliveries d LEFT JOIN events e ON e.id = d.event_id
WHERE d.id < ?1 AND (?2 IS NULL OR d.source = ?2) AND (?3 = 0 OR d.outcome >= 10) ORDER BY d.id DESC LIMIT ?4;
-- name: refused_of_source
SELECT d.id, d.at_ms, d.source, d.status, d.outcome, d.bytes, d.took_us, d.times, d.provider_id, d.remote, d.detail, e.uid
FROM deliveries d INDEXED BY deliveries_refused LEFT JOIN events e ON e.id = d.event_id
WHERE d.id < ?1 AND d.source = ?2 AND ?3 AND d.outcome >= 10 ORDER BY d.id DESC LIMIT ?4;

-- name: delivery
SELECT d.id, d.at_ms, d.source, d.status, d.outcome, d.bytes, d.took_us, d.times, d.provider_id, d.remote, d.detail, e.uid
FROM deliveries d LEFT JOIN events e ON e.id = d.event_id WHERE d.id = ?1;
-- name: duplicates
SELECT d.id, d.at_ms, d.source, d.status, d.outcome, d.bytes, d.took_us, d.times, d.provider_id, d.remote, d.detail, e.uid
FROM deliveries d INDEXED BY deliveries_duplicates LEFT JOIN events e ON e.id = d.event_id
WHERE d.outcome = 1 AND d.event_id = ?1 ORDER BY d.id LIMIT ?2;

-- name: revision_files
SELECT f.kind, f.path, v.content FROM revision_files f JOIN versions v ON v.id = f.version WHERE f.revision = ?1 ORDER BY f.position;
-- name: revision
SELECT id FROM revisions WHERE id = ?1;

-- name: usage_of_run
SELECT run, workflow, path, attempt, at_ms, state, provider, model, input, output, cached, cost, first_ms, took_ms FROM usage WHERE run = ?1 ORDER BY id;
-- name: usage_of_root
SELECT count(*), total(state <> 2), total(cost IS NULL), total(input), total(output), total(cached), total(cost), total(took_ms) FROM usage WHERE root = ?1;
-- name: usage_days
SELECT day, workflow, provider, model, calls, open, unpriced, input, output, cached, cost, took_ms FROM usage_days
WHERE day >= ?1 ORDER BY day, workflow, provider, model;
