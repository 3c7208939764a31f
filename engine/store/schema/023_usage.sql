-- Version 23: what metered calls use (`bellwire usage`).
--
-- A call of a step to something that is paid by use, such as a language model. state: 1 it was let through, and the numbers are what it was thought to
-- take at most; 2 it has ended, and they are what it took. One of state 1 whose step has ended never said. root: the run at the top of those that
-- have started each other. cost: millionths of the currency; NULL: nobody knows the price.
CREATE TABLE usage(
    id INTEGER PRIMARY KEY, run BLOB NOT NULL, root BLOB NOT NULL, workflow TEXT NOT NULL, path TEXT NOT NULL, attempt INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, state INTEGER NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL, cost INTEGER, first_ms INTEGER, took_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_run ON usage(run);
CREATE INDEX usage_root ON usage(root);

-- The sums of a day (UTC), which outlive the runs. open: calls that have not said what they took; unpriced: calls without a cost.
CREATE TABLE usage_days(
    day INTEGER NOT NULL, workflow TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    calls INTEGER NOT NULL, open INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL, cost INTEGER NOT NULL, took_ms INTEGER NOT NULL,
    PRIMARY KEY(day, workflow, provider, model)
) STRICT, WITHOUT ROWID;
