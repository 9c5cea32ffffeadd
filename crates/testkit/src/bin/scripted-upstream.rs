//! The scripted upstream as a program: a PDS with any fault, to see how Causeway and an app cope. `cargo xtask
//! upstream --help`.

use std::io::{BufRead as _, stdin};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result};
use causeway_testkit::{Fault, Nonces, Script, ScriptedUpstream, TokenRefusal, XrpcReply};
use clap::{Args, Parser};
use serde_json::json;

/// Serve a PLC directory, a PDS and its authorization server in one, whose users allow everything at once
///
/// Each line on standard input is a new script: flags of that section, or an empty line for a server without faults. A FAULT is
/// none, a status (503: with Retry-After), a code of OAuth (invalid_grant: with status 400), a status with an error
/// (400:InvalidRequest), html, html:STATUS, silence, late:MS, huge:BYTES, redirect:URL, or hang-up (it carries out the request and closes the connection without a response).
#[derive(Parser)]
#[command(name = "cargo xtask upstream", bin_name = "cargo xtask upstream", no_binary_name = true)]
struct Cli {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2600")]
    listen: SocketAddr,
    /// An account; may be repeated
    #[arg(long = "account", value_name = "HANDLE=DID", default_value = "alice.test=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", value_parser = account)]
    accounts: Vec<(String, String)>,
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
struct Flags {
    /// Fault of DID documents
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    directory: Fault,
    /// Fault of the authorization server's metadata
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    metadata: Fault,
    /// Fault of the PAR endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    par: Fault,
    /// Fault of the token endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    token: Fault,
    /// Fault of the revocation endpoint
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    revoke: Fault,
    /// Fault of XRPC methods
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    xrpc: Fault,
    /// Milliseconds that the token endpoint delays its response after it carried out the request
    #[arg(long, value_name = "MS")]
    holds_answer: Option<u64>,
    /// Status and error for a code or refresh token that is not valid, instead of 400:invalid_grant
    #[arg(long, value_name = "STATUS:ERROR", value_parser = error)]
    dead_grant: Option<(u16, &'static str)>,
    /// A member omitted from responses to a refresh, such as scope or refresh_token; may be repeated
    #[arg(long, value_name = "NAME", value_parser = |name: &str| anyhow::Ok(text(name)))]
    refresh_omits: Vec<&'static str>,
    /// Lifetime of access tokens in seconds, instead of an hour; may be 0 or negative
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    expires_in: Option<i64>,
    /// The `sub` of token responses, instead of the requested account
    #[arg(long, value_name = "DID")]
    sub: Option<String>,
    /// The `iss` of callbacks, instead of its own
    #[arg(long, value_name = "URL")]
    iss: Option<String>,
    /// An additional parameter of callbacks, or a replacement, in the form of a query (note=a%0Ab); with an error there is
    /// no code; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    callback: Vec<(&'static str, String)>,
    /// The error of the callback for a prompt (select_account=account_selection_required); may be repeated
    #[arg(long, value_name = "PROMPT=ERROR", value_parser = prompt)]
    prompt: Vec<(&'static str, &'static str)>,
    /// The PDS that DID documents name, instead of itself
    #[arg(long, value_name = "URL")]
    pds: Option<String>,
    /// The scope of token responses, instead of the requested one
    #[arg(long)]
    scope: Option<String>,
    /// The handle in DID documents, instead of the account's
    #[arg(long, value_name = "HANDLE")]
    also_known_as: Option<String>,
    /// Users deny requests instead of allowing them
    #[arg(long)]
    deny: bool,
    /// The DPoP nonces that methods accept: any, newest (a new one with each response), never (every proof is refused with a new nonce)
    #[arg(long, default_value = "any", value_parser = nonces)]
    nonces: Nonces,
    /// Seconds that its clock is ahead; without this flag it ignores the time of proofs
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    clock_offset: Option<i64>,
    /// Methods refuse every token, new or old
    #[arg(long)]
    refuses_tokens: bool,
    /// How methods refuse a token: challenge (RFC 9449), unquoted (DPoP error=invalid_token), or an XRPC error
    /// with status 400 (ExpiredToken)
    #[arg(long, value_name = "FORM", default_value = "challenge", value_parser = |form: &str| anyhow::Ok(token_refusal(form)))]
    token_refusal: TokenRefusal,
    /// The status of the responses of methods
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(101..1000))]
    answer: u16,
    /// All accounts are taken down: their sessions are deleted, and nobody can sign in
    #[arg(long)]
    takedown: bool,
}

impl Flags {
    fn script(self) -> Script {
        let answer = if self.answer < 300 {
            json!({"ok": true})
        } else {
            json!({"error": "Scripted", "message": "as the script says"})
        };
        Script {
            directory: self.directory,
            metadata: self.metadata,
            par: self.par,
            token: self.token,
            revoke: self.revoke,
            xrpc: self.xrpc,
            holds_answer: self.holds_answer.map(Duration::from_millis),
            dead_grant: self.dead_grant,
            refresh_omits: self.refresh_omits,
            expires_in: self.expires_in,
            sub: self.sub,
            iss: self.iss,
            callback: self.callback,
            prompts: self.prompt,
            pds: self.pds,
            scope: self.scope,
            also_known_as: self.also_known_as,
            deny: self.deny,
            nonces: self.nonces,
            clock_offset: self.clock_offset,
            refuses_tokens: self.refuses_tokens,
            token_refusal: self.token_refusal,
            answer: Some(XrpcReply::json(self.answer, &answer)),
            takedown: self.takedown,
            ..Script::default()
        }
    }
}

fn account(text: &str) -> Result<(String, String)> {
    let (handle, did) = text.split_once('=').context("expected HANDLE=DID")?;
    Ok((handle.to_owned(), did.to_owned()))
}

fn nonces(text: &str) -> Result<Nonces, &'static str> {
    match text {
        "any" => Ok(Nonces::Any),
        "newest" => Ok(Nonces::Newest),
        "current" => Ok(Nonces::Current),
        "never" => Ok(Nonces::Never),
        _ => Err("expected any, newest or never"),
    }
}

/// The scripts of tests hold `'static` texts; the few that are typed here are leaked.
fn text(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn parameter(pair: &str) -> Result<(&'static str, String)> {
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    let (name, value) = pairs.next().context("expected NAME=VALUE")?;
    Ok((text(&name), value.into_owned()))
}

fn prompt(pair: &str) -> Result<(&'static str, &'static str)> {
    let (prompt, error) = pair.split_once('=').context("expected PROMPT=ERROR")?;
    Ok((text(prompt), text(error)))
}

fn token_refusal(form: &str) -> TokenRefusal {
    match form {
        "challenge" => TokenRefusal::Challenge,
        "unquoted" => TokenRefusal::Unquoted,
        error => TokenRefusal::Xrpc(text(error)),
    }
}

fn error(pair: &str) -> Result<(u16, &'static str)> {
    match pair.parse()? {
        Fault::Error(status, error) => Ok((status, error)),
        _ => anyhow::bail!("expected STATUS:ERROR"),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse_from(std::env::args_os().skip(1));
    let listener =
        TcpListener::bind(cli.listen).with_context(|| format!("cannot listen on {}", cli.listen))?;
    let mut accounts = cli.accounts.into_iter();
    let (handle, did) = accounts.next().context("expected an account")?;
    let upstream = ScriptedUpstream::start_on(listener, &handle, &did)?;
    accounts.for_each(|(handle, did)| upstream.add_account(&handle, &did));
    upstream.script(|script| *script = cli.flags.script());
    let origin = &upstream.origin;
    println!("A scripted upstream at {origin}. In another terminal:\n");
    println!("  cargo run --release -- --dev-mode --plc-url {origin} --handle-resolver {origin}\n");
    println!("and sign in as {handle}. Each line typed here is a new script; Ctrl-C stops the server.");
    std::thread::spawn(move || read_scripts(&upstream));
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Takes scripts until standard input ends.
fn read_scripts(upstream: &ScriptedUpstream) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        match Line::try_parse_from(line.split_whitespace()) {
            Ok(line) => {
                upstream.script(|script| *script = line.flags.script());
                println!("done");
            }
            Err(error) => println!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_scripts() {
        let line = Line::try_parse_from(
            "--token 503 --par late:20 --xrpc hang-up --expires-in 3 --nonces never".split(' '),
        );
        let script = line.unwrap_or_else(|error| panic!("{error}")).flags.script();
        assert_eq!(script.token, Fault::Status(503));
        assert_eq!(script.par, Fault::Late(Duration::from_millis(20)));
        assert_eq!(script.xrpc, Fault::HangUp);
        assert_eq!((script.expires_in, script.nonces), (Some(3), Nonces::Never));
        assert_eq!("invalid_grant".parse::<Fault>().unwrap(), Fault::OAuth("invalid_grant"));
        assert_eq!("400:InvalidRequest".parse::<Fault>().unwrap(), Fault::Error(400, "InvalidRequest"));
        assert_eq!("html:403".parse::<Fault>().unwrap(), Fault::Page(403));
        let line = Line::try_parse_from(
            "--dead-grant 400:InvalidRequest --refresh-omits scope --refresh-omits sub --token-refusal ExpiredToken \
             --callback note=a%0Ab --prompt select_account=account_selection_required --expires-in -1"
                .split_whitespace(),
        );
        let script = line.unwrap_or_else(|error| panic!("{error}")).flags.script();
        assert_eq!(script.dead_grant, Some((400, "InvalidRequest")));
        assert_eq!(script.refresh_omits, ["scope", "sub"]);
        assert_eq!(script.token_refusal, TokenRefusal::Xrpc("ExpiredToken"));
        assert_eq!(script.callback, [("note", "a\nb".to_owned())]);
        assert_eq!(script.prompts, [("select_account", "account_selection_required")]);
        assert_eq!(script.expires_in, Some(-1));
        for wrong in ["html:x", "", "99", "1000", "late:x", "Nothing"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }
}
