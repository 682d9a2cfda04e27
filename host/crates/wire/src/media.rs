//! Content types (RFC 9110, 8.3): how a body is framed.

use crate::Unclaimed;

/// How a body is framed.
pub(crate) enum Body {
    Json,
    Events,
}

/// A content type without its parameters, in lower case; and whether its text is UTF-8.
fn essence(content_type: &str) -> (String, bool) {
    let mut parameters = content_type.split(';').map(str::trim);
    let essence = parameters.next().unwrap_or_default().to_ascii_lowercase();
    // Another charset would be read as something else by a client that believes the header.
    let utf8 = parameters.all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        })
    });
    (essence, utf8)
}

/// The framing that a content type names.
pub(crate) fn body(content_type: &str) -> Result<Body, Unclaimed> {
    let (essence, utf8) = essence(content_type);
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    match (utf8, json, essence.as_str()) {
        (true, true, _) => Ok(Body::Json),
        (true, false, "text/event-stream") => Ok(Body::Events),
        _ => Err(Unclaimed(content_type.to_owned())),
    }
}

/// Whether a body is JSON texts, one on each line.
pub(crate) fn is_lines(content_type: &str) -> bool {
    let (essence, utf8) = essence(content_type);
    utf8 && matches!(essence.as_str(), "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

/// Whether a content type is one of text that is read as it stands.
pub(crate) fn is_text(content_type: &str) -> bool {
    let (essence, utf8) = essence(content_type);
    utf8 && essence.starts_with("text/") && essence != "text/event-stream"
}

/// Whether a body is an event stream.
pub(crate) fn is_events(content_type: &str) -> bool {
    essence(content_type).0 == "text/event-stream"
}
