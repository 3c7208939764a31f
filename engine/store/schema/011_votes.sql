-- Version 11: what people decide, and the key of the links by which they do.
--
-- The decision that a step went on with, or will: the first one that came while it waited. form: a JSON object. remote: from where it came. A row
-- goes with its run.
CREATE TABLE votes(
    run_id INTEGER NOT NULL, path TEXT NOT NULL, choice TEXT NOT NULL, actor TEXT NOT NULL, at_ms INTEGER NOT NULL, form TEXT NOT NULL,
    remote TEXT NOT NULL, PRIMARY KEY(run_id, path)
) STRICT, WITHOUT ROWID;

-- Secret keys of this store, random, each made once and committed before it is used.
CREATE TABLE keys(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
