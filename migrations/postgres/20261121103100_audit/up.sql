-- Audit events: the actor, the event and its outcome. Written in the transaction of the event, never changed,
-- deleted after the retention time. No secrets.
CREATE TABLE audit_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    actor TEXT NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    client_id TEXT,
    did TEXT,
    session_id TEXT,
    request_id TEXT,
    correlation_id TEXT,
    address TEXT,
    details TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX idx_audit_event_at ON audit_event (at);
CREATE INDEX idx_audit_event_did ON audit_event (did);
