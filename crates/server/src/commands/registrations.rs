//! `causeway providers register`, `secret`, `registrations` and `test`: our registrations at providers.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use causeway_config::{Config, ExternalUrl};
use causeway_domain::connection::Registration;
use causeway_domain::{Clock, SystemClock};
use causeway_flow::operations::operator::NewRegistration;
use causeway_providers::oauth::{
    Ask, Authorization, ClientCredential, ProviderClient, RegisteredClient, RegistrationIssuer, WellKnown,
    authorization_url, requested_scopes,
};
use causeway_providers::{Catalog, ClientAuthentication, Definition, Endpoints, Kind};
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::{DatabaseUrl, Store};
use causeway_types::{CodeVerifier, Secret, SystemRng, TenantId, UpstreamClientId};
use url::Url;

use super::{find_tenant, operator, say_more};
use crate::cli::{AtProvider, ProvidersCommand};
use crate::{compose, secret_key};

/// How long a provider may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn run(config: &Config, command: ProvidersCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let store = compose::open_store(config, &url).await?;
    let done = act(config, &url, &store, command).await;
    store.close().await;
    done
}

async fn act(
    config: &Config,
    url: &DatabaseUrl,
    store: &Store,
    command: ProvidersCommand,
) -> anyhow::Result<()> {
    let catalog = compose::providers(config)?;
    match command {
        ProvidersCommand::Register { at, client_id, client_secret_file } => {
            let place = Place::find(store, &catalog, at).await?;
            let client_secret = client_secret_file.as_deref().map(read_secret).transpose()?;
            let ring = Arc::new(secret_key::load(config, url, store).await?);
            let issuer = config.issuer(config.listen)?;
            register(store, &ring, &issuer, place, client_id, client_secret).await
        }
        ProvidersCommand::Secret { at, client_secret_file } => {
            let place = Place::find(store, &catalog, at).await?;
            let secret = read_secret(&client_secret_file)?;
            let ring = Arc::new(secret_key::load(config, url, store).await?);
            let at = (&*place.name, &*place.issuer);
            operator(store).set_next_secret(&ring, &place.tenant_id, at, secret).await?;
            say!(
                "The secret waits: it takes the place of the one in use as soon as {} refuses that.",
                place.name
            );
            Ok(())
        }
        ProvidersCommand::Registrations { tenant, page } => {
            let tenant_id = find_tenant(store, tenant).await?;
            let found = operator(store).list_registrations(&tenant_id, page.into()).await?;
            for it in &found.items {
                let secret = match (it.has_secret, it.has_next_secret) {
                    (_, true) => "next secret waits",
                    (true, false) => "secret",
                    (false, false) if it.token_endpoint_auth_method.has_secret() => "secret in the settings",
                    (false, false) => "no secret",
                };
                say!(
                    "{}\t{}\t{}\t{}\t{}\t{secret}",
                    it.registration_id,
                    it.provider,
                    it.issuer,
                    it.client_id,
                    it.state.as_str()
                );
            }
            say_more(&found);
            Ok(())
        }
        ProvidersCommand::Test { at } => {
            let place = Place::find(store, &catalog, at).await?;
            let ring = secret_key::find(config, url, store).await?.map(Arc::new);
            test(config, &catalog, store, ring, &place).await
        }
        ProvidersCommand::List
        | ProvidersCommand::Add { .. }
        | ProvidersCommand::Show { .. }
        | ProvidersCommand::Check { .. } => Ok(()),
    }
}

/// The provider, tenant and issuer of a registration.
struct Place<'a> {
    name: String,
    definition: &'a Definition,
    tenant_id: TenantId,
    issuer: String,
}

impl<'a> Place<'a> {
    async fn find(store: &Store, catalog: &'a Catalog, at: AtProvider) -> anyhow::Result<Self> {
        let AtProvider { name, tenant, issuer } = at;
        let provider = catalog.find(&name);
        let provider =
            provider.with_context(|| format!("no provider {name}: `causeway providers list` lists them"))?;
        let definition = &provider.definition;
        let server = RegistrationIssuer::of(definition).with_context(|| {
            format!("{name} is of the kind {}: nothing is registered there", definition.kind.name())
        })?;
        let issuer = match issuer {
            Some(issuer) => {
                Url::parse(&issuer).with_context(|| format!("--issuer: {issuer:?} is not a URL"))?;
                server.of_authorization(&issuer)
            }
            None => server
                .filled(&definition.default_fields())
                .context("users choose the server of this provider: name one with --issuer")?,
        };
        Ok(Self { name, definition, tenant_id: find_tenant(store, tenant).await?, issuer })
    }
}

async fn register(
    store: &Store,
    ring: &Arc<EncryptionKeyRing>,
    issuer: &ExternalUrl,
    place: Place<'_>,
    client_id: String,
    client_secret: Option<Secret>,
) -> anyhow::Result<()> {
    let Place { name, definition, tenant_id, issuer: at } = place;
    let new = NewRegistration {
        provider: name.clone(),
        issuer: at,
        client_id: UpstreamClientId::new(client_id),
        client_secret,
    };
    let method = definition.kind.oauth().map(|client| client.token_request.authentication);
    let wants_secret = method.is_some_and(ClientAuthentication::has_secret);
    if wants_secret && new.client_secret.is_none() {
        bail!("{name} wants a secret: name its file with --client-secret-file");
    }
    let place = (&tenant_id, issuer.as_str());
    let made = operator(store).register_provider(ring, &SystemRng, place, definition, new).await?;
    let Registration { registration_id, redirect_uri, issuer, .. } = made;
    say!("{registration_id}\t{name}\t{issuer}\t{redirect_uri}");
    eprintln!("Enter this redirect URI at the provider: {redirect_uri}");
    Ok(())
}

/// Reads a secret from a file, or from standard input.
fn read_secret(path: &Path) -> anyhow::Result<Secret> {
    if path != Path::new("-") {
        return compose::client_secret(path)
            .map_err(|problem| anyhow::anyhow!("--client-secret-file: {problem}"));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    match text.trim() {
        "" => bail!("standard input holds no secret"),
        secret => Ok(Secret::new(secret)),
    }
}

/// The registration that a sign-in would use: the tenant's own, else the one of the settings.
async fn registration(
    config: &Config,
    catalog: &Catalog,
    store: &Store,
    ring: Option<Arc<EncryptionKeyRing>>,
    place: &Place<'_>,
) -> anyhow::Result<Option<(String, String)>> {
    let own = match ring {
        None => None,
        Some(ring) => {
            let at = (&*place.name, &*place.issuer);
            operator(store).find_registration(&ring, &place.tenant_id, at).await?
        }
    };
    let configured = compose::provider_registrations(config, catalog)?;
    let configured = configured.get(&place.name);
    Ok(match (own, configured) {
        (Some(own), _) => {
            let secret = own.client_secret.is_some() || configured.is_some();
            let method = own.token_endpoint_auth_method;
            let missing = if method.has_secret() && !secret { ", WITHOUT its secret" } else { "" };
            let from = format!("{} of the tenant {}{missing}", own.registration_id, place.tenant_id);
            Some((own.client_id.into_string(), from))
        }
        (None, Some(setting)) => Some((setting.client_id.as_str().to_owned(), "the settings".to_owned())),
        (None, None) => None,
    })
}

/// Goes as far towards a sign-in as is possible without a user, and prints what it finds.
async fn test(
    config: &Config,
    catalog: &Catalog,
    store: &Store,
    ring: Option<Arc<EncryptionKeyRing>>,
    place: &Place<'_>,
) -> anyhow::Result<()> {
    let ours = config.issuer(config.listen)?;
    let definition = place.definition;
    let fields = definition.default_fields();
    let client = definition.kind.oauth().context("the provider is of another kind")?;
    let (discovery, order) = match &definition.kind {
        Kind::Oidc(oidc) => (Some(&oidc.discovery), WellKnown::Oidc),
        Kind::Oauth2(oauth) => match &oauth.endpoints {
            Endpoints::Discovered(discovery) => (Some(discovery), WellKnown::OAuth),
            Endpoints::Fixed { .. } => (None, WellKnown::OAuth),
        },
        _ => (None, WellKnown::OAuth),
    };
    let endpoint = match (discovery, &definition.kind) {
        (Some(discovery), _) => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let http = compose::outbound(config, &ours)?;
            let provider = ProviderClient::new(http, clock, Arc::new(SystemRng), DEADLINE);
            let metadata = provider.discover(discovery, order, &fields).await?;
            say!("Metadata\tof {}", metadata.issuer);
            metadata.authorization_endpoint
        }
        (None, Kind::Oauth2(oauth)) => match &oauth.endpoints {
            Endpoints::Fixed { authorization, .. } => authorization.fill(|name| fields.get(name.as_str()))?,
            Endpoints::Discovered(_) => bail!("the provider has no authorization endpoint"),
        },
        (None, _) => bail!("the provider has no authorization endpoint"),
    };
    let redirect_uri = format!("{ours}/connect/{}/callback", place.name);
    let found = registration(config, catalog, store, ring, place).await?;
    let Some((client_id, from)) = found else {
        say!("Registration\tmissing");
        let name = &place.name;
        bail!(
            "register Causeway at {} with the redirect URI {redirect_uri}, then run `causeway providers register {name} --client-id ID --client-secret-file FILE`",
            place.issuer
        );
    };
    say!("Registration\t{client_id}, from {from}");
    let scopes = requested_scopes(&client.scopes, &[], true);
    let registered = RegisteredClient {
        client_id: &client_id,
        redirect_uri: &redirect_uri,
        authentication: None,
        credential: ClientCredential::None,
    };
    let url = authorization_url(
        client,
        &Authorization {
            endpoint: &endpoint,
            registered: &registered,
            state: "test",
            scopes: &scopes,
            verifier: &CodeVerifier::random(&SystemRng),
            nonce: matches!(definition.kind, Kind::Oidc(_)).then_some("test"),
            resource: None,
            ask: Ask::Nothing,
            fields: &fields,
        },
    )?;
    say!("Redirect URI\t{redirect_uri}");
    say!("Authorization\t{url}");
    Ok(())
}
