-- The owner of the tables sees no row either, as long as the policies hold.
ALTER TABLE tenant_user DISABLE ROW LEVEL SECURITY;
ALTER TABLE provider_registration DISABLE ROW LEVEL SECURITY;
ALTER TABLE social_identity DISABLE ROW LEVEL SECURITY;
ALTER TABLE managed_account DISABLE ROW LEVEL SECURITY;
ALTER TABLE upstream_credential DISABLE ROW LEVEL SECURITY;
ALTER TABLE connection_access DISABLE ROW LEVEL SECURITY;
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
ALTER TABLE upstream_session
    DROP CONSTRAINT upstream_session_provider_check,
    DROP COLUMN last_error_at,
    DROP COLUMN last_error,
    DROP COLUMN refreshed_at,
    DROP COLUMN confirmed_at,
    DROP COLUMN metadata,
    DROP COLUMN parameters,
    DROP COLUMN social_identity_id,
    DROP COLUMN registration_id,
    DROP COLUMN device_slot,
    DROP COLUMN account_slot,
    DROP COLUMN user_id,
    DROP COLUMN namespace;
ALTER TABLE upstream_session
    ADD CONSTRAINT upstream_session_provider_check CHECK (CASE WHEN provider = 'atproto'
        THEN did IS NOT NULL AND issuer IS NOT NULL AND pds IS NOT NULL AND upstream_client_id IS NOT NULL
            AND upstream_auth IS NOT NULL AND upstream_redirect_uri IS NOT NULL AND subject IS NULL AND binding IS NULL
        ELSE did IS NULL AND subject IS NOT NULL AND binding IS NOT NULL END);
DROP INDEX idx_upstream_session_tenant_session;
CREATE UNIQUE INDEX idx_upstream_session_subject ON upstream_session (tenant_id, client_id, provider, subject)
    WHERE subject IS NOT NULL AND session_kind = 'background' AND state IN ('active', 'reauth_required')
    AND deleted_at IS NULL;
CREATE TABLE upstream_credential (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES upstream_session (session_id) ON DELETE CASCADE,
    iteration BIGINT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    granted_scope TEXT NOT NULL
);
INSERT INTO upstream_credential (session_id, iteration, payload, created_at, expires_at, granted_scope)
    SELECT session_id, iteration, payload, created_at, expires_at, granted_scope FROM kept_credential;
DROP TABLE kept_credential;
DROP TABLE managed_account;
DROP TABLE social_identity;
DROP TABLE provider_registration;
DROP TABLE tenant_user;
