//! An answer in OpenAI's shapes: one `chat.completion`, or the events of a stream. Pure: id and time come in.

use serde_json::{Map, Value, json};

use super::{
    answer::{Act, Answer},
    ask::{Ask, Complaint},
};

/// What the model reports as its build.
const FINGERPRINT: &str = "fp_echo1";

/// What one answer is stamped with.
pub(super) struct Stamp {
    /// `chatcmpl-…`.
    pub(super) id: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub(super) created: u64,
}

/// The whole answer as one JSON object.
pub(super) fn whole(ask: &Ask, answer: &Answer, stamp: &Stamp) -> Vec<u8> {
    let choices: Vec<Value> = (0..ask.choices)
        .map(|index| {
            let logprobs = match &answer.act {
                Act::Say(tokens) if ask.logprobs => logprobs(tokens),
                _ => Value::Null,
            };
            let message = message(answer, stamp, index);
            json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": answer.finish })
        })
        .collect();
    let mut body = envelope(ask, stamp, "chat.completion");
    body.insert("choices".to_owned(), choices.into());
    body.insert("usage".to_owned(), usage(ask, answer));
    Value::from(body).to_string().into_bytes()
}

/// The events of a streamed answer, in order: one for each token of each choice, choices interleaved, then the
/// finish reasons, the usage when it was asked for, and `[DONE]`.
pub(super) fn events(ask: &Ask, answer: &Answer, stamp: &Stamp) -> Vec<Vec<u8>> {
    let mut events = Vec::with_capacity((answer.tokens() + 2) * ask.choices as usize + 2);
    let mut say = |index: u32, delta: Value, logprobs: Value, finish: Option<&str>| {
        let choice = json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
        events.push(chunk(ask, stamp, vec![choice], Value::Null));
    };
    for index in 0..ask.choices {
        say(index, opening(answer, stamp, index), Value::Null, None);
    }
    for token in &answer.reasoning {
        (0..ask.choices).for_each(|index| say(index, json!({ "reasoning_content": token }), Value::Null, None));
    }
    let (Act::Say(tokens) | Act::Call { arguments: tokens, .. }) = &answer.act;
    for token in tokens {
        for index in 0..ask.choices {
            match &answer.act {
                Act::Say(_) => {
                    let logprobs = if ask.logprobs { logprobs(std::slice::from_ref(token)) } else { Value::Null };
                    say(index, json!({ "content": token }), logprobs, None);
                }
                Act::Call { .. } => {
                    let call = json!([{ "index": 0, "function": { "arguments": token } }]);
                    say(index, json!({ "tool_calls": call }), Value::Null, None);
                }
            }
        }
    }
    (0..ask.choices).for_each(|index| say(index, json!({}), Value::Null, Some(answer.finish)));
    if ask.include_usage {
        events.push(chunk(ask, stamp, Vec::new(), usage(ask, answer)));
    }
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

/// The models on offer, as `GET /v1/models` lists them.
pub(super) fn models(names: &[&str]) -> Vec<u8> {
    json!({ "object": "list", "data": names.iter().map(|name| model(name)).collect::<Vec<_>>() })
        .to_string()
        .into_bytes()
}

/// One model, as `GET /v1/models/NAME` shows it.
pub(super) fn model(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "portcullis-demo" })
}

/// An error in OpenAI's form.
pub(super) fn complaint(complaint: &Complaint) -> Vec<u8> {
    let Complaint { message, param, code, .. } = complaint;
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } })
        .to_string()
        .into_bytes()
}

fn envelope(ask: &Ask, stamp: &Stamp, object: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("id".to_owned(), stamp.id.as_str().into());
    body.insert("object".to_owned(), object.into());
    body.insert("created".to_owned(), stamp.created.into());
    body.insert("model".to_owned(), ask.model.into());
    body.insert("system_fingerprint".to_owned(), FINGERPRINT.into());
    body
}

fn chunk(ask: &Ask, stamp: &Stamp, choices: Vec<Value>, usage: Value) -> Vec<u8> {
    let mut body = envelope(ask, stamp, "chat.completion.chunk");
    body.insert("choices".to_owned(), choices.into());
    if ask.include_usage {
        // By the specification every chunk has the member then, and only the last one a value.
        body.insert("usage".to_owned(), usage);
    }
    format!("data: {}\n\n", Value::from(body)).into_bytes()
}

fn message(answer: &Answer, stamp: &Stamp, index: u32) -> Value {
    let mut message = json!({ "role": "assistant", "content": null, "refusal": null });
    match &answer.act {
        Act::Say(tokens) => message["content"] = tokens.concat().into(),
        Act::Call { name, arguments } => {
            message["tool_calls"] = json!([{
                "id": call_id(stamp, index),
                "type": "function",
                "function": { "name": name, "arguments": arguments.concat() },
            }]);
        }
    }
    if !answer.reasoning.is_empty() {
        message["reasoning_content"] = answer.reasoning.concat().into();
    }
    message
}

/// The first delta of a choice: the role, and the head of a tool call.
fn opening(answer: &Answer, stamp: &Stamp, index: u32) -> Value {
    match &answer.act {
        Act::Say(_) => json!({ "role": "assistant", "content": "", "refusal": null }),
        Act::Call { name, .. } => {
            let function = json!({ "name": name, "arguments": "" });
            let call = json!([{ "index": 0, "id": call_id(stamp, index), "type": "function", "function": function }]);
            json!({ "role": "assistant", "content": null, "tool_calls": call })
        }
    }
}

fn call_id(stamp: &Stamp, index: u32) -> String {
    format!("call_{}_{index}", stamp.id.trim_start_matches("chatcmpl-"))
}

/// Probability one for every token: the model only repeats.
fn logprobs(tokens: &[String]) -> Value {
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| json!({ "token": token, "logprob": 0.0, "bytes": token.as_bytes(), "top_logprobs": [] }))
        .collect();
    json!({ "content": content, "refusal": null })
}

fn usage(ask: &Ask, answer: &Answer) -> Value {
    let completion = answer.tokens() * ask.choices as usize;
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": answer.prompt_tokens + completion,
        "completion_tokens_details": { "reasoning_tokens": answer.reasoning.len() * ask.choices as usize },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(body: &str) -> (Value, Vec<Value>) {
        let ask = Ask::parse(body.as_bytes()).unwrap();
        let answer = Answer::to(&ask);
        let stamp = Stamp { id: "chatcmpl-1".to_owned(), created: 7 };
        let mut events = events(&ask, &answer, &stamp);
        assert_eq!(events.pop().unwrap(), b"data: [DONE]\n\n");
        let chunks = events
            .iter()
            .map(|event| {
                let data = event.strip_prefix(b"data: ").unwrap().strip_suffix(b"\n\n").unwrap();
                serde_json::from_slice(data).unwrap()
            })
            .collect();
        (serde_json::from_slice(&whole(&ask, &answer, &stamp)).unwrap(), chunks)
    }

    fn joined(chunks: &[Value], index: u64, pointer: &str) -> String {
        let of = |chunk: &Value| chunk["choices"].as_array().unwrap().iter().find(|one| one["index"] == index).cloned();
        let choices = chunks.iter().filter_map(of);
        choices.filter_map(|choice| Some(choice.pointer(pointer)?.as_str()?.to_owned())).collect()
    }

    #[test]
    fn streamed_and_whole_say_the_same_in_every_choice() {
        let (whole, chunks) = spoken(
            r#"{"model":"echo-1-thinking","messages":[{"role":"user","content":"my ssn is 078-05-1120"}],
                "n":2,"stream":true,"logprobs":true,"stream_options":{"include_usage":true}}"#,
        );
        for index in 0..2 {
            let message = &whole["choices"][index as usize]["message"];
            assert_eq!(message["content"], "You said: my ssn is 078-05-1120");
            assert_eq!(message["content"], joined(&chunks, index, "/delta/content"));
            assert_eq!(message["reasoning_content"], joined(&chunks, index, "/delta/reasoning_content"));
        }
        let last = chunks.last().unwrap();
        assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
        assert!(chunks[..chunks.len() - 1].iter().all(|chunk| chunk["usage"].is_null()));
        let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
        assert!(tokens.iter().all(|token| {
            let bytes: Vec<u8> = serde_json::from_value(token["bytes"].clone()).unwrap();
            token["token"].as_str().unwrap().as_bytes() == bytes
        }));
    }

    #[test]
    fn a_streamed_tool_call_is_the_whole_one() {
        let (whole, chunks) = spoken(
            r#"{"model":"echo-1","messages":[{"role":"user","content":"use the tool"}],"stream":true,
                "tools":[{"type":"function","function":{"name":"note"}}]}"#,
        );
        let call = &whole["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], joined(&chunks, 0, "/delta/tool_calls/0/function/arguments"));
        assert_eq!(call["id"], joined(&chunks, 0, "/delta/tool_calls/0/id"));
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(joined(&chunks, 0, "/finish_reason"), "tool_calls");
    }
}
