ALTER TABLE oauth_auth_request DROP COLUMN device_code;
DROP TABLE device_authorization;
