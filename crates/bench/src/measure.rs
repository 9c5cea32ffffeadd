//! One run, from the first calibration to the report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_domain::{Clock as _, SystemClock};
use causeway_store::DatabaseUrl;

use crate::calibration::{BATCHED_ROWS, Commits, SINGLE_ROWS};
use crate::cli::{Arguments, Row as Name};
use crate::goals;
use crate::load::{self, Traffic, WARM_UP};
use crate::machine::Machine;
use crate::prepare::prepare;
use crate::process::Running;
use crate::report::{Kind, Report, Row};
use crate::server;
use crate::start_up;
use crate::traffic::{Codes, Exchange, Repeated, Rotation};
use crate::{empty_handler, http};

/// Codes that are prepared for each durable row a second: more than a code exchange can use up,
/// since it writes three rows.
const CODES_A_ROW: f64 = 1.0 / 2.5;

/// Measures everything that was asked for.
///
/// # Errors
/// When something does not start, or any request fails.
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
    report.goals = goals::judge(&report);
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
    /// The disk is measured before and after, because its speed changes with time.
    async fn rows(&self) -> Result<Vec<Row>> {
        let span = self.arguments.span() / 2;
        let mut commits = Commits::default();
        say("durable commits");
        self.calibrate(&mut commits, span)?;
        let mut measured = Vec::new();
        if self.arguments.wants(Name::EmptyHandler) {
            let server = empty_handler::start()?;
            let ask = |host: &str| Repeated::get(host, empty_handler::PATH);
            measured.push(self.load(Name::EmptyHandler, &server, self.repeat(ask, &server)).await?);
        }
        let endpoints = self.endpoints(&commits).await?;
        say("durable commits again");
        self.calibrate(&mut commits, span)?;
        let mut rows = vec![commits.single.row(SINGLE_ROWS), commits.batched.row(BATCHED_ROWS)];
        rows.extend(measured);
        rows.extend(endpoints);
        Ok(rows)
    }

    /// On SQLite in a file of its own, so that the server's stays small.
    fn calibrate(&self, commits: &mut Commits, span: Duration) -> Result<()> {
        match &self.url {
            DatabaseUrl::Sqlite { .. } => {
                let directory = tempfile::tempdir_in(self.scratch)?;
                commits.measure(&server::sqlite_url(directory.path()).parse()?, span)
            }
            url @ DatabaseUrl::Postgres(_) => commits.measure(url, span),
        }
    }

    async fn endpoints(&self, commits: &Commits) -> Result<Vec<Row>> {
        let wanted = |name: &Name| self.arguments.wants(*name);
        let endpoints = [Name::Healthz, Name::Metadata, Name::Par, Name::CodeExchange, Name::Refresh];
        if !endpoints.iter().any(wanted) {
            return Ok(Vec::new());
        }
        let codes = Arc::new(Codes::new(prepare(&self.url, self.scratch, self.codes(commits)).await?));
        let server = server::start(self.program, self.scratch, &self.url_text)?;
        http::get(&server.address, "/readyz").await?;
        let mut rows = Vec::new();
        for name in endpoints.into_iter().filter(wanted) {
            let traffic = self.traffic(name, &server, &codes).await?;
            rows.push(self.load(name, &server, traffic).await?);
        }
        Ok(rows)
    }

    async fn traffic(
        &self,
        name: Name,
        server: &Running,
        codes: &Arc<Codes>,
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
            Name::CodeExchange => self.each(|| Exchange { codes: Arc::clone(codes), host: host.clone() }),
            Name::Refresh => {
                let mut chains: Vec<Box<dyn Traffic>> = Vec::new();
                for _ in 0..self.arguments.connections {
                    chains.push(Box::new(Rotation::begin(host, codes).await?));
                }
                chains
            }
        })
    }

    fn repeat(&self, ask: impl Fn(&str) -> Repeated, server: &Running) -> Vec<Box<dyn Traffic>> {
        self.each(|| ask(&server.address))
    }

    fn each<T: Traffic + 'static>(&self, make: impl Fn() -> T) -> Vec<Box<dyn Traffic>> {
        (0..self.arguments.connections).map(|_| Box::new(make()) as Box<dyn Traffic>).collect()
    }

    async fn load(&self, name: Name, server: &Running, traffic: Vec<Box<dyn Traffic>>) -> Result<Row> {
        say(name.name());
        let kind = if name == Name::EmptyHandler { Kind::Calibration } else { Kind::Endpoint };
        load::run(name.name(), kind, server, traffic, self.arguments.span()).await
    }

    /// How many codes to prepare.
    fn codes(&self, commits: &Commits) -> usize {
        let reserve = usize::from(self.arguments.connections) + 1000;
        if !self.arguments.wants(Name::CodeExchange) {
            return reserve;
        }
        let seconds = (self.arguments.span() + WARM_UP).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and capped")]
        let codes = (commits.batched.per_second() * CODES_A_ROW * seconds).min(200_000.0) as usize;
        reserve + codes
    }
}
