DROP INDEX idx_oauth_access_token_user_id;
CREATE INDEX idx_oauth_access_token_user_id ON oauth_access_token (user_id);
CREATE INDEX idx_oauth_access_token_session_id ON oauth_access_token (session_id);
DROP INDEX idx_oauth_refresh_token_session_id;
CREATE INDEX idx_oauth_refresh_token_session_id ON oauth_refresh_token (session_id);
CREATE INDEX idx_oauth_refresh_token_access_token ON oauth_refresh_token (access_token);
CREATE INDEX idx_oauth_refresh_token_parent ON oauth_refresh_token (parent);
