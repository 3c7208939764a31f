-- Version 3: runs that wait for time or for events, without anybody holding them in memory.
--
-- All of it is small and is gone with the run's end: a run that never parks never touches these tables.

-- Runs that were parked, were woken and are to be continued. Ids ascend: dispatch reads on behind the last one it has seen.
CREATE TABLE queue(id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL UNIQUE) STRICT;

-- What a step waits for: a time, events with a key later than since_event. The step's row is there, in state waiting or retrying.
CREATE TABLE timers(due_ms INTEGER NOT NULL, run_id INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY(due_ms, run_id, path)) STRICT, WITHOUT ROWID;
CREATE INDEX timers_step ON timers(run_id, path);
CREATE TABLE waits(
    khash INTEGER NOT NULL, run_id INTEGER NOT NULL, path TEXT NOT NULL, arm INTEGER NOT NULL, since_event INTEGER NOT NULL,
    PRIMARY KEY(khash, run_id, path, arm)
) STRICT, WITHOUT ROWID;
CREATE INDEX waits_step ON waits(run_id, path);

-- What ended a step's waiting (kind: enum bw_wake_kind of store.h), until the run has taken notice of it.
CREATE TABLE wakes(
    run_id INTEGER NOT NULL, path TEXT NOT NULL, kind INTEGER NOT NULL, arm INTEGER NOT NULL, event_id INTEGER, at_ms INTEGER NOT NULL,
    PRIMARY KEY(run_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX wakes_event ON wakes(event_id) WHERE event_id IS NOT NULL;

-- The keys that an event was hashed to, for waits that are registered after it came.
CREATE TABLE event_keys(khash INTEGER NOT NULL, event_id INTEGER NOT NULL, PRIMARY KEY(khash, event_id)) STRICT, WITHOUT ROWID;
CREATE INDEX event_keys_event ON event_keys(event_id);
-- Events that more steps wait for than one transaction wakes: the rest of them is still to be woken.
CREATE TABLE wakings(event_id INTEGER PRIMARY KEY) STRICT;
