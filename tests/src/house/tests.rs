//! Each rule fails when it is broken, and a tree that keeps them all passes.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{check, files};

const ROOT: &str = "[workspace]\nresolver = \"3\"\nmembers = [\"model\", \"wire\"]\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";

/// A tree of two crates that keeps every rule.
fn tree() -> TempDir {
    let tree = TempDir::new().unwrap();
    put(tree.path(), "Cargo.toml", ROOT);
    package(tree.path(), "model", "");
    package(tree.path(), "wire", "model = { path = \"../model\" }\n");
    tree
}

fn package(root: &Path, name: &str, dependencies: &str) {
    let head =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lints]\nworkspace = true\n");
    put(root, &format!("{name}/Cargo.toml"), &format!("{head}[dependencies]\n{dependencies}"));
    put(root, &format!("{name}/src/lib.rs"), "//! A crate.\n");
}

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn broken(root: &Path) -> Vec<String> {
    check(root).iter().map(ToString::to_string).collect()
}

#[test]
fn a_tree_that_keeps_the_rules_passes() {
    assert_eq!(broken(tree().path()), [""; 0]);
}

#[test]
fn an_arrow_that_points_the_other_way_is_found() {
    let tree = tree();
    package(tree.path(), "wire", "");
    package(tree.path(), "model", "wire = { path = \"../wire\" }\n");
    assert_eq!(broken(tree.path()), ["arrows: model: must not use wire"]);
}

#[test]
fn only_tests_may_use_guests() {
    let tree = tree();
    put(tree.path(), "Cargo.toml", &ROOT.replace("\"wire\"", "\"wire\", \"guests\""));
    package(tree.path(), "guests", "");
    package(tree.path(), "model", "[dev-dependencies]\nguests = { path = \"../guests\" }\n");
    assert_eq!(broken(tree.path()), [""; 0]);
    package(tree.path(), "model", "guests = { path = \"../guests\" }\n");
    assert_eq!(broken(tree.path()), ["arrows: model: must not use guests"]);
}

#[test]
fn a_package_that_the_table_does_not_know_is_found() {
    let tree = tree();
    put(tree.path(), "Cargo.toml", &ROOT.replace("\"wire\"", "\"wire\", \"drawer\""));
    package(tree.path(), "drawer", "");
    assert_eq!(broken(tree.path()), ["arrows: drawer: the table of arrows does not know this package"]);
}

#[test]
fn a_library_in_the_wrong_crate_is_found() {
    let tree = tree();
    package(
        tree.path(),
        "wire",
        "tokio = \"1\"\nredb = \"4\"\nengine = { package = \"wasmtime-wasi\", version = \"48\" }\n",
    );
    let found = broken(tree.path());
    assert!(found.contains(&"libraries: wire: is pure and must not name tokio".to_owned()), "{found:?}");
    assert!(found.contains(&"libraries: wire: only store may name redb".to_owned()), "{found:?}");
    assert!(found.contains(&"libraries: wire: only engine may name wasmtime-wasi".to_owned()), "{found:?}");
}

#[test]
fn lints_of_its_own_are_found() {
    let tree = tree();
    put(tree.path(), "Cargo.toml", &ROOT.replace("forbid", "warn"));
    let manifest = "[package]\nname = \"model\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    put(tree.path(), "model/Cargo.toml", manifest);
    let wanted = [
        "lints: model: must have the lints of the workspace",
        "lints: Cargo.toml: the workspace must forbid unsafe_code",
    ];
    assert_eq!(broken(tree.path()), wanted);
}

#[test]
fn one_package_may_deny_where_the_rest_forbids() {
    let tree = tree();
    put(tree.path(), "Cargo.toml", &ROOT.replace("\"wire\"", "\"wire\", \"policy-sdk\""));
    package(tree.path(), "policy-sdk", "");
    let manifest = |level: &str| {
        let head = "[package]\nname = \"policy-sdk\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lints.rust]\n";
        put(tree.path(), "policy-sdk/Cargo.toml", &format!("{head}{} = \"{level}\"\n", files::UNSAFE));
    };
    manifest("deny");
    assert_eq!(broken(tree.path()), [""; 0]);
    manifest("allow");
    assert_eq!(broken(tree.path()), ["lints: policy-sdk: must have the lints of the workspace"]);
}

#[test]
fn a_tree_with_no_manifest_is_no_tree() {
    let empty = TempDir::new().unwrap();
    assert!(!check(empty.path()).is_empty());
}

#[test]
fn files_are_looked_at() {
    let tree = TempDir::new().unwrap();
    put(tree.path(), "a.rs", "// not a header\n");
    put(tree.path(), "b.rs", &format!("//! Long.\n{}", "//\n".repeat(600)));
    put(tree.path(), "c.rs", "//! Silent.\n#![allow(unsafe_code, reason = \"no\")]\n");
    put(tree.path(), "policy-sdk/src/bindings.rs", "//! Bindings.\n#![allow(unsafe_code)]\n");
    put(tree.path(), "d.md", concat!("see ./wor", "k/x, and then /wor", "k/x\n"));
    put(tree.path(), "target-x/e.rs", "made\n");
    put(tree.path(), "target.rs", "// written\n");
    fs::write(tree.path().join("f.rs"), b"//! \xff\n").unwrap();
    fs::write(tree.path().join("f.wasm"), b"\xff").unwrap();
    let rules: Vec<(&str, String)> =
        files::check(tree.path()).into_iter().map(|finding| (finding.rule, finding.place)).collect();
    let wanted = [
        ("header", "a.rs"),
        ("length", "b.rs"),
        ("unsafe", "c.rs"),
        ("machine paths", "d.md:1"),
        ("readable", "f.rs"),
        ("header", "target.rs"),
    ];
    assert_eq!(rules, wanted.map(|(rule, place)| (rule, place.to_owned())));
}

#[test]
fn this_repository_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert_eq!(broken(root), [""; 0]);
}
