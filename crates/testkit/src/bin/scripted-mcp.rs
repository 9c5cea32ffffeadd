//! The scripted MCP server as a program: an MCP server with its own OAuth authorization server. `cargo xtask mcp --help`.

use std::io::{BufRead as _, stdin};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use causeway_testkit::{Fault, McpScript, MetadataPlace, ScriptedMcp};
use clap::{Args, Parser};

/// Serve an MCP server with one tool, whose one user allows everything at once
///
/// Each line on standard input is a new script: flags of that section, or an empty line for a plain server. A FAULT is none, a
/// status (503: with Retry-After), a code of OAuth (invalid_grant: with status 400), a status with an error
/// (400:some_error), html, html:STATUS, silence, late:MS, huge:BYTES, redirect:URL, or hang-up (it carries out the request and
/// closes the connection without a response).
#[derive(Parser)]
#[command(name = "cargo xtask mcp", bin_name = "cargo xtask mcp", no_binary_name = true)]
struct Cli {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2800")]
    listen: SocketAddr,
    #[command(flatten)]
    flags: Flags,
}

/// A script that replaces the previous one.
#[derive(Parser)]
#[command(no_binary_name = true, override_usage = "[FLAGS]")]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
#[command(next_help_heading = "Script")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Flags {
    /// Fault of the MCP server
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    mcp: Fault,
    /// Fault of the metadata of the resource
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    resource: Fault,
    /// Fault of the metadata of the authorization server
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    server: Fault,
    /// Fault of the token endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    token: Fault,
    /// Fault of the registration endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    registration: Fault,
    /// It takes calls without a token
    #[arg(long)]
    open: bool,
    /// Where the metadata of the resource is: path, root or nowhere
    #[arg(long, default_value = "path", value_parser = place)]
    metadata: MetadataPlace,
    /// The issuer: a path of the same origin, or empty
    #[arg(long, value_name = "PATH", default_value = "/as")]
    issuer: String,
    /// The scope of the challenge
    #[arg(long, value_name = "SCOPES")]
    challenge_scope: Option<String>,
    /// The scope that calls of the tool need
    #[arg(long, value_name = "SCOPE")]
    tool_scope: Option<String>,
    /// Clients cannot register themselves
    #[arg(long)]
    no_registration: bool,
    /// Clients that register are public
    #[arg(long)]
    public_clients: bool,
    /// The address of a document may be a client_id
    #[arg(long)]
    takes_documents: bool,
    /// The metadata does not name PKCE
    #[arg(long)]
    no_pkce: bool,
    /// Responses do not name their issuer
    #[arg(long)]
    no_iss: bool,
    /// The issuer that responses name instead of their own
    #[arg(long, value_name = "URL")]
    iss: Option<String>,
    /// Lifetime of access tokens in seconds; may be 0 or negative
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    expires_in: i64,
    /// No refresh tokens are issued
    #[arg(long)]
    no_refresh: bool,
    /// Refresh tokens work again and again, instead of once
    #[arg(long)]
    reusable: bool,
    /// Users deny
    #[arg(long)]
    deny: bool,
    /// Answers are event streams
    #[arg(long)]
    streams: bool,
}

impl Flags {
    fn script(self) -> McpScript {
        McpScript {
            mcp: self.mcp,
            resource: self.resource,
            server: self.server,
            token: self.token,
            registration: self.registration,
            is_open: self.open,
            place: self.metadata,
            issuer: self.issuer,
            challenge_scope: self.challenge_scope,
            tool_scope: self.tool_scope,
            registers: !self.no_registration,
            has_secrets: !self.public_clients,
            takes_documents: self.takes_documents,
            has_pkce: !self.no_pkce,
            names_issuer: !self.no_iss,
            iss: self.iss,
            expires_in: self.expires_in,
            refreshes: !self.no_refresh,
            is_one_time: !self.reusable,
            denies: self.deny,
            streams: self.streams,
            ..McpScript::default()
        }
    }
}

fn place(text: &str) -> Result<MetadataPlace, &'static str> {
    match text {
        "path" => Ok(MetadataPlace::Path),
        "root" => Ok(MetadataPlace::Root),
        "nowhere" => Ok(MetadataPlace::Nowhere),
        _ => Err("expected path, root or nowhere"),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse_from(std::env::args_os().skip(1));
    let listener =
        TcpListener::bind(cli.listen).with_context(|| format!("cannot listen on {}", cli.listen))?;
    let server = ScriptedMcp::start_on(listener)?;
    server.script(|script| *script = cli.flags.script());
    let (id, secret) = (ScriptedMcp::CLIENT_ID, ScriptedMcp::CLIENT_SECRET);
    println!("A scripted MCP server at {}; {id} is a client with the secret {secret:?}.", server.url());
    println!("A definition:\n\n{}", server.definition(""));
    println!("Each line typed here is a new script; Ctrl-C stops the server.");
    std::thread::spawn(move || read_scripts(&server));
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Takes scripts until standard input ends, and keeps the server running afterwards.
fn read_scripts(server: &ScriptedMcp) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        match Line::try_parse_from(line.split_whitespace()) {
            Ok(line) => {
                server.script(|script| *script = line.flags.script());
                println!("done");
            }
            Err(error) => println!("{error}"),
        }
    }
    std::thread::park();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_scripts() {
        let line = "--token hang-up --metadata root --expires-in -1 --reusable --no-iss --takes-documents";
        let line = Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
        let script = line.flags.script();
        assert_eq!((script.token, script.place, script.expires_in), (Fault::HangUp, MetadataPlace::Root, -1));
        assert!(!script.is_one_time && !script.names_issuer && script.takes_documents);
        for wrong in ["--metadata there", "--token 99", "--nothing"] {
            assert!(Line::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
