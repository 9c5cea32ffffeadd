ALTER TABLE upstream_session DROP COLUMN prompted_at;
