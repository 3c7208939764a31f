-- Version 6: what the named limits of bellwire.yaml are owed, so that a restart grants no fresh burst and ends no pause.
--
-- key: a hash, or empty: the limit is one for all. free_ms: when nothing is owed any more; paused_ms: until when nothing begins; 0 = not paused.
-- Rows whose times are over say nothing and are removed now and then.
CREATE TABLE limits(name TEXT NOT NULL, key BLOB NOT NULL, free_ms INTEGER NOT NULL, paused_ms INTEGER NOT NULL, PRIMARY KEY(name, key)) STRICT, WITHOUT ROWID;
