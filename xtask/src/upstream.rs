//! `cargo xtask upstream`, `cargo xtask provider` and `cargo xtask booking`: run the scripted servers of the tests by hand.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::process;

// Its own command line says what there is.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Flags of the scripted server, which `--help` lists
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// Builds and runs one of the scripted servers.
pub(crate) fn run(arguments: &Arguments, root: &Path, server: &str) -> Result<ExitCode> {
    let program = process::build_program(root, server)?;
    let status = process::show_and_run(Command::new(program).args(&arguments.flags))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
