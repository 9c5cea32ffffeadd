//! Telling clients what happens to their sign-ins and sessions: as a stream that they read, and by requests
//! that are signed (Standard Webhooks, <https://www.standardwebhooks.com>).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_domain::client::ClientType;
use causeway_domain::{ClientId, Rng, Secret};
use causeway_jose::hmac_sha256;
use causeway_store::StoreError;
use causeway_store::events::{self, Delivery, Event};
use futures_util::future::join_all;
use url::Url;

use crate::caller::{Caller, Replayed};
use crate::ctx::Ctx;
use crate::error::Internal;

/// Seconds for which an event is kept for whoever was away.
pub const EVENT_SECONDS: i64 = 7 * 86_400;
/// Events that are read at once.
const BATCH: i64 = 100;
/// How often whoever listens is told something new.
const PERIOD: Duration = Duration::from_secs(1);
/// Webhook requests that are sent at the same time.
const DELIVERIES: i64 = 20;
/// Seconds after which somebody else may send a request that is under way here.
const LEASE_SECONDS: i64 = 60;
/// Seconds until the second try; each further one waits twice as long.
const RETRY_SECONDS: i64 = 10;
/// Seconds that a pause lasts at most.
const LONGEST_RETRY_SECONDS: i64 = 6 * 3600;
/// Tries after which a request is given up: some three days.
const TRIES: i64 = 24;
/// What a webhook secret begins with.
const SECRET_PREFIX: &str = "whsec_";

/// Why a client may not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It proves nothing.
    #[error("only a client that authenticates may listen")]
    PublicClient,
    /// Nobody wants to tell it anything.
    #[error("this client is not subscribed to events: its operator does that with causeway events subscribe")]
    NotSubscribed,
    /// What works once came again.
    #[error(transparent)]
    Replayed(#[from] Replayed),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl From<StoreError> for ListenError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    ctx: Ctx,
    client_id: ClientId,
    last: i64,
    begun: bool,
}

/// Lets an authenticated client listen: to what comes after the event `last`, or from now on.
///
/// # Errors
/// [`ListenError`].
#[tracing::instrument(name = "flow.events.listen", skip_all, fields(client_id = %caller.client.client_id))]
pub async fn listen(ctx: &Ctx, caller: &Caller, last: Option<i64>) -> Result<Listener, ListenError> {
    if caller.client.client_type() == ClientType::Public {
        return Err(ListenError::PublicClient);
    }
    caller.consume_alone::<ListenError>(ctx).await?;
    let (tenant, client_id) = (ctx.tenant().clone(), caller.client.client_id.clone());
    let last = ctx
        .store()
        .read(move |c| {
            let from = last.unwrap_or(0);
            events::list_events_after(c, &tenant, &client_id, from, 0)?.ok_or(ListenError::NotSubscribed)?;
            match last {
                Some(last) => Ok::<_, ListenError>(last),
                None => Ok(events::last_event_id(c)?),
            }
        })
        .await?;
    Ok(Listener { ctx: ctx.clone(), client_id: caller.client.client_id.clone(), last, begun: false })
}

impl Listener {
    /// What has happened since, perhaps nothing, after a moment; `None`: there is nobody to tell any more.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        if std::mem::replace(&mut self.begun, true) {
            tokio::time::sleep(PERIOD).await;
        }
        let (tenant, client_id, last) = (self.ctx.tenant().clone(), self.client_id.clone(), self.last);
        let found = self
            .ctx
            .store()
            .read::<_, StoreError, _>(move |c| events::list_events_after(c, &tenant, &client_id, last, BATCH))
            .await;
        match found {
            Ok(events) => {
                let events = events?;
                self.last = events.last().map_or(self.last, |event| event.id);
                Some(events)
            }
            Err(error) if error.is_retryable() => Some(Vec::new()),
            Err(error) => {
                tracing::warn!(%error, "a listener is sent away");
                None
            }
        }
    }
}

/// A fresh secret for the webhook of a client.
pub fn new_secret(rng: &dyn Rng) -> Secret {
    let mut bytes = [0_u8; 32];
    rng.fill(&mut bytes);
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// Sends the webhook requests that are due, until none is. A client that does not answer puts its own off.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.events.deliver", skip_all)]
pub async fn deliver_due(ctx: &Ctx) -> Result<(), Internal> {
    loop {
        let (ring, now) = (ctx.ring(), ctx.now());
        let until = now.plus(LEASE_SECONDS);
        let due = ctx
            .store()
            .write(move |c| {
                events::take_due_deliveries(c, &ring, now, until, DELIVERIES).map_err(Internal::from)
            })
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        for outcome in join_all(due.iter().map(|delivery| deliver(ctx, delivery))).await {
            outcome?;
        }
    }
}

async fn deliver(ctx: &Ctx, delivery: &Delivery) -> Result<(), Internal> {
    let (id, tries) = (delivery.event.id, delivery.attempts + 1);
    let due_at = match send(ctx, delivery).await {
        Ok(200..300) => None,
        outcome => {
            let reason = outcome.map_or_else(|error| error, |status| format!("status {status}"));
            if tries >= TRIES {
                tracing::error!(event = id, reason, tries, "a webhook was not delivered: given up");
                None
            } else {
                tracing::info!(event = id, reason, tries, "a webhook was not delivered yet");
                Some(ctx.now().plus(pause(tries)))
            }
        }
    };
    ctx.store().write(move |c| events::settle_delivery(c, id, due_at).map_err(Internal::from)).await
}

/// Seconds until the next try after so many.
fn pause(tries: i64) -> i64 {
    let doubled = u32::try_from(tries - 1).ok().and_then(|n| 2_i64.checked_pow(n));
    doubled.map_or(LONGEST_RETRY_SECONDS, |n| n.saturating_mul(RETRY_SECONDS).min(LONGEST_RETRY_SECONDS))
}

/// The status of the answer. The error is for the log.
async fn send(ctx: &Ctx, delivery: &Delivery) -> Result<u16, String> {
    let url = Url::parse(&delivery.webhook.url).map_err(|error| error.to_string())?;
    let body = serde_json::to_string(&delivery.event).map_err(|error| error.to_string())?;
    let (id, at) = (format!("evt_{}", delivery.event.id), ctx.now().to_string());
    let signature = sign(&delivery.webhook.secret, &id, &at, &body)
        .ok_or_else(|| "the secret is malformed".to_owned())?;
    let headers = [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)];
    ctx.atproto().http().post_json(&url, &headers, body).await.map_err(|error| error.to_string())
}

/// `v1,` and the MAC of id, time and body.
fn sign(secret: &Secret, id: &str, at: &str, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.expose().strip_prefix(SECRET_PREFIX)?).ok()?;
    let mac = hmac_sha256(&key, format!("{id}.{at}.{body}").as_bytes()).ok()?;
    Some(format!("v1,{}", STANDARD.encode(mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn signed_as_others_verify_it() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn pauses_grow_to_some_hours() {
        assert_eq!([1, 2, 3, 12, 24, 99].map(pause), [10, 20, 40, 20_480, 21_600, 21_600]);
        let total: i64 = (1..TRIES).map(pause).sum();
        assert!((3 * 86_400..4 * 86_400).contains(&total), "{total}");
    }
}
