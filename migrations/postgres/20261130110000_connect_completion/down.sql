DROP INDEX idx_upstream_session_subject;
ALTER TABLE connect_session DROP COLUMN unconfirmed_id;
