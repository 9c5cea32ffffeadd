-- Pending device authorizations (RFC 8628). Both codes are hashes. `stage` is pending, claimed (by an
-- authorization request, in a browser), approved, denied or used.
CREATE TABLE device_authorization (
    device_code TEXT NOT NULL PRIMARY KEY,
    user_code TEXT NOT NULL,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    scope TEXT,
    resource TEXT,
    dpop_jkt TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    poll_interval BIGINT NOT NULL,
    polled_at BIGINT,
    stage TEXT NOT NULL,
    auth_request_id TEXT,
    user_id TEXT,
    session_id TEXT,
    session_iteration BIGINT,
    granted_scope TEXT
);
CREATE UNIQUE INDEX idx_device_authorization_user_code ON device_authorization (user_code);
CREATE INDEX idx_device_authorization_expires_at ON device_authorization (expires_at);
CREATE INDEX idx_device_authorization_client_id ON device_authorization (client_id);
ALTER TABLE oauth_auth_request ADD COLUMN device_code TEXT;
