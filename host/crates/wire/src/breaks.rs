//! Characters at which some clients end a line, and others do not: those of `str.splitlines` in Python beside CR and LF.
//! The HTML standard and JSON know nothing of them.
//!
//! What must hold: what is said in JSON is said after [`escape`] as well; what [`blank`] leaves is as long as it was.

use bytes::BytesMut;

/// The length of the one at the begin of `bytes`, and 0 where there is none.
fn width(bytes: &[u8]) -> usize {
    match bytes {
        [0x0B | 0x0C | 0x1C..=0x1E, ..] => 1,
        [0xC2, 0x85, ..] => 2,
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
        _ => 0,
    }
}

/// Whether a character ends a line for anybody.
pub(crate) fn is_end(character: char) -> bool {
    matches!(character, '\r' | '\n') || width(character.encode_utf8(&mut [0; 4]).as_bytes()) > 0
}

/// Whether one stands in a valid document of JSON: in its strings, where no control characters are.
pub(crate) fn in_json(document: &[u8]) -> bool {
    memchr::memchr2_iter(0xC2, 0xE2, document).any(|at| width(&document[at..]) > 0)
}

/// Writes valid JSON with escapes in their place.
pub(crate) fn escape(document: &[u8], out: &mut BytesMut) {
    let mut plain = 0;
    for at in memchr::memchr2_iter(0xC2, 0xE2, document) {
        let (escape, len): (&[u8], usize) = match &document[at..] {
            [0xC2, 0x85, ..] => (b"\\u0085", 2),
            [0xE2, 0x80, 0xA8, ..] => (b"\\u2028", 3),
            [0xE2, 0x80, 0xA9, ..] => (b"\\u2029", 3),
            _ => continue,
        };
        out.extend_from_slice(&document[plain..at]);
        out.extend_from_slice(escape);
        plain = at + len;
    }
    out.extend_from_slice(&document[plain..]);
}

/// Puts spaces in their place.
pub(crate) fn blank(text: &mut [u8]) {
    let mut at = 0;
    while at < text.len() {
        let len = width(&text[at..]);
        text[at..at + len].fill(b' ');
        at += len.max(1);
    }
}

/// Whether a line that is a name can be read in one way only: no character that ends a line for anybody, and no other
/// control character.
pub(crate) fn is_name(line: &[u8]) -> bool {
    line.iter().enumerate().all(|(at, byte)| !byte.is_ascii_control() && width(&line[at..]) == 0)
}

/// Whether a line of a body is an object by itself, and not all of the body. A client that asked for a stream may read
/// lines, whatever the content type says, and pass over those that are no JSON.
pub(crate) fn has_object_on_a_line(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let mut begin = 0;
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', body).peekable();
    ends.peek().is_some()
        && ends.chain([body.len()]).any(|end| {
            let line = body[std::mem::replace(&mut begin, end + 1)..end].trim_ascii();
            line.starts_with(b"{") && line.ends_with(b"}")
        })
}

/// Puts spaces in the place of ends of lines, which in JSON stand between tokens only.
pub(crate) fn one_line(document: &mut [u8]) {
    document.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where Python ends lines, beside CR and LF.
    const BREAKS: [&str; 8] = ["\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}"];

    #[test]
    fn each_is_found_and_nothing_else_is() {
        for one in BREAKS {
            let mut text = format!("é{one}b{one}").into_bytes();
            assert!(!is_name(&text));
            blank(&mut text);
            let spaces = " ".repeat(one.len());
            assert_eq!(String::from_utf8(text).as_deref(), Ok(&*format!("é{spaces}b{spaces}")));
        }
        for other in ["\u{1f}", "\u{84}", "\u{86}", "\u{2027}", "\u{202a}", "â€", "Â…"] {
            let mut text = other.to_owned().into_bytes();
            blank(&mut text);
            assert_eq!(text, other.as_bytes());
            assert!(!in_json(other.as_bytes()), "{other:?}");
        }
        assert!(is_name("é message".as_bytes()) && !is_name(b"a\0") && !is_name(b"a\tb"));
    }

    #[test]
    fn escapes_say_the_same() {
        let document = serde_json::json!({"é\u{2028}": "\u{85}a\u{2029}\u{2027}\u{2028}"});
        let (raw, mut out) = (document.to_string(), BytesMut::new());
        assert!(in_json(raw.as_bytes()));
        escape(raw.as_bytes(), &mut out);
        assert!(!in_json(&out));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).ok(), Some(document));
    }

    #[test]
    fn an_object_on_a_line_is_one_beside_others() {
        for (body, has) in [
            ("{}", false),
            ("\r\n {} \n\n", false),
            ("{\n\"a\":{}\n}", false),
            ("{\"a\":\n{}}", true),
            ("{\"a\":\r {}\t\r}", true),
            ("{\"a\":\n{},\n\"b\":1}", false),
            ("[{}\n,1]", false),
            ("[\n{}\n,1]", true),
        ] {
            assert_eq!(has_object_on_a_line(body.as_bytes()), has, "{body:?}");
        }
    }
}
