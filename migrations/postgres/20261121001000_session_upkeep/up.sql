-- The number of consecutive failed refreshes, and when the next may be tried: all processes share the pause.
ALTER TABLE upstream_session ADD COLUMN refresh_failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE upstream_session ADD COLUMN refresh_not_before BIGINT;
-- When the account's DID document was last verified to lead to the session's PDS. NULL in rows older than this
-- migration: when the session began.
ALTER TABLE upstream_session ADD COLUMN verified_at BIGINT;
