//! Stops everything: drop it into the policy folder, first in order, and no exchange begins and no running one goes on.
//!
//! Every hook on the path blocks. A new exchange ends at the first of them; an exchange that runs already gets this
//! policy as a new one at its next chunk, and ends there, also where the host decodes nothing and shows raw bytes.
//! There is no branch that allows.

use policy_sdk::{
    BodyDecision, Chunk, Decision, Exchange, Head, HeadDecision, Hooks, Metadata, Plan, Policy, Problem, Request,
    RequestDecision, ToolCall, ToolDecision, Verdict, Window,
};
use serde::Deserialize;

/// The refusal's code.
pub const CODE: &str = "lockdown";

/// What the operator may say to those who are stopped.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// For the caller.
    pub message: String,
    /// Reference of the incident, such as `INC-4711`; told to the caller and recorded. Empty: none.
    pub incident: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            message: "The operator has stopped all traffic to models for now. Please try again later.".into(),
            incident: String::new(),
        }
    }
}

/// The policy.
pub struct Lockdown {
    refusal: Verdict,
}

impl Lockdown {
    fn stop(&self) -> Verdict {
        self.refusal.clone()
    }
}

impl Policy for Lockdown {
    type Settings = Settings;

    fn describe() -> Metadata {
        Metadata::new("lockdown", env!("CARGO_PKG_VERSION"), "stops every exchange, new and running")
            .schema(include_str!("../settings.schema.json"))
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        if settings.message.trim().is_empty() {
            return Err(vec![Problem::new("/message", "must say something: the caller sees nothing else")]);
        }
        let (message, detail) = match settings.incident.trim() {
            "" => (settings.message, "lockdown".to_owned()),
            incident => (format!("{} (reference: {incident})", settings.message), format!("lockdown: {incident}")),
        };
        let plan = Plan::new(Hooks::all() - Hooks::AUDIT);
        Ok((Self { refusal: Verdict::block(CODE, message, detail) }, plan))
    }

    fn open(&mut self, _: &Exchange) -> Result<Verdict, String> {
        Ok(self.stop())
    }

    fn on_request(&mut self, _: &Request) -> Result<RequestDecision, String> {
        Ok(self.stop().into())
    }

    fn on_text(&mut self, _: &Window) -> Result<Decision, String> {
        Ok(self.stop().into())
    }

    fn on_tool_call(&mut self, _: &ToolCall) -> Result<ToolDecision, String> {
        Ok(self.stop().into())
    }

    fn on_head(&mut self, _: &Head) -> Result<HeadDecision, String> {
        Ok(self.stop().into())
    }

    fn on_body(&mut self, _: &Chunk) -> Result<BodyDecision, String> {
        Ok(self.stop().into())
    }
}

policy_sdk::export!(Lockdown: conversation, text, tools, bytes);
