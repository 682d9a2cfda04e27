//! `portcullis login` as it goes: a device waits, a person signs in at a real provider in a browser and decides. And all
//! the ways in which somebody else could get in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod rig;

use bytes::Bytes;
use exchange::ports::Presented;
use http::{Method, Request, Response, StatusCode, header};
use identity::CLIENT;
use model::{Decider, Digest};
use openid_provider::{Browser, Provider, html, link, proof};
use rig::gate::{CALLBACK, DEVICE, GATE, Gate, request};
use serde_json::Value;
use url::Url;

struct Device {
    code: String,
    user_code: String,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

async fn begin(gate: &Gate, more: &str) -> Device {
    let (status, answer) = gate.post("/oauth/device_authorization", &format!("client_id={CLIENT}{more}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["verification_uri"], format!("{GATE}/oauth/device"));
    assert_eq!((&answer["interval"], &answer["expires_in"]), (&5.into(), &600.into()));
    Device { code: text(&answer["device_code"]).into(), user_code: text(&answer["user_code"]).into() }
}

/// The device polls; its next poll is not too soon.
async fn poll(gate: &Gate, device: &Device, at: &mut i64) -> Value {
    *at += 6;
    gate.clock.shift(*at);
    gate.post("/oauth/token", &format!("{DEVICE}&client_id={CLIENT}&device_code={}", device.code)).await.1
}

/// A person's browser: one cookie jar for the gate, one for the provider.
#[derive(Default)]
struct Person {
    gate_cookie: Option<String>,
    provider: Browser,
}

impl Person {
    async fn at_gate(&mut self, gate: &Gate, mut asked: Request<String>) -> Response<Bytes> {
        if let Some(cookie) = &self.gate_cookie {
            asked.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        if asked.method() == Method::POST {
            asked.headers_mut().insert(header::ORIGIN, GATE.parse().unwrap());
            asked.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
        }
        let answer = gate.ask(asked, None).await;
        if let Some(cookie) = answer.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
                "{cookie}"
            );
            self.gate_cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// Types the code; where the browser is sent.
    async fn type_code(&mut self, gate: &Gate, code: &str) -> Response<Bytes> {
        self.at_gate(gate, request("/oauth/device", &format!("user_code={code}"))).await
    }

    /// Signs in at the provider; where the browser is sent back to.
    async fn sign_in(&mut self, start: &str, name: &str) -> Url {
        self.provider.sign_in(start, name, CALLBACK).await
    }

    async fn back(&mut self, gate: &Gate, place: &Url) -> Response<Bytes> {
        let path = &place[url::Position::BeforePath..];
        self.at_gate(gate, Request::get(path).body(String::new()).unwrap()).await
    }

    async fn decide(&mut self, gate: &Gate, page: &str, decision: &str) -> Response<Bytes> {
        let form = format!("proof={}&decision={decision}", proof(page));
        self.at_gate(gate, request("/oauth/device/decision", &form)).await
    }

    /// All the way to the page that asks.
    async fn reach_decision(&mut self, gate: &Gate, device: &Device, name: &str) -> Response<Bytes> {
        let sent = self.type_code(gate, &device.user_code).await;
        let back = self.sign_in(&link(&sent), name).await;
        self.back(gate, &back).await
    }
}

async fn gate() -> (Provider, Gate) {
    let provider = Provider::start(CALLBACK, 0).await;
    let gate = Gate::new(&provider).await;
    (provider, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_a_device_in() {
    let (_provider, gate) = gate().await;
    let device = begin(&gate, "&scope=model%3Agpt-4o&lifetime=60").await;
    let mut at = 0;
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "authorization_pending");
    let mut person = Person::default();
    let page = person.at_gate(&gate, Request::get("/oauth/device").body(String::new()).unwrap()).await;
    assert!(html(&page).contains("name=\"user_code\""));
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'; form-action 'self';"), "{policy}");

    let page = person.reach_decision(&gate, &device, "ann").await;
    assert_eq!(page.status(), StatusCode::OK, "{}", html(&page));
    let page = html(&page);
    for shown in ["ann", &device.user_code, "connection:openai model:gpt-4o", "192.0.2.7", "for 1 minute:"] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "authorization_pending", "signed in is not agreed");
    let done = person.decide(&gate, &page, "allow").await;
    assert_eq!(done.status(), StatusCode::OK);
    let answer = poll(&gate, &device, &mut at).await;
    let token = text(&answer["access_token"]);
    assert_eq!(answer["expires_in"], 60);
    let who = gate.registry.identify(Presented { credential: token, certificate: None }).unwrap();
    assert_eq!((who.caller.subject.as_str(), &who.caller.groups[..]), ("ann", &["staff".to_owned()][..]));
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "invalid_grant", "one token for one code");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_code_is_worth_nothing_to_who_has_another_certificate() {
    let (_provider, gate) = gate().await;
    let (own, other) = (Some(Digest([7; 32])), Some(Digest([8; 32])));
    let asked = format!("client_id={CLIENT}");
    let (_, answer) = gate.post_with("/oauth/device_authorization", &asked, own).await;
    let device = Device { code: text(&answer["device_code"]).into(), user_code: text(&answer["user_code"]).into() };
    let mut person = Person::default();
    let page = html(&person.reach_decision(&gate, &device, "ann").await);
    assert_eq!(person.decide(&gate, &page, "allow").await.status(), StatusCode::OK);
    let form = format!("{DEVICE}&client_id={CLIENT}&device_code={}", device.code);
    for (at, wrong) in [None, other].into_iter().enumerate() {
        gate.clock.shift(6 * (at as i64 + 1));
        assert_eq!(gate.post_with("/oauth/token", &form, wrong).await.1["error"], "invalid_grant");
    }
    gate.clock.shift(18);
    let (_, answer) = gate.post_with("/oauth/token", &form, own).await;
    let credential = text(&answer["access_token"]);
    assert!(gate.registry.identify(Presented { credential, certificate: own }).is_ok());
    assert!(gate.registry.identify(Presented { credential, certificate: other }).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_means_no_and_nothing_is_given_to_who_has_no_grant() {
    let (_provider, gate) = gate().await;
    let mut at = 0;
    let device = begin(&gate, "").await;
    let mut person = Person::default();
    let page = html(&person.reach_decision(&gate, &device, "ann").await);
    person.decide(&gate, &page, "deny").await;
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "access_denied");
    let again = person.decide(&gate, &page, "allow").await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST, "a decision is taken once");

    let device = begin(&gate, "").await;
    let refused = Person::default().reach_decision(&gate, &device, "stranger").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "access_denied");

    let device = begin(&gate, "&scope=connection%3Alocal").await;
    let refused = Person::default().reach_decision(&gate, &device, "ann").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "more than the grant gives");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_in_its_own_browser_once_and_from_its_issuer() {
    let (_provider, gate) = gate().await;
    let device = begin(&gate, "").await;
    let mut ann = Person::default();
    let sent = ann.type_code(&gate, &device.user_code).await;
    let back = ann.sign_in(&link(&sent), "ann").await;
    assert!(back.query().unwrap().contains("iss="), "the provider names itself (RFC 9207)");

    // In another browser: one with no cookie, one with a sign-in of its own.
    let mut eve = Person::default();
    assert_eq!(eve.back(&gate, &back).await.status(), StatusCode::BAD_REQUEST);
    let other = begin(&gate, "").await;
    eve.type_code(&gate, &other.user_code).await;
    assert_eq!(eve.back(&gate, &back).await.status(), StatusCode::BAD_REQUEST, "eve's state is not ann's");

    // In its own, once.
    let page = ann.back(&gate, &back).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", html(&page));
    assert_eq!(ann.back(&gate, &back).await.status(), StatusCode::BAD_REQUEST, "a second time");
}

/// Changes one parameter of the provider's answer.
fn tampered(back: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = back.clone();
    let pairs = back.query_pairs().filter(|(own, _)| own != name);
    let pairs: Vec<(String, String)> = pairs.map(|(own, value)| (own.into_owned(), value.into_owned())).collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs).extend_pairs(value.map(|value| (name, value)));
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_tampered_with_signs_nobody_in() {
    let (_provider, gate) = gate().await;
    for (name, value) in [
        ("state", Some("x")),
        ("state", None),
        ("iss", Some("https://evil.example")),
        ("iss", None),
        ("code", Some("x")),
        ("code", None),
        ("error", Some("access_denied")),
    ] {
        let device = begin(&gate, "").await;
        let mut person = Person::default();
        let sent = person.type_code(&gate, &device.user_code).await;
        let back = person.sign_in(&link(&sent), "ann").await;
        let answer = person.back(&gate, &tampered(&back, name, value)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name} {value:?}: {}", html(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_sign_in_is_worth_nothing() {
    let (_provider, gate) = gate().await;
    let (one, other) = (begin(&gate, "").await, begin(&gate, "").await);
    let (mut ann, mut eve) = (Person::default(), Person::default());
    let sent = ann.type_code(&gate, &one.user_code).await;
    let anns = ann.sign_in(&link(&sent), "ann").await;
    let sent = eve.type_code(&gate, &other.user_code).await;
    let eves = eve.sign_in(&link(&sent), "bob").await;
    // Ann's code in eve's answer: its PKCE verifier is in ann's sign-in.
    let code = anns.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let answer = eve.back(&gate, &tampered(&eves, "code", Some(&code))).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}", html(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_gates_own_form_decides() {
    let (_provider, gate) = gate().await;
    let device = begin(&gate, "").await;
    let mut person = Person::default();
    let page = html(&person.reach_decision(&gate, &device, "ann").await);
    let form = format!("proof={}&decision=allow", proof(&page));
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in ["/oauth/device/decision", "/oauth/device"] {
            let mut asked = request(path, &form);
            asked.headers_mut().insert(header::COOKIE, person.gate_cookie.clone().unwrap().parse().unwrap());
            asked.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(gate.ask(asked, None).await.status(), StatusCode::FORBIDDEN, "{name} {value}");
        }
    }
    let no_cookie = gate.ask(request("/oauth/device/decision", &form), None).await;
    assert_eq!(no_cookie.status(), StatusCode::BAD_REQUEST);
    let wrong = person.at_gate(&gate, request("/oauth/device/decision", "proof=x&decision=allow")).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let late = person.decide(&gate, &page, "allow").await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST, "a wrong proof ends it");
    assert_eq!(poll(&gate, &device, &mut 0).await["error"], "authorization_pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_codes_can_not_be_guessed() {
    let (_provider, gate) = gate().await;
    let device = begin(&gate, "").await;
    let mut person = Person::default();
    for _ in 0..10 {
        assert_eq!(person.type_code(&gate, "BBBB-BBBB").await.status(), StatusCode::BAD_REQUEST);
    }
    let refused = person.type_code(&gate, &device.user_code).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "also with the right one");
    gate.clock.shift(601);
    assert_eq!(person.type_code(&gate, &device.user_code).await.status(), StatusCode::BAD_REQUEST, "over by then");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_ask_too_often_or_wrongly() {
    let (_provider, gate) = gate().await;
    for (form, error) in [
        ("", "invalid_request"),
        ("client_id=stranger", "invalid_client"),
        ("client_id=portcullis&scope=x", "invalid_scope"),
    ] {
        assert_eq!(gate.post("/oauth/device_authorization", form).await.1["error"], error, "{form}");
    }
    let device = begin(&gate, "").await;
    let poll_now = format!("{DEVICE}&client_id={CLIENT}&device_code={}", device.code);
    assert_eq!(gate.post("/oauth/token", &poll_now).await.1["error"], "authorization_pending");
    assert_eq!(gate.post("/oauth/token", &poll_now).await.1["error"], "slow_down");
    let unknown = format!("{DEVICE}&client_id={CLIENT}&device_code=x");
    assert_eq!(gate.post("/oauth/token", &unknown).await.1["error"], "invalid_grant");
    gate.clock.shift(601);
    assert_eq!(gate.post("/oauth/token", &poll_now).await.1["error"], "expired_token");
    gate.clock.shift(0);
    for _ in 0..19 {
        begin(&gate, "").await;
    }
    let (status, full) = gate.post("/oauth/device_authorization", &format!("client_id={CLIENT}")).await;
    assert_eq!((status, text(&full["error"])), (StatusCode::TOO_MANY_REQUESTS, "slow_down"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contractors_device_waits_for_an_approver() {
    let (_provider, gate) = gate().await;
    let mut at = 0;
    let device = begin(&gate, "").await;
    let mut bob = Person::default();
    let page = html(&bob.reach_decision(&gate, &device, "bob").await);
    assert!(page.contains("An approver must agree"), "{page}");
    let refused = bob.decide(&gate, &page, "allow").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "no reason was given");
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "access_denied");

    let device = begin(&gate, "&reason=release+night").await;
    let mut bob = Person::default();
    let page = html(&bob.reach_decision(&gate, &device, "bob").await);
    assert_eq!(bob.decide(&gate, &page, "allow").await.status(), StatusCode::OK);
    assert_eq!(poll(&gate, &device, &mut at).await["error"], "authorization_pending");
    let asked = gate.access.list().pop().unwrap().asked;
    assert_eq!((asked.reason.as_str(), asked.caller.subject.as_str()), ("release night", "bob"));
    let own = Decider::operator("bob");
    assert!(gate.access.decide(asked.id, true, own, String::new()).await.is_err(), "never by who asks");
    let lead = Decider { name: "lea".into(), groups: Some(vec!["leads".into()]) };
    gate.access.decide(asked.id, true, lead, "go".into()).await.unwrap();
    let answer = poll(&gate, &device, &mut at).await;
    assert_eq!(answer["token_id"], asked.id.to_string());
    assert!(answer["access_token"].is_string(), "{answer}");
}
