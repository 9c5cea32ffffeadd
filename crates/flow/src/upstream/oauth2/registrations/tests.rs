use causeway_domain::SystemClock;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::testing::{TestDatabase, options};
use causeway_types::{Secret, SystemRng, Timestamp, UpstreamClientId};

use super::*;

fn setting(client_id: &str, secret: &str) -> ConfiguredRegistrations {
    let registration = ConfiguredRegistration {
        client_id: UpstreamClientId::new(client_id),
        client_secret: Some(Secret::new(secret)),
    };
    [("google".to_owned(), registration)].into()
}

async fn on_each(test: impl AsyncFn(Registrations, Arc<Catalog>)) {
    for database in std::iter::once(TestDatabase::sqlite()).chain(TestDatabase::postgres()) {
        let store = Store::open(database.url(), options()).await.unwrap();
        let ring = EncryptionKeyRing::parse(&EncryptionKeyRing::generate(&SystemRng)).unwrap();
        let catalog = Arc::new(Catalog::load(None).unwrap());
        let registrations = ConfiguredRegistrations::new();
        let configured = Configured { catalog: Arc::clone(&catalog), registrations };
        let all = Registrations {
            store: store.clone(),
            ring: RingInUse::new(Arc::new(ring)),
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng),
            issuer: "https://us.example".to_owned(),
            configured: Arc::new(RwLock::new(Arc::new(configured))),
            turns: Turns::default(),
        };
        test(all, catalog).await;
        store.close().await;
    }
}

const GOOGLE: &str = "https://accounts.google.com";

/// One row for a setting, however often it is needed; a changed secret serves at once, and a changed identifier gets a row
/// of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_becomes_a_row_without_a_secret() {
    on_each(async |all, catalog| {
        let tenant = TenantId::default_tenant();
        let current = async || all.for_authorization(&tenant, "google", GOOGLE).await.unwrap();
        assert_eq!(current().await, None, "nothing is registered");
        all.replace(Arc::clone(&catalog), setting("ours", "first"));
        let made = current().await.unwrap();
        assert_eq!(made.redirect_uri, "https://us.example/connect/google/callback");
        assert_eq!(made.client_secret, Some(Secret::new("first")));
        assert_eq!(current().await.unwrap().registration_id, made.registration_id);
        all.replace(Arc::clone(&catalog), setting("ours", "second"));
        let found = all.find(&tenant, &made.registration_id).await.unwrap().unwrap();
        assert_eq!(found.client_secret, Some(Secret::new("second")), "of the setting as it is now");
        all.replace(Arc::clone(&catalog), setting("others", "third"));
        let other = current().await.unwrap();
        assert_eq!((other.client_id.as_str(), other.client_secret), ("others", Some(Secret::new("third"))));
        let before = all.find(&tenant, &made.registration_id).await.unwrap().unwrap();
        assert_eq!((before.state, before.client_secret), (RegistrationState::Superseded, None));
        // A setting is for the server of the definition, and for providers that have one.
        assert_eq!(all.for_authorization(&tenant, "nowhere", GOOGLE).await.unwrap(), None);
        assert_eq!(all.for_authorization(&tenant, "mcp", GOOGLE).await.unwrap(), None);
    })
    .await;
}

/// A tenant's own registration goes before the setting, and is bound to the server that users chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_own_goes_first() {
    on_each(async |all, catalog| {
        let tenant = TenantId::default_tenant();
        let mut settings = setting("ours", "of-setting");
        let of_setting = settings["google"].clone();
        settings.insert("gitlab".to_owned(), of_setting);
        all.replace(catalog, settings);
        let own = |provider: &str, issuer: &str| Registration {
            registration_id: RegistrationId::random(&SystemRng),
            provider: provider.to_owned(),
            issuer: issuer.to_owned(),
            origin: RegistrationOrigin::Operator,
            client_id: UpstreamClientId::new("own"),
            client_secret: Some(Secret::new("of-tenant")),
            next_secret: None,
            token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            redirect_uri: redirect_uri("https://us.example", provider),
            registration_access_token: None,
            registration_client_uri: None,
            state: RegistrationState::Active,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
            expires_at: None,
        };
        let rows = [own("google", GOOGLE), own("gitlab", "https://gitlab.acme.example")];
        let (store, ring) = (all.store.in_tenant(&tenant), all.ring.ring());
        let stored = store.write(move |scope| {
            rows.iter().try_for_each(|row| registrations::insert_registration(scope, &ring, row))
        });
        stored.await.unwrap();
        let secret = async |provider: &str, issuer: &str| {
            let found = all.for_authorization(&tenant, provider, issuer).await.unwrap();
            found.and_then(|found| found.client_secret).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(secret("google", GOOGLE).await.as_deref(), Some("of-tenant"));
        assert_eq!(secret("gitlab", "https://gitlab.acme.example/").await.as_deref(), Some("of-tenant"));
        assert_eq!(secret("gitlab", "https://gitlab.com").await.as_deref(), Some("of-setting"));
        assert_eq!(secret("gitlab", "https://gitlab.evil.example").await, None, "no secret goes elsewhere");
    })
    .await;
}
