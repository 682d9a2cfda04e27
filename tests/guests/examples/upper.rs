//! Behaves: writes everything in capitals.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, NoSettings, Plan, Policy, Problem, Window};

/// The policy.
pub struct Upper;

impl Policy for Upper {
    type Settings = NoSettings;

    fn describe() -> Metadata {
        describe("upper")
    }

    fn configure(_: NoSettings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self, Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let end = u32::try_from(window.pending.len()).map_err(|error| error.to_string())?;
        let upper = window.pending.to_uppercase();
        Ok(if upper == window.pending {
            Decision::allow()
        } else {
            Decision::allow().replace(0, end, upper, "case.upper")
        })
    }
}

policy_sdk::export!(Upper);
