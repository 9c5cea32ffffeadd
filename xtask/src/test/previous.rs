//! The server's binary of an earlier version, from which a rolling upgrade has to work.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// The environment variable by which the tests find the binary.
pub(super) const VARIABLE: &str = "CAUSEWAY_TEST_OLD_BIN";
/// The commit of the earlier version. It is raised at every release, to the commit of that release.
const COMMIT: &str = "c92814974cb9970f7b8165bf1279a9717e6af8dc";

/// Path of the binary, which is built from its commit if missing.
///
/// # Errors
/// When this clone lacks the commit, or the build fails.
pub(super) fn build(root: &Path) -> Result<PathBuf> {
    let home = process::target_dir(root)?.join("rolling-upgrade").join(COMMIT);
    let (source, target) = (home.join("source"), home.join("target"));
    let program = target.join("debug").join(format!("causeway{}", env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    check_out(root, &source)?;
    // Its own workspace and lock file, in a directory that nothing else writes to.
    let mut cargo = process::cargo();
    cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target);
    process::must_run(cargo.args(["build", "--locked", "--package", "causeway-server"]))
        .with_context(|| format!("the earlier version, {COMMIT}"))?;
    if !program.is_file() {
        bail!("the earlier version was built, but {} does not exist", program.display());
    }
    Ok(program)
}

/// Writes the files of the commit to a directory, in place of what an interrupted run has left there.
fn check_out(root: &Path, source: &Path) -> Result<()> {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(root);
        git
    };
    process::output(git().args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")])).with_context(|| {
        format!("this clone does not have {COMMIT}, the version to upgrade from: git fetch --unshallow origin, or clone it whole")
    })?;
    if source.exists() {
        fs::remove_dir_all(source).with_context(|| format!("cannot delete {}", source.display()))?;
    }
    fs::create_dir_all(source).with_context(|| format!("cannot create {}", source.display()))?;
    let archive = source.with_extension("tar");
    process::must_run(git().args(["archive", "--format=tar", "--output"]).arg(&archive).arg(COMMIT))?;
    process::must_run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(source))?;
    fs::remove_file(&archive).with_context(|| format!("cannot delete {}", archive.display()))
}
