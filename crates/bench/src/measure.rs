//! One run, from the first calibration to the report.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_domain::{Clock as _, SystemClock};
use causeway_jose::EcKey;
use causeway_store::DatabaseUrl;

use crate::calibration::{self, BATCH, BATCHED_ROWS, SINGLE_ROWS, Tally};
use crate::cli::{Arguments, Row as Name};
use crate::goals;
use crate::load::{self, Traffic, WARM_UP, server_of};
use crate::machine::Machine;
use crate::postgres::{self, Work};
use crate::prepare::{Prepared, Wanted, prepare};
use crate::process::Running;
use crate::report::{Kind, Report, Row};
use crate::server;
use crate::start_up;
use crate::traffic::{Codes, Exchange, Repeated, Rotation};
use crate::{empty_handler, http, loopback_pds, signatures};

/// Codes prepared per durable row and second: more than code exchanges can use up, since each writes three
/// rows.
const CODES_A_ROW: f64 = 1.0 / 2.5;
/// No machine with a few cores exchanges more codes for an id_token than this.
const OPENID_CODES_A_SECOND: usize = 8000;

/// Measures every row requested.
///
/// # Errors
/// When something does not start, or a request fails.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Report> {
    let program = &arguments.server.canonicalize().context("the server's binary")?;
    let machine = Machine::here(&arguments.scratch)?;
    if machine.is_memory() {
        eprintln!("*** {} is in memory: commits cost nothing there", arguments.scratch.display());
    }
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(arguments.scratch.canonicalize()?)?;
    let start_up = if arguments.wants(Name::StartUp) {
        say("start-up");
        Some(start_up::measure(program, scratch.path()).await?)
    } else {
        None
    };
    let url = arguments.database_url.clone().unwrap_or_else(|| server::sqlite_url(scratch.path()));
    let run = Run { arguments, program, scratch: scratch.path(), url: url.parse()?, url_text: url };
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unix_time: SystemClock.now().as_secs(),
        machine,
        database: server::kind(&run.url).to_owned(),
        seconds: arguments.seconds,
        connections: arguments.connections,
        start_up,
        rows: run.rows().await?,
        goals: Vec::new(),
    };
    report.goals = goals::evaluate(&report);
    Ok(report)
}

/// Progress, on standard error.
fn say(what: &str) {
    eprintln!("measuring {what}");
}

struct Run<'a> {
    arguments: &'a Arguments,
    program: &'a Path,
    scratch: &'a Path,
    url: DatabaseUrl,
    url_text: String,
}

impl Run<'_> {
    async fn rows(&self) -> Result<Vec<Row>> {
        let single = self.commits(1)?;
        let mut batched = vec![self.commits(BATCH)?];
        let mut measured = Vec::new();
        if self.arguments.wants(Name::DpopCodeExchange) {
            say(signatures::VERIFICATION);
            measured.push(signatures::measure_verification(self.arguments.span() / 5)?);
        }
        if self.arguments.wants(Name::OpenidExchange) {
            say(signatures::SIGNATURE);
            measured.push(signatures::measure_signature(self.arguments.span() / 5)?);
        }
        if self.arguments.wants(Name::EmptyHandler) {
            let servers = [empty_handler::start()?];
            let traffic = self.each(&servers, |host| Ok(Repeated::get(host, empty_handler::PATH)))?;
            measured.push(self.load(Name::EmptyHandler, &servers, traffic).await?);
        }
        let mut statements = self.statements()?;
        let pds = [loopback_pds::start()?];
        let [home] = &pds;
        if self.arguments.wants(Name::PdsRead) || self.arguments.wants(Name::RelayRead) {
            let alone: Box<dyn Traffic> = Box::new(Repeated::get(&home.address, loopback_pds::PATH));
            measured.push(self.load(Name::PdsRead, &pds, vec![alone]).await?);
        }
        let endpoints = self.endpoints(home, &mut batched).await?;
        for (tally, again) in statements.iter_mut().zip(self.statements()?) {
            *tally += again;
        }
        measured.extend(Work::ALL.iter().zip(statements).map(|(work, tally)| tally.row(work.name())));
        measured.extend(endpoints);
        let mut all = Tally::default();
        for tally in batched {
            all += tally;
        }
        let mut rows = vec![single.row(SINGLE_ROWS), all.row(BATCHED_ROWS)];
        rows.extend(measured);
        Ok(rows)
    }

    /// Measures commits; on SQLite in a separate file, so that the server's stays small.
    fn commits(&self, rows_a_commit: u32) -> Result<Tally> {
        say("durable commits");
        let span = self.arguments.span() / 2;
        match &self.url {
            DatabaseUrl::Sqlite { .. } => {
                let directory = tempfile::tempdir_in(self.scratch)?;
                calibration::measure(&server::sqlite_url(directory.path()).parse()?, rows_a_commit, span)
            }
            url @ DatabaseUrl::Postgres(_) => calibration::measure(url, rows_a_commit, span),
        }
    }

    /// Measures what PostgreSQL does by itself, in the order of [`Work::ALL`]; nothing on SQLite.
    fn statements(&self) -> Result<Vec<Tally>> {
        let DatabaseUrl::Postgres(url) = &self.url else { return Ok(Vec::new()) };
        let (connections, span) = (self.arguments.connections, self.arguments.span() / 2);
        let measure = |work: &Work| {
            say(work.name());
            postgres::measure(url, connections, *work, span)
        };
        Work::ALL.iter().map(measure).collect()
    }

    /// Measures the endpoints, and the disk around each row that depends on it: its speed changes during a
    /// run.
    async fn endpoints(&self, pds: &Running, batched: &mut Vec<Tally>) -> Result<Vec<Row>> {
        let is_shared = matches!(self.url, DatabaseUrl::Postgres(_));
        let wanted = |name: &Name| self.arguments.wants(*name) && (is_shared || name.at_one_node().is_none());
        let endpoints = [
            Name::Healthz,
            Name::Metadata,
            Name::Par,
            Name::CodeExchange,
            Name::DpopCodeExchange,
            Name::Refresh,
            Name::OpenidExchange,
            Name::OpenidEs256Exchange,
            Name::Introspection,
            Name::Userinfo,
            Name::UpstreamRefresh,
            Name::YoungRefresh,
            Name::AgedRefresh,
            Name::RelayRead,
            Name::RelayReads,
            Name::ParTwoNodes,
            Name::RefreshTwoNodes,
            Name::IntrospectionTwoNodes,
        ];
        if !endpoints.iter().any(wanted) {
            return Ok(Vec::new());
        }
        let count = self.codes(batched.last().copied().unwrap_or_default());
        let home = format!("http://{}", pds.address);
        let ages = endpoints.into_iter().filter(wanted).filter_map(Name::age).collect();
        let openid = |row| if self.arguments.wants(row) { self.openid_codes() } else { 0 };
        let amount = Wanted {
            codes: count,
            openid: openid(Name::OpenidExchange),
            openid_es256: openid(Name::OpenidEs256Exchange),
            ages,
        };
        let pools = Pools::new(prepare(&self.url, self.scratch, &home, &amount).await?);
        let start = async || {
            let server = server::start(self.program, self.scratch, &self.url_text, Some(&home))?;
            http::get(&server.address, "/readyz").await.map(|()| server)
        };
        let mut servers = vec![start().await?];
        let (mut rows, mut around) = (Vec::new(), None);
        for name in endpoints.into_iter().filter(wanted) {
            if name.at_one_node().is_some() && servers.len() == 1 {
                servers.push(start().await?);
            }
            let mut nearby = match around.take() {
                Some(before) => before,
                None if name.is_durable() => self.note_commits(batched)?,
                None => Tally::default(),
            };
            let traffic = self.traffic(name, &servers, &pools).await?;
            let mut row = self.load(name, &servers, traffic).await?;
            if name.is_durable() {
                let after = self.note_commits(batched)?;
                nearby += after;
                around = Some(after);
                row.share = Some(row.per_second / nearby.per_second());
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// Measures the disk once more; the result also counts toward the row of the calibration.
    fn note_commits(&self, batched: &mut Vec<Tally>) -> Result<Tally> {
        let tally = self.commits(BATCH)?;
        batched.push(tally);
        Ok(tally)
    }

    async fn traffic(&self, name: Name, servers: &[Running], pools: &Pools) -> Result<Vec<Box<dyn Traffic>>> {
        let codes = &pools.plain;
        // One at a time: these measure latency, not how a busy machine performs.
        let alone = servers.get(..1).unwrap_or_default();
        Ok(match name {
            Name::StartUp | Name::EmptyHandler | Name::Healthz => {
                self.each(servers, |host| Ok(Repeated::get(host, "/healthz")))?
            }
            Name::Metadata => {
                self.each(servers, |host| Ok(Repeated::get(host, "/.well-known/oauth-authorization-server")))?
            }
            Name::Par | Name::ParTwoNodes => {
                self.each(servers, |host| Ok(Repeated::par(host, codes.authorization())))?
            }
            Name::CodeExchange => {
                let another = self.arguments.wants(Name::DpopCodeExchange);
                codes.allot(1 + usize::from(another), self.kept());
                self.exchanges(servers, codes)?
            }
            Name::DpopCodeExchange => {
                codes.allot(1, self.kept());
                self.each(servers, |host| {
                    let key = Some(EcKey::generate()?);
                    Ok(Exchange { codes: Arc::clone(codes), host: host.to_owned(), key })
                })?
            }
            Name::OpenidExchange => {
                pools.openid.allot(1, 0);
                self.exchanges(servers, &pools.openid)?
            }
            Name::OpenidEs256Exchange => {
                pools.openid_es256.allot(1, 0);
                self.exchanges(servers, &pools.openid_es256)?
            }
            Name::Refresh | Name::RefreshTwoNodes => {
                self.each_with_code(servers, codes, async |host| Rotation::begin(host, codes).await).await?
            }
            Name::Introspection | Name::IntrospectionTwoNodes => {
                self.each_with_code(servers, codes, async |host| Repeated::introspection(host, codes).await)
                    .await?
            }
            Name::Userinfo => self.with_tokens(servers, "/oauth/userinfo", codes).await?,
            Name::UpstreamRefresh => {
                self.each_with_code(servers, codes, async |host| {
                    Repeated::upstream_refresh(host, codes).await
                })
                .await?
            }
            // These use sessions of their own.
            Name::YoungRefresh | Name::AgedRefresh => {
                pools.aged.allot_next(1);
                vec![Box::new(Repeated::upstream_refresh(&server_of(alone, 0)?.address, &pools.aged).await?)]
            }
            Name::PdsRead | Name::RelayRead => {
                codes.allot_next(1);
                let host = &server_of(alone, 0)?.address;
                vec![Box::new(Repeated::with_token(host, loopback_pds::PATH, codes).await?)]
            }
            Name::RelayReads => self.with_tokens(servers, loopback_pds::PATH, codes).await?,
        })
    }

    /// Each connection reads with an access token of its own.
    async fn with_tokens(
        &self,
        servers: &[Running],
        path: &'static str,
        codes: &Codes,
    ) -> Result<Vec<Box<dyn Traffic>>> {
        self.each_with_code(servers, codes, async |host| Repeated::with_token(host, path, codes).await).await
    }

    /// Each connection redeems codes of the same pool.
    fn exchanges(&self, servers: &[Running], codes: &Arc<Codes>) -> Result<Vec<Box<dyn Traffic>>> {
        let exchange = |host: &str| Exchange { codes: Arc::clone(codes), host: host.to_owned(), key: None };
        self.each(servers, |host| Ok(exchange(host)))
    }

    /// Each connection begins with one code.
    async fn each_with_code<T: Traffic + 'static>(
        &self,
        servers: &[Running],
        codes: &Codes,
        begin: impl AsyncFn(&str) -> Result<T>,
    ) -> Result<Vec<Box<dyn Traffic>>> {
        codes.allot_next(self.chains());
        let mut all: Vec<Box<dyn Traffic>> = Vec::new();
        for number in 0..self.chains() {
            all.push(Box::new(begin(&server_of(servers, number)?.address).await?));
        }
        Ok(all)
    }

    fn each<T: Traffic + 'static>(
        &self,
        servers: &[Running],
        make: impl Fn(&str) -> Result<T>,
    ) -> Result<Vec<Box<dyn Traffic>>> {
        let of = |number| {
            let host = &server_of(servers, number)?.address;
            Ok(Box::new(make(host)?) as Box<dyn Traffic>)
        };
        (0..self.chains()).map(of).collect()
    }

    async fn load(&self, name: Name, servers: &[Running], traffic: Vec<Box<dyn Traffic>>) -> Result<Row> {
        say(name.name());
        let calibrates = matches!(name, Name::EmptyHandler | Name::PdsRead);
        let kind = if calibrates { Kind::Calibration } else { Kind::Endpoint };
        load::run(name.name(), kind, servers, traffic, self.arguments.span()).await
    }

    /// Number of refresh token chains, each of which begins with a code.
    fn chains(&self) -> usize {
        usize::from(self.arguments.connections)
    }

    /// Codes reserved for the rows after the exchanges: one per connection for seven rows, and one for the
    /// single relayed call.
    fn kept(&self) -> usize {
        7 * self.chains() + 1
    }

    /// Number of codes with id_token to prepare.
    fn openid_codes(&self) -> usize {
        let seconds = (self.arguments.span() + WARM_UP).as_secs();
        usize::try_from(seconds).unwrap_or(usize::MAX).saturating_mul(OPENID_CODES_A_SECOND)
    }

    /// Number of codes without id_token to prepare.
    fn codes(&self, batched: Tally) -> usize {
        let exchanges = [Name::CodeExchange, Name::DpopCodeExchange];
        let exchanges = exchanges.into_iter().filter(|name| self.arguments.wants(*name)).count();
        let seconds = (self.arguments.span() + WARM_UP).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and capped")]
        let codes = (batched.per_second() * CODES_A_ROW * seconds).min(200_000.0) as usize;
        self.kept() + 1000 + codes * exchanges
    }
}

/// The codes that requests are made with.
struct Pools {
    plain: Arc<Codes>,
    openid: Arc<Codes>,
    openid_es256: Arc<Codes>,
    aged: Arc<Codes>,
}

impl Pools {
    fn new(prepared: Prepared) -> Self {
        let Prepared { plain, openid, openid_es256, aged } = prepared;
        let [plain, openid, openid_es256, aged] =
            [plain, openid, openid_es256, aged].map(|codes| Arc::new(Codes::new(codes)));
        Self { plain, openid, openid_es256, aged }
    }
}
