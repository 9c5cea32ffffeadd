//! A tenant with one of everything.

use causeway_domain::client::Client;
use causeway_domain::connection::{
    CONNECT_SESSION_SECONDS, ConnectSession, ConnectionAccess, CredentialOwner, Erasure, GrantedBy,
    ManagedAccount, PENDING_SECONDS, PendingConnection, Registration, RegistrationOrigin, RegistrationState,
    Slot, SocialIdentity, Tenant,
};
use causeway_domain::session::{Binding, OtherBinding, SessionHead};
use causeway_store::connections::credentials::{self, CredentialFilter, NewCredential};
use causeway_store::connections::heads::{self, ConnectionFilter, NewConnection};
use causeway_store::connections::{
    access, connect_sessions, erasure, identities, managed_accounts, pending, registrations, sweep, tenants,
    users,
};
use causeway_store::encryption::columns::ENCRYPTED_COLUMNS;
use causeway_store::encryption::keyring::EncryptionKeyRing;
use causeway_store::encryption::reencrypt::{self, Place};
use causeway_store::{PageRequest, StoreError, TenantScope, TenantStore, clients, sessions};
use causeway_types::secret::{Connect, ProviderState};
use causeway_types::{
    BrowserSessionId, ConnectSessionId, CredentialId, IdentityId, ManagedAccountId, PlainToken,
    RegistrationId, Secret, SessionKind, SessionState, SystemRng, TenantId, TenantUser,
    TokenEndpointAuthMethod, UpstreamClientId, UpstreamSessionId, UserId, UserNamespace,
};
use serde_json::{Map, Value, json};

use crate::common::{NOW, World, bearer, client, session};

/// Rows of a tenant.
#[derive(Clone)]
pub(crate) struct Owned {
    pub(crate) tenant_id: TenantId,
    pub(crate) client: Client,
    pub(crate) user: TenantUser,
    pub(crate) registration: Registration,
    pub(crate) identity: SocialIdentity,
    pub(crate) page: ManagedAccount,
    pub(crate) slot: Slot,
    pub(crate) head: SessionHead,
    pub(crate) connect: PlainToken<Connect>,
    pub(crate) connect_session: ConnectSession,
    pub(crate) state: PlainToken<ProviderState>,
    pub(crate) pending: PendingConnection,
}

pub(crate) fn user(client: &Client, name: &str) -> TenantUser {
    let namespace = UserNamespace::of_client(&client.client_id).unwrap();
    TenantUser { namespace, user_id: UserId::parse(name).unwrap() }
}

pub(crate) fn object(name: &str) -> Map<String, Value> {
    let Value::Object(map) = json!({ "name": name }) else { unreachable!() };
    map
}

/// A head at another provider, for a connection of its own.
pub(crate) fn head(client: &Client, kind: SessionKind, state: SessionState) -> SessionHead {
    SessionHead {
        binding: Binding::Other(OtherBinding {
            provider: "example".to_owned(),
            subject: "account-1".to_owned(),
            data: "{}".to_owned(),
            idle_seconds: None,
        }),
        ..session(client, kind, state)
    }
}

/// A registration with every secret that one can have.
pub(crate) fn registration() -> Registration {
    Registration {
        registration_id: RegistrationId::random(&SystemRng),
        provider: "example".to_owned(),
        issuer: "https://id.example".to_owned(),
        origin: RegistrationOrigin::Dynamic,
        client_id: UpstreamClientId::new("ours"),
        client_secret: Some(Secret::new("canary-secret")),
        next_secret: Some(Secret::new("canary-next")),
        token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretPost,
        redirect_uri: "https://causeway.example/connect/callback".to_owned(),
        registration_access_token: Some(Secret::new("canary-registration")),
        registration_client_uri: Some("https://id.example/register/ours".to_owned()),
        state: RegistrationState::Active,
        created_at: NOW,
        updated_at: NOW,
        expires_at: Some(NOW.plus(86_400)),
    }
}

/// An authorization under way, of no connect session and no registration.
pub(crate) fn pending(client: &Client, name: &str) -> PendingConnection {
    PendingConnection {
        state: PlainToken::<ProviderState>::issued(&SystemRng, NOW.into()).hash(),
        tenant_id: client.tenant_id.clone(),
        client_id: client.client_id.clone(),
        user: user(client, name),
        provider: "example".to_owned(),
        registration_id: None,
        session_kind: SessionKind::Background,
        browser_id: BrowserSessionId::new("browser"),
        connect_session_id: None,
        payload: Secret::new("canary-verifier"),
        created_at: NOW,
        expires_at: NOW.plus(PENDING_SECONDS),
    }
}

impl Owned {
    fn new(name: &str) -> Self {
        let tenant_id = TenantId::new(name);
        let client = Client { tenant_id: tenant_id.clone(), ..client() };
        let user = user(&client, "17");
        let registration = registration();
        let identity = SocialIdentity {
            identity_id: IdentityId::issued(&SystemRng, NOW.into()),
            user: user.clone(),
            provider: "example".to_owned(),
            issuer: "https://id.example".to_owned(),
            subject: "account-1".to_owned(),
            display_name: Some("Älice".to_owned()),
            created_at: NOW,
            updated_at: NOW,
        };
        let slot = Slot { user: user.clone(), account_slot: String::new(), device_slot: String::new() };
        let head = head(&client, SessionKind::Background, SessionState::Active);
        let connect = PlainToken::issued(&SystemRng, NOW.into());
        let connect_session = ConnectSession {
            token: connect.hash(),
            connect_session_id: ConnectSessionId::issued(&SystemRng, NOW.into()),
            tenant_id: tenant_id.clone(),
            client_id: client.client_id.clone(),
            user: user.clone(),
            providers: vec!["example".to_owned()],
            session_kinds: vec![SessionKind::Device, SessionKind::Background],
            scopes: Some(vec!["a".to_owned(), "b c".to_owned()]),
            parameters: object("parameter"),
            return_uri: Some("https://app.example/back".to_owned()),
            state: Some("xyz".to_owned()),
            force_reauth: true,
            fingerprint: Some("device-1".to_owned()),
            connection_id: Some(head.session_id.clone()),
            correlation_id: head.correlation_id.clone(),
            created_at: NOW,
            expires_at: NOW.plus(CONNECT_SESSION_SECONDS),
        };
        let state = PlainToken::issued(&SystemRng, NOW.into());
        let pending = PendingConnection {
            state: state.hash(),
            registration_id: Some(registration.registration_id.clone()),
            connect_session_id: Some(connect_session.connect_session_id.clone()),
            ..pending(&client, "17")
        };
        let page = page_of(&identity, "page-1");
        Self {
            tenant_id,
            client,
            user,
            registration,
            identity,
            page,
            slot,
            head,
            connect,
            connect_session,
            state,
            pending,
        }
    }

    /// Its part of the store.
    pub(crate) fn store(&self, world: &World) -> TenantStore {
        world.store.in_tenant(&self.tenant_id)
    }

    /// Another connection of the same user.
    pub(crate) fn another(
        &self,
        kind: SessionKind,
        state: SessionState,
        account: &str,
    ) -> (SessionHead, Slot) {
        let slot = Slot { account_slot: account.to_owned(), ..self.slot.clone() };
        (head(&self.client, kind, state), slot)
    }
}

pub(crate) fn page_of(identity: &SocialIdentity, subject: &str) -> ManagedAccount {
    ManagedAccount {
        managed_account_id: ManagedAccountId::issued(&SystemRng, NOW.into()),
        identity_id: identity.identity_id.clone(),
        subject: subject.to_owned(),
        name: Some("Page".to_owned()),
        category: None,
        tasks: vec!["CREATE_CONTENT".to_owned(), "é,\"[".to_owned()],
        unavailable_at: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// Stores a connection with nothing but its user's credential.
pub(crate) fn insert_plain(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    head: &SessionHead,
    slot: &Slot,
) -> Result<(), StoreError> {
    let empty = Map::new();
    let new = NewConnection {
        head,
        slot,
        registration_id: None,
        identity_id: None,
        parameters: &empty,
        metadata: &empty,
    };
    heads::insert_connection(scope, ring, &new, &bearer("user"))
}

/// Stores the credential of a managed account.
pub(crate) fn insert_page(
    scope: &mut TenantScope<'_>,
    ring: &EncryptionKeyRing,
    owned: &Owned,
    page: &ManagedAccountId,
) -> Result<CredentialId, StoreError> {
    let credential_id = CredentialId::issued(&SystemRng, NOW.into());
    let new = NewCredential {
        credential_id: &credential_id,
        session_id: &owned.head.session_id,
        iteration: 1,
        slot: &owned.slot,
        provider: "example",
        session_kind: owned.head.kind,
        owner: &CredentialOwner::Page(page.clone()),
        identity_id: Some(&owned.identity.identity_id),
        account_ref: Some("page"),
        state: SessionState::Active,
        at: NOW,
    };
    credentials::insert_credential(scope, ring, &new, &bearer("page"))?;
    Ok(credential_id)
}

/// Stores a tenant with a registration and nothing else.
pub(crate) async fn tenant_with_registration(world: &World, name: &str) -> Registration {
    let registration = registration();
    let tenant = Tenant {
        tenant_id: TenantId::new(name),
        name: name.to_owned(),
        user_namespace: None,
        created_at: NOW,
    };
    let store = world.store.in_tenant(&tenant.tenant_id);
    let (row, ring) = (registration.clone(), world.ring.clone());
    let stored = store.write(move |scope| {
        tenants::insert_tenant(scope.connection(), &tenant)?;
        registrations::insert_registration(scope, &ring, &row)
    });
    stored.await.unwrap();
    registration
}

/// Stores a tenant with one of everything.
pub(crate) async fn tenant_with_everything(world: &World, name: &str) -> Owned {
    let owned = Owned::new(name);
    let (row, ring) = (owned.clone(), world.ring.clone());
    world
        .write(move |c| {
            let tenant = Tenant {
                tenant_id: row.tenant_id.clone(),
                name: "A tenant".to_owned(),
                user_namespace: None,
                created_at: NOW,
            };
            tenants::insert_tenant(c, &tenant)?;
            clients::insert_client(c, &row.client)
        })
        .await;
    let row = owned.clone();
    let store = owned.store(world);
    let stored = store.write(move |scope| {
        users::put_user(scope, &row.user, NOW)?;
        registrations::insert_registration(scope, &ring, &row.registration)?;
        identities::find_or_insert_identity(scope, &row.identity)?;
        managed_accounts::put_managed_account(scope, &row.page)?;
        let new = NewConnection {
            head: &row.head,
            slot: &row.slot,
            registration_id: Some(&row.registration.registration_id),
            identity_id: Some(&row.identity.identity_id),
            parameters: &object("parameter"),
            metadata: &object("capture"),
        };
        heads::insert_connection(scope, &ring, &new, &bearer("user"))?;
        insert_page(scope, &ring, &row, &row.page.managed_account_id)?;
        connect_sessions::insert_connect_session(scope.connection(), &row.connect_session)?;
        pending::insert_pending(scope.connection(), &ring, &row.pending)?;
        let shared = ConnectionAccess {
            connection_id: row.head.session_id.clone(),
            client_id: row.client.client_id.clone(),
            granted_by: GrantedBy::Operator,
            created_at: NOW,
        };
        access::put_access(scope, &shared)
    });
    stored.await.unwrap();
    owned
}

/// The identifier of nothing.
pub(crate) fn nothing() -> UpstreamSessionId {
    UpstreamSessionId::new("us_nothing")
}

/// Calls what [`tenant_with_everything`] does not call.
pub(crate) async fn use_everything(world: &World, owned: &Owned) {
    let (row, ring) = (owned.clone(), world.ring.clone());
    let store = owned.store(world);
    let used = store.write(move |scope| {
        let (session, account) = (&row.head.session_id, &row.page.managed_account_id);
        let (client, identity) = (&row.client.client_id, &row.identity.identity_id);
        let page = PageRequest::first(9);
        assert!(users::find_user(scope, &row.user)?.is_some());
        assert_eq!(users::list_users(scope, None, &page)?.items.len(), 1);
        assert_eq!(users::list_users(scope, Some(&row.user.namespace), &page)?.items.len(), 1);
        assert_eq!(registrations::list_registrations(scope, &page)?.items.len(), 1);
        registrations::find_registration(scope, &ring, &row.registration.registration_id)?;
        registrations::find_current_registration(scope, &ring, "example", "https://id.example")?;
        let (id, state) = (&row.registration.registration_id, row.registration.state);
        assert!(registrations::promote_next_secret(scope, &ring, id, None, NOW)?);
        assert!(registrations::set_next_secret(scope, &ring, id, &Secret::new("canary-next"), NOW)?);
        assert!(registrations::replace_next_secret(scope, &ring, id, &Secret::new("canary-next"), NOW)?);
        assert!(registrations::change_state(scope, id, state, RegistrationState::Misconfigured, NOW)?);
        identities::find_identity(scope, identity)?;
        identities::list_identities_of_user(scope, &row.user, 9)?;
        managed_accounts::find_managed_account(scope, identity, account)?;
        managed_accounts::list_managed_accounts(scope, identity, 9)?;
        managed_accounts::note_unlisted(scope, identity, NOW)?;
        access::has_access(scope, session, client)?;
        access::list_access(scope, session, 9)?;
        let connection = heads::find_connection(scope, session)?.unwrap();
        heads::find_superseded(scope, &connection)?;
        let filter = ConnectionFilter { client_id: Some(client.clone()), ..ConnectionFilter::default() };
        heads::list_connections(scope, &filter, &page)?;
        credentials::list_credentials(scope, &CredentialFilter::default(), &page)?;
        credentials::find_user_credential(scope, &ring, session, 1, false)?;
        let (record, _) = credentials::find_page_credential(scope, &ring, session, account)?.unwrap();
        let id = &record.credential_id;
        assert!(credentials::require_reauth(scope, id, 1, NOW)?);
        assert!(credentials::renew_credential(scope, &ring, id, 1, &bearer("2"), NOW)?);
        assert!(credentials::delete_credential(scope, id, NOW)?);
        assert!(credentials::erase_payload(scope, id)?);
        // By way of the sessions, which enter the tenant themselves.
        let c = scope.connection();
        assert!(sessions::require_reauth(c, session, 1, 0)?);
        assert!(sessions::advance_session(c, &ring, session, 1, &bearer("2"), NOW)?);
        let renewed = SessionHead { iteration: 2, ..row.head.clone() };
        assert!(sessions::find_credentials(c, &ring, &renewed)?.is_some());
        assert!(heads::end_connection(scope, session, NOW)?);
        let c = scope.connection();
        assert!(sessions::enqueue_revocation(c, &ring, session, 2, &bearer("3"), NOW)?);
        sessions::complete_revocation(c, session, 3)?;
        for column in ENCRYPTED_COLUMNS {
            reencrypt::count_rows(c, *column)?;
            let mut place = Some(Place::default());
            while let Some(after) = place {
                place = reencrypt::list_old_values(c, &ring, *column, &after, 9)?.next;
            }
        }
        reencrypt::has_encrypted_rows(c)?;
        // Those have entered every other tenant meanwhile.
        assert!(access::delete_access(scope, session, client, NOW)?);
        assert_eq!(managed_accounts::delete_managed_accounts(scope, identity, NOW)?, 1);
        assert!(identities::delete_identity(scope, identity, NOW)?);
        assert!(registrations::delete_registration(scope, &row.registration.registration_id, NOW)?);
        assert!(users::delete_user(scope, &row.user, NOW)?);
        assert_eq!(sweep::sweep_deleted(scope, NOW, 9)?, 4, "both credentials, access and the page");
        for whose in [Erasure::User(row.user.clone()), Erasure::Tenant] {
            while !erasure::erase(scope, &whose, NOW.plus(1), 9)?.is_done() {}
        }
        assert!(clients::delete_client(scope.connection(), &row.tenant_id, client, NOW)?);
        while !clients::purge_deleted_clients(scope.connection(), NOW, 9)?.is_done() {}
        Ok::<_, StoreError>(())
    });
    used.await.unwrap();
}
