//! The scripted provider as a program: an OAuth 2.0 provider with any odd habit. `cargo xtask provider --help`.

use std::io::{BufRead as _, stdin};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_testkit::{
    Authentication, Bot, ExpiryShape, Fault, ProviderScript, Rotation, ScriptedProvider, TokenShape,
};
use clap::{Args, Parser};

/// Serve an OAuth 2.0 provider with an API, whose one user allows everything at once
///
/// Each line on standard input is a new script: flags of that section, or an empty line for a plain provider. A FAULT is none, a
/// status (503: with Retry-After), a code of OAuth (invalid_grant: with status 400), a status with an error
/// (400:some_error), html, html:STATUS, silence, late:MS, huge:BYTES, redirect:URL, or hang-up (it carries out the request and
/// closes the connection without a response).
#[derive(Parser)]
#[command(name = "cargo xtask provider", bin_name = "cargo xtask provider", no_binary_name = true)]
struct Cli {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2700")]
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
    /// Fault of the token endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    token: Fault,
    /// Fault of the API
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    api: Fault,
    /// Fault of the metadata
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    metadata: Fault,
    /// Fault of the revocation endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    revoke: Fault,
    /// Encoding of token responses: json, form, or nested (the user's tokens in authed_user)
    #[arg(long, default_value = "json", value_parser = shape)]
    shape: TokenShape,
    /// How the end of an access token is written: seconds, text, milliseconds, unix (expires_at), or missing
    #[arg(long, default_value = "seconds", value_parser = expiry)]
    expiry: ExpiryShape,
    /// Lifetime of access tokens in seconds; may be 0 or negative
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    expires_in: i64,
    /// Where the client authenticates: either, basic or post
    #[arg(long, default_value = "either", value_parser = authentication)]
    authentication: Authentication,
    /// Errors come with status 200
    #[arg(long)]
    errors_at_200: bool,
    /// Token requests have to be JSON
    #[arg(long)]
    wants_json: bool,
    /// Refresh tokens work again and again, instead of once
    #[arg(long)]
    reusable: bool,
    /// The access token itself is renewed, and there is no refresh token
    #[arg(long)]
    refreshes_access_token: bool,
    /// A code brings a short-lived token, which /exchange exchanges
    #[arg(long)]
    short_lived: bool,
    /// The tokens of a bot come with those of the user
    #[arg(long)]
    bot: bool,
    /// A revocation ends everything that the user granted
    #[arg(long)]
    revokes_grant: bool,
    /// Calls need appsecret_proof
    #[arg(long)]
    wants_proof: bool,
    /// Users deny
    #[arg(long)]
    deny: bool,
    /// Milliseconds for which the token endpoint holds its response after it carried out the request
    #[arg(long, value_name = "MS")]
    holds_answer: Option<u64>,
    /// Every call fails with this status, code and subcode of the Graph API
    #[arg(long, value_name = "STATUS:CODE[:SUBCODE]", value_parser = graph_error)]
    graph_error: Option<(u16, i64, Option<i64>)>,
}

impl Flags {
    fn script(self) -> ProviderScript {
        ProviderScript {
            token: self.token,
            api: self.api,
            metadata: self.metadata,
            revoke: self.revoke,
            shape: self.shape,
            expiry: self.expiry,
            expires_in: self.expires_in,
            authentication: self.authentication,
            errors_at_200: self.errors_at_200,
            wants_json: self.wants_json,
            rotation: if self.reusable { Rotation::Reusable } else { Rotation::SingleUse },
            refreshes_access_token: self.refreshes_access_token,
            short_lived: self.short_lived,
            bot: self.bot.then_some(Bot { id: "bot-1" }),
            revokes_grant: self.revokes_grant,
            wants_proof: self.wants_proof,
            deny: self.deny,
            holds_answer: self.holds_answer.map(Duration::from_millis),
            graph_error: self.graph_error,
            ..ProviderScript::default()
        }
    }
}

fn shape(text: &str) -> Result<TokenShape, &'static str> {
    match text {
        "json" => Ok(TokenShape::Json),
        "form" => Ok(TokenShape::Form),
        "nested" => Ok(TokenShape::Nested),
        _ => Err("expected json, form or nested"),
    }
}

fn expiry(text: &str) -> Result<ExpiryShape, &'static str> {
    match text {
        "seconds" => Ok(ExpiryShape::Seconds),
        "text" => Ok(ExpiryShape::Text),
        "milliseconds" => Ok(ExpiryShape::Milliseconds),
        "unix" => Ok(ExpiryShape::Unix),
        "missing" => Ok(ExpiryShape::Missing),
        _ => Err("expected seconds, text, milliseconds, unix or missing"),
    }
}

fn authentication(text: &str) -> Result<Authentication, &'static str> {
    match text {
        "either" => Ok(Authentication::Either),
        "basic" => Ok(Authentication::Basic),
        "post" => Ok(Authentication::Post),
        _ => Err("expected either, basic or post"),
    }
}

fn graph_error(text: &str) -> Result<(u16, i64, Option<i64>)> {
    let mut parts = text.split(':');
    let mut next = || parts.next().context("expected STATUS:CODE or STATUS:CODE:SUBCODE");
    let (status, code) = (next()?.parse()?, next()?.parse()?);
    Ok((status, code, parts.next().map(str::parse).transpose()?))
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse_from(std::env::args_os().skip(1));
    let listener =
        TcpListener::bind(cli.listen).with_context(|| format!("cannot listen on {}", cli.listen))?;
    let provider = ScriptedProvider::start_on(listener)?;
    provider.script(|script| *script = cli.flags.script());
    let (id, secret) = (ScriptedProvider::CLIENT_ID, ScriptedProvider::CLIENT_SECRET);
    println!("A scripted provider at {}, whose client is {id} with the secret {secret:?}.", provider.origin);
    println!("Its metadata is at the issuer of the same address. A definition begins with:\n");
    println!("{}", provider.definition(""));
    println!("Each line typed here is a new script; Ctrl-C stops the server.");
    std::thread::spawn(move || read_scripts(&provider));
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Takes scripts until standard input ends, and keeps the server running afterwards.
fn read_scripts(provider: &ScriptedProvider) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        match Line::try_parse_from(line.split_whitespace()) {
            Ok(line) => {
                provider.script(|script| *script = line.flags.script());
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
        let line = "--token hang-up --shape nested --expiry unix --expires-in -1 --reusable --bot --graph-error 400:190:459";
        let line = Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
        let script = line.flags.script();
        assert_eq!((script.token, script.shape, script.expires_in), (Fault::HangUp, TokenShape::Nested, -1));
        assert_eq!((script.rotation, script.graph_error), (Rotation::Reusable, Some((400, 190, Some(459)))));
        assert!(script.bot.is_some() && script.expiry == ExpiryShape::Unix);
        for wrong in ["--shape xml", "--token 99", "--graph-error 400", "--nothing"] {
            assert!(Line::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
