//! Text in which escapes stand for characters: those of URLs, HTML and JSON, all at once.
//!
//! What must hold: an escape is read from its own characters alone, and one that the text's end cuts off is held.

use fold::is_plain_byte;

use super::Utf8;
use crate::reading::{Kind, Reader, Reading};

/// Digits of a character's number, in an escape that says where it ends.
const NUMBER_DIGITS: usize = 8;

/// Named HTML characters that may stand in a value, and white space. (The rest of the 2,231 are not read.)
const ENTITIES: &[(&str, char)] = &[
    ("NewLine;", '\n'),
    ("Tab;", '\t'),
    ("amp;", '&'),
    ("apos;", '\''),
    ("ast;", '*'),
    ("bsol;", '\\'),
    ("colon;", ':'),
    ("comma;", ','),
    ("commat;", '@'),
    ("dash;", '-'),
    ("dollar;", '$'),
    ("equals;", '='),
    ("excl;", '!'),
    ("gt;", '>'),
    ("hyphen;", '-'),
    ("lowbar;", '_'),
    ("lpar;", '('),
    ("lt;", '<'),
    ("mdash;", '-'),
    ("minus;", '-'),
    ("nbsp;", ' '),
    ("ndash;", '-'),
    ("num;", '#'),
    ("percnt;", '%'),
    ("period;", '.'),
    ("plus;", '+'),
    ("quot;", '"'),
    ("rpar;", ')'),
    ("semi;", ';'),
    ("shy;", '\u{AD}'),
    ("sol;", '/'),
    ("zwj;", '\u{200D}'),
    ("zwnj;", '\u{200C}'),
];

/// What stands at a place.
enum Escape {
    /// Nothing but itself.
    None,
    /// The beginning of an escape, so far as it is there.
    Begun,
    Char(char, usize),
    Byte(u8, usize),
    /// A number that no character has.
    Stop(usize),
}

/// What a plus stands for: nowhere but in forms is it a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    Itself,
    Space,
}

/// Text in which escapes stand for characters.
pub(super) fn read(before: &str, window: &str, last: bool, plus: Plus) -> Reading {
    let joined = [before, window].concat();
    let mut reader = Reader::new(before.len());
    let mut utf8 = Utf8::new();
    let mut at = 0;
    let special = |byte: u8| matches!(byte, b'%' | b'&' | b'\\') || byte == b'+' && plus == Plus::Space;
    while at < joined.len() {
        let rest = &joined.as_bytes()[at..];
        let plain = rest.iter().position(|byte| !is_plain_byte(*byte) || special(*byte));
        let plain = plain.unwrap_or(rest.len());
        if plain > 0 {
            utf8.flush(&mut reader);
            reader.copy(&joined[at..at + plain], at);
            at += plain;
        }
        let Some(char) = joined[at..].chars().next() else { break };
        let escape = match char {
            '%' => percent(&joined[at..]),
            '&' => entity(&joined[at..], last),
            '\\' => backslash(&joined[at..]),
            '+' if plus == Plus::Space => Escape::Char(' ', 1),
            _ => Escape::None,
        };
        let length = match escape {
            Escape::Byte(byte, length) => {
                utf8.byte(&mut reader, byte, at, at + length, Kind::Decoded);
                at += length;
                continue;
            }
            Escape::Char(_, length) | Escape::Stop(length) => length,
            Escape::None | Escape::Begun => char.len_utf8(),
        };
        if matches!(escape, Escape::Begun) && !last {
            utf8.end(&mut reader, last);
            reader.hold(at);
            return reader.finish();
        }
        utf8.flush(&mut reader);
        match escape {
            Escape::Char(char, _) => reader.char(char, at, at + length, Kind::Decoded),
            Escape::Stop(_) => reader.stop(at, at + length, Kind::Decoded),
            _ => reader.char(char, at, at + length, Kind::Copied),
        }
        at += length;
    }
    utf8.end(&mut reader, last);
    reader.finish()
}

/// `%41` (RFC 3986, 2.1).
fn percent(text: &str) -> Escape {
    match digits(&text[1..], 16, 2) {
        (2, number) => Escape::Byte(u8::try_from(number).unwrap_or(0), 3),
        (count, _) if 1 + count == text.len() => Escape::Begun,
        _ => Escape::None,
    }
}

/// `&#65;`, `&#x41;`, with or without the semicolon, and `&commat;` (HTML, 13.2.5.72 and following).
fn entity(text: &str, last: bool) -> Escape {
    let Some(number) = text.strip_prefix("&#") else {
        let rest = &text[1..];
        let named = ENTITIES.iter().find(|(name, _)| rest.starts_with(name));
        return match named {
            Some((name, char)) => Escape::Char(*char, 1 + name.len()),
            None if ENTITIES.iter().any(|(name, _)| name.starts_with(rest)) => Escape::Begun,
            None => Escape::None,
        };
    };
    let hex = usize::from(number.starts_with(['x', 'X']));
    let (count, code) = digits(&number[hex..], if hex == 1 { 16 } else { 10 }, NUMBER_DIGITS);
    let length = 2 + hex + count;
    if length == text.len() && (!last || count == 0) {
        return Escape::Begun;
    }
    if count == 0 {
        return Escape::None;
    }
    character(code, length + usize::from(text[length..].starts_with(';')))
}

/// `\u0041`, a pair of them, `\u{41}`, `\x41`, and the short ones (RFC 8259, 7; ECMA-262, 12.9.4). That a backslash before
/// takes the meaning away is not heeded: whoever reads on may see it the other way.
fn backslash(text: &str) -> Escape {
    let rest = &text[1..];
    match rest.chars().next() {
        None => Escape::Begun,
        Some(short @ ('"' | '/' | '\'')) => Escape::Char(short, 2),
        Some('n') => Escape::Char('\n', 2),
        Some('r') => Escape::Char('\r', 2),
        Some('t') => Escape::Char('\t', 2),
        Some('x') => match digits(&rest[1..], 16, 2) {
            (2, number) => Escape::Byte(u8::try_from(number).unwrap_or(0), 4),
            (count, _) if 2 + count == text.len() => Escape::Begun,
            _ => Escape::None,
        },
        Some('u') if rest[1..].starts_with('{') => {
            let (count, code) = digits(&rest[2..], 16, NUMBER_DIGITS);
            let length = 3 + count;
            match text[length..].chars().next() {
                None => Escape::Begun,
                Some('}') if count > 0 => character(code, length + 1),
                Some(_) => Escape::None,
            }
        }
        Some('u') => unit(text),
        Some(_) => Escape::None,
    }
}

/// `\uD83D\uDE00` or `\u0041`.
fn unit(text: &str) -> Escape {
    const LENGTH: usize = 6;
    let (count, high) = digits(&text[2..], 16, 4);
    if count < 4 {
        return if 2 + count == text.len() { Escape::Begun } else { Escape::None };
    }
    if !(0xD800..0xDC00).contains(&high) {
        return character(high, LENGTH);
    }
    let rest = &text[LENGTH..];
    let (count, low) = rest.strip_prefix("\\u").map_or((0, 0), |rest| digits(rest, 16, 4));
    if count == 4 && (0xDC00..0xE000).contains(&low) {
        return character(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), 2 * LENGTH);
    }
    let begun = "\\u".starts_with(rest) || (count < 4 && rest.starts_with("\\u") && 2 + count == rest.len());
    if begun { Escape::Begun } else { Escape::Stop(LENGTH) }
}

fn character(code: u32, length: usize) -> Escape {
    char::from_u32(code).map_or(Escape::Stop(length), |char| Escape::Char(char, length))
}

/// How many digits stand at the front, up to `most`, and the number they are.
fn digits(text: &str, radix: u32, most: usize) -> (usize, u32) {
    let values = text.chars().map_while(|char| char.to_digit(radix)).take(most);
    values.fold((0, 0), |(count, number), digit| (count + 1, number * radix + digit))
}
