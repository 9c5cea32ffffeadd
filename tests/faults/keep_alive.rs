//! Background sessions that nobody uses: refreshed in time, by one of all servers, and not too eagerly.

use anyhow::Result;
use causeway_domain::session::{Renewal, SessionHead};
use causeway_flow::upstream::keeper::keep_alive::refresh_due_sessions;
use causeway_store::{StoreError, sessions};
use causeway_testkit::Fault;
use causeway_types::UpstreamSessionId;

use crate::support::{Scene, UpstreamKind, on_each_database, on_each_upstream};

const DAY: i64 = 86_400;

impl Scene {
    pub(super) async fn head(&self, id: &UpstreamSessionId) -> Result<SessionHead> {
        let (id, tenant) = (id.clone(), causeway_types::TenantId::default_tenant());
        let found = self
            .app
            .store()
            .read::<_, StoreError, _>(move |c| sessions::find_session_of_token(c, &tenant, &id))
            .await?;
        Ok(found.unwrap())
    }

    /// How many sessions are found due.
    pub(super) async fn keep(&self) -> Result<usize> {
        Ok(refresh_due_sessions(&self.app.ctx).await?)
    }
}

on_each_upstream! {
    /// Two servers poll at the same moment: each session is claimed by one of them, and refreshed once.
    async fn servers_share_the_work(database, kind) {
        let scene = Scene::set(database).await?;
        let other = scene.beside(database).await?;
        let mut ids = Vec::new();
        for _ in 0..30 {
            ids.push(kind.begin_idle(&scene).await?);
        }
        let before = scene.upstream.hits("token");
        scene.app.clock.advance(DAY);
        let (one, two) = tokio::join!(refresh_due_sessions(&scene.app.ctx), refresh_due_sessions(&other.ctx));
        let (one, two) = (one?, two?);
        assert_eq!(one + two, ids.len(), "{one} and {two}");
        assert_eq!(scene.upstream.hits("token") - before, ids.len());
        for id in &ids {
            assert_eq!(scene.head(id).await?.iteration, 2);
        }
        Ok(())
    }

    /// The claim of a server that died lasts for fifteen minutes.
    async fn a_server_that_dies(database, kind) {
        let scene = Scene::set(database).await?;
        let id = kind.begin_idle(&scene).await?;
        scene.app.clock.advance(DAY);
        let now = scene.app.ctx.now();
        let claimed = scene.app.store()
            .write::<_, StoreError, _>(move |c| causeway_store::sessions::upkeep::claim_due_refreshes(c, now, now.plus(900), 40));
        assert_eq!(claimed.await?.len(), 1);
        let restarted = scene.beside(database).await?;
        scene.app.clock.advance(899);
        assert_eq!(refresh_due_sessions(&restarted.ctx).await?, 0);
        scene.app.clock.advance(1);
        assert_eq!(refresh_due_sessions(&restarted.ctx).await?, 1);
        assert_eq!(scene.head(&id).await?.iteration, 2);
        Ok(())
    }

    /// An authorization server that is down is retried after the pause shared by all servers, and other
    /// sessions are not delayed. An ended session is left alone.
    async fn failures(database, kind) {
        let scene = Scene::set(database).await?;
        let id = kind.begin_idle(&scene).await?;
        scene.app.clock.advance(DAY);
        scene.upstream.script(|script| script.token = Fault::Status(503));
        let before = scene.upstream.hits("token");
        assert_eq!(scene.keep().await?, 1);
        assert_eq!(scene.keep().await?, 0);
        scene.app.clock.advance(59);
        assert_eq!((scene.keep().await?, scene.upstream.hits("token") - before), (0, 1), "a minute at least");
        scene.app.clock.advance(16);
        assert_eq!((scene.keep().await?, scene.upstream.hits("token") - before), (1, 2));
        assert_eq!(scene.head(&id).await?.cooldown.failures, 2);
        scene.upstream.script(|script| script.token = Fault::None);
        scene.app.clock.advance(75);
        assert_eq!(scene.keep().await?, 1);
        assert_eq!((scene.head(&id).await?.iteration, scene.head(&id).await?.cooldown.failures), (2, 0));

        scene.app.clock.advance(DAY);
        scene.upstream.script(|script| script.token = Fault::OAuth("invalid_grant"));
        assert_eq!(scene.keep().await?, 1);
        scene.app.clock.advance(30 * DAY);
        assert_eq!(scene.keep().await?, 0);
        assert_eq!(scene.head(&id).await?.state.as_str(), "reauth_required", "and it stays, for the user to see");
        Ok(())
    }
}

on_each_database! {
    /// A session whose credentials cannot be renewed yet is looked at again after its usual time, and keeps them.
    async fn not_to_be_renewed_yet(database) {
        let scene = Scene::set(database).await?;
        let renewal = Renewal::Exchange { not_before: 3000 };
        scene.app.provider.set_policy(|policy| (policy.renewal, policy.keep_alive) = (renewal, Some(600)));
        let id = UpstreamKind::Bearer.begin_idle(&scene).await?;
        scene.app.clock.advance(600);
        assert_eq!((scene.keep().await?, scene.keep().await?), (1, 0));
        scene.app.clock.advance(449);
        assert_eq!(scene.keep().await?, 0, "up to a quarter sooner at random");
        scene.app.clock.advance(151);
        assert_eq!((scene.keep().await?, scene.upstream.hits("token")), (1, 0));
        assert_eq!(scene.head(&id).await?.iteration, 1);
        Ok(())
    }

    /// Once a day as a public client, whose tokens lie for two weeks at most, and not before three quarters of
    /// it; never a device session; and use counts.
    async fn long_before_it_ages_out(database) {
        let scene = Scene::set(database).await?;
        let id = UpstreamKind::Atproto.begin_idle(&scene).await?;
        scene.access_token().await?;
        scene.app.clock.advance(DAY * 3 / 4 - 1);
        assert_eq!(scene.keep().await?, 0);
        for day in 1..=20 {
            scene.app.clock.advance(if day == 1 { DAY / 4 + 1 } else { DAY });
            assert_eq!(scene.keep().await?, 1, "day {day}");
            assert_eq!(scene.keep().await?, 0, "once");
            scene.upkeep().await?;
        }
        assert_eq!(scene.head(&id).await?.iteration, 21);
        assert_eq!(scene.upstream.live_grants(), 1, "the device session was idle for too long");

        scene.app.clock.advance(DAY * 3 / 4 - 1);
        causeway_flow::upstream::keeper::use_session(&scene.app.ctx, &scene.head(&id).await?).await?;
        assert_eq!(scene.head(&id).await?.iteration, 22, "its token was spent");
        scene.app.clock.advance(DAY / 4 + 1);
        assert_eq!(scene.keep().await?, 0, "due from its last refresh on");
        Ok(())
    }
}
