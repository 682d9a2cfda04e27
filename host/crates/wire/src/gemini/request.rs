//! Requests: read once they are complete, told in the order in which they are written.
//!
//! What must hold: what is judged is what Google reads, which takes each name in two spellings and one object for a list
//! of one; the model is the one that the path names.

use std::{borrow::Cow, collections::BTreeSet};

use model::{Channel, Speaker};

use super::names::{self, camel};
use crate::{
    Asked, Malformed, Step, Tool,
    case::Spelling,
    documents::Reader,
    frame::Splice,
    hosted,
    json::{Doc, Kind},
    parts::Parts,
    seams::List,
    sheet::Sheet,
    splice::{self, Patch},
};

/// Members that are no parameters: a patch can't touch them.
const NOT_PARAMETERS: [&str; 8] = [
    "contents",
    "content",
    "systemInstruction",
    "system_instruction",
    "tools",
    "model",
    "requests",
    "generateContentRequest",
];

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    model: String,
    streaming: bool,
    removed: BTreeSet<String>,
    patch: Patch,
}

impl Request {
    /// To the model that the path names.
    pub(super) fn new(model: &str, streaming: bool) -> Self {
        Self { model: model.to_owned(), streaming, removed: BTreeSet::new(), patch: Patch::default() }
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
        sheet.parts.tell(Step::Asked(Box::new(self.asked(sheet.doc))));
        self.object(sheet, 0).map_err(|(path, expected)| Malformed::Shape { path, expected })
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
        if let Some(list) = doc.get(0, "tools") {
            let left: Vec<bool> = each(doc, list).map(|item| self.keep(doc, item, &mut out)).collect();
            if !left.contains(&true) {
                gone.extend(["tools", "toolConfig", "tool_config"]);
            } else if doc.kind(list) == Kind::Array {
                out.extend(splice::items(doc, list, &left.iter().map(|left| !left).collect::<Vec<_>>()));
            }
            for config in ["toolConfig", "tool_config"] {
                gone.extend(doc.get(0, config).filter(|&config| self.names_removed(doc, config)).map(|_| config));
            }
        }
        out.extend(self.patch.splices(doc, &gone));
        out
    }
}

impl Request {
    fn asked(&self, doc: Doc<'_>) -> Asked {
        let mut asked = Asked { model: self.model.clone(), streaming: self.streaming, ..Asked::default() };
        let mut parameters = Vec::new();
        for (key, value) in doc.members(0) {
            match &*doc.name(key) {
                "tools" => {
                    each(doc, value).for_each(|item| tools(doc, item, &mut asked.tools));
                    hosted::models(doc, value, &mut asked.tool_models);
                }
                name if NOT_PARAMETERS.contains(&name) || NOT_PARAMETERS.contains(&&*camel(name)) => {}
                _ => parameters.push(format!("{}:{}", doc.raw(key), doc.raw(value))),
            }
        }
        asked.parameters = format!("{{{}}}", parameters.join(","));
        asked
    }

    /// Reads a request, or one inside of another.
    fn object(&self, sheet: &mut Sheet<'_>, object: usize) -> Result<(), (String, Wrong)> {
        let doc = sheet.doc;
        if doc.kind(object) != Kind::Object {
            return Err((String::new(), "an object"));
        }
        for (key, value) in doc.members(object) {
            let name = doc.name(key);
            let wrong = |expected| (format!("/{name}"), expected);
            match (&*camel(&name), doc.kind(value)) {
                ("contents" | "content", _) => contents(sheet, value, Speaker::User).map_err(wrong)?,
                ("systemInstruction", _) => contents(sheet, value, Speaker::System).map_err(wrong)?,
                ("tools", Kind::Array | Kind::Object) => sheet.walk(value, &mut |sheet, node| {
                    sheet.once(node, Channel::ToolDefinition, Speaker::Developer);
                }),
                ("generateContentRequest", Kind::Object) => self.object(sheet, value)?,
                ("requests", Kind::Array) => doc.items(value).try_for_each(|item| self.object(sheet, item))?,
                ("model", Kind::Text) => {
                    let model = doc.name(value);
                    self.check_model(&model).map_err(wrong)?;
                    if !is_plain(&model) {
                        sheet.rest(value);
                    }
                }
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    /// The scope of a credential is checked against the path's model: no other may be asked.
    fn check_model(&self, model: &str) -> Result<(), Wrong> {
        let name = model.rsplit('/').next().unwrap_or(model);
        if name == self.model { Ok(()) } else { Err("the model that the path names") }
    }

    /// Whether anything of an item of `tools` stays; what goes of one that stays is put into `out`.
    fn keep(&self, doc: Doc<'_>, item: usize, out: &mut Vec<Splice>) -> bool {
        let (mut stays, mut gone) = (false, Vec::new());
        for (key, value) in doc.members(item) {
            let name = doc.name(key);
            if camel(&name) != "functionDeclarations" {
                if self.removed.contains(&*camel(&name)) {
                    gone.push(name);
                } else {
                    stays = true;
                }
                continue;
            }
            let removed: Vec<bool> =
                each(doc, value).map(|tool| self.removed.contains(&*function_name(doc, tool))).collect();
            if removed.iter().all(|&removed| removed) && !removed.is_empty() {
                gone.push(name);
            } else {
                stays = true;
                out.extend(splice::items(doc, value, &removed));
            }
        }
        if stays && !gone.is_empty() {
            out.extend(splice::members(doc, item, &gone.iter().map(|name| &**name).collect::<Vec<_>>()));
        }
        stays
    }

    /// Whether a tool configuration names a tool that was taken away.
    fn names_removed(&self, doc: Doc<'_>, config: usize) -> bool {
        let mut inside = config + 1..doc.nodes[config].after as usize;
        inside.any(|node| doc.kind(node) == Kind::Text && self.removed.contains(&*doc.name(node)))
    }
}

/// Whether a model's name says nothing before what is checked.
fn is_plain(model: &str) -> bool {
    model.rsplit_once('/').is_none_or(|(before, _)| matches!(before, "models" | "publishers/google/models"))
}

/// The items of a list; Google takes what is no list for a list of one.
pub(super) fn each(doc: Doc<'_>, value: usize) -> impl Iterator<Item = usize> {
    let alone = (doc.kind(value) != Kind::Array).then_some(value);
    doc.items(value).chain(alone)
}

/// The tools of an item of `tools`: its declarations, and what the server has built in.
fn tools(doc: Doc<'_>, item: usize, out: &mut Vec<Tool>) {
    for (key, value) in doc.members(item) {
        let name = doc.name(key);
        if camel(&name) != "functionDeclarations" {
            out.push(Tool { name: camel(&name).into_owned(), ..Tool::default() });
            continue;
        }
        for tool in each(doc, value) {
            let schema = ["parameters", "parametersJsonSchema", "parameters_json_schema"];
            let schema = schema.into_iter().find_map(|name| doc.get(tool, name));
            out.push(Tool {
                name: function_name(doc, tool).into_owned(),
                description: doc.text_of(tool, "description").unwrap_or_default().into_owned(),
                parameters: schema.map(|schema| doc.raw(schema).to_owned()).unwrap_or_default(),
            });
        }
    }
}

/// The name of a declared function; empty where there is none.
fn function_name<'a>(doc: Doc<'a>, function: usize) -> Cow<'a, str> {
    doc.text_of(function, "name").unwrap_or_default()
}

/// Tells contents: a list of turns, or one.
fn contents(sheet: &mut Sheet<'_>, value: usize, speaker: Speaker) -> Result<(), Wrong> {
    let doc = sheet.doc;
    for turn in each(doc, value) {
        match doc.kind(turn) {
            Kind::Object => {}
            Kind::Word => continue,
            _ => return Err("a list of objects"),
        }
        let speaker = match doc.text_of(turn, "role").as_deref() {
            Some("model") => Speaker::Assistant,
            Some("function" | "tool") => Speaker::Tool,
            _ => speaker,
        };
        for (key, value) in doc.members(turn) {
            match (&*doc.name(key), doc.kind(value)) {
                ("role", _) => sheet.word(value),
                ("parts", _) => {
                    let mut list = List::default();
                    each(doc, value).try_for_each(|part| read_part(sheet, part, speaker, &mut list))?;
                    list.end(sheet.parts);
                }
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
    }
    Ok(())
}

/// Tells one part of a turn.
fn read_part(sheet: &mut Sheet<'_>, part: usize, speaker: Speaker, list: &mut List) -> Result<(), Wrong> {
    let doc = sheet.doc;
    match doc.kind(part) {
        Kind::Object => {}
        Kind::Word => return Ok(()),
        _ => return Err("contents whose parts are objects"),
    }
    let thought = is_thought(doc, part)?;
    let text = if thought { Channel::Reasoning } else { Channel::Content };
    for (key, value) in doc.members(part) {
        match (&*camel(&doc.name(key)), doc.kind(value)) {
            ("text", Kind::Text) => list.once(sheet, value, text, speaker),
            ("thoughtSignature", _) => sheet.bulk(value),
            ("inlineData", Kind::Object) => file(sheet, value),
            ("functionCall", Kind::Object) => call(sheet, value),
            ("functionResponse", Kind::Object) => sheet.all(value, Channel::ToolResult, Speaker::Tool),
            ("executableCode", Kind::Object) => code(sheet, value, Channel::Content, speaker),
            ("codeExecutionResult", Kind::Object) => code(sheet, value, Channel::ToolResult, Speaker::Tool),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
    Ok(())
}

/// Whether a part is a thought. Clients of some languages take any value but an empty one for true, and others do not.
pub(super) fn is_thought(doc: Doc<'_>, part: usize) -> Result<bool, Wrong> {
    match doc.get(part, "thought").map(|thought| doc.raw(thought)) {
        None | Some("false" | "null") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err("parts whose thought is true or false"),
    }
}

/// Tells what is said of an encoded file; its bytes are not text.
pub(super) fn file(sheet: &mut Sheet<'_>, file: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(file) {
        sheet.key(key);
        if doc.name(key) == "data" {
            sheet.bulk_of(value, file, &["mimeType", "mime_type"]);
        } else {
            sheet.rest(value);
        }
    }
}

/// Tells a function call of the past.
fn call(sheet: &mut Sheet<'_>, value: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(value) {
        match (&*doc.name(key), doc.kind(value)) {
            ("name", Kind::Text) => sheet.once(value, Channel::ToolInput, Speaker::Assistant),
            ("args", Kind::Object | Kind::Array | Kind::Text) => sheet.quote(value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}

/// Tells code, or what it came to.
fn code(sheet: &mut Sheet<'_>, value: usize, channel: Channel, speaker: Speaker) {
    let doc = sheet.doc;
    for (key, value) in doc.members(value) {
        match (&*doc.name(key), doc.kind(value)) {
            ("code" | "output", Kind::Text) => sheet.once(value, channel, speaker),
            ("language" | "outcome", _) => sheet.word(value),
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
