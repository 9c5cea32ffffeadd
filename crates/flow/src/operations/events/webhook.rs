//! Signed requests to a client's own server (Standard Webhooks, <https://www.standardwebhooks.com>).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_domain::Backoff;
use causeway_jose::hmac_sha256;
use causeway_store::events::deliveries::{self, Delivery};
use causeway_types::{ClientId, Rng, Secret};
use tokio::task::JoinHandle;
use url::Url;

use super::order::order;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::deliveries::{DeliveryKind, Outcome, Queues, start};

/// Seconds after which another process may send a request that is under way here.
const LEASE_SECONDS: i64 = 60;
/// The pauses after failed attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_hours(6));
/// Tries after which a request is given up: some three days.
const TRIES: i64 = 24;
/// The prefix of a webhook secret.
const SECRET_PREFIX: &str = "whsec_";

/// A fresh secret for the webhook of a client.
pub fn new_secret(rng: &dyn Rng) -> Secret {
    let mut bytes = [0_u8; 32];
    rng.fill(&mut bytes);
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// Starts delivery of the due requests of each client, without waiting for any.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.events.deliver", skip_all)]
pub async fn start_due(ctx: &Ctx) -> Result<Vec<JoinHandle<()>>, Internal> {
    order(ctx).await?;
    let now = ctx.now();
    let due =
        ctx.store().read(move |c| deliveries::clients_with_due_webhooks(c, now).map_err(Internal::from));
    Ok(start::<Webhooks>(ctx, due.await?))
}

/// Delivers every due request.
///
/// # Errors
/// When the database does not answer.
pub async fn deliver_due(ctx: &Ctx) -> Result<(), Internal> {
    for queue in start_due(ctx).await? {
        queue.await?;
    }
    Ok(())
}

/// Webhook requests.
struct Webhooks;

impl DeliveryKind for Webhooks {
    type Delivery = Delivery;

    fn queues(ctx: &Ctx) -> &Queues {
        ctx.webhooks()
    }

    async fn claim(ctx: &Ctx, client_id: &ClientId, limit: i64) -> Result<Vec<Delivery>, Internal> {
        let (ring, client_id, now) = (ctx.ring(), client_id.clone(), ctx.now());
        let until = now.plus(LEASE_SECONDS);
        let claim = move |c: &mut _| {
            deliveries::claim_webhooks(c, &ring, &client_id, now, until, limit).map_err(Internal::from)
        };
        ctx.store().write(claim).await
    }

    async fn deliver(ctx: &Ctx, delivery: &Delivery) -> Result<Outcome, Internal> {
        let (id, tries) = (delivery.event.id, delivery.attempts + 1);
        let (outcome, due_at) = match send(ctx, delivery).await {
            Ok(200..300) => (Outcome::Delivered, None),
            answer => {
                let reason = answer.map_or_else(|error| error, |status| format!("status {status}"));
                if tries >= TRIES {
                    tracing::warn!(event = id, reason, tries, "webhook delivery abandoned");
                    (Outcome::GivenUp, None)
                } else {
                    tracing::info!(event = id, reason, tries, "webhook delivery failed: it is retried");
                    (Outcome::Failed, Some(ctx.now().plus(BACKOFF.seconds(tries))))
                }
            }
        };
        let row_id = delivery.row_id;
        let settle = move |c: &mut _| deliveries::settle_webhook(c, row_id, due_at).map_err(Internal::from);
        ctx.store().write(settle).await?;
        Ok(outcome)
    }
}

/// The status of the answer. The error is for the log.
async fn send(ctx: &Ctx, delivery: &Delivery) -> Result<u16, String> {
    let url = Url::parse(&delivery.webhook.url).map_err(|error| error.to_string())?;
    let body = serde_json::to_string(&delivery.event).map_err(|error| error.to_string())?;
    let (id, at) = (format!("evt_{}", delivery.event.id), ctx.now().to_string());
    let signature = sign(&delivery.webhook.secret, &id, &at, &body)
        .ok_or_else(|| "the secret is malformed".to_owned())?;
    let headers = [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)];
    ctx.outbound().post_json(&url, &headers, body).await.map_err(|error| error.to_string())
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
    fn attempts_go_on_for_some_days() {
        let total: i64 = (1..TRIES).map(|tries| BACKOFF.seconds(tries)).sum();
        assert!((3 * 86_400..4 * 86_400).contains(&total), "{total}");
    }
}
