//! The flow of a message with no body: one that asks for something by its path alone, or an answer that only says that
//! all is well. A body that comes all the same is an error, whatever its content type.

use bytes::BytesMut;
use model::{PartId, Usage};

use crate::{Asked, Change, Flow, Malformed, Step, ToolCallId};

/// A message with no body: a request, which asks for no model and has no parameters, unless it is an answer.
#[derive(Debug, Default)]
pub(crate) struct Nothing {
    answer: bool,
    asked: Option<Asked>,
}

impl Nothing {
    /// An answer.
    pub(crate) fn answer() -> Self {
        Self { answer: true, asked: None }
    }
}

impl Flow for Nothing {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Shape { path: String::new(), expected: "no body at all" })
        }
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        self.asked = (!self.answer).then(|| Asked { parameters: "{}".to_owned(), ..Asked::default() });
        Ok(())
    }

    fn next(&mut self) -> Option<Step> {
        self.asked.take().map(|asked| Step::Asked(Box::new(asked)))
    }

    fn release(&mut self, _part: PartId, _upto: u64, _changes: Vec<Change>) {}

    fn tool_input(&self, _call: ToolCallId) -> String {
        String::new()
    }

    fn clear_tool_call(&mut self, _call: ToolCallId, _input: Option<String>) {}

    fn remove_tools(&mut self, _names: &[String]) {}

    fn patch_parameters(&mut self, _patch: &str) -> Result<(), Malformed> {
        Err(Malformed::Shape { path: String::new(), expected: "a request with parameters" })
    }

    fn take(&mut self, _out: &mut BytesMut) {}

    fn held(&self) -> usize {
        0
    }

    fn came(&self) -> u64 {
        0
    }

    fn left(&self) -> u64 {
        0
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}
