-- Which ticket key, unknown at the time, an object was sealed with; it is looked at again once the key is there.
ALTER TABLE strangers ADD COLUMN ticket_key TEXT NOT NULL DEFAULT '';
CREATE INDEX strangers_by_key ON strangers (ticket_key);
