ALTER TABLE upstream_session DROP COLUMN verified_at;
ALTER TABLE upstream_session DROP COLUMN refresh_not_before;
ALTER TABLE upstream_session DROP COLUMN refresh_failures;
