//! JSON of which nothing is known: all strings, names and long numbers are fields.
//!
//! What must hold: a string that comes in every document of a stream is also one part of its own from document to
//! document, since a client may join its pieces; what either part changes is changed.

use std::collections::HashMap;

use model::{Channel, PartId, Speaker};

use crate::{Asked, Malformed, Step, documents::Reader, json::Kind, parts::Parts, sheet::Sheet};

/// Documents that may lack a string before its part ends: other kinds of documents come in between.
const GAP: u64 = 4;

/// A string that goes on from document to document.
#[derive(Debug)]
struct Joined {
    part: PartId,
    /// Number of the last document that had it.
    seen: u64,
}

/// Reads any JSON.
#[derive(Debug)]
pub(super) struct Any {
    speaker: Speaker,
    /// What is told before a request's parts.
    asked: Option<Asked>,
    joined: HashMap<String, Joined>,
    documents: u64,
}

impl Any {
    pub(super) fn new(speaker: Speaker) -> Self {
        Self { speaker, asked: None, joined: HashMap::new(), documents: 0 }
    }

    /// Of a request.
    pub(super) fn request() -> Self {
        let asked = Asked { parameters: "{}".to_owned(), ..Asked::default() };
        Self { asked: Some(asked), ..Self::new(Speaker::User) }
    }

    /// Another document begins.
    fn document(&mut self, parts: &mut Parts) {
        if let Some(asked) = self.asked.take() {
            parts.tell(Step::Asked(asked));
        }
        self.documents += 1;
    }

    /// The document is read: strings that no longer come are complete.
    fn retire(&mut self, parts: &mut Parts, gap: u64) {
        let documents = self.documents;
        let is_over = |joined: &Joined| joined.seen + gap < documents;
        let mut over: Vec<PartId> =
            self.joined.values().filter(|joined| is_over(joined)).map(|joined| joined.part).collect();
        if over.is_empty() {
            return;
        }
        over.sort_unstable();
        over.into_iter().for_each(|part| parts.end(part));
        self.joined.retain(|_, joined| !is_over(joined));
    }

    /// The part of what stands at this path.
    fn part(&mut self, parts: &mut Parts, path: &str) -> PartId {
        if let Some(joined) = self.joined.get_mut(path) {
            joined.seen = self.documents;
            return joined.part;
        }
        let part = parts.begin(Channel::Content, self.speaker);
        self.joined.insert(path.to_owned(), Joined { part, seen: self.documents });
        part
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
                    let part = self.part(sheet.parts, path);
                    sheet.say(value, part);
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

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        self.document(sheet.parts);
        self.walk(sheet, 0, &mut String::new());
        if sheet.whole {
            sheet.named(0, Channel::Field, self.speaker);
        }
        self.retire(sheet.parts, GAP);
        Ok(())
    }

    fn text(&mut self, parts: &mut Parts) -> Option<PartId> {
        self.document(parts);
        let part = self.part(parts, "");
        self.retire(parts, GAP);
        Some(part)
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
