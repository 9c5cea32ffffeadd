-- Registrations over HTTP that nobody signs in to are swept.
CREATE INDEX idx_oauth_client_updated_at ON oauth_client (updated_at)
    WHERE registration_access_token IS NOT NULL;
