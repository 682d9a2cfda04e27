//! Fails in the way that `how` says, in the hook that `at` says, when the trigger word is there.

use std::hint::black_box;

use guests::{describe, trigger};
use policy_sdk::{
    BodyDecision, Chunk, Decision, Exchange, Head, HeadDecision, Hooks, Metadata, Plan, Policy, Problem, Request,
    RequestDecision, Verdict, Window,
};
use serde::Deserialize;

/// How, where and when.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    how: How,
    at: Place,
    when: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { how: How::Trap, at: Place::Text, when: trigger() }
    }
}

/// Ways to fail.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Goes round and round.
    Spin,
    /// Executes `unreachable`.
    Trap,
    /// Calls itself until the stack is used up.
    Recurse,
    /// Takes memory until there is none.
    Hoard,
}

/// Hooks.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `configure`, where there is no word to wait for.
    Configure,
    /// `open`; the trigger is looked for in the model's name.
    Open,
    /// `on-request`.
    Request,
    /// `on-text`.
    Text,
    /// `on-head`; the trigger is looked for in the path.
    Head,
    /// `on-body`.
    Body,
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)).wrapping_add(depth))
}

fn hoard() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

impl How {
    fn fail(self) -> ! {
        match self {
            Self::Spin => spin(),
            Self::Hoard => hoard(),
            Self::Trap => std::process::abort(),
            Self::Recurse => {
                black_box(recurse(0));
                std::process::abort()
            }
        }
    }
}

/// The policy.
pub struct Fail(Settings);

impl Fail {
    fn maybe(&self, at: Place, text: &str) {
        if self.0.at == at && text.contains(&self.0.when) {
            self.0.how.fail();
        }
    }
}

impl Policy for Fail {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("fail")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let hooks = match settings.at {
            Place::Configure => settings.how.fail(),
            Place::Open => Hooks::OPEN,
            Place::Request => Hooks::CONVERSATION,
            Place::Text => Hooks::TEXT,
            Place::Head => Hooks::HEAD,
            Place::Body => Hooks::BODY,
        };
        Ok((Self(settings), Plan::new(hooks)))
    }

    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String> {
        self.maybe(Place::Open, &exchange.model);
        Ok(Verdict::Allow)
    }

    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String> {
        for part in &request.parts {
            self.maybe(Place::Request, &part.text);
        }
        Ok(RequestDecision::allow())
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        self.maybe(Place::Text, &window.pending);
        Ok(Decision::allow())
    }

    fn on_head(&mut self, head: &Head) -> Result<HeadDecision, String> {
        self.maybe(Place::Head, &head.path);
        Ok(Verdict::Allow.into())
    }

    fn on_body(&mut self, chunk: &Chunk) -> Result<BodyDecision, String> {
        self.maybe(Place::Body, &String::from_utf8_lossy(&chunk.pending));
        Ok(Verdict::Allow.into())
    }
}

policy_sdk::export!(Fail);
