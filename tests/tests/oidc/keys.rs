//! The provider's keys change, and the provider goes away, while callers go on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use scenarios::rig::{Setup, request};

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
