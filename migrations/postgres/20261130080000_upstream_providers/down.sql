-- The version before knows no other provider.
DROP TABLE upstream_credential;
DELETE FROM upstream_session WHERE provider <> 'atproto';
DROP INDEX idx_upstream_session_subject;
ALTER TABLE upstream_session
    DROP CONSTRAINT upstream_session_provider_check,
    ALTER COLUMN did SET NOT NULL,
    ALTER COLUMN issuer SET NOT NULL,
    ALTER COLUMN pds SET NOT NULL,
    ALTER COLUMN upstream_client_id SET NOT NULL,
    ALTER COLUMN upstream_auth SET NOT NULL,
    ALTER COLUMN upstream_redirect_uri SET NOT NULL,
    DROP COLUMN binding,
    DROP COLUMN subject,
    DROP COLUMN provider;
