//! A real provider: its tokens are taken; its keys rotate and nobody is refused; it goes away and comes back; clocks
//! differ by a day.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod rig;

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::{Fault, Freshness};
use openid_provider::{AUDIENCE, Provider};
use rig::{Clock, keep, now};
use serde_json::json;

const NOWHERE: &str = "http://127.0.0.1:1/oauth/callback";
const DAY: i64 = 86_400;

/// As short as a test can wait for; the proportions are those of the defaults.
fn quick() -> Freshness {
    Freshness {
        interval: Duration::from_millis(500),
        refresh: Duration::from_secs(2),
        stale_after: Duration::from_secs(4),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workloads_token_is_taken_as_it_is() {
    let provider = Provider::start(NOWHERE, 0).await;
    let issuers = keep([rig::terms(&provider)], &Clock::default());
    let verified = issuers.verify(&provider.token().await).await.unwrap();
    assert_eq!(verified.caller.issuer, provider.issuer);
    assert_eq!(verified.caller.subject, "ci");
    assert_eq!(verified.caller.groups, ["builders"]);
    assert_eq!(verified.expires, verified.issued + 300);

    let mut elsewhere = rig::terms(&provider);
    elsewhere.audiences = vec!["urn:other".into()];
    let issuers = keep([elsewhere], &Clock::default());
    assert_eq!(issuers.verify(&provider.token().await).await.unwrap_err(), Fault::Audience);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_no_request_fails() {
    let mut provider = Provider::start(NOWHERE, 0).await;
    let mut terms = rig::terms(&provider);
    terms.freshness = quick();
    let since = Instant::now();
    let issuers = keep([terms], &Clock::default());
    let mut kids = std::collections::BTreeSet::new();
    for turn in 0..12 {
        if turn % 2 == 1 {
            // At once: nobody had the time to fetch the new key before it signs.
            kids.insert(provider.tell("rotate").await["kid"].to_string());
        }
        if turn == 8 {
            provider.tell("retire").await;
        }
        let token = provider.token().await;
        let all = (0..8).map(|_| issuers.verify(&token));
        for verified in futures_util::future::join_all(all).await {
            verified.unwrap_or_else(|fault| panic!("turn {turn}: {fault}"));
        }
    }
    assert_eq!(kids.len(), 6);
    let fetches = fetches_of_keys(&mut provider).await;
    let most = 1 + since.elapsed().as_millis() / quick().interval.as_millis();
    assert!(fetches > 3 && fetches as u128 <= most, "{fetches} fetches, {most} intervals");
}

/// How often the provider was asked for its keys.
async fn fetches_of_keys(provider: &mut Provider) -> usize {
    let told = provider.tell("fetches").await;
    told["fetches"].as_array().unwrap().iter().filter(|fetch| fetch["path"] == "/jwks").count()
}

/// A token that passes every check but the last ones: its key is one that nobody has.
fn forged(issuer: &str, kid: usize) -> String {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = json!({"alg": "ES256", "kid": format!("unknown-{kid}")});
    let claims = json!({"iss": issuer, "sub": "ci", "aud": AUDIENCE, "iat": now(), "exp": now() + 60});
    format!("{}.{}.{}", encode(header.to_string()), encode(claims.to_string()), URL_SAFE_NO_PAD.encode([7; 64]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_fetches_no_more_often_and_harms_nobody() {
    let mut provider = Provider::start(NOWHERE, 0).await;
    let mut terms = rig::terms(&provider);
    terms.freshness = Freshness { interval: Duration::from_secs(1), ..Freshness::default() };
    let issuers = keep([terms], &Clock::default());
    let good = provider.token().await;
    issuers.verify(&good).await.unwrap();
    let since = Instant::now();
    let flood: Vec<String> = (0..1500).map(|kid| forged(&provider.issuer, kid)).collect();
    let flood = futures_util::future::join_all(flood.iter().map(|token| issuers.verify(token)));
    let honest = async {
        for _ in 0..200 {
            issuers.verify(&good).await.unwrap();
        }
    };
    let (refused, ()) = tokio::join!(flood, honest);
    let faults: Vec<Fault> = refused.into_iter().map(Result::unwrap_err).collect();
    assert!(faults.iter().all(|fault| matches!(fault, Fault::Key | Fault::Busy)), "{faults:?}");
    assert!(faults.contains(&Fault::Key) && faults.contains(&Fault::Busy), "who waits is counted");
    let fetches = fetches_of_keys(&mut provider).await;
    assert!(fetches as u64 <= 2 + since.elapsed().as_secs(), "{fetches} in {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_bridged_until_the_keys_are_stale_and_then_nothing_passes() {
    let mut provider = Provider::start(NOWHERE, 0).await;
    let mut terms = rig::terms(&provider);
    terms.freshness = quick();
    let issuers = keep([terms], &Clock::default());
    let token = provider.token().await;
    issuers.verify(&token).await.unwrap();
    provider.tell("stop").await;
    let since = Instant::now();
    let fault = loop {
        match issuers.verify(&token).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(fault) => break fault,
        }
        assert!(since.elapsed() < Duration::from_secs(60), "stale keys are believed for ever");
    };
    // They may have been fetched again just before the provider stopped, never later.
    assert!(since.elapsed() > Duration::from_secs(1), "cached keys bridge an outage");
    assert_eq!(fault, Fault::KeysStale);
    assert!(fault.passing());
    provider.tell("start").await;
    let since = Instant::now();
    while issuers.verify(&token).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "the provider is back and nobody asks it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_at_the_start_lets_nobody_in() {
    let mut provider = Provider::start(NOWHERE, 0).await;
    let token = provider.token().await;
    provider.tell("stop").await;
    let mut terms = rig::terms(&provider);
    terms.freshness = quick();
    let issuers = keep([terms], &Clock::default());
    assert_eq!(issuers.verify(&token).await.unwrap_err(), Fault::KeysStale);
    provider.tell("start").await;
    let since = Instant::now();
    while issuers.verify(&token).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "the provider is there and nobody asks it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_a_day() {
    let provider = Provider::start(NOWHERE, 0).await;
    let clock = Clock::default();
    let issuers = keep([rig::terms(&provider)], &clock);
    let token = provider.token().await;
    issuers.verify(&token).await.unwrap();
    clock.shift(DAY);
    assert_eq!(issuers.verify(&token).await.unwrap_err(), Fault::Expired);
    clock.shift(-DAY);
    assert_eq!(issuers.verify(&token).await.unwrap_err(), Fault::NotYet);
    clock.shift(0);
    issuers.verify(&token).await.unwrap();

    for (shift, fault) in [(DAY, Fault::NotYet), (-DAY, Fault::Expired)] {
        let provider = Provider::start(NOWHERE, shift).await;
        let issuers = keep([rig::terms(&provider)], &Clock::default());
        assert_eq!(issuers.verify(&provider.token().await).await.unwrap_err(), fault);
    }
}
