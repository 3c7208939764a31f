-- Version 19: runs that steps have started wait for slots, too (nest.h).
--
-- lender: the run above it on whose slot the run is, or waits to be; 0 = none. Then grp is a group of that slot alone, and base the group that was asked
-- for; NULL: it is grp.
ALTER TABLE slots ADD COLUMN base BLOB;
ALTER TABLE slots ADD COLUMN lender INTEGER NOT NULL DEFAULT 0;

-- called: a step has started the run.
ALTER TABLE slots ADD COLUMN called INTEGER NOT NULL DEFAULT 0;
CREATE INDEX slots_called ON slots(run_id) WHERE state = 0 AND called = 1;

-- Slots that a failed run would keep.
CREATE INDEX slots_kept ON slots(run_id) WHERE state = 1 AND holds_failed = 1;
