//! Whether the arguments of a call, which come in pieces, are whole by now.
//!
//! What must hold: each byte is looked at once, however often it is asked; as JSON they are read only where their object
//! has ended and nothing follows it.

use crate::nested;

/// How far arguments were looked at.
#[derive(Debug, Default)]
pub(super) struct Whole {
    at: usize,
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Whether the object has ended.
    closed: bool,
    /// Whether they are none, whatever follows.
    broken: bool,
}

impl Whole {
    /// Whether they are an object and nothing else; `text` begins with what it was before.
    pub(super) fn is(&mut self, text: &str) -> bool {
        for &byte in text.as_bytes().get(self.at..).unwrap_or_default() {
            if self.broken {
                return false;
            }
            self.step(byte);
        }
        self.at = text.len();
        self.broken |= self.closed && !nested::is_json(text);
        self.closed && !self.broken
    }

    fn step(&mut self, byte: u8) {
        if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            _ if byte.is_ascii_whitespace() => {}
            b'{' if !self.closed => self.depth += 1,
            _ if self.depth == 0 => self.broken = true,
            b'"' => self.quoted = true,
            b'}' => {
                self.depth -= 1;
                self.closed = self.depth == 0;
            }
            _ => {}
        }
    }
}
