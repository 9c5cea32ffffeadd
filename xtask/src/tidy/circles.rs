//! Checks that the files of a crate import one another in one direction.
//!
//! A file imports another when a path in it, outside of its test module, leads there: `crate::`, `super::` or
//! `self::`, in a `use` or anywhere else. The declaration of a module is no import, and neither is a re-export by
//! `pub use`, which is how a folder shows what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;
use super::sources::rust_files;

/// The crates that are checked, and the modules through which a circle is meant: all use cases run on `Ctx`, and
/// it holds what they share.
const CRATES: [(&str, &[&str]); 12] = [
    ("api", &[]),
    ("atproto", &[]),
    ("bench", &[]),
    ("config", &[]),
    ("domain", &[]),
    ("flow", &["ctx", "error"]),
    ("jose", &[]),
    ("outbound", &[]),
    ("providers", &[]),
    ("server", &[]),
    ("store", &["store", "error"]),
    ("types", &[]),
];

/// The files of a crate by module path, and the modules that each imports.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, shared) in CRATES {
        let source = root.join("crates").join(name).join("src");
        let graph = read(&source, shared)?;
        findings.extend(circles(&graph).into_iter().map(|circle| {
            let problem = format!("imports in a circle: {}", circle.join(" -> "));
            Finding::new(format!("crates/{name}/src"), problem, "move what both need into a file of its own")
        }));
    }
    Ok(findings)
}

fn read(source: &Path, shared: &[&str]) -> Result<Graph> {
    let mut texts = BTreeMap::new();
    for path in rust_files(source)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(source).unwrap_or(&path).with_extension("");
        let mut parts: Vec<_> = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        parts.pop_if(|last| *last == "mod" || *last == "lib" || *last == "main");
        if parts.last().is_none_or(|last| *last != "tests") {
            texts.insert(parts.join("::"), text);
        }
    }
    let files: BTreeSet<&str> = texts.keys().map(String::as_str).collect();
    let mut graph = Graph::new();
    for (module, text) in &texts {
        if !shared.contains(&module.as_str()) && !module.is_empty() {
            let mut imports = imports(module, text, &files);
            imports.retain(|import| {
                import != module && !import.is_empty() && !shared.contains(&import.as_str())
            });
            graph.insert(module.clone(), imports);
        }
    }
    Ok(graph)
}

/// The modules that a file imports.
fn imports(module: &str, text: &str, files: &BTreeSet<&str>) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for root in ["crate", "super", "self"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let before = &code[..at];
            let is_root = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let line = before.rsplit('\n').next().unwrap_or_default();
            if is_root && !(line.starts_with("pub") && line.contains("use ")) {
                let mut base: Vec<&str> =
                    if module.is_empty() { vec![] } else { module.split("::").collect() };
                let mut rest = &code[at + root.len() + 2..];
                match root {
                    "crate" => base.clear(),
                    "super" => drop(base.pop()),
                    _ => (),
                }
                while let Some(further) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = further;
                }
                expand(&base, rest, &mut |path| {
                    found.insert(file_of(&path, files));
                });
            }
        }
    }
    found
}

/// Calls `each` with every path of a use tree that begins after `base`.
fn expand(base: &[&str], tree: &str, each: &mut impl FnMut(Vec<&str>)) {
    let name = tree.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let mut path = base.to_vec();
    if !name.is_empty() {
        path.push(name);
        return match tree[name.len()..].strip_prefix("::") {
            Some(rest) => expand(&path, rest, each),
            None => each(path),
        };
    }
    let Some(group) = tree.strip_prefix('{') else { return each(path) };
    let (mut depth, mut start) = (0_usize, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                expand(base, group[start..at].trim(), each);
                start = at + 1;
                if letter == '}' {
                    return;
                }
            }
            _ => (),
        }
    }
}

/// The file that a path leads into: its longest beginning that is a module.
fn file_of(path: &[&str], files: &BTreeSet<&str>) -> String {
    let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
    beginnings.into_iter().find(|module| files.contains(module.as_str())).unwrap_or_default()
}

/// The circles of a graph, each once, as the way from its first file back to it.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut known = BTreeSet::new();
    for start in graph.keys() {
        if !known.contains(start)
            && let Some(way) = way_back(graph, start)
        {
            known.extend(way.iter().cloned());
            found.push(way);
        }
    }
    found
}

/// The shortest way from a file back to itself.
fn way_back(graph: &Graph, start: &String) -> Option<Vec<String>> {
    let mut from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut next = vec![start];
    while !next.is_empty() {
        let mut further = Vec::new();
        for file in next {
            for import in graph.get(file).into_iter().flatten() {
                if import == start {
                    let mut way = vec![start.clone(), file.clone()];
                    let mut at = file;
                    while let Some(before) = from.get(at) {
                        at = before;
                        way.push(at.clone());
                    }
                    if file == start {
                        way.pop();
                    }
                    way.reverse();
                    return Some(way);
                }
                if !from.contains_key(import) && graph.contains_key(import) {
                    from.insert(import, file);
                    further.push(import);
                }
            }
        }
        next = further;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Graph, circles, imports};

    const FILES: [&str; 6] = ["", "a", "a::b", "a::c", "d", "ctx"];

    fn of(module: &str, text: &str) -> Vec<String> {
        imports(module, text, &BTreeSet::from(FILES)).into_iter().collect()
    }

    #[test]
    fn paths_lead_to_files() {
        assert_eq!(
            of("d", "use crate::a::b::{self, f};\nuse crate::{a::c, ctx::Ctx};"),
            ["a::b", "a::c", "ctx"]
        );
        assert_eq!(of("a::b", "use super::c::X;\nfn f() { crate::d::g() }"), ["a::c", "d"]);
        assert_eq!(of("a", "use self::b::X;\npub use self::c::Y;\n"), ["a::b"]);
        assert_eq!(of("a::b", "// crate::d::g\n#[cfg(test)]\nmod tests { use crate::d; }"), [""; 0]);
    }

    #[test]
    fn a_circle_is_found_once() {
        let edges = [("a", vec!["b", "d"]), ("b", vec!["c"]), ("c", vec!["a"]), ("d", vec![])];
        let graph: Graph = edges
            .map(|(file, imports)| (file.to_owned(), imports.into_iter().map(str::to_owned).collect()))
            .into();
        assert_eq!(circles(&graph), [["a", "b", "c", "a"]]);
        let straight = Graph::from([("a".to_owned(), BTreeSet::from(["d".to_owned()]))]);
        assert!(circles(&straight).is_empty());
    }
}
