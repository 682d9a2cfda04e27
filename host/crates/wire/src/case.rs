//! Names that some readers take for others: Go's JSON reader, which servers and clients of every family are built on, does
//! not look at case, and of two names that it takes for one the last counts.
//!
//! What must hold: what is judged is what any of them reads. So a name is spelled as the dialect knows it, or is another:
//! in requests and answers, at every depth at which names are the dialect's own. Whether it is depends on names alone, so
//! that of an event that is like the one before nothing is looked at.

use std::borrow::Cow;

use crate::{
    json::{Doc, Kind},
    schema,
};

/// Whether the value at a node is an object of the dialect's.
type IsOurs = fn(Doc<'_>, usize) -> bool;

/// How a dialect spells the names of members.
#[derive(Debug)]
pub(crate) struct Spelling {
    /// Whether the dialect has this name.
    pub(crate) known: fn(&str) -> bool,
    /// Whether it has one that folds to this.
    pub(crate) folds: fn(&str) -> bool,
    /// A name in the one of its spellings that the lists below have.
    pub(crate) spell: fn(&str) -> Cow<'_, str>,
    /// Members in whose values names are somebody's own: arguments, schemas. Those that schemas have are, in every dialect.
    pub(crate) free: &'static [&'static str],
    /// The same of objects, but those of which this says that they are the dialect's.
    pub(crate) perhaps: &'static [(&'static str, IsOurs)],
    /// Members that are objects of the dialect's by names of somebody's own.
    pub(crate) keyed: &'static [&'static str],
}

impl Spelling {
    /// Whether all names in a value that are the dialect's own are spelled as it has them; else the path (RFC 6901) of
    /// the object where one is not. By recursion, which the bound on the nesting of JSON ends.
    pub(crate) fn check(&self, doc: Doc<'_>, value: usize) -> Result<(), String> {
        match doc.kind(value) {
            Kind::Array => {
                let items = doc.items(value).enumerate();
                for (place, item) in items {
                    self.check(doc, item).map_err(|path| format!("/{place}{path}"))?;
                }
                Ok(())
            }
            Kind::Object => doc.members(value).try_for_each(|(key, value)| self.member(doc, key, value)),
            _ => Ok(()),
        }
    }

    fn member(&self, doc: Doc<'_>, key: usize, value: usize) -> Result<(), String> {
        let name = doc.name(key);
        if !(self.known)(&name) {
            // What is in it is no object of the dialect's.
            return if (self.folds)(&folded(&(self.spell)(&name))) { Err(String::new()) } else { Ok(()) };
        }
        let kind = doc.kind(value);
        if !matches!(kind, Kind::Object | Kind::Array) {
            return Ok(());
        }
        let name = (self.spell)(&name);
        let perhaps = self.perhaps.iter().find(|(perhaps, _)| kind == Kind::Object && *perhaps == name);
        if self.free.contains(&&*name)
            || schema::NAMING.contains(&&*name)
            || perhaps.is_some_and(|(_, own)| !own(doc, value))
        {
            return Ok(());
        }
        let below = if kind == Kind::Object && self.keyed.contains(&&*name) {
            doc.members(value).try_for_each(|(_, value)| self.check(doc, value))
        } else {
            self.check(doc, value)
        };
        below.map_err(|path| format!("/{name}{path}"))
    }
}

/// Of names that have one spelling.
pub(crate) fn as_it_is(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(name)
}

/// A name as Go's JSON reader compares it: case does not count, nor do the two letters beyond ASCII that fold into it.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .map(|char| match char {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            char => char.to_ascii_lowercase(),
        })
        .collect()
}

/// What should stand where [`Spelling::check`] finds something.
pub(crate) const EXPECTED: &str = "an object whose members' names are spelled as the API has them (case counts)";
