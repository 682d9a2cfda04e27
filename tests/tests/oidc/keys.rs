//! The provider's keys change, and the provider goes away, while callers go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use openid_provider::AUDIENCE;
use scenarios::rig::{Setup, request, within};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use super::rig::{Gate, QUICK, talkative, text, until};

const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_running_requests_and_none_fails() {
    let upstream = talkative().await;
    let mut gate = Gate::with(Setup::new(), QUICK, &upstream).await;
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = tokio::sync::watch::channel(gate.provider.token().await);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (over, asked, tokens) = (Arc::clone(&over), Arc::clone(&asked), tokens.1.clone());
            let client = gate.host.caller("");
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let token = tokens.borrow().clone();
                    let mut caller = client.clone();
                    caller.token = token;
                    let (reply, body) = caller.whole(&request("hello", false)).await;
                    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&body));
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for turn in 0..4 {
        // The new key signs at once: nobody had the time to fetch it.
        gate.provider.tell("rotate").await;
        tokens.0.send_replace(gate.provider.token().await);
        let before = asked.load(Ordering::SeqCst);
        until("requests by the new key", || async { asked.load(Ordering::SeqCst) >= before + 2 * CALLERS }).await;
        if turn == 2 {
            gate.provider.tell("retire").await;
        }
    }
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_provider_is_away_too_long_its_tokens_are_refused_until_it_is_back() {
    let upstream = talkative().await;
    let mut gate = Gate::with(Setup::new(), QUICK, &upstream).await;
    let token = gate.provider.token().await;
    let issued = gate.token("").await;
    let (client, caller) = (gate.host.caller(&token), gate.host.caller(&issued));
    gate.provider.tell("stop").await;
    assert_eq!(client.whole(&request("hello", false)).await.0.status, 200, "its keys serve while they are fresh");
    let status = || async { client.whole(&request("hello", false)).await.0.status };
    until("stale keys", || async { status().await == 503 }).await;
    assert_eq!(status().await, 503);
    assert_eq!(caller.whole(&request("hello", false)).await.0.status, 200, "the gate's own tokens need no provider");
    let refused = gate.exchange(&token, "").await.unwrap_err();
    assert_eq!(text(&refused["error"]), "temporarily_unavailable");
    gate.provider.tell("start").await;
    until("fresh keys", || async { status().await == 200 }).await;
}

/// A token that passes every check but the last ones: its key is one that nobody has.
fn forged(issuer: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({ "alg": "ES256", "kid": "unknown" }));
    let claims = json!({ "iss": issuer, "sub": "ci", "aud": AUDIENCE, "iat": now + 20, "exp": now + 60 });
    format!("{head}.{}.{}", encode(claims), URL_SAFE_NO_PAD.encode([7; 64]))
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_a_share_of_the_places_and_no_more() {
    const PLACES: usize = 32;
    let upstream = talkative().await;
    let limits = format!("exchanges = {PLACES}\nclient_connections = {PLACES}");
    let gate = Gate::with(Setup::new().limits(&limits), "", &upstream).await.ready().await;
    let caller = gate.host.caller(&gate.token("").await);
    let waits = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
        forged(&gate.provider.issuer)
    );
    let form = "application/x-www-form-urlencoded";
    let begun = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: gate\r\ncontent-type: {form}\r\ncontent-length: 20\r\n\r\na")
    };
    let probes = [
        (waits, "a key is waited for"),
        (begun("/oauth/token"), "a form is begun"),
        (begun("/ssf/events"), "an event is begun"),
    ];
    for (probe, what) in probes {
        let mut strangers = Vec::new();
        for _ in 0..2 * PLACES {
            let mut stream = TcpStream::connect(caller.address).await.unwrap();
            stream.write_all(probe.as_bytes()).await.unwrap();
            strangers.push(stream);
        }
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(caller.whole(&request("hello", false)).await.0.status, 200, "{what}");
            gate.token("").await;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
        // All but those who wait are told to come again, and hold no connection any more.
        let mut answers = JoinSet::new();
        for mut stream in strangers {
            answers.spawn(async move {
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.map(|_| answer)
            });
        }
        for _ in 0..2 * PLACES - PLACES / 4 {
            let answer = within("an answer for each who does not wait", answers.join_next()).await;
            let answer = answer.unwrap().unwrap().unwrap();
            assert!(answer.starts_with("HTTP/1.1 503"), "{what}: {answer}");
        }
        assert!(answers.join_next().now_or_never().is_none(), "{what}: the others wait");
    }
}
