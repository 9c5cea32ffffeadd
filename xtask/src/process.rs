//! Running other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Shows the command, runs it on our terminal, and answers how it ended.
pub(crate) fn show_and_run(command: &mut Command) -> Result<ExitStatus> {
    let program = name(command);
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    eprintln!("xtask: {program} {}", arguments.join(" "));
    command.status().with_context(|| format!("cannot start {program}"))
}

/// The program's name without its directory.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// As [`show_and_run`]; another end than success is an error.
pub(crate) fn must_run(command: &mut Command) -> Result<()> {
    let status = show_and_run(command)?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// What a program writes to stdout; another end than success is an error with what it wrote to stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = name(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of {program} is not UTF-8"))
}

/// The variable by which a server's binary is named that needs no building.
pub(crate) const BINARY: &str = "CAUSEWAY_BIN";

/// Answers where the server's binary is: the one that is named, or a debug build.
pub(crate) fn server(root: &Path) -> Result<PathBuf> {
    match env::var_os(BINARY) {
        Some(named) => Ok(named.into()),
        None => build_program(root, "causeway"),
    }
}

/// Builds the programs and answers where this one is. Cargo gives packages the features that all packages and targets of
/// one call want together; so everything here builds the whole workspace, tests included: anything less would be built
/// with other features, and everything below it again. (There are no examples; asking for them counts as a test.)
pub(crate) fn build_program(root: &Path, name: &str) -> Result<PathBuf> {
    must_run(cargo().args(["build", "--workspace", "--bins", "--examples"]))?;
    program(root, name)
}

/// Builds the server and every test, and answers where the server's binary is.
pub(crate) fn build_all(root: &Path) -> Result<PathBuf> {
    must_run(cargo().args(["build", "--workspace", "--all-targets"]))?;
    program(root, "causeway")
}

/// A program of the workspace that was built for debugging.
fn program(root: &Path, name: &str) -> Result<PathBuf> {
    let program = target_dir(root)?.join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if !program.is_file() {
        bail!("{name} was built, but {} is not there", program.display());
    }
    Ok(program)
}

/// Where cargo builds, which `CARGO_TARGET_DIR` and configuration files can move.
pub(crate) fn target_dir(root: &Path) -> Result<PathBuf> {
    let metadata = metadata(root)?;
    let path = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(path))
}

/// What cargo knows about the members of the workspace.
pub(crate) fn metadata(root: &Path) -> Result<serde_json::Value> {
    let text = output(cargo().current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("cargo metadata wrote no JSON")
}

/// The first directory of `PATH` that holds a program.
pub(crate) fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|directory| directory.join(program).is_file())
}
