DROP INDEX idx_upstream_session_session_kind;
ALTER TABLE upstream_session DROP COLUMN correlation_id;
ALTER TABLE oauth_auth_request DROP COLUMN correlation_id;
ALTER TABLE oauth_par_request DROP COLUMN correlation_id;
