//! The token endpoint against a real provider: exchange, what is refused, binding, revocation, access on request.

#![expect(clippy::panic, reason = "a test that can't go on fails")]

mod rig;

use exchange::ports::{Credential, Identify, Presented, Unidentified};
use http::{Method, Request, StatusCode, header};
use identity::{Approval, Grant, LIFETIME, Order};
use model::{Decider, Digest, Target};
use openid_provider::Provider;
use rig::gate::{CALLBACK, EXCHANGE, Gate, grants, request};
use serde_json::{Value, json};

async fn gate() -> (Provider, Gate) {
    let provider = Provider::start(CALLBACK, 0).await;
    let gate = Gate::new(&provider).await;
    (provider, gate)
}

fn presented(credential: &str, certificate: Option<Digest>) -> Presented<'_> {
    Presented { credential, certificate }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_token_is_worth_one_of_ours() {
    let (provider, gate) = gate().await;
    let answer = gate.exchange(&provider.token().await, "").await.unwrap();
    let token = text(&answer["access_token"]);
    assert!(token.starts_with("pct_") && token.len() == 4 + 64, "256 bits");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(answer["scope"], "connection:openai connection:local model:* operation:*");
    // The provider's tokens live for five minutes, and ours never longer.
    let lives = answer["expires_in"].as_u64().unwrap();
    assert!((200..=300).contains(&lives), "{lives}");
    let who = gate.registry.identify(presented(token, None)).unwrap();
    assert_eq!((who.caller.subject.as_str(), who.caller.issuer.as_str()), ("ci", provider.issuer.as_str()));
    assert!(matches!(who.credential, Credential::Issued(_)));

    let narrow = "&scope=model%3Agpt-4o+operation%3Aopenai-chat&audience=openai";
    let answer = gate.exchange(&provider.token().await, narrow).await.unwrap();
    assert_eq!(answer["scope"], "connection:openai model:gpt-4o operation:openai-chat");
    let who = gate.registry.identify(presented(text(&answer["access_token"]), None)).unwrap();
    assert!(
        who.scope.allows_model("gpt-4o") && !who.scope.allows_model("gpt-4") && !who.scope.allows_connection("local")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_a_day_makes_no_token_good() {
    let (provider, gate) = gate().await;
    let subject = provider.token().await;
    let token = text(&gate.exchange(&subject, "").await.unwrap()["access_token"]).to_owned();
    gate.clock.shift(86_400);
    let Err(gone) = gate.registry.identify(presented(&token, None)) else { panic!("good for a day") };
    assert!(matches!(gone, Unidentified::Ended(..) | Unidentified::Unknown), "{gone}");
    assert_eq!(gate.exchange(&subject, "").await.unwrap_err()["error"], "invalid_request");
    gate.clock.shift(-86_400);
    assert_eq!(gate.exchange(&subject, "").await.unwrap_err()["error"], "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_asked_as_it_must_be_gets_nothing() {
    let (provider, gate) = gate().await;
    let token = provider.token().await;
    let whole = format!("{EXCHANGE}&subject_token={token}");
    let cases = [
        (String::new(), "invalid_request"),
        (whole.replace("token-exchange", "jwt-bearer"), "unsupported_grant_type"),
        ("grant_type=password&username=a&password=b".into(), "unsupported_grant_type"),
        (EXCHANGE.into(), "invalid_request"),
        (format!("{whole}&subject_token={token}"), "invalid_request"),
        (format!("{whole}x"), "invalid_request"),
        (format!("{whole}&actor_token={token}"), "invalid_request"),
        (format!("{whole}&resource=https%3A%2F%2Fx"), "invalid_target"),
        (
            format!("{whole}&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Arefresh_token"),
            "invalid_request",
        ),
        (whole.replace("token-type%3Aaccess_token", "token-type%3Asaml2"), "invalid_request"),
        (format!("{whole}&scope=openid"), "invalid_scope"),
        (format!("{whole}&scope=connection%3Aother"), "invalid_scope"),
        (format!("{whole}&audience=other"), "invalid_scope"),
        (format!("{whole}&scope=grant%3Astaff"), "invalid_scope"),
        (format!("{whole}&client_id=stranger"), "invalid_client"),
        (format!("{whole}&client_id=portcullis&client_secret=x"), "invalid_client"),
        (format!("{EXCHANGE}&subject_token=pct_{}", "0".repeat(64)), "invalid_request"),
    ];
    for (form, error) in cases {
        let (status, body) = gate.post("/oauth/token", &form).await;
        assert!(status.is_client_error() && body["error"] == error, "{form}: {status} {body}");
        assert!(!body.to_string().contains(&token), "a token in an error");
    }
    let (status, _) = gate.post("/oauth/token", &format!("{whole}&client_id=portcullis")).await;
    assert_eq!(status, StatusCode::OK);

    let mut json = request("/oauth/token", "{}");
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(gate.ask(json, None).await.status(), StatusCode::BAD_REQUEST);
    let mut basic = request("/oauth/token", &whole);
    basic.headers_mut().insert(header::AUTHORIZATION, "Basic eDp5".parse().unwrap());
    let refused = gate.ask(basic, None).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().contains_key(header::WWW_AUTHENTICATE));
    for (method, path, status) in [
        (Method::GET, "/oauth/token", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/.well-known/oauth-authorization-server", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/oauth/device/decision", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/oauth/device", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/oauth/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/oauth", StatusCode::NOT_FOUND),
    ] {
        let asked = Request::builder().method(method.clone()).uri(path).body(String::new()).unwrap();
        assert_eq!(gate.ask(asked, None).await.status(), status, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_names_what_is_there() {
    let (_provider, gate) = gate().await;
    let asked = Request::get("/.well-known/oauth-authorization-server").body(String::new()).unwrap();
    let answer = gate.ask(asked, None).await;
    let metadata: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(metadata["issuer"], "http://127.0.0.1:1");
    assert_eq!(metadata["token_endpoint"], "http://127.0.0.1:1/oauth/token");
    assert_eq!(metadata["device_authorization_endpoint"], "http://127.0.0.1:1/oauth/device_authorization");
    for endpoint in ["revocation_endpoint", "introspection_endpoint"] {
        let path = text(&metadata[endpoint]).strip_prefix("http://127.0.0.1:1").unwrap();
        let (status, _) = gate.post(path, "").await;
        assert_ne!(status, StatusCode::NOT_FOUND, "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_looks_at_its_token_and_gives_it_back() {
    let (provider, gate) = gate().await;
    let subject = provider.token().await;
    let answer = gate.exchange(&subject, "").await.unwrap();
    let token = text(&answer["access_token"]).to_owned();
    let introspect = async |asker: &str| {
        let mut asked = request("/oauth/introspect", &format!("token={token}"));
        if !asker.is_empty() {
            asked.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {asker}").parse().unwrap());
        }
        let answer = gate.ask(asked, None).await;
        (answer.status(), serde_json::from_slice::<Value>(answer.body()).unwrap())
    };
    for asker in [token.as_str(), subject.as_str()] {
        let (status, facts) = introspect(asker).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!((&facts["active"], &facts["sub"], &facts["grant"]), (&json!(true), &json!("ci"), &json!("builds")));
        assert_eq!(facts["jti"], answer["token_id"]);
        assert!(!facts.to_string().contains(&token));
    }
    for nobody in ["", "pct_0000", "x.y.z", "Basic"] {
        assert_eq!(introspect(nobody).await.0, StatusCode::UNAUTHORIZED, "{nobody}");
    }
    assert_eq!(gate.post("/oauth/revoke", "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(gate.post("/oauth/revoke", &format!("token={subject}")).await.1["error"], "unsupported_token_type");
    assert_eq!(gate.post("/oauth/revoke", &format!("token=pct_{}", "0".repeat(64))).await.0, StatusCode::OK);
    assert!(gate.registry.identify(presented(&token, None)).is_ok());
    assert_eq!(gate.post("/oauth/revoke", &format!("token={token}&token_type_hint=x")).await.0, StatusCode::OK);
    assert!(gate.registry.identify(presented(&token, None)).is_err());
    assert!(gate.restart(&provider.issuer).registry.identify(presented(&token, None)).is_err());
    let (_, facts) = introspect(&subject).await;
    assert_eq!(facts, json!({"active": false}));
    assert_eq!(introspect(&token).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_gets_no_new_token() {
    let (provider, gate) = gate().await;
    let subject = provider.token().await;
    let revoke = async |target: Target| {
        let order = Order { target, issued_before_ms: None, reason: "left".into(), by: "op".into() };
        gate.registry.revoke(order).await.unwrap();
    };
    let earlier = text(&gate.exchange(&subject, "").await.unwrap()["access_token"]).to_owned();
    assert!(gate.registry.identify(presented(&earlier, None)).is_ok());
    revoke(Target::Credential(identity::digest(&subject))).await;
    assert!(gate.registry.identify(presented(&earlier, None)).is_err(), "what it was exchanged for ends with it");
    assert!(gate.restart(&provider.issuer).registry.identify(presented(&earlier, None)).is_err());
    assert_eq!(gate.exchange(&subject, "").await.unwrap_err()["error"], "invalid_request");
    assert!(gate.direct.identify(presented(&subject, None)).await.is_err());
    let other = provider.token().await;
    gate.exchange(&other, "").await.unwrap();
    for (asker, status) in [(&subject, StatusCode::UNAUTHORIZED), (&other, StatusCode::OK)] {
        let mut asked = request("/oauth/introspect", "token=x");
        asked.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {asker}").parse().unwrap());
        assert_eq!(gate.ask(asked, None).await.status(), status, "one that is revoked itself asks nothing either");
    }
    revoke(Target::Caller { issuer: provider.issuer.clone(), subject: "ci".into() }).await;
    assert!(gate.exchange(&other, "").await.is_err());
    assert!(gate.exchange(&provider.token().await, "").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_the_certificate_it_was_asked_with() {
    let (provider, gate) = gate().await;
    let (own, other) = (Some(Digest([7; 32])), Some(Digest([8; 32])));
    let form = format!("{EXCHANGE}&subject_token={}", provider.token().await);
    let (_, answer) = gate.post_with("/oauth/token", &form, own).await;
    let token = text(&answer["access_token"]);
    assert!(gate.registry.identify(presented(token, own)).is_ok());
    for wrong in [None, other] {
        let refused = gate.registry.identify(presented(token, wrong)).err();
        assert_eq!(refused, Some(Unidentified::WrongCertificate));
    }
    let mut asked = request("/oauth/introspect", &format!("token={token}"));
    asked.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let facts: Value = serde_json::from_slice(gate.ask(asked, own).await.body()).unwrap();
    assert_eq!(facts["cnf"]["x5t#S256"], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");

    let mut bound = grants(&provider.issuer);
    bound[0].bound = true;
    let gate = Gate::with(&provider, bound).await;
    let (status, refused) = gate.post_with("/oauth/token", &form, None).await;
    assert_eq!((status, text(&refused["error"])), (StatusCode::BAD_REQUEST, "invalid_request"));
    assert_eq!(gate.post_with("/oauth/token", &form, own).await.0, StatusCode::OK);
    let plain = provider.token().await;
    let refused = gate.direct.identify(presented(&plain, own)).await.err();
    assert_eq!(refused, Some(Unidentified::WrongCertificate), "the issuer's own token is not bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_token_that_is_bound_opens_nothing_without_its_certificate() {
    let (provider, gate) = gate().await;
    // "a certificate", in base64.
    let token = provider.bound_token("YSBjZXJ0aWZpY2F0ZQ==").await;
    let (own, other) = (Some(identity::digest("a certificate")), Some(Digest([8; 32])));
    let form = format!("{EXCHANGE}&subject_token={token}");
    for wrong in [None, other] {
        let refused = gate.direct.identify(presented(&token, wrong)).await.err();
        assert_eq!(refused, Some(Unidentified::WrongCertificate));
        let (status, refused) = gate.post_with("/oauth/token", &form, wrong).await;
        assert_eq!((status, text(&refused["error"])), (StatusCode::BAD_REQUEST, "invalid_request"), "{refused}");
    }
    assert!(gate.direct.identify(presented(&token, own)).await.is_ok());
    let (_, answer) = gate.post_with("/oauth/token", &form, own).await;
    let ours = text(&answer["access_token"]);
    assert!(gate.registry.identify(presented(ours, own)).is_ok());
    assert_eq!(gate.registry.identify(presented(ours, None)).err(), Some(Unidentified::WrongCertificate));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_token_is_used_as_it_is_only_where_a_grant_says_so() {
    let (mut provider, gate) = gate().await;
    let token = provider.token().await;
    let who = gate.direct.identify(presented(&token, None)).await.unwrap();
    assert_eq!(who.credential, Credential::Direct);
    assert!(who.scope.allows_connection("local"));
    for nobody in ["", "demo", "a.b.c", &token[1..]] {
        assert_eq!(gate.direct.identify(presented(nobody, None)).await.err(), Some(Unidentified::Unknown));
    }
    let mut none = grants(&provider.issuer);
    none[0].direct = false;
    let only_by_exchange = Gate::with(&provider, none).await;
    assert_eq!(only_by_exchange.direct.identify(presented(&token, None)).await.err(), Some(Unidentified::Unknown));
    only_by_exchange.exchange(&token, "").await.unwrap();
    provider.tell("stop").await;
    gate.direct.identify(presented(&token, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_clock_that_is_behind_ends_no_token_early() {
    let (provider, gate) = gate().await;
    let token = provider.token().await;
    // It lives 300 seconds; the leeway is 30.
    gate.clock.shift(310);
    assert!(gate.direct.identify(presented(&token, None)).await.is_ok());
    gate.clock.shift(331);
    assert_eq!(gate.direct.identify(presented(&token, None)).await.err(), Some(Unidentified::Unknown));
}

/// The workload's grant, but somebody must agree.
fn on_request(issuer: &str) -> Vec<Grant> {
    let mut all = grants(issuer);
    all[0].direct = false;
    all[0].approval = Some(Approval { approvers: vec!["leads".into()], timeout: LIFETIME });
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn access_on_request_is_approved_by_another_and_used_once() {
    let provider = Provider::start(CALLBACK, 0).await;
    let gate = Gate::with(&provider, on_request(&provider.issuer)).await;
    let token = provider.token().await;
    let wanted = "&scope=connection%3Aopenai";
    let subject = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
    assert_eq!(gate.exchange(&token, wanted).await.unwrap_err()["error"], "approval_required");

    let ask = format!("{subject}&subject_token={token}{wanted}");
    assert_eq!(gate.post("/oauth/access", &ask).await.1["error"], "invalid_request", "a reason is needed");
    let (status, asked) = gate.post("/oauth/access", &format!("{ask}&reason=incident+7")).await;
    assert_eq!((status, text(&asked["state"])), (StatusCode::OK, "asked"));
    let (_, again) = gate.post("/oauth/access", &format!("{ask}&reason=incident+7")).await;
    assert_eq!(again["request_id"], asked["request_id"], "the same is not asked twice");

    let id = text(&asked["request_id"]).parse().unwrap();
    let decider = |name: &str, group: &str| Decider { name: name.into(), groups: Some(vec![group.into()]) };
    for (name, group) in [("ci", "leads"), ("eve", "staff")] {
        assert!(gate.access.decide(id, true, decider(name, group), String::new()).await.is_err(), "{name}");
    }
    assert_eq!(gate.exchange(&token, wanted).await.unwrap_err()["error"], "approval_required");
    gate.access.decide(id, true, decider("lea", "leads"), "go".into()).await.unwrap();
    assert!(gate.access.decide(id, false, decider("leo", "leads"), String::new()).await.is_err());

    // What was approved is in the log, so a restart loses nothing.
    let gate = gate.restart(&provider.issuer);
    let (_, state) = gate.post("/oauth/access", &format!("{ask}&request_id={id}")).await;
    assert_eq!((text(&state["state"]), text(&state["by"])), ("approved", "lea"));
    assert_eq!(gate.exchange(&token, "&scope=connection%3Alocal").await.unwrap_err()["error"], "approval_required");
    let both = tokio::join!(gate.exchange(&token, wanted), gate.exchange(&token, wanted));
    let (one, other) = match both {
        (Ok(one), Err(other)) | (Err(other), Ok(one)) => (one, other),
        both => panic!("not exactly one token: {both:?}"),
    };
    assert_eq!(one["token_id"], asked["request_id"]);
    assert_eq!(other["error"], "approval_required");
    assert!(gate.restart(&provider.issuer).exchange(&token, wanted).await.is_err(), "used is used");

    let (_, denied) = gate.post("/oauth/access", &format!("{ask}&reason=again")).await;
    let id = text(&denied["request_id"]).parse().unwrap();
    gate.access.decide(id, false, decider("lea", "leads"), "no".into()).await.unwrap();
    let (_, state) = gate.post("/oauth/access", &format!("{ask}&request_id={id}")).await;
    assert_eq!(text(&state["state"]), "denied");
    assert!(gate.exchange(&token, wanted).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_no_longer_than_it_is_asked_to() {
    let (provider, gate) = gate().await;
    let token = provider.token().await;
    let lives = |answer: &Value| answer["expires_in"].as_u64().unwrap();
    assert!(lives(&gate.exchange(&token, "&lifetime=60").await.unwrap()) <= 60);
    let longest = lives(&gate.exchange(&token, "&lifetime=86400").await.unwrap());
    assert!((61..=300).contains(&longest), "never longer than the subject token: {longest}");
    for wrong in ["9", "0", "-1", "1.5", "x", "99999999999999999999"] {
        let refused = gate.exchange(&token, &format!("&lifetime={wrong}")).await.unwrap_err();
        assert_eq!(refused["error"], "invalid_request", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_gate_asks_for_access_and_is_exchanged_for_nothing() {
    let provider = Provider::start(CALLBACK, 0).await;
    let mut all = grants(&provider.issuer);
    let night = Grant { name: "night".into(), ..on_request(&provider.issuer).remove(0) };
    all.push(night);
    let gate = Gate::with(&provider, all).await;
    let issued = gate.exchange(&provider.token().await, "").await.unwrap();
    let token = text(&issued["access_token"]);
    let subject = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
    let ask = format!("{subject}&subject_token={token}&scope=grant%3Anight&reason=incident");
    let (status, asked) = gate.post("/oauth/access", &ask).await;
    assert_eq!((status, text(&asked["state"]), text(&asked["grant"])), (StatusCode::OK, "asked", "night"));
    assert_eq!(gate.access.list().pop().unwrap().asked.caller.subject, "ci");
    // It renews nothing: else a token that was copied would live for ever.
    let refused = gate.exchange(token, "").await.unwrap_err();
    assert_eq!(refused["error"], "invalid_request");
    assert_eq!(gate.post("/oauth/revoke", &format!("token={token}")).await.0, StatusCode::OK);
    assert_eq!(gate.post("/oauth/access", &ask).await.0, StatusCode::BAD_REQUEST, "nor does one that is over ask");
}
