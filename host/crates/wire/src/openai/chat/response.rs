//! Answers of `chat/completions`: a whole one, and each event of a streamed one, are read by the same code.

use std::collections::BTreeMap;

use model::{Speaker, Usage};

use super::{names, stream::Choice};
use crate::{Malformed, documents::Reader, json::Kind, openai::errors, parts::Parts, sheet::Sheet};

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Response {
    choices: BTreeMap<u64, Choice>,
    usage: Usage,
    done: bool,
    /// Whether it tells of an error, and so may have no body.
    failed: bool,
}

/// Choices that one answer may have.
const CHOICES: usize = 1024;

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

    fn mark(&mut self, data: &[u8], parts: &mut Parts) -> bool {
        if data.trim_ascii() != b"[DONE]" {
            return false;
        }
        self.end(parts);
        self.done = true;
        true
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if self.done {
            // SDKs stop reading there; text behind it would never be joined with what came before.
            return Err(Malformed::Shape { path: String::new(), expected: "the end, after [DONE]" });
        }
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("choices", Kind::Array) => {
                    for (place, choice) in doc.items(value).enumerate() {
                        self.choice(sheet, place, choice)?;
                    }
                }
                ("usage", _) => {
                    self.count(sheet, value);
                    sheet.counts(value);
                }
                ("error", _) => errors::tell(sheet, value),
                ("created", Kind::Number) => {}
                ("object", _) => sheet.word(value),
                ("id" | "model" | "system_fingerprint" | "service_tier" | "provider", _) => sheet.rest(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        for choice in self.choices.values_mut() {
            choice.finish(parts);
        }
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

impl Response {
    fn choice(&mut self, sheet: &mut Sheet<'_>, place: usize, choice: usize) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let wrong = |expected| Err(Malformed::Shape { path: format!("/choices/{place}"), expected });
        if doc.kind(choice) != Kind::Object {
            return wrong("an object");
        }
        let index = match doc.get(choice, "index") {
            None => place as u64,
            Some(value) => match doc.raw(value).parse() {
                Ok(index) => index,
                Err(_) => return wrong("a choice with a whole number as its index"),
            },
        };
        if self.choices.len() >= CHOICES && !self.choices.contains_key(&index) {
            return Err(Malformed::TooLarge { bound: "choices", limit: CHOICES });
        }
        match self.choices.entry(index).or_default().read(sheet, choice) {
            Ok(()) => Ok(()),
            Err(expected) => wrong(expected),
        }
    }

    fn count(&mut self, sheet: &Sheet<'_>, usage: usize) {
        let count = |name| sheet.doc.count_of(usage, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.usage.input_tokens = count("prompt_tokens").unwrap_or(self.usage.input_tokens);
        self.usage.output_tokens = count("completion_tokens").unwrap_or(self.usage.output_tokens);
    }
}
