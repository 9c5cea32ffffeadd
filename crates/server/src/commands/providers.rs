//! `causeway providers`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use causeway_config::Config;
use causeway_providers::{Catalog, CatalogError, Provider};

use super::registrations;
use crate::cli::ProvidersCommand;
use crate::compose;

pub(crate) fn run(config: &Config, command: ProvidersCommand) -> anyhow::Result<()> {
    match command {
        ProvidersCommand::List => list(&compose::providers(config)?),
        ProvidersCommand::Show { name } => return show(&compose::providers(config)?, &name),
        ProvidersCommand::Check { files } if files.is_empty() => {
            let catalog = problems(Catalog::load(config.providers_dir.as_deref()))?;
            say!("{} definitions are valid.", catalog.iter().count());
        }
        ProvidersCommand::Check { files } => check(&files)?,
        command => return compose::block_on(registrations::run(config, command)),
    }
    Ok(())
}

fn list(catalog: &Catalog) {
    for Provider { name, source, definition, .. } in catalog.iter() {
        let kind = &definition.kind;
        let needs = kind.registration().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        say!("{name}\t{}\t{source}\t{needs}", kind.name());
    }
}

/// Prints a definition as it is written, so that it can be the beginning of another one.
fn show(catalog: &Catalog, name: &str) -> anyhow::Result<()> {
    let provider = catalog
        .find(name)
        .with_context(|| format!("no provider {name}: `causeway providers list` lists them"))?;
    eprintln!("From: {}", provider.source);
    say!("{}", provider.text.trim_end());
    Ok(())
}

fn check(files: &[PathBuf]) -> anyhow::Result<()> {
    let refused: Vec<_> = files.iter().filter_map(|file| Provider::read(file).err()).collect();
    problems(if refused.is_empty() { Ok(()) } else { Err(CatalogError { files: refused }) })?;
    let many = if files.len() == 1 { "definition is" } else { "definitions are" };
    say!("{} {many} valid.", files.len());
    Ok(())
}

/// Prints every problem, one a line.
fn problems<T>(checked: Result<T, CatalogError>) -> anyhow::Result<T> {
    match checked {
        Ok(checked) => Ok(checked),
        Err(error) => {
            say!("{error}");
            let count: usize = error.files.iter().map(|file| file.problems.len()).sum();
            let many = if count == 1 { "problem" } else { "problems" };
            bail!("{count} {many} in {} of the definitions", error.files.len())
        }
    }
}
