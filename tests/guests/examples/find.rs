//! Behaves: declares one pattern, is called only for its hits, and writes its id over each.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, Pattern, Plan, Policy, Problem, Window};
use serde::Deserialize;

/// The pattern.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    id: String,
    regex: String,
    check: String,
    max_length: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { id: "number".into(), regex: r"\b\d{3}-\d{2}-\d{4}\b".into(), check: String::new(), max_length: 64 }
    }
}

/// The policy.
pub struct Find;

impl Policy for Find {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("find")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let Settings { id, regex, check, max_length } = settings;
        let pattern = Pattern { id, regex, check, max_length };
        Ok((Self, Plan::new(text_only()).patterns([pattern]).only_on_hit()))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        Ok(window.hits.iter().fold(Decision::allow(), |decision, hit| {
            decision.replace(hit.start, hit.end, format!("[{}]", hit.pattern), "test.find")
        }))
    }
}

policy_sdk::export!(Find);
