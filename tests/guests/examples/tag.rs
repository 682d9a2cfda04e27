//! Behaves: puts its version in front of whatever it judges, `‹tag-0›`, so that a test sees which set judged what.
//!
//! The version is in the file itself, where `guests::handmade` writes others over it: two files that differ in nothing
//! else. A `tag` in the settings counts instead.

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, Plan, Policy, Problem, Window};
use serde::Deserialize;

/// The version, as the compiler leaves it.
static VERSION: [u8; 5] = *b"tag-0";

/// What to put there instead.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    tag: Option<String>,
}

/// The policy.
pub struct Tag(String);

impl Policy for Tag {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("tag")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        // The compiler must not know what it reads.
        let version = String::from_utf8_lossy(std::hint::black_box(&VERSION));
        Ok((Self(settings.tag.unwrap_or_else(|| version.into_owned())), Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        Ok(match window.pending.is_empty() {
            true => Decision::allow(),
            false => Decision::allow().replace(0, 0, format!("‹{}›", self.0), "tag"),
        })
    }
}

policy_sdk::export!(Tag);
