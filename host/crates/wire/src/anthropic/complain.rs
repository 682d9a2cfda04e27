//! What the gate says in Anthropic's own form, so that SDKs show it well.
//!
//! Bodies are hybrid: the dialect's error object and the members of a problem (RFC 9457) in one JSON object. Both have
//! a member `type`; it is Anthropic's, `error`, and what kind of problem it is stands in `code`. A stream is stopped by
//! an `error` event, which SDKs raise, and never gets `message_stop`.

use serde_json::{Value, json};

use crate::{
    Answer, Complaint,
    dialect::{problem, sentence},
};

/// The error object, as SDKs know it.
fn error(complaint: &Complaint) -> Value {
    let kind = match complaint.status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({ "type": kind, "message": sentence(complaint) })
}

/// A whole answer.
pub(super) fn answer(complaint: &Complaint) -> Answer {
    let mut body = problem(complaint);
    body.insert("type".to_owned(), "error".into());
    body.insert("error".to_owned(), error(complaint));
    Answer {
        status: complaint.status,
        content_type: "application/json",
        body: Value::Object(body).to_string().into_bytes(),
    }
}

/// The last event of a stream that is stopped.
pub(super) fn event(complaint: &Complaint) -> Vec<u8> {
    let data = json!({
        "type": "error",
        "error": error(complaint),
        "request_id": complaint.request_id,
        "code": complaint.code,
        "policy": complaint.policy,
    });
    named(&data).into_bytes()
}

/// An event whose name is its data's type.
fn named(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

/// An answer of the model that refuses.
pub(super) fn refusal(model: &str, streaming: bool, complaint: &Complaint) -> Answer {
    let text = sentence(complaint);
    let message = |content: Value, stop: Option<&str>| {
        json!({
            "id": format!("msg_{}", complaint.request_id), "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": stop, "stop_sequence": null,
            "usage": { "input_tokens": 0, "output_tokens": 0 },
        })
    };
    if !streaming {
        let body = message(json!([{ "type": "text", "text": text }]), Some("refusal"));
        return Answer { status: 200, content_type: "application/json", body: body.to_string().into_bytes() };
    }
    let events = [
        json!({ "type": "message_start", "message": message(json!([]), None) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta", "delta": { "stop_reason": "refusal", "stop_sequence": null },
            "usage": { "output_tokens": 0 },
        }),
        json!({ "type": "message_stop" }),
    ];
    let body: String = events.iter().map(named).collect();
    Answer { status: 200, content_type: "text/event-stream", body: body.into_bytes() }
}
