//! Sessions at sites that end, fail to be renewed, or change meanwhile.

use causeway_testkit::Fault;
use serde_json::json;
use std::time::Duration;

use crate::support::booking::Booking;
use crate::support::connecting::ask;
use crate::support::on_each_database;

on_each_database! {
    /// A renewal that is answered with a logout ends the session: the caller is told, and the site is not called any more.
    async fn a_logout_at_renewal(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        booking.site.script(|script| script.refresh_logs_out = true);
        let ended = booking.call("GET", &id, "/api/classes").await?;
        assert_eq!(ended.refusal(), "401 reauth_required");
        assert_eq!(ended.json()["error_description"], "session expired, please sign in again");
        assert_eq!(booking.call("GET", &id, "/api/classes").await?.refusal(), "401 reauth_required");
        assert_eq!((booking.site.calls().len(), booking.site.refreshes().len()), (0, 1), "not one more call");
        let shown = booking.shown(&id).await?;
        assert_eq!((&shown["state"], &shown["last_error"]), (&json!("reauth_required"), &json!("rejected")), "{shown}");
        Ok(())
    }

    /// A renewal without success is an error of the site; the session stays as it is, and the next call tries again.
    async fn a_renewal_without_success(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        booking.site.script(|script| script.refresh_says_nothing = true);
        for _ in 0..2 {
            assert_eq!(booking.call("GET", &id, "/api/classes").await?.refusal(), "502 refresh_rejected");
        }
        assert_eq!((booking.site.calls().len(), booking.site.refreshes().len()), (0, 2));
        booking.site.script(|script| script.refresh_says_nothing = false);
        assert_eq!(booking.attendees(&id).await?, 2, "nothing was lost");
        Ok(())
    }

    /// A site that does not answer a renewal is called with the old session.
    async fn trouble_goes_on_with_the_old_session(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        assert_eq!(booking.attendees(&id).await?, 2);
        booking.app.clock.advance(1501);
        for fault in [Fault::Status(503), Fault::HangUp] {
            booking.site.script(|script| script.refresh = fault);
            booking.app.clock.advance(60);
            assert_eq!(booking.attendees(&id).await?, 0, "soft, and used");
        }
        booking.site.script(|script| script.refresh = Fault::None);
        booking.app.clock.advance(60);
        assert_eq!(booking.attendees(&id).await?, 2);
        Ok(())
    }

    /// A booking that is answered with a logout: renewed once, and made again only where that is allowed; then the user has to
    /// sign in again.
    async fn a_logout_at_a_booking(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        booking.attendees(&id).await?;
        booking.app.clock.advance(60);
        booking.site.script(|script| script.book_logs_out = true);
        let calls = booking.site.calls().len();
        assert_eq!(booking.call("POST", &id, "/api/book").await?.refusal(), "503 resend_request");
        assert_eq!((booking.site.calls().len(), booking.site.refreshes().len()), (calls + 1, 2));
        booking.app.clock.advance(60);
        let again = ask(&booking.app, &booking.client, "POST", &format!("/relay/{id}/api/book"));
        let again = booking.agent.send(again.header("causeway-retry", "unsafe").body("{}")).await?;
        assert_eq!(again.refusal(), "401 reauth_required");
        assert_eq!((booking.site.calls().len(), booking.site.refreshes().len()), (calls + 3, 3));
        assert_eq!(booking.call("POST", &id, "/api/book").await?.refusal(), "401 reauth_required");
        assert_eq!(booking.site.calls().len(), calls + 3, "not one more call");
        Ok(())
    }

    /// The cookie of every answer is kept, the one that an answer does not name stays, and no caller sees any.
    async fn cookies_rotate(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        booking.site.script(|script| {
            script.rotates = true;
            script.cookies = vec!["seen=1; Path=/api".to_owned(), "lang=de; Domain=other.example".to_owned()];
        });
        for _ in 0..4 {
            let answer = booking.call("GET", &id, "/api/classes").await?;
            assert_eq!((answer.status, answer.header("set-cookie")), (200, ""), "{answer:?}");
        }
        let cookies = booking.site.calls().pop().unwrap().headers["cookie"].clone();
        assert!(cookies.contains("seen=1") && cookies.contains("device=known") && !cookies.contains("lang"), "{cookies}");
        booking.site.script(|script| {
            script.rotates = false;
            script.cookies = vec!["seen=; Path=/api; Max-Age=0".to_owned()];
        });
        booking.call("GET", &id, "/api/classes").await?;
        booking.call("GET", &id, "/api/classes").await?;
        let cookies = booking.site.calls().pop().unwrap().headers["cookie"].clone();
        assert!(!cookies.contains("seen"), "{cookies}");
        Ok(())
    }

    /// A user ends the connection while it is being renewed: nothing revives it, and what the renewal brought is ended, too.
    async fn ended_during_a_renewal(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({"session_kind": "background"})).await?;
        booking.site.script(|script| script.refresh = Fault::Late(Duration::from_millis(800)));
        let end = async {
            while booking.site.refreshes().is_empty() {
                tokio::task::yield_now().await;
            }
            let end = ask(&booking.app, &booking.client, "DELETE", &format!("/api/connections/{id}"));
            booking.agent.send(end).await
        };
        let (called, ended) = tokio::join!(booking.call("GET", &id, "/api/classes"), end);
        assert_eq!(ended?.status, 204);
        assert!(called?.status >= 400);
        assert_eq!(booking.call("GET", &id, "/api/classes").await?.refusal(), "404 not_found");
        booking.app.ctx.settle().await;
        causeway_flow::upstream::revocation::revoke_due(&booking.app.ctx).await?;
        booking.app.ctx.settle().await;
        assert_eq!(booking.site.logouts(), 1);
        Ok(())
    }
}
