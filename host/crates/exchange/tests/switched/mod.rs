//! Another policy set comes into force at a place on the path where nothing of the answer has come yet, or in its middle.

mod calls;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::StatusCode;
use model::{Entry, Outcome};

use crate::{
    FINISH, SSE, answer, closed, event,
    rig::{Does, Rig, Setting, chat, policy, read, set, so_far, unsent},
};

/// Generations of the sets that took over.
fn switched(rig: &Rig) -> Vec<u64> {
    let entries = rig.entries.lock().unwrap();
    let switched = entries.iter().filter_map(|entry| match entry {
        Entry::Switched(set, _) => Some(set.generation.0),
        _ => None,
    });
    switched.collect()
}

#[tokio::test]
async fn a_lockdown_reaches_an_exchange_that_waits_for_the_upstream() {
    for stream in [false, true] {
        let rig = Rig::new(Setting { silent_upstream: true, ..Setting::default() });
        let mut exchange = Box::pin(rig.ask("hi", stream));
        while rig.waiting.load(Ordering::Relaxed) == 0 {
            assert!(exchange.as_mut().now_or_never().is_none(), "the upstream is silent");
            tokio::task::yield_now().await;
        }
        rig.publish.send(set(2, vec![policy("00-lockdown", Does::Lockdown)])).unwrap();
        let response = tokio::time::timeout(Duration::from_secs(5), exchange).await.expect("at once");
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(read(response).await.0.contains("no traffic here"));
        assert_eq!((closed(&rig).0, switched(&rig)), (Outcome::Blocked, vec![2]));
        assert_eq!(rig.waiting.load(Ordering::Relaxed), 0, "the upstream is left alone");
    }
}

#[tokio::test]
async fn a_lockdown_that_comes_while_the_request_is_recorded_keeps_it_here() {
    let mut rig = Rig::new(Setting::default());
    rig.say(&answer("hello"));
    rig.hang_up();
    *rig.at_request.lock().unwrap() = Some(set(2, vec![policy("00-lockdown", Does::Lockdown)]));
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::FORBIDDEN);
    assert!(rig.received.lock().unwrap().is_empty(), "nothing was sent");
    assert!(unsent(&rig), "and the record says so");
    assert_eq!(switched(&rig), [2]);
}

#[tokio::test]
async fn a_set_that_comes_while_the_upstream_is_silent_judges_its_answer() {
    let mut rig = Rig::new(Setting::default());
    rig.say(&answer("a secret"));
    rig.hang_up();
    *rig.at_request.lock().unwrap() = Some(set(2, vec![policy("10-mask", Does::Mask("secret", "[X]"))]));
    assert_eq!(read(rig.ask("hi", false).await).await.0, answer("a [X]"));
    assert_eq!(switched(&rig), [2]);
}

#[tokio::test]
async fn a_set_that_comes_while_the_request_still_comes_is_on_record() {
    let mut rig = Rig::new(Setting::default());
    rig.say(&answer("a secret"));
    rig.hang_up();
    let publish = rig.publish.clone();
    let body = chat("my secret", false);
    let body = futures_util::stream::once(async move {
        publish.send(set(2, vec![policy("10-mask", Does::Mask("secret", "[X]"))])).unwrap();
        Ok(Bytes::from(body))
    });
    let response = rig.send(body.boxed()).await;
    assert_eq!(read(response).await.0, answer("a [X]"));
    let opened = match &rig.entries.lock().unwrap()[0] {
        Entry::Opened(opened) => opened.set.generation.0,
        other => panic!("{other:?}"),
    };
    assert_eq!((opened, switched(&rig)), (1, vec![2]), "opened under the one, judged by the other");
}

#[tokio::test]
async fn a_policy_at_work_is_not_spared_what_one_that_was_prepared_anew_does_not_look_for() {
    let old = policy("10-find", Does::Find("secret", "[X]"));
    let mut anew = policy("10-find", Does::Find("hidden", "[Y]"));
    anew.info.digest = old.info.digest;
    let last = || policy("20-b", Does::Bytes);
    let rig = Rig::new(Setting { policies: vec![old, last()], content_type: SSE, ..Setting::default() });
    rig.say(&event("one"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    rig.publish.send(set(2, vec![anew, last()])).unwrap();
    rig.say(&event("a secret"));
    assert_eq!(body.next().await.unwrap().unwrap(), event("a [X]"), "its guest goes on");
    assert_eq!(switched(&rig), [2]);
}

#[tokio::test]
async fn a_policy_takes_over_in_the_middle_only_where_it_came_into_force_there() {
    let stays = policy("20-stays", Does::ToolInput("{}"));
    let comes = policy("30-comes", Does::Mask("secret", "[X]"));
    let resumed = [Arc::clone(&stays.resumed), Arc::clone(&comes.resumed)];
    let mut rig = Rig::new(Setting { policies: vec![stays], content_type: SSE, ..Setting::default() });
    rig.say(&event("one"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    let mut next = set(2, vec![comes]);
    let stays = rig.publish.borrow().policies[0].clone();
    Arc::get_mut(&mut next).unwrap().policies.insert(0, stays);
    rig.publish.send(next).unwrap();
    rig.say(&event("two"));
    assert_eq!(body.next().await.unwrap().unwrap(), event("two"));
    assert_eq!(resumed.each_ref().map(|resumed| resumed.lock().unwrap().clone()), [vec![], vec![true]]);
    let call = serde_json::json!({
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": null, "delta": {"tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "rm", "arguments": "{}"}},
        ]}}],
    });
    rig.say(&format!("data: {call}\n\n"));
    rig.say(FINISH);
    rig.hang_up();
    while body.next().await.is_some() {}
    let resumed = resumed.map(|resumed| resumed.lock().unwrap().clone());
    assert_eq!(resumed, [vec![false], vec![true]], "nothing of the exchange passed who is called for the first time");
}

#[tokio::test]
async fn policies_are_told_when_an_exchange_is_over() {
    let (left, newer) = (policy("10-a", Does::Bytes), policy("20-b", Does::Mask("secret", "[Y]")));
    let (older, stays) = (policy("20-b", Does::Mask("secret", "[X]")), policy("30-c", Does::Bytes));
    let told = [&left, &older, &newer, &stays].map(|policy| Arc::clone(&policy.over));
    let told = || told.each_ref().map(|over| over.load(Ordering::Relaxed));
    let mut rig = Rig::new(Setting { policies: vec![left, older, stays], content_type: SSE, ..Setting::default() });
    rig.say(&event("one"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    assert_eq!(told(), [0; 4], "it is not over");
    let mut next = set(2, vec![newer]);
    let kept = rig.publish.borrow().policies[2].clone();
    Arc::get_mut(&mut next).unwrap().policies.push(kept);
    rig.publish.send(next).unwrap();
    rig.say(FINISH);
    rig.hang_up();
    while body.next().await.is_some() {}
    drop(body);
    assert_eq!(told(), [1, 0, 1, 1], "once each, by the version that it has now; what left was told too");

    let gone = policy("30-approve", Does::Hang);
    let over = Arc::clone(&gone.over);
    let rig = Rig::new(Setting { policies: vec![gone], ..Setting::default() });
    let mut exchange = Box::pin(rig.ask("hi", false));
    assert!(exchange.as_mut().now_or_never().is_none());
    drop(exchange);
    assert_eq!(over.load(Ordering::Relaxed), 1, "its caller went away");
}

/// An event that says the same as all others beside its text.
fn repeating(text: &str, said: &str) -> String {
    let chunk = serde_json::json!({
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "citations": [said], "note": said,
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n")
}

#[tokio::test]
async fn a_field_that_comes_in_each_event_is_judged_by_the_set_in_force() {
    let rig = Rig::new(Setting { content_type: SSE, ..Setting::default() });
    rig.say(&repeating("one", "a secret "));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), repeating("one", "a secret "));
    rig.say(&repeating("two", "a secret "));
    assert_eq!(body.next().await.unwrap().unwrap(), repeating("two", "a secret "));
    rig.publish.send(set(2, vec![policy("10-mask", Does::Mask("secret", "[X]"))])).unwrap();
    for text in ["three", "four"] {
        rig.say(&repeating(text, "a secret "));
        assert_eq!(body.next().await.unwrap().unwrap(), repeating(text, "a [X] "));
    }
    rig.publish.send(set(3, vec![policy("10-block", Does::Block("secret"))])).unwrap();
    rig.say(&repeating("five", "a secret "));
    let mut rest = String::new();
    while let Some(Ok(chunk)) = body.next().await {
        rest.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(rest.contains("no secret here") && !rest.contains("five"), "{rest}");
    assert_eq!(closed(&rig).0, Outcome::Blocked);
}

/// An answer of Anthropic's in which a call is complete, and waits for the end of the message.
fn call_behind_a_text() -> [serde_json::Value; 7] {
    let block =
        |index: u64, block| serde_json::json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u64, delta| serde_json::json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u64| serde_json::json!({"type": "content_block_stop", "index": index});
    [
        serde_json::json!({"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}}),
        block(0, serde_json::json!({"type": "text", "text": ""})),
        delta(0, serde_json::json!({"type": "text_delta", "text": "I will tidy up now."})),
        stop(0),
        block(1, serde_json::json!({"type": "tool_use", "id": "t", "name": "rm", "input": {}})),
        delta(1, serde_json::json!({"type": "input_json_delta", "partial_json": "{\"p\":\"ZEBRA-77\"}"})),
        stop(1),
    ]
}

/// Anthropic's request, and the begin of its answer.
async fn begun_with_a_call(rig: &Rig) -> (exchange::Reply, String) {
    let asks = serde_json::json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let body: exchange::Incoming = Box::pin(futures_util::stream::iter([Ok(asks.to_string().into())]));
    let request = http::Request::post("/v1/messages").header("host", "gate").header("x-api-key", "good");
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let mut body = rig.carry(request).await.into_body();
    let mut told = String::new();
    for event in call_behind_a_text() {
        rig.say(&format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
        told.push_str(&so_far(&mut body).await);
    }
    assert!(told.contains("tidy up") && !told.contains("rm"), "{told}");
    (body, told)
}

const MESSAGE_STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[tokio::test]
async fn a_call_that_was_judged_and_has_not_left_is_judged_by_the_set_in_force() {
    let anthropic = || Setting { content_type: SSE, family: model::Family::Anthropic, ..Setting::default() };
    for (changed, why) in [
        (policy("30-deny", Does::DenyTool("rm")), "no rm here"),
        (policy("00-lockdown", Does::Lockdown), "no traffic here"),
        (policy("30-block", Does::Block("ZEBRA")), "no ZEBRA here"),
    ] {
        let rig = Rig::new(anthropic());
        let (mut body, _) = begun_with_a_call(&rig).await;
        rig.publish.send(set(2, vec![changed])).unwrap();
        rig.say(MESSAGE_STOP);
        let told = so_far(&mut body).await;
        assert!(told.contains(why) && !told.contains("tool_use") && !told.contains("ZEBRA-77"), "{told}");
        assert_eq!((closed(&rig).0, switched(&rig)), (Outcome::Blocked, vec![2]));
    }
    for (changed, name, argument) in [
        (policy("30-mask", Does::Mask("ZEBRA", "[Z]")), "\"rm\"", "[Z]-77"),
        (policy("30-mask", Does::Mask("rm", "ls")), "\"ls\"", "ZEBRA-77"),
    ] {
        let mut rig = Rig::new(anthropic());
        let (mut body, _) = begun_with_a_call(&rig).await;
        rig.publish.send(set(2, vec![changed])).unwrap();
        rig.say(MESSAGE_STOP);
        rig.hang_up();
        let told = so_far(&mut body).await;
        assert!(told.contains(name) && told.contains(argument) && told.ends_with(MESSAGE_STOP), "{told}");
        assert_eq!((closed(&rig).0, switched(&rig)), (Outcome::Completed, vec![2]));
    }

    let mut rig = Rig::new(anthropic());
    let (mut body, mut told) = begun_with_a_call(&rig).await;
    let mut elsewhere = policy("30-deny", Does::DenyTool("rm"));
    elsewhere.info.connections = vec!["another".into()];
    rig.publish.send(set(2, vec![elsewhere])).unwrap();
    rig.say(MESSAGE_STOP);
    rig.hang_up();
    told.push_str(&so_far(&mut body).await);
    assert!(told.contains("ZEBRA-77") && told.ends_with(MESSAGE_STOP), "policies of others change nothing: {told}");
    assert_eq!(closed(&rig).0, Outcome::Completed);
}

#[tokio::test]
async fn a_choice_that_waits_behind_another_does_not_leave_unjudged() {
    let of_choice = |index: u64, text: &str| repeating(text, "x").replace("\"index\":0", &format!("\"index\":{index}"));
    for some_has_left in [true, false] {
        let rig = Rig::new(Setting {
            policies: vec![policy("10-mask", Does::Mask("secret", "[X]"))],
            content_type: SSE,
            ..Setting::default()
        });
        let mut told = String::new();
        if some_has_left {
            rig.say(&of_choice(1, "the other, "));
        }
        rig.say(&of_choice(0, "it ends in sec"));
        let mut body = rig.ask("hi", true).await.into_body();
        told.push_str(&so_far(&mut body).await);
        rig.say(&of_choice(1, "ZEBRA-77, said before the swap"));
        told.push_str(&so_far(&mut body).await);
        assert!(!told.contains("ZEBRA"), "it waits behind the first");
        let both = vec![policy("10-mask", Does::Mask("secret", "[X]")), policy("20-mask", Does::Mask("ZEBRA", "[Z]"))];
        rig.publish.send(set(2, both)).unwrap();
        rig.say(&of_choice(0, "tions"));
        let told = so_far(&mut body).await;
        assert!(!told.contains("ZEBRA"), "{told}");
        assert_eq!(
            (told.contains("policies_changed"), told.contains("[Z]-77")),
            (some_has_left, !some_has_left),
            "{told}"
        );
    }
}

#[tokio::test]
async fn text_that_a_policy_on_bytes_keeps_does_not_leave_unjudged() {
    let keeps = || policy("20-bytes", Does::KeepBytes);
    let rig = Rig::new(Setting { policies: vec![keeps()], content_type: SSE, ..Setting::default() });
    rig.say(&event("a secret"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(so_far(&mut body).await, "");
    rig.publish.send(set(2, vec![policy("10-mask", Does::Mask("secret", "[X]")), keeps()])).unwrap();
    let told = so_far(&mut body).await;
    assert!(told.contains("policies_changed") && !told.contains("secret"), "{told}");
}

#[tokio::test]
async fn the_head_of_an_answer_that_still_comes_is_judged_by_the_set_in_force() {
    let headers = vec![("openai-note", "a secret")];
    let mut rig = Rig::new(Setting { headers, ..Setting::default() });
    let upstream = rig.upstream.take().unwrap();
    let mut exchange = Box::pin(rig.ask("hi", false));
    assert!(exchange.as_mut().now_or_never().is_none(), "the head has come, and nothing behind it");
    let mask = policy("10-mask", Does::Mask("secret", "[X]"));
    rig.publish.send(set(2, vec![mask, policy("20-note", Does::NoteHead)])).unwrap();
    upstream.send(Ok(Bytes::from(answer("hello")))).unwrap();
    drop(upstream);
    let response = exchange.await;
    assert_eq!(response.headers()["openai-note"], "a [X]");
    let by_the_head = |entry: &Entry| matches!(entry, Entry::Judged(judged) if judged.hook == "on-head");
    assert!(rig.entries.lock().unwrap().iter().any(by_the_head));
}
