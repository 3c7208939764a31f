-- Version 10: runs that somebody wants to have cancelled.

-- {reason?, by}: set while the run is alive, and stays when it has ended. The run's worker finds it, whoever that is.
ALTER TABLE runs ADD COLUMN cancel TEXT;
