//! Texts behind redirects, over TLS: outside development every step has to pass the guard.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use causeway_outbound::testing::Upstream;
use causeway_outbound::{HttpClient, HttpConfig, HttpError};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use url::Url;

const HOST: &str = "text.example";

fn self_signed() -> (PKey<Private>, X509) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, HOST).unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().dns(HOST).build(&certificate.x509v3_context(None, None)).unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}

/// A server with a certificate for [`HOST`]: `/text` is a text, and every other path leads to its query.
struct Server {
    port: u16,
    certificate: Vec<u8>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let (key, certificate) = self_signed();
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let (acceptor, listener) = (acceptor.build(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        let paths = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&paths);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap();
                seen.lock().unwrap().push(target.split('?').next().unwrap().to_owned());
                let (status, text) = match target.split_once('?') {
                    Some((_, location)) => (format!("302 Found\r\nlocation: {location}"), ""),
                    None => ("200 OK".to_owned(), "text"),
                };
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
                let _ = stream.shutdown();
            }
        });
        Self { port, certificate: certificate.to_pem().unwrap(), paths }
    }
}

#[tokio::test]
async fn each_step_to_a_text_passes_the_guard() {
    let (server, plain) = (Server::start(), Upstream::empty().await);
    let config = HttpConfig {
        extra_ca_pem: Some(server.certificate.clone()),
        resolve: vec![(HOST.to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST))],
        ..HttpConfig::default()
    };
    let client = HttpClient::new(&config).unwrap();
    let text = async |location: &str| {
        let url = Url::parse(&format!("https://{HOST}:{}/first?{location}", server.port)).unwrap();
        client.get_text(&url, 16, 3).await
    };
    let (port, plain_port) = (server.port, plain.url().port().unwrap());
    assert_eq!(text("/text").await.as_deref(), Ok("text"));
    assert_eq!(text(&format!("https://{HOST}:{port}/second?/third?/text")).await.as_deref(), Ok("text"));
    server.paths.lock().unwrap().clear();
    for location in [
        format!("http://{HOST}:{plain_port}/text"),
        format!("https://127.0.0.1:{port}/text"),
        format!("https://localhost:{port}/text"),
        format!("https://[::ffff:127.0.0.1]:{port}/text"),
        format!("https://user@{HOST}:{port}/text"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        format!("/second?http://{HOST}:{plain_port}/text"),
    ] {
        let outcome = text(&location).await;
        assert!(matches!(outcome, Err(HttpError::Blocked(_))), "{location}: {outcome:?}");
    }
    assert_eq!(plain.connections(), 0);
    assert!(!server.paths.lock().unwrap().contains(&"/text".to_owned()));
}
