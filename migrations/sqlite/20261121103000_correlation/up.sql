-- One identifier for a whole sign-in, from the authorization request to the last token of its session. NULL in
-- rows older than this migration. Codes and tokens find it by their session.
ALTER TABLE oauth_par_request ADD COLUMN correlation_id TEXT;
ALTER TABLE oauth_auth_request ADD COLUMN correlation_id TEXT;
ALTER TABLE upstream_session ADD COLUMN correlation_id TEXT;
-- Live sessions are counted from this index alone; using a session does not write it.
CREATE INDEX idx_upstream_session_session_kind ON upstream_session (session_kind, state) WHERE ended_at IS NULL;
