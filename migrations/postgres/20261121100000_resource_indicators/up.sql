-- The resources that tokens are for (RFC 8707), separated by spaces; NULL is this server itself.
ALTER TABLE oauth_auth_request ADD COLUMN resource TEXT;
ALTER TABLE oauth_authorization_code ADD COLUMN resource TEXT;
ALTER TABLE oauth_access_token ADD COLUMN resource TEXT;
ALTER TABLE oauth_refresh_token ADD COLUMN resource TEXT;
