//! `causeway providers`.

use std::io::Write as _;
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
        ProvidersCommand::Add { name, mcp, title } => add(config, &name, &mcp, title.as_deref())?,
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

/// Writes a definition that passes every check, unless there is one of this name.
fn add(config: &Config, name: &str, url: &str, title: Option<&str>) -> anyhow::Result<()> {
    let directory = config
        .providers_dir
        .as_deref()
        .context("there is no directory for definitions: name one with --providers-dir")?;
    if compose::providers(config)?.find(name).is_some() {
        bail!("there is a provider {name} already: `causeway providers show {name}` prints it");
    }
    // A string of JSON is one of TOML, too.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text =
        format!("kind = \"mcp\"\ntitle = {}\nmcp_url = {}\n", quoted(title.unwrap_or(name)), quoted(url));
    if name.contains(std::path::is_separator) {
        bail!("{name:?} cannot be the name of a provider");
    }
    let path = directory.join(format!("{name}.toml"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    drop(file);
    if let Err(refused) = Provider::read(&path) {
        std::fs::remove_file(&path)?;
        return problems(Err(CatalogError { files: vec![refused] }));
    }
    say!("{}", path.display());
    eprintln!("A running server knows the provider once it reads its definitions again (SIGHUP).");
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
