-- Version 13: events of which one run is made (`collect`).
--
-- A collector gathers events until due_ms; then its run is made, and due_ms is NULL. grp: a hash of workflow and key, while it takes more events.
-- version: of the workflow under which the last of them was looked at. asks: what its run will be admitted with (asks.h), with the times ready_ms and
-- until_ms from then on. A row goes, with its events' rows here, with the last run that has it.
CREATE TABLE collectors(
    id INTEGER PRIMARY KEY, workflow TEXT NOT NULL, version BLOB NOT NULL, grp BLOB, due_ms INTEGER, first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, asks TEXT
) STRICT;
CREATE UNIQUE INDEX collectors_group ON collectors(grp) WHERE grp IS NOT NULL;
CREATE INDEX collectors_due ON collectors(due_ms, id) WHERE due_ms IS NOT NULL;
CREATE TABLE collected(collector_id INTEGER NOT NULL, event_id INTEGER NOT NULL, PRIMARY KEY(collector_id, event_id)) STRICT, WITHOUT ROWID;
CREATE INDEX collected_event ON collected(event_id);

-- Of a run that was made of several events, of one that repeats it, and of the items of its steps; 0 = none. event_id is the last one of them.
ALTER TABLE runs ADD COLUMN collector_id INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_collector ON runs(collector_id) WHERE collector_id <> 0;
