//! Second stage: where the request may go, and what is spoken there.

use std::sync::Arc;

use model::{Connection, Family};
use wire::Endpoint;

use crate::{
    gate::Gate,
    head::{Head, canonical_path},
    ports::Identified,
    refuse::Stop,
    scope,
};

/// Where a request goes.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) connection: Arc<Connection>,
    pub(crate) endpoint: &'static dyn Endpoint,
    /// Path below the connection's prefix; begins with `/`, and is empty where the request asks for the prefix itself
    /// and so for the upstream's base path itself.
    pub(crate) path: String,
}

/// The connection with the longest prefix of the path, if its dialects have the endpoint and the caller may use both.
pub(crate) fn route(gate: &Gate, head: &Head, who: &Identified) -> Result<Route, Stop> {
    let (connection, path) =
        connection(gate, &head.path).ok_or_else(|| Stop::NoConnection { path: head.path.clone() })?;
    if !who.scope.allows_connection(&connection.name) {
        return Err(Stop::NotGranted { caller: who.caller.subject.clone(), connection: connection.name.clone() });
    }
    let endpoint = wire::endpoint(connection, head.method.as_str(), path, &head.query).ok_or_else(|| {
        Stop::NoEndpoint { connection: connection.name.clone(), method: head.method.to_string(), path: path.to_owned() }
    })?;
    if let Some(why) = wire::ambiguity(connection, endpoint, head.method.as_str(), path, &head.query) {
        return Err(Stop::BadHead(why));
    }
    scope::check_operation(&who.scope, endpoint)?;
    // A slash more is another path to many servers.
    let is_base = !head.path.ends_with('/') && path == "/" && !connection.upstream.base_path.is_empty();
    let path = if is_base { "" } else { path };
    Ok(Route { connection: Arc::clone(connection), endpoint, path: path.to_owned() })
}

/// What the connection speaks whose prefix a path has, as far as the path can be read. Only the form of a refusal
/// depends on it.
pub(crate) fn spoken(gate: &Gate, path: &str) -> Option<Family> {
    let path = canonical_path(path).ok()?;
    connection(gate, &path).map(|(connection, _)| connection.family)
}

/// The connection with the longest prefix of a path, and what is left of the path.
pub(crate) fn connection<'g, 'p>(gate: &'g Gate, path: &'p str) -> Option<(&'g Arc<Connection>, &'p str)> {
    gate.connections.iter().find_map(|connection| below(&connection.path_prefix, path).map(|path| (connection, path)))
}

/// What is left of a path below a prefix, beginning with `/`.
fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    if prefix == "/" {
        return Some(path);
    }
    match path.strip_prefix(prefix)? {
        "" => Some("/"),
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        assert_eq!(below("/", "/v1/models"), Some("/v1/models"));
        assert_eq!(below("/openai", "/openai/v1"), Some("/v1"));
        assert_eq!(below("/openai", "/openai"), Some("/"));
        assert_eq!(below("/openai", "/openai2/v1"), None);
    }
}
