DROP INDEX idx_connect_session_flow_key;
ALTER TABLE connect_session DROP COLUMN is_declined;
ALTER TABLE connect_session DROP COLUMN prompted_at;
ALTER TABLE connect_session DROP COLUMN begun_at;
ALTER TABLE connect_session DROP COLUMN flow_token;
ALTER TABLE connect_session DROP COLUMN flow_key;
