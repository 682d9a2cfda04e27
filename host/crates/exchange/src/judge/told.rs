//! What a decision holds besides its verdict and its edits of text, for the record: names and places, no values.
//!
//! It stands where a decision is heard, before anything of it is done, so that the record has it of a policy in shadow too.

use std::fmt::Display;

use model::{Attribute, Edit, PartId};
use serde_json::{Map, Value};

use crate::ports::{BodyDecision, HeadDecision};

/// Names or places that are told of one decision; of more, how many.
const TOLD: usize = 32;
/// Characters of a name that are told.
const NAME: usize = 64;

/// Attributes of the record's own, beside a policy's notes.
#[derive(Default)]
pub(super) struct Told(Vec<Attribute>);

impl Told {
    /// Of a decision about a request. Edits of text have a record of their own where they are made.
    pub(super) fn of_request(edits: &[(PartId, Vec<Edit>)], tools: &[String], patch: &str, shadow: bool) -> Self {
        let mut told = Self::default();
        if shadow {
            let places = edits.iter().flat_map(|(part, edits)| edits.iter().map(move |edit| (part, edit)));
            told.list("edits", places.map(|(part, edit)| format!("{}:{}..{}", part.0, edit.start, edit.end)));
        }
        told.list("tools-removed", tools);
        let members: Map<String, Value> = serde_json::from_str(patch).unwrap_or_default();
        told.list("parameters-patched", members.keys());
        told
    }

    /// Of a decision about a tool call.
    pub(super) fn of_tool_call(name: &str, input: &str) -> Self {
        let mut told = Self::default();
        told.list("input-replaced", (!input.is_empty()).then_some(name));
        told
    }

    /// Of a decision about a head.
    pub(super) fn of_head(decision: &HeadDecision) -> Self {
        let mut told = Self::default();
        told.list("headers-set", decision.set.iter().map(|header| &header.name));
        told.list("headers-removed", &decision.remove);
        told
    }

    /// Of a decision about bytes.
    pub(super) fn of_body(decision: &BodyDecision) -> Self {
        let mut told = Self::default();
        told.list("bytes-edited", decision.edits.iter().map(|(start, end, _)| format!("{start}..{end}")));
        told
    }

    /// A policy's notes, and these behind them.
    pub(super) fn behind(self, mut notes: Vec<Attribute>) -> Vec<Attribute> {
        notes.extend(self.0);
        notes
    }

    fn list<T: Display>(&mut self, what: &str, names: impl IntoIterator<Item = T>) {
        let mut names = names.into_iter();
        let mut told: Vec<String> =
            names.by_ref().take(TOLD).map(|name| name.to_string().chars().take(NAME).collect()).collect();
        if told.is_empty() {
            return;
        }
        let more = names.count();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        self.0.push(Attribute { name: format!("portcullis.{what}").into(), value: told.join(", ").into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_are_told_and_no_more_than_a_few() {
        let edit = Edit { start: 1, end: 3, by: model::Substitute::Literal("X".into()), reason: "r".into() };
        let tools: Vec<String> = (0..40).map(|number| format!("tool{number}")).collect();
        let patch = r#"{"temperature":0,"user":"secret"}"#;
        let told = Told::of_request(&[(PartId(7), vec![edit])], &tools, patch, true).behind(Vec::new());
        let told: Vec<_> = told.iter().map(|told| (told.name.as_str(), told.value.as_str())).collect();
        assert_eq!(told[0], ("portcullis.edits", "7:1..3"));
        assert!(told[1].1.starts_with("tool0, tool1, ") && told[1].1.ends_with("tool31, and 8 more"), "{told:?}");
        assert_eq!(told[2], ("portcullis.parameters-patched", "temperature, user"));
        assert!(Told::of_request(&[], &[], "", false).behind(Vec::new()).is_empty());
    }
}
