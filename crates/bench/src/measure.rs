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
use crate::load::{self, Traffic, WARM_UP};
use crate::machine::Machine;
use crate::postgres::{self, Work};
use crate::prepare::{Wanted, prepare};
use crate::process::Running;
use crate::report::{Kind, Report, Row};
use crate::server;
use crate::start_up;
use crate::traffic::{Codes, Exchange, Repeated, Rotation};
use crate::{empty_handler, http, loopback_pds, signatures};

/// Codes prepared per durable row and second: more than code exchanges can use up, since each writes three
/// rows.
const CODES_A_ROW: f64 = 1.0 / 2.5;
/// An exchange with an id_token takes a signature of some 0.8 ms: no machine with a few cores does more than
/// this.
const OPENID_CODES_A_SECOND: usize = 4000;

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
            let server = empty_handler::start()?;
            let ask = |host: &str| Repeated::get(host, empty_handler::PATH);
            measured.push(self.load(Name::EmptyHandler, &server, self.repeat(ask, &server)).await?);
        }
        let mut statements = self.statements()?;
        let pds = loopback_pds::start()?;
        if self.arguments.wants(Name::PdsRead) || self.arguments.wants(Name::RelayRead) {
            let alone: Box<dyn Traffic> = Box::new(Repeated::get(&pds.address, loopback_pds::PATH));
            measured.push(self.load(Name::PdsRead, &pds, vec![alone]).await?);
        }
        let endpoints = self.endpoints(&pds, &mut batched).await?;
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
        let wanted = |name: &Name| self.arguments.wants(*name);
        let endpoints = [
            Name::Healthz,
            Name::Metadata,
            Name::Par,
            Name::CodeExchange,
            Name::DpopCodeExchange,
            Name::Refresh,
            Name::OpenidExchange,
            Name::Introspection,
            Name::Userinfo,
            Name::UpstreamRefresh,
            Name::YoungRefresh,
            Name::AgedRefresh,
            Name::RelayRead,
            Name::RelayReads,
        ];
        if !endpoints.iter().any(wanted) {
            return Ok(Vec::new());
        }
        let count = self.codes(batched.last().copied().unwrap_or_default());
        let home = format!("http://{}", pds.address);
        let ages = endpoints.into_iter().filter(wanted).filter_map(Name::age).collect();
        let amount = Wanted { codes: count, openid: self.openid_codes(), ages };
        let prepared = prepare(&self.url, self.scratch, &home, &amount).await?;
        let (codes, openid, aged) = Codes::new(prepared);
        let (codes, openid) = (Arc::new(codes), Arc::new(openid));
        let server = server::start(self.program, self.scratch, &self.url_text, Some(&home))?;
        http::get(&server.address, "/readyz").await?;
        let (mut rows, mut around) = (Vec::new(), None);
        for name in endpoints.into_iter().filter(wanted) {
            let mut nearby = match around.take() {
                Some(before) => before,
                None if name.is_durable() => self.note_commits(batched)?,
                None => Tally::default(),
            };
            let traffic = match name.age() {
                Some(_) => aged_session(&server.address, &aged).await?,
                None => self.traffic(name, &server, &codes, &openid).await?,
            };
            let mut row = self.load(name, &server, traffic).await?;
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

    async fn traffic(
        &self,
        name: Name,
        server: &Running,
        codes: &Arc<Codes>,
        openid: &Arc<Codes>,
    ) -> Result<Vec<Box<dyn Traffic>>> {
        let host = &server.address;
        Ok(match name {
            Name::StartUp | Name::EmptyHandler | Name::Healthz => {
                self.repeat(|host| Repeated::get(host, "/healthz"), server)
            }
            Name::Metadata => {
                self.repeat(|host| Repeated::get(host, "/.well-known/oauth-authorization-server"), server)
            }
            Name::Par => self.repeat(|host| Repeated::par(host, codes.authorization()), server),
            Name::CodeExchange => {
                let another = self.arguments.wants(Name::DpopCodeExchange);
                codes.allot(1 + usize::from(another), self.kept());
                self.each(|| Exchange { codes: Arc::clone(codes), host: host.clone(), key: None })
            }
            Name::DpopCodeExchange => {
                codes.allot(1, self.kept());
                let mut clients: Vec<Box<dyn Traffic>> = Vec::new();
                for _ in 0..self.arguments.connections {
                    let key = Some(EcKey::generate()?);
                    clients.push(Box::new(Exchange { codes: Arc::clone(codes), host: host.clone(), key }));
                }
                clients
            }
            Name::Refresh => {
                codes.allot(1, self.kept() - self.chains());
                let mut chains: Vec<Box<dyn Traffic>> = Vec::new();
                for _ in 0..self.arguments.connections {
                    chains.push(Box::new(Rotation::begin(host, codes).await?));
                }
                chains
            }
            Name::OpenidExchange => {
                openid.allot(1, 0);
                self.each(|| Exchange { codes: Arc::clone(openid), host: host.clone(), key: None })
            }
            Name::Introspection => {
                codes.allot(1, 3 * self.chains() + 1);
                let mut clients: Vec<Box<dyn Traffic>> = Vec::new();
                for _ in 0..self.arguments.connections {
                    clients.push(Box::new(Repeated::introspection(host, codes).await?));
                }
                clients
            }
            Name::Userinfo => {
                codes.allot(1, 2 * self.chains() + 1);
                self.with_tokens(host, "/oauth/userinfo", codes).await?
            }
            // These use sessions of their own.
            Name::YoungRefresh | Name::AgedRefresh => Vec::new(),
            Name::UpstreamRefresh => {
                codes.allot(1, self.chains() + 1);
                let mut clients: Vec<Box<dyn Traffic>> = Vec::new();
                for _ in 0..self.arguments.connections {
                    clients.push(Box::new(Repeated::upstream_refresh(host, codes).await?));
                }
                clients
            }
            // One at a time: this measures what the relay adds, not how a busy machine performs.
            Name::PdsRead | Name::RelayRead => {
                codes.allot(1, self.chains());
                vec![Box::new(Repeated::with_token(host, loopback_pds::PATH, codes).await?)]
            }
            Name::RelayReads => {
                codes.allot(1, 0);
                self.with_tokens(host, loopback_pds::PATH, codes).await?
            }
        })
    }

    /// Each connection reads with an access token of its own.
    async fn with_tokens(
        &self,
        host: &str,
        path: &'static str,
        codes: &Arc<Codes>,
    ) -> Result<Vec<Box<dyn Traffic>>> {
        let mut clients: Vec<Box<dyn Traffic>> = Vec::new();
        for _ in 0..self.arguments.connections {
            clients.push(Box::new(Repeated::with_token(host, path, codes).await?));
        }
        Ok(clients)
    }

    fn repeat(&self, ask: impl Fn(&str) -> Repeated, server: &Running) -> Vec<Box<dyn Traffic>> {
        self.each(|| ask(&server.address))
    }

    fn each<T: Traffic + 'static>(&self, make: impl Fn() -> T) -> Vec<Box<dyn Traffic>> {
        (0..self.arguments.connections).map(|_| Box::new(make()) as Box<dyn Traffic>).collect()
    }

    async fn load(&self, name: Name, server: &Running, traffic: Vec<Box<dyn Traffic>>) -> Result<Row> {
        say(name.name());
        let calibrates = matches!(name, Name::EmptyHandler | Name::PdsRead);
        let kind = if calibrates { Kind::Calibration } else { Kind::Endpoint };
        load::run(name.name(), kind, server, traffic, self.arguments.span()).await
    }

    /// Number of refresh token chains, each of which begins with a code.
    fn chains(&self) -> usize {
        usize::from(self.arguments.connections)
    }

    /// Codes reserved for the rows after the exchanges: one per connection for five rows, and one for the
    /// single relayed call.
    fn kept(&self) -> usize {
        5 * self.chains() + 1
    }

    /// Number of codes with id_token to prepare.
    fn openid_codes(&self) -> usize {
        if !self.arguments.wants(Name::OpenidExchange) {
            return 0;
        }
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

/// Traffic of one connection for the next aged session.
async fn aged_session(host: &str, aged: &Codes) -> Result<Vec<Box<dyn Traffic>>> {
    aged.allot(1, 0);
    Ok(vec![Box::new(Repeated::upstream_refresh(host, aged).await?)])
}
