UPDATE oauth_client SET metadata = json_set(metadata, '$.allow_background_access', json('true')) WHERE allow_background_access;
UPDATE oauth_client SET metadata = json_set(metadata, '$.allow_session_export', json('true')) WHERE allow_session_export;
UPDATE oauth_client SET metadata = json_set(metadata, '$.id_token_claims', json('true')) WHERE id_token_claims;
UPDATE oauth_client SET metadata = json_set(metadata, '$.pkce', pkce) WHERE pkce <> 'required';
UPDATE oauth_client SET metadata = json_set(metadata, '$.allowed_resources', json(allowed_resources))
    WHERE allowed_resources <> '[]';
ALTER TABLE oauth_client DROP COLUMN allowed_resources;
ALTER TABLE oauth_client DROP COLUMN pkce;
ALTER TABLE oauth_client DROP COLUMN id_token_claims;
ALTER TABLE oauth_client DROP COLUMN allow_session_export;
ALTER TABLE oauth_client DROP COLUMN allow_background_access;
UPDATE schema_floor SET version = '20261130050000';
