-- A user has proved in a browser that an account is theirs: until `expires_at` that browser may see and end all of
-- the account's sessions.
CREATE TABLE account_proof (
    proof_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    browser_id TEXT NOT NULL,
    did TEXT NOT NULL,
    handle TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX idx_account_proof_browser_id ON account_proof (browser_id);
CREATE INDEX idx_account_proof_expires_at ON account_proof (expires_at);
