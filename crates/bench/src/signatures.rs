//! What one signature costs to verify on this machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_jose::{EcKey, Jws, PublicJwk, sign_jwt};
use serde_json::{Map, json};

use crate::process::cpu_time;
use crate::report::{Kind, Row};

/// The name of the row.
pub(crate) const VERIFICATION: &str = "P-256 verification";
/// Verifies one signature for some time. CPU time counts, as it does for the server: others may use the
/// machine.
pub(crate) fn measure(span: Duration) -> Result<Row> {
    let key = EcKey::generate()?;
    let public = PublicJwk::parse(&key.public_jwk())?;
    let token = sign_jwt(&key, Map::new(), &json!({}))?;
    let jws = Jws::parse(&token, token.len())?;
    let (own, started, mut count) = (std::process::id(), Instant::now(), 0_u32);
    let before = cpu_time(own)?;
    while count == 0 || started.elapsed() < span {
        black_box(jws.verify(&public)?);
        count += 1;
    }
    let took = started.elapsed();
    let each = cpu_time(own)?.saturating_sub(before).as_secs_f64() / f64::from(count);
    Ok(Row {
        name: VERIFICATION.to_owned(),
        kind: Kind::Calibration,
        count: count.into(),
        per_second: f64::from(count) / took.as_secs_f64(),
        p50_ms: None,
        p99_ms: None,
        max_ms: None,
        cpu_us: Some(each * 1e6),
        load_cpu_us: None,
        rss_mb: None,
        share: None,
    })
}
