//! Any HTTP service: bytes go through, and only hooks on bytes judge them.

use bytes::BytesMut;
use model::{PartId, Usage};

use crate::{
    Answer, Change, Complaint, Endpoint, Flow, Limits, Malformed, Step, ToolCallId, Unclaimed, dialect::problem,
};

/// The endpoint of every method and path.
#[derive(Debug)]
pub(crate) struct Raw;

impl Endpoint for Raw {
    fn dialect(&self) -> &'static str {
        "raw"
    }

    fn raw(&self) -> bool {
        true
    }

    fn request(&self, _content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        Ok(Box::new(Through::new(limits)))
    }

    fn response(&self, _status: u16, _content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        Ok(Box::new(Through::new(limits)))
    }

    fn streams(&self, _status: u16, _content_type: &str) -> bool {
        true
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        Answer {
            status: complaint.status,
            content_type: "application/problem+json",
            body: serde_json::Value::Object(problem(complaint)).to_string().into_bytes(),
        }
    }

    /// No model is known to speak here, so none can refuse.
    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        self.complaint(complaint)
    }
}

/// Bytes with no parts.
#[derive(Debug)]
struct Through {
    limits: Limits,
    bytes: BytesMut,
    left: u64,
}

impl Through {
    fn new(limits: Limits) -> Self {
        Self { limits, bytes: BytesMut::new(), left: 0 }
    }
}

impl Flow for Through {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.bytes.len() + bytes.len() > self.limits.held_bytes {
            return Err(Malformed::TooLarge { bound: "held_bytes", limit: self.limits.held_bytes });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        Ok(())
    }

    fn next(&mut self) -> Option<Step> {
        None
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

    fn take(&mut self, out: &mut BytesMut) {
        self.left += self.bytes.len() as u64;
        if out.is_empty() {
            std::mem::swap(out, &mut self.bytes);
        } else {
            out.extend_from_slice(&self.bytes.split());
        }
    }

    fn held(&self) -> usize {
        self.bytes.len()
    }

    fn came(&self) -> u64 {
        self.left + self.bytes.len() as u64
    }

    fn left(&self) -> u64 {
        self.left
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}
