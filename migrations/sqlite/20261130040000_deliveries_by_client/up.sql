-- `position` is the order in which a client receives its events: it is assigned after the transaction was committed.
-- Deliveries to one client wait for that client alone.
ALTER TABLE event_outbox ADD COLUMN position INTEGER;
UPDATE event_outbox SET position = id;
DROP INDEX idx_event_outbox_client_id;
DROP INDEX idx_event_outbox_webhook_due_at;
DROP INDEX idx_logout_notice_due_at;
CREATE INDEX idx_event_outbox_position ON event_outbox (client_id, position);
CREATE INDEX idx_event_outbox_unordered ON event_outbox (client_id, id) WHERE position IS NULL;
CREATE INDEX idx_event_outbox_webhook ON event_outbox (client_id, webhook_due_at) WHERE webhook_due_at IS NOT NULL;
CREATE INDEX idx_logout_notice_client_id ON logout_notice (client_id, due_at);
