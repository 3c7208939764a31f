-- Version 2: what retention needs.
--
-- Dedupe keys of events that were removed before their key was merged into a generation and before it expired: together with the events'
-- own keys behind meta.dedupe_merged they are what dedupe.c rebuilds its memory from. Empty in nearly every store.
CREATE TABLE dedupe_kept(event_id INTEGER PRIMARY KEY, dedupe BLOB NOT NULL, expire_ms INTEGER NOT NULL) STRICT;
