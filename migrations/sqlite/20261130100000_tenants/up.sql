-- The version before may run beside this: yes.
-- Tenants, and which clients act in them. A client that registers acts in its own tenant; a platform client also in the
-- tenants that it made.
CREATE TABLE tenant (
    tenant_id TEXT NOT NULL PRIMARY KEY CHECK (tenant_id <> ''),
    name TEXT NOT NULL,
    user_namespace TEXT CHECK (user_namespace NOT IN ('', 'did')),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
);
INSERT INTO tenant (tenant_id, name, created_at) SELECT tenant_id, tenant_id, CAST(strftime('%s', 'now') AS INTEGER) FROM (
    SELECT 'default' AS tenant_id UNION SELECT tenant_id FROM oauth_client UNION SELECT tenant_id FROM upstream_session
) AS known;
CREATE TABLE tenant_client (
    tenant_id TEXT NOT NULL REFERENCES tenant (tenant_id),
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);
CREATE INDEX idx_tenant_client_client_id ON tenant_client (client_id);
INSERT INTO tenant_client (tenant_id, client_id, created_at) SELECT tenant_id, client_id, created_at FROM oauth_client;
CREATE TRIGGER oauth_client_acts_in_its_tenant AFTER INSERT ON oauth_client BEGIN
    INSERT INTO tenant_client (tenant_id, client_id, created_at) VALUES (NEW.tenant_id, NEW.client_id, NEW.created_at);
END;
-- What the operator grants a client: the providers that it may connect, and three permissions.
ALTER TABLE oauth_client ADD COLUMN providers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE oauth_client ADD COLUMN manage_tenants BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_client ADD COLUMN import_connections BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_client ADD COLUMN allow_unconfirmed BOOLEAN NOT NULL DEFAULT 0;
