-- Version 4: which events of which name are hashed by which field. A wait may be registered long after the event came, so the pairs of every
-- catalogue count as long as any run is alive; what no catalogue declares any more goes when none is.
CREATE TABLE wait_pairs(event TEXT NOT NULL, field TEXT NOT NULL, PRIMARY KEY(event, field)) STRICT, WITHOUT ROWID;
