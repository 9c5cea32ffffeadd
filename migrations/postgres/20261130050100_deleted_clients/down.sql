-- Rows that are being deleted are deleted at once.
DROP TRIGGER oauth_access_token_of_deleted_client ON oauth_access_token;
DROP TRIGGER oauth_refresh_token_of_deleted_client ON oauth_refresh_token;
DROP TRIGGER oauth_par_request_of_deleted_client ON oauth_par_request;
DROP TRIGGER oauth_auth_request_of_deleted_client ON oauth_auth_request;
DROP TRIGGER device_authorization_of_deleted_client ON device_authorization;
DROP TRIGGER consent_of_deleted_client ON consent;
DROP FUNCTION refuse_deleted_client();
DELETE FROM oauth_client WHERE deleted_at IS NOT NULL;
DROP INDEX idx_oauth_client_deleted_at;
ALTER TABLE oauth_client DROP COLUMN deleted_at;
