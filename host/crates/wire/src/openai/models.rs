//! `GET …/models`: asked by SDKs and tools to see what there is. The request has no body, the answer is JSON in which
//! every string is a field.

use bytes::BytesMut;
use model::{PartId, Speaker, Usage};

use super::{Body, body, complain, names, response};
use crate::{
    Answer, Asked, Change, Complaint, Endpoint, Flow, Limits, Malformed, Step, ToolCallId, Unclaimed,
    documents::{Documents, Reader},
    parts::Parts,
    sheet::Sheet,
};

/// The endpoint.
#[derive(Debug)]
pub(super) struct Models;

impl Endpoint for Models {
    fn dialect(&self) -> &'static str {
        "openai-models"
    }

    fn raw(&self) -> bool {
        false
    }

    fn request(&self, _content_type: &str, _limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        Ok(Box::new(Nothing::default()))
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json if status >= 400 => Ok(Box::new(Documents::whole(response::Response::new(status), limits))),
            Body::Json => Ok(Box::new(Documents::whole(List, limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, _complaint: &Complaint) -> Vec<u8> {
        Vec::new()
    }

    /// No model speaks here, so none can refuse.
    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn heartbeat(&self, _say: &str) -> Vec<u8> {
        Vec::new()
    }
}

/// The list of models.
#[derive(Debug)]
struct List;

impl Reader for List {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        sheet.rest(0);
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}
}

/// A request with no body.
#[derive(Debug, Default)]
struct Nothing {
    asked: Option<Asked>,
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
        self.asked = Some(Asked { parameters: "{}".to_owned(), ..Asked::default() });
        Ok(())
    }

    fn next(&mut self) -> Option<Step> {
        self.asked.take().map(Step::Asked)
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

    fn usage(&self) -> Usage {
        Usage::default()
    }
}
