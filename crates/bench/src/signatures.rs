//! Cost of verifying and creating one signature on this machine.

use std::hint::black_box;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use causeway_jose::{EcKey, Jws, PublicJwk, SigningKey, sign_jwt};
use causeway_types::SigningAlg;
use serde_json::{Map, json};

use crate::process::cpu_time;
use crate::report::{Kind, Row};

/// Name of the row for the signature check of a DPoP proof.
pub(crate) const VERIFICATION: &str = "P-256 verification";
/// Name of the row for the signature of an id_token.
pub(crate) const SIGNATURE: &str = "RS256 signature";

/// Verifies a signature repeatedly for `span`.
///
/// # Errors
/// When the cryptographic library fails.
pub(crate) fn measure_verification(span: Duration) -> Result<Row> {
    let key = EcKey::generate()?;
    let public = PublicJwk::parse(&key.public_jwk())?;
    let token = sign_jwt(&key, Map::new(), &json!({}))?;
    let jws = Jws::parse(&token, token.len())?;
    measure(VERIFICATION, span, || {
        black_box(jws.verify(&public)?);
        Ok(())
    })
}

/// Signs repeatedly for `span`, with an RSA key as large as the server's.
///
/// # Errors
/// When the cryptographic library fails.
pub(crate) fn measure_signature(span: Duration) -> Result<Row> {
    let key = SigningKey::generate(SigningAlg::Rs256)?;
    measure(SIGNATURE, span, || {
        black_box(key.sign("JWT", &json!({}))?);
        Ok(())
    })
}

/// Measures CPU time, as for the server, since other programs may use the machine. All cores work, as they do
/// under the rows that this is compared with: two threads that share a core's units take longer for the same
/// work.
fn measure(name: &str, span: Duration, work: impl Fn() -> Result<()> + Sync) -> Result<Row> {
    let (own, started) = (std::process::id(), Instant::now());
    let before = cpu_time(own)?;
    let repeat = || {
        let mut count = 0_u32;
        while count == 0 || started.elapsed() < span {
            work()?;
            count += 1;
        }
        Ok(count)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let count = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(repeat)).collect();
        threads
            .into_iter()
            .map(|one| one.join().map_err(|_| anyhow!("a thread panicked"))?)
            .sum::<Result<u32>>()
    })?;
    let took = started.elapsed();
    let each = cpu_time(own)?.saturating_sub(before).as_secs_f64() / f64::from(count);
    Ok(Row {
        name: name.to_owned(),
        kind: Kind::Calibration,
        count: count.into(),
        per_second: f64::from(count) / took.as_secs_f64(),
        p50_ms: None,
        p95_ms: None,
        p99_ms: None,
        max_ms: None,
        cpu_us: Some(each * 1e6),
        load_cpu_us: None,
        database_cpu_us: None,
        rss_mb: None,
        share: None,
    })
}
