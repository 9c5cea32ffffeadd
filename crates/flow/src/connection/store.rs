//! Storing what an authorization brought: the account, what it manages, and the credentials, in one transaction.

use causeway_domain::connection::{
    CONNECT_CODE_SECONDS, ConnectOutcome, ConnectSession, Connection, CredentialOwner, ManagedAccount,
    PendingConnection, Slot, SocialIdentity,
};
use causeway_domain::session::{Cooldown, Credentials, SessionHead};
use causeway_store::connections::connect_sessions::{self, Confirmed, NewConnectCode};
use causeway_store::connections::credentials::{self, NewCredential};
use causeway_store::connections::listings::{self, ListedAccount, Listing};
use causeway_store::connections::{heads, identities, managed_accounts, users};
use causeway_store::operations::audit::{AuditEvent, insert_audit_event};
use causeway_store::{StoreError, TenantScope};
use causeway_types::secret::ConnectCode;
use causeway_types::{
    CredentialId, IdentityId, ManagedAccountId, PlainToken, SessionState, TenantUser, UpstreamSessionId,
};

use crate::connection::confirm::{self, Confirming};
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::upstream::answer::write_tenant_answer;
use crate::upstream::connect::kept_answer::KeptAnswer;
use crate::upstream::traits::{NewAccount, NewConnection, NewManagedAccount};

/// The outcome of a connect session with a connection.
const CONNECTED: &str = "connected";

/// The result of storing.
#[derive(Debug)]
pub(super) enum Stored {
    /// The connection is there. The code confirms it, unless it is confirmed.
    Connected(Option<PlainToken<ConnectCode>>),
    /// It has no refresh token, and would take the place of one that has.
    NoRefreshToken,
}

/// A connection as an authorization brought it, not stored yet.
#[derive(Clone, Debug)]
pub(super) struct Authorized {
    /// The connection, unconfirmed.
    pub(super) connection: Connection,
    /// The user's credentials.
    pub(super) credentials: Credentials,
    identity: SocialIdentity,
    pages: Vec<(ManagedAccount, CredentialId, Option<Credentials>)>,
    is_complete: bool,
}

impl Authorized {
    /// Whether it is to this account.
    pub(super) fn is_of(&self, account: &SocialIdentity) -> bool {
        self.identity.issuer == account.issuer && self.identity.subject == account.subject
    }

    pub(super) fn of(
        ctx: &Ctx,
        begun: &PendingConnection,
        session: &ConnectSession,
        new: NewConnection,
    ) -> Self {
        let (now, user): (_, &TenantUser) = (ctx.now(), &session.user);
        let NewConnection { binding, credentials, account } = new;
        let NewAccount { issuer, display_name, account_slot, device_slot, managed, is_complete, metadata } =
            account;
        let head = SessionHead {
            session_id: UpstreamSessionId::issued(ctx.rng(), ctx.unix_millis()),
            tenant_id: session.tenant_id.clone(),
            client_id: session.client_id.clone(),
            kind: begun.session_kind,
            state: SessionState::Pending,
            browser_id: begun.browser_id.clone(),
            iteration: 1,
            binding,
            created_at: now,
            last_used_at: now,
            cooldown: Cooldown::default(),
            correlation_id: session.correlation_id.clone(),
        };
        let identity = SocialIdentity {
            identity_id: IdentityId::issued(ctx.rng(), ctx.unix_millis()),
            user: user.clone(),
            provider: begun.provider.clone(),
            issuer,
            subject: head.subject().to_owned(),
            display_name,
            created_at: now,
            updated_at: now,
        };
        let page = |new: NewManagedAccount| {
            let account = ManagedAccount {
                managed_account_id: ManagedAccountId::issued(ctx.rng(), ctx.unix_millis()),
                identity_id: identity.identity_id.clone(),
                subject: new.subject,
                name: new.name,
                category: new.category,
                tasks: new.tasks,
                unavailable_at: None,
                created_at: now,
                updated_at: now,
            };
            (account, CredentialId::issued(ctx.rng(), ctx.unix_millis()), new.credentials)
        };
        let pages = managed.into_iter().map(page).collect();
        let slot = Slot { user: user.clone(), account_slot, device_slot };
        let connection = Connection {
            head,
            slot,
            registration_id: begun.registration_id.clone(),
            identity_id: Some(identity.identity_id.clone()),
            parameters: session.parameters.clone(),
            metadata,
            confirmed_at: None,
            refreshed_at: None,
            last_error: None,
            deleted_at: None,
        };
        Self { connection, credentials, identity, pages, is_complete }
    }
}

/// A connection to store.
pub(super) struct Made {
    /// The connection.
    pub(super) authorized: Authorized,
    /// The answer that it came of.
    pub(super) kept: KeptAnswer,
    /// Its audit event.
    pub(super) event: AuditEvent,
}

/// Stores the connections of a connect session, at least one, finishes it, and settles the answers that they came of: all in
/// one transaction.
///
/// # Errors
/// When the database does not take it.
pub(super) async fn store(
    ctx: &Ctx,
    session: &ConnectSession,
    made: &[Made],
    is_confirmed: bool,
) -> Result<Stored, Internal> {
    let now = ctx.now();
    let code = (!is_confirmed).then(|| PlainToken::<ConnectCode>::issued(ctx.rng(), ctx.unix_millis()));
    let hash = code.as_ref().map(PlainToken::hash);
    let followed = write_tenant_answer(ctx, &session.tenant_id, || {
        let (ctx, session, hash) = (ctx.clone(), session.clone(), hash.clone());
        let made: Vec<_> = made
            .iter()
            .map(|Made { authorized, kept, event }| (authorized.clone(), kept.clone(), event.clone()))
            .collect();
        move |scope: &mut TenantScope<'_>| {
            let (mut all, mut followed) = (Vec::new(), Vec::new());
            for (new, kept, _) in &made {
                let unconfirmed_id = new.connection.head.session_id.clone();
                if heads::find_connection(scope, &unconfirmed_id)?.is_some() {
                    // An earlier try did commit after all.
                    return Ok(Some(Vec::new()));
                }
                insert(scope, &ctx, new)?;
                let connection_id = session.connection_id.clone().unwrap_or_else(|| unconfirmed_id.clone());
                let mut confirmed = Confirmed { connection_id, unconfirmed_id };
                if is_confirmed {
                    match confirm::confirm_in(scope, &ctx, &confirmed, now)? {
                        Confirming::Done(done) => {
                            confirmed.connection_id.clone_from(&done.connection_id);
                            followed.push(done);
                        }
                        // It is ended, and revoked like any other.
                        Confirming::NoRefreshToken if kept.use_up(scope.connection())? => return Ok(None),
                        Confirming::NoRefreshToken | Confirming::Gone => {
                            return Err(Internal::Inconsistent("the connection is not what it was any more"));
                        }
                    }
                }
                all.push(confirmed);
            }
            let Some((first, more)) = all.split_first() else { return Ok(Some(followed)) };
            let outcome = ConnectOutcome {
                outcome: CONNECTED.to_owned(),
                connection_id: Some(first.connection_id.clone()),
                finished_at: now,
            };
            let code = hash.as_ref().map(|code| NewConnectCode {
                code,
                unconfirmed_id: &first.unconfirmed_id,
                more,
                expires_at: now.plus(CONNECT_CODE_SECONDS),
            });
            let (tenant_id, id) = (&session.tenant_id, &session.connect_session_id);
            let c = scope.connection();
            connect_sessions::finish_connect_session(c, tenant_id, id, &outcome, code)?;
            for (_, kept, event) in &made {
                if !kept.use_up(c)? {
                    return Err(Internal::Inconsistent("the answer was given back meanwhile"));
                }
                insert_audit_event(c, event)?;
            }
            Ok(Some(followed))
        }
    })
    .await?;
    let Some(followed) = followed else { return Ok(Stored::NoRefreshToken) };
    for Made { authorized, .. } in made {
        let (session, kind) = (&authorized.connection.head.session_id, authorized.connection.head.kind);
        tracing::info!(%session, session.kind = kind.as_str(), "account connected");
    }
    for followed in followed {
        confirm::follow_up(ctx, followed).await;
    }
    Ok(Stored::Connected(code))
}

fn insert(scope: &mut TenantScope<'_>, ctx: &Ctx, new: &Authorized) -> Result<(), StoreError> {
    let ring = ctx.ring();
    let Connection { head, slot, .. } = &new.connection;
    // Two who connect accounts of one user wait for each other. The tenant knows the user from the connect session on.
    users::lock_user(scope, &slot.user)?;
    let identity_id = identities::find_or_insert_identity(scope, &new.identity)?;
    let connection = heads::NewConnection {
        head,
        slot,
        registration_id: new.connection.registration_id.as_ref(),
        identity_id: Some(&identity_id),
        parameters: &new.connection.parameters,
        metadata: &new.connection.metadata,
    };
    heads::insert_connection(scope, &ring, &connection, &new.credentials)?;
    let mut listing = Listing {
        display_name: new.identity.display_name.clone(),
        accounts: Vec::new(),
        is_complete: new.is_complete,
        listed_at: new.identity.updated_at.as_secs(),
    };
    for (account, credential_id, own) in &new.pages {
        let account = ManagedAccount { identity_id: identity_id.clone(), ..account.clone() };
        let id = match own {
            // Its credential refers to it.
            Some(_) => managed_accounts::hold_managed_account(scope, &account)?,
            None => account.managed_account_id.clone(),
        };
        listing.accounts.push(ListedAccount {
            managed_account_id: id.as_str().to_owned(),
            subject: account.subject.clone(),
            name: account.name,
            category: account.category,
            tasks: account.tasks,
        });
        let Some(own) = own else { continue };
        let credential = NewCredential {
            credential_id,
            session_id: &head.session_id,
            iteration: head.iteration,
            slot,
            provider: head.provider(),
            session_kind: head.kind,
            owner: &CredentialOwner::Page(id),
            identity_id: Some(&identity_id),
            account_ref: Some(&account.subject),
            state: SessionState::Pending,
            at: head.created_at,
        };
        credentials::insert_credential(scope, &ring, &credential, own)?;
    }
    listings::put_listing(scope, &head.session_id, &listing)
}
