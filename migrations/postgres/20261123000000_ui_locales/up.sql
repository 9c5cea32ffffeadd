-- The languages that a client prefers for its user's pages, most preferred first.
ALTER TABLE oauth_auth_request ADD COLUMN ui_locales TEXT;
