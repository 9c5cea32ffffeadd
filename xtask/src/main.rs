//! The project's own commands: `cargo xtask --help`.

mod bench;
mod codegen;
mod fuzz;
mod mcp_peers;
mod migrate;
mod network;
mod postgres;
mod process;
mod test;
mod tidy;
mod upstream;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create, apply and revert database migrations
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Write the files that are generated from the code
    Codegen(codegen::Arguments),
    /// Check the project's rules that no compiler checks
    Tidy,
    /// Run every test, with everything that the tests need
    Test(test::Arguments),
    /// Benchmark the server, and calibrate the machine
    Bench(bench::Arguments),
    /// Serve a scripted upstream that fails on request, to see how the server copes
    Upstream(upstream::Arguments),
    /// Serve a scripted OAuth 2.0 provider with any odd habit
    Provider(upstream::Arguments),
    /// Serve a scripted MCP server with an authorization server of its own
    Mcp(upstream::Arguments),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    // `migrate` takes a database URL that may be relative to the caller's directory.
    let caller = env::current_dir().context("the current directory")?;
    let root = root();
    env::set_current_dir(&root).with_context(|| format!("the repository at {}", root.display()))?;
    match command {
        Command::Migrate(command) => migrate::run(&command, &caller).map(|()| ExitCode::SUCCESS),
        Command::Codegen(arguments) => codegen::run(&arguments),
        Command::Tidy => tidy::run(&root),
        Command::Test(arguments) => test::run(&arguments, &root),
        Command::Bench(arguments) => bench::run(&arguments, &root, &caller),
        Command::Upstream(arguments) => upstream::run(&arguments, &root, "scripted-upstream"),
        Command::Provider(arguments) => upstream::run(&arguments, &root, "scripted-provider"),
        Command::Mcp(arguments) => upstream::run(&arguments, &root, "scripted-mcp"),
    }
}

/// The top of the repository. Cargo says at run time where this crate is, which holds in a moved checkout.
fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map(PathBuf::from).unwrap_or(here)
}
