//! Every family of dialects is told in its own form why there is no answer, wherever on the path that was decided; and
//! gets the headers that it lives by.

mod others;

use bytes::Bytes;
use exchange::refuse::{Stop, at_the_door};
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use model::{Family, OnBlock, Outcome};
use serde_json::{Value, json};

use crate::{
    SSE, closed, masker,
    rig::{Does, Rig, Setting, TestPolicy, policy, read},
};

fn rig(family: Family, policies: Vec<TestPolicy>) -> Rig {
    Rig::new(Setting { family, policies, ..Setting::default() })
}

/// A request with these headers, besides those that it must have.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Request<exchange::Incoming> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let mut request = Request::builder().method(method).uri(path).header("host", "gate");
    for (name, value) in [("content-type", "application/json")].iter().chain(headers) {
        request = request.header(*name, *value);
    }
    request.body(futures_util::stream::iter([Ok(body)]).boxed() as exchange::Incoming).unwrap()
}

async fn told(rig: &Rig, request: Request<exchange::Incoming>) -> (StatusCode, Value) {
    let response = rig.carry(request).await;
    let status = response.status();
    let (body, cut) = read(response).await;
    assert!(!cut);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

/// How each family says `type` or `code` of an error.
fn kind(family: Family, body: &Value) -> Value {
    match family {
        Family::Mcp => body["error"]["data"]["code"].clone(),
        Family::Raw | Family::Http => body["code"].clone(),
        Family::Gemini => body["error"]["status"].clone(),
        // Ollama's errors are a sentence; the members of a problem stand beside it.
        Family::Ollama if body["error"].is_string() => body["code"].clone(),
        _ => body["error"]["type"].clone(),
    }
}

#[tokio::test]
async fn what_stops_before_the_endpoint_is_told_in_the_connections_form() {
    let cases = [
        (Family::Openai, ["authentication_error", "permission_error", "invalid_request_error"]),
        (Family::Anthropic, ["authentication_error", "permission_error", "invalid_request_error"]),
        (Family::Mcp, ["no_credential", "no_endpoint", "bad_head"]),
        (Family::Gemini, ["UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT"]),
        (Family::Ollama, ["no_credential", "no_endpoint", "bad_head"]),
        (Family::Http, ["no_credential", "no_endpoint", "bad_head"]),
        (Family::Raw, ["no_credential", "", "bad_head"]),
    ];
    for (family, [credential, endpoint, head]) in cases {
        let rig = rig(family, Vec::new());
        let (status, body) = told(&rig, request("POST", "/v1/x", &[], &Value::Null)).await;
        assert_eq!((status, kind(family, &body)), (StatusCode::UNAUTHORIZED, credential.into()), "{body}");
        if !endpoint.is_empty() {
            let (status, body) = told(&rig, request("PUT", "/v1/x", &[("x-api-key", "good")], &Value::Null)).await;
            assert_eq!((status, kind(family, &body)), (StatusCode::FORBIDDEN, endpoint.into()), "{body}");
        }
        let (status, body) = told(&rig, request("POST", "/v1/x", &[("x_y", "1")], &Value::Null)).await;
        assert_eq!((status, kind(family, &body)), (StatusCode::BAD_REQUEST, head.into()), "{body}");
    }
}

#[tokio::test]
async fn anthropics_callers_keep_their_headers() {
    let mut rig = rig(Family::Anthropic, vec![masker()]);
    let answer = json!({ "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "a secret" }] });
    rig.say(&answer.to_string());
    rig.hang_up();
    let headers = [
        ("x-api-key", "good"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a,b"),
        ("x-stainless-lang", "js"),
    ];
    let body = json!({ "model": "m", "max_tokens": 1, "messages": [{ "role": "user", "content": "my secret" }] });
    let (status, answer) = told(&rig, request("POST", "/v1/messages?beta=true", &headers, &body)).await;
    assert_eq!((status, &answer["content"][0]["text"]), (StatusCode::OK, &json!("a [X]")));
    assert_eq!(rig.targets.lock().unwrap()[0], "/v1/messages?beta=true");
    let sent = rig.heads.lock().unwrap()[0].clone();
    assert!(!sent.contains_key("x-api-key"), "the caller's credential stays here");
    for (name, value) in &headers[1..] {
        assert_eq!(sent[*name], *value);
    }
    assert!(!String::from_utf8_lossy(&rig.received.lock().unwrap()[0]).contains("secret"));
}

#[tokio::test]
async fn a_stream_of_anthropics_is_stopped_in_its_own_form() {
    let setting = Setting {
        family: Family::Anthropic,
        policies: vec![policy("20-block", Does::Block("bomb"))],
        content_type: SSE,
        ..Setting::default()
    };
    let rig = Rig::new(setting);
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let start = event(json!({ "type": "message_start", "message": { "content": [] } }));
    rig.say(&start);
    rig.say(&event(
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "bomb" } }),
    ));
    let body = json!({ "model": "m", "stream": true, "messages": [] });
    let response = rig.carry(request("POST", "/v1/messages", &[("x-api-key", "good")], &body)).await;
    let (text, cut) = read(response).await;
    assert!(cut && !text.contains("content_block") && !text.contains("message_stop"), "{text}");
    assert!(
        text.contains("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"permission_error\""),
        "{text}"
    );
}

fn call(text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": { "name": "send", "arguments": { "to": text } } })
}

const GOOD: (&str, &str) = ("authorization", "Bearer good");

#[tokio::test]
async fn a_blocked_call_gets_its_answer() {
    let blocking = || vec![policy("20-block", Does::Block("bomb"))];
    let rig = rig(Family::Mcp, blocking());
    let (status, body) = told(&rig, request("POST", "/mcp", &[GOOD], &call("bomb"))).await;
    assert_eq!(
        (status, &body["id"], &body["error"]["data"]["policy"]),
        (StatusCode::OK, &json!(9), &json!("20-block"))
    );
    assert!(rig.received.lock().unwrap().is_empty());
    assert_eq!(closed(&rig).0, Outcome::Blocked);
    let setting =
        Setting { family: Family::Mcp, policies: blocking(), on_block: OnBlock::Refusal, ..Setting::default() };
    let (_, body) = told(&Rig::new(setting), request("POST", "/mcp", &[GOOD], &call("bomb"))).await;
    assert_eq!((&body["id"], &body["result"]["isError"]), (&json!(9), &json!(true)));
}

#[tokio::test]
async fn headers_that_repeat_the_body_do_not_outlive_an_edit() {
    let answer = json!({ "jsonrpc": "2.0", "id": 9, "result": { "content": [{ "type": "text", "text": "sent" }] } });
    let headers = [
        GOOD,
        ("mcp-session-id", "s-1"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "send"),
        ("mcp-param-to", "secret"),
    ];
    for (policies, kept) in [(vec![masker()], false), (Vec::new(), true)] {
        let mut rig = rig(Family::Mcp, policies);
        rig.say(&answer.to_string());
        rig.hang_up();
        let (status, _) = told(&rig, request("POST", "/mcp", &headers, &call("secret"))).await;
        assert_eq!(status, StatusCode::OK);
        let sent: HeaderMap = rig.heads.lock().unwrap()[0].clone();
        assert_eq!(sent.contains_key("mcp-param-to"), kept);
        for (name, value) in &headers[1..5] {
            assert_eq!(sent[*name], *value);
        }
        let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
        assert_eq!(record.contains("secret"), kept, "{record}");
    }
}

#[tokio::test]
async fn the_prefix_itself_is_the_base_itself() {
    let cases = [
        ("/tools", "/api/mcp", "/api/mcp"),
        ("/tools/", "/api/mcp", "/api/mcp/"),
        ("/tools", "", "/"),
        ("/tools/mcp", "", "/mcp"),
    ];
    for (path, base_path, expected) in cases {
        let mut rig = Rig::new(Setting { family: Family::Mcp, path_prefix: "/tools", base_path, ..Setting::default() });
        rig.say(&json!({ "jsonrpc": "2.0", "id": 9, "result": {} }).to_string());
        rig.hang_up();
        let (status, _) = told(&rig, request("POST", path, &[GOOD], &call("me"))).await;
        let target = rig.targets.lock().unwrap()[0].clone();
        // The forwarder puts the base path before the target.
        assert_eq!((status, format!("{base_path}{target}")), (StatusCode::OK, expected.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn what_finds_no_way_in_is_told_in_the_form_of_where_it_leads() {
    let setting = Setting { family: Family::Anthropic, path_prefix: "/claude", ..Setting::default() };
    let rig = Rig::new(setting);
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let full = |path| at_the_door(&rig.gate, address, path, &Stop::TooMany);
    let cases = [
        (Some("/claude/v1/messages"), true),
        (Some("/claude"), true),
        (Some("/a/../claude/v1/messages"), true),
        (Some("/claude2/v1/messages"), false),
        (Some("/other"), false),
        (Some("/%zz"), false),
        (None, false),
    ];
    for (path, anthropic) in cases {
        let response = full(path);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["content-length"], response.body().len().to_string());
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["type"] == "error", anthropic, "{path:?}: {body}");
    }
    let unread = Stop::Unread { status: 431, why: "the head is too large" };
    for (stop, status, retry, after) in
        [(Stop::TooMany, 503, "true", Some("1")), (Stop::HeadTooLate, 408, "true", None), (unread, 431, "false", None)]
    {
        let response = at_the_door(&rig.gate, address, None, &stop);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), header("x-should-retry")), (status, Some(retry)), "{stop:?}");
        assert_eq!((header("retry-after"), header("cache-control")), (after, Some("no-store")));
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(&stop.to_string()), "{body}");
        assert!(header("x-request-id").is_some() && header("x-request-id") == header("request-id"));
    }
}
