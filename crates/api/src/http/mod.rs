//! HTTP itself: requests, forms, cookies, credentials, response headers.

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod canonical;
pub(crate) mod client_auth;
pub(crate) mod cookie;
pub(crate) mod cors;
pub(crate) mod credentials;
pub(crate) mod form;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod measure;
pub(crate) mod observe;
pub(crate) mod operator;
pub(crate) mod own_form;
pub(crate) mod path;
pub(crate) mod proof;
pub(crate) mod relay_headers;
pub(crate) mod request;
pub(crate) mod resource;
pub(crate) mod tenant_client;
mod traced;
pub(crate) mod upload;
