//! Tenants and their connections: users, registrations at issuers, accounts at providers, credentials, and how
//! connections are made.
//!
//! A connection is a session at a provider (`upstream_session`) with the user whose access it is. Functions of tables
//! under row-level security take a [`TenantScope`](crate::TenantScope); the others name the tenant in their query or are
//! found by the hash of a secret.
//!
//! Nothing is deleted at once: deleted rows have a `deleted_at`, no function but the sweep's sees them, and uniqueness
//! holds among the others.

pub mod access;
pub mod connect_flows;
pub mod connect_sessions;
pub mod credentials;
pub mod erasure;
pub mod heads;
pub mod identities;
pub mod in_use;
pub mod listings;
pub mod managed_accounts;
pub mod page_credentials;
pub(crate) mod payload;
pub mod pending;
pub mod reconnect;
pub mod registrations;
pub mod sweep;
pub mod tenants;
pub mod users;
pub mod work_queue;
