//! What the target of a request names besides its endpoint: a model. Servers and routers behind believe it more than the
//! body.
//!
//! What must hold: a model that stands in the path is the one that is told of the request; a target of which others may
//! read another model, or another endpoint, than is read here is refused.

use std::borrow::Cow;

use model::{Connection, Family};

use crate::{Endpoint, dialect::claim};

/// Folders of a path in which models stand: Azure's; OpenAI's first API, which routers copy; Hugging Face's; Vertex AI's;
/// llama-swap's.
const FOLDERS: [&str; 5] = ["deployments", "engines", "models", "endpoints", "upstream"];

/// Those of them in which a name is all that stands before the endpoint, and counts whatever the body says. In the others a
/// version comes after it, and some servers may still go by the body.
const WHOLE: [&str; 2] = ["deployments", "engines"];

/// How the paths end at which a model is asked, the longer before those that end as they do.
const ENDPOINTS: [&str; 9] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/moderations",
    "/responses",
    "/responses/compact",
    "/responses/input_tokens",
    "/messages",
    "/messages/count_tokens",
];

/// What a parameter that chooses a model has in its name.
const CHOOSES: [&str; 5] = ["model", "fallback", "deployment", "engine", "preset"];

/// That of them which in a body only counts at a name's begin: others name engines of searches.
const ENGINE: &str = "engine";

/// A path below a connection's prefix, as far as it may name a model: the folder of the models may be the last one of the
/// upstream's own path.
#[must_use]
pub fn named_path<'p>(connection: &Connection, path: &'p str) -> Cow<'p, str> {
    match connection.upstream.base_path.rsplit_once('/') {
        Some((_, folder)) if is_folder(folder) => format!("/{folder}{path}").into(),
        _ => path.into(),
    }
}

/// Why a target (the path as for [`claim`], the query with its `?`) has another meaning than the endpoint that is claimed
/// here, to some of those who may stand behind the connection; `None`: it has not.
#[must_use]
pub fn ambiguity(
    connection: &Connection,
    endpoint: &dyn Endpoint,
    method: &str,
    path: &str,
    query: &str,
) -> Option<&'static str> {
    let family = connection.family;
    // The other families' endpoints have an eye on their targets themselves; at one that only a rule allows no model is told.
    if !matches!(family, Family::Openai | Family::Anthropic | Family::Ollama) || endpoint.dialect() == "http" {
        return None;
    }
    if is_other_endpoint(family, endpoint, method, path) {
        return Some("the path names another endpoint where capital letters or encoded slashes mean nothing");
    }
    let lists = method == "GET" && endpoint.dialect().ends_with("-models");
    if lists {
        return None;
    }
    if names_another(family, &plain(&named_path(connection, path))) {
        return Some("the path names a model in a way in which it can't be told which one is meant");
    }
    names_model(query).then_some("the query may name a model: it is named in the body, or in the path")
}

/// Whether a path names a model where it can't be told which one: in two folders; in one that the dialect has not; or where
/// `chat` may be the name, or the beginning of the endpoint.
fn names_another(family: Family, path: &str) -> bool {
    let folders = before(path).split('/').filter(|segment| is_folder(segment)).count();
    let chat = path.strip_suffix("/chat/completions").and_then(|before| before.rsplit('/').next());
    folders > 1 || chat.is_some_and(is_whole) || (family == Family::Anthropic && !named(path).model.is_empty())
}

/// Whether a path that differs only in what some servers pass over has an endpoint of another dialect.
fn is_other_endpoint(family: Family, endpoint: &dyn Endpoint, method: &str, path: &str) -> bool {
    if !path.bytes().any(|byte| byte == b'%' || byte.is_ascii_uppercase()) {
        return false;
    }
    let folded = claim(family, method, &plain(path).to_ascii_lowercase());
    folded.map(Endpoint::dialect) != Some(endpoint.dialect())
}

/// What a path names before its endpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The model, its escapes undone; empty when there is none.
    pub(crate) model: String,
    /// Whether the body's model may be asked all the same.
    pub(crate) doubted: bool,
}

/// The model that a path names before its endpoint.
pub(crate) fn named(path: &str) -> Named {
    let path = plain(path);
    let mut segments = before(&path).split('/');
    let Some(folder) = segments.by_ref().find(|segment| is_folder(segment)) else { return Named::default() };
    let mut name: Vec<&str> = segments.collect();
    // Alone it is the version of what has no name here.
    if name.last() == Some(&"v1") && (name.len() == 1 || !is_whole(folder)) {
        name.pop();
    }
    // Vertex AI's endpoint for the models that bodies name.
    if name == ["openapi"] && is_named(folder, "endpoints") {
        name.clear();
    }
    Named { model: name.join("/"), doubted: !is_whole(folder) }
}

/// What stands before the endpoint; empty for a path that is none of a request to a model.
fn before(path: &str) -> &str {
    ENDPOINTS.iter().find_map(|endpoint| path.strip_suffix(endpoint)).unwrap_or_default()
}

fn is_folder(segment: &str) -> bool {
    FOLDERS.iter().any(|folder| is_named(segment, folder))
}

fn is_whole(segment: &str) -> bool {
    WHOLE.iter().any(|whole| is_named(segment, whole))
}

/// Whether a segment has this name, in any case, with or without parameters of its own (RFC 3986, 3.3).
fn is_named(segment: &str, name: &str) -> bool {
    segment.split(';').next().is_some_and(|segment| segment.eq_ignore_ascii_case(name))
}

/// Whether a parameter of a query may choose a model, however its name is spelled. One that can't be read may.
fn names_model(query: &str) -> bool {
    let names = query.split(['?', '&', ';']).filter_map(|pair| pair.split('=').next());
    names.into_iter().any(|name| {
        let Some(name) = unescaped(name) else { return true };
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        CHOOSES.iter().any(|chooses| name.contains(chooses))
    })
}

/// Whether a member of a body may choose a model (`models`, `fallbacks`, `deployment_id`, …), to some of those who may read
/// it.
#[must_use]
pub fn chooses_model(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CHOOSES.iter().any(|&chooses| if chooses == ENGINE { name.starts_with(ENGINE) } else { name.contains(chooses) })
}

/// Whether a member somewhere within a body's members is the name of a model, or a list of them (`modelName` of Gemini's
/// routing, `models` of a gateway's own options, `allowed_models` of a plugin). Narrower than [`chooses_model`]: many
/// options have `model` somewhere in their name and name none.
#[must_use]
pub fn names_model_within(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let name = name.strip_suffix('s').unwrap_or(&name);
    let name = ["name", "id"].iter().find_map(|what| name.strip_suffix(what)).unwrap_or(name);
    name.ends_with("model") || name.ends_with("deployment")
}

/// Whether JSON may have a member of which [`chooses_model`] says so: most has none, and need not be read for it. A name
/// with escapes may be one.
#[must_use]
pub fn mentions_model(json: &str) -> bool {
    let folded = json.to_ascii_lowercase();
    folded.contains('\\') || CHOOSES.iter().any(|chooses| folded.contains(chooses))
}

/// A path with its escapes undone.
fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    unescaped(path).map_or(path.into(), |plain| String::from_utf8_lossy(&plain).into_owned().into())
}

/// A text with its escapes undone; `None` where one is none.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(if byte == b'%' { u8::try_from(digit()? * 16 + digit()?).ok()? } else { byte });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use model::{OnBlock, Restore, Upstream};

    use super::*;

    fn connection(family: Family, base_path: &str) -> Connection {
        Connection {
            name: "c".into(),
            path_prefix: "/".into(),
            upstream: Upstream { tls: true, authority: "u".into(), base_path: base_path.into() },
            family,
            on_block: OnBlock::default(),
            endpoints: Vec::new(),
            restore: Restore::default(),
            caller_headers: Vec::new(),
        }
    }

    fn ambiguous(family: Family, method: &str, path: &str, query: &str) -> bool {
        let connection = connection(family, "");
        let endpoint = crate::endpoint(&connection, method, path, query).unwrap_or_else(|| panic!("{method} {path}"));
        ambiguity(&connection, endpoint, method, path, query).is_some()
    }

    #[test]
    fn a_path_names_a_model_before_its_endpoint() {
        for (path, named) in [
            ("/v1/chat/completions", ""),
            ("/openai/deployments/big/chat/completions", "big"),
            ("/openai/DEPLOYMENTS/big/chat/completions", "big"),
            ("/openai/deployments/llama3%3A8b/completions", "llama3:8b"),
            ("/engines/big/chat/completions", "big"),
            ("/v1/engines/big/completions", "big"),
            ("/Engines;a=b/big/embeddings", "big"),
            ("/engines/org/big/chat/completions", "org/big"),
            ("/engines%2Fbig/chat/completions", "big"),
            ("/engines/small%2Fv1/chat/completions", "small/v1"),
            ("/engines/v1/chat/completions", ""),
            ("/upstream/big/v1/chat/completions", "big"),
            ("/models/org/big/v1/chat/completions", "org/big"),
            ("/v1/projects/p/locations/l/endpoints/7/chat/completions", "7"),
            ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", ""),
            // Azure's models by body.
            ("/models/chat/completions", ""),
            ("/openai/deployments/big/responses/compact", "big"),
            ("/openai/v1/responses", ""),
            ("/v1/responses/deployments/cancel", ""),
        ] {
            assert_eq!(super::named(path).model, named, "{path}");
        }
        let below = |base, path| named(&named_path(&connection(Family::Openai, base), path)).model;
        assert_eq!(below("/openai/deployments", "/big/chat/completions"), "big");
        assert_eq!(below("/engines/v1", "/chat/completions"), "");
        assert_eq!(below("/models", "/chat/completions"), "");
    }

    #[test]
    fn a_target_that_may_name_another_model_is_refused() {
        let (chat, messages) = ("/v1/chat/completions", "/v1/messages");
        for (family, path, query) in [
            (Family::Openai, chat, "?model=big"),
            (Family::Openai, chat, "?%6dodel=big"),
            (Family::Openai, chat, "?api-version=1&MODEL=big"),
            (Family::Openai, chat, "?a=1;model=big"),
            (Family::Openai, chat, "?model[]=big"),
            (Family::Openai, chat, "?user_model"),
            (Family::Openai, chat, "?fallbacks=big"),
            (Family::Openai, chat, "?%u006dodel=big"),
            (Family::Openai, "/v1/responses", "?model=big"),
            (Family::Openai, "/v1/embeddings", "?model=big"),
            (Family::Openai, "/engines/small/deployments/big/chat/completions", ""),
            (Family::Openai, "/engines/small%2Fdeployments%2Fbig/chat/completions", ""),
            (Family::Openai, "/engines/chat/completions", ""),
            (Family::Openai, "/v1%2Fchat/completions", ""),
            (Family::Openai, "/v1/Chat/completions", ""),
            (Family::Anthropic, messages, "?beta=true&model=big"),
            (Family::Anthropic, "/v1/messages/count_tokens", "?model=big"),
            (Family::Anthropic, "/engines/big/v1/messages", ""),
            (Family::Ollama, "/api/chat", "?model=big"),
            (Family::Ollama, "/api/show", "?model=big"),
            (Family::Ollama, chat, "?model=big"),
        ] {
            assert!(ambiguous(family, "POST", path, query), "{path}{query}");
        }
    }

    #[test]
    fn members_of_a_body_choose_as_parameters_of_a_query_do() {
        for name in
            ["model", "Models", "fallbacks", "context_window_fallbacks", "deployment", "deployment_id", "engine"]
        {
            assert!(chooses_model(name), "{name}");
        }
        for name in ["", "mode", "modalities", "search_engine", "user"] {
            assert!(!chooses_model(name), "{name}");
        }
        for name in ["model", "modelName", "model_names", "analysis_models", "deploymentId", "draft-model"] {
            assert!(names_model_within(name), "{name}");
        }
        for name in ["", "s", "name", "id", "modelConfig", "model_settings", "engine", "modalities"] {
            assert!(!names_model_within(name), "{name}");
        }
        for (json, mentions) in [(r#"{"a":1}"#, false), (r#"{"a":{"MODEL":1}}"#, true), (r#"{"\u006dodel":1}"#, true)] {
            assert_eq!(mentions_model(json), mentions, "{json}");
        }
    }

    #[test]
    fn what_sdks_send_is_not_refused() {
        for (family, method, target) in [
            (Family::Openai, "POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
            (Family::Openai, "POST", "/openai/deployments/GPT-4o/chat/completions?api-version=2024-10-21"),
            (Family::Openai, "POST", "/models/chat/completions?api-version=2024-05-01-preview"),
            (Family::Openai, "POST", "/engines/v1/chat/completions"),
            (Family::Openai, "POST", "/v1/responses?include[]=file_search_call.results&include%5B%5D=x"),
            (Family::Openai, "GET", "/v1/responses/resp_1A?stream=true&include_obfuscation=false"),
            (Family::Openai, "GET", "/v1/responses/resp_1/input_items?limit=20&after=i&order=asc"),
            (Family::Openai, "GET", "/v1/models?include_model_access_groups=true"),
            (Family::Openai, "GET", "/v1/models/meta%2FLlama"),
            (Family::Openai, "POST", "/v1/chat/completions?note=model"),
            (Family::Anthropic, "POST", "/v1/messages?beta=true"),
            (Family::Anthropic, "GET", "/v1/models?limit=20&after_id=m"),
            (Family::Ollama, "POST", "/api/chat"),
            (Family::Ollama, "GET", "/api/tags"),
            (Family::Gemini, "POST", "/v1beta/models/Gemini-2:streamGenerateContent?alt=sse"),
        ] {
            let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
            assert!(!ambiguous(family, method, path, query), "{target}");
        }
    }
}
