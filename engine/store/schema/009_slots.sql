-- Version 9: runs that share a number of slots (`concurrency`), by group: a hash of workflow and key.
--
-- state: 0 the run is BLOCKED, 1 it holds a slot, 2 it is parked and holds one only while it is active. most: how many the group has, as that run
-- was told. Who is blocked gets a slot in the order of the events. A row goes with its run's end.
CREATE TABLE slots(
    run_id INTEGER PRIMARY KEY, grp BLOB NOT NULL, state INTEGER NOT NULL, event_id INTEGER NOT NULL, most INTEGER NOT NULL,
    holds_parked INTEGER NOT NULL
) STRICT;
CREATE INDEX slots_group ON slots(grp, state, event_id, run_id);
