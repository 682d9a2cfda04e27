//! Strings that a dialect does not know, in a message that comes in pieces.
//!
//! What must hold: such a string goes on as one part as long as every piece has it, so that nothing hides between two
//! pieces; it ends with the first piece that lacks it, so that an odd one does not stop a stream. Where the pieces have
//! an end of their own, it may go on to that.

use std::collections::HashMap;

use model::{Channel, PartId, Speaker};

use crate::{json::Kind, parts::Parts, sheet::Sheet};

/// A string in progress.
#[derive(Debug)]
struct Stray {
    part: PartId,
    /// Number of the last piece that had it.
    piece: u64,
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

    /// The piece is read: what it lacks is complete.
    pub(crate) fn end(&mut self, parts: &mut Parts) {
        if self.known.is_empty() {
            return;
        }
        let piece = self.pieces;
        let mut over: Vec<PartId> =
            self.known.values().filter(|stray| stray.piece != piece).map(|stray| stray.part).collect();
        over.sort_unstable();
        over.into_iter().for_each(|part| parts.end(part));
        self.known.retain(|_, stray| stray.piece == piece);
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
        let piece = self.pieces;
        if let Some(stray) = self.known.get_mut(path) {
            stray.piece = piece;
            let part = stray.part;
            sheet.say(node, part);
            return;
        }
        let reasoning = path.starts_with("reasoning") || path.ends_with("thinking");
        let part = if reasoning {
            sheet.parts.begin(Channel::Reasoning, Speaker::Assistant)
        } else if path == "text" {
            sheet.parts.begin(Channel::Content, Speaker::Assistant)
        } else {
            sheet.parts.begin(Channel::Field, Speaker::Provider)
        };
        self.known.insert(path.to_owned(), Stray { part, piece });
        sheet.say(node, part);
    }
}
