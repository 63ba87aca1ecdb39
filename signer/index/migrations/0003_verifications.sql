-- Uploads whose object is still to be looked at, and why an upload was rejected.
ALTER TABLE uploads ADD COLUMN reason TEXT NOT NULL DEFAULT '';
CREATE TABLE verifications (
	upload_id TEXT PRIMARY KEY, next_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX verifications_due ON verifications (next_at);
