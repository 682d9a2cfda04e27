//! What a policy would not be shown, or not as it reads: names in another case, numbers where only small ones belong,
//! words that no protocol has, files that spell a number, values whose names say what they are, pieces of what is told
//! again and again.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Channel, Family};
use serde_json::{Value, json};
use support::{
    Judge, anthropic, events, masked, masked_words, mcp, openai_chat, openai_completions, openai_responses, run, told,
    value,
};
use wire::{Change, Flow, Limits, Malformed, Step};

const CARD: &str = "4111111111111111";
const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn request(family: Family, path: &str) -> Box<dyn Flow> {
    wire::claim(family, "POST", path).unwrap().request(JSON, Limits::default()).unwrap()
}

fn response(family: Family, path: &str, content_type: &str) -> Box<dyn Flow> {
    wire::claim(family, "POST", path).unwrap().response(200, content_type, Limits::default()).unwrap()
}

fn refused(flow: Box<dyn Flow>, body: &str) -> Option<Malformed> {
    run(flow, &mut Judge::default(), body.as_bytes(), &[]).err()
}

fn sse(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

#[test]
fn a_name_in_another_case_is_refused() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"c"}]}"#;
    assert_eq!(refused(openai_chat::request(), chat), None);
    for body in [
        r#"{"model":"allowed","Model":"denied","messages":[]}"#,
        r#"{"model":"m","messages":[],"Tools":[{"type":"function"}]}"#,
        r#"{"model":"m","messages":[],"MESSAGES":[]}"#,
        "{\"model\":\"m\",\"messages\":[],\"tool\u{17f}\":[]}",
        "{\"model\":\"m\",\"messages\":[],\"top_\u{212a}\":1}",
        r#"{"model":"m","messages":[{"role":"user","Content":"c"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","Text":"c"}]}]}"#,
        r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"Function":{"name":"n"}}]}]}"#,
        r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"Name":"n"}}]}]}"#,
        r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"Name":"n"}}]}"#,
    ] {
        let error = refused(openai_chat::request(), body).map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("case counts")), "{body}");
    }
    for (path, body) in [
        ("/v1/completions", r#"{"model":"m","Prompt":"p"}"#),
        ("/v1/embeddings", r#"{"model":"m","input":"a","INPUT":"b"}"#),
        ("/v1/responses", r#"{"model":"m","Input":"b"}"#),
        ("/v1/responses", r#"{"model":"m","input":[{"role":"user","content":"a","Content":"b"}]}"#),
        ("/v1/responses", r#"{"model":"m","input":[],"tools":[{"type":"function","NAME":"n"}]}"#),
    ] {
        for family in [Family::Openai, Family::Ollama] {
            assert!(refused(request(family, path), body).is_some(), "{body}");
        }
    }
    for params in [
        r#""method":"ping","Method":"tools/call","params":{"name":"rm"}"#,
        r#""method":"tools/call","params":{"name":"ls"},"Params":{"name":"rm"}"#,
        r#""method":"tools/call","params":{"name":"ls","Name":"rm"}"#,
        r#""method":"tools/call","params":{"name":"ls","arguments":{},"ARGUMENTS":{}}"#,
        r#""method":"prompts/get","params":{"name":"ls","Arguments":{}}"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,{params}}}"#);
        assert!(refused(mcp::request(), &body).is_some(), "{body}");
    }
}

#[test]
fn names_that_are_a_callers_own_may_have_any_case() {
    let body = json!({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"n","arguments":"{\"Name\":\"x\",\"CONTENT\":1}"}}]}],"metadata":{"Model":"x"},
        "tools":[{"type":"function","function":{"name":"n","parameters":{"type":"object","properties":{"Name":{}}}}}]});
    assert_eq!(refused(openai_chat::request(), &body.to_string()), None);
    let body = json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"Name":1}}});
    assert_eq!(refused(mcp::request(), &body.to_string()), None);
}

/// Whether a long number in the place of the marker is shown, or the document refused.
fn is_seen(flow: &dyn Fn() -> Box<dyn Flow>, body: &str) -> bool {
    let mut judge = Judge::default();
    let body = body.replace("\"#\"", CARD);
    run(flow(), &mut judge, body.as_bytes(), &[]).is_err() || judge.parts.values().any(|told| told.text == CARD)
}

#[test]
fn a_long_number_is_shown_wherever_it_stands() {
    let chunk = |choice: Value| sse(&[json!({"object":"chat.completion.chunk","choices":[choice]})]);
    let token = json!({"token":"a","logprob":"#","bytes":[97],"top_logprobs":[{"token":"b","logprob":-0.5}]});
    let other = json!({"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":"#"}]});
    for choice in [
        json!({"index":"#","delta":{"content":"a"}}),
        json!({"index":0,"delta":{"tool_calls":[{"index":"#","id":"c","function":{"name":"n","arguments":"{}"}}]}}),
        json!({"index":0,"delta":{"content":"a"},"logprobs":{"content":[token]}}),
        json!({"index":0,"delta":{"content":"a"},"logprobs":{"content":[other]}}),
    ] {
        assert!(is_seen(&openai_chat::stream, &chunk(choice.clone())), "{choice}");
    }
    for choice in [
        json!({"index":"#","text":"a"}),
        json!({"index":0,"text":"a","logprobs":{"tokens":["a"],"token_logprobs":["#"],"text_offset":[0]}}),
        json!({"index":0,"text":"a","logprobs":{"tokens":["a"],"token_logprobs":[-0.5],"text_offset":["#"]}}),
    ] {
        assert!(is_seen(&openai_completions::stream, &chunk(choice.clone())), "{choice}");
    }
    for member in ["sequence_number", "output_index", "content_index"] {
        let mut event = json!({"type":"response.output_text.delta","item_id":"i","delta":"a"});
        event[member] = "#".into();
        assert!(is_seen(&openai_responses::stream, &openai_responses::sse(&[event])), "{member}");
    }
    let ping = "event: ping\ndata: {\"type\":\"ping\",\"index\":\"#\"}\n\n";
    assert!(is_seen(&|| response(Family::Anthropic, "/v1/messages", SSE), ping));
    let count = || response(Family::Anthropic, "/v1/messages/count_tokens", JSON);
    assert!(is_seen(&count, "{\"input_tokens\":\"#\"}"));
    let candidate = || response(Family::Gemini, "/v1beta/models/m:generateContent", JSON);
    for choice in [
        json!({"index":"#"}),
        json!({"tokenCount":"#"}),
        json!({"avgLogprobs":"#"}),
        json!({"logprobsResult":{"chosenCandidates":[{"token":"a","tokenId":"#","logProbability":-0.5}]}}),
        json!({"logprobsResult":{"chosenCandidates":[{"token":"a","tokenId":1,"logProbability":"#"}]}}),
    ] {
        assert!(is_seen(&candidate, &json!({"candidates":[choice]}).to_string()), "{choice}");
    }
    let line = json!({"message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":"#","name":"n","arguments":{}}}]}});
    assert!(is_seen(&|| response(Family::Ollama, "/api/chat", LINES), &format!("{line}\n")));
    let embedded = || response(Family::Ollama, "/api/embed", JSON);
    assert!(is_seen(&embedded, &json!({"embeddings":[[0.5]],"total_duration":"#"}).to_string()));
}

#[test]
fn a_number_in_the_place_of_text_is_refused() {
    let chunk = |delta: Value| sse(&[json!({"choices":[{"index":0,"delta":delta}]})]);
    for delta in [
        json!({"content":411_111}),
        json!({"refusal":411_111}),
        json!({"reasoning_content":411_111}),
        json!({"content":[{"type":"text","text":411_111}]}),
        json!({"audio":{"transcript":411_111}}),
        json!({"tool_calls":[{"index":0,"function":{"name":"n","arguments":411_111}}]}),
    ] {
        assert!(refused(openai_chat::stream(), &chunk(delta.clone())).is_some(), "{delta}");
    }
    let body = sse(&[json!({"choices":[{"index":0,"text":411_111}]})]);
    assert!(refused(openai_completions::stream(), &body).is_some());
    let event =
        json!({"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":411_111});
    assert!(refused(openai_responses::stream(), &openai_responses::sse(&[event])).is_some());
    for line in [json!({"response":411_111}), json!({"thinking":411_111}), json!({"message":{"content":411_111}})] {
        assert!(refused(response(Family::Ollama, "/api/chat", LINES), &format!("{line}\n")).is_some(), "{line}");
    }
    let candidate = json!({"candidates":[{"content":{"parts":[{"text":411_111}]}}]});
    assert!(refused(response(Family::Gemini, "/v1/models/m:streamGenerateContent", SSE), &sse(&[candidate])).is_some());
    let delta = [
        anthropic::block_of(0, json!({"type":"text","text":""})),
        anthropic::at(0, json!({"type":"text_delta","text":411_111})),
    ];
    assert!(refused(anthropic::stream(), &anthropic::sse(&delta, "end_turn")).is_some());
}

#[test]
fn a_list_of_bytes_is_told_as_the_text_that_it_is() {
    let spelled: Vec<u8> = "ssn 078-05-1120".bytes().collect();
    let chunk = |list: Value| sse(&[json!({"choices":[{"index":0,"delta":{"content":"a"},"novel":list}]})]);
    assert_eq!(masked(openai_chat::stream(), &chunk(json!(spelled))), chunk(json!([])));
    let usage = |list: Value| sse(&[json!({"choices":[],"usage":{"prompt_tokens":1,"novel":list}})]);
    assert_eq!(masked(openai_chat::stream(), &usage(json!(spelled))), usage(json!([])));
    let body = |list: Value| json!({"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"bytes":list}}}).to_string();
    assert_eq!(masked(mcp::whole(), &body(json!(spelled))), body(json!([])));
    let mixed: Vec<u32> = spelled.iter().map(|byte| u32::from(*byte)).chain([70_000]).collect();
    assert_eq!(masked(openai_chat::stream(), &chunk(json!(mixed))), chunk(json!([])));
}

#[test]
fn a_word_that_no_protocol_has_is_told() {
    let seen = |flow: Box<dyn Flow>, body: &str| told(flow, body).parts.values().any(|told| told.text == "nightfall");
    let chunk = |choice: Value| sse(&[json!({"choices":[choice]})]);
    assert!(seen(openai_chat::stream(), &chunk(json!({"index":0,"delta":{},"finish_reason":"nightfall"}))));
    assert!(seen(openai_chat::stream(), &chunk(json!({"index":0,"delta":{"role":"nightfall"}}))));
    assert!(seen(openai_chat::stream(), &chunk(json!({"index":0,"delta":{},"novel":{"type":"nightfall"}}))));
    assert!(seen(openai_chat::stream(), &sse(&[json!({"object":"nightfall","choices":[]})])));
    let body = json!({"object":"response","status":"nightfall","output":[]}).to_string();
    assert!(seen(openai_responses::whole(), &body));
    let body = json!({"type":"message","role":"assistant","content":[],"stop_reason":"nightfall"}).to_string();
    assert!(seen(anthropic::whole(), &body));
    let body = json!({"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"type":"nightfall"}}}).to_string();
    assert!(seen(mcp::whole(), &body));
}

#[test]
fn a_file_that_spells_a_number_is_told() {
    let filler = "AbCdEfGhIjKlMnOp".repeat(20);
    let body = |data: &str| {
        json!({"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":data,"format":"wav"}}]}]})
            .to_string()
    };
    let seen = |data: &str| told(openai_chat::request(), &body(data)).parts.values().any(|told| told.text == data);
    for data in [
        format!("{filler}-078-05-1120-AAA"),
        format!("{filler}/4111111111111111/AA"),
        format!("{filler}+14155551234/AAA"),
        format!("{filler}+-AA"),
        format!("{filler}=AAA"),
        format!("{filler}A"),
    ] {
        assert!(seen(&data), "{data}");
    }
    for data in [filler.clone(), format!("{filler}AB=="), format!("{filler}ABC="), format!("{filler}12+4/678")] {
        assert!(!seen(&data), "{data}");
    }
}

#[test]
fn a_value_is_told_with_its_name_as_well() {
    let seen = |judge: &Judge, channel, said: &str| judge.texts(channel).iter().any(|text| text.contains(said));
    let arguments = r#"{"who":{"ssn":"078051120"},"list":["passport",{"phone":[4155551234]}]}"#;
    let call = json!({"id":"c","type":"function","function":{"name":"n","arguments":arguments}});
    let body =
        json!({"model":"m","messages":[{"role":"assistant","tool_calls":[call]}],"metadata":{"ssn":"078051120"}});
    let judge = told(openai_chat::request(), &body.to_string());
    for said in ["\"ssn\":\"078051120\"", "\"phone\":4155551234"] {
        assert!(seen(&judge, Channel::ToolInput, said), "{said}: {:?}", judge.texts(Channel::ToolInput));
    }
    assert!(seen(&judge, Channel::Field, "\"ssn\":\"078051120\""));
    let body = json!({"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"ssn":"078051120"}}});
    assert!(seen(&told(mcp::whole(), &body.to_string()), Channel::ToolResult, "\"ssn\":\"078051120\""));
}

/// Opens a flow.
type Open<'f> = &'f dyn Fn() -> Box<dyn Flow>;

#[test]
fn a_value_of_a_whole_answer_is_told_with_its_name_wherever_no_dialect_knows_it() {
    let info = json!({"who":{"ssn":"078051120"}});
    let chat = || response(Family::Openai, "/v1/chat/completions", JSON);
    let completions = || response(Family::Openai, "/v1/completions", JSON);
    let embeddings = || response(Family::Openai, "/v1/embeddings", JSON);
    let moderations = || response(Family::Openai, "/v1/moderations", JSON);
    let gemini = || response(Family::Gemini, "/v1beta/models/m:generateContent", JSON);
    let ollama = || response(Family::Ollama, "/api/chat", JSON);
    let answers: [(Open<'_>, Value); 18] = [
        (&chat, json!({"choices":[],"info":info})),
        (&chat, json!({"choices":[{"index":0,"message":{"content":"a","info":info}}]})),
        (&chat, json!({"choices":[{"index":0,"message":{"content":"a"},"info":info}]})),
        (&chat, json!({"choices":[],"usage":{"prompt_tokens":1,"info":info}})),
        (&chat, json!({"choices":[],"ssn":"078051120"})),
        (&completions, json!({"choices":[],"info":info})),
        (&completions, json!({"choices":[{"index":0,"text":"a","info":info}]})),
        (&embeddings, json!({"data":[{"embedding":{"info":info}}]})),
        (&embeddings, json!({"data":[],"usage":info})),
        (&moderations, json!({"results":[{"category_scores":{"info":info}}]})),
        (&moderations, json!({"results":[{"info":info}]})),
        (&gemini, json!({"info":info})),
        (&gemini, json!({"candidates":[{"info":info}]})),
        (&gemini, json!({"candidates":[{"content":{"parts":[{"info":info}]}}]})),
        (&gemini, json!({"usageMetadata":info})),
        (&ollama, json!({"message":{"content":"a"},"done":true,"info":info})),
        (&ollama, json!({"message":{"content":"a","info":info},"done":true})),
        (&ollama, json!({"message":{"content":"a"},"ssn":"078051120"})),
    ];
    for (open, body) in answers {
        let masked = body.to_string().replace("078051120", "[SSN]");
        assert_eq!(without_named(open(), &body.to_string()), masked);
    }
}

#[test]
fn a_number_with_an_exponent_is_told_as_it_reads() {
    let numbers = [("4.1e15", "4100000000000000"), ("42E+14", "4200000000000000"), ("4.200000e15", "4200000000000000")];
    for (literal, reads) in numbers {
        let body = format!("{{\"model\":\"m\",\"messages\":[],\"n\":{literal},\"list\":[{literal}]}}");
        assert!(told(openai_chat::request(), &body).parts.values().any(|told| told.text == reads), "{literal}");
        let call = format!(
            "{{\"choices\":[{{\"index\":0,\"message\":{{\"tool_calls\":[{{\"function\":{{\"name\":\"n\",\"arguments\":{{\"a\":{literal}}}}}}}]}}}}]}}"
        );
        let judge = told(openai_chat::whole(), &call);
        assert!(judge.texts(Channel::ToolInput).contains(&reads), "{literal}: {judge:?}");
        let line = format!("{{\"message\":{{\"content\":\"\"}},\"n\":{literal}}}\n");
        let judge = told(response(Family::Ollama, "/api/chat", LINES), &line);
        assert!(judge.texts(Channel::Field).contains(&reads), "{literal}: {judge:?}");
    }
    for literal in ["1.5e-7", "4.1e3", "0.5", "1e5"] {
        let body = format!("{{\"model\":\"m\",\"messages\":[],\"n\":{literal}}}");
        assert!(told(openai_chat::request(), &body).parts.is_empty(), "{literal}");
    }
}

/// Takes what stands behind a name away.
fn without_named(mut flow: Box<dyn Flow>, body: &str) -> String {
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    while let Some(step) = flow.next() {
        match step {
            Step::Text { part, text } => texts.push((part, text)),
            Step::ToolCall(call) => calls.push(call.call),
            _ => {}
        }
    }
    for (part, text) in texts {
        let at = text.find("ssn\":\"").map(|at| (at + 6) as u64);
        let changes = at.map(|at| Change { span: at..at + 9, by: "[SSN]".to_owned() });
        flow.release(part, text.len() as u64, changes.into_iter().collect());
    }
    calls.into_iter().for_each(|call| flow.clear_tool_call(call, None));
    String::from_utf8(wire::taken(&mut *flow).to_vec()).unwrap()
}

#[test]
fn what_is_changed_beside_its_name_is_changed_where_it_stands() {
    for (open, write) in [
        (
            openai_chat::request as fn() -> Box<dyn Flow>,
            (|ssn| {
                let arguments = json!({ "ssn": ssn, "to": "somebody" }).to_string();
                let call = json!({"id":"c","type":"function","function":{"name":"n","arguments":arguments}});
                json!({"model":"m","messages":[{"role":"assistant","tool_calls":[call]}]})
            }) as fn(&str) -> Value,
        ),
        (openai_chat::request, |ssn| json!({"model":"m","messages":[],"metadata":{"ssn":ssn,"to":"somebody"}})),
        (openai_chat::request, |ssn| json!({"model":"m","messages":[],"ssn":ssn})),
        (mcp::whole, |ssn| json!({"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"ssn":ssn}}})),
        (
            mcp::request,
            |ssn| json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"ssn":ssn}}}),
        ),
    ] {
        assert_eq!(without_named(open(), &write("078051120").to_string()), write("[SSN]").to_string());
    }
}

#[test]
fn pieces_of_what_comes_again_are_joined() {
    let chat = |name: &str, text: &str| {
        let mut chunk = json!({"id":"c","model":"m","choices":[{"index":0,"delta":{}}]});
        chunk[name] = text.into();
        chunk
    };
    let said = |out: &str, pointer: &str| -> String {
        events(out.as_bytes())
            .iter()
            .filter_map(|event| value(event).pointer(pointer)?.as_str().map(str::to_owned))
            .collect()
    };
    for name in ["system_fingerprint", "id", "model", "provider", "service_tier", "metadata"] {
        for cut in [&["078-05", "-1120"][..], &["078-", "05-", "1120"]] {
            let body: Vec<Value> = cut.iter().map(|piece| chat(name, piece)).collect();
            let out = masked(openai_chat::stream(), &sse(&body));
            assert!(!said(&out, &format!("/{name}")).contains(support::CANARY), "{name}: {out}");
        }
    }
    let gemini =
        |text: &str| json!({"candidates":[{"groundingMetadata":{"webSearchQueries":[text]}}],"modelVersion":text});
    let out = masked(
        response(Family::Gemini, "/v1/models/m:streamGenerateContent", SSE),
        &sse(&["078-05", "-1120"].map(gemini)),
    );
    for pointer in ["/candidates/0/groundingMetadata/webSearchQueries/0", "/modelVersion"] {
        assert!(!said(&out, pointer).contains(support::CANARY), "{out}");
    }
    let novel = |text: &str| json!({"choices":[],"novel":text});
    let gap = std::iter::repeat_n(json!({"choices":[]}), 9);
    let body: Vec<Value> = [novel("078-05")].into_iter().chain(gap).chain([novel("-1120")]).collect();
    assert!(!said(&masked(openai_chat::stream(), &sse(&body)), "/novel").contains(support::CANARY));
}

/// Puts a value into an answer.
type Around<'a> = &'a dyn Fn(Value) -> Value;

#[test]
fn what_stands_at_one_path_of_a_whole_answer_is_judged_alone_and_joined() {
    let items = |one: &str, other: &str| json!([{ "index": 0, "t": one }, { "index": 0, "t": other }]);
    let chat = || response(Family::Openai, "/v1/chat/completions", JSON);
    let ollama = || response(Family::Ollama, "/api/chat", JSON);
    let answers: [(Open<'_>, Around<'_>); 4] = [
        (&chat, &|list| json!({"choices":[{"index":0,"message":{"content":"hi"}}],"x":list})),
        (&chat, &|list| json!({"choices":[{"index":0,"message":{"content":"hi","reasoning_details":list}}]})),
        (&chat, &|list| json!({"choices":[{"index":0,"message":{"content":"hi"},"x":list}]})),
        (&ollama, &|list| json!({"message":{"content":"hi"},"x":list,"done":true})),
    ];
    let filler = "y ".repeat(600);
    for (open, write) in answers {
        let body = |one: &str, other: &str| write(items(one, other)).to_string();
        for before in ["", &filler] {
            let (one, instead) = (format!("{before}ssn {}", support::CANARY), format!("{before}ssn {}", support::MASK));
            assert_eq!(masked_words(open(), &body(&one, "9")), body(&instead, "9"));
            assert_eq!(masked_words(open(), &body("9", &one)), body("9", &instead));
        }
        assert_eq!(masked(open(), &body("078-05", "-1120 b")), body("[SSN]", " b"));
    }
}

#[test]
fn what_says_the_same_in_each_event_is_told_once_and_waits_for_nothing() {
    let chunk = json!({"id":"chatcmpl-078-05","model":"a@b","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"x"}}]});
    let mut flow = openai_chat::stream();
    let mut judge = Judge::masking();
    for _ in 0..20 {
        let event = sse(std::slice::from_ref(&chunk));
        let mut out = bytes::BytesMut::new();
        flow.push(event.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        assert_eq!(out, event.as_bytes());
    }
    assert_eq!(judge.texts(Channel::Field), ["chatcmpl-078-05", "a@b", "fp_1"]);
}
