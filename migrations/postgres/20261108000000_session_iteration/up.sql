-- The token set of its session that a code or refresh token came from. NULL in rows older than this
-- migration: the session's head.
ALTER TABLE oauth_authorization_code ADD COLUMN session_iteration BIGINT;
ALTER TABLE oauth_refresh_token ADD COLUMN session_iteration BIGINT;
