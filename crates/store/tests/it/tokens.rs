//! Families of refresh tokens.

use causeway_domain::session::SessionHead;
use causeway_domain::token::{AccessSubject, AccessToken, RefreshRevocation, RefreshToken};
use causeway_store::authorization::codes;
use causeway_store::connections::heads;
use causeway_store::sessions;
use causeway_store::testing::find_number;
use causeway_store::tokens;
use causeway_store::{AnyConnection, StoreError};
use causeway_types::{SessionKind, SessionState, TenantId};
use diesel::connection::SimpleConnection as _;

use crate::common::{
    NOW, access_token, bearer, code, insert_userless_token, on_each, other_session, refresh_token,
};

fn pair(
    c: &mut AnyConnection,
    session: &SessionHead,
    parent: Option<&RefreshToken>,
) -> Result<(AccessToken, RefreshToken), StoreError> {
    let access = access_token(session);
    let refresh = refresh_token(session, &access, parent);
    tokens::insert_access_token(c, &access)?;
    tokens::insert_refresh_token(c, &refresh)?;
    Ok((access, refresh))
}

fn revoked(
    c: &mut AnyConnection,
    pair: &(AccessToken, RefreshToken),
) -> Result<(bool, Option<RefreshRevocation>), StoreError> {
    let access = tokens::find_access_token(c, &pair.0.token)?.unwrap();
    let refresh = tokens::find_refresh_token(c, &pair.1.token)?.unwrap();
    Ok((access.revoked, refresh.revoked))
}

#[test]
fn tokens_come_back_whole() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let found = world
            .write(move |c| {
                let (access, refresh) = pair(c, &session, None)?;
                let child = pair(c, &session, Some(&refresh))?.1;
                assert_eq!(tokens::find_access_token(c, &access.token)?, Some(access));
                assert_eq!(tokens::find_refresh_token(c, &refresh.token)?, Some(refresh));
                assert_eq!(tokens::find_refresh_token(c, &child.token)?, Some(child));
                tokens::find_access_token(c, &crate::common::hash())
            })
            .await;
        assert_eq!(found, None);
    });
}

/// The session that comes with an access token is the one of this tenant that the token names, unless it is
/// deleted; a client's own token has none.
#[test]
fn a_token_and_its_session_in_one_statement() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let (_, other) = world.client_and_session().await;
        world
            .write(move |c| {
                let (access, _) = pair(c, &session, None)?;
                pair(c, &other, None)?;
                let own = AccessToken { subject: AccessSubject::Client, ..access_token(&session) };
                tokens::insert_access_token(c, &own)?;
                let tenant = session.tenant_id.clone();
                let find = tokens::find_access_token_with_session;
                let found = find(c, &tenant, &access.token)?;
                assert_eq!(found, Some((access.clone(), Some(session.clone()))));
                assert_eq!(find(c, &tenant, &own.token)?, Some((own, None)));
                assert_eq!(find(c, &tenant, &crate::common::hash())?, None);
                let elsewhere = find(c, &TenantId::new("another"), &access.token)?;
                assert_eq!(elsewhere, Some((access, None)));
                Ok(())
            })
            .await;
    });
}

#[test]
fn what_a_client_has_for_itself_is_revoked_alone() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        world
            .write(move |c| {
                let (users, _) = pair(c, &session, None)?;
                let own = AccessToken { subject: AccessSubject::Client, ..access_token(&session) };
                tokens::insert_access_token(c, &own)?;
                assert_eq!(tokens::find_access_token(c, &own.token)?.as_ref(), Some(&own));
                let mut revoke = |tenant: &str| {
                    tokens::revoke_client_tokens(c, &TenantId::new(tenant), &session.client_id)
                };
                assert_eq!((revoke("another")?, revoke("default")?), (0, 1));
                let revoked = AccessToken { revoked: true, ..own };
                assert_eq!(tokens::find_access_token(c, &revoked.token)?, Some(revoked));
                assert_eq!(tokens::find_access_token(c, &users.token)?, Some(users));
                Ok(())
            })
            .await;
    });
}

#[test]
fn successors_used_and_unused() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        world
            .write(move |c| {
                let parent = pair(c, &session, None)?.1;
                assert!(!tokens::successor_used(c, &parent)?);
                let one = pair(c, &session, Some(&parent))?;
                let two = pair(c, &session, Some(&parent))?;
                let stranger = pair(c, &session, None)?;
                assert!(!tokens::successor_used(c, &parent)?);
                assert!(tokens::mark_access_token_used(c, &one.0.token, NOW)?);
                assert!(!tokens::mark_access_token_used(c, &one.0.token, NOW)?);
                assert!(tokens::successor_used(c, &parent)?, "by its access token");
                c.batch_execute("DELETE FROM oauth_access_token")?;
                assert!(tokens::successor_used(c, &parent)?, "the sweep takes access tokens first");
                assert!(!tokens::successor_used(c, &stranger.1)?);
                tokens::insert_access_token(c, &one.0)?;
                tokens::insert_access_token(c, &two.0)?;
                tokens::insert_access_token(c, &stranger.0)?;
                assert_eq!(tokens::revoke_unused_successors(c, &parent)?, 1);
                assert_eq!(revoked(c, &one)?, (false, None));
                assert_eq!(revoked(c, &two)?, (true, Some(RefreshRevocation::Superseded)));
                assert_eq!(revoked(c, &stranger)?, (false, None));
                assert!(!tokens::consume_refresh_token(c, &two.1.token, NOW)?, "revoked");
                assert!(!tokens::consume_refresh_token(c, &one.1.token, NOW.plus(7200))?, "expired");

                let rotated = pair(c, &session, Some(&stranger.1))?;
                assert!(tokens::consume_refresh_token(c, &rotated.1.token, NOW)?);
                assert!(tokens::successor_used(c, &stranger.1)?, "by its refresh token");
                Ok(())
            })
            .await;
    });
}

/// A session at another provider has no DID, and its access tokens name no user.
#[test]
fn a_grant_without_a_user_is_revoked_alone() {
    on_each(|world| async move {
        let (client, with_user) = world.client_and_session().await;
        let mine = other_session(&client, SessionKind::Device, SessionState::Active);
        let theirs = other_session(&client, SessionKind::Device, SessionState::Active);
        let ring = world.ring.clone();
        let tenant = world.store.in_tenant(&mine.tenant_id);
        let done = tenant.write(move |scope| {
            let c = scope.connection();
            for head in [&mine, &theirs] {
                sessions::insert_session(c, &ring, head, &bearer("1"))?;
            }
            for (name, head) in [("mine-1", &mine), ("mine-2", &mine), ("theirs", &theirs)] {
                insert_userless_token(c, name, head)?;
            }
            let bystander = pair(c, &with_user, None)?;
            let own = AccessToken { subject: AccessSubject::Client, ..access_token(&with_user) };
            tokens::insert_access_token(c, &own)?;

            assert_eq!(tokens::revoke_grant(c, &mine.session_id)?, 2);
            let live =
                "SELECT count(*) AS number FROM oauth_access_token WHERE user_id IS NULL AND NOT revoked";
            assert_eq!(find_number(c, live)?, 2, "those of the other session and of the client itself");
            assert_eq!(revoked(c, &bystander)?, (false, None));
            assert_eq!(tokens::revoke_grant(c, &mine.session_id)?, 0);
            assert!(heads::end_connection(scope, &theirs.session_id, NOW)?);
            let left = find_number(scope.connection(), live)?;
            assert_eq!(left, 1, "the end of a session takes its tokens along");
            Ok::<_, StoreError>(())
        });
        done.await.unwrap();
    });
}

#[test]
fn revoking_a_grant_leaves_nothing_alive_and_others_alone() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let (_, other) = world.client_and_session().await;
        world
            .write(move |c| {
                let first = pair(c, &session, None)?;
                let second = pair(c, &session, Some(&first.1))?;
                let bystander = pair(c, &other, None)?;
                let (unused, used) = (code(&session), code(&session));
                codes::insert_code(c, &unused)?;
                codes::insert_code(c, &used)?;
                codes::consume_code(c, &used.code, NOW)?;
                tokens::revoke_access_token(c, &second.0.token)?;
                assert_eq!(tokens::revoke_grant(c, &session.session_id)?, 3);
                assert_eq!(revoked(c, &first)?, (true, Some(RefreshRevocation::Grant)));
                assert_eq!(revoked(c, &second)?, (true, Some(RefreshRevocation::Grant)));
                assert_eq!(revoked(c, &bystander)?, (false, None));
                assert_eq!(codes::find_code(c, &unused.code)?, None);
                assert!(codes::find_code(c, &used.code)?.is_some(), "its reuse must be noticed");
                assert_eq!(tokens::revoke_grant(c, &session.session_id)?, 0);

                sessions::end_session(c, &other.session_id, NOW)?;
                assert_eq!(revoked(c, &bystander)?, (true, Some(RefreshRevocation::Grant)));
                Ok(())
            })
            .await;
    });
}

#[test]
fn a_code_is_renewed_while_it_is_the_only_one_and_unused() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let (_, other) = world.client_and_session().await;
        world
            .write(move |c| {
                let (first, bystander) = (code(&session), code(&other));
                let renew = |c: &mut _, seconds| {
                    let new = crate::common::hash();
                    let (now, end) = (NOW.plus(seconds), NOW.plus(seconds + 60));
                    codes::renew_code(c, &session.session_id, &new, now, end)
                        .map(|row| row.inspect(|row| assert_eq!(row.code, new)))
                };
                assert_eq!(renew(c, 1)?, None, "there is none");
                codes::insert_code(c, &first)?;
                codes::insert_code(c, &bystander)?;
                let second = renew(c, 59)?.unwrap();
                let expected = causeway_domain::authorization::AuthorizationCode {
                    code: second.code.clone(),
                    created_at: NOW.plus(59),
                    expires_at: NOW.plus(119),
                    ..first.clone()
                };
                assert_eq!(second, expected);
                assert_eq!(codes::find_code(c, &first.code)?, None);
                assert_eq!(codes::find_code(c, &second.code)?, Some(expected));
                assert_eq!(codes::find_code(c, &bystander.code)?, Some(bystander));
                assert_eq!(renew(c, 119)?, None, "expired");
                let third = renew(c, 118)?.unwrap();
                assert!(codes::consume_code(c, &third.code, NOW.plus(119))?.is_some());
                assert_eq!(renew(c, 119)?, None, "used");
                codes::insert_code(c, &first)?;
                assert_eq!(renew(c, 1)?, None, "not the only one");
                Ok(())
            })
            .await;
    });
}
