//! What a caller's SDK makes of an answer: event streams and chat completions, read independently of the host's own
//! reader (WHATWG HTML, section 9.2.6; OpenAI's API reference).

use std::collections::BTreeMap;

use serde_json::Value;

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// `event:`; empty when there was none.
    pub event: String,
    /// Its `data:` lines, joined.
    pub data: String,
}

/// The events of a body, and its comments. An event with no blank line after it is not dispatched.
#[must_use]
pub fn sse(body: &[u8]) -> (Vec<SseEvent>, Vec<String>) {
    let text = std::str::from_utf8(body).expect("an event stream is UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut comments) = (Vec::new(), Vec::new());
    let (mut event, mut data): (String, Option<String>) = (String::new(), None);
    // What follows the last line end is no line yet.
    let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
    for line in whole.lines() {
        let (field, value) = line.split_once(':').map_or((line, ""), |(field, value)| (field, value));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (line.is_empty(), field) {
            (true, _) => {
                let event = std::mem::take(&mut event);
                if let Some(data) = data.take() {
                    events.push(SseEvent { event, data });
                }
            }
            (false, "") => comments.push(value.to_owned()),
            (false, "event") => value.clone_into(&mut event),
            (false, "data") => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            (false, _) => {}
        }
    }
    (events, comments)
}

/// An answer as a caller understands it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Text by choice and channel: `content`, `reasoning`, `refusal`, `tool N`, `logprob tokens`, `logprob bytes`.
    pub texts: BTreeMap<(u64, String), String>,
    /// Finish reasons by choice.
    pub finish: BTreeMap<u64, String>,
    /// The `error` object, where there is one.
    pub error: Option<Value>,
    /// Whether a stream ended with `[DONE]`.
    pub done: bool,
    /// Comments of a stream.
    pub comments: Vec<String>,
    /// Every JSON value that came, in order.
    pub values: Vec<Value>,
}

impl Heard {
    /// Reads a stream, or as much of one as came.
    ///
    /// # Panics
    /// When an event holds anything but one JSON value or `[DONE]`, or when anything follows `[DONE]`.
    #[must_use]
    pub fn stream(body: &[u8]) -> Self {
        let mut heard = Self::default();
        let (events, comments) = sse(body);
        heard.comments = comments;
        for event in events {
            assert!(!heard.done, "an event after [DONE]: {event:?}");
            if event.data == "[DONE]" {
                heard.done = true;
                continue;
            }
            heard.take(parse(event.data.as_bytes()), "delta");
        }
        heard
    }

    /// Reads a whole answer.
    ///
    /// # Panics
    /// When it is not one JSON value.
    #[must_use]
    pub fn whole(body: &[u8]) -> Self {
        let mut heard = Self::default();
        heard.take(parse(body), "message");
        heard
    }

    /// The text of a choice's channel; empty when there was none.
    #[must_use]
    pub fn text(&self, choice: u64, channel: &str) -> &str {
        self.texts.get(&(choice, channel.to_owned())).map_or("", String::as_str)
    }

    /// Where `secret` can be found in what came: in a joined text, in any string or key of any value, in any string
    /// inside tool arguments, or as bare digits.
    #[must_use]
    pub fn leak(&self, secret: &str) -> Option<String> {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let bare = digits(secret);
        for ((choice, channel), text) in &self.texts {
            if text.contains(secret) || (!bare.is_empty() && digits(text).contains(&bare)) {
                return Some(format!("choice {choice}, {channel}: {text:?}"));
            }
            if let Ok(inner) = serde_json::from_str::<Value>(text)
                && anywhere(&inner, secret)
            {
                return Some(format!("choice {choice}, inside {channel}: {text:?}"));
            }
        }
        self.values.iter().find(|value| anywhere(value, secret)).map(|value| format!("in {value}"))
    }

    fn take(&mut self, value: Value, holder: &str) {
        if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error.clone());
        }
        for choice in value.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            if let Some(finish) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish.insert(index, finish.to_owned());
            }
            let message = &choice[holder];
            for (member, channel) in [
                ("content", "content"),
                ("reasoning_content", "reasoning"),
                ("reasoning", "reasoning"),
                ("refusal", "refusal"),
            ] {
                self.add(index, channel, message.get(member));
            }
            for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                let number = call.get("index").and_then(Value::as_u64).unwrap_or(0);
                self.add(index, &format!("tool {number}"), call.pointer("/function/arguments"));
            }
            for list in ["/logprobs/content", "/logprobs/refusal"] {
                for token in choice.pointer(list).and_then(Value::as_array).into_iter().flatten() {
                    self.add_token(index, token);
                }
            }
        }
        self.values.push(value);
    }

    fn add_token(&mut self, index: u64, token: &Value) {
        self.add(index, "logprob tokens", token.get("token"));
        let bytes = token.get("bytes").and_then(Value::as_array).into_iter().flatten();
        let bytes: Vec<u8> = bytes.filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
        let text = Value::from(String::from_utf8_lossy(&bytes).into_owned());
        self.add(index, "logprob bytes", Some(&text));
    }

    fn add(&mut self, index: u64, channel: &str, text: Option<&Value>) {
        let Some(text) = text.and_then(Value::as_str) else {
            return;
        };
        self.texts.entry((index, channel.to_owned())).or_default().push_str(text);
    }
}

fn parse(data: &[u8]) -> Value {
    let parsed = serde_json::from_slice(data);
    assert!(parsed.is_ok(), "not JSON: {:?}", String::from_utf8_lossy(data));
    parsed.expect("it is checked in the line before")
}

fn anywhere(value: &Value, secret: &str) -> bool {
    match value {
        Value::String(text) => text.contains(secret),
        Value::Array(items) => items.iter().any(|item| anywhere(item, secret)),
        Value::Object(members) => members.iter().any(|(key, item)| key.contains(secret) || anywhere(item, secret)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_event_streams() {
        let body = b"\xef\xbb\xbf: hi\r\nevent: a\r\ndata: 1\rdata:2\n\ndata\n\ndata: never";
        let (events, comments) = sse(body);
        assert_eq!(comments, ["hi"]);
        let event = |event: &str, data: &str| SseEvent { event: event.to_owned(), data: data.to_owned() };
        assert_eq!(events, [event("a", "1\n2"), event("", "")]);
    }

    #[test]
    fn a_leak_is_found_wherever_it_hides() {
        let secret = "078-05-1120";
        let found = |body: &str| Heard::whole(body.as_bytes()).leak(secret).is_some();
        assert!(found(r#"{"choices":[{"index":1,"message":{"content":"x 078-05-1120"}}]}"#));
        assert!(found(r#"{"choices":[{"message":{"content":"078 05 1120"}}]}"#));
        assert!(found(r#"{"other":[{"078-05-1120":1}]}"#));
        assert!(found(
            r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{\"a\":\"\\u0030"}},
            {"function":{"arguments":"78-05-1120\"}"}}]}}]}"#
        ));
        assert!(found(
            r#"{"choices":[{"logprobs":{"content":[{"token":"","bytes":[48,55,56,45,48,53]},
            {"token":"","bytes":[45,49,49,50,48]}]},"message":{}}]}"#
        ));
        assert!(!found(r#"{"choices":[{"message":{"content":"x [SSN]"}}]}"#));
    }

    #[test]
    fn a_stream_is_joined_by_choice() {
        let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let heard = Heard::stream(body);
        assert_eq!((heard.text(0, "content"), heard.text(1, "content"), heard.done), ("ac", "b", true));
        assert_eq!(heard.finish[&0], "stop");
    }
}
