//! Behaves: always holds back the last bytes, as many as `bytes` says, and changes nothing.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, Plan, Policy, Problem, Window};
use serde::Deserialize;

/// How much.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    bytes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes: 16 }
    }
}

/// The policy.
pub struct Hold(Settings);

impl Policy for Hold {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("hold")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self(settings), Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let pending = u32::try_from(window.pending.len()).map_err(|error| error.to_string())?;
        Ok(Decision::allow().hold_back(if window.last { 0 } else { self.0.bytes.min(pending) }))
    }
}

policy_sdk::export!(Hold);
