//! The outbound client: what it refuses to connect to, to read, and to wait for.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use causeway_outbound::testing::{Reply, Upstream};
use causeway_outbound::{HttpClient, HttpConfig, HttpError};
use serde_json::{Value, json};
use url::Url;

async fn get(config: &HttpConfig, url: &str) -> Result<Value, HttpError> {
    let url = Url::parse(url).unwrap();
    HttpClient::new(config).unwrap().get_json(&url, HttpClient::DOCUMENT_CAP).await
}

async fn get_in_dev(upstream: &Upstream, path: &str) -> Result<Value, HttpError> {
    let total_timeout = Duration::from_secs(1);
    let config = HttpConfig { dev_mode: true, total_timeout, ..HttpConfig::default() };
    get(&config, &format!("{}{path}", upstream.origin)).await
}

/// Every way to write an address that is not on the public internet, and a name that leads to one.
#[tokio::test]
async fn private_addresses_are_never_connected_to() {
    let upstream = Upstream::empty().await;
    let port = upstream.url().port().unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::1]",
        "[fe80::1]",
        "localhost",
        "LOCALHOST",
    ] {
        let outcome = get(&HttpConfig::default(), &format!("https://{host}:{port}/")).await;
        let expected = HttpError::Blocked("the address is not on the public internet");
        assert_eq!(outcome, Err(expected), "{host}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn only_https_without_credentials() {
    for url in ["http://1.1.1.1/", "ftp://1.1.1.1/", "https://user@1.1.1.1/", "https://:secret@1.1.1.1/"] {
        let outcome = get(&HttpConfig::default(), url).await;
        assert!(matches!(outcome, Err(HttpError::Blocked(_))), "{url}: {outcome:?}");
    }
}

/// The operator's own names pass the guard: what fails here is only that the server speaks no TLS.
#[tokio::test]
async fn fixed_names_are_exempt() {
    let upstream = Upstream::empty().await;
    let port = upstream.url().port().unwrap();
    let config = HttpConfig {
        resolve: vec![("PDS.internal".to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST))],
        ..HttpConfig::default()
    };
    let outcome = get(&config, &format!("https://pds.internal:{port}/")).await;
    assert!(matches!(outcome, Err(HttpError::Unreachable(_))), "{outcome:?}");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_error_and_never_followed() {
    let upstream = Upstream::empty().await;
    upstream.on("/target", &json!({}));
    for (status, location) in [
        (301, "/target"),
        (302, "http://169.254.169.254/latest/"),
        (307, "http://10.0.0.1/"),
        (308, "/target"),
    ] {
        upstream.script_path("/from", [Reply::html(status).header("location", location)]);
        assert_eq!(get_in_dev(&upstream, "/from").await, Err(HttpError::Redirected), "{status}");
    }
    assert!(upstream.seen("/target").is_empty());
}

/// A text may be elsewhere: three steps away, each of them to an address that we connect to.
#[tokio::test]
async fn a_text_is_followed_as_far_as_it_may_be() {
    let upstream = Upstream::empty().await;
    let to = |status: u16, location: &str| Reply::html(status).header("location", location);
    let text = async |path: &str, config: HttpConfig| {
        let url = Url::parse(&format!("{}{path}", upstream.origin)).unwrap();
        HttpClient::new(&config).unwrap().get_text(&url, 16, 3).await
    };
    let dev = || HttpConfig { dev_mode: true, ..HttpConfig::default() };
    for (status, n) in [(301, 1), (302, 2), (307, 3), (308, 4)] {
        upstream.script_path(&format!("/{n}"), [to(status, &format!("{}", n - 1))]);
    }
    for status in [200, 203, 299] {
        upstream.script_path("/0", [Reply::new(status, "text/html", " text\n")]);
        assert_eq!(text("/3", dev()).await.as_deref(), Ok(" text\n"), "{status}");
    }
    assert_eq!(text("/4", dev()).await, Err(HttpError::Redirected));
    upstream.script_path("/absolute", [to(303, &format!("{}/0", upstream.origin))]);
    assert!(text("/absolute", dev()).await.is_ok());
    for (path, location) in [("/a", "http://"), ("/b", "http://[::1")] {
        upstream.script_path(path, [to(302, location)]);
        assert_eq!(text(path, dev()).await, Err(HttpError::Redirected), "{location}");
    }
    upstream.script_path("/nowhere", [Reply::html(302)]);
    assert_eq!(text("/nowhere", dev()).await, Err(HttpError::Redirected));
    for location in ["ftp://a.example/", "https://user@a.example/", "file:///etc/passwd"] {
        upstream.script_path("/off", [to(302, location)]);
        assert!(matches!(text("/off", dev()).await, Err(HttpError::Blocked(_))), "{location}");
    }
    upstream.script_path("/0", [Reply::html(304)]);
    assert!(matches!(text("/0", dev()).await, Err(HttpError::Status { status: 304, .. })));
    upstream.script_path("/0", [Reply::new(200, "text/plain", "more than sixteen")]);
    assert_eq!(text("/0", dev()).await, Err(HttpError::TooLarge));
}

#[tokio::test]
async fn only_json_is_read_as_json() {
    let upstream = Upstream::empty().await;
    for kind in ["application/json", "Application/JSON ; charset=utf-8", "application/did+ld+json"] {
        upstream.script_path("/doc", [Reply::new(200, kind, "{}")]);
        assert_eq!(get_in_dev(&upstream, "/doc").await, Ok(json!({})), "{kind}");
    }
    for kind in ["text/html", "text/plain", "application/jsonp", "text/x+json", ""] {
        upstream.script_path("/doc", [Reply::new(200, kind, "{}")]);
        assert_eq!(get_in_dev(&upstream, "/doc").await, Err(HttpError::NotJson), "{kind}");
    }
    upstream.script_path("/doc", [Reply::new(200, "application/json", "<h1>hello</h1>")]);
    assert_eq!(get_in_dev(&upstream, "/doc").await, Err(HttpError::NotJson));
}

#[tokio::test]
async fn a_large_body_is_not_read() {
    let upstream = Upstream::empty().await;
    let body = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    let reply = |length| Reply::new(200, "application/json", body(length));
    upstream.script_path("/announced", [reply(5 << 20)]);
    upstream.script_path("/unannounced", [reply(5 << 20).unannounced()]);
    // Refused for what it announces, before the first byte too many has come.
    upstream.script_path("/stalled", [reply(HttpClient::DOCUMENT_CAP + 1).stalled()]);
    upstream.script_path("/just", [reply(HttpClient::DOCUMENT_CAP)]);
    upstream.script_path("/over", [reply(HttpClient::DOCUMENT_CAP + 1).unannounced()]);
    assert_eq!(get_in_dev(&upstream, "/announced").await, Err(HttpError::TooLarge));
    assert_eq!(get_in_dev(&upstream, "/unannounced").await, Err(HttpError::TooLarge));
    assert_eq!(get_in_dev(&upstream, "/stalled").await, Err(HttpError::TooLarge));
    assert!(get_in_dev(&upstream, "/just").await.is_ok());
    assert_eq!(get_in_dev(&upstream, "/over").await, Err(HttpError::TooLarge));
}

/// Whether a request can have been carried out decides what may be done with what it carried.
#[tokio::test]
async fn no_answer_is_told_apart_from_no_connection() {
    let upstream = Upstream::empty().await;
    upstream.script_path("/slow", [Reply::json(200, &json!({})).late(Duration::from_secs(5))]);
    upstream.script_path("/stalled", [Reply::json(200, &json!({ "a": "b" })).stalled()]);
    upstream.script_path("/hang-up", [Reply::hang_up()]);
    for (path, expected) in [
        ("/slow", HttpError::Timeout),
        ("/stalled", HttpError::Timeout),
        ("/hang-up", HttpError::Interrupted),
    ] {
        assert!(expected.may_have_arrived());
        assert_eq!(get_in_dev(&upstream, path).await, Err(expected), "{path}");
    }
    let closed = {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let config = HttpConfig { dev_mode: true, ..HttpConfig::default() };
    let error = get(&config, &format!("http://{closed}/secret?secret")).await.unwrap_err();
    assert!(matches!(error, HttpError::Unreachable(_)), "{error:?}");
    assert!(!error.may_have_arrived());
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn statuses_and_retry_after() {
    let upstream = Upstream::empty().await;
    for (reply, retry_after) in [
        (Reply::html(503).header("retry-after", "7"), Some(7)),
        (
            Reply::html(503)
                .header("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")
                .header("date", "Wed, 21 Oct 2015 07:27:00 GMT"),
            Some(60),
        ),
        (Reply::html(503), None),
    ] {
        upstream.script_path("/busy", [reply]);
        let error = get_in_dev(&upstream, "/busy").await.unwrap_err();
        assert_eq!(error, HttpError::Status { status: 503, retry_after });
    }
    upstream.script_path("/created", [Reply::json(201, &json!({}))]);
    assert!(matches!(get_in_dev(&upstream, "/created").await, Err(HttpError::Status { status: 201, .. })));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    assert!(HttpClient::new(&HttpConfig::default()).is_ok());
    for config in [
        HttpConfig { extra_ca_pem: Some(b"not a certificate".to_vec()), ..HttpConfig::default() },
        HttpConfig { user_agent: "two\nlines".to_owned(), ..HttpConfig::default() },
    ] {
        assert!(matches!(HttpClient::new(&config), Err(HttpError::Setup(_))));
    }
}
