//! Notifies clients that a user is signed out (OpenID Connect Back-Channel Logout 1.0).
//!
//! The end of a session and the notice for its client are stored in one transaction. This module delivers the
//! notices, one queue per client: at once after the end, and periodically. A node that claims a notice holds
//! it for a short lease; a failed delivery is retried after growing pauses, for a day.

use std::time::Duration;

use causeway_domain::Backoff;
use causeway_store::events::logouts::{self, LogoutNotice};
use causeway_types::{ClientId, Rng, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::{Url, form_urlencoded};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::deliveries::{DeliveryKind, Outcome, Queues, start};
use crate::operations::issuer_keys;

/// Seconds that a node may hold a claimed notice: longer than a request may take.
const LEASE_SECONDS: i64 = 60;
/// The pauses after failed attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(15), Duration::from_hours(1));
/// Seconds that a logout token is valid (section 2.4 recommends two minutes at most).
const TOKEN_SECONDS: i64 = 120;
/// The event (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The type of a logout token (section 2.4).
const TYP: &str = "logout+jwt";

/// Starts delivery of the due logout notices of each client, without waiting for any.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.backchannel", skip_all)]
pub async fn start_due(ctx: &Ctx) -> Result<Vec<JoinHandle<()>>, Internal> {
    let now = ctx.now();
    let due = ctx.store().read(move |c| logouts::clients_with_due_logouts(c, now).map_err(Internal::from));
    Ok(start::<Logouts>(ctx, due.await?))
}

/// Delivers every due logout notice.
///
/// # Errors
/// When the database does not answer.
pub async fn deliver_due(ctx: &Ctx) -> Result<(), Internal> {
    for queue in start_due(ctx).await? {
        queue.await?;
    }
    Ok(())
}

/// Starts delivery in the background, for a caller that has just ended a session and does not wait.
pub(crate) fn deliver_soon(ctx: &Ctx) {
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = start_due(&detached).await {
            tracing::warn!(%error, "logout notices are delayed");
        }
    });
}

/// Logout tokens.
struct Logouts;

impl DeliveryKind for Logouts {
    type Delivery = LogoutNotice;

    fn queues(ctx: &Ctx) -> &Queues {
        ctx.logout_notices()
    }

    async fn claim(ctx: &Ctx, client_id: &ClientId, limit: i64) -> Result<Vec<LogoutNotice>, Internal> {
        let (client_id, now) = (client_id.clone(), ctx.now());
        let until = now.plus(LEASE_SECONDS);
        let claim =
            move |c: &mut _| logouts::claim_logouts(c, &client_id, now, until, limit).map_err(Internal::from);
        ctx.store().write(claim).await
    }

    async fn deliver(ctx: &Ctx, notice: &LogoutNotice) -> Result<Outcome, Internal> {
        let (id, client_id, attempts) = (notice.session_id.clone(), &notice.client_id, notice.attempts);
        let keys = issuer_keys::ensure(ctx).await?;
        let claims = claims(ctx.issuer(), notice, ctx.now(), ctx.rng());
        let token = keys.sign(notice.alg, TYP, claims).await?;
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        let sent = match Url::parse(&notice.uri) {
            Ok(url) => ctx.outbound().post_form(&url, form).await.map_err(|error| error.to_string()),
            Err(_) => Err("backchannel_logout_uri is not a URL".to_owned()),
        };
        match sent {
            Ok(()) => {
                tracing::info!(%client_id, session = %id, "client notified of a logout");
                ctx.store().write(move |c| logouts::complete_logout(c, &id).map_err(Internal::from)).await?;
                Ok(Outcome::Delivered)
            }
            Err(error) => {
                tracing::warn!(%client_id, session = %id, error, attempts, "client not notified of a logout yet");
                let until = ctx.now().plus(BACKOFF.seconds(attempts));
                let put_off =
                    move |c: &mut _| logouts::postpone_logout(c, &id, until).map_err(Internal::from);
                ctx.store().write(put_off).await?;
                Ok(Outcome::Failed)
            }
        }
    }
}

/// The claims of a logout token (section 2.4): never a `nonce`, so that it cannot pass for an `id_token`.
fn claims(issuer: &str, notice: &LogoutNotice, now: Timestamp, rng: &dyn Rng) -> Value {
    json!({
        "iss": issuer,
        "aud": notice.client_id,
        "iat": now,
        "exp": now.plus(TOKEN_SECONDS),
        "jti": rng.base64url::<16>(),
        "sub": notice.did,
        "sid": notice.session_id,
        "events": { EVENT: {} },
    })
}
