//! Requests to `chat/completions`: read once they are complete, told in the order in which they are written.
//!
//! What must hold: the bytes that are judged are the bytes that go out, less what was changed, and nothing is written
//! anew that was not.

use std::{borrow::Cow, collections::BTreeSet};

use model::{Channel, Speaker};

use super::names;
use crate::{
    Asked, Malformed, Step, Tool,
    documents::Reader,
    frame::Splice,
    json::{Doc, Kind},
    nested::Nested,
    parts::Parts,
    sheet::Sheet,
    splice::{self, Patch},
};

/// Members that hold conversation or tools; a patch can't touch them, nor turn a whole answer into a stream.
const NOT_PARAMETERS: [&str; 4] = ["messages", "tools", "functions", "stream"];

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

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        let wrong = |path: &str, expected| Err(Malformed::Shape { path: path.to_owned(), expected });
        if doc.kind(0) != Kind::Object {
            return wrong("", "an object");
        }
        if !doc.get(0, "messages").is_some_and(|messages| doc.kind(messages) == Kind::Array) {
            return wrong("/messages", "an array");
        }
        sheet.parts.tell(Step::Asked(asked(doc)));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("messages", _) => {
                    for (place, message) in doc.items(value).enumerate() {
                        if let Err(expected) = read_message(sheet, message) {
                            return wrong(&format!("/messages/{place}"), expected);
                        }
                    }
                }
                ("tools" | "functions", Kind::Array) => define(sheet, value),
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
        for (list, choice) in [("tools", "tool_choice"), ("functions", "function_call")] {
            let Some(array) = doc.get(0, list).filter(|&list| doc.kind(list) == Kind::Array) else {
                continue;
            };
            let removed: Vec<bool> =
                doc.items(array).map(|tool| self.removed.contains(&*tool_name(doc, tool))).collect();
            if !removed.contains(&true) {
                continue;
            }
            if removed.iter().all(|&removed| removed) {
                // Servers refuse an empty list, and a choice where there is nothing to choose from.
                gone.extend([list, choice]);
                gone.extend((list == "tools").then_some("parallel_tool_calls"));
            } else {
                out.extend(splice::items(doc, array, &removed));
                gone.extend(doc.get(0, choice).filter(|&value| self.chooses_removed(doc, value)).map(|_| choice));
            }
        }
        out.extend(self.patch.splices(doc, &gone));
        out
    }
}

impl Request {
    /// Whether a tool choice names a tool that was taken away.
    fn chooses_removed(&self, doc: Doc<'_>, choice: usize) -> bool {
        let inside = choice + 1..doc.nodes[choice].after as usize;
        inside.into_iter().any(|node| doc.kind(node) == Kind::Text && self.removed.contains(&*doc.name(node)))
    }
}

/// What the request asks for.
fn asked(doc: Doc<'_>) -> Asked {
    let mut asked = Asked { parameters: "{".to_owned(), ..Asked::default() };
    for (key, value) in doc.members(0) {
        match &*doc.name(key) {
            "model" => asked.model = if doc.kind(value) == Kind::Text { doc.name(value).into() } else { String::new() },
            "stream" => asked.streaming = doc.raw(value) == "true",
            "tools" | "functions" => asked.tools.extend(doc.items(value).map(|item| tool(doc, item))),
            "messages" => {}
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

/// The object that says what a tool is: inside `function` or `custom`, or the item itself.
fn definition(doc: Doc<'_>, item: usize) -> usize {
    doc.get(item, "function").or_else(|| doc.get(item, "custom")).unwrap_or(item)
}

fn tool_name<'a>(doc: Doc<'a>, item: usize) -> Cow<'a, str> {
    let definition = definition(doc, item);
    // Tools that the server has built in have no name but their type.
    doc.text_of(definition, "name").or_else(|| doc.text_of(item, "type")).unwrap_or_default()
}

fn tool(doc: Doc<'_>, item: usize) -> Tool {
    let definition = definition(doc, item);
    let schema = doc.get(definition, "parameters").or_else(|| doc.get(definition, "format"));
    Tool {
        name: tool_name(doc, item).into_owned(),
        description: doc.text_of(definition, "description").unwrap_or_default().into_owned(),
        parameters: schema.map(|schema| doc.raw(schema).to_owned()).unwrap_or_default(),
    }
}

/// Tells the definitions of tools.
fn define(sheet: &mut Sheet<'_>, tools: usize) {
    sheet.walk(tools, true, &mut |sheet, node| {
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
                for part in doc.items(value) {
                    read_part(sheet, part, channel, speaker)?;
                }
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
fn read_part(sheet: &mut Sheet<'_>, part: usize, channel: Channel, speaker: Speaker) -> Result<(), Wrong> {
    let doc = sheet.doc;
    if doc.kind(part) != Kind::Object {
        return Err("a message whose content is text or a list of objects");
    }
    for (key, value) in doc.members(part) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("text", Kind::Text) => sheet.once(value, channel, speaker),
            ("refusal", Kind::Text) => sheet.once(value, Channel::Refusal, speaker),
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
            ("arguments" | "input", Kind::Text) => {
                let call = sheet.parts.begin_call(Nested::quoted());
                sheet.fill(value, call, true);
                sheet.parts.complete_call(call);
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
