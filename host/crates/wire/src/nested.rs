//! Arguments of tool calls: JSON inside a string literal, often in many fragments.
//!
//! The concatenated text is read as JSON; each string, name and long number in it is a part of its own. What is decided
//! about them becomes changes of the arguments' text, and those become changes of the fragments: two levels of escapes,
//! each handled by the same code. What must hold: no fragment leaves before the whole call is decided.

use bytes::BytesMut;
use model::{Channel, PartId, Speaker};

use crate::{
    Change, ToolCallId,
    frame::{self, Kind, Slot},
    json::{Doc, Kind as Json, Node, Rules, Tape, number},
    named,
    parts::{Parts, Source},
};

/// Arguments are text to the dialect, so their nesting has a bound of its own; deeper ones are one part.
const ARGUMENTS_DEPTH: usize = 256;

/// Numbers with this many digits or more can be somebody's: they are shown as text.
pub(crate) const LONG_NUMBER: usize = 7;

/// Whether a number is worth being shown as text: as it is written, or as it reads (`4.1e15`).
pub(crate) fn long_number(literal: &str) -> bool {
    literal.bytes().filter(u8::is_ascii_digit).count() >= LONG_NUMBER
        || (literal.contains(['e', 'E']) && number::whole_digits(literal) >= LONG_NUMBER)
}

/// The arguments of one tool call.
#[derive(Debug, Default)]
pub(crate) struct Nested {
    text: String,
    slots: Vec<Slot>,
    /// Whether they leave by [`Parts::clear_call`] only, and not as soon as their parts are decided.
    cleared_by_call: bool,
    /// Whether they stand in their frame as a value, and not inside a string.
    json: bool,
}

impl Nested {
    /// Arguments of a call that waits for [`Parts::clear_call`].
    pub(crate) fn proposed() -> Self {
        Self { cleared_by_call: true, ..Self::default() }
    }

    /// The same, of a call that is told once more.
    pub(crate) fn again(text: String, json: bool) -> Self {
        Self { text, json, ..Self::proposed() }
    }

    /// Arguments of a call of the past, in a request.
    pub(crate) fn quoted() -> Self {
        Self::default()
    }
}

impl Parts {
    /// More text of a call's arguments, appended by `write`; the answer is its range.
    pub(crate) fn fill_call(&mut self, call: ToolCallId, write: impl FnOnce(&mut String)) -> std::ops::Range<u64> {
        let Some(nested) = self.calls.get_mut(&call) else {
            return 0..0;
        };
        let from = nested.text.len() as u64;
        write(&mut nested.text);
        let to = nested.text.len() as u64;
        if self.is_kept(Source::Call(call)) {
            let fresh = self.calls.get(&call).map(|nested| nested.text[from as usize..].to_owned());
            self.note_call(call, &fresh.unwrap_or_default());
        }
        if let Some(run) = self.run_mut(Source::Call(call)) {
            run.len = to;
        }
        from..to
    }

    /// The call's arguments so far.
    pub(crate) fn call_text(&self, call: ToolCallId) -> &str {
        self.calls.get(&call).map_or("", |nested| &nested.text)
    }

    /// The call's arguments stand in their frame as a value.
    pub(crate) fn call_is_json(&mut self, call: ToolCallId) {
        if let Some(nested) = self.calls.get_mut(&call) {
            nested.json = true;
        }
    }

    /// Whether the call's arguments stand in their frame as a value.
    pub(crate) fn is_json_call(&self, call: ToolCallId) -> bool {
        self.calls.get(&call).is_some_and(|nested| nested.json)
    }

    /// A call's arguments are complete: tells their parts.
    pub(crate) fn complete_call(&mut self, call: ToolCallId) {
        let Some(nested) = self.calls.get_mut(&call) else {
            return;
        };
        let text = std::mem::take(&mut nested.text);
        let mut tape = Tape::default();
        let rules = Rules { depth: ARGUMENTS_DEPTH, duplicates: true };
        let slots = match tape.read(text.as_bytes(), rules) {
            Ok(doc) => self.tell_arguments(doc),
            Err(_) if text.is_empty() => Vec::new(),
            Err(_) => vec![self.tell_loose(&text)],
        };
        for slot in &slots {
            // As in the queue: what was decided is kept until it has been carried out.
            if let Some(run) = slot.source.and_then(|source| self.run_mut(source)) {
                run.live += 1;
            }
        }
        if let Some(nested) = self.calls.get_mut(&call) {
            nested.text = text;
            nested.slots = slots;
        }
        if let Some(run) = self.run_mut(Source::Call(call)) {
            run.ended = true;
        }
    }

    fn tell_arguments(&mut self, doc: Doc<'_>) -> Vec<Slot> {
        let mut slots = Vec::new();
        for (at, node) in doc.nodes.iter().enumerate() {
            let kind = match node.kind {
                Json::Key | Json::Text => Kind::Text,
                Json::Number if long_number(doc.raw(at)) => Kind::Number,
                _ => continue,
            };
            let (part, range) = self.whole(Channel::ToolInput, Speaker::Assistant, &doc.name(at));
            slots.push(slot(node, part, kind, range, true));
        }
        if let Some((part, places)) = named::tell(self, doc, 0, (Channel::ToolInput, Speaker::Assistant), long_number) {
            for (at, range) in places {
                let kind = if doc.kind(at) == Json::Number { Kind::Number } else { Kind::Text };
                slots.push(slot(&doc.nodes[at], part, kind, range, false));
            }
            slots.sort_by_key(|slot| slot.at);
        }
        slots
    }

    /// Text that is not JSON is one part, escapes undone where they are valid: a client may be less strict than we are.
    fn tell_loose(&mut self, text: &str) -> Slot {
        let mut loose = String::with_capacity(text.len());
        crate::json::literal::decode(text, &mut loose);
        let (part, range) = self.whole(Channel::ToolInput, Speaker::Assistant, &loose);
        Slot {
            source: Some(Source::Part(part)),
            kind: Kind::Loose,
            at: 0,
            end: text.len() as u32,
            from: range.start,
            to: range.end,
            tail: true,
        }
    }

    /// The arguments with what was decided so far.
    pub(crate) fn call_input(&self, call: ToolCallId) -> String {
        let Some(nested) = self.calls.get(&call) else {
            return String::new();
        };
        let mut out = BytesMut::with_capacity(nested.text.len());
        frame::write(&nested.text, nested.slots.iter(), Vec::new(), self, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The call may leave, with `input` as its arguments where given.
    pub(crate) fn clear_call(&mut self, call: ToolCallId, input: Option<String>) {
        let Some(nested) = self.calls.get(&call) else { return };
        let json = nested.json;
        let changes = match input {
            Some(by) if json && !is_json(&by) => {
                let by = format!("\"{}\"", crate::json::literal::escaped(&by));
                vec![Change { span: 0..nested.text.len() as u64, by }]
            }
            Some(by) => vec![Change { span: 0..nested.text.len() as u64, by }],
            None => frame::replacements(&nested.text, nested.slots.iter(), self)
                .into_iter()
                .map(|(range, by)| Change {
                    span: range.start as u64..range.end as u64,
                    by: String::from_utf8_lossy(&by).into_owned(),
                })
                .collect(),
        };
        let Some(run) = self.run_mut(Source::Call(call)).filter(|run| run.ended && !run.closed) else {
            return;
        };
        run.changes = changes.into();
        run.released = run.len;
        run.closed = true;
        self.proposed_as(call, json);
        for slot in self.calls.remove(&call).map(|nested| nested.slots).unwrap_or_default() {
            if let Some(source) = slot.source {
                self.left(source, slot.to);
            }
        }
    }

    /// Lets the arguments of a call of the past leave once all their parts are decided.
    pub(crate) fn settle_when_decided(&mut self, call: ToolCallId) {
        let Some(nested) = self.calls.get(&call) else { return };
        let decided = |slot: &Slot| {
            let run = slot.source.and_then(|source| self.run(source));
            run.is_none_or(crate::parts::Run::settled)
        };
        if !nested.cleared_by_call && nested.slots.iter().all(decided) {
            self.clear_call(call, None);
        }
    }
}

/// The place of a value in the arguments' text.
fn slot(node: &Node, part: PartId, kind: Kind, text: std::ops::Range<u64>, tail: bool) -> Slot {
    let source = Some(Source::Part(part));
    Slot { source, kind, at: node.start, end: node.end, from: text.start, to: text.end, tail }
}

/// Whether a text is JSON.
pub(crate) fn is_json(text: &str) -> bool {
    Tape::default().read(text.as_bytes(), Rules { depth: ARGUMENTS_DEPTH, duplicates: true }).is_ok()
}
