//! What the gate says as JSON-RPC 2.0 has it, so that SDKs give it to who asked.
//!
//! Where the request is known its answer is an error that names it, with HTTP status 200: SDKs hand nothing on that
//! comes with another one, and some wait for an answer for ever. All else that people and machines need to know of it
//! stands in `data`, as a problem (RFC 9457): the message itself may have no other members.

use serde_json::{Value, json};

use crate::{
    Answer, Complaint, ReplyTo,
    dialect::{problem, sentence},
};

/// JSON-RPC's own codes, and one from the range that is left to implementations.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const INTERNAL_ERROR: i32 = -32603;
const REFUSED: i32 = -32010;

/// The error object.
fn error(complaint: &Complaint) -> Value {
    let code = match complaint.status {
        400 if matches!(complaint.code.as_str(), "invalid_json" | "invalid_utf8" | "truncated") => PARSE_ERROR,
        400 | 404 | 413 | 415 => INVALID_REQUEST,
        500.. => INTERNAL_ERROR,
        _ => REFUSED,
    };
    json!({ "code": code, "message": sentence(complaint), "data": problem(complaint) })
}

/// A message that answers one request. The id stands as it came: it may be a number that no type here can hold.
fn reply(to: &ReplyTo, member: &str, value: &Value) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"{member}\":{value}}}", to.id)
}

/// The body of an answer to these requests.
fn body(complaint: &Complaint, answer: impl Fn(&ReplyTo) -> String) -> Answer {
    let replies: Vec<String> = complaint.replies.iter().map(answer).collect();
    let (status, body) = match replies.as_slice() {
        [] => (complaint.status, json!({ "jsonrpc": "2.0", "error": error(complaint) }).to_string()),
        [one] => (200, one.clone()),
        many => (200, format!("[{}]", many.join(","))),
    };
    Answer { status, content_type: "application/json", body: body.into_bytes() }
}

/// A whole answer.
pub(super) fn answer(complaint: &Complaint) -> Answer {
    let error = error(complaint);
    body(complaint, |to| reply(to, "error", &error))
}

/// The last events of a stream that is stopped. Where nobody waits for an answer, it is what the server logs.
pub(super) fn events(complaint: &Complaint) -> Vec<u8> {
    let error = error(complaint);
    let mut messages: Vec<String> = complaint.replies.iter().map(|to| reply(to, "error", &error)).collect();
    if messages.is_empty() {
        let params = json!({ "level": "error", "logger": "portcullis", "data": error });
        messages.push(json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }).to_string());
    }
    messages.iter().map(|message| format!("event: message\ndata: {message}\n\n")).collect::<String>().into_bytes()
}

/// What a model reads as the answer of its tool; other requests have no such answer, and get an error.
pub(super) fn refusal(complaint: &Complaint) -> Answer {
    let error = error(complaint);
    let result = json!({ "content": [{ "type": "text", "text": sentence(complaint) }], "isError": true });
    body(complaint, |to| match to.method.as_str() {
        "tools/call" => reply(to, "result", &result),
        _ => reply(to, "error", &error),
    })
}
