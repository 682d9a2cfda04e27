//! Answers of `messages`: a whole one, and each event of a streamed one.
//!
//! What must hold: events come in an order in which every client joins the same texts; an event is named as its data
//! says, since some clients go by the one and some by the other.

use model::{Channel, Speaker, Usage};

use super::{
    names,
    stream::{Blocks, Wrong},
};
use crate::{
    Malformed,
    case::Spelling,
    documents::Reader,
    json::{Doc, Kind},
    parts::Parts,
    sheet::Sheet,
    strays::Strays,
};

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// No message has begun.
    #[default]
    Before,
    /// Its content comes.
    Within,
    /// It has said why it stopped, or that it failed.
    Stopped,
    /// Nothing more may come.
    Over,
}

/// An answer in progress.
#[derive(Debug, Default)]
pub(super) struct Response {
    blocks: Blocks,
    /// What the dialect does not know, from event to event.
    strays: Strays,
    usage: Tokens,
    progress: Progress,
    /// The name of the event that is read.
    name: Vec<u8>,
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

    /// Some servers end this dialect's streams as OpenAI does.
    fn mark(&mut self, data: &[u8], _parts: &mut Parts) -> bool {
        self.progress == Progress::Over && data.trim_ascii() == b"[DONE]"
    }

    fn named(&mut self, name: &[u8]) {
        self.name.clear();
        self.name.extend_from_slice(name);
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let wrong = |expected| Malformed::Shape { path: String::new(), expected };
        if sheet.doc.kind(0) != Kind::Object {
            return Err(wrong("an object"));
        }
        if sheet.whole { self.message(sheet, 0) } else { self.event(sheet) }.map_err(wrong)
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, parts: &mut Parts) {
        self.blocks.finish(parts);
        self.strays.finish(parts);
    }

    fn usage(&self) -> Usage {
        self.usage.total()
    }

    fn is_over(&self) -> bool {
        self.progress == Progress::Over
    }
}

impl Response {
    fn event(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let kind = doc.text_of(0, "type").unwrap_or_default();
        if kind.as_bytes() != self.name {
            return Err("an event that is named as its data's type says");
        }
        self.advance(&kind)?;
        self.strays.piece();
        if kind == "error" {
            // What was said before is all that clients show.
            self.end(sheet.parts);
        }
        let index = || doc.count_of(0, "index").ok_or("an event with the index of a block");
        let mut stop = false;
        for (key, value) in doc.members(0) {
            match (&*kind, &*doc.name(key), doc.kind(value)) {
                (_, "type", _) => sheet.word(value),
                (_, "index", Kind::Number) => sheet.rest(value),
                ("message_start", "message", Kind::Object) => self.message(sheet, value)?,
                ("content_block_start", "content_block", Kind::Object) => {
                    self.blocks.begin(sheet, index()?, value)?;
                }
                ("content_block_delta", "delta", Kind::Object) => self.blocks.more(sheet, index()?, value)?,
                ("message_delta", "delta", Kind::Object) => stop = self.last(sheet, value),
                (_, "usage", _) => {
                    self.usage.read(doc, value);
                    sheet.counts(value);
                }
                ("content_block_start" | "content_block_delta", "error", _) if doc.has_error() => {
                    return Err("an error in an event of its own");
                }
                (_, "error", _) => error(sheet, value),
                (_, name, _) => {
                    sheet.key(key);
                    self.strays.read(sheet, value, &format!("{kind}/{name}"));
                }
            }
        }
        self.strays.end(sheet.parts);
        if kind == "content_block_stop" {
            self.blocks.stop(sheet, index()?)?;
        }
        if stop {
            self.progress = Progress::Stopped;
            self.blocks.finish(sheet.parts);
        }
        Ok(())
    }

    /// Whether an event of this type may come now, and what it makes of the answer.
    fn advance(&mut self, kind: &str) -> Result<(), Wrong> {
        self.progress = match (self.progress, kind) {
            (progress, "ping") | (progress @ Progress::Over, "error") => progress,
            // Clients stop there, having shown what came before.
            (_, "error") => Progress::Stopped,
            (Progress::Over, _) => return Err("the end, after message_stop"),
            (Progress::Before, "message_start") => Progress::Within,
            (_, "message_start") => return Err("one message"),
            (Progress::Within, "content_block_start" | "content_block_delta" | "content_block_stop") => {
                Progress::Within
            }
            (_, "content_block_start" | "content_block_delta" | "content_block_stop") => {
                return Err("content between message_start and the reason why it stopped, or an error");
            }
            (Progress::Before, "message_delta" | "message_stop") => return Err("message_start first"),
            (_, "message_stop") => Progress::Over,
            (progress, _) => progress,
        };
        Ok(())
    }

    /// A message: a whole one, or what is known of one as it begins.
    fn message(&mut self, sheet: &mut Sheet<'_>, message: usize) -> Result<(), Wrong> {
        let doc = sheet.doc;
        for (key, value) in doc.members(message) {
            match (&*doc.name(key), doc.kind(value)) {
                ("content", Kind::Array) if sheet.whole => {
                    for (index, block) in doc.items(value).enumerate() {
                        self.blocks.begin(sheet, index as u64, block)?;
                        self.blocks.stop(sheet, index as u64)?;
                    }
                }
                // Clients would count the blocks that come on from these.
                ("content", Kind::Array) if doc.items(value).next().is_some() => {
                    return Err("a message that begins with no content");
                }
                ("usage", _) => {
                    self.usage.read(doc, value);
                    sheet.counts(value);
                }
                ("input_tokens", Kind::Number) => {
                    self.usage.read(doc, message);
                    sheet.counts(value);
                }
                ("error", _) => error(sheet, value),
                _ => self.about(sheet, key, value),
            }
        }
        Ok(())
    }

    /// What is known of a message as it ends; whether it says why.
    fn last(&mut self, sheet: &mut Sheet<'_>, delta: usize) -> bool {
        let doc = sheet.doc;
        let mut stop = false;
        for (key, value) in doc.members(delta) {
            stop |= &*doc.name(key) == "stop_reason" && doc.kind(value) == Kind::Text;
            self.about(sheet, key, value);
        }
        stop
    }

    fn about(&self, sheet: &mut Sheet<'_>, key: usize, value: usize) {
        let doc = sheet.doc;
        match (&*doc.name(key), doc.kind(value)) {
            ("type" | "role" | "stop_reason", _) => sheet.word(value),
            ("stop_details", Kind::Object) => {
                for (key, value) in doc.members(value) {
                    match (&*doc.name(key), doc.kind(value)) {
                        ("explanation", Kind::Text) => sheet.once(value, Channel::Refusal, Speaker::Assistant),
                        ("type" | "category", _) => sheet.word(value),
                        _ => {
                            sheet.key(key);
                            sheet.rest(value);
                        }
                    }
                }
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// Tokens as the provider counts them: what was read from a cache or put into one is counted apart from the rest of
/// the input, and each figure stands until it is told anew.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    input: u32,
    cache_creation: u32,
    cache_read: u32,
    output: u32,
}

impl Tokens {
    fn read(&mut self, doc: Doc<'_>, usage: usize) {
        let take = |into: &mut u32, name| {
            if let Some(count) = doc.count_of(usage, name) {
                *into = u32::try_from(count).unwrap_or(u32::MAX);
            }
        };
        take(&mut self.input, "input_tokens");
        take(&mut self.cache_creation, "cache_creation_input_tokens");
        take(&mut self.cache_read, "cache_read_input_tokens");
        take(&mut self.output, "output_tokens");
    }

    fn total(self) -> Usage {
        Usage {
            input_tokens: self.input.saturating_add(self.cache_creation).saturating_add(self.cache_read),
            output_tokens: self.output,
        }
    }
}

/// An error object, of an error answer or in the middle of a stream.
fn error(sheet: &mut Sheet<'_>, error: usize) {
    let doc = sheet.doc;
    match doc.kind(error) {
        Kind::Text => sheet.once(error, Channel::Error, Speaker::Provider),
        Kind::Object => {
            for (key, value) in doc.members(error) {
                match (&*doc.name(key), doc.kind(value)) {
                    ("message", Kind::Text) => sheet.once(value, Channel::Error, Speaker::Provider),
                    ("type", _) => sheet.word(value),
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
