//! The whole path with every port in sight: what goes up, what comes back, what is recorded.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that can't go on fails")]

mod chain;
mod families;
mod held;
mod revoke;
mod rig;
mod scope;
mod spent;
mod switched;

use std::sync::{Arc, atomic::Ordering};

use exchange::ports::RulingState;
use futures_util::{FutureExt, StreamExt};
use http::StatusCode;
use model::{Entry, FailureMode, Mode, OnBlock, Outcome, record::JudgedVerdict};
use rig::{Does, FINISH, Rig, SSE, Setting, answer, closed, event, policy, read, set, unsent};

fn masker() -> rig::TestPolicy {
    policy("10-mask", Does::Mask("secret", "[X]"))
}

#[tokio::test]
async fn both_directions_are_masked_and_recorded_as_they_went() {
    let mut rig = Rig::new(Setting { policies: vec![masker()], ..Setting::default() });
    rig.say(&answer("a secret it is"));
    rig.hang_up();
    let response = rig.ask("my secret", false).await;
    assert_eq!(response.status(), StatusCode::OK);
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let (body, cut) = read(response).await;
    assert!(!cut && body == answer("a [X] it is") && body.len() == length, "{body}");
    let received = rig.received.lock().unwrap()[0].clone();
    assert!(received.windows(6).all(|window| window != b"secret"));
    assert_eq!(closed(&rig).0, Outcome::Completed);
    let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
    assert!(!record.contains("secret") && record.contains("[X]"), "{record}");
}

#[tokio::test]
async fn a_stream_is_masked_over_its_cuts() {
    let mut rig = Rig::new(Setting { policies: vec![masker()], content_type: SSE, ..Setting::default() });
    for text in ["a sec", "ret it", " is"] {
        rig.say(&event(text));
    }
    rig.say(FINISH);
    rig.hang_up();
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(!cut);
    assert_eq!(body, event("a [X]") + &event(" it") + &event(" is") + FINISH);
}

#[tokio::test]
async fn a_block_is_told_and_the_upstream_is_not_asked() {
    let policies = vec![policy("20-block", Does::Block("bomb")), policy("30-mask", Does::Mask("secret", "[X]"))];
    let rig = Rig::new(Setting { policies, ..Setting::default() });
    let response = rig.ask("a secret bomb", false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let (body, _) = read(response).await;
    assert!(body.contains("test.word") && body.contains("no bomb here") && body.contains("20-block"), "{body}");
    assert!(rig.received.lock().unwrap().is_empty());
    assert_eq!(closed(&rig).0, Outcome::Blocked);
    let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
    assert!(!record.contains("secret") && record.contains("a [X] bomb"), "masked for the record: {record}");
}

#[tokio::test]
async fn a_block_can_look_like_a_refusal_of_the_model() {
    let policies = vec![policy("20-block", Does::Block("bomb"))];
    let rig = Rig::new(Setting { policies, on_block: OnBlock::Refusal, ..Setting::default() });
    let response = rig.ask("a bomb", false).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(read(response).await.0.contains("no bomb here"));
    assert_eq!(closed(&rig).0, Outcome::Blocked);
}

#[tokio::test]
async fn a_block_before_it_is_known_what_is_asked_for_is_an_error() {
    for stream in [false, true] {
        let policies = vec![policy("00-lockdown", Does::BlockHead)];
        let rig = Rig::new(Setting { policies, on_block: OnBlock::Refusal, content_type: SSE, ..Setting::default() });
        let response = rig.ask("hi", stream).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "no SDK takes it for a stream that says nothing");
        let (body, cut) = read(response).await;
        assert!(!cut && body.contains("permission_error") && body.contains("no traffic here"), "{body}");
        assert_eq!(closed(&rig).0, Outcome::Blocked);
    }
}

#[tokio::test]
async fn a_panic_is_on_record_as_a_fault_of_the_gate() {
    let rig =
        Rig::new(Setting { policies: vec![policy("10-any", Does::Text(|_| panic!("a fault")))], ..Setting::default() });
    assert!(std::panic::AssertUnwindSafe(rig.ask("hi", false)).catch_unwind().await.is_err());
    let (outcome, detail) = closed(&rig);
    assert!(outcome == Outcome::Failed && detail.starts_with("the gate failed"), "{outcome:?}: {detail}");
    assert!(rig.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_blocked_stream_ends_in_an_error_and_a_cut() {
    let policies = vec![policy("20-block", Does::Block("bomb"))];
    let rig = Rig::new(Setting { policies, content_type: SSE, ..Setting::default() });
    rig.say(&event("fine"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("fine"));
    rig.say(&(event("more") + &event("a bomb")));
    let last = body.next().await.unwrap().unwrap();
    let last = std::str::from_utf8(&last).unwrap();
    assert!(last.starts_with("data: {\"error\":") && last.contains("no bomb here") && !last.contains("more"), "{last}");
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    assert_eq!(body.next().await, None);
    assert_eq!(closed(&rig).0, Outcome::Blocked);
}

#[tokio::test]
async fn what_the_gate_says_in_a_stream_ends_its_lines_as_the_stream_does() {
    let policies = vec![policy("20-block", Does::Block("bomb"))];
    let rig = Rig::new(Setting { policies, content_type: SSE, ..Setting::default() });
    let crlf = |event: String| event.replace('\n', "\r\n");
    rig.say(&crlf(event("fine")));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), crlf(event("fine")));
    rig.say(&crlf(event("a bomb")));
    let last = body.next().await.unwrap().unwrap();
    let last = std::str::from_utf8(&last).unwrap();
    assert!(last.starts_with("data: {\"error\":") && last.ends_with("}\r\n\r\n"), "{last:?}");
    assert_eq!(last.matches('\n').count(), last.matches("\r\n").count(), "{last:?}");
}

#[tokio::test]
async fn a_new_set_takes_over_between_two_chunks() {
    let rig = Rig::new(Setting { policies: vec![masker()], content_type: SSE, ..Setting::default() });
    rig.say(&event("one sec"));
    let mut body = rig.ask("hi", true).await.into_body();
    // What is held back moves to the new version and is judged again, from the raw text on.
    rig.publish.send(set(2, vec![policy("10-mask", Does::Mask("secret", "[Y]"))])).unwrap();
    rig.say(&event("ret two"));
    let mut text = String::new();
    while !text.contains("two") {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(text, event("one [Y]") + &event(" two"));
    rig.publish.send(set(3, vec![policy("00-lockdown", Does::Lockdown)])).unwrap();
    let last = body.next().await.unwrap().unwrap();
    assert!(last.starts_with(b"data: {\"error\":"), "an idle stream stops too: {last:?}");
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    let switched = |entry: &&Entry| matches!(entry, Entry::Switched(..));
    assert_eq!(rig.entries.lock().unwrap().iter().filter(switched).count(), 2);
}

#[tokio::test]
async fn a_failure_is_tried_once_more_and_then_closes() {
    let mut once = Rig::new(Setting { policies: vec![policy("p", Does::Fail(1))], ..Setting::default() });
    once.say(&answer("x"));
    once.hang_up();
    assert_eq!(once.ask("hi", false).await.status(), StatusCode::OK);

    let twice = Rig::new(Setting { policies: vec![policy("p", Does::Fail(2))], ..Setting::default() });
    let response = twice.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(read(response).await.0.contains("policy_failed"));
    assert!(twice.received.lock().unwrap().is_empty());
    assert_eq!(closed(&twice).0, Outcome::Failed);
    let record = serde_json::to_string(&*twice.entries.lock().unwrap()).unwrap();
    assert!(!record.contains("\"Request\""), "what a failed policy may not have masked is not recorded: {record}");
}

#[tokio::test]
async fn a_failure_lets_pass_only_where_the_operator_says_so() {
    let mut failing = policy("p", Does::Fail(u32::MAX));
    failing.info.on_failure = FailureMode::Open;
    let mut rig = Rig::new(Setting { policies: vec![failing, masker()], ..Setting::default() });
    rig.say(&answer("a secret"));
    rig.hang_up();
    let (body, _) = read(rig.ask("hi", false).await).await;
    assert_eq!(body, answer("a [X]"));
    let failed = |entry: &&Entry| matches!(entry, Entry::Judged(judged) if matches!(judged.verdict, JudgedVerdict::Failed { open: true, .. }));
    assert!(rig.entries.lock().unwrap().iter().filter(failed).count() >= 2);
}

#[tokio::test]
async fn a_policy_that_may_fail_is_waited_for_a_few_times_only() {
    for (mode, on_failure) in [(Mode::Shadow, FailureMode::Closed), (Mode::Enforce, FailureMode::Open)] {
        let mut late = policy("late", Does::Late);
        (late.info.mode, late.info.on_failure) = (mode, on_failure);
        let failed = Arc::clone(&late.failed);
        let mut rig = Rig::new(Setting { policies: vec![late, masker()], ..Setting::default() });
        rig.say(&answer("a secret"));
        rig.hang_up();
        let messages: Vec<_> = (0..200).map(|_| serde_json::json!({"role": "user", "content": "hi"})).collect();
        let body = serde_json::json!({"model": "m", "messages": messages}).to_string().into_bytes();
        let response = rig.post(&[("content-type", "application/json")], body).await;
        assert_eq!(read(response).await.0, answer("a [X]"), "the others judge on");
        assert_eq!(failed.load(Ordering::Relaxed), 6, "three calls, each tried twice");
        let record = serde_json::to_string(&*rig.entries.lock().unwrap()).unwrap();
        assert_eq!(record.matches("it is not called again in this exchange").count(), 1);
    }
}

#[tokio::test]
async fn a_shadow_is_recorded_and_changes_nothing() {
    let mut shadow = policy("s", Does::Block("secret"));
    shadow.info.mode = Mode::Shadow;
    let mut rig = Rig::new(Setting { policies: vec![shadow], ..Setting::default() });
    rig.say(&answer("a secret"));
    rig.hang_up();
    let (body, _) = read(rig.ask("hi", false).await).await;
    assert_eq!(body, answer("a secret"));
    let noted = |entry: &&Entry| matches!(entry, Entry::Judged(judged) if judged.shadow);
    assert_eq!(rig.entries.lock().unwrap().iter().filter(noted).count(), 1);
}

#[tokio::test]
async fn what_a_policy_takes_away_and_sets_is_recorded_by_name_also_of_a_shadow() {
    for mode in [Mode::Shadow, Mode::Enforce] {
        let mut tools = policy("t", Does::Tools("rm"));
        tools.info.mode = mode;
        let mut rig = Rig::new(Setting { policies: vec![tools], ..Setting::default() });
        rig.say(&answer("x"));
        rig.hang_up();
        assert_eq!(rig.ask("hi", false).await.status(), StatusCode::OK);
        let sent = String::from_utf8(rig.received.lock().unwrap()[0].to_vec()).unwrap();
        assert_eq!(sent.contains("\"rm\""), mode == Mode::Shadow, "{sent}");
        let entries = rig.entries.lock().unwrap();
        let notes = entries.iter().find_map(|entry| match entry {
            Entry::Judged(judged) if judged.hook == "on-request" => Some(judged.notes.clone()),
            _ => None,
        });
        let notes: Vec<_> = notes.unwrap().into_iter().map(|note| format!("{} {}", note.name, note.value)).collect();
        assert_eq!(notes, ["portcullis.tools-removed rm", "portcullis.parameters-patched temperature"]);
    }
}

#[tokio::test]
async fn what_was_approved_is_what_goes_up() {
    let policies = vec![policy("30-approve", Does::Ask("delete")), policy("40-mask", Does::Mask("secret", "[X]"))];
    let mut rig = Rig::new(Setting { policies, ruling: Some(RulingState::Approved), ..Setting::default() });
    rig.say(&answer("done"));
    rig.hang_up();
    assert_eq!(rig.ask("delete the secret", false).await.status(), StatusCode::OK);
    let shown = rig.shown.lock().unwrap()[0].clone();
    assert_eq!(shown.as_bytes(), rig.received.lock().unwrap()[0]);
    assert!(shown.contains("delete the [X]"), "{shown}");
}

#[tokio::test]
async fn a_denial_stops_and_a_waiting_stream_is_told() {
    let policies = || vec![policy("30-approve", Does::Ask("delete"))];
    let whole = Rig::new(Setting { policies: policies(), ..Setting::default() });
    let response = whole.ask("delete it", false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(read(response).await.0.contains("approval_denied"));

    let streamed = Rig::new(Setting { policies: policies(), content_type: SSE, ..Setting::default() });
    let (body, cut) = read(streamed.ask("delete it", true).await).await;
    assert!(cut && body.starts_with(": waiting for approval ") && body.contains("approval_denied"), "{body}");
    assert!(streamed.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_loses_tools_and_gets_parameters() {
    let mut rig = Rig::new(Setting { policies: vec![policy("t", Does::Tools("rm"))], ..Setting::default() });
    rig.say(&answer("done"));
    rig.hang_up();
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::OK);
    let sent: serde_json::Value = serde_json::from_slice(&rig.received.lock().unwrap()[0]).unwrap();
    assert_eq!(sent["temperature"], 0);
    assert!(sent.get("tools").is_none_or(|tools| tools.as_array().is_some_and(Vec::is_empty)), "{sent}");
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    for room in 0..5 {
        let mut rig = Rig::new(Setting { room: Some(room), ..Setting::default() });
        rig.say(&answer("hello"));
        rig.hang_up();
        let response = rig.ask("hi", false).await;
        let status = response.status();
        let (body, _) = read(response).await;
        match room {
            0 | 1 => assert!(rig.received.lock().unwrap().is_empty(), "not sent with room for {room}"),
            _ => {}
        }
        if room < 5 {
            assert!(!body.contains("hello") && status == StatusCode::SERVICE_UNAVAILABLE, "{room}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_passed_on() {
    for (content_type, body) in [("text/html", "<p>secret"), ("application/json", "{\"id\": secret"), (SSE, "data: se")]
    {
        let mut rig = Rig::new(Setting { content_type, ..Setting::default() });
        rig.say(body);
        rig.hang_up();
        let (body, cut) = read(rig.ask("hi", content_type == SSE).await).await;
        assert!(!body.contains("se\"") && !body.contains("<p>"), "{body}");
        assert_eq!(cut, content_type == SSE && !body.is_empty());
        if content_type != SSE {
            assert_eq!(closed(&rig).0, Outcome::UpstreamError);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_cuts_the_stream() {
    let rig = Rig::new(Setting { content_type: SSE, ..Setting::default() });
    rig.say(&event("half"));
    rig.upstream.as_ref().unwrap().send(Err(exchange::BodyError("reset".into()))).unwrap();
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut && body.starts_with(&event("half")) && body.contains("upstream_broke"), "{body}");
    assert_eq!(closed(&rig).0, Outcome::UpstreamError);
}

#[test]
fn the_page_of_errors_lists_every_code() {
    let page = include_str!("../../../docs/errors.md");
    // Between `fn code` and the next function each literal is a code.
    let codes_in = |source: &'static str, from: &str, to: &str| {
        let body = source.split_once(from).unwrap().1.split_once(to).unwrap().0;
        body.split('"').skip(1).step_by(2).filter(|code| !code.is_empty()).collect::<Vec<_>>()
    };
    let told = codes_in(include_str!("../src/refuse.rs"), "pub fn code(&self)", "pub fn outcome(&self)");
    let limits = codes_in(include_str!("../src/ports/callers.rs"), "pub fn code(self)", "fn key(self)");
    let bodies = codes_in(include_str!("../../wire/src/dialect.rs"), "pub fn name_of(", "pub(crate) fn sentence(");
    assert!(told.len() > 25 && limits.len() == 3 && bodies.len() == 5, "{told:?} {limits:?} {bodies:?}");
    for code in told.into_iter().chain(limits).chain(bodies).chain(["policies_changed"]) {
        assert!(page.contains(&format!("`{code}`")), "host/docs/errors.md does not tell of {code}");
    }
}

/// What went is told as such too: an upstream that answered, and one that was silent.
#[tokio::test]
async fn a_request_of_which_nothing_went_upstream_is_on_record_as_such() {
    let rig = Rig::new(Setting::default());
    rig.no_upstream();
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::BAD_GATEWAY, "connection refused");
    assert!(unsent(&rig) && closed(&rig).0 == Outcome::UpstreamError);

    let mut rig = Rig::new(Setting::default());
    rig.say(&answer("hello"));
    rig.hang_up();
    assert_eq!(read(rig.ask("hi", false).await).await.0, answer("hello"));
    assert!(!unsent(&rig) && closed(&rig).0 == Outcome::Completed);

    let rig = Rig::new(Setting { silent_upstream: true, ..Setting::default() });
    let mut exchange = Box::pin(rig.ask("hi", false));
    while rig.waiting.load(Ordering::Relaxed) == 0 {
        assert!(exchange.as_mut().now_or_never().is_none(), "the upstream is silent");
        tokio::task::yield_now().await;
    }
    drop(exchange);
    assert!(!unsent(&rig) && closed(&rig).0 == Outcome::Cancelled, "it may have gone");
}
