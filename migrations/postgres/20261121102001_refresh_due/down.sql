DROP INDEX idx_upstream_session_refresh_due_at;
ALTER TABLE upstream_session DROP COLUMN refresh_due_at;
