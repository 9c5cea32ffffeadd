//! The tables of tenants and connections.

diesel::table! {
    tenant (tenant_id) {
        tenant_id -> Text,
        name -> Text,
        user_namespace -> Nullable<Text>,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
        made_by -> Nullable<Text>,
    }
}

diesel::table! {
    tenant_client (tenant_id, client_id) {
        tenant_id -> Text,
        client_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    tenant_user (tenant_id, namespace, user_id) {
        tenant_id -> Text,
        namespace -> Text,
        user_id -> Text,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    provider_registration (registration_id) {
        registration_id -> Text,
        tenant_id -> Text,
        provider -> Text,
        issuer -> Text,
        origin -> Text,
        client_id -> Text,
        client_secret -> Nullable<Text>,
        next_secret -> Nullable<Text>,
        token_endpoint_auth_method -> Text,
        redirect_uri -> Text,
        registration_access_token -> Nullable<Text>,
        registration_client_uri -> Nullable<Text>,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    social_identity (social_identity_id) {
        social_identity_id -> Text,
        tenant_id -> Text,
        namespace -> Text,
        user_id -> Text,
        provider -> Text,
        issuer -> Text,
        subject -> Text,
        display_name -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    managed_account (managed_account_id) {
        managed_account_id -> Text,
        tenant_id -> Text,
        social_identity_id -> Text,
        subject -> Text,
        name -> Nullable<Text>,
        category -> Nullable<Text>,
        tasks -> Text,
        unavailable_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    upstream_credential (credential_id) {
        credential_id -> Text,
        tenant_id -> Text,
        session_id -> Text,
        iteration -> BigInt,
        namespace -> Text,
        user_id -> Text,
        provider -> Text,
        session_kind -> Text,
        account_slot -> Text,
        device_slot -> Text,
        credential_kind -> Text,
        social_identity_id -> Nullable<Text>,
        managed_account_id -> Nullable<Text>,
        account_ref -> Nullable<Text>,
        payload -> Text,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        granted_scope -> Text,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    connection_access (tenant_id, client_id, connection_id) {
        tenant_id -> Text,
        client_id -> Text,
        connection_id -> Text,
        granted_by -> Text,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    connect_session (token) {
        token -> Text,
        connect_session_id -> Text,
        tenant_id -> Text,
        client_id -> Text,
        namespace -> Text,
        user_id -> Text,
        providers -> Text,
        session_kind -> Text,
        scopes -> Nullable<Text>,
        parameters -> Text,
        return_uri -> Nullable<Text>,
        state -> Nullable<Text>,
        force_reauth -> Bool,
        fingerprint -> Nullable<Text>,
        connection_id -> Nullable<Text>,
        correlation_id -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used -> Bool,
        sign_in_attempts -> BigInt,
        outcome -> Nullable<Text>,
        finished_at -> Nullable<BigInt>,
        connect_code -> Nullable<Text>,
        connect_code_expires_at -> Nullable<BigInt>,
        unconfirmed_id -> Nullable<Text>,
        flow_key -> Nullable<Text>,
        flow_token -> Nullable<Text>,
        begun_at -> Nullable<BigInt>,
        prompted_at -> Nullable<BigInt>,
        is_declined -> Bool,
    }
}

diesel::table! {
    upstream_pending (state) {
        state -> Text,
        tenant_id -> Text,
        client_id -> Text,
        namespace -> Text,
        user_id -> Text,
        provider -> Text,
        registration_id -> Nullable<Text>,
        session_kind -> Text,
        browser_id -> Text,
        connect_session_id -> Nullable<Text>,
        payload -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        used -> Bool,
    }
}

diesel::table! {
    work_queue (tenant_id, kind, row_id) {
        tenant_id -> Text,
        kind -> Text,
        row_id -> Text,
        due_at -> BigInt,
    }
}
