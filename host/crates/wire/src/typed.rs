//! The types that members of an event have. Some clients check them: they pass over an event in which one is of another type
//! than the protocol says, and go on with the next, while others read it all the same.
//!
//! What must hold: what comes in pieces comes in events that have members of other types in the same places, or in none, so
//! that each such client reads all pieces or none. What servers leave out, or send as `null`, counts for nothing.

use std::{borrow::Cow, collections::BTreeMap};

use smallvec::SmallVec;

use crate::json::{Doc, Kind};

/// What a member is, unless it is `null`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Text,
    /// A text, and none of these.
    NoneOf(&'static [&'static str]),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Number,
    /// The same, and clients miss it where it is not there.
    Index,
    Flag,
    Object(&'static [Member]),
    /// Of objects, where their members are given.
    List(&'static [Member]),
    /// A text, or a list.
    Content,
}

/// A member of an object.
pub(crate) type Member = (&'static str, Type);

impl Type {
    fn fits(self, doc: Doc<'_>, value: usize) -> bool {
        match (self, doc.kind(value)) {
            (Self::OneOf(words), Kind::Text) => words.contains(&&*doc.name(value)),
            (Self::NoneOf(words), Kind::Text) => !words.contains(&&*doc.name(value)),
            (Self::Text | Self::Content, Kind::Text)
            | (Self::Number | Self::Index, Kind::Number)
            | (Self::Object(_), Kind::Object)
            | (Self::List(_) | Self::Content, Kind::Array) => true,
            (Self::Flag, Kind::Word) => true,
            (_, _) => doc.raw(value) == "null",
        }
    }
}

/// The members of an event that are of another type, by depth and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Odd(SmallVec<[(usize, &'static str); 2]>);

/// The forms in which the pieces of several texts come.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    /// Of the event that is read.
    now: Odd,
    /// Whether it depends on what a string says.
    worded: bool,
    /// Of the pieces before, by the index of what they are pieces of.
    pieces: BTreeMap<u64, Odd>,
}

impl Forms {
    /// An event is read, whose members are these by names that are spelled so. Each event of a stream is.
    pub(crate) fn event(&mut self, doc: Doc<'_>, members: &[Member], spell: fn(&str) -> Cow<'_, str>) {
        if doc.alike && !self.worded {
            return;
        }
        self.now.0.clear();
        self.worded = false;
        self.look(doc, 0, members, spell, 0);
        self.now.0.sort_unstable();
        self.now.0.dedup();
    }

    fn look(&mut self, doc: Doc<'_>, object: usize, members: &[Member], spell: fn(&str) -> Cow<'_, str>, depth: usize) {
        let mut missing = members.iter().find(|(_, is)| matches!(is, Type::Index)).map(|(name, _)| *name);
        for (key, value) in doc.members(object) {
            let name = doc.name(key);
            let name = spell(&name);
            let Some(&(name, is)) = members.iter().find(|(known, _)| **known == *name) else { continue };
            missing = missing.filter(|missing| *missing != name);
            self.worded |= matches!(is, Type::OneOf(_) | Type::NoneOf(_));
            if !is.fits(doc, value) {
                self.now.0.push((depth, name));
            }
            match is {
                Type::Object(within) => self.look(doc, value, within, spell, depth + 1),
                Type::List(within) if !within.is_empty() => {
                    for item in doc.items(value) {
                        if doc.kind(item) != Kind::Object {
                            self.now.0.push((depth, name));
                        }
                        self.look(doc, item, within, spell, depth + 1);
                    }
                }
                _ => {}
            }
        }
        self.now.0.extend(missing.map(|name| (depth, name)));
    }

    /// The event has a piece of what has this index.
    pub(crate) fn piece(&mut self, index: u64) -> Result<(), &'static str> {
        match self.pieces.get(&index) {
            Some(before) if *before == self.now => Ok(()),
            Some(_) => Err("in events whose members are of the types that they have in those before"),
            None => {
                self.pieces.insert(index, self.now.clone());
                Ok(())
            }
        }
    }
}
