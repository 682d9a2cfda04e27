//! The head of a request as the path sees it: one canonical form, made here once, used for matching, judging,
//! recording and forwarding alike.
//!
//! What must hold: a credential of the caller, a framing header, a hop-by-hop header and a claim about who the caller
//! is or where it wants to go (`x-forwarded-*`, method overrides, …) never go upstream.

mod credential;

use coding::Codings;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use model::{Attribute, CompactString, Digest};
use wire::Endpoint;

pub(crate) use self::credential::Credential;
use crate::{
    gate::ClientCertificate,
    refuse::Stop,
    withheld::{forwardable, is_choice},
};

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

/// Bytes of a credential that is looked for within other text, at least.
const SHORT: usize = 8;

impl Head {
    /// Checks a head and brings it to its canonical form.
    pub(crate) fn read(parts: &http::request::Parts) -> Result<Self, Stop> {
        check_host(parts)?;
        check_names(&parts.headers)?;
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Stop::BadHead("CONNECT and TRACE are not served here"));
        }
        let upgrades = parts.headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
        if upgrades.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("websocket")) {
            return Err(Stop::BadHead("WebSocket is not served here: no policy could judge it"));
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
        if !self.headers.keys().any(|name| endpoint.repeats(name.as_str())) {
            return Vec::new();
        }
        let headers = std::mem::take(&mut self.headers);
        let (aside, kept): (Vec<_>, Vec<_>) = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .partition(|(name, _)| endpoint.repeats(name.as_str()));
        self.headers = kept.into_iter().collect();
        aside
    }

    /// Takes a credential out of the query, where SDKs of the connection's family send one there: it goes nowhere from
    /// here. Two in the query, or another one than a header has, could each be meant.
    pub(crate) fn take_credential(&mut self, parameter: &str) -> Result<(), Stop> {
        let (rest, found) = without(&self.query, parameter)?;
        self.query = rest;
        match found.as_slice() {
            [] => {}
            [one] if one.is_empty() => {}
            [one] => match &self.credential {
                None => self.credential = Some(Credential(one.clone())),
                Some(Credential(given)) if given == one => {}
                Some(_) => return Err(Stop::BadHead("two different credentials: one in the query, one in a header")),
            },
            _ => return Err(Stop::BadHead("more than one credential in the query")),
        }
        Ok(())
    }

    /// Takes away what chooses an account or a route at the upstream, but for what the operator leaves to callers: the
    /// gate's key is the operator's, and so is what it pays for.
    pub(crate) fn withhold_choices(&mut self, allowed: &[String]) {
        let withheld = |name: &str| is_choice(name) && !allowed.iter().any(|allowed| allowed == name);
        let names: Vec<HeaderName> = self.headers.keys().filter(|name| withheld(name.as_str())).cloned().collect();
        for name in names {
            self.headers.remove(name);
        }
    }

    /// Refuses a request that holds its credential in another place, too, from which it would go upstream and into the
    /// record.
    pub(crate) fn check_repeats(&self) -> Result<(), Stop> {
        let Some(Credential(credential)) = &self.credential else { return Ok(()) };
        let credential = credential.as_bytes();
        // A short one may stand in a word by chance.
        let repeats = |text: &[u8]| match credential.len() {
            ..SHORT => text == credential,
            _ => memchr::memmem::find(text, credential).is_some(),
        };
        let escaped =
            |text: &str| text.contains('%') && percent_decoded(text).is_some_and(|text| repeats(text.as_bytes()));
        let decoded = |text: &str| repeats(text.as_bytes()) || escaped(text);
        let pairs =
            self.query.split(['?', '&']).flat_map(|pair| [Some(pair), pair.split_once('=').map(|(_, value)| value)]);
        let target = self.path.split('/').chain(pairs.flatten()).chain([self.path.as_str(), self.query.as_str()]);
        if self.headers.values().any(|value| repeats(value.as_bytes())) || target.into_iter().any(decoded) {
            return Err(Stop::BadHead(
                "the credential stands in another header or in the target, too, and would go upstream",
            ));
        }
        Ok(())
    }

    /// Path and query.
    pub(crate) fn target(&self) -> CompactString {
        let mut target = CompactString::from(self.path.as_str());
        target.push_str(&self.query);
        target
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
    head.target().parse().ok()
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
            name: name.as_str().into(),
            value: match value.to_str() {
                Ok(ascii) => ascii.into(),
                Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
            },
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
    if is_plain(bytes) {
        return Ok(path.to_owned());
    }
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

/// Whether a path has its form already: no escape, no empty segment, none that begins with a dot.
fn is_plain(path: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b':');
    path.iter().all(plain) && path.windows(2).all(|pair| pair[0] != b'/' || !matches!(pair[1], b'/' | b'.'))
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

/// Brings the content type of a message whose dialect is known to one form: with no parameter that a reader behind might
/// take for another type. Multipart needs its parameters, and keeps them.
pub(crate) fn canonical_content_type(headers: &mut HeaderMap) {
    let given = content_type(headers);
    if given.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'-' | b'+')) {
        return;
    }
    let given = given.to_owned();
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
    fn a_connection_header_does_not_take_the_content_type_away() {
        let head = head_of(&[("connection", "content-type, x-hop"), ("content-type", "text/plain"), ("x-hop", "1")]);
        assert_eq!(head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
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
        assert_eq!(taken("?key=a", &[("x-goog-api-key", "a")]), some("", "a"));
        assert_eq!(taken("?key=&alt=sse", &[("x-goog-api-key", "b")]), some("?alt=sse", "b"));
        assert_eq!(taken("?keys=a&monkey=b", &[]), Ok(("?keys=a&monkey=b".into(), None)));
        assert_eq!(taken("?key=&&alt=sse", &[]), Ok(("?alt=sse".into(), None)));
        for name in ["x-goog-api-key", "x-api-key", "api-key"] {
            assert!(taken("?key=a", &[(name, "b")]).is_err(), "{name}");
            assert!(taken("?%6Bey=a", &[(name, "b")]).is_err(), "{name}");
        }
        assert!(taken("?key=a", &[("authorization", "Bearer b")]).is_err());
        assert!(taken("?key=a&key=b", &[]).is_err());
        assert!(taken("?ke%7=a", &[]).is_err());
    }

    #[test]
    fn what_chooses_an_account_or_a_route_is_the_operators_to_allow() {
        let given = [
            "openai-organization",
            "openai-project",
            "x-portkey-config",
            "helicone-target-url",
            "x-litellm-tags",
            "x-hf-bill-to",
            "azureml-model-deployment",
            "x-gateway-destination-endpoint",
            "x-ai-eg-model",
        ];
        let pairs: Vec<(&str, &str)> = given.iter().map(|name| (*name, "x")).chain([("openai-beta", "x")]).collect();
        let left = |allowed: &[&str]| {
            let mut head = head_of(&pairs);
            head.withhold_choices(&allowed.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            let mut names: Vec<_> = head.headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(left(&[]), ["openai-beta"]);
        assert_eq!(left(&["openai-project"]), ["openai-beta", "openai-project"]);
    }

    #[test]
    fn a_credential_in_a_second_place_is_refused() {
        let request = |target: &str, credential: &str, name: &str, value: &str| {
            let request = http::Request::post(target)
                .header("host", "gate")
                .header("authorization", format!("Bearer {credential}"))
                .header(name, value);
            Head::read(&request.body(()).unwrap().into_parts().0).unwrap().check_repeats()
        };
        for (target, credential, name, value) in [
            ("/v1/models", "pct_0123456789", "x-debug", "pct_0123456789"),
            ("/v1/models", "pct_0123456789", "x-debug", "Bearer pct_0123456789; x"),
            ("/v1/models?token=pct_0123456789", "pct_0123456789", "x-debug", "1"),
            ("/v1/models?a=1&token=pct%5F0123456789", "pct_0123456789", "x-debug", "1"),
            ("/v1/models?token=x&a=%ff&t=%70ct_0123456789", "pct_0123456789", "x-debug", "1"),
            ("/v1/pct_0123456789/models", "pct_0123456789", "x-debug", "1"),
            ("/v1/models?token=short", "short", "x-debug", "1"),
            ("/v1/models", "short", "x-debug", "short"),
        ] {
            let refused = request(target, credential, name, value);
            assert!(matches!(refused, Err(Stop::BadHead(_))), "{target} {name}: {value}");
        }
        for (target, credential, name, value) in [
            ("/v1/models?token=pct_9876543210", "pct_0123456789", "x-debug", "pct_01234567"),
            ("/v1/models?a=shortened", "short", "x-debug", "too short"),
            // These go nowhere.
            ("/v1/models", "pct_0123456789", "x-api-key", "pct_0123456789"),
            ("/v1/models", "pct_0123456789", "cookie", "a=pct_0123456789"),
        ] {
            assert!(request(target, credential, name, value).is_ok(), "{target} {name}: {value}");
        }
    }

    #[test]
    fn a_head_with_two_meanings_is_refused() {
        assert!(head(&[("host", "other")]).is_err());
        assert!(head(&[("x_forwarded_for", "1")]).is_err());
        assert!(head(&[("upgrade", "h2c, WebSocket")]).is_err());
        assert!(head(&[("upgrade", "h2c")]).is_ok(), "nobody has to take it up");
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
