//! Short ways to write answers. The types are the contract's own.

use crate::{
    Attribute, BodyDecision, Decision, Direction, Edit, HeadDecision, Identity, Metadata, Problem, Question, Refusal,
    RequestDecision, Substitute, ToolDecision, Verdict, Window,
};

impl Metadata {
    /// Name, semantic version and one line of summary; settings may be any JSON.
    #[must_use]
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            settings_schema: String::new(),
            extra: Vec::new(),
        }
    }

    /// The JSON Schema of the settings.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.settings_schema = schema.into();
        self
    }
}

impl Problem {
    /// What is wrong at a JSON Pointer of the settings.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl Verdict {
    /// Stop the exchange. `code` is stable and for machines; `message` is for the caller and must not repeat the
    /// offending text; `detail` is for the record only.
    #[must_use]
    pub fn block(code: impl Into<String>, message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Block(Refusal { code: code.into(), message: message.into(), detail: detail.into() })
    }

    /// Hold the exchange until a person has decided; approvers and time are the operator's defaults, and every
    /// occurrence is asked. For more, make the [`Question`] yourself.
    #[must_use]
    pub fn ask(title: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::Ask(Question {
            title: title.into(),
            summary: summary.into(),
            approvers: Vec::new(),
            timeout_seconds: 0,
            remember_key: String::new(),
        })
    }
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, edits: Vec::new(), hold_back: 0, notes: Vec::new() }
    }
}

impl Decision {
    /// Let everything pass.
    #[must_use]
    pub fn allow() -> Self {
        Verdict::Allow.into()
    }

    /// Adds an edit: this text in place of `start..end`. Edits must come in order and must not overlap.
    #[must_use]
    pub fn replace(self, start: u32, end: u32, text: impl Into<String>, reason: impl Into<String>) -> Self {
        self.edit(start, end, Substitute::Literal(text.into()), reason)
    }

    /// Adds an edit: a placeholder of this kind, made by the host (`EMAIL` becomes `[EMAIL_1]`).
    #[must_use]
    pub fn tokenise(self, start: u32, end: u32, kind: impl Into<String>, reason: impl Into<String>) -> Self {
        self.edit(start, end, Substitute::Token(kind.into()), reason)
    }

    /// Adds an edit.
    #[must_use]
    pub fn edit(mut self, start: u32, end: u32, by: Substitute, reason: impl Into<String>) -> Self {
        self.edits.push(Edit { start, end, by, reason: reason.into() });
        self
    }

    /// Keeps this many bytes of the end of the window, to be shown again with what follows.
    #[must_use]
    pub fn hold_back(mut self, bytes: u32) -> Self {
        self.hold_back = bytes;
        self
    }

    /// A note for the session record.
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.notes.push(Attribute { name: name.into(), value: value.into() });
        self
    }
}

impl From<Verdict> for RequestDecision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, edits: Vec::new(), remove_tools: Vec::new(), patch: String::new(), notes: Vec::new() }
    }
}

impl RequestDecision {
    /// Let the request pass as it is.
    #[must_use]
    pub fn allow() -> Self {
        Verdict::Allow.into()
    }
}

impl From<Verdict> for ToolDecision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, input: String::new(), notes: Vec::new() }
    }
}

impl ToolDecision {
    /// Let the call pass as it is.
    #[must_use]
    pub fn allow() -> Self {
        Verdict::Allow.into()
    }
}

impl From<Verdict> for HeadDecision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, set: Vec::new(), remove: Vec::new(), notes: Vec::new() }
    }
}

impl From<Verdict> for BodyDecision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, edits: Vec::new(), hold_back: 0, notes: Vec::new() }
    }
}

impl Window {
    /// The text of a span of `pending`; empty when it is out of bounds or cuts a character.
    #[must_use]
    pub fn slice(&self, start: u32, end: u32) -> &str {
        self.pending.get(start as usize..end as usize).unwrap_or_default()
    }
}

impl Identity {
    /// Whether the proxy knows who is calling.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.subject.is_empty()
    }
}

impl Direction {
    /// The word for it in settings and codes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}
