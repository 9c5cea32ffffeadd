//! Goals for the measurements.

use crate::calibration::BATCHED_ROWS;
use crate::cli;
use crate::postgres::{EXCHANGES, INSERTS, READS};
use crate::report::{Goal, Kind, Report};
use crate::signatures::{SIGNATURE, VERIFICATION};

/// Maximum time from the start of a process to its first response, in milliseconds.
const START_UP_MS: f64 = 40.0;
/// Maximum resident memory when idle, in megabytes.
const IDLE_MB: f64 = 30.0;
/// Maximum 99th percentile of latency, in milliseconds.
const P99_MS: f64 = 40.0;
/// Maximum that the relay adds to the median latency of a call, in milliseconds.
const RELAY_ADDS_MS: f64 = 1.5;
/// Maximum CPU time of a relayed call under load, in microseconds.
const RELAY_CPU_US: f64 = 250.0;
/// Minimum rates, as fractions of the rate of durable rows in commits of 32.
const SHARES: [(cli::Row, f64); 3] =
    [(cli::Row::Par, 1.0 / 2.0), (cli::Row::CodeExchange, 1.0 / 6.0), (cli::Row::Refresh, 1.0 / 6.0)];
/// Minimum rates, as fractions of the empty handler's.
const OF_THE_EMPTY_HANDLER: [(cli::Row, f64); 3] =
    [(cli::Row::Metadata, 0.70), (cli::Row::Introspection, 0.25), (cli::Row::Userinfo, 0.25)];

/// Maximum 99th percentile of a code exchange on the embedded database, in milliseconds.
const EXCHANGE_P99_MS: f64 = 10.0;

/// Maximum CPU time that a DPoP proof may add to a code exchange, in signature verifications.
const PROOF_VERIFICATIONS: f64 = 1.7;
/// Maximum CPU time that an id_token may add to a code exchange, in RS256 signatures.
const ID_TOKEN_SIGNATURES: f64 = 1.5;
/// Maximum 95th percentile of an upstream refresh, in milliseconds. It has no other latency goal, since
/// another server takes part in it.
const UPSTREAM_REFRESH_P95_MS: f64 = 500.0;

/// Maximum ratio of the median refresh latency of a session refreshed 100,000 times to that of a session
/// refreshed ten times.
const AGED_REFRESH: f64 = 1.5;

/// Minimum rates on PostgreSQL, as fractions of what it does by itself with the same statements.
const OF_POSTGRES: [(cli::Row, &str, f64); 5] = [
    (cli::Row::Introspection, READS, 0.6),
    (cli::Row::Userinfo, READS, 0.6),
    (cli::Row::Par, INSERTS, 0.6),
    (cli::Row::CodeExchange, EXCHANGES, 0.5),
    (cli::Row::Refresh, EXCHANGES, 0.5),
];
/// Maximum CPU time of a request on PostgreSQL, in microseconds.
const CPU_ON_POSTGRES: [(cli::Row, f64); 4] = [
    (cli::Row::Introspection, 50.0),
    (cli::Row::Userinfo, 50.0),
    (cli::Row::Par, 60.0),
    (cli::Row::RelayReads, 110.0),
];

/// Maximum CPU time of a request at two servers, theirs and the database's, as a fraction of that at one.
const TWO_NODES: f64 = 1.05;
/// The rows at two servers.
const AT_TWO_NODES: [cli::Row; 3] =
    [cli::Row::ParTwoNodes, cli::Row::RefreshTwoNodes, cli::Row::IntrospectionTwoNodes];

/// Evaluates every goal that the report has measurements for.
pub(crate) fn evaluate(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    if let Some(start_up) = &report.start_up {
        goals.push(Goal::below("start-up, ms".to_owned(), start_up.median_ms, START_UP_MS));
        goals.push(Goal::below("idle memory, MB".to_owned(), start_up.idle_rss_mb, IDLE_MB));
    }
    for (name, bound) in SHARES {
        if let Some(row) = report.row(name.name())
            && let Some(share) = row.share
        {
            goals.push(Goal::at_least(format!("{} / {BATCHED_ROWS}", row.name), share, bound));
        }
    }
    let empty = cli::Row::EmptyHandler.name();
    for (name, bound) in OF_THE_EMPTY_HANDLER {
        if let (Some(row), Some(base)) = (report.row(name.name()), report.row(empty)) {
            let share = row.per_second / base.per_second;
            goals.push(Goal::at_least(format!("{} / {empty}", row.name), share, bound));
        }
    }
    let cpu_us = |name: &str| report.row(name).and_then(|row| row.cpu_us);
    let (plain, bound) = (cli::Row::CodeExchange.name(), cli::Row::DpopCodeExchange.name());
    if let (Some(plain), Some(bound), Some(one)) = (cpu_us(plain), cpu_us(bound), cpu_us(VERIFICATION)) {
        let what = format!("CPU of a DPoP proof / {VERIFICATION}");
        goals.push(Goal::below(what, (bound - plain) / one, PROOF_VERIFICATIONS));
    }
    let (plain, signed) = (cli::Row::CodeExchange.name(), cli::Row::OpenidExchange.name());
    if let (Some(plain), Some(signed), Some(one)) = (cpu_us(plain), cpu_us(signed), cpu_us(SIGNATURE)) {
        let what = format!("CPU of an id_token / {SIGNATURE}");
        goals.push(Goal::below(what, (signed - plain) / one, ID_TOKEN_SIGNATURES));
    }
    let refresh = cli::Row::UpstreamRefresh.name();
    if let Some(p95) = report.row(refresh).and_then(|row| row.p95_ms) {
        goals.push(Goal::below(format!("{refresh} p95, ms"), p95, UPSTREAM_REFRESH_P95_MS));
    }
    goals.extend(on_postgres(report));
    let p50_ms = |name: cli::Row| report.row(name.name()).and_then(|row| row.p50_ms);
    if let (Some(young), Some(aged)) = (p50_ms(cli::Row::YoungRefresh), p50_ms(cli::Row::AgedRefresh)) {
        let what = format!("{} / {}", cli::Row::AgedRefresh.name(), cli::Row::YoungRefresh.name());
        goals.push(Goal::below(what, aged / young, AGED_REFRESH));
    }
    if let (Some(direct), Some(relayed)) = (p50_ms(cli::Row::PdsRead), p50_ms(cli::Row::RelayRead)) {
        goals.push(Goal::below("relay adds at the median, ms".to_owned(), relayed - direct, RELAY_ADDS_MS));
    }
    if let Some(cpu) = cpu_us(cli::Row::RelayReads.name()) {
        goals.push(Goal::below("relay CPU, us".to_owned(), cpu, RELAY_CPU_US));
    }
    let others = [refresh, cli::Row::YoungRefresh.name(), cli::Row::AgedRefresh.name()];
    for row in report.rows.iter().filter(|row| row.kind == Kind::Endpoint && !others.contains(&&*row.name)) {
        if let Some(p99) = row.p99_ms {
            let is_embedded = report.database == "sqlite";
            let is_exchange = row.name == cli::Row::CodeExchange.name();
            let bound = if is_embedded && is_exchange { EXCHANGE_P99_MS } else { P99_MS };
            goals.push(Goal::below(format!("{} p99, ms", row.name), p99, bound));
        }
    }
    goals
}

/// The goals that need a calibration of PostgreSQL.
fn on_postgres(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (name, calibration, bound) in OF_POSTGRES {
        if let (Some(row), Some(base)) = (report.row(name.name()), report.row(calibration)) {
            let what = format!("{} / {calibration}", row.name);
            goals.push(Goal::at_least(what, row.per_second / base.per_second, bound));
        }
    }
    let cpu = |name: &str| {
        let row = report.row(name)?;
        Some(row.cpu_us? + row.database_cpu_us?)
    };
    for two in AT_TWO_NODES {
        let Some(one) = two.at_one_node() else { continue };
        if let (Some(at_two), Some(at_one)) = (cpu(two.name()), cpu(one.name())) {
            let what = format!("CPU of {}, with the database / at one node", two.name());
            goals.push(Goal::below(what, at_two / at_one, TWO_NODES));
        }
    }
    if report.row(READS).is_some() {
        for (name, bound) in CPU_ON_POSTGRES {
            if let Some(cpu) = report.row(name.name()).and_then(|row| row.cpu_us) {
                goals.push(Goal::below(format!("{} CPU on PostgreSQL, us", name.name()), cpu, bound));
            }
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Row;
    use crate::report::tests::{report, row};

    #[test]
    fn goals_are_shares_of_the_batched_rate() {
        let mut calibration = row(BATCHED_ROWS, 6000.0);
        calibration.kind = Kind::Calibration;
        let with_share = |name, share| Row { share: Some(share), ..row(name, 1000.0) };
        let of_relay = |name, p50, cpu| Row { p50_ms: Some(p50), cpu_us: Some(cpu), ..row(name, 1.0) };
        let lone = [of_relay("pds read", 0.2, 20.0), of_relay("relay read", 1.8, 300.0)];
        let relay = lone.into_iter().chain([of_relay("relay reads", 9.0, 249.0)]);
        let mut rows = vec![calibration, with_share("par", 0.4999), with_share("refresh", 0.17)];
        rows.extend(relay);
        let goals = evaluate(&report(rows));
        let of = |what: &str| goals.iter().find(|goal| goal.what.starts_with(what)).map(|goal| goal.met);
        assert_eq!(of("par /"), Some(false));
        assert_eq!(of("refresh /"), Some(true));
        assert_eq!(of("code exchange"), None, "it was not measured");
        assert_eq!((of("relay adds"), of("relay CPU")), (Some(false), Some(true)));
        assert_eq!((of("par p99"), of("start-up"), of("idle")), (Some(true), Some(true), Some(true)));
        assert_eq!(of(&format!("{BATCHED_ROWS} p99")), None, "a calibration has no goal");
        assert_eq!(of("CPU of a DPoP proof"), None);
    }

    #[test]
    fn reads_are_shares_of_the_empty_handler() {
        let rows = vec![row("empty handler", 1000.0), row("userinfo", 249.0), row("introspection", 250.0)];
        let goals = evaluate(&report(rows));
        let of = |what: &str| goals.iter().find(|goal| goal.what.starts_with(what)).map(|goal| goal.met);
        assert_eq!((of("userinfo /"), of("introspection /")), (Some(false), Some(true)));
        assert_eq!(of("metadata /"), None, "it was not measured");
    }

    #[test]
    fn on_postgres_requests_are_shares_of_its_own_statements() {
        let of = |calibration, rate, what: &str| {
            let rows = vec![row(calibration, 1000.0), row("introspection", rate), row("refresh", rate)];
            evaluate(&report(rows)).into_iter().find(|goal| goal.what == what).map(|goal| goal.met)
        };
        let (read, refresh) = ("introspection / postgres: read by key", "refresh / postgres: code exchange");
        assert_eq!((of(READS, 599.0, read), of(READS, 601.0, read)), (Some(false), Some(true)));
        assert_eq!((of(EXCHANGES, 499.0, refresh), of(EXCHANGES, 501.0, refresh)), (Some(false), Some(true)));
        assert_eq!(of(READS, 1.0, "introspection CPU on PostgreSQL, us"), Some(true));
        assert_eq!(of("empty handler", 1.0, "introspection CPU on PostgreSQL, us"), None, "on SQLite");
    }

    #[test]
    fn an_upstream_refresh_has_its_own_bound() {
        let goals_of = |p95| {
            let slow = Row { p95_ms: Some(p95), p99_ms: Some(900.0), ..row("upstream refresh", 100.0) };
            evaluate(&report(vec![slow]))
        };
        let of = |p95| {
            goals_of(p95).iter().find(|goal| goal.what == "upstream refresh p95, ms").map(|goal| goal.met)
        };
        assert_eq!((of(499.0), of(501.0)), (Some(true), Some(false)));
        assert!(goals_of(1.0).iter().all(|goal| goal.what != "upstream refresh p99, ms"));
    }

    #[test]
    fn a_past_costs_nothing() {
        let with_p50 = |name, p50| Row { p50_ms: Some(p50), ..row(name, 100.0) };
        let of = |aged| {
            let goals =
                evaluate(&report(vec![with_p50("young refresh", 2.0), with_p50("aged refresh", aged)]));
            goals.iter().find(|goal| goal.what == "aged refresh / young refresh").map(|goal| goal.met)
        };
        assert_eq!((of(2.9), of(3.1)), (Some(true), Some(false)));
    }

    #[test]
    fn an_id_token_is_weighed_in_signatures() {
        let with_cpu = |name, cpu_us| Row { cpu_us: Some(cpu_us), ..row(name, 1000.0) };
        let of = |openid| {
            let rows = vec![
                with_cpu(SIGNATURE, 800.0),
                with_cpu("code exchange", 300.0),
                with_cpu("openid exchange", openid),
            ];
            let goals = evaluate(&report(rows));
            goals.iter().find(|goal| goal.what.starts_with("CPU of an id_token")).map(|goal| goal.met)
        };
        assert_eq!((of(1499.0), of(1501.0)), (Some(true), Some(false)));
    }

    #[test]
    fn a_proof_is_weighed_in_verifications() {
        let with_cpu = |name, cpu_us| Row { cpu_us: Some(cpu_us), ..row(name, 1000.0) };
        let of = |bound| {
            let rows = vec![
                with_cpu(VERIFICATION, 60.0),
                with_cpu("code exchange", 300.0),
                with_cpu("DPoP-bound code exchange", bound),
            ];
            let goals = evaluate(&report(rows));
            goals.iter().find(|goal| goal.what.starts_with("CPU of a DPoP proof")).map(|goal| goal.met)
        };
        assert_eq!((of(401.0), of(403.0)), (Some(true), Some(false)));
    }

    #[test]
    fn two_nodes_cost_as_much_as_one() {
        let with_cpu = |name, cpu_us, database| Row {
            cpu_us: Some(cpu_us),
            database_cpu_us: Some(database),
            ..row(name, 1000.0)
        };
        let of = |database| {
            let rows = vec![with_cpu("par", 60.0, 40.0), with_cpu("par, two nodes", 62.0, database)];
            let goals = evaluate(&report(rows));
            goals.iter().find(|goal| goal.what.starts_with("CPU of par, two nodes")).map(|goal| goal.met)
        };
        assert_eq!((of(42.0), of(44.0)), (Some(true), Some(false)));
    }
}
