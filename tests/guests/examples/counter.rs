//! Behaves, with the grant `state`: counts its calls and notes the count in front of the text, `‹3›`.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, Plan, Policy, Problem, Window, host::state};
use serde::Deserialize;

/// How long the count lives.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    scope: Scope,
}

/// See `state.scope`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Until the exchange ends.
    #[default]
    Exchange,
    /// Until the session ends.
    Session,
    /// For a caller.
    Caller,
    /// For the policy.
    Policy,
}

/// The policy.
pub struct Counter(Scope);

impl Policy for Counter {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("counter")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self(settings.scope), Plan::new(text_only())))
    }

    fn on_text(&mut self, _: &Window) -> Result<Decision, String> {
        let scope = match self.0 {
            Scope::Exchange => state::Scope::Exchange,
            Scope::Session => state::Scope::Session,
            Scope::Caller => state::Scope::Caller,
            Scope::Policy => state::Scope::Policy,
        };
        let count = state::add(scope, "calls", 1, 0).map_err(|problem| format!("no state: {problem:?}"))?;
        Ok(Decision::allow().replace(0, 0, format!("‹{count}›"), "test.count"))
    }
}

policy_sdk::export!(Counter);
