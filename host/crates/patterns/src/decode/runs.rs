//! Runs of characters that spell bytes: base64 and hexadecimal digits.
//!
//! What must hold: a byte is read from the characters that spell it alone, whatever run they stand in.

use super::Utf8;
use crate::reading::{Kind, Reader, Reading};

/// How bytes are spelled in a run of characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Base64,
    Hex,
}

impl Coding {
    /// The bits that a character stands for.
    fn value(self, byte: u8) -> Option<u32> {
        let digit = match (self, byte) {
            (Self::Hex, _) => return char::from(byte).to_digit(16),
            (Self::Base64, b'A'..=b'Z') => byte - b'A',
            (Self::Base64, b'a'..=b'z') => byte - b'a' + 26,
            (Self::Base64, b'0'..=b'9') => byte - b'0' + 52,
            (Self::Base64, b'+' | b'-') => 62,
            (Self::Base64, b'/' | b'_') => 63,
            (Self::Base64, _) => return None,
        };
        Some(u32::from(digit))
    }

    /// Whether the character may stand within a run and mean nothing: where lines are broken, or bytes parted.
    fn passes(self, byte: u8) -> bool {
        matches!(byte, b'\n' | b'\r') || (self == Self::Hex && matches!(byte, b' ' | b':'))
    }

    fn bits(self) -> u32 {
        match self {
            Self::Base64 => 6,
            Self::Hex => 4,
        }
    }

    /// Characters that so many bytes take, at least.
    fn characters(self, bytes: usize) -> usize {
        match self {
            Self::Base64 => (bytes * 4).div_ceil(3),
            Self::Hex => bytes * 2,
        }
    }
}

/// Reads the runs of a coding; everything else is a stop.
pub(super) struct Runs {
    joined: String,
    coding: Coding,
    /// How many characters of each run are passed over first.
    phase: usize,
    /// Runs with fewer characters say nothing that is looked for.
    shortest: usize,
    reader: Reader,
}

impl Runs {
    pub(super) fn new(before: &str, window: &str, coding: Coding, phase: usize, shortest: usize) -> Self {
        // Only a run that goes on in the window matters.
        let within = |byte: &u8| coding.value(*byte).is_some() || coding.passes(*byte);
        let run = before.bytes().rev().take_while(within).count();
        let before = &before[before.len() - run..];
        Self {
            joined: [before, window].concat(),
            coding,
            phase,
            shortest: coding.characters(shortest),
            reader: Reader::new(before.len()),
        }
    }

    pub(super) fn read(mut self, last: bool) -> Reading {
        let joined = std::mem::take(&mut self.joined);
        let bytes = joined.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let Some(start) = bytes[at..].iter().position(|byte| self.coding.value(*byte).is_some()) else { break };
            let start = at + start;
            self.stop(at, start);
            let within = |byte: &u8| self.coding.value(*byte).is_some() || self.coding.passes(*byte);
            let length = bytes[start..].iter().take_while(|byte| within(byte)).count();
            let open = start + length == bytes.len() && !last;
            let spelling = bytes[start..start + length].iter().filter(|byte| self.coding.value(**byte).is_some());
            if open || spelling.count() >= self.shortest {
                self.run(bytes, start, start + length, open);
            } else {
                self.stop(start, start + length);
            }
            at = start + length;
        }
        self.stop(at, bytes.len());
        self.reader.finish()
    }

    fn stop(&mut self, from: usize, end: usize) {
        if from < end {
            self.reader.stop(from, end, Kind::Decoded);
        }
    }

    fn run(&mut self, bytes: &[u8], start: usize, end: usize, open: bool) {
        let mut utf8 = Utf8::new();
        // Bits that have come and make no byte yet, and where the first of them is.
        let (mut buffer, mut bits, mut from) = (0_u32, 0, end);
        let mut count = 0;
        for (at, character) in (start..end).zip(&bytes[start..end]) {
            let Some(value) = self.coding.value(*character) else { continue };
            count += 1;
            if count <= self.phase {
                continue;
            }
            if bits == 0 {
                from = at;
            }
            buffer = (buffer << self.coding.bits()) | value;
            bits += self.coding.bits();
            if bits < 8 {
                continue;
            }
            bits -= 8;
            let byte = u8::try_from((buffer >> bits) & 0xFF).unwrap_or(0);
            buffer &= (1 << bits) - 1;
            let kind = match self.coding {
                _ if at + 1 - from != 2 => Kind::Decoded,
                // After the first byte of a group four bits are left, after the second two.
                Coding::Base64 => Kind::Sextets((4 - bits as usize) / 2),
                Coding::Hex => Kind::Pairs,
            };
            utf8.byte(&mut self.reader, byte, from, at + 1, kind);
            from = if bits > 0 { at } else { end };
        }
        utf8.end(&mut self.reader, !open);
        if open {
            // The bits that are left, or the first character that this reading passes over, begin something.
            self.reader.hold(from.min(end));
        }
    }
}
