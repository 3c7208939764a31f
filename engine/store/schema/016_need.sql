-- Version 16: decisions that more than one person must agree on (`need`, `to`).
--
-- One row for each person who has decided, the first decision of each. decides: with this one a choice had as many as it needs: what the step goes on
-- with. form: a JSON object. remote: from where it came. A row goes with its run.
CREATE TABLE ballots(
    run_id INTEGER NOT NULL, path TEXT NOT NULL, actor TEXT NOT NULL, choice TEXT NOT NULL, at_ms INTEGER NOT NULL, form TEXT NOT NULL,
    remote TEXT NOT NULL, decides INTEGER NOT NULL, PRIMARY KEY(run_id, path, actor)
) STRICT, WITHOUT ROWID;
INSERT INTO ballots SELECT run_id, path, actor, choice, at_ms, form, remote, 1 FROM votes;
DROP TABLE votes;
ALTER TABLE ballots RENAME TO votes;
