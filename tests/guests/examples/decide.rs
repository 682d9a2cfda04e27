//! Behaves: answers the verdict of its settings when the trigger word is in the text, the request or the tool call.

use guests::{describe, trigger};
use policy_sdk::{
    Decision, Exchange, Hooks, Metadata, Plan, Policy, Problem, Request, RequestDecision, ToolCall, ToolDecision,
    Verdict, Window,
};
use serde::Deserialize;

/// What to answer, where and when.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    verdict: Word,
    at: Vec<Place>,
    when: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { verdict: Word::Block, at: vec![Place::Text], when: trigger() }
    }
}

/// Verdicts, and `err`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Go on.
    Allow,
    /// Go on, and don't ask again.
    Done,
    /// Stop.
    Block,
    /// Ask a person.
    Ask,
    /// Fail.
    Err,
}

/// Hooks.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `open`; the trigger is looked for in the model's name.
    Open,
    /// `on-request`.
    Request,
    /// `on-text`.
    Text,
    /// `on-tool-call`.
    Tool,
}

/// The policy.
pub struct Decide(Settings);

impl Decide {
    fn verdict(&self, text: &str) -> Result<Verdict, String> {
        if !text.contains(&self.0.when) {
            return Ok(Verdict::Allow);
        }
        Ok(match self.0.verdict {
            Word::Allow => Verdict::Allow,
            Word::Done => Verdict::Done,
            Word::Block => Verdict::block("test.block", "The test says no.", "by decide"),
            Word::Ask => Verdict::ask("May it?", "The test wants to know."),
            Word::Err => return Err("told to fail".to_owned()),
        })
    }
}

impl Policy for Decide {
    type Settings = Settings;

    fn describe() -> Metadata {
        describe("decide")
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let mut hooks = Hooks::empty();
        for place in &settings.at {
            hooks |= match place {
                Place::Open => Hooks::OPEN,
                Place::Request => Hooks::CONVERSATION,
                Place::Text => Hooks::TEXT,
                Place::Tool => Hooks::TOOLS,
            };
        }
        Ok((Self(settings), Plan::new(hooks)))
    }

    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String> {
        if self.0.at.contains(&Place::Open) { self.verdict(&exchange.model) } else { Ok(Verdict::Allow) }
    }

    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String> {
        let parts = request.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>();
        self.verdict(&parts.join("\n")).map(Into::into)
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        self.verdict(&window.pending).map(Into::into)
    }

    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String> {
        self.verdict(&format!("{} {}", call.name, call.input)).map(Into::into)
    }
}

policy_sdk::export!(Decide);
