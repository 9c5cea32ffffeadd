//! `causeway`: the command line, composition and signals. No logic of its own.

#[macro_use]
mod out;
mod cli;
mod commands;
mod compose;
mod demo_upstream;
mod logging;
mod progress;
mod reread;
mod secret_key;
mod serve;
mod signals;
mod telemetry;

use std::io::Write as _;
use std::process::ExitCode;

use causeway_config::{Config, ConfigError};
use clap::Parser as _;

use crate::cli::{Cli, Command, ConfigCommand};
use crate::telemetry::{Telemetry, Traces};

/// The exit code for a mistake in the configuration or on the command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Messages from libraries may span several lines.
            let text = format!("{error:#}");
            let _ = writeln!(
                std::io::stderr(),
                "causeway: {}",
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            );
            if error.is::<ConfigError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = cli.settings.clone();
    let config = Config::load(cli.settings)?;
    compose::database_url(&config)?;
    compose::max_scope(&config)?;
    compose::resource_scopes(&config)?;
    secret_key::configured(&config)?;
    let telemetry = Telemetry::from_environment()?;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            compose::provider_registrations(&config, &compose::providers(&config)?)?;
            let runtime = compose::runtime()?;
            let traces = telemetry.map(|telemetry| Traces::start(&telemetry, &runtime)).transpose()?;
            let logging = logging::init(&config, traces.as_ref());
            let load = || Config::load(settings.clone());
            let outcome = runtime.block_on(serve::serve(&config, &load, &logging));
            logging.sampler.report();
            // The runtime still works: the last spans are exported on it.
            if let Some(traces) = traces {
                traces.finish();
            }
            compose::end(runtime);
            outcome
        }
        Command::Migrate { command } => commands::migrate::run(&config, &command),
        Command::Clients { command } => compose::block_on(commands::clients::run(&config, command)),
        Command::Sessions { command } => compose::block_on(commands::sessions::run(&config, command)),
        Command::Tokens { command } => compose::block_on(commands::tokens::run(&config, command)),
        Command::Keys { command } => compose::block_on(commands::keys::run(&config, command)),
        Command::Events { command } => compose::block_on(commands::events::run(&config, command)),
        Command::Audit { command } => compose::block_on(commands::audit::run(&config, command)),
        Command::Tenants { command } => compose::block_on(commands::tenants::run(&config, command)),
        Command::Users { command } => compose::block_on(commands::users::run(&config, command)),
        Command::Connections { command } => compose::block_on(commands::connections::run(&config, command)),
        Command::Connect(options) => compose::block_on(commands::connect::run(&config, options)),
        Command::Providers { command } => commands::providers::run(&config, command),
        Command::Doctor => compose::block_on(commands::doctor::run(&config)),
        Command::DemoUpstream { address } => compose::block_on(demo_upstream::run(address)),
        Command::Openapi => {
            let issuer = config.external_url.as_ref().map_or("http://127.0.0.1:8080", |url| url.as_str());
            say!("{:#}", causeway_api::openapi::document(issuer));
            Ok(())
        }
        Command::Config { command: ConfigCommand::Print } => {
            say!("{}", config.render().trim_end());
            Ok(())
        }
        Command::Config { command: ConfigCommand::Check } => {
            compose::provider_registrations(&config, &compose::providers(&config)?)?;
            say!("The configuration is valid.");
            Ok(())
        }
    }
}
