//! What the gate says in the model's place.

use serde_json::json;

use crate::{Answer, Complaint, openai::complain::message};

/// An answer of the model that refuses. Its time is the epoch: nothing here has a clock.
pub(super) fn answer(model: &str, streaming: bool, complaint: &Complaint) -> Answer {
    let id = format!("chatcmpl-{}", complaint.request_id);
    let text = message(complaint);
    if !streaming {
        let body = json!({
            "id": id, "object": "chat.completion", "created": 0, "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text, "refusal": null },
                "logprobs": null,
                "finish_reason": "content_filter",
            }],
            "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
        });
        return Answer { status: 200, content_type: "application/json", body: body.to_string().into_bytes() };
    }
    let chunk = |delta: serde_json::Value, finish: Option<&str>| {
        let chunk = json!({
            "id": id, "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }],
        });
        format!("data: {chunk}\n\n")
    };
    let body = [
        chunk(json!({ "role": "assistant", "content": text }), None),
        chunk(json!({}), Some("content_filter")),
        "data: [DONE]\n\n".to_owned(),
    ];
    Answer { status: 200, content_type: "text/event-stream", body: body.concat().into_bytes() }
}
