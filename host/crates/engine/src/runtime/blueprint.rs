//! A policy ready to be instantiated: the compiled component linked with what it was granted, its settings, and what
//! its first configuration said.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use model::{Digest, Hit, PolicyLimits};
use patterns::Patterns;
use wasmtime::{Engine, component::InstancePre};

use super::{
    bindings::exports::portcullis::policy::{audit, bytes, conversation, policy, text, tools},
    engine::Runtime,
    grants::Grants,
    inside::Inside,
    journal::Journal,
    offsets::Unit,
};

/// What all instances of one policy share.
pub(super) struct Blueprint {
    pub(super) runtime: Arc<Runtime>,
    pub(super) id: String,
    pub(super) digest: Digest,
    pub(super) limits: PolicyLimits,
    /// The settings, as JSON.
    pub(super) settings: String,
    /// What it may import.
    pub(super) grants: Grants,
    /// What new instances are made of. Better code for the same Wasm may take its place; running instances keep theirs.
    pub(super) code: ArcSwap<Code>,
    pub(super) journal: Journal,
    /// Known once the first instance was described and configured.
    pub(super) facts: OnceLock<Facts>,
}

impl Blueprint {
    pub(super) fn engine(&self) -> &Engine {
        self.runtime.engine()
    }

    /// The unit in which the policy counts. Before it is configured, nothing is counted.
    pub(super) fn unit(&self) -> Unit {
        self.facts.get().map_or(Unit::Utf8, |facts| facts.unit)
    }

    /// Its version, for the log; empty before it is described.
    pub(super) fn version(&self) -> &str {
        self.facts.get().map_or("", |facts| &facts.version)
    }
}

/// Machine code, linked with what the policy was granted.
pub(super) struct Code {
    pub(super) pre: InstancePre<Inside>,
    pub(super) exports: Exports,
    /// Places in the pool that an instance takes.
    pub(super) needs: Needs,
}

/// Memories and tables of one instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) memories: u32,
    pub(super) tables: u32,
}

/// Where in the component its hooks are. A hook that is not exported is none.
pub(super) struct Exports {
    pub(super) policy: policy::GuestIndices,
    pub(super) conversation: Option<conversation::GuestIndices>,
    pub(super) text: Option<text::GuestIndices>,
    pub(super) tools: Option<tools::GuestIndices>,
    pub(super) bytes: Option<bytes::GuestIndices>,
    pub(super) audit: Option<audit::GuestIndices>,
}

/// What a configured policy said of itself.
pub(super) struct Facts {
    pub(super) version: String,
    pub(super) unit: Unit,
    /// How much released text it wants to see again, in `unit`.
    pub(super) look_behind: usize,
    /// Ids of its patterns, as its hits name them.
    pub(super) ids: Vec<String>,
    pub(super) patterns: Arc<Patterns>,
}

impl Facts {
    /// The id of a hit's pattern.
    pub(super) fn pattern(&self, hit: &Hit) -> &str {
        self.ids.get(hit.pattern as usize).map_or("", String::as_str)
    }
}
