ALTER TABLE connect_session DROP COLUMN more_connections;
DROP INDEX idx_upstream_session_idle;
ALTER TABLE upstream_session DROP COLUMN idle_seconds;
