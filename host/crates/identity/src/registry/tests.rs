//! The registry against a naive model, and what must hold at its edges.

use std::sync::atomic::{AtomicU64, Ordering};

use exchange::ports::{About, Limit, NoEntry};
use model::{ExchangeId, SessionId, Target};
use proptest::prelude::*;

use super::{forgetful::Memory, view::REMEMBERED_MS, *};

mod counted;
mod exchanged;
mod granted;
mod kept;

/// What is said of a token that is no more.
fn no_more(how: Ended, facts: &TokenIssued) -> Unidentified {
    Unidentified::Ended(how, Arc::clone(&facts.caller))
}

/// A registry on a log in memory, at a time that a test sets.
struct Rig {
    log: Arc<Memory>,
    now: Arc<AtomicU64>,
    registry: Registry,
    runtime: tokio::runtime::Runtime,
}

impl Rig {
    fn new(terms: Terms) -> Self {
        let (log, now) = (Arc::new(Memory::default()), Arc::new(AtomicU64::new(1_000_000)));
        let registry = open(&log, &now, terms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { log, now, registry, runtime }
    }

    /// As after a restart.
    fn reopen(&mut self) {
        self.registry = open(&self.log, &self.now, self.registry.0.terms);
    }

    fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    fn issue(&self, subject: &str, lifetime: Duration) -> Result<Issued, IssueError> {
        self.runtime.block_on(self.registry.issue(Issue {
            id: TokenId::new(),
            caller: caller("idp", subject).into(),
            scope: Scope::on(["one", "two"]),
            lifetime,
            by: "grant".into(),
            certificate: None,
            proven_ms: None,
            origin: Some(shown(subject)),
        }))
    }

    fn revoke(&self, target: Target, issued_before_ms: Option<u64>) -> Result<Blast, RevokeError> {
        self.runtime.block_on(self.registry.revoke(order(target, issued_before_ms)))
    }

    fn lift(&self, target: Target) -> Result<(), LiftError> {
        self.runtime.block_on(self.registry.lift(target, "a mistake".into(), "ann".into()))
    }

    fn identify(&self, token: &str) -> Result<Identified, Unidentified> {
        self.registry.identify(Presented { credential: token, certificate: None })
    }

    /// A caller with a credential of an issuer, issued now.
    fn direct(&self, subject: &str) -> Result<Identified, Unidentified> {
        let now = self.registry.now_ms();
        self.registry.admit(Admission {
            credential: Credential::Direct,
            digest: digest(format!("{subject} {now}")),
            twin: None,
            caller: caller("idp", subject).into(),
            scope: Arc::new(Scope::on(["one", "two"])),
            issued_ms: Some(now),
            expires_ms: Some(now + 3_600_000),
        })
    }
}

fn open(log: &Arc<Memory>, now: &Arc<AtomicU64>, terms: Terms) -> Registry {
    let now = Arc::clone(now);
    Registry::open_at(Arc::clone(log) as Arc<dyn ControlLog>, terms, Arc::new(move || now.load(Ordering::Relaxed)))
        .unwrap()
}

fn order(target: Target, issued_before_ms: Option<u64>) -> Order {
    Order { target, issued_before_ms, reason: "offboarded".into(), by: "ann".into() }
}

fn caller(issuer: &str, subject: &str) -> Caller {
    Caller { subject: subject.into(), issuer: issuer.into(), ..Caller::default() }
}

/// What a caller shows for its tokens.
fn shown(subject: &str) -> Origin {
    Origin { digest: digest(format!("shown by {subject}")), twin: Some(digest(format!("twin of {subject}'s"))) }
}

/// What ann asks for: a token for an hour and one connection.
fn issue() -> Issue {
    Issue {
        id: TokenId::new(),
        caller: caller("idp", "ann").into(),
        scope: Scope::on(["one"]),
        lifetime: HOUR,
        by: String::new(),
        certificate: None,
        proven_ms: None,
        origin: None,
    }
}

fn caller_target(subject: &str) -> Target {
    Target::Caller { issuer: "idp".into(), subject: subject.into() }
}

fn about(who: &Identified, connection: &str, session: SessionId) -> About {
    About::begun(ExchangeId::new(), session, who.caller.clone(), connection, "openai-chat")
}

/// An exchange that runs on a connection.
fn enter(who: Identified, connection: &str, session: SessionId) -> Result<Identified, NoEntry> {
    who.account.enter(&about(&who, connection, session))?;
    Ok(who)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_token_is_known_by_its_hash_and_dies_with_its_revocation() {
    let mut rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    assert!(issued.token.starts_with("pct_") && issued.token.len() == 68);
    let who = rig.identify(&issued.token).ok().unwrap();
    assert_eq!((who.caller.subject.as_str(), who.credential), ("ann", Credential::Issued(issued.facts.id)));
    for wrong in ["", "pct_", &issued.token[..67], &format!("{}0", issued.token), &issued.facts.digest.to_string()] {
        assert_eq!(rig.identify(wrong).err(), Some(Unidentified::Unknown), "{wrong}");
    }
    let kept = format!("{:?}", rig.log.events.lock().unwrap());
    assert!(!kept.contains(&issued.token[4..]), "no token is kept: {kept}");

    let running = enter(rig.identify(&issued.token).ok().unwrap(), "one", SessionId::new()).unwrap();
    let target = Target::Token(issued.facts.id);
    let dry = rig.registry.blast(order(target.clone(), None)).unwrap();
    assert_eq!((dry.tokens, dry.streams, dry.callers, dry.already), (1, 2, 1, false));
    assert_eq!(running.lease.ended(), None, "a dry run ends nothing");
    assert_eq!(rig.revoke(target.clone(), None).unwrap(), dry);
    assert_eq!(running.lease.ended(), Some(Ended::revoked("offboarded")));
    assert_eq!(who.lease.ended(), Some(Ended::revoked("offboarded")));
    assert!(rig.registry.introspect(&issued.token).is_none());
    for _ in 0..2 {
        assert_eq!(rig.identify(&issued.token).err(), Some(no_more(Ended::revoked("offboarded"), &issued.facts)));
        rig.reopen();
    }
    let again = rig.revoke(target, None).unwrap();
    assert!(again.already && again.tokens == 0);
    assert_eq!(rig.log.events.lock().unwrap().len(), 2, "the same is written once");
}

#[test]
fn a_caller_that_is_revoked_gets_in_by_no_way_until_it_is_lifted() {
    let rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    let (ann, bob) = (rig.direct("ann").ok().unwrap(), rig.direct("bob").ok().unwrap());
    let blast = rig.revoke(caller_target("ann"), None).unwrap();
    assert_eq!((blast.tokens, blast.streams), (1, 1));
    assert!(ann.lease.ended().is_some() && bob.lease.ended().is_none());
    let later = rig.registry.now_ms() + 1000;
    assert!(
        rig.registry.is_revoked(&caller("idp", "ann"), "one", SessionId::new(), later)
            && *rig.registry.changes().borrow() == 1
    );
    assert!(!rig.registry.is_revoked(&caller("idp", "bob"), "one", SessionId::new(), later));
    assert!(rig.direct("ann").is_err() && rig.identify(&issued.token).is_err() && rig.direct("bob").is_ok());
    assert_eq!(rig.issue("ann", HOUR).err(), Some(IssueError::Revoked), "nor a new token");
    rig.pass(10);
    assert!(rig.direct("ann").is_err(), "also what is issued later");
    rig.lift(caller_target("ann")).unwrap();
    assert!(rig.direct("ann").is_ok() && rig.identify(&issued.token).is_ok());
    assert!(ann.lease.ended().is_some(), "what was cut stays cut");
    assert_eq!(rig.lift(caller_target("ann")), Err(LiftError::NotRevoked));
}

#[test]
fn what_was_asked_after_a_revocation_of_older_credentials_may_go_on() {
    let rig = Rig::new(Terms::default());
    let now = rig.registry.now_ms();
    rig.revoke(caller_target("ann"), Some(now - 5)).unwrap();
    rig.pass(10);
    rig.revoke(caller_target("bob"), None).unwrap();
    let asked = |subject: &str, at: u64| rig.registry.is_revoked(&caller("idp", subject), "one", SessionId::new(), at);
    assert!(asked("ann", now - 10) && asked("ann", now - 1) && asked("ann", now), "asked when it came, or before");
    assert!(!asked("ann", now + 1), "asked with something newer");
    rig.revoke(Target::Issuer("idp".into()), None).unwrap();
    assert!(asked("ann", now + 1) && asked("bob", now + 1));
}

#[test]
fn what_was_issued_before_a_time_dies_and_what_comes_later_lives() {
    let rig = Rig::new(Terms::default());
    let old = rig.issue("ann", HOUR).unwrap();
    let static_one = || {
        rig.registry.admit(Admission {
            credential: Credential::Static,
            digest: digest("static"),
            twin: None,
            caller: caller("token", "ci").into(),
            scope: Arc::new(Scope::on(["one"])),
            issued_ms: None,
            expires_ms: None,
        })
    };
    assert!(static_one().is_ok());
    rig.pass(10);
    let now = rig.registry.now_ms();
    rig.revoke(Target::Everything, Some(now)).unwrap();
    assert!(rig.identify(&old.token).is_err());
    assert!(static_one().is_err(), "what has no time was issued before any");
    let young = rig.issue("ann", HOUR).unwrap();
    assert!(rig.identify(&young.token).is_ok() && rig.direct("ann").is_ok());
    // A token that goes back to a proof from before is as old as that.
    let proven = Issue {
        id: TokenId::new(),
        caller: caller("idp", "ann").into(),
        scope: Scope::default(),
        lifetime: HOUR,
        by: String::new(),
        certificate: None,
        proven_ms: Some(now - 1),
        origin: None,
    };
    assert_eq!(rig.runtime.block_on(rig.registry.issue(proven)).err(), Some(IssueError::Revoked));
}

#[test]
fn a_connection_is_closed_for_all_and_a_session_for_its_holder() {
    let mut rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    let token = |rig: &Rig| rig.identify(&issued.token).ok().unwrap();
    let (mine, other) = (SessionId::new(), SessionId::new());
    let running = enter(token(&rig), "one", mine).unwrap();
    let elsewhere = enter(token(&rig), "two", other).unwrap();
    let bob = enter(rig.direct("bob").ok().unwrap(), "one", SessionId::new()).unwrap();

    let target = rig.registry.session(mine).unwrap();
    assert!(matches!(&target, Target::Session { token: None, subject, .. } if subject == "ann"));
    assert!(rig.registry.session(SessionId::new()).is_none());
    let blast = rig.revoke(target, None).unwrap();
    assert_eq!((blast.tokens, blast.streams), (1, 1));
    assert!(running.lease.ended().is_some() && elsewhere.lease.ended().is_none() && bob.lease.ended().is_none());
    for _ in 0..2 {
        assert!(enter(token(&rig), "one", SessionId::new()).is_err(), "also in a session with another name");
        assert!(enter(token(&rig), "two", other).is_ok());
        rig.reopen();
    }

    let bob = enter(rig.direct("bob").ok().unwrap(), "two", SessionId::new()).unwrap();
    rig.revoke(Target::Connection("two".into()), None).unwrap();
    assert!(bob.lease.ended().is_some());
    assert!(enter(rig.direct("bob").ok().unwrap(), "two", SessionId::new()).is_err());
    assert!(enter(rig.direct("bob").ok().unwrap(), "one", SessionId::new()).is_ok());
}

#[test]
fn a_session_of_a_caller_ends_and_a_later_proof_begins_another() {
    let rig = Rig::new(Terms::default());
    let session = SessionId::new();
    let running = enter(rig.direct("ann").ok().unwrap(), "one", session).unwrap();
    rig.pass(10);
    rig.revoke(rig.registry.session(session).unwrap(), None).unwrap();
    assert!(running.lease.ended().is_some());
    rig.pass(1);
    assert!(enter(rig.direct("ann").ok().unwrap(), "one", SessionId::new()).is_ok(), "proven later");
}

#[test]
fn the_proof_from_before_a_sessions_end_begins_no_other_by_any_way() {
    let mut rig = Rig::new(Terms::default());
    let proven = rig.registry.now_ms();
    let of_proof = |rig: &Rig, proven_ms| {
        let issue = Issue { proven_ms: Some(proven_ms), scope: Scope::on(["one", "two"]), ..issue() };
        rig.runtime.block_on(rig.registry.issue(issue)).unwrap().token
    };
    rig.pass(600_000);
    let token = of_proof(&rig, proven);
    let session = SessionId::new();
    let running = enter(rig.identify(&token).ok().unwrap(), "one", session).unwrap();
    let beside = enter(rig.direct("ann").ok().unwrap(), "one", SessionId::new()).unwrap();
    let target = rig.registry.session(session).unwrap();
    let told = rig.revoke(target.clone(), None).unwrap();
    assert_eq!((told.tokens, told.streams), (1, 2), "all that its caller has proved, in the same millisecond too");
    assert!(running.lease.ended().is_some() && beside.lease.ended().is_some());
    rig.pass(10);
    // Also when the first token has long been forgotten.
    for _ in 0..2 {
        for token in [of_proof(&rig, proven), of_proof(&rig, proven + 599_000)] {
            let there = |place| enter(rig.identify(&token).ok().unwrap(), place, SessionId::new());
            assert!(there("one").is_err() && there("two").is_ok());
        }
        let anew = of_proof(&rig, rig.registry.now_ms());
        assert!(enter(rig.identify(&anew).ok().unwrap(), "one", SessionId::new()).is_ok(), "proven anew");
        rig.pass(3_600_000 + 2 * REMEMBERED_MS);
        rig.reopen();
    }
    rig.lift(target).unwrap();
    assert!(enter(rig.identify(&of_proof(&rig, proven)).ok().unwrap(), "one", SessionId::new()).is_ok());
}

#[test]
fn a_revocation_that_is_not_kept_is_in_force_and_told() {
    let mut rig = Rig::new(Terms::default());
    let running = rig.direct("ann").ok().unwrap();
    rig.log.broken.store(true, Ordering::Relaxed);
    let Err(RevokeError::NotKept { blast, .. }) = rig.revoke(caller_target("ann"), None) else {
        unreachable!("the log is broken");
    };
    assert_eq!(blast.streams, 1);
    assert!(running.lease.ended().is_some() && rig.direct("ann").is_err());
    assert!(rig.issue("bob", HOUR).is_err(), "but no token is good that is not kept");
    assert!(rig.revoke(caller_target("ann"), None).is_err(), "it is not passed off as done");
    rig.log.broken.store(false, Ordering::Relaxed);
    assert!(!rig.revoke(caller_target("ann"), None).unwrap().already);
    rig.reopen();
    assert!(rig.direct("ann").is_err());
}

#[test]
fn a_certificate_must_come_with_the_token_that_is_bound_to_it() {
    let rig = Rig::new(Terms::default());
    let issue = Issue {
        id: TokenId::new(),
        caller: caller("idp", "ann").into(),
        scope: Scope::default(),
        lifetime: HOUR,
        by: String::new(),
        certificate: Some(digest("certificate")),
        proven_ms: None,
        origin: None,
    };
    let issued = rig.runtime.block_on(rig.registry.issue(issue)).unwrap();
    let with = |certificate| rig.registry.identify(Presented { credential: &issued.token, certificate }).err();
    assert_eq!(with(None), Some(Unidentified::WrongCertificate));
    assert_eq!(with(Some(digest("another"))), Some(Unidentified::WrongCertificate));
    assert_eq!(with(Some(digest("certificate"))), None);
}

#[test]
fn memory_is_bounded() {
    let rig = Rig::new(Terms { tokens: 10, sessions: 3, ..Terms::default() });
    for _ in 0..10 {
        rig.issue("ann", HOUR).unwrap();
    }
    assert_eq!(rig.issue("ann", HOUR).err(), Some(IssueError::Full(10)));
    rig.pass(3_600_000 + REMEMBERED_MS);
    rig.issue("ann", HOUR).unwrap();
    assert_eq!(rig.registry.tokens().len(), 1);
    let sessions: Vec<_> = (0..5).map(|_| SessionId::new()).collect();
    for session in &sessions {
        enter(rig.direct("ann").ok().unwrap(), "one", *session).unwrap();
    }
    assert!(rig.registry.session(sessions[1]).is_none() && rig.registry.session(sessions[2]).is_some());
    assert_eq!(rig.registry.state().running(), 0);
}

#[test]
fn limits_are_counted_on_the_caller_and_on_the_token() {
    let limits = |streams| Limits { streams: Some(streams), ..Limits::default() };
    let rig = Rig::new(Terms { caller: limits(3), token: limits(2), ..Terms::default() });
    let (a, b) = (rig.issue("ann", HOUR).unwrap(), rig.issue("ann", HOUR).unwrap());
    let run = |issued: &Issued| enter(rig.identify(&issued.token).ok().unwrap(), "one", SessionId::new());
    let refused = |run: Result<Identified, NoEntry>| match run.err() {
        Some(NoEntry::Exceeded(exceeded)) => (exceeded.limit, exceeded.allowed),
        other => unreachable!("{other:?}"),
    };
    let first = run(&a).unwrap();
    let _second = run(&a).unwrap();
    assert_eq!(refused(run(&a)), (Limit::Streams, 2), "the token's");
    let _third = run(&b).unwrap();
    assert_eq!(refused(run(&b)), (Limit::Streams, 3), "the caller's");
    drop(first);
    assert!(run(&a).is_ok() && run(&b).is_ok(), "whoever was refused was not counted");
}

#[derive(Clone, Debug)]
enum Step {
    Issue(u8),
    Revoke(Aim, bool),
    Lift(Aim),
    Pass(u16),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Aim {
    Token(u8),
    Value(u8),
    Shown(u8),
    Caller(u8),
    Issuer,
    Everything,
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Aim::Token),
        2 => (0..12_u8).prop_map(Aim::Value),
        2 => (0..3_u8).prop_map(Aim::Shown),
        4 => (0..3_u8).prop_map(Aim::Caller),
        1 => Just(Aim::Issuer),
        1 => Just(Aim::Everything),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8).prop_map(Step::Issue),
        4 => (aim(), any::<bool>()).prop_map(|(aim, before)| Step::Revoke(aim, before)),
        1 => aim().prop_map(Step::Lift),
        2 => (1..2000_u16).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// What the naive model knows: every token, and every revocation and its end, in their order.
#[derive(Default)]
struct Naive {
    tokens: Vec<(Arc<TokenIssued>, String, Option<Identified>)>,
    orders: Vec<(Target, Option<u64>)>,
}

impl Naive {
    fn target(&self, aim: Aim) -> Option<Target> {
        let token = |at: u8| self.tokens.get(usize::from(at)).map(|(facts, ..)| facts);
        Some(match aim {
            Aim::Token(at) => Target::Token(token(at)?.id),
            Aim::Value(at) => Target::Credential(token(at)?.digest),
            Aim::Shown(who) => Target::Credential(shown(&who.to_string()).digest),
            Aim::Caller(who) => caller_target(&who.to_string()),
            Aim::Issuer => Target::Issuer("idp".into()),
            Aim::Everything => Target::Everything,
        })
    }

    fn is_revoked(&self, facts: &TokenIssued) -> bool {
        self.orders.iter().any(|(target, before)| {
            let hit = match target {
                Target::Token(id) => *id == facts.id,
                Target::Credential(digest) => [facts.digest, shown(&facts.caller.subject).digest].contains(digest),
                Target::Caller { subject, .. } => *subject == facts.caller.subject,
                Target::Issuer(_) | Target::Everything => true,
                Target::Session { .. } | Target::Connection(_) => unreachable!("not aimed at"),
            };
            hit && before.is_none_or(|before| facts.at_ms < before)
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// After every step a token is good exactly when a list of all that was ever said says so; its leases agree.
    #[test]
    fn it_agrees_with_a_list_of_everything_that_was_said(steps in prop::collection::vec(step(), 1..40)) {
        const LIFETIME: u64 = 5000;
        let mut rig = Rig::new(Terms::default());
        let mut naive = Naive::default();
        let mut cut = std::collections::HashSet::new();
        for step in steps {
            match step {
                Step::Issue(who) => match rig.issue(&who.to_string(), Duration::from_millis(LIFETIME)) {
                    Ok(issued) => {
                        let running = rig.identify(&issued.token).ok();
                        naive.tokens.push((issued.facts, issued.token, running));
                    }
                    Err(error) => prop_assert_eq!(error, IssueError::Revoked),
                },
                Step::Revoke(aim, before) => {
                    let before = before.then(|| rig.registry.now_ms());
                    let Some(target) = naive.target(aim) else { continue };
                    let told = rig.revoke(target.clone(), before).unwrap();
                    let now = rig.registry.now_ms();
                    let good = |naive: &Naive| {
                        let good = |facts: &TokenIssued| facts.expires_ms > now && !naive.is_revoked(facts);
                        naive.tokens.iter().filter(|(facts, ..)| good(facts)).count()
                    };
                    let were = good(&naive);
                    naive.orders.push((target, before));
                    prop_assert_eq!(told.tokens, were - good(&naive));
                }
                Step::Lift(aim) => {
                    let Some(target) = naive.target(aim) else { continue };
                    let known = naive.orders.iter().any(|(known, _)| *known == target);
                    prop_assert_eq!(rig.lift(target.clone()).is_ok(), known);
                    naive.orders.retain(|(known, _)| *known != target);
                }
                Step::Pass(millis) => rig.pass(millis.into()),
                Step::Restart => {
                    // Nothing runs on over a restart.
                    naive.tokens.iter_mut().for_each(|(.., running)| *running = None);
                    rig.reopen();
                }
            }
            let now = rig.registry.now_ms();
            for (facts, token, running) in &naive.tokens {
                let found = rig.identify(token).err();
                let expected = if facts.expires_ms <= now {
                    Some(no_more(Ended::Expired, facts))
                } else if naive.is_revoked(facts) {
                    Some(no_more(Ended::revoked("offboarded"), facts))
                } else {
                    None
                };
                prop_assert_eq!(found, expected);
                if naive.is_revoked(facts) {
                    cut.insert(facts.id);
                }
                if let Some(running) = running {
                    prop_assert_eq!(running.lease.ended().is_some(), cut.contains(&facts.id));
                }
                prop_assert_eq!(rig.registry.introspect(token).is_some(), facts.expires_ms > now && !naive.is_revoked(facts));
            }
        }
    }
}
