//! The commands beside `serve`.

pub(crate) mod clients;
pub(crate) mod migrate;
