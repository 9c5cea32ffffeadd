ALTER TABLE audit_event DROP COLUMN connection_id;
ALTER TABLE audit_event DROP COLUMN provider;
ALTER TABLE audit_event DROP COLUMN user_id;
ALTER TABLE event_outbox DROP COLUMN connection_id;
ALTER TABLE event_outbox DROP COLUMN provider;
ALTER TABLE event_outbox DROP COLUMN user_id;
DROP TABLE work_queue;
DROP TABLE upstream_pending;
DROP TABLE connect_session;
