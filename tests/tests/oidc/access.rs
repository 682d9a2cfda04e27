//! Access just in time: asked for, approved by another, used once.

use scenarios::rig::request;

use super::{
    rig::{Gate, talkative, text},
    user::{Person, User},
};

#[tokio::test(flavor = "multi_thread")]
async fn access_is_asked_for_approved_by_another_and_used_once() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let ci = User::of(&gate);
    let token = gate.provider.token().await;
    let mine = [("CI_TOKEN", token.as_str())];
    let issue = ["token", "issue", "--subject-env", "CI_TOKEN", "--grant", "night", "--lifetime", "1m"];
    let refused = ci.run_with(&issue, &mine).await;
    assert!(refused.code == Some(1) && refused.err.contains("portcullis access request"), "{}", refused.err);

    let ask = ["access", "request", "--subject-env", "CI_TOKEN", "--grant", "night", "--lifetime", "1m"];
    let asked = ci.json(&[&ask[..], &["--reason", "INC-4711"]].concat(), &mine).await;
    assert_eq!(text(&asked["state"]), "asked");
    let id = text(&asked["request_id"]);
    let own = gate.host.cli().run(&["access", "approve", id, "--by", "ci"]);
    assert!(own.code == Some(1) && own.stderr.contains("may not decide"), "{}", own.stderr);
    let listed = gate.host.cli().run(&["access", "list"]);
    assert!(listed.stdout.contains("INC-4711") && listed.stdout.contains("night"), "{}", listed.stdout);
    let decided = gate.host.cli().json(&["access", "approve", id, "--by", "lea", "--reason", "go"]);
    assert_eq!((text(&decided["state"]), text(&decided["decided"]["by"])), ("approved", "lea"));
    let stands = ci.json(&["access", "request", "--subject-env", "CI_TOKEN", "--id", id], &mine).await;
    assert_eq!((text(&stands["state"]), text(&stands["by"])), ("approved", "lea"));

    let issued = ci.json(&issue, &mine).await;
    assert_eq!(text(&issued["token_id"]), id);
    assert!(issued["expires_in"].as_u64().unwrap() <= 60, "no longer than was asked: {issued}");
    let caller = gate.host.caller(text(&issued["access_token"]));
    assert_eq!(caller.whole(&request("hello", false)).await.0.status, 200);
    assert_eq!(ci.run_with(&issue, &mine).await.code, Some(1), "an approval is good for one token");
    let all = gate.host.cli().json(&["access", "list", "--all"]);
    assert_eq!(text(&all["requests"][0]["state"]), "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_signed_in_asks_and_signs_in_again_for_what_was_approved() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let bob = User::of(&gate);
    let nobody = bob.run(&["access", "request", "--reason", "x"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("not signed in"), "{}", nobody.err);

    let login = bob.login(&["--reason", "first"]).await;
    Person::new(&gate).allow(&login.link, "bob").await;
    approve_all(&gate);
    assert_eq!(login.end().await.code, Some(0));

    let asked = bob.json(&["access", "request", "--reason", "second"], &[]).await;
    approve_all(&gate);
    let again = bob.sign_in(&gate, "bob", &["--json"]).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    let issued: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(issued["token_id"], asked["request_id"], "nobody is asked twice");
}

fn approve_all(gate: &Gate) {
    let open = gate.host.cli().json(&["access", "list"]);
    for request in open["requests"].as_array().unwrap() {
        gate.host.cli().json(&["access", "approve", text(&request["id"]), "--by", "lea"]);
    }
}
