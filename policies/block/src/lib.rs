//! Stops exchanges: by words and patterns in text, by model, by tool, by size.
//!
//! Each rule has the hook that it needs, and a hook that no rule needs is not called. With words or patterns alone,
//! clean text costs no call at all: the host finds them.

mod settings;

use policy_sdk::{
    Decision, Exchange, Hooks, Metadata, Plan, Policy, Problem, Request, RequestDecision, ToolCall, ToolDecision,
    Verdict, Window,
};

pub use settings::{List, Offered, Refusal, Settings};

/// The policy.
pub struct Block {
    settings: Settings,
    /// Models that the request names besides the one that it is for.
    further: Vec<String>,
}

/// The attribute of an exchange that names one of these.
const FURTHER: &str = "model";

impl Policy for Block {
    type Settings = Settings;

    fn describe() -> Metadata {
        Metadata::new("block", env!("CARGO_PKG_VERSION"), "stops words, patterns, models, tools and sizes")
            .schema(include_str!("../settings.schema.json"))
    }

    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        settings.check()?;
        let mut hooks = Hooks::empty();
        hooks.set(Hooks::TOOLS, !settings.tools.is_empty());
        hooks.set(
            Hooks::CONVERSATION,
            !settings.tools.is_empty() || !settings.models.is_empty() || settings.max_request_bytes > 0,
        );
        let plan = settings.terms().plan(hooks, &settings.directions, &settings.speakers);
        Ok((Self { settings, further: Vec::new() }, plan))
    }

    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String> {
        let further = exchange.extra.iter().filter(|attribute| attribute.name == FURTHER);
        self.further = further.map(|attribute| attribute.value.clone()).collect();
        Ok(Verdict::Allow)
    }

    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String> {
        let mut models = std::iter::once(&request.model).chain(&self.further);
        if let Some(model) = models.find(|model| !self.settings.models.allows(model)) {
            return Ok(self.refuse("model", "this model may not be used", ["model: ", model].concat()).into());
        }
        let bytes = size(request);
        if self.settings.max_request_bytes > 0 && bytes > self.settings.max_request_bytes {
            let detail = [bytes.to_string().as_str(), " bytes"].concat();
            return Ok(self.refuse("size", "the request is too large", detail).into());
        }
        self.offered(request)
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        Ok(match self.settings.terms().hits(window)?.first() {
            None => Decision::allow(),
            Some((term, _)) => {
                let kind = term.kind();
                let detail = [kind, ": ", term.name(), " (", &window.speaker, ", ", &window.channel, ")"].concat();
                self.refuse(kind, "the text contains what may not pass", detail).into()
            }
        })
    }

    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String> {
        Ok(if self.settings.tools.allows(&call.name) {
            ToolDecision::allow()
        } else {
            self.refuse("tool", "the model proposed a tool that may not be used", ["tool: ", &call.name].concat())
                .into()
        })
    }
}

impl Block {
    /// What to do about the tools that the request offers to the model.
    fn offered(&self, request: &Request) -> Result<RequestDecision, String> {
        let denied =
            request.tools.iter().map(|tool| tool.name.as_str()).filter(|name| !self.settings.tools.allows(name));
        let denied: Vec<String> = denied.map(str::to_owned).collect();
        Ok(match self.settings.offered {
            Offered::Block if !denied.is_empty() => {
                let detail = ["tools: ", &denied.join(", ")].concat();
                self.refuse("tool", "the request offers a tool that may not be used", detail).into()
            }
            Offered::Block | Offered::Remove => RequestDecision { remove_tools: denied, ..RequestDecision::allow() },
        })
    }

    /// The operator's words where there are some. The caller is told the rule's kind and never the text.
    fn refuse(&self, kind: &str, reason: &str, detail: String) -> Verdict {
        let Refusal { code, message } = &self.settings.refusal;
        let code = if code.is_empty() { ["block.", kind].concat() } else { code.clone() };
        let message = if message.is_empty() { ["Blocked by policy: ", reason, "."].concat() } else { message.clone() };
        Verdict::block(code, message, detail)
    }
}

/// Bytes of everything in the request that a model would read.
fn size(request: &Request) -> u64 {
    let parts = request.parts.iter().map(|part| part.text.len());
    let tools = request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.parameters.len());
    parts.chain(tools).chain([request.parameters.len()]).map(|bytes| bytes as u64).sum()
}

policy_sdk::export!(Block: conversation, text, tools);
