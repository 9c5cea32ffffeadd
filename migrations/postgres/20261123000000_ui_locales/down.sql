ALTER TABLE oauth_auth_request DROP COLUMN ui_locales;
