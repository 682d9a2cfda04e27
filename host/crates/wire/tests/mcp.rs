//! `mcp`, method by method.

mod support;

use bytes::BytesMut;
use model::{Channel, Family, Speaker};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    CANARY, Judge, events, masked,
    mcp::{call, mcp, notify, request, result, sse, stream, whole},
    run, told, value,
};
use wire::{Complaint, Endpoint, Limits, Malformed, ReplyTo, Step, claim};

/// Where a text was told.
fn place(judge: &Judge, text: &str) -> (Channel, Speaker) {
    let told = judge.parts.values().find(|told| told.text == text);
    assert!(told.is_some(), "{text} was not told: {:?}", judge.parts);
    told.map(|told| (told.channel, told.speaker)).expect("it is some")
}

const TOLD: Channel = Channel::Content;

#[test]
fn the_endpoint_is_claimed_by_method_and_path() {
    let cases = [
        ("POST", "/mcp", true),
        ("POST", "/mcp/", true),
        ("POST", "/tools/v1/mcp", true),
        ("POST", "/", true),
        ("GET", "/mcp", true),
        ("DELETE", "/mcp", true),
        ("PUT", "/mcp", false),
        ("POST", "/messages", false),
        ("GET", "/sse", false),
        ("POST", "/xmcp", false),
        ("GET", "/.well-known/oauth-protected-resource/mcp", false),
        ("GET", "/.well-known/oauth-protected-resource", false),
    ];
    for (method, path, claimed) in cases {
        let dialect = claim(Family::Mcp, method, path).map(Endpoint::dialect);
        assert_eq!(dialect, claimed.then_some("mcp"), "{method} {path}");
    }
}

#[test]
fn what_a_client_says_is_told_by_channel() {
    let user = (TOLD, Speaker::User);
    let field = (Channel::Field, Speaker::User);
    let cases = [
        (
            call(
                "initialize",
                json!({ "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "my client", "version": "1" } }),
            ),
            vec![("my client", field)],
        ),
        (
            call("prompts/get", json!({ "name": "a prompt", "arguments": { "topic": "a topic" } })),
            vec![("a prompt", field), ("topic", user), ("a topic", user)],
        ),
        (call("resources/read", json!({ "uri": "file:///etc/passwd" })), vec![("file:///etc/passwd", field)]),
        (
            call(
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "a prompt" },
            "argument": { "name": "a name", "value": "a value" }, "context": { "arguments": { "k": "before" } } }),
            ),
            vec![("a prompt", field), ("a value", user), ("a name", user), ("before", user)],
        ),
        (
            notify("notifications/cancelled", json!({ "requestId": 1, "reason": "I am done" })),
            vec![("I am done", user)],
        ),
        (call("logging/setLevel", json!({ "level": "debug" })), vec![("debug", field)]),
        (
            call("vendor/novel", json!({ "odd": { "deep": ["hidden"] } })),
            vec![("vendor/novel", field), ("odd", field), ("deep", field), ("hidden", field)],
        ),
        (
            result(json!({ "role": "assistant", "model": "m", "stopReason": "endTurn",
            "content": { "type": "text", "text": "sampled" } })),
            vec![("sampled", (TOLD, Speaker::Assistant)), ("m", field)],
        ),
        (
            result(
                json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "u", "name": "send", "input": { "to": "me" } },
            { "type": "tool_result", "toolUseId": "u", "content": [{ "type": "text", "text": "sent" }], "structuredContent": { "ok": "yes" } }] }),
            ),
            vec![
                ("send", (Channel::ToolInput, Speaker::Assistant)),
                ("me", (Channel::ToolInput, Speaker::Assistant)),
                ("sent", (Channel::ToolResult, Speaker::Tool)),
                ("yes", (Channel::ToolResult, Speaker::Tool)),
            ],
        ),
        (
            result(json!({ "action": "accept", "content": { "email": "me@a.example" } })),
            vec![("email", user), ("me@a.example", user)],
        ),
        (result(json!({ "roots": [{ "uri": "file:///home", "name": "home" }] })), vec![("file:///home", field)]),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": "user said no", "data": "why" } }),
            vec![("user said no", (Channel::Error, Speaker::User)), ("why", field)],
        ),
    ];
    for (message, expected) in cases {
        let judge = told(request(), &message.to_string());
        for (text, at) in expected {
            assert_eq!(place(&judge, text), at, "{text} in {message}");
        }
    }
}

/// What is said, and what of it is told where.
type Case = (Value, Vec<(&'static str, (Channel, Speaker))>);

const TOOL: (Channel, Speaker) = (TOLD, Speaker::Tool);
const ANSWER: (Channel, Speaker) = (Channel::ToolResult, Speaker::Tool);
const OFFER: (Channel, Speaker) = (Channel::ToolDefinition, Speaker::Tool);
const FIELD: (Channel, Speaker) = (Channel::Field, Speaker::Provider);

/// A file that is no text.
fn file() -> String {
    "QUJD".repeat(100)
}

/// What a server answers, first half: what it offers, and what its tools say.
fn offers() -> Vec<Case> {
    vec![
        (
            result(
                json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": { "name": "srv", "version": "1" },
            "instructions": "use me well" }),
            ),
            vec![("use me well", OFFER), ("srv", FIELD)],
        ),
        (
            result(json!({ "tools": [{ "name": "send", "description": "sends", "inputSchema": { "type": "object",
            "properties": { "to": { "type": "string", "description": "whom" } } }, "annotations": { "title": "Send it" } }],
            "nextCursor": "c1" })),
            vec![("send", OFFER), ("sends", OFFER), ("to", OFFER), ("whom", OFFER), ("Send it", OFFER), ("c1", FIELD)],
        ),
        (
            result(json!({ "isError": false, "content": [{ "type": "text", "text": "plain" },
            { "type": "image", "data": file(), "mimeType": "image/png" },
            { "type": "resource_link", "uri": "https://a.example/r", "name": "linked", "description": "about it" },
            { "type": "resource", "resource": { "uri": "file:///r", "mimeType": "text/plain", "text": "embedded" } },
            { "type": "novel", "odd": "new", "data": "not a file" }],
            "structuredContent": { "total": 12_345_678, "who": "me" } })),
            vec![
                ("plain", ANSWER),
                ("https://a.example/r", FIELD),
                ("linked", ANSWER),
                ("about it", ANSWER),
                ("embedded", ANSWER),
                ("new", ANSWER),
                ("not a file", ANSWER),
                ("12345678", ANSWER),
                ("who", ANSWER),
                ("me", ANSWER),
            ],
        ),
        (
            result(
                json!({ "contents": [{ "uri": "file:///r", "text": "read" }, { "uri": "file:///b", "blob": file() }] }),
            ),
            vec![("read", ANSWER), ("file:///r", FIELD)],
        ),
    ]
}

/// The other half.
fn answers() -> Vec<Case> {
    vec![
        (
            result(
                json!({ "description": "about", "messages": [{ "role": "user", "content": { "type": "text", "text": "asked" } },
            { "role": "assistant", "content": { "type": "text", "text": "said" } }] }),
            ),
            vec![("about", TOOL), ("asked", (TOLD, Speaker::User)), ("said", (TOLD, Speaker::Assistant))],
        ),
        (result(json!({ "completion": { "values": ["one"], "total": 1, "hasMore": false } })), vec![("one", TOOL)]),
        (result(json!({ "resources": [{ "uri": "file:///r", "name": "a resource" }] })), vec![("a resource", OFFER)]),
        (result(json!({ "odd": { "deep": "hidden" } })), vec![("odd", FIELD), ("deep", FIELD), ("hidden", FIELD)]),
        (
            result(json!({ "resultType": "input_required", "requestState": "opaque", "inputRequests": {
            "ask": { "method": "elicitation/create", "params": { "message": "which?" } },
            "think": { "method": "sampling/createMessage", "params": { "systemPrompt": "be kind",
                "messages": [{ "role": "user", "content": { "type": "text", "text": "capital?" } }] } } } })),
            vec![
                ("ask", FIELD),
                ("which?", TOOL),
                ("be kind", (TOLD, Speaker::System)),
                ("capital?", (TOLD, Speaker::User)),
                ("opaque", FIELD),
            ],
        ),
    ]
}

/// What a server says by itself.
fn asks() -> Vec<Case> {
    vec![
        (
            call(
                "sampling/createMessage",
                json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "sample" } }],
            "systemPrompt": "be brief", "maxTokens": 5, "tools": [{ "name": "t", "description": "a tool" }] }),
            ),
            vec![("sample", (TOLD, Speaker::User)), ("be brief", (TOLD, Speaker::System)), ("a tool", OFFER)],
        ),
        (
            call(
                "elicitation/create",
                json!({ "message": "your name?", "requestedSchema": { "type": "object",
            "properties": { "nick": { "type": "string", "description": "short" } } } }),
            ),
            vec![("your name?", TOOL), ("nick", OFFER), ("short", OFFER)],
        ),
        (
            notify(
                "notifications/message",
                json!({ "level": "info", "logger": "db", "data": { "query": "select 1" } }),
            ),
            vec![("query", TOOL), ("select 1", TOOL), ("db", FIELD)],
        ),
        (
            notify("notifications/progress", json!({ "progressToken": "p", "progress": 1, "message": "half way" })),
            vec![("half way", TOOL)],
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32602, "message": "no such tool", "data": { "hint": "look" } } }),
            vec![("no such tool", (Channel::Error, Speaker::Provider)), ("look", FIELD)],
        ),
    ]
}

#[test]
fn what_a_server_says_is_told_by_channel() {
    let cases = [offers(), answers(), asks()].concat();
    for (message, expected) in &cases {
        let judges = [told(whole(), &message.to_string()), told(stream(), &sse(std::slice::from_ref(message)))];
        for judge in &judges {
            assert!(!judge.parts.values().any(|told| told.text == file()), "encoded files are not text");
            for (text, at) in expected {
                assert_eq!(place(judge, text), *at, "{text} in {message}");
            }
        }
    }
    let all: Vec<Value> = cases.iter().map(|(message, _)| message.clone()).collect();
    told(whole(), &Value::from(all.clone()).to_string());
    told(stream(), &sse(&all));
}

#[test]
fn a_call_of_a_tool_is_told_and_can_be_given_other_arguments() {
    let with = |arguments: Option<Value>| {
        let mut params = json!({ "name": "send", "_meta": { "progressToken": 3 } });
        if let Some(arguments) = arguments {
            params["arguments"] = arguments;
        }
        call("tools/call", params)
    };
    let cases = [
        (Some(json!({ "to": CANARY, "n": [1_234_567] })), None, Some(json!({ "to": "[SSN]", "n": [1_234_567] }))),
        (Some(json!({ "to": 1 })), Some(r#"{"to":2}"#), Some(json!({ "to": 2 }))),
        (None, Some(r#"{"to":2}"#), Some(json!({ "to": 2 }))),
        (None, None, None),
    ];
    for (arguments, given, expected) in cases {
        let mut flow = request();
        let (mut out, mut judge) = (BytesMut::new(), Judge::masking());
        flow.push(with(arguments).to_string().as_bytes()).unwrap();
        flow.finish().unwrap();
        match given {
            None => judge.turn(&mut *flow, &mut out),
            Some(given) => {
                while let Some(step) = flow.next() {
                    match step {
                        Step::Text { part, text } => flow.release(part, text.len() as u64, Vec::new()),
                        Step::ToolCall(call) => {
                            assert_eq!((call.id.as_str(), call.name.as_str()), ("7", "send"));
                            flow.take(&mut out);
                            assert!(out.is_empty(), "nothing leaves before the call is cleared");
                            flow.clear_tool_call(call.call, Some(given.to_owned()));
                        }
                        _ => {}
                    }
                }
                flow.take(&mut out);
            }
        }
        assert_eq!(value(std::str::from_utf8(&out).unwrap()), with(expected));
    }
    let judge = told(request(), &with(Some(json!({ "to": "me" }))).to_string());
    assert_eq!(judge.texts(Channel::ToolInput), ["send", "to", "me"]);
    assert_eq!(judge.calls.len(), 1);
}

#[test]
fn a_request_tells_which_of_its_messages_want_an_answer() {
    let batch = json!([
        { "jsonrpc": "2.0", "id": 12_345_678_901_234_567_890_u64, "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        { "jsonrpc": "2.0", "id": "a\"b", "method": "tools/call", "params": { "name": "t", "arguments": {} } },
        { "jsonrpc": "2.0", "id": 3, "result": {} },
    ]);
    let reply = |id: &str, method: &str| ReplyTo { id: id.into(), method: method.into() };
    let asked = told(request(), &batch.to_string()).asked.unwrap();
    assert_eq!(asked.replies, [reply("12345678901234567890", "ping"), reply("\"a\\\"b\"", "tools/call")]);
    let asked = told(request(), &batch[1].to_string()).asked.unwrap();
    assert_eq!((asked.replies.len(), asked.model.as_str(), asked.parameters.as_str()), (0, "", "{}"));
}

#[test]
fn messages_of_another_shape_are_refused() {
    for body in [
        "[]",
        "7",
        "{}",
        r#"{"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","method":"ping"}"#,
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","method":7}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},7]"#,
    ] {
        let error = run(request(), &mut Judge::default(), body.as_bytes(), &[]).unwrap_err();
        assert!(matches!(error, Malformed::Shape { .. }), "{body}: {error}");
        if body != "[]" {
            assert!(run(whole(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{body}");
        }
    }
    for body in ["", r#"{"jsonrpc":"2.0","jsonrpc":"2.0","method":"ping"}"#, r#"{"jsonrpc":"2.0","method":"ping"} x"#] {
        assert!(run(request(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{body}");
        assert!(run(whole(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "{body}");
    }
    let many: Vec<Value> = (0..300).map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })).collect();
    let got = run(request(), &mut Judge::default(), Value::from(many).to_string().as_bytes(), &[]);
    assert!(matches!(got, Err(Malformed::TooLarge { bound: "batch", .. })));
    assert!(request().patch_parameters("{}").is_err());
    assert!(mcp().request("text/plain", Limits::default()).is_err());
}

#[test]
fn answers_with_no_body_and_answers_of_others_pass() {
    let limits = Limits::default();
    for (status, content_type) in
        [(202, ""), (202, "application/json"), (204, ""), (405, ""), (202, "text/plain"), (200, "")]
    {
        let flow = mcp().response(status, content_type, limits).unwrap();
        assert!(run(flow, &mut Judge::default(), b"", &[]).is_ok(), "{status} {content_type}");
        let flow = mcp().response(status, content_type, limits).unwrap();
        assert!(run(flow, &mut Judge::default(), b"078-05-1120", &[]).is_err(), "{status} {content_type}");
    }
    assert!(mcp().response(200, "text/plain", limits).is_err());
    let words = mcp().response(405, "text/plain", limits).unwrap();
    assert_eq!(masked(words, "Method Not Allowed 078-05-1120"), "Method Not Allowed [SSN]");
    let refused = || mcp().response(401, "application/json", limits).unwrap();
    let body = json!({ "error": "invalid_token", "error_description": CANARY }).to_string();
    assert_eq!(masked(refused(), &body), body.replace(CANARY, "[SSN]"));
    assert!(run(whole(), &mut Judge::default(), body.as_bytes(), &[]).is_err(), "no message, and no error status");
    // Who only ended a session, or listens, is owed nothing: some servers say so by an empty body of JSON.
    assert!(run(whole(), &mut Judge::default(), b"", &[]).is_err(), "a message wants an answer");
    for method in ["DELETE", "GET"] {
        let flow = claim(Family::Mcp, method, "/mcp").unwrap().response(200, "application/json", limits).unwrap();
        assert!(run(flow, &mut Judge::default(), b"", &[]).is_ok(), "{method}");
    }
    let listen = claim(Family::Mcp, "GET", "/mcp").unwrap();
    let mut flow = listen.request("", limits).unwrap();
    flow.finish().unwrap();
    assert!(matches!(flow.next(), Some(Step::Asked(_))));
    assert!(listen.request("", limits).unwrap().push(b"x").is_err());
}

#[test]
fn a_stream_may_begin_with_an_empty_event_and_hold_comments() {
    let body = format!(
        "id: 1\ndata: \n\n: \n\n{}",
        sse(&[result(json!({ "content": [{ "type": "text", "text": CANARY }] }))])
    );
    assert_eq!(masked(stream(), &body), body.replace(CANARY, "[SSN]"));
    assert!(run(stream(), &mut Judge::default(), b"event: endpoint\ndata: /messages?s=1\n\n", &[]).is_err());
}

fn complaint(status: u16, replies: &[(&str, &str)]) -> Complaint {
    Complaint {
        status,
        code: "blocked".into(),
        message: "Not allowed here.".into(),
        request_id: "r1".into(),
        policy: "20-block".into(),
        replies: replies.iter().map(|&(id, method)| ReplyTo { id: id.into(), method: method.into() }).collect(),
    }
}

#[test]
fn complaints_answer_the_request() {
    let body = |answer: &wire::Answer| value(std::str::from_utf8(&answer.body).unwrap());
    let one = mcp().complaint(&complaint(403, &[("\"x\"", "tools/call")]));
    let said = body(&one);
    assert_eq!(
        (one.status, one.content_type, &said["id"], &said["jsonrpc"]),
        (200, "application/json", &json!("x"), &json!("2.0"))
    );
    assert_eq!(said["error"]["data"]["code"], "blocked");
    for told in ["Not allowed here.", "20-block", "r1"] {
        assert!(said["error"]["message"].as_str().unwrap().contains(told));
    }
    told(whole(), std::str::from_utf8(&one.body).unwrap());

    let none = mcp().complaint(&complaint(401, &[]));
    assert_eq!((none.status, body(&none).get("id")), (401, None), "with no request to answer the status says it");

    let big = "123456789012345678901234567890";
    let many = mcp().complaint(&complaint(503, &[(big, "ping"), ("2", "ping")]));
    assert!(
        many.body.starts_with(format!("[{{\"jsonrpc\":\"2.0\",\"id\":{big},").as_bytes()),
        "an id stays as it came"
    );
    assert_eq!(body(&many).as_array().map(Vec::len), Some(2));

    let codes: Vec<_> = [400, 403, 413, 502]
        .map(|status| body(&mcp().complaint(&complaint(status, &[("1", "ping")])))["error"]["code"].as_i64().unwrap())
        .into();
    assert_eq!(codes, [-32600, -32010, -32600, -32603]);
}

#[test]
fn a_stream_that_is_stopped_says_so() {
    let said = mcp().stream_complaint(&complaint(403, &[("1", "tools/call"), ("2", "ping")]));
    let ids: Vec<Value> = events(&said).iter().map(|event| value(event)["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!(2)]);
    told(stream(), std::str::from_utf8(&said).unwrap());
    let said = mcp().stream_complaint(&complaint(403, &[]));
    assert_eq!(value(&events(&said)[0])["method"], "notifications/message");
    told(stream(), std::str::from_utf8(&said).unwrap());
    assert_eq!(mcp().heartbeat("wait"), b": wait\n\n");
}

#[test]
fn a_refused_call_has_a_result_that_models_read() {
    let answer = mcp().refusal("", false, &complaint(403, &[("1", "tools/call"), ("2", "prompts/get")]));
    let body = value(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!((&body[0]["result"]["isError"], &body[1]["error"]["code"]), (&json!(true), &json!(-32010)));
    assert_eq!(body[0]["result"]["content"][0]["text"], "Not allowed here. (policy 20-block, request r1)");
    assert_eq!(mcp().refusal("", false, &complaint(403, &[])).status, 403);
}

#[test]
fn headers_go_on_only_when_they_say_what_the_body_says() {
    let body = call(
        "tools/call",
        json!({ "name": "send", "arguments": { "region": "us", "deep": { "n": 42, "on": true }, "greet": "héllo" } }),
    );
    let body = body.to_string();
    let agrees = |header: &str, value: &str| mcp().agrees(header, value, body.as_bytes());
    for header in ["mcp-method", "mcp-name", "mcp-param-region"] {
        assert!(mcp().repeats(header));
    }
    assert!(!mcp().repeats("mcp-session-id") && !mcp().repeats("mcp-protocol-version"));
    for (header, value) in [
        ("mcp-method", "tools/call"),
        ("mcp-name", "send"),
        ("mcp-name", "=?base64?c2VuZA==?="),
        ("mcp-param-region", "us"),
        ("mcp-param-n", "42"),
        ("mcp-param-on", "true"),
        ("mcp-param-greet", "=?base64?aMOpbGxv?="),
    ] {
        assert!(agrees(header, value), "{header}: {value}");
    }
    for (header, value) in [
        ("mcp-method", "ping"),
        ("mcp-name", "us"),
        ("mcp-param-region", CANARY),
        ("mcp-param-region", "=?base64?%%%?="),
        ("mcp-param-x", "null"),
        ("mcp-param-x", "region"),
    ] {
        assert!(!agrees(header, value), "{header}: {value}");
    }
    assert!(!mcp().agrees("mcp-name", "send", b"no JSON"));
    let read = call("resources/read", json!({ "uri": "file:///r" })).to_string();
    assert!(mcp().agrees("mcp-name", "file:///r", read.as_bytes()));
}

/// JSON with canaries in its strings and names.
fn odd() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => Just(CANARY.to_owned()),
        2 => any::<String>(),
        2 => (any::<char>(), any::<char>()).prop_map(|(before, after)| format!("{before}{CANARY}{after}")),
        2 => prop::sample::select(vec!["type", "text", "content", "tool_use", "input", "method", "params", "uri", "data"])
            .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(Value::from),
        4 => text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value with the canary masked in every string and name.
fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace(CANARY, "[SSN]").into(),
        Value::Array(items) => items.iter().map(mask).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.replace(CANARY, "[SSN]"), mask(value))).collect())
        }
        other => other.clone(),
    }
}

const METHODS: [&str; 9] = [
    "tools/call",
    "prompts/get",
    "completion/complete",
    "sampling/createMessage",
    "elicitation/create",
    "notifications/message",
    "notifications/progress",
    "initialize",
    "vendor/novel",
];

const MEMBERS: [&str; 16] = [
    "content",
    "contents",
    "structuredContent",
    "tools",
    "messages",
    "instructions",
    "inputRequests",
    "inputResponses",
    "completion",
    "arguments",
    "argument",
    "message",
    "data",
    "systemPrompt",
    "requestedSchema",
    "_meta",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_of_every_message_is_seen(
        odd in prop::array::uniform16(odd()),
        method in prop::sample::select(METHODS.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut members: serde_json::Map<String, Value> = MEMBERS.iter().map(|&name| name.to_owned()).zip(odd).collect();
        let answer = result(Value::Object(members.clone()));
        members.insert("name".to_owned(), CANARY.into());
        let call = call(method, Value::Object(members));
        for message in [&answer, &call] {
            let body = message.to_string();
            for flow in [request(), whole()] {
                let out = masked(flow, &body);
                prop_assert_eq!(value(&out), mask(message));
            }
            let body = sse(std::slice::from_ref(message));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &cuts).unwrap().concat();
            prop_assert_eq!(value(&events(&out)[0]), mask(message));
        }
    }
}
