//! Tool calls of one choice: gathered fragment by fragment, told when complete.
//!
//! Some clients put fragments together by `index`, others by `id`, or take each that has none for a call; some join the
//! pieces of a name, others take one of them. What must hold: a call is told as each of them makes it, or is refused; the
//! frame with a call's first fragment is held until the call is cleared, and with it all that comes after; a call whose
//! end was told takes no more fragments. Of an answer that is not streamed nobody puts anything together.

use std::{collections::BTreeSet, hash::BuildHasher};

use foldhash::fast::FixedState;
use model::{Channel, PartId, Speaker};

use super::whole::Whole;
use crate::{
    Step, ToolCall, ToolCallId,
    json::{Doc, Kind},
    nested::Nested,
    openai::Wrong,
    parts::{Parts, Source},
    seams::Seam,
    sheet::{INDICES, Sheet},
    strays::Strays,
};

/// Calls that one choice may have.
const CALLS: u64 = 4096;

/// Pieces that differ, of one name.
const PIECES: usize = 64;

/// Bytes of arguments that are told once more under pieces of their call's name.
const PIECES_BYTES: usize = 4 << 20;

/// What should stand where clients would not agree which call a fragment belongs to.
const APART: Wrong = "tool calls with an index and an id of their own, or each with its name and whole arguments";

/// Which call of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    /// In `tool_calls`.
    Numbered(u64),
    /// `function_call`.
    Legacy,
}

/// What says which call a fragment belongs to.
#[derive(Clone, Copy, Debug)]
struct Fragment<'a> {
    node: usize,
    index: Index,
    id: &'a str,
    /// Whether it has no index, and stands behind another in its event.
    beside: bool,
}

impl Fragment<'_> {
    /// Whether it brings a name.
    fn is_named(self, doc: Doc<'_>) -> bool {
        let named = |function| doc.text_of(function, "name").is_some_and(|name| !name.is_empty());
        match self.index {
            Index::Numbered(_) => ["function", "custom"].iter().filter_map(|form| doc.get(self.node, form)).any(named),
            Index::Legacy => named(self.node),
        }
    }
}

/// A call in progress.
#[derive(Debug)]
struct Open {
    index: Index,
    call: ToolCallId,
    id: String,
    /// The id that the last fragment with one had, where that is not its first.
    later: Option<String>,
    name: String,
    /// Where the name comes in pieces: the same call under each of them.
    others: Vec<(ToolCallId, String)>,
    name_part: Option<PartId>,
    /// Whether there is a place for arguments already.
    placed: bool,
    /// Whether what has come of its arguments is text.
    in_text: bool,
    /// Whether nothing but white space has come of them.
    blank: bool,
    /// Whether it is `custom`, and whether its arguments are `input`, once that is known: a client reads one of them.
    custom: Option<bool>,
    input: Option<bool>,
    whole: Whole,
}

/// Calls that are one to some clients, since they have one index, or one id.
#[derive(Debug)]
struct Joined {
    call: ToolCallId,
    id: String,
    name: String,
    /// Their names as text.
    seam: Seam,
}

/// The calls of a choice.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Option<Open>,
    joined: Option<Joined>,
    complete: BTreeSet<Index>,
    /// Hashes of the ids of calls that are complete: one that only hashes alike is refused as well.
    ids: BTreeSet<u64>,
    /// Whether they have an index, once one has come.
    numbered: Option<bool>,
    /// How many have begun, and whether one event had several with no index.
    begun: u64,
    several: bool,
}

impl Calls {
    /// Reads an item of `tool_calls`.
    pub(super) fn read(
        &mut self,
        sheet: &mut Sheet<'_>,
        place: u64,
        item: usize,
        strays: &mut Strays,
    ) -> Result<(), Wrong> {
        let doc = sheet.doc;
        if doc.kind(item) != Kind::Object {
            return Err("a choice whose tool_calls are objects");
        }
        let index = if sheet.whole { place } else { self.index(doc, place, item)? };
        let id = match doc.get(item, "id").map(|id| (id, doc.kind(id))) {
            Some((id, Kind::Text)) => doc.name(id),
            None | Some((_, Kind::Word)) => "".into(),
            Some(_) => return Err("a tool call whose id is text"),
        };
        let beside = place > 0 && !sheet.whole && self.numbered == Some(false);
        let mut open = self.open(sheet, Fragment { node: item, index: Index::Numbered(index), id: &id, beside })?;
        for (key, value) in doc.members(item) {
            match (&*doc.name(key), doc.kind(value)) {
                ("index", Kind::Number) => sheet.rest(value),
                ("id", _) => strays.again(sheet, value, &open.path("id")),
                ("type", _) => sheet.word(value),
                (name @ ("function" | "custom"), Kind::Object) => {
                    let custom = name == "custom";
                    if *open.custom.get_or_insert(custom) != custom {
                        return Err("a tool call that is a function or a custom one");
                    }
                    open.function(sheet, value, strays, self.joined.as_mut())?;
                }
                (name, _) => {
                    sheet.key(key);
                    strays.read(sheet, value, &open.path(name));
                }
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// Reads `function_call`.
    pub(super) fn read_legacy(
        &mut self,
        sheet: &mut Sheet<'_>,
        function: usize,
        strays: &mut Strays,
    ) -> Result<(), Wrong> {
        let mut open = self.open(sheet, Fragment { node: function, index: Index::Legacy, id: "", beside: false })?;
        open.function(sheet, function, strays, self.joined.as_mut())?;
        self.open = Some(open);
        Ok(())
    }

    /// The index of a fragment. Where there is none all fragments have the same, as they have to a client that looks for
    /// it; one that goes by their places must not come to something else.
    fn index(&mut self, doc: Doc<'_>, place: u64, item: usize) -> Result<u64, Wrong> {
        let given = doc.get(item, "index").filter(|&index| doc.raw(index) != "null");
        if *self.numbered.get_or_insert(given.is_some()) != given.is_some() {
            return Err("tool calls that all have an index, or none");
        }
        if let Some(index) = given {
            let index = doc.raw(index).parse().ok().filter(|index| *index < INDICES);
            return index.ok_or("a tool call with a small whole number as its index");
        }
        if (place == 0 && self.several) || (place > 0 && self.begun != place) {
            return Err("tool calls with an index");
        }
        self.several |= place > 0;
        Ok(0)
    }

    /// The call that a fragment belongs to.
    fn open(&mut self, sheet: &mut Sheet<'_>, fragment: Fragment<'_>) -> Result<Open, Wrong> {
        let Fragment { node, index, id, beside } = fragment;
        let mut same_id = false;
        if let Some(mut open) = self.open.take() {
            let same_index = open.index == index;
            same_id = open.later.as_ref().unwrap_or(&open.id) == id;
            if same_index && !beside && (id.is_empty() || same_id) && !open.is_followed(sheet, fragment) {
                return Ok(open);
            }
            if same_index && !beside && !same_id && open.takes(sheet, fragment) {
                return self.rename(open, id);
            }
            // Some servers number all calls 0 and tell them apart by their ids.
            let joins = !sheet.whole && (same_index || (same_id && !id.is_empty()));
            if joins {
                self.join(sheet, &mut open, fragment)?;
            }
            self.end(sheet.parts, open);
            if !joins {
                self.end_joined(sheet.parts);
            }
            if same_index {
                self.complete.remove(&index);
            }
        }
        if self.complete.contains(&index) {
            return Err("a choice whose tool calls come one after the other");
        }
        if !sheet.whole && !id.is_empty() && !same_id && self.ids.contains(&print(id)) {
            return Err(APART);
        }
        if self.begun >= CALLS {
            return Err("a choice with fewer tool calls");
        }
        self.begun += 1;
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.hold(node, call);
        Ok(Open::new(index, call, id))
    }

    /// The open call goes on under another id.
    fn rename(&mut self, mut open: Open, id: &str) -> Result<Open, Wrong> {
        if self.ids.contains(&print(id)) {
            return Err(APART);
        }
        if self.ids.len() as u64 >= CALLS {
            return Err("a choice with fewer ids of tool calls");
        }
        self.ids.insert(print(id));
        if open.id.is_empty() {
            id.clone_into(&mut open.id);
        } else {
            self.ids.insert(print(&open.id));
            open.later = Some(id.to_owned());
        }
        Ok(open)
    }

    /// Another call begins that is a part of the open one to some clients. What they make of both is judged, too; it is
    /// no other text than the two are alone, since none of the arguments goes on in the others.
    fn join(&mut self, sheet: &mut Sheet<'_>, open: &mut Open, fragment: Fragment<'_>) -> Result<(), Wrong> {
        let arguments = sheet.parts.call_text(open.call);
        if !fragment.is_named(sheet.doc) || !(open.blank || open.whole.is(arguments)) {
            return Err(APART);
        }
        if self.joined.is_some() {
            return Ok(());
        }
        let arguments = arguments.to_owned();
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.parts.fill_call(call, |out| out.push_str(&arguments));
        sheet.hold(fragment.node, call);
        let mut seam = Seam::new(Channel::ToolInput, Speaker::Assistant);
        if let Some(part) = open.name_part {
            seam.say(sheet.parts, part, &open.name, 0..open.name.len() as u64);
        }
        self.joined = Some(Joined { call, id: open.id.clone(), name: open.name.clone(), seam });
        Ok(())
    }

    /// No more fragments come.
    pub(super) fn complete(&mut self, parts: &mut Parts) {
        if let Some(open) = self.open.take() {
            self.end(parts, open);
        }
        self.end_joined(parts);
    }

    /// No more fragments of this call come.
    fn end(&mut self, parts: &mut Parts, open: Open) {
        self.complete.insert(open.index);
        if !open.id.is_empty() {
            self.ids.insert(print(&open.id));
        }
        if let Some(part) = open.name_part {
            parts.end(part);
        }
        for (call, name) in open.others {
            let arguments = parts.call_text(open.call).to_owned();
            parts.fill_call(call, |out| out.push_str(&arguments));
            parts.complete_call(call);
            parts.tell(Step::ToolCall(ToolCall { call, id: open.id.clone(), name }));
        }
        parts.complete_call(open.call);
        parts.tell(Step::ToolCall(ToolCall { call: open.call, id: open.id, name: open.name }));
    }

    /// No more calls come that could be one with those before.
    fn end_joined(&mut self, parts: &mut Parts) {
        let Some(Joined { call, id, name, mut seam }) = self.joined.take() else { return };
        seam.end(parts);
        parts.complete_call(call);
        parts.tell(Step::ToolCall(ToolCall { call, id, name }));
    }
}

/// Whether arguments begin as an object does.
fn is_object(arguments: &str) -> bool {
    arguments.trim_ascii_start().starts_with('{')
}

fn print(id: &str) -> u64 {
    FixedState::default().hash_one(id)
}

impl Open {
    fn new(index: Index, call: ToolCallId, id: &str) -> Self {
        Self {
            index,
            call,
            id: id.to_owned(),
            later: None,
            name: String::new(),
            others: Vec::new(),
            name_part: None,
            placed: false,
            in_text: false,
            blank: true,
            custom: None,
            input: None,
            whole: Whole::default(),
        }
    }

    /// Whether a fragment that goes on with it is a call of its own to some clients: it brings a name, and nothing more
    /// is missing here.
    fn is_followed(&mut self, sheet: &Sheet<'_>, fragment: Fragment<'_>) -> bool {
        !sheet.whole
            && !self.name.is_empty()
            && fragment.is_named(sheet.doc)
            && self.whole.is(sheet.parts.call_text(self.call))
    }

    /// Whether a fragment with another id goes on with it: where it had none yet, and where none of its arguments has
    /// come, so that they are the same to a client that goes by ids. One that brings a name may be a call of its own.
    fn takes(&self, sheet: &Sheet<'_>, fragment: Fragment<'_>) -> bool {
        let blank = self.blank;
        if fragment.is_named(sheet.doc) { blank && self.name.is_empty() } else { blank || self.id.is_empty() }
    }

    /// Where a member stands that the dialect does not know.
    fn path(&self, name: &str) -> String {
        match self.index {
            Index::Numbered(index) => format!("tool_calls/{index}/{name}"),
            Index::Legacy => format!("function_call/{name}"),
        }
    }

    fn function(
        &mut self,
        sheet: &mut Sheet<'_>,
        function: usize,
        strays: &mut Strays,
        mut joined: Option<&mut Joined>,
    ) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let mut seen = false;
        for (key, value) in doc.members(function) {
            match (&*doc.name(key), doc.kind(value)) {
                ("name", Kind::Text) => self.named(sheet, value, joined.as_deref_mut())?,
                (name @ ("arguments" | "input"), Kind::Text | Kind::Object | Kind::Array) => {
                    seen = true;
                    let input = name == "input";
                    if *self.input.get_or_insert(input) != input {
                        return Err("a call with arguments or an input");
                    }
                    self.fill(sheet, value, joined.as_deref_mut())?;
                }
                ("name" | "arguments" | "input", Kind::Number) => return Err("a call whose arguments are no number"),
                ("arguments" | "input", _) => {
                    seen = true;
                    sheet.rest(value);
                }
                (name, _) => {
                    sheet.key(key);
                    strays.read(sheet, value, &self.path(&format!("function/{name}")));
                }
            }
        }
        if !seen && !self.placed {
            self.placed = true;
            sheet.anchor(function, Source::Call(self.call), "arguments", 0);
        }
        if self.others.len() * sheet.parts.call_text(self.call).len() > PIECES_BYTES {
            return Err("a call with long arguments whose name comes whole");
        }
        Ok(())
    }

    /// The name, or a piece of it.
    fn named(&mut self, sheet: &mut Sheet<'_>, value: usize, joined: Option<&mut Joined>) -> Result<(), Wrong> {
        let piece = sheet.doc.name(value);
        let part = *self.name_part.get_or_insert_with(|| sheet.parts.begin(Channel::ToolInput, Speaker::Assistant));
        let range = sheet.say(value, part);
        if let Some(joined) = joined {
            joined.name.push_str(&piece);
            joined.seam.say(sheet.parts, part, &piece, range);
        }
        if !piece.is_empty() && !self.name.is_empty() {
            if self.others.is_empty() {
                let first = self.name.clone();
                self.other(sheet, value, &first)?;
            }
            self.other(sheet, value, &piece)?;
        }
        self.name.push_str(&piece);
        Ok(())
    }

    /// A piece of the name, which some take for all of it.
    fn other(&mut self, sheet: &mut Sheet<'_>, value: usize, piece: &str) -> Result<(), Wrong> {
        if self.others.iter().any(|(_, other)| other == piece) {
            return Ok(());
        }
        if self.others.len() >= PIECES {
            return Err("a tool call whose name comes in fewer pieces");
        }
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.hold(value, call);
        self.others.push((call, piece.to_owned()));
        Ok(())
    }

    /// More of the arguments.
    fn fill(&mut self, sheet: &mut Sheet<'_>, value: usize, joined: Option<&mut Joined>) -> Result<(), Wrong> {
        if let Some(joined) = joined {
            let more = sheet.doc.name(value);
            if self.blank && !more.trim_ascii().is_empty() && !is_object(&more) {
                return Err(APART);
            }
            sheet.parts.fill_call(joined.call, |out| out.push_str(&more));
        }
        let is_text = sheet.doc.kind(value) == Kind::Text;
        if sheet.parts.call_text(self.call).is_empty() || (is_text && self.in_text) {
            self.in_text = is_text;
        } else if !is_text || sheet.doc.raw(value).len() > 2 {
            // Some clients put objects together member by member, others take the last, or what is text.
            return Err("a call whose arguments are text, or one value");
        }
        self.blank = self.blank && sheet.doc.name(value).trim_ascii().is_empty();
        sheet.fill(value, self.call, !std::mem::replace(&mut self.placed, true));
        Ok(())
    }
}
