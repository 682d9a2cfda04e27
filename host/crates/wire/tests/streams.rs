//! What must hold for every stream and every split, by random streams and a decoder of its own.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Family};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    CANARY, Judge, events, masked_words,
    openai_chat::{client, stream, whole},
    openai_responses, run, unbroken, value,
};
use wire::{Flow, Limits};

/// One piece of one choice.
#[derive(Clone, Debug)]
enum Piece {
    Content(String),
    Reasoning(String),
    Refusal(String),
    Unknown(String),
    /// A fragment of the arguments of a call.
    Call(u64, String),
}

/// Text that often holds the canary or a piece of it.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just(CANARY.to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[..at].to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[at..].to_owned()),
        2 => any::<char>().prop_map(String::from),
        2 => prop::sample::select(vec!["\"", "\\", "\n", "\u{2028}", "é", "😀", "/", "\u{0}", "data: ", "\r\n\r\n"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..5).prop_map(|words| words.concat())
}

/// A text, cut into pieces.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    (text(), prop::collection::vec(any::<prop::sample::Index>(), 0..4)).prop_map(|(text, cuts)| {
        let chars: Vec<char> = text.chars().collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
        cuts.push(chars.len());
        cuts.sort_unstable();
        let mut from = 0;
        cuts.into_iter().map(|cut| chars[std::mem::replace(&mut from, cut)..cut].iter().collect()).collect()
    })
}

/// The pieces of one choice, in order.
fn choice() -> impl Strategy<Value = Vec<Piece>> {
    let arguments = prop_oneof![
        text().prop_map(|text| json!({ "to": text, "n": [1, true] }).to_string()),
        text().prop_map(|text| json!({ text: 1 }).to_string()),
        text(),
    ];
    let call = (arguments, prop::collection::vec(any::<prop::sample::Index>(), 0..4)).prop_map(|(text, cuts)| {
        let chars: Vec<char> = text.chars().collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
        cuts.push(chars.len());
        cuts.sort_unstable();
        let mut from = 0;
        cuts.into_iter()
            .map(|cut| chars[std::mem::replace(&mut from, cut)..cut].iter().collect::<String>())
            .collect::<Vec<_>>()
    });
    let said = prop_oneof![
        4 => pieces().prop_map(|texts| texts.into_iter().map(Piece::Content).collect::<Vec<_>>()),
        2 => pieces().prop_map(|texts| texts.into_iter().map(Piece::Reasoning).collect()),
        1 => pieces().prop_map(|texts| texts.into_iter().map(Piece::Refusal).collect()),
        1 => pieces().prop_map(|texts| texts.into_iter().map(Piece::Unknown).collect()),
    ];
    (prop::collection::vec(said, 0..3), prop::collection::vec(call, 0..3)).prop_map(|(said, calls)| {
        let calls = calls.into_iter().enumerate().flat_map(|(index, fragments)| {
            fragments.into_iter().map(move |fragment| Piece::Call(index as u64, fragment))
        });
        said.into_iter().flatten().chain(calls).collect()
    })
}

/// A stream, and how it is written.
#[derive(Clone, Debug)]
struct Script {
    /// Choice and piece, in the order of the events.
    events: Vec<(u64, Piece)>,
    choices: u64,
    line_end: &'static str,
    escape: bool,
    done: bool,
    comments: bool,
}

fn script() -> impl Strategy<Value = Script> {
    (
        prop::collection::vec(choice(), 1..4),
        any::<prop::sample::Index>(),
        prop::sample::select(vec!["\n", "\r\n", "\r"]),
        any::<[bool; 3]>(),
    )
        .prop_map(|(choices, turn, line_end, [escape, done, comments])| {
            let count = choices.len() as u64;
            let mut queues: Vec<_> = choices.into_iter().map(Vec::into_iter).collect();
            let mut events = Vec::new();
            let mut at = turn.index(count as usize);
            let mut idle = 0;
            while idle < queues.len() {
                at = (at * 7 + 3 + events.len()) % queues.len();
                let found = (0..queues.len()).find_map(|step| {
                    let index = (at + step) % queues.len();
                    queues[index].next().map(|piece| (index as u64, piece))
                });
                match found {
                    Some(event) => events.push(event),
                    None => idle = queues.len(),
                }
            }
            Script { events, choices: count, line_end, escape, done, comments }
        })
}

/// JSON with all that is not ASCII, and each hyphen, written as an escape. There is no negative number in it.
fn written(value: &Value, escape: bool) -> String {
    let text = value.to_string();
    if !escape {
        return text;
    }
    let mut out = String::new();
    for char in text.chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out.replace('-', "\\u002d")
}

impl Script {
    fn stream(&self) -> String {
        let mut out = String::new();
        let mut event = |value: Value| {
            out.push_str("data: ");
            out.push_str(&written(&value, self.escape));
            out.push_str(self.line_end);
            out.push_str(self.line_end);
            if self.comments {
                out.push(':');
                out.push_str(self.line_end);
                out.push_str(self.line_end);
            }
        };
        for (index, piece) in &self.events {
            let delta = match piece {
                Piece::Content(text) => json!({ "content": text }),
                Piece::Reasoning(text) => json!({ "reasoning_content": text }),
                Piece::Refusal(text) => json!({ "refusal": text }),
                Piece::Unknown(text) => json!({ "novel": { "text": text } }),
                Piece::Call(call, text) => {
                    json!({ "tool_calls": [{ "index": call, "id": format!("c{call}"), "function": { "arguments": text } }] })
                }
            };
            event(json!({ "id": "x", "choices": [{ "index": index, "delta": delta, "finish_reason": null }] }));
        }
        for index in 0..self.choices {
            event(json!({ "id": "x", "choices": [{ "index": index, "delta": {}, "finish_reason": "stop" }] }));
        }
        if self.done {
            out.push_str("data: [DONE]");
            out.push_str(self.line_end);
            out.push_str(self.line_end);
        }
        out
    }

    /// The same answer, not streamed.
    fn whole(&self) -> String {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| {
                let (mut content, mut reasoning, mut refusal) = (String::new(), String::new(), String::new());
                let mut calls: Vec<String> = Vec::new();
                for (_, piece) in self.events.iter().filter(|(choice, _)| *choice == index) {
                    match piece {
                        Piece::Content(text) => content.push_str(text),
                        Piece::Reasoning(text) => reasoning.push_str(text),
                        Piece::Refusal(text) => refusal.push_str(text),
                        Piece::Unknown(_) => {}
                        Piece::Call(call, text) => {
                            calls.resize(calls.len().max(*call as usize + 1), String::new());
                            calls[*call as usize].push_str(text);
                        }
                    }
                }
                let calls: Vec<Value> =
                    calls.iter().map(|text| json!({ "id": "c", "function": { "arguments": text } })).collect();
                json!({ "index": index, "finish_reason": "stop", "message": {
                    "content": content, "reasoning_content": reasoning, "refusal": refusal, "tool_calls": calls } })
            })
            .collect();
        json!({ "choices": choices }).to_string()
    }
}

/// Places to cut a body at, from random numbers.
fn cuts(len: usize, at: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = at.iter().map(|at| at.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_says_the_same_whatever_its_cuts(script in script(), at in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let body = script.stream();
        let mut one = Judge::default();
        let mut many = Judge::default();
        let out = run(stream(), &mut one, body.as_bytes(), &[]).unwrap().concat();
        // CR alone ends a line for some clients only.
        let expected = if script.line_end == "\r" { body.replace('\r', "\n") } else { body.clone() };
        prop_assert_eq!(String::from_utf8(out).unwrap(), unbroken(&expected));
        let out = run(stream(), &mut many, body.as_bytes(), &cuts(body.len(), &at)).unwrap().concat();
        prop_assert_eq!(String::from_utf8(out).unwrap(), unbroken(&expected));
        prop_assert_eq!(one.said(), many.said());
    }

    #[test]
    fn no_canary_leaves_and_nothing_else_changes(script in script(), at in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let body = script.stream();
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &cuts(body.len(), &at)).unwrap();
        let before = client(body.as_bytes());
        let after = client(&out.concat());
        prop_assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for (key, text) in &before {
            if key.1.ends_with("arguments") && serde_json::from_str::<Value>(text).is_ok() {
                let expected = mask_json(&serde_json::from_str(text).unwrap());
                prop_assert_eq!(serde_json::from_str::<Value>(&after[key]).unwrap(), expected);
            } else if key.1 == "/novel/text" && overlap(text) {
                // Each piece is judged by itself, too: of two canaries that overlap, both go.
                prop_assert!(!after[key].contains(CANARY));
            } else {
                prop_assert_eq!(&after[key], &text.replace(CANARY, support::MASK));
            }
        }
        prop_assert_eq!(events(body.as_bytes()).len(), events(&out.concat()).len());
        // Whatever has left at any time is a number of whole events.
        let mut so_far = Vec::new();
        for piece in out {
            so_far.extend(piece);
            // Arguments are JSON once more: what looks like the canary in them may be an escape and something else.
            let mut texts = client(&so_far).into_iter().filter(|(key, _)| !key.1.ends_with("arguments"));
            prop_assert!(texts.all(|(_, text)| !text.contains(CANARY)));
        }
    }

    #[test]
    fn streamed_and_whole_are_masked_identically(script in script()) {
        let streamed = run(stream(), &mut Judge::masking(), script.stream().as_bytes(), &[]).unwrap().concat();
        let streamed = client(&streamed);
        let body = script.whole();
        let whole = run(whole(), &mut Judge::masking(), body.as_bytes(), &[]).unwrap().concat();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        for choice in whole["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap();
            let message = &choice["message"];
            for name in ["content", "reasoning_content", "refusal"] {
                let text = streamed.get(&(index, format!("/{name}"))).map_or("", String::as_str);
                prop_assert_eq!(message[name].as_str().unwrap(), text);
            }
            for (place, call) in message["tool_calls"].as_array().unwrap().iter().enumerate() {
                let key = (index, format!("/tool_calls/{place}/function/arguments"));
                prop_assert_eq!(call["function"]["arguments"].as_str().unwrap(), streamed[&key].as_str());
            }
        }
    }
}

/// An answer in which content and thoughts take turns: how its texts are written, streamed and whole, and read.
struct Turns {
    open: fn(&str) -> Box<dyn Flow>,
    /// An item of this text; whether it is a thought.
    item: fn(bool, &str) -> Value,
    /// A document with these items.
    document: fn(bool, &[Value]) -> Value,
    items: &'static [&'static str],
    text: &'static [&'static str],
}

const TURNS: [Turns; 2] = [
    Turns {
        open: |content_type| support::openai_chat::chat().response(200, content_type, Limits::default()).unwrap(),
        item: |thought, text| {
            let text = json!({ "type": "text", "text": text });
            if thought { json!({ "type": "thinking", "thinking": [text] }) } else { text }
        },
        document: |whole, items| json!({ "choices": [{ "index": 0, if whole { "message" } else { "delta" }: { "content": items } }] }),
        items: &["/choices/0/delta/content", "/choices/0/message/content"],
        text: &["/text", "/thinking/0/text"],
    },
    Turns {
        open: |content_type| {
            let path = "/v1beta/models/m:streamGenerateContent";
            let path = if content_type == "text/event-stream" { path } else { "/v1beta/models/m:generateContent" };
            let endpoint = wire::claim(Family::Gemini, "POST", path).unwrap();
            endpoint.response(200, content_type, Limits::default()).unwrap()
        },
        item: |thought, text| json!({ "text": text, "thought": thought }),
        document: |_, items| json!({ "candidates": [{ "content": { "parts": items } }] }),
        items: &["/candidates/0/content/parts"],
        text: &["/text"],
    },
];

impl Turns {
    fn texts(&self, document: &str) -> Vec<String> {
        let document = value(document);
        let items = self.items.iter().find_map(|at| document.pointer(at)?.as_array()).unwrap();
        let text = |item: &Value| self.text.iter().find_map(|at| item.pointer(at)?.as_str().map(str::to_owned));
        items.iter().map(|item| text(item).unwrap()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_that_take_turns_are_masked_identically_streamed_and_whole(
        turns in prop::collection::vec(pieces().prop_filter("says nothing", |pieces| !pieces.concat().is_empty()), 1..6),
    ) {
        for dialect in TURNS {
            let item = |turn: usize, text: &str| (dialect.item)(turn % 2 == 1, text);
            let mut body = String::new();
            for (turn, piece) in turns.iter().enumerate().flat_map(|(turn, pieces)| pieces.iter().map(move |piece| (turn, piece))) {
                body.push_str(&format!("data: {}\n\n", (dialect.document)(false, &[item(turn, piece)])));
            }
            let out = masked_words((dialect.open)("text/event-stream"), &body);
            let mut streamed = events(out.as_bytes()).into_iter().map(|event| dialect.texts(&event).concat());
            let items: Vec<Value> = turns.iter().enumerate().map(|(turn, pieces)| item(turn, &pieces.concat())).collect();
            let whole = masked_words((dialect.open)("application/json"), &(dialect.document)(true, &items).to_string());
            for (pieces, text) in turns.iter().zip(dialect.texts(&whole)) {
                prop_assert_eq!(streamed.by_ref().take(pieces.len()).collect::<String>(), text);
            }
        }
    }
}

/// Whether two canaries in a text have characters in common.
fn overlap(text: &str) -> bool {
    let at: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|&at| text[at..].starts_with(CANARY)).collect();
    at.windows(2).any(|pair| pair[1] - pair[0] < CANARY.len())
}

fn mask_json(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace(CANARY, support::MASK).into(),
        Value::Array(items) => items.iter().map(mask_json).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.replace(CANARY, support::MASK), mask_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[test]
fn a_canary_is_masked_at_every_split() {
    let chunk = |text: &str| {
        let chunk =
            json!({ "id": "x", "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] });
        format!("data: {chunk}\r\n\r\n")
    };
    let text = format!("é {CANARY} {CANARY}.");
    for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
        let body = format!("{}{}data: [DONE]\r\n\r\n", chunk(&text[..at]), chunk(&text[at..]));
        for cut in 0..=body.len() {
            let mut judge = Judge::masking();
            let out = run(stream(), &mut judge, body.as_bytes(), &[cut]).unwrap().concat();
            assert_eq!(client(&out)[&(0, "/content".into())], "é [SSN] [SSN].");
            assert_eq!(judge.texts(Channel::Content), [text.as_str()]);
        }
    }
}

#[test]
fn what_is_not_data_is_dropped_or_masked() {
    let body = format!(
        ": {CANARY}\n\n:\n\nevent: {CANARY}\nid: 7\nretry: 3000\nretry: {CANARY}\nnovel: {CANARY}\ndata\n: note\ndata: {{\"id\":\ndata:\"{CANARY}\"}}\n\n"
    );
    for cut in 0..=body.len() {
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &[cut]).unwrap().concat();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "\n:\n\nevent: [SSN]\nid: 7\nretry: 3000\ndata:  {\"id\":  \"[SSN]\"}\n\n");
    }
}

#[test]
fn odd_streams_leave_in_the_one_form() {
    let a = "{\"id\":\"a\"}";
    let bodies = [
        (format!("data: {a}"), format!("data: {a}\n\n")),
        (format!("data: {a}\n"), format!("data: {a}\n\n")),
        (format!("data: {a}\r\n"), format!("data: {a}\r\n\r\n")),
        (format!("data: {a}\r"), format!("data: {a}\n\n")),
        (format!("\u{feff}data: {a}\r\rdata: {a}\n\r\n"), format!("data: {a}\n\n").repeat(2)),
        ("\u{feff}".to_owned(), String::new()),
        (format!("data:{a}\r\n\ndata\n\n\n\r\r\n"), format!("data: {a}\r\n\r\ndata: \r\n\r\n\r\n\r\n\r\n")),
        (format!("data: {{\ndata:\ndata:{}", &a[1..]), format!("data: {{   {}\n\n", &a[1..])),
    ];
    let as_it_came = ["data: {\"id\":\"a\"}\n\ndata: [DONE]", "data: {\"id\":\"a\"}\n\ndata:", "data: \n\n", "", "\n"];
    for (came, expected) in bodies.into_iter().chain(as_it_came.map(|body| (body.to_owned(), body.to_owned()))) {
        for cut in 0..=came.len() {
            let out = run(stream(), &mut Judge::default(), came.as_bytes(), &[cut]).unwrap().concat();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "cut at {cut}");
        }
    }
}

#[test]
fn events_leave_as_soon_as_they_are_decided() {
    let mut flow = stream();
    let mut judge = Judge::default();
    for text in ["a", "b", "c"] {
        let mut out = BytesMut::new();
        let event = format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
        flow.push(event.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        assert_eq!(out, event.as_bytes());
    }
}

/// Events that all say the same beside their text, and what they are without the canary.
fn repeating(said: &str) -> String {
    let chunk = |delta: Value| {
        json!({"id":format!("id {said}"),"model":format!("model {said}"),"citations":[format!("c {said}"),{"url":format!("u {said}")}],
            "note":format!("note {said}"),"usage":{"of":format!("usage {said}")},"choices":[{"index":0,"delta":delta,
            "content_filter_results":{"by":format!("filter {said}")}}]})
    };
    format!("id: line {said}\ndata: {}\n\n", chunk(json!({"content":"w "})))
}

#[test]
fn what_comes_again_is_told_to_those_who_judge_from_there_on() {
    let mut flow = stream();
    let mut judge = Judge::default();
    let mut next = |judge: &mut Judge, anew: bool| {
        if anew {
            flow.judged_anew();
        }
        let mut out = BytesMut::new();
        flow.push(repeating(CANARY).as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(next(&mut judge, false), repeating(CANARY));
    assert_eq!(next(&mut judge, false), repeating(CANARY));
    judge.mask = true;
    for anew in [true, false, false] {
        assert_eq!(next(&mut judge, anew), repeating(support::MASK), "it was told again, once");
    }
    judge.mask = false;
    assert_eq!(next(&mut judge, false), repeating(support::MASK), "as it was decided");
    assert_eq!(next(&mut judge, true), repeating(CANARY));
}

#[test]
fn what_was_decided_and_has_not_left_is_told_to_those_who_judge_from_there_on() {
    let mut flow = stream();
    let mut judge = Judge::masking();
    let mut out = BytesMut::new();
    let call = json!({"index":0,"id":"c","function":{"name":"n","arguments":"{"}});
    let mut chunk = json!({"id":CANARY,"choices":[{"index":0,"delta":{"tool_calls":[call]}}]});
    for _ in 0..3 {
        flow.push(format!("data: {chunk}\n\n").as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        chunk["choices"][0]["delta"] = json!({});
    }
    assert!(out.is_empty() && !flow.keeps_decided(), "the call is held, with all that was decided");
    flow.judged_anew();
    let mut judge = Judge::default();
    chunk["choices"][0]["finish_reason"] = "tool_calls".into();
    flow.push(format!("data: {chunk}\n\n").as_bytes()).unwrap();
    judge.turn(&mut *flow, &mut out);
    let ids: Vec<Value> = events(&out).iter().map(|event| value(event)["id"].clone()).collect();
    assert_eq!(ids, [CANARY; 4]);
}

#[test]
fn what_an_answer_tells_back_is_told_to_those_who_judge_from_there_on() {
    let echo = |kind: &str, said: &str| {
        let response = json!({"id":"r","status":"in_progress","instructions":said,"tools":[{"type":"function","name":said}],"output":[]});
        openai_responses::sse(&[json!({"type":kind,"response":response})])
    };
    let mut flow = openai_responses::stream();
    let mut judge = Judge::default();
    let mut next = |judge: &mut Judge, kind: &str, anew: bool| {
        if anew {
            flow.judged_anew();
        }
        let mut out = BytesMut::new();
        flow.push(echo(kind, CANARY).as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(next(&mut judge, "response.created", false), echo("response.created", CANARY));
    judge.mask = true;
    assert_eq!(next(&mut judge, "response.in_progress", true), echo("response.in_progress", support::MASK));
    judge.mask = false;
    assert_eq!(next(&mut judge, "response.in_progress", false), echo("response.in_progress", support::MASK));
}

#[test]
fn what_came_and_has_left_is_counted_as_it_came() {
    let mut flow = stream();
    let mut judge = Judge::masking();
    let mut out = BytesMut::new();
    let piece = |text: &str| format!("data: {}\n\n", json!({"choices":[{"index":0,"delta":{"content":text}}]}));
    let first = piece(CANARY);
    let (one, two) = first.split_at(20);
    flow.push(one.as_bytes()).unwrap();
    assert_eq!((flow.came(), flow.left()), (0, 0), "no event is whole");
    flow.push(two.as_bytes()).unwrap();
    assert_eq!((flow.came(), flow.left()), (first.len() as u64, 0));
    judge.turn(&mut *flow, &mut out);
    assert_ne!(out.len(), first.len());
    assert_eq!((flow.came(), flow.left()), (first.len() as u64, first.len() as u64));
    let other = piece("other").replace("\"index\":0", "\"index\":1");
    flow.push(other.as_bytes()).unwrap();
    judge.turn(&mut *flow, &mut out);
    let begun = piece(&CANARY[..4]);
    flow.push(begun.as_bytes()).unwrap();
    judge.turn(&mut *flow, &mut out);
    assert_eq!(
        (flow.came() - flow.left(), flow.keeps_decided()),
        (begun.len() as u64, false),
        "its end is not decided"
    );
    flow.push(other.as_bytes()).unwrap();
    judge.turn(&mut *flow, &mut out);
    assert_eq!(flow.came() - flow.left(), (begun.len() + other.len()) as u64);
    assert!(flow.keeps_decided(), "another choice, behind it, and some of it has left");
    flow.push(piece("x").as_bytes()).unwrap();
    judge.turn(&mut *flow, &mut out);
    assert_eq!((flow.came() - flow.left(), flow.keeps_decided()), (0, false));
}
