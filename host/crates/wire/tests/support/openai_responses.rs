//! `openai-responses`: its flows, streams as the service writes them, and what a client makes of them.

use std::collections::BTreeMap;

use model::Family;
use serde_json::{Value, json};
use wire::{Endpoint, Flow, Limits};

use super::{CANARY, events, value};

/// The endpoint under test.
pub(crate) fn responses() -> &'static dyn Endpoint {
    wire::claim(Family::Openai, "POST", "/v1/responses").unwrap()
}

/// A streamed answer.
pub(crate) fn stream() -> Box<dyn Flow> {
    responses().response(200, "text/event-stream", Limits::default()).unwrap()
}

/// A whole answer.
pub(crate) fn whole() -> Box<dyn Flow> {
    responses().response(200, "application/json", Limits::default()).unwrap()
}

/// A request.
pub(crate) fn request() -> Box<dyn Flow> {
    responses().request("application/json", Limits::default()).unwrap()
}

/// One item of an output, by the pieces in which it is streamed.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// Content parts of a message.
    Message(Vec<Vec<String>>),
    /// A message that refuses.
    Refusal(Vec<String>),
    /// Summary parts.
    Summary(Vec<Vec<String>>),
    /// Content of a reasoning item.
    Reasoning(Vec<String>),
    /// A function's arguments.
    Call(Vec<String>),
    /// What a custom tool is given.
    Custom(Vec<String>),
    /// What an MCP server is asked, and what it answered.
    Mcp(Vec<String>, String),
    /// Code for the interpreter, and its log.
    Code(Vec<String>, String),
}

impl Item {
    /// The stem of its deltas' type, and what their index is called.
    fn deltas(&self) -> (&'static str, &'static str) {
        match self {
            Self::Message(_) => ("output_text", "content_index"),
            Self::Refusal(_) => ("refusal", "content_index"),
            Self::Summary(_) => ("reasoning_summary_text", "summary_index"),
            Self::Reasoning(_) => ("reasoning_text", "content_index"),
            Self::Call(_) => ("function_call_arguments", "-"),
            Self::Custom(_) => ("custom_tool_call_input", "-"),
            Self::Mcp(..) => ("mcp_call_arguments", "-"),
            Self::Code(..) => ("code_interpreter_call_code", "-"),
        }
    }

    fn parts(&self) -> Vec<Vec<String>> {
        match self {
            Self::Message(parts) | Self::Summary(parts) => parts.clone(),
            Self::Refusal(pieces)
            | Self::Reasoning(pieces)
            | Self::Call(pieces)
            | Self::Custom(pieces)
            | Self::Mcp(pieces, _)
            | Self::Code(pieces, _) => vec![pieces.clone()],
        }
    }

    /// The member of its done event that holds the text.
    fn member(&self) -> &'static str {
        match self {
            Self::Message(_) | Self::Summary(_) | Self::Reasoning(_) => "text",
            Self::Refusal(_) => "refusal",
            Self::Call(_) | Self::Mcp(..) => "arguments",
            Self::Custom(_) => "input",
            Self::Code(..) => "code",
        }
    }

    fn part(&self, text: &str) -> Option<(&'static str, Value)> {
        match self {
            Self::Message(_) => {
                Some(("content_part", json!({"type":"output_text","text":text,"annotations":[],"logprobs":[]})))
            }
            Self::Refusal(_) => Some(("content_part", json!({"type":"refusal","refusal":text}))),
            Self::Summary(_) => Some(("reasoning_summary_part", json!({"type":"summary_text","text":text}))),
            _ => None,
        }
    }

    /// The item, with these texts.
    fn item(&self, at: usize, texts: &[String], done: bool) -> Value {
        let id = format!("it_{at}");
        let status = if done { "completed" } else { "in_progress" };
        let text = texts.first().cloned().unwrap_or_default();
        let parts: Vec<Value> = texts.iter().filter_map(|text| self.part(text)).map(|(_, part)| part).collect();
        match self {
            Self::Message(_) | Self::Refusal(_) => {
                json!({"id":id,"type":"message","role":"assistant","status":status,"content":if done { parts } else { vec![] }})
            }
            Self::Summary(_) => json!({"id":id,"type":"reasoning","summary":if done { parts } else { vec![] }}),
            Self::Reasoning(_) => {
                let content = if done { json!([{"type":"reasoning_text","text":text}]) } else { json!([]) };
                json!({"id":id,"type":"reasoning","summary":[],"content":content})
            }
            Self::Call(_) => {
                json!({"id":id,"type":"function_call","call_id":format!("call_{at}"),"name":"send","arguments":text,"status":status})
            }
            Self::Custom(_) => {
                json!({"id":id,"type":"custom_tool_call","call_id":format!("call_{at}"),"name":"run","input":text})
            }
            Self::Mcp(_, output) => {
                let output = if done { json!(output) } else { Value::Null };
                json!({"id":id,"type":"mcp_call","server_label":"deep","name":"ask","arguments":text,"output":output,"error":null})
            }
            Self::Code(_, log) => {
                let outputs = if done { json!([{"type":"logs","logs":log}]) } else { Value::Null };
                json!({"id":id,"type":"code_interpreter_call","container_id":"cn","code":text,"outputs":outputs,"status":status})
            }
        }
    }
}

fn answer(status: &str, output: &[Value]) -> Value {
    json!({"id":"resp_1","object":"response","created_at":1_700_000_000,"status":status,"model":"m-1","error":null,
        "instructions":null,"output":output,"tools":[],"usage":null})
}

/// The answer, not streamed.
pub(crate) fn written_whole(items: &[Item]) -> String {
    let output: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let texts: Vec<String> = item.parts().iter().map(|pieces| pieces.concat()).collect();
            item.item(at, &texts, true)
        })
        .collect();
    answer("completed", &output).to_string()
}

/// The events of an answer, as the service writes them.
pub(crate) fn written(items: &[Item]) -> Vec<Value> {
    let mut events = vec![json!({"type":"response.created","response":answer("in_progress", &[])})];
    let mut output = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let (stem, index) = item.deltas();
        let parts = item.parts();
        let empty: Vec<String> = parts.iter().map(|_| String::new()).collect();
        let begun = item.item(at, &empty, false);
        events.push(json!({"type":"response.output_item.added","output_index":at,"item":begun}));
        let mut texts = Vec::new();
        for (number, pieces) in parts.iter().enumerate() {
            let about = |name: &str, member: &str, what: Value| {
                let mut event =
                    json!({"type":format!("response.{name}"),"item_id":format!("it_{at}"),"output_index":at});
                if index != "-" {
                    event[index] = number.into();
                }
                event[member] = what;
                event
            };
            if let Some((name, part)) = item.part("") {
                events.push(about(&format!("{name}.added"), "part", part));
            }
            for piece in pieces {
                let mut event = about(&format!("{stem}.delta"), "delta", piece.as_str().into());
                event["obfuscation"] = "aX3".into();
                events.push(event);
            }
            let text = pieces.concat();
            events.push(about(&format!("{stem}.done"), item.member(), text.as_str().into()));
            if let Some((name, part)) = item.part(&text) {
                events.push(about(&format!("{name}.done"), "part", part));
            }
            texts.push(text);
        }
        let done = item.item(at, &texts, true);
        events.push(json!({"type":"response.output_item.done","output_index":at,"item":done}));
        output.push(done);
    }
    events.push(json!({"type":"response.completed","response":answer("completed", &output)}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}

/// Events as they stand in a stream.
pub(crate) fn sse(events: &[Value]) -> String {
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

/// What a client makes of a stream: the text of each place, by each of the ways in which it is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// By its deltas: stem, place in the output, index.
    pub(crate) deltas: BTreeMap<(String, u64, u64), String>,
    /// By its done event.
    pub(crate) done: BTreeMap<(String, u64, u64), String>,
    /// Items as `output_item.done` tells them.
    pub(crate) items: BTreeMap<u64, Value>,
    /// The answer as the last event tells it.
    pub(crate) last: Option<Value>,
}

/// Reads a stream.
pub(crate) fn client(stream: &[u8]) -> Client {
    let mut client = Client::default();
    for event in events(stream) {
        let event = value(&event);
        let kind = event["type"].as_str().unwrap();
        let kind = kind.strip_prefix("response.").unwrap_or(kind).to_owned();
        let output = event["output_index"].as_u64().unwrap_or(0);
        let index = event["content_index"].as_u64().or(event["summary_index"].as_u64()).unwrap_or(0);
        if let (Some(stem), Some(text)) = (kind.strip_suffix(".delta"), event["delta"].as_str()) {
            client.deltas.entry((stem.to_owned(), output, index)).or_default().push_str(text);
        } else if kind == "output_item.done" {
            client.items.insert(output, event["item"].clone());
        } else if matches!(kind.as_str(), "completed" | "incomplete" | "failed") {
            client.last = Some(event["response"].clone());
        } else if let Some(stem) = kind.strip_suffix(".done") {
            let text = ["text", "refusal", "arguments", "input", "code"].iter().find_map(|name| event[name].as_str());
            if let Some(text) = text {
                client.done.insert((stem.to_owned(), output, index), text.to_owned());
            }
        }
    }
    client
}

impl Client {
    /// All ways in which a text is told agree.
    pub(crate) fn agree(&self) {
        for (place, text) in &self.done {
            let deltas = self.deltas.get(place).map_or("", String::as_str);
            assert_eq!(deltas, text, "{place:?}");
        }
        let last = self.last.as_ref().unwrap();
        for (output, item) in &self.items {
            assert_eq!(item, &last["output"][*output as usize]);
            for (place, text) in self.done.iter().filter(|((_, at, _), _)| at == output) {
                let (stem, _, index) = place;
                let index = *index as usize;
                let told = match stem.as_str() {
                    "output_text" | "reasoning_text" => &item["content"][index]["text"],
                    "refusal" => &item["content"][index]["refusal"],
                    "reasoning_summary_text" => &item["summary"][index]["text"],
                    "custom_tool_call_input" => &item["input"],
                    "code_interpreter_call_code" => &item["code"],
                    _ => &item["arguments"],
                };
                assert_eq!(told, text, "{place:?}");
            }
        }
    }
}

/// Every string and name in a stream's events or in a document, those in JSON inside of strings too.
pub(crate) fn clean(text: &Value) -> bool {
    match text {
        Value::String(text) => {
            !text.contains(CANARY)
                && serde_json::from_str::<Value>(text).ok().is_none_or(|inner| inner.is_string() || clean(&inner))
        }
        Value::Array(items) => items.iter().all(clean),
        Value::Object(members) => members.iter().all(|(name, value)| !name.contains(CANARY) && clean(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
