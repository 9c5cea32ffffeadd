DROP TRIGGER oauth_client_acts_in_its_tenant ON oauth_client;
DROP FUNCTION act_in_own_tenant();
ALTER TABLE oauth_client DROP COLUMN allow_unconfirmed;
ALTER TABLE oauth_client DROP COLUMN import_connections;
ALTER TABLE oauth_client DROP COLUMN manage_tenants;
ALTER TABLE oauth_client DROP COLUMN providers;
DROP TABLE tenant_client;
DROP TABLE tenant;
