//! The kinds of provider that the keeper keeps sessions at.

use anyhow::Result;
use causeway_domain::client::Entitlement;
use causeway_domain::session::SessionHead;
use causeway_testkit::Agent;
use causeway_types::{Rng, SessionKind, SystemRng, UpstreamSessionId};

use super::{HANDLE, Scene};

/// A kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamKind {
    /// A PDS, whose users sign in.
    Atproto,
    /// The test kit's provider with plain bearer tokens.
    Bearer,
}

impl UpstreamKind {
    /// A device session of the scene's client.
    pub(crate) async fn begin(self, scene: &Scene) -> Result<SessionHead> {
        match self {
            Self::Atproto => Ok(scene.app.bearer(&scene.access_token().await?).await?.session),
            Self::Bearer => self.begin_bearer(scene, SessionKind::Device).await,
        }
    }

    /// A background session that nobody uses, of an account of its own.
    pub(crate) async fn begin_idle(self, scene: &Scene) -> Result<UpstreamSessionId> {
        match self {
            Self::Atproto => {
                let client = scene.client_with_entitlements(&[Entitlement::BackgroundAccess]).await?;
                let tokens = client.sign_in(&Agent::default(), &scene.upstream, HANDLE).await?;
                Ok(UpstreamSessionId::new(scene.session_id(&tokens).await?))
            }
            Self::Bearer => Ok(self.begin_bearer(scene, SessionKind::Background).await?.session_id),
        }
    }

    async fn begin_bearer(self, scene: &Scene, kind: SessionKind) -> Result<SessionHead> {
        let rng: &dyn Rng = &SystemRng;
        let (client_id, user) = (&scene.client.client_id, rng.base64url::<8>());
        scene.app.begin_bearer_session(&scene.upstream, client_id, &user, kind).await
    }
}

/// Runs a test once for each kind of provider, on each kind of database.
macro_rules! on_each_upstream {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident, $kind:ident) $body:block)+) => {
        mod atproto {
            use super::*;
            on_each_database! {$(
                $(#[$doc])*
                async fn $name($database) {
                    let $kind = UpstreamKind::Atproto;
                    $body
                }
            )+}
        }
        mod bearer {
            use super::*;
            on_each_database! {$(
                $(#[$doc])*
                async fn $name($database) {
                    let $kind = UpstreamKind::Bearer;
                    $body
                }
            )+}
        }
    };
}
pub(crate) use on_each_upstream;
