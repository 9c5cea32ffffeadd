ALTER TABLE oauth_auth_request DROP COLUMN required_sub;
