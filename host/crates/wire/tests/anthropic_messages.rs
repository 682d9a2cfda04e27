//! `anthropic-messages`, feature by feature.

mod support;

use bytes::BytesMut;
use model::{Channel, Family, Speaker};
use serde_json::{Value, json};
use support::{
    CANARY, Judge,
    anthropic::{at, block_of, client, messages, names, request, sse, stop, stream, whole},
    masked, run, told, value,
};
use wire::{Change, Complaint, Endpoint, Limits, Malformed, Step, claim};

fn text_delta(index: u64, text: &str) -> Value {
    at(index, json!({ "type": "text_delta", "text": text }))
}

fn complaint() -> Complaint {
    Complaint {
        status: 403,
        code: "blocked".into(),
        message: "Not allowed here.".into(),
        request_id: "r1".into(),
        policy: "20-block".into(),
        replies: Vec::new(),
    }
}

#[test]
fn endpoints_are_claimed_by_method_and_path() {
    let cases = [
        ("POST", "/v1/messages", Some("anthropic-messages")),
        ("POST", "/messages", Some("anthropic-messages")),
        ("POST", "/v1/messages/count_tokens", Some("anthropic-messages")),
        ("GET", "/v1/models", Some("anthropic-models")),
        ("GET", "/v1/models/claude-x", Some("anthropic-models")),
        ("GET", "/v1/models/", None),
        ("GET", "/v1/models/claude-x/files", None),
        ("GET", "/v1/messages", None),
        ("POST", "/v1/messages/batches", None),
        ("GET", "/v1/messages/batches/b/results", None),
        ("POST", "/v1/files", None),
        ("GET", "/v1/files/f/content", None),
        ("POST", "/v1/complete", None),
        ("POST", "/v1/chat/completions", None),
    ];
    for (method, path, dialect) in cases {
        assert_eq!(claim(Family::Anthropic, method, path).map(Endpoint::dialect), dialect, "{method} {path}");
    }
}

#[test]
fn a_request_is_told_by_channel() {
    let long = "QUJD".repeat(100);
    let body = json!({
        "model": "claude-x", "max_tokens": 5, "stream": true, "temperature": 0.5,
        "system": [{ "type": "text", "text": "sys", "cache_control": { "type": "ephemeral", "ttl": "1h" } }],
        "metadata": { "user_id": "u-1" }, "stop_sequences": ["halt"],
        "tool_choice": { "type": "tool", "name": "send" },
        "mcp_servers": [{ "type": "url", "url": "https://m.example", "name": "m", "authorization_token": "tok" }],
        "tools": [{ "name": "send", "description": "sends", "input_schema": {
            "type": "object", "properties": { "to": { "type": "string", "description": "whom" } } } }],
        "messages": [
            { "role": "user", "content": "plain" },
            { "role": "user", "content": [
                { "type": "text", "text": "listed" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": long } },
                { "type": "image", "source": { "type": "url", "url": "https://i.example/a.png" } },
                { "type": "document", "title": "a title", "context": "a context", "citations": { "enabled": true },
                  "source": { "type": "text", "media_type": "text/plain", "data": "in the document" } },
                { "type": "document", "source": { "type": "content", "content": [{ "type": "text", "text": "inner" }] } },
                { "type": "search_result", "source": "https://s.example", "title": "found",
                  "content": [{ "type": "text", "text": "a hit" }] },
            ]},
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": long },
                { "type": "redacted_thinking", "data": long },
                { "type": "text", "text": "I said", "citations": [{ "type": "char_location", "cited_text": "quoted",
                  "document_index": 0, "document_title": "dt", "start_char_index": 0, "end_char_index": 6 }] },
                { "type": "tool_use", "id": "toolu_1", "name": "send", "input": { "to": "me", "n": 1_234_567, "novel": [true] } },
                { "type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": { "query": "who" } },
                { "type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [
                    { "type": "web_search_result", "url": "https://w.example", "title": "web", "encrypted_content": long,
                      "page_age": "May" }] },
            ]},
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": "as text" },
                { "type": "tool_result", "tool_use_id": "toolu_1", "is_error": true,
                  "content": [{ "type": "text", "text": "as blocks" }] },
            ]},
            { "role": "system", "content": "from within" },
        ],
    })
    .to_string();
    let judge = told(request(), &body);
    let said = |channel, speaker| -> Vec<&str> {
        let of = |told: &&support::Told| told.channel == channel && told.speaker == speaker;
        judge.parts.values().filter(of).map(|told| told.text.as_str()).collect()
    };
    assert_eq!(said(Channel::Content, Speaker::System), ["sys", "from within"]);
    assert_eq!(
        said(Channel::Content, Speaker::User),
        ["plain", "listed", "a title", "a context", "in the document", "inner", "found", "a hit"]
    );
    assert_eq!(said(Channel::Content, Speaker::Assistant), ["I said", "quoted"]);
    assert_eq!(said(Channel::Reasoning, Speaker::Assistant), ["hm"]);
    assert_eq!(
        said(Channel::ToolInput, Speaker::Assistant),
        ["send", "to", "me", "n", "1234567", "novel", "\"n\":1234567", "web_search", "query", "who"]
    );
    assert_eq!(
        said(Channel::ToolResult, Speaker::Tool),
        ["https://w.example", "\"url\":\"https://w.example\"", "web", "May", "as text", "as blocks"]
    );
    assert_eq!(said(Channel::ToolDefinition, Speaker::Developer), ["send", "sends", "to", "whom"]);
    let fields = said(Channel::Field, Speaker::User);
    for field in ["u-1", "halt", "https://m.example", "m", "tok", "1h", "https://i.example/a.png", "toolu_1", "dt"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert!(!judge.parts.values().any(|told| told.text == long), "encoded files are not text");
    let asked = judge.asked.unwrap();
    assert_eq!((asked.model.as_str(), asked.streaming), ("claude-x", true));
    assert_eq!((asked.tools[0].name.as_str(), asked.tools[0].description.as_str()), ("send", "sends"));
    assert_eq!(value(&asked.parameters)["temperature"], 0.5);
    for not in ["model", "messages", "system", "tools", "stream"] {
        assert!(value(&asked.parameters).get(not).is_none(), "{not}");
    }
}

#[test]
fn short_encoded_files_are_shown() {
    let body =
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"QUJD"}}]}]}"#;
    assert_eq!(told(request(), body).texts(Channel::Field), ["QUJD"]);
}

#[test]
fn requests_of_another_shape_are_refused() {
    for body in [
        "[]",
        "{}",
        r#"{"messages":{}}"#,
        r#"{"messages":["x"]}"#,
        r#"{"messages":[{"content":"x"}]}"#,
        r#"{"messages":[{"role":"user","content":{"a":1}}]}"#,
        r#"{"messages":[{"role":"user","content":["x"]}]}"#,
        r#"{"messages":[],"system":7}"#,
    ] {
        let error = run(request(), &mut Judge::default(), body.as_bytes(), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Shape { .. }), "{body}: {error}");
    }
    for body in [r#"{"messages":[],"messages":[]}"#, r#"{"messages":[],"x":"\ud800"}"#, "\u{feff}{\"messages\":[]}"] {
        assert!(run(request(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{body}");
    }
}

#[test]
fn tools_and_parameters_are_spliced() {
    let tool = |name: &str| format!(r#"{{"name":"{name}", "input_schema":{{}}}}"#);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{CANARY}"}}], "tools": [{}, {}], "tool_choice":{{"type":"tool","name":"b"}}, "top_p":1}}"#,
        tool("a"),
        tool("b"),
    );
    let cut = |names: &[&str], patch: &str| {
        let mut flow = request();
        flow.push(body.as_bytes()).unwrap();
        flow.finish().unwrap();
        flow.remove_tools(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        flow.patch_parameters(patch).unwrap();
        let mut out = BytesMut::new();
        Judge::masking().turn(&mut *flow, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let clean = body.replace(CANARY, "[SSN]");
    assert_eq!(cut(&["x"], "{}"), clean);
    assert_eq!(cut(&["a"], "{}"), clean.replace(&format!("{}, ", tool("a")), ""));
    let without_b = value(&cut(&["b"], "{}"));
    assert_eq!((without_b["tools"].as_array().map(Vec::len), without_b.get("tool_choice")), (Some(1), None));
    let none = value(&cut(&["a", "b"], r#"{"top_p":null,"top_k":2}"#));
    assert_eq!(none, json!({"messages":[{"role":"user","content":"[SSN]"}],"top_k":2}));
    for patch in [r#"{"messages":[]}"#, r#"{"system":"x"}"#, r#"{"tools":[]}"#, r#"{"stream":true}"#, "nonsense"] {
        assert!(request().patch_parameters(patch).is_err(), "{patch}");
    }
}

#[test]
fn a_tool_of_the_servers_keeps_its_type_whatever_it_is_called() {
    for (tool, names) in [
        (json!({"type":"web_search_20250305","name":"web_search"}), &["web_search"][..]),
        (json!({"type":"web_search_20250305","name":"ok"}), &["ok", "web_search_20250305"]),
        (json!({"type":"web_search_20250305","name":"web"}), &["web", "web_search_20250305"]),
        (json!({"type":"mcp_toolset"}), &["mcp_toolset"]),
        (
            json!({"type":"mcp_toolset","configs":{"find":{"enabled":true},"off":{"enabled":false},"drop":{}}}),
            &["mcp_toolset", "find", "drop"],
        ),
        (json!({"type":"custom","name":"ok"}), &["ok"]),
        (json!({}), &[""]),
    ] {
        let body = json!({"messages":[],"tools":[{"name":"fine"}, tool]}).to_string();
        let asked = told(request(), &body).asked.unwrap();
        let told: Vec<&str> = asked.tools[1..].iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(told, names, "{tool}");
        for name in names {
            let mut flow = request();
            flow.push(body.as_bytes()).unwrap();
            flow.finish().unwrap();
            flow.remove_tools(&[(*name).to_owned()]);
            let mut out = BytesMut::new();
            Judge::default().turn(&mut *flow, &mut out);
            assert_eq!(value(std::str::from_utf8(&out).unwrap())["tools"], json!([{"name":"fine"}]), "{tool}");
        }
    }
}

#[test]
fn a_whole_answer_is_told_by_channel() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "refusal",
        "stop_sequence": "halt", "stop_details": { "type": "refusal", "category": "cyber", "explanation": "I won't" },
        "content": [
            { "type": "thinking", "thinking": "hm", "signature": "short" },
            { "type": "text", "text": "one ", "citations": [{ "type": "web_search_result_location", "cited_text": "quoted",
              "url": "https://w.example", "title": "web", "encrypted_index": "QUJD".repeat(100) }] },
            { "type": "text", "text": "run" },
            { "type": "tool_use", "id": "toolu_1", "name": "send", "input": { "to": "me" } },
            { "type": "text", "text": "another" },
            { "type": "code_execution_tool_result", "tool_use_id": "srv", "content": {
                "type": "code_execution_result", "stdout": "printed", "stderr": "", "return_code": 0, "content": [] } },
            { "type": "compaction", "content": "summed up" },
            { "type": "novel", "text": "new text", "other": { "deep": "new field" } },
        ],
        "usage": { "input_tokens": 7, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300,
                   "output_tokens": 12_345_678, "service_tier": "standard" },
    })
    .to_string();
    let judge = told(whole(), &body);
    assert_eq!(
        judge.texts(Channel::Content),
        ["one runanother", "quoted", "one ", "run", "another", "summed up", "new text"]
    );
    assert_eq!(judge.texts(Channel::Reasoning), ["hm"]);
    assert_eq!(judge.texts(Channel::ToolInput), ["send", "to", "me"]);
    assert_eq!(judge.texts(Channel::ToolResult), ["printed", "\"stdout\":\"printed\"", ""]);
    assert_eq!(judge.texts(Channel::Refusal), ["I won't"]);
    let fields = judge.texts(Channel::Field);
    for field in
        ["short", "https://w.example", "web", "toolu_1", "new field", "deep", "other", "msg_1", "claude-x", "halt"]
    {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert_eq!(
        judge.calls.iter().map(|(_, id, name)| (id.as_str(), name.as_str())).collect::<Vec<_>>(),
        [("toolu_1", "send")]
    );
    let mut flow = whole();
    flow.push(body.as_bytes()).unwrap();
    flow.finish().unwrap();
    assert_eq!((flow.usage().input_tokens, flow.usage().output_tokens), (327, 12_345_678));
}

/// A stream with a block of each kind.
fn full() -> String {
    sse(
        &[
            block_of(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
            at(0, json!({ "type": "thinking_delta", "thinking": "let " })),
            at(0, json!({ "type": "thinking_delta", "thinking": "me" })),
            at(0, json!({ "type": "signature_delta", "signature": "c2ln".repeat(80) })),
            stop(0),
            block_of(1, json!({ "type": "text", "text": "" })),
            text_delta(1, "Hel"),
            json!({ "type": "ping" }),
            text_delta(1, "lo "),
            at(
                1,
                json!({ "type": "citations_delta", "citation": { "type": "char_location", "cited_text": "quoted" } }),
            ),
            stop(1),
            block_of(2, json!({ "type": "text", "text": "", "citations": [] })),
            text_delta(2, "there"),
            stop(2),
            block_of(3, json!({ "type": "tool_use", "id": "toolu_1", "name": "send", "input": {} })),
            at(3, json!({ "type": "input_json_delta", "partial_json": "" })),
            at(3, json!({ "type": "input_json_delta", "partial_json": "{\"to\":\"m" })),
            at(3, json!({ "type": "input_json_delta", "partial_json": "e\"}" })),
            stop(3),
            block_of(
                4,
                json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [
                { "type": "web_search_result", "title": "web", "url": "u", "encrypted_content": "x" }] }),
            ),
            stop(4),
        ],
        "tool_use",
    )
}

#[test]
fn a_streamed_answer_is_told_by_channel() {
    let body = full();
    let judge = told(stream(), &body);
    assert_eq!(judge.texts(Channel::Reasoning), ["let me"]);
    assert_eq!(
        judge.texts(Channel::Content),
        ["Hello there", "quoted", "Hello ", "there"],
        "blocks are one text, and told alone"
    );
    assert_eq!(judge.texts(Channel::ToolInput), ["send", "to", "me"]);
    assert_eq!(judge.texts(Channel::ToolResult), ["web", "u"]);
    assert_eq!(judge.texts(Channel::Field), ["msg_1", "claude-x", "toolu_1", "s", "x"], "names of events say nothing");
    assert!(judge.parts.values().all(|told| told.ended));
    let mut flow = stream();
    flow.push(body.as_bytes()).unwrap();
    assert_eq!((flow.usage().input_tokens, flow.usage().output_tokens), (25, 15));
}

#[test]
fn an_edit_of_thinking_leaves_its_signature() {
    let signature = "c2ln".repeat(80);
    let body = sse(
        &[
            block_of(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
            at(0, json!({ "type": "thinking_delta", "thinking": "it is 078-05-" })),
            at(0, json!({ "type": "thinking_delta", "thinking": "1120" })),
            at(0, json!({ "type": "signature_delta", "signature": signature })),
            stop(0),
        ],
        "end_turn",
    );
    let out = masked(stream(), &body);
    let client = client(out.as_bytes());
    assert_eq!(client.blocks[0]["thinking"], "it is [SSN]");
    assert_eq!(client.blocks[0]["signature"], signature);
}

#[test]
fn a_change_that_straddles_events_stands_where_it_begins() {
    let with = |texts: [&str; 3]| {
        let mut events = vec![block_of(0, json!({ "type": "text", "text": "" }))];
        events.extend(texts.map(|text| text_delta(0, text)));
        events.push(stop(0));
        sse(&events, "end_turn")
    };
    assert_eq!(masked(stream(), &with(["my 078-", "05-", "1120 ok"])), with(["my [SSN]", "", " ok"]));
}

#[test]
fn text_is_joined_over_all_blocks_whatever_stands_between_them() {
    let with = |first: &str, second: &str, third: &str| {
        let mut events = Vec::new();
        for (index, text) in [(0, first), (1, second)] {
            events.extend([
                block_of(index, json!({ "type": "text", "text": "" })),
                text_delta(index, text),
                stop(index),
            ]);
        }
        events.push(block_of(2, json!({ "type": "tool_use", "id": "t", "name": "n", "input": { "a": 1 } })));
        events.push(stop(2));
        events.extend([block_of(3, json!({ "type": "text", "text": third })), stop(3)]);
        sse(&events, "end_turn")
    };
    let out = masked(stream(), &with("a 078-05", "-1120", "-1120"));
    assert_eq!(out, with("a [SSN]", "", "-1120"));
    assert_eq!(masked(stream(), &with("a 078-05", "-11", "20")), with("a [SSN]", "", ""));
}

#[test]
fn text_can_be_added_behind_the_end() {
    let body = sse(
        &[
            block_of(0, json!({ "type": "text", "text": "" })),
            text_delta(0, "hi"),
            stop(0),
            block_of(1, json!({ "type": "text", "text": "" })),
            text_delta(1, " there"),
            stop(1),
        ],
        "end_turn",
    );
    let mut flow = stream();
    let mut out = BytesMut::new();
    let (mut content, mut len) = (None, 0);
    for event in body.split_inclusive("\n\n") {
        flow.push(event.as_bytes()).unwrap();
        while let Some(step) = flow.next() {
            match step {
                // The first is all of the text; others are its blocks.
                Step::Begin(part) if part.channel == Channel::Content => content = content.or(Some(part.id)),
                Step::Text { part, text } if content == Some(part) => {
                    len += text.len() as u64;
                    flow.release(part, len, Vec::new());
                }
                Step::End(part) if content == Some(part) => {
                    flow.release(part, len, vec![Change { span: len..len, by: " (\"end\")".into() }]);
                }
                Step::Text { part, text } => flow.release(part, text.len() as u64, Vec::new()),
                Step::End(part) => flow.release(part, u64::MAX, Vec::new()),
                _ => {}
            }
        }
        flow.take(&mut out);
    }
    let client = client(&out);
    assert_eq!((&client.blocks[0]["text"], &client.blocks[1]["text"]), (&json!("hi"), &json!(" there (\"end\")")));
    assert_eq!(names(&out).last().map(String::as_str), Some("message_stop"));
}

#[test]
fn tool_calls_are_held_until_they_are_cleared() {
    let call = |input: Value, fragments: &[&str]| {
        let mut events = vec![block_of(0, json!({ "type": "tool_use", "id": "t", "name": "send", "input": input }))];
        events.extend(fragments.iter().map(|text| at(0, json!({ "type": "input_json_delta", "partial_json": text }))));
        events.push(stop(0));
        sse(&events, "tool_use")
    };
    // What stands in the block, its deltas, and what a policy gives instead.
    let cases = [
        (json!({}), vec!["", "{\"to\":\"078-", "05-11\\u003", "20\"}"], None, json!({ "to": "[SSN]" })),
        (json!({}), vec!["{\"to\":1}"], Some(r#"{"to":2}"#), json!({ "to": 2 })),
        (json!({}), vec![""], Some(r#"{"to":2}"#), json!({ "to": 2 })),
        (json!({}), vec![], Some(r#"{"to":2}"#), json!({ "to": 2 })),
        (json!({}), vec![], None, json!({})),
        (json!({ "to": CANARY }), vec![""], None, json!({ "to": "[SSN]" })),
        (json!({ "to": 1 }), vec![], Some(r#"{"to":2}"#), json!({ "to": 2 })),
    ];
    for (input, fragments, given, expected) in cases {
        let body = call(input, &fragments);
        let mut flow = stream();
        let mut out = BytesMut::new();
        let mut judge = Judge::masking();
        let (before, after) = body.split_at(body.find("event: content_block_stop").unwrap());
        flow.push(before.as_bytes()).unwrap();
        judge.turn(&mut *flow, &mut out);
        assert!(!names(&out).iter().any(|name| name.starts_with("content_block")), "held from its first event on");
        flow.push(after.as_bytes()).unwrap();
        let mut waiting = Vec::new();
        // Cleared by hand, with what the policy gives.
        while let Some(step) = flow.next() {
            match step {
                Step::Text { part, text } => {
                    let hits = text.match_indices(CANARY);
                    let changes =
                        hits.map(|(at, hit)| Change { span: at as u64..(at + hit.len()) as u64, by: "[SSN]".into() });
                    let changes = changes.collect();
                    flow.release(part, text.len() as u64, changes);
                }
                Step::End(part) => flow.release(part, u64::MAX, Vec::new()),
                Step::ToolCall(call) => waiting.push(call),
                _ => {}
            }
        }
        assert_eq!(waiting.len(), 1);
        flow.clear_tool_call(waiting[0].call, given.map(str::to_owned));
        flow.take(&mut out);
        assert_eq!(client(&out).blocks[0]["input"], expected, "{body}");
    }
}

#[test]
fn streams_that_clients_would_join_in_different_ways_are_refused() {
    let text = || block_of(0, json!({ "type": "text", "text": "" }));
    let cases: Vec<(&str, Vec<Value>)> = vec![
        ("an index that is not the next", vec![block_of(1, json!({ "type": "text", "text": "" }))]),
        ("a delta with no block", vec![text_delta(0, "x")]),
        ("a delta of another block", vec![text(), text_delta(1, "x")]),
        ("a delta behind its block", vec![text(), stop(0), text_delta(0, "x")]),
        ("a delta of a block that was left", vec![text(), block_of(1, json!({ "type": "text" })), text_delta(0, "x")]),
        ("a foreign delta", vec![text(), at(0, json!({ "type": "thinking_delta", "thinking": "x" }))]),
        ("a delta of no known type", vec![text(), at(0, json!({ "type": "novel_delta", "text": "x" }))]),
        ("an end with no block", vec![stop(0)]),
        ("another message", vec![json!({ "type": "message_start", "message": { "content": [] } })]),
        (
            "a delta with no index",
            vec![text(), json!({ "type": "content_block_delta", "delta": { "type": "text_delta" } })],
        ),
        (
            "arguments twice",
            vec![
                block_of(0, json!({ "type": "tool_use", "id": "t", "name": "n", "input": { "a": 1 } })),
                at(0, json!({ "type": "input_json_delta", "partial_json": "{}" })),
            ],
        ),
    ];
    for (what, events) in cases {
        let got = run(stream(), &mut Judge::default(), sse(&events, "end_turn").as_bytes(), &[]);
        assert!(matches!(got, Err(Malformed::Shape { .. })), "{what}");
    }
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n";
    let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let raw = [
        ("no name", "data: {\"type\":\"ping\"}\n\n".to_owned()),
        ("another name", "event: ping\ndata: {\"type\":\"message_stop\"}\n\n".to_owned()),
        (
            "two names",
            format!("event: ping\n{start}event: message_stop\nevent: ping\ndata: {{\"type\":\"message_stop\"}}\n\n"),
        ),
        ("content first", full().split_once("\n\n").map(|(_, rest)| rest.to_owned()).unwrap()),
        ("content in message_start", start.replace("[]", "[{\"type\":\"text\",\"text\":\"x\"}]")),
        (
            "after the end",
            format!("{start}{end}event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n"),
        ),
        ("not JSON", format!("{start}data: [DONE]\n\n")),
        ("no object", "data: []\n\n".to_owned()),
    ];
    for (what, body) in raw {
        assert!(run(stream(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{what}");
    }
    told(stream(), &format!("{start}{end}data: [DONE]\n\n"));
}

#[test]
fn errors_are_told_whole_and_in_mid_stream() {
    let error =
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": CANARY }, "request_id": "req_1" });
    let flow = || messages().response(529, "application/json", Limits::default()).unwrap();
    let judge = told(flow(), &error.to_string());
    assert_eq!(judge.texts(Channel::Error), [CANARY]);
    assert_eq!(masked(flow(), &error.to_string()), error.to_string().replace(CANARY, "[SSN]"));
    assert!(run(flow(), &mut Judge::default(), b"", &[]).is_ok(), "an error may have no body");
    assert!(run(whole(), &mut Judge::default(), b"", &[]).is_err());
    let body = full().replace("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "")
        + &format!("event: error\ndata: {error}\n\n");
    let out = masked(stream(), &body);
    assert!(out.ends_with(&format!("event: error\ndata: {}\n\n", error.to_string().replace(CANARY, "[SSN]"))), "{out}");
}

#[test]
fn tokens_are_counted_and_models_are_listed() {
    let count = claim(Family::Anthropic, "POST", "/v1/messages/count_tokens").unwrap();
    let judge = told(
        count.request("application/json", Limits::default()).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
    );
    assert_eq!(judge.texts(Channel::Content), ["hi"]);
    let mut flow = count.response(200, "application/json", Limits::default()).unwrap();
    flow.push(br#"{"input_tokens":2095}"#).unwrap();
    flow.finish().unwrap();
    assert_eq!(flow.usage().input_tokens, 2095);
    assert!(count.response(200, "text/event-stream", Limits::default()).is_err());
    assert_eq!(count.refusal("m", false, &complaint()).status, 403, "no model speaks there");

    let models = claim(Family::Anthropic, "GET", "/v1/models").unwrap();
    let flow = models.response(200, "application/json", Limits::default()).unwrap();
    let judge = told(flow, r#"{"data":[{"type":"model","id":"m-1","display_name":"M 1"}],"has_more":false}"#);
    assert_eq!(judge.texts(Channel::Field), ["m-1", "M 1"]);
}

#[test]
fn complaints_are_hybrid() {
    let answer = messages().complaint(&complaint());
    let body = value(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!((answer.status, answer.content_type), (403, "application/json"));
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("permission_error")));
    assert_eq!((&body["request_id"], &body["code"]), (&json!("r1"), &json!("blocked")));
    for told in ["Not allowed here.", "20-block", "r1"] {
        assert!(body["error"]["message"].as_str().unwrap().contains(told));
    }
    for member in ["title", "status", "detail", "instance"] {
        assert!(!body[member].is_null(), "{member}");
    }
    let event = messages().stream_complaint(&complaint());
    assert_eq!(names(&event), ["error"]);
    let client = client(&event);
    assert_eq!(client.error.unwrap()["error"]["type"], "permission_error");
    assert_eq!(messages().heartbeat("wait\r\nfor it"), b": wait  for it\n\n");
}

#[test]
fn refusals_are_answers_that_this_dialect_reads() {
    let said = "Not allowed here. (policy 20-block, request r1)";
    let answer = messages().refusal("m", false, &complaint());
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!((answer.status, answer.content_type), (200, "application/json"));
    assert_eq!(told(whole(), body).texts(Channel::Content), [said]);
    assert_eq!(value(body)["stop_reason"], "refusal");
    let answer = messages().refusal("m", true, &complaint());
    let body = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!((answer.status, answer.content_type), (200, "text/event-stream"));
    assert_eq!(told(stream(), body).texts(Channel::Content), [said]);
    let client = client(body.as_bytes());
    assert_eq!((&client.blocks[0]["text"], client.stop_reason.as_deref()), (&json!(said), Some("refusal")));
}
