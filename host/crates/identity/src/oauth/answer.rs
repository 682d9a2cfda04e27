//! Answers of the token endpoint: JSON (RFC 6749, 5.1 and 5.2) and pages. None is ever stored by a cache.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// Seconds after which a client may try again what could not be done now.
const RETRY_AFTER_S: u32 = 5;

/// A request that is refused: the error's code, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Registered codes of RFC 6749, 7009, 8628 and 8693, and `approval_required`.
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    /// The request itself is wrong.
    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// It can't be done now; another try later can succeed.
    pub(super) fn later(description: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, ..Self::new("temporarily_unavailable", description) }
    }

    /// Who asks must show first who they are.
    pub(super) fn client(description: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }

    /// Too often.
    pub(super) fn too_often(description: impl Into<String>) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, ..Self::new("slow_down", description) }
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        // RFC 6749, 5.2: printable ASCII with no quote and no backslash.
        let plain = |char: char| if matches!(char, ' '..='~') && !matches!(char, '"' | '\\') { char } else { '?' };
        let description: String = self.description.chars().map(plain).collect();
        let body = json!({ "error": self.error, "error_description": description });
        let mut answer = json_answer(self.status, &body);
        let headers = answer.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis\""));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            _ => {}
        }
        answer
    }
}

/// An answer that went well.
pub(super) fn ok(body: &Value) -> Response<Bytes> {
    json_answer(StatusCode::OK, body)
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = plain(status, "application/json", body.to_string());
    answer.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    plain(status, "text/plain; charset=utf-8", String::new())
}

pub(crate) fn plain(status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
