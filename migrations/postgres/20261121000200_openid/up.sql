-- The OpenID Connect parameters of an authorization request, and the scope that the user of a session
-- consented to: a later request within that scope can be answered without a page.
ALTER TABLE oauth_auth_request ADD COLUMN response_mode TEXT NOT NULL DEFAULT 'query';
ALTER TABLE oauth_auth_request ADD COLUMN prompt TEXT;
ALTER TABLE oauth_auth_request ADD COLUMN max_age BIGINT;
ALTER TABLE upstream_session ADD COLUMN granted_scope TEXT;
CREATE INDEX idx_upstream_session_browser_id ON upstream_session (browser_id);
