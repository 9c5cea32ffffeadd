-- A device session ends seven days after its last use, whether or not a token refers to it.
DROP INDEX idx_upstream_session_next_check_at;
ALTER TABLE upstream_session DROP COLUMN next_check_at;
