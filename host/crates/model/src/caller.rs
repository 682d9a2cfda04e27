//! Who asks.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// What is told.
    pub name: CompactString,
    /// What it is.
    pub value: CompactString,
}

/// Who asks, as the gate authenticated them. Never holds the credential itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Stable id within the issuer; for a static token its name in the configuration.
    pub subject: String,
    /// Who vouches for the subject; `token` for a static token.
    pub issuer: String,
    /// Groups, as the issuer tells them.
    pub groups: Vec<String>,
    /// JSON object of the claims that policies may see.
    pub claims: String,
}
