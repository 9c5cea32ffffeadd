//! The policy of a provider decides how the keeper treats credentials.

use anyhow::Result;
use causeway_domain::session::{Renewal, SessionHead};
use causeway_flow::upstream::keeper::{self, UsableSession};
use causeway_flow::upstream::session::SessionError;
use causeway_testkit::{Fault, TestDatabase};

use crate::support::{Scene, UpstreamKind, on_each_database};

/// A session at a provider with this policy.
async fn kept_by(
    database: &TestDatabase,
    renewal: Renewal,
    max_age: Option<i64>,
) -> Result<(Scene, SessionHead)> {
    let scene = Scene::set(database).await?;
    scene.app.provider.set_policy(|policy| (policy.renewal, policy.max_age) = (renewal, max_age));
    let session = UpstreamKind::Bearer.begin(&scene).await?;
    Ok((scene, session))
}

async fn uses(scene: &Scene, session: &SessionHead) -> Result<UsableSession, SessionError> {
    keeper::use_session(&scene.app.ctx, session).await
}

on_each_database! {
    /// The refusal of a refresh token that works again and again may be a mistake: it is asked once more after a
    /// minute, and only the same answer ends the session.
    async fn a_reusable_token_is_refused_twice(database) {
        let (scene, session) = kept_by(database, Renewal::Reusable, None).await?;
        let refuse = |fault: Fault| scene.upstream.script(|script| script.token = fault);
        scene.app.clock.advance(3600);
        let before = scene.upstream.hits("token");
        refuse(Fault::OAuth("invalid_grant"));
        let first = uses(&scene, &session).await;
        assert!(matches!(first, Err(SessionError::Unavailable { retry_after: 60 })), "{first:?}");
        refuse(Fault::None);
        scene.app.clock.advance(60);
        let live = uses(&scene, &session).await?;
        assert_eq!((live.head.iteration, scene.upstream.hits("token") - before), (2, 2), "it was a mistake");

        scene.app.clock.advance(3600);
        refuse(Fault::OAuth("invalid_grant"));
        let first = uses(&scene, &session).await;
        assert!(matches!(first, Err(SessionError::Unavailable { .. })), "{first:?}");
        scene.app.clock.advance(60);
        let second = uses(&scene, &session).await;
        assert!(matches!(second, Err(SessionError::ReauthRequired { .. })), "{second:?}");
        assert_eq!(scene.upstream.hits("token") - before, 4);
        Ok(())
    }

    /// An access token that is exchanged for the next one: not before its provider does that, and not once it has
    /// expired.
    async fn an_access_token_is_exchanged_while_it_lives(database) {
        let (scene, session) = kept_by(database, Renewal::Exchange { not_before: 600 }, Some(60)).await?;
        scene.app.clock.advance(599);
        assert_eq!(uses(&scene, &session).await?.head.iteration, 1);
        assert_eq!(scene.upstream.hits("token"), 0, "too early");
        scene.app.clock.advance(1);
        let live = uses(&scene, &session).await?;
        assert_eq!((live.head.iteration, live.credentials.refresh_token), (2, None));
        scene.app.clock.advance(3600);
        let over = uses(&scene, &session).await;
        assert!(matches!(over, Err(SessionError::ReauthRequired { .. })), "{over:?}");
        assert_eq!(scene.upstream.hits("token"), 1);
        Ok(())
    }

    /// Without anything to renew them with, credentials serve to their end.
    async fn nothing_to_renew_with(database) {
        let (scene, session) = kept_by(database, Renewal::None, Some(60)).await?;
        scene.app.clock.advance(3599);
        assert_eq!(uses(&scene, &session).await?.head.iteration, 1);
        scene.app.clock.advance(1);
        let over = uses(&scene, &session).await;
        assert!(matches!(over, Err(SessionError::ReauthRequired { .. })), "{over:?}");
        assert_eq!(scene.upstream.hits("token"), 0);
        Ok(())
    }

    /// Credentials that the provider refuses before their end, and that cannot be renewed yet, are over.
    async fn refused_before_it_can_be_renewed(database) {
        let (scene, session) = kept_by(database, Renewal::Exchange { not_before: 600 }, None).await?;
        let live = uses(&scene, &session).await?;
        let refused = keeper::renew_session(&scene.app.ctx, &live).await;
        assert!(matches!(refused, Err(SessionError::ReauthRequired { .. })), "{refused:?}");
        assert_eq!(scene.upstream.hits("token"), 0);
        Ok(())
    }
}
