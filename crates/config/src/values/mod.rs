//! Types of settings that need checks of their own.

pub(crate) mod choices;
pub(crate) mod database;
pub(crate) mod exposed;
pub(crate) mod external_url;
pub(crate) mod provider;
pub(crate) mod secret;
