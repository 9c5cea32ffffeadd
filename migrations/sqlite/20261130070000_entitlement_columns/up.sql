-- The version before may run beside this: no.
-- What the operator grants a client stands in columns of its own, no longer among the metadata that the client registered.
UPDATE schema_floor SET version = '20261130070000';
ALTER TABLE oauth_client ADD COLUMN allow_background_access BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_client ADD COLUMN allow_session_export BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_client ADD COLUMN id_token_claims BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_client ADD COLUMN pkce TEXT NOT NULL DEFAULT 'required';
ALTER TABLE oauth_client ADD COLUMN allowed_resources TEXT NOT NULL DEFAULT '[]';
UPDATE oauth_client SET
    allow_background_access = COALESCE(json_extract(metadata, '$.allow_background_access'), FALSE),
    allow_session_export = COALESCE(json_extract(metadata, '$.allow_session_export'), FALSE),
    id_token_claims = COALESCE(json_extract(metadata, '$.id_token_claims'), FALSE),
    pkce = COALESCE(json_extract(metadata, '$.pkce'), 'required'),
    allowed_resources = COALESCE(json_extract(metadata, '$.allowed_resources'), '[]'),
    metadata = json_remove(metadata, '$.allow_background_access', '$.allow_session_export', '$.id_token_claims', '$.pkce',
        '$.allowed_resources');
