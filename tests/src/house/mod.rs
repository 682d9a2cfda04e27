//! The rules of the house that no compiler checks: which crate may use which, where a library may be named, how files
//! look. `cargo run -p scenarios --bin house-rules` says what breaks them.
//!
//! What must hold: a rule that can't be checked (a manifest that can't be read, a crate that the table does not know)
//! is broken, not skipped.

mod crates;
mod files;

use std::{fmt, path::Path};

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Where: a package or a file (with its line).
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule, self.place, self.what)
    }
}

/// Every broken rule in the repository at `root`.
#[must_use]
pub fn check(root: &Path) -> Vec<Finding> {
    let mut findings = crates::check(root);
    findings.extend(files::check(root));
    findings
}

fn finding(rule: &'static str, place: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding { rule, place: place.into(), what: what.into() }
}

#[cfg(test)]
mod tests;
