-- The version before may run beside this: yes.
-- Connections: users of a tenant, who we are at issuers, accounts at providers and what they manage, and the credentials.
-- Rows of one tenant cannot point to another's.
-- The table that servers use all the time comes first: a lock that is raised later, after others, can deadlock with them.
LOCK TABLE upstream_session IN ACCESS EXCLUSIVE MODE;
CREATE TABLE tenant_user (
    tenant_id TEXT NOT NULL CHECK (tenant_id <> '') REFERENCES tenant (tenant_id),
    namespace TEXT NOT NULL CHECK (namespace <> ''),
    user_id TEXT NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (tenant_id, namespace, user_id)
);
CREATE INDEX idx_tenant_user_deleted ON tenant_user (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
-- Who we are at one issuer. The secrets are encrypted.
CREATE TABLE provider_registration (
    registration_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> '') REFERENCES tenant (tenant_id),
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('operator', 'dynamic', 'document')),
    client_id TEXT NOT NULL,
    client_secret TEXT,
    next_secret TEXT,
    token_endpoint_auth_method TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    registration_access_token TEXT,
    registration_client_uri TEXT,
    state TEXT NOT NULL CHECK (state IN ('active', 'misconfigured', 'superseded')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX idx_provider_registration_tenant_id ON provider_registration (tenant_id, registration_id);
CREATE INDEX idx_provider_registration_provider ON provider_registration (tenant_id, provider, issuer, created_at);
CREATE INDEX idx_provider_registration_deleted ON provider_registration (tenant_id, deleted_at)
    WHERE deleted_at IS NOT NULL;
-- The account at a provider that a user connected.
CREATE TABLE social_identity (
    social_identity_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    namespace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    display_name TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id)
);
CREATE UNIQUE INDEX idx_social_identity_tenant_id ON social_identity (tenant_id, social_identity_id);
CREATE UNIQUE INDEX idx_social_identity_subject
    ON social_identity (tenant_id, namespace, user_id, provider, issuer, subject) WHERE deleted_at IS NULL;
CREATE INDEX idx_social_identity_user ON social_identity (tenant_id, namespace, user_id);
CREATE INDEX idx_social_identity_deleted ON social_identity (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
-- What that account manages: a page, a bot. `tasks` is a JSON array of texts.
CREATE TABLE managed_account (
    managed_account_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    social_identity_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT,
    category TEXT,
    tasks TEXT NOT NULL,
    unavailable_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    FOREIGN KEY (tenant_id, social_identity_id) REFERENCES social_identity (tenant_id, social_identity_id)
);
CREATE UNIQUE INDEX idx_managed_account_tenant_id ON managed_account (tenant_id, managed_account_id);
CREATE UNIQUE INDEX idx_managed_account_subject ON managed_account (tenant_id, social_identity_id, subject)
    WHERE deleted_at IS NULL;
CREATE INDEX idx_managed_account_social_identity ON managed_account (tenant_id, social_identity_id);
CREATE INDEX idx_managed_account_deleted ON managed_account (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
-- Sessions at other providers than AT Protocol servers belong to a user of a tenant, as those who connected it name the
-- user. So far there were none but those of the user's own sign-ins.
-- No version has made such a session yet. So the version before neither reads nor writes what changes here, and may run
-- beside this.
INSERT INTO tenant_user (tenant_id, namespace, user_id, created_at)
    SELECT tenant_id, client_id, subject, min(created_at) FROM upstream_session WHERE provider <> 'atproto'
    GROUP BY tenant_id, client_id, subject;
CREATE TEMP TABLE kept_credential AS
    SELECT session_id, iteration, payload, created_at, expires_at, granted_scope FROM upstream_credential;
DROP TABLE upstream_credential;
ALTER TABLE upstream_session
    ADD COLUMN namespace TEXT,
    ADD COLUMN user_id TEXT,
    ADD COLUMN account_slot TEXT,
    ADD COLUMN device_slot TEXT,
    ADD COLUMN registration_id TEXT,
    ADD COLUMN social_identity_id TEXT,
    ADD COLUMN parameters TEXT,
    ADD COLUMN metadata TEXT,
    ADD COLUMN confirmed_at BIGINT,
    ADD COLUMN refreshed_at BIGINT,
    ADD COLUMN last_error TEXT,
    ADD COLUMN last_error_at BIGINT,
    DROP CONSTRAINT upstream_session_provider_check;
UPDATE upstream_session SET namespace = client_id, user_id = subject, account_slot = '',
    device_slot = CASE session_kind WHEN 'device' THEN session_id ELSE '' END,
    confirmed_at = CASE WHEN state <> 'pending' THEN created_at END
    WHERE provider <> 'atproto';
ALTER TABLE upstream_session
    ADD CONSTRAINT upstream_session_provider_check CHECK (CASE WHEN provider = 'atproto'
        THEN did IS NOT NULL AND issuer IS NOT NULL AND pds IS NOT NULL AND upstream_client_id IS NOT NULL
            AND upstream_auth IS NOT NULL AND upstream_redirect_uri IS NOT NULL AND subject IS NULL AND binding IS NULL
        ELSE did IS NULL AND subject IS NOT NULL AND binding IS NOT NULL AND namespace IS NOT NULL AND user_id IS NOT NULL
            AND account_slot IS NOT NULL AND device_slot IS NOT NULL END),
    ADD FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id),
    ADD FOREIGN KEY (tenant_id, registration_id) REFERENCES provider_registration (tenant_id, registration_id),
    ADD FOREIGN KEY (tenant_id, social_identity_id) REFERENCES social_identity (tenant_id, social_identity_id);
DROP INDEX idx_upstream_session_subject;
CREATE UNIQUE INDEX idx_upstream_session_tenant_session ON upstream_session (tenant_id, session_id);
CREATE INDEX idx_upstream_session_connection ON upstream_session (tenant_id, session_id) WHERE namespace IS NOT NULL;
CREATE INDEX idx_upstream_session_user ON upstream_session (tenant_id, namespace, user_id, session_id)
    WHERE namespace IS NOT NULL;
CREATE INDEX idx_upstream_session_registration ON upstream_session (tenant_id, registration_id)
    WHERE registration_id IS NOT NULL;
CREATE INDEX idx_upstream_session_social_identity ON upstream_session (tenant_id, social_identity_id)
    WHERE social_identity_id IS NOT NULL;
-- Credentials of sessions at other providers: the user's own, and one for each managed account. A session's first one has
-- the session's identifier. What is deleted stays for a time, without its payload once its revocation is settled.
CREATE TABLE upstream_credential (
    credential_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    session_id TEXT NOT NULL,
    iteration BIGINT NOT NULL,
    namespace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    session_kind TEXT NOT NULL CHECK (session_kind IN ('device', 'background')),
    account_slot TEXT NOT NULL,
    device_slot TEXT NOT NULL,
    credential_kind TEXT NOT NULL CHECK (credential_kind IN ('user', 'page')),
    social_identity_id TEXT,
    managed_account_id TEXT,
    account_ref TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'reauth_required', 'ended')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    granted_scope TEXT NOT NULL,
    deleted_at BIGINT,
    CHECK ((credential_kind = 'page') = (managed_account_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, session_id) REFERENCES upstream_session (tenant_id, session_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id),
    FOREIGN KEY (tenant_id, social_identity_id) REFERENCES social_identity (tenant_id, social_identity_id),
    FOREIGN KEY (tenant_id, managed_account_id) REFERENCES managed_account (tenant_id, managed_account_id)
);
-- One that nobody has confirmed yet does not take the place of the one that serves.
CREATE UNIQUE INDEX idx_upstream_credential_one_live_user
    ON upstream_credential (tenant_id, namespace, user_id, provider, session_kind, account_slot, device_slot)
    WHERE deleted_at IS NULL AND credential_kind = 'user' AND state <> 'pending';
CREATE UNIQUE INDEX idx_upstream_credential_one_live_page
    ON upstream_credential (tenant_id, session_id, managed_account_id)
    WHERE deleted_at IS NULL AND credential_kind = 'page';
CREATE INDEX idx_upstream_credential_tenant_id ON upstream_credential (tenant_id, credential_id);
CREATE INDEX idx_upstream_credential_session ON upstream_credential (tenant_id, session_id, iteration);
CREATE INDEX idx_upstream_credential_user ON upstream_credential (tenant_id, namespace, user_id);
CREATE INDEX idx_upstream_credential_social_identity ON upstream_credential (tenant_id, social_identity_id);
CREATE INDEX idx_upstream_credential_managed_account ON upstream_credential (tenant_id, managed_account_id);
CREATE INDEX idx_upstream_credential_deleted ON upstream_credential (tenant_id, deleted_at)
    WHERE deleted_at IS NOT NULL;
INSERT INTO upstream_credential (
    credential_id, tenant_id, session_id, iteration, namespace, user_id, provider, session_kind, account_slot,
    device_slot, credential_kind, payload, state, created_at, updated_at, expires_at, granted_scope, deleted_at
) SELECT
    k.session_id, s.tenant_id, k.session_id, k.iteration, s.namespace, s.user_id, s.provider, s.session_kind,
    s.account_slot, s.device_slot, 'user', k.payload, s.state, k.created_at, k.created_at, k.expires_at,
    k.granted_scope, s.ended_at
FROM kept_credential k JOIN upstream_session s ON s.session_id = k.session_id;
DROP TABLE kept_credential;
-- Which clients may use a connection. A connection is a session at a provider.
CREATE TABLE connection_access (
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    client_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    granted_by TEXT NOT NULL CHECK (granted_by IN ('creation', 'user', 'operator')),
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (tenant_id, client_id, connection_id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES tenant_client (tenant_id, client_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES upstream_session (tenant_id, session_id) ON DELETE CASCADE
);
CREATE INDEX idx_connection_access_connection_id ON connection_access (tenant_id, connection_id);
CREATE INDEX idx_connection_access_deleted ON connection_access (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
INSERT INTO connection_access (tenant_id, client_id, connection_id, granted_by, created_at)
    SELECT s.tenant_id, s.client_id, s.session_id, 'creation', s.created_at FROM upstream_session s
    JOIN tenant_client t ON t.tenant_id = s.tenant_id AND t.client_id = s.client_id WHERE s.namespace IS NOT NULL;
-- Row-level security: without a tenant, set for one transaction, these tables are empty, whoever asks.
ALTER TABLE tenant_user ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_user FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_user_of_tenant ON tenant_user USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
ALTER TABLE provider_registration ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_registration FORCE ROW LEVEL SECURITY;
CREATE POLICY provider_registration_of_tenant ON provider_registration USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
ALTER TABLE social_identity ENABLE ROW LEVEL SECURITY;
ALTER TABLE social_identity FORCE ROW LEVEL SECURITY;
CREATE POLICY social_identity_of_tenant ON social_identity USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
ALTER TABLE managed_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE managed_account FORCE ROW LEVEL SECURITY;
CREATE POLICY managed_account_of_tenant ON managed_account USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
ALTER TABLE upstream_credential ENABLE ROW LEVEL SECURITY;
ALTER TABLE upstream_credential FORCE ROW LEVEL SECURITY;
CREATE POLICY upstream_credential_of_tenant ON upstream_credential USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
ALTER TABLE connection_access ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_access FORCE ROW LEVEL SECURITY;
CREATE POLICY connection_access_of_tenant ON connection_access USING (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('causeway.tenant', true), ''));
