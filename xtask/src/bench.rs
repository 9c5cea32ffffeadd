//! `cargo xtask bench`: builds the server and the benchmark for speed, and runs one on the other.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::process;

// The benchmark's own command line says what there is: `cargo xtask bench --help`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Flags of the benchmark: `cargo xtask bench --help`
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// Runs in the caller's directory, so that paths may be relative to it.
pub(crate) fn run(arguments: &Arguments, root: &Path, caller: &Path) -> Result<ExitCode> {
    process::must_run(process::cargo().args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "causeway-server",
    ]))?;
    // On a disk, other than most temporary directories.
    let scratch = process::target_dir(root)?;
    let server = scratch.join("release").join(format!("causeway{}", env::consts::EXE_SUFFIX));
    if !server.is_file() {
        bail!("causeway-server was built, but {} does not exist", server.display());
    }
    let status = process::show_and_run(
        process::cargo()
            .current_dir(caller)
            .args(["run", "--release", "--quiet", "--package", "causeway-bench", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .args(["--", "--server"])
            .arg(server)
            .arg("--scratch")
            .arg(scratch)
            .args(&arguments.flags),
    )?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
