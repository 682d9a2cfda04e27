//! The flows under test: every endpoint of every dialect, in both directions, with each content type that it reads.
//!
//! An input names its flow on its first line; the body follows. So a corpus can be read, and stays what it is when flows
//! are added.

use model::{Connection, EndpointRule, Family, OnBlock, Restore, Upstream, View};
use serde_json::Value;
use wire::{Flow, Limits};

use crate::documents::Framing::{self, Events, Items, Lines, PlainEvents, Text, Whole};

/// Bounds small enough that inputs of a few kilobytes reach them.
pub(crate) const LIMITS: Limits =
    Limits { body_bytes: 12 << 10, event_bytes: 4 << 10, held_bytes: 32 << 10, json_depth: 32 };

/// Direction, and what its head says.
#[derive(Clone, Copy, Debug)]
enum Side {
    Request,
    Answer(u16),
}
use Side::{Answer, Request};

/// One flow.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its family's name: of the target, too.
    pub family: &'static str,
    /// Its own.
    pub name: &'static str,
    path: &'static str,
    side: Side,
    content_type: &'static str,
    /// How documents stand in its bodies.
    pub framing: Framing,
}

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";
const GEMINI: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const GEMINI_EVENTS: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
const GEMINI_ITEMS: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";

const fn spec(
    family: &'static str,
    name: &'static str,
    path: &'static str,
    side: Side,
    (content_type, framing): (&'static str, Framing),
) -> Spec {
    Spec { family, name, path, side, content_type, framing }
}

/// All of them.
#[rustfmt::skip]
const SPECS: &[Spec] = &[
    spec("openai", "chat request", "/v1/chat/completions", Request, (JSON, Whole)),
    spec("openai", "chat answer", "/v1/chat/completions", Answer(200), (JSON, Whole)),
    spec("openai", "chat stream", "/v1/chat/completions", Answer(200), (SSE, Events)),
    spec("openai", "chat error", "/v1/chat/completions", Answer(400), (JSON, Whole)),
    spec("openai", "responses request", "/v1/responses", Request, (JSON, Whole)),
    spec("openai", "responses answer", "/v1/responses", Answer(200), (JSON, Whole)),
    spec("openai", "responses stream", "/v1/responses", Answer(200), (SSE, Events)),
    spec("openai", "completions request", "/v1/completions", Request, (JSON, Whole)),
    spec("openai", "completions answer", "/v1/completions", Answer(200), (JSON, Whole)),
    spec("openai", "completions stream", "/v1/completions", Answer(200), (SSE, Events)),
    spec("openai", "embeddings request", "/v1/embeddings", Request, (JSON, Whole)),
    spec("openai", "embeddings answer", "/v1/embeddings", Answer(200), (JSON, Whole)),
    spec("openai", "moderations request", "/v1/moderations", Request, (JSON, Whole)),
    spec("anthropic", "messages request", "/v1/messages", Request, (JSON, Whole)),
    spec("anthropic", "messages answer", "/v1/messages", Answer(200), (JSON, Whole)),
    spec("anthropic", "messages stream", "/v1/messages", Answer(200), (SSE, Events)),
    spec("anthropic", "messages error", "/v1/messages", Answer(400), (JSON, Whole)),
    spec("anthropic", "count request", "/v1/messages/count_tokens", Request, (JSON, Whole)),
    spec("gemini", "generate request", GEMINI, Request, (JSON, Whole)),
    spec("gemini", "generate answer", GEMINI, Answer(200), (JSON, Whole)),
    spec("gemini", "generate stream", GEMINI_EVENTS, Answer(200), (SSE, PlainEvents)),
    spec("gemini", "generate array", GEMINI_ITEMS, Answer(200), (JSON, Items)),
    spec("gemini", "generate error", GEMINI, Answer(400), (JSON, Whole)),
    spec("gemini", "count request", "/v1beta/models/gemini-2.5-flash:countTokens", Request, (JSON, Whole)),
    spec("gemini", "embed request", "/v1beta/models/gemini-2.5-flash:embedContent", Request, (JSON, Whole)),
    spec("ollama", "chat request", "/api/chat", Request, (JSON, Whole)),
    spec("ollama", "chat answer", "/api/chat", Answer(200), (JSON, Whole)),
    spec("ollama", "chat stream", "/api/chat", Answer(200), (NDJSON, Lines)),
    spec("ollama", "generate request", "/api/generate", Request, (JSON, Whole)),
    spec("ollama", "generate stream", "/api/generate", Answer(200), (NDJSON, Lines)),
    spec("ollama", "embed request", "/api/embed", Request, (JSON, Whole)),
    spec("ollama", "show answer", "/api/show", Answer(200), (JSON, Whole)),
    spec("mcp", "request", "/mcp", Request, (JSON, Whole)),
    spec("mcp", "answer", "/mcp", Answer(200), (JSON, Whole)),
    spec("mcp", "stream", "/mcp", Answer(200), (SSE, Events)),
    spec("http", "json request", "/x", Request, (JSON, Whole)),
    spec("http", "json answer", "/x", Answer(200), (JSON, Whole)),
    spec("http", "events", "/x", Answer(200), (SSE, Events)),
    spec("http", "lines", "/x", Answer(200), (NDJSON, Lines)),
    spec("http", "lines request", "/x", Request, (NDJSON, Lines)),
    spec("http", "text", "/x", Answer(200), ("text/plain", Text)),
    spec("http", "text request", "/x", Request, ("text/plain", Text)),
];

impl Spec {
    /// The document without what policies are told otherwise than as text: the model that a request names.
    pub(crate) fn shown(&self, mut document: Value) -> Value {
        if let (Request, Some(members)) = (self.side, document.as_object_mut()) {
            members.retain(|name, value| name != "model" || !value.is_string());
        }
        document
    }
}

/// The flow that an input names, and the body behind the name.
#[must_use]
pub fn named<'i>(family: &str, input: &'i [u8]) -> Option<(&'static Spec, &'i [u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let spec = SPECS.iter().find(|spec| spec.family == family && spec.name.as_bytes() == &input[..end])?;
    Some((spec, &input[end + 1..]))
}

/// A fresh flow.
///
/// # Panics
/// When the endpoint does not read what the table says.
#[must_use]
pub fn flow(spec: &Spec) -> Box<dyn Flow> {
    let family = match spec.family {
        "openai" => Family::Openai,
        "anthropic" => Family::Anthropic,
        "gemini" => Family::Gemini,
        "ollama" => Family::Ollama,
        "mcp" => Family::Mcp,
        _ => Family::Http,
    };
    let views = View::ALL.map(|(_, view)| view).to_vec();
    let connection = Connection {
        name: "c".into(),
        path_prefix: "/".into(),
        upstream: Upstream { tls: false, authority: "model".into(), base_path: String::new() },
        family,
        on_block: OnBlock::Error,
        endpoints: vec![EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views }],
        restore: Restore::Off,
        caller_headers: Vec::new(),
    };
    let (path, query) = match spec.path.split_once('?') {
        Some((path, query)) => (path, ["?", query].concat()),
        None => (spec.path, String::new()),
    };
    let endpoint = wire::endpoint(&connection, "POST", path, &query).expect("every path is an endpoint's");
    match spec.side {
        Request => endpoint.request_at(path, spec.content_type, LIMITS),
        Answer(status) => endpoint.response(status, spec.content_type, LIMITS),
    }
    .expect("every content type is read")
}
