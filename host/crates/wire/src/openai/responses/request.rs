//! Requests to `responses`, and the list of what a stored response was asked with: read once they are complete.
//!
//! What must hold: the bytes that are judged are the bytes that go out, less what was changed.

use model::{Channel, Speaker};

use super::{
    items::{self, Listener, Proposal, Spot},
    names,
};
use crate::{
    Malformed, Step,
    case::Spelling,
    documents::Reader,
    json::Kind,
    openai::{
        Wrong, errors,
        inputs::{NOTHING, UNREADABLE},
        logprobs::Spoken,
        terms::{self, Members, Terms},
    },
    parts::Parts,
    seams::List,
    sheet::Sheet,
};

const MEMBERS: Members =
    Members { conversation: &["input", "instructions", "prompt"], tools: &[("tools", "tool_choice")] };

/// A request.
#[derive(Debug)]
pub(super) struct Request(Terms);

impl Request {
    /// Sent to this path.
    pub(super) fn at(path: &str) -> Self {
        Self(Terms::new(MEMBERS).at(path))
    }
}

/// Takes an item of the past: each text is a part of its own, each call is told by its parts.
#[derive(Default)]
struct Quotes(List);

impl Listener for Quotes {
    fn text(&mut self, sheet: &mut Sheet<'_>, node: usize, spot: Spot) -> Result<Option<Spoken>, Wrong> {
        let (part, range) = sheet.alone(node, spot.channel, spot.speaker);
        if spot.what.joins() {
            self.0.note(sheet, node, (spot.channel, spot.speaker), part, range.clone());
        }
        Ok(Some(Spoken { node, part, range }))
    }

    fn joins(&self, kind: &str) -> bool {
        matches!(kind, "" | "input_text" | "output_text" | "text")
    }

    fn call(&mut self, sheet: &mut Sheet<'_>, proposal: Proposal<'_>) -> Result<(), Wrong> {
        if let Some((_, Some(name))) = proposal.name {
            sheet.once(name, Channel::ToolInput, Speaker::Assistant);
        }
        if let Some(input) = proposal.input {
            sheet.quote(input);
        }
        Ok(())
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
        let wrong = |path: String, expected| Err(Malformed::Shape { path, expected });
        if doc.kind(0) != Kind::Object {
            return wrong(String::new(), "an object");
        }
        sheet.parts.tell(Step::Asked(Box::new(self.0.asked(doc))));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("input", Kind::Text) => sheet.once(value, Channel::Content, Speaker::User),
                ("input", Kind::Array) => {
                    for (place, item) in doc.items(value).enumerate() {
                        if let Err(expected) = read_item(sheet, item) {
                            return wrong(format!("/input/{place}"), expected);
                        }
                    }
                }
                ("input", Kind::Object | Kind::Number) => return wrong("/input".into(), "text or a list of items"),
                ("instructions", Kind::Text) => sheet.once(value, Channel::Content, Speaker::System),
                ("prompt", Kind::Object) => prompt(sheet, value),
                ("tools", Kind::Array) => terms::define(sheet, value),
                ("model", Kind::Text) if !self.0.at_deployment() => {}
                (name, kind) if UNREADABLE.contains(&name) && kind != Kind::Word => {
                    return wrong(format!("/{name}"), NOTHING);
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

fn read_item(sheet: &mut Sheet<'_>, item: usize) -> Result<(), Wrong> {
    let mut quotes = Quotes::default();
    items::read(sheet, item, &mut quotes)?;
    quotes.0.end(sheet.parts);
    Ok(())
}

/// Tells what a stored prompt is filled with.
fn prompt(sheet: &mut Sheet<'_>, prompt: usize) {
    let doc = sheet.doc;
    for (key, value) in doc.members(prompt) {
        sheet.key(key);
        if doc.name(key) == "variables" {
            sheet.walk(value, &mut |sheet, node| {
                if !sheet.is_file(node) {
                    sheet.once(node, Channel::Content, Speaker::User);
                }
            });
        } else {
            sheet.rest(value);
        }
    }
}

/// The list of what a stored response was asked with.
#[derive(Debug)]
pub(super) struct InputItems;

impl Reader for InputItems {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        Some(&names::SPELLING)
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("data", Kind::Array) => {
                    for (place, item) in doc.items(value).enumerate() {
                        read_item(sheet, item)
                            .map_err(|expected| Malformed::Shape { path: format!("/data/{place}"), expected })?;
                    }
                }
                ("error", _) => errors::tell(sheet, value),
                ("object", _) => sheet.word(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}
}
