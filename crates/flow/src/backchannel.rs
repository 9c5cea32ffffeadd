//! Telling clients that a person is signed out (OpenID Connect Back-Channel Logout 1.0).
//!
//! The end of a session and the note that its client is to be told are one transaction. Here the notes are
//! worked off: at once after the end, and from time to time. A node that takes one holds it for a while; what it
//! could not deliver is due again later and later, for a day.

use causeway_domain::{Rng, Timestamp};
use causeway_store::logouts::{self, LogoutNotice};
use futures_util::future::join_all;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::ctx::Ctx;
use crate::error::Internal;
use crate::id_token::Issuer;

/// Clients that one step tells, all at once.
const BATCH: i64 = 20;
/// Seconds that a node has for it: longer than a request may take.
const LEASE_SECONDS: i64 = 60;
/// Seconds until the second try; doubled each time, up to the longest.
const PAUSE_SECONDS: i64 = 15;
const LONGEST_PAUSE_SECONDS: i64 = 3600;
/// Seconds that a logout token is good for (section 2.4 recommends two minutes at most).
const TOKEN_SECONDS: i64 = 120;
/// The event (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The type of a logout token (section 2.4).
const TYP: &str = "logout+jwt";

/// Tells every client that is to be told now, a batch at a time. A failure puts its own client off and no other.
///
/// # Errors
/// When the database does not answer.
#[tracing::instrument(name = "flow.backchannel", skip_all)]
pub async fn tell_due(ctx: &Ctx) -> Result<(), Internal> {
    loop {
        let now = ctx.now();
        let claimed = ctx
            .store()
            .write(move |c| {
                logouts::claim_logouts(c, now, now.plus(LEASE_SECONDS), BATCH).map_err(Internal::from)
            })
            .await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let issuer = Issuer::ensure(ctx).await?;
        for told in join_all(claimed.iter().map(|notice| tell(ctx, &issuer, notice))).await {
            told?;
        }
    }
}

/// The same soon, for whoever has just ended a session and does not wait.
pub(crate) fn tell_soon(ctx: &Ctx) {
    let detached = ctx.clone();
    ctx.start(async move {
        if let Err(error) = tell_due(&detached).await {
            tracing::warn!(%error, "clients are told of a logout later");
        }
    });
}

async fn tell(ctx: &Ctx, issuer: &Issuer, notice: &LogoutNotice) -> Result<(), Internal> {
    let (id, client_id, attempts) = (notice.session_id.clone(), &notice.client_id, notice.attempts);
    let token = issuer.sign(notice.alg, TYP, claims(ctx.issuer(), notice, ctx.now(), ctx.rng())).await?;
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
    let sent = match Url::parse(&notice.uri) {
        Ok(url) => ctx.atproto().http().post_form(&url, form).await.map_err(|error| error.to_string()),
        Err(_) => Err("backchannel_logout_uri is no URL".to_owned()),
    };
    match sent {
        Ok(()) => {
            tracing::info!(%client_id, session = %id, "client told of a logout");
            ctx.store().write(move |c| logouts::complete_logout(c, &id).map_err(Internal::from)).await
        }
        Err(error) => {
            tracing::warn!(%client_id, session = %id, error, attempts, "client not told of a logout yet");
            let until = ctx.now().plus(pause(attempts));
            ctx.store().write(move |c| logouts::postpone_logout(c, &id, until).map_err(Internal::from)).await
        }
    }
}

/// What the token says (section 2.4): never a `nonce`, so that nobody takes it for an id_token.
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

/// Seconds to wait after so many tries.
fn pause(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or_default();
    (PAUSE_SECONDS << doublings).min(LONGEST_PAUSE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn later_and_later() {
        assert_eq!([1, 2, 3, 8, 9, 1000].map(pause), [15, 30, 60, 1920, 3600, 3600]);
    }
}
