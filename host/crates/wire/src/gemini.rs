//! Gemini's API: `POST …/models/NAME:generateContent` and `:streamGenerateContent` (as events, or as one JSON array whose
//! items come one by one), tokens counted, embeddings, and the list of models. Vertex AI's paths end the same way.

mod complain;
mod lists;
mod names;
mod request;
mod response;
mod stream;

use crate::{
    Answer, Broken, Complaint, Endpoint, Flow, Limits, Unclaimed,
    documents::Documents,
    media::{Body, body, is_events},
};
use lists::Lists;

/// The endpoint at this method, path and query (with its `?`, or empty).
pub(crate) fn claim(method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    let events = asks_for_events(query)?;
    let (_, verb) = target(path)?;
    Some(match (method, verb) {
        ("POST", Some("generateContent")) => &Generate::Whole,
        ("POST", Some("streamGenerateContent")) if events => &Generate::Events,
        ("POST", Some("streamGenerateContent")) => &Generate::Items,
        ("POST", Some("countTokens")) => &Lists::Count,
        ("POST", Some("embedContent" | "batchEmbedContents")) => &Lists::Embeddings,
        ("GET", None) => &Lists::Models,
        _ => return None,
    })
}

/// Whether a query asks for events; `None` when it has a parameter that is not one of these: some carry a whole request
/// of their own (`$httpMethod`, `$req`), or another credential.
fn asks_for_events(query: &str) -> Option<bool> {
    let mut events = false;
    for pair in query.strip_prefix('?').unwrap_or(query).split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("alt" | "$alt", "sse") => events = true,
            ("alt" | "$alt", "json") | ("prettyPrint" | "$prettyPrint" | "quotaUser" | "pageSize" | "pageToken", _) => {
            }
            _ => return None,
        }
    }
    Some(events)
}

/// The model and the verb that a path names; the model is empty where the path names all of them.
fn target(path: &str) -> Option<(&str, Option<&str>)> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    let (folder, last) = path.rsplit_once('/')?;
    if last == "models" {
        return Some(("", None));
    }
    let (name, verb) = last.split_once(':').map_or((last, None), |(name, verb)| (name, Some(verb)));
    let below = folder.ends_with("/models") || folder.ends_with("/tunedModels");
    (below && !name.is_empty() && name.bytes().all(plain)).then_some((name, verb))
}

/// Who speaks for the family.
pub(crate) fn spokesman() -> &'static dyn Endpoint {
    &Generate::Whole
}

/// `POST …:generateContent`, and `:streamGenerateContent` in its two framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generate {
    Whole,
    Events,
    Items,
}

impl Endpoint for Generate {
    fn dialect(&self) -> &'static str {
        "gemini"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request_at("", content_type, limits)
    }

    fn request_at(&self, path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let (model, _) = target(path).unwrap_or_default();
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(request::Request::new(model, *self != Self::Whole), limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = response::Response::new(status);
        Ok(match (body(content_type)?, self) {
            // Google's own clients take only `data: ` for one in Python, and only an event that begins with it in JavaScript.
            (Body::Events, _) => Box::new(Documents::plain_events(reader, limits)),
            // Errors come as an array of one here, too.
            (Body::Json, Self::Items) => Box::new(Documents::items(reader, limits)),
            (Body::Json, Self::Whole | Self::Events) => Box::new(Documents::whole(reader, limits)),
        })
    }

    fn streams(&self, status: u16, content_type: &str) -> bool {
        is_events(content_type) || (*self == Self::Items && status < 400)
    }

    fn stream_type(&self) -> &'static str {
        if *self == Self::Items { "application/json" } else { "text/event-stream" }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        complain::event(complaint)
    }

    fn last_words(&self, broken: Broken<'_>, complaint: &Complaint) -> Vec<u8> {
        match body(broken.content_type) {
            Ok(Body::Events) => complain::event(complaint),
            Ok(Body::Json) => complain::item(complaint, broken.begun),
            Err(_) => Vec::new(),
        }
    }

    fn refusal(&self, model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        let body = complain::refusal(model, complaint);
        let (content_type, body) = match self {
            Self::Whole => ("application/json", body),
            Self::Events => ("text/event-stream", format!("data: {body}\n\n")),
            Self::Items => ("application/json", format!("[{body}]")),
        };
        Answer { status: 200, content_type, body: body.into_bytes() }
    }

    /// An empty line between events: Google's client in Python takes a comment for JSON. White space in an array.
    fn heartbeat(&self, _say: &str) -> Vec<u8> {
        match self {
            Self::Items => b" ".to_vec(),
            Self::Whole | Self::Events => b"\n\n".to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_model_and_what_is_to_be_done() {
        for (path, expected) in [
            ("/v1beta/models/gemini-2.5-flash:generateContent", Some(("gemini-2.5-flash", Some("generateContent")))),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m@001:countTokens",
                Some(("m@001", Some("countTokens"))),
            ),
            ("/v1beta/tunedModels/mine:generateContent", Some(("mine", Some("generateContent")))),
            ("/v1beta/models", Some(("", None))),
            ("/v1beta/models/m", Some(("m", None))),
            ("/v1beta/models/:generateContent", None),
            ("/v1beta/models/m%2F..:generateContent", None),
            ("/v1beta/files/f:generateContent", None),
            ("/v1beta/models/m:a:b", Some(("m", Some("a:b")))),
        ] {
            assert_eq!(target(path), expected, "{path}");
        }
    }

    #[test]
    fn a_query_asks_for_a_framing_and_for_nothing_else() {
        for (query, events) in [
            ("", Some(false)),
            ("?alt=sse", Some(true)),
            ("?alt=json&prettyPrint=false", Some(false)),
            ("?alt=proto", None),
            ("?$httpMethod=DELETE", None),
            ("?%61lt=sse", None),
            ("?access_token=x", None),
            ("?key=x", None),
        ] {
            assert_eq!(asks_for_events(query), events, "{query}");
        }
    }
}
