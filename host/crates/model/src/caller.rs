//! Who asks, and who decides what is asked of people.

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

/// Who decides a question to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decider {
    /// Name, for the record; compared with the caller's subject.
    pub name: String,
    /// Groups, as far as they were proven; `None`: an operator, whom no group keeps from deciding.
    pub groups: Option<Vec<String>>,
}

impl Decider {
    /// Whoever holds the control token: the name is only claimed.
    #[must_use]
    pub fn operator(name: impl Into<String>) -> Self {
        Self { name: name.into(), groups: None }
    }

    /// Whether these groups let it decide.
    #[must_use]
    pub fn is_one_of(&self, approvers: &[String]) -> bool {
        self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| approvers.contains(group)))
    }
}
