//! Who asked for a token and went away before there was one: nothing of what was given for it is lost. Who gives one
//! back is told so when that is durable.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use exchange::ports::{ControlLog, TurnedAway};
use model::{Caller, Decider, Scope, Target, TokenId};
use serde_json::Map;

use super::*;
use crate::{
    AccessTerms, Approval, Asking, Grant, Issuer, LIFETIME, Order, Terms, Verified, Wanted, Who,
    oauth::devices::{Asked, Granted},
    registry::forgetful::Slow,
};

const IDP: &str = "https://idp";
const NOW_MS: u64 = 1_800_000_000_000;

struct Rig {
    log: Arc<Slow>,
    now: Arc<AtomicU64>,
    oauth: Oauth,
    /// Who was turned away: the code, whose credential it was, which, and from where it came.
    told: Arc<Mutex<Vec<String>>>,
}

fn peer() -> Peer {
    Peer { address: "192.0.2.7".parse().unwrap(), certificate: None }
}

fn who() -> Verified {
    Verified {
        caller: Caller { subject: "ann".into(), issuer: IDP.into(), ..Caller::default() },
        claims: Map::new(),
        issued: NOW_MS / 1000 - 5,
        expires: NOW_MS / 1000 + 3600,
        id: None,
        twin: None,
        certificate: None,
    }
}

impl Rig {
    /// With a grant that a person must agree to, or not.
    fn new(approval: Option<Approval>) -> Self {
        let (log, now) = (Arc::new(Slow::default()), Arc::new(AtomicU64::new(NOW_MS)));
        let shared: Arc<dyn ControlLog> = Arc::clone(&log) as _;
        let clock = Arc::clone(&now);
        let clock: crate::Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let registry = Registry::open_at(Arc::clone(&shared), Terms::default(), clock).unwrap();
        let grant = Grant {
            name: "night".into(),
            who: Who { issuer: IDP.into(), ..Who::default() },
            scope: Scope::on(["openai"]),
            lifetime: LIFETIME,
            direct: false,
            bound: false,
            approval,
        };
        let grants = Arc::new(Grants::new(vec![grant]).unwrap());
        let access = Access::open(shared, Arc::clone(&grants), AccessTerms::default(), registry.clone()).unwrap();
        let (client_id, client_secret, scopes) = ("gate".into(), None, Vec::new());
        let login = Some(Login { issuer: IDP.into(), client_id, client_secret, scopes });
        let terms = OauthTerms { url: "http://127.0.0.1:1".into(), clients: vec![CLIENT.into()], login };
        let issuers = Arc::new(Issuers::new([Issuer::new(IDP, ["gate"])]).unwrap());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let watch = Arc::clone(&told);
        let turned_away: TurnAway = Arc::new(move |refused: &TurnedAway<'_>, _: &str| {
            let caller = refused.caller.map_or("nobody", |caller| caller.subject.as_str());
            let shown = refused.credential.map(|digest| digest.short()).unwrap_or_default();
            let address = refused.address.map(|address| address.to_string()).unwrap_or_default();
            watch.lock().unwrap().push(format!("{} {caller} {shown} {address}", refused.code));
        });
        let oauth = Oauth::new(terms, issuers, grants, registry, access, turned_away).unwrap();
        Self { log, now, oauth, told }
    }

    /// A token, with no log to wait for.
    async fn token(&self) -> String {
        self.log.syncs.add_permits(1);
        self.oauth.issue_by_grant(&who(), &Wanted::default(), None, None, None).await.unwrap().token
    }

    /// Gives a token back: the status, or what is wrong.
    async fn give_back(&self, token: &str) -> Result<StatusCode, &'static str> {
        let asked = Request::post("/oauth/revoke").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (parts, ()) = asked.body(()).unwrap().into_parts();
        let answer = self.oauth.revoke(&parts, format!("token={token}").as_bytes()).await;
        answer.map(|answer| answer.status()).map_err(|refusal| refusal.error)
    }

    /// Whether a token is good: here, and after a crash.
    fn is_good(&self, token: &str) -> (bool, bool) {
        let log = Arc::clone(&self.log) as Arc<dyn ControlLog>;
        let reopened = Registry::open_at(log, Terms::default(), self.oauth.registry.clock()).unwrap();
        let good = |registry: &Registry| registry.introspect(token).is_some();
        (good(&self.oauth.registry), good(&reopened))
    }

    /// Whether a future is still not ready when everything that it does stands still; it is dropped.
    async fn goes_away(asked: impl Future) -> bool {
        tokio::time::timeout(Duration::from_secs(1), asked).await.is_err()
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_outlives_a_request_for_its_token_that_was_dropped() {
    let rig = Rig::new(Some(Approval { approvers: vec!["leads".into()], timeout: LIFETIME }));
    let Rig { log, oauth, .. } = &rig;
    log.syncs.add_permits(2);
    let asking = Asking {
        caller: who().caller,
        scope: Scope::on(["openai"]),
        lifetime_ms: 60_000,
        reason: "night".into(),
        grant: "night".into(),
        timeout_ms: 600_000,
    };
    let id = oauth.access.ask(asking).await.unwrap();
    let lead = Decider { name: "lea".into(), groups: Some(vec!["leads".into()]) };
    oauth.access.decide(id, true, lead, String::new()).await.unwrap();

    let wanted = Wanted::default();
    assert!(Rig::goes_away(oauth.issue_by_grant(&who(), &wanted, None, None, None)).await, "the log takes its time");
    assert_eq!(oauth.access.get(id).unwrap().state, crate::AccessState::Approved, "it can be used still");
    log.syncs.add_permits(1);
    let issued = oauth.issue_by_grant(&who(), &wanted, None, None, None).await.unwrap();
    assert_eq!((issued.facts.id, oauth.access.get(id).unwrap().state), (id, crate::AccessState::Used));
    let again = oauth.issue_by_grant(&who(), &wanted, None, None, None).await;
    assert_eq!(again.err().map(|refusal| refusal.error), Some("approval_required"), "and only once");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_outlives_a_poll_that_was_dropped() {
    let rig = Rig::new(None);
    let Rig { log, now, oauth, .. } = &rig;
    let peer = peer();
    let asked = Asked { wanted: Wanted::default(), reason: String::new(), address: peer.address, certificate: None };
    let code = crate::digest("device-code");
    assert!(oauth.devices().begin(code, "BCDFGHJK", asked, NOW_MS));
    assert!(oauth.devices().decide(code, Some(Granted { who: who(), request: None::<TokenId> }), NOW_MS));
    let form = Form::read("device_code=device-code").unwrap();
    assert!(Rig::goes_away(oauth.poll(&form, peer)).await);
    now.fetch_add(10_000, Ordering::Relaxed);
    log.syncs.add_permits(1);
    assert_eq!(oauth.poll(&form, peer).await.unwrap().status(), StatusCode::OK, "the next poll has the token");
    now.fetch_add(10_000, Ordering::Relaxed);
    assert_eq!(oauth.poll(&form, peer).await.err().map(|refusal| refusal.error), Some("invalid_grant"));
}

#[tokio::test(start_paused = true)]
async fn each_device_gets_what_was_approved_for_it() {
    let rig = Rig::new(Some(Approval { approvers: vec!["leads".into()], timeout: LIFETIME }));
    let Rig { log, oauth, .. } = &rig;
    log.syncs.add_permits(9);
    let peer = peer();
    let mut requests = Vec::new();
    for (name, user_code, seconds) in [("short", "BCDFGHJK", 60), ("long", "LMNPQRST", 600)] {
        let asking = Asking {
            caller: who().caller,
            scope: Scope::on(["openai"]),
            lifetime_ms: seconds * 1000,
            reason: name.into(),
            grant: "night".into(),
            timeout_ms: 600_000,
        };
        let id = oauth.access.ask(asking).await.unwrap();
        let lead = Decider { name: "lea".into(), groups: Some(vec!["leads".into()]) };
        oauth.access.decide(id, true, lead, String::new()).await.unwrap();
        let mut wanted = Wanted::read("").unwrap();
        wanted.lifetime = Some(Duration::from_secs(seconds));
        let asked = Asked { wanted, reason: name.into(), address: peer.address, certificate: None };
        let code = crate::digest(name);
        assert!(oauth.devices().begin(code, user_code, asked, NOW_MS));
        assert!(oauth.devices().decide(code, Some(Granted { who: who(), request: Some(id) }), NOW_MS));
        requests.push((name, seconds, id));
    }
    // The one that was approved last comes first.
    for (name, seconds, id) in requests.into_iter().rev() {
        let answer = oauth.poll(&Form::read(&format!("device_code={name}")).unwrap(), peer).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(told["expires_in"], seconds, "{name}");
        assert_eq!(told["token_id"], id.to_string(), "{name}");
        assert_eq!(oauth.access.get(id).unwrap().state, crate::AccessState::Used);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_not_told_to_be_done_before_it_is_durable() {
    let rig = Rig::new(None);
    let token = rig.token().await;
    rig.log.kept.broken.store(true, Ordering::Relaxed);
    rig.log.syncs.add_permits(3);
    for _ in 0..2 {
        assert_eq!(rig.give_back(&token).await, Err("temporarily_unavailable"), "the same again is not done either");
        assert_eq!(rig.is_good(&token), (false, true));
    }
    rig.log.kept.broken.store(false, Ordering::Relaxed);
    assert_eq!(rig.give_back(&token).await, Ok(StatusCode::OK));
    assert_eq!(rig.is_good(&token), (false, false));
    assert_eq!(rig.give_back(&token).await, Ok(StatusCode::OK), "it is known and durable: nothing is written");

    let token = rig.token().await;
    assert!(Rig::goes_away(rig.give_back(&token)).await, "the log takes its time");
    assert!(Rig::goes_away(rig.give_back(&token)).await, "and for the same again too");
    rig.log.syncs.add_permits(3);
    assert_eq!(rig.give_back(&token).await, Ok(StatusCode::OK));
    assert_eq!(rig.is_good(&token), (false, false));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_while_its_caller_is_revoked_stays_so_when_that_is_lifted() {
    let rig = Rig::new(None);
    let ann = Target::Caller { issuer: IDP.into(), subject: "ann".into() };
    for target in [ann, Target::Issuer(IDP.into()), Target::Everything] {
        let (token, other) = (rig.token().await, rig.token().await);
        rig.log.syncs.add_permits(3);
        let (reason, by) = (String::new(), String::new());
        let order = Order { target: target.clone(), issued_before_ms: None, reason, by };
        rig.oauth.registry.revoke(order).await.unwrap();
        assert_eq!(rig.give_back(&token).await, Ok(StatusCode::OK));
        rig.oauth.registry.lift(target, String::new(), String::new()).await.unwrap();
        assert_eq!(rig.is_good(&token), (false, false));
        assert_eq!(rig.is_good(&other), (true, true));
    }
    assert_eq!(rig.give_back("pct_0").await, Ok(StatusCode::OK), "nobody knows it");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_at_the_token_endpoint_is_told_to_those_who_watch() {
    let rig = Rig::new(None);
    let token = rig.token().await;
    let ask = async |path: &str, form: &str, bearer: Option<&str>| {
        let mut asked = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(bearer) = bearer {
            asked = asked.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let answer = rig.oauth.answer(asked.body(Bytes::from(form.to_owned())).unwrap(), peer()).await;
        (answer.status().as_u16(), std::mem::take(&mut *rig.told.lock().unwrap()))
    };
    let told = |what: &str, credential: &str| vec![format!("{what} {} 192.0.2.7", crate::digest(credential).short())];
    let own = format!("token={token}");
    assert_eq!(ask(INTROSPECT, &own, Some(&token)).await, (200, Vec::new()));
    let guessed = "pct_0";
    for guess in [guessed, "a.b.c"] {
        let refused = told("unknown_credential nobody", guess);
        assert_eq!(ask(INTROSPECT, &own, Some(guess)).await, (401, refused));
    }
    let exchange = format!(
        "grant_type={EXCHANGE_GRANT}&subject_token=a.b.c&subject_token_type=urn:ietf:params:oauth:token-type:jwt"
    );
    assert_eq!(ask(TOKEN, &exchange, None).await, (400, told("unknown_credential nobody", "a.b.c")));
    let access = |token: &str| {
        format!("subject_token={token}&subject_token_type=urn:ietf:params:oauth:token-type:access_token&reason=x")
    };
    assert_eq!(ask(ACCESS, &access(guessed), None).await, (400, told("unknown_credential nobody", guessed)));
    let code = vec!["wrong_user_code nobody  192.0.2.7".to_owned()];
    assert_eq!(ask(DEVICE, "user_code=BCDF-GHJK", None).await.1, code);

    rig.log.syncs.add_permits(1);
    let (target, by) = (Target::Caller { issuer: IDP.into(), subject: "ann".into() }, String::new());
    rig.oauth.registry.revoke(Order { target, issued_before_ms: None, reason: by.clone(), by }).await.unwrap();
    assert_eq!(ask(INTROSPECT, &own, Some(&token)).await, (401, told("revoked ann", &token)));
    assert_eq!(ask(ACCESS, &access(&token), None).await, (400, told("revoked ann", &token)));
    // As for a device that comes for its token when its person is revoked: there is no credential yet.
    let issued = rig.oauth.issue_by_grant(&who(), &Wanted::default(), None, None, None).await;
    assert_eq!(issued.err().map(|refusal| refusal.error), Some("access_denied"));
    assert_eq!(*rig.told.lock().unwrap(), ["revoked ann  "]);
}
