-- Version 7: the dead letter: runs that failed, and what somebody does about them.
--
-- revision: what the run runs under, 0 = the revision of its event. resumed_ms: when it was last taken up again. resolved (enum bw_resolution of
-- store.h) and resolved_ms: how and when somebody was done with it, only of a failed run. origin: the run that it repeats.
ALTER TABLE runs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN resumed_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN resolved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN resolved_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN origin BLOB;
CREATE INDEX runs_revised ON runs(revision) WHERE revision <> 0;

-- The step is run once more, whatever its row says, unless the workflow goes on after such an end. Gone with the step's next row.
ALTER TABLE steps ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- Children that are run once more: how many are left, all of them in items from again_from on.
ALTER TABLE joins ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE joins ADD COLUMN again_from INTEGER NOT NULL DEFAULT 0;

-- Who has done what by hand. target: the id of what it was done to; its rows go with that.
CREATE TABLE audit(
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL, target TEXT NOT NULL, detail TEXT
) STRICT;
CREATE INDEX audit_target ON audit(target);
