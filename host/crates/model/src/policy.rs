//! What is known of a policy outside its sandbox.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Channel, Digest, Direction, Speaker};

/// Whether a policy's verdicts count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They count.
    #[default]
    Enforce,
    /// They are recorded and change nothing.
    Shadow,
    /// The policy is not called.
    Off,
}

impl Mode {
    /// Every mode by its word, in the order in which messages name them.
    pub const ALL: [(&'static str, Self); 3] = [
        (Self::Enforce.as_str(), Self::Enforce),
        (Self::Shadow.as_str(), Self::Shadow),
        (Self::Off.as_str(), Self::Off),
    ];

    /// The word that the settings, the record, the CLI and the metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// What happens when a policy fails (trap, deadline, memory, nonsense).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureMode {
    /// The exchange ends.
    #[default]
    Closed,
    /// The exchange goes on as if the policy had allowed; the record says so.
    Open,
}

/// Bounds of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyLimits {
    /// CPU time of one call.
    pub time_per_call: Duration,
    /// Bytes of linear memory of one instance.
    pub memory_bytes: usize,
    /// Bytes that may be held back of one part.
    pub hold_back_bytes: usize,
    /// Bytes of one answer (edits, notes, refusal).
    pub answer_bytes: usize,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            time_per_call: Duration::from_millis(50),
            memory_bytes: 64 << 20,
            hold_back_bytes: 64 << 10,
            answer_bytes: 1 << 20,
        }
    }
}

/// What the operator and the policy itself say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyInfo {
    /// The file's stem.
    pub id: String,
    /// The name that the component gives itself.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// SHA-256 over the file's bytes and its settings file: equal digests behave equally.
    pub digest: Digest,
    /// SHA-256 over the `.wasm` file's bytes alone.
    pub wasm_digest: Digest,
    /// Place in the chain: by order, then by id.
    pub order: i64,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_failure: FailureMode,
    /// Connections it guards; empty: all.
    pub connections: Vec<String>,
    /// Bounds.
    pub limits: PolicyLimits,
}

/// Which hooks the host calls: those that the component exports, less those that its plan waives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a set of flags, each a hook of the contract")]
pub struct Hooks {
    /// `policy.open` for every exchange, even when nothing else is called.
    pub open: bool,
    /// `conversation.on-request`.
    pub conversation: bool,
    /// `text.on-text`.
    pub text: bool,
    /// `tools.on-tool-call`.
    pub tools: bool,
    /// `bytes.on-head`.
    pub head: bool,
    /// `bytes.on-body`.
    pub body: bool,
    /// `audit.on-end`.
    pub audit: bool,
}

/// What a configured policy wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Hooks to call.
    pub hooks: Hooks,
    /// Empty: both.
    pub directions: Vec<Direction>,
    /// Empty: all. The host takes no plan with a name that no part ever has: it would match nothing.
    pub channels: Vec<String>,
    /// Empty: all.
    pub speakers: Vec<String>,
    /// Ids of its patterns, in the order in which `Hit::pattern` counts them.
    pub patterns: Vec<String>,
    /// Call `text.on-text` only when a pattern has a hit.
    pub only_on_hit: bool,
    /// Bytes of released text to show again (already converted from the guest's unit, rounded up).
    pub look_behind: usize,
}

impl Plan {
    /// Whether the plan wants text of this kind.
    #[must_use]
    pub fn wants(&self, direction: Direction, channel: Channel, speaker: Speaker) -> bool {
        self.hooks.text
            && (self.directions.is_empty() || self.directions.contains(&direction))
            && (self.channels.is_empty() || self.channels.iter().any(|name| name == channel.as_str()))
            && (self.speakers.is_empty() || self.speakers.iter().any(|name| name == speaker.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_one_word_however_it_is_told() {
        for (word, mode) in Mode::ALL {
            assert_eq!((serde_json::to_value(mode).unwrap().as_str(), mode.as_str()), (Some(word), word));
        }
    }
}
