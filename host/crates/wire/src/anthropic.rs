//! Anthropic's Messages API: its own endpoints, and those of the servers that copy it.
//!
//! Batches (`…/messages/batches`) and files (`…/files`) are not claimed: what they keep at the provider would be
//! fetched later, past the policies of that day.

mod block;
mod complain;
mod models;
mod names;
mod offers;
mod request;
mod response;
mod stream;

use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Unclaimed,
    dialect::comment,
    documents::Documents,
    media::{Body, body},
};

/// The endpoint at this method and path.
pub(crate) fn claim(method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    match method {
        "POST" if path.ends_with("/messages") => Some(&Messages),
        "POST" if path.ends_with("/messages/count_tokens") => Some(&CountTokens),
        "GET" if path.ends_with("/models") || is_model(path) => Some(&models::Models),
        _ => None,
    }
}

/// The endpoint in whose form this family's callers are told what stops before one is known.
pub(crate) fn spokesman() -> &'static dyn Endpoint {
    &Messages
}

/// `…/models/ID`.
fn is_model(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(list, id)| list.ends_with("/models") && !id.is_empty())
}

/// What both endpoints speak in a request.
fn request(content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
    match body(content_type)? {
        Body::Json => Ok(Box::new(Documents::whole(request::Request::default(), limits))),
        _ => Err(Unclaimed(content_type.to_owned())),
    }
}

/// `POST …/messages`.
#[derive(Debug)]
struct Messages;

impl Endpoint for Messages {
    fn dialect(&self) -> &'static str {
        "anthropic-messages"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        request(content_type, limits)
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = response::Response::new(status);
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(reader, limits))),
            Body::Events => Ok(Box::new(Documents::events(reader, limits))),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        complain::event(complaint)
    }

    fn refusal(&self, model: &str, streaming: bool, complaint: &Complaint) -> Answer {
        complain::refusal(model, streaming, complaint)
    }

    fn heartbeat(&self, say: &str) -> Vec<u8> {
        comment(say)
    }
}

/// `POST …/messages/count_tokens`: the same request, and a number for an answer.
#[derive(Debug)]
struct CountTokens;

impl Endpoint for CountTokens {
    fn dialect(&self) -> &'static str {
        "anthropic-messages"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        request(content_type, limits)
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(response::Response::new(status), limits))),
            _ => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    /// No model speaks here, so none can refuse.
    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }
}
