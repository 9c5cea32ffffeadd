-- The key that a grant is bound to, as its thumbprint (RFC 9449). NULL: none.
ALTER TABLE oauth_auth_request ADD COLUMN dpop_jkt TEXT;
ALTER TABLE oauth_authorization_code ADD COLUMN dpop_jkt TEXT;
ALTER TABLE oauth_refresh_token ADD COLUMN dpop_jkt TEXT;

-- Accepted DPoP proofs and client assertions: each is single-use. `id` is a hash of the issuer and the
-- jti.
CREATE TABLE replay (
    id TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idx_replay_expires_at ON replay (expires_at);
