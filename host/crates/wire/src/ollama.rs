//! Ollama's own API: `POST /api/chat` and `/api/generate` as lines of JSON or whole, embeddings, and what there is to see
//! of models. What changes the models of a server (`pull`, `push`, `create`, `copy`, `delete`) is not claimed, and so denied.

mod complain;
mod lists;
mod names;
mod request;
mod response;

use crate::{
    Answer, Broken, Complaint, Endpoint, Flow, Limits, Unclaimed,
    documents::Documents,
    media::{Body, body, is_lines},
};

/// How Ollama names its streams.
const LINES: &str = "application/x-ndjson";

/// The endpoint at this method and path. What Ollama has under `/v1` is OpenAI's.
pub(crate) fn claim(method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    match (method, path) {
        ("POST", "/api/chat" | "/api/generate") => Some(&Generate),
        ("POST", "/api/embed" | "/api/embeddings") => Some(&lists::Lists::Embeddings),
        ("GET", "/api/tags" | "/api/ps" | "/api/version") => Some(&lists::Lists::Models),
        ("POST", "/api/show") => Some(&lists::Lists::Show),
        (_, path) if path.starts_with("/v1/") => crate::openai::claim(method, path, query),
        _ => None,
    }
}

/// Who speaks for the family.
pub(crate) fn spokesman() -> &'static dyn Endpoint {
    &Generate
}

/// `POST /api/chat` and `/api/generate`.
#[derive(Debug)]
struct Generate;

impl Endpoint for Generate {
    fn dialect(&self) -> &'static str {
        "ollama"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request::default(), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = response::Response::new(status);
        if is_lines(content_type) {
            return Ok(Box::new(Documents::lines(reader, limits)));
        }
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(reader, limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn streams(&self, _status: u16, content_type: &str) -> bool {
        is_lines(content_type)
    }

    fn stream_type(&self) -> &'static str {
        LINES
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        complain::line(complaint)
    }

    fn last_words(&self, broken: Broken<'_>, complaint: &Complaint) -> Vec<u8> {
        if is_lines(broken.content_type) { complain::line(complaint) } else { Vec::new() }
    }

    fn refusal(&self, model: &str, streaming: bool, complaint: &Complaint) -> Answer {
        complain::refusal(model, streaming, complaint)
    }

    /// White space before a line: clients read lines, and an empty one would be an error to them.
    fn heartbeat(&self, _say: &str) -> Vec<u8> {
        b" ".to_vec()
    }
}
