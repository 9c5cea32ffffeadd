-- When whoever calls was last told where the person of a session signs in again.
ALTER TABLE upstream_session ADD COLUMN prompted_at INTEGER;
