//! Middleware around every request: assigns its id, finds the client's address, traces and logs it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_flow::operations::trace;
use causeway_types::secret::{Connect, TokenKind as _};
use ipnet::IpNet;
use opentelemetry::trace::SpanContext;
use tracing::{Instrument as _, Span};

use crate::http::headers::fixed;
use crate::http::request::{self, Current};
use crate::http::traced;
use crate::pages::Lang;
use crate::state::AppState;

/// The header that returns the request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// HSTS for a year (RFC 6797), without `includeSubDomains`: other hosts below this one are not ours to bind.
const TRANSPORT: &str = "max-age=31536000";

/// Assigns the request id, logs the request, and returns the id in a header. Only metadata is logged: query
/// strings carry codes and states.
pub(crate) async fn observe(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = req.app_data::<Data<AppState>>().cloned();
    let stats = state.as_ref().and_then(|state| state.config.stats.clone());
    let trusted = state.as_ref().map_or(&[][..], |state| &state.config.trusted_proxies);
    let origin = Origin::read(req.headers(), req.peer_addr().map(|peer| peer.ip()), trusted);
    let span = tracing::info_span!(
        "http.request",
        request_id = %origin.request_id,
        trace_id = tracing::field::Empty,
        method = %req.method(),
        path = &*loggable(req.path()),
        client = origin.client.map(tracing::field::display),
        correlation_id = tracing::field::Empty,
    );
    traced::begin(&span, origin.parent);
    let header = HeaderValue::from_str(&origin.request_id).unwrap_or(HeaderValue::from_static("invalid"));
    let started = Instant::now();
    let served =
        trace::Request { span: span.clone(), request_id: origin.request_id.clone(), address: origin.client };
    let current = Current {
        id: origin.request_id,
        address: origin.client,
        ctx: state.as_ref().map(|state| state.ctx.clone()),
        is_secure: state.as_ref().is_some_and(|state| state.secure),
        lang: Cell::new(accepted(req.headers())),
        resource: RefCell::default(),
        shares: RefCell::default(),
    };
    let serve = trace::serve(served, request::scope(current, next.call(req)));
    async move {
        let mut response = serve.await?;
        response.headers_mut().insert(REQUEST_ID, header);
        if let Some(state) = state {
            if state.secure {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, fixed(TRANSPORT));
            }
            if state.ctx.lifecycle().is_draining() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
        }
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        let route = traced::route(&response);
        traced::end(&Span::current(), route, status);
        if let Some(stats) = stats {
            stats.note(route, response.request().method(), response.status(), elapsed);
        }
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if status >= 500 {
            tracing::warn!(status, elapsed_us, "request failed");
        } else {
            tracing::debug!(status, elapsed_us, "request served");
        }
        Ok(response)
    }
    .instrument(span)
    .await
}

/// The language that the browser asks for.
fn accepted(headers: &HeaderMap) -> Lang {
    if !headers.contains_key(ACCEPT_LANGUAGE) {
        return Lang::default();
    }
    let lines: Vec<&str> = headers.get_all(ACCEPT_LANGUAGE).filter_map(|line| line.to_str().ok()).collect();
    Lang::of_accept_language(&lines.join(","))
}

/// Request id, parent span and client address of a request, as far as they can be trusted.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    request_id: String,
    parent: Option<SpanContext>,
    client: Option<IpAddr>,
}

impl Origin {
    /// Forwarded headers count only when the peer itself is a trusted proxy.
    fn read(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> Self {
        let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
        let believed = peer.as_ref().is_some_and(is_trusted);
        let header =
            |name: &str| headers.get(name).filter(|_| believed).and_then(|value| value.to_str().ok());
        let request_id = header("x-request-id").filter(|id| is_token(id)).map(str::to_owned);
        let parent = believed.then(|| traced::parent(headers)).flatten();
        let forwarded = believed.then(|| forwarded_for(headers, is_trusted)).flatten();
        Self { request_id: request_id.unwrap_or_else(fresh_id), parent, client: forwarded.or(peer) }
    }
}

/// A unique request id that does not reveal how many requests there are: 96 bits of a counter hashed under
/// a key of this process. Reading the system's random bytes would be the most expensive part of a small
/// request.
fn fresh_id() -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let halves = [0_u8, 1].map(|half| KEY.hash_one((half, count)).to_be_bytes());
    URL_SAFE_NO_PAD.encode(&halves.concat()[..12])
}

/// The nearest hop that is not a trusted proxy. Anything further left is only that hop's claim, and so is
/// everything left of a hop that cannot be parsed.
fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").map(|line| line.to_str().unwrap_or("?")).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) if is_trusted(&hop) => {}
            Ok(hop) => return Some(hop),
            Err(_) => return None,
        }
    }
    None
}

/// Whether a forwarded id is short and made of characters that are safe in logs and pages.
fn is_token(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// A path for the log. The token of a connect session is in its address, and works until it is used.
fn loggable(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/connect/").filter(|rest| rest.starts_with(Connect::PREFIX)) {
        Some(_) => "/connect/[redacted]".into(),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", "edge-1"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.0.0.2"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn ids_differ_and_fit_into_a_header() {
        let ids: BTreeSet<String> = (0..10_000).map(|_| fresh_id()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 16 && is_token(id)));
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let origin = Origin::read(&headers(), Some("10.0.0.1".parse().unwrap()), &trusted);
        assert_eq!(origin.request_id, "edge-1");
        let parent = origin.parent.unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((parent.span_id().to_string().as_str(), parent.is_sampled()), ("00f067aa0ba902b7", true));
        assert_eq!(origin.client, Some("198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn an_unreadable_hop_ends_the_belief() {
        let mut headers = HeaderMap::new();
        let (name, value) = ("x-forwarded-for", "203.0.113.9, 198.51.100.7:4711, 10.0.0.2");
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        let (peer, trusted) = ("10.0.0.1".parse().unwrap(), ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(Origin::read(&headers, Some(peer), &trusted).client, Some(peer));
    }

    #[test]
    fn a_malformed_traceparent_is_left_out() {
        let (peer, trusted) = ("10.0.0.1".parse().unwrap(), ["10.0.0.0/8".parse().unwrap()]);
        for value in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("traceparent"), HeaderValue::from_static(value));
            assert_eq!(Origin::read(&headers, Some(peer), &trusted).parent, None, "{value}");
        }
    }

    #[test]
    fn nobody_else_is() {
        let peer = "192.0.2.1".parse().unwrap();
        let origin = Origin::read(&headers(), Some(peer), &["10.0.0.0/8".parse().unwrap()]);
        assert_ne!(origin.request_id, "edge-1");
        assert_eq!(origin.parent, None);
        assert_eq!(origin.client, Some(peer));
    }
}
