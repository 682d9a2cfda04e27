//! Ollama's endpoints at which no model speaks: embeddings, and what there is to see of models.

use model::{Channel, Speaker};

use super::{complain, names};
use crate::{
    Answer, Asked, Complaint, Endpoint, Flow, Limits, Malformed, Step, Unclaimed,
    case::Spelling,
    documents::{Documents, Reader},
    json::Kind,
    media::{Body, body},
    nothing::Nothing,
    parts::Parts,
    sheet::Sheet,
};

/// The endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    /// `POST /api/embed`, `/api/embeddings`.
    Embeddings,
    /// `GET /api/tags`, `/api/ps`, `/api/version`.
    Models,
    /// `POST /api/show`.
    Show,
}

impl Endpoint for Lists {
    fn dialect(&self) -> &'static str {
        match self {
            Self::Embeddings => "ollama-embeddings",
            Self::Models | Self::Show => "ollama-models",
        }
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        if *self == Self::Models {
            return Ok(Box::new(Nothing::default()));
        }
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(Question, limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn response(&self, status: u16, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(List { failed: status >= 400 }, limits))),
            Body::Events => Err(Unclaimed(content_type.to_owned())),
        }
    }

    fn complaint(&self, complaint: &Complaint) -> Answer {
        complain::answer(complaint)
    }
}

/// A request: texts to be embedded, or a model to be shown.
#[derive(Debug)]
struct Question;

impl Reader for Question {
    fn speaker(&self) -> Speaker {
        Speaker::User
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn spelling(&self) -> Option<&'static Spelling> {
        Some(&names::SPELLING)
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        let model = doc.text_of(0, "model").filter(|model| !model.is_empty()).or_else(|| doc.text_of(0, "name"));
        let model = model.unwrap_or_default().into_owned();
        sheet.parts.tell(Step::Asked(Box::new(Asked { model, parameters: "{}".to_owned(), ..Asked::default() })));
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("input" | "prompt", Kind::Text) => sheet.once(value, Channel::Content, Speaker::User),
                ("input", Kind::Array) => {
                    for item in doc.items(value) {
                        match doc.kind(item) {
                            Kind::Text => sheet.once(item, Channel::Content, Speaker::User),
                            _ => sheet.rest(item),
                        }
                    }
                }
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _parts: &mut Parts) {}
}

/// An answer in which every string is a field; its vectors are numbers with a point.
#[derive(Debug)]
struct List {
    failed: bool,
}

impl Reader for List {
    fn speaker(&self) -> Speaker {
        Speaker::Provider
    }

    fn known(&self) -> fn(&str) -> bool {
        names::known
    }

    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed> {
        let doc = sheet.doc;
        if doc.kind(0) != Kind::Object {
            return Err(Malformed::Shape { path: String::new(), expected: "an object" });
        }
        for (key, value) in doc.members(0) {
            match (&*doc.name(key), doc.kind(value)) {
                ("error", Kind::Text) => sheet.once(value, Channel::Error, Speaker::Provider),
                ("embedding" | "embeddings", Kind::Array) => sheet.vectors(value),
                ("total_duration" | "load_duration" | "prompt_eval_count", Kind::Number) => sheet.counts(value),
                _ => {
                    sheet.key(key);
                    sheet.rest(value);
                }
            }
        }
        Ok(())
    }

    fn may_be_empty(&self) -> bool {
        self.failed
    }

    fn end(&mut self, _parts: &mut Parts) {}
}
