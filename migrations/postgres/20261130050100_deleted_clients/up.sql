-- The version before may run beside this: yes.
-- A deleted client counts as deleted at once; its sessions and rows are deleted afterwards, in batches, and its own row
-- last. Until then nothing new is added to it, as if its row did not exist.
ALTER TABLE oauth_client ADD COLUMN deleted_at BIGINT;
CREATE INDEX idx_oauth_client_deleted_at ON oauth_client (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE FUNCTION refuse_deleted_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM oauth_client WHERE client_id = NEW.client_id AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'client is deleted' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER oauth_access_token_of_deleted_client BEFORE INSERT ON oauth_access_token FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
CREATE TRIGGER oauth_refresh_token_of_deleted_client BEFORE INSERT ON oauth_refresh_token FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
CREATE TRIGGER oauth_par_request_of_deleted_client BEFORE INSERT ON oauth_par_request FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
CREATE TRIGGER oauth_auth_request_of_deleted_client BEFORE INSERT ON oauth_auth_request FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
CREATE TRIGGER device_authorization_of_deleted_client BEFORE INSERT ON device_authorization FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
CREATE TRIGGER consent_of_deleted_client BEFORE INSERT ON consent FOR EACH ROW EXECUTE FUNCTION refuse_deleted_client();
