-- The languages that a client wants its person to be spoken to in, best first.
ALTER TABLE oauth_auth_request ADD COLUMN ui_locales TEXT;
