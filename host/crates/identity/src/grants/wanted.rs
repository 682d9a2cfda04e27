//! What somebody wants a token for: the `scope` of a token request (RFC 6749, 3.3), in words of its own.
//!
//! ```text
//! connection:openai model:gpt-4* operation:openai-chat grant:night-shift
//! ```
//!
//! Each word may come several times; a kind that is left out means all that the grant gives.

use std::{collections::BTreeSet, time::Duration};

use model::Scope;

use super::Grant;

/// The longest `scope`, in bytes.
const BYTES: usize = 4096;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The grant's name, where it is said.
    pub grant: Option<String>,
    /// The longest that a token should live, where that is said; never longer than the grant lets it.
    pub lifetime: Option<Duration>,
    connections: Vec<String>,
    models: Vec<String>,
    operations: Vec<String>,
}

impl Wanted {
    /// Reads a `scope`; none for one that has unknown words.
    #[must_use]
    pub fn read(scope: &str) -> Option<Self> {
        if scope.len() > BYTES {
            return None;
        }
        let mut wanted = Self::default();
        for word in scope.split(' ').filter(|word| !word.is_empty()) {
            // RFC 6749, 3.3: what a scope's word is made of.
            if !word.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
                return None;
            }
            let (kind, name) = word.split_once(':').filter(|(_, name)| !name.is_empty())?;
            match kind {
                "connection" => wanted.connections.push(name.to_owned()),
                "model" => wanted.models.push(name.to_owned()),
                "operation" => wanted.operations.push(name.to_owned()),
                "grant" if wanted.grant.is_none() => wanted.grant = Some(name.to_owned()),
                _ => return None,
            }
        }
        Some(wanted)
    }

    /// Wants one connection more (`audience` of RFC 8693).
    pub fn connection(&mut self, name: String) {
        self.connections.push(name);
    }

    /// The scope of a token by this grant; none where the grant does not give all that is wanted.
    pub(super) fn within(&self, grant: &Grant) -> Option<Scope> {
        if self.grant.as_ref().is_some_and(|name| *name != grant.name) {
            return None;
        }
        // The same that is asked in another order, or twice, is the same: what was approved is found by its scope.
        let or_all = |wanted: &[String], given: &[String]| match wanted {
            [] => given.to_vec(),
            wanted => wanted.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        };
        let scope = Scope {
            connections: or_all(&self.connections, &grant.scope.connections),
            models: or_all(&self.models, &grant.scope.models),
            operations: or_all(&self.operations, &grant.scope.operations),
        };
        grant.scope.covers(&scope).then_some(scope)
    }
}

/// A scope in the words of a token response.
#[must_use]
pub fn scope_words(scope: &Scope) -> String {
    let kinds = [("connection", &scope.connections), ("model", &scope.models), ("operation", &scope.operations)];
    let words = kinds.iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
    words.collect::<Vec<_>>().join(" ")
}
