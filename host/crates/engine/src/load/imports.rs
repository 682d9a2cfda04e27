//! What a policy wants from the host, and whether the operator granted it.
//!
//! Nothing is ambient: a policy may import interfaces of the contract's own package, at a version the host speaks, each
//! granted by name. Anything else is refused here, before it is compiled, with a message that names the import and
//! the way out; for WASI, that is a switch of the toolchain which made the file.

use super::{
    Refused,
    shape::{Form, Shape},
    stage,
};
use crate::runtime::Grants;

/// The contract's package.
pub const PACKAGE: &str = "portcullis:policy";
/// The version of the contract that this host offers. Below 1.0, a file for the same minor version is compatible.
pub const VERSION: (u64, u64, u64) = (0, 1, 0);

/// An import of a policy, as `portcullis policy inspect` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// As the file names it: `portcullis:policy/state@0.1.0`.
    pub name: String,
    /// Whether the policy gets it.
    pub granted: bool,
}

/// Lists what a policy imports.
#[must_use]
pub fn list(shape: &Shape, grants: Grants) -> Vec<Import> {
    let granted = |name: &String| Import { name: name.clone(), granted: check_one(name, shape, grants).is_ok() };
    shape.imports.iter().map(granted).collect()
}

/// Checks imports against grants, and that the file exports what the contract requires.
///
/// # Errors
/// Names every import that is not granted, and the way out.
pub fn check(shape: &Shape, grants: Grants) -> Result<(), Refused> {
    let mut wrong: Vec<String> = Vec::new();
    let mut foreign: Vec<&str> = Vec::new();
    for name in &shape.imports {
        match check_one(name, shape, grants) {
            Ok(()) => {}
            Err(Wrong::Foreign) => foreign.push(name),
            Err(Wrong::Other(message)) => wrong.push(message),
        }
    }
    if !foreign.is_empty() {
        wrong.insert(0, refuse_foreign(&foreign, &shape.producers));
    }
    if wrong.is_empty() {
        return check_exports(shape);
    }
    Err(Refused::new(stage::IMPORTS, wrong.join("; ")))
}

enum Wrong {
    /// Not of the contract's package.
    Foreign,
    /// What is wrong with it.
    Other(String),
}

fn check_one(name: &str, shape: &Shape, grants: Grants) -> Result<(), Wrong> {
    let Some(named) = Named::parse(name) else {
        // How a core module names the canonical built-ins of what it exports itself.
        let built_in = shape.form == Form::CoreModule
            && name.strip_prefix("[export]").is_some_and(|exported| Named::parse(exported).is_some());
        return if built_in { Ok(()) } else { Err(Wrong::Foreign) };
    };
    if !named.compatible() {
        return Err(Wrong::Other(wrong_version("imports", name)));
    }
    if grants.satisfies(name) {
        return Ok(());
    }
    if Grants::NAMES.contains(&named.interface) {
        return Err(Wrong::Other(format!(
            "it imports `{name}`, which is not granted: write `grants = [\"{0}\"]` in its .toml file, or build it for a \
             world without `{0}`",
            named.interface
        )));
    }
    Err(Wrong::Other(format!(
        "it imports `{name}`, which the host does not offer; there are `log`, {}",
        Grants::NAMES.map(|name| format!("`{name}`")).join(", ")
    )))
}

/// A policy must export `portcullis:policy/policy`.
fn check_exports(shape: &Shape) -> Result<(), Refused> {
    // A core module exports `interface#function`.
    let interfaces = shape.exports.iter().map(|name| name.split_once('#').map_or(name.as_str(), |(name, _)| name));
    let mut other_version = None;
    for name in interfaces {
        let Some(named) = Named::parse(name) else { continue };
        if named.compatible() && named.interface == "policy" {
            return Ok(());
        }
        if !named.compatible() {
            other_version = Some(name.to_owned());
        }
    }
    Err(Refused::new(
        stage::IMPORTS,
        match other_version {
            Some(name) => wrong_version("exports", &name),
            None => format!(
                "it does not export `{PACKAGE}/policy`, so it is no policy; build it against wit/policy.wit, for one of \
                 its worlds (`text-policy`, `conversation-policy`, …)"
            ),
        },
    ))
}

fn wrong_version(verb: &str, name: &str) -> String {
    let (major, minor, patch) = VERSION;
    let range = if major == 0 { format!("{major}.{minor}.x") } else { format!("{major}.x") };
    format!(
        "it {verb} `{name}`, but this host speaks {PACKAGE}@{major}.{minor}.{patch} (any {range}): build it again with the \
         host's wit/policy.wit"
    )
}

/// `portcullis:policy/INTERFACE@MAJOR.MINOR.PATCH`.
struct Named<'a> {
    interface: &'a str,
    version: &'a str,
}

impl<'a> Named<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        Some(Self { interface, version })
    }

    /// Semantic versioning's rule: below 1.0.0 the minor version must agree, from there on the major one.
    fn compatible(&self) -> bool {
        let mut numbers = self.version.splitn(3, '.').map(str::parse::<u64>);
        let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        let (own_major, own_minor, own_patch) = VERSION;
        match own_major {
            0 if own_minor == 0 => (major, minor, patch) == (0, 0, own_patch),
            0 => (major, minor) == (0, own_minor),
            _ => major == own_major,
        }
    }
}

/// Names the imports, and what the toolchain that made the file has against them.
fn refuse_foreign(names: &[&str], producers: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let wasi = names.iter().any(|name| name.starts_with("wasi"));
    let way_out = if wasi {
        way_out(producers)
    } else {
        "a policy may import interfaces of portcullis:policy only; take the others out of its world".to_owned()
    };
    format!("it imports {shown}{more}, and a policy gets nothing from outside the contract: {way_out}")
}

/// What keeps WASI out, for each toolchain known to need a switch. The first that matches counts, so the more special
/// ones stand first: componentize-py's files carry the names of C tools too.
fn way_out(producers: &[String]) -> String {
    const TOOLCHAINS: [(&[&str], &str); 7] = [
        (&["componentize-py", "python"], "componentize-py leaves WASI out with `-s` (`componentize app -s …`)"),
        (&["componentize-qjs", "quickjs"], "componentize-qjs leaves WASI out with `--stub-wasi --sync`"),
        (
            &["componentizejs", "componentize-js", "starlingmonkey", "javascript"],
            "componentize-js leaves WASI out when its API is called with `disableFeatures: [\"stdio\", \"random\", \
             \"clocks\", \"http\", \"fetch-event\"]`; componentize-qjs with `--stub-wasi --sync`",
        ),
        (
            &["tinygo", "go"],
            "Go's runtime always imports WASI; give `wasm-tools component new` a null adapter \
             (`--adapt wasi_snapshot_preview1=null.wasm`)",
        ),
        // componentize-qjs is written in Rust, and its files carry no other name.
        (
            &["rust", "rustc"],
            "build Rust for `--target wasm32-unknown-unknown` instead of a wasip1 or wasip2 target; componentize-qjs \
             (JavaScript) leaves WASI out with `--stub-wasi --sync`",
        ),
        (
            &["clang", "c_plus_plus", "c", "zig"],
            "build with `-mexec-model=reactor` and without stdio, clocks and files, or give `wasm-tools component new` a \
             null adapter (`--adapt wasi_snapshot_preview1=null.wasm`)",
        ),
        (&["assemblyscript"], "AssemblyScript has no component support yet"),
    ];
    let lower: Vec<String> = producers.iter().map(|name| name.to_ascii_lowercase()).collect();
    let is = |needle: &str| {
        lower.iter().any(|name| {
            // Short names must match whole words: "go" is not in "cargo-component".
            name == needle || (needle.len() > 4 && name.contains(needle)) || name.split(' ').any(|word| word == needle)
        })
    };
    match TOOLCHAINS.iter().find(|(names, _)| names.iter().any(|name| is(name))) {
        Some((_, advice)) => (*advice).to_owned(),
        None => "build it without WASI, or give `wasm-tools component new` a null adapter \
                 (`--adapt wasi_snapshot_preview1=null.wasm`)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(imports: &[&str], producers: &[&str]) -> Shape {
        Shape {
            form: Form::Component,
            imports: imports.iter().map(|&name| name.to_owned()).collect(),
            exports: vec!["portcullis:policy/policy@0.1.0".to_owned()],
            producers: producers.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn refusal(imports: &[&str], producers: &[&str]) -> String {
        check(&shape(imports, producers), Grants::default()).expect_err("refused").message
    }

    #[test]
    fn the_log_and_the_types_are_everybodys() {
        let everybodys = shape(&["portcullis:policy/types@0.1.0", "portcullis:policy/log@0.1.7"], &[]);
        assert_eq!(check(&everybodys, Grants::default()), Ok(()));
    }

    #[test]
    fn a_grant_opens_one_interface_only() {
        let state = Grants { state: true, ..Grants::default() };
        let both = shape(&["portcullis:policy/state@0.1.0", "portcullis:policy/clock@0.1.0"], &[]);
        let message = check(&both, state).expect_err("clock is not granted").message;
        assert!(message.contains("`portcullis:policy/clock@0.1.0`") && message.contains(r#"grants = ["clock"]"#));
        assert!(!message.contains("state"), "{message}");
        assert_eq!(check(&both, Grants { clock: true, ..state }), Ok(()));
        let shown = list(&both, state);
        assert_eq!(shown.iter().map(|import| import.granted).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn wasi_is_refused_with_the_toolchains_own_switch() {
        let wasi =
            ["wasi:cli/environment@0.2.0", "wasi:io/error@0.2.0", "wasi:sockets/tcp@0.2.0", "wasi:io/poll@0.2.0"];
        for (producers, expected) in [
            (&["clang", "componentize-py", "Rust"][..], "componentize-py leaves WASI out with `-s`"),
            (&["JavaScript", "ComponentizeJS"], "disableFeatures"),
            (&["componentize-qjs"], "`--stub-wasi --sync`"),
            (&["Go", "Go cmd/compile"], "null adapter"),
            (&["Rust", "rustc", "cargo-component"], "wasm32-unknown-unknown"),
            (&["wit-component", "Rust", "rustc"], "componentize-qjs (JavaScript) leaves WASI out with `--stub-wasi"),
            (&["C_plus_plus_14", "clang"], "-mexec-model=reactor"),
            (&[], "without WASI"),
        ] {
            let message = refusal(&wasi, producers);
            assert!(message.contains(expected), "{producers:?}: {message}");
            assert!(message.contains("`wasi:cli/environment@0.2.0`") && message.contains("and 1 more"), "{message}");
        }
    }

    #[test]
    fn other_packages_other_versions_and_unknown_interfaces_are_refused() {
        assert!(refusal(&["acme:vault/secrets@1.0.0"], &[]).contains("`acme:vault/secrets@1.0.0`"));
        assert!(refusal(&["anything"], &[]).contains("`anything`"));
        for version in ["@0.2.0", "@1.0.0", "", "@0.1", "@0.1.x"] {
            let message = refusal(&[&format!("portcullis:policy/log{version}")], &[]);
            assert!(message.contains("this host speaks portcullis:policy@0.1.0"), "{message}");
        }
        assert!(refusal(&["portcullis:policy/network@0.1.0"], &[]).contains("does not offer"));
        assert!(refusal(&["portcullis:policy-evil/log@0.1.0"], &[]).contains("outside the contract"));
    }

    #[test]
    fn a_component_that_is_no_policy_is_told_so() {
        let mut other = shape(&[], &[]);
        other.exports = vec!["wasi:http/incoming-handler@0.2.0".to_owned()];
        assert!(check(&other, Grants::default()).expect_err("no policy").message.contains("does not export"));
        other.exports = vec!["portcullis:policy/policy@0.7.0".to_owned()];
        assert!(check(&other, Grants::default()).expect_err("other version").message.contains("this host speaks"));
        other.exports = vec!["portcullis:policy/policy@0.1.0#describe".to_owned()];
        assert_eq!(check(&other, Grants::default()), Ok(()));
    }
}
