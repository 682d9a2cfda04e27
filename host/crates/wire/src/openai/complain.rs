//! What the gate says in OpenAI's own form, so that SDKs show it well.
//!
//! Bodies are hybrid: the dialect's error object and the members of a problem (RFC 9457) in one JSON object, since
//! the common SDKs print nothing of a pure problem. A stream is stopped by an `error` event and never gets `[DONE]`.

use serde_json::json;

pub(super) use crate::dialect::{comment as heartbeat, sentence as message};
use crate::{Answer, Complaint, dialect::problem};

/// The error object, as SDKs know it.
pub(super) fn error(complaint: &Complaint) -> serde_json::Value {
    let kind = match complaint.status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({ "message": message(complaint), "type": kind, "param": null, "code": complaint.code })
}

/// A whole answer.
pub(super) fn answer(complaint: &Complaint) -> Answer {
    let mut body = problem(complaint);
    body.insert("error".to_owned(), error(complaint));
    Answer {
        status: complaint.status,
        content_type: "application/json",
        body: serde_json::Value::Object(body).to_string().into_bytes(),
    }
}

/// The last event of a stream that is stopped.
pub(super) fn event(complaint: &Complaint) -> Vec<u8> {
    let mut error = error(complaint);
    error["request_id"] = complaint.request_id.as_str().into();
    error["policy"] = complaint.policy.as_str().into();
    format!("data: {}\n\n", json!({ "error": error })).into_bytes()
}
/// The error as an event with the type `error`, whose members stand beside it, and the object that SDKs know.
pub(super) fn typed_error(complaint: &Complaint) -> serde_json::Value {
    let mut error = error(complaint);
    error["request_id"] = complaint.request_id.as_str().into();
    error["policy"] = complaint.policy.as_str().into();
    json!({ "type": "error", "code": complaint.code, "message": message(complaint), "param": null, "error": error })
}
