-- Version 12: runs that begin later: `rate`, `delay`, `start_within`, `priority`; a failed run that keeps its slot.

-- What the run was admitted with, JSON (asks.h); NULL: nothing of the kind. It asks for its slot by it when its time has come, when somebody resumes
-- it, and so does a run that repeats it.
ALTER TABLE runs ADD COLUMN asks TEXT;

-- GCRA, by group: a hash of workflow and key. taken_us: when all is paid back that has been started; reserved_us: the same, with those who wait for
-- their turn. A row whose times have passed says no more than no row, and is removed.
CREATE TABLE rates(grp BLOB PRIMARY KEY, taken_us INTEGER NOT NULL, reserved_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX rates_reserved ON rates(reserved_us);

-- DELAYED runs of a group, in the order of their ids. The first one has a timer; the next one gets it when that has begun. due_ms: as reckoned when
-- the run was admitted.
CREATE TABLE delayed(run_id INTEGER PRIMARY KEY, grp BLOB NOT NULL, ready_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL) STRICT;
CREATE INDEX delayed_group ON delayed(grp, run_id);

-- Who is blocked gets a slot in the order of order_ms: when it asked, less its head start. until_ms: when it is not to begin any more, 0 = no such time.
-- holds_failed: the slot of a run that has failed stays taken until something is done about the run.
ALTER TABLE slots ADD COLUMN order_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE slots ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE slots ADD COLUMN until_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE slots ADD COLUMN holds_failed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX slots_order ON slots(grp, state, order_ms, event_id, run_id);
