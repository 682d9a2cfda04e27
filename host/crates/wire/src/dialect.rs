//! The seam for dialects: a connection's family claims an endpoint, the endpoint opens the flows of its two directions.

use model::{Connection, Family};

use crate::{Flow, Malformed, ReplyTo, media};

/// Bounds of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole (not streamed) body.
    pub body_bytes: usize,
    /// Bytes of one event of a stream.
    pub event_bytes: usize,
    /// Bytes that are in and not out.
    pub held_bytes: usize,
    /// Nesting of JSON.
    pub json_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 32 << 20, event_bytes: 4 << 20, held_bytes: 64 << 20, json_depth: 64 }
    }
}

/// An endpoint that a family knows: what is spoken there.
pub trait Endpoint: Send + Sync + std::fmt::Debug {
    /// The dialect's name in the contract: `openai-chat`, `raw`.
    fn dialect(&self) -> &'static str;

    /// True when the dialect's text is not known to the host: the flows are pass-through, and only byte hooks judge.
    fn raw(&self) -> bool {
        false
    }

    /// The flow of a request.
    ///
    /// # Errors
    /// [`Unclaimed`] when the dialect does not know this content type (`""` when there is none).
    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed>;

    /// As [`Endpoint::request`], where something of what is asked for stands in the path (below the connection's
    /// prefix, as [`named_path`](crate::named_path) says).
    ///
    /// # Errors
    /// As [`Endpoint::request`].
    fn request_at(&self, _path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request(content_type, limits)
    }

    /// Whether an answer with this status and content type is a stream: its head is said at once, and each piece when
    /// it is cleared.
    fn streams(&self, _status: u16, content_type: &str) -> bool {
        media::is_events(content_type)
    }

    /// The content type of a stream that begins before the upstream was asked.
    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// What the operator can do so that this content type is read here; begins with `; ` unless it is empty.
    fn how_to_allow(&self, _content_type: &str) -> String {
        String::new()
    }

    /// The flow of a response. An error status (400 and up) has the dialect's error shape.
    ///
    /// # Errors
    /// [`Unclaimed`] when the dialect does not know this content type.
    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed>;

    /// Whether a request's header (its name in lower case) repeats what the body says. Such a header stays aside until
    /// the body is judged, and goes on only if it [agrees](Self::agrees).
    fn repeats(&self, _header: &str) -> bool {
        false
    }

    /// Whether a header that repeats the body says what this one says, which was judged.
    fn agrees(&self, _header: &str, _value: &str, _body: &[u8]) -> bool {
        false
    }

    /// A whole answer that tells the caller that and why there is none.
    fn complaint(&self, complaint: &Complaint) -> Answer;

    /// The last bytes of an event stream that is stopped in the middle: an error in the dialect's own form.
    /// Empty where the dialect has none.
    fn stream_complaint(&self, _complaint: &Complaint) -> Vec<u8> {
        Vec::new()
    }

    /// The last bytes of any stream that is stopped in the middle.
    fn last_words(&self, broken: Broken<'_>, complaint: &Complaint) -> Vec<u8> {
        if media::is_events(broken.content_type) { self.stream_complaint(complaint) } else { Vec::new() }
    }

    /// A whole or streamed answer of the model that refuses, for `on_block = "refusal"`. Where no model
    /// speaks none can refuse: the complaint.
    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        self.complaint(complaint)
    }

    /// Bytes that keep an event stream alive and say nothing to SDKs; empty where the dialect has none.
    fn heartbeat(&self, _say: &str) -> Vec<u8> {
        Vec::new()
    }
}

/// A content type that no dialect of the connection knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content type `{0}` is not one that this endpoint speaks")]
pub struct Unclaimed(pub String);

/// A stream that is stopped in the middle, as far as the caller has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken<'a> {
    /// The content type that its head said.
    pub content_type: &'a str,
    /// Whether anything but white space was said behind the head.
    pub begun: bool,
}

/// What the caller is told when there is no answer. One place turns it into bytes for each dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// HTTP status.
    pub status: u16,
    /// Stable, for machines: `blocked`, `policy_failed`, `approval_pending`, a policy's own code.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The exchange's id.
    pub request_id: String,
    /// The policy's id; empty when none is the reason.
    pub policy: String,
    /// The messages of the request that want an answer of their own, as [`crate::Asked`] told them.
    pub replies: Vec<ReplyTo>,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its content type.
    pub content_type: &'static str,
    /// Its body.
    pub body: Vec<u8>,
}

/// Every dialect that an endpoint has, by its name.
pub const DIALECTS: [&str; 18] = [
    "openai-chat",
    "openai-responses",
    "openai-completions",
    "openai-embeddings",
    "openai-moderations",
    "openai-models",
    "anthropic-messages",
    "anthropic-models",
    "gemini",
    "gemini-embeddings",
    "gemini-count-tokens",
    "gemini-models",
    "ollama",
    "ollama-embeddings",
    "ollama-models",
    "mcp",
    "http",
    "raw",
];

/// The endpoint that a family has at this method and path (the canonical path with the connection's prefix taken
/// away, beginning with `/`, no query), or `None`: deny.
#[must_use]
pub fn claim(family: Family, method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    match family {
        Family::Openai => crate::openai::claim(method, path, ""),
        Family::Anthropic => crate::anthropic::claim(method, path),
        Family::Mcp => crate::mcp::claim(method, path),
        Family::Gemini => crate::gemini::claim(method, path, ""),
        Family::Ollama => crate::ollama::claim(method, path, ""),
        // Only what a rule of the connection allows.
        Family::Http => None,
        Family::Raw => Some(&crate::raw::Raw),
    }
}

/// The endpoint that a connection has at this method, path (as for [`claim`]) and query (with its `?`, or empty): one of
/// its family, or one that a rule of its own allows. `None`: deny.
#[must_use]
pub fn endpoint(connection: &Connection, method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    let own = match connection.family {
        Family::Gemini => crate::gemini::claim(method, path, query),
        Family::Openai => crate::openai::claim(method, path, query),
        Family::Ollama => crate::ollama::claim(method, path, query),
        family => claim(family, method, path),
    };
    own.or_else(|| crate::views::claim(connection, method, path))
}

/// Any endpoint of a family, for those who only want to say something in its form: what stops an exchange before its
/// endpoint is known is told in the form that the connection's callers read.
#[must_use]
pub fn spokesman(family: Family) -> &'static dyn Endpoint {
    match family {
        Family::Openai => crate::openai::spokesman(),
        Family::Anthropic => crate::anthropic::spokesman(),
        Family::Mcp => crate::mcp::spokesman(),
        Family::Gemini => crate::gemini::spokesman(),
        Family::Ollama => crate::ollama::spokesman(),
        // A problem (RFC 9457), which no dialect has a form of its own for.
        Family::Http | Family::Raw => &crate::raw::Raw,
    }
}

/// What a bad body is called in logs and in the record.
pub fn name_of(malformed: &Malformed) -> &'static str {
    match malformed {
        Malformed::Json { .. } => "invalid_json",
        Malformed::Shape { .. } => "invalid_request",
        Malformed::TooLarge { .. } => "too_large",
        Malformed::Truncated { .. } => "truncated",
        Malformed::NotUtf8 { .. } => "invalid_utf8",
    }
}

/// The sentence for people, with what they need to ask about it.
pub(crate) fn sentence(complaint: &Complaint) -> String {
    let Complaint { message, policy, request_id, .. } = complaint;
    if policy.is_empty() {
        format!("{message} (request {request_id})")
    } else {
        format!("{message} (policy {policy}, request {request_id})")
    }
}

/// A comment of an event stream: it keeps the stream alive, and every client passes over it.
pub(crate) fn comment(say: &str) -> Vec<u8> {
    format!(": {}\n\n", say.replace(|char: char| char.is_control(), " ")).into_bytes()
}

/// The members of a problem (RFC 9457) that a complaint has in every dialect.
pub(crate) fn problem(complaint: &Complaint) -> serde_json::Map<String, serde_json::Value> {
    let title = match complaint.status {
        400 => "Bad request",
        401 => "Not authenticated",
        403 => "Not allowed",
        404 => "Not found",
        413 => "Too large",
        415 => "Unsupported content type",
        429 => "Too many requests",
        502 => "Bad answer from upstream",
        503 => "Not available",
        504 => "No answer in time",
        500.. => "Failed",
        _ => "Refused",
    };
    let plain = |char: char| {
        if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '-' }
    };
    let code: String = complaint.code.chars().map(plain).collect();
    let members = [
        ("type", format!("urn:portcullis:problem:{code}").into()),
        ("title", title.into()),
        ("status", complaint.status.into()),
        ("detail", complaint.message.as_str().into()),
        ("instance", format!("urn:portcullis:request:{}", complaint.request_id).into()),
        ("code", complaint.code.as_str().into()),
        ("request_id", complaint.request_id.as_str().into()),
        ("policy", complaint.policy.as_str().into()),
    ];
    members.into_iter().map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_dialect_that_is_spoken_has_its_name_in_the_list() {
        let named = |family, method, path: &str| claim(family, method, path).map(Endpoint::dialect);
        let spoken = [
            named(Family::Openai, "POST", "/v1/chat/completions"),
            named(Family::Openai, "POST", "/v1/responses"),
            named(Family::Openai, "POST", "/v1/completions"),
            named(Family::Openai, "POST", "/v1/embeddings"),
            named(Family::Openai, "POST", "/v1/moderations"),
            named(Family::Openai, "GET", "/v1/models"),
            named(Family::Anthropic, "POST", "/v1/messages"),
            named(Family::Anthropic, "GET", "/v1/models"),
            named(Family::Gemini, "POST", "/v1beta/models/g:generateContent"),
            named(Family::Gemini, "POST", "/v1beta/models/g:embedContent"),
            named(Family::Gemini, "POST", "/v1beta/models/g:countTokens"),
            named(Family::Gemini, "GET", "/v1beta/models"),
            named(Family::Ollama, "POST", "/api/chat"),
            named(Family::Ollama, "POST", "/api/embed"),
            named(Family::Ollama, "GET", "/api/tags"),
            named(Family::Mcp, "POST", "/"),
            Some("http"),
            named(Family::Raw, "GET", "/"),
        ];
        assert!(spoken.iter().all(Option::is_some), "{spoken:?}");
        assert_eq!(spoken.into_iter().flatten().collect::<BTreeSet<_>>(), BTreeSet::from(DIALECTS));
    }
}
