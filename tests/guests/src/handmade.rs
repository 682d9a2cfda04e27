//! Guests that no Rust compiler makes, written as text modules around one smallest policy.
//!
//! The smallest policy answers each call with the address of zeroed memory: by the canonical ABI that is empty metadata, a
//! plan with nothing in it, the verdict `allow`, no edits. Each guest here is that policy with one thing wrong.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
const CONTRACT: &str = include_str!("../../../wit/policy.wit");

/// Memory of the smallest policy: one page, and answers in the middle of it.
const MEMORY: &str = r#"(memory (export "memory") 1)"#;
const ANSWER: &str = "(i32.const 32768)";
const SPIN: &str = "(loop $again (br $again)) (unreachable)";
const REALLOC: &str = "(i32.const 1024)";

/// One guest: the smallest policy, and what differs.
struct Recipe {
    name: &'static str,
    /// What to put in place of what in the contract.
    contract: Option<(&'static str, &'static str)>,
    /// More of the world, in WIT.
    world: &'static str,
    /// Other packages, in WIT.
    packages: &'static str,
    /// Imports of the module.
    imports: &'static str,
    /// More of the module.
    more: &'static str,
    memory: &'static str,
    /// The JSON Schema of its settings.
    schema: fn() -> String,
    realloc: &'static str,
    on_text: &'static str,
}

impl Recipe {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            contract: None,
            world: "",
            packages: "",
            imports: "",
            more: "",
            memory: MEMORY,
            schema: String::new,
            realloc: REALLOC,
            on_text: ANSWER,
        }
    }
}

/// All of them.
fn recipes() -> Vec<Recipe> {
    vec![
        // Behaves: allows everything.
        Recipe::new("allow"),
        Recipe { more: "(func $start (loop $again (br $again))) (start $start)", ..Recipe::new("start-spins") },
        Recipe { more: "(func $start (unreachable)) (start $start)", ..Recipe::new("start-traps") },
        // Wants four gigabytes before anybody asks it.
        Recipe { memory: r#"(memory (export "memory") 65536)"#, ..Recipe::new("starts-with-4gib") },
        Recipe { memory: r#"(memory (export "memory") 1) (table 10000000 funcref)"#, ..Recipe::new("huge-table") },
        Recipe { realloc: SPIN, ..Recipe::new("realloc-spins") },
        Recipe {
            realloc: "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)",
            ..Recipe::new("realloc-hoards")
        },
        Recipe { realloc: "(i32.const -16)", ..Recipe::new("realloc-nowhere") },
        // The whole of a large memory, filled again and again.
        Recipe {
            memory: r#"(memory (export "memory") 900)"#,
            on_text: "(loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const 58000000)) (br $again)) (unreachable)",
            ..Recipe::new("bulk-spins")
        },
        Recipe {
            more: r#"(func (export "cabi_post_portcullis:policy/text@0.1.0#on-text") (param i32) (loop $again (br $again)))"#,
            ..Recipe::new("post-return-spins")
        },
        // `edits` at the answer's offset 40: a list of 2^31 elements, and one of many that all lie in one place.
        Recipe {
            on_text: "(i32.store offset=44 (i32.const 32768) (i32.const 0x7fffffff)) (i32.const 32768)",
            ..Recipe::new("endless-list")
        },
        Recipe { on_text: "(i32.const 65532)", ..Recipe::new("answer-out-of-bounds") },
        Recipe {
            on_text: "(i32.store8 (i32.const 32768) (i32.const 9)) (i32.const 32768)",
            ..Recipe::new("unknown-variant")
        },
        // What checks settings by these in the host would never come back, by the stack and by the clock.
        Recipe { schema: || r##"{"allOf":[{"$ref":"#"}]}"##.to_owned(), ..Recipe::new("schema-recurses") },
        Recipe { schema: doubling, ..Recipe::new("schema-doubles") },
        Recipe { contract: Some(("@0.1.0;", "@0.2.0;")), ..Recipe::new("wrong-version") },
        Recipe {
            world: "import wasi:cli/environment@0.2.0;",
            packages: "package wasi:cli@0.2.0 { interface environment { initial-cwd: func() -> u32; } }",
            imports: r#"(import "wasi:cli/environment@0.2.0" "initial-cwd" (func (result i32)))"#,
            ..Recipe::new("imports-wasi")
        },
        Recipe {
            world: "import acme:vault/secrets;",
            packages: "package acme:vault { interface secrets { count: func() -> u32; } }",
            imports: r#"(import "acme:vault/secrets" "count" (func (result i32)))"#,
            ..Recipe::new("imports-foreign")
        },
        Recipe {
            contract: Some(("interface log {", "interface network { dial: func() -> u32; }\ninterface log {")),
            world: "import portcullis:policy/network@0.1.0;",
            imports: r#"(import "portcullis:policy/network@0.1.0" "dial" (func (result i32)))"#,
            ..Recipe::new("imports-unknown")
        },
        Recipe {
            world: "import portcullis:policy/clock@0.1.0;",
            imports: r#"(import "portcullis:policy/clock@0.1.0" "now-ms" (func (result i64)))"#,
            ..Recipe::new("imports-clock")
        },
    ]
}

/// A schema that says "object" 2^40 times over.
fn doubling() -> String {
    let step =
        |at: usize| format!(r##""d{}":{{"allOf":[{{"$ref":"#/$defs/d{at}"}},{{"$ref":"#/$defs/d{at}"}}]}}"##, at + 1);
    let steps: Vec<String> = (0..40).map(step).collect();
    format!(r##"{{"$ref":"#/$defs/d40","$defs":{{"d0":{{"type":"object"}},{}}}}}"##, steps.join(","))
}

/// Writes all of them into a folder, and the versions of `tag.wasm` (`tag-1` to `tag-9`) if that is there.
///
/// # Errors
/// Where a module does not fit its world, or a file can't be written.
pub fn write_all(folder: &Path) -> Result<()> {
    for recipe in recipes() {
        let wasm = make(&recipe).with_context(|| format!("guest {}", recipe.name))?;
        write(folder, recipe.name, &wasm)?;
    }
    let tag = fs::read(folder.join("tag.wasm")).context("tag.wasm is built first")?;
    for version in 1..=9 {
        write(folder, &format!("tag-{version}"), &retag(&tag, version)?)?;
    }
    Ok(())
}

/// Writes a guest whole or not at all: other tests may be reading the folder.
fn write(folder: &Path, name: &str, wasm: &[u8]) -> Result<()> {
    let path = folder.join(format!("{name}.wasm"));
    if fs::read(&path).is_ok_and(|there| there == wasm) {
        return Ok(());
    }
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    fs::write(&new, wasm)?;
    Ok(fs::rename(new, path)?)
}

/// The policy `tag` with another version written over its own.
///
/// # Errors
/// If the file does not have its version exactly once.
pub fn retag(wasm: &[u8], version: u8) -> Result<Vec<u8>> {
    const NEEDLE: &[u8] = b"tag-0";
    let places: Vec<usize> = wasm
        .windows(NEEDLE.len())
        .enumerate()
        .filter(|(_, window)| *window == NEEDLE)
        .map(|(place, _)| place)
        .collect();
    let [place] = places[..] else { anyhow::bail!("the version is in {} places", places.len()) };
    let mut wasm = wasm.to_vec();
    wasm[place + NEEDLE.len() - 1] = b'0' + version;
    Ok(wasm)
}

/// A core module that carries its world.
fn make(recipe: &Recipe) -> Result<Vec<u8>> {
    let Recipe { imports, more, memory, realloc, on_text, packages, world, .. } = recipe;
    let (from, to) = recipe.contract.unwrap_or_default();
    let contract = if from.is_empty() { CONTRACT.to_owned() } else { CONTRACT.replacen(from, to, 1) };
    anyhow::ensure!(from.is_empty() || contract != CONTRACT, "the contract has changed: there is no {from:?}");
    let version = if contract.contains("package portcullis:policy@0.2.0;") { "0.2.0" } else { "0.1.0" };
    let schema = (recipe.schema)();
    // Metadata with nothing in it but, at its offset 24, the schema.
    let (length, data) = (schema.len(), schema.replace('"', r#"\""#));
    let metadata = format!(
        "(i32.store offset=24 (i32.const 36864) (i32.const 40960)) (i32.store offset=28 (i32.const 36864) (i32.const {length}))
         (i32.const 36864)"
    );
    // Each call gets its parameters in i32s: `on-text` exactly the 16 that fit, `open` one that points to the rest.
    let module = format!(
        r#"(module
            {imports}
            {memory}
            (data (i32.const 40960) "{data}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "portcullis:policy/policy@{version}#describe") (result i32) {metadata})
            (func (export "portcullis:policy/policy@{version}#configure") (param i32 i32) (result i32) {ANSWER})
            (func (export "portcullis:policy/policy@{version}#open") (param i32) (result i32) {ANSWER})
            (func (export "portcullis:policy/text@{version}#on-text")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {on_text})
            {more})"#
    );
    let mut wasm = wat::parse_str(module)?;
    let mut resolve = Resolve::default();
    resolve.push_source("policy.wit", &contract)?;
    let package = resolve.push_source(
        "guest.wit",
        &format!("package test:guest;\n{packages}\nworld guest {{ include portcullis:policy/text-policy@{version}; {world} }}"),
    )?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8)?;
    Ok(wasm)
}
