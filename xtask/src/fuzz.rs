//! schemathesis, which generates requests from the OpenAPI document, in a virtual environment under `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// The environment variable by which the tests find it.
pub(crate) const VARIABLE: &str = "CAUSEWAY_TEST_SCHEMATHESIS";
/// Version on <https://pypi.org/project/schemathesis/>.
const VERSION: &str = "4.32.5";

/// Path of the program, which is installed from PyPI if missing.
pub(crate) fn install(root: &Path) -> Result<PathBuf> {
    let home = process::target_dir(root)?.join(format!("schemathesis-{VERSION}"));
    let program = home.join("bin").join("schemathesis");
    if !program.is_file() {
        process::must_run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
            .context("python3 with its venv module (on Debian: python3-venv)")?;
        process::must_run(Command::new(home.join("bin").join("pip")).args([
            "install",
            "--quiet",
            &format!("schemathesis=={VERSION}"),
        ]))
        .context("schemathesis from PyPI")?;
    }
    Ok(program)
}
