-- The version before may run beside this: yes.
-- Needs of one thing become one connect session: the current one of its flow, with the token of its address (encrypted), so
-- that everybody who needs it gets the same one. The time of the last automatic prompt, and whether the user declined.
ALTER TABLE connect_session ADD COLUMN flow_key TEXT;
ALTER TABLE connect_session ADD COLUMN flow_token TEXT;
ALTER TABLE connect_session ADD COLUMN begun_at INTEGER;
ALTER TABLE connect_session ADD COLUMN prompted_at INTEGER;
ALTER TABLE connect_session ADD COLUMN is_declined BOOLEAN NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX idx_connect_session_flow_key ON connect_session (tenant_id, flow_key) WHERE flow_key IS NOT NULL;
