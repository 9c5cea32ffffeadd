DROP INDEX idx_upstream_session_browser_id;
ALTER TABLE upstream_session DROP COLUMN granted_scope;
ALTER TABLE oauth_auth_request DROP COLUMN max_age;
ALTER TABLE oauth_auth_request DROP COLUMN prompt;
ALTER TABLE oauth_auth_request DROP COLUMN response_mode;
