//! `GET …/models` and `GET …/models/ID`: asked by SDKs and tools to see what there is. The request has no body, the answer is JSON in which
//! every string is a field.

use model::Speaker;

use super::{complain, errors::Failure, names};
use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Malformed, Unclaimed,
    documents::{Documents, Reader},
    media::{Body, body},
    nothing::Nothing,
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

    fn request(&self, _content_type: &str, _limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        Ok(Box::new(Nothing::default()))
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json if status >= 400 => Ok(Box::new(Documents::whole(Failure, limits))),
            Body::Json => Ok(Box::new(Documents::whole(List, limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }
}

/// The list of models, or one of them.
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
