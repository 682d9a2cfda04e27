//! `mcp`: its flows, and messages to put into them.

#![allow(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]

use model::Family;
use serde_json::{Value, json};
use wire::{Endpoint, Flow, Limits};

/// The endpoint under test.
pub(crate) fn mcp() -> &'static dyn Endpoint {
    wire::claim(Family::Mcp, "POST", "/mcp").unwrap()
}

/// What a client says.
pub(crate) fn request() -> Box<dyn Flow> {
    mcp().request("application/json", Limits::default()).unwrap()
}

/// What a server says.
pub(crate) fn whole() -> Box<dyn Flow> {
    mcp().response(200, "application/json", Limits::default()).unwrap()
}

/// What a server says, message by message.
pub(crate) fn stream() -> Box<dyn Flow> {
    mcp().response(200, "text/event-stream", Limits::default()).unwrap()
}

/// A request of JSON-RPC.
pub(crate) fn call(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// A notification.
pub(crate) fn notify(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// An answer.
pub(crate) fn result(result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "result": result })
}

/// A stream of messages.
pub(crate) fn sse(messages: &[Value]) -> String {
    let event = |(place, message)| format!("event: message\nid: {place}\ndata: {message}\n\n");
    messages.iter().enumerate().map(event).collect()
}
