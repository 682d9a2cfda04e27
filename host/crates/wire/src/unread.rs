//! What keeps some clients from reading a piece of a stream that is JSON all the same: they pass over it, and go on with the
//! next, while others read it. Such a piece is a decoy ([decision 0019]), and no provider sends any.
//!
//! - A member `__proto__`, or a `constructor` with a `prototype`: readers in JavaScript that guard against objects which
//!   change all others (`secure-json-parse`, in Vercel's AI SDK) refuse the document.
//! - A number beyond a double: Go and Rust refuse it, JavaScript and Python take it for infinity.
//! - A whole number of more digits than Python turns into one (4,300).
//!
//! [decision 0019]: ../../../docs/decisions/0019-events-leave-as-every-client-reads-them.md

use crate::{
    Malformed,
    json::{Doc, Kind},
};

/// Digits of a whole number that Python reads.
const DIGITS: usize = 4300;

/// Bytes of a literal: no shorter one, without an exponent, is beyond a double.
const SHORT: usize = 300;

/// That every client can read a piece. Of one that differs from the one before in strings alone that is known.
pub(crate) fn check(doc: Doc<'_>) -> Result<(), Malformed> {
    if doc.alike {
        return Ok(());
    }
    let wrong = |expected| Err(Malformed::Shape { path: "a piece of a stream".into(), expected });
    for at in 0..doc.nodes.len() {
        match doc.kind(at) {
            Kind::Key if is_guarded(doc, at) => {
                return wrong("without a `__proto__` or a `constructor.prototype`, which some clients refuse to read");
            }
            Kind::Number if is_beyond(doc.raw(at)) => {
                return wrong("without a number that some clients can't read: beyond a double, or of over 4300 digits");
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_guarded(doc: Doc<'_>, key: usize) -> bool {
    match &*doc.name(key) {
        "__proto__" => true,
        "constructor" => doc.get(key + 1, "prototype").is_some(),
        _ => false,
    }
}

fn is_beyond(literal: &str) -> bool {
    let has_exponent = literal.bytes().any(|byte| byte | 0x20 == b'e');
    let is_whole = !has_exponent && !literal.contains('.');
    (has_exponent || literal.len() > SHORT)
        && ((is_whole && literal.len() > DIGITS) || literal.parse::<f64>().is_ok_and(f64::is_infinite))
}
