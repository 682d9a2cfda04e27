//! The trait that a policy implements: its facts, its settings, and a method for each hook.

use serde::de::DeserializeOwned;

use crate::{
    Attribute, BodyDecision, Chunk, Decision, Exchange, Head, HeadDecision, Metadata, Plan, Problem, Request,
    RequestDecision, Summary, ToolCall, ToolDecision, Verdict, Window,
};

/// A policy, configured, at work in one exchange.
///
/// The host makes a fresh instance for every exchange and throws it away afterwards: state in `self` belongs to one
/// exchange, and may be missing in its middle (a reload puts a new instance in place, with `Exchange::resumed` set). So
/// [`Policy::on_text`] should be a function of its window.
///
/// An `Err` is a failure, never an allow: the operator's failure mode decides. Hooks that the plan does not name are
/// not called; a hook that it names must be implemented.
pub trait Policy: Sized + 'static {
    /// The operator's settings. Put `#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]` on it: with no
    /// settings file an empty object is read.
    type Settings: DeserializeOwned;

    /// Static facts; must not depend on anything.
    fn describe() -> Metadata;

    /// Makes the policy from its settings; same settings, same answer.
    ///
    /// # Errors
    /// All that is wrong with the settings. Values that don't fit [`Policy::Settings`] never come here: they are
    /// reported with their JSON Pointer before.
    fn configure(settings: Self::Settings) -> Result<(Self, Plan), Vec<Problem>>;

    /// The exchange that this instance serves. Called before any other hook.
    ///
    /// # Errors
    /// A failure.
    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String> {
        let _ = exchange;
        Ok(Verdict::Allow)
    }

    /// The whole request, decoded.
    ///
    /// # Errors
    /// A failure.
    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String> {
        let _ = request;
        missing("conversation")
    }

    /// Text of either direction, as it flows; offsets are bytes of UTF-8 in `window.pending`.
    ///
    /// # Errors
    /// A failure.
    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let _ = window;
        missing("text")
    }

    /// A tool call that the model proposes, complete.
    ///
    /// # Errors
    /// A failure.
    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String> {
        let _ = call;
        missing("tools")
    }

    /// An HTTP head, for protocols that the host does not decode.
    ///
    /// # Errors
    /// A failure.
    fn on_head(&mut self, head: &Head) -> Result<HeadDecision, String> {
        let _ = head;
        missing("head")
    }

    /// Bytes of a body, for protocols that the host does not decode.
    ///
    /// # Errors
    /// A failure.
    fn on_body(&mut self, chunk: &Chunk) -> Result<BodyDecision, String> {
        let _ = chunk;
        missing("body")
    }

    /// After the exchange; what it returns goes to the record.
    fn on_end(&mut self, summary: &Summary) -> Vec<Attribute> {
        let _ = summary;
        Vec::new()
    }
}

fn missing<T>(hook: &str) -> Result<T, String> {
    Err(format!("the plan asks for the hook `{hook}`, which this policy does not implement"))
}
