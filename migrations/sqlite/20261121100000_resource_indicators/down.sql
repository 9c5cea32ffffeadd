ALTER TABLE oauth_refresh_token DROP COLUMN resource;
ALTER TABLE oauth_access_token DROP COLUMN resource;
ALTER TABLE oauth_authorization_code DROP COLUMN resource;
ALTER TABLE oauth_auth_request DROP COLUMN resource;
