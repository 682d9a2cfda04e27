//! `openai-chat`, feature by feature.

#![expect(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]

mod support;

use bytes::BytesMut;
use model::Channel;
use serde_json::{Value, json};
use support::{
    CANARY, Judge, events, masked,
    openai_chat::{chat, client, request, stream, whole},
    run, told, value,
};
use wire::{Change, Complaint, Limits, Malformed, Step, claim};

fn sse(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

fn delta(index: u64, delta: Value) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-1",
        "choices": [{ "index": index, "delta": delta, "finish_reason": null }] })
}

fn finish(index: u64, reason: &str) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-1",
        "choices": [{ "index": index, "delta": {}, "finish_reason": reason }] })
}

#[test]
fn endpoints_are_claimed_by_method_and_path() {
    let cases = [
        ("POST", "/v1/chat/completions", Some("openai-chat")),
        ("POST", "/chat/completions", Some("openai-chat")),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/openai/deployments/NAME/chat/completions", Some("openai-chat")),
        ("POST", "/v1/completions", Some("openai-completions")),
        ("POST", "/openai/deployments/NAME/completions", Some("openai-completions")),
        ("POST", "/v1/embeddings", Some("openai-embeddings")),
        ("POST", "/openai/deployments/NAME/embeddings", Some("openai-embeddings")),
        ("POST", "/v1/moderations", Some("openai-moderations")),
        ("POST", "/openai/responses", Some("openai-responses")),
        ("GET", "/v1/models", Some("openai-models")),
        ("GET", "/v1/models/m-1", Some("openai-models")),
        ("GET", "/v1/models/meta/m-1", Some("openai-models")),
        ("GET", "/v1/models/", None),
        ("DELETE", "/v1/models/m-1", None),
        ("POST", "/v1/audio/speech", None),
        ("POST", "/v1/files", None),
        ("GET", "/v1/models/../files", None),
    ];
    for (method, path, dialect) in cases {
        assert_eq!(claim(model::Family::Openai, method, path).map(wire::Endpoint::dialect), dialect, "{method} {path}");
    }
    assert!(claim(model::Family::Raw, "DELETE", "/x").unwrap().raw());
}

#[test]
fn content_types_that_are_not_known_are_not_claimed() {
    let limits = Limits::default();
    for good in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"] {
        assert!(chat().request(good, limits).is_ok(), "{good}");
        assert!(chat().response(200, good, limits).is_ok(), "{good}");
    }
    for bad in ["", "text/plain", "multipart/form-data", "application/json; charset=utf-16", "application/x-ndjson"] {
        assert!(chat().request(bad, limits).is_err(), "{bad}");
        assert!(chat().response(200, bad, limits).is_err(), "{bad}");
    }
    assert!(chat().request("text/event-stream", limits).is_err());
    assert!(chat().response(200, "text/event-stream; charset=utf-8", limits).is_ok());
}

#[test]
fn a_whole_answer_is_told_by_channel() {
    let body = r#"{"id":"chatcmpl-7","object":"chat.completion","created":1700000000,"model":"m-1","choices":[
      {"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"hm","refusal":null,
        "annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":1}}],
        "audio":{"id":"aud-1","data":"QUJD","transcript":"spoken","expires_at":1700000001}},"finish_reason":"stop","logprobs":null},
      {"index":1,"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":"stop"}],
      "usage":{"prompt_tokens":7,"completion_tokens":12345678,"total_tokens":12345685},"system_fingerprint":"fp"}"#;
    let judge = told(whole(), body);
    assert_eq!(judge.texts(Channel::Content), ["hi", "spoken"]);
    assert_eq!(judge.texts(Channel::Reasoning), ["hm"]);
    assert_eq!(judge.texts(Channel::Refusal), ["no"]);
    assert_eq!(
        judge.texts(Channel::Field),
        ["chatcmpl-7", "m-1", "https://a.example", "A", "\"url\":\"https://a.example\"", "aud-1", "QUJD", "fp"]
    );
    let mut flow = whole();
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    assert_eq!((flow.usage().input_tokens, flow.usage().output_tokens), (7, 12_345_678));
}

#[test]
fn text_is_one_part_for_each_choice_and_channel() {
    let body = sse(&[
        delta(0, json!({"role":"assistant","content":""})),
        delta(1, json!({"role":"assistant","content":"B1 "})),
        delta(0, json!({"reasoning_content":"think "})),
        delta(0, json!({"content":"A1 "})),
        delta(1, json!({"content":"B2"})),
        delta(0, json!({"content":"A2","reasoning_content":"more"})),
        delta(0, json!({"refusal":"won't"})),
        finish(1, "stop"),
        finish(0, "stop"),
    ]);
    let judge = told(stream(), &body);
    assert_eq!(judge.texts(Channel::Content), ["A1 A2", "B1 B2", "A1 ", "A2"]);
    assert_eq!(judge.texts(Channel::Reasoning), ["think more", "think ", "more"], "and what the content parts");
    assert_eq!(judge.texts(Channel::Refusal), ["won't"]);
    assert_eq!(judge.texts(Channel::Field), ["chatcmpl-1", "m-1"], "the same field is told once");
    assert!(judge.parts.values().all(|told| told.ended));
}

#[test]
fn a_change_that_straddles_events_stands_where_it_begins() {
    let body = sse(&[
        delta(0, json!({"content":"my 078-"})),
        delta(0, json!({"content":"05-"})),
        delta(0, json!({"content":"1120 ok"})),
        finish(0, "stop"),
    ]);
    let expected = sse(&[
        delta(0, json!({"content":"my [SSN]"})),
        delta(0, json!({"content":""})),
        delta(0, json!({"content":" ok"})),
        finish(0, "stop"),
    ]);
    assert_eq!(masked(stream(), &body), expected);
}

#[test]
fn a_changed_field_changes_each_time_it_comes() {
    let chunk = |text: &str| json!({"id": format!("x {CANARY}"), "choices":[{"index":0,"delta":{"content":text},"finish_reason":null}]});
    let out = masked(stream(), &sse(&[chunk("a"), chunk("b"), chunk("c")]));
    assert_eq!(out.matches(r#""id":"x [SSN]""#).count(), 3, "{out}");
}

#[test]
fn tool_calls_are_held_until_they_are_cleared() {
    let call = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let mut call = json!({"index":index,"function":{"arguments":arguments}});
        if let Some(id) = id {
            call["id"] = id.into();
            call["type"] = "function".into();
        }
        if let Some(name) = name {
            call["function"]["name"] = name.into();
        }
        delta(0, json!({"tool_calls":[call]}))
    };
    let chunks = [
        delta(0, json!({"content":"let me"})),
        call(0, Some("call_a"), Some("send"), ""),
        call(0, None, None, "{\"to\":\"078-"),
        call(0, None, None, "05-11\\u003"),
        call(0, None, None, "20\",\"n\":5}"),
        call(1, Some("call_b"), Some("stop"), "{}"),
        finish(0, "tool_calls"),
    ];
    let mut flow = stream();
    let mut out = BytesMut::new();
    let mut steps = Vec::new();
    let mut lens = std::collections::BTreeMap::new();
    for chunk in &chunks {
        flow.push(format!("data: {chunk}\n\n").as_bytes()).unwrap();
        while let Some(step) = flow.next() {
            if let Step::Text { part, text } = &step {
                let at = text.find(CANARY).map(|at| at as u64);
                let change = at.map(|at| Change { span: at..at + 11, by: "\"[SSN]\"".into() });
                let len = lens.entry(*part).or_insert(0);
                *len += text.len() as u64;
                flow.release(*part, *len, change.into_iter().collect());
            } else if let Step::End(part) = &step {
                flow.release(*part, lens.get(part).copied().unwrap_or(0), Vec::new());
            }
            steps.push(step);
        }
        flow.take(&mut out);
    }
    assert_eq!(events(&out).len(), 1, "only what came before the call");
    let calls: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::ToolCall(call) => Some(call.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["send", "stop"]);
    assert_eq!(calls[0].id, "call_a");
    assert_eq!(flow.tool_input(calls[0].call), r#"{"to":"\"[SSN]\"","n":5}"#);
    flow.clear_tool_call(calls[0].call, None);
    flow.take(&mut out);
    assert_eq!(events(&out).len(), 5, "the first call");
    flow.clear_tool_call(calls[1].call, Some(r#"{"x":1}"#.into()));
    flow.push(b"data: [DONE]\n\n").unwrap();
    flow.finish().unwrap();
    Judge::default().turn(&mut *flow, &mut out);
    assert_eq!(events(&out).len(), chunks.len() + 1, "the number of events stays");
    let client = client(&out);
    let arguments = |call: u64| client[&(0, format!("/tool_calls/{call}/function/arguments"))].as_str();
    assert_eq!(value(arguments(0)), json!({"to":"\"[SSN]\"","n":5}));
    assert_eq!(arguments(1), r#"{"x":1}"#);
}

#[test]
fn arguments_of_every_form_are_masked() {
    let cases = [
        (json!(format!("{{\"{CANARY}\":[\"a\",{{\"b\":\"{CANARY}\"}}]}}")), json!(r#"{"[SSN]":["a",{"b":"[SSN]"}]}"#)),
        (json!(format!("not json: {CANARY} \\u0041")), json!("not json: [SSN] \\u0041")),
        (json!("{\"a\": \"\\u0030\\u00378-05-1120\\ud800\"}"), json!("{\"a\": \"[SSN]\\ud800\"}")),
        (json!("{\"a\":\"\\u003078-05-1120\",\"a\":\"078-05-1120\"}"), json!("{\"a\":\"[SSN]\",\"a\":\"[SSN]\"}")),
        (json!({"a": CANARY}), json!({"a": "[SSN]"})),
    ];
    for (arguments, expected) in cases {
        let body = json!({"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
            {"id":"c","type":"function","function":{"name":format!("f{CANARY}"),"arguments":arguments}}]}}]});
        let out = value(&masked(whole(), &body.to_string()));
        let function = &out["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(function["arguments"], expected);
        assert_eq!(function["name"], "f[SSN]");
    }
}

#[test]
fn a_call_without_arguments_can_get_some() {
    for function in [json!({"name":"f"}), json!({"name":"f","arguments":""})] {
        let chunk = delta(0, json!({"tool_calls":[{"index":0,"id":"c","type":"function","function":function}]}));
        let mut flow = stream();
        flow.push(sse(&[chunk, finish(0, "tool_calls")]).as_bytes()).unwrap();
        flow.finish().unwrap();
        let mut call = None;
        while let Some(step) = flow.next() {
            match step {
                Step::Text { part, text } => flow.release(part, text.len() as u64, Vec::new()),
                Step::ToolCall(told) => call = Some(told.call),
                _ => {}
            }
        }
        assert!(wire::taken(&mut *flow).is_empty());
        flow.clear_tool_call(call.unwrap(), Some("{\"a\":1}".into()));
        let client = client(&wire::taken(&mut *flow));
        assert_eq!(client[&(0, "/tool_calls/0/function/arguments".into())], "{\"a\":1}");
    }
}

#[test]
fn servers_that_number_all_calls_zero_are_understood() {
    let call = |id: &str| json!({"tool_calls":[{"index":0,"id":id,"type":"function","function":{"name":"f","arguments":"{}"}}]});
    let judge = told(stream(), &sse(&[delta(0, call("a")), delta(0, call("b")), finish(0, "tool_calls")]));
    let calls: Vec<_> = judge.calls.iter().map(|(_, id, name)| (id.as_str(), name.as_str())).collect();
    assert_eq!(
        calls,
        [("a", "f"), ("b", "f"), ("a", "ff")],
        "each, and what a client that goes by the index makes of both"
    );
}

#[test]
fn fragments_for_a_complete_call_are_refused() {
    let call = |index: u64| delta(0, json!({"tool_calls":[{"index":index,"function":{"arguments":"{"}}]}));
    let body = sse(&[call(0), call(1), call(0)]);
    assert!(run(stream(), &mut Judge::default(), body.as_bytes(), &[]).is_err());
}

#[test]
fn legacy_function_calls_are_calls() {
    let body = sse(&[
        delta(0, json!({"function_call":{"name":"f","arguments":"{\"a\":"}})),
        delta(0, json!({"function_call":{"arguments":"\"078-05-1120\"}"}})),
        finish(0, "function_call"),
    ]);
    let client = client(masked(stream(), &body).as_bytes());
    assert_eq!(client[&(0, "/function_call/arguments".into())], r#"{"a":"[SSN]"}"#);
}

fn token(text: &str, bytes: Option<&[u8]>) -> Value {
    json!({"token":text,"logprob":-0.123_456_789,"bytes":bytes,"top_logprobs":[{"token":text,"logprob":-0.1,"bytes":bytes}]})
}

fn with_logprobs(content: &str, tokens: &[Value]) -> Value {
    let mut chunk = delta(0, json!({"content":content}));
    chunk["choices"][0]["logprobs"] = json!({"content":tokens,"refusal":null});
    chunk
}

#[test]
fn logprobs_of_changed_text_become_null() {
    let body = sse(&[
        with_logprobs("a 078-", &[token("a ", Some(b"a ")), token("078-", None)]),
        with_logprobs("05-1120", &[token("05-", None), token("1120", None)]),
        with_logprobs(" ok", &[token(" ok", None)]),
        finish(0, "stop"),
    ]);
    let judge = told(stream(), &body);
    assert!(judge.texts(Channel::Logprobs).is_empty(), "covered by the content");
    let out = masked(stream(), &body);
    let logprobs: Vec<Value> =
        events(out.as_bytes())[..3].iter().map(|event| value(event)["choices"][0]["logprobs"].clone()).collect();
    assert_eq!(logprobs[..2], [Value::Null, Value::Null]);
    assert_eq!(logprobs[2]["content"][0]["token"], " ok");
}

#[test]
fn tokens_are_joined_whether_they_repeat_the_text_or_not() {
    let beside = |content: &str, bytes: &[u8]| with_logprobs(content, &[token(content, Some(bytes))]);
    for odd in 0..CANARY.len() {
        // One token says something else than its text, all others repeat it: the text is no canary, the bytes are.
        let chunks: Vec<Value> = CANARY
            .bytes()
            .enumerate()
            .map(|(at, byte)| {
                let text = if at == odd { "x".to_owned() } else { char::from(byte).to_string() };
                beside(&text, &[byte])
            })
            .collect();
        let body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        let out = masked(stream(), &body);
        let bytes: Vec<u8> = events(out.as_bytes())
            .iter()
            .flat_map(|event| value(event)["choices"][0]["logprobs"]["content"][0]["bytes"].as_array().cloned())
            .flatten()
            .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
            .collect();
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{odd}: {out}");
        assert!(bytes.len() <= odd, "what stands behind the odd token goes: {odd}: {bytes:?}");
    }
}

#[test]
fn bytes_of_tokens_are_read_over_the_cuts_of_characters() {
    let bytes = "é\u{1d7ce}ü".as_bytes();
    for cut in 0..=bytes.len() {
        let mut judge = Judge::default();
        let chunks = [&bytes[..cut], &bytes[cut..]].map(|bytes| with_logprobs("x", &[token("x", Some(bytes))]));
        let body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        run(stream(), &mut judge, body.as_bytes(), &[]).unwrap();
        let told = judge.texts(Channel::Logprobs);
        assert!(told.contains(&"é\u{1d7ce}ü"), "{cut}: {told:?}");
    }
}

#[test]
fn logprobs_that_say_something_else_are_parts() {
    let bytes: Vec<u8> = CANARY.bytes().collect();
    let cases = [
        with_logprobs("x", &[token(CANARY, None)]),
        with_logprobs("x", &[token("078-05", None), token("-1120", None)]),
        with_logprobs("x", &[token("x", Some(&bytes))]),
        with_logprobs(
            "x",
            &[json!({"token":"x","logprob":-1,"bytes":null,"top_logprobs":[{"token":CANARY,"logprob":-2}]})],
        ),
        with_logprobs(
            "x",
            &[json!({"token":"x","logprob":-1,"top_logprobs":[{"token":"y","logprob":-2,"bytes":bytes}]})],
        ),
    ];
    for chunk in cases {
        let out = masked(stream(), &sse(&[chunk, finish(0, "stop")]));
        assert_eq!(value(&events(out.as_bytes())[0])["choices"][0]["logprobs"], Value::Null, "{out}");
    }
}

#[test]
fn pieces_of_characters_in_logprobs_are_covered() {
    let tokens = [token("\\xf0\\x9f", Some(&[0xf0, 0x9f])), token("\\x98\\x80", Some(&[0x98, 0x80]))];
    let judge = told(stream(), &sse(&[with_logprobs("😀", &tokens), finish(0, "stop")]));
    assert!(judge.texts(Channel::Logprobs).is_empty());
}

#[test]
fn strings_that_the_dialect_does_not_know_go_on_as_one_part() {
    let body = sse(&[
        delta(
            0,
            json!({"thought":{"deep":"078-"}, "reasoning_details":[{"type":"reasoning.text","text":"078-05","index":0}]}),
        ),
        delta(
            0,
            json!({"thought":{"deep":"05-1120"}, "reasoning_details":[{"type":"reasoning.text","text":"-1120","index":0}]}),
        ),
        delta(0, json!({"content":"x"})),
        finish(0, "stop"),
    ]);
    let out = masked(stream(), &body);
    let client = client(out.as_bytes());
    assert_eq!(client[&(0, "/thought/deep".into())], "[SSN]");
    assert_eq!(client[&(0, "/reasoning_details/0/text".into())], "[SSN]");
    let judge = told(stream(), &body);
    assert_eq!(judge.texts(Channel::Reasoning), ["078-05-1120", "078-05-1120"], "by its place, and with all others");
}

#[test]
fn a_one_off_string_does_not_stop_the_stream() {
    let mut flow = stream();
    let mut judge = Judge::masking();
    let mut out = BytesMut::new();
    let odd = delta(0, json!({"odd":"078","content":"a"}));
    for chunk in [odd].into_iter().chain(vec![delta(0, json!({"content":"b"})); 5]) {
        flow.push(format!("data: {chunk}\n\n").as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
    }
    assert_eq!(events(&out).len(), 6, "it waits for a few pieces, and for no more");
}

#[test]
fn errors_are_told() {
    let body =
        format!(r#"{{"error":{{"message":"bad {CANARY}","type":"invalid_request_error","code":"c-{CANARY}"}}}}"#);
    let flow = || chat().response(400, "application/json", Limits::default()).unwrap();
    let judge = told(flow(), &body);
    assert_eq!(judge.texts(Channel::Error), [format!("bad {CANARY}")]);
    assert!(!masked(flow(), &body).contains(CANARY));
    assert!(!masked(stream(), &format!("data: {body}\n\n")).contains(CANARY));
}

#[test]
fn an_error_may_have_no_body_but_an_answer_must() {
    let flow = |status| chat().response(status, "application/json", Limits::default()).unwrap();
    assert!(run(flow(503), &mut Judge::default(), b"", &[]).unwrap().concat().is_empty());
    assert!(run(flow(200), &mut Judge::default(), b"", &[]).is_err());
}

#[test]
fn what_is_not_the_dialect_is_refused() {
    let cases: [&[u8]; 9] = [
        b"data: hello\n\n",
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}\n\n",
        b"data: {\"a\":\"\xff\"}\n\n",
        b"data: {\"a\":1,\"\\u0061\":2}\n\n",
        b"data: [1]\n\n",
        b"data: {\"choices\":[{\"index\":-1}]}\n\n",
        b"data: [DONE]\n\ndata: {\"choices\":[]}\n\n",
        b"event: \xff\ndata: {}\n\n",
        b"data: {\"cho",
    ];
    for body in cases {
        let got = run(stream(), &mut Judge::default(), body, &[]);
        assert!(got.is_err(), "{}", String::from_utf8_lossy(body));
    }
    let late = sse(&[finish(0, "stop"), delta(0, json!({"content":"late"}))]);
    assert!(run(stream(), &mut Judge::default(), late.as_bytes(), &[]).is_err());
    let empty = sse(&[finish(0, "stop"), delta(0, json!({"content":""}))]);
    assert!(run(stream(), &mut Judge::default(), empty.as_bytes(), &[]).is_ok());
}

#[test]
fn bounds_hold() {
    let limits = Limits { body_bytes: 40, event_bytes: 40, held_bytes: 60, json_depth: 4 };
    let mut flow = chat().response(200, "text/event-stream", limits).unwrap();
    assert!(matches!(flow.push(&[b'x'; 41]), Err(Malformed::TooLarge { bound: "event_bytes", .. })));
    let mut flow = chat().response(200, "text/event-stream", limits).unwrap();
    assert!(flow.push(b"data: {\"id\":\"aaaaaaaaaaaaaaaa\"}\n\n").is_ok());
    assert!(matches!(flow.push(&[b'\n'; 40]), Err(Malformed::TooLarge { bound: "held_bytes", .. })));
    let mut flow = chat().request("application/json", limits).unwrap();
    assert!(matches!(flow.push(&[b' '; 41]), Err(Malformed::TooLarge { bound: "body_bytes", .. })));
    let mut flow = chat().request("application/json", limits).unwrap();
    flow.push(b"[[[[[]]]]]").unwrap();
    assert!(matches!(flow.finish(), Err(Malformed::TooLarge { bound: "json_depth", .. })));
}

#[test]
fn a_small_body_can_not_become_a_large_heap() {
    let many: Vec<String> = (0..110_000).map(|at| format!("\"{at}x\"")).collect();
    let body = format!(r#"{{"messages":[],"stop":[{}]}}"#, many.join(","));
    let got = run(request(), &mut Judge::default(), body.as_bytes(), &[]);
    assert!(matches!(got, Err(Malformed::TooLarge { bound: "parts", .. })));
    let body = format!("[{}]", "1,".repeat(3 << 20));
    let got = run(request(), &mut Judge::default(), body.as_bytes(), &[]);
    assert!(matches!(got, Err(Malformed::TooLarge { bound: "json_values", .. })));
}

#[test]
fn text_can_be_added_behind_the_end() {
    let hi = || delta(0, json!({"content":"hi"}));
    let with_text = json!({"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]});
    let with_role = json!({"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":"stop"}]});
    let no_delta = json!({"choices":[{"index":0,"finish_reason":"stop"}]});
    let event = |chunk: Value| format!("data: {chunk}\n\n");
    let done = || "data: [DONE]\n\n".to_owned();
    let cases = [
        (vec![event(hi()), event(finish(0, "stop"))], "hi\"(end)"),
        (vec![event(hi()), event(with_text)], "hi!\"(end)"),
        (vec![event(hi()), event(with_role)], "hi\"(end)"),
        (vec![event(hi()), event(no_delta)], "hi\"(end)"),
        (vec![event(hi()), done()], "hi\"(end)"),
        (vec![event(hi())], "hi\"(end)"),
        (vec![event(hi()), event(delta(0, json!({"content":"!"}))).trim_end().to_owned()], "hi!\"(end)"),
    ];
    for (chunks, expected) in cases {
        let mut flow = stream();
        let (mut out, mut lens) = (BytesMut::new(), std::collections::BTreeMap::new());
        for chunk in &chunks {
            flow.push(chunk.as_bytes()).unwrap();
            support::add_at_ends(&mut *flow, &mut lens, &mut out);
        }
        flow.finish().unwrap();
        support::add_at_ends(&mut *flow, &mut lens, &mut out);
        assert_eq!(client(&out)[&(0, "/content".into())], expected, "{chunks:?}");
        assert_eq!(flow.held(), 0);
        let done = events(&out).iter().position(|event| event == "[DONE]");
        assert!(done.is_none_or(|at| at + 1 == events(&out).len()));
        let (first, last) = (value(&events(&out)[0]), events(&out).len() - 1 - usize::from(done.is_some()));
        let last = value(&events(&out)[last]);
        assert!(last["id"].is_null() || last["id"] == first["id"], "an added event has the id of its stream: {last}");
    }
}

#[test]
fn a_prediction_is_content() {
    let body = r#"{"messages":[],"prediction":{"type":"content","content":[{"type":"text","text":"as before"}]}}"#;
    assert_eq!(told(request(), body).texts(Channel::Content), ["as before"]);
}

#[test]
fn complaints_are_hybrid() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "Not allowed here.".into(),
        request_id: "r1".into(),
        policy: "20-block".into(),
        replies: Vec::new(),
    };
    let answer = chat().complaint(&complaint);
    let body = value(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!((answer.status, answer.content_type), (403, "application/json"));
    assert_eq!(body["error"]["code"], "blocked");
    assert_eq!(body["error"]["param"], Value::Null);
    for told in ["Not allowed here.", "20-block", "r1"] {
        assert!(body["error"]["message"].as_str().unwrap().contains(told));
    }
    for member in ["type", "title", "status", "detail", "instance"] {
        assert!(!body[member].is_null(), "{member}");
    }
    let event = chat().stream_complaint(&complaint);
    let events = events(&event);
    assert_eq!(events.len(), 1);
    assert_eq!(value(&events[0])["error"]["code"], "blocked");
    assert_eq!(chat().heartbeat("wait\r\nfor it"), b": wait  for it\n\n");
    let raw = claim(model::Family::Raw, "GET", "/").unwrap().complaint(&complaint);
    assert_eq!(raw.content_type, "application/problem+json");
}

#[test]
fn refusals_are_answers_that_this_dialect_reads() {
    let complaint = Complaint {
        status: 403,
        code: "blocked".into(),
        message: "I can't help.".into(),
        request_id: "r1".into(),
        policy: String::new(),
        replies: Vec::new(),
    };
    let answer = chat().refusal("m", false, &complaint);
    let judge = told(whole(), std::str::from_utf8(&answer.body).unwrap());
    assert_eq!(judge.texts(Channel::Content), ["I can't help. (request r1)"]);
    let answer = chat().refusal("m", true, &complaint);
    let judge = told(stream(), std::str::from_utf8(&answer.body).unwrap());
    assert_eq!(judge.texts(Channel::Content), ["I can't help. (request r1)"]);
    assert!(answer.body.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn models_are_listed_with_every_string_a_field() {
    let endpoint = claim(model::Family::Openai, "GET", "/v1/models").unwrap();
    let mut flow = endpoint.request("", Limits::default()).unwrap();
    flow.finish().unwrap();
    assert!(matches!(flow.next(), Some(Step::Asked(_))));
    assert!(wire::taken(&mut *flow).is_empty());
    assert!(endpoint.request("", Limits::default()).unwrap().push(b"x").is_err());
    let flow = endpoint.response(200, "application/json", Limits::default()).unwrap();
    let judge = told(flow, r#"{"object":"list","data":[{"id":"m-1","object":"model","owned_by":"me"}]}"#);
    assert_eq!(judge.texts(Channel::Field), ["list", "m-1", "model", "me"]);
}
