//! The flow of one direction, and beside it, where values are put back into an answer, its copy: the copy reads and
//! releases the same, but is told no value. What leaves it is what policies judged, and what the record keeps.
//!
//! What must hold: both are told the same bytes and the same decisions, so their frames leave together; no put-back
//! reaches the copy.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use model::{PartId, Usage};
use wire::{Change, Finds, Flow, Malformed, Step, ToolCallId};

use crate::aside::aside;

/// A flow, and its copy where there is one.
pub(crate) struct Twin {
    flow: Box<dyn Flow>,
    copy: Option<Box<dyn Flow>>,
    /// Steps that both told already.
    told: VecDeque<Step>,
}

/// What leaves: as it was judged, and as it is delivered where that is something else.
pub(crate) struct Taken {
    pub(crate) judged: Bytes,
    pub(crate) delivered: Option<Bytes>,
}

impl Twin {
    /// A flow into which nothing is put back.
    pub(crate) fn alone(flow: Box<dyn Flow>) -> Self {
        Self { flow, copy: None, told: VecDeque::new() }
    }

    /// A flow into which values are put back, and its copy; both fresh, and of the same endpoint.
    pub(crate) fn with_copy(flow: Box<dyn Flow>, copy: Box<dyn Flow>) -> Self {
        Self { flow, copy: Some(copy), told: VecDeque::new() }
    }

    /// A string in which this finds something is told as text, whatever it is.
    pub(crate) fn look_for(&mut self, finds: &Finds) {
        if let Some(copy) = self.copy.as_mut() {
            copy.look_for(finds);
        }
        self.flow.look_for(finds);
    }

    /// Whether nothing is known of what it reads, so that each text may be a field.
    pub(crate) fn is_any(&self) -> bool {
        self.flow.is_any()
    }

    /// Whether values may be put back.
    pub(crate) fn puts_back(&self) -> bool {
        self.copy.is_some()
    }

    /// From here on the copy alone: nothing more is put back, and what was and has not left is as it was judged.
    pub(crate) fn stop_putting_back(&mut self) {
        if let Some(copy) = self.copy.take() {
            self.flow = copy;
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        aside(bytes.len(), || {
            self.copy.as_mut().map_or(Ok(()), |copy| copy.push(bytes))?;
            self.flow.push(bytes)
        })
    }

    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        aside(self.flow.held(), || {
            self.copy.as_mut().map_or(Ok(()), |copy| copy.finish())?;
            self.flow.finish()
        })
    }

    /// The next step; the copy tells the same.
    pub(crate) fn next(&mut self) -> Option<Step> {
        if let Some(step) = self.told.pop_front() {
            return Some(step);
        }
        if let Some(copy) = self.copy.as_mut() {
            copy.next();
        }
        self.flow.next()
    }

    /// Decides text of a part: `back` are the changes with values put back, where there are any.
    pub(crate) fn release(&mut self, part: PartId, upto: u64, changes: Vec<Change>, back: Option<Vec<Change>>) {
        match self.copy.as_mut() {
            Some(copy) => {
                let back = back.unwrap_or_else(|| changes.clone());
                copy.release(part, upto, changes);
                self.flow.release(part, upto, back);
            }
            None => self.flow.release(part, upto, changes),
        }
    }

    /// The arguments of a tool call, with nothing put back.
    pub(crate) fn tool_input(&self, call: ToolCallId) -> String {
        self.copy.as_ref().unwrap_or(&self.flow).tool_input(call)
    }

    /// Lets a tool call leave: `back` are its arguments with values put back, where there are any.
    pub(crate) fn clear_tool_call(&mut self, call: ToolCallId, input: Option<String>, back: Option<String>) {
        match self.copy.as_mut() {
            Some(copy) => {
                let back = back.or_else(|| input.clone());
                copy.clear_tool_call(call, input);
                self.flow.clear_tool_call(call, back);
            }
            None => self.flow.clear_tool_call(call, input),
        }
    }

    pub(crate) fn remove_tools(&mut self, names: &[String]) {
        self.flow.remove_tools(names);
    }

    pub(crate) fn patch_parameters(&mut self, patch: &str) -> Result<(), Malformed> {
        self.flow.patch_parameters(patch)
    }

    /// Others judge from here on: what those before left as it is, is told again where it comes again, and what was decided and
    /// waits, now. Where the two would not tell the same, the copy goes on alone.
    pub(crate) fn judged_anew(&mut self) {
        aside(self.flow.held(), || self.tell_again());
    }

    fn tell_again(&mut self) {
        self.flow.judged_anew();
        let Some(copy) = self.copy.as_mut() else { return };
        copy.judged_anew();
        let told = |flow: &mut dyn Flow| std::iter::from_fn(|| flow.next()).collect::<VecDeque<_>>();
        let again = told(copy.as_mut());
        if told(self.flow.as_mut()) != again {
            self.stop_putting_back();
        }
        self.told = again;
    }

    pub(crate) fn take(&mut self) -> Taken {
        let bytes = |flow: &mut dyn Flow| {
            let mut out = BytesMut::new();
            flow.take(&mut out);
            out.freeze()
        };
        aside(self.flow.held(), || match self.copy.as_mut() {
            Some(copy) => Taken { judged: bytes(copy.as_mut()), delivered: Some(bytes(self.flow.as_mut())) },
            None => Taken { judged: bytes(self.flow.as_mut()), delivered: None },
        })
    }

    /// Bytes of the body that were read so far.
    pub(crate) fn came(&self) -> u64 {
        self.flow.came()
    }

    /// Bytes of the body that have left, counted as they came.
    pub(crate) fn left(&self) -> u64 {
        self.flow.left()
    }

    /// Whether something was decided that waits for other events than its own, and can't be told again.
    pub(crate) fn keeps_decided(&self) -> bool {
        aside(self.flow.held(), || {
            self.flow.keeps_decided() || self.copy.as_ref().is_some_and(|copy| copy.keeps_decided())
        })
    }

    /// Whether the dialect's own end of a stream has come.
    pub(crate) fn is_over(&self) -> bool {
        self.flow.is_over()
    }

    pub(crate) fn usage(&self) -> Usage {
        self.flow.usage()
    }
}
