//! The head of an upstream's answer: what of it is believed, and what reaches the caller.
//!
//! What must hold: a name that is not on the list does not pass; the framing that the caller is told is the one that was
//! judged; nothing here repeats what the upstream said to people.

use coding::Codings;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    head::{canonical_content_type, content_type, essence},
    refuse::Stop,
};

/// Response headers that reach the caller; a name that ends in `-` stands for all that begin so. Everything else could
/// carry what no policy has seen. No validators (`etag`, `last-modified`): they are of the bytes before they were judged.
/// No `date`: the listener says its own.
const RETURNED: [&str; 11] = [
    "content-type",
    "content-language",
    "content-disposition",
    "cache-control",
    "retry-after",
    "vary",
    "openai-",
    "anthropic-",
    "mcp-protocol-version",
    "mcp-session-id",
    "x-ratelimit-",
];

/// Types that say nothing but how a body is framed; others could say anything. A refusal names these alone.
const NAMED: [&str; 12] = [
    "text/html",
    "text/plain",
    "text/event-stream",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/octet-stream",
    "application/xml",
    "multipart/byteranges",
    "multipart/mixed",
];

/// How the body of an answer is packed. Answers that nothing was asked for are refused: a part of one, one on a
/// condition, one with two content types.
pub(crate) fn check(status: StatusCode, headers: &HeaderMap) -> Result<Codings, Stop> {
    let unreadable = |why: String| Err(Stop::UpstreamUnreadable(why));
    if status.is_informational() || matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) {
        return unreadable(format!("status {status} was not asked for"));
    }
    if headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
        return unreadable(format!("status {status} with more than one content-type"));
    }
    if essence(content_type(headers)) == "multipart/byteranges" {
        return unreadable("parts of an answer were not asked for".into());
    }
    let codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    Codings::parse(codings).map_err(|unknown| Stop::UpstreamUnreadable(unknown.to_string()))
}

/// What can be done about a content type where the dialect reads the endpoint, and no rule adds to what it reads.
const ELSEWHERE: &str = "; something on the way to the model may have answered in its place. To have such answers read, serve \
                         the path from a connection with `dialect = \"http\"` and the view of this type";

/// An answer whose content type no dialect of the endpoint has; `allow`: how the operator can have it read, empty where the
/// dialect's own types are all that can be.
pub(crate) fn unclaimed(status: StatusCode, content_type: &str, allow: &str) -> Stop {
    let essence = essence(content_type);
    let allow = if allow.is_empty() { ELSEWHERE } else { allow };
    let what = match NAMED.iter().find(|named| **named == essence) {
        Some(named) if essence.len() == content_type.trim().len() => format!("content type {named}"),
        Some(named) => format!("content type {named} and parameters"),
        None if essence.is_empty() => "no content type".into(),
        None => "a content type".into(),
    };
    Stop::UpstreamUnreadable(format!("status {status} with {what} that this endpoint does not speak{allow}"))
}

/// What `cache-control` says where it says nothing but how long.
const CACHING: [&str; 6] = ["no-cache", "no-store", "private", "public", "must-revalidate", "max-age=0"];

/// Whether a header is one of a few that every answer has, in a form that has no room for anything else. Policies are not
/// shown these: one that edits all text would leave its callers with a body of no type.
pub(crate) fn says_nothing(name: &HeaderName, value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    match *name {
        header::CONTENT_TYPE => NAMED.contains(&value.strip_suffix("; charset=utf-8").unwrap_or(value)),
        header::CACHE_CONTROL => value.split(',').all(|directive| CACHING.contains(&directive.trim())),
        _ => false,
    }
}

/// Whether a name is on the list for what it begins with, and so may say something of its own.
pub(crate) fn is_listed_by_prefix(name: &str) -> bool {
    RETURNED.iter().any(|listed| listed.ends_with('-') && name.starts_with(listed))
}

/// The headers of an upstream's answer that may reach the caller, once they are judged. `raw`: of a connection whose text
/// is not known, so that the content type stays as it is.
pub(crate) fn returnable(headers: &HeaderMap, raw: bool) -> HeaderMap {
    let mut returned: HeaderMap = headers
        .iter()
        .filter(|(name, _)| RETURNED.contains(&name.as_str()) || is_listed_by_prefix(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !raw {
        canonical_content_type(&mut returned);
    }
    vary(&mut returned);
    returned
}

/// The answer that leaves is packed in one way, whatever its caller accepts.
fn vary(headers: &mut HeaderMap) {
    let names: Vec<String> = headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "accept-encoding")
        .collect();
    headers.remove(header::VARY);
    if let (false, Ok(value)) = (names.is_empty(), HeaderValue::from_str(&names.join(", "))) {
        headers.insert(header::VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn response_headers_are_on_a_list() {
        let given = [
            "content-type",
            "set-cookie",
            "location",
            "link",
            "etag",
            "content-encoding",
            "content-range",
            "trailer",
            "x-ratelimit-limit-requests",
            "x-leak",
            "openai-model",
        ]
        .map(|name| (name, "v"));
        let mut names: Vec<_> =
            returnable(&headers(&given), false).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["content-type", "openai-model", "x-ratelimit-limit-requests"]);
    }

    #[test]
    fn an_answer_does_not_vary_with_how_it_was_packed() {
        let given = headers(&[("vary", "Origin, Accept-Encoding"), ("vary", "accept-language")]);
        assert_eq!(returnable(&given, false)[header::VARY], "origin, accept-language");
        assert!(returnable(&headers(&[("vary", "accept-encoding")]), false).is_empty());
    }

    #[test]
    fn only_what_has_no_room_for_more_says_nothing() {
        for (name, value, nothing) in [
            ("content-type", "application/json", true),
            ("content-type", "text/event-stream; charset=utf-8", true),
            ("content-type", "application/x-078+json", false),
            ("content-type", "application/json; note=1", false),
            ("cache-control", "no-cache, no-store", true),
            ("cache-control", "max-age=0785112", false),
            ("openai-model", "application/json", false),
        ] {
            let value = HeaderValue::from_static(value);
            assert_eq!(says_nothing(&HeaderName::from_static(name), &value), nothing, "{name}: {value:?}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let json = headers(&[("content-type", "application/json")]);
        for status in [100, 206, 304] {
            assert!(check(StatusCode::from_u16(status).unwrap(), &json).is_err(), "{status}");
        }
        let two = headers(&[("content-type", "application/json"), ("content-type", "text/html")]);
        let parts = headers(&[("content-type", "multipart/byteranges; boundary=x")]);
        let unknown = headers(&[("content-encoding", "gzip, 078-05-1120")]);
        for headers in [two, parts, unknown] {
            let stop = check(StatusCode::OK, &headers).unwrap_err();
            assert_eq!(stop.status(), StatusCode::BAD_GATEWAY);
            assert!(!stop.to_string().contains("078"), "{stop}");
        }
        assert!(check(StatusCode::OK, &json).unwrap().is_identity());
    }

    #[test]
    fn a_refusal_does_not_repeat_a_content_type() {
        let text = |given| unclaimed(StatusCode::OK, given, "").to_string();
        assert!(text("text/html").contains("content type text/html that"));
        for given in ["text/x-078-05-1120", "text/html; note=078-05-1120", "078-05-1120"] {
            assert!(!text(given).contains("078"), "{given}");
        }
    }
}
