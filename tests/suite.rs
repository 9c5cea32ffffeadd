//! Promises of the whole server, each held through HTTP against the real router and a real database.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod conformance {
    mod access_jwt;
    mod account;
    mod admin;
    mod audit;
    mod authorize;
    mod backchannel;
    mod background;
    mod callback;
    mod client_assertion;
    mod client_credentials;
    mod client_documents;
    mod connect;
    mod connect_pages;
    mod connect_registrations;
    mod connection_relay;
    mod cors;
    pub(crate) mod device;
    mod dpop;
    mod dpop_nonce;
    mod dpop_resource;
    mod email;
    mod event_streams;
    pub(crate) mod events;
    mod exchange;
    mod export;
    mod graphql;
    mod handles;
    mod identity;
    mod introspection;
    mod languages;
    mod limits;
    mod logout;
    mod metadata;
    mod open_redirect;
    mod openid;
    mod pkce;
    mod registration;
    mod relay;
    mod remembered;
    mod request_objects;
    mod resources;
    mod reuse;
    mod revocation;
    mod scopes;
    mod tenants;
    mod token;
    mod upstream_keys;
    mod wire;
}
mod faults {
    mod bad_input;
    mod connections;
    mod crash;
    mod database;
    mod keep_alive;
    mod keeper;
    mod made_up;
    mod memory;
    mod moved;
    mod policies;
    mod providers;
    mod receivers;
    mod refusals;
    mod relay;
    mod upstream;
}
mod journeys {
    mod administration;
    mod background;
    mod binary;
    mod browser;
    mod canary;
    mod canary_connections;
    mod confidential;
    mod correlation;
    mod database;
    mod demo_provider;
    mod device;
    mod doctor;
    mod graphql;
    mod metrics;
    mod oidc_provider;
    mod providers;
    mod relay;
    mod rolling_upgrade;
    mod rust_client;
    mod scopes;
    mod sign_in;
    mod start_and_stop;
    mod stock_client;
    mod traces;
}
mod forge;
mod races;
mod support;
