//! Pages for the person at a browser: plain forms, no script, no style, nothing from elsewhere.
//!
//! What must hold: whatever comes from outside is escaped; a page can't be framed, and its forms go to the gate only.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use model::text::deceives;

use super::answer::plain;

/// A page.
fn page(status: StatusCode, title: &str, body: &str) -> Response<Bytes> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Portcullis: {title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"></head>\n<body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n",
        title = escape(title),
    );
    let mut answer = plain(status, "text/html; charset=utf-8", html);
    const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`: with that a browser says no origin for its own forms either.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// A page that says one thing.
pub(super) fn notice(status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
    page(status, title, &format!("<p>{}</p>", escape(text)))
}

/// Asks for the code that a device shows.
pub(super) fn ask_code(action: &str, code: &str, wrong: Option<&str>) -> Response<Bytes> {
    let told = wrong.map(|wrong| format!("<p role=\"alert\">{}</p>\n", escape(wrong))).unwrap_or_default();
    let status = if wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let body = format!(
        "{told}<p>Enter the code that your device shows. Go on only if you started this sign-in yourself.</p>\n\
         <form method=\"post\" action=\"{action}\"><label>Code <input name=\"user_code\" value=\"{code}\" maxlength=\"32\" \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" required></label>\n\
         <button>Go on</button></form>",
        action = escape(action),
        code = escape(code),
    );
    page(status, "Sign in a device", &body)
}

/// Sends a person on to the issuer. By a link: browsers hold what a form leads to, over every redirect of the issuer,
/// against the page's policy, and nobody knows where an issuer redirects to.
pub(super) fn go_on(place: &url::Url) -> Response<Bytes> {
    let body = format!(
        "<p>You sign in at <strong>{issuer}</strong>; then you decide what the device gets.</p>\n\
         <p><a href=\"{place}\" rel=\"noreferrer\">Go on to sign in</a></p>",
        issuer = escape(&place.origin().ascii_serialization()),
        place = escape(place.as_str()),
    );
    page(StatusCode::OK, "Sign in a device", &body)
}

/// What a person is asked to agree to.
pub(super) struct Decision<'d> {
    pub(super) action: &'d str,
    pub(super) who: &'d str,
    pub(super) user_code: &'d str,
    pub(super) scope: &'d str,
    /// For how long the token would be good.
    pub(super) lifetime: Duration,
    pub(super) address: &'d str,
    pub(super) approval: bool,
    /// Proof that the form is this one.
    pub(super) token: &'d str,
}

/// Asks whether a device may have what it wants.
pub(super) fn ask_decision(decision: &Decision<'_>) -> Response<Bytes> {
    let Decision { action, who, user_code, scope, lifetime, address, approval, token } = decision;
    let then = if *approval { "<p>An approver must agree, too, before the device gets anything.</p>\n" } else { "" };
    let body = format!(
        "<p>You are signed in as <strong>{who}</strong>. A device at <strong>{address}</strong> that shows the code \
         <strong>{user_code}</strong> wants a token in your name, for {lifetime}:</p>\n<p><code>{scope}</code></p>\n\
         {then}<p>If that is not your device, deny it: whoever has it would act as you.</p>\n\
         <form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"proof\" value=\"{token}\">\n\
         <button name=\"decision\" value=\"deny\">Deny</button> <button name=\"decision\" value=\"allow\">Allow</button></form>",
        who = escape(who),
        address = escape(address),
        user_code = escape(user_code),
        scope = escape(scope),
        lifetime = time(*lifetime),
        action = escape(action),
        token = escape(token),
    );
    page(StatusCode::OK, "Let this device in?", &body)
}

/// A time for people, in the largest unit of which it is a whole number.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(3600, "hour"), (60, "minute")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length)).unwrap_or((1, "second"));
    let count = seconds / length;
    let several = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{several}")
}

/// Text in HTML and in quoted attributes; what would not be seen, or would turn its surroundings round, is made visible.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char if deceives(char) => out.push_str(&format!("[U+{:04X}]", u32::from(char))),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_it_is() {
        for (seconds, told) in [
            (10, "10 seconds"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (900, "15 minutes"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (86_400, "24 hours"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn no_browser_frames_a_page_or_guesses_what_it_is() {
        let answer = notice(StatusCode::OK, "a", "b");
        let says = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((says("x-frame-options"), says("x-content-type-options")), ("DENY", "nosniff"));
        assert!(says("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(says("content-security-policy").contains("form-action 'self'"));
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(
            escape("<a href='x' b=\"y\">&\u{202e}\0"),
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;[U+202E][U+0000]"
        );
        for c in
            ['\u{34f}', '\u{61c}', '\u{115f}', '\u{1160}', '\u{180e}', '\u{2028}', '\u{3164}', '\u{fe0f}', '\u{e0041}']
        {
            assert_eq!(escape(&format!("a{c}")), format!("a[U+{:04X}]", u32::from(c)));
        }
        let hostile = "\"><script>alert(1)</script>";
        let decision = Decision {
            action: "/oauth/device/decision",
            who: hostile,
            user_code: hostile,
            scope: hostile,
            lifetime: Duration::from_secs(900),
            address: hostile,
            approval: true,
            token: hostile,
        };
        for answer in
            [ask_code("/x", hostile, Some(hostile)), ask_decision(&decision), notice(StatusCode::OK, hostile, hostile)]
        {
            let html = String::from_utf8_lossy(answer.body()).into_owned();
            assert!(!html.contains("<script"), "{html}");
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; form-action 'self'; frame-ancestors 'none'"), "{policy}");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        }
    }
}
