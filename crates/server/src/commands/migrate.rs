//! `causeway migrate`.

use anyhow::Context as _;
use causeway_config::Config;
use causeway_store::engine::migrate;

use crate::cli::MigrateCommand;
use crate::compose;

pub(crate) fn run(config: &Config, command: &MigrateCommand) -> anyhow::Result<()> {
    let url = compose::database_url(config)?;
    let describe = || format!("database {url}");
    match command {
        MigrateCommand::Up => report("Applied", &migrate::up(&url).with_context(describe)?),
        MigrateCommand::Down { steps } => {
            report("Reverted", &migrate::down(&url, *steps).with_context(describe)?);
        }
        MigrateCommand::Status => {
            for migration in migrate::status(&url).with_context(describe)? {
                say!("{} {}", if migration.applied { "applied" } else { "pending" }, migration.name);
            }
        }
    }
    Ok(())
}

fn report(what: &str, names: &[String]) {
    if names.is_empty() {
        say!("Nothing to do.");
    }
    for name in names {
        say!("{what} {name}");
    }
}
