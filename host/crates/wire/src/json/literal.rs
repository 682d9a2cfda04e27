//! String literals: their text, and how to change a part of it while the rest keeps its bytes.
//!
//! What must hold: escapes outside of a changed span stay as they were written; an escape is changed whole or not at
//! all; what is written into a literal is valid in it.

use std::ops::Range;

use bytes::BytesMut;

/// The length of the escape at the begin of `bytes` (a surrogate pair is one escape).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn escape_len(bytes: &[u8]) -> Result<usize, &'static str> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => match unit(bytes) {
            Some(0xD800..=0xDBFF) => match bytes.get(6..).and_then(unit) {
                Some(0xDC00..=0xDFFF) => Ok(12),
                _ => Err("a lone surrogate"),
            },
            Some(0xDC00..=0xDFFF) => Err("a lone surrogate"),
            Some(_) => Ok(6),
            None => Err("four hexadecimal digits must follow \\u"),
        },
        _ => Err("no such escape"),
    }
}

/// The code unit of the `\uXXXX` at the begin of `bytes`.
fn unit(bytes: &[u8]) -> Option<u32> {
    let hex = bytes.strip_prefix(b"\\u")?.get(..4)?;
    hex.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// The character that the valid escape `raw` stands for.
fn unescape(raw: &[u8]) -> char {
    match raw.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = unit(raw).unwrap_or(0xFFFD);
            let code = match raw.get(6..).and_then(unit) {
                Some(second) => 0x1_0000 + ((first & 0x3FF) << 10 | second & 0x3FF),
                None => first,
            };
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some(&byte) => char::from(byte),
        None => '\\',
    }
}

/// A stretch of a literal's inside: either text that stands as itself, or one escape.
struct Piece {
    raw: Range<usize>,
    escape: Option<char>,
}

/// The pieces of a literal's inside. What only looks like an escape stands as itself, so that text that is not quite
/// JSON can be read too; in a literal that was read strictly there is none of it.
struct Pieces<'a> {
    raw: &'a str,
    at: usize,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = self.raw.as_bytes().get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        if rest[0] == b'\\' {
            if let Ok(len) = escape_len(rest) {
                self.at += len;
                return Some(Piece { raw: start..self.at, escape: Some(unescape(&rest[..len])) });
            }
            self.at += 1;
            return Some(Piece { raw: start..self.at, escape: None });
        }
        self.at += memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        Some(Piece { raw: start..self.at, escape: None })
    }
}

/// Appends the text of a literal's inside.
pub(crate) fn decode(raw: &str, out: &mut String) {
    for piece in (Pieces { raw, at: 0 }) {
        match piece.escape {
            Some(char) => out.push(char),
            None => out.push_str(&raw[piece.raw]),
        }
    }
}

/// Finds the places in a literal's inside at which text offsets stand; asked in ascending order.
pub(crate) struct Locator<'a> {
    pieces: Pieces<'a>,
    piece: Piece,
    /// Text offset at which `piece` begins.
    text: usize,
}

impl<'a> Locator<'a> {
    /// Begins at the literal's begin.
    pub(crate) fn new(raw: &'a str) -> Self {
        Self { pieces: Pieces { raw, at: 0 }, piece: Piece { raw: 0..0, escape: None }, text: 0 }
    }

    /// The raw offset of a text offset. An offset inside an escape counts as its begin, or its end when `up`.
    pub(crate) fn raw(&mut self, offset: usize, up: bool) -> usize {
        loop {
            let len = self.piece.escape.map_or(self.piece.raw.len(), char::len_utf8);
            if offset < self.text + len || (up && offset == self.text + len) {
                return match self.piece.escape {
                    Some(_) if offset == self.text || !up => self.piece.raw.start,
                    Some(_) => self.piece.raw.end,
                    None => self.piece.raw.start + offset.saturating_sub(self.text),
                };
            }
            match self.pieces.next() {
                Some(piece) => {
                    self.text += len;
                    self.piece = piece;
                }
                None => return self.piece.raw.end,
            }
        }
    }
}

/// Appends `text` as it stands inside a literal.
pub(crate) fn escape(text: &str, out: &mut BytesMut) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        if short.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(short);
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

/// A text as it stands inside a string of JSON, without the quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = BytesMut::with_capacity(text.len());
    escape(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
