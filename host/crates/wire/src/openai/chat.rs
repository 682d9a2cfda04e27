//! `openai-chat`: `POST …/chat/completions`, of OpenAI and of the many servers that copy it.

mod calls;
mod refusal;
mod request;
mod stream;
mod whole;

use super::{choices::Choices, complain, names};
use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Unclaimed,
    documents::Documents,
    media::{Body, body},
};

/// The endpoint.
#[derive(Debug)]
pub(super) struct Chat;

impl Endpoint for Chat {
    fn dialect(&self) -> &'static str {
        "openai-chat"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request_at("", content_type, limits)
    }

    fn request_at(&self, path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request::at(path), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = Choices::<stream::Choice>::new(status);
        Ok(match body(content_type)? {
            Body::Json => Box::new(Documents::whole(reader, limits)),
            Body::Events => Box::new(Documents::events(reader, limits)),
        })
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        complain::event(complaint)
    }

    fn refusal(&self, model: &str, streaming: bool, complaint: &Complaint) -> Answer {
        refusal::answer(model, streaming, complaint)
    }

    fn heartbeat(&self, say: &str) -> Vec<u8> {
        complain::heartbeat(say)
    }
}
