//! Tokens and revocations over the control API.

use std::time::Duration;

use exchange::ports::{Credential, Identified, Presented, Unidentified};
use identity::{Admission, Issue, Issued};
use model::{Scope, TokenId};

use super::*;

impl Rig {
    async fn issue(&self, subject: &str) -> Issued {
        self.issue_by("idp", subject).await
    }

    async fn issue_by(&self, issuer: &str, subject: &str) -> Issued {
        let issue = Issue {
            id: TokenId::new(),
            caller: Caller { subject: subject.to_owned(), issuer: issuer.to_owned(), ..Caller::default() }.into(),
            scope: Scope::on(["openai"]),
            lifetime: Duration::from_secs(900),
            by: "grant".to_owned(),
            certificate: None,
            proven_ms: None,
            origin: None,
        };
        self.control.registry.issue(issue).await.unwrap()
    }

    fn identify(&self, token: &str) -> Result<Identified, Unidentified> {
        self.control.registry.identify(Presented { credential: token, certificate: None })
    }
}

#[tokio::test]
async fn a_token_is_shown_and_never_told() {
    let rig = Rig::new();
    let issued = rig.issue("ann").await;
    let list = rig.get("/v1/tokens").await;
    assert_eq!(list.json()["tokens"][0]["caller"]["subject"], "ann");
    assert!(!list.text.contains(&issued.token) && !list.text.contains(&issued.facts.digest.to_string()));
    let shown = rig.get(&format!("/v1/tokens/{}", issued.facts.id)).await.json();
    assert_eq!((shown["id"].as_str(), &shown["revoked"]), (Some(&*issued.facts.id.0.to_string()), &Value::Null));
    assert_eq!(rig.get(&format!("/v1/tokens/{}", ExchangeId::new())).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_revocation_is_tried_dry_then_done_then_lifted() {
    let rig = Rig::new();
    let (ann, bob) = (rig.issue("ann").await, rig.issue("bob").await);
    let running = rig.identify(&ann.token).ok().unwrap();
    let body = |dry| {
        let target = r#"{"caller":{"issuer":"idp","subject":"ann"}}"#;
        format!(r#"{{"target":{target},"reason":"offboarded","by":"carol","dry_run":{dry}}}"#)
    };
    let dry = rig.post("/v1/revoke", &body(true)).await.json();
    assert_eq!((dry["tokens"].as_u64(), dry["streams"].as_u64(), &dry["dry_run"]), (Some(1), Some(1), &true.into()));
    assert!(running.lease.ended().is_none() && rig.identify(&ann.token).is_ok(), "a dry run changes nothing");

    let done = rig.post("/v1/revoke", &body(false)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!((done.json()["tokens"].as_u64(), done.json()["streams"].as_u64()), (Some(1), Some(1)));
    assert!(running.lease.ended().is_some() && rig.identify(&ann.token).is_err() && rig.identify(&bob.token).is_ok());
    let shown = rig.get(&format!("/v1/tokens/{}", ann.facts.id)).await.json();
    assert_eq!((&shown["revoked"]["reason"], &shown["revoked"]["by"]), (&"offboarded".into(), &"carol".into()));

    let list = rig.get("/v1/revocations").await.json();
    let target = list["revocations"][0]["target"].to_string();
    let lift = format!(r#"{{"target":{target},"reason":"a mistake"}}"#);
    assert_eq!(rig.post("/v1/lift", &lift).await.status, StatusCode::OK);
    assert!(rig.identify(&ann.token).is_ok());
    assert_eq!(rig.post("/v1/lift", &lift).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_kind_of_target_is_understood() {
    let rig = Rig::new();
    let token = rig.issue("ann").await;
    let (recorded, _) = rig.record();
    rig.control.store.settle().await.unwrap();
    let digest = token.facts.digest;
    for target in [
        format!(r#"{{"token":"{}"}}"#, token.facts.id),
        format!(r#"{{"sha256":"{digest}"}}"#),
        r#"{"caller":{"subject":"ci"}}"#.to_owned(),
        format!(r#"{{"session":"{recorded}"}}"#),
        r#"{"connection":"openai"}"#.to_owned(),
        r#"{"issuer":"idp"}"#.to_owned(),
        r#"{"everything":true}"#.to_owned(),
    ] {
        let body = format!(r#"{{"target":{target},"issued_before_ms":1,"dry_run":true}}"#);
        let answer = rig.post("/v1/revoke", &body).await;
        assert_eq!((answer.status, answer.json()["streams"].as_u64()), (StatusCode::OK, Some(0)), "{target}");
    }
    let session = rig.post("/v1/revoke", &format!(r#"{{"target":{{"session":"{recorded}"}}}}"#)).await.json();
    assert_eq!(session["target"]["session"]["subject"], "ann", "the record knows whose it was: {session}");
    // A static token is a caller like any other.
    let presented = || Admission {
        credential: Credential::Static,
        digest: Digest([9; 32]),
        twin: None,
        caller: Caller { subject: "ci".to_owned(), issuer: identity::STATIC_ISSUER.to_owned(), ..Caller::default() }
            .into(),
        scope: Arc::new(Scope::on(["openai"])),
        issued_ms: None,
        expires_ms: None,
    };
    assert!(rig.control.registry.admit(presented()).is_ok());
    assert_eq!(rig.post("/v1/revoke", r#"{"target":{"caller":{"subject":"ci"}}}"#).await.status, StatusCode::OK);
    assert!(rig.control.registry.admit(presented()).is_err());
}

#[tokio::test]
async fn an_order_that_can_be_meant_in_two_ways_is_refused() {
    let rig = Rig::new();
    let token = rig.issue("ann").await;
    let unknown = format!(r#"{{"target":{{"token":"{}"}}}}"#, ExchangeId::new());
    let long = format!(r#"{{"target":{{"everything":true}},"reason":"{}"}}"#, "x".repeat(5000));
    for (body, status) in [
        (r#"{"target":{}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"everything":false}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"issuer":"idp","everything":true}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"token":"x"}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"sha256":"abc"}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"user":"ann"}}"#, StatusCode::BAD_REQUEST),
        (r#"{"target":{"everything":true},"dryrun":true}"#, StatusCode::BAD_REQUEST),
        (&unknown, StatusCode::NOT_FOUND),
        (&long, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rig.post("/v1/revoke", body).await.status, status, "{body}");
    }
    assert!(rig.identify(&token.token).is_ok(), "none of them did anything");
    assert_eq!(rig.get("/v1/revoke").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_name_that_means_nobody_is_refused_with_the_names_that_are_known() {
    let rig = Rig::new();
    for (target, told) in [
        (r#"{"caller":{"subject":"ann@x"}}"#, "`token|ci`; somebody whom an issuer vouches for is `idp|ann@x`"),
        (r#"{"caller":{"issuer":"idp/","subject":"ann"}}"#, "`token`, `idp`"),
        (r#"{"caller":{"issuer":"token","subject":"cx"}}"#, "`ci`"),
        (r#"{"connection":"opnai"}"#, "`openai`"),
        (r#"{"issuer":"idp/"}"#, "`token`, `idp`"),
    ] {
        for dry_run in [true, false] {
            let answer = rig.post("/v1/revoke", &format!(r#"{{"target":{target},"dry_run":{dry_run}}}"#)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{}", answer.text);
        }
        let insisted = rig.post("/v1/revoke", &format!(r#"{{"target":{target},"unknown":true}}"#)).await;
        assert_eq!(insisted.status, StatusCode::OK, "ahead of time: {target}");
    }
    assert_eq!(rig.control.registry.revocations().len(), 5);
}

#[tokio::test]
async fn a_bare_name_means_whoever_it_can_only_mean() {
    let rig = Rig::new();
    let bob = rig.issue("bob").await;
    let revoke = async |subject: &str| {
        rig.post("/v1/revoke", &format!(r#"{{"target":{{"caller":{{"subject":"{subject}"}}}}}}"#)).await
    };
    let told = revoke("bob").await;
    assert_eq!(told.json()["target"]["caller"]["issuer"], bob.facts.caller.issuer.as_str(), "{}", told.text);
    assert!(rig.identify(&bob.token).is_err());
    assert_eq!(revoke("bob").await.json()["already"], true, "the same again");

    let ci = rig.issue("ci").await;
    let told = revoke("ci").await;
    assert_eq!((told.status, &told.json()["code"]), (StatusCode::CONFLICT, &"ambiguous".into()));
    let detail = told.json()["detail"].as_str().unwrap().to_owned();
    let exact = format!("{}|ci", ci.facts.caller.issuer);
    assert!(detail.contains("`token|ci`") && detail.contains(&exact), "{detail}");
    assert!(rig.identify(&ci.token).is_ok(), "nothing was done");
}

#[tokio::test]
async fn a_bare_name_that_nobody_has_means_one_of_the_only_issuer_or_nobody() {
    let mut rig = Rig::new();
    let insist = async |rig: &Rig| {
        rig.post("/v1/revoke", r#"{"target":{"caller":{"subject":"mallory"}},"unknown":true,"dry_run":true}"#).await
    };
    assert_eq!(insist(&rig).await.json()["target"]["caller"]["issuer"], "idp");
    let _bob = rig.issue_by("another", "bob").await;
    let told = insist(&rig).await;
    assert_eq!((told.status, &told.json()["code"]), (StatusCode::CONFLICT, &"ambiguous".into()));
    assert!(told.text.contains("`another|mallory`, `idp|mallory`") && !told.text.contains("token|"), "{}", told.text);
    rig = Rig::new();
    Arc::get_mut(&mut rig.control).unwrap().names.issuers.clear();
    let told = insist(&rig).await;
    assert_eq!((told.status, &told.json()["code"]), (StatusCode::NOT_FOUND, &"unknown_caller".into()));
    assert!(told.text.contains("`token|mallory`"), "how to name one to come: {}", told.text);
}

#[tokio::test]
async fn whoever_holds_a_token_of_an_issuer_that_is_no_more_can_be_named() {
    let rig = Rig::new();
    let bob = rig.issue_by("gone", "bob").await;
    for target in [r#"{"issuer":"gone"}"#, r#"{"caller":{"issuer":"gone","subject":"bob"}}"#] {
        let told = rig.post("/v1/revoke", &format!(r#"{{"target":{target},"dry_run":true}}"#)).await;
        assert_eq!((told.status, told.json()["tokens"].as_u64()), (StatusCode::OK, Some(1)), "{}", told.text);
    }
    assert_eq!(rig.post("/v1/revoke", r#"{"target":{"issuer":"gone"}}"#).await.status, StatusCode::OK);
    assert!(rig.identify(&bob.token).is_err());
}

#[tokio::test]
async fn a_control_log_that_has_failed_is_told_with_the_way_out() {
    let rig = Rig::new();
    assert!(rig.get("/readyz?verbose").await.text.contains("[+] control log ok"));
    std::fs::remove_dir_all(rig.dir.path().join("store/control")).unwrap();
    let order = r#"{"target":{"caller":{"issuer":"idp","subject":"ann"}},"reason":"left","by":"carol","unknown":true}"#;
    for _ in 0..2 {
        let refused = rig.post("/v1/revoke", order).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, Some("not_kept"))
        );
        assert!(refused.text.contains("restart it, then give the order again"), "{}", refused.text);
    }
    let ready = rig.get("/readyz?verbose").await;
    assert!(ready.text.contains("[-] control log can't write") && ready.text.contains("restart it"), "{}", ready.text);
    assert!(ready.text.contains("[+] store ok"), "{}", ready.text);
    let status = rig.get("/v1/status").await.json();
    assert!(status["store"]["status"]["control_failed"].is_string(), "{status}");
}
