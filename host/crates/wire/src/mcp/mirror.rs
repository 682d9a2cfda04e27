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
        "mcp-name" => {
            named(&message["method"]).is_some_and(|member| decoded(value).is_some_and(|name| params[member] == *name))
        }
        _ => header.strip_prefix(PARAM).is_some_and(|name| {
            let arguments = &params["arguments"];
            decoded(value).is_some_and(|value| has(arguments, name, &value).unwrap_or_else(|| holds(arguments, &value)))
        }),
    }
}

/// The parameter of a method that `Mcp-Name` repeats.
fn named(method: &Value) -> Option<&'static str> {
    match method.as_str()? {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}

/// The text that a header's value stands for.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(value.into());
    };
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned)
}

/// Whether an argument of this name (case does not count in a header's) has this value; nothing where there is none of the
/// name: a schema may give the header another.
fn has(arguments: &Value, name: &str, value: &str) -> Option<bool> {
    let said = arguments.as_object()?.iter().filter_map(|(own, argument)| {
        let own = own.eq_ignore_ascii_case(name).then(|| holds(argument, value));
        own.into_iter().chain(has(argument, name, value)).reduce(|one, other| one || other)
    });
    said.reduce(|one, other| one || other)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(method: &str, params: &Value) -> Vec<u8> {
        json!({"jsonrpc":"2.0","id":1,"method":method,"params":params}).to_string().into_bytes()
    }

    #[test]
    fn a_header_names_the_tool_that_was_judged() {
        let (name, uri) = (json!({"name":"safe","uri":"denied"}), json!({"name":"denied","uri":"safe"}));
        for (method, params) in [("tools/call", &name), ("prompts/get", &name), ("resources/read", &uri)] {
            let body = body(method, params);
            assert!(agrees("mcp-name", "safe", &body), "{method}");
            assert!(!agrees("mcp-name", "denied", &body), "{method}");
        }
        assert!(!agrees("mcp-name", "safe", &body("completion/complete", &name)));
    }

    #[test]
    fn a_header_repeats_the_argument_of_its_name() {
        let arguments = json!({"Tenant":"a","note":"b","deep":{"tenant":"c","region":{"id":"d"}}});
        let body = body("tools/call", &json!({"name":"safe","arguments":arguments}));
        for (header, value) in [("tenant", "a"), ("tenant", "c"), ("region", "d"), ("x", "b")] {
            assert!(agrees(&format!("mcp-param-{header}"), value, &body), "{header}: {value}");
        }
        for (header, value) in [("tenant", "b"), ("note", "a"), ("region", "a"), ("x", "z")] {
            assert!(!agrees(&format!("mcp-param-{header}"), value, &body), "{header}: {value}");
        }
    }
}
