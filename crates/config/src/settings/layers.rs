//! Flags over environment over file over default, and where each value came from.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::error::{ConfigError, Fault};
use crate::settings::file::FileConfig;
use crate::settings::parse;
use crate::settings::table::{self, Setting};

/// The layer a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File,
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// Reads an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The layers below the flags.
pub(crate) struct Layers<'a> {
    environment: Environment<'a>,
    pub(crate) file: FileConfig,
    pub(crate) file_path: Option<PathBuf>,
    /// Where the value of each setting came from; none = unset.
    pub(crate) sources: Vec<(&'static str, Source)>,
}

impl<'a> Layers<'a> {
    /// Reads the file named by the flag or the environment, if any.
    pub(crate) fn open(
        config_flag: Option<String>,
        environment: Environment<'a>,
    ) -> Result<Self, ConfigError> {
        let mut layers =
            Self { environment, file: FileConfig::default(), file_path: None, sources: Vec::new() };
        let path = layers.text(&table::CONFIG, config_flag, None, |text| Ok(PathBuf::from(text)))?;
        if let Some(path) = path {
            layers.file = FileConfig::read(&path)?;
            layers.file_path = Some(path);
        }
        Ok(layers)
    }

    /// An environment variable as text; unset when empty.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<String>, Fault> {
        match (self.environment)(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value
                .into_string()
                .map(Some)
                .map_err(|_| Fault::new("the environment variable is not UTF-8", "set it to UTF-8 text")),
        }
    }

    /// A setting that is one text.
    pub(crate) fn text<T>(
        &mut self,
        setting: &'static Setting,
        flag: Option<String>,
        file: Option<String>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Option<T>, ConfigError> {
        let environment = self.variable(setting.env).map_err(|fault| setting.refuse(fault))?;
        let default = setting.default.map(ToOwned::to_owned);
        self.first(setting, [flag, environment, file, default], |text| parse(&text))
    }

    /// A setting that is a list: repeated flags, commas in the environment, an array in the file.
    pub(crate) fn list<T>(
        &mut self,
        setting: &'static Setting,
        flag: Option<Vec<String>>,
        file: Option<Vec<String>>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Vec<T>, ConfigError> {
        self.separated(setting, ',', flag, file, parse)
    }

    /// The same where commas may be part of an item: semicolons in the environment.
    pub(crate) fn texts<T>(
        &mut self,
        setting: &'static Setting,
        flag: Option<Vec<String>>,
        file: Option<Vec<String>>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Vec<T>, ConfigError> {
        self.separated(setting, ';', flag, file, parse)
    }

    fn separated<T>(
        &mut self,
        setting: &'static Setting,
        separator: char,
        flag: Option<Vec<String>>,
        file: Option<Vec<String>>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Vec<T>, ConfigError> {
        let environment = self.variable(setting.env).map_err(|fault| setting.refuse(fault))?;
        let split = |text: &str| text.split(separator).map(ToOwned::to_owned).collect();
        let (environment, default) = (environment.as_deref().map(split), setting.default.map(split));
        let list = self.first(setting, [flag, environment, file, default], |items: Vec<String>| {
            items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).map(&parse).collect()
        })?;
        Ok(list.unwrap_or_default())
    }

    /// A setting that is on or off.
    pub(crate) fn switch(
        &mut self,
        setting: &'static Setting,
        flag: Option<String>,
        file: Option<bool>,
    ) -> Result<Option<bool>, ConfigError> {
        self.text(setting, flag, file.map(|on| on.to_string()), parse::switch)
    }

    fn first<V, T>(
        &mut self,
        setting: &'static Setting,
        [flag, environment, file, default]: [Option<V>; 4],
        parse: impl Fn(V) -> Result<T, Fault>,
    ) -> Result<Option<T>, ConfigError> {
        let given = None
            .or(flag.map(|value| (value, Source::Flag)))
            .or(environment.map(|value| (value, Source::Environment)))
            .or(file.map(|value| (value, Source::File)))
            .or(default.map(|value| (value, Source::Default)));
        let Some((value, source)) = given else { return Ok(None) };
        self.sources.push((setting.name, source));
        parse(value).map(Some).map_err(|fault| self.refuse(setting, fault))
    }

    /// An error about a setting that names the file when the value came from there.
    pub(crate) fn refuse(&self, setting: &Setting, fault: Fault) -> ConfigError {
        let from_file = self.sources.contains(&(setting.name, Source::File));
        match &self.file_path {
            Some(path) if from_file => ConfigError {
                setting: format!("{} ({})", setting.name, path.display()),
                problem: fault.problem,
                fix: fault.fix,
            },
            _ => setting.refuse(fault),
        }
    }
}
