-- The version before may run beside this: yes.
-- Connections: users of a tenant, who we are at issuers, accounts at providers and what they manage, and the credentials.
-- Rows of one tenant cannot point to another's.
CREATE TABLE tenant_user (
    tenant_id TEXT NOT NULL CHECK (tenant_id <> '') REFERENCES tenant (tenant_id),
    namespace TEXT NOT NULL CHECK (namespace <> ''),
    user_id TEXT NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
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
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    deleted_at INTEGER
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
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
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
    unavailable_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
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
-- SQLite changes what a column allows by a new table. Dropping the old one deletes the rows that refer to it, which are
-- put back.
CREATE TEMP TABLE kept_history AS SELECT session_id, due_at FROM iteration_history;
CREATE TEMP TABLE kept_refusal AS SELECT session_id, answer, since FROM refresh_refusal;
CREATE TEMP TABLE kept_credential AS
    SELECT session_id, iteration, payload, created_at, expires_at, granted_scope FROM upstream_credential;
DROP TABLE upstream_credential;
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
    namespace TEXT,
    user_id TEXT,
    account_slot TEXT,
    device_slot TEXT,
    registration_id TEXT,
    social_identity_id TEXT,
    parameters TEXT,
    metadata TEXT,
    confirmed_at INTEGER,
    refreshed_at INTEGER,
    last_error TEXT,
    last_error_at INTEGER,
    CHECK (CASE WHEN provider = 'atproto'
        THEN did IS NOT NULL AND issuer IS NOT NULL AND pds IS NOT NULL AND upstream_client_id IS NOT NULL
            AND upstream_auth IS NOT NULL AND upstream_redirect_uri IS NOT NULL AND subject IS NULL AND binding IS NULL
        ELSE did IS NULL AND subject IS NOT NULL AND binding IS NOT NULL AND namespace IS NOT NULL AND user_id IS NOT NULL
            AND account_slot IS NOT NULL AND device_slot IS NOT NULL END),
    FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id),
    FOREIGN KEY (tenant_id, registration_id) REFERENCES provider_registration (tenant_id, registration_id),
    FOREIGN KEY (tenant_id, social_identity_id) REFERENCES social_identity (tenant_id, social_identity_id)
);
INSERT INTO upstream_session_new (
    session_id, tenant_id, client_id, provider, did, handle, subject, binding, session_kind, state, browser_id,
    iteration, issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at,
    ended_at, lease_holder, lease_fence, lease_until, revocation_due_at, revocation_attempts, deleted_at,
    granted_scope, refresh_failures, refresh_not_before, verified_at, refresh_due_at, prompted_at, correlation_id,
    redirect_origin, namespace, user_id, account_slot, device_slot, confirmed_at
) SELECT
    session_id, tenant_id, client_id, provider, did, handle, subject, binding, session_kind, state, browser_id,
    iteration, issuer, pds, upstream_client_id, upstream_auth, upstream_redirect_uri, created_at, last_used_at,
    ended_at, lease_holder, lease_fence, lease_until, revocation_due_at, revocation_attempts, deleted_at,
    granted_scope, refresh_failures, refresh_not_before, verified_at, refresh_due_at, prompted_at, correlation_id,
    redirect_origin,
    CASE provider WHEN 'atproto' THEN NULL ELSE client_id END, subject,
    CASE provider WHEN 'atproto' THEN NULL ELSE '' END,
    CASE provider WHEN 'atproto' THEN NULL ELSE CASE session_kind WHEN 'device' THEN session_id ELSE '' END END,
    CASE WHEN provider <> 'atproto' AND state <> 'pending' THEN created_at END
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
CREATE UNIQUE INDEX idx_upstream_session_tenant_session ON upstream_session (tenant_id, session_id);
CREATE INDEX idx_upstream_session_connection ON upstream_session (tenant_id, session_id) WHERE namespace IS NOT NULL;
CREATE INDEX idx_upstream_session_user ON upstream_session (tenant_id, namespace, user_id, session_id)
    WHERE namespace IS NOT NULL;
CREATE INDEX idx_upstream_session_registration ON upstream_session (tenant_id, registration_id)
    WHERE registration_id IS NOT NULL;
CREATE INDEX idx_upstream_session_social_identity ON upstream_session (tenant_id, social_identity_id)
    WHERE social_identity_id IS NOT NULL;
INSERT INTO iteration_history (session_id, due_at) SELECT session_id, due_at FROM temp.kept_history;
INSERT INTO refresh_refusal (session_id, answer, since) SELECT session_id, answer, since FROM temp.kept_refusal;
DROP TABLE temp.kept_history;
DROP TABLE temp.kept_refusal;
-- Credentials of sessions at other providers: the user's own, and one for each managed account. A session's first one has
-- the session's identifier. What is deleted stays for a time, without its payload once its revocation is settled.
CREATE TABLE upstream_credential (
    credential_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    session_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
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
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    granted_scope TEXT NOT NULL,
    deleted_at INTEGER,
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
FROM temp.kept_credential k JOIN upstream_session s ON s.session_id = k.session_id;
DROP TABLE temp.kept_credential;
-- Which clients may use a connection. A connection is a session at a provider.
CREATE TABLE connection_access (
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    client_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    granted_by TEXT NOT NULL CHECK (granted_by IN ('creation', 'user', 'operator')),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (tenant_id, client_id, connection_id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES tenant_client (tenant_id, client_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES upstream_session (tenant_id, session_id) ON DELETE CASCADE
);
CREATE INDEX idx_connection_access_connection_id ON connection_access (tenant_id, connection_id);
CREATE INDEX idx_connection_access_deleted ON connection_access (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
INSERT INTO connection_access (tenant_id, client_id, connection_id, granted_by, created_at)
    SELECT s.tenant_id, s.client_id, s.session_id, 'creation', s.created_at FROM upstream_session s
    JOIN tenant_client t ON t.tenant_id = s.tenant_id AND t.client_id = s.client_id WHERE s.namespace IS NOT NULL;
