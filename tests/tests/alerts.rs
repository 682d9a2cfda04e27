//! What the host notices, from the first refused request to the receiver of the webhook: a real host, a receiver that
//! verifies with the reference library, a kill between the two.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::time::Duration;

use scenarios::rig::{Client, Host, Receiver, Setup, Upstream, json_head, request, samples, within};
use serde_json::{Value, json};

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSByaWcsIDMyIGJ5dGVzIGxvbmc=";
const OLD: &str = "whsec_YW5vdGhlciBvbmUsIHRoYXQgaXMgcm90YXRlZCBvdXQ=";
/// A credential that nobody issued. No part of it may be told to anybody.
const CANARY: &str = "canary-token-5d41402abc4b2a76b9719d911017c592";

async fn upstream() -> Upstream {
    Upstream::answering(|_| {
        let body = br#"{"id":"c","object":"chat.completion","model":"m","choices":[]}"#.to_vec();
        vec![json_head(200, body.len()), body]
    })
    .await
}

fn setup(receiver: &Receiver, rules: &str) -> Setup {
    let rules = if rules.is_empty() { String::new() } else { format!("rules = [{rules}]\n") };
    let webhook = format!(
        "[[webhook]]\nname = \"soc\"\nurl = \"{}\"\nsecret_file = [\"./new\", \"./old\"]\n{rules}",
        receiver.url()
    );
    let alerts = "[alerts]\nrefused_credentials = { count = 3, window = \"1m\" }\noff = [\"failed-approvals\"]\n";
    Setup::new().tables(alerts).tables(&webhook).file("new", SECRET).file("old", OLD)
}

async fn refused(host: &Host, times: usize) {
    let client = Client { token: CANARY.to_owned(), ..host.client() };
    for _ in 0..times {
        assert_eq!(client.whole(&request("hello", false)).await.0.status, 401);
    }
}

async fn until_alert(host: &Host, wanted: impl Fn(&Value) -> bool) -> Value {
    within("an alert", async {
        loop {
            let told = host.look("/v1/alerts").await;
            if let Some(alert) = told["alerts"].as_array().unwrap().iter().find(|alert| wanted(alert)) {
                return alert.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_that_is_used_still_is_told_signed_and_tried_again() {
    let upstream = upstream().await;
    let mut receiver = Receiver::start(OLD, &[500]).await;
    let host = setup(&receiver, "\"revoked-credentials\"").start(upstream.address).await;
    assert_eq!(host.cli().run(&["revoke", "--caller", "rig", "--reason", "INC-1", "--yes"]).code, Some(0));
    for _ in 0..3 {
        assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401);
    }
    let first = receiver.next().await;
    let second = receiver.next().await;
    for message in [&first, &second] {
        assert_eq!(message["verified"], true, "{message}");
        assert_eq!(message["signatures"].as_array().unwrap().len(), 2, "one for each secret");
    }
    assert_eq!((&first["status"], &second["status"]), (&500.into(), &200.into()));
    assert_eq!(
        (&first["id"], &first["body"]),
        (&second["id"], &second["body"]),
        "the receiver can tell it is the same"
    );
    let told: Value = serde_json::from_str(first["body"].as_str().unwrap()).unwrap();
    assert_eq!((&told["type"], &told["data"]["rule"]), (&"alert.raised".into(), &"revoked-credentials".into()));
    assert_eq!(told["data"]["subject"], json!({ "kind": "caller", "name": "rig" }), "whose it was");
    let line = host.logged(|line| line.contains("turned away")).await;
    for named in ["caller=\"token|rig\"", "credential=\"", "address=127.0.0.1"] {
        assert!(line.contains(named), "{named} is missing in: {line}");
    }

    let alert = until_alert(&host, |alert| alert["deliveries"][0]["state"].get("delivered").is_some()).await;
    assert_eq!((&alert["count"], &alert["deliveries"][0]["attempts"]), (&3.into(), &2.into()), "one alert: {alert}");
    assert_eq!(alert["id"], told["data"]["id"]);
    let id = alert["id"].as_str().unwrap();
    let listed = host.cli().json(&["alerts", "list", "--since", "1h"]);
    assert_eq!(listed["alerts"].as_array().unwrap().len(), 1, "{listed}");
    let seen = host.cli().json(&["alerts", "ack", id, "--reason", "known", "--by", "ann"]);
    assert_eq!(seen["acked"]["by"], "ann");
    let shown = host.cli().run(&["alerts", "show", id]);
    assert!(shown.stdout.contains("revoked-credentials") && shown.stdout.contains("ann: known"), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_not_told_is_told_after_a_kill_and_only_then() {
    let upstream = upstream().await;
    let mut receiver = Receiver::start(SECRET, &[302]).await;
    let mut host = setup(&receiver, "").start(upstream.address).await;
    refused(&host, 3).await;
    // Of the credential and of the address; the first attempt for one of them failed.
    let mut ids: Vec<String> = Vec::new();
    let failed = receiver.next().await;
    assert_eq!((&failed["status"], &failed["path"]), (&302.into(), &"/hook".into()));
    until_alert(&host, |alert| alert["deliveries"][0]["attempts"] == 1).await;
    host.kill9().await;
    let mut host = host.restart().await;
    while !ids.contains(&failed["id"].as_str().unwrap().to_owned()) {
        let message = receiver.next().await;
        assert_eq!(
            (&message["verified"], &message["path"]),
            (&true.into(), &"/hook".into()),
            "no redirect is followed"
        );
        assert!(!message["body"].as_str().unwrap().contains("canary"));
        ids.push(message["id"].as_str().unwrap().to_owned());
    }
    until_alert(&host, |alert| {
        failed["id"].as_str().unwrap().ends_with(&alert["id"].as_str().unwrap().replace('-', ""))
            && alert["deliveries"][0]["state"].get("delivered").is_some()
    })
    .await;
    refused(&host, 3).await;
    let told = host.look("/v1/alerts").await;
    assert_eq!(told["alerts"].as_array().unwrap().len(), 2, "they are open still, and no others: {told}");
    assert!(!told.to_string().contains("canary") && !host.log_text().contains("canary"));
    assert_eq!(host.stop().await, Some(0));
}

/// The value of a sample, 0 where there is none.
fn value(samples: &[Value], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Value| {
        sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][label] == **value)
    };
    samples.iter().filter(fits).map(|sample| sample["value"].as_f64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_counted_as_prometheus_reads_it() {
    let upstream = upstream().await;
    let settings = "[settings]\nwords = [\"launch codes\"]\n";
    let setup = Setup::new().policy("10-mask.wasm", "mask").policy_with("20-block.wasm", "block", settings);
    let host = setup.start(upstream.address).await;
    let before = samples(&host.metrics().await).await;
    assert_eq!(value(&before, "portcullis_exchanges_total", &[]), 0.0);
    for _ in 0..3 {
        assert_eq!(host.client().whole(&request("my ssn is 078-05-1120", false)).await.0.status, 200);
    }
    assert_eq!(host.client().whole(&request("the launch codes", false)).await.0.status, 403);
    refused(&host, 2).await;
    let after = within("the counts of what is over", async {
        loop {
            let now = samples(&host.metrics().await).await;
            if value(&now, "portcullis_exchanges_total", &[]) >= 4.0 {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let openai = ("connection", "openai");
    for (name, labels, wanted) in [
        ("portcullis_exchanges_total", &[openai, ("dialect", "openai-chat"), ("outcome", "completed")][..], 3.0),
        ("portcullis_exchanges_total", &[openai, ("outcome", "blocked")], 1.0),
        ("portcullis_exchanges_running", &[openai], 0.0),
        ("portcullis_exchange_seconds_count", &[openai], 4.0),
        ("portcullis_judge_seconds_count", &[openai, ("direction", "request")], 4.0),
        ("portcullis_record_seconds_count", &[openai], 3.0),
        ("portcullis_upstream_head_seconds_count", &[openai], 3.0),
        ("portcullis_upstream_answers_total", &[openai, ("status", "2xx")], 3.0),
        ("portcullis_policy_edits_total", &[("policy", "10-mask"), ("mode", "enforce")], 3.0),
        ("portcullis_policy_blocks_total", &[("policy", "20-block"), ("mode", "enforce")], 1.0),
        ("portcullis_requests_refused_total", &[("reason", "unknown_credential")], 2.0),
        ("portcullis_policy_set_generation", &[], 1.0),
        ("portcullis_policy_set_problems", &[], 0.0),
    ] {
        assert!((value(&after, name, labels) - wanted).abs() < 1e-9, "{name} {labels:?}: {after:#?}");
    }
    let text = host.metrics().await;
    assert!(!text.contains("rig") && !text.contains("canary"), "no caller is a label");
}
