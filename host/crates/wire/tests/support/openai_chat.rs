//! `openai-chat`: its flows, and what a client makes of a stream.

use std::collections::BTreeMap;

use model::Family;
use serde_json::Value;
use wire::{Endpoint, Flow, Limits};

use super::events;

/// The endpoint under test.
pub(crate) fn chat() -> &'static dyn Endpoint {
    wire::claim(Family::Openai, "POST", "/v1/chat/completions").unwrap()
}

/// A streamed answer.
pub(crate) fn stream() -> Box<dyn Flow> {
    chat().response(200, "text/event-stream", Limits::default()).unwrap()
}

/// A whole answer.
pub(crate) fn whole() -> Box<dyn Flow> {
    chat().response(200, "application/json", Limits::default()).unwrap()
}

/// A request.
pub(crate) fn request() -> Box<dyn Flow> {
    chat().request("application/json", Limits::default()).unwrap()
}

/// What a client makes of a stream: for each choice, each member of its deltas with the strings joined.
pub(crate) fn client(stream: &[u8]) -> BTreeMap<(u64, String), String> {
    let mut out = BTreeMap::new();
    for event in events(stream).iter().filter(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap_or_else(|error| panic!("{error}: {event}"));
        for choice in event["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            join(&mut out, index, "", &choice["delta"]);
        }
    }
    out
}

fn join(out: &mut BTreeMap<(u64, String), String>, index: u64, path: &str, value: &Value) {
    match value {
        Value::String(text) => out.entry((index, path.to_owned())).or_default().push_str(text),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let place = item["index"].as_u64().unwrap_or(place as u64);
                join(out, index, &format!("{path}/{place}"), item);
            }
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| join(out, index, &format!("{path}/{name}"), value));
        }
        _ => {}
    }
}
