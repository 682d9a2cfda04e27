//! `openai-embeddings`: `POST …/embeddings`; and `openai-moderations`, which has requests of the same form and answers
//! that are numbers, too.

mod response;

use super::{complain, errors::Failure, inputs::Inputs};
use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Unclaimed,
    documents::Documents,
    media::{Body, body},
};

/// The members of a request that hold text for the model.
const TEXTS: [&str; 1] = ["input"];

/// The endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Embeddings,
    Moderations,
}

impl Endpoint for Numbers {
    fn dialect(&self) -> &'static str {
        match self {
            Self::Embeddings => "openai-embeddings",
            Self::Moderations => "openai-moderations",
        }
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request_at("", content_type, limits)
    }

    fn request_at(&self, path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(Inputs::at(path, &TEXTS), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json if status >= 400 => Ok(Box::new(Documents::whole(Failure, limits))),
            Body::Json => Ok(Box::new(Documents::whole(response::Response::default(), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }
}
