//! Rules about files: how long they may be, how they begin, what may stand in none.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Finding, finding};

/// Most lines of a source file.
const LINES: usize = 600;

/// Folders that are made, not written.
const MADE: &[&str] = &[".git", ".venv", "node_modules", "__pycache__", "dist", "portcullis-demo"];

/// Beginnings of paths that exist on one machine only. Put together here, so that this file keeps its own rule.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wor", "k/"),
    concat!("/roo", "t/"),
    concat!("/hom", "e/"),
    concat!("/User", "s/"),
    concat!("bash_", "jobs"),
];

/// The lint that forbids `unsafe`.
pub(super) const UNSAFE: &str = "unsafe_code";
/// The only source files that may name it: generated guest bindings, the engine's one way to take a component that it
/// compiled and sealed itself, and this check.
const MAY_NAME_UNSAFE: &[&str] = &[
    "policy-sdk/src/bindings.rs",
    "host/crates/engine/src/load/sealed.rs",
    "tests/guests/",
    "examples/policies/",
    "tests/src/house/",
];

/// Checks every file below `root`.
pub(super) fn check(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in walk(root) {
        let place = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // What is not text (a component, an archive) has no lines to look at.
            Err(error) if error.kind() == io::ErrorKind::InvalidData && !is_source => continue,
            Err(error) => {
                findings.push(finding("readable", place, error.to_string()));
                continue;
            }
        };
        anywhere(&place, &text, &mut findings);
        if is_source {
            source(&place, &text, &mut findings);
        }
    }
    findings
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        // A folder that can't be read is told as a file is.
        let Ok(entries) = fs::read_dir(&folder) else {
            files.push(folder);
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_made = MADE.contains(&name.as_str());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !is_made && !name.starts_with("target") => folders.push(entry.path()),
                Ok(kind) if kind.is_file() && !is_made => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

fn anywhere(place: &str, text: &str, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| stands_in(line, path)) {
            findings.push(finding("machine paths", format!("{place}:{}", at + 1), format!("names {path}")));
        }
    }
}

/// True where a path begins there: not in the middle of a longer one (`./home/x`, `a/home/b`, a URL).
fn stands_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-}*".contains(before))
    })
}

fn source(place: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > LINES {
        findings.push(finding("length", place, format!("{lines} lines; at most {LINES}")));
    }
    if !text.starts_with("//!") {
        findings.push(finding("header", place, "must begin with `//!`: what it is, where it stands, what must hold"));
    }
    let names = |line: &str| line.contains(UNSAFE) && !line.trim_start().starts_with("//");
    if text.lines().any(names) && !MAY_NAME_UNSAFE.iter().any(|may| place.starts_with(may)) {
        findings.push(finding("unsafe", place, format!("must not silence the lint `{UNSAFE}`")));
    }
}
