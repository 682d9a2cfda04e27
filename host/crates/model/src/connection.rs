//! A registered upstream.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    /// Any HTTP service: policies see bytes only.
    Raw,
}

impl Family {
    /// Every family, in the order in which messages name them.
    pub const ALL: [(&'static str, Self); 2] = [("openai", Self::Openai), ("raw", Self::Raw)];
}

impl FromStr for Family {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, family)| *family).ok_or(())
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
