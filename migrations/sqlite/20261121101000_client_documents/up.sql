-- Unregistered clients: their client_id is the URL of their metadata, or holds the metadata itself.
ALTER TABLE oauth_client ADD COLUMN origin TEXT NOT NULL DEFAULT 'registered';
ALTER TABLE oauth_client ADD COLUMN document_checked_at INTEGER;
ALTER TABLE oauth_client ADD COLUMN document_fresh_until INTEGER;
CREATE INDEX idx_oauth_client_document_checked_at ON oauth_client (document_checked_at)
    WHERE document_checked_at IS NOT NULL;
