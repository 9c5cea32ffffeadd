-- The heads of upstream sessions. No foreign key to the client: a session outlives its client until it
-- is revoked at the user's authorization server. `next_check_at` is when the sweep next checks whether
-- any token still refers to it.
CREATE TABLE upstream_session (
    session_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    client_id TEXT NOT NULL,
    did TEXT NOT NULL,
    handle TEXT,
    session_kind TEXT NOT NULL,
    state TEXT NOT NULL,
    browser_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    pds TEXT NOT NULL,
    upstream_client_id TEXT NOT NULL,
    upstream_auth TEXT NOT NULL,
    upstream_redirect_uri TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    ended_at INTEGER,
    lease_holder TEXT,
    lease_fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    revocation_due_at INTEGER,
    revocation_attempts INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER,
    next_check_at INTEGER NOT NULL
);
CREATE INDEX idx_upstream_session_client_id ON upstream_session (client_id);
CREATE INDEX idx_upstream_session_did ON upstream_session (did);
CREATE INDEX idx_upstream_session_created_at ON upstream_session (created_at) WHERE state = 'pending';
CREATE INDEX idx_upstream_session_last_used_at ON upstream_session (last_used_at)
    WHERE session_kind = 'device' AND state <> 'ended';
CREATE INDEX idx_upstream_session_next_check_at ON upstream_session (next_check_at)
    WHERE session_kind = 'device' AND state IN ('active', 'reauth_required');
CREATE INDEX idx_upstream_session_ended_at ON upstream_session (ended_at)
    WHERE state = 'ended' AND revocation_due_at IS NULL;
CREATE INDEX idx_upstream_session_revocation_due_at ON upstream_session (revocation_due_at)
    WHERE revocation_due_at IS NOT NULL;

-- `private_jwk` is encrypted. At most one key of each purpose signs.
CREATE TABLE signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    alg TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    private_jwk TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
);
CREATE UNIQUE INDEX idx_signing_key_purpose ON signing_key (purpose) WHERE retired_at IS NULL;
