//! What encoded text says: one level of base64 (both alphabets), hexadecimal digits, and the escapes of URLs, HTML and
//! JSON. Where there is a plus, they are read once more with a space for it, as forms write one.
//!
//! Each is one or more readings of the whole window. A run of base64 or of digits may begin with something else that its
//! alphabet allows (a path, a word), so it is read from each of its first characters on: one of these readings is right,
//! wherever the window begins. What must hold: what is read at a place depends on a bounded stretch before it, and what
//! could be read otherwise with text that follows is held.

mod escapes;
mod runs;

use crate::reading::{Kind, Reader, Reading, context};

use escapes::Plus;
use runs::{Coding, Runs};

/// Ways in which a run of base64 may be read: its groups have four characters.
const BASE64_PHASES: usize = 4;
/// The same for two digits a byte.
const HEX_PHASES: usize = 2;
/// Every decoded reading of a window, one after the other; `shortest`: bytes of the shortest match that is looked for.
pub(crate) fn readings<'a>(
    before: &'a str,
    window: &'a str,
    last: bool,
    shortest: usize,
) -> impl Iterator<Item = Reading> + 'a {
    let before = context(before);
    let runs = move |coding: Coding, phases: usize| {
        (0..phases).map(move |phase| Runs::new(before, window, coding, phase, shortest).read(last))
    };
    let pluses = usize::from(window.contains('+'));
    std::iter::once_with(move || escapes::read(before, window, last, Plus::Itself))
        .chain(std::iter::once_with(move || escapes::read(before, window, last, Plus::Space)).take(pluses))
        .chain(runs(Coding::Base64, BASE64_PHASES))
        .chain(runs(Coding::Hex, HEX_PHASES))
}

/// Bytes that become characters: UTF-8, of which anything else is a stop.
struct Utf8 {
    bytes: [u8; 4],
    count: usize,
    /// Where what has come so far begins, and ends.
    from: usize,
    end: usize,
}

impl Utf8 {
    fn new() -> Self {
        Self { bytes: [0; 4], count: 0, from: 0, end: 0 }
    }

    /// Takes a byte that stands at this stretch; `kind`: of a byte that is a character by itself.
    fn byte(&mut self, reader: &mut Reader, byte: u8, from: usize, end: usize, kind: Kind) {
        if self.count > 0 && byte & 0xC0 == 0x80 {
            self.bytes[self.count] = byte;
            self.count += 1;
            self.end = end;
            if self.count == wanted(self.bytes[0]) {
                match std::str::from_utf8(&self.bytes[..self.count]).ok().and_then(|text| text.chars().next()) {
                    Some(char) => reader.char(char, self.from, self.end, Kind::Decoded),
                    None => reader.stop(self.from, self.end, Kind::Decoded),
                }
                self.count = 0;
            }
            return;
        }
        self.flush(reader);
        match wanted(byte) {
            1 => reader.char(char::from(byte), from, end, kind),
            0 => reader.stop(from, end, kind),
            _ => {
                self.bytes[0] = byte;
                self.count = 1;
                (self.from, self.end) = (from, end);
            }
        }
    }

    /// Nothing more of a character comes.
    fn flush(&mut self, reader: &mut Reader) {
        if std::mem::take(&mut self.count) > 0 {
            reader.stop(self.from, self.end, Kind::Decoded);
        }
    }

    /// The text ends.
    fn end(&mut self, reader: &mut Reader, last: bool) {
        if last {
            self.flush(reader);
        } else if self.count > 0 {
            reader.hold(self.from);
        }
    }
}

/// Bytes of the character that begins with this one; 0: none does.
fn wanted(byte: u8) -> usize {
    match byte {
        0..=0x7F => 1,
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 0,
    }
}
