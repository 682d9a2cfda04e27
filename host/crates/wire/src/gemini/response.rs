//! Answers: a whole one, each event and each item of an array are read by the same code.

use std::collections::BTreeMap;

use model::{Channel, Speaker, Usage};

use super::{
    names::{self, camel},
    request::each,
    stream::Candidate,
};
use crate::{
    Malformed,
    case::Spelling,
    documents::Reader,
    json::Kind,
    parts::Parts,
    sheet::{Indices, Sheet},
    strays::Strays,
    typed::{Forms, Member, Type},
};

/// What the members of an event are to clients that check it.
const EVENT: &[Member] = &[
    ("responseId", Type::Text),
    ("modelVersion", Type::Text),
    ("createTime", Type::Text),
    ("usageMetadata", Type::Object(USAGE)),
    ("promptFeedback", Type::Object(&[])),
    ("candidates", Type::List(CANDIDATE)),
];

const USAGE: &[Member] = &[
    ("promptTokenCount", Type::Number),
    ("cachedContentTokenCount", Type::Number),
    ("candidatesTokenCount", Type::Number),
    ("thoughtsTokenCount", Type::Number),
    ("totalTokenCount", Type::Number),
];

const CANDIDATE: &[Member] = &[
    ("content", Type::Object(&[("role", Type::Text), ("parts", Type::List(PART))])),
    ("finishReason", Type::Text),
    ("finishMessage", Type::Text),
    ("safetyRatings", Type::List(&[])),
    ("citationMetadata", Type::Object(&[])),
    ("groundingMetadata", Type::Object(&[])),
    ("urlContextMetadata", Type::Object(&[])),
];

const PART: &[Member] = &[
    ("text", Type::Text),
    ("thought", Type::Flag),
    ("thoughtSignature", Type::Text),
    ("functionCall", Type::Object(&[("id", Type::Text), ("name", Type::Text)])),
    ("inlineData", Type::Object(&[("mimeType", Type::Text), ("data", Type::Text)])),
    ("executableCode", Type::Object(&[("language", Type::Text), ("code", Type::Text)])),
    ("codeExecutionResult", Type::Object(&[("outcome", Type::Text), ("output", Type::Text)])),
];

/// Candidates that one answer may have.
const CANDIDATES: usize = 1024;

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Response {
    candidates: BTreeMap<u64, Candidate>,
    /// What the dialect does not know, from piece to piece.
    strays: Strays,
    forms: Forms,
    usage: Usage,
    /// An error came, at which clients stop.
    broken: bool,
    /// Whether it tells of an error, and so may have no body.
    failed: bool,
}

impl Response {
    /// The answer with this HTTP status.
    pub(super) fn new(status: u16) -> Self {
        Self { failed: status >= 400, ..Self::default() }
    }
}

impl Reader for Response {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        (!self.failed).then_some(&names::SPELLING)
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        if !sheet.whole {
            self.forms.event(doc, EVENT, camel);
            if doc.has_error() {
                // What was said before is all that clients show.
                self.end(sheet.parts);
                self.broken = true;
            }
        }
        self.strays.piece();
        for (key, value) in doc.members(0) {
            match (&*camel(&doc.name(key)), doc.kind(value)) {
                ("candidates", Kind::Array) => {
                    let mut seen = Indices::default();
                    for (place, candidate) in doc.items(value).enumerate() {
                        self.candidate(sheet, place, candidate, &mut seen)?;
                    }
                }
                ("usageMetadata", _) => {
                    self.count(sheet, value);
                    sheet.counts(value);
                }
                ("error", _) => error(sheet, value),
                ("createTime", _) => sheet.fresh(value),
                (name @ ("modelVersion" | "responseId" | "promptFeedback"), _) => {
                    self.strays.again(sheet, value, name);
                }
                (name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, name);
                }
            }
        }
        self.strays.end(sheet.parts);
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        self.candidates.values_mut().for_each(|candidate| candidate.end(parts));
        self.strays.finish(parts);
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

impl Response {
    fn candidate(
        &mut self,
        sheet: &mut Sheet<'_>,
        place: usize,
        candidate: usize,
        seen: &mut Indices,
    ) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let wrong = |expected| Malformed::Shape { path: format!("/candidates/{place}"), expected };
        if doc.kind(candidate) != Kind::Object {
            return Err(wrong("an object"));
        }
        // Google leaves out an index that is 0.
        let index = seen.index(sheet, place, doc.get(candidate, "index")).map_err(wrong)?;
        if self.candidates.len() >= CANDIDATES && !self.candidates.contains_key(&index) {
            return Err(Malformed::TooLarge { bound: "candidates", limit: CANDIDATES });
        }
        let content = names::get(doc, candidate, "content");
        if !sheet.whole
            && content.and_then(|content| names::get(doc, content, "parts")).is_some_and(|parts| doc.is_filled(parts))
        {
            if self.broken {
                return Err(wrong("no text and no calls, in an error and behind it"));
            }
            self.forms.piece(index).map_err(wrong)?;
        }
        self.candidates.entry(index).or_default().read(sheet, candidate).map_err(wrong)
    }

    fn count(&mut self, sheet: &Sheet<'_>, usage: usize) {
        let count = |name| {
            let count = names::get(sheet.doc, usage, name).and_then(|value| sheet.doc.raw(value).parse::<u64>().ok());
            count.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        self.usage.input_tokens = count("promptTokenCount").unwrap_or(self.usage.input_tokens);
        if let Some(said) = count("candidatesTokenCount") {
            self.usage.output_tokens = said.saturating_add(count("thoughtsTokenCount").unwrap_or(0));
        }
    }
}

/// Tells an error object, of an error answer or in the middle of a stream.
pub(super) fn error(sheet: &mut Sheet<'_>, error: usize) {
    let doc = sheet.doc;
    for error in each(doc, error) {
        match doc.kind(error) {
            Kind::Text => sheet.once(error, Channel::Error, Speaker::Provider),
            Kind::Object => {
                for (key, value) in doc.members(error) {
                    match (&*doc.name(key), doc.kind(value)) {
                        ("message", Kind::Text) => sheet.once(value, Channel::Error, Speaker::Provider),
                        ("status", _) => sheet.word(value),
                        _ => {
                            sheet.key(key);
                            sheet.rest(value);
                        }
                    }
                }
            }
            _ => sheet.rest(error),
        }
    }
}
