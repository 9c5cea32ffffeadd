DROP INDEX idx_oauth_client_document_checked_at;
ALTER TABLE oauth_client DROP COLUMN document_fresh_until;
ALTER TABLE oauth_client DROP COLUMN document_checked_at;
ALTER TABLE oauth_client DROP COLUMN origin;
