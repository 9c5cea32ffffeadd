-- The origin that the response was sent to when the user consented; NULL: unknown, or not one app's own.
ALTER TABLE upstream_session ADD COLUMN redirect_origin TEXT;
