//! An upstream that says back what the gate sent it: the gate's own credential reaches no policy, no record, no caller.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use http::StatusCode;
use model::{EndpointRule, Entry, Family, View};
use rig::{Does, FINISH, Rig, SSE, Setting, answer, closed, event, policy, read, set};
use serde_json::{Value, json};

const OWN: &str = "Bearer sk-own-4f/9+c1";
const SECRET: &str = "sk-own-4f/9+c1";

/// A policy that would say so if it saw the credential.
fn echoing(setting: Setting) -> Rig {
    let policies = vec![policy("10-mask", Does::Mask(SECRET, "SEEN"))];
    Rig::new(Setting { policies, credentials: vec![OWN], ..setting })
}

/// What the caller got, after a look for the credential in it and in the record.
async fn said(rig: &mut Rig, streaming: bool) -> String {
    rig.hang_up();
    let response = rig.ask("hi", streaming).await;
    let head = format!("{:?}", response.headers());
    let (body, cut) = read(response).await;
    assert!(!cut, "{body}");
    let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
    for text in [&head, &body, &record] {
        assert!(!text.contains(SECRET) && !text.contains("SEEN") && !text.contains("9+c1"), "{text}");
    }
    head + &body
}

#[tokio::test]
async fn an_error_that_quotes_the_key_does_not_tell_it() {
    let mut rig = echoing(Setting { status: StatusCode::UNAUTHORIZED, ..Setting::default() });
    rig.say(&format!(
        r#"{{"error":{{"message":"bad key: {OWN}","type":"sk-own-4f\/9\u002bc1","param":null,"code":"{SECRET}"}}}}"#
    ));
    let said = said(&mut rig, false).await;
    assert!(said.contains("bad key: Bearer [credential]"), "{said}");
}

#[tokio::test]
async fn no_string_of_an_answer_tells_it() {
    for place in ["id", "object", "model", "system_fingerprint", "service_tier", "x", SECRET] {
        let mut body: Value = serde_json::from_str(&answer("fine")).unwrap();
        body[place] = SECRET.into();
        let mut rig = echoing(Setting::default());
        rig.say(&body.to_string());
        assert!(said(&mut rig, false).await.contains("[credential]"), "{place}");
    }
}

/// A request with this body.
fn posted(path: &str, body: &str) -> http::Request<exchange::Incoming> {
    let body = Box::pin(futures_util::stream::iter([Ok(body.to_owned().into())]));
    http::Request::post(path)
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json")
        .body(body as exchange::Incoming)
        .unwrap()
}

/// A value that looks like an encoded file, with the credential in it.
fn encoded() -> String {
    "QUJDRGVmZ0hp".repeat(30) + "sk-own-4f9" + &"QUJDRGVmZ0hp".repeat(30)
}

#[tokio::test]
async fn no_encoded_file_tells_it() {
    let signed = |kind: &str| json!({"type":kind,"thinking":"t","signature":encoded(),"data":encoded()});
    let message = json!({"id":"m","type":"message","role":"assistant","content":[signed("thinking"),signed("redacted_thinking")]});
    let delta = |delta: Value| json!({"type":"content_block_delta","index":0,"delta":delta});
    let events = [
        json!({"type":"message_start","message":{"id":"m","content":[]}}),
        json!({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":encoded()}}),
        delta(json!({"type":"signature_delta","signature":encoded()})),
        json!({"type":"content_block_stop","index":0}),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn"}}),
        json!({"type":"message_stop"}),
    ];
    let events: String =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    let heard = json!({"choices":[{"index":0,"message":{"role":"assistant","audio":{"id":"a","data":encoded()}}}]});
    let candidate = json!({"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":encoded()},
        {"inlineData":{"mimeType":"image/png","data":encoded()}}]}}]});
    let shown =
        json!({"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"image","mimeType":"image/png","data":encoded()}]}});
    for (family, path, content_type, body) in [
        (Family::Anthropic, "/v1/messages", "application/json", message.to_string()),
        (Family::Anthropic, "/v1/messages", SSE, events),
        (Family::Openai, "/v1/chat/completions", "application/json", heard.to_string()),
        (Family::Gemini, "/v1beta/models/m:generateContent", "application/json", candidate.to_string()),
        (Family::Mcp, "/mcp", "application/json", shown.to_string()),
    ] {
        let setting = Setting { family, content_type, ..Setting::default() };
        let policies = vec![policy("10-mask", Does::Mask("sk-own-4f9", "SEEN"))];
        let mut rig = Rig::new(Setting { policies, credentials: vec!["Bearer sk-own-4f9"], ..setting });
        rig.say(&body);
        rig.hang_up();
        let asked = match family {
            Family::Mcp => json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}),
            Family::Gemini => json!({"contents":[]}),
            _ => json!({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}),
        };
        let response = rig.carry(posted(path, &asked.to_string())).await;
        let (said, cut) = read(response).await;
        assert!(!cut, "{said}");
        assert_eq!(said, body.replace("sk-own-4f9", "[credential]"), "{family:?}");
    }
}

#[tokio::test]
async fn no_split_of_a_stream_tells_it() {
    for at in 0..SECRET.len() {
        let mut rig = echoing(Setting { content_type: SSE, ..Setting::default() });
        rig.say(&event(&format!("it is {}", &SECRET[..at])));
        rig.say(&(event(&format!("{} so far", &SECRET[at..])) + FINISH));
        let said = said(&mut rig, true).await;
        assert!(said.contains("[credential]") && said.contains(" so far"), "{at}: {said}");
    }
}

#[tokio::test]
async fn headers_do_not_tell_it() {
    let headers = vec![("openai-note", "it was Bearer sk-own-4f/9+c1"), ("x-ratelimit-note", SECRET)];
    let mut rig = echoing(Setting { headers, ..Setting::default() });
    rig.say(&answer("fine"));
    assert!(said(&mut rig, false).await.contains("it was Bearer [credential]"));
}

#[tokio::test]
async fn bytes_and_views_that_no_dialect_knows_do_not_tell_it() {
    for (content_type, family, view) in [
        ("text/plain", Family::Raw, None),
        ("text/plain", Family::Openai, Some(View::Text)),
        ("application/json", Family::Openai, Some(View::Json)),
        (SSE, Family::Openai, Some(View::Sse)),
    ] {
        for at in 0..SECRET.len() {
            let endpoints = view.map(|view| EndpointRule {
                path: "/echo".into(),
                methods: vec!["POST".into()],
                views: vec![View::Json, view],
            });
            let endpoints = endpoints.into_iter().collect();
            let mut rig = echoing(Setting { content_type, family, endpoints, ..Setting::default() });
            let (open, close) = match content_type {
                "application/json" => ("{\"authorization\": \"", "\"}"),
                SSE => ("data: {\"authorization\": \"", "\"}\n\n"),
                _ => ("authorization: ", "\r\n"),
            };
            rig.say(&format!("{open}Bearer {}", &SECRET[..at]));
            rig.say(&format!("{}{close}", &SECRET[at..]));
            rig.hang_up();
            let (body, _) = read(rig.carry(posted("/echo", "{\"a\":1}")).await).await;
            assert_eq!(body, format!("{open}Bearer [credential]{close}"), "{at}");
            let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
            assert!(!record.contains(SECRET), "{record}");
        }
    }
}

#[tokio::test]
async fn another_set_of_policies_does_not_see_it_either() {
    let mut rig = echoing(Setting { content_type: SSE, ..Setting::default() });
    rig.say(&event("it is sk-own-"));
    let response = rig.ask("hi", true).await;
    rig.publish.send_replace(set(2, vec![policy("20-mask", Does::Mask(SECRET, "SEEN"))]));
    rig.say(&(event("4f/9+c1") + FINISH));
    rig.hang_up();
    let (body, cut) = read(response).await;
    assert!(!cut && body.contains("[credential]") && !body.contains("SEEN"), "{body}");
}

#[tokio::test]
async fn the_record_tells_where_it_was_and_an_answer_without_it_is_as_it_was() {
    let mut rig = echoing(Setting::default());
    rig.say(&answer(&format!("it is {SECRET}")));
    said(&mut rig, false).await;
    let judged = |rig: &Rig| {
        let entries = rig.entries.lock().unwrap();
        entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Judged(judged) if judged.policy == "gate:credential"))
            .count()
    };
    assert_eq!(judged(&rig), 1);
    let mut rig = echoing(Setting::default());
    let plain = answer("sk-own-4f and s");
    rig.say(&plain);
    assert!(said(&mut rig, false).await.ends_with(&plain));
    assert_eq!(judged(&rig), 0);
    assert_eq!(closed(&rig).0, model::Outcome::Completed);
    let entries = rig.entries.lock().unwrap();
    let Some(Entry::Closed(closed)) = entries.last() else { unreachable!("closed") };
    assert_eq!(closed.policies.iter().map(|tally| tally.policy.as_str()).collect::<Vec<_>>(), ["10-mask"]);
}
