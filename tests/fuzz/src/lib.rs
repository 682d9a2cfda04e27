//! Fuzz targets: for each parser and codec of the host one function that takes any bytes and panics when something does
//! not hold that must. `tests/fuzz/run` drives them by coverage for as long as it is told; the tests of this crate replay
//! the corpora and a bounded number of seeded mutations of them.
//!
//! ```text
//!   corpus/TARGET/* ─▶ replay (tests/replay.rs) ─┐
//!        └─▶ mutate (mutate.rs, seeded) ─────────┼─▶ Target::run(bytes) ─▶ panics, or holds
//!        └─▶ libFuzzer (bin/guided.rs) ──────────┘
//! ```
//!
//! What must hold: a target is a function of its input alone; what it compares with shares no code with the host.

#![expect(clippy::panic, reason = "a target says what does not hold by panicking")]

mod codings;
mod dialects;
mod documents;
mod flows;
mod front;
#[cfg(feature = "services")]
mod journal;
mod json;
mod judge;
pub mod mutate;
mod text;
#[cfg(feature = "services")]
mod token;

use std::path::PathBuf;

pub use dialects::{masked, untouched};
pub use documents::{Framing, documents};
pub use flows::{Spec, flow, named};
pub use judge::{CANARY, MASK};

/// One parser or codec, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its corpus, and on the command line.
    pub name: &'static str,
    /// Panics when something does not hold for this input.
    pub run: fn(&[u8]),
    /// Seeded mutations that the tests run.
    pub mutations: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    dialect("openai", |input| dialects::run("openai", input)),
    dialect("anthropic", |input| dialects::run("anthropic", input)),
    dialect("gemini", |input| dialects::run("gemini", input)),
    dialect("ollama", |input| dialects::run("ollama", input)),
    dialect("mcp", |input| dialects::run("mcp", input)),
    dialect("http", |input| dialects::run("http", input)),
    Target { name: "json", run: json::run, mutations: 20_000 },
    Target { name: "codings", run: codings::run, mutations: 2_000 },
    Target { name: "front", run: front::run, mutations: 20_000 },
    Target { name: "patterns", run: text::patterns, mutations: 300 },
    Target { name: "fold", run: text::fold, mutations: 20_000 },
    #[cfg(feature = "services")]
    Target { name: "token", run: token::run, mutations: 5_000 },
    #[cfg(feature = "services")]
    Target { name: "journal", run: journal::run, mutations: 20 },
];

const fn dialect(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, mutations: 1_000 }
}

impl Target {
    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Its corpus: names and contents, by name.
    ///
    /// # Panics
    /// When it can't be read, or is empty.
    #[must_use]
    pub fn corpus(&self) -> Vec<(String, Vec<u8>)> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "corpus", self.name].iter().collect();
        let listed = std::fs::read_dir(&folder).expect("each target has a corpus");
        let mut files: Vec<_> = listed
            .map(|entry| {
                let entry = entry.expect("the corpus can be listed");
                let content = std::fs::read(entry.path()).expect("a file of the corpus can be read");
                (entry.file_name().to_string_lossy().into_owned(), content)
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no corpus", self.name);
        files
    }
}
