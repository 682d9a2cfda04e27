//! The shape that every direction of every dialect has: bytes in, text out, decisions in, bytes out.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use model::{Part, PartId, Usage};

use crate::Malformed;

/// Whether bytes hold what must be seen wherever it stands.
pub type Finds = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// One direction of one exchange.
///
/// Order of calls: `push`*, `finish` once; after each of them `next` until `None`, then decisions
/// (`release`, `clear_tool_call`), then `take`.
pub trait Flow: Send {
    /// Whether nothing is known of what it reads: text that is told as content may be a field like any other.
    fn is_any(&self) -> bool {
        false
    }

    /// A string in which this finds something is told as text, also where it would be taken for an encoded file. Only
    /// before anything was pushed.
    fn look_for(&mut self, _finds: &Finds) {}

    /// Takes bytes of the body, content encoding already undone.
    ///
    /// # Errors
    /// [`Malformed`] when they can't be what the dialect says; the flow is dead then.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed>;

    /// The body is complete.
    ///
    /// # Errors
    /// [`Malformed`] when it broke off in the middle (of a JSON value, of an event).
    fn finish(&mut self) -> Result<(), Malformed>;

    /// What the bytes so far say and has not been told. New text of a part is told in one step for all bytes pushed
    /// since the last call, whatever number of frames they hold.
    fn next(&mut self) -> Option<Step>;

    /// Decides text of a part: everything before `upto` (bytes of decoded text since the part's begin) may leave,
    /// with these changes. `upto` never shrinks; changes lie between the last `upto` and this one, are in order, and
    /// do not overlap.
    fn release(&mut self, part: PartId, upto: u64, changes: Vec<Change>);

    /// The arguments of a tool call that `Step::ToolCall` told, with the changes released so far.
    fn tool_input(&self, call: ToolCallId) -> String;

    /// Lets a tool call leave, with `input` as its arguments where given (JSON).
    fn clear_tool_call(&mut self, call: ToolCallId, input: Option<String>);

    /// Takes tools away from a request, by name. Only before anything was taken.
    fn remove_tools(&mut self, names: &[String]);

    /// Applies a JSON Merge Patch (RFC 7396) to a request's parameters (its top-level members other than the
    /// conversation and the tools). Only before anything was taken.
    ///
    /// # Errors
    /// [`Malformed`] when the patch is not a JSON object or touches a member that holds conversation or tools.
    fn patch_parameters(&mut self, patch: &str) -> Result<(), Malformed>;

    /// Others judge from here on. What those before left as it is, a field that comes in each event, is told again where
    /// it comes again. What repeats a text that came in pieces leaves as that did. What was decided and waits, and can be told
    /// again, is: its part begins once more, and waits for its decision as if it had just come.
    fn judged_anew(&mut self) {}

    /// Moves all bytes that may leave to the end of `out`.
    fn take(&mut self, out: &mut BytesMut);

    /// Bytes that are in and not out.
    fn held(&self) -> usize;

    /// Bytes of the body that were read so far, in whole events: what they say was told, or is by `next`.
    fn came(&self) -> u64;

    /// Bytes of the body that have left, counted as they came.
    fn left(&self) -> u64;

    /// Whether something was decided that has not left, waits for other events than its own, and can't be told again: it would
    /// leave as those decided who judged it, whoever judges from here on.
    fn keeps_decided(&self) -> bool {
        false
    }

    /// Tokens, as far as the provider has told them.
    fn usage(&self) -> Usage;

    /// Whether the dialect's own end of a stream has come (`[DONE]`, `message_stop`); true where it has none. A body whose
    /// framing can't tell that it was cut is whole only then.
    fn is_over(&self) -> bool {
        true
    }
}

/// What a flow tells, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// What a request asks for; told before its parts, once the request is complete.
    Asked(Box<Asked>),
    /// A part of text begins.
    Begin(Part),
    /// More text of a part.
    Text {
        /// Which part.
        part: PartId,
        /// What came since the last `Text` of this part.
        text: String,
    },
    /// A part is complete.
    End(PartId),
    /// A tool call that the model proposes is complete; told after its parts (`Channel::ToolInput`) have ended.
    ToolCall(ToolCall),
}

/// What a request asks for, besides its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The model; may be empty.
    pub model: String,
    /// Whether a stream is asked for.
    pub streaming: bool,
    /// The tools offered to the model.
    pub tools: Vec<Tool>,
    /// Models that the tools name: those that run at the server may ask one of their own.
    pub tool_models: Vec<String>,
    /// The other members of the request, as one JSON object.
    pub parameters: String,
    /// The messages in it that want an answer which names them; none in a dialect whose answers name nothing.
    pub replies: Vec<ReplyTo>,
}

/// A message that wants an answer of its own (JSON-RPC 2.0, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// Its id, as JSON.
    pub id: String,
    /// What it calls.
    pub method: String,
}

/// A tool offered to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: String,
}

/// A tool call within its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolCallId(pub u32);

/// A tool call that the model proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its number within the flow.
    pub call: ToolCallId,
    /// The provider's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
}

/// A change of a part's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Bytes of decoded text since the part's begin.
    pub span: Range<u64>,
    /// What takes their place.
    pub by: String,
}

/// All bytes that a flow lets go now, for callers with no buffer of their own.
pub fn taken(flow: &mut dyn Flow) -> Bytes {
    let mut out = BytesMut::new();
    flow.take(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with many small texts has three steps for each of them, which wait together.
    #[test]
    fn a_step_takes_little_room() {
        assert!(size_of::<Step>() <= 56, "{} bytes", size_of::<Step>());
    }
}
