-- The version before knows one credential of a session, by the session's identifier, and one background session of a
-- client for each account.
DELETE FROM upstream_session WHERE provider <> 'atproto' AND session_kind = 'background'
    AND state IN ('active', 'reauth_required') AND deleted_at IS NULL AND EXISTS (
        SELECT 1 FROM upstream_session AS newer WHERE newer.tenant_id = upstream_session.tenant_id
        AND newer.client_id = upstream_session.client_id AND newer.provider = upstream_session.provider
        AND newer.subject = upstream_session.subject AND newer.session_kind = 'background'
        AND newer.state IN ('active', 'reauth_required') AND newer.deleted_at IS NULL
        AND newer.session_id > upstream_session.session_id
    );
CREATE TEMP TABLE kept_credential AS
    SELECT session_id, iteration, payload, created_at, expires_at, granted_scope FROM upstream_credential
    WHERE credential_id = session_id AND credential_kind = 'user' AND payload <> '';
DROP TABLE connection_access;
DROP TABLE upstream_credential;
-- SQLite changes what a column allows by a new table. Dropping the old one deletes the rows that refer to it, which are
-- put back.
CREATE TEMP TABLE kept_history AS SELECT session_id, due_at FROM iteration_history;
CREATE TEMP TABLE kept_refusal AS SELECT session_id, answer, since FROM refresh_refusal;
CREATE TABLE upstream_session_new (
    session_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    client_id TEXT NOT NULL,
    provider TEXT NOT NULL DEFAULT 'atproto',
    did TEXT,
    handle TEXT,
    subject TEXT,
    binding TEXT,
    session_kind TEXT NOT NULL,
    state TEXT NOT NULL,
    browser_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    issuer TEXT,
    pds TEXT,
    upstream_client_id TEXT,
    upstream_auth TEXT,
    upstream_redirect_uri TEXT,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    ended_at INTEGER,
    lease_holder TEXT,
    lease_fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    revocation_due_at INTEGER,
    revocation_attempts INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER,
    granted_scope TEXT,
    refresh_failures INTEGER NOT NULL DEFAULT 0,
    refresh_not_before INTEGER,
    verified_at INTEGER,
    refresh_due_at INTEGER,
    prompted_at INTEGER,
    correlation_id TEXT,
    redirect_origin TEXT,
    CHECK (CASE WHEN provider = 'atproto'
        THEN did IS NOT NULL AND issuer IS NOT NULL AND pds IS NOT NULL AND upstream_client_id IS NOT NULL
            AND upstream_auth IS NOT NULL AND upstream_redirect_uri IS NOT NULL AND subject IS NULL AND binding IS NULL
        ELSE did IS NULL AND subject IS NOT NULL AND binding IS NOT NULL END)
);
INSERT INTO upstream_session_new (
    session_id, tenant_id, client_id, provider, did, handle, subject, binding, session_kind, state, browser_id,
    iteration, issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at,
    ended_at, lease_holder, lease_fence, lease_until, revocation_due_at, revocation_attempts, deleted_at,
    granted_scope, refresh_failures, refresh_not_before, verified_at, refresh_due_at, prompted_at, correlation_id,
    redirect_origin
) SELECT
    session_id, tenant_id, client_id, provider, did, handle, subject, binding, session_kind, state, browser_id,
    iteration, issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at,
    ended_at, lease_holder, lease_fence, lease_until, revocation_due_at, revocation_attempts, deleted_at,
    granted_scope, refresh_failures, refresh_not_before, verified_at, refresh_due_at, prompted_at, correlation_id,
    redirect_origin
FROM upstream_session;
DROP TABLE upstream_session;
ALTER TABLE upstream_session_new RENAME TO upstream_session;
CREATE INDEX idx_upstream_session_created_at ON upstream_session (created_at) WHERE state = 'pending';
CREATE INDEX idx_upstream_session_last_used_at ON upstream_session (last_used_at)
    WHERE session_kind = 'device' AND state <> 'ended';
CREATE INDEX idx_upstream_session_ended_at ON upstream_session (ended_at)
    WHERE state = 'ended' AND revocation_due_at IS NULL;
CREATE INDEX idx_upstream_session_revocation_due_at ON upstream_session (revocation_due_at)
    WHERE revocation_due_at IS NOT NULL;
CREATE INDEX idx_upstream_session_browser_id ON upstream_session (browser_id);
CREATE UNIQUE INDEX idx_upstream_session_tenant_id ON upstream_session (tenant_id, client_id, did)
    WHERE session_kind = 'background' AND state IN ('active', 'reauth_required') AND deleted_at IS NULL;
CREATE INDEX idx_upstream_session_refresh_due_at ON upstream_session (refresh_due_at)
    WHERE refresh_due_at IS NOT NULL;
CREATE INDEX idx_upstream_session_session_kind ON upstream_session (session_kind, state) WHERE ended_at IS NULL;
CREATE INDEX idx_upstream_session_session_id ON upstream_session (session_id) WHERE ended_at IS NULL;
CREATE INDEX idx_upstream_session_client_id ON upstream_session (client_id, session_id);
CREATE INDEX idx_upstream_session_client_id_live ON upstream_session (client_id, session_id) WHERE ended_at IS NULL;
CREATE INDEX idx_upstream_session_did ON upstream_session (did, session_id);
CREATE UNIQUE INDEX idx_upstream_session_subject ON upstream_session (tenant_id, client_id, provider, subject)
    WHERE subject IS NOT NULL AND session_kind = 'background' AND state IN ('active', 'reauth_required')
    AND deleted_at IS NULL;
INSERT INTO iteration_history (session_id, due_at) SELECT session_id, due_at FROM temp.kept_history;
INSERT INTO refresh_refusal (session_id, answer, since) SELECT session_id, answer, since FROM temp.kept_refusal;
DROP TABLE temp.kept_history;
DROP TABLE temp.kept_refusal;
CREATE TABLE upstream_credential (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES upstream_session (session_id) ON DELETE CASCADE,
    iteration INTEGER NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    granted_scope TEXT NOT NULL
);
INSERT INTO upstream_credential (session_id, iteration, payload, created_at, expires_at, granted_scope)
    SELECT session_id, iteration, payload, created_at, expires_at, granted_scope FROM temp.kept_credential;
DROP TABLE temp.kept_credential;
DROP TABLE managed_account;
DROP TABLE social_identity;
DROP TABLE provider_registration;
DROP TABLE tenant_user;
