-- When callers were last given the address where the user of a session signs in again.
ALTER TABLE upstream_session ADD COLUMN prompted_at BIGINT;
