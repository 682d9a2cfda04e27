//! What waits in a stream: the question is put when all that it is about is in hand.

use exchange::{BodyError, Limits, ports::RulingState};
use futures_util::StreamExt;
use http::Request;
use model::{EndpointRule, Entry, Family, Outcome, View};
use serde_json::{Value, json};

use super::asking;
use crate::{
    FINISH, SSE, closed,
    rig::{Does, Rig, Setting, policy, read, set, so_far},
};

/// A dialect's request for a stream, and the events of an answer: a text, and behind it what is asked about.
struct Dialect {
    family: Family,
    path: &'static str,
    request: Value,
    events: Vec<String>,
}

fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

/// Anthropic's, with a call of this tool.
fn anthropic(path: &str) -> Dialect {
    let block =
        |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let message =
        json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null});
    let events = [
        json!({"type": "message_start", "message": message}),
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "I will tidy up now."})),
        stop(0),
        block(1, json!({"type": "tool_use", "id": "t", "name": "delete_all", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": json!({ "path": path }).to_string()})),
        stop(1),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let request =
        json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let events = events.iter().map(named).collect();
    Dialect { family: Family::Anthropic, path: "/v1/messages", request, events }
}

/// The same of OpenAI's Responses.
fn responses(path: &str) -> Dialect {
    let response = json!({"id": "r", "object": "response", "status": "in_progress", "model": "m", "output": []});
    let text = json!({"type": "output_text", "text": "I will tidy up.", "annotations": []});
    let empty = json!({"type": "output_text", "text": "", "annotations": []});
    let message = |status: &str, content: Value| json!({"id": "m1", "type": "message", "role": "assistant", "status": status, "content": content});
    let arguments = json!({ "path": path }).to_string();
    let call = |status: &str, arguments: &str| json!({"id": "f1", "type": "function_call", "status": status, "call_id": "c1", "name": "delete_all", "arguments": arguments});
    let output = json!([message("completed", json!([text])), call("completed", &arguments)]);
    let mut whole = response.clone();
    whole["status"] = "completed".into();
    whole["output"] = output.clone();
    let of_text = |kind: &str, member: &str, value: Value| json!({"type": kind, "item_id": "m1", "output_index": 0, "content_index": 0, member: value});
    let events = [
        json!({"type": "response.created", "response": response}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": message("in_progress", json!([]))}),
        of_text("response.content_part.added", "part", empty),
        of_text("response.output_text.delta", "delta", "I will tidy up.".into()),
        of_text("response.output_text.done", "text", "I will tidy up.".into()),
        of_text("response.content_part.done", "part", text),
        json!({"type": "response.output_item.done", "output_index": 0, "item": output[0]}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": call("in_progress", "")}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "f1", "output_index": 1, "delta": arguments}),
        json!({"type": "response.function_call_arguments.done", "item_id": "f1", "output_index": 1, "arguments": arguments}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": output[1]}),
        json!({"type": "response.completed", "response": whole}),
    ];
    let numbered = events.into_iter().enumerate().map(|(at, mut event)| {
        event["sequence_number"] = at.into();
        named(&event)
    });
    let request = json!({"model": "m", "stream": true, "input": "hi"});
    Dialect { family: Family::Openai, path: "/v1/responses", request, events: numbered.collect() }
}

/// A piece of one of several choices.
pub(crate) fn of_choice(index: u64, text: &str) -> String {
    let choices = json!([{"index": index, "delta": {"content": text}, "finish_reason": null}]);
    let chunk = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
    format!("data: {chunk}\n\n")
}

/// Two choices of a chat: the first ends in what could become a word that is masked, while the second says all it has to.
fn chat(path: &str) -> Dialect {
    let events = vec![
        of_choice(0, "it ends in sec"),
        of_choice(1, &format!("delete {path}")),
        of_choice(0, "tions"),
        FINISH.into(),
    ];
    let request = json!({"model": "m", "stream": true, "n": 2, "messages": [{"role": "user", "content": "hi"}]});
    Dialect { family: Family::Openai, path: "/v1/chat/completions", request, events }
}

fn asked_by(dialect: &Dialect) -> Rig {
    let policies = vec![
        policy("10-mask", Does::Mask("secret", "[X]")),
        policy("30-approve", Does::Ask("delete")),
        policy("31-approve", Does::AskTool("delete_all")),
    ];
    Rig::new(Setting {
        policies,
        ruling: Some(RulingState::Approved),
        content_type: SSE,
        family: dialect.family,
        ..Setting::default()
    })
}

async fn begun(rig: &Rig, dialect: &Dialect) -> exchange::Reply {
    let body: exchange::Incoming = Box::pin(futures_util::stream::iter([Ok(dialect.request.to_string().into())]));
    let request = Request::post(dialect.path)
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json");
    rig.carry(request.body(body).unwrap()).await.into_body()
}

#[tokio::test]
async fn what_is_asked_about_is_shown_whole_before_any_of_it_leaves() {
    for dialect in [anthropic, responses, chat] {
        let mut bound = Vec::new();
        for path in ["/tmp/cache", "/data/ann"] {
            let dialect = dialect(path);
            let mut rig = asked_by(&dialect);
            let mut body = begun(&rig, &dialect).await;
            let mut told = String::new();
            for event in &dialect.events {
                rig.say(event);
                let more = so_far(&mut body).await;
                let is_asked = !rig.shown.lock().unwrap().is_empty();
                assert!(is_asked || !more.contains(path), "nobody was asked about {more}");
                told.push_str(&more);
            }
            rig.hang_up();
            told.push_str(&so_far(&mut body).await);
            let shown = rig.shown.lock().unwrap().clone();
            assert!(shown[0].contains(path) && shown.iter().all(|same| *same == shown[0]), "{shown:?}");
            assert!(told.contains(&shown[0]), "what was shown is what leaves, as it is");
            assert_eq!(closed(&rig).0, Outcome::Completed);
            bound.push(rig.bound.lock().unwrap()[0]);
        }
        assert_ne!(bound[0], bound[1], "the one is no approval of the other");
    }
}

#[tokio::test]
async fn what_waits_for_its_question_does_not_leave_under_policies_that_changed() {
    for (dialect, until) in [(anthropic("/data"), 7), (responses("/data"), 11), (chat("/data"), 2)] {
        let rig = asked_by(&dialect);
        let mut body = begun(&rig, &dialect).await;
        for event in &dialect.events[..until] {
            rig.say(event);
            so_far(&mut body).await;
        }
        assert!(rig.shown.lock().unwrap().is_empty(), "it is not all there");
        rig.publish.send(set(2, vec![policy("10-mask", Does::Mask("secret", "[Y]"))])).unwrap();
        for event in &dialect.events[until..] {
            rig.say(event);
        }
        let told = so_far(&mut body).await;
        assert!(told.contains("policies_changed") && !told.contains("/data"), "{told}");
        assert_eq!((closed(&rig).0, rig.shown.lock().unwrap().len()), (Outcome::Blocked, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_hears_that_its_stream_waits_for_the_rest_of_what_is_asked_about() {
    for (dialect, until) in [(anthropic("/data"), 7), (responses("/data"), 11), (chat("/data"), 2)] {
        let mut rig = asked_by(&dialect);
        let mut body = begun(&rig, &dialect).await;
        let mut told = String::new();
        for event in &dialect.events[..until] {
            rig.say(event);
            told.push_str(&so_far(&mut body).await);
        }
        assert!(told.ends_with("\n\n") || told.is_empty(), "whole events: {told}");
        for _ in 0..3 {
            let beat = body.next().await.unwrap().unwrap();
            assert_eq!(&beat[..], b": waiting for the rest of what is asked about\n\n");
        }
        assert!(rig.shown.lock().unwrap().is_empty(), "nobody is asked yet");
        for event in &dialect.events[until..] {
            rig.say(event);
        }
        rig.hang_up();
        let told = so_far(&mut body).await;
        assert!(told.contains("/data") && !told.contains("the rest of what"), "{told}");
        assert_eq!(closed(&rig).0, Outcome::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_falls_silent_is_not_kept_by_signs_of_life() {
    let dialect = chat("/data");
    let rig = asked_by(&dialect);
    let mut body = begun(&rig, &dialect).await;
    dialect.events[..2].iter().for_each(|event| rig.say(event));
    let began = tokio::time::Instant::now();
    while let Some(Ok(_)) = body.next().await {}
    assert_eq!(closed(&rig).0, Outcome::UpstreamError);
    assert!(began.elapsed() < 2 * Limits::default().upstream_idle);
}

#[tokio::test]
async fn at_a_cut_nobody_is_asked_about_less_than_what_the_question_is_about() {
    let dialect = anthropic("/data");
    let mut rig = asked_by(&dialect);
    let mut body = begun(&rig, &dialect).await;
    // A call that will not be complete has come behind the text by the time that the question is raised.
    rig.say(&dialect.events[..5].concat().replace("tidy up", "delete it"));
    assert!(!so_far(&mut body).await.contains("delete"));
    rig.upstream.take().unwrap().send(Err(BodyError("reset".into()))).unwrap();
    let told = so_far(&mut body).await;
    assert!(told.contains("upstream_broke") && !told.contains("delete"), "{told}");
    assert!(rig.shown.lock().unwrap().is_empty(), "what can't be shown whole is not asked about");
    assert_eq!(closed(&rig).0, Outcome::UpstreamError);
}

#[tokio::test]
async fn what_waits_for_a_question_is_bounded() {
    let mut limits = Limits::default();
    limits.wire.held_bytes = 4096;
    let rig = Rig::new(Setting { limits, content_type: SSE, ..asking() });
    let mut body = rig.ask("do it", true).await.into_body();
    let mut told = String::new();
    for _ in 0..100 {
        // Each event completes the one before, asks, and has an end that could be the begin of a word.
        rig.say(&of_choice(0, "ret: delete it, sec"));
        told.push_str(&so_far(&mut body).await);
    }
    assert!(told.contains("held_bytes") && !told.contains("delete"), "{told}");
    assert!(rig.shown.lock().unwrap().is_empty());
}

fn get(path: &str) -> Request<exchange::Incoming> {
    let body: exchange::Incoming = Box::pin(futures_util::stream::empty());
    Request::get(path).header("host", "gate").header("authorization", "Bearer good").body(body).unwrap()
}

/// A service that is seen through views, and answers in lines or in plain text.
fn viewed(content_type: &'static str, ruling: RulingState) -> Setting {
    let endpoints = vec![EndpointRule {
        path: "/x".into(),
        methods: vec!["GET".into()],
        views: vec![View::Ndjson, View::Text, View::Sse],
    }];
    Setting { family: Family::Http, endpoints, content_type, ruling: Some(ruling), ..asking() }
}

#[tokio::test]
async fn an_answer_keeps_its_content_type_while_a_header_of_it_is_asked_about() {
    let bodies = [
        ("application/x-ndjson", "{\"a\":\"one\"}\n{\"a\":\"two\"}\n"),
        ("text/plain", "data: 1\n\ndata: 2\n\n"),
        (SSE, "data: 1\n\ndata: 2\n\n"),
    ];
    for (content_type, said) in bodies {
        for (ruling, passes) in [(RulingState::Approved, true), (RulingState::Denied, false)] {
            let mut rig =
                Rig::new(Setting { headers: vec![("openai-note", "delete")], ..viewed(content_type, ruling) });
            rig.say(said);
            rig.hang_up();
            let response = rig.carry(get("/x")).await;
            let expected = if passes { content_type } else { "application/problem+json" };
            assert_eq!(response.headers()["content-type"], expected);
            assert_eq!(response.headers().contains_key("openai-note"), passes);
            let (told, cut) = read(response).await;
            assert_eq!((told == said, cut), (passes, false), "{told}");
            assert!(rig.shown.lock().unwrap()[0].contains(said.lines().next().unwrap()));
        }
    }
}

#[tokio::test]
async fn a_stream_without_signs_of_life_is_recorded_none() {
    for content_type in ["application/x-ndjson", "text/plain", SSE] {
        let said = if content_type == SSE { "data: \"delete\"\n\n" } else { "\"delete\"\n" };
        let mut rig = Rig::new(viewed(content_type, RulingState::Approved));
        rig.say(said);
        rig.hang_up();
        assert_eq!(read(rig.carry(get("/x")).await).await, (said.to_owned(), false));
        assert_eq!(rig.shown.lock().unwrap().len(), 1);
        let entries = rig.entries.lock().unwrap();
        assert!(!entries.iter().any(|entry| matches!(entry, Entry::Chunk(chunk) if chunk.data.is_empty())));
    }
}

#[tokio::test]
async fn a_streams_head_is_on_record_before_its_caller_has_it() {
    let is_safe = |rig: &Rig| {
        let safe = rig.safe.load(std::sync::atomic::Ordering::Relaxed);
        rig.entries.lock().unwrap()[..safe].iter().any(|entry| matches!(entry, Entry::ResponseHead(_)))
    };
    let slow = |setting| Rig::new(Setting { slow_record: true, content_type: SSE, ..setting });
    let rig = slow(Setting { headers: vec![("openai-organization", "o")], ..Setting::default() });
    let response = rig.ask("hi", true).await;
    assert_eq!(response.headers()["openai-organization"], "o");
    assert!(is_safe(&rig), "the upstream says nothing behind it");

    let rig = slow(Setting { ruling: None, ..asking() });
    rig.ask("delete it", true).await;
    assert!(is_safe(&rig), "the stream in which a request waits");
}
