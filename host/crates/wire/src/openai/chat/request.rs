//! Requests to `chat/completions`: read once they are complete, told in the order in which they are written.
//!
//! What must hold: the bytes that are judged are the bytes that go out, less what was changed, and nothing is written
//! anew that was not.

use model::{Channel, Speaker};

use super::names;
use crate::{
    Malformed, Step,
    case::Spelling,
    documents::Reader,
    json::Kind,
    openai::{
        Wrong,
        inputs::{NOTHING, UNREADABLE},
        terms::{self, Members, Terms},
    },
    parts::Parts,
    seams::List,
    sheet::Sheet,
};

const MEMBERS: Members =
    Members { conversation: &["messages"], tools: &[("tools", "tool_choice"), ("functions", "function_call")] };

/// A request.
#[derive(Debug)]
pub(super) struct Request(Terms);

impl Request {
    /// Sent to this path.
    pub(super) fn at(path: &str) -> Self {
        Self(Terms::new(MEMBERS).at(path))
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
        let wrong = |path: &str, expected| Err(Malformed::Shape { path: path.to_owned(), expected });
        if doc.kind(0) != Kind::Object {
            return wrong("", "an object");
        }
        if !doc.get(0, "messages").is_some_and(|messages| doc.kind(messages) == Kind::Array) {
            return wrong("/messages", "an array");
        }
        sheet.parts.tell(Step::Asked(Box::new(self.0.asked(doc))));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("messages", _) => {
                    for (place, message) in doc.items(value).enumerate() {
                        if let Err(expected) = read_message(sheet, message) {
                            return wrong(&format!("/messages/{place}"), expected);
                        }
                    }
                }
                ("tools" | "functions", Kind::Array) => terms::define(sheet, value),
                ("prediction", Kind::Object) => predict(sheet, value),
                ("model", Kind::Text) if !self.0.at_deployment() => {}
                (name, kind) if UNREADABLE.contains(&name) && kind != Kind::Word => {
                    return wrong(&format!("/{name}"), NOTHING);
                }
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

/// Tells what the answer is expected to be.
fn predict(sheet: &mut Sheet<'_>, prediction: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(prediction) {
        match &*doc.name(key) {
            "type" => sheet.word(value),
            "content" => {
                let mut list = List::default();
                for part in doc.items(value).chain((doc.kind(value) != Kind::Array).then_some(value)) {
                    if read_part(sheet, part, Channel::Content, Speaker::User, &mut list).is_err() {
                        sheet.walk(part, &mut |sheet, node| list.once(sheet, node, Channel::Content, Speaker::User));
                    }
                }
                list.end(sheet.parts);
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// Tells a message.
fn read_message(sheet: &mut Sheet<'_>, message: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(message) != Kind::Object {
        return Err("an object");
    }
    let (channel, speaker) = match doc.text_of(message, "role").as_deref() {
        Some("system") => (Channel::Content, Speaker::System),
        Some("developer") => (Channel::Content, Speaker::Developer),
        Some("assistant") => (Channel::Content, Speaker::Assistant),
        Some("tool" | "function") => (Channel::ToolResult, Speaker::Tool),
        Some(_) => (Channel::Content, Speaker::User),
        None => return Err("a message with a role"),
    };
    for (key, value) in doc.members(message) {
        match (&*doc.name(key), doc.kind(value)) {
            ("role", _) => sheet.word(value),
            ("content", Kind::Text) => sheet.once(value, channel, speaker),
            ("content", Kind::Array) => {
                let mut list = List::default();
                for part in doc.items(value) {
                    read_part(sheet, part, channel, speaker, &mut list)?;
                }
                list.end(sheet.parts);
            }
            ("content", Kind::Object | Kind::Number) => return Err("a message whose content is text or a list"),
            ("refusal", Kind::Text) => sheet.once(value, Channel::Refusal, speaker),
            ("reasoning_content" | "reasoning", Kind::Text) => sheet.once(value, Channel::Reasoning, speaker),
            ("tool_calls", Kind::Array) => doc.items(value).for_each(|call| read_call(sheet, call)),
            ("function_call", Kind::Object) => read_function(sheet, value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Tells one item of a message's content.
fn read_part(
    sheet: &mut Sheet<'_>,
    part: usize,
    channel: Channel,
    speaker: Speaker,
    list: &mut List,
) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(part) != Kind::Object {
        return Err("a message whose content is text or a list of objects");
    }
    // Of a content of another type its text is not what a model reads.
    let kind = doc.text_of(part, "type").unwrap_or_default();
    let is_text = matches!(&*kind, "" | "text" | "input_text" | "output_text");
    for (key, value) in doc.members(part) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("text", Kind::Text) if is_text => list.once(sheet, value, channel, speaker),
            ("text", Kind::Text) => sheet.once(value, channel, speaker),
            ("refusal", Kind::Text) => list.once(sheet, value, Channel::Refusal, speaker),
            ("image_url", Kind::Text) => sheet.bulk(value),
            ("image_url" | "input_audio" | "file", Kind::Object) => read_file(sheet, value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Tells what is said of an image, a sound or a file; its encoded bytes are not text.
fn read_file(sheet: &mut Sheet<'_>, file: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(file) {
        sheet.key(key);
        match &*doc.name(key) {
            "url" | "data" | "file_data" => sheet.bulk(value),
            "format" | "detail" => sheet.word(value),
            _ => sheet.rest(value),
        }
    }
}

/// Tells a tool call of the past.
fn read_call(sheet: &mut Sheet<'_>, call: usize) {
    let doc = sheet.doc;
    if doc.kind(call) != Kind::Object {
        return sheet.rest(call);
    }
    for (key, value) in doc.members(call) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("function" | "custom", Kind::Object) => read_function(sheet, value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

fn read_function(sheet: &mut Sheet<'_>, function: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(function) {
        match (&*doc.name(key), doc.kind(value)) {
            ("name", Kind::Text) => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            ("arguments" | "input", Kind::Text) => sheet.quote(value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
