-- Version 1. Run as one transaction by migrate.c; never edited once released: later changes are 002_….sql.
--
-- What a webhook touches is append-only and ordered by time, so that a group of commits dirties a few pages at the right edges of the
-- trees. An event's row is never rewritten: what changes about it lives in `pending` and `matches`, its bytes in `bodies`, so that listing
-- and filtering events never walks over bodies.

CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- A catalogue revision: which files it had. Contents are stored once, by SHA-256.
CREATE TABLE versions(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, content BLOB NOT NULL) STRICT;
CREATE TABLE revisions(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE revision_files(
    revision INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY(revision, position)
) STRICT, WITHOUT ROWID;

-- dedupe: first 16 bytes of SHA-256 of source and key, NULL without a key; with its expiry it is the truth from which dedupe.c
-- rebuilds its memory.
CREATE TABLE events(
    id INTEGER PRIMARY KEY, uid BLOB NOT NULL, at_ms INTEGER NOT NULL, revision INTEGER NOT NULL, trusted INTEGER NOT NULL,
    source TEXT NOT NULL, name TEXT NOT NULL, workflow TEXT, dedupe BLOB, expire_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX events_uid ON events(uid);
CREATE TABLE bodies(event_id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, headers TEXT, body BLOB NOT NULL) STRICT;
CREATE TABLE pending(event_id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE matches(event_id INTEGER PRIMARY KEY, matched INTEGER NOT NULL) STRICT;

-- Dedupe keys of the events up to meta.dedupe_merged, sorted, in generations; newer ones are in memory and in events.dedupe. See dedupe.h
-- and generation.h. The page with number N of generation G has the id G * 2^20 + N.
CREATE TABLE dedupe_generations(id INTEGER PRIMARY KEY, page_bits INTEGER NOT NULL, expire_ms INTEGER NOT NULL, filter BLOB NOT NULL) STRICT;
CREATE TABLE dedupe_pages(id INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

CREATE TABLE deliveries(
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, source TEXT NOT NULL, status INTEGER NOT NULL, outcome INTEGER NOT NULL,
    event_id INTEGER, bytes INTEGER NOT NULL, took_us INTEGER NOT NULL, times INTEGER NOT NULL DEFAULT 1,
    provider_id TEXT, remote TEXT, detail TEXT
) STRICT;
CREATE INDEX deliveries_refused ON deliveries(source) WHERE outcome >= 10;

-- state: enum bw_run_state and enum bw_step_state of store.h; 20 and above are final.
CREATE TABLE runs(
    id INTEGER PRIMARY KEY, uid BLOB NOT NULL, event_id INTEGER NOT NULL, workflow TEXT NOT NULL, version BLOB NOT NULL,
    state INTEGER NOT NULL, lost INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, output BLOB, error TEXT
) STRICT;
CREATE UNIQUE INDEX runs_uid ON runs(uid);
CREATE INDEX runs_event ON runs(event_id);
CREATE INDEX runs_workflow ON runs(workflow);
CREATE INDEX runs_unusual ON runs(state) WHERE state <> 20;
CREATE TABLE steps(
    run_id INTEGER NOT NULL, path TEXT NOT NULL, position INTEGER NOT NULL, state INTEGER NOT NULL, attempt INTEGER NOT NULL,
    started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, input_names TEXT, output BLOB, error TEXT,
    PRIMARY KEY(run_id, path)
) STRICT, WITHOUT ROWID;
