DROP TABLE replay;
ALTER TABLE oauth_refresh_token DROP COLUMN dpop_jkt;
ALTER TABLE oauth_authorization_code DROP COLUMN dpop_jkt;
ALTER TABLE oauth_auth_request DROP COLUMN dpop_jkt;
