//! Content types (RFC 9110, 8.3): how a body is framed.

use crate::Unclaimed;

/// How a body is framed.
pub(crate) enum Body {
    Json,
    Events,
}

/// The framing that a content type names.
pub(crate) fn body(content_type: &str) -> Result<Body, Unclaimed> {
    let mut parameters = content_type.split(';').map(str::trim);
    let essence = parameters.next().unwrap_or_default().to_ascii_lowercase();
    // Another charset would be read as something else by a client that believes the header.
    let utf8 = parameters.all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        })
    });
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    match (utf8, json, essence.as_str()) {
        (true, true, _) => Ok(Body::Json),
        (true, false, "text/event-stream") => Ok(Body::Events),
        _ => Err(Unclaimed(content_type.to_owned())),
    }
}
