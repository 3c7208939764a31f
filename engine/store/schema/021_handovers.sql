-- Version 21: secrets that senders hand over (`bellwire sources`).
--
-- Until when the sender of a source may do so, and who has allowed it. The time may be over; the row stays until it is closed or opened anew.
CREATE TABLE source_windows(source TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, actor TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- What was handed over. secret: the name that the source's scheme has for it. remote: from where it came. A row is written once, and goes only when
-- somebody lets it be forgotten.
CREATE TABLE learnt_secrets(source TEXT PRIMARY KEY, secret TEXT NOT NULL, value BLOB NOT NULL, at_ms INTEGER NOT NULL, remote TEXT NOT NULL)
STRICT, WITHOUT ROWID;
