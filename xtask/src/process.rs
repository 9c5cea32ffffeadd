//! Running other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// The cargo that started this process.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Prints a command, runs it with our standard streams, and returns its exit status.
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

/// As [`show_and_run`]; a failure is an error.
pub(crate) fn must_run(command: &mut Command) -> Result<()> {
    let status = show_and_run(command)?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Standard output of a program; a failure is an error that includes its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = name(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of {program} is not UTF-8"))
}

/// Environment variable that names an existing server binary, instead of building one.
pub(crate) const BINARY: &str = "CAUSEWAY_BIN";

/// Path of the server's binary: the one that is named, or a debug build.
pub(crate) fn server(root: &Path) -> Result<PathBuf> {
    match env::var_os(BINARY) {
        Some(named) => Ok(named.into()),
        None => build_program(root, "causeway"),
    }
}

/// Builds the programs and returns the path of this one. Cargo unifies features over all packages and targets
/// of one call, so everything here builds the whole workspace, tests included: building less would change
/// features, and rebuild everything that depends on them. (There are no examples; asking for them counts as a
/// test.)
pub(crate) fn build_program(root: &Path, name: &str) -> Result<PathBuf> {
    must_run(cargo().args(["build", "--workspace", "--bins", "--examples"]))?;
    program(root, name)
}

/// Builds the server and every test, and returns the path of the server's binary.
pub(crate) fn build_all(root: &Path) -> Result<PathBuf> {
    must_run(cargo().args(["build", "--workspace", "--all-targets"]))?;
    program(root, "causeway")
}

/// Path of a debug build of a program of the workspace.
fn program(root: &Path, name: &str) -> Result<PathBuf> {
    let program = target_dir(root)?.join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if !program.is_file() {
        bail!("{name} was built, but {} does not exist", program.display());
    }
    Ok(program)
}

/// Cargo's target directory, which `CARGO_TARGET_DIR` and configuration files can move.
pub(crate) fn target_dir(root: &Path) -> Result<PathBuf> {
    let metadata = metadata(root)?;
    let path = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(path))
}

/// Cargo's metadata on the members of the workspace.
pub(crate) fn metadata(root: &Path) -> Result<serde_json::Value> {
    let text = output(cargo().current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("the output of cargo metadata is not JSON")
}

/// The first directory of `PATH` that holds a program.
pub(crate) fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|directory| directory.join(program).is_file())
}
