//! Who gets what by which grant.

use serde_json::json;

use super::*;
use model::Caller;

fn verified(subject: &str, groups: &[&str], claims: Value) -> Verified {
    let Value::Object(claims) = claims else { panic!("not an object") };
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    Verified {
        caller: Caller { subject: subject.into(), issuer: "https://idp".into(), groups, claims: "{}".into() },
        claims,
        issued: 1,
        expires: 2,
        id: None,
        twin: None,
        certificate: None,
    }
}

fn grant(name: &str) -> Grant {
    Grant {
        name: name.into(),
        who: Who { issuer: "https://idp".into(), ..Who::default() },
        scope: Scope { models: vec!["gpt-4*".into(), "o3".into()], ..Scope::on(["openai", "local"]) },
        lifetime: LIFETIME,
        direct: false,
        bound: false,
        approval: None,
    }
}

fn ann() -> Verified {
    verified("ann", &["staff"], json!({"email_verified": true, "repo": ["acme/app", "acme/lib"], "level": 3}))
}

fn is(change: impl FnOnce(&mut Who)) -> bool {
    let mut who = Who { issuer: "https://idp".into(), ..Who::default() };
    change(&mut who);
    who.is(&ann())
}

fn claim(path: &str, values: &[&str]) -> (ClaimPath, Vec<String>) {
    (ClaimPath::read(path).unwrap(), values.iter().map(|&value| value.to_owned()).collect())
}

#[test]
fn all_that_a_grant_says_must_be_true() {
    assert!(is(|_| {}));
    assert!(!is(|who| who.issuer = "https://idp/".into()));
    assert!(!is(|who| who.issuer = "https://other".into()), "the same names of another issuer are others");
    assert!(is(|who| who.subjects = vec!["bob".into(), "an*".into()]));
    assert!(!is(|who| who.subjects = vec!["an".into(), "Ann".into(), "ann*x".into()]));
    assert!(is(|who| who.groups = vec!["admins".into(), "staff".into()]));
    assert!(!is(|who| who.groups = vec!["sta*".into()]), "a group is no pattern");
    assert!(is(
        |who| who.claims = vec![claim("repo", &["acme/*"]), claim("email_verified", &["true"]), claim("level", &["3"])]
    ));
    assert!(!is(|who| who.claims = vec![claim("repo", &["acme/*"]), claim("absent", &["*"])]));
    assert!(!is(|who| who.claims = vec![claim("repo", &["evil/*"])]));
}

#[test]
fn a_claim_says_texts_and_nothing_else() {
    let said = |value: Value| said(&value).collect::<Vec<_>>();
    assert_eq!(said(json!("a")), ["a"]);
    assert_eq!(said(json!(["a", 1, true, null, ["x"], {"y": 1}])), ["a", "1", "true"]);
    assert!(said(json!(null)).is_empty() && said(json!({"a": "b"})).is_empty());
}

#[test]
fn a_scope_is_the_same_in_whatever_order_it_is_asked() {
    let grants = Grants::new(vec![grant("day")]).unwrap();
    let scope = |wanted: Wanted| grants.choose(&ann(), &wanted).map(|(_, scope)| scope).unwrap();
    let first = scope(Wanted::read("connection:local connection:openai model:o3 model:gpt-4o").unwrap());
    let mut again = Wanted::read("model:gpt-4o connection:openai model:o3 connection:local").unwrap();
    again.connection("openai".into());
    assert_eq!(scope(again), first);
}

#[test]
fn a_token_is_never_more_than_its_grant() {
    let grants = Grants::new(vec![grant("day")]).unwrap();
    let scope = |text: &str| grants.choose(&ann(), &Wanted::read(text).unwrap()).map(|(_, scope)| scope);
    assert_eq!(scope(""), Ok(grant("day").scope));
    let narrow = scope("connection:openai model:gpt-4o operation:openai-chat grant:day").unwrap();
    assert_eq!(
        narrow,
        Scope {
            connections: vec!["openai".into()],
            models: vec!["gpt-4o".into()],
            operations: vec!["openai-chat".into()]
        }
    );
    assert!(scope("model:gpt-4o* model:o3").is_ok());
    for more in [
        "connection:other",
        "connection:openai connection:other",
        "connection:*",
        "model:*",
        "model:gpt-*",
        "model:o3*",
        "grant:night",
    ] {
        assert_eq!(scope(more), Err(NotGranted::TooMuch), "{more}");
    }
    let bob = verified("bob", &[], json!({}));
    let mut only_ann = grant("ann");
    only_ann.who.subjects = vec!["ann".into()];
    let grants = Grants::new(vec![only_ann]).unwrap();
    assert_eq!(grants.choose(&bob, &Wanted::default()).unwrap_err(), NotGranted::Nobody);
}

#[test]
fn a_scope_has_known_words_only() {
    for wrong in [
        "openid",
        "connection:",
        "connection",
        "model:a\"b",
        "model:a\\b",
        "grant:a grant:b",
        "tenant:x",
        "connection:é",
        "connection:a\tb",
    ] {
        assert_eq!(Wanted::read(wrong), None, "{wrong}");
    }
    assert_eq!(Wanted::read(&format!("model:{}", "x".repeat(5000))), None);
    assert_eq!(scope_words(&grant("g").scope), "connection:openai connection:local model:gpt-4* model:o3 operation:*");
    assert!(Wanted::read(&scope_words(&grant("g").scope)).is_some());
}

#[test]
fn a_grant_that_asks_nobody_comes_first() {
    let asks =
        Grant { approval: Some(Approval { approvers: vec!["boss".into()], timeout: LIFETIME }), ..grant("asks") };
    let narrow = Grant { scope: Scope::on(["local"]), ..grant("narrow") };
    let grants = Grants::new(vec![asks, narrow]).unwrap();
    let chosen = |text: &str| grants.choose(&ann(), &Wanted::read(text).unwrap()).unwrap().0.name.clone();
    assert_eq!(chosen("connection:local"), "narrow");
    assert_eq!(chosen("connection:openai"), "asks");
    assert_eq!(chosen("grant:asks"), "asks");
}

#[test]
fn only_a_direct_grant_takes_the_issuers_own_token() {
    let grants = Grants::new(vec![grant("a"), Grant { direct: true, ..grant("b") }]).unwrap();
    assert_eq!(grants.direct(&ann()).unwrap().name, "b");
    assert!(Grants::new(vec![grant("a")]).unwrap().direct(&ann()).is_none());
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let approval = |approvers: &[&str]| {
        Some(Approval { approvers: approvers.iter().map(|&group| group.to_owned()).collect(), timeout: LIFETIME })
    };
    let wrong = [
        Grant { who: Who::default(), ..grant("a") },
        Grant { scope: Scope::default(), ..grant("a") },
        Grant { scope: Scope { models: Vec::new(), ..Scope::on(["a"]) }, ..grant("a") },
        Grant { scope: Scope { models: vec![String::new()], ..Scope::on(["a"]) }, ..grant("a") },
        Grant { lifetime: Duration::ZERO, ..grant("a") },
        Grant { lifetime: LONGEST_LIFETIME + Duration::from_secs(1), ..grant("a") },
        Grant { approval: approval(&[]), ..grant("a") },
        Grant { approval: approval(&["boss"]), direct: true, ..grant("a") },
        Grant { who: Who { claims: vec![claim("a", &[])], ..grant("a").who }, ..grant("a") },
    ];
    for grant in wrong {
        assert!(Grants::new(vec![grant.clone()]).is_err(), "{grant:?}");
    }
    assert!(Grants::new(vec![grant("a"), grant("a")]).is_err());
}
