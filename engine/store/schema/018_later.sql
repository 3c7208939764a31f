-- Version 18: events that come later (`emit` with `delay`).
--
-- An event gets its row in `events`, and its place among them, when its time comes; until then it lies here, all of it, with the uid that its step has told.
-- dedupe: its key as it was given, which decides then. checksum, enc, raw_bytes and body as in `bodies`.
CREATE TABLE later(
    id INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL, uid BLOB NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL, dedupe TEXT, window_ms INTEGER NOT NULL,
    headers TEXT, checksum INTEGER NOT NULL, enc INTEGER NOT NULL, raw_bytes INTEGER, body BLOB NOT NULL
) STRICT;
CREATE INDEX later_due ON later(due_ms, id);
