//! Tool calls of one answer: by their place in the output, gathered fragment by fragment, told when complete.
//!
//! What must hold: the frame with a call's begin is held until the call is cleared, and with it all that comes after;
//! what repeats a call (name and arguments) leaves as the call was cleared, and what does not is a call of its own.

use std::{borrow::Cow, collections::BTreeMap};

use super::{items::Proposal, stream::VARIANTS};
use crate::{
    Step, ToolCall, ToolCallId,
    json::Kind,
    nested::Nested,
    openai::Wrong,
    parts::{Parts, Source},
    sheet::Sheet,
};

/// One call.
#[derive(Debug)]
struct Call {
    call: ToolCallId,
    id: String,
    /// The tool's name, once it is known.
    name: Option<String>,
    complete: bool,
    /// Whether there is a place for arguments already.
    placed: bool,
    /// It has begun with arguments, which clients that read deltas alone don't see.
    begun: bool,
}

impl Call {
    fn begin(sheet: &mut Sheet<'_>, node: usize) -> Self {
        let call = sheet.parts.begin_call(Nested::proposed());
        sheet.parts.keep(Source::Call(call));
        sheet.hold(node, call);
        Self { call, id: String::new(), name: None, complete: false, placed: false, begun: false }
    }

    fn fill(&mut self, sheet: &mut Sheet<'_>, input: usize) {
        sheet.fill(input, self.call, !std::mem::replace(&mut self.placed, true));
    }

    fn learn(&mut self, id: &str, name: Option<&str>) {
        if self.id.is_empty() {
            id.clone_into(&mut self.id);
        }
        if self.name.is_none() {
            self.name = name.map(str::to_owned);
        }
    }

    fn complete(&mut self, parts: &mut Parts) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        parts.complete_call(self.call);
        let (id, name) = (self.id.clone(), self.name.clone().unwrap_or_default());
        parts.tell(Step::ToolCall(ToolCall { call: self.call, id, name }));
    }
}

/// Whether a value is arguments, and not the place for them.
fn says(sheet: &Sheet<'_>, input: usize) -> bool {
    sheet.doc.kind(input) != Kind::Text || sheet.doc.raw(input).len() > 2
}

/// The calls of an answer, by their place in the output: the first is the one that its deltas make, and a few others are
/// known when they are repeated.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<u64, Vec<Call>>);

impl Calls {
    /// A fragment of a call's arguments.
    pub(super) fn delta(&mut self, sheet: &mut Sheet<'_>, node: usize, output: u64) -> Result<(), Wrong> {
        let calls = self.0.entry(output).or_default();
        if calls.is_empty() {
            calls.push(Call::begin(sheet, node));
        }
        match calls.first_mut() {
            Some(call) if call.begun && sheet.doc.raw(node).len() > 2 => {
                Err("a call that begins with no arguments and gets them in deltas")
            }
            Some(call) if !call.complete => {
                call.fill(sheet, node);
                Ok(())
            }
            _ if sheet.doc.raw(node).len() > 2 => Err("no arguments for a tool call behind their end"),
            _ => Ok(()),
        }
    }

    /// A call, whole (`done`) or as it begins.
    pub(super) fn propose(&mut self, sheet: &mut Sheet<'_>, proposal: Proposal<'_>, output: u64, done: bool) {
        let Proposal { item, id, name, input } = proposal;
        let name: Option<Cow<'_, str>> = name.map(|(name, _)| name);
        let calls = self.0.entry(output).or_default();
        if let Some(call) = calls.first_mut() {
            if !call.complete {
                call.learn(&id, name.as_deref());
                // Where no fragment has come, this is where the arguments are.
                let empty = sheet.parts.run(Source::Call(call.call)).is_none_or(|run| run.len == 0);
                let first = input.filter(|input| empty && says(sheet, *input));
                if let Some(input) = first {
                    call.begun |= !done;
                    call.fill(sheet, input);
                }
                // A call that can't be named yet is told with what names it.
                if done && call.name.is_some() {
                    call.complete(sheet.parts);
                }
                if first.is_some() {
                    return;
                }
            }
            let Some(input) = input else { return };
            let same = |call: &Call| name.is_none() || call.name.as_deref() == name.as_deref();
            let known = calls.iter().filter(|call| same(call)).map(|call| Source::Call(call.call));
            if sheet.again(input, known).is_some() {
                return;
            }
        }
        let mut call = Call::begin(sheet, item);
        call.learn(&id, name.as_deref().or_else(|| calls.first()?.name.as_deref()));
        match input {
            Some(input) => {
                call.begun = !done && says(sheet, input);
                call.fill(sheet, input);
            }
            None if done => sheet.anchor(item, Source::Call(call.call), "arguments", 0),
            None => {}
        }
        // Another call than the one that was streamed is complete at once: no delta belongs to it.
        if done || !calls.is_empty() {
            call.complete(sheet.parts);
        }
        if calls.len() < VARIANTS {
            calls.push(call);
        } else {
            sheet.parts.let_go(Source::Call(call.call));
        }
    }

    /// No more fragments of the calls at this place come.
    pub(super) fn end(&mut self, parts: &mut Parts, output: u64) {
        for call in self.0.get_mut(&output).into_iter().flatten() {
            call.complete(parts);
        }
    }

    /// No more fragments come at all.
    pub(super) fn end_all(&mut self, parts: &mut Parts) {
        self.0.values_mut().flatten().for_each(|call| call.complete(parts));
    }
}
