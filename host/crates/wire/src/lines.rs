//! NDJSON: one JSON text on each line, as `application/x-ndjson` has it, over any split.
//!
//! What must hold: each byte belongs to exactly one line's frame; a line ends with LF (the CR of a CRLF is white space
//! to JSON), the last one may end with the body; a line with nothing on it is passed over; one with a CR in its middle is
//! marked as wrong, since it is two to some clients.

use crate::sse::Event;

/// Finds lines.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// Bytes of the line in which no end was found.
    scanned: usize,
    line: Event,
}

impl Framer {
    /// The next complete line in `rest`, which begins where the last one's frame ended; at the `end` of the body, what
    /// is left.
    pub(crate) fn find(&mut self, rest: &[u8], end: bool) -> Option<&Event> {
        let len = match memchr::memchr(b'\n', &rest[self.scanned..]) {
            Some(found) => self.scanned + found + 1,
            None if end && !rest.is_empty() => rest.len(),
            None => {
                self.scanned = rest.len();
                return None;
            }
        };
        self.scanned = 0;
        self.line.one(len, 0..len);
        let inside = memchr::memchr(b'\r', rest[..len].trim_ascii());
        self.line.wrong = inside.map(|_| "a line with no CR in it");
        Some(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a body that comes in these pieces.
    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut framer, mut rest, mut out) = (Framer::default(), Vec::new(), Vec::new());
        let mut drain = |rest: &mut Vec<u8>, end| {
            while let Some(len) = framer.find(rest, end).map(|line| line.len) {
                out.push(rest.drain(..len).collect());
            }
        };
        for piece in pieces {
            rest.extend_from_slice(piece);
            drain(&mut rest, false);
        }
        drain(&mut rest, true);
        assert!(rest.is_empty());
        out
    }

    #[test]
    fn lines_end_with_lf_and_the_last_with_the_body() {
        let expected: [&[u8]; 4] = [b"{}\r\n", b"\n", b"  \r\n", b"1\r2"];
        assert_eq!(lines(&[b"{}\r\n\n  \r\n1\r2"]), expected);
        assert!(lines(&[b""]).is_empty());
    }

    proptest! {
        #[test]
        fn a_split_changes_nothing(body in "[a\r\n{}]{0,24}", cut in any::<prop::sample::Index>()) {
            let (one, two) = body.as_bytes().split_at(cut.index(body.len() + 1));
            prop_assert_eq!(lines(&[one, two]), lines(&[body.as_bytes()]));
        }
    }
}
