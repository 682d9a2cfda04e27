//! Tries to carry one exchange's text to another in a global variable: puts everything that this instance has ever seen
//! in front of the text. With a fresh instance for each exchange, that is never another's.

use std::cell::RefCell;

use guests::{describe, text_only};
use policy_sdk::{Decision, Metadata, NoSettings, Plan, Policy, Problem, Window};

thread_local! {
    static SEEN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The policy.
pub struct Leaky;

impl Policy for Leaky {
    type Settings = NoSettings;

    fn describe() -> Metadata {
        describe("leaky")
    }

    fn configure(_: NoSettings) -> Result<(Self, Plan), Vec<Problem>> {
        Ok((Self, Plan::new(text_only())))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let earlier = SEEN.with_borrow(Clone::clone);
        SEEN.with_borrow_mut(|seen| seen.push_str(&window.pending));
        Ok(Decision::allow().replace(0, 0, format!("‹{earlier}›"), "test.leak"))
    }
}

policy_sdk::export!(Leaky);
