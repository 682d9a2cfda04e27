//! Runs a policy natively, without Wasm, over text that comes in pieces: the host in small.
//!
//! [`Rig::every_split`] is the test that every text policy should have: the same text whole, cut in two at every
//! character, and character by character, each with a host that keeps back as little and as much as the contract lets
//! it, and with the instance swapped between any two pieces. All must give the same.
//!
//! What must hold: the rig follows the plan as the host does (a hook that the plan does not ask for is not called), and
//! an answer that breaks a rule of the contract is a failure here too. It is an oracle and not a scanner: it knows the
//! whole text and shows exactly its matches, which is what the host promises for any split.

mod hits;
mod window;

use std::ops::Range;

use crate::{Direction, Exchange, Identity, Plan, Policy, Problem, Question, Refusal, settings::settings};

use hits::Matcher;
use window::{Keep, Stream};

/// A policy with its settings, ready to be tried.
pub struct Rig<P> {
    settings: String,
    plan: Plan,
    matcher: Matcher,
    direction: Direction,
    channel: String,
    speaker: String,
    policy: std::marker::PhantomData<P>,
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What went through.
    pub text: String,
    /// How it ended.
    pub end: End,
    /// Reasons of the edits that were made, in order.
    pub reasons: Vec<String>,
    /// What they replaced: bytes of the text that was tried.
    pub spans: Vec<Range<usize>>,
    /// How often `on_text` was called.
    pub calls: usize,
}

/// How a text ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// All of it went through.
    Complete,
    /// The policy stopped it.
    Blocked(Refusal),
    /// The policy asked; what was pending did not go through.
    Asked(Question),
    /// The policy answered `err`, or broke a rule of the contract.
    Failed(String),
}

impl<P: Policy> Rig<P> {
    /// Configures the policy with settings (JSON), as the host does when it loads the file.
    ///
    /// # Errors
    /// What the policy says of its settings, or what is wrong with its plan or a pattern that it declares.
    pub fn new(json: &str) -> Result<Self, Vec<Problem>> {
        let (_, plan) = settings(json).and_then(P::configure)?;
        if plan.as_raw().only_on_hit && plan.as_raw().patterns.is_empty() {
            return Err(vec![Problem::new("", "the plan says only-on-hit, and declares no pattern")]);
        }
        let matcher = Matcher::new(&plan.as_raw().patterns).map_err(|problem| vec![problem])?;
        Ok(Self {
            settings: json.to_owned(),
            plan,
            matcher,
            direction: Direction::Response,
            channel: "content".to_owned(),
            speaker: "assistant".to_owned(),
            policy: std::marker::PhantomData,
        })
    }

    /// What kind of text is tried; without it, what the model says.
    #[must_use]
    pub fn of(mut self, direction: Direction, channel: &str, speaker: &str) -> Self {
        self.direction = direction;
        self.channel = channel.to_owned();
        self.speaker = speaker.to_owned();
        self
    }

    /// The same for what a user says.
    #[must_use]
    pub fn of_user(self) -> Self {
        self.of(Direction::Request, "content", "user")
    }

    /// What the policy asks to see.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A fresh instance, to call its hooks directly.
    ///
    /// # Panics
    /// When the policy answers the same settings differently the second time.
    #[must_use]
    pub fn instance(&self) -> P {
        let (policy, plan) =
            settings(&self.settings).and_then(P::configure).expect("configured with the same settings before");
        assert_eq!(plan, self.plan, "same settings, same answer");
        policy
    }

    /// The text in these pieces.
    #[must_use]
    pub fn run(&self, pieces: &[&str]) -> Outcome {
        Stream::new(self, Keep::Least, false).run(pieces)
    }

    /// All of the text that goes through, whatever the split, must be `expected`.
    ///
    /// # Panics
    /// When it is not; says at which split.
    pub fn every_split(&self, text: &str, expected: &str) {
        let whole = self.run(&[text]);
        assert_eq!(whole.end, End::Complete, "whole: {text:?}");
        assert_eq!(whole.text, expected, "whole: {text:?}");
        self.splits(text, |split, outcome| {
            assert_eq!(outcome.end, End::Complete, "{split}: {text:?}");
            assert_eq!(outcome.text, expected, "{split}: {text:?}");
            assert_eq!(outcome.reasons, whole.reasons, "{split}: {text:?}");
        });
    }

    /// Whatever the split, the text must end otherwise than complete; no more than `most` goes through before, and how it
    /// ends is for `ends` to say.
    ///
    /// # Panics
    /// When more goes through, or `ends` says no; says at which split.
    pub fn every_split_ends(&self, text: &str, most: &str, ends: impl Fn(&End) -> bool) {
        let check = |split: &str, outcome: &Outcome| {
            assert!(most.starts_with(&outcome.text), "{split}: {:?} went through of {text:?}", outcome.text);
            assert!(ends(&outcome.end), "{split}: {:?} for {text:?}", outcome.end);
        };
        check("whole", &self.run(&[text]));
        self.splits(text, check);
    }

    /// Runs all splits with all kinds of host.
    fn splits(&self, text: &str, check: impl Fn(&str, &Outcome)) {
        let single: Vec<&str> = text.split_inclusive(|_| true).collect();
        for keep in [Keep::Least, Keep::Most] {
            for swap in [false, true] {
                let stream = || Stream::new(self, keep, swap);
                let how = if swap { ", swapped between pieces" } else { "" };
                check(&format!("character by character{how}"), &stream().run(&single));
                for (at, _) in text.char_indices().skip(1) {
                    let (left, right) = text.split_at(at);
                    check(&format!("split at byte {at}/{}{how}", text.len()), &stream().run(&[left, right]));
                    check(&format!("split at byte {at}, empty end{how}"), &stream().run(&[left, right, ""]));
                }
            }
        }
    }
}

/// An exchange to call [`Policy::open`] with.
#[must_use]
pub fn exchange() -> Exchange {
    Exchange {
        id: "0".to_owned(),
        session: "0".to_owned(),
        caller: Identity {
            subject: "somebody".to_owned(),
            issuer: String::new(),
            groups: Vec::new(),
            claims: "{}".to_owned(),
        },
        connection: "rig".to_owned(),
        dialect: "openai-chat".to_owned(),
        model: "echo-1".to_owned(),
        streaming: true,
        resumed: false,
        extra: Vec::new(),
    }
}
