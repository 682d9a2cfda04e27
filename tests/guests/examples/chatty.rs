//! Floods the log: `lines` messages of `bytes` bytes for each text, control characters and line ends included.

use guests::{describe, text_only, trigger};
use policy_sdk::{
    Decision, Metadata, Plan, Policy, Problem, Window,
    host::{self, Level},
};
use serde::Deserialize;

/// How much and when.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    lines: u32,
    bytes: usize,
    when: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lines: 10_000, bytes: 1000, when: trigger() }
    }
}

/// The policy.
pub struct Chatty(Settings);

impl Policy for Chatty {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("chatty")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self(settings), Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        if window.pending.contains(&self.0.when) {
            let message = "\x1b[31mforged\r\n".repeat(self.0.bytes / 13 + 1);
            for _ in 0..self.0.lines {
                host::log(Level::Error, &message);
            }
        }
        Ok(Decision::allow())
    }
}

policy_sdk::export!(Chatty);
