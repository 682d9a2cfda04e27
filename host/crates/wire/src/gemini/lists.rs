//! Gemini's endpoints at which no model speaks: tokens counted, embeddings, the list of models.

use model::Speaker;

use super::{complain, names, request::Request, response::error, target};
use crate::{
    Answer, Complaint, Endpoint, Flow, Limits, Malformed, Unclaimed,
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
    /// `POST …:countTokens`.
    Count,
    /// `POST …:embedContent`, `…:batchEmbedContents`.
    Embeddings,
    /// `GET …/models`, `GET …/models/NAME`.
    Models,
}

impl Endpoint for Lists {
    fn dialect(&self) -> &'static str {
        match self {
            Self::Count => "gemini-count-tokens",
            Self::Embeddings => "gemini-embeddings",
            Self::Models => "gemini-models",
        }
    }

    fn request(&self, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        self.request_at("", content_type, limits)
    }

    fn request_at(&self, path: &str, content_type: &str, limits: Limits) -> Result<Box<dyn Flow>, Unclaimed> {
        if *self == Self::Models {
            return Ok(Box::new(Nothing::default()));
        }
        let (model, _) = target(path).unwrap_or_default();
        match body(content_type)? {
            Body::Json => Ok(Box::new(Documents::whole(Request::new(model, false), limits))),
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
            match &*doc.name(key) {
                "error" => error(sheet, value),
                "embedding" | "embeddings" => sheet.vectors(value),
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
