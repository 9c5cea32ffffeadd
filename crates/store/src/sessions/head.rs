//! The rows of heads: `upstream_session`.

use causeway_domain::session::{
    ATPROTO, AtprotoBinding, Binding, Cooldown, OtherBinding, SessionHead, UpstreamBinding,
};
use causeway_types::{
    BrowserSessionId, ClientId, CorrelationId, SessionKind, SessionState, TenantId, Timestamp,
    UpstreamClientId, UpstreamSessionId,
};
use diesel::prelude::*;

use crate::engine::column::Column;
use crate::engine::error::StoreError;
use crate::schema::upstream_session;

/// The part of a head that the domain knows. Lease, revocation and deletion have their own functions.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = upstream_session)]
pub(crate) struct HeadRow {
    session_id: String,
    tenant_id: String,
    client_id: String,
    provider: String,
    did: Option<String>,
    handle: Option<String>,
    subject: Option<String>,
    binding: Option<String>,
    idle_seconds: Option<i64>,
    session_kind: String,
    state: String,
    browser_id: String,
    iteration: i64,
    issuer: Option<String>,
    pds: Option<String>,
    upstream_client_id: Option<String>,
    upstream_auth: Option<String>,
    upstream_redirect_uri: Option<String>,
    created_at: i64,
    last_used_at: i64,
    refresh_failures: i64,
    refresh_not_before: Option<i64>,
    verified_at: Option<i64>,
    correlation_id: Option<String>,
}

pub(super) const fn head(name: &'static str) -> Column {
    Column("upstream_session", name)
}

impl HeadRow {
    pub(crate) fn of(session: &SessionHead) -> Result<Self, StoreError> {
        let row = Self {
            session_id: session.session_id.as_str().to_owned(),
            tenant_id: session.tenant_id.as_str().to_owned(),
            client_id: session.client_id.as_str().to_owned(),
            provider: session.provider().to_owned(),
            did: None,
            handle: None,
            subject: None,
            binding: None,
            idle_seconds: None,
            session_kind: session.kind.as_str().to_owned(),
            state: session.state.as_str().to_owned(),
            browser_id: session.browser_id.as_str().to_owned(),
            iteration: session.iteration,
            issuer: None,
            pds: None,
            upstream_client_id: None,
            upstream_auth: None,
            upstream_redirect_uri: None,
            created_at: session.created_at.as_secs(),
            last_used_at: session.last_used_at.as_secs(),
            refresh_failures: session.cooldown.failures,
            refresh_not_before: session.cooldown.not_before.map(Timestamp::as_secs),
            verified_at: None,
            correlation_id: session.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        };
        Ok(match &session.binding {
            Binding::Atproto(AtprotoBinding { did, handle, verified_at, upstream }) => Self {
                did: Some(did.as_str().to_owned()),
                handle: handle.as_ref().map(|handle| handle.as_str().to_owned()),
                issuer: Some(upstream.issuer.clone()),
                pds: Some(upstream.pds.clone()),
                upstream_client_id: Some(upstream.client_id.as_str().to_owned()),
                upstream_auth: Some(head("upstream_auth").to_json(&upstream.auth)?),
                upstream_redirect_uri: Some(upstream.redirect_uri.clone()),
                verified_at: Some(verified_at.as_secs()),
                ..row
            },
            Binding::Other(OtherBinding { subject, data, idle_seconds, .. }) => Self {
                subject: Some(subject.clone()),
                binding: Some(data.clone()),
                idle_seconds: *idle_seconds,
                ..row
            },
        })
    }

    pub(crate) fn into_domain(self) -> Result<SessionHead, StoreError> {
        let binding = if self.provider == ATPROTO {
            let auth = head("upstream_auth").present(self.upstream_auth)?;
            Binding::Atproto(AtprotoBinding {
                did: head("did").did(&head("did").present(self.did)?)?,
                handle: head("handle").handle(self.handle.as_deref())?,
                verified_at: Timestamp(self.verified_at.unwrap_or(self.created_at)),
                upstream: UpstreamBinding {
                    issuer: head("issuer").present(self.issuer)?,
                    pds: head("pds").present(self.pds)?,
                    client_id: UpstreamClientId::new(
                        head("upstream_client_id").present(self.upstream_client_id)?,
                    ),
                    auth: head("upstream_auth").upstream_auth(&auth)?,
                    redirect_uri: head("upstream_redirect_uri").present(self.upstream_redirect_uri)?,
                },
            })
        } else {
            Binding::Other(OtherBinding {
                provider: self.provider,
                subject: head("subject").present(self.subject)?,
                data: head("binding").present(self.binding)?,
                idle_seconds: self.idle_seconds,
            })
        };
        Ok(SessionHead {
            session_id: UpstreamSessionId::new(self.session_id),
            tenant_id: TenantId::new(self.tenant_id),
            client_id: ClientId::new(self.client_id),
            kind: head("session_kind").present(SessionKind::parse(&self.session_kind))?,
            state: head("state").present(SessionState::parse(&self.state))?,
            browser_id: BrowserSessionId::new(self.browser_id),
            iteration: self.iteration,
            binding,
            created_at: Timestamp(self.created_at),
            last_used_at: Timestamp(self.last_used_at),
            cooldown: Cooldown {
                failures: self.refresh_failures,
                not_before: self.refresh_not_before.map(Timestamp),
            },
            correlation_id: self.correlation_id.map(CorrelationId::new),
        })
    }
}
