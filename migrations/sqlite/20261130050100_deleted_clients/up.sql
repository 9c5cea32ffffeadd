-- The version before may run beside this: yes.
-- A deleted client counts as deleted at once; its sessions and rows are deleted afterwards, in batches, and its own row
-- last. Until then nothing new is added to it, as if its row did not exist.
ALTER TABLE oauth_client ADD COLUMN deleted_at INTEGER;
CREATE INDEX idx_oauth_client_deleted_at ON oauth_client (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE TRIGGER oauth_access_token_of_deleted_client BEFORE INSERT ON oauth_access_token
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
CREATE TRIGGER oauth_refresh_token_of_deleted_client BEFORE INSERT ON oauth_refresh_token
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
CREATE TRIGGER oauth_par_request_of_deleted_client BEFORE INSERT ON oauth_par_request
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
CREATE TRIGGER oauth_auth_request_of_deleted_client BEFORE INSERT ON oauth_auth_request
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
CREATE TRIGGER device_authorization_of_deleted_client BEFORE INSERT ON device_authorization
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
CREATE TRIGGER consent_of_deleted_client BEFORE INSERT ON consent
    WHEN EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'client is deleted'); END;
