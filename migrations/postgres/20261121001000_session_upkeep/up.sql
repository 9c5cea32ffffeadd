-- Refreshes that failed in a row, and when the next may be tried: all processes share the pause.
ALTER TABLE upstream_session ADD COLUMN refresh_failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE upstream_session ADD COLUMN refresh_not_before BIGINT;
-- When the account's own document last led to the session's server. NULL in rows older than this
-- step: when the session began.
ALTER TABLE upstream_session ADD COLUMN verified_at BIGINT;
