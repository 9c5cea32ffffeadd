//! The catalog: built-in definitions, and those of a directory.

use std::fs;

use causeway_providers::{Catalog, Provider, Source};
use tempfile::tempdir;

const LINEAR: &str = "kind = \"mcp\"\ntitle = \"Linear\"\nmcp_url = \"https://mcp.linear.app/mcp\"\n";

#[test]
fn the_built_in_definitions_are_valid() {
    let catalog = Catalog::load(None).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = catalog.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names.len(), 23);
    assert!(names.is_sorted());
    for provider in catalog.iter() {
        assert_eq!(provider.source, Source::BuiltIn);
        assert!(
            provider.definition.documentation.is_some() || provider.name.as_str() == "demo",
            "{}",
            provider.name
        );
    }
}

/// A file adds a provider under its name, or takes the place of a built-in one. Other files are no definitions.
#[test]
fn files_add_and_override() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("linear.toml"), LINEAR).unwrap();
    fs::write(path("google.toml"), LINEAR.replace("Linear", "Not Google")).unwrap();
    fs::write(path("README.md"), "kind = 1").unwrap();
    let catalog = Catalog::load(Some(directory.path())).unwrap();
    assert_eq!(catalog.iter().count(), 24);
    let linear = catalog.find("linear").unwrap();
    assert_eq!((&*linear.definition.title, &*linear.text), ("Linear", LINEAR));
    let google = catalog.find("google").unwrap();
    assert_eq!(google.definition.title, "Not Google");
    assert_eq!(google.source, Source::File(path("google.toml")));
    assert_eq!(catalog.find("github").unwrap().source, Source::BuiltIn);
    assert!(catalog.find("README").is_none());
}

/// Every file with a problem is reported, with every problem; a good file does not hide them.
#[test]
fn every_problem_of_every_file_is_reported() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.toml"), LINEAR.replace("https", "http").replace("title", "titel")).unwrap();
    fs::write(path("b.toml"), LINEAR).unwrap();
    fs::write(path("My CRM.toml"), LINEAR).unwrap();
    fs::write(path("z.toml"), [0xff]).unwrap();
    let error = Catalog::load(Some(directory.path())).unwrap_err();
    let text = error.to_string().replace(&directory.path().display().to_string(), "DIR");
    insta::assert_snapshot!("every_file", text);
}

#[test]
fn the_name_of_the_file_is_the_name_of_the_provider() {
    let directory = tempdir().unwrap();
    for (name, good) in [
        ("linear", true),
        ("my-crm2", true),
        ("Linear", false),
        ("a_b", false),
        ("2a", false),
        ("atproto", false),
    ] {
        let path = directory.path().join(format!("{name}.toml"));
        fs::write(&path, LINEAR).unwrap();
        assert_eq!(Provider::read(&path).is_ok(), good, "{name}");
    }
}

#[test]
fn a_directory_that_cannot_be_listed_is_an_error() {
    let directory = tempdir().unwrap();
    let error = Catalog::load(Some(&directory.path().join("missing"))).unwrap_err();
    assert!(error.to_string().contains("name a readable directory"), "{error}");
}

/// Only regular files that are short enough for a definition are read.
#[test]
fn only_short_files_are_read() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("folder.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("device.toml")).unwrap();
    fs::write(path("long.toml"), format!("{LINEAR}#{}", "x".repeat(64 * 1024))).unwrap();
    fs::write(path("e\u{1b}[2J.toml"), LINEAR).unwrap();
    let error = Catalog::load(Some(directory.path())).unwrap_err().to_string();
    for (file, problem) in [("folder", "regular"), ("device", "regular"), ("long", "too long")] {
        let line = error.lines().find(|line| line.contains(&format!("{file}.toml")));
        assert!(line.is_some_and(|line| line.contains(problem)), "{file}: {error}");
    }
    assert!(!error.contains('\u{1b}'), "{error:?}");
}
