//! OpenAI's endpoints, and those of the many that copy them.

mod calls;
mod complain;
mod logprobs;
mod models;
mod names;
mod request;
mod response;
mod stream;

use crate::{Answer, Complaint, Endpoint, Flow, Limits, Unclaimed, documents::Documents};

/// The endpoint at this method and path.
pub(crate) fn claim(method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    match method {
        "POST" if path.ends_with("/chat/completions") => Some(&Chat),
        "GET" if path.ends_with("/models") => Some(&models::Models),
        _ => None,
    }
}

/// How a body is framed.
enum Body {
    Json,
    Events,
}

/// The framing that a content type names.
fn body(content_type: &str) -> Result<Body, Unclaimed> {
    let mut parameters = content_type.split(';').map(str::trim);
    let essence = parameters.next().unwrap_or_default().to_ascii_lowercase();
    // Another charset would be read as something else by a client that believes the header.
    let utf8 = parameters.all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        })
    });
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    match (utf8, json, essence.as_str()) {
        (true, true, _) => Ok(Body::Json),
        (true, false, "text/event-stream") => Ok(Body::Events),
        _ => Err(Unclaimed(content_type.to_owned())),
    }
}

/// `POST …/chat/completions`.
#[derive(Debug)]
struct Chat;

impl Endpoint for Chat {
    fn dialect(&self) -> &'static str {
        "openai-chat"
    }

    fn raw(&self) -> bool {
        false
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request::default(), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = response::Response::new(status);
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
        complain::refusal(model, streaming, complaint)
    }

    fn heartbeat(&self, say: &str) -> Vec<u8> {
        complain::heartbeat(say)
    }
}
