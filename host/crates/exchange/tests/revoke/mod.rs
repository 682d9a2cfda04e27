//! A credential that ends takes its exchange with it, at every stage of the path (threats, section 5).

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use exchange::{
    BodyError,
    ports::{Ended, Exceeded, Lease, Limit, NoEntry},
};
use futures_util::{FutureExt, StreamExt};
use http::StatusCode;
use model::{Entry, Outcome, Scope};

use crate::{
    SSE, answer, closed, event,
    rig::{Does, Holder, Rig, Setting, policy, read},
};

fn setting() -> (Holder, Setting) {
    let holder = Holder::new(Scope::on(["openai"]));
    (holder.clone(), Setting { holder, content_type: SSE, ..Setting::default() })
}

/// What must hold after a revocation, whatever it cut.
fn all_is_over(rig: &Rig, holder: &Holder) {
    assert_eq!(closed(rig), (Outcome::Revoked, "the credential was revoked: offboarded".to_owned()));
    assert_eq!(holder.running.load(Ordering::Relaxed), 0, "nothing counts as running");
    assert_eq!(rig.waiting.load(Ordering::Relaxed), 0, "nobody waits for the upstream");
}

/// Ends the credential while `exchange` waits, and answers how it is refused.
async fn refused(
    holder: &Holder,
    exchange: impl Future<Output = http::Response<exchange::Reply>>,
) -> (StatusCode, String, bool) {
    let mut exchange = std::pin::pin!(exchange);
    // As far as it comes by itself.
    for _ in 0..10 {
        assert!(exchange.as_mut().now_or_never().is_none(), "it waits");
        tokio::task::yield_now().await;
    }
    holder.lease.end(Ended::revoked("offboarded"));
    let response = exchange.await;
    let status = response.status();
    let (body, cut) = read(response).await;
    assert!(body.contains("\"revoked\"") && !body.contains("offboarded"), "the reason is not the caller's: {body}");
    (status, body, cut)
}

#[tokio::test]
async fn while_the_request_still_comes() {
    let (holder, setting) = setting();
    let rig = Rig::new(setting);
    let begun = futures_util::stream::iter([Ok(Bytes::from_static(b"{\"model\":\"m\","))]);
    let body = begun.chain(futures_util::stream::pending()).boxed();
    let (status, _, cut) = refused(&holder, rig.send(body)).await;
    assert_eq!((status, cut), (StatusCode::UNAUTHORIZED, false));
    assert!(rig.received.lock().unwrap().is_empty());
    all_is_over(&rig, &holder);
}

/// A request with many texts, each too short to be worth a thread of its own.
fn many_texts(text: &str) -> Vec<u8> {
    let messages: Vec<_> = (0..TEXTS).map(|_| serde_json::json!({"role": "user", "content": text})).collect();
    serde_json::json!({"model": "m", "messages": messages}).to_string().into_bytes()
}

const TEXTS: usize = 40;

#[tokio::test]
async fn while_short_texts_take_long_to_look_at() {
    let json = [("content-type", "application/json")];
    let (_, setting) = setting();
    let rig = Rig::new(Setting { policies: vec![policy("ponder", Does::Ponder)], silent_upstream: true, ..setting });
    let mut exchange = std::pin::pin!(rig.post(&json, many_texts("short")));
    let mut turns = 0;
    while rig.waiting.load(Ordering::Relaxed) == 0 {
        assert!(exchange.as_mut().now_or_never().is_none());
        turns += 1;
    }
    assert!(turns >= TEXTS, "others had {turns} turns meanwhile");
}

#[tokio::test]
async fn while_many_texts_are_looked_at() {
    let text = "no word ".repeat(7_500);
    let json = [("content-type", "application/json")];
    let masking = || vec![policy("10-mask", Does::Find("secret", "[X]"))];
    let (_, setting) = setting();
    let rig = Rig::new(Setting { policies: masking(), silent_upstream: true, ..setting });
    let mut exchange = std::pin::pin!(rig.post(&json, many_texts(&text)));
    let mut turns = 0;
    while rig.waiting.load(Ordering::Relaxed) == 0 {
        assert!(exchange.as_mut().now_or_never().is_none());
        turns += 1;
    }
    assert!(turns >= TEXTS / 2, "others had {turns} turns meanwhile");

    let (holder, setting) = self::setting();
    let rig = Rig::new(Setting { policies: masking(), ..setting });
    let (status, ..) = refused(&holder, rig.post(&json, many_texts(&text))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(rig.received.lock().unwrap().is_empty());
    all_is_over(&rig, &holder);
    let looked = match rig.entries.lock().unwrap().last() {
        Some(Entry::Closed(closed)) => closed.policies[0].calls as usize,
        other => panic!("{other:?}"),
    };
    assert!(looked < TEXTS, "it goes no further: {looked}");
}

#[tokio::test]
async fn while_a_policy_judges() {
    let (holder, setting) = setting();
    let rig = Rig::new(Setting { policies: vec![policy("slow", Does::Hang)], ..setting });
    let (status, ..) = refused(&holder, rig.ask("hi", false)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(rig.received.lock().unwrap().is_empty());
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn while_it_is_held_for_an_approval() {
    let (holder, setting) = setting();
    let policies = vec![policy("30-approve", Does::Ask("delete"))];
    let rig = Rig::new(Setting { policies, ruling: None, ..setting });
    let (status, ..) = refused(&holder, rig.ask("delete it", false)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "the approval is cancelled");
    assert!(rig.received.lock().unwrap().is_empty());
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn while_a_stream_is_held_for_an_approval() {
    let (holder, setting) = setting();
    let policies = vec![policy("30-approve", Does::Ask("delete"))];
    let rig = Rig::new(Setting { policies, ruling: None, ..setting });
    let mut body = rig.ask("delete it", true).await.into_body();
    assert!(body.next().await.unwrap().unwrap().starts_with(b": waiting for approval "));
    assert!(body.next().now_or_never().is_none());
    holder.lease.end(Ended::revoked("offboarded"));
    let last = body.next().await.unwrap().unwrap();
    assert!(last.starts_with(b"data: {\"error\":"), "{last:?}");
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "the approval is cancelled");
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn while_it_waits_for_the_upstream() {
    let (holder, setting) = setting();
    let rig = Rig::new(Setting { silent_upstream: true, ..setting });
    let (status, ..) = refused(&holder, rig.ask("hi", true)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(rig.received.lock().unwrap().len(), 1, "it was on its way");
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn while_a_whole_answer_comes() {
    let (holder, setting) = setting();
    let rig = Rig::new(Setting { content_type: "application/json", ..setting });
    rig.say(&answer("half of it")[..40]);
    let (status, body, _) = refused(&holder, rig.ask("hi", false)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!body.contains("half"), "{body}");
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn in_mid_stream() {
    let (holder, setting) = setting();
    let rig = Rig::new(setting);
    rig.say(&event("one"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    rig.say(&event("two"));
    holder.lease.end(Ended::revoked("offboarded"));
    let last = body.next().await.unwrap().unwrap();
    let last = std::str::from_utf8(&last).unwrap();
    assert!(last.starts_with("data: {\"error\":") && last.contains("\"revoked\"") && !last.contains("two"), "{last}");
    assert!(!last.contains("[DONE]"), "a cut stream never looks complete: {last}");
    assert!(
        rig.upstream.as_ref().unwrap().send(Err(BodyError("late".into()))).is_err(),
        "the upstream's connection is gone before the caller's is"
    );
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    assert_eq!(body.next().await, None);
    all_is_over(&rig, &holder);
}

#[tokio::test(start_paused = true)]
async fn and_is_on_record_as_that_whoever_takes_his_time() {
    let (holder, setting) = setting();
    let policies = vec![policy("10-mask", Does::Mask("secret", "[X]")), policy("slow", Does::HangAtEnd).auditing()];
    let rig = Rig::new(Setting { policies, ..setting });
    rig.say(&event("one"));
    let mut body = rig.ask("hi", true).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    holder.lease.end(Ended::revoked("offboarded"));
    let last = body.next().await.unwrap().unwrap();
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    all_is_over(&rig, &holder);
    let said =
        rig.entries.lock().unwrap().iter().any(|entry| matches!(entry, Entry::Chunk(chunk) if chunk.data == last));
    assert!(said, "the last words too");

    let (holder, setting) = self::setting();
    let rig = Rig::new(Setting { stuck: true, ..setting });
    let (status, ..) = refused(&holder, rig.send(futures_util::stream::pending().boxed())).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn while_the_caller_takes_nothing() {
    let (holder, setting) = setting();
    let rig = Rig::new(setting);
    rig.say(&event("one"));
    let response = rig.ask("hi", true).await;
    let lease = response.body().lease().unwrap();
    assert_eq!(lease.ended(), None);
    holder.lease.end(Ended::revoked("offboarded"));
    // Whoever writes the reply is told, and drops it.
    assert_eq!(lease.over().await, Ended::revoked("offboarded"));
    drop(response);
    assert!(rig.upstream.as_ref().unwrap().send(Ok(Bytes::new())).is_err());
    all_is_over(&rig, &holder);
}

#[tokio::test]
async fn nothing_new_is_let_in() {
    let (holder, setting) = setting();
    let rig = Rig::new(setting);
    holder.lease.end(Ended::revoked("offboarded"));
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(rig.entries.lock().unwrap().is_empty() && rig.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_has_expired_is_cut_too() {
    let lease = Lease::new(Some(std::time::Instant::now() + Duration::from_millis(200)));
    let holder = Holder { lease, ..Holder::new(Scope::on(["openai"])) };
    let rig = Rig::new(Setting { holder, content_type: SSE, ..Setting::default() });
    rig.say(&event("one"));
    let (body, cut) = read(rig.ask("hi", true).await).await;
    assert!(cut && body.contains("credential_expired"), "{body}");
    assert_eq!(closed(&rig), (Outcome::Revoked, "the credential has expired".to_owned()));
}

#[tokio::test]
async fn an_exchange_that_may_not_enter_is_told() {
    let (holder, setting) = setting();
    let rig = Rig::new(setting);
    *holder.no_entry.lock().unwrap() = Some(NoEntry::Ended(Ended::revoked("this connection")));
    assert_eq!(rig.ask("hi", false).await.status(), StatusCode::UNAUTHORIZED);

    let retry_after = Duration::from_millis(1200);
    let exceeded = Exceeded { limit: Limit::Requests, whose: "caller", allowed: 60, retry_after };
    *holder.no_entry.lock().unwrap() = Some(NoEntry::Exceeded(exceeded));
    let response = rig.ask("hi", false).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("retry-after").as_deref(), Some("2"), "never too early");
    assert_eq!(header("x-ratelimit-limit-requests").as_deref(), Some("60"));
    assert_eq!(header("x-ratelimit-remaining-requests").as_deref(), Some("0"));
    assert_eq!(header("x-ratelimit-reset-requests").as_deref(), Some("2s"));
    assert_eq!(header("x-should-retry"), None, "SDKs may wait for it");
    let (body, _) = read(response).await;
    assert!(body.contains("rate_limit_error") && body.contains("rate_limited"), "{body}");
    assert!(body.contains("more than 60 requests in this time (`caller_requests`)"), "{body}");
    assert_eq!(holder.running.load(Ordering::Relaxed), 0);
}

/// As after a revocation: told in the dialect, and recorded, wherever it stands.
#[tokio::test]
async fn a_host_that_stops_and_waits_no_longer_ends_what_still_runs() {
    let (holder, setting) = setting();
    let rig = Rig::new(Setting { silent_upstream: true, ..setting });
    let mut waits = Box::pin(rig.ask("hi", false));
    for _ in 0..10 {
        assert!(waits.as_mut().now_or_never().is_none(), "it waits for the upstream");
        tokio::task::yield_now().await;
    }
    rig.gate.stop();
    let response = waits.await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (body, cut) = read(response).await;
    assert!(body.contains("\"stopping\"") && !cut, "{body}");
    let (outcome, detail) = closed(&rig);
    assert!(outcome == Outcome::Cancelled && detail.contains("is being stopped"), "{detail}");
    assert_eq!(holder.running.load(Ordering::Relaxed), 0, "nothing counts as running");
    assert_eq!(rig.ask("late", true).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_stream_that_a_stop_ends_is_told_and_cut() {
    let (_, setting) = setting();
    let policies = vec![policy("30-approve", Does::Ask("delete"))];
    let rig = Rig::new(Setting { policies, ruling: None, ..setting });
    let mut body = rig.ask("delete it", true).await.into_body();
    assert!(body.next().await.unwrap().unwrap().starts_with(b": waiting for approval "));
    rig.gate.stop();
    let last = body.next().await.unwrap().unwrap();
    assert!(last.starts_with(b"data: {\"error\":"), "{last:?}");
    assert_eq!(body.next().await, Some(Err(exchange::Cut)));
    assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "the approval is cancelled");
}
