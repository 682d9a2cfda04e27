//! Chat completions as OpenAI's servers write them: requests, whole answers, streams, with text on any channel.

use serde_json::{Value, json};

/// The canary: a social security number that was never anybody's (it came printed in wallets).
pub const SSN: &str = "078-05-1120";

/// Where an answer carries its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// `content` of the first choice.
    Content,
    /// `content` of the second choice, while the first says something harmless.
    SecondChoice,
    /// `reasoning_content`.
    Reasoning,
    /// `refusal`.
    Refusal,
    /// A string inside the JSON of a tool call's arguments.
    ToolArguments,
    /// `content`, with `logprobs` that repeat every token and its bytes.
    Logprobs,
}

/// Every channel.
pub const CHANNELS: [Channel; 6] = [
    Channel::Content,
    Channel::SecondChoice,
    Channel::Reasoning,
    Channel::Refusal,
    Channel::ToolArguments,
    Channel::Logprobs,
];

impl Channel {
    /// The choice and the channel as `Heard` names them.
    #[must_use]
    pub fn heard_as(self) -> (u64, &'static str) {
        match self {
            Self::Content | Self::Logprobs => (0, "content"),
            Self::SecondChoice => (1, "content"),
            Self::Reasoning => (0, "reasoning"),
            Self::Refusal => (0, "refusal"),
            Self::ToolArguments => (0, "tool 0"),
        }
    }

    /// The text as this channel carries it: tool arguments are a JSON object around it.
    #[must_use]
    pub fn carried(self, text: &str) -> String {
        if self == Self::ToolArguments { json!({ "note": text }).to_string() } else { text.to_owned() }
    }
}

/// A request.
#[must_use]
pub fn request(text: &str, stream: bool) -> Vec<u8> {
    let request = json!({ "model": "gpt-test", "messages": [{ "role": "user", "content": text }], "stream": stream });
    request.to_string().into_bytes()
}

/// A whole answer with `text` on `channel`.
#[must_use]
pub fn whole(channel: Channel, text: &str) -> Vec<u8> {
    let mut message = json!({ "role": "assistant", "content": null, "refusal": null });
    let mut logprobs = Value::Null;
    match channel {
        Channel::Content | Channel::SecondChoice => message["content"] = text.into(),
        Channel::Reasoning => message["reasoning_content"] = text.into(),
        Channel::Refusal => message["refusal"] = text.into(),
        Channel::ToolArguments => {
            let function = json!({ "name": "note", "arguments": channel.carried(text) });
            message["tool_calls"] = json!([{ "id": "call_1", "type": "function", "function": function }]);
        }
        Channel::Logprobs => {
            message["content"] = text.into();
            logprobs = tokens(&pieces(text, 3));
        }
    }
    let index = u64::from(channel == Channel::SecondChoice);
    let mut choices =
        vec![json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": "stop" })];
    if index == 1 {
        let first = json!({ "role": "assistant", "content": "nothing here" });
        choices.insert(0, json!({ "index": 0, "message": first, "logprobs": null, "finish_reason": "stop" }));
    }
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8 });
    let body = json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-test",
        "choices": choices, "usage": usage });
    body.to_string().into_bytes()
}

/// A streamed answer's events with the pieces of a text (as [`Channel::carried`] makes it) on `channel`, one each.
#[must_use]
pub fn events(channel: Channel, pieces: &[&str]) -> Vec<Vec<u8>> {
    let index = u64::from(channel == Channel::SecondChoice);
    let mut events = vec![event(index, &opening(channel), &Value::Null, None)];
    if index == 1 {
        events.push(event(0, &json!({ "role": "assistant", "content": "nothing " }), &Value::Null, None));
    }
    for piece in pieces {
        let (mut logprobs, mut delta) = (Value::Null, json!({ "content": piece }));
        match channel {
            Channel::Content | Channel::SecondChoice => {}
            Channel::Reasoning => delta = json!({ "reasoning_content": piece }),
            Channel::Refusal => delta = json!({ "refusal": piece }),
            Channel::ToolArguments => {
                delta = json!({ "tool_calls": [{ "index": 0, "function": { "arguments": piece } }] });
            }
            Channel::Logprobs => logprobs = tokens(&[*piece]),
        }
        events.push(event(index, &delta, &logprobs, None));
        if index == 1 {
            events.push(event(0, &json!({ "content": "here " }), &Value::Null, None));
        }
    }
    events.push(event(index, &json!({}), &Value::Null, Some("stop")));
    if index == 1 {
        events.push(event(0, &json!({}), &Value::Null, Some("stop")));
    }
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

/// A streamed answer in one run of bytes, its text cut into tokens of `size` characters.
#[must_use]
pub fn streamed(channel: Channel, text: &str, size: usize) -> Vec<u8> {
    events(channel, &pieces(&channel.carried(text), size)).concat()
}

fn opening(channel: Channel) -> Value {
    if channel == Channel::ToolArguments {
        let function = json!({ "name": "note", "arguments": "" });
        let call = json!([{ "index": 0, "id": "call_1", "type": "function", "function": function }]);
        return json!({ "role": "assistant", "content": null, "tool_calls": call });
    }
    json!({ "role": "assistant", "content": "" })
}

fn event(index: u64, delta: &Value, logprobs: &Value, finish: Option<&str>) -> Vec<u8> {
    let choice = json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
    let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test",
        "choices": [choice] });
    format!("data: {chunk}\n\n").into_bytes()
}

fn tokens(pieces: &[&str]) -> Value {
    let token = |piece: &&str| {
        let top = json!([{ "token": piece, "logprob": -0.5, "bytes": piece.as_bytes() }]);
        json!({ "token": piece, "logprob": -0.5, "bytes": piece.as_bytes(), "top_logprobs": top })
    };
    json!({ "content": pieces.iter().map(token).collect::<Vec<_>>(), "refusal": null })
}

fn pieces(text: &str, size: usize) -> Vec<&str> {
    let mut starts: Vec<usize> = text.char_indices().map(|(at, _)| at).step_by(size).collect();
    starts.push(text.len());
    starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}
