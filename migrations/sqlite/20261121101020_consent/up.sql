-- Remembered consent of a user for a client. It applies only while the response goes to the same origin, which is the
-- one that the user saw.
CREATE TABLE consent (
    tenant_id TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    did TEXT NOT NULL,
    redirect_origin TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, client_id, did, redirect_origin)
);
CREATE INDEX idx_consent_client_id ON consent (client_id);
CREATE INDEX idx_consent_expires_at ON consent (expires_at);
