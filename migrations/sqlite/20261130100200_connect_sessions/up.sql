-- The version before may run beside this: yes.
-- How connections are made: permits of clients, and authorizations under way at providers. Both are found by the hash of
-- a secret, before anybody knows the tenant, and so is the work of all tenants: these tables are not under row-level
-- security.
CREATE TABLE connect_session (
    token TEXT NOT NULL PRIMARY KEY,
    connect_session_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    client_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    providers TEXT NOT NULL,
    session_kind TEXT NOT NULL,
    scopes TEXT,
    parameters TEXT NOT NULL,
    return_uri TEXT,
    state TEXT,
    force_reauth BOOLEAN NOT NULL,
    fingerprint TEXT,
    connection_id TEXT,
    correlation_id TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used BOOLEAN NOT NULL DEFAULT 0,
    sign_in_attempts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    finished_at INTEGER,
    connect_code TEXT,
    connect_code_expires_at INTEGER,
    FOREIGN KEY (tenant_id, client_id) REFERENCES tenant_client (tenant_id, client_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES upstream_session (tenant_id, session_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX idx_connect_session_tenant_id ON connect_session (tenant_id, connect_session_id);
CREATE UNIQUE INDEX idx_connect_session_connect_code ON connect_session (connect_code) WHERE connect_code IS NOT NULL;
CREATE INDEX idx_connect_session_client_id ON connect_session (tenant_id, client_id);
CREATE INDEX idx_connect_session_user ON connect_session (tenant_id, namespace, user_id);
CREATE INDEX idx_connect_session_connection_id ON connect_session (tenant_id, connection_id)
    WHERE connection_id IS NOT NULL;
CREATE INDEX idx_connect_session_expires_at ON connect_session (expires_at);
CREATE TABLE upstream_pending (
    state TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    client_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    registration_id TEXT,
    session_kind TEXT NOT NULL,
    browser_id TEXT NOT NULL,
    connect_session_id TEXT,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used BOOLEAN NOT NULL DEFAULT 0,
    FOREIGN KEY (tenant_id, client_id) REFERENCES tenant_client (tenant_id, client_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, namespace, user_id) REFERENCES tenant_user (tenant_id, namespace, user_id),
    FOREIGN KEY (tenant_id, registration_id) REFERENCES provider_registration (tenant_id, registration_id),
    FOREIGN KEY (tenant_id, connect_session_id) REFERENCES connect_session (tenant_id, connect_session_id) ON DELETE CASCADE
);
CREATE INDEX idx_upstream_pending_client_id ON upstream_pending (tenant_id, client_id);
CREATE INDEX idx_upstream_pending_user ON upstream_pending (tenant_id, namespace, user_id);
CREATE INDEX idx_upstream_pending_registration ON upstream_pending (tenant_id, registration_id)
    WHERE registration_id IS NOT NULL;
CREATE INDEX idx_upstream_pending_connect_session ON upstream_pending (tenant_id, connect_session_id)
    WHERE connect_session_id IS NOT NULL;
CREATE INDEX idx_upstream_pending_expires_at ON upstream_pending (expires_at);
-- What is due, in all tenants: identifiers alone.
CREATE TABLE work_queue (
    tenant_id TEXT NOT NULL CHECK (tenant_id <> '') REFERENCES tenant (tenant_id),
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, row_id)
);
CREATE INDEX idx_work_queue_due_at ON work_queue (kind, due_at);
ALTER TABLE event_outbox ADD COLUMN user_id TEXT;
ALTER TABLE event_outbox ADD COLUMN provider TEXT;
ALTER TABLE event_outbox ADD COLUMN connection_id TEXT;
ALTER TABLE audit_event ADD COLUMN user_id TEXT;
ALTER TABLE audit_event ADD COLUMN provider TEXT;
ALTER TABLE audit_event ADD COLUMN connection_id TEXT;
