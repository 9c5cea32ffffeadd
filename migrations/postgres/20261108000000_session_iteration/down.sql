ALTER TABLE oauth_refresh_token DROP COLUMN session_iteration;
ALTER TABLE oauth_authorization_code DROP COLUMN session_iteration;
