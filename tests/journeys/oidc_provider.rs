//! An account at a stock OpenID Connect provider, node-oidc-provider: discovered, connected, refreshed and ended.

use anyhow::Result;
use causeway_domain::session::SessionHead;
use causeway_flow::upstream::keeper;
use causeway_flow::{ConfiguredRegistration, ConfiguredRegistrations};
use causeway_store::connections::heads;
use causeway_store::{StoreError, TenantScope};
use causeway_testkit::{Agent, OidcProvider};
use causeway_types::{Secret, TenantId, UpstreamClientId, UpstreamSessionId};
use serde_json::json;
use url::Url;

use crate::support::connecting::{Connecting, PROVIDER, catalog, param};
use crate::support::on_each_database;

fn definition(issuer: &str) -> String {
    format!(
        "kind = \"oidc\"\ntitle = \"Real\"\nissuer = \"{issuer}\"\nscopes = [\"openid\"]\noffline_scope = \"offline_access\"\n\
         [authorization]\nparameters = {{ prompt = \"consent\" }}\n[refresh]\npolicy = \"refresh_token\"\n\
         rotation = \"single_use\"\n[revocation]\nreach = \"token\"\n"
    )
}

on_each_database! {
    /// PKCE, `iss` and the ID token are checked; refresh tokens rotate; the end of the connection ends the grant there.
    async fn an_account_at_a_stock_provider(database) {
        let scene = Connecting::set(database).await?;
        let redirect_uri = scene.app.at(&format!("/connect/{PROVIDER}/callback"));
        let Some(provider) = OidcProvider::start(&redirect_uri).await? else { return Ok(()) };
        let registration = ConfiguredRegistration {
            client_id: UpstreamClientId::new(OidcProvider::CLIENT_ID),
            client_secret: Some(Secret::new(OidcProvider::CLIENT_SECRET)),
        };
        let registrations: ConfiguredRegistrations = [(PROVIDER.to_owned(), registration)].into();
        scene.app.ctx.replace_providers(catalog(&definition(&provider.issuer))?, registrations);

        let agent = Agent::default();
        let (id, url) = scene.open(json!({})).await?;
        let to_provider = scene.leave(&agent, &url).await?;
        let callback = provider.approve(&to_provider).await?;
        let given = Url::parse(&callback)?;
        assert_eq!(param(&given, "iss").as_ref(), Some(&provider.issuer), "{callback}");
        let forged = callback.replace("iss=", "iss=https%3A%2F%2Fevil.example&was=");
        let back = Url::parse(&agent.get(&forged).await?.location()?)?;
        assert_eq!(param(&back, "error").as_deref(), Some("access_denied"), "another issuer: {back}");
        assert_eq!(scene.outcome(&id).await?.1, "access_denied");

        let (_, url) = scene.open(json!({})).await?;
        let callback = provider.approve(&scene.leave(&agent, &url).await?).await?;
        let back = Url::parse(&agent.get(&callback).await?.location()?)?;
        let confirmed = scene.confirm(&back, "17").await?;
        assert_eq!((confirmed.status, &confirmed.json()["account_ref"]), (200, &json!("real-user")), "{confirmed:?}");
        let connection = confirmed.json()["connection_id"].as_str().unwrap().to_owned();

        let session = UpstreamSessionId::new(&*connection);
        let head = async || -> Result<SessionHead> {
            let (store, id) = (scene.app.store().in_tenant(&TenantId::default_tenant()), session.clone());
            let find = move |scope: &mut TenantScope<'_>| heads::find_connection(scope, &id);
            Ok(store.read::<_, StoreError, _>(find).await?.unwrap().head)
        };
        let mut refresh_token = None;
        for iteration in 2..=3 {
            scene.app.clock.advance(3600);
            let live = keeper::use_session(&scene.app.ctx, &head().await?).await?;
            assert_eq!(live.head.iteration, iteration);
            assert_ne!(live.credentials.refresh_token, refresh_token, "it rotates");
            refresh_token = live.credentials.refresh_token;
        }
        let ended = scene.agent.send(scene.ask("DELETE", &format!("/api/connections/{connection}"))).await?;
        assert_eq!(ended.status, 204, "{ended:?}");
        scene.app.ctx.settle().await;
        let token = refresh_token.unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
        let request = agent.request("POST".parse()?, &format!("{}/token", provider.issuer)).form(&form);
        let request = request.basic_auth(OidcProvider::CLIENT_ID, Some(OidcProvider::CLIENT_SECRET));
        assert_eq!(agent.send(request).await?.refusal(), "400 invalid_grant", "it is revoked");
        Ok(())
    }
}
