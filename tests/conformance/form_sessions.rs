//! Sessions at sites that know nothing but a form and cookies: how users sign in, and how their sessions are used.

use causeway_flow::operations::sweep::sweep_all;
use causeway_flow::upstream::keeper::keep_alive::refresh_due_sessions;
use causeway_store::{StoreError, testing};
use causeway_testkit::{Agent, BookingSite, Fault};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::booking::{Booking, EMAIL};
use crate::support::connecting::param;
use crate::support::on_each_database;

const DAY: i64 = 86_400;

on_each_database! {
    /// The story: the user types the password on our page, and the client books with the user's session. The session is
    /// renewed before the first use, and whenever it is older than 25 minutes.
    async fn from_the_form_to_a_booking(database) {
        let booking = Booking::set(database).await?;
        let url = booking.open(json!({})).await?;
        let page = booking.agent.get(&url).await?;
        let origin = format!("data-testid=\"origin\">{}<", booking.site.origin);
        assert!(page.text.contains(&origin) && page.text.contains("used once and not kept"), "{page:?}");
        let prefilled = booking.agent.get(&format!("{url}?typed.email=eve@example.com&email=eve@example.com")).await?;
        assert!(!prefilled.text.contains("eve@example.com"), "nothing is taken from the address");
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{page:?}");

        let back = booking.sign_in(&Agent::default(), &url).await?;
        assert_eq!(param(&back, "state").as_deref(), Some("their-state"));
        let confirmed = booking.confirm(&back).await?;
        assert_eq!((confirmed.status, &confirmed.json()["account_ref"]), (200, &json!("ann@gym.example")), "{confirmed:?}");
        let id = confirmed.json()["connection_id"].as_str().unwrap().to_owned();
        assert_eq!(booking.agent.get(&url).await?.status, 400, "the link is used up");

        assert_eq!(booking.attendees(&id).await?, 2, "never renewed: renewed before it is used");
        assert_eq!(booking.site.refreshes().len(), 1);
        booking.app.clock.advance(1499);
        assert_eq!((booking.attendees(&id).await?, booking.site.refreshes().len()), (2, 1), "24:59");
        booking.app.clock.advance(2);
        assert_eq!((booking.attendees(&id).await?, booking.site.refreshes().len()), (2, 2), "25:01");
        let booked = booking.call("POST", &id, "/api/book").await?;
        assert_eq!((booked.status, &booked.json()["by"]), (200, &json!(EMAIL)), "{booked:?}");
        assert_eq!(booked.header("set-cookie"), "");
        let call = booking.site.calls().pop().unwrap();
        assert!(call.headers["cookie"].contains("sid=") && call.headers["cookie"].contains("device=known"), "{call:?}");
        assert!(!call.headers["cookie"].contains("csrf="), "another path's cookie stays at home: {call:?}");
        Ok(())
    }

    /// Nothing that was typed, and no cookie or token, is anywhere that anybody reads.
    async fn the_password_is_nowhere(database) {
        let booking = Booking::set(database).await?;
        booking.site.script(|script| script.rotates = true);
        let (mut seen, url) = (Vec::new(), booking.open(json!({"session_kind": ["device", "background"]})).await?);
        let agent = Agent::default();
        let typed = [("typed.email", EMAIL), ("typed.password", BookingSite::PASSWORD)];
        let wrong = [("typed.email", EMAIL), ("typed.password", "canary wrong password")];
        seen.push(format!("{:?}", booking.fill(&agent, &url, &wrong).await?));
        let back = booking.fill(&agent, &url, &typed).await?;
        seen.push(format!("{back:?}"));
        let confirmed = booking.confirm(&back.location()?.parse()?).await?;
        seen.push(format!("{confirmed:?}"));
        let id = confirmed.json()["connection_id"].as_str().unwrap().to_owned();
        for (method, path) in [("GET", "/api/classes"), ("POST", "/api/book"), ("GET", "/login"), ("POST", "/api/refresh")] {
            seen.push(format!("{:?}", booking.call(method, &id, path).await?));
        }
        seen.push(booking.shown(&id).await?.to_string());
        let rows = booking.app.store().read::<_, StoreError, _>(testing::dump_text).await?;
        let secrets = booking.site.secrets();
        assert!(secrets.len() > 6, "{}", secrets.len());
        for secret in secrets.iter().map(String::as_str).chain(["canary wrong password"]) {
            assert!(!seen.iter().any(|answer| answer.contains(secret)), "somebody got {secret}: {seen:?}");
            assert!(!rows.contains(secret), "the database has {secret}");
        }
        Ok(())
    }

    /// A wrong password uses nothing up; five of them do, so that nobody finds out passwords here.
    async fn wrong_passwords(database) {
        let booking = Booking::set(database).await?;
        let (url, agent) = (booking.open(json!({})).await?, Agent::default());
        let wrong = [("typed.email", EMAIL), ("typed.password", "wrong")];
        for number in 1..=4 {
            let refused = booking.fill(&agent, &url, &wrong).await?;
            assert_eq!(refused.status, 400, "{number}");
            assert!(refused.text.contains("data-testid=\"error\"") && !refused.text.contains("value=\"wrong\""));
        }
        booking.site.script(|script| script.login = Fault::Status(503));
        assert_eq!(booking.fill(&agent, &url, &wrong).await?.status, 502);
        booking.site.script(|script| script.login = Fault::None);
        let tried = booking.site.sign_ins();
        let right = [("typed.email", EMAIL), ("typed.password", BookingSite::PASSWORD)];
        assert_eq!(booking.fill(&agent, &url, &right).await?.status, 429);
        assert_eq!(booking.site.sign_ins(), tried, "the site is not asked any more");

        let other = booking.open(json!({})).await?;
        assert_eq!(booking.fill(&agent, &other, &wrong).await?.status, 400);
        let back = booking.sign_in(&agent, &other).await?;
        assert!(param(&back, "connect_code").is_some(), "a wrong password has not used it up: {back}");
        Ok(())
    }

    /// The limit of an account holds over all links.
    async fn an_account_is_no_lottery(database) {
        let booking = Booking::set(database).await?;
        let (agent, mut statuses) = (Agent::default(), Vec::new());
        for number in 0..11 {
            let url = booking.open(json!({"user_id": format!("u{number}")})).await?;
            let typed = [("typed.email", " ann@gym.EXAMPLE"), ("typed.password", "wrong")];
            statuses.push(booking.fill(&agent, &url, &typed).await?.status);
        }
        assert_eq!(statuses, [[400; 10].as_slice(), &[429]].concat());
        assert_eq!(booking.site.sign_ins(), 10);
        Ok(())
    }

    /// A one-time code that the site asks for, wrong at first.
    async fn a_one_time_code(database) {
        let booking = Booking::set(database).await?;
        booking.site.script(|script| script.asks_code = true);
        let (url, agent) = (booking.open(json!({})).await?, Agent::default());
        let typed = [("typed.email", EMAIL), ("typed.password", BookingSite::PASSWORD)];
        let asked = booking.fill(&agent, &url, &typed).await?;
        assert!(asked.status == 200 && asked.text.contains("name=\"typed.code\""), "{asked:?}");
        assert!(!asked.text.contains(BookingSite::PASSWORD));
        let again = booking.go_on(&agent, &url, &asked, &[("typed.code", "000000")]).await?;
        assert!(again.status == 400 && again.text.contains("name=\"typed.code\""), "{again:?}");
        let replayed = booking.go_on(&agent, &url, &asked, &[("typed.code", BookingSite::CODE)]).await?;
        assert_eq!(replayed.status, 400, "a step works once");
        let back = booking.go_on(&agent, &url, &again, &[("typed.code", BookingSite::CODE)]).await?;
        let confirmed = booking.confirm(&back.location()?.parse()?).await?;
        assert_eq!(booking.attendees(confirmed.json()["connection_id"].as_str().unwrap()).await?, 2);
        Ok(())
    }

    /// One typing serves both kinds: two sign-ins, two sessions, of which neither disturbs the other. Each has the fingerprint
    /// of its own.
    async fn device_and_background(database) {
        let booking = Booking::set(database).await?;
        let url = booking.open(json!({"session_kind": ["device", "background"], "fingerprint": "phone-1"})).await?;
        let page = booking.agent.get(&url).await?;
        for line in ["data-testid=\"device\"", "act while you are away"] {
            assert!(page.text.contains(line), "{line}: {page:?}");
        }
        let confirmed = booking.confirm(&booking.sign_in(&Agent::default(), &url).await?).await?.json();
        assert_eq!(booking.site.sign_ins(), 2);
        let kinds: Vec<_> = confirmed["connections"].as_array().unwrap().iter().map(|one| {
            (one["session_kind"].as_str().unwrap(), one["connection_id"].as_str().unwrap())
        }).collect();
        let [("device", device), ("background", background)] = kinds[..] else { panic!("{confirmed}") };
        booking.attendees(device).await?;
        booking.attendees(background).await?;
        let prints: Vec<_> = booking.site.refreshes().into_iter().map(|(_, print)| print).collect();
        assert_eq!((&*prints[0], prints[1].len()), ("phone-1", 32));

        let end = crate::support::connecting::ask(&booking.app, &booking.client, "DELETE", &format!("/api/connections/{device}"));
        assert_eq!(booking.agent.send(end).await?.status, 204);
        causeway_flow::upstream::revocation::revoke_due(&booking.app.ctx).await?;
        assert_eq!(booking.site.logouts(), 1, "the session at the site is ended with it");
        assert_eq!(booking.attendees(background).await?, 2, "the other one stays");

        // The same user's next background session has the same fingerprint.
        let again = booking.connect(json!({"session_kind": "background"})).await?;
        booking.attendees(&again).await?;
        assert_eq!(booking.site.refreshes().pop().unwrap().1, prints[1]);
        Ok(())
    }

    /// Day 6 extends a device session, day 7 without use ends it; the background session is kept by the schedule.
    async fn idle_ends(database) {
        let booking = Booking::set(database).await?;
        let device = booking.connect(json!({})).await?;
        let background = booking.connect(json!({"session_kind": "background"})).await?;
        booking.app.clock.advance(6 * DAY);
        assert_eq!(booking.attendees(&device).await?, 2);
        booking.app.clock.advance(6 * DAY);
        assert_eq!(booking.attendees(&device).await?, 2, "day 6 has extended it");
        booking.app.clock.advance(7 * DAY);
        assert_eq!(booking.call("GET", &device, "/api/classes").await?.refusal(), "404 not_found");
        sweep_all(&booking.app.ctx).await?;
        let before = booking.site.refreshes().len();
        assert_eq!(refresh_due_sessions(&booking.app.ctx).await?, 1);
        assert_eq!((booking.attendees(&background).await?, booking.site.refreshes().len()), (2, before + 1));
        for _ in 0..3 {
            booking.app.clock.advance(1500);
            assert_eq!(refresh_due_sessions(&booking.app.ctx).await?, 1, "every 25 minutes");
        }
        Ok(())
    }

    /// A device is found by its fingerprint, exactly; without one, the device that was used last. Jobs never get a device's.
    async fn two_devices(database) {
        let booking = Booking::set(database).await?;
        let phone = booking.connect(json!({"fingerprint": "phone"})).await?;
        booking.app.clock.advance(1);
        let tablet = booking.connect(json!({"fingerprint": "tablet"})).await?;
        let find = async |query: &str| {
            let path = format!("/api/connections/find?user_id=17&provider=scripted&{query}");
            let request = crate::support::connecting::ask(&booking.app, &booking.client, "GET", &path);
            booking.agent.send(request).await
        };
        for (query, id) in [
            ("session_kind=device&fingerprint=phone", &phone),
            ("session_kind=device&fingerprint=tablet", &tablet),
            ("session_kind=device", &tablet),
        ] {
            assert_eq!(find(query).await?.json()["connection_id"], **id, "{query}");
        }
        booking.app.clock.advance(61);
        booking.attendees(&phone).await?;
        assert_eq!(find("session_kind=device").await?.json()["connection_id"], phone, "used last");
        for (query, refusal) in [
            ("session_kind=device&fingerprint=watch", "404 not_found"),
            ("session_kind=device&fingerprint=phon", "404 not_found"),
            ("session_kind=background", "404 not_found"),
            ("session_kind=background&fingerprint=phone", "400 invalid_request"),
            ("fingerprint=phone", "400 invalid_request"),
        ] {
            assert_eq!(find(query).await?.refusal(), refusal, "{query}");
        }
        booking.app.clock.advance(7 * DAY);
        assert_eq!(find("session_kind=device").await?.refusal(), "404 not_found", "idle");
        Ok(())
    }

    /// Fifty calls at two servers find the session stale: one renewal, and every call sees those who attend.
    async fn fifty_calls_make_one_renewal(database) {
        let booking = Booking::set(database).await?;
        let other = booking.beside(database).await?;
        let id = booking.connect(json!({})).await?;
        let calls = (0..50).map(|number| {
            let app = if number % 2 == 0 { &booking.app } else { &other };
            booking.call_at(app, "GET", &id, "/api/classes")
        });
        for answer in join_all(calls).await {
            let answer = answer?;
            assert_eq!(answer.json()["classes"][0]["attendees"].as_array().map(Vec::len), Some(2), "{answer:?}");
        }
        assert_eq!(booking.site.refreshes().len(), 1);
        Ok(())
    }

    /// Headers of the caller select nothing, and the sign-in's own addresses are not relayed.
    async fn headers_select_nothing(database) {
        let booking = Booking::set(database).await?;
        let id = booking.connect(json!({})).await?;
        let request = crate::support::connecting::ask(&booking.app, &booking.client, "GET", &format!("/relay/{id}/api/classes"));
        let request = request.header("x-user-email", "eve@gym.example").header("cookie", "sid=theirs").header("x-token", "theirs");
        let answer = booking.agent.send(request).await?;
        assert_eq!(answer.json()["classes"][0]["for"], EMAIL, "{answer:?}");
        let call = booking.site.calls().pop().unwrap();
        assert!(!format!("{call:?}").contains("theirs") && !call.headers.contains_key("x-user-email"), "{call:?}");
        for (method, path) in [("POST", "/api/refresh"), ("POST", "/login"), ("POST", "/login/code"), ("POST", "/logout"), ("GET", "/home")] {
            assert_eq!(booking.call(method, &id, path).await?.refusal(), "400 invalid_request", "{path}");
        }
        Ok(())
    }

    /// The browser of the sign-in goes where the definition says, and nowhere else.
    async fn redirects_of_the_sign_in(database) {
        let booking = Booking::set(database).await?;
        booking.site.script(|script| script.leads_to = Some("/home".to_owned()));
        assert_eq!(booking.attendees(&booking.connect(json!({})).await?).await?, 2);
        let elsewhere = BookingSite::start(std::sync::Arc::new(booking.app.clock.clone()))?;
        let to = format!("{}/home", elsewhere.origin);
        booking.site.script(|script| script.leads_to = Some(to));
        let (url, agent) = (booking.open(json!({})).await?, Agent::default());
        let typed = [("typed.email", EMAIL), ("typed.password", BookingSite::PASSWORD)];
        assert_eq!(booking.fill(&agent, &url, &typed).await?.status, 502);
        Ok(())
    }
}
