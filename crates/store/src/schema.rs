//! The tables. A test compares them with a freshly migrated database of each kind.

mod connections;

pub(crate) use self::connections::{
    connect_session, connection_access, managed_account, provider_registration, social_identity, tenant,
    tenant_client, tenant_user, upstream_credential, upstream_pending, work_queue,
};

diesel::table! {
    oauth_client (client_id) {
        client_id -> Text,
        client_secret -> Nullable<Text>,
        client_name -> Text,
        redirect_uris -> Text,
        grant_types -> Text,
        response_types -> Text,
        scope -> Nullable<Text>,
        token_endpoint_auth_method -> Text,
        client_type -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        metadata -> Text,
        access_token_expiration -> BigInt,
        refresh_token_expiration -> BigInt,
        require_redirect_exact -> Bool,
        registration_access_token -> Nullable<Text>,
        jwks -> Nullable<Text>,
        tenant_id -> Text,
        origin -> Text,
        document_checked_at -> Nullable<BigInt>,
        document_fresh_until -> Nullable<BigInt>,
        deleted_at -> Nullable<BigInt>,
        allow_background_access -> Bool,
        allow_session_export -> Bool,
        id_token_claims -> Bool,
        pkce -> Text,
        allowed_resources -> Text,
        providers -> Text,
        manage_tenants -> Bool,
        import_connections -> Bool,
        allow_unconfirmed -> Bool,
        mcp_tools -> Text,
    }
}

diesel::table! {
    oauth_access_token (token) {
        token -> Text,
        token_type -> Text,
        client_id -> Text,
        user_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        session_iteration -> Nullable<BigInt>,
        scope -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked -> Bool,
        dpop_jkt -> Nullable<Text>,
        first_used_at -> Nullable<BigInt>,
        resource -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_refresh_token (token) {
        token -> Text,
        access_token -> Text,
        client_id -> Text,
        user_id -> Text,
        session_id -> Nullable<Text>,
        session_iteration -> Nullable<BigInt>,
        scope -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked -> Bool,
        parent -> Nullable<Text>,
        used_at -> Nullable<BigInt>,
        revoked_reason -> Nullable<Text>,
        access_used_at -> Nullable<BigInt>,
        dpop_jkt -> Nullable<Text>,
        resource -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_authorization_code (code) {
        code -> Text,
        client_id -> Text,
        user_id -> Text,
        session_id -> Nullable<Text>,
        session_iteration -> Nullable<BigInt>,
        redirect_uri -> Text,
        scope -> Nullable<Text>,
        code_challenge -> Nullable<Text>,
        code_challenge_method -> Nullable<Text>,
        nonce -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used -> Bool,
        used_at -> Nullable<BigInt>,
        dpop_jkt -> Nullable<Text>,
        resource -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_par_request (request_uri) {
        request_uri -> Text,
        authorization_request -> Text,
        client_id -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        subject -> Nullable<Text>,
        metadata -> Text,
        auth_request_id -> Nullable<Text>,
        used -> Bool,
        correlation_id -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_dpop_nonce (nonce) {
        nonce -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    replay (id) {
        id -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    oauth_auth_request (session_id) {
        session_id -> Text,
        client_id -> Text,
        redirect_uri -> Text,
        scope -> Nullable<Text>,
        state -> Nullable<Text>,
        code_challenge -> Nullable<Text>,
        code_challenge_method -> Nullable<Text>,
        response_type -> Text,
        nonce -> Nullable<Text>,
        login_hint -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        tenant_id -> Text,
        browser_id -> Text,
        request_uri -> Nullable<Text>,
        stage -> Text,
        upstream_session_id -> Nullable<Text>,
        response_mode -> Text,
        prompt -> Nullable<Text>,
        max_age -> Nullable<BigInt>,
        dpop_jkt -> Nullable<Text>,
        ui_locales -> Nullable<Text>,
        resource -> Nullable<Text>,
        device_code -> Nullable<Text>,
        required_sub -> Nullable<Text>,
        correlation_id -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_atp_session (session_id, iteration) {
        session_id -> Text,
        iteration -> BigInt,
        did -> Nullable<Text>,
        session_created_at -> BigInt,
        atp_oauth_state -> Text,
        signing_key_jkt -> Text,
        dpop_key -> Text,
        access_token -> Nullable<Text>,
        refresh_token -> Nullable<Text>,
        access_token_created_at -> Nullable<BigInt>,
        access_token_expires_at -> Nullable<BigInt>,
        access_token_scopes -> Nullable<Text>,
        session_exchanged_at -> Nullable<BigInt>,
        exchange_error -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_atp_request (oauth_state) {
        oauth_state -> Text,
        authorization_server -> Text,
        nonce -> Text,
        pkce_verifier -> Text,
        signing_public_key -> Text,
        dpop_private_key -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        auth_request_id -> Text,
        browser_id -> Text,
        pds -> Text,
        upstream_client_id -> Text,
        upstream_auth -> Text,
        upstream_redirect_uri -> Text,
        expected_did -> Nullable<Text>,
        typed_handle -> Nullable<Text>,
        dpop_jkt -> Text,
        used -> Bool,
        asked_again -> Bool,
    }
}

diesel::table! {
    upstream_session (session_id) {
        session_id -> Text,
        tenant_id -> Text,
        client_id -> Text,
        provider -> Text,
        did -> Nullable<Text>,
        handle -> Nullable<Text>,
        subject -> Nullable<Text>,
        binding -> Nullable<Text>,
        session_kind -> Text,
        state -> Text,
        browser_id -> Text,
        iteration -> BigInt,
        issuer -> Nullable<Text>,
        pds -> Nullable<Text>,
        upstream_client_id -> Nullable<Text>,
        upstream_auth -> Nullable<Text>,
        upstream_redirect_uri -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        lease_holder -> Nullable<Text>,
        lease_fence -> BigInt,
        lease_until -> Nullable<BigInt>,
        revocation_due_at -> Nullable<BigInt>,
        revocation_attempts -> BigInt,
        deleted_at -> Nullable<BigInt>,
        granted_scope -> Nullable<Text>,
        refresh_failures -> BigInt,
        refresh_not_before -> Nullable<BigInt>,
        verified_at -> Nullable<BigInt>,
        refresh_due_at -> Nullable<BigInt>,
        prompted_at -> Nullable<BigInt>,
        correlation_id -> Nullable<Text>,
        redirect_origin -> Nullable<Text>,
        namespace -> Nullable<Text>,
        user_id -> Nullable<Text>,
        account_slot -> Nullable<Text>,
        device_slot -> Nullable<Text>,
        idle_seconds -> Nullable<BigInt>,
        registration_id -> Nullable<Text>,
        social_identity_id -> Nullable<Text>,
        parameters -> Nullable<Text>,
        metadata -> Nullable<Text>,
        confirmed_at -> Nullable<BigInt>,
        refreshed_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        last_error_at -> Nullable<BigInt>,
        unconfirmed_listing -> Nullable<Text>,
    }
}

diesel::table! {
    iteration_history (session_id) {
        session_id -> Text,
        due_at -> BigInt,
    }
}

diesel::table! {
    refresh_refusal (session_id) {
        session_id -> Text,
        answer -> Text,
        since -> BigInt,
    }
}

diesel::table! {
    node (node_id) {
        node_id -> Text,
        started_at -> BigInt,
        seen_at -> BigInt,
    }
}

diesel::table! {
    account_proof (proof_id) {
        proof_id -> Text,
        tenant_id -> Text,
        browser_id -> Text,
        did -> Text,
        handle -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    consent (tenant_id, client_id, did, redirect_origin) {
        tenant_id -> Text,
        client_id -> Text,
        did -> Text,
        redirect_origin -> Text,
        scope -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    device_authorization (device_code) {
        device_code -> Text,
        user_code -> Text,
        tenant_id -> Text,
        client_id -> Text,
        scope -> Nullable<Text>,
        resource -> Nullable<Text>,
        dpop_jkt -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        poll_interval -> BigInt,
        polled_at -> Nullable<BigInt>,
        stage -> Text,
        auth_request_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        session_iteration -> Nullable<BigInt>,
        granted_scope -> Nullable<Text>,
    }
}

diesel::table! {
    audit_event (id) {
        id -> BigInt,
        at -> BigInt,
        tenant_id -> Text,
        actor -> Text,
        event -> Text,
        outcome -> Text,
        client_id -> Nullable<Text>,
        did -> Nullable<Text>,
        session_id -> Nullable<Text>,
        request_id -> Nullable<Text>,
        correlation_id -> Nullable<Text>,
        address -> Nullable<Text>,
        details -> Text,
        user_id -> Nullable<Text>,
        provider -> Nullable<Text>,
        connection_id -> Nullable<Text>,
    }
}

diesel::table! {
    event_subscription (client_id) {
        client_id -> Text,
        tenant_id -> Text,
        webhook_url -> Nullable<Text>,
        webhook_secret -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    event_outbox (id) {
        id -> BigInt,
        at -> BigInt,
        tenant_id -> Text,
        client_id -> Text,
        event -> Text,
        correlation_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        session_kind -> Nullable<Text>,
        session_iteration -> Nullable<BigInt>,
        did -> Nullable<Text>,
        webhook_due_at -> Nullable<BigInt>,
        webhook_attempts -> BigInt,
        position -> Nullable<BigInt>,
        user_id -> Nullable<Text>,
        provider -> Nullable<Text>,
        connection_id -> Nullable<Text>,
        managed_account_id -> Nullable<Text>,
    }
}

diesel::table! {
    logout_notice (session_id) {
        session_id -> Text,
        client_id -> Text,
        uri -> Text,
        alg -> Text,
        did -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        due_at -> BigInt,
        attempts -> BigInt,
    }
}

diesel::table! {
    signing_key (kid) {
        kid -> Text,
        purpose -> Text,
        alg -> Text,
        public_jwk -> Text,
        private_jwk -> Text,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    schema_floor (version) {
        version -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(oauth_access_token, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(oauth_refresh_token, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(oauth_authorization_code, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(oauth_par_request, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(oauth_access_token, oauth_refresh_token, upstream_session);
diesel::allow_tables_to_appear_in_same_query!(oauth_auth_request, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(oauth_auth_request, oauth_atp_request);
diesel::allow_tables_to_appear_in_same_query!(upstream_session, event_subscription);
diesel::allow_tables_to_appear_in_same_query!(event_outbox, tenant_client);
diesel::allow_tables_to_appear_in_same_query!(upstream_session, oauth_client);
diesel::allow_tables_to_appear_in_same_query!(
    connection_access,
    provider_registration,
    upstream_credential,
    upstream_session
);
diesel::allow_tables_to_appear_in_same_query!(managed_account, upstream_credential);
diesel::allow_tables_to_appear_in_same_query!(tenant, tenant_client);
diesel::allow_tables_to_appear_in_same_query!(tenant, upstream_session);
diesel::allow_tables_to_appear_in_same_query!(upstream_pending, provider_registration);
diesel::allow_tables_to_appear_in_same_query!(tenant, connect_session);
diesel::allow_tables_to_appear_in_same_query!(tenant, upstream_pending);
