//! The head of a request as the path sees it: one canonical form, made here once, used for matching, judging,
//! recording and forwarding alike.
//!
//! What must hold: a credential of the caller, a framing header, a hop-by-hop header and a claim about who the caller
//! is or where it wants to go (`x-forwarded-*`, method overrides, …) never go upstream.

use http::{HeaderMap, HeaderName, Method, Uri, Version, header};
use model::{Attribute, Digest};

use crate::{gate::ClientCertificate, refuse::Stop};

/// A request's head, checked and in canonical form.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// Canonical, begins with `/`.
    pub(crate) path: String,
    /// With its `?`, or empty.
    pub(crate) query: String,
    /// What may go upstream.
    pub(crate) headers: HeaderMap,
    /// The content type with its parameters; empty when there is none.
    pub(crate) content_type: String,
    /// The caller's credential; never goes upstream, never into the record.
    pub(crate) credential: Option<Credential>,
    /// SHA-256 of the client certificate, where there was one.
    pub(crate) certificate: Option<Digest>,
}

/// A credential as it came in. Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Credential(pub(crate) String);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Head {
    /// Checks a head and brings it to its canonical form.
    pub(crate) fn read(parts: &http::request::Parts) -> Result<Self, Stop> {
        check_host(parts)?;
        check_names(&parts.headers)?;
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Stop::BadHead("CONNECT and TRACE are not served here"));
        }
        if parts.headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
            return Err(Stop::BadHead("more than one content-type"));
        }
        if parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Stop::BadHead("a request's body can't be compressed here: send it with no content-encoding"));
        }
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            method: parts.method.clone(),
            path: canonical_path(parts.uri.path())?,
            query: canonical_query(query)?,
            headers: forwardable(&parts.headers),
            content_type: content_type(&parts.headers).to_owned(),
            credential: credential(&parts.headers),
            certificate: parts.extensions.get::<ClientCertificate>().map(|certificate| certificate.0),
        })
    }

    /// The headers as policies and the record see them.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.headers)
    }
}

/// Headers as names and values; bytes outside ASCII as U+0080 to U+00FF.
pub(crate) fn attributes(headers: &HeaderMap) -> Vec<Attribute> {
    headers
        .iter()
        .map(|(name, value)| Attribute {
            name: name.as_str().to_owned(),
            value: value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        })
        .collect()
}

/// The content type with its parameters; empty when there is none, or none that can be read.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A content type without its parameters, in lower case.
pub(crate) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// RFC 9112, 3.2: exactly one Host, and it agrees with an absolute target.
fn check_host(parts: &http::request::Parts) -> Result<(), Stop> {
    let hosts: Vec<_> = parts.headers.get_all(header::HOST).iter().collect();
    if hosts.len() > 1 || (hosts.is_empty() && parts.version <= Version::HTTP_11 && parts.version > Version::HTTP_10) {
        return Err(Stop::BadHead("exactly one host header is wanted"));
    }
    let Some(host) = hosts.first() else { return Ok(()) };
    let host = host.to_str().map_err(|_| Stop::BadHead("the host header is not ASCII"))?;
    if host.is_empty() || host.contains([',', '@', '/', '\\', '?', '#', ' ']) || host.parse::<Uri>().is_err() {
        return Err(Stop::BadHead("the host header is not a host"));
    }
    match parts.uri.authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => {
            Err(Stop::BadHead("the host header and the target disagree"))
        }
        _ => Ok(()),
    }
}

/// `a_b` and `a-b` are the same to many a server behind: only one of them may pass.
fn check_names(headers: &HeaderMap) -> Result<(), Stop> {
    if headers.keys().any(|name| name.as_str().contains('_')) {
        return Err(Stop::BadHead("header names with an underscore are not passed on"));
    }
    Ok(())
}

/// Decodes what need not be encoded, writes the rest in one way, and resolves dots and doubled slashes (RFC 3986, 6.2).
pub(crate) fn canonical_path(path: &str) -> Result<String, Stop> {
    const BAD: Stop = Stop::BadHead("the path holds a character that no path needs");
    if !path.starts_with('/') {
        return Err(Stop::BadHead("the target is not a path"));
    }
    let bytes = path.as_bytes();
    let mut plain = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let code = decode_percent(bytes, at).ok_or(BAD)?;
                match code {
                    0 | b'\r' | b'\n' => return Err(BAD),
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => plain.push(code.into()),
                    _ => plain.push_str(&format!("%{code:02X}")),
                }
                at += 3;
                continue;
            }
            b'\\' | b'#' | 0..=0x20 | 0x7f.. => return Err(BAD),
            _ => plain.push(byte.into()),
        }
        at += 1;
    }
    resolve_segments(&plain)
}

fn decode_percent(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = bytes.get(at + 1..at + 3)?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

fn resolve_segments(path: &str) -> Result<String, Stop> {
    let mut kept: Vec<&str> = Vec::new();
    let ends_in_folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(Stop::BadHead("the path leads above its root"))?;
            }
            _ => kept.push(segment),
        }
    }
    let slash = if ends_in_folder && !kept.is_empty() { "/" } else { "" };
    Ok(format!("/{}{slash}", kept.join("/")))
}

fn canonical_query(query: String) -> Result<String, Stop> {
    if query.bytes().any(|byte| byte <= 0x20 || byte >= 0x7f || byte == b'#' || byte == b'\\') {
        return Err(Stop::BadHead("the query holds a character that no query needs"));
    }
    Ok(query)
}

fn credential(headers: &HeaderMap) -> Option<Credential> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let key = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    bearer
        .or_else(|| key("x-api-key"))
        .or_else(|| key("api-key"))
        .filter(|token| !token.is_empty())
        .map(|token| Credential(token.to_owned()))
}

/// Names that never go upstream: framing and hop-by-hop (RFC 9110, 7.6.1), credentials, what the gate says itself,
/// and what others may say about the caller or the target.
const WITHHELD: [&str; 33] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "content-length",
    "host",
    "expect",
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "accept-encoding",
    "range",
    "if-range",
    "forwarded",
    "via",
    "x-real-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-host",
    "x-client-ip",
    "true-client-ip",
    "x-request-id",
    "request-id",
    "x-goog-api-key",
];

fn forwardable(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| {
            !WITHHELD.contains(&name.as_str()) && !name.as_str().starts_with("x-forwarded-") && !named.contains(name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Response headers that reach the caller; a name that ends in `-` stands for all that begin so. Everything else could
/// carry what no policy has seen.
const RESPONSE_ALLOWED: [&str; 12] = [
    "content-type",
    "content-language",
    "content-disposition",
    "cache-control",
    "date",
    "etag",
    "last-modified",
    "retry-after",
    "vary",
    "openai-",
    "anthropic-",
    "x-ratelimit-",
];

/// The headers of an upstream's answer that may reach the caller.
pub(crate) fn returnable(headers: &HeaderMap) -> HeaderMap {
    let allowed = |name: &str| {
        RESPONSE_ALLOWED
            .iter()
            .any(|allowed| if allowed.ends_with('-') { name.starts_with(allowed) } else { name == *allowed })
    };
    headers
        .iter()
        .filter(|(name, _)| allowed(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (path, canonical) in [
            ("/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/%63hat/completions", "/v1/chat/completions"),
            ("//v1///chat/completions", "/v1/chat/completions"),
            ("/v1/x/../chat/./completions", "/v1/chat/completions"),
            ("/v1/x/%2e%2E/chat/completions", "/v1/chat/completions"),
            ("/v1/chat%2fcompletions", "/v1/chat%2Fcompletions"),
            ("/v1/%e4", "/v1/%E4"),
            ("/v1/;x", "/v1/;x"),
            ("/v1/models/", "/v1/models/"),
            ("/", "/"),
        ] {
            assert_eq!(canonical_path(path).as_deref(), Ok(canonical), "{path}");
        }
    }

    #[test]
    fn paths_that_mean_two_things_are_refused() {
        for path in ["/a%00", "/a%0d%0a", "/a\\b", "/a#b", "/..", "/a/../../b", "/%2e%2e/a", "/%zz", "/%4", "a", "*"] {
            assert!(canonical_path(path).is_err(), "{path}");
        }
    }

    fn head(headers: &[(&str, &str)]) -> Result<Head, Stop> {
        let mut request = http::Request::builder().method("POST").uri("/v1/chat/completions").header("host", "gate");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Head::read(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn nothing_that_identifies_or_frames_goes_upstream() {
        let head = head(&[
            ("authorization", "Bearer secret"),
            ("x-api-key", "secret"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("connection", "x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("x-http-method-override", "DELETE"),
            ("openai-organization", "org"),
        ])
        .unwrap();
        let names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["openai-organization"]);
        assert_eq!(head.credential.unwrap().0, "secret");
    }

    #[test]
    fn a_head_with_two_meanings_is_refused() {
        assert!(head(&[("host", "other")]).is_err());
        assert!(head(&[("x_forwarded_for", "1")]).is_err());
        assert!(head(&[("content-type", "application/json"), ("content-type", "text/plain")]).is_err());
        assert!(head(&[("content-encoding", "gzip")]).is_err());
    }

    #[test]
    fn response_headers_are_on_a_list() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "set-cookie", "location", "x-ratelimit-limit-requests", "x-leak", "openai-model"] {
            headers.insert(HeaderName::from_static(name), "v".parse().unwrap());
        }
        let mut names: Vec<_> = returnable(&headers).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["content-type", "openai-model", "x-ratelimit-limit-requests"]);
    }
}
