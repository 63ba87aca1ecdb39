-- Uploads and the outbox of their events. Times are milliseconds since 1970.
CREATE TABLE uploads (
	id TEXT PRIMARY KEY, user_id TEXT NOT NULL, object_key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, size INTEGER NOT NULL,
	content_type TEXT NOT NULL, md5 TEXT NOT NULL, crc64 TEXT NOT NULL, etag TEXT NOT NULL, status TEXT NOT NULL,
	created_at INTEGER NOT NULL, metadata TEXT NOT NULL, image_width INTEGER NOT NULL, image_height INTEGER NOT NULL,
	image_format TEXT NOT NULL, source TEXT NOT NULL, deleted_at INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX uploads_by_user ON uploads (user_id, id);
CREATE TABLE outbox (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, upload_id TEXT NOT NULL, type TEXT NOT NULL,
	payload TEXT NOT NULL, created_at INTEGER NOT NULL, next_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
	state TEXT NOT NULL DEFAULT 'pending', last_error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_due ON outbox (state, next_at);
CREATE INDEX outbox_by_upload ON outbox (upload_id, seq);
