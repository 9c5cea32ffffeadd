ALTER TABLE upstream_session DROP COLUMN redirect_origin;
