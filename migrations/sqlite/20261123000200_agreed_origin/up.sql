-- Where the answer went that a person agreed to; NULL: not known, or nobody's own.
ALTER TABLE upstream_session ADD COLUMN redirect_origin TEXT;
