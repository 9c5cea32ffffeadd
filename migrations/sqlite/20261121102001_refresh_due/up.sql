-- When an unused background session is refreshed: long before its refresh token expires. NULL: never, as for
-- device sessions and ended sessions.
ALTER TABLE upstream_session ADD COLUMN refresh_due_at INTEGER;
UPDATE upstream_session SET refresh_due_at = last_used_at WHERE session_kind = 'background' AND state = 'active';
CREATE INDEX idx_upstream_session_refresh_due_at ON upstream_session (refresh_due_at)
    WHERE refresh_due_at IS NOT NULL;
