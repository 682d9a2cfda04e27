//! Requests to `messages` and `messages/count_tokens`: read once they are complete, told in the order in which they
//! are written.
//!
//! What must hold: the bytes that are judged are the bytes that go out, less what was changed, and nothing is written
//! anew that was not.

use std::collections::BTreeSet;

use model::{Channel, Speaker};

use super::{
    block::{self, Voice},
    names, offers,
};
use crate::{
    Asked, Malformed, Step,
    case::Spelling,
    documents::Reader,
    frame::Splice,
    json::{Doc, Kind},
    parts::Parts,
    sheet::Sheet,
    splice::Patch,
};

/// Members that hold conversation or tools; a patch can't touch them, nor turn a whole answer into a stream.
const NOT_PARAMETERS: [&str; 4] = ["messages", "system", "tools", "stream"];

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    removed: BTreeSet<String>,
    patch: Patch,
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
        match asked(doc) {
            Ok(asked) => sheet.parts.tell(Step::Asked(Box::new(asked))),
            Err(path) => return wrong(&path, offers::EXPECTED),
        }
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("messages", _) => {
                    for (place, message) in doc.items(value).enumerate() {
                        if let Err(expected) = read_message(sheet, message) {
                            return wrong(&format!("/messages/{place}"), expected);
                        }
                    }
                }
                ("system", _) => {
                    let system = Voice { channel: Channel::Content, speaker: Speaker::System };
                    if let Err(expected) = read_content(sheet, value, system) {
                        return wrong("/system", expected);
                    }
                }
                ("tools", Kind::Array) => block::define(sheet, value),
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

    fn remove_tools(&mut self, names: &[String]) {
        self.removed.extend(names.iter().cloned());
    }

    fn patch(&mut self, patch: &str) -> Result<(), Malformed> {
        self.patch.add(patch, &NOT_PARAMETERS)
    }

    fn spliced(&self) -> bool {
        !self.removed.is_empty() || !self.patch.is_empty()
    }

    fn splices(&self, doc: Doc<'_>) -> Vec<Splice> {
        let (mut out, gone) = offers::without(doc, &self.removed);
        out.extend(self.patch.splices(doc, &gone));
        out
    }
}

/// What the request asks for; else where a tool is offered that could not be taken out.
fn asked(doc: Doc<'_>) -> Result<Asked, String> {
    let mut asked = Asked { parameters: "{".to_owned(), ..Asked::default() };
    for (key, value) in doc.members(0) {
        match &*doc.name(key) {
            "model" => asked.model = if doc.kind(value) == Kind::Text { doc.name(value).into() } else { String::new() },
            "stream" => asked.streaming = doc.raw(value) == "true",
            "messages" | "system" | "tools" => {}
            _ => {
                if asked.parameters.len() > 1 {
                    asked.parameters.push(',');
                }
                asked.parameters.push_str(doc.raw(key));
                asked.parameters.push(':');
                asked.parameters.push_str(doc.raw(value));
            }
        }
    }
    asked.parameters.push('}');
    offers::tell(doc, &mut asked)?;
    Ok(asked)
}

/// What is wrong with a message: what should stand there.
type Wrong = &'static str;

/// Tells a message.
fn read_message(sheet: &mut Sheet<'_>, message: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(message) != Kind::Object {
        return Err("an object");
    }
    let speaker = match doc.text_of(message, "role").as_deref() {
        Some("system") => Speaker::System,
        Some("assistant") => Speaker::Assistant,
        Some(_) => Speaker::User,
        None => return Err("a message with a role"),
    };
    let voice = Voice { channel: Channel::Content, speaker };
    for (key, value) in doc.members(message) {
        match &*doc.name(key) {
            "role" => sheet.word(value),
            "content" => read_content(sheet, value, voice)?,
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Tells text, or a list of blocks.
fn read_content(sheet: &mut Sheet<'_>, content: usize, voice: Voice) -> Result<(), Wrong> {
    const EXPECTED: Wrong = "text or a list of blocks";
    let doc = sheet.doc;
    match doc.kind(content) {
        Kind::Text => sheet.once(content, voice.channel, voice.speaker),
        Kind::Array => {
            if doc.items(content).any(|item| doc.kind(item) != Kind::Object) {
                return Err(EXPECTED);
            }
            block::all(sheet, doc.items(content), voice);
        }
        Kind::Word if doc.raw(content) == "null" => {}
        _ => return Err(EXPECTED),
    }
    Ok(())
}
