//! The providers that a server knows.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::builtin::BUILT_IN;
use crate::definition::Definition;
use crate::error::{Fault, InvalidDefinition, Problem};
use crate::values::name::ProviderName;

/// The longest definition that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Every provider by its name: the built-in ones, and those of the operator's directory, which take precedence.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    providers: BTreeMap<ProviderName, Provider>,
}

/// A provider of the catalog.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Source of its definition.
    pub source: Source,
    /// The text of its definition.
    pub text: String,
    /// Its definition.
    pub definition: Definition,
}

/// Origin of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Causeway itself.
    BuiltIn,
    /// A file of the operator.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Files that are no valid definitions. `Display` has one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct CatalogError {
    /// The files, by name. There is at least one.
    pub files: Vec<InvalidDefinition>,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.files.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Catalog {
    /// Loads the built-in definitions, and those of a directory: every file `NAME.toml` in it. A file takes the place
    /// of the built-in definition of its name.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(directory: Option<&Path>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        let mut files = Vec::new();
        for (name, text) in BUILT_IN {
            let parsed = ProviderName::parse(name)
                .map_err(|fault| refused(name, fault))
                .and_then(|name| Provider::parse(name, Source::BuiltIn, (*text).to_owned()));
            catalog.add(parsed, &mut files);
        }
        for path in directory.map(definitions).transpose()?.unwrap_or_default() {
            catalog.add(Provider::read(&path), &mut files);
        }
        if files.is_empty() { Ok(catalog) } else { Err(CatalogError { files }) }
    }

    fn add(&mut self, parsed: Result<Provider, InvalidDefinition>, files: &mut Vec<InvalidDefinition>) {
        match parsed {
            Ok(provider) => {
                self.providers.insert(provider.name.clone(), provider);
            }
            Err(error) => files.push(error),
        }
    }

    /// A provider by its name.
    pub fn find(&self, name: &str) -> Option<&Provider> {
        self.providers.values().find(|provider| provider.name.as_str() == name)
    }

    /// Every provider, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }
}

impl Provider {
    /// Reads a definition from its file, whose name is the provider's.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, InvalidDefinition> {
        let file = shown(path);
        let name = ProviderName::of_file(path).map_err(|fault| refused(&file, fault))?;
        let text = read_text(path).map_err(|fault| refused(&file, fault))?;
        Self::parse(name, Source::File(path.to_owned()), text)
    }

    fn parse(name: ProviderName, source: Source, text: String) -> Result<Self, InvalidDefinition> {
        let file = match &source {
            Source::BuiltIn => format!("{name}.toml ({source})"),
            Source::File(path) => shown(path),
        };
        let definition = Definition::parse(&file, &text)?;
        Ok(Self { name, source, text, definition })
    }
}

/// Reads a file that is one: a pipe or a device might never end.
fn read_text(path: &Path) -> Result<String, Fault> {
    let failed = |error| Fault::new(format!("cannot be read: {error}"), "name a readable file of UTF-8 text");
    // Before it is opened: that may wait for the other end of a pipe.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Fault::new("is not a regular file", "name a readable file of UTF-8 text"));
    }
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read.map_err(failed)? as u64 {
        ..=MAX_BYTES => Ok(text),
        _ => Err(Fault::new("is too long", format!("use {MAX_BYTES} bytes at most"))),
    }
}

/// A path without control characters, which a terminal might obey.
fn shown(path: &Path) -> String {
    let clean =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    path.display().to_string().chars().map(clean).collect()
}

/// The definitions of a directory, in the order of their names.
fn definitions(directory: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let refuse = |error: std::io::Error| {
        let fault = Fault::new(format!("cannot be read: {error}"), "name a readable directory");
        CatalogError { files: vec![refused(&shown(directory), fault)] }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn refused(file: &str, Fault { problem, fix }: Fault) -> InvalidDefinition {
    let problem = Problem { line: None, key: String::new(), problem, fix };
    InvalidDefinition { file: file.to_owned(), problems: vec![problem] }
}
