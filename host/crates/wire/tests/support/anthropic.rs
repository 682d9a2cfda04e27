//! Streams of Anthropic's API: how a test writes them, and what a client makes of them, by the rules of the SDKs.

#![allow(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]

use model::Family;
use serde_json::{Value, json};
use wire::{Endpoint, Flow, Limits};

/// The endpoint under test.
pub(crate) fn messages() -> &'static dyn Endpoint {
    wire::claim(Family::Anthropic, "POST", "/v1/messages").unwrap()
}

/// A streamed answer.
pub(crate) fn stream() -> Box<dyn Flow> {
    messages().response(200, "text/event-stream", Limits::default()).unwrap()
}

/// A whole answer.
pub(crate) fn whole() -> Box<dyn Flow> {
    messages().response(200, "application/json", Limits::default()).unwrap()
}

/// A request.
pub(crate) fn request() -> Box<dyn Flow> {
    messages().request("application/json", Limits::default()).unwrap()
}

/// A block begins.
pub(crate) fn block_of(index: u64, block: Value) -> Value {
    json!({ "type": "content_block_start", "index": index, "content_block": block })
}

/// A delta.
pub(crate) fn at(index: u64, delta: Value) -> Value {
    json!({ "type": "content_block_delta", "index": index, "delta": delta })
}

/// A block ends.
pub(crate) fn stop(index: u64) -> Value {
    json!({ "type": "content_block_stop", "index": index })
}

/// An event.
pub(crate) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

/// A whole stream with these events in its middle.
pub(crate) fn sse(events: &[Value], stop_reason: &str) -> String {
    let start = json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 25, "output_tokens": 1 } } });
    let end = json!({ "type": "message_delta", "delta": { "stop_reason": stop_reason, "stop_sequence": null },
        "usage": { "output_tokens": 15 } });
    let last = json!({ "type": "message_stop" });
    [start].iter().chain(events).chain([&end, &last]).map(event).collect()
}

/// The events of a stream, with their names, by the letter of the standard.
fn events(stream: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
    let (mut name, mut data) = (String::new(), None::<String>);
    let mut out = Vec::new();
    for line in text.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                out.extend(data.take().map(|data| (std::mem::take(&mut name), data)));
                name.clear();
            }
            "event" => value.clone_into(&mut name),
            "data" => data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value)),
            _ => {}
        }
    }
    assert!(data.is_none(), "a stream is cut between its events only");
    out
}

/// The names of a stream's events.
pub(crate) fn names(stream: &[u8]) -> Vec<String> {
    events(stream).into_iter().map(|(name, _)| name).collect()
}

/// What a client has at a stream's end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Client {
    pub(crate) message: Value,
    pub(crate) blocks: Vec<Value>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) error: Option<Value>,
    pub(crate) over: bool,
}

/// What a client makes of a stream: each event must fit what came before, as the SDKs want it.
pub(crate) fn client(stream: &[u8]) -> Client {
    let mut client = Client::default();
    let mut fragments: Vec<String> = Vec::new();
    for (name, data) in events(stream) {
        let data: Value = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
        assert_eq!(data["type"], name.as_str(), "{data}");
        let index = data["index"].as_u64().map(|index| index as usize);
        match name.as_str() {
            "message_start" => client.message = data["message"].clone(),
            "content_block_start" => {
                assert_eq!(index, Some(client.blocks.len()));
                client.blocks.push(data["content_block"].clone());
                fragments.push(String::new());
            }
            "content_block_delta" => {
                let index = index.unwrap();
                let (block, delta) = (&mut client.blocks[index], &data["delta"]);
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "citations_delta" => {
                        if !block["citations"].is_array() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                    }
                    "input_json_delta" => fragments[index].push_str(delta["partial_json"].as_str().unwrap()),
                    other => append(&mut block[other], &delta["novel"]),
                }
            }
            "content_block_stop" => {
                let index = index.unwrap();
                if !fragments[index].is_empty() {
                    // Text that is not JSON raises in the SDKs; here it is kept to be looked at.
                    let text = std::mem::take(&mut fragments[index]);
                    client.blocks[index]["input"] = serde_json::from_str(&text).unwrap_or(Value::String(text));
                }
            }
            "message_delta" => client.stop_reason = data["delta"]["stop_reason"].as_str().map(str::to_owned),
            "message_stop" => client.over = true,
            "error" => client.error = Some(data),
            "ping" => {}
            other => panic!("{other}"),
        }
    }
    client
}

fn append(to: &mut Value, text: &Value) {
    let before = to.as_str().unwrap_or_default();
    *to = format!("{before}{}", text.as_str().unwrap()).into();
}
