//! Packages for other programs, as crates.io would have them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::report::Outcome;
use super::stage::Stage;
use crate::process;

/// Builds each package that is published by itself: as it is packaged, and with the releases of its dependencies that
/// support its oldest Rust.
pub(super) fn run(stage: &Stage<'_>) -> Result<Outcome> {
    let metadata = process::metadata(stage.root)?;
    let target = process::target_dir(stage.root)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    // An empty list of registries: published nowhere.
    for package in packages.iter().filter(|package| package["publish"].is_null()) {
        if let Err(error) = build(package, &target) {
            // The parts after this one run all the same.
            return Ok(Outcome::Failed(format!("{error:#}")));
        }
    }
    Ok(Outcome::Passed)
}

fn build(package: &Value, target: &Path) -> Result<()> {
    let field = |name| package[name].as_str().with_context(|| format!("a package without {name}"));
    let name = field("name")?;
    process::must_run(process::cargo().args([
        "package",
        "--allow-dirty",
        "--all-features",
        "--package",
        name,
    ]))?;
    let archive = target.join("package").join(format!("{name}-{}.crate", field("version")?));
    let unpacked = tempfile::tempdir().context("a directory for the package")?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).args(["--strip-components", "1", "-C"]).arg(unpacked.path());
    process::must_run(&mut tar)?;
    with_oldest_rust(unpacked.path(), &target.join("oldest-rust"), name, field("rust_version")?)
}

/// Checks that every dependency of a package has a release for its oldest Rust, and that it compiles with these: by that
/// compiler, if rustup has it.
fn with_oldest_rust(package: &Path, target: &Path, name: &str, rust: &str) -> Result<()> {
    // The versions of the workspace, which are for a newer Rust.
    fs::remove_file(package.join("Cargo.lock")).context("the package's Cargo.lock")?;
    let here = |mut cargo: Command| {
        cargo.current_dir(package).env("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback");
        cargo
    };
    let host = process::output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let mut cargo = here(process::cargo());
    cargo.args(["metadata", "--format-version", "1", "--all-features", "--filter-platform", host.trim()]);
    let metadata: Value = serde_json::from_str(&process::output(&mut cargo)?).context("cargo metadata")?;
    let newer = newer_than(&metadata, rust)?;
    if !newer.is_empty() {
        bail!("{name} promises Rust {rust}, but no release of these supports it: {}", newer.join(", "));
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["run", rust, "cargo"]);
    let has_oldest = Command::new("rustup")
        .args(["run", rust, "cargo", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut cargo = here(if has_oldest { rustup } else { process::cargo() });
    process::must_run(cargo.args(["check", "--all-features"]).env("CARGO_TARGET_DIR", target))
}

/// The packages that the root of a resolved graph is built from and that need a newer Rust than this.
fn newer_than(metadata: &Value, rust: &str) -> Result<Vec<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (nodes, packages) = (list(&metadata["resolve"]["nodes"]), list(&metadata["packages"]));
    let root = metadata["resolve"]["root"].clone();
    let mut ids = vec![root];
    let mut at = 0;
    while let Some(id) = ids.get(at).cloned() {
        at += 1;
        let node = nodes.iter().find(|node| node["id"] == id).context("a package without a node")?;
        for dependency in list(&node["deps"]) {
            let is_built = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            if is_built && !ids.contains(&dependency["pkg"]) {
                ids.push(dependency["pkg"].clone());
            }
        }
    }
    let built = packages.iter().filter(|package| ids.contains(&package["id"]));
    let newer = built.filter(|package| {
        package["rust_version"].as_str().is_some_and(|needed| release(needed) > release(rust))
    });
    Ok(newer.map(|package| format!("{} {}", package["name"], package["version"]).replace('"', "")).collect())
}

/// The numbers of a version of Rust.
fn release(version: &str) -> Vec<u32> {
    version.split('.').take(2).map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::newer_than;

    #[test]
    fn dependencies_that_need_a_newer_rust() {
        let normal = json!([{ "kind": null }]);
        let dev = json!([{ "kind": "dev" }]);
        let metadata = json!({
            "packages": [
                { "id": "r", "name": "root", "version": "1.0.0", "rust_version": "1.85" },
                { "id": "a", "name": "a", "version": "1.0.0", "rust_version": "1.85.1" },
                { "id": "b", "name": "b", "version": "0.2.0", "rust_version": "1.100" },
                { "id": "c", "name": "c", "version": "3.0.0", "rust_version": null },
                { "id": "t", "name": "t", "version": "1.0.0", "rust_version": "1.90" },
            ],
            "resolve": { "root": "r", "nodes": [
                { "id": "r", "deps": [{ "pkg": "a", "dep_kinds": normal }, { "pkg": "t", "dep_kinds": dev }] },
                { "id": "a", "deps": [{ "pkg": "b", "dep_kinds": [{ "kind": "dev" }, { "kind": "build" }] }] },
                { "id": "b", "deps": [{ "pkg": "c", "dep_kinds": normal }, { "pkg": "a", "dep_kinds": normal }] },
                { "id": "c", "deps": [] },
                { "id": "t", "deps": [] },
            ] },
        });
        assert_eq!(newer_than(&metadata, "1.85").unwrap(), ["b 0.2.0"]);
        assert_eq!(newer_than(&metadata, "1.100").unwrap(), [""; 0]);
        assert_eq!(newer_than(&metadata, "1.84").unwrap(), ["root 1.0.0", "a 1.0.0", "b 0.2.0"]);
    }
}
