//! The booking site as a program: a sign-in form, cookies and a token that goes soft. `cargo xtask booking --help`.

use std::io::{BufRead as _, stdin};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_domain::SystemClock;
use causeway_testkit::{BookingScript, BookingSite, Fault};
use clap::{Args, Parser};

/// Serve a booking site that knows no OAuth, with one password for every user
///
/// Each line on standard input is a new script: flags of that section, or an empty line for a plain site. A FAULT is none, a
/// status, html, silence, late:MS, redirect:URL, or hang-up.
#[derive(Parser)]
#[command(name = "cargo xtask booking", bin_name = "cargo xtask booking", no_binary_name = true)]
struct Cli {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2701")]
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
    /// Fault of the sign-in
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    login: Fault,
    /// Fault of the renewal
    #[arg(long, value_name = "FAULT", default_value = "none", value_parser = clap::value_parser!(Fault))]
    refresh: Fault,
    /// The site asks for a one-time code
    #[arg(long)]
    asks_code: bool,
    /// A renewal is answered {"logout": 1}
    #[arg(long)]
    refresh_logs_out: bool,
    /// A renewal brings neither a token nor a logout
    #[arg(long)]
    refresh_says_nothing: bool,
    /// Every booking is answered {"logout": 1}
    #[arg(long)]
    book_logs_out: bool,
    /// Every answer sets a new session cookie
    #[arg(long)]
    rotates: bool,
}

impl Flags {
    fn script(self) -> BookingScript {
        BookingScript {
            login: self.login,
            refresh: self.refresh,
            asks_code: self.asks_code,
            refresh_logs_out: self.refresh_logs_out,
            refresh_says_nothing: self.refresh_says_nothing,
            book_logs_out: self.book_logs_out,
            rotates: self.rotates,
            ..BookingScript::default()
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse_from(std::env::args_os().skip(1));
    let listener =
        TcpListener::bind(cli.listen).with_context(|| format!("cannot listen on {}", cli.listen))?;
    let site = BookingSite::start_on(listener, Arc::new(SystemClock))?;
    site.script(|script| *script = cli.flags.script());
    let (password, code) = (BookingSite::PASSWORD, BookingSite::CODE);
    println!("A booking site at {}: any email address, password {password:?}, code {code}.", site.origin);
    println!("Its definition:\n\n{}", site.definition());
    println!("Each line typed here is a new script; Ctrl-C stops the server.");
    std::thread::spawn(move || read_scripts(&site));
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Takes scripts until standard input ends, and keeps the server running afterwards.
fn read_scripts(site: &BookingSite) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        match Line::try_parse_from(line.split_whitespace()) {
            Ok(line) => {
                site.script(|script| *script = line.flags.script());
                println!("done");
            }
            Err(error) => println!("{error}"),
        }
    }
    std::thread::park();
}
