//! What the gate says in the model's place.

use serde_json::{Value, json};

use crate::{Answer, Complaint, openai::complain::message};

/// An answer of the model that refuses: incomplete, since its content was filtered. Its time is the epoch: nothing here
/// has a clock.
pub(super) fn answer(model: &str, streaming: bool, complaint: &Complaint) -> Answer {
    let text = message(complaint);
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    let id = format!("msg_{}", complaint.request_id);
    let item = |status: &str, content: Value| json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
    let said = item("incomplete", json!([part(&text)]));
    let whole = response(model, complaint, "incomplete", &json!([said]));
    if !streaming {
        return Answer { status: 200, content_type: "application/json", body: whole.to_string().into_bytes() };
    }
    let begun = response(model, complaint, "in_progress", &json!([]));
    let at = json!({ "item_id": id, "output_index": 0, "content_index": 0 });
    let events = [
        ("response.created", json!({ "response": begun })),
        ("response.in_progress", json!({ "response": begun })),
        ("response.output_item.added", json!({ "output_index": 0, "item": item("in_progress", json!([])) })),
        ("response.content_part.added", with(&at, json!({ "part": part("") }))),
        ("response.output_text.delta", with(&at, json!({ "delta": text, "logprobs": [] }))),
        ("response.output_text.done", with(&at, json!({ "text": text, "logprobs": [] }))),
        ("response.content_part.done", with(&at, json!({ "part": part(&text) }))),
        ("response.output_item.done", json!({ "output_index": 0, "item": said })),
        ("response.incomplete", json!({ "response": whole })),
    ];
    let body: String = events
        .into_iter()
        .enumerate()
        .map(|(number, (name, event))| {
            let event = with(&json!({ "type": name, "sequence_number": number }), event);
            format!("event: {name}\ndata: {event}\n\n")
        })
        .collect();
    Answer { status: 200, content_type: "text/event-stream", body: body.into_bytes() }
}

fn response(model: &str, complaint: &Complaint, status: &str, output: &Value) -> Value {
    let filtered = status == "incomplete";
    json!({
        "id": format!("resp_{}", complaint.request_id), "object": "response", "created_at": 0, "status": status,
        "error": null, "incomplete_details": filtered.then(|| json!({ "reason": "content_filter" })),
        "instructions": null, "metadata": {}, "model": model, "output": output, "parallel_tool_calls": true,
        "temperature": null, "tool_choice": "auto", "tools": [], "top_p": null,
        "usage": filtered.then(|| json!({
            "input_tokens": 0, "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": 0, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 0,
        })),
    })
}

/// Both objects' members in one.
fn with(first: &Value, second: Value) -> Value {
    let members = first.as_object().cloned().into_iter().flatten();
    let more = if let Value::Object(more) = second { more } else { serde_json::Map::new() };
    Value::Object(members.chain(more).collect())
}
