-- Every index is a page to write at each insert. The successors of a refresh token, and the one that was
-- issued with an access token, are found by their session and time; the access tokens of a session by user
-- and session.
DROP INDEX idx_oauth_refresh_token_parent;
DROP INDEX idx_oauth_refresh_token_access_token;
DROP INDEX idx_oauth_refresh_token_session_id;
CREATE INDEX idx_oauth_refresh_token_session_id ON oauth_refresh_token (session_id, created_at);
DROP INDEX idx_oauth_access_token_session_id;
DROP INDEX idx_oauth_access_token_user_id;
CREATE INDEX idx_oauth_access_token_user_id ON oauth_access_token (user_id, session_id);
