//! Strings that a dialect does not know, in a message that comes in pieces.
//!
//! What must hold: such a string is judged by itself, and with those that stood at the same place before it, since nobody
//! here knows whether a client joins them: nothing hides between two pieces. What goes on for some pieces without it is
//! over, so that an odd one does not stop a stream; what is told as content, reasoning or a delta goes on to the end.

use std::collections::HashMap;

use model::{Channel, PartId, Speaker};

use crate::{json::Kind, parts::Parts, sheet::Sheet};

/// Pieces that may lack a string before its part ends: other kinds of pieces come in between.
const GAP: u64 = 4;

/// Names under which servers stream what they say, where no dialect expects it.
const SAID: [&str; 6] = ["text", "content", "response", "completion", "output", "delta"];

/// A string in progress.
#[derive(Debug)]
struct Stray {
    part: PartId,
    /// Number of the last piece that had it.
    piece: u64,
    /// Whether only the end of all pieces ends it.
    lasts: bool,
}

/// The strings of one run of pieces, by their paths.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    known: HashMap<String, Stray>,
    pieces: u64,
}

impl Strays {
    /// A piece begins.
    pub(crate) fn piece(&mut self) {
        self.pieces += 1;
    }

    /// The piece is read: what has not come for some time is complete.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        let pieces = self.pieces;
        self.retire(parts, |stray| !stray.lasts && stray.piece + GAP < pieces);
    }

    /// No more pieces come.
    pub(crate) fn finish(&mut self, parts: &mut Parts) {
        self.retire(parts, |_| true);
    }

    fn retire(&mut self, parts: &mut Parts, is_over: impl Fn(&Stray) -> bool) {
        let mut over: Vec<PartId> =
            self.known.values().filter(|stray| is_over(stray)).map(|stray| stray.part).collect();
        if over.is_empty() {
            return;
        }
        over.sort_unstable();
        over.into_iter().for_each(|part| parts.end(part));
        self.known.retain(|_, stray| !is_over(stray));
    }

    /// A value that the dialect does not know, at this path of the piece.
    pub(crate) fn read(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &str) {
        self.walk(sheet, value, &mut path.to_owned());
    }

    fn walk(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &mut String) {
        let doc = sheet.doc;
        let len = path.len();
        match doc.kind(value) {
            Kind::Object => {
                for (key, value) in doc.members(value) {
                    sheet.key(key);
                    let name = doc.name(key);
                    match &*name {
                        "type" | "format" => sheet.word(value),
                        "id" => sheet.rest(value),
                        name => {
                            path.push('/');
                            path.push_str(name);
                            self.walk(sheet, value, path);
                            path.truncate(len);
                        }
                    }
                }
            }
            Kind::Array => {
                for (place, item) in doc.items(value).enumerate() {
                    path.push_str(&format!("/{place}"));
                    self.walk(sheet, item, path);
                    path.truncate(len);
                }
            }
            Kind::Text => self.text(sheet, value, path),
            _ => sheet.rest(value),
        }
    }

    fn text(&mut self, sheet: &mut Sheet<'_>, node: usize, path: &str) {
        let channel = channel_of(path);
        if !sheet.whole && sheet.doc.raw(node).len() > 2 {
            // Joined with what came before, a value that comes again and again would have no begin and no end.
            sheet.field(node);
        }
        let piece = self.pieces;
        let part = match self.known.get_mut(path) {
            Some(stray) => {
                stray.piece = piece;
                stray.part
            }
            None => {
                let speaker = if channel == Channel::Field { sheet.speaker } else { Speaker::Assistant };
                let part = sheet.parts.begin(channel, speaker);
                let lasts = channel != Channel::Field || path.contains(".delta/");
                self.known.insert(path.to_owned(), Stray { part, piece, lasts });
                part
            }
        };
        sheet.say(node, part);
    }
}

/// What a string at this path is.
fn channel_of(path: &str) -> Channel {
    if path.starts_with("reasoning") || path.ends_with("thinking") {
        Channel::Reasoning
    } else if SAID.contains(&path) {
        Channel::Content
    } else {
        Channel::Field
    }
}
