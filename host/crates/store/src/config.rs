//! What an operator may set: where the store is, how safe entries must be, and every bound with its name.

use std::{path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Where the store is and how it works.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder; made with mode 0700 when it isn't there.
    pub path: PathBuf,
    /// What `keep` waits for.
    pub durability: Durability,
    /// Bounds.
    pub limits: Limits,
}

impl StoreConfig {
    /// A strict store with the default bounds.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default(), limits: Limits::default() }
    }
}

/// What `keep` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// For exactly what it is asked for.
    #[default]
    Strict,
    /// For nothing, unless more than [`Limits::window`] or [`Limits::window_bytes`] is not on the disk yet.
    Bounded,
    /// Nothing is recorded. For measuring what recording costs, never for service.
    Off,
}

impl Durability {
    /// Every mode by its word, in the order in which messages name them.
    pub const ALL: [(&'static str, Self); 3] = [
        (Self::Strict.as_str(), Self::Strict),
        (Self::Bounded.as_str(), Self::Bounded),
        (Self::Off.as_str(), Self::Off),
    ];

    /// The word that the configuration and the control API use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Bounded => "bounded",
            Self::Off => "off",
        }
    }
}

impl FromStr for Durability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode).ok_or(())
    }
}

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one entry takes in the store; a larger one is refused.
    pub entry_bytes: usize,
    /// Bytes that wait in memory to be written; beyond, `append` fails.
    pub buffer_bytes: usize,
    /// Bytes written to the journal and not yet ingested; beyond, nothing more is written until some are.
    pub backlog_bytes: u64,
    /// How long one `keep` waits before it fails.
    pub keep_deadline: Duration,
    /// How long an entry for which nobody waits may stay in memory.
    pub linger: Duration,
    /// Bounded mode: the longest time for which an acknowledged entry may not be on the disk.
    pub window: Duration,
    /// Bounded mode: the most bytes that may be acknowledged and not on the disk.
    pub window_bytes: u64,
    /// Bytes of one journal file.
    pub journal_bytes: u64,
    /// Bytes of entries in one segment; its file is somewhat larger.
    pub segment_bytes: u64,
    /// How long written entries wait before they are ingested together.
    pub commit_interval: Duration,
    /// How many written bytes are ingested together at most, give or take one buffer.
    pub commit_bytes: usize,
    /// Exchanges and sessions whose summaries stay in memory between two commits.
    pub rows_in_memory: usize,
    /// Memory for the pages of the index and of the segment in use, each.
    pub cache_bytes: usize,
    /// Sealed segments that stay open after a read.
    pub sealed_open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entry_bytes: 64 << 20,
            buffer_bytes: 64 << 20,
            backlog_bytes: 128 << 20,
            keep_deadline: Duration::from_secs(5),
            linger: Duration::from_millis(10),
            window: Duration::from_millis(50),
            window_bytes: 1 << 20,
            journal_bytes: 64 << 20,
            segment_bytes: 256 << 20,
            commit_interval: Duration::from_millis(200),
            commit_bytes: 16 << 20,
            rows_in_memory: 20_000,
            cache_bytes: 16 << 20,
            sealed_open: 4,
        }
    }
}
