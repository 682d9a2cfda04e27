//! What an event does once it is known to be its transmitter's: when it is acknowledged, and what is left of it.

use std::sync::atomic::Ordering;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use exchange::ports::{ControlLog, Credential, Ended, Identified, Unidentified};
use futures_util::{StreamExt, stream::FuturesUnordered};
use model::{Caller, Scope, Target};
use serde_json::json;

use super::*;
use crate::{
    Admission, Clock, Terms,
    registry::forgetful::{Forgetful, Memory},
};

const IDP: &str = "https://idp";
const NOW: u64 = 1_800_000_000;

struct Rig {
    log: Arc<Memory>,
    signals: Signals,
}

fn clock() -> Clock {
    Arc::new(|| NOW * 1000)
}

fn issuers() -> Arc<Issuers> {
    Arc::new(Issuers::with_clock([Issuer::new(IDP, ["gate"])], clock()).unwrap())
}

fn terms() -> Transmitter {
    Transmitter::new(IDP, ["gate"])
}

impl Rig {
    fn new() -> Self {
        let log = Arc::new(Memory::default());
        let shared: Arc<dyn ControlLog> = Arc::clone(&log) as _;
        let registry = Registry::open_at(shared, Terms::default(), clock()).unwrap();
        Self { log, signals: Signals::new([terms()], issuers(), registry).unwrap() }
    }

    async fn tell(&self, claims: &EventClaims) -> Result<(), &'static str> {
        self.signals.carry_out(&terms(), claims).await.map_err(|refusal| refusal.error)
    }

    /// A caller with a token of the issuer, made at this second.
    fn admit(&self, issued: u64) -> Result<Identified, Unidentified> {
        self.signals.registry.admit(Admission {
            credential: Credential::Direct,
            digest: digest(issued.to_string()),
            twin: None,
            caller: Caller { subject: "ann".into(), issuer: IDP.into(), ..Caller::default() }.into(),
            scope: Arc::new(Scope::on(["one"])),
            issued_ms: Some(issued * 1000),
            expires_ms: Some((NOW + 3600) * 1000),
        })
    }

    fn written(&self) -> usize {
        self.log.events.lock().unwrap().len()
    }
}

fn event(id: &str, kind: &str, details: &Value) -> EventClaims {
    let Value::Object(events) = json!({ format!("https://schemas.openid.net/secevent/{kind}"): details }) else {
        panic!("not an object")
    };
    let subject = json!({"format": "iss_sub", "iss": IDP, "sub": "ann"});
    EventClaims { id: id.into(), issued: NOW - 5, happened: None, subject: subject.as_object().cloned(), events }
}

fn revoked(id: &str, at: u64) -> EventClaims {
    event(id, "caep/event-type/session-revoked", &json!({ "event_timestamp": at }))
}

fn disabled(id: &str) -> EventClaims {
    event(id, "risc/event-type/account-disabled", &json!({}))
}

#[tokio::test]
async fn a_session_that_was_revoked_ends_and_a_fresh_one_works() {
    let rig = Rig::new();
    let old = rig.admit(NOW - 100).ok().unwrap();
    rig.tell(&revoked("e1", NOW - 50)).await.unwrap();
    let reason = "session-revoked, told by event e1";
    assert_eq!(old.lease.ended(), Some(Ended::revoked(reason)));
    let ann = Arc::clone(&old.caller);
    assert_eq!(rig.admit(NOW - 50).err(), Some(Unidentified::Ended(Ended::revoked(reason), ann)), "the same second");
    assert!(rig.admit(NOW - 49).is_ok(), "who signs in anew gets in");
    assert_eq!(rig.signals.registry.revocations()[0].by, "signals:https://idp");
    rig.tell(&revoked("e2", NOW - 70)).await.unwrap();
    assert_eq!(rig.written(), 1, "an older one says nothing new");
}

#[tokio::test]
async fn an_account_that_was_disabled_stays_out() {
    let rig = Rig::new();
    rig.tell(&disabled("e1")).await.unwrap();
    rig.tell(&revoked("e2", NOW - 50)).await.unwrap();
    assert!(rig.admit(NOW).is_err(), "a weaker event takes nothing back");
}

#[tokio::test]
async fn an_event_is_taken_when_it_is_durable_and_not_before() {
    let rig = Rig::new();
    rig.log.broken.store(true, Ordering::Relaxed);
    assert_eq!(rig.tell(&disabled("e1")).await, Err("temporarily_unavailable"));
    assert!(rig.admit(NOW).is_err(), "in force all the same");
    rig.log.broken.store(false, Ordering::Relaxed);
    assert_eq!((rig.tell(&disabled("e1")).await, rig.written()), (Ok(()), 1), "the same again is kept");
}

#[tokio::test]
async fn an_event_that_comes_again_does_nothing() {
    let rig = Rig::new();
    rig.tell(&disabled("e1")).await.unwrap();
    let target = Target::Caller { issuer: IDP.into(), subject: "ann".into() };
    rig.signals.registry.lift(target, "back".into(), "carol".into()).await.unwrap();
    rig.tell(&EventClaims { issued: NOW - 1, ..disabled("e1") }).await.unwrap();
    assert!(rig.admit(NOW).is_ok(), "what an operator lifted stays lifted");
    assert_eq!(rig.tell(&revoked("e1", NOW)).await, Err("invalid_request"), "the jti of another");
    rig.tell(&disabled("e2")).await.unwrap();
    assert!(rig.admit(NOW).is_err(), "but a new event counts");
}

#[tokio::test]
async fn who_sends_must_show_what_it_was_given() {
    let secret = digest("Bearer s3cret");
    let headers = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    };
    assert!(authenticate(&headers(&["Bearer s3cret"]), Some(&secret)).is_ok());
    assert!(authenticate(&headers(&["anything"]), None).is_ok());
    for wrong in [&[][..], &["s3cret"], &["bearer s3cret"], &["Bearer s3cret", "Bearer s3cret"], &["Bearer s3cre"]] {
        let refused = authenticate(&headers(wrong), Some(&secret)).unwrap_err();
        assert_eq!(refused.error, "authentication_failed", "{wrong:?}");
    }
}

#[tokio::test]
async fn only_so_many_are_in_hand() {
    let rig = Rig::new();
    let _all = rig.signals.in_hand.try_acquire_many(u32::try_from(IN_HAND).unwrap()).unwrap();
    let refused = rig.signals.carry_out(&terms(), &disabled("e1")).await.unwrap_err();
    assert_eq!(refused.answer().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.answer().headers()[header::RETRY_AFTER], "5");
}

#[tokio::test(start_paused = true)]
async fn forged_events_that_wait_for_a_key_hold_no_place() {
    let rig = Rig::new();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let forged = |at: usize| {
        let head = encode(json!({"alg": "EdDSA", "typ": "secevent+jwt", "kid": format!("unknown-{at}")}));
        let claims = json!({"iss": IDP, "aud": "gate", "iat": NOW, "jti": at.to_string(), "events": {"https://e": {}}});
        let text = format!("{head}.{}.{}", encode(claims), URL_SAFE_NO_PAD.encode([1; 64]));
        Request::post(EVENTS).header(header::CONTENT_TYPE, MEDIA_TYPE).body(Bytes::from(text)).unwrap()
    };
    let mut waiting: FuturesUnordered<_> = (0..2 * IN_HAND).map(|at| rig.signals.answer(forged(at))).collect();
    // Nobody fetches keys here: each of them waits as long as one can.
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting.next()).await.is_err());
    rig.tell(&disabled("e1")).await.unwrap();
    assert!(rig.admit(NOW).is_err(), "the true one is carried out meanwhile");
}

#[tokio::test]
async fn the_endpoint_is_one_path_and_one_method() {
    let rig = Rig::new();
    let ask = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
        rig.signals.answer(request).await
    };
    let answer = ask(Method::GET, EVENTS).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()[header::ALLOW], "POST");
    assert_eq!(ask(Method::POST, "/ssf").await.status(), StatusCode::NOT_FOUND);
    assert!(Signals::serves("/ssf/events") && Signals::serves("/ssf") && !Signals::serves("/ssfx"));
}

#[test]
fn what_can_not_be_meant_is_said() {
    let refused = |change: fn(&mut Transmitter)| {
        let mut terms = terms();
        change(&mut terms);
        let registry = Registry::open(Arc::new(Forgetful), Terms::default()).unwrap();
        Signals::new([terms], issuers(), registry).err().map(|error| error.what)
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|terms| terms.about = vec![STATIC_ISSUER.into()]), None);
    assert_eq!(refused(|terms| terms.jwks = Some("https://idp/ssf-keys".into())), None);
    assert!(refused(|terms| terms.jwks = Some("http://idp/keys".into())).is_some());
    assert!(refused(|terms| terms.audiences.clear()).is_some());
    assert!(refused(|terms| terms.events.clear()).is_some());
    assert!(refused(|terms| terms.about.clear()).is_some());
    assert!(refused(|terms| terms.about = vec!["https://other".into()]).is_some());
    let registry = Registry::open(Arc::new(Forgetful), Terms::default()).unwrap();
    assert!(Signals::new([terms(), terms()], issuers(), registry).is_err(), "twice");
    let mut events = Issuer::new(IDP, ["gate"]);
    events.types.push("application/secevent+jwt".into());
    assert!(Issuers::new([events]).is_err(), "an event is no token");
}
