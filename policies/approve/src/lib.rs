//! Asks a person before a request that contains certain words goes on, or before a tool call reaches the caller.
//!
//! The host finds the words; this policy is called only on a hit and puts the question. It never decides: the answer
//! is a person's, and no answer in time is a refusal.

mod settings;

use policy_sdk::{
    Decision, Hooks, Metadata, Plan, Policy, Problem, Question, ToolCall, ToolDecision, Verdict, Window, pattern,
};

pub use settings::{Remember, Settings};

/// Bytes of text shown on either side of the first hit, at most.
const EXCERPT_BYTES: usize = 240;
/// Bytes of a tool call's arguments shown, at most.
const INPUT_BYTES: usize = 2_000;
/// The key under which the host remembers a decision. The host binds it to the whole of what was judged, so it needs to
/// tell nothing apart.
const SAME_REQUEST: &str = "same request";

/// The policy.
pub struct Approve {
    settings: Settings,
}

impl Policy for Approve {
    type Settings = Settings;

    fn describe() -> Metadata {
        Metadata::new("approve", env!("CARGO_PKG_VERSION"), "asks a person about words and tool calls")
            .schema(include_str!("../settings.schema.json"))
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        settings.check()?;
        let tools = if settings.tools.is_empty() { Hooks::empty() } else { Hooks::TOOLS };
        let plan = settings.terms().plan(tools, &settings.directions, &settings.speakers);
        Ok((Self { settings }, plan))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let hits = self.settings.terms().hits(window)?;
        let Some((_, first)) = hits.first() else {
            return Ok(Decision::allow());
        };
        let mut found: Vec<&str> = hits.iter().map(|(term, _)| term.name()).collect();
        found.sort_unstable();
        found.dedup();
        let names = found.join(", ");
        let who = if window.speaker.is_empty() { "unknown" } else { &window.speaker };
        let summary = [
            "The ",
            window.direction.as_str(),
            " contains: ",
            &names,
            "\nspeaker: ",
            who,
            ", channel: ",
            &window.channel,
            "\n\n",
            &excerpt(&window.pending, first.start as usize, first.end as usize),
        ]
        .concat();
        let key = match self.settings.remember {
            Remember::Never => "",
            Remember::Request => SAME_REQUEST,
        };
        Ok(self.ask(&names, summary, key).into())
    }

    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String> {
        if !self.settings.tools.iter().any(|glob| pattern::glob(glob, &call.name)) {
            return Ok(ToolDecision::allow());
        }
        let shown = head(&call.input, INPUT_BYTES);
        let cut = if shown.len() < call.input.len() { " …" } else { "" };
        let summary = ["The model proposes a call of the tool ", &call.name, " with:\n", shown, cut].concat();
        // A call does something each time: one that was approved is approved once.
        Ok(self.ask(&call.name, summary, "").into())
    }
}

impl Approve {
    fn ask(&self, what: &str, summary: String, remember_key: &str) -> Verdict {
        let summary = match self.settings.summary.as_str() {
            "" => summary,
            own => [own, "\n\n", &summary].concat(),
        };
        Verdict::Ask(Question {
            title: self.settings.title.replace("{found}", what),
            summary,
            approvers: self.settings.approvers.clone(),
            timeout_seconds: self.settings.timeout_seconds,
            remember_key: remember_key.to_owned(),
        })
    }
}

/// The longest beginning of at most this many bytes that cuts no character.
fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A span of the text with what stands around it.
fn excerpt(text: &str, start: usize, end: usize) -> String {
    let from = text.floor_char_boundary(start.saturating_sub(EXCERPT_BYTES));
    let to = text.floor_char_boundary(end.saturating_add(EXCERPT_BYTES));
    let before = if from == 0 { "" } else { "… " };
    let after = if to == text.len() { "" } else { " …" };
    [before, &text[from..to], after].concat()
}

policy_sdk::export!(Approve: text, tools);
