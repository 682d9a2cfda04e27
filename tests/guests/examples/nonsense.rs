//! Answers what the contract forbids, in the way that `how` says, when the trigger word is in the text.

use guests::{describe, text_only, trigger};
use policy_sdk::{Decision, Metadata, Plan, Policy, Problem, Window};
use serde::Deserialize;

/// How and when.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    how: How,
    when: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { how: How::OutOfBounds, when: trigger() }
    }
}

/// Rules to break.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Two edits of the same bytes.
    Overlap,
    /// Edits from back to front.
    Unordered,
    /// An edit that ends before it starts.
    Backwards,
    /// An edit behind the end of the text.
    OutOfBounds,
    /// An edit that starts inside a character; the text must begin with one that has several bytes.
    MidCharacter,
    /// Holds back of a part that is complete.
    HoldOnLast,
    /// Holds back more than there is.
    HoldTooMuch,
    /// Holds back everything, for ever: more than the operator allows as soon as enough has come.
    HoldAll,
    /// A substitute of 30 MiB.
    HugeText,
    /// Two hundred thousand edits.
    ManyEdits,
    /// Two hundred thousand notes.
    ManyNotes,
}

/// The policy.
pub struct Nonsense(Settings);

impl Policy for Nonsense {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("nonsense")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self(settings), Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        if !window.pending.contains(&self.0.when) {
            return Ok(Decision::allow());
        }
        let end = u32::try_from(window.pending.len()).map_err(|error| error.to_string())?;
        let allow = Decision::allow();
        Ok(match self.0.how {
            How::Overlap => allow.replace(0, 2, "a", "x").replace(1, 3, "b", "x"),
            How::Unordered => allow.replace(2, 3, "a", "x").replace(0, 1, "b", "x"),
            How::Backwards => allow.replace(2, 1, "a", "x"),
            How::OutOfBounds => allow.replace(end, end + 1, "a", "x"),
            How::MidCharacter => allow.replace(1, end, "a", "x"),
            How::HoldOnLast => allow.hold_back(u32::from(window.last)),
            How::HoldTooMuch => allow.hold_back(if window.last { 0 } else { end + 1 }),
            How::HoldAll => allow.hold_back(if window.last { 0 } else { end }),
            How::HugeText => allow.replace(0, 0, "x".repeat(30 << 20), "x"),
            How::ManyEdits => (0..200_000).fold(allow, |decision, _| decision.replace(0, 0, "", "")),
            How::ManyNotes => (0..200_000).fold(allow, |decision, _| decision.note("", "")),
        })
    }
}

policy_sdk::export!(Nonsense);
