//! Texts that stand side by side and that clients, or models, put together: each is judged alone and with its neighbours,
//! whatever stands between them, and no event waits longer for it than it must.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use model::{Channel, Family};
use serde_json::{Value, json};
use support::{
    CANARY, Judge, MASK, anthropic, masked, masked_words, mcp, openai_chat, openai_responses, run, told, value,
};
use wire::{Flow, Limits};

/// The canary, cut in two and in three.
const CUTS: [&[&str]; 3] =
    [&["ssn 078-05-", "1120 ok"], &["ssn 078-05-112", "0", " ok"], &["ssn 0", "78-05-1", "120 ok"]];

/// Opens a flow.
type Open = fn() -> Box<dyn Flow>;

/// Makes a body that says these texts side by side.
type Write = fn(&[&str]) -> Value;

fn gemini(verb: &str) -> &'static dyn wire::Endpoint {
    wire::claim(Family::Gemini, "POST", &format!("/v1beta/models/m:{verb}")).unwrap()
}

fn gemini_request() -> Box<dyn Flow> {
    let path = "/v1beta/models/m:generateContent";
    gemini("generateContent").request_at(path, "application/json", Limits::default()).unwrap()
}

fn gemini_whole() -> Box<dyn Flow> {
    gemini("generateContent").response(200, "application/json", Limits::default()).unwrap()
}

fn moderation() -> Box<dyn Flow> {
    let endpoint = wire::claim(Family::Openai, "POST", "/v1/moderations").unwrap();
    endpoint.request("application/json", Limits::default()).unwrap()
}

fn list(texts: &[&str], make: fn(&str) -> Value) -> Vec<Value> {
    texts.iter().map(|text| make(text)).collect()
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn input_text(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn said(content: &[Value]) -> Value {
    json!({ "type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content })
}

/// Bodies that are read whole: a flow, and how texts stand side by side in what it reads.
fn bodies() -> Vec<(&'static str, Open, Write)> {
    [openai(), others()].concat()
}

fn openai() -> Vec<(&'static str, Open, Write)> {
    vec![
        (
            "chat",
            openai_chat::request,
            |texts| json!({"model":"m","messages":[{"role":"user","content":list(texts, text)}]}),
        ),
        (
            "a tool's words in chat",
            openai_chat::request,
            |texts| json!({"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":list(texts, text)}]}),
        ),
        (
            "a chat's prediction",
            openai_chat::request,
            |texts| json!({"model":"m","messages":[],"prediction":{"type":"content","content":list(texts, text)}}),
        ),
        ("chat, an image between", openai_chat::request, |texts| {
            let mut content = list(texts, text);
            content.insert(1, json!({"type":"image_url","image_url":{"url":"https://example.com/x.png"}}));
            json!({"model":"m","messages":[{"role":"user","content":content}]})
        }),
        (
            "a whole chat",
            openai_chat::whole,
            |texts| json!({"choices":[{"index":0,"message":{"role":"assistant","content":list(texts, text)},"finish_reason":"stop"}]}),
        ),
        ("a moderation", moderation, |texts| json!({"model":"m","input":list(texts, text)})),
        (
            "responses",
            openai_responses::request,
            |texts| json!({"model":"m","input":[{"role":"user","content":list(texts, input_text)}]}),
        ),
        (
            "the output of a function",
            openai_responses::request,
            |texts| json!({"model":"m","input":[{"type":"function_call_output","call_id":"c","output":list(texts, input_text)}]}),
        ),
        (
            "contents of a whole response",
            openai_responses::whole,
            |texts| json!({"object":"response","output":[said(&list(texts, output_text))]}),
        ),
        ("items of a whole response", openai_responses::whole, |texts| {
            let items: Vec<Value> = list(texts, output_text).into_iter().map(|part| said(&[part])).collect();
            json!({"object":"response","output":items})
        }),
    ]
}

fn others() -> Vec<(&'static str, Open, Write)> {
    vec![
        (
            "messages",
            anthropic::request,
            |texts| json!({"model":"m","messages":[{"role":"user","content":list(texts, text)}]}),
        ),
        ("a system prompt", anthropic::request, |texts| json!({"model":"m","system":list(texts, text),"messages":[]})),
        ("a tool's result", anthropic::request, |texts| {
            let result = json!({"type":"tool_result","tool_use_id":"t","content":list(texts, text)});
            json!({"model":"m","messages":[{"role":"user","content":[result]}]})
        }),
        (
            "a whole message",
            anthropic::whole,
            |texts| json!({"type":"message","role":"assistant","content":list(texts, text)}),
        ),
        ("a whole message with tools", anthropic::whole, |texts| {
            let call = json!({"type":"tool_use","id":"t","name":"n","input":{}});
            let content: Vec<Value> = list(texts, text).into_iter().flat_map(|text| [text, call.clone()]).collect();
            json!({"type":"message","role":"assistant","content":content})
        }),
        (
            "contents",
            gemini_request,
            |texts| json!({"contents":[{"role":"user","parts":list(texts, |text| json!({ "text": text }))}]}),
        ),
        (
            "a candidate",
            gemini_whole,
            |texts| json!({"candidates":[{"content":{"role":"model","parts":list(texts, |text| json!({ "text": text }))}}]}),
        ),
        (
            "a result of a tool",
            mcp::whole,
            |texts| json!({"jsonrpc":"2.0","id":1,"result":{"content":list(texts, text)}}),
        ),
    ]
}

#[test]
fn what_straddles_a_seam_goes_from_both_sides() {
    for (name, open, write) in bodies() {
        for cut in CUTS {
            let body = write(cut).to_string();
            let mut instead: Vec<String> = cut.iter().map(|_| String::new()).collect();
            instead[0] = format!("ssn {MASK}");
            *instead.last_mut().unwrap() = " ok".to_owned();
            let instead: Vec<&str> = instead.iter().map(String::as_str).collect();
            assert_eq!(masked(open(), &body), write(&instead).to_string(), "{name}");
        }
    }
}

#[test]
fn texts_at_a_seam_are_told_alone_and_joined() {
    for (name, open, write) in bodies() {
        let judge = told(open(), &write(&["one two", "three four"]).to_string());
        for said in ["one two", "three four", "one twothree four"] {
            assert!(judge.parts.values().any(|told| told.text == said), "{name}: {said}");
        }
        assert!(judge.parts.values().all(|told| told.ended), "{name}");
    }
}

#[test]
fn one_text_is_told_once() {
    for (name, open, write) in bodies() {
        let judge = told(open(), &write(&["only this", ""]).to_string());
        let times = judge.parts.values().filter(|told| told.text.contains("only this")).count();
        assert_eq!(times, 1, "{name}");
    }
}

#[test]
fn far_from_a_seam_a_text_is_told_once() {
    let long = "word ".repeat(20_000);
    for (name, open, write) in bodies() {
        let judge = told(open(), &write(&[&long, &long, &long]).to_string());
        let bytes: usize = judge.parts.values().map(|told| told.text.len()).sum();
        assert!(bytes < 3 * long.len() + 100_000, "{name}: {bytes}");
    }
}

/// A response as it is streamed, with a message's contents.
fn response(texts: &[&str], apart: bool, finally: &[&str]) -> String {
    let mut events = vec![json!({"type":"response.created","response":{"object":"response","output":[]}})];
    for (place, text) in texts.iter().enumerate() {
        let (output, content) = if apart { (place, 0) } else { (0, place) };
        let at = |kind: &str, member: &str, value: Value| {
            let mut event =
                json!({"type":kind,"item_id":format!("i{output}"),"output_index":output,"content_index":content});
            event[member] = value;
            event
        };
        events.push(at("response.content_part.added", "part", output_text("")));
        events.push(at("response.output_text.delta", "delta", json!(text)));
        events.push(at("response.output_text.done", "text", json!(text)));
        events.push(at("response.content_part.done", "part", output_text(text)));
    }
    let items: Vec<Value> = if apart {
        finally.iter().enumerate().map(|(at, text)| item(at, &[output_text(text)])).collect()
    } else {
        vec![item(0, &list(finally, output_text))]
    };
    events.push(json!({"type":"response.completed","response":{"object":"response","output":items}}));
    openai_responses::sse(&events)
}

fn item(at: usize, content: &[Value]) -> Value {
    json!({"type":"message","id":format!("i{at}"),"role":"assistant","content":content})
}

#[test]
fn contents_and_items_of_a_streamed_response_are_joined() {
    for apart in [false, true] {
        for cut in CUTS {
            let mut instead = vec![""; cut.len()];
            instead[0] = "ssn [SSN]";
            *instead.last_mut().unwrap() = " ok";
            let body = response(cut, apart, cut);
            assert_eq!(
                masked(openai_responses::stream(), &body),
                response(&instead, apart, &instead),
                "{cut:?} {apart}"
            );
        }
    }
}

#[test]
fn what_a_response_ends_with_is_joined_where_it_is_another_text() {
    for (streamed, finally) in [
        (["one", "two"], ["ssn 078-05-", "1120 ok"]),
        (["ssn 078-05-", "two"], ["ssn 078-05-", "1120 ok"]),
        (["one", "1120 ok"], ["ssn 078-05-", "1120 ok"]),
    ] {
        for apart in [false, true] {
            let out = masked(openai_responses::stream(), &response(&streamed, apart, &finally));
            let events = support::events(out.as_bytes());
            let last = value(events.last().unwrap());
            let output = last["response"]["output"].as_array().unwrap();
            let contents = output.iter().flat_map(|item| item["content"].as_array().unwrap());
            let said: String = contents.map(|part| part["text"].as_str().unwrap()).collect();
            assert!(!said.contains(CANARY), "{streamed:?} {finally:?}: {said}");
        }
    }
}

#[test]
fn texts_of_a_response_in_another_order_are_refused() {
    let delta = |at: u64, text: &str| json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":at,"delta":text});
    let body = openai_responses::sse(&[delta(1, "1120"), delta(0, "078-05-")]);
    assert!(run(openai_responses::stream(), &mut Judge::default(), body.as_bytes(), &[]).is_err());
}

/// What has left after each event.
fn after_each(mut flow: Box<dyn Flow>, body: &str) -> Vec<String> {
    let mut judge = Judge::masking();
    let mut out = BytesMut::new();
    let mut left = Vec::new();
    for event in body.split_inclusive("\n\n") {
        flow.push(event.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        left.push(String::from_utf8(out.to_vec()).unwrap());
    }
    flow.finish().unwrap();
    judge.turn(&mut *flow, &mut out);
    left.push(String::from_utf8(out.to_vec()).unwrap());
    left
}

#[test]
fn a_block_that_ends_in_half_a_match_waits_for_the_next_text() {
    let block = |index, text: &str| {
        [
            anthropic::block_of(index, json!({ "type": "text", "text": "" })),
            anthropic::at(index, json!({"type":"text_delta","text":text})),
            anthropic::stop(index),
        ]
    };
    let search = [
        anthropic::block_of(1, json!({"type":"server_tool_use","id":"s","name":"web_search","input":{"q":"x"}})),
        anthropic::stop(1),
    ];
    let blocks = |first: &str, second: &str| {
        let events: Vec<Value> = block(0, first).into_iter().chain(search.clone()).chain(block(2, second)).collect();
        anthropic::sse(&events, "end_turn")
    };
    let left = after_each(anthropic::stream(), &blocks("a 078-05", "-1120"));
    assert_eq!(*left.last().unwrap(), blocks("a [SSN]", ""));
    assert!(left.iter().all(|left| !left.contains("078-05")), "nothing of it leaves");
    let left = after_each(anthropic::stream(), &blocks("some words", "and more"));
    assert!(left[5].contains("server_tool_use"), "what waits for nothing goes on: {}", left[5]);
}

#[test]
fn a_thought_that_ends_in_half_a_match_does_not_hold_up_what_is_said() {
    let events = [
        anthropic::block_of(0, json!({"type":"thinking","thinking":""})),
        anthropic::at(0, json!({"type":"thinking_delta","thinking":"it ends in 078-05"})),
        anthropic::stop(0),
        anthropic::block_of(1, json!({"type":"text","text":""})),
        anthropic::at(1, json!({"type":"text_delta","text":"hello"})),
    ];
    let body = anthropic::sse(&[&events[..], &[anthropic::stop(1)]].concat(), "end_turn");
    let left = after_each(anthropic::stream(), &body);
    assert!(left[5].contains("hello"), "{}", left[5]);

    let reasoned = |at: u64, text: &str| json!({"type":"response.reasoning_summary_text.delta","item_id":"r","output_index":0,"summary_index":at,"delta":text});
    let text =
        json!({"type":"response.output_text.delta","item_id":"m","output_index":1,"content_index":0,"delta":"hello"});
    let done = json!({"type":"response.reasoning_summary_text.done","item_id":"r","output_index":0,"summary_index":0,
        "text":"it ends in 078-05"});
    let body = openai_responses::sse(&[reasoned(0, "it ends in 078-05"), done, text]);
    let left = after_each(openai_responses::stream(), &body);
    assert!(left[2].contains("hello"), "{}", left[2]);
}

#[test]
fn thoughts_are_joined_over_calls_and_summaries() {
    let thinking = |index, text: &str| {
        [
            anthropic::block_of(index, json!({"type":"thinking","thinking":""})),
            anthropic::at(index, json!({"type":"thinking_delta","thinking":text})),
            anthropic::stop(index),
        ]
    };
    let body = |one: &str, two: &str| {
        let call =
            [anthropic::block_of(1, json!({"type":"tool_use","id":"t","name":"n","input":{}})), anthropic::stop(1)];
        let events: Vec<Value> = thinking(0, one).into_iter().chain(call).chain(thinking(2, two)).collect();
        anthropic::sse(&events, "tool_use")
    };
    assert_eq!(masked(anthropic::stream(), &body("a 078-", "05-1120 b")), body("a [SSN]", " b"));

    let reasoned = |at: u64, text: &str| json!({"type":"response.reasoning_summary_text.delta","item_id":"r","output_index":0,"summary_index":at,"delta":text});
    let body = |one: &str, two: &str| openai_responses::sse(&[reasoned(0, one), reasoned(1, two)]);
    assert_eq!(masked(openai_responses::stream(), &body("a 078-", "05-1120 b")), body("a [SSN]", " b"));
}

#[test]
fn parts_of_one_event_are_told_alone_and_joined() {
    let piece = |texts: &[&str]| {
        let parts = list(texts, |text| json!({ "text": text }));
        format!("data: {}\n\n", json!({"candidates":[{"content":{"role":"model","parts":parts}}]}))
    };
    let flow = || gemini("streamGenerateContent").response(200, "text/event-stream", Limits::default()).unwrap();
    let body = piece(&["one"]) + &piece(&[" two", "three"]) + &piece(&[" four"]);
    let judge = told(flow(), &body);
    assert_eq!(judge.texts(Channel::Content), ["one twothree four", "one two", "three four"]);
    assert_eq!(masked(flow(), &piece(&["a 078-05", "-1120"])), piece(&["a [SSN]", ""]));
}

/// A number with white space in it, at which a text may be cut.
const SPACED: &str = "078 05 1120";

#[test]
fn a_long_text_is_joined_with_the_next_wherever_its_white_space_is() {
    // For texts that are joined from end to end, and for those that are joined near the seam.
    let near = |bytes: usize| "A".repeat(2 * bytes + 1000) + " " + &"B".repeat(bytes - 6);
    for long in ["A".repeat(33_000), "字".repeat(11_200), "a word ".repeat(4800), near(4096), near(16_384)] {
        for (first, second) in [(":078 05 ", "1120 ok"), (":078 ", "05 1120 ok"), (": 0", "78 05 1120 ok")] {
            for (what, open, write) in bodies() {
                let judge = told(open(), &write(&[&(long.clone() + first), second]).to_string());
                assert!(judge.parts.values().any(|part| part.text.contains(SPACED)), "{what}: {first:?}");
            }
        }
    }
}

#[test]
fn a_match_as_long_as_any_is_seen_whole_wherever_it_is_cut() {
    let key: String = (0..16_384 / 16).map(|line| format!("{line:015}\n")).collect();
    let around = "some words ".repeat(6000);
    for at in [1, 32, 4095, 8192, 16_300, key.len() - 1] {
        for (name, open, write) in bodies() {
            let texts = [&(around.clone() + &key[..at]), &(key[at..].to_owned() + &around)];
            let judge = told(open(), &write(&texts.map(String::as_str)).to_string());
            assert!(judge.parts.values().any(|part| part.text.contains(&key)), "{name}: {at}");
        }
    }
}

#[test]
fn a_text_that_is_not_told_alone_from_its_begin_is_told_alone_to_its_end() {
    let texts = ["one", &("w ".repeat(2046) + SPACED), "5 more"];
    let content = json!({"choices":[{"index":0,"message":{"role":"assistant","content":list(&texts, text)}}]});
    let parts = list(&texts, |text| json!({ "text": text }));
    let candidate = json!({"candidates":[{"content":{"role":"model","parts":parts}}]});
    for (open, body) in [(openai_chat::whole as Open, content), (gemini_whole, candidate)] {
        let judge = told(open(), &body.to_string());
        assert!(judge.parts.values().any(|part| part.text.ends_with(SPACED)), "{body}");
    }
}

/// A stream of a dialect: how it is opened, and how its pieces are written.
type Stream = (Open, fn(&[Value]) -> String);

fn lines(pieces: &[Value]) -> String {
    pieces.iter().map(|piece| format!("{piece}\n")).collect()
}

fn events(pieces: &[Value]) -> String {
    pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect()
}

fn deltas(deltas: &[Value]) -> String {
    events(&list_of(deltas, |delta| json!({ "choices": [{ "index": 0, "delta": delta }] })))
}

fn messages(messages: &[Value]) -> String {
    lines(&list_of(messages, |message| json!({ "message": message })))
}

fn candidates(parts: &[Value]) -> String {
    events(&list_of(parts, |part| json!({ "candidates": [{ "content": { "role": "model", "parts": [part] } }] })))
}

fn list_of(items: &[Value], make: impl Fn(&Value) -> Value) -> Vec<Value> {
    items.iter().map(make).collect()
}

const CHAT: Stream = (openai_chat::stream, deltas);
const OLLAMA: Stream = (|| ollama("/api/chat"), messages);
const GENERATE: Stream = (|| ollama("/api/generate"), lines);
const GEMINI: Stream = (gemini_events, candidates);

fn ollama(path: &str) -> Box<dyn Flow> {
    let endpoint = wire::claim(Family::Ollama, "POST", path).unwrap();
    endpoint.response(200, "application/x-ndjson", Limits::default()).unwrap()
}

fn gemini_events() -> Box<dyn Flow> {
    gemini("streamGenerateContent").response(200, "text/event-stream", Limits::default()).unwrap()
}

/// Pieces in which a text is parted by another kind, or by what is no text; the texts stand in the place of `A` and `B`.
fn parted() -> Vec<(Stream, Vec<Value>)> {
    let call = json!({"index":0,"id":"c","type":"function","function":{"name":"n","arguments":"{}"}});
    let item = |kind: &str, text: &str| json!({ "content": [{ "type": kind, kind: text }] });
    let thoughts =
        |text: &str| json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": text }] }] });
    let details = |text: &str| json!({ "reasoning_details": [{ "type": "reasoning.text", "index": 0, "text": text }] });
    let mut all: Vec<(Stream, Vec<Value>)> = vec![
        (CHAT, vec![details("A"), json!({ "content": "so" }), details("B")]),
        (CHAT, vec![json!({ "content": "A" }), json!({ "tool_calls": [call] }), json!({ "content": "B" })]),
        (CHAT, vec![json!({ "content": "A" }), json!({ "content": "B", "reasoning": "hm" })]),
        (CHAT, vec![json!({ "content": "A", "reasoning": "hm" }), json!({ "content": "B" })]),
        (CHAT, vec![item("text", "A"), item("thinking", "hm"), item("text", "B")]),
        (CHAT, vec![item("text", "A"), item("image_url", "u"), item("text", "B")]),
        (CHAT, vec![thoughts("A"), item("text", "so"), thoughts("B")]),
        (GENERATE, vec![json!({ "response": "A" }), json!({ "thinking": "hm" }), json!({ "response": "B" })]),
        (GENERATE, vec![json!({ "thinking": "A" }), json!({ "response": "so" }), json!({ "thinking": "B" })]),
    ];
    let names = ["content", "reasoning_content", "reasoning", "refusal"];
    for (one, other) in names.iter().flat_map(|one| names.map(|other| (*one, other))) {
        if one != other && !(one.starts_with("reasoning") && other.starts_with("reasoning")) {
            all.push((CHAT, vec![json!({ one: "A" }), json!({ other: "so" }), json!({ one: "B" })]));
        }
    }
    for (one, other) in [("content", "thinking"), ("thinking", "content")] {
        let line = |name: &str, text: &str| {
            let mut line = json!({ "role": "assistant", "content": "" });
            line[name] = text.into();
            line
        };
        let call = json!({ "tool_calls": [{ "function": { "name": "n", "arguments": {} } }] });
        all.push((OLLAMA, vec![line(one, "A"), line(other, "so"), line(one, "B")]));
        all.push((OLLAMA, vec![line(one, "A"), call, line(one, "B")]));
    }
    for thought in [true, false] {
        let text = |text: &str| json!({ "text": text, "thought": thought });
        for between in [
            json!({ "text": "so", "thought": !thought }),
            json!({ "functionCall": { "name": "n", "args": {} } }),
            json!({ "executableCode": { "language": "PYTHON", "code": "print(1)" } }),
            json!({ "codeExecutionResult": { "outcome": "OUTCOME_OK", "output": "1" } }),
            json!({ "inlineData": { "mimeType": "image/png", "data": "" } }),
            json!({ "toolCall": { "id": "t" } }),
        ] {
            all.push((GEMINI, vec![text("A"), between, text("B")]));
        }
    }
    all
}

/// The same pieces with other texts.
fn with(pieces: &[Value], one: &str, other: &str) -> Vec<Value> {
    list_of(pieces, |piece| {
        value(&piece.to_string().replace("\"A\"", &json!(one).to_string()).replace("\"B\"", &json!(other).to_string()))
    })
}

#[test]
fn what_another_kind_parts_is_judged_alone_and_joined() {
    for ((open, write), pieces) in parted() {
        let body = |one: &str, other: &str| write(&with(&pieces, one, other));
        assert_eq!(masked_words(open(), &body("ssn 078-05-1120", "9 is")), body("ssn [SSN]", "9 is"));
        assert_eq!(masked_words(open(), &body("is 9", "078-05-1120 ok")), body("is 9", "[SSN] ok"));
        assert_eq!(masked_words(open(), &body("ssn 078-05-", "1120 ok")), body("ssn [SSN]", " ok"));
        told(open(), &body("ssn 078-05-1120", "9 is"));
    }
}

#[test]
fn a_text_that_was_cut_is_judged_alone_from_its_begin() {
    let cut = parted().into_iter().filter(|(_, pieces)| !pieces[0].to_string().contains("hm"));
    for ((open, write), pieces) in cut {
        let body = |last: &str| {
            let mut all = with(&pieces, "ssn 0", "");
            let pieces = with(&pieces, "78-05-1120", last);
            all.truncate(1);
            all.extend(pieces);
            write(&all)
        };
        let out = masked_words(open(), &body("9 is"));
        assert!(out.contains("ssn [SSN]") && !out.contains("1120"), "{out}");
    }
}

#[test]
fn what_says_nothing_or_the_same_in_another_form_parts_no_text() {
    let cases: [(Stream, Vec<Value>); 5] = [
        (
            CHAT,
            vec![json!({ "content": "A" }), json!({ "reasoning": "", "tool_calls": [] }), json!({ "content": "B" })],
        ),
        (
            CHAT,
            vec![
                json!({ "reasoning": "A", "reasoning_content": "A" }),
                json!({ "reasoning": "B", "reasoning_content": "B" }),
            ],
        ),
        (CHAT, vec![json!({ "content": "A" }), json!({ "novel": "x" }), json!({ "content": "B" })]),
        (
            OLLAMA,
            vec![
                json!({ "content": "A", "thinking": "" }),
                json!({ "content": "", "thinking": "" }),
                json!({ "content": "B" }),
            ],
        ),
        (GEMINI, vec![json!({ "text": "A" }), json!({ "text": "", "thought": true }), json!({ "text": "B" })]),
    ];
    for ((open, write), pieces) in cases {
        let body = write(&with(&pieces, "ssn 078-05-1120", "9 is"));
        assert_eq!(masked_words(open(), &body), body);
    }
}

#[test]
fn kinds_that_alternate_for_long_go_on() {
    let pieces = [json!({ "content": "a" }), json!({ "reasoning": "b" })].map(|piece| deltas(&[piece]));
    let (mut flow, mut judge, mut out) = (openai_chat::stream(), Judge::default(), BytesMut::new());
    for piece in pieces.iter().cycle().take(120_000) {
        flow.push(piece.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        assert_eq!(out.split(), piece.as_bytes());
    }
}
