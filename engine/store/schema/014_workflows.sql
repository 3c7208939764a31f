-- Version 14: what the current catalogue says about its workflows and that is no part of their versions.
--
-- ok_ms, failed_ms: ages after which runs of it may go, instead of those of the instance; 0 = never, NULL = it does not say. labels: JSON object of
-- texts, by which runs are found. A row is there for those that say anything; that of a workflow which is no longer there goes with its last run.
CREATE TABLE workflows(name TEXT PRIMARY KEY, ok_ms INTEGER, failed_ms INTEGER, labels TEXT) STRICT, WITHOUT ROWID;
