//! Requests to `messages` and `messages/count_tokens`: read once they are complete, told in the order in which they
//! are written.
//!
//! What must hold: the bytes that are judged are the bytes that go out, less what was changed, and nothing is written
//! anew that was not.

use std::{borrow::Cow, collections::BTreeSet};

use model::{Channel, Speaker};

use super::{
    block::{self, Voice},
    names,
};
use crate::{
    Asked, Malformed, Step, Tool,
    case::Spelling,
    documents::Reader,
    frame::Splice,
    hosted,
    json::{Doc, Kind},
    parts::Parts,
    sheet::Sheet,
    splice::{self, Patch},
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
        sheet.parts.tell(Step::Asked(Box::new(asked(doc))));
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
                ("tools", Kind::Array) => define(sheet, value),
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
        let mut out = Vec::new();
        let mut gone: Vec<&str> = Vec::new();
        if let Some(array) = doc.get(0, "tools").filter(|&tools| doc.kind(tools) == Kind::Array) {
            let taken = |tool| named(doc, tool).any(|name| self.removed.contains(&*name));
            let removed: Vec<bool> = doc.items(array).map(taken).collect();
            if !removed.is_empty() && removed.iter().all(|&removed| removed) {
                // The API refuses a choice where there is nothing to choose from.
                gone.extend(["tools", "tool_choice"]);
            } else if removed.contains(&true) {
                out.extend(splice::items(doc, array, &removed));
                let choice = doc.get(0, "tool_choice").and_then(|choice| doc.text_of(choice, "name"));
                gone.extend(choice.filter(|name| self.removed.contains(&**name)).map(|_| "tool_choice"));
            }
        }
        out.extend(self.patch.splices(doc, &gone));
        out
    }
}

/// What the request asks for.
fn asked(doc: Doc<'_>) -> Asked {
    let mut asked = Asked { parameters: "{".to_owned(), ..Asked::default() };
    for (key, value) in doc.members(0) {
        match &*doc.name(key) {
            "model" => asked.model = if doc.kind(value) == Kind::Text { doc.name(value).into() } else { String::new() },
            "stream" => asked.streaming = doc.raw(value) == "true",
            "tools" => {
                doc.items(value).for_each(|item| tool(doc, item, &mut asked.tools));
                hosted::models(doc, value, &mut asked.tool_models);
            }
            "messages" | "system" => {}
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
    asked
}

/// All names of a tool: its name, and its type where that says of a tool of the server's something else. A set of tools has
/// no name but its type, and those of the tools that it lists. Where there is none it is empty.
fn named<'a>(doc: Doc<'a>, item: usize) -> impl Iterator<Item = Cow<'a, str>> {
    let name = doc.text_of(item, "name");
    let kind = doc.text_of(item, "type").filter(|kind| !name.as_ref().is_some_and(|name| is_of(kind, name)));
    let none = (name.is_none() && kind.is_none()).then(Cow::default);
    name.into_iter().chain(kind).chain(none).chain(hosted::listed(doc, item))
}

/// Whether a type says no more than a name does: it is that of the caller's own tools, or the name with a date behind it.
fn is_of(kind: &str, name: &str) -> bool {
    let date = kind.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
    kind == "custom" || kind == name || date.is_some_and(|date| date.bytes().all(|byte| byte.is_ascii_digit()))
}

fn tool(doc: Doc<'_>, item: usize, out: &mut Vec<Tool>) {
    let description = doc.text_of(item, "description").unwrap_or_default();
    let schema = doc.get(item, "input_schema").map(|schema| doc.raw(schema)).unwrap_or_default();
    out.extend(named(doc, item).map(|name| Tool {
        name: name.into_owned(),
        description: description.clone().into_owned(),
        parameters: schema.to_owned(),
    }));
}

/// Tells the definitions of tools.
fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, &mut |sheet, node| {
        sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
    });
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
