//! The head of a request as the path sees it: one canonical form, made here once, used for matching, judging,
//! recording and forwarding alike.
//!
//! What must hold: a credential of the caller, a framing header, a hop-by-hop header and a claim about who the caller
//! is or where it wants to go (`x-forwarded-*`, method overrides, …) never go upstream.

mod credential;

use coding::Codings;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use model::{Attribute, Digest};
use wire::Endpoint;

pub(crate) use self::credential::Credential;
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
    /// How the body is packed; what goes upstream is not.
    pub(crate) codings: Codings,
    /// The caller's credential; never goes upstream, never into the record.
    pub(crate) credential: Option<Credential>,
    /// SHA-256 of the client certificate, where there was one.
    pub(crate) certificate: Option<Digest>,
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
        if parts.headers.contains_key(header::CONTENT_RANGE) {
            return Err(Stop::BadHead("a part of a body can't be judged: send all of it"));
        }
        let codings = parts.headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let codings = Codings::parse(codings).map_err(Stop::UnknownCoding)?;
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            method: parts.method.clone(),
            path: canonical_path(parts.uri.path())?,
            query: canonical_query(query)?,
            headers: forwardable(&parts.method, &parts.headers),
            content_type: content_type(&parts.headers).to_owned(),
            codings,
            credential: Credential::read(&parts.headers)?,
            certificate: parts.extensions.get::<ClientCertificate>().map(|certificate| certificate.0),
        })
    }

    /// Takes away the headers that repeat the body: what the judge may take out of that stands in them too.
    pub(crate) fn set_aside(&mut self, endpoint: &dyn Endpoint) -> Vec<(HeaderName, HeaderValue)> {
        let headers = std::mem::take(&mut self.headers);
        let (aside, kept): (Vec<_>, Vec<_>) = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .partition(|(name, _)| endpoint.repeats(name.as_str()));
        self.headers = kept.into_iter().collect();
        aside
    }

    /// Takes a credential out of the query, where SDKs of the connection's family send one there: it goes nowhere from
    /// here. One in a header is what counts; two in the query could each be meant.
    pub(crate) fn take_credential(&mut self, parameter: &str) -> Result<(), Stop> {
        let (rest, found) = without(&self.query, parameter)?;
        self.query = rest;
        match found.as_slice() {
            [] => {}
            [one] if self.credential.is_none() && !one.is_empty() => self.credential = Some(Credential(one.clone())),
            [_] => {}
            _ => return Err(Stop::BadHead("more than one credential in the query")),
        }
        Ok(())
    }

    /// The headers as policies and the record see them.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.headers)
    }
}

/// The target of a request that goes to no connection, in the form in which paths are compared: of one whose path
/// `serves` says so. None for every other, and for one whose head is refused: [`carry`](crate::carry()) says so.
#[must_use]
pub fn own_target(parts: &http::request::Parts, serves: impl FnOnce(&str) -> bool) -> Option<Uri> {
    canonical_path(parts.uri.path()).ok().filter(|path| serves(path))?;
    let head = Head::read(parts).ok()?;
    format!("{}{}", head.path, head.query).parse().ok()
}

/// Gives back the headers that were set aside, as far as they say what the judged body says. One that says anything
/// else is left out: it may hold what a policy took out of the body.
pub(crate) fn put_back(
    headers: &mut HeaderMap,
    aside: Vec<(HeaderName, HeaderValue)>,
    endpoint: &dyn Endpoint,
    body: &[u8],
) {
    for (name, value) in aside {
        if value.to_str().is_ok_and(|value| endpoint.agrees(name.as_str(), value, body)) {
            headers.append(name, value);
        }
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
        check_hidden(segment)?;
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

/// A slash that is encoded is another name's letter to some servers, and a slash to others: to those it must not lead
/// to where nobody was asked about.
fn check_hidden(segment: &str) -> Result<(), Stop> {
    let plain = segment.replace("%5C", "%2F");
    let mut hidden = plain.split("%2F");
    if plain.contains("%2F") && hidden.any(|name| matches!(name, "" | "." | "..")) {
        return Err(Stop::BadHead("the path hides a folder behind an encoded slash"));
    }
    Ok(())
}

fn canonical_query(query: String) -> Result<String, Stop> {
    if query.bytes().any(|byte| byte <= 0x20 || byte >= 0x7f || byte == b'#' || byte == b'\\') {
        return Err(Stop::BadHead("the query holds a character that no query needs"));
    }
    Ok(query)
}

/// A query without the parameters of this name, and their values, decoded.
fn without(query: &str, parameter: &str) -> Result<(String, Vec<String>), Stop> {
    let decoded =
        |text: &str| percent_decoded(text).ok_or(Stop::BadHead("the query holds an escape that can't be undone"));
    let (mut kept, mut found) = (Vec::new(), Vec::new());
    for pair in query.strip_prefix('?').unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(name)? == parameter { found.push(decoded(value)?) } else { kept.push(pair) }
    }
    let rest = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok((rest, found))
}

fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            out.push(decode_percent(bytes, at)?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// Names that never go upstream: framing and hop-by-hop (RFC 9110, 7.6.1); how the body was packed, and hashes of it as
/// it came in, which would tell what was masked; credentials; wishes for a part of an answer; what the gate says itself.
const WITHHELD: [&str; 28] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "content-length",
    "content-encoding",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "host",
    "expect",
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "accept-encoding",
    "range",
    "if-range",
    "x-request-id",
    "request-id",
    "via",
];

/// What others may say about the caller or the target, by how the names begin: many a server behind believes it.
const CLAIMS: [&str; 36] = [
    "forwarded",
    "x-forward",
    "x-original-",
    "x-originating-",
    "x-override-",
    "x-http-method",
    "x-http-host",
    "x-method-",
    "x-proxy-",
    "x-url-",
    "x-scheme",
    "x-ssl-",
    "ssl-",
    "x-user",
    "x-webauth-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "cf-access-",
    "x-rewrite-",
    "x-real-",
    "x-host",
    "x-client-",
    "x-cluster-client-",
    "x-remote-",
    "x-envoy-",
    "x-portcullis-",
    "x-auth-request-",
    "x-authenticated-",
    "x-goog-authenticated-",
    "x-ms-client-principal",
    "remote-",
    "client-ip",
    "true-client-ip",
    "cf-connecting-",
    "fastly-client-",
    "x-proxyuser-",
];

/// Conditions on which a reader gets no answer but that nothing has changed: it would go by what it was told before, under
/// other policies perhaps. Of a request that writes they are its meaning, and stay.
const READERS_CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

fn forwardable(method: &Method, headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // How the body is to be read is no matter of one hop.
        .filter(|name| *name != header::CONTENT_TYPE)
        .collect();
    let withheld = |name: &str| WITHHELD.contains(&name) || CLAIMS.iter().any(|claim| name.starts_with(claim));
    let reads = method.is_safe();
    headers
        .iter()
        .filter(|(name, _)| !withheld(name.as_str()) && !named.contains(name))
        .filter(|(name, _)| !(reads && READERS_CONDITIONS.contains(name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Brings the content type of a message whose dialect is known to one form: with no parameter that a reader behind might
/// take for another type. Multipart needs its parameters, and keeps them.
pub(crate) fn canonical_content_type(headers: &mut HeaderMap) {
    let given = content_type(headers).to_owned();
    let essence = essence(&given);
    if essence.is_empty() || essence.starts_with("multipart/") {
        return;
    }
    // A charset that is not UTF-8 was refused by the dialect.
    let charset = given.to_ascii_lowercase().split(';').skip(1).any(|given| given.trim_start().starts_with("charset"));
    let form = if charset { format!("{essence}; charset=utf-8") } else { essence };
    match HeaderValue::from_str(&form) {
        Ok(form) => headers.insert(header::CONTENT_TYPE, form),
        Err(_) => headers.remove(header::CONTENT_TYPE),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        for path in [
            "/a%00",
            "/a%0d%0a",
            "/a\\b",
            "/a#b",
            "/..",
            "/a/../../b",
            "/%2e%2e/a",
            "/%zz",
            "/%4",
            "a",
            "*",
            "/v1/models/..%2ffiles",
            "/a%5C%2e%2E%5cb",
            "/a%2F%2Fb",
            "/a%2f",
        ] {
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

    fn head_of(headers: &[(&str, &str)]) -> Head {
        head(headers).unwrap()
    }

    #[test]
    fn a_content_type_has_one_form() {
        for (given, form) in [
            ("application/json", "application/json"),
            ("Application/JSON; Charset=\"UTF-8\"", "application/json; charset=utf-8"),
            ("application/json; note=1, text/plain", "application/json"),
            ("multipart/form-data; boundary=x", "multipart/form-data; boundary=x"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, given.parse().unwrap());
            canonical_content_type(&mut headers);
            assert_eq!(headers[header::CONTENT_TYPE], form);
        }
    }

    #[test]
    fn a_request_says_how_it_is_packed() {
        assert!(head_of(&[("content-encoding", "gzip"), ("content-encoding", "br")]).headers.is_empty());
        assert_eq!(head(&[("content-encoding", "compress")]).unwrap_err(), Stop::UnknownCoding(coding::Unknown::Name));
    }

    #[test]
    fn a_reader_sets_no_conditions() {
        for (method, name, passes) in [
            ("GET", "if-none-match", false),
            ("GET", "if-modified-since", false),
            ("GET", "if-match", true),
            ("PUT", "if-none-match", true),
            ("PUT", "if-match", true),
        ] {
            let request = http::Request::builder().method(method).uri("/x").header("host", "gate").header(name, "*");
            let head = Head::read(&request.body(()).unwrap().into_parts().0).unwrap();
            assert_eq!(head.headers.contains_key(name), passes, "{method} {name}");
        }
    }

    #[test]
    fn a_connection_header_does_not_take_the_content_type_away() {
        let head = head_of(&[("connection", "content-type, x-hop"), ("content-type", "text/plain"), ("x-hop", "1")]);
        assert_eq!(head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
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
        let more = [
            "x-forwarded",
            "x-original-url",
            "x-rewrite-url",
            "x-real-ip",
            "x-http-method-override",
            "x-http-host-override",
        ];
        for name in WITHHELD.iter().chain(CLAIMS.iter().filter(|claim| !claim.ends_with('-'))).chain(&more) {
            if *name != "host" && *name != "content-encoding" {
                assert!(head_of(&[(name, "x")]).headers.is_empty(), "{name}");
            }
        }
        assert_eq!(head.credential.unwrap().0, "secret");
    }

    #[test]
    fn a_credential_in_the_query_is_taken_out_of_it() {
        let taken = |query: &str, headers: &[(&str, &str)]| {
            let mut head = head(headers)?;
            head.query = query.into();
            head.take_credential("key")?;
            Ok::<_, Stop>((head.query, head.credential.map(|credential| credential.0)))
        };
        let some = |rest: &str, key: &str| Ok((rest.to_owned(), Some(key.to_owned())));
        assert_eq!(taken("?key=a%2Bb&alt=sse", &[]), some("?alt=sse", "a+b"));
        assert_eq!(taken("?alt=sse&%6Bey=a", &[]), some("?alt=sse", "a"));
        assert_eq!(taken("?key=a", &[("x-goog-api-key", "b")]), some("", "b"));
        assert_eq!(taken("?keys=a&monkey=b", &[]), Ok(("?keys=a&monkey=b".into(), None)));
        assert_eq!(taken("?key=&&alt=sse", &[]), Ok(("?alt=sse".into(), None)));
        assert!(taken("?key=a&key=b", &[]).is_err());
        assert!(taken("?ke%7=a", &[]).is_err());
    }

    #[test]
    fn a_head_with_two_meanings_is_refused() {
        assert!(head(&[("host", "other")]).is_err());
        assert!(head(&[("x_forwarded_for", "1")]).is_err());
        assert!(head(&[("content-range", "bytes 0-9/99")]).is_err());
        assert!(head(&[("content-type", "application/json"), ("content-type", "text/plain")]).is_err());
    }

    proptest! {
        #[test]
        fn a_path_that_has_its_form_keeps_it(path in "/([/.a~;:@é\\\\# ]|%2[eEfF3]|%5[cC]|%0[0dD]|%[cC]3|%[gz]?|%25){0,16}") {
            let Ok(canonical) = canonical_path(&path) else { return Ok(()) };
            let again = canonical_path(&canonical);
            prop_assert_eq!(again.as_deref().ok(), Some(canonical.as_str()), "{}", path);
            prop_assert!(canonical.starts_with('/') && !canonical.contains("//"), "{}", canonical);
            prop_assert!(canonical.split('/').all(|segment| segment != "." && segment != ".."), "{}", canonical);
            // What need not be encoded is not, and what would mean something else decoded stays encoded.
            let upper = canonical.to_ascii_uppercase();
            prop_assert!(!upper.contains("%2E") && !upper.contains("%00") && !canonical.contains(['\\', '#', ' ']));
            let slashes = |text: &str| text.to_ascii_uppercase().matches("%2F").count();
            prop_assert!(slashes(&canonical) <= slashes(&path), "{} of {}", canonical, path);
        }

        #[test]
        fn a_parameter_is_taken_and_the_others_stay(query in "([?]([a=&k]|%6[bB]|%zz|%){0,12})?") {
            let Ok((rest, found)) = without(&query, "k") else { return Ok(()) };
            let (none, more) = without(&rest, "k").map_err(|_| TestCaseError::fail("what stays can be read"))?;
            prop_assert_eq!((none, more.len()), (rest.clone(), 0));
            let pairs = |text: &str| text.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()).count();
            prop_assert_eq!(pairs(&rest) + found.len(), pairs(&query));
        }
    }
}
