-- The version before may run beside this: yes.
-- Lists are read page by page, and every filter has an index in the order of the list.
CREATE INDEX idx_upstream_session_session_id ON upstream_session (session_id) WHERE ended_at IS NULL;
DROP INDEX idx_upstream_session_client_id;
CREATE INDEX idx_upstream_session_client_id ON upstream_session (client_id, session_id);
CREATE INDEX idx_upstream_session_client_id_live ON upstream_session (client_id, session_id) WHERE ended_at IS NULL;
DROP INDEX idx_upstream_session_did;
CREATE INDEX idx_upstream_session_did ON upstream_session (did, session_id);
DROP INDEX idx_audit_event_did;
CREATE INDEX idx_audit_event_did ON audit_event (did, id) WHERE did IS NOT NULL;
CREATE INDEX idx_audit_event_client_id ON audit_event (client_id, id) WHERE client_id IS NOT NULL;
CREATE INDEX idx_audit_event_session_id ON audit_event (session_id, id) WHERE session_id IS NOT NULL;
CREATE INDEX idx_audit_event_event ON audit_event (event, id);
