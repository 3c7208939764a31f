-- Version 4: what catalogues declare and the engine keeps for them.

-- Which events of which name are hashed by which field. A wait may be registered long after the event came, so the pairs of every catalogue count as
-- long as any run is alive; what no catalogue declares any more goes when none is.
CREATE TABLE wait_pairs(event TEXT NOT NULL, field TEXT NOT NULL, PRIMARY KEY(event, field)) STRICT, WITHOUT ROWID;

-- Until when the firings of a schedule are accounted for: fired, or left out by its policy. rule: cron expression and time zone.
CREATE TABLE schedules(workflow TEXT NOT NULL, rule TEXT NOT NULL, last_ms INTEGER NOT NULL, PRIMARY KEY(workflow, rule)) STRICT, WITHOUT ROWID;
