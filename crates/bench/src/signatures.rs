//! What one signature costs to verify on this machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_jose::{EcKey, Jws, PublicJwk, sign_jwt};
use serde_json::{Map, json};

use crate::report::{Kind, Row};

/// The name of the row.
pub(crate) const VERIFICATION: &str = "P-256 verification";
/// Verifications that are timed together.
const BATCH: u32 = 50;

/// Verifies one signature for some time. The median batch counts: others may use the machine.
pub(crate) fn measure(span: Duration) -> Result<Row> {
    let key = EcKey::generate()?;
    let public = PublicJwk::parse(&key.public_jwk())?;
    let token = sign_jwt(&key, Map::new(), &json!({}))?;
    let jws = Jws::parse(&token, token.len())?;
    let started = Instant::now();
    let mut batches = Vec::new();
    while batches.is_empty() || started.elapsed() < span {
        let batch = Instant::now();
        for _ in 0..BATCH {
            black_box(jws.verify(&public)?);
        }
        batches.push(batch.elapsed() / BATCH);
    }
    batches.sort_unstable();
    let median = batches.get(batches.len() / 2).map_or(0.0, Duration::as_secs_f64);
    Ok(Row {
        name: VERIFICATION.to_owned(),
        kind: Kind::Calibration,
        count: u64::from(BATCH) * batches.len() as u64,
        per_second: 1.0 / median,
        p50_ms: None,
        p99_ms: None,
        max_ms: None,
        cpu_us: Some(median * 1e6),
        load_cpu_us: None,
        rss_mb: None,
        share: None,
    })
}
