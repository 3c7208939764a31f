-- Version 5: runs that a step of another run has started: the items of a `foreach`, a called workflow.
--
-- A join is that step: how many children it has in all and how far they are. An item gets its row in `runs` when it starts, so there are never
-- more of them alive than the join's concurrency; until then it lies in a block of join_items: 64 items, each as four bytes of length (little
-- endian) and its JSON. The block with number N of join J has the id J * 2048 + N. Items start in their order: those below `started` have.
-- needs_event: something in them reads the body of the event; else it is not read and not handed out for each of them.
CREATE TABLE joins(
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, path TEXT NOT NULL, event_id INTEGER NOT NULL, depth INTEGER NOT NULL,
    is_call INTEGER NOT NULL, is_detached INTEGER NOT NULL, is_open INTEGER NOT NULL, needs_event INTEGER NOT NULL,
    total INTEGER NOT NULL, concurrency INTEGER NOT NULL, allowed INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    workflow TEXT NOT NULL, version BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX joins_step ON joins(run_id, path);
CREATE TABLE join_contexts(join_id INTEGER PRIMARY KEY, context BLOB NOT NULL) STRICT;
CREATE TABLE join_items(id INTEGER PRIMARY KEY, items BLOB NOT NULL) STRICT;
CREATE TABLE children(run_id INTEGER PRIMARY KEY, join_id INTEGER NOT NULL, item INTEGER NOT NULL, input BLOB) STRICT;
CREATE UNIQUE INDEX children_join ON children(join_id, item);
