//! From a file in the policy folder to a policy in force.
//!
//! ```text
//!   folder ── list, read ──▶ settings ── what the operator says      ─┐
//!      │                                                              ├─▶ runtime.prepare ─▶ loader ─▶ PolicySet
//!      └──────────────────▶ shape ─▶ imports ─▶ compile (in a child) ─┘
//!                           cheap look  granted?   or from the cache
//! ```
//!
//! What must hold: a file's bytes are read once, and what was read is what is hashed, compiled and recorded; the host's
//! own process follows nothing in them but section headers; a file that fails leaves the last good version of its
//! policy in force; whatever is wrong becomes an [`exchange::ports::Problem`] that says where and what to do.

pub mod cache;
mod changes;
mod child;
pub mod compile;
mod compile_child;
pub mod component;
mod decide;
mod digest;
mod draft;
mod entry;
pub mod folder;
pub mod imports;
mod improve;
pub mod inspect;
pub mod loader;
mod prepare;
mod sealed;
pub mod settings;
pub mod shape;
mod sight;
mod standing;

pub use cache::{Cache, CacheConfig, CacheError};
pub use compile::{CompileConfig, Compiled, Compiler};
pub use compile_child::compile_child_main;
pub use inspect::{Inspection, inspect, inspect_folder};

pub use changes::{Change, ChangeKind, How};
pub use loader::{Loader, LoaderConfig, ScanOutcome};
pub use settings::{Settings, SettingsError, SettingsFault};

use exchange::ports::Problem;
use thiserror::Error;

/// The stages at which a file may fail, in the order in which it passes them. The runtime adds `instantiate` and
/// `configure`.
pub mod stage {
    /// Listing the folder, opening and reading the file.
    pub const READ: &str = "read";
    /// The `.toml` beside the `.wasm`.
    pub const SETTINGS: &str = "settings";
    /// Whether the bytes are a policy at all.
    pub const VALIDATE: &str = "validate";
    /// What it wants from the host.
    pub const IMPORTS: &str = "imports";
    /// Making machine code of it.
    pub const COMPILE: &str = "compile";
}

/// Why a file is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{stage}: {message}")]
pub struct Refused {
    /// Where it failed: one of [`stage`], or the runtime's.
    pub stage: &'static str,
    /// What is wrong, and the way out.
    pub message: String,
    /// True when the file may not be to blame (no process to be had, no memory): worth another try with the same bytes.
    pub passing: bool,
    /// The settings file is to blame, and where in it.
    pub settings: Option<Box<SettingsError>>,
}

impl Refused {
    /// The file is to blame: it is not tried again until it changes.
    #[must_use]
    pub fn new(stage: &'static str, message: impl Into<String>) -> Self {
        Self { stage, message: message.into(), passing: false, settings: None }
    }

    /// The circumstances are to blame.
    #[must_use]
    pub fn passing(stage: &'static str, message: impl Into<String>) -> Self {
        Self { stage, message: message.into(), passing: true, settings: None }
    }

    /// As it stands in a policy set: about this file, unless its settings are to blame.
    #[must_use]
    pub fn problem(&self, file: impl Into<String>) -> Problem {
        let file = self.settings.as_ref().map_or_else(|| file.into(), |error| error.file.display().to_string());
        Problem { file, stage: self.stage, message: self.message.clone() }
    }
}
