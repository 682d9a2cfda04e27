//! Upstream URLs: what may be dialled (threats, section 4: no `file:`, no user information, nothing that a URL parser
//! and a person could read in two ways).

use std::ops::Range;

use http::{HeaderName, Uri, header, uri::Authority};
use model::{
    Family, Upstream,
    address::{is_this_machine, serves_metadata},
};
use toml::Spanned;

use super::{BUILT_IN, Problem, Problems, problem::Code};

/// What stands in the file for the built-in model.
const BUILT_IN_URL: &str = "builtin:echo-1";

/// A place to dial.
pub(super) struct Place {
    pub(super) upstream: Upstream,
    pub(super) built_in: bool,
}

/// Reads a URL; what is wrong with it becomes a problem.
pub(super) fn parse(written: &Spanned<String>, problems: &mut Problems) -> Option<Place> {
    if written.get_ref() == BUILT_IN_URL {
        let upstream = Upstream { tls: false, authority: BUILT_IN.to_owned(), base_path: String::new() };
        return Some(Place { upstream, built_in: true });
    }
    match url(written.get_ref()) {
        Ok(upstream) => Some(Place { upstream, built_in: false }),
        Err(wrong) => {
            hide_user(written.span(), problems);
            problems.push(
                Problem::error(
                    Code::BadUrl,
                    written.span(),
                    format!("the upstream `{}` is refused", without_user(written.get_ref())),
                )
                .label(wrong)
                .help("for example \"https://api.example.com\" or \"http://127.0.0.1:11434\""),
            );
            None
        }
    }
}

fn url(text: &str) -> Result<Upstream, &'static str> {
    if text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\') {
        return Err("only printable ASCII, with no spaces and no `\\`");
    }
    let (scheme, rest) = text.split_once("://").ok_or("expected `https://` or `http://`")?;
    let tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err("only `https` and `http` are spoken"),
    };
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err("no user information: use `credential`");
    }
    if text.contains('#') {
        return Err("a fragment means nothing to an upstream");
    }
    if text.contains('?') {
        return Err("a query can't stand in an upstream");
    }
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    let authority = uri.authority().ok_or("no host")?;
    let port_ok = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        _ => authority.port_u16().is_some_and(|port| port != 0),
    };
    if authority.host().is_empty() || !port_ok {
        return Err("the host is missing, or the port is not 1 to 65535");
    }
    if authority.host().trim_matches(['[', ']']).parse().is_ok_and(serves_metadata) {
        return Err("link-local addresses (cloud metadata services) are never dialled");
    }
    let path = uri.path().trim_end_matches('/');
    if path.contains('%') || path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("the path has empty, dotted or encoded segments");
    }
    Ok(Upstream { tls, authority: authority.as_str().to_ascii_lowercase(), base_path: path.to_owned() })
}

/// The URL as it may be shown: a password in it is not repeated.
pub(super) fn without_user(text: &str) -> String {
    match (text.split_once("://"), text.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", &text[at..]),
        _ => text.to_owned(),
    }
}

/// Nor is it shown in the lines of the file that a message quotes.
pub(super) fn hide_user(span: Range<usize>, problems: &mut Problems) {
    let raw = &problems.text()[span.clone()];
    if let (Some(scheme), Some(at)) = (raw.find("://"), raw.rfind('@'))
        && scheme + 3 < at
    {
        problems.hide(span.start + scheme + 3..span.start + at);
    }
}

/// A credential that goes to another machine with no TLS is worth a warning.
pub(super) fn warn_if_clear(upstream: &Upstream, span: Range<usize>, problems: &mut Problems) {
    let here = upstream.authority.parse().is_ok_and(|authority: Authority| is_this_machine(authority.host()));
    if upstream.tls || here {
        return;
    }
    problems.push(
        Problem::warning(Code::Exposed, span, "the upstream's credential crosses the network in clear")
            .label("no TLS")
            .help("use `https://`"),
    );
}

/// The path of a URL that people copy from an SDK, whose requests then begin with it once more, is worth a warning.
pub(super) fn warn_if_repeated(
    upstream: &Upstream,
    family: Family,
    prefix: &str,
    span: Range<usize>,
    problems: &mut Problems,
) {
    let versions: &[&str] = match family {
        Family::Openai | Family::Anthropic => &["v1"],
        Family::Gemini => &["v1", "v1beta"],
        Family::Ollama => &["v1", "api"],
        Family::Mcp | Family::Http | Family::Raw => &[],
    };
    let last = |path: &str| path.rsplit_once('/').map(|(_, last)| last.to_owned());
    let Some(version) = last(&upstream.base_path).filter(|last| versions.contains(&last.as_str())) else { return };
    if last(prefix).as_ref() == Some(&version) {
        return;
    }
    let (base, ours) = (&upstream.base_path, prefix.trim_end_matches('/'));
    problems.push(
        Problem::warning(Code::BadValue, span, format!("`/{version}` stands in the upstream and in what SDKs ask for"))
            .label(format!("a request for `{ours}/{version}/…` goes to `{base}/{version}/…` there"))
            .help(format!("leave `/{version}` out here; or set `path_prefix = \"{ours}/{version}\"`")),
    );
}

/// Headers that frame a message or name its hop: never a place for a credential.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    const FRAMING: [HeaderName; 9] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ];
    FRAMING.contains(name)
}
