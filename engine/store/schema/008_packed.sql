-- Version 8: bodies above 4 kB are packed (store/pack.h).
--
-- enc: enum bw_enc, 0 = as they came, as all older rows are. raw_bytes: how long the body is unpacked; the checksum is of the unpacked one.
ALTER TABLE bodies ADD COLUMN enc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bodies ADD COLUMN raw_bytes INTEGER;
