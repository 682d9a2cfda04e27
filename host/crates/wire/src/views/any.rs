//! JSON of which nothing is known: all strings, names and long numbers are fields.
//!
//! What must hold: a string that comes in every document of a stream is also one part of its own from document to
//! document, since a client may join its pieces; what either part changes is changed. So is one that comes in events of one
//! name, since some clients hear only these. What goes on for some documents without it is over, so that an odd one does not
//! stop a stream; where it comes once more, it is told with the end of what it said before.

use std::collections::{BTreeMap, HashMap};

use model::{Channel, PartId, Speaker};
use smallvec::SmallVec;

use crate::{
    Asked, Malformed, Step,
    documents::{Pieces, Reader},
    event_name,
    json::Kind,
    parts::Parts,
    sheet::Sheet,
    strays::{Lasting, note, retire},
};

/// Documents that may lack a string before its part ends: other kinds of documents come in between.
const GAP: u64 = 4;

/// Names that the events of one stream may have.
const NAMES: usize = 4096;

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

/// The strings of one run of documents, by their paths.
#[derive(Debug, Default)]
struct Run {
    joined: HashMap<String, Joined>,
    /// The last of what those said that are over.
    over: HashMap<String, String>,
}

impl Run {
    /// What goes on with all that another run said so far.
    fn behind(other: &Self) -> Self {
        let tails = other.joined.iter().map(|(path, joined)| (path.clone(), joined.tail.clone()));
        Self { joined: HashMap::new(), over: other.over.clone().into_iter().chain(tails).collect() }
    }

    /// The part of what says this at this path.
    fn part(&mut self, parts: &mut Parts, path: &str, text: &str, (speaker, document): (Speaker, u64)) -> PartId {
        if let Some(joined) = self.joined.get_mut(path) {
            joined.seen = document;
            note(&mut joined.tail, text);
            return joined.part;
        }
        let part = parts.begin(Channel::Content, speaker);
        let mut tail = self.over.remove(path).unwrap_or_default();
        if !tail.is_empty() {
            parts.say(part, |out| out.push_str(&tail));
        }
        note(&mut tail, text);
        self.joined.insert(path.to_owned(), Joined { part, seen: document, tail });
        part
    }

    /// Strings that have not come in more than so many documents are complete.
    fn retire(&mut self, parts: &mut Parts, gap: u64, documents: u64) {
        retire(&mut self.joined, &mut self.over, parts, |joined| joined.seen + gap < documents);
    }
}

/// Reads any JSON.
#[derive(Debug)]
pub(super) struct Any {
    speaker: Speaker,
    /// What is told before a request's parts.
    asked: Option<Asked>,
    all: Run,
    /// The name of the event that is read.
    name: Vec<u8>,
    /// Of the first event.
    first: Option<Vec<u8>>,
    /// Events by their names, once these differ.
    named: BTreeMap<Vec<u8>, Run>,
    documents: u64,
}

impl Any {
    pub(super) fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            asked: None,
            all: Run::default(),
            name: Vec::new(),
            first: None,
            named: BTreeMap::new(),
            documents: 0,
        }
    }

    /// Of a request.
    pub(super) fn request() -> Self {
        let asked = Asked { parameters: "{}".to_owned(), ..Asked::default() };
        Self { asked: Some(asked), ..Self::new(Speaker::User) }
    }

    /// Another document begins.
    fn document(&mut self, parts: &mut Parts) -> Result<(), Malformed> {
        if let Some(asked) = self.asked.take() {
            parts.tell(Step::Asked(asked));
        }
        self.documents += 1;
        let first = self.first.get_or_insert_with(|| self.name.clone());
        if self.named.is_empty() && *first != self.name {
            self.named.insert(first.clone(), Run::behind(&self.all));
        }
        if !self.named.is_empty() && !self.named.contains_key(&self.name) {
            if self.named.len() >= NAMES {
                return Err(Malformed::TooLarge { bound: "names of events", limit: NAMES });
            }
            self.named.insert(self.name.clone(), Run::default());
        }
        Ok(())
    }

    /// The document is read: strings that no longer come are complete.
    fn retire(&mut self, parts: &mut Parts, gap: u64) {
        for run in std::iter::once(&mut self.all).chain(self.named.values_mut()) {
            run.retire(parts, gap, self.documents);
        }
    }

    /// The parts of what says this at this path.
    fn pieces(&mut self, parts: &mut Parts, path: &str, text: &str) -> Pieces {
        let piece = (self.speaker, self.documents);
        let named = self.named.get_mut(&self.name);
        let mut pieces: Pieces = SmallVec::new();
        pieces.push(self.all.part(parts, path, text, piece));
        pieces.extend(named.map(|run| run.part(parts, path, text, piece)));
        pieces
    }

    fn walk(&mut self, sheet: &mut Sheet<'_>, value: usize, path: &mut String) {
        let doc = sheet.doc;
        let len = path.len();
        match doc.kind(value) {
            Kind::Object => {
                for (key, value) in doc.members(value) {
                    sheet.field(key);
                    path.push('/');
                    path.push_str(&doc.name(key));
                    self.walk(sheet, value, path);
                    path.truncate(len);
                }
            }
            Kind::Array => {
                sheet.bytes(value);
                for (place, item) in doc.items(value).enumerate() {
                    path.push_str(&format!("/{place}"));
                    self.walk(sheet, item, path);
                    path.truncate(len);
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

impl Reader for Any {
    fn speaker(&self) -> Speaker {
        self.speaker
    }

    fn known(&self) -> fn(&str) -> bool {
        |_| false
    }

    fn named(&mut self, name: &[u8]) {
        let name = event_name::heard(name);
        if self.name != name {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        self.document(sheet.parts)?;
        self.walk(sheet, 0, &mut String::new());
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
        self.document(parts)?;
        let pieces = self.pieces(parts, "", text);
        self.retire(parts, GAP);
        Ok(pieces)
    }

    fn may_be_empty(&self) -> bool {
        true
    }

    fn end(&mut self, parts: &mut Parts) {
        if let Some(asked) = self.asked.take() {
            parts.tell(Step::Asked(asked));
        }
        self.documents += 1;
        self.retire(parts, 0);
    }
}
