-- Clients that are subscribed to events of their sign-ins and sessions. `webhook_secret` is encrypted.
CREATE TABLE event_subscription (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    webhook_url TEXT,
    webhook_secret TEXT,
    created_at INTEGER NOT NULL
);
-- Their events, written in the transaction of the change. The ids of a deployment only grow, in the order of commits.
CREATE TABLE event_outbox (
    id INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    client_id TEXT NOT NULL,
    event TEXT NOT NULL,
    correlation_id TEXT,
    session_id TEXT,
    session_kind TEXT,
    session_iteration INTEGER,
    did TEXT,
    webhook_due_at INTEGER,
    webhook_attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX idx_event_outbox_client_id ON event_outbox (client_id, id);
CREATE INDEX idx_event_outbox_at ON event_outbox (at);
CREATE INDEX idx_event_outbox_webhook_due_at ON event_outbox (webhook_due_at) WHERE webhook_due_at IS NOT NULL;
