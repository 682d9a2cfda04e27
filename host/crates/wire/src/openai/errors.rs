//! What the provider says when something fails: answers with an error status, and errors in the middle of a stream.

use model::{Channel, Speaker, Usage};

use super::{Wrong, names};
use crate::{Malformed, documents::Reader, json::Kind, parts::Parts, sheet::Sheet};

/// What may come of an answer with an error in its middle, and behind it: clients stop there, having shown what came before.
pub(super) const NOTHING_MORE: Wrong = "no text and no calls, in an error and behind it";

/// An answer with an error status, of endpoints whose answers have no place for one.
#[derive(Debug)]
pub(super) struct Failure;

impl Reader for Failure {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        for (key, value) in doc.members(0) {
            sheet.key(key);
            if doc.name(key) == "error" { tell(sheet, value) } else { sheet.rest(value) }
        }
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        true
    }

    fn end(&mut self, _parts: &mut Parts) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// Tells an error object.
pub(super) fn tell(sheet: &mut Sheet<'_>, error: usize) {
    let doc = sheet.doc;
    match doc.kind(error) {
        Kind::Text => sheet.once(error, Channel::Error, Speaker::Provider),
        Kind::Object => {
            for (key, value) in doc.members(error) {
                if doc.name(key) == "message" && doc.kind(value) == Kind::Text {
                    sheet.once(value, Channel::Error, Speaker::Provider);
                } else {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        _ => sheet.rest(error),
    }
}
