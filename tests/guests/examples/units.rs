//! Behaves: writes `#` over each digit, counting text in the unit that `unit` names, as a policy in JavaScript (`utf16`) or
//! Python (`scalar`) would.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, OffsetUnit, Plan, Policy, Problem, Window, settings};
use serde::Deserialize;

/// The unit.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    unit: Unit,
}

/// See `offset-unit`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Utf8,
    /// UTF-16 code units.
    #[default]
    Utf16,
    /// Unicode scalar values.
    Scalar,
}

impl Unit {
    /// How many of it a character takes.
    #[must_use]
    pub fn length(self, character: char) -> usize {
        match self {
            Self::Utf8 => character.len_utf8(),
            Self::Utf16 => character.len_utf16(),
            Self::Scalar => 1,
        }
    }

    /// As the contract names it.
    #[must_use]
    pub fn of_contract(self) -> OffsetUnit {
        match self {
            Self::Utf8 => OffsetUnit::Utf8,
            Self::Utf16 => OffsetUnit::Utf16,
            Self::Scalar => OffsetUnit::Scalar,
        }
    }
}

/// The policy.
pub struct Units(Unit);

impl Policy for Units {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("units")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self(settings.unit), Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let mut decision = Decision::allow();
        let mut at = 0;
        for character in window.pending.chars() {
            let end = at + u32::try_from(self.0.length(character)).map_err(|error| error.to_string())?;
            if character.is_ascii_digit() {
                decision = decision.replace(at, end, "#", "test.digit");
            }
            at = end;
        }
        Ok(decision)
    }
}

/// Names the unit in the plan.
#[must_use]
pub fn unit(json: &str) -> OffsetUnit {
    settings::<Settings>(json).unwrap_or_default().unit.of_contract()
}

guests::export_in_unit!(Units, unit);
