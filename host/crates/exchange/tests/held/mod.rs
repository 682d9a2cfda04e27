//! What waits for a person: what an approval is for, and what is kept of what never got one (threats, section 6).

mod streams;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use exchange::{
    Limits,
    ports::{Ended, PolicySet, RulingState},
};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Method, Request, StatusCode};
use model::{
    Caller, Digest, Direction, EndpointRule, Entry, FailureMode, Family, Mode, Outcome, Scope, View,
    record::Request as Kept,
};

use crate::{
    FINISH, SSE, answer, closed, event,
    rig::{Does, Holder, Rig, Setting, TestPolicy, chat, policy, read, set},
};

fn asking() -> Setting {
    let policies = vec![policy("10-mask", Does::Mask("secret", "[X]")), policy("30-approve", Does::Ask("delete"))];
    Setting { policies, ..Setting::default() }
}

/// The requests that are on record.
fn kept(rig: &Rig) -> Vec<Kept> {
    let entries = rig.entries.lock().unwrap();
    let requests = entries.iter().filter_map(|entry| match entry {
        Entry::Request(request) => Some(request.clone()),
        _ => None,
    });
    requests.collect()
}

/// What an approval of this request would be bound to.
async fn bound(rig: &Rig, method: Method, uri: &str, headers: &[(&str, &str)], body: String) -> Digest {
    let mut request = Request::builder().method(method).uri(uri).header("host", "gate");
    for (name, value) in [("authorization", "Bearer good"), ("content-type", "application/json")].iter().chain(headers)
    {
        request = request.header(*name, *value);
    }
    let body: exchange::Incoming = Box::pin(futures_util::stream::iter([Ok(body.into())]));
    assert_eq!(rig.carry(request.body(body).unwrap()).await.status(), StatusCode::FORBIDDEN);
    rig.bound.lock().unwrap().pop().expect("it was asked about")
}

/// Headers that tracers and load balancers make anew for each request.
const ANEW: [&str; 14] = [
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "cf-ray",
    "b3",
    "x-b3-traceid",
    "x-b3-sampled",
    "x-datadog-trace-id",
    "x-datadog-sampling-priority",
    "sentry-trace",
    "baggage",
    "x-correlation-id",
    "x-client-request-id",
    "x-request-id",
    "idempotency-key",
];

#[tokio::test]
async fn an_approval_is_bound_to_all_that_goes_up() {
    const CHAT: &str = "/v1/chat/completions";
    let rig = Rig::new(asking());
    let post = |uri, headers| bound(&rig, Method::POST, uri, headers, chat("delete it", false));
    let first = post(CHAT, &[("user-agent", "sdk/1"), ("openai-beta", "a")]).await;
    assert_eq!(first, post(CHAT, &[("openai-beta", "a"), ("user-agent", "sdk/1")]).await, "in whatever order");
    let again =
        [("user-agent", "sdk/1"), ("openai-beta", "a"), ("x-stainless-retry-count", "1"), ("traceparent", "00-1-2-01")];
    assert_eq!(first, post(CHAT, &again).await, "what SDKs change when they try again");
    let traced = ANEW.map(|name| [("user-agent", "sdk/1"), ("openai-beta", "a"), (name, "1")]);
    for traced in &traced {
        assert_eq!(first, post(CHAT, traced).await, "what tracers and load balancers make anew: {traced:?}");
    }
    let others = [
        post(CHAT, &[("user-agent", "sdk/1"), ("openai-beta", "a"), ("b3x", "1")]).await,
        post(CHAT, &[("user-agent", "sdk/2"), ("openai-beta", "a")]).await,
        post(CHAT, &[("user-agent", "sdk/1"), ("openai-beta", "b")]).await,
        post(CHAT, &[("user-agent", "sdk/1"), ("openai-beta", "a"), ("openai-beta", "a")]).await,
        post(CHAT, &[("user-agent", "sdk/1")]).await,
        post("/v1/chat/completions?x=1", &[("user-agent", "sdk/1"), ("openai-beta", "a")]).await,
        bound(&rig, Method::POST, CHAT, &again, chat("delete it!", false)).await,
    ];
    assert!(!others.contains(&first), "{others:?}");

    let elsewhere = Rig::new(Setting { base_path: "/other", ..asking() });
    assert_ne!(first, bound(&elsewhere, Method::POST, CHAT, &again, chat("delete it", false)).await, "the connection");
    rig.publish.send(set(2, asking().policies)).unwrap();
    assert_ne!(first, post(CHAT, &again).await, "the policy set");
}

#[tokio::test]
async fn an_approval_is_bound_to_who_asks_and_to_what_is_done_where() {
    let rule = EndpointRule {
        path: "/*".into(),
        methods: ["POST", "PUT"].map(str::to_owned).to_vec(),
        views: vec![View::Json],
    };
    let asked = async |issuer: &str, subject: &str, method: Method, path: &str| {
        let caller = Caller { issuer: issuer.into(), subject: subject.into(), ..Caller::default() };
        let holder = Holder { caller: caller.into(), ..Holder::new(Scope::on(["openai"])) };
        let rig = Rig::new(Setting { holder, family: Family::Http, endpoints: vec![rule.clone()], ..asking() });
        bound(&rig, method, path, &[], r#"{"do":"delete it"}"#.to_owned()).await
    };
    let first = asked("idp", "ann", Method::POST, "/all").await;
    assert_eq!(first, asked("idp", "ann", Method::POST, "/all").await);
    for (what, other) in [
        ("another caller", asked("idp", "bob", Method::POST, "/all").await),
        ("one of that name of another issuer", asked("idp2", "ann", Method::POST, "/all").await),
        ("where one name ends and the next begins", asked("idpa", "nn", Method::POST, "/all").await),
        ("another method", asked("idp", "ann", Method::PUT, "/all").await),
        ("another path", asked("idp", "ann", Method::POST, "/none").await),
    ] {
        assert_ne!(first, other, "{what}");
    }
}

#[tokio::test]
async fn a_request_that_was_not_approved_is_on_record_as_it_was_masked() {
    for state in [RulingState::Denied, RulingState::Expired, RulingState::Cancelled] {
        for stream in [false, true] {
            let rig = Rig::new(Setting { ruling: Some(state), content_type: SSE, ..asking() });
            read(rig.ask("delete the secret", stream).await).await;
            let kept = kept(&rig);
            assert_eq!(kept.len(), 1, "{state:?}");
            let body = String::from_utf8(kept[0].body.clone()).unwrap();
            assert!(body.contains("delete the [X]") && !kept[0].forwarded, "{body}");
        }
    }
    let pending = Limits { approval_wait: Duration::from_millis(10), ..Limits::default() };
    let rig = Rig::new(Setting { ruling: None, limits: pending, ..asking() });
    assert!(read(rig.ask("delete it", false).await).await.0.contains("approval_pending"));
    assert_eq!(kept(&rig).len(), 1, "left open");
}

#[tokio::test]
async fn who_decides_is_shown_of_the_head_what_is_bound_and_goes_up() {
    let rig = Rig::new(asking());
    let headers = [("x-run-as", "root"), ("x-run-as", "admin"), ("traceparent", "00-1-2-01"), ("cookie", "a=b")];
    let target = "/v1/chat/completions?force=true&cascade=1";
    bound(&rig, Method::POST, target, &headers, chat("delete it", false)).await;
    let head = rig.shown_heads.lock().unwrap().pop().unwrap();
    assert_eq!((head.direction, head.method.as_str(), head.target.as_str()), (Direction::Request, "POST", target));
    let mut told: Vec<_> = head.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
    told.sort_by_key(|(name, _)| *name);
    assert_eq!(told, [("content-type", "application/json"), ("x-run-as", "root"), ("x-run-as", "admin")]);
}

#[tokio::test]
async fn all_questions_about_a_request_are_asked_before_anybody_waits() {
    let policies = || vec![policy("30-approve", Does::Ask("delete")), policy("31-approve", Does::Ask("it"))];
    let limits = Limits { approval_wait: Duration::ZERO, ..Limits::default() };
    let rig = Rig::new(Setting { ruling: None, limits, policies: policies(), ..Setting::default() });
    let (body, _) = read(rig.ask("delete it", false).await).await;
    assert!(body.contains("approval_pending") && body.contains("waits for approvals "), "{body}");
    assert_eq!(rig.bound.lock().unwrap().len(), 2);
    let held = |rig: &Rig| rig.entries.lock().unwrap().iter().filter(|entry| matches!(entry, Entry::Held(_))).count();
    assert_eq!(held(&rig), 2);

    let mut rig =
        Rig::new(Setting { ruling: Some(RulingState::Approved), limits, policies: policies(), ..Setting::default() });
    rig.say(&answer("done"));
    rig.hang_up();
    assert_eq!(rig.ask("delete it", false).await.status(), StatusCode::OK, "decided already: no wait is too short");
    let decided = |entry: &&Entry| matches!(entry, Entry::Decided(_));
    assert_eq!((held(&rig), rig.entries.lock().unwrap().iter().filter(decided).count()), (2, 2));
}

#[tokio::test]
async fn a_request_whose_caller_went_away_or_was_revoked_is_on_record_too() {
    let rig = Rig::new(Setting { ruling: None, ..asking() });
    let mut exchange = Box::pin(rig.ask("delete the secret", false));
    for _ in 0..10 {
        assert!(exchange.as_mut().now_or_never().is_none(), "it waits");
        tokio::task::yield_now().await;
    }
    assert_eq!(kept(&rig).len(), 0, "not yet: it may still go on");
    drop(exchange);
    assert_eq!((kept(&rig).len(), kept(&rig)[0].forwarded), (1, false));

    let holder = Holder::new(Scope::on(["openai"]));
    let rig = Rig::new(Setting { ruling: None, holder: holder.clone(), ..asking() });
    let mut exchange = Box::pin(rig.ask("delete the secret", false));
    assert!(exchange.as_mut().now_or_never().is_none());
    holder.lease.end(Ended::revoked("offboarded"));
    assert_eq!(exchange.await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((kept(&rig).len(), kept(&rig)[0].forwarded), (1, false));
}

#[tokio::test]
async fn a_request_that_was_approved_is_on_record_once() {
    let mut rig = Rig::new(Setting { ruling: Some(RulingState::Approved), ..asking() });
    rig.say(&answer("done"));
    rig.hang_up();
    assert_eq!(rig.ask("delete the secret", false).await.status(), StatusCode::OK);
    assert_eq!((kept(&rig).len(), kept(&rig)[0].forwarded), (1, true));
}

#[tokio::test]
async fn a_whole_answer_that_waited_in_vain_is_denied_and_its_question_taken_back() {
    let limits = Limits { approval_wait: Duration::from_millis(10), ..Limits::default() };
    let mut rig = Rig::new(Setting { ruling: None, limits, ..asking() });
    rig.say(&answer("I delete it"));
    rig.hang_up();
    let response = rig.ask("do what you think is right", false).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let (body, _) = read(response).await;
    assert!(body.contains("approval_expired") && body.contains("the answer is not kept"), "{body}");
    assert!(!body.contains("approval_pending") && !body.contains("I delete it"), "{body}");
    assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "nobody decides about what can't come any more");
}

#[tokio::test]
async fn a_whole_answer_that_is_approved_in_time_passes() {
    let mut rig = Rig::new(Setting { ruling: Some(RulingState::Approved), ..asking() });
    rig.say(&answer("I delete it"));
    rig.hang_up();
    assert_eq!(read(rig.ask("do it", false).await).await.0, answer("I delete it"));
}

#[tokio::test]
async fn a_streamed_answer_waits_for_as_long_as_its_question_is_open() {
    let limits = Limits { approval_wait: Duration::ZERO, heartbeat: Duration::from_millis(5), ..Limits::default() };
    let rig = Rig::new(Setting { ruling: None, limits, content_type: SSE, ..asking() });
    rig.say(&event("I delete it"));
    let mut body = rig.ask("do it", true).await.into_body();
    for _ in 0..3 {
        let beat = futures_util::StreamExt::next(&mut body).await.unwrap().unwrap();
        assert!(beat.starts_with(b": waiting for approval "), "{beat:?}");
    }
    assert_eq!(rig.cancelled.load(Ordering::Relaxed), 0);
}

/// The policies that ask, and this one.
fn asking_and(one: TestPolicy) -> Arc<PolicySet> {
    set(2, asking().policies.into_iter().chain([one]).collect())
}

/// An answer that is held for a person, who never decides.
async fn held(stream: bool) -> (Rig, BoxFuture<'static, (String, bool)>) {
    held_at("do it", stream).await
}

/// The same of the request, where this is asked about.
async fn held_at(prompt: &str, stream: bool) -> (Rig, BoxFuture<'static, (String, bool)>) {
    let heartbeat = Limits { heartbeat: Duration::from_millis(5), ..Limits::default() };
    let content_type = if stream { SSE } else { "application/json" };
    let mut rig = Rig::new(Setting { ruling: None, limits: heartbeat, content_type, ..asking() });
    rig.say(&if stream { event("I delete it") } else { answer("I delete it") });
    rig.hang_up();
    let gate = Arc::clone(&rig.gate);
    let request = Request::post("/v1/chat/completions")
        .header("host", "gate")
        .header("authorization", "Bearer good")
        .header("content-type", "application/json");
    let body: exchange::Incoming = Box::pin(futures_util::stream::iter([Ok(chat(prompt, stream).into())]));
    let request = request.body(body).unwrap();
    let mut told = async move { read(exchange::carry(gate, request).await).await }.boxed();
    while rig.shown.lock().unwrap().is_empty() {
        assert!((&mut told).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    (rig, told)
}

#[tokio::test]
async fn an_answer_that_is_held_does_not_leave_under_policies_that_changed() {
    for stream in [false, true] {
        let changes = [
            (set(2, vec![policy("00-lockdown", Does::Lockdown)]), "no traffic here"),
            (asking_and(policy("20-mask", Does::Mask("I", "[Y]"))), "policies_changed"),
        ];
        for (changed, reason) in changes {
            let (rig, told) = held(stream).await;
            rig.publish.send(changed).unwrap();
            let (told, cut) = tokio::time::timeout(Duration::from_secs(5), told).await.expect("at once");
            assert!(told.contains(reason) && !told.contains("I delete it") && cut == stream, "{told}");
            assert_eq!(closed(&rig).0, Outcome::Blocked);
            assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "the question is taken back");
        }
        let (rig, mut told) = held(stream).await;
        rig.publish.send(asking_and(on_another_connection())).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(30), &mut told).await.is_err(), "it is held still");
    }
}

/// How questions ended that are on record, and whether by the lockdown.
fn decided(rig: &Rig) -> Vec<(String, bool)> {
    let entries = rig.entries.lock().unwrap();
    let decided = entries.iter().filter_map(|entry| match entry {
        Entry::Decided(decided) => Some((decided.state.to_string(), decided.reason.contains("00-lockdown"))),
        _ => None,
    });
    decided.collect()
}

#[tokio::test]
async fn a_request_that_is_held_hears_of_policies_that_changed() {
    for stream in [false, true] {
        let (rig, told) = held_at("delete the secret", stream).await;
        rig.publish.send(set(2, vec![policy("00-lockdown", Does::Lockdown)])).unwrap();
        let (told, _) = tokio::time::timeout(Duration::from_secs(5), told).await.expect("at once");
        assert!(told.contains("no traffic here"), "{told}");
        assert_eq!((closed(&rig).0, rig.cancelled.load(Ordering::Relaxed)), (Outcome::Blocked, 1));
        assert_eq!((kept(&rig).len(), kept(&rig)[0].forwarded), (1, false));
        assert_eq!(decided(&rig), [("cancelled".to_owned(), true)]);

        // It is judged anew, and asked about as it would go on now.
        let (rig, mut told) = held_at("delete the secret", stream).await;
        rig.publish.send(asking_and(policy("20-mask", Does::Mask("the", "[Y]")))).unwrap();
        while rig.shown.lock().unwrap().len() < 2 {
            assert!((&mut told).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        assert!(rig.shown.lock().unwrap()[1].contains("delete [Y] [X]"));
        assert_eq!(rig.cancelled.load(Ordering::Relaxed), 1, "the first question is taken back");

        let (rig, mut told) = held_at("delete the secret", stream).await;
        rig.publish.send(asking_and(on_another_connection())).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(30), &mut told).await.is_err(), "it is held still");
        assert_eq!((rig.shown.lock().unwrap().len(), rig.cancelled.load(Ordering::Relaxed)), (1, 0));
    }
}

fn on_another_connection() -> TestPolicy {
    let mut lockdown = policy("00-lockdown", Does::Lockdown);
    lockdown.info.connections = vec!["another".into()];
    lockdown
}

#[tokio::test]
async fn what_is_asked_about_a_header_is_asked_before_it_is_said() {
    let headers = vec![("openai-note", "delete")];
    for (ruling, passes) in [(RulingState::Approved, true), (RulingState::Denied, false)] {
        let mut rig =
            Rig::new(Setting { ruling: Some(ruling), headers: headers.clone(), content_type: SSE, ..asking() });
        rig.say(&event("fine"));
        rig.say(FINISH);
        rig.hang_up();
        let response = rig.ask("do it", true).await;
        assert!(!response.headers().contains_key("openai-note"), "the stream has a head of its own");
        let (told, cut) = read(response).await;
        assert!(told.starts_with(": waiting for approval "), "{told}");
        assert_eq!((told.contains("fine"), cut), (passes, !passes), "{told}");
        let mut whole = Rig::new(Setting { ruling: Some(ruling), headers: headers.clone(), ..asking() });
        whole.say(&answer("fine"));
        whole.hang_up();
        assert_eq!(whole.ask("do it", false).await.headers().contains_key("openai-note"), passes);
    }
}

#[tokio::test]
async fn what_was_asked_as_a_policy_was_opened_is_put_also_where_its_failures_are_let_pass() {
    for (mode, asks) in [(Mode::Enforce, true), (Mode::Shadow, false)] {
        let mut failing = policy("30-approve", Does::OweAndFail("pass"));
        (failing.info.mode, failing.info.on_failure) = (mode, FailureMode::Open);
        let mut rig = Rig::new(Setting { policies: vec![failing], ..Setting::default() });
        rig.say(&answer("fine"));
        rig.hang_up();
        let status = rig.ask("hi", false).await.status();
        assert_eq!(status == StatusCode::FORBIDDEN, asks, "{status}");
        assert_eq!(rig.shown.lock().unwrap().len(), usize::from(asks));
    }
}
