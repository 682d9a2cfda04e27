//! Places where text can hide from one who looks at each string by itself: pieces of a value in members that no dialect
//! knows, log probabilities in another server's form, numbers in another spelling, files that are text. Each case is one
//! that a client could read, and that must come out masked or not at all.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Connection, Family, OnBlock, Restore, Upstream};
use serde_json::{Value, json};
use support::{CANARY, events, masked, openai_chat, openai_completions, openai_responses, told, value};
use wire::{Flow, Limits};

const SSE: &str = "text/event-stream";

/// Two pieces of the canary.
const HALVES: [&str; 2] = ["078-05", "-1120"];

/// Makes a document that says a text.
type Piece<'a> = &'a dyn Fn(&str) -> Value;

fn sse(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

fn chunk(choice: &Value) -> Value {
    let mut chunk = json!({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0}]});
    for (name, value) in choice.as_object().unwrap() {
        chunk["choices"][0][name] = value.clone();
    }
    chunk
}

/// What is said at this place of all events, one behind the other.
fn joined(stream: &str, pointer: &str) -> String {
    let documents = events(stream.as_bytes()).into_iter().filter(|event| event != "[DONE]");
    documents.filter_map(|event| value(&event).pointer(pointer)?.as_str().map(str::to_owned)).collect()
}

fn response(family: Family, path: &str, content_type: &str) -> Box<dyn Flow> {
    wire::claim(family, "POST", path).unwrap().response(200, content_type, Limits::default()).unwrap()
}

#[test]
fn pieces_in_members_that_nobody_knows_are_joined() {
    let at_choice = |text: &str| chunk(&json!({ "novel": { "deep": text } }));
    let at_top = |text: &str| json!({ "content": text, "stop": false });
    let in_call =
        |text: &str| chunk(&json!({"delta":{"tool_calls":[{"index":0,"plan":text,"function":{"why":text}}]}}));
    let thinking =
        |text: &str| chunk(&json!({"delta":{"content":[{"type":"thinking","thinking":[{"type":"t","say":text}]}]}}));
    let plain = |text: &str| chunk(&json!({"delta":{"content":[{"type":"thinking","thinking":[text]}]}}));
    let cases: [(Piece<'_>, &str); 6] = [
        (&at_choice, "/choices/0/novel/deep"),
        (&at_top, "/content"),
        (&in_call, "/choices/0/delta/tool_calls/0/plan"),
        (&in_call, "/choices/0/delta/tool_calls/0/function/why"),
        (&thinking, "/choices/0/delta/content/0/thinking/0/say"),
        (&plain, "/choices/0/delta/content/0/thinking/0"),
    ];
    for (piece, pointer) in cases {
        let pieces: Vec<Value> = HALVES.iter().map(|half| piece(half)).collect();
        let out = masked(openai_chat::stream(), &sse(&pieces));
        assert!(!joined(&out, pointer).contains(CANARY), "{pointer}: {out}");
        let whole = masked(openai_chat::stream(), &sse(&[piece(CANARY), piece(CANARY)]));
        assert!(!whole.contains(CANARY), "{pointer}: {whole}");
    }
    let pieces: Vec<Value> = HALVES.iter().map(|half| at_top(half)).collect();
    let out = masked(openai_completions::stream(), &sse(&pieces));
    assert!(!joined(&out, "/content").contains(CANARY), "{out}");
}

#[test]
fn an_index_is_what_clients_take_it_for() {
    for (one, other) in [("0", "-0"), ("0", "0.0"), ("0e5", "0"), ("1", "1.0"), ("1", "true"), ("false", "0")] {
        let piece = |index: &str, text: &str| {
            let piece = chunk(&json!({"delta":{"novel":[{"index":"#","say":text}]}}));
            piece.to_string().replace("\"#\"", index)
        };
        let body = format!("data: {}\n\ndata: {}\n\n", piece(one, HALVES[0]), piece(other, HALVES[1]));
        let out = masked(response(Family::Openai, "/v1/chat/completions", SSE), &body);
        assert_eq!(joined(&out, "/choices/0/delta/novel/0/say"), "[SSN]", "{one} {other}");
    }
}

#[test]
fn text_in_the_place_of_sound_is_joined() {
    let piece = |text: &str| chunk(&json!({"delta":{"audio":{"data":text}}}));
    let out = masked(response(Family::Openai, "/v1/chat/completions", SSE), &sse(&HALVES.map(piece)));
    assert_eq!(joined(&out, "/choices/0/delta/audio/data"), "[SSN]");
}

#[test]
fn pieces_beside_what_a_dialect_knows_are_joined() {
    let gemini = |text: &str| json!({"candidates":[],"novel":{"deep":text}});
    let out = masked(response(Family::Gemini, "/v1/models/m:streamGenerateContent", SSE), &sse(&HALVES.map(gemini)));
    assert!(!joined(&out, "/novel/deep").contains(CANARY), "{out}");
    let events = |text: &str| format!("event: novel\ndata: {}\n\n", json!({"type":"novel","delta":{"text":text}}));
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    for between in ["".to_owned(), ping.to_owned(), events("")] {
        let body = events(HALVES[0]) + &between + &events(HALVES[1]);
        let out = masked(response(Family::Anthropic, "/v1/messages", SSE), &body);
        assert!(!joined(&out, "/delta/text").contains(CANARY), "{out}");
    }
}

#[test]
fn what_stands_beside_a_text_does_not_part_it() {
    let line =
        |text: &str| json!({"model":"m","message":{"role":"assistant","content":text},"response":"x","done":false});
    let body: String = HALVES.iter().map(|half| format!("{}\n", line(half))).collect();
    let out = masked(response(Family::Ollama, "/api/chat", "application/x-ndjson"), &body);
    let said: String =
        out.lines().filter_map(|line| value(line)["message"]["content"].as_str().map(str::to_owned)).collect();
    assert!(!said.contains(CANARY), "{out}");
    let both = chunk(&json!({"delta":{"content":"078-05"},"message":{"content":"x"}}));
    assert!(support::run(openai_chat::stream(), &mut support::Judge::default(), sse(&[both]).as_bytes(), &[]).is_err());
}

#[test]
fn other_events_between_two_pieces_do_not_part_them() {
    let details = |text: &str| chunk(&json!({"delta":{"reasoning_details":[{"type":"reasoning.text","text":text}]}}));
    let between = chunk(&json!({ "delta": {} }));
    let body: Vec<Value> =
        [details(HALVES[0])].into_iter().chain(vec![between; 9]).chain([details(HALVES[1])]).collect();
    let out = masked(openai_chat::stream(), &sse(&body));
    assert!(!joined(&out, "/choices/0/delta/reasoning_details/0/text").contains(CANARY), "{out}");

    let novel = |text: &str| chunk(&json!({ "delta": { "novel": text } }));
    let out = masked(openai_chat::stream(), &sse(&[novel(HALVES[0]), chunk(&json!({"delta":{}})), novel(HALVES[1])]));
    assert!(!joined(&out, "/choices/0/delta/novel").contains(CANARY), "{out}");

    let piece = |text: &str| json!({"type":"response.brand_new.delta","output_index":0,"delta":text});
    let other = json!({"type":"response.in_progress","response":{"object":"response","output":[]}});
    let body: Vec<Value> = [piece(HALVES[0])].into_iter().chain(vec![other; 9]).chain([piece(HALVES[1])]).collect();
    let out = masked(openai_responses::stream(), &sse(&body));
    assert!(!joined(&out, "/delta").contains(CANARY), "{out}");
}

#[test]
fn log_probabilities_of_every_form_go_with_their_text() {
    let token = |text: &str| json!({"token":text,"logprob":-0.5,"bytes":text.as_bytes(),"top_logprobs":[]});
    let modern = |name: &str, text: &str| json!({ name: [token(text)] });
    let older = |text: &str| json!({"tokens":[text],"token_logprobs":[-0.5],"token_ids":[1]});
    let forms: [Piece<'_>; 4] = [
        &|text| modern("content", text),
        &|text| modern("reasoning_content", text),
        &|text| modern("novel", text),
        &older,
    ];
    for form in forms {
        let chat = |text: &str| chunk(&json!({"delta":{"content":"x"},"logprobs":form(text)}));
        let completion = |text: &str| chunk(&json!({"text":"x","logprobs":form(text)}));
        for (flow, pieces) in [
            (openai_chat::stream as fn() -> Box<dyn Flow>, HALVES.map(chat)),
            (openai_completions::stream, HALVES.map(completion)),
        ] {
            let out = masked(flow(), &sse(&pieces));
            assert!(!out.contains("078-05") && !out.contains("48,55,56"), "{out}");
        }
    }
}

#[test]
fn numbers_of_tokens_do_not_outlive_a_change_of_their_text() {
    for text in ["content", "reasoning_content"] {
        let piece = |said: &str| chunk(&json!({"delta":{text:said},"token_ids":[15, 2495, 12]}));
        let out = masked(openai_chat::stream(), &sse(&HALVES.map(piece)));
        assert!(!out.contains("2495"), "{out}");
        let clean = sse(&["one", "two"].map(piece));
        assert_eq!(masked(openai_chat::stream(), &clean), clean);
    }
    let piece = |said: &str| chunk(&json!({"text":said,"token_ids":[15, 2495, 12]}));
    let out = masked(openai_completions::stream(), &sse(&HALVES.map(piece)));
    assert!(!out.contains("2495"), "{out}");
    for name in ["prompt_embeds", "prompt_token_ids", "input_ids"] {
        let chat = json!({"model":"m","messages":[],name:[1, 2]});
        let completion = json!({"model":"m","prompt":"",name:"AAAA"});
        for (flow, body) in [(openai_chat::request(), chat), (openai_completions::request(), completion)] {
            let mut judge = support::Judge::default();
            assert!(support::run(flow, &mut judge, body.to_string().as_bytes(), &[]).is_err(), "{body}");
        }
    }
}

#[test]
fn a_number_is_judged_as_it_reads() {
    for (literal, read) in [
        ("4111111111111111", "4111111111111111"),
        ("4.111111111111111e15", "4111111111111111"),
        ("4111111111111111.0", "4111111111111111"),
        ("41111111111111110e-1", "4111111111111111"),
        ("0.4111111111111111E+16", "4111111111111111"),
        ("-4.111111111111111e15", "-4111111111111111"),
        ("4.1111111111111115e15", "4111111111111111.5"),
        ("1.5000000", "1.5000000"),
        ("1.2345678e300", "1.2345678e300"),
    ] {
        let body = format!(r#"{{"id":"c","choices":[],"novel":{literal}}}"#);
        let judge = told(openai_chat::whole(), &body);
        assert!(judge.parts.values().any(|told| told.text == read), "{literal}: {:?}", judge.parts);
        let arguments = json!(format!(r#"{{"n":{literal}}}"#));
        let body =
            format!(r#"{{"choices":[{{"message":{{"tool_calls":[{{"function":{{"arguments":{arguments}}}}}]}}}}]}}"#);
        let judge = told(openai_chat::whole(), &body);
        assert!(judge.parts.values().any(|told| told.text == read), "{literal}: {:?}", judge.parts);
    }
}

#[test]
fn a_number_that_counts_too_far_is_shown() {
    let body = r#"{"id":"c","created":4111111111111111,"choices":[{"index":0,"message":{"content":"x"}}],
        "usage":{"prompt_tokens":12345678,"completion_tokens":4111111111111112,"total_time":0.0613486711}}"#;
    let judge = told(openai_chat::whole(), body);
    let numbers: Vec<&str> =
        judge.parts.values().map(|told| &*told.text).filter(|text| text.starts_with('4')).collect();
    assert_eq!(numbers, ["4111111111111111", "4111111111111112"]);
    let vector =
        r#"{"object":"list","data":[{"embedding":[0.123456789,-1.5e-7,4111111111111111,4.111111111111112e15]}]}"#;
    let judge = told(response(Family::Openai, "/v1/embeddings", "application/json"), vector);
    assert_eq!(
        judge.parts.values().map(|told| &*told.text).collect::<Vec<_>>(),
        ["4111111111111111", "4111111111111112"]
    );
}

#[test]
fn a_file_that_is_text_is_shown() {
    let long = "QUJD".repeat(100);
    let shown = |flow: Box<dyn Flow>, body: &Value| {
        told(flow, &body.to_string()).parts.values().any(|told| told.text.contains(&long))
    };
    let texts = [
        "text/csv",
        "TEXT/plain; charset=utf-8",
        "application/json",
        "",
        ";charset=utf-8",
        "message/rfc822",
        "multipart/mixed",
        "application/typescript",
        "application/ecmascript",
        "application/graphql",
        "application/x-tex",
        "application/x-httpd-php",
        "application/x-pem-file",
    ];
    let others = ["image/png", "application/pdf", "application/octet-stream"];
    let kinds = texts.map(|kind| (kind, true)).into_iter().chain(others.map(|kind| (kind, false)));
    for (kind, is_text) in kinds {
        let url = format!("data:{kind};base64,{long}");
        let body = json!({"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":url}}]}]});
        assert_eq!(shown(openai_chat::request(), &body), is_text, "{kind}");
        let part = json!({ "inlineData": { "mimeType": kind, "data": long } });
        let body = json!({ "candidates": [{ "content": { "parts": [part] } }] });
        let flow = response(Family::Gemini, "/v1/models/m:generateContent", "application/json");
        assert_eq!(shown(flow, &body), is_text, "{kind}");
        let block = json!({"type":"document","source":{"type":"base64","media_type":kind,"data":long}});
        let body = json!({"messages":[{"role":"user","content":[block]}]});
        let flow = wire::claim(Family::Anthropic, "POST", "/v1/messages").unwrap();
        assert_eq!(shown(flow.request("application/json", Limits::default()).unwrap(), &body), is_text, "{kind}");
        let body = json!({"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"u","mimeType":kind,"blob":long}]}});
        assert_eq!(shown(response(Family::Mcp, "/mcp", "application/json"), &body), is_text, "{kind}");
    }
    // Google reads a name in two spellings; which of two it takes is its own matter.
    for (kind, other) in [("image/png", "text/plain"), ("text/plain", "image/png")] {
        let part = json!({ "inlineData": { "mimeType": kind, "mime_type": other, "data": long } });
        let body = json!({ "contents": [{ "parts": [part] }] });
        let path = "/v1/models/m:generateContent";
        let flow = wire::claim(Family::Gemini, "POST", path).unwrap();
        assert!(shown(flow.request_at(path, "application/json", Limits::default()).unwrap(), &body), "{kind}");
    }
    // What a tool says is text, whatever it looks like.
    let output = json!({"input":[{"type":"function_call_output","call_id":"c","output":long}]});
    assert!(shown(openai_responses::request(), &output));
}

#[test]
fn a_stored_stream_is_not_taken_up_in_the_middle_of_a_value() {
    let upstream = Upstream { tls: false, authority: "model".into(), base_path: String::new() };
    let (name, path_prefix, family) = ("c".into(), "/".into(), Family::Openai);
    let (on_block, restore, endpoints, caller_headers) = (OnBlock::Error, Restore::Off, Vec::new(), Vec::new());
    let connection = Connection { name, path_prefix, upstream, family, on_block, endpoints, restore, caller_headers };
    let serves = |query: &str| wire::endpoint(&connection, "GET", "/v1/responses/resp_1", query).is_some();
    assert!(serves("") && serves("?stream=true&include[]=x"));
    for query in ["?stream=true&starting_after=9", "?%73tarting_after=9", "?a=b;starting%5fafter=9", "?%zz"] {
        assert!(!serves(query), "{query}");
    }
}
