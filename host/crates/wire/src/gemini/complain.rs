//! What the gate says in Google's own form of errors (google.rpc.Status), so that SDKs show it well. A whole answer has the
//! members of a problem (RFC 9457) beside it.

use serde_json::{Value, json};

use crate::{
    Answer, Complaint,
    dialect::{problem, sentence},
};

/// The error object, as SDKs know it.
fn error(complaint: &Complaint) -> Value {
    let status = match complaint.status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({
        "code": complaint.status,
        "message": sentence(complaint),
        "status": status,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": complaint.code,
            "domain": "portcullis",
            "metadata": { "request_id": complaint.request_id, "policy": complaint.policy },
        }],
    })
}

/// A whole answer.
pub(super) fn answer(complaint: &Complaint) -> Answer {
    let mut body = problem(complaint);
    body.insert("error".to_owned(), error(complaint));
    Answer {
        status: complaint.status,
        content_type: "application/json",
        body: Value::Object(body).to_string().into_bytes(),
    }
}

/// The last event of a stream that is stopped.
pub(super) fn event(complaint: &Complaint) -> Vec<u8> {
    format!("data: {}\n\n", json!({ "error": error(complaint) })).into_bytes()
}

/// The last item of an array that is stopped; the array stays open.
pub(super) fn item(complaint: &Complaint, begun: bool) -> Vec<u8> {
    let before = if begun { ",\n" } else { "[" };
    format!("{before}{}\n", json!({ "error": error(complaint) })).into_bytes()
}

/// An answer of the model that refuses.
pub(super) fn refusal(model: &str, complaint: &Complaint) -> String {
    json!({
        "candidates": [{
            "content": { "parts": [{ "text": sentence(complaint) }], "role": "model" },
            "finishReason": "SAFETY",
            "index": 0,
        }],
        "usageMetadata": { "promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0 },
        "modelVersion": model,
        "responseId": complaint.request_id,
    })
    .to_string()
}
