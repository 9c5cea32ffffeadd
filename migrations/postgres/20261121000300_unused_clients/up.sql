-- The sweep deletes clients registered over HTTP that no user signs in to.
CREATE INDEX idx_oauth_client_updated_at ON oauth_client (updated_at)
    WHERE registration_access_token IS NOT NULL;
