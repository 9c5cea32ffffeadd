//! Calls as they are sent: method, headers, body.

use std::fmt;

use bytes::Bytes;
use causeway_jose::EcKey;
use causeway_outbound::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use causeway_outbound::{HttpError, Method, UploadError};
use causeway_types::{Nsid, Secret};
use futures_util::stream::BoxStream;
use url::Url;

use super::error::XrpcError;
use crate::authorization::nonce::DPOP;

/// The two kinds of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrpcMethod {
    /// GET.
    Query,
    /// POST.
    Procedure,
}

impl XrpcMethod {
    pub(super) const fn http(self) -> Method {
        match self {
            Self::Query => Method::GET,
            Self::Procedure => Method::POST,
        }
    }
}

/// A call, apart from its body.
#[derive(Clone, Copy, Debug)]
pub struct XrpcRequest<'a> {
    /// The origin of the PDS.
    pub pds: &'a Url,
    /// Query or procedure.
    pub method: XrpcMethod,
    /// The method.
    pub nsid: &'a Nsid,
    /// The query, without the question mark, as it was sent to us.
    pub query: &'a str,
    /// Further headers. None of them may be about the connection, the sender or the body's length.
    pub headers: &'a [(&'static str, Vec<u8>)],
    /// The session's access token.
    pub access_token: &'a Secret,
    /// The session's DPoP key.
    pub dpop: &'a EcKey,
}

/// A request's body.
pub enum XrpcBody {
    /// None.
    Empty,
    /// All of it: it can be sent again.
    Whole(Bytes),
    /// As it comes: it can be sent once. Afterwards it is [`XrpcBody::Spent`].
    Stream {
        /// Its length in bytes, when it is known beforehand.
        length: Option<u64>,
        /// Its parts.
        chunks: BoxStream<'static, Result<Bytes, UploadError>>,
    },
    /// A stream that has been sent.
    Spent,
}

impl fmt::Debug for XrpcBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Whole(_) => "Whole",
            Self::Stream { .. } => "Stream",
            Self::Spent => "Spent",
        })
    }
}

/// The headers of one attempt, with the credentials.
pub(super) fn headers(request: &XrpcRequest<'_>, proof: &str) -> Result<HeaderMap, XrpcError> {
    let unfit =
        |_| XrpcError::Http(HttpError::Blocked("a header holds characters that are not allowed in headers"));
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    for (name, value) in request.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).map_err(unfit)?);
    }
    // The HTTP library would add one.
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let mut token =
        HeaderValue::from_str(&format!("DPoP {}", request.access_token.expose())).map_err(unfit)?;
    token.set_sensitive(true);
    headers.insert(AUTHORIZATION, token);
    let mut proof = HeaderValue::from_str(proof).map_err(unfit)?;
    proof.set_sensitive(true);
    headers.insert(DPOP, proof);
    Ok(headers)
}
