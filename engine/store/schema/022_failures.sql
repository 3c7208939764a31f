-- Version 22: what the attempts of a step that were tried again have failed with: a JSON list of {attempt, at_ms, took_ms, error}, in their order. The
-- error of the last attempt is the step's.
ALTER TABLE steps ADD COLUMN failures TEXT;
