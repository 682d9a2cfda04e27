//! Headers that repeat what the body says (revision 2026-07-28, transports): `Mcp-Method`, `Mcp-Name`, `Mcp-Param-…`.
//!
//! What must hold: such a header goes on only if it says what the judged body says, so that no text that was taken out
//! of the body leaves beside it. A server that insists on the header refuses the request without it.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

const PARAM: &str = "mcp-param-";

/// Whether a header repeats what the body says.
pub(super) fn repeats(header: &str) -> bool {
    matches!(header, "mcp-method" | "mcp-name") || header.starts_with(PARAM)
}

/// Whether such a header says what this body says.
pub(super) fn agrees(header: &str, value: &str, body: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let params = &message["params"];
    match header {
        "mcp-method" => message["method"] == *value,
        "mcp-name" => decoded(value).is_some_and(|name| params["name"] == *name || params["uri"] == *name),
        _ if header.starts_with(PARAM) => decoded(value).is_some_and(|value| holds(&params["arguments"], &value)),
        _ => false,
    }
}

/// The text that a header's value stands for.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(value.into());
    };
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned)
}

/// Whether one of the values in these arguments is this. Which one is meant is known to who knows the tool's schema;
/// the arguments were judged, and so it is enough that the header says nothing else.
fn holds(arguments: &Value, value: &str) -> bool {
    match arguments {
        Value::Object(members) => members.values().any(|member| holds(member, value)),
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Bool(on) => value == if *on { "true" } else { "false" },
        Value::Array(_) | Value::Null => false,
    }
}
