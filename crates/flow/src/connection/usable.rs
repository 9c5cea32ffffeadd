//! Connections that a client may use.

use causeway_domain::connection::Registration;
use causeway_domain::session::{Credentials, SessionHead};
use causeway_store::connections::in_use::{self, AccountInUse, ConnectionInUse};
use causeway_store::sessions;
use causeway_types::{SessionState, UpstreamSessionId};

use super::connect_session::is_entitled;
use super::error::UseError;
use super::tenant_client::TenantClient;
use crate::ctx::Ctx;
use crate::error::Internal;
use crate::operations::trace;
use crate::upstream::keeper;
use crate::upstream::relay::RelayError;
use crate::upstream::relay::connection::{AccountCredential, CalledAccount, CalledConnection};
use crate::upstream::usable::UsableSession;

/// A connection that a client may use, with all that its use needs.
#[derive(Clone, Debug)]
pub(crate) struct UsableConnection {
    pub(crate) head: SessionHead,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) registration: Option<Registration>,
    /// The managed account that was named, and the secrets of its own credential.
    pub(crate) account: Option<NamedAccount>,
}

/// A managed account that the client named.
#[derive(Clone, Debug)]
pub(crate) struct NamedAccount {
    pub(crate) called: CalledAccount,
    /// Whether its own credential is active, and its secrets; `None`: calls are made with the user's.
    own: Option<(bool, Credentials)>,
}

/// Finds a connection of the client's tenant. One that the client has no access to, that is not confirmed or that has ended
/// looks like one that there is not.
///
/// # Errors
/// [`UseError`]. The provider has to be one that the client is entitled to.
pub(crate) async fn find(
    ctx: &Ctx,
    client: &TenantClient,
    id: &UpstreamSessionId,
    account: Option<&str>,
) -> Result<UsableConnection, UseError> {
    let (ring, id, client_id) = (ctx.ring(), id.clone(), client.client.client_id.clone());
    let account = account.map(str::to_owned);
    let finding = move |scope: &mut causeway_store::TenantScope<'_>| {
        let found = in_use::find_connection_in_use(scope, &ring, &id, &client_id)?;
        let Some(found) = found else { return Ok::<_, Internal>(None) };
        let Some(named) = &account else { return Ok(Some((found, None))) };
        let identity = found.identity_id.as_ref();
        let account = match identity {
            Some(identity) => in_use::find_account_in_use(scope, &ring, &id, identity, named)?,
            None => None,
        };
        Ok(Some((found, Some(account))))
    };
    let found = ctx.store().in_tenant(&client.tenant_id).find(finding).await?;
    let (ConnectionInUse { head, credentials, registration, .. }, account) =
        found.ok_or(UseError::NotFound)?;
    if !is_entitled(&client.client, head.provider(), head.kind) {
        return Err(UseError::NotEntitled { provider: head.provider().to_owned() });
    }
    note_use(ctx, &head).await?;
    let account = match account {
        None => None,
        Some(None) => return Err(UseError::NoSuchAccount),
        Some(Some(account)) => Some(NamedAccount::of(account)),
    };
    Ok(UsableConnection { head, credentials, registration, account })
}

/// Notes that a connection is about to be used.
///
/// # Errors
/// [`UseError::NotFound`]: it has ended by itself.
pub(super) async fn note_use(ctx: &Ctx, head: &SessionHead) -> Result<(), UseError> {
    trace::correlate(head.correlation_id.as_ref());
    let now = ctx.now();
    if !head.is_alive_at(now) {
        return Err(UseError::NotFound);
    }
    if now.since(head.last_used_at) >= sessions::TOUCH_SECONDS {
        let id = head.session_id.clone();
        ctx.store().add(move |c| sessions::touch_session(c, &id, now).map_err(Internal::from)).await?;
    }
    Ok(())
}

impl UsableConnection {
    /// The credentials that a call is made with: those of the named account where the provider's accounts have some, or
    /// else the user's.
    ///
    /// # Errors
    /// [`UseError`]; the user's credentials may be expired.
    pub(crate) async fn session(&self, ctx: &Ctx) -> Result<UsableSession, UseError> {
        let own = self.account.as_ref().and_then(|account| account.own.as_ref());
        let Some((is_active, credentials)) = own else {
            let upstream = ctx.upstreams().of(&self.head)?;
            if self.account.is_some() && upstream.accounts_have_credentials() {
                // The provider would take the call for one of the user's own.
                return Err(UseError::Relay(RelayError::AccountReauth));
            }
            return Ok(keeper::of_found(ctx, &self.head, self.credentials.clone()).await?);
        };
        if !is_active || credentials.expires_at.is_some_and(|end| end <= ctx.now()) {
            return Err(UseError::Relay(RelayError::AccountReauth));
        }
        Ok(UsableSession { head: self.head.clone(), credentials: credentials.clone() })
    }

    /// Whether calls are made with a credential of the named account itself.
    pub(crate) fn account_has_credential(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.own.is_some())
    }

    /// The connection as the relay takes it.
    pub(crate) fn called(self) -> CalledConnection {
        let account = self.account.map(|account| account.called);
        CalledConnection { registration: self.registration, account }
    }
}

impl NamedAccount {
    fn of(found: AccountInUse) -> Self {
        let AccountInUse { managed_account_id, subject, credential, .. } = found;
        let (credential, own) = match credential {
            Some((record, credentials)) => {
                let (credential_id, iteration) = (record.credential_id, record.iteration);
                let is_active = record.state == SessionState::Active;
                (Some(AccountCredential { credential_id, iteration }), Some((is_active, credentials)))
            }
            None => (None, None),
        };
        Self { called: CalledAccount { managed_account_id, subject, credential }, own }
    }
}
