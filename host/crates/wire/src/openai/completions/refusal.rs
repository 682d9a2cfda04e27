//! What the gate says in the model's place.

use serde_json::json;

use crate::{Answer, Complaint, openai::complain::message};

/// An answer of the model that refuses. Its time is the epoch: nothing here has a clock.
pub(super) fn answer(model: &str, streaming: bool, complaint: &Complaint) -> Answer {
    let piece = |text: &str, finish: Option<&str>| {
        json!({
            "id": format!("cmpl-{}", complaint.request_id), "object": "text_completion", "created": 0, "model": model,
            "choices": [{ "index": 0, "text": text, "logprobs": null, "finish_reason": finish }],
        })
    };
    let text = message(complaint);
    if streaming {
        let (said, over) = (piece(&text, None), piece("", Some("content_filter")));
        let body = format!("data: {said}\n\ndata: {over}\n\ndata: [DONE]\n\n");
        return Answer { status: 200, content_type: "text/event-stream", body: body.into_bytes() };
    }
    let mut whole = piece(&text, Some("content_filter"));
    whole["usage"] = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    Answer { status: 200, content_type: "application/json", body: whole.to_string().into_bytes() }
}
