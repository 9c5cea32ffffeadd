-- The version before may run beside this: no.
-- What the operator grants a client stands in columns of its own, no longer among the metadata that the client registered.
UPDATE schema_floor SET version = '20261130070000';
ALTER TABLE oauth_client ADD COLUMN allow_background_access BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE oauth_client ADD COLUMN allow_session_export BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE oauth_client ADD COLUMN id_token_claims BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE oauth_client ADD COLUMN pkce TEXT NOT NULL DEFAULT 'required';
ALTER TABLE oauth_client ADD COLUMN allowed_resources TEXT NOT NULL DEFAULT '[]';
UPDATE oauth_client SET
    allow_background_access = COALESCE((metadata::jsonb ->> 'allow_background_access')::boolean, FALSE),
    allow_session_export = COALESCE((metadata::jsonb ->> 'allow_session_export')::boolean, FALSE),
    id_token_claims = COALESCE((metadata::jsonb ->> 'id_token_claims')::boolean, FALSE),
    pkce = COALESCE(metadata::jsonb ->> 'pkce', 'required'),
    allowed_resources = COALESCE(metadata::jsonb ->> 'allowed_resources', '[]'),
    metadata = (metadata::jsonb - ARRAY['allow_background_access', 'allow_session_export', 'id_token_claims', 'pkce',
        'allowed_resources'])::text;
