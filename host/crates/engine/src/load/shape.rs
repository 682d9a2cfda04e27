//! What a file of the policy folder is, from a look at its outline: component, core module, or something else.
//!
//! The host does this itself, before it spends a process on the file, so it must be cheap and safe on hostile bytes:
//! it follows section headers only, recurses into nothing, and every count has a bound. Whether the code is valid is
//! decided later, in the child that compiles it.

use std::collections::HashSet;

use wasmparser::{Encoding, KnownCustom, Parser, Payload};
use wasmtime::{Engine, Precompiled};

use super::{Refused, stage};

/// Imports of a file and of all modules and components within it. (Python's need about 2,000.)
const MAX_IMPORTS: u64 = 20_000;
/// Exports, likewise.
const MAX_EXPORTS: u64 = 100_000;
/// Type definitions, likewise.
const MAX_TYPES: u64 = 100_000;
/// Functions, likewise.
const MAX_FUNCTIONS: u64 = 300_000;
/// Modules and components within a component. (Python's has 38 core instances.)
const MAX_NESTED: u64 = 500;
/// Components within components.
const MAX_DEPTH: usize = 16;
/// Names of tools that are kept from the `producers` sections.
const MAX_PRODUCERS: usize = 64;
/// Custom sections of this name carry the WIT of a core module.
const WIT_SECTION: &str = "component-type";

/// The two forms that a policy may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A component, taken as it is.
    Component,
    /// A core module that carries its WIT; the host makes it a component.
    CoreModule,
}

/// The outline of a policy's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Which form.
    pub form: Form,
    /// What it imports, each once, in order: `portcullis:policy/log@0.1.0`.
    pub imports: Vec<String>,
    /// What a component exports, or a core module's functions as `interface#function`.
    pub exports: Vec<String>,
    /// Languages and tools that made it, from its `producers` sections, outermost first: `Rust`, `componentize-py`.
    pub producers: Vec<String>,
}

/// Looks at a file.
///
/// # Errors
/// Says what the bytes look like when they are no policy, or which bound they break.
pub fn look(bytes: &[u8]) -> Result<Shape, Refused> {
    recognise(bytes)?;
    let mut outline = Outline::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| malformed(&error, bytes.len()))?;
        outline.take(payload, bytes.len())?;
    }
    outline.finish()
}

/// Tells WebAssembly from whatever else may end up in a folder under the name `.wasm`.
fn recognise(bytes: &[u8]) -> Result<(), Refused> {
    const MAGIC: &[u8] = b"\0asm";
    let no = |message: &str| Err(Refused::new(stage::VALIDATE, message));
    if bytes.is_empty() {
        return no("the file is empty");
    }
    if bytes.len() < 8 && (MAGIC.starts_with(bytes) || bytes.starts_with(MAGIC)) {
        return no("the file is truncated: it ends inside the WebAssembly header");
    }
    if bytes.starts_with(MAGIC) {
        return Ok(());
    }
    if let Some(precompiled) = Engine::detect_precompiled(bytes) {
        let what = match precompiled {
            Precompiled::Component => "component",
            Precompiled::Module => "module",
        };
        return Err(Refused::new(
            stage::VALIDATE,
            format!(
                "this is a precompiled {what} (.cwasm): machine code, which the sandbox can't check, so it is never \
                 loaded from the folder; put the .wasm that it was compiled from here"
            ),
        ));
    }
    no(&format!("this is not WebAssembly: {}", resemblance(bytes)))
}

/// A guess at what bytes are, for people.
fn resemblance(bytes: &[u8]) -> String {
    const BINARY: [(&[u8], &str); 7] = [
        (b"\x7fELF", "it looks like a program or library for Linux (ELF); build for the target wasm32-unknown-unknown"),
        (b"\x1f\x8b", "it looks like a gzip archive; unpack it first"),
        (b"PK\x03\x04", "it looks like a zip archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "it looks like a zstd archive; unpack it first"),
        (b"MZ", "it looks like a program for Windows; build for the target wasm32-unknown-unknown"),
        (b"\xcf\xfa\xed\xfe", "it looks like a program for macOS; build for the target wasm32-unknown-unknown"),
        (b"BC\xc0\xde", "it looks like LLVM bitcode; link it first"),
    ];
    if let Some((_, guess)) = BINARY.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*guess).to_owned();
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return "it has nothing but zero bytes; a copy may not be complete".to_owned();
    }
    // Enough to see through a leading comment, and no more than a glance.
    let start = &bytes[..bytes.len().min(1024)];
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return "it looks like an HTML page; a download link may have answered with a page instead of the file".into();
    }
    if text.starts_with("version https://git-lfs") {
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`".into();
    }
    if text.starts_with("(module") || text.starts_with("(component") || text.starts_with(";;") {
        return "it looks like WebAssembly text; turn it into binary with `wasm-tools parse`".into();
    }
    if text.starts_with("package ") || text.starts_with("interface ") || text.starts_with("world ") {
        return "it looks like WIT, the contract's text; build a policy from it".into();
    }
    if text.starts_with("#!") {
        return "it looks like a script".into();
    }
    let shown: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("it begins with the bytes {}", shown.join(" "))
}

fn malformed(error: &wasmparser::BinaryReaderError, length: usize) -> Refused {
    // The parser has no code for "ran out of bytes", but an error at the very end is nothing else.
    let truncated = error.offset() >= length || error.message().contains("unexpected end");
    let what = if truncated { "the file is truncated or still being written" } else { "malformed WebAssembly" };
    Refused::new(stage::VALIDATE, format!("{what}: {} at byte {}", error.message(), error.offset()))
}

/// What has been seen so far.
#[derive(Default)]
struct Outline {
    form: Option<Form>,
    /// Nested modules and components that are open.
    depth: usize,
    imports: Vec<String>,
    known_imports: HashSet<String>,
    exports: Vec<String>,
    producers: Vec<String>,
    carries_wit: bool,
    import_count: u64,
    export_count: u64,
    type_count: u64,
    function_count: u64,
    nested_count: u64,
}

impl Outline {
    fn take(&mut self, payload: Payload<'_>, length: usize) -> Result<(), Refused> {
        let outermost = self.depth == 0;
        match payload {
            Payload::Version { num, encoding, .. } if self.form.is_none() => {
                self.form = Some(match encoding {
                    Encoding::Module => Form::CoreModule,
                    Encoding::Component => Form::Component,
                });
                tracing::trace!(version = num, "policy file's header");
            }
            Payload::ImportSection(section) => {
                count(&mut self.import_count, section.count(), MAX_IMPORTS, "imports")?;
                if outermost {
                    for import in section.into_imports() {
                        let import = import.map_err(|error| malformed(&error, length))?;
                        self.import(import.module);
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                count(&mut self.import_count, section.count(), MAX_IMPORTS, "imports")?;
                if outermost {
                    for import in section {
                        let import = import.map_err(|error| malformed(&error, length))?;
                        self.import(import.name.name);
                    }
                }
            }
            Payload::ExportSection(section) => {
                count(&mut self.export_count, section.count(), MAX_EXPORTS, "exports")?;
                if outermost {
                    for export in section {
                        self.exports.push(export.map_err(|error| malformed(&error, length))?.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                count(&mut self.export_count, section.count(), MAX_EXPORTS, "exports")?;
                if outermost {
                    for export in section {
                        self.exports.push(export.map_err(|error| malformed(&error, length))?.name.name.to_owned());
                    }
                }
            }
            Payload::TypeSection(section) => count(&mut self.type_count, section.count(), MAX_TYPES, "types")?,
            Payload::CoreTypeSection(section) => count(&mut self.type_count, section.count(), MAX_TYPES, "types")?,
            Payload::ComponentTypeSection(section) => count(&mut self.type_count, section.count(), MAX_TYPES, "types")?,
            Payload::FunctionSection(section) => {
                count(&mut self.function_count, section.count(), MAX_FUNCTIONS, "functions")?;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                count(&mut self.nested_count, 1, MAX_NESTED, "nested modules and components")?;
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(over(MAX_DEPTH as u64, "levels of nesting"));
                }
            }
            // The end of the file itself comes with depth 0 already.
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CustomSection(section) => {
                self.carries_wit |= outermost && section.name().starts_with(WIT_SECTION);
                if let KnownCustom::Producers(fields) = section.as_known() {
                    self.note_producers(fields);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &str) {
        // A core module names an interface once for each function.
        if self.known_imports.insert(name.to_owned()) {
            self.imports.push(name.to_owned());
        }
    }

    /// Only advice is made of these, so a malformed section is passed over.
    fn note_producers(&mut self, fields: wasmparser::ProducersSectionReader<'_>) {
        for value in fields.into_iter().flatten().flat_map(|field| field.values.into_iter().flatten()) {
            if self.producers.len() < MAX_PRODUCERS && !self.producers.iter().any(|known| known == value.name) {
                self.producers.push(value.name.chars().take(80).collect());
            }
        }
    }

    fn finish(self) -> Result<Shape, Refused> {
        let Some(form) = self.form else {
            return Err(Refused::new(stage::VALIDATE, "the file has no WebAssembly header"));
        };
        let shape = Shape { form, imports: self.imports, exports: self.exports, producers: self.producers };
        // A foreign import says more than the missing WIT: it names the toolchain's switch.
        let foreign = shape.imports.iter().any(|name| name.starts_with("wasi"));
        if form == Form::CoreModule && !self.carries_wit && !foreign {
            return Err(Refused::new(
                stage::VALIDATE,
                "this is a core module that carries no WIT, so nobody can tell what it offers; build it with \
                 wit-bindgen (the policy SDK does), or embed the contract with `wasm-tools component embed`",
            ));
        }
        Ok(shape)
    }
}

fn count(total: &mut u64, more: u32, bound: u64, what: &str) -> Result<(), Refused> {
    *total += u64::from(more);
    if *total > bound { Err(over(bound, what)) } else { Ok(()) }
}

fn over(bound: u64, what: &str) -> Refused {
    Refused::new(stage::VALIDATE, format!("it has more than {bound} {what}, the most that the host takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        look(bytes).expect_err("refused").message
    }

    #[test]
    fn anything_but_webassembly_is_named() {
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b"\0as", "truncated"),
            (b"\0asm\x01\0", "truncated"),
            (b"<!DOCTYPE html><html>", "HTML page"),
            (b"\n <HTML lang=en>", "HTML page"),
            (b"\x7fELF\x02\x01\x01\0rest of a program", "ELF"),
            (b"(module)", "WebAssembly text"),
            (b";; a comment\n(module)", "WebAssembly text"),
            (b"\x1f\x8b\x08rest", "gzip"),
            (b"PK\x03\x04rest", "zip"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"package portcullis:policy@0.1.0;", "WIT"),
            (b"#!/bin/sh\n", "script"),
            (&[0; 4096], "zero bytes"),
            (b"\xde\xad\xbe\xef", "de ad be ef"),
        ] {
            assert!(refusal(bytes).contains(expected), "{expected}: {}", refusal(bytes));
        }
    }

    #[test]
    fn a_precompiled_component_is_refused_with_the_reason() {
        let engine = Engine::default();
        let compiled = engine.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
        assert!(refusal(&compiled).contains("precompiled component"), "{}", refusal(&compiled));
        let compiled = engine.precompile_module(&wat::parse_str("(module)").unwrap()).unwrap();
        assert!(refusal(&compiled).contains("precompiled module"));
    }

    #[test]
    fn a_core_module_must_carry_its_wit() {
        assert!(refusal(&wat::parse_str("(module)").unwrap()).contains("carries no WIT"));
        let with =
            wat::parse_str(r#"(module (@custom "component-type:wit-bindgen:x" "") (import "a:b/c" "f" (func)))"#);
        let shape = look(&with.unwrap()).unwrap();
        assert_eq!((shape.form, shape.imports), (Form::CoreModule, vec!["a:b/c".to_owned()]));
    }

    #[test]
    fn every_truncation_of_a_component_is_noticed() {
        let whole = wat::parse_str(
            // No names: a custom section at the end may be cut off and nothing is lost.
            r#"(component (core module (func (export "f"))) (core instance (instantiate 0))
                (func (export "g") (canon lift (core func 0 "f"))))"#,
        )
        .unwrap();
        assert_eq!(look(&whole).unwrap().exports, ["g"]);
        // A cut on the border of two sections leaves a shorter file that is well-formed in itself; what it exports tells.
        for cut in 0..whole.len() {
            assert!(look(&whole[..cut]).is_err() || look(&whole[..cut]).unwrap().exports.is_empty(), "cut at {cut}");
        }
    }

    #[test]
    fn bounds_end_the_look() {
        let mut text = String::from("(component ");
        for at in 0..=MAX_IMPORTS {
            text.push_str(&format!("(import \"f{at}\" (func))"));
        }
        text.push(')');
        assert!(refusal(&wat::parse_str(&text).unwrap()).contains("imports"));

        let deep = "(component ".repeat(MAX_DEPTH + 2) + &")".repeat(MAX_DEPTH + 2);
        assert!(refusal(&wat::parse_str(&deep).unwrap()).contains("levels of nesting"));
    }
}
