//! JSON of which nothing is known: all strings, names and long numbers are fields.
//!
//! What must hold: a string that comes in every document of a stream is also one part of its own from document to
//! document, since a client may join its pieces; what either part changes is changed. So is one that comes in events of one
//! name, since some clients hear only these. What goes on for some documents without it is over, so that an odd one does not
//! stop a stream; where it comes once more, it is told with the end of what it said before.

use std::collections::HashMap;

use model::{Channel, PartId, Speaker};
use smallvec::SmallVec;

use crate::{
    Asked, Malformed, Step,
    documents::{Pieces, Reader},
    event_name,
    json::Kind,
    parts::Parts,
    path::{Path, hashed},
    sheet::Sheet,
    strays::{Lasting, note, retire},
};

/// Documents that may lack a string before its part ends: other kinds of documents come in between.
const GAP: u64 = 4;

/// A string that goes on from document to document.
#[derive(Debug)]
struct Joined {
    part: PartId,
    /// Number of the last document that had it.
    seen: u64,
    /// The last of what it said.
    tail: String,
}

impl Lasting for Joined {
    fn part(&self) -> PartId {
        self.part
    }

    fn into_tail(self) -> String {
        self.tail
    }
}

/// Reads any JSON.
#[derive(Debug)]
pub(super) struct Any {
    speaker: Speaker,
    /// What is told before a request's parts.
    asked: Option<Asked>,
    /// Strings that go on, by their paths, and by the events' names and the paths.
    joined: HashMap<String, Joined>,
    /// The last of what those said that are over.
    over: HashMap<String, String>,
    /// The name of the event that is read.
    name: Vec<u8>,
    /// Of the first event.
    first: Option<Vec<u8>>,
    /// What stands before the paths of this event's name, once names differ.
    named: Option<String>,
    documents: u64,
}

impl Any {
    pub(super) fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            asked: None,
            joined: HashMap::new(),
            over: HashMap::new(),
            name: Vec::new(),
            first: None,
            named: None,
            documents: 0,
        }
    }

    /// Of a request.
    pub(super) fn request() -> Self {
        let asked = Asked { parameters: "{}".to_owned(), ..Asked::default() };
        Self { asked: Some(asked), ..Self::new(Speaker::User) }
    }

    /// Another document begins.
    fn document(&mut self, parts: &mut Parts) {
        if let Some(asked) = self.asked.take() {
            parts.tell(Step::Asked(Box::new(asked)));
        }
        self.documents += 1;
        let first = self.first.get_or_insert_with(|| self.name.clone());
        if self.named.is_none() && *first != self.name {
            // So far all was said in events of the first name.
            let first = by_name(first);
            let said = self.joined.iter().map(|(path, joined)| (path, &joined.tail)).chain(&self.over);
            let said: Vec<_> = said.map(|(path, tail)| (format!("{first}{path}"), tail.clone())).collect();
            self.over.extend(said);
            self.named = Some(first);
        }
        if let Some(named) = &mut self.named {
            *named = by_name(&self.name);
        }
    }

    /// The document is read: strings that no longer come are complete.
    fn retire(&mut self, parts: &mut Parts, gap: u64) {
        let documents = self.documents;
        retire(&mut self.joined, &mut self.over, parts, |joined| joined.seen + gap < documents);
    }

    /// The parts of what says this at this path.
    fn pieces(&mut self, parts: &mut Parts, path: &str, text: &str) -> Pieces {
        let named = self.named.as_ref().map(|named| format!("{named}{path}"));
        let mut pieces: Pieces = SmallVec::new();
        pieces.push(self.piece(parts, path, text));
        pieces.extend(named.map(|path| self.piece(parts, &path, text)));
        pieces
    }

    fn piece(&mut self, parts: &mut Parts, path: &str, text: &str) -> PartId {
        if let Some(joined) = self.joined.get_mut(path) {
            joined.seen = self.documents;
            note(&mut joined.tail, text);
            return joined.part;
        }
        let part = parts.begin(Channel::Content, self.speaker);
        let mut tail = self.over.remove(path).unwrap_or_default();
        if !tail.is_empty() {
            parts.say(part, |out| out.push_str(&tail));
        }
        note(&mut tail, text);
        self.joined.insert(path.to_owned(), Joined { part, seen: self.documents, tail });
        part
    }

    fn walk(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &mut Path) {
        if sheet.parts.overflowed() {
            return;
        }
        let doc = sheet.doc;
        match doc.kind(value) {
            Kind::Object => {
                for (key, value) in doc.members(value) {
                    sheet.field(key);
                    let above = path.enter(&doc.name(key));
                    self.walk(sheet, value, path);
                    path.leave(above);
                }
            }
            Kind::Array => {
                sheet.bytes(value);
                for (place, item) in doc.items(value).enumerate() {
                    let above = path.enter(&place.to_string());
                    self.walk(sheet, item, path);
                    path.leave(above);
                }
            }
            Kind::Text => {
                sheet.field(value);
                if !sheet.whole {
                    for part in self.pieces(sheet.parts, path, &doc.name(value)) {
                        sheet.say(value, part);
                    }
                }
            }
            _ => sheet.rest(value),
        }
    }
}

/// What stands before the paths of events of this name, and before no other path: these are empty, or begin with a slash
/// or a short hash.
fn by_name(name: &[u8]) -> String {
    hashed("", &String::from_utf8_lossy(name)) + "#"
}

impl Reader for Any {
    fn speaker(&self) -> Speaker {
        self.speaker
    }

    fn known(&self) -> fn(&str) -> bool {
        |_| false
    }

    fn is_any(&self) -> bool {
        true
    }

    fn named(&mut self, name: &[u8]) {
        let name = event_name::heard(name);
        if self.name != name {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        self.document(sheet.parts);
        self.walk(sheet, 0, &mut Path::at(""));
        if sheet.whole {
            sheet.named(0, Channel::Field, self.speaker);
        }
        self.retire(sheet.parts, GAP);
        Ok(())
    }

    fn has_text(&self) -> bool {
        true
    }

    fn text(&mut self, text: &str, parts: &mut Parts) -> Result<Pieces, Malformed> {
        self.document(parts);
        let pieces = self.pieces(parts, "", text);
        self.retire(parts, GAP);
        Ok(pieces)
    }

    fn may_be_empty(&self) -> bool {
        true
    }

    fn end(&mut self, parts: &mut Parts) {
        if let Some(asked) = self.asked.take() {
            parts.tell(Step::Asked(Box::new(asked)));
        }
        self.documents += 1;
        self.retire(parts, 0);
    }
}
