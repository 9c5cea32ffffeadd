-- At most one live background session for each tenant, client and account.
CREATE UNIQUE INDEX idx_upstream_session_tenant_id ON upstream_session (tenant_id, client_id, did)
    WHERE session_kind = 'background' AND state IN ('active', 'reauth_required') AND deleted_at IS NULL;
