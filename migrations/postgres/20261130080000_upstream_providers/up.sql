-- The version before may run beside this: yes.
-- Sessions at other providers than AT Protocol servers. `provider` says whose code keeps a session; the account is `did`
-- at AT Protocol servers and `subject` elsewhere, where `binding` is what the provider's code has to know.
ALTER TABLE upstream_session
    ADD COLUMN provider TEXT NOT NULL DEFAULT 'atproto',
    ADD COLUMN subject TEXT,
    ADD COLUMN binding TEXT,
    ALTER COLUMN did DROP NOT NULL,
    ALTER COLUMN issuer DROP NOT NULL,
    ALTER COLUMN pds DROP NOT NULL,
    ALTER COLUMN upstream_client_id DROP NOT NULL,
    ALTER COLUMN upstream_auth DROP NOT NULL,
    ALTER COLUMN upstream_redirect_uri DROP NOT NULL,
    ADD CONSTRAINT upstream_session_provider_check CHECK (CASE WHEN provider = 'atproto'
        THEN did IS NOT NULL AND issuer IS NOT NULL AND pds IS NOT NULL AND upstream_client_id IS NOT NULL
            AND upstream_auth IS NOT NULL AND upstream_redirect_uri IS NOT NULL AND subject IS NULL AND binding IS NULL
        ELSE did IS NULL AND subject IS NOT NULL AND binding IS NOT NULL END);
CREATE UNIQUE INDEX idx_upstream_session_subject ON upstream_session (tenant_id, client_id, provider, subject)
    WHERE subject IS NOT NULL AND session_kind = 'background' AND state IN ('active', 'reauth_required')
    AND deleted_at IS NULL;
-- The credentials of sessions at other providers: their latest iteration. `payload` is encrypted.
CREATE TABLE upstream_credential (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES upstream_session (session_id) ON DELETE CASCADE,
    iteration BIGINT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    granted_scope TEXT NOT NULL
);
