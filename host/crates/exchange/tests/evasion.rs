//! Every row of the threat model's sections on evading masks and blocks that is decided at the path itself: for each
//! trick, what the upstream or the caller sends, and what must come of it. Rows that a dialect decides (which strings of
//! a message are text, escapes, duplicate keys, event streams, references to earlier answers) are in `wire`'s tests.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use futures_util::{FutureExt, StreamExt};
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;
use rig::{Does, FINISH, Rig, SSE, Setting, answer, chat, event, policy, read};

const CANARY: &str = "secret";

fn masked(setting: Setting) -> Rig {
    Rig::new(Setting { policies: vec![policy("10-mask", Does::Mask(CANARY, "[X]"))], ..setting })
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What an upstream sends that no caller may get: content type, body.
#[tokio::test]
async fn an_answer_in_disguise_is_not_passed_on() {
    let json = answer(CANARY);
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("application/json; charset=utf-16", json.clone().into_bytes()),
        ("application/json; charset=utf-16le", utf16(&json)),
        ("application/json; charset=utf-7", json.clone().into_bytes()),
        ("application/json; charset=iso-8859-1", json.clone().into_bytes()),
        ("application/json; charset=utf-8; charset=utf-16", json.clone().into_bytes()),
        ("application/json; Charset = \"UTF-16\"", json.clone().into_bytes()),
        ("application/json", utf16(&json)),
        ("application/json", [&b"\xef\xbb\xbf"[..], json.as_bytes()].concat()),
        ("application/json", event(CANARY).into_bytes()),
        ("application/json", [json.as_bytes(), json.as_bytes()].concat()),
        ("application/json", json.replace(CANARY, "\\ud800secret").into_bytes()),
        ("text/html", b"<p>secret".to_vec()),
        ("text/plain", CANARY.into()),
        ("text/x-secret", CANARY.into()),
        ("", json.clone().into_bytes()),
        ("application/x-ndjson", json.clone().into_bytes()),
        ("application/octet-stream", json.clone().into_bytes()),
        ("application/vnd.amazon.eventstream", CANARY.into()),
        ("application/grpc", CANARY.into()),
        ("multipart/mixed; boundary=x", format!("--x\r\n\r\n{json}\r\n--x--").into_bytes()),
        ("multipart/byteranges; boundary=x", format!("--x\r\n\r\n{json}\r\n--x--").into_bytes()),
    ];
    for (content_type, body) in cases {
        let mut rig = masked(Setting { content_type, ..Setting::default() });
        rig.say_bytes(&body);
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{content_type}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let (said, _) = read(response).await;
        assert!(!said.contains(CANARY), "{content_type}: {said}");
        let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
        assert!(!record.contains(CANARY), "{content_type}: {record}");
    }
}

#[tokio::test]
async fn a_stream_that_is_none_says_nothing() {
    for body in [answer(CANARY).into_bytes(), utf16(&event(CANARY)), b"secret\n\n: secret\n\nsecret: x\n\n".to_vec()] {
        let mut rig = masked(Setting { content_type: SSE, ..Setting::default() });
        rig.say_bytes(&body);
        rig.hang_up();
        let (said, _) = read(rig.ask("hi", true).await).await;
        assert!(!said.contains(CANARY) && !said.contains("s\0e\0c"), "{said}");
    }
}

#[tokio::test]
async fn a_part_of_an_answer_or_one_on_a_condition_is_not_passed_on() {
    for status in [206, 304] {
        let status = StatusCode::from_u16(status).unwrap();
        let mut rig =
            masked(Setting { status, headers: vec![("content-range", "bytes 0-9/99")], ..Setting::default() });
        rig.say(&answer(CANARY));
        rig.hang_up();
        let headers = [("content-type", "application/json"), ("range", "bytes=0-9"), ("if-range", "\"x\"")];
        let response = rig.post(&headers, chat("hi", false).into_bytes()).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        let sent = rig.heads.lock().unwrap()[0].clone();
        assert_eq!(sent.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }
}

#[tokio::test]
async fn two_content_types_are_one_too_many() {
    let mut rig = masked(Setting { headers: vec![("content-type", "text/html")], ..Setting::default() });
    rig.say(&answer(CANARY));
    rig.hang_up();
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn headers_say_nothing_that_text_may_not() {
    for streaming in [false, true] {
        let mut rig = masked(Setting {
            content_type: if streaming { "text/event-stream; note=secret" } else { "application/json; note=secret" },
            headers: vec![
                ("openai-model", "a secret model"),
                ("openai-secret", "x"),
                ("x-ratelimit-reset-requests", "secret"),
                ("x-ratelimit-limit-requests", "100"),
                ("cache-control", "private=\"secret\""),
                ("content-language", "secret"),
                ("retry-after", "secret"),
                ("location", "https://example.com/secret"),
                ("set-cookie", "a=secret"),
                ("link", "<https://example.com/secret>"),
                ("etag", "\"secret\""),
                ("x-request-id", "secret"),
                ("www-authenticate", "secret"),
                ("trailer", "secret"),
            ],
            ..Setting::default()
        });
        rig.say(&if streaming { event("fine") + FINISH } else { answer("fine") });
        rig.hang_up();
        let response = rig.ask("hi", streaming).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers().clone();
        let shown = format!("{headers:?}");
        assert!(!shown.contains(CANARY), "{shown}");
        assert_eq!(headers["openai-model"], "a [X] model");
        assert_eq!(headers["x-ratelimit-limit-requests"], "100");
        assert_eq!(headers["cache-control"], "private=\"[X]\"");
        assert!(!headers.contains_key("location") && !headers.contains_key("set-cookie"));
        assert_eq!(headers["content-type"], if streaming { SSE } else { "application/json" });
        let (body, cut) = read(response).await;
        assert!(!cut && body.contains("fine"));
        let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
        assert!(!record.contains(CANARY), "{record}");
    }
}

#[tokio::test]
async fn a_policy_that_edits_everything_leaves_the_framing() {
    let mut rig = Rig::new(Setting {
        policies: vec![policy("10-mask", Does::Mask("a", "\u{2039}"))],
        content_type: "application/json; charset=UTF-8",
        headers: vec![("openai-model", "gpt-a"), ("cache-control", "no-cache, private")],
        ..Setting::default()
    });
    rig.say(&answer("a"));
    rig.hang_up();
    let response = rig.ask("hi", false).await;
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-cache, private");
    assert!(!response.headers().contains_key("openai-model"), "a name that is edited takes its header with it");
    assert!(read(response).await.0.contains('\u{2039}'));
}

/// What a header says is judged as its reader reads it: as UTF-8, and where it is none as Latin-1.
#[tokio::test]
async fn headers_are_read_as_utf_8_and_else_as_latin_1() {
    let cases: [(&[u8], Option<&[u8]>); 6] = [
        ("it is sécret".as_bytes(), Some("it is [X]".as_bytes())),
        ("café".as_bytes(), Some("café".as_bytes())),
        (b"it is s\xe9cret", Some(b"it is [X]")),
        (b"caf\xe9", Some(b"caf\xe9")),
        // UTF-8 but for one byte: as Latin-1 it says something else.
        (b"it is s\xc3\xa9cret \xe9", None),
        (b"it is s\xff\xc3\xa9cret", None),
    ];
    for (value, left) in cases {
        let mut rig = Rig::new(Setting {
            policies: vec![policy("10-mask", Does::Mask("sécret", "[X]"))],
            raw_headers: vec![("openai-note", value)],
            ..Setting::default()
        });
        rig.say(&answer("fine"));
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().get("openai-note").map(HeaderValue::as_bytes), left, "{value:?}");
    }
}

/// A policy that looks at raw heads is shown what those before it left of their values.
#[tokio::test]
async fn a_raw_head_comes_behind_its_text() {
    let policies = vec![policy("10-mask", Does::Mask(CANARY, "[X]")), policy("20-note", Does::NoteHead)];
    let mut rig = Rig::new(Setting { policies, headers: vec![("openai-note", "a secret")], ..Setting::default() });
    rig.say(&answer("fine"));
    rig.hang_up();
    assert_eq!(rig.ask("hi", false).await.headers()["openai-note"], "a [X]");
    let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
    assert!(record.contains("a [X]") && !record.contains(CANARY), "{record}");
}

#[tokio::test]
async fn a_header_can_stop_an_answer() {
    let mut rig = Rig::new(Setting {
        policies: vec![policy("20-block", Does::Block("bomb"))],
        headers: vec![("openai-note", "a bomb")],
        ..Setting::default()
    });
    rig.say(&answer("fine"));
    rig.hang_up();
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!read(response).await.0.contains("fine"));
}

#[tokio::test]
async fn an_error_that_echoes_the_prompt_is_masked() {
    let status = StatusCode::BAD_REQUEST;
    let mut rig = masked(Setting { status, ..Setting::default() });
    rig.say(
        r#"{"error":{"message":"can't read 'my secret'","type":"invalid_request_error","param":"secret","code":null}}"#,
    );
    rig.hang_up();
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), status);
    let (body, _) = read(response).await;
    assert!(!body.contains(CANARY) && body.contains("'my [X]'"), "{body}");
    // One that is no JSON is not passed on, and the caller is told what could be done.
    let mut rig = masked(Setting { status, content_type: "text/plain", ..Setting::default() });
    rig.say("can't read 'my secret'");
    rig.hang_up();
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let (body, _) = read(response).await;
    assert!(body.contains("with content type text/plain") && body.contains("dialect = "), "{body}");
}

#[tokio::test]
async fn a_redirect_is_followed_by_nobody() {
    let mut rig = masked(Setting {
        status: StatusCode::TEMPORARY_REDIRECT,
        headers: vec![("location", "https://example.com/?q=secret")],
        ..Setting::default()
    });
    rig.say(&answer("elsewhere"));
    rig.hang_up();
    let response = rig.ask("hi", false).await;
    assert!(!response.headers().contains_key("location"));
    assert_eq!(rig.received.lock().unwrap().len(), 1);
}

/// What a caller sends that must not go up: content type, body, and the status that it gets.
#[tokio::test]
async fn a_request_in_disguise_does_not_go_up() {
    let json = chat("hi", false);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("", json.clone().into_bytes(), 415),
        ("text/plain", json.clone().into_bytes(), 415),
        ("application/x-www-form-urlencoded", b"model=m&messages=secret".to_vec(), 415),
        ("multipart/form-data; boundary=x", format!("--x\r\n\r\n{json}\r\n--x--").into_bytes(), 415),
        ("application/json, text/plain", json.clone().into_bytes(), 415),
        ("application/json; charset=utf-16", utf16(&json), 415),
        ("application/json; charset=utf-7", json.clone().into_bytes(), 415),
        ("application/json", utf16(&json), 400),
        ("application/json", [&b"\xef\xbb\xbf"[..], json.as_bytes()].concat(), 400),
        ("application/json", [json.as_bytes(), b" {}"].concat(), 400),
        ("application/json", json.replace("\"model\"", "\"stream\":true,\"model\"").into_bytes(), 400),
        ("application/json", json.replace("\"model\"", "\"\\u0073tream\":true,\"model\"").into_bytes(), 400),
        ("application/json", json.replace("\"hi\"", "\"\\ud800\"").into_bytes(), 400),
        ("application/json", json.replace("\"hi\"", "NaN").into_bytes(), 400),
        ("application/json", json.replace("\"hi\"", &("[".repeat(65) + &"]".repeat(65))).into_bytes(), 413),
    ];
    for (content_type, body, status) in cases {
        let rig = masked(Setting::default());
        let headers: &[(&str, &str)] = if content_type.is_empty() { &[] } else { &[("content-type", content_type)] };
        let response = rig.post(headers, body.clone()).await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(response.status(), status, "{content_type}: {text}");
        let (said, _) = read(response).await;
        assert!(status != 415 || said.contains("application/json"), "{said}");
        assert!(rig.received.lock().unwrap().is_empty(), "{content_type}: {text}");
    }
    let rig = masked(Setting::default());
    let two = [("content-type", "application/json"), ("content-type", "text/plain")];
    assert_eq!(rig.post(&two, json.into_bytes()).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nothing_goes_up_that_others_may_say_of_the_caller() {
    let claims = [
        ("authorization", "Bearer good"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-user", "root"),
        ("x-forwarded", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-real-ip", "10.0.0.1"),
        ("x-remote-user", "root"),
        ("x-auth-request-email", "root@example.com"),
        ("x-envoy-original-path", "/admin"),
        ("cf-connecting-ip", "10.0.0.1"),
        ("cookie", "a=b"),
        ("te", "trailers"),
        ("accept-encoding", "gzip"),
        ("content-digest", "sha-256=:x:"),
        ("content-type", "application/json; charset=utf-8; x=\"a, text/plain\""),
        ("user-agent", "sdk/1"),
        ("connection", "user-agent, content-type"),
    ];
    let mut rig = masked(Setting::default());
    rig.say(&answer("ok"));
    rig.hang_up();
    assert_eq!(rig.post(&claims, chat("hi", false).into_bytes()).await.status(), StatusCode::OK);
    let sent = rig.heads.lock().unwrap()[0].clone();
    assert_eq!(sent.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    assert_eq!(sent["content-type"], "application/json; charset=utf-8");
}

#[tokio::test]
async fn a_caller_chooses_an_account_only_where_the_operator_lets_it() {
    let headers = [("content-type", "application/json"), ("openai-organization", "org-1"), ("x-portkey-config", "x")];
    for caller_headers in [vec![], vec!["openai-organization"]] {
        let mut rig = masked(Setting { caller_headers: caller_headers.clone(), ..Setting::default() });
        rig.say(&answer("ok"));
        rig.hang_up();
        assert_eq!(rig.post(&headers, chat("hi", false).into_bytes()).await.status(), StatusCode::OK);
        let sent = rig.heads.lock().unwrap()[0].clone();
        let names: Vec<_> = sent.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, [vec!["content-type"], caller_headers].concat());
    }
}

#[tokio::test]
async fn nothing_of_a_credential_in_a_second_place_is_forwarded_or_recorded() {
    for (target, name, value) in [
        ("/v1/chat/completions?token=good", "x-debug", "1"),
        ("/v1/chat/completions?a=1&token=%67ood", "x-debug", "1"),
        ("/v1/chat/completions", "x-debug", "good"),
    ] {
        let rig = masked(Setting::default());
        let body: exchange::Incoming = Box::pin(futures_util::stream::empty());
        let request = http::Request::post(target)
            .header("host", "gate")
            .header("authorization", "Bearer good")
            .header("content-type", "application/json")
            .header(name, value)
            .body(body)
            .unwrap();
        let response = rig.carry(request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{target} {value}");
        let (body, _) = read(response).await;
        assert!(body.contains("the credential stands in"), "{body}");
        assert!(rig.received.lock().unwrap().is_empty() && rig.entries.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_not_edited_goes_up_byte_for_byte() {
    let odd = "{ \"model\" :\"m\",\"messages\":[{\"content\":\"\\u0068i\\/\",\"role\":\"user\"}],\n\t\"seed\": 12345678901234567890, \
               \"temperature\":1.50e0, \"x\":{\"y\":[]} }\r\n";
    let mut rig = masked(Setting::default());
    rig.say(&answer("ok"));
    rig.hang_up();
    assert_eq!(rig.post(&[("content-type", "application/json")], odd.into()).await.status(), StatusCode::OK);
    assert_eq!(rig.received.lock().unwrap()[0], odd);
}

#[tokio::test]
async fn what_no_dialect_speaks_is_denied() {
    for (method, path, status) in [
        ("POST", "/v1/files", 403),
        ("POST", "/v1/batches", 403),
        ("GET", "/v1/chat/completions", 403),
        ("DELETE", "/v1/chat/completions", 403),
        ("POST", "/v1/chat/completions/../files", 403),
        ("POST", "/v1/chat%2Fcompletions", 403),
        ("POST", "/v1/chat/completions%00", 400),
        ("CONNECT", "model:443", 400),
        ("TRACE", "/v1/chat/completions", 400),
    ] {
        let rig = masked(Setting::default());
        let body: exchange::Incoming = Box::pin(futures_util::stream::empty());
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", if method == "CONNECT" { "model:443" } else { "gate" })
            .header("authorization", "Bearer good")
            .body(body)
            .unwrap();
        let response = exchange::carry(std::sync::Arc::clone(&rig.gate), request).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert!(rig.received.lock().unwrap().is_empty());
    }
}

/// What is said in a stream of these pieces, each judged before the next one comes.
async fn said_in_pieces(pieces: &[&str]) -> String {
    let policies =
        vec![policy("10-find", Does::FindBehind("mail", "card")), policy("20-find", Does::Find("[1]c", "[3]"))];
    let mut rig = Rig::new(Setting { policies, content_type: SSE, ..Setting::default() });
    rig.say(&event(""));
    let mut body = rig.ask("hi", true).await.into_body();
    let mut out = Vec::new();
    for piece in pieces {
        rig.say(&event(piece));
        while let Some(Some(chunk)) = body.next().now_or_never() {
            out.extend_from_slice(&chunk.unwrap());
        }
    }
    rig.say(FINISH);
    rig.hang_up();
    while let Some(chunk) = body.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    let said = |event: &str| -> Option<String> {
        let event: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
        Some(event.pointer("/choices/0/delta/content")?.as_str()?.to_owned())
    };
    std::str::from_utf8(&out).unwrap().split("\n\n").filter_map(said).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A policy that looks at what stands before a match decides the same wherever a stream is cut.
    #[test]
    fn what_stands_before_a_match_is_the_same_at_every_cut(
        words in prop::collection::vec(prop::sample::select(vec!["mail", "card", " ", "and so on ", "ma", "c"]), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = words.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut from = 0;
        let pieces: Vec<&str> = cuts.into_iter().map(|cut| &text[std::mem::replace(&mut from, cut)..cut]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, cut) = runtime.block_on(async { (said_in_pieces(&[&text]).await, said_in_pieces(&pieces).await) });
        prop_assert_eq!(whole, cut, "{:?}", pieces);
    }
}
