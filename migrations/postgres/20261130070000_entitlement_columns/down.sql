UPDATE oauth_client SET metadata = (metadata::jsonb || '{"allow_background_access": true}')::text WHERE allow_background_access;
UPDATE oauth_client SET metadata = (metadata::jsonb || '{"allow_session_export": true}')::text WHERE allow_session_export;
UPDATE oauth_client SET metadata = (metadata::jsonb || '{"id_token_claims": true}')::text WHERE id_token_claims;
UPDATE oauth_client SET metadata = (metadata::jsonb || jsonb_build_object('pkce', pkce))::text WHERE pkce <> 'required';
UPDATE oauth_client SET metadata = (metadata::jsonb || jsonb_build_object('allowed_resources', allowed_resources::jsonb))::text
    WHERE allowed_resources <> '[]';
ALTER TABLE oauth_client DROP COLUMN allowed_resources;
ALTER TABLE oauth_client DROP COLUMN pkce;
ALTER TABLE oauth_client DROP COLUMN id_token_claims;
ALTER TABLE oauth_client DROP COLUMN allow_session_export;
ALTER TABLE oauth_client DROP COLUMN allow_background_access;
UPDATE schema_floor SET version = '20261130050000';
