-- Version 15: steps whose output is kept for the steps behind them and shown nowhere (`sensitive`).
ALTER TABLE steps ADD COLUMN sensitive INTEGER NOT NULL DEFAULT 0;
