//! Events that are not taken: what their transmitter is told (RFC 8935, 2.3 and 2.4).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::subject::NoCaller;
use crate::{RevokeError, jwt::Fault, oauth::plain};

/// Seconds after which a transmitter may send again what could not be done now.
const RETRY_AFTER_S: u32 = 5;

/// An event that is not taken: the error's code (RFC 8935, 2.4; none: worth another try), and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// It can't be done now: a transmitter sends again what was answered so.
    pub(super) fn later(description: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, ..Self::new("temporarily_unavailable", description) }
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        let body = json!({ "err": self.error, "description": self.description });
        let mut answer = plain(self.status, "application/json", body.to_string());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        answer
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        tracing::debug!(fault = fault.word(), "what came as a security event is refused");
        let error = match fault {
            Fault::KeysStale | Fault::Busy => return Self::later(fault.to_string()),
            Fault::Issuer => "invalid_issuer",
            Fault::Audience => "invalid_audience",
            Fault::Algorithm | Fault::Key | Fault::Signature => "invalid_key",
            Fault::Form(_)
            | Fault::Header(_)
            | Fault::Type
            | Fault::Claim(_)
            | Fault::Expired
            | Fault::NotYet
            | Fault::TooLong => "invalid_request",
        };
        Self::new(error, fault.to_string())
    }
}

impl From<NoCaller> for Refusal {
    fn from(missing: NoCaller) -> Self {
        let error = match missing {
            NoCaller::Foreign => "access_denied",
            NoCaller::Form | NoCaller::Format | NoCaller::NoUser => "invalid_request",
        };
        Self::new(error, missing.to_string())
    }
}

impl From<RevokeError> for Refusal {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NotKept { .. } | RevokeError::Stopping => Self::later("it could not be kept"),
            // Never for a caller; were it so, nothing was ended.
            RevokeError::NoToken(_) => Self::request(error.to_string()),
        }
    }
}
