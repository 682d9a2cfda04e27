//! What a credential may be used for.

use serde::{Deserialize, Serialize};

/// What a credential may be used for: three lists of names, of which each may end in `*` for all that begin so. An
/// empty list permits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Connections, by name.
    pub connections: Vec<String>,
    /// Models, by the name that the request gives.
    pub models: Vec<String>,
    /// Operations: the dialects of the endpoints that may be asked (`openai-chat`, `openai-models`, `raw`).
    pub operations: Vec<String>,
}

impl Scope {
    /// Every model and operation of these connections.
    pub fn on(connections: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            connections: connections.into_iter().map(Into::into).collect(),
            models: vec!["*".to_owned()],
            operations: vec!["*".to_owned()],
        }
    }

    /// Whether a connection may be used.
    #[must_use]
    pub fn allows_connection(&self, name: &str) -> bool {
        permits(&self.connections, name)
    }

    /// Whether a model may be used.
    #[must_use]
    pub fn allows_model(&self, name: &str) -> bool {
        permits(&self.models, name)
    }

    /// Whether an operation may be asked for.
    #[must_use]
    pub fn allows_operation(&self, dialect: &str) -> bool {
        permits(&self.operations, dialect)
    }

    /// Whether every model may be used, also where nobody can tell which one it is.
    #[must_use]
    pub fn allows_any_model(&self) -> bool {
        self.models.iter().any(|pattern| pattern == "*")
    }

    /// Whether everything that `other` permits is permitted here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |mine: &[String], theirs: &[String]| theirs.iter().all(|pattern| covers_pattern(mine, pattern));
        covers(&self.connections, &other.connections)
            && covers(&self.models, &other.models)
            && covers(&self.operations, &other.operations)
    }
}

fn permits(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    })
}

/// Whether one of `mine` permits all that `theirs` does.
fn covers_pattern(mine: &[String], theirs: &str) -> bool {
    match theirs.strip_suffix('*') {
        None => permits(mine, theirs),
        Some(beginning) => mine
            .iter()
            .filter_map(|pattern| pattern.strip_suffix('*'))
            .any(|own_beginning| beginning.starts_with(own_beginning)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|&pattern| pattern.to_owned()).collect()
    }

    #[test]
    fn a_name_is_whole_unless_it_ends_in_a_star() {
        let scope = Scope { models: list(&["gpt-4o", "claude-*"]), ..Scope::default() };
        assert!(scope.allows_model("gpt-4o") && scope.allows_model("claude-opus") && scope.allows_model("claude-"));
        assert!(!scope.allows_model("gpt-4o-mini") && !scope.allows_model("claude") && !scope.allows_model(""));
        assert!(!scope.allows_any_model());
    }

    #[test]
    fn an_empty_list_permits_nothing() {
        let scope = Scope::default();
        assert!(!scope.allows_model("") && !scope.allows_connection("") && !scope.allows_operation("raw"));
        assert!(Scope::on(["a"]).allows_operation("raw") && Scope::on(["a"]).allows_any_model());
    }

    #[test]
    fn a_scope_covers_what_is_narrower() {
        let wide = Scope { models: list(&["gpt-*", "o3"]), ..Scope::on(["a", "b"]) };
        let narrow = |models: &[&str]| Scope { models: list(models), ..Scope::on(["b"]) };
        assert!(wide.covers(&narrow(&["gpt-4o", "gpt-4*", "o3", "gpt-*"])));
        assert!(!wide.covers(&narrow(&["*"])) && !wide.covers(&narrow(&["o3*"])) && !wide.covers(&narrow(&["gp*"])));
        assert!(!wide.covers(&Scope { models: list(&["o3"]), ..Scope::on(["c"]) }));
    }
}
