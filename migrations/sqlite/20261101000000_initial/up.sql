-- Times are Unix seconds. `token`, `code`, `client_secret` and `registration_access_token` hold
-- hashes; `pkce_verifier`, `dpop_private_key`, `dpop_key` and the tokens of oauth_atp_session are encrypted.

CREATE TABLE oauth_client (
    client_id TEXT NOT NULL PRIMARY KEY,
    client_secret TEXT,
    client_name TEXT NOT NULL,
    redirect_uris TEXT NOT NULL,
    grant_types TEXT NOT NULL,
    response_types TEXT NOT NULL,
    scope TEXT,
    token_endpoint_auth_method TEXT NOT NULL,
    client_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}',
    access_token_expiration INTEGER NOT NULL DEFAULT 86400,
    refresh_token_expiration INTEGER NOT NULL DEFAULT 1209600,
    require_redirect_exact BOOLEAN NOT NULL DEFAULT 1,
    registration_access_token TEXT,
    jwks TEXT,
    tenant_id TEXT NOT NULL DEFAULT 'default'
);
CREATE INDEX idx_oauth_client_tenant_id ON oauth_client (tenant_id, created_at);

CREATE TABLE oauth_access_token (
    token TEXT NOT NULL PRIMARY KEY,
    token_type TEXT NOT NULL DEFAULT 'Bearer',
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    user_id TEXT,
    session_id TEXT,
    session_iteration INTEGER,
    scope TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked BOOLEAN NOT NULL DEFAULT 0,
    dpop_jkt TEXT,
    first_used_at INTEGER
);
CREATE INDEX idx_oauth_access_token_expires_at ON oauth_access_token (expires_at);
CREATE INDEX idx_oauth_access_token_client_id ON oauth_access_token (client_id);
CREATE INDEX idx_oauth_access_token_user_id ON oauth_access_token (user_id);
CREATE INDEX idx_oauth_access_token_dpop_jkt ON oauth_access_token (dpop_jkt) WHERE dpop_jkt IS NOT NULL;
CREATE INDEX idx_oauth_access_token_session_id ON oauth_access_token (session_id);

CREATE TABLE oauth_refresh_token (
    token TEXT NOT NULL PRIMARY KEY,
    access_token TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    session_id TEXT,
    scope TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked BOOLEAN NOT NULL DEFAULT 0,
    parent TEXT,
    used_at INTEGER,
    revoked_reason TEXT,
    access_used_at INTEGER
);
CREATE INDEX idx_oauth_refresh_token_expires_at ON oauth_refresh_token (expires_at);
CREATE INDEX idx_oauth_refresh_token_client_id ON oauth_refresh_token (client_id);
CREATE INDEX idx_oauth_refresh_token_session_id ON oauth_refresh_token (session_id);
CREATE INDEX idx_oauth_refresh_token_access_token ON oauth_refresh_token (access_token);
CREATE INDEX idx_oauth_refresh_token_parent ON oauth_refresh_token (parent);

CREATE TABLE oauth_authorization_code (
    code TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session_id TEXT,
    redirect_uri TEXT NOT NULL,
    scope TEXT,
    code_challenge TEXT,
    code_challenge_method TEXT,
    nonce TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used BOOLEAN NOT NULL DEFAULT 0,
    used_at INTEGER
);
CREATE INDEX idx_oauth_authorization_code_expires_at ON oauth_authorization_code (expires_at);
CREATE INDEX idx_oauth_authorization_code_client_id ON oauth_authorization_code (client_id);
CREATE INDEX idx_oauth_authorization_code_session_id ON oauth_authorization_code (session_id);

CREATE TABLE oauth_par_request (
    request_uri TEXT NOT NULL PRIMARY KEY,
    authorization_request TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    subject TEXT,
    metadata TEXT NOT NULL DEFAULT '{}',
    auth_request_id TEXT,
    used BOOLEAN NOT NULL DEFAULT 0
);
CREATE INDEX idx_oauth_par_request_expires_at ON oauth_par_request (expires_at);
CREATE INDEX idx_oauth_par_request_client_id ON oauth_par_request (client_id);

CREATE TABLE oauth_dpop_nonce (
    nonce TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
CREATE INDEX idx_oauth_dpop_nonce_expires_at ON oauth_dpop_nonce (expires_at);

-- `session_id` is the authorization request's own identifier.
CREATE TABLE oauth_auth_request (
    session_id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES oauth_client (client_id) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    scope TEXT,
    state TEXT,
    code_challenge TEXT,
    code_challenge_method TEXT,
    response_type TEXT NOT NULL,
    nonce TEXT,
    login_hint TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tenant_id TEXT NOT NULL DEFAULT 'default',
    browser_id TEXT NOT NULL,
    request_uri TEXT,
    stage TEXT NOT NULL DEFAULT 'sign_in',
    upstream_session_id TEXT
);
CREATE INDEX idx_oauth_auth_request_expires_at ON oauth_auth_request (expires_at);
CREATE INDEX idx_oauth_auth_request_client_id ON oauth_auth_request (client_id);

-- One row is one token set of an upstream session.
CREATE TABLE oauth_atp_session (
    session_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    did TEXT,
    session_created_at INTEGER NOT NULL,
    atp_oauth_state TEXT NOT NULL,
    signing_key_jkt TEXT NOT NULL,
    dpop_key TEXT NOT NULL,
    access_token TEXT,
    refresh_token TEXT,
    access_token_created_at INTEGER,
    access_token_expires_at INTEGER,
    access_token_scopes TEXT,
    session_exchanged_at INTEGER,
    exchange_error TEXT,
    PRIMARY KEY (session_id, iteration)
);
CREATE INDEX idx_oauth_atp_session_did ON oauth_atp_session (did);

CREATE TABLE oauth_atp_request (
    oauth_state TEXT NOT NULL PRIMARY KEY,
    authorization_server TEXT NOT NULL,
    nonce TEXT NOT NULL,
    pkce_verifier TEXT NOT NULL,
    signing_public_key TEXT NOT NULL,
    dpop_private_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    auth_request_id TEXT NOT NULL,
    browser_id TEXT NOT NULL,
    pds TEXT NOT NULL,
    upstream_client_id TEXT NOT NULL,
    upstream_auth TEXT NOT NULL,
    upstream_redirect_uri TEXT NOT NULL,
    expected_did TEXT,
    typed_handle TEXT,
    dpop_jkt TEXT NOT NULL,
    used BOOLEAN NOT NULL DEFAULT 0
);
CREATE INDEX idx_oauth_atp_request_expires_at ON oauth_atp_request (expires_at);
CREATE INDEX idx_oauth_atp_request_auth_request_id ON oauth_atp_request (auth_request_id);
