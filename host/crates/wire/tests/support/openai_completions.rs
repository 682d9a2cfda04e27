//! `openai-completions`: its flows, and what a client makes of a stream.

use std::collections::BTreeMap;

use model::Family;
use wire::{Endpoint, Flow, Limits};

use super::{events, value};

/// The endpoint under test.
pub(crate) fn completions() -> &'static dyn Endpoint {
    wire::claim(Family::Openai, "POST", "/v1/completions").unwrap()
}

/// A streamed answer.
pub(crate) fn stream() -> Box<dyn Flow> {
    completions().response(200, "text/event-stream", Limits::default()).unwrap()
}

/// A whole answer.
pub(crate) fn whole() -> Box<dyn Flow> {
    completions().response(200, "application/json", Limits::default()).unwrap()
}

/// A request.
pub(crate) fn request() -> Box<dyn Flow> {
    completions().request("application/json", Limits::default()).unwrap()
}

/// What a client makes of a stream: the text of each choice.
pub(crate) fn client(stream: &[u8]) -> BTreeMap<u64, String> {
    let mut out: BTreeMap<u64, String> = BTreeMap::new();
    for event in events(stream).iter().filter(|event| *event != "[DONE]") {
        for choice in value(event)["choices"].as_array().into_iter().flatten() {
            let text = choice["text"].as_str().unwrap_or_default();
            out.entry(choice["index"].as_u64().unwrap_or(0)).or_default().push_str(text);
        }
    }
    out
}
