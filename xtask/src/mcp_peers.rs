//! The MCP servers and clients of `tests/mcp`: from npm, and from PyPI in a virtual environment under `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// The environment variable by which the tests find Python with the packages.
pub(crate) const PYTHON: &str = "CAUSEWAY_TEST_MCP_PYTHON";

/// Installs what npm has, if that has changed.
pub(crate) fn install(root: &Path) -> Result<()> {
    let directory = root.join("tests/mcp");
    let stamp = directory.join("node_modules/.installed");
    let lock = fs::read(directory.join("package-lock.json"))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--loglevel=error"]).current_dir(&directory);
    process::must_run(&mut npm).context("the MCP servers and clients for the tests, from npm")?;
    Ok(fs::write(stamp, lock)?)
}

/// Installs what PyPI has, if that has changed; returns the interpreter.
pub(crate) fn install_python(root: &Path) -> Result<PathBuf> {
    let wanted = root.join("tests/mcp/requirements.txt");
    let home = process::target_dir(root)?.join("mcp-python");
    let (python, stamp) = (home.join("bin/python"), home.join("requirements.txt"));
    let text = fs::read(&wanted)?;
    if fs::read(&stamp).is_ok_and(|installed| installed == text) {
        return Ok(python);
    }
    process::must_run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
        .context("python3 with its venv module (on Debian: python3-venv)")?;
    let mut pip = Command::new(home.join("bin/pip"));
    process::must_run(pip.args(["install", "--quiet", "--requirement"]).arg(&wanted))
        .context("mcp and fastmcp from PyPI")?;
    fs::write(stamp, text)?;
    Ok(python)
}
