//! Errors of the control API, as RFC 9457 says.

use ::approvals::{DecideError, Wrong};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use identity::{AccessError, AccessFault, LiftError, RevokeError};
use serde_json::json;
use store::StoreError;

/// The content type of every error.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// An error: what happened, for people, and a word that stays, for programs.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// The request is not one that this route takes.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// There is nothing here.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The host is stopping, and what was asked may not have been done.
    pub(crate) fn stopping(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, STOPPING, detail)
    }
}

/// The word for it, on every route.
const STOPPING: &str = "stopping";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis\""));
        }
        response
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let (status, code) = match &error {
            DecideError::Wrong(Wrong::Unknown(_)) => (StatusCode::NOT_FOUND, "not_found"),
            DecideError::Wrong(Wrong::NotPending(_) | Wrong::BeingDecided) => (StatusCode::CONFLICT, "not_pending"),
            DecideError::Wrong(Wrong::NotAllowed(_)) => (StatusCode::FORBIDDEN, "not_allowed"),
            DecideError::Wrong(Wrong::Full(_)) | DecideError::Record(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not_recorded")
            }
            DecideError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, STOPPING),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<AccessFault> for Problem {
    fn from(error: AccessFault) -> Self {
        let (status, code) = match &error {
            AccessFault::Wrong(AccessError::Unknown(_)) => (StatusCode::NOT_FOUND, "not_found"),
            AccessFault::Wrong(AccessError::Closed(_)) => (StatusCode::CONFLICT, "not_pending"),
            AccessFault::Wrong(AccessError::NotAllowed(_)) => (StatusCode::FORBIDDEN, "not_allowed"),
            AccessFault::Wrong(AccessError::Full | AccessError::Reason) | AccessFault::Record(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not_recorded")
            }
            AccessFault::Stopping => (StatusCode::SERVICE_UNAVAILABLE, STOPPING),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        let (status, code) = match &error {
            RevokeError::NoToken(_) => (StatusCode::NOT_FOUND, "not_found"),
            RevokeError::NotKept { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_kept"),
            RevokeError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, STOPPING),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<LiftError> for Problem {
    fn from(error: LiftError) -> Self {
        let (status, code) = match &error {
            LiftError::NotRevoked => (StatusCode::NOT_FOUND, "not_found"),
            LiftError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_kept"),
            LiftError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, STOPPING),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::UnknownExchange(_) | StoreError::UnknownSession(_) => (StatusCode::NOT_FOUND, "not_found"),
            StoreError::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "record_damaged"),
            StoreError::Failed(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_failed"),
            StoreError::Late(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_behind"),
            StoreError::Io { .. }
            | StoreError::InUse { .. }
            | StoreError::Database { .. }
            | StoreError::Busy { .. }
            | StoreError::Format { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable"),
        };
        Self::new(status, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_stopping_says_so_alike() {
        let told: [Problem; 5] = [
            DecideError::Stopping.into(),
            AccessFault::Stopping.into(),
            RevokeError::Stopping.into(),
            LiftError::Stopping.into(),
            Problem::stopping("the host is stopping"),
        ];
        for Problem { status, code, detail } in told {
            assert_eq!((status.as_u16(), code, detail.as_str()), (503, "stopping", "the host is stopping"));
        }
    }
}
