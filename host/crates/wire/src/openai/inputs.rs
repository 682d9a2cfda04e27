//! Requests whose conversation is text or a list of texts: completions, embeddings, moderations.
//!
//! What must hold: numbers of tokens are text that can't be judged, and so are refused.

use model::{Channel, Speaker};

use super::{
    Wrong, names,
    terms::{Members, Terms},
};
use crate::{Malformed, Step, case::Spelling, documents::Reader, json::Kind, parts::Parts, seams::List, sheet::Sheet};

/// Members of some servers' requests that hold the conversation as tokens or vectors.
pub(super) const UNREADABLE: [&str; 4] = ["prompt_token_ids", "prompt_embeds", "input_ids", "input_embeds"];

/// What should stand in them.
pub(super) const NOTHING: Wrong = "nothing (tokens and vectors can't be judged)";

const TOKENS: Wrong = "text or a list of texts (numbers of tokens can't be judged)";

/// A request.
#[derive(Debug)]
pub(super) struct Inputs {
    members: &'static [&'static str],
    terms: Terms,
}

impl Inputs {
    /// Sent to this path, with the conversation in these members.
    pub(super) fn at(path: &str, members: &'static [&'static str]) -> Self {
        Self { members, terms: Terms::new(Members { conversation: members, tools: &[] }).at(path) }
    }
}

impl Reader for Inputs {
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
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        sheet.parts.tell(Step::Asked(Box::new(self.terms.asked(doc))));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                (name, _) if self.members.contains(&name) => {
                    texts(sheet, value).map_err(|expected| Malformed::Shape { path: format!("/{name}"), expected })?;
                }
                ("model", Kind::Text) if !self.terms.at_deployment() => {}
                (name, kind) if UNREADABLE.contains(&name) && kind != Kind::Word => {
                    return Err(Malformed::Shape { path: format!("/{name}"), expected: NOTHING });
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
        Some(&self.terms)
    }

    fn terms_mut(&mut self) -> Option<&mut Terms> {
        Some(&mut self.terms)
    }
}

fn texts(sheet: &mut Sheet<'_>, value: usize) -> Result<(), Wrong> {
    let doc = sheet.doc;
    match doc.kind(value) {
        Kind::Text => sheet.once(value, Channel::Content, Speaker::User),
        Kind::Array => {
            // Texts are inputs of their own, objects make one.
            let mut list = List::default();
            for item in doc.items(value) {
                match doc.kind(item) {
                    Kind::Text => sheet.once(item, Channel::Content, Speaker::User),
                    Kind::Object => part(sheet, item, &mut list),
                    _ => return Err(TOKENS),
                }
            }
            list.end(sheet.parts);
        }
        Kind::Word if doc.raw(value) == "null" => {}
        _ => return Err(TOKENS),
    }
    Ok(())
}

/// Tells a text or an image.
fn part(sheet: &mut Sheet<'_>, part: usize, list: &mut List) {
    let doc = sheet.doc;
    let kind = doc.text_of(part, "type").unwrap_or_default();
    let is_text = matches!(&*kind, "" | "text" | "input_text");
    for (key, value) in doc.members(part) {
        match (&*doc.name(key), doc.kind(value)) {
            ("type", _) => sheet.word(value),
            ("text", Kind::Text) if is_text => list.once(sheet, value, Channel::Content, Speaker::User),
            ("text", Kind::Text) => sheet.once(value, Channel::Content, Speaker::User),
            ("image_url", Kind::Text) => sheet.bulk(value),
            ("image_url", Kind::Object) => {
                for (key, value) in doc.members(value) {
                    sheet.key(key);
                    sheet.bulk(value);
                }
            }
            _ => {
                sheet.key(key);
                sheet.rest(value);
            }
        }
    }
}
