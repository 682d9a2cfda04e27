//! Gemini, Ollama and other services on the whole path: masked in their own frames, stopped in their own form.

use http::StatusCode;
use model::{EndpointRule, Family, OnBlock, Outcome, View};
use serde_json::{Value, json};

use super::{GOOD, request, told};
use crate::{
    SSE, closed, masker,
    rig::{Does, Rig, Setting, policy, read},
};

const LINES: &str = "application/x-ndjson";
const MODEL: &str = "/v1beta/models/gemini-2.5-flash";

/// How a text stands in a stream.
type Frame = fn(&str) -> String;

/// Each family with a stream's content type, where it is asked, with which body, and its frames.
fn streams() -> Vec<(Setting, String, Value, Frame)> {
    let setting = |family, content_type| Setting { family, content_type, ..Setting::default() };
    let rule = |views: &[View]| EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views: views.to_vec() };
    let http = |content_type, view| Setting {
        endpoints: vec![rule(&[View::Json, view])],
        ..setting(Family::Http, content_type)
    };
    let asks = json!({ "contents": [{ "parts": [{ "text": "my secret" }] }] });
    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "my secret" }] });
    let any = json!({ "query": "my secret" });
    fn candidate(text: &str) -> Value {
        json!({ "candidates": [{ "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0 }] })
    }
    vec![
        (setting(Family::Gemini, SSE), format!("{MODEL}:streamGenerateContent?alt=sse"), asks, |text| {
            format!("data: {}\n\n", candidate(text))
        }),
        (setting(Family::Ollama, LINES), "/api/chat".into(), chat, |text| {
            format!("{}\n", json!({ "message": { "role": "assistant", "content": text }, "done": false }))
        }),
        (http(SSE, View::Sse), "/x".into(), any.clone(), |text| format!("data: {}\n\n", json!({ "say": text }))),
        (http(LINES, View::Ndjson), "/x".into(), any.clone(), |text| format!("{}\n", json!({ "say": text }))),
        (http("text/plain", View::Text), "/x".into(), any, str::to_owned),
    ]
}

#[tokio::test]
async fn a_stream_is_masked_over_its_frames() {
    for (setting, path, body, frame) in streams() {
        let family = setting.family;
        let mut rig = Rig::new(Setting { policies: vec![masker()], ..setting });
        for text in ["a sec", "ret it", " is"] {
            rig.say(&frame(text));
        }
        rig.hang_up();
        let (out, cut) = read(rig.carry(request("POST", &path, &[GOOD], &body)).await).await;
        assert_eq!((cut, out), (false, frame("a [X]") + &frame(" it") + &frame(" is")), "{family:?}");
        let received = String::from_utf8_lossy(&rig.received.lock().unwrap()[0]).into_owned();
        assert_eq!(received, body.to_string().replace("secret", "[X]"), "{family:?}");
        assert_eq!(rig.targets.lock().unwrap()[0], path, "{family:?}");
        assert_eq!(closed(&rig).0, Outcome::Completed);
    }
}

#[tokio::test]
async fn a_stream_is_stopped_in_its_own_form() {
    for (setting, path, body, frame) in streams() {
        let (family, content_type) = (setting.family, setting.content_type);
        let rig = Rig::new(Setting { policies: vec![policy("20-block", Does::Block("bomb"))], ..setting });
        rig.say(&frame("fine "));
        rig.say(&frame("bomb"));
        let (out, cut) = read(rig.carry(request("POST", &path, &[GOOD], &body)).await).await;
        assert!(cut, "{family:?}: never looks complete");
        let last = out.strip_prefix(&frame("fine ")).unwrap_or(&out);
        assert!(!last.contains("\"bomb\"") && !last.contains("[DONE]"), "{family:?}: {last}");
        let data = match content_type {
            SSE => last.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default(),
            LINES => last.trim(),
            // Text has no form for it: only the cut shows.
            _ => {
                assert_eq!(last, "", "{family:?}");
                continue;
            }
        };
        let error: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{family:?}: {error}: {last}"));
        let policy = match family {
            Family::Gemini => &error["error"]["details"][0]["metadata"]["policy"],
            Family::Ollama => &error["policy"],
            _ => &error["error"]["policy"],
        };
        assert_eq!(policy, "20-block", "{family:?}: {error}");
        assert_eq!(closed(&rig).0, Outcome::Blocked);
    }
}

#[tokio::test]
async fn a_model_that_refuses_does_it_in_its_own_form() {
    for (setting, path, body, _) in streams().into_iter().take(2) {
        let family = setting.family;
        let policies = vec![policy("20-block", Does::Block("secret"))];
        let rig = Rig::new(Setting { policies, on_block: OnBlock::Refusal, ..setting });
        let response = rig.carry(request("POST", &path, &[GOOD], &body)).await;
        assert_eq!(response.status(), StatusCode::OK, "{family:?}");
        let (out, cut) = read(response).await;
        assert!(!cut && out.contains("no secret here"), "{family:?}: {out}");
        assert!(out.contains(if family == Family::Gemini { "SAFETY" } else { "\"done\":true" }), "{out}");
        assert!(rig.received.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_streamed_array_stays_an_array() {
    let mut rig = Rig::new(Setting { family: Family::Gemini, policies: vec![masker()], ..Setting::default() });
    let item = |text: &str| json!({ "candidates": [{ "content": { "parts": [{ "text": text }] }, "index": 0 }] });
    let body = |one, two| format!("[{}\n,\r\n{}\n]\n", item(one), item(two));
    rig.say(&body("a sec", "ret"));
    rig.hang_up();
    let path = format!("{MODEL}:streamGenerateContent");
    let asks = json!({ "contents": [{ "parts": [{ "text": "hi" }] }] });
    let (out, cut) = read(rig.carry(request("POST", &path, &[GOOD], &asks)).await).await;
    assert_eq!((cut, out), (false, body("a [X]", "")));
}

#[tokio::test]
async fn what_a_service_may_be_asked_is_told_with_how_to_allow_it() {
    let rule = EndpointRule { path: "/x".into(), methods: vec!["POST".into()], views: vec![View::Json] };
    let rig = Rig::new(Setting { family: Family::Http, endpoints: vec![rule], ..Setting::default() });
    let (status, body) = told(&rig, request("POST", "/y", &[GOOD], &json!({}))).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("no_endpoint")), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("endpoint"), "{body}");
    assert!(rig.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_without_a_body_says_no_length() {
    let methods = ["HEAD", "GET", "DELETE"].map(str::to_owned).to_vec();
    let rule = EndpointRule { path: "/x".into(), methods, views: vec![View::Json] };
    for (family, method, path, status, content_type, length) in [
        (Family::Http, "DELETE", "/x", StatusCode::NO_CONTENT, "", None),
        (Family::Http, "HEAD", "/x", StatusCode::OK, "application/json", None),
        (Family::Http, "GET", "/x", StatusCode::OK, "application/json", Some("0")),
        (Family::Mcp, "DELETE", "/mcp", StatusCode::OK, "application/json", Some("0")),
        (Family::Mcp, "DELETE", "/mcp", StatusCode::NO_CONTENT, "", None),
    ] {
        let mut rig = Rig::new(Setting {
            family,
            status,
            content_type,
            // What a HEAD is told is the length of what a GET would get before it was judged.
            headers: if method == "HEAD" { vec![("content-length", "11")] } else { Vec::new() },
            endpoints: vec![rule.clone()],
            policies: vec![masker()],
            ..Setting::default()
        });
        rig.hang_up();
        let response = rig.carry(request(method, path, &[GOOD], &Value::Null)).await;
        let told = response.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
        assert_eq!((response.status(), told.as_deref()), (status, length), "{method} {path} {status}");
        let (body, cut) = read(response).await;
        assert!(!cut && body.is_empty(), "{body}");
    }
}
