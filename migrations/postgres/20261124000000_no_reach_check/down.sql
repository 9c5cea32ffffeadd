ALTER TABLE upstream_session ADD COLUMN next_check_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX idx_upstream_session_next_check_at ON upstream_session (next_check_at)
    WHERE session_kind = 'device' AND state IN ('active', 'reauth_required');
