//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Benchmark the causeway binary, and calibrate the machine
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) arguments: Arguments,
}

/// Helper processes: this program starts itself with these.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve one empty handler until standard input is closed
    #[command(hide = true)]
    EmptyHandler,
    /// Serve a PDS that answers every call until standard input is closed
    #[command(hide = true)]
    LoopbackPds,
}

/// The measurements to make, and where to write the results.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The server's binary
    #[arg(long, value_name = "FILE", default_value = "target/release/causeway", hide = true)]
    pub(crate) server: PathBuf,
    /// Where databases are created: a directory on a disk
    #[arg(long, value_name = "DIR", default_value = "target", hide = true)]
    pub(crate) scratch: PathBuf,
    /// Seconds to measure each row, after a warm-up of one second
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Concurrent connections
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) connections: u16,
    /// A database for the benchmark, which is migrated and filled; by default a new SQLite file
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a chart of the rates to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print the ratios to an earlier --json file
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Measure only this row and the durable commits; may be repeated
    #[arg(long, value_name = "ROW")]
    pub(crate) only: Vec<Row>,
    /// Fail when a goal is missed
    #[arg(long)]
    pub(crate) check: bool,
}

impl Arguments {
    /// How long each row is measured.
    pub(crate) const fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Whether this row was asked for.
    pub(crate) fn wants(&self, row: Row) -> bool {
        self.only.is_empty() || self.only.contains(&row)
    }
}

/// The rows that can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// From the start of the process to its first answer
    StartUp,
    /// The same HTTP stack around nothing
    EmptyHandler,
    /// GET /healthz
    Healthz,
    /// GET /.well-known/oauth-authorization-server
    Metadata,
    /// POST /oauth/par
    Par,
    /// POST /oauth/token with a fresh code each time
    CodeExchange,
    /// The same with a DPoP proof, each connection by its own key
    DpopCodeExchange,
    /// POST /oauth/token, each connection rotating its own refresh token
    Refresh,
    /// POST /oauth/introspect, each connection about its own access token
    Introspection,
    /// GET /oauth/userinfo, each connection with its own access token
    Userinfo,
    /// POST /oauth/token with a fresh code each time, answered with an id_token signed RS256
    OpenidExchange,
    /// The same signed ES256
    OpenidEs256Exchange,
    /// POST /api/session/refresh, each connection about its own session: a refresh at a PDS on loopback
    UpstreamRefresh,
    /// The same by one connection, about a session that has been refreshed ten times
    YoungRefresh,
    /// The same about one that has been refreshed 100,000 times
    AgedRefresh,
    /// A small read at a PDS on loopback, directly, by one connection
    PdsRead,
    /// The same through GET /xrpc/{nsid}
    RelayRead,
    /// GET /xrpc/{nsid} by all connections, each with its own access token
    RelayReads,
    /// On PostgreSQL: POST /oauth/par at two servers, half of the connections each
    ParTwoNodes,
    /// On PostgreSQL: POST /oauth/token, as for refresh, at two servers
    RefreshTwoNodes,
    /// On PostgreSQL: POST /oauth/introspect at two servers
    IntrospectionTwoNodes,
}

impl Row {
    /// The name in tables and files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StartUp => "start-up",
            Self::EmptyHandler => "empty handler",
            Self::Healthz => "healthz",
            Self::Metadata => "metadata",
            Self::Par => "par",
            Self::CodeExchange => "code exchange",
            Self::DpopCodeExchange => "DPoP-bound code exchange",
            Self::Refresh => "refresh",
            Self::Introspection => "introspection",
            Self::Userinfo => "userinfo",
            Self::OpenidExchange => "openid exchange",
            Self::OpenidEs256Exchange => "openid exchange, ES256",
            Self::UpstreamRefresh => "upstream refresh",
            Self::YoungRefresh => "young refresh",
            Self::AgedRefresh => "aged refresh",
            Self::PdsRead => "pds read",
            Self::RelayRead => "relay read",
            Self::RelayReads => "relay reads",
            Self::ParTwoNodes => "par, two nodes",
            Self::RefreshTwoNodes => "refresh, two nodes",
            Self::IntrospectionTwoNodes => "introspection, two nodes",
        }
    }

    /// Whether each request waits for a durable commit.
    pub(crate) const fn is_durable(self) -> bool {
        matches!(
            self,
            Self::Par
                | Self::CodeExchange
                | Self::DpopCodeExchange
                | Self::Refresh
                | Self::OpenidExchange
                | Self::OpenidEs256Exchange
                | Self::UpstreamRefresh
                | Self::ParTwoNodes
                | Self::RefreshTwoNodes
        )
    }

    /// The row that does the same at one server, if this one does it at two.
    pub(crate) const fn at_one_node(self) -> Option<Self> {
        match self {
            Self::ParTwoNodes => Some(Self::Par),
            Self::RefreshTwoNodes => Some(Self::Refresh),
            Self::IntrospectionTwoNodes => Some(Self::Introspection),
            _ => None,
        }
    }

    /// The iteration that the session of this row is at; `None`: the first one, or it has none of its own.
    pub(crate) const fn age(self) -> Option<i64> {
        match self {
            Self::YoungRefresh => Some(10),
            Self::AgedRefresh => Some(100_000),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
