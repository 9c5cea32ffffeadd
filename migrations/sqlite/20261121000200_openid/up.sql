-- How an authorization request goes and how it is answered, and what a session's person agreed to:
-- a later request for no more than that can be answered without showing anything.
ALTER TABLE oauth_auth_request ADD COLUMN response_mode TEXT NOT NULL DEFAULT 'query';
ALTER TABLE oauth_auth_request ADD COLUMN prompt TEXT;
ALTER TABLE oauth_auth_request ADD COLUMN max_age INTEGER;
ALTER TABLE upstream_session ADD COLUMN granted_scope TEXT;
CREATE INDEX idx_upstream_session_browser_id ON upstream_session (browser_id);
