//! An answer that breaks off: what could be judged of it reaches the caller before the error does, and no half of what a
//! policy would have taken out.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use std::time::Duration;

use exchange::{BodyError, Limits};
use futures_util::StreamExt as _;
use model::{Entry, Outcome};
use rig::{Does, Rig, SSE, Setting, answer, closed, event, policy, read};

const CANARY: &str = "078-05-1120";

fn streaming(does: Does) -> Setting {
    Setting { policies: vec![policy("10-mask", does)], content_type: SSE, ..Setting::default() }
}

/// Breaks the answer off, and answers all that arrived.
async fn broken(setting: Setting, pieces: &[&str]) -> String {
    let mut rig = Rig::new(setting);
    for piece in pieces {
        rig.say(&event(piece));
    }
    let upstream = rig.upstream.take().unwrap();
    upstream.send(Err(BodyError("reset".into()))).unwrap();
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut, "{body}");
    assert_eq!(closed(&rig).0, Outcome::UpstreamError);
    for entry in &*rig.entries.lock().unwrap() {
        let kept = match entry {
            // An id, a time and a hash may hold any digits.
            Entry::Chunk(chunk) => String::from_utf8_lossy(&chunk.data).split("(request ").next().unwrap().to_owned(),
            Entry::Judged(judged) => judged.edits.iter().map(|edit| edit.by.clone() + &edit.reason).collect(),
            Entry::Closed(closed) => closed.detail.clone(),
            _ => continue,
        };
        assert!(!kept.contains("078"), "{kept}");
    }
    body
}

/// The text of a stream's events.
fn text(body: &str) -> String {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    events.filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_was_held_back_arrives_before_the_error() {
    // This policy looks at all that a part holds before it lets any of it go.
    let body = broken(streaming(Does::Gather), &["one ", "two ", "three"]).await;
    assert_eq!(text(&body), "one two three");
    let error = body.find("upstream_broke").unwrap();
    assert!(body.find("three").unwrap() < error && !body.contains("[DONE]"), "{body}");
}

#[tokio::test]
async fn half_of_a_value_does_not_arrive_and_a_whole_one_is_masked() {
    for at in 1..CANARY.len() {
        let body = broken(streaming(Does::Find(CANARY, "[X]")), &["it is ", &format!("so {}", &CANARY[..at])]).await;
        assert_eq!(text(&body), "it is so ", "{at}");
    }
    let body = broken(streaming(Does::Find(CANARY, "[X]")), &["it is 078-", "05-1120"]).await;
    assert_eq!(text(&body), "it is [X]");
}

#[tokio::test]
async fn half_of_the_gates_own_credential_does_not_arrive() {
    let setting = Setting { credentials: vec!["Bearer sk-own-078-05"], content_type: SSE, ..Setting::default() };
    assert_eq!(text(&broken(setting, &["it is sk-own-07"]).await), "it is ");
}

#[tokio::test]
async fn a_policy_may_stop_what_broke_off() {
    let body = broken_by(streaming(Does::GatherAndBlock("bomb")), "a bomb").await;
    assert!(body.contains("no bomb here") && text(&body).is_empty(), "{body}");
}

async fn broken_by(setting: Setting, said: &str) -> String {
    let mut rig = Rig::new(setting);
    rig.say(&event(said));
    rig.upstream.take().unwrap().send(Err(BodyError("reset".into()))).unwrap();
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut && closed(&rig).0 == Outcome::Blocked, "{body}");
    body
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_the_same() {
    let limits = Limits { upstream_idle: Duration::from_millis(50), ..Limits::default() };
    let rig = Rig::new(Setting { limits, ..streaming(Does::Find(CANARY, "[X]")) });
    rig.say(&event("it is 078-05"));
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut, "{body}");
    assert_eq!(text(&body), "it is ");
}

#[tokio::test]
async fn a_stream_that_its_connection_cuts_is_the_same() {
    for (policy, arrives) in [(Does::Gather, "it is 078-05"), (Does::Find(CANARY, "[X]"), "it is ")] {
        let mut rig = Rig::new(Setting { ends_with_connection: true, ..streaming(policy) });
        rig.say(&event("it is 078-05"));
        rig.hang_up();
        let (body, cut) = read(rig.ask("hi", true).await).await;
        assert!(cut && body.contains("upstream_broke"), "{body}");
        assert_eq!(text(&body), arrives);
    }
}

/// A request's body that comes a piece each second, so many of them.
async fn trickled(piece: &'static [u8], pieces: u64, limits: Limits) -> (http::StatusCode, String) {
    let mut rig = Rig::new(Setting { limits, ..Setting::default() });
    rig.say(&answer("hello"));
    rig.hang_up();
    let (begin, end) = (&br#"{"model":"m","messages":[{"role":"user","content":""#[..], &br#""}]}"#[..]);
    let slow = futures_util::stream::unfold(0, move |at| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (at < pieces).then(|| (piece, at + 1))
    });
    let whole = futures_util::stream::once(async move { begin })
        .chain(slow)
        .chain(futures_util::stream::once(async move { end }));
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json");
    let body: exchange::Incoming = Box::pin(whole.map(|piece| Ok(bytes::Bytes::from_static(piece))));
    let response = rig.carry(request.body(body).unwrap()).await;
    let status = response.status();
    (status, read(response).await.0)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_trickles_has_its_place_for_no_longer_than_its_bytes_are_worth() {
    let began = tokio::time::Instant::now();
    let (status, told) = trickled(b"x", 10_000, Limits::default()).await;
    assert!(status == 400 && told.contains("request_broke") && told.contains("`body_rate`"), "{told}");
    let took = began.elapsed().as_secs();
    assert!((30..=32).contains(&took), "the usual grace, and a second for what came: {took} s");

    let unbounded = Limits { body_rate: 0, ..Limits::default() };
    for (piece, pieces, limits) in [(&[b'x'; 1 << 10], 200, Limits::default()), (&[b'x'; 1 << 10], 5, unbounded)] {
        let began = tokio::time::Instant::now();
        assert_eq!(trickled(piece, pieces, limits).await.0, 200);
        assert!(began.elapsed().as_secs() > pieces);
    }
    assert_eq!(trickled(b"x", 100, unbounded).await.0, 200, "no bound");
}
