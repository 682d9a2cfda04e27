//! Any other HTTP service, where the operator allows an endpoint of it by a rule: bodies are seen through generic views.
//! Which view follows from a body's content type, among those that the rule allows.
//!
//! What must hold: no string, name or long number of a body is without a place where it is seen; a content type that the
//! rule does not allow is refused.

mod any;

use model::{Connection, Speaker, View};

use crate::{
    Answer, Broken, Complaint, Endpoint, Flow, Limits, Unclaimed,
    dialect::problem,
    documents::Documents,
    media::{self, Body},
    nothing::Nothing,
    text::Text,
};
use any::Any;

/// The endpoint that a rule of the connection allows at this method and path: the first that fits.
pub(crate) fn claim(connection: &Connection, method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    let rule = connection.endpoints.iter().find(|rule| rule.allows(method, path))?;
    let views = rule.views.iter().fold(0, |views, view| views | bit(*view));
    EVERY.get(usize::from(views)).map(|views| views as &dyn Endpoint)
}

/// What reads a document of JSON of which no more is known than whose words it holds.
#[must_use]
pub fn any_document(speaker: Speaker, limits: Limits) -> Box<dyn Flow> {
    Box::new(Documents::whole(Any::new(speaker), limits))
}

const fn bit(view: View) -> u8 {
    1 << view as u8
}

/// Sets of views: endpoints live as long as the program, and there are few of these.
static EVERY: [Views; 1 << View::ALL.len()] = {
    let mut every = [const { Views(0) }; 1 << View::ALL.len()];
    let mut views = 0;
    while views < every.len() {
        every[views] = Views(views as u8);
        views += 1;
    }
    every
};

/// An endpoint with these views.
#[derive(Debug)]
struct Views(u8);

impl Views {
    /// The view of a body, if it is allowed.
    fn view(&self, content_type: &str) -> Result<View, Unclaimed> {
        view(content_type).filter(|view| self.0 & bit(*view) != 0).ok_or_else(|| Unclaimed(content_type.to_owned()))
    }
}

/// The view that reads bodies of a content type, if one does.
fn view(content_type: &str) -> Option<View> {
    match media::body(content_type) {
        Ok(Body::Json) => Some(View::Json),
        Ok(Body::Events) => Some(View::Sse),
        Err(_) if media::is_lines(content_type) => Some(View::Ndjson),
        Err(_) if media::is_text(content_type) => Some(View::Text),
        Err(_) => None,
    }
}

impl Endpoint for Views {
    fn dialect(&self) -> &'static str {
        "http"
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        if content_type.is_empty() {
            return Ok(Box::new(Nothing::default()));
        }
        Ok(match self.view(content_type)? {
            View::Json => Box::new(Documents::whole(Any::request(), limits)),
            View::Ndjson => Box::new(Documents::lines(Any::request(), limits).when_complete()),
            View::Text => Box::new(Text::request(limits)),
            // Nobody sends events up.
            View::Sse => return Err(Unclaimed(content_type.to_owned())),
        })
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        let reader = || Any::new(Speaker::Provider);
        // 204 and its kin have no body, and so no content type.
        if content_type.is_empty() && matches!(status, 204 | 205 | 304) {
            return Ok(Box::new(Documents::whole(reader(), limits)));
        }
        Ok(match self.view(content_type)? {
            View::Json => Box::new(Documents::whole(reader(), limits)),
            View::Sse => Box::new(Documents::events(reader(), limits)),
            View::Ndjson => Box::new(Documents::lines(reader(), limits)),
            View::Text => Box::new(Text::answer(limits)),
        })
    }

    fn streams(&self, _status: u16, content_type: &str) -> bool {
        view(content_type).is_some_and(|view| view != View::Json)
    }

    fn how_to_allow(&self, content_type: &str) -> String {
        let Some(view) = view(content_type) else {
            return "; no view reads it".to_owned();
        };
        let word = View::ALL.iter().find(|(_, known)| *known == view).map_or("", |(word, _)| word);
        format!("; add \"{word}\" to `view` of the `[[connection.endpoint]]` that allows this path")
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        Answer {
            status: complaint.status,
            content_type: "application/problem+json",
            body: serde_json::Value::Object(problem(complaint)).to_string().into_bytes(),
        }
    }

    fn stream_complaint(&self, complaint: &Complaint) -> Vec<u8> {
        let error = serde_json::json!({ "error": problem(complaint) });
        format!("event: error\ndata: {error}\n\n").into_bytes()
    }

    fn last_words(&self, broken: Broken<'_>, complaint: &Complaint) -> Vec<u8> {
        match view(broken.content_type) {
            Some(View::Sse) => self.stream_complaint(complaint),
            Some(View::Ndjson) => format!("{}\n", serde_json::json!({ "error": problem(complaint) })).into_bytes(),
            // Text has no form for it: only the cut shows.
            Some(View::Text | View::Json) | None => Vec::new(),
        }
    }

    /// No model is known to speak here, so none can refuse.
    fn refusal(&self, _model: &str, _streaming: bool, complaint: &Complaint) -> Answer {
        self.complaint(complaint)
    }
}
