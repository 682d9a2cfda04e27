//! What the gate says in Ollama's own form: an object with `error` as a string, whole or as the last line of a stream. The
//! members of a problem (RFC 9457) stand beside it.

use serde_json::json;

use crate::{
    Answer, Complaint,
    dialect::{problem, sentence},
};

fn error(complaint: &Complaint) -> String {
    let mut body = problem(complaint);
    body.insert("error".to_owned(), sentence(complaint).into());
    serde_json::Value::Object(body).to_string()
}

/// A whole answer.
pub(super) fn answer(complaint: &Complaint) -> Answer {
    Answer { status: complaint.status, content_type: "application/json", body: error(complaint).into_bytes() }
}

/// The last line of a stream that is stopped.
pub(super) fn line(complaint: &Complaint) -> Vec<u8> {
    (error(complaint) + "\n").into_bytes()
}

/// An answer of the model that refuses, as chat and as generated text in one. Its time is the epoch: nothing here has a
/// clock.
pub(super) fn refusal(model: &str, streaming: bool, complaint: &Complaint) -> Answer {
    let text = sentence(complaint);
    let body = json!({
        "model": model, "created_at": "1970-01-01T00:00:00Z",
        "message": { "role": "assistant", "content": text }, "response": text,
        "done": true, "done_reason": "stop",
    });
    let (content_type, end) = if streaming { (super::LINES, "\n") } else { ("application/json", "") };
    Answer { status: 200, content_type, body: format!("{body}{end}").into_bytes() }
}
