//! Requests to `/api/chat` and `/api/generate`: read once they are complete, told in the order in which they are written.
//!
//! What must hold: what is judged is what Ollama reads, also where it is less strict about names than JSON is; text that
//! nobody can judge (`context`, which is tokens) does not pass.

use model::{Channel, Speaker};

use super::names;
use crate::{
    Asked, Malformed, Step,
    case::Spelling,
    documents::Reader,
    json::{Doc, Kind},
    openai::terms::{self, Members, Terms},
    parts::Parts,
    sheet::Sheet,
};

const MEMBERS: Members = Members {
    conversation: &["messages", "prompt", "suffix", "system", "template", "images", "context"],
    tools: &[("tools", "tool_choice")],
};

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;

/// A request.
#[derive(Debug)]
pub(super) struct Request(Terms);

impl Default for Request {
    fn default() -> Self {
        Self(Terms::new(MEMBERS))
    }
}

impl Reader for Request {
    fn speaker(&self) -> Speaker {
        Speaker::User
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        Some(&names::SPELLING)
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let wrong = |path: String, expected| Malformed::Shape { path, expected };
        if doc.kind(0) != Kind::Object {
            return Err(wrong(String::new(), "an object"));
        }
        // Ollama streams unless it is told not to.
        let streaming = doc.get(0, "stream").is_none_or(|stream| doc.raw(stream) != "false");
        sheet.parts.tell(Step::Asked(Box::new(Asked { streaming, ..self.0.asked(doc) })));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("messages", Kind::Array) => {
                    for (place, message) in doc.items(value).enumerate() {
                        read_message(sheet, message)
                            .map_err(|expected| wrong(format!("/messages/{place}"), expected))?;
                    }
                }
                ("messages", Kind::Object | Kind::Text | Kind::Number) => {
                    return Err(wrong("/messages".to_owned(), "an array"));
                }
                ("prompt" | "suffix", Kind::Text) => sheet.once(value, Channel::Content, Speaker::User),
                ("system" | "template", Kind::Text) => sheet.once(value, Channel::Content, Speaker::System),
                ("images", Kind::Array) => doc.items(value).for_each(|image| sheet.bulk(image)),
                ("context", _) if says_something(doc, value) => {
                    return Err(wrong("/context".to_owned(), "left out: tokens can't be judged"));
                }
                ("tools", Kind::Array) => terms::define(sheet, value),
                ("model", Kind::Text) => {}
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}

    fn terms(&self) -> Option<&Terms> {
        Some(&self.0)
    }

    fn terms_mut(&mut self) -> Option<&mut Terms> {
        Some(&mut self.0)
    }
}

/// Whether a context is more than none.
fn says_something(doc: Doc<'_>, value: usize) -> bool {
    doc.kind(value) != Kind::Word && !(doc.kind(value) == Kind::Array && doc.items(value).next().is_none())
}

/// Tells a message.
fn read_message(sheet: &mut Sheet<'_>, message: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(message) != Kind::Object {
        return Err("an object");
    }
    let (channel, speaker) = match doc.text_of(message, "role").as_deref() {
        Some("system") => (Channel::Content, Speaker::System),
        Some("assistant") => (Channel::Content, Speaker::Assistant),
        Some("tool") => (Channel::ToolResult, Speaker::Tool),
        Some(_) => (Channel::Content, Speaker::User),
        None => return Err("a message with a role"),
    };
    for (key, value) in doc.members(message) {
        match (&*doc.name(key), doc.kind(value)) {
            ("role", _) => sheet.word(value),
            ("content", Kind::Text) => sheet.once(value, channel, speaker),
            ("content", Kind::Object | Kind::Array | Kind::Number) => return Err("a message whose content is text"),
            ("thinking", Kind::Text) => sheet.once(value, Channel::Reasoning, speaker),
            ("images", Kind::Array) => doc.items(value).for_each(|image| sheet.bulk(image)),
            ("tool_calls", Kind::Array) => {
                doc.items(value).for_each(|call| read_call(sheet, call));
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Tells a tool call of the past.
fn read_call(sheet: &mut Sheet<'_>, call: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(call) {
        if !(doc.name(key) == "function" && doc.kind(value) == Kind::Object) {
            sheet.key(key);
            sheet.rest(value);
            continue;
        }
        for (key, value) in doc.members(value) {
            match (&*doc.name(key), doc.kind(value)) {
                ("name", Kind::Text) => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
                ("arguments", Kind::Text | Kind::Object | Kind::Array) => sheet.quote(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
    }
    if doc.kind(call) != Kind::Object {
        sheet.rest(call);
    }
}
