//! A registered upstream.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Channel;

/// A registered upstream: where its requests come in, where they go, and what is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// Unique in the configuration.
    pub name: String,
    /// Canonical path prefix on the data listener; begins with `/`, ends with `/` only when it is `/`.
    pub path_prefix: String,
    /// Where its requests go.
    pub upstream: Upstream,
    /// What is spoken.
    pub family: Family,
    /// How a block is told to the caller.
    pub on_block: OnBlock,
    /// Endpoints that the operator allows besides those of the family; the first that fits counts.
    pub endpoints: Vec<EndpointRule>,
    /// Where in an answer a placeholder is replaced by the value that it stands for.
    pub restore: Restore,
    /// Headers that choose an account or a route at the upstream and that callers may set, in lower case; all others of
    /// that sort are withheld.
    pub caller_headers: Vec<String>,
}

/// An endpoint that the operator allows, and how its bodies are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointRule {
    /// Canonical path below the connection's prefix; with `/*` at its end, all paths below.
    pub path: String,
    /// HTTP methods, in capitals; never empty.
    pub methods: Vec<String>,
    /// How bodies may be read: which of these follows from the content type. Never empty.
    pub views: Vec<View>,
}

impl EndpointRule {
    /// Whether a request with this method and canonical path is one that it is for.
    #[must_use]
    pub fn allows(&self, method: &str, path: &str) -> bool {
        self.methods.iter().any(|allowed| allowed == method) && self.has(path)
    }

    fn has(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            // A server behind may read an encoded slash, or a parameter of a segment, as a way out of the folder.
            Some(folder) => path.strip_prefix(folder).is_some_and(|below| {
                !below.is_empty()
                    && !below.contains(';')
                    && !["%2F", "%5C", "%25"].iter().any(|code| below.contains(code))
            }),
            None => path == self.path,
        }
    }
}

/// A generic way to read bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// `application/json`, `application/…+json`.
    Json,
    /// `text/event-stream`; data is JSON or text.
    Sse,
    /// `application/x-ndjson`, `application/ndjson`, `application/jsonl`.
    Ndjson,
    /// `text/…`.
    Text,
}

impl View {
    /// Every view by its word in the configuration.
    pub const ALL: [(&'static str, Self); 4] =
        [("json", Self::Json), ("sse", Self::Sse), ("ndjson", Self::Ndjson), ("text", Self::Text)];
}

/// The place behind a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// TLS (`https`) or plain (`http`).
    pub tls: bool,
    /// `host` or `host:port`, as in the URL.
    pub authority: String,
    /// Path put before every request's path; empty or begins with `/`, never ends with `/`.
    pub base_path: String,
}

/// A family of dialects: which protocol an endpoint of the connection speaks follows from its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// OpenAI's API and the many that copy it.
    Openai,
    /// Anthropic's Messages API.
    Anthropic,
    /// The Model Context Protocol: a server of tools.
    Mcp,
    /// Google's Gemini API.
    Gemini,
    /// Ollama's own API.
    Ollama,
    /// Any HTTP service, at the endpoints that rules allow and by generic views.
    Http,
    /// Any HTTP service: policies see bytes only.
    Raw,
}

impl Family {
    /// The parameter of a query in which the family's SDKs may send the caller's credential.
    #[must_use]
    pub fn credential_parameter(self) -> Option<&'static str> {
        (self == Self::Gemini).then_some("key")
    }

    /// Every family, in the order in which messages name them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("openai", Self::Openai),
        ("anthropic", Self::Anthropic),
        ("mcp", Self::Mcp),
        ("gemini", Self::Gemini),
        ("ollama", Self::Ollama),
        ("http", Self::Http),
        ("raw", Self::Raw),
    ];
}

impl FromStr for Family {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, family)| *family).ok_or(())
    }
}

/// Where in an answer the host puts back what its policies took out of the request. Never where a policy edited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// Nowhere.
    #[default]
    Off,
    /// In what the caller reads: content, reasoning, refusals, errors, results of tools.
    Text,
    /// There, in the arguments of tool calls, and in fields that no dialect knows: they may go on to others.
    All,
}

impl Restore {
    /// Whether values are put back into this kind of text. Arguments of tool calls are no text of their own: they are
    /// put right as a whole, when the call is decided.
    #[must_use]
    pub fn reaches(self, channel: Channel) -> bool {
        match channel {
            Channel::Content | Channel::Reasoning | Channel::Refusal | Channel::Error | Channel::ToolResult => {
                self != Self::Off
            }
            Channel::Field | Channel::Logprobs => self == Self::All,
            Channel::ToolInput | Channel::ToolDefinition => false,
        }
    }
}

/// How a block is told to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBlock {
    /// As an error in the dialect's own form, which SDKs raise.
    #[default]
    Error,
    /// As an answer of the model that refuses.
    Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_its_path_or_its_folder_and_no_way_out_of_it() {
        let rule =
            |path: &str| EndpointRule { path: path.into(), methods: vec!["GET".into()], views: vec![View::Json] };
        for (path, asked, allowed) in [
            ("/v1/files", "/v1/files", true),
            ("/v1/files", "/v1/files/", false),
            ("/v1/files", "/v1/files/1", false),
            ("/v1/files/*", "/v1/files/1/content", true),
            ("/v1/files/*", "/v1/files", false),
            ("/v1/files/*", "/v1/files/", false),
            ("/v1/files/*", "/v1/filesystem", false),
            ("/v1/files/*", "/v1/files/..%2Fadmin", false),
            ("/v1/files/*", "/v1/files/..;/admin", false),
            ("/v1/files/*", "/v1/files/..%5Cadmin", false),
            ("/v1/files/*", "/v1/files/%252e%252e/admin", false),
            ("/*", "/anything", true),
        ] {
            assert_eq!(rule(path).allows("GET", asked), allowed, "{path} {asked}");
            assert!(!rule(path).allows("POST", asked));
        }
    }
}
