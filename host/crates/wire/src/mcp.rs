//! The Model Context Protocol over streamable HTTP: JSON-RPC 2.0 between a client and a server of tools.
//!
//! Revisions 2025-03-26 to 2026-07-28. A connection has one endpoint: a path whose last segment is `mcp`, or the
//! connection's own base. The older transport with an endpoint for events beside the one for messages is not claimed.

mod complain;
mod content;
mod message;
mod mirror;
mod names;
mod request;
mod response;

use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Unclaimed,
    dialect::comment,
    documents::Documents,
    media::{self, Body, body},
    nothing::Nothing,
    text::Text,
};

/// What is wrong with a message: what should stand there.
type Wrong = &'static str;

/// The endpoint at this method and path.
pub(crate) fn claim(method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    let path = path.strip_suffix('/').unwrap_or(path);
    // What stands under `/.well-known/` is not said in this protocol (RFC 9728 puts the path at its end).
    if path.starts_with("/.well-known/") || !(path.is_empty() || path.ends_with("/mcp")) {
        return None;
    }
    match method {
        "POST" => Some(&Mcp { says: true }),
        // The stream of the server's own messages, and the end of a session.
        "GET" | "DELETE" => Some(&Mcp { says: false }),
        _ => None,
    }
}

/// The endpoint in whose form this family's callers are told what stops before one is known.
pub(crate) fn spokesman() -> &'static dyn Endpoint {
    &Mcp { says: true }
}

/// The endpoint.
#[derive(Debug)]
struct Mcp {
    /// Whether the request has a body.
    says: bool,
}

impl Endpoint for Mcp {
    fn dialect(&self) -> &'static str {
        "mcp"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        if !self.says {
            return Ok(Box::new(Nothing::default()));
        }
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request, limits))),
            _ => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = response::Response::new(status, self.says);
        match body(content_type) {
            Ok(Body::Json) => Ok(Box::new(Documents::whole(reader, limits))),
            Ok(Body::Events) => Ok(Box::new(Documents::events(reader, limits))),
            // Servers that do not speak the protocol refuse in words of their own.
            _ if status >= 400 && media::is_text(content_type) => Ok(Box::new(Text::answer(limits))),
            // `202 Accepted` and the like say what they say by their status; a body would be refused.
            _ if status != 200 || content_type.is_empty() => Ok(Box::new(Nothing::answer())),
            _ => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn repeats(&self, header: &str) -> bool {
        mirror::repeats(header)
    }

    fn agrees(&self, header: &str, value: &str, body: &[u8]) -> bool {
        mirror::agrees(header, value, body)
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        complain::events(complaint)
    }

    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        complain::refusal(complaint)
    }

    fn heartbeat(&self, say: &str) -> Vec<u8> {
        comment(say)
    }
}
