//! Families of refresh tokens.

use causeway_domain::grant::{AccessToken, RefreshRevocation, RefreshToken};
use causeway_domain::session::SessionHead;
use causeway_store::{AnyConnection, StoreError, codes, sessions, tokens};

use crate::common::{NOW, access_token, code, on_each, refresh_token};

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

#[test]
fn successors_used_and_unused() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        world
            .write(move |c| {
                let parent = pair(c, &session, None)?.1;
                assert!(!tokens::successor_used(c, &parent.token)?);
                let one = pair(c, &session, Some(&parent))?;
                let two = pair(c, &session, Some(&parent))?;
                let stranger = pair(c, &session, None)?;
                assert!(!tokens::successor_used(c, &parent.token)?);
                assert!(tokens::mark_access_token_used(c, &one.0.token, NOW)?);
                assert!(!tokens::mark_access_token_used(c, &one.0.token, NOW)?);
                assert!(tokens::successor_used(c, &parent.token)?, "by its access token");
                assert_eq!(tokens::revoke_unused_successors(c, &parent.token)?, 1);
                assert_eq!(revoked(c, &one)?, (false, None));
                assert_eq!(revoked(c, &two)?, (true, Some(RefreshRevocation::Superseded)));
                assert_eq!(revoked(c, &stranger)?, (false, None));
                assert!(!tokens::consume_refresh_token(c, &two.1.token, NOW)?, "revoked");
                assert!(!tokens::consume_refresh_token(c, &one.1.token, NOW.plus(7200))?, "expired");

                let rotated = pair(c, &session, Some(&stranger.1))?;
                assert!(tokens::consume_refresh_token(c, &rotated.1.token, NOW)?);
                assert!(tokens::successor_used(c, &stranger.1.token)?, "by its refresh token");
                Ok(())
            })
            .await;
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
