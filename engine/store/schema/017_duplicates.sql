-- Version 17: what came again, by the event that it was a duplicate of: for `bellwire why`. Nothing is written to it for a request that is none.
CREATE INDEX deliveries_duplicates ON deliveries(event_id) WHERE outcome = 1;
