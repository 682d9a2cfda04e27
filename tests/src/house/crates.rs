//! Rules about crates: the arrows between them, and the libraries that only one of them may name. Code can name only
//! what its manifest does, so the manifests decide.

use std::{fs, path::Path, process::Command};

use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Finding, finding};

/// What each package may use of the house. The design: host → {engine, identity, approvals, store, admin} → exchange →
/// {wire → model, coding}; admin reads approvals and the store; the engine has its patterns found by a crate that knows no
/// Wasm.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "portcullis",
        &[
            "engine",
            "identity",
            "approvals",
            "store",
            "admin",
            "alerts",
            "meters",
            "exchange",
            "wire",
            "coding",
            "front",
            "outbound",
            "patient",
            "model",
        ],
    ),
    ("admin", &["approvals", "alerts", "identity", "store", "exchange", "patient", "model"]),
    ("engine", &["patterns", "exchange", "model"]),
    ("identity", &["outbound", "exchange", "model"]),
    ("alerts", &["outbound", "exchange", "model"]),
    ("meters", &["exchange", "model"]),
    ("outbound", &["model"]),
    ("approvals", &["exchange", "model"]),
    ("store", &["exchange", "model"]),
    ("exchange", &["wire", "coding", "fold", "model"]),
    ("wire", &["model"]),
    ("patterns", &["fold", "model"]),
    ("coding", &[]),
    // Bytes of a connection before anything else reads them.
    ("front", &[]),
    // A connection on both listeners.
    ("patient", &[]),
    ("model", &[]),
    // The host matches folded text, and a policy verifies what was matched: both must read it alike.
    ("fold", &[]),
    // Its test rig finds what the host would: natively, so that no guest carries a matcher.
    ("policy-sdk", &["fold", "patterns"]),
    ("mask", &["policy-sdk"]),
    ("block", &["policy-sdk"]),
    ("approve", &["policy-sdk"]),
    ("lockdown", &["policy-sdk"]),
    ("ssn-guard", &["policy-sdk"]),
    ("guests", &["policy-sdk"]),
    // What plays an identity provider for tests.
    ("openid-provider", &[]),
    // Fuzz targets reach the parsers directly; nothing uses them.
    ("fuzz", &["wire", "coding", "front", "fold", "patterns", "identity", "store", "model"]),
    // The tests share nothing with the host: a mistake could hide behind the same mistake.
    ("scenarios", &[]),
];

/// What any package's tests may use: the misbehaving guests, a real identity provider.
const FOR_TESTS: &[&str] = &["guests", "openid-provider"];

/// Libraries (by the beginning of their names) that only these packages may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("wasmtime", &["engine"]),
    ("zstd", &["coding", "scenarios"]),
    ("brotli-decompressor", &["coding"]),
    ("redb", &["store"]),
    ("lz4_flex", &["store"]),
    ("axum", &["admin"]),
    ("prometheus-client", &["meters"]),
    ("jsonwebtoken", &["identity"]),
    ("openidconnect", &["identity"]),
    ("oauth2", &["identity"]),
    ("wit-bindgen", &["policy-sdk", "guests"]),
];

/// Packages that are pure: no runtime, no sockets.
const PURE: &[&str] = &["model", "wire", "patterns", "coding", "front", "fold"];
/// What a pure package may not use.
const IMPURE: &[&str] = &["tokio", "hyper", "mio", "async-std", "smol", "reqwest", "socket2", "notify", "rustix"];

/// Packages with one item that lifts `unsafe_code`: their lints are the workspace's, with `deny` for it, since `forbid`
/// can't be lifted.
const DENY_UNSAFE: &[&str] = &["policy-sdk", "guests", "engine"];

/// Checks the manifests below `root`.
pub(super) fn check(root: &Path) -> Vec<Finding> {
    let packages = match packages(root) {
        Ok(packages) => packages,
        Err(why) => return vec![finding("arrows", "Cargo.toml", why)],
    };
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &packages {
        arrows(package, &names, &mut findings);
        libraries(package, &mut findings);
        lints(root, package, &mut findings);
    }
    unsafe_code(root, &mut findings);
    findings
}

struct Package {
    name: String,
    manifest: String,
    uses: Vec<Use>,
}

/// A dependency.
struct Use {
    name: String,
    /// Whether only tests have it.
    for_tests: bool,
}

fn packages(root: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Json = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let text = |value: &Json| value.as_str().map(str::to_owned).ok_or("cargo metadata has another shape");
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().ok_or("cargo metadata names no dependencies")?;
            let named = |it: &Json| Ok(Use { name: text(&it["name"])?, for_tests: it["kind"] == "dev" });
            let uses = uses.iter().map(named).collect::<Result<_, &str>>()?;
            Ok(Package { name: text(&package["name"])?, manifest: text(&package["manifest_path"])?, uses })
        })
        .collect()
}

fn arrows(package: &Package, house: &[&str], findings: &mut Vec<Finding>) {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        findings.push(finding("arrows", &package.name, "the table of arrows does not know this package"));
        return;
    };
    for used in package.uses.iter().filter(|used| house.contains(&used.name.as_str())) {
        let in_tests = used.for_tests && FOR_TESTS.contains(&used.name.as_str());
        if !allowed.contains(&used.name.as_str()) && !in_tests {
            findings.push(finding("arrows", &package.name, format!("must not use {}", used.name)));
        }
    }
}

fn libraries(package: &Package, findings: &mut Vec<Finding>) {
    for Use { name: used, .. } in &package.uses {
        for (library, only) in ONLY_IN {
            if begins_with(used, library) && !only.contains(&package.name.as_str()) {
                findings.push(finding("libraries", &package.name, format!("only {} may name {used}", only.join(", "))));
            }
        }
        let impure = PURE.contains(&package.name.as_str()) && IMPURE.iter().any(|impure| begins_with(used, impure));
        if impure {
            findings.push(finding("libraries", &package.name, format!("is pure and must not name {used}")));
        }
    }
}

/// `wasmtime` and `wasmtime-wasi`, not `wasmtimer`.
fn begins_with(used: &str, library: &str) -> bool {
    used.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn lints(root: &Path, package: &Package, findings: &mut Vec<Finding>) {
    let lints = read(Path::new(&package.manifest)).ok().and_then(|mut manifest| manifest.remove("lints"));
    if lints.as_ref().is_some_and(|lints| lints.get("workspace").and_then(Value::as_bool) == Some(true)) {
        return;
    }
    let denied = read(&root.join("Cargo.toml")).ok().and_then(|manifest| {
        let mut lints = manifest.get("workspace")?.get("lints")?.clone();
        *lints.get_mut("rust")?.get_mut("unsafe_code")? = "deny".into();
        Some(lints)
    });
    let equal = DENY_UNSAFE.contains(&package.name.as_str()) && lints.is_some() && lints == denied;
    if !equal {
        findings.push(finding("lints", &package.name, "must have the lints of the workspace"));
    }
}

fn unsafe_code(root: &Path, findings: &mut Vec<Finding>) {
    let level = read(&root.join("Cargo.toml")).ok().and_then(|manifest| {
        let lints = manifest.get("workspace")?.get("lints")?.get("rust")?;
        Some(lints.get("unsafe_code")?.as_str()?.to_owned())
    });
    if level.as_deref() != Some("forbid") {
        findings.push(finding("lints", "Cargo.toml", "the workspace must forbid unsafe_code"));
    }
}

fn read(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}
