-- Version 20: workflows that somebody has paused (`bellwire workflows pause`): none of their runs begins.
--
-- resumed_ms: 0 while it is paused. Then its HELD runs are let go, so many in a transaction, and the row goes with the last one. actor, reason: who has
-- paused it and why; the rest is in `audit`, under the workflow's name.
CREATE TABLE pauses(
    workflow TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT, resumed_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- HELD runs in the order of their events; started_ms of such a run is when it was held.
CREATE INDEX runs_held ON runs(workflow, event_id) WHERE state = 5;
