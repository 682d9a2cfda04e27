//! `openai-responses`: `POST …/responses` and the requests about one response that have a shape of their own.

mod calls;
mod items;
mod joined;
mod refusal;
mod request;
mod response;
mod stream;

use super::{complain, names};
use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Unclaimed,
    documents::Documents,
    media::{Body, body},
    nothing::Nothing,
    target::unescaped,
};

/// What is asked about responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Responses {
    /// `POST …/responses`.
    Create,
    /// `POST …/responses/compact`, `…/responses/input_tokens`: a request of the same form, and no answer of a model.
    Measure,
    /// `GET …/responses/ID`, `DELETE …/responses/ID`, `POST …/responses/ID/cancel`: a request with no body.
    Stored,
    /// `GET …/responses/ID/input_items`: the same, answered by a list of items.
    InputItems,
}

/// The endpoint at this method, path and query.
pub(super) fn claim(method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    let below = match path.rsplit_once("/responses") {
        Some((_, "")) => return (method == "POST").then_some(&Responses::Create as &dyn Endpoint),
        Some((_, below)) => below.strip_prefix('/')?,
        None => return None,
    };
    let mut segments = below.split('/');
    let id = segments.next().filter(|id| !matches!(*id, "" | "." | ".."))?;
    match (method, id, segments.next(), segments.next()) {
        ("POST", "compact" | "input_tokens", None, None) => Some(&Responses::Measure),
        ("GET", _, None, None) if resumes(query) => None,
        ("GET" | "DELETE", _, None, None) | ("POST", _, Some("cancel"), None) => Some(&Responses::Stored),
        ("GET", _, Some("input_items"), None) => Some(&Responses::InputItems),
        _ => None,
    }
}

/// Whether a query may ask for a stream from its middle on: there a value could have begun before, and what comes of it
/// would look like nothing.
fn resumes(query: &str) -> bool {
    let Some(plain) = unescaped(query) else { return true };
    plain.windows(RESUME.len()).any(|window| window.eq_ignore_ascii_case(RESUME))
}

/// The parameter with the number of the event behind which a stream begins.
const RESUME: &[u8] = b"starting_after";

impl Endpoint for Responses {
    fn dialect(&self) -> &'static str {
        "openai-responses"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request_at("", content_type, limits)
    }

    fn request_at(&self, path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        if matches!(self, Self::Stored | Self::InputItems) {
            return Ok(Box::new(Nothing::default()));
        }
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request::at(path), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        Ok(match (body(content_type)?, self) {
            (Body::Json, Self::InputItems) if status < 400 => Box::new(Documents::whole(request::InputItems, limits)),
            (Body::Json, _) => Box::new(Documents::whole(response::Response::new(status), limits)),
            (Body::Events, Self::InputItems) => return Err(Unclaimed(content_type.to_owned())),
            (Body::Events, _) => Box::new(Documents::events(response::Response::new(status), limits)),
        })
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    /// Both forms in one event: SDKs raise what has an `error` member, and hand on what has the type `error`.
    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        let mut event = complain::typed_error(complaint);
        event["sequence_number"] = 0.into();
        format!("event: error\ndata: {event}\n\n").into_bytes()
    }

    fn refusal(&self, model: &str, streaming: bool, complaint: &Complaint) -> Answer {
        match self {
            Self::Create => refusal::answer(model, streaming, complaint),
            Self::Measure | Self::Stored | Self::InputItems => complain::answer(complaint),
        }
    }

    fn heartbeat(&self, say: &str) -> Vec<u8> {
        complain::heartbeat(say)
    }
}
