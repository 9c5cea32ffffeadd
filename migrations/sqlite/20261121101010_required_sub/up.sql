-- The account that a client requires to sign in (OpenID Connect Core section 5.5.1).
ALTER TABLE oauth_auth_request ADD COLUMN required_sub TEXT;
