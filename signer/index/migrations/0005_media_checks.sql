-- What WeChat was asked about an object and what it said. A verdict may come before the question is written down.
CREATE TABLE media_checks (
	trace_id TEXT PRIMARY KEY, upload_id TEXT NOT NULL DEFAULT '', verdict TEXT NOT NULL DEFAULT '', created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX media_checks_by_upload ON media_checks (upload_id, created_at);
