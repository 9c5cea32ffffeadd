//! The store's promises, each on every database that can be had here.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

mod boundaries;
mod connect;
mod connections;
mod deletion;
mod devices;
mod encryption;
mod erasure;
mod events;
mod exercise;
mod finders;
mod group_commit;
mod hanging;
mod history;
mod leases;
mod migrations;
mod pipeline;
mod plans;
mod pooler;
mod postgres;
mod provider_migration;
mod races;
mod reads;
mod reencrypt;
mod replay;
mod schema;
mod sessions;
mod sweep;
mod tenancy;
mod tenants;
mod tokens;
