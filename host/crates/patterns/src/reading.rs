//! A text as it is read: folded or decoded, with the way back to where each part of it came from.
//!
//! It stands between the window and the matcher: patterns are looked for in the reading, and what is found is told in
//! the window's own offsets. What must hold: a reading is made by a function of each place and a bounded stretch before
//! it, so that a text reads the same wherever it is cut.

use fold::{Fold, fold_char, fold_tag, has_tags, is_plain_byte};

use model::{CONTEXT_BYTES, UNSEEN_BYTES};

use crate::NOWHERE;

/// Stands for what is no text, and for a run of unseen characters that is longer than any that comes here from a relay (what
/// is held back for the sake of a match must end somewhere): the control character that Unicode has for it, which no pattern names.
pub(crate) const BREAK: &str = "\u{1A}";

/// How the bytes of a part of the reading stand for bytes of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each for itself.
    Copied,
    /// All of them for one stretch.
    Changed,
    /// All of them for one stretch, which was decoded.
    Decoded,
    /// Each for two characters of base64, which it shares with its neighbours; the first is this one of three.
    Sextets(usize),
    /// Each for two hexadecimal digits.
    Pairs,
}

/// A part of a reading.
#[derive(Debug)]
struct Part {
    /// Where in the reading.
    at: usize,
    /// Where in the window.
    from: usize,
    end: usize,
    kind: Kind,
}

impl Part {
    /// Where in the window that stands for which one byte of the reading stands, counted from the part's first.
    fn origin(&self, byte: usize) -> (usize, usize) {
        match self.kind {
            Kind::Copied => (self.from + byte, self.from + byte + 1),
            Kind::Changed | Kind::Decoded => (self.from, self.end),
            Kind::Sextets(first) => {
                let sextet = |byte: usize| byte + byte / 3;
                let from = self.from + sextet(first + byte) - sextet(first);
                (from, from + 2)
            }
            Kind::Pairs => (self.from + 2 * byte, self.from + 2 * byte + 2),
        }
    }
}

/// A text as it is read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What is read last of the text before the window.
    pub(crate) before: String,
    pub(crate) text: String,
    parts: Vec<Part>,
    /// Where in the window the beginning of something stands that can only be read with what follows.
    pub(crate) held: usize,
}

impl Reading {
    /// The stretch of the window for which a stretch of the reading stands, which is not empty.
    pub(crate) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        (self.origin(start).0, self.origin(end - 1).1)
    }

    /// Where in the window a place of the reading is; `length`: of the window.
    pub(crate) fn place(&self, at: usize, length: usize) -> usize {
        if at < self.text.len() { self.origin(at).0 } else { length }
    }

    /// Whether any of a stretch of the reading was decoded.
    pub(crate) fn is_decoded(&self, start: usize, end: usize) -> bool {
        let parts = &self.parts[self.part(start)..];
        parts.iter().take_while(|part| part.at < end).any(|part| !matches!(part.kind, Kind::Copied | Kind::Changed))
    }

    fn origin(&self, at: usize) -> (usize, usize) {
        let part = &self.parts[self.part(at)];
        part.origin(at - part.at)
    }

    fn part(&self, at: usize) -> usize {
        self.parts.partition_point(|part| part.at <= at).saturating_sub(1)
    }
}

/// Makes a reading of a window and the text before it, which are one text to it: places count from its beginning.
pub(crate) struct Reader {
    reading: Reading,
    /// Where the window begins.
    window: usize,
    /// Bytes of the run of unseen characters that reading stands in.
    gone: usize,
    /// How a character is read.
    fold: fn(char) -> Fold,
}

impl Reader {
    pub(crate) fn new(window: usize) -> Self {
        let reading = Reading { before: String::new(), text: String::new(), parts: Vec::new(), held: NOWHERE };
        Self { reading, window, gone: 0, fold: fold_char }
    }

    /// A character that is read at this stretch, as it folds.
    pub(crate) fn char(&mut self, char: char, from: usize, end: usize, kind: Kind) {
        let mut bytes = [0; 4];
        match (self.fold)(char) {
            Fold::Same => self.put(char.encode_utf8(&mut bytes), from, end, kind),
            Fold::Other(other) => self.put(other.encode_utf8(&mut bytes), from, end, kind.changed()),
            Fold::Ascii(byte) => self.put(char::from(byte).encode_utf8(&mut bytes), from, end, kind.changed()),
            Fold::Word(word) => self.put(word, from, end, kind.changed()),
            Fold::Gone => {
                let before = self.gone;
                self.gone += end - from;
                if before <= UNSEEN_BYTES && self.gone > UNSEEN_BYTES {
                    let gone = self.gone;
                    self.put(BREAK, from, end, kind.changed());
                    self.gone = gone;
                }
            }
        }
    }

    /// Something that is no text.
    pub(crate) fn stop(&mut self, from: usize, end: usize, kind: Kind) {
        self.put(BREAK, from, end, kind);
    }

    /// From here on the text can only be read with what follows.
    pub(crate) fn hold(&mut self, from: usize) {
        // What has been released can't be held, and nothing that begins there can be a match.
        if let Some(from) = from.checked_sub(self.window) {
            self.reading.held = self.reading.held.min(from);
        }
    }

    pub(crate) fn finish(self) -> Reading {
        self.reading
    }

    /// ASCII that is read as it is.
    pub(crate) fn copy(&mut self, text: &str, from: usize) {
        let (before, text) = text.split_at(self.window.saturating_sub(from).min(text.len()));
        for (text, from) in [(before, from), (text, from + before.len())] {
            if !text.is_empty() {
                self.put(text, from, from + text.len(), Kind::Copied);
            }
        }
    }

    fn put(&mut self, read: &str, from: usize, end: usize, kind: Kind) {
        self.gone = 0;
        let Reading { before, text, parts, .. } = &mut self.reading;
        let Some(from) = from.checked_sub(self.window) else {
            before.clear();
            before.push_str(read);
            return;
        };
        let end = end - self.window;
        // A byte that follows another in the same way needs no part of its own.
        let follows = parts.last().is_some_and(|part| {
            let next = part.origin(text.len() - part.at);
            let alike = match (part.kind, kind) {
                (Kind::Copied, Kind::Copied) => return next.0 == from,
                (Kind::Sextets(_), Kind::Sextets(_)) | (Kind::Pairs, Kind::Pairs) => read.len() == 1,
                _ => false,
            };
            alike && next == (from, end)
        });
        if !follows {
            // Several bytes of a character can only go together.
            let kind = if read.len() > 1 { kind.together() } else { kind };
            parts.push(Part { at: text.len(), from, end, kind });
        }
        text.push_str(read);
    }
}

impl Kind {
    /// What becomes of a character that folds to another.
    fn changed(self) -> Self {
        if self == Self::Copied { Self::Changed } else { self }
    }

    /// The kind of a part that can't be told byte from byte.
    fn together(self) -> Self {
        match self {
            Self::Sextets(_) | Self::Pairs => Self::Decoded,
            other => other,
        }
    }
}

/// The end of the text before a window, as much as readings need.
pub(crate) fn context(before: &str) -> &str {
    &before[before.floor_char_boundary(before.len().saturating_sub(CONTEXT_BYTES))..]
}

/// The folded reading, or `None` when the window reads as it is.
pub(crate) fn folded(before: &str, window: &str) -> Option<Reading> {
    let same = |char: char| fold_char(char) == Fold::Same;
    if before.chars().next_back().is_none_or(same) && window.chars().all(same) {
        return None;
    }
    Some(read(context(before), window, fold_char))
}

/// The reading in which tags are the ASCII that they stand for, or `None` where there are none near.
pub(crate) fn tagged(before: &str, window: &str) -> Option<Reading> {
    let before = context(before);
    (has_tags(window) || has_tags(before)).then(|| read(before, window, fold_tag))
}

fn read(before: &str, window: &str, fold: fn(char) -> Fold) -> Reading {
    let mut reader = Reader { fold, ..Reader::new(before.len()) };
    for (text, shift) in [(before, 0), (window, before.len())] {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let plain = rest.bytes().position(|byte| !is_plain_byte(byte)).unwrap_or(rest.len());
            reader.copy(&rest[..plain], shift + at);
            at += plain;
            if let Some(char) = text[at..].chars().next() {
                reader.char(char, shift + at, shift + at + char.len_utf8(), Kind::Copied);
                at += char.len_utf8();
            }
        }
    }
    reader.finish()
}
