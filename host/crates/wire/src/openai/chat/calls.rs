//! Tool calls of one choice: gathered fragment by fragment, told when complete.
//!
//! What must hold: the frame with a call's first fragment is held until the call is cleared, and with it all that
//! comes after; a call whose end was told takes no more fragments.

use std::collections::BTreeSet;

use model::{Channel, PartId, Speaker};

use crate::{
    Step, ToolCall, ToolCallId,
    json::Kind,
    nested::Nested,
    openai::Wrong,
    parts::{Parts, Source},
    sheet::Sheet,
    strays::Strays,
};

/// Which call of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    /// In `tool_calls`.
    Numbered(u64),
    /// `function_call`.
    Legacy,
}

/// A call in progress.
#[derive(Debug)]
struct Open {
    index: Index,
    call: ToolCallId,
    id: String,
    name: String,
    name_part: Option<PartId>,
    /// Whether there is a place for arguments already.
    placed: bool,
}

/// The calls of a choice.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Option<Open>,
    complete: BTreeSet<Index>,
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
        let index = Index::Numbered(doc.count_of(item, "index").unwrap_or(place));
        let id = doc.text_of(item, "id").unwrap_or_default();
        let mut open = self.open(sheet, index, &id, item)?;
        for (key, value) in doc.members(item) {
            match (&*doc.name(key), doc.kind(value)) {
                ("index", Kind::Number) => sheet.rest(value),
                ("id", _) => sheet.rest(value),
                ("type", _) => sheet.word(value),
                ("function" | "custom", Kind::Object) => open.function(sheet, value, strays)?,
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
        let mut open = self.open(sheet, Index::Legacy, "", function)?;
        open.function(sheet, function, strays)?;
        self.open = Some(open);
        Ok(())
    }

    /// The call that a fragment belongs to.
    fn open(&mut self, sheet: &mut Sheet<'_>, index: Index, id: &str, node: usize) -> Result<Open, Wrong> {
        if let Some(open) = self.open.take() {
            // Some servers number all calls 0 and tell them apart by their ids.
            let same = open.index == index && (id.is_empty() || open.id.is_empty() || open.id == id);
            if same {
                let id = if open.id.is_empty() { id.to_owned() } else { open.id };
                return Ok(Open { id, ..open });
            }
            let renumbered = open.index == index;
            self.open = Some(open);
            self.complete(sheet.parts);
            if renumbered {
                self.complete.remove(&index);
            }
        }
        if self.complete.contains(&index) {
            return Err("a choice whose tool calls come one after the other");
        }
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.hold(node, call);
        Ok(Open { index, call, id: id.to_owned(), name: String::new(), name_part: None, placed: false })
    }

    /// No more fragments of the open call come.
    pub(super) fn complete(&mut self, parts: &mut Parts) {
        let Some(open) = self.open.take() else { return };
        self.complete.insert(open.index);
        if let Some(part) = open.name_part {
            parts.end(part);
        }
        parts.complete_call(open.call);
        parts.tell(Step::ToolCall(ToolCall { call: open.call, id: open.id, name: open.name }));
    }
}

impl Open {
    /// Where a member stands that the dialect does not know.
    fn path(&self, name: &str) -> String {
        match self.index {
            Index::Numbered(index) => format!("tool_calls/{index}/{name}"),
            Index::Legacy => format!("function_call/{name}"),
        }
    }

    fn function(&mut self, sheet: &mut Sheet<'_>, function: usize, strays: &mut Strays) -> Result<(), Wrong> {
        let doc = sheet.doc;
        let mut seen = false;
        for (key, value) in doc.members(function) {
            match (&*doc.name(key), doc.kind(value)) {
                ("name", Kind::Text) => {
                    self.name.push_str(&doc.name(value));
                    let part = *self
                        .name_part
                        .get_or_insert_with(|| sheet.parts.begin(Channel::ToolInput, Speaker::Assistant));
                    sheet.say(value, part);
                }
                ("arguments" | "input", Kind::Text | Kind::Object | Kind::Array) => {
                    seen = true;
                    sheet.fill(value, self.call, !std::mem::replace(&mut self.placed, true));
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
        Ok(())
    }
}
