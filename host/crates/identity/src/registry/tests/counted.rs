//! How many tokens there may be, and when each of them was issued.

use futures_util::future::join_all;

use super::{super::forgetful::Slow, *};

#[test]
fn tokens_that_have_expired_take_nobodys_place() {
    let rig = Rig::new(Terms { tokens: 10, caller_tokens: 10, ..Terms::default() });
    let minute = Duration::from_secs(60);
    let first = rig.issue("ann", minute).unwrap();
    for _ in 1..10 {
        rig.issue("ann", minute).unwrap();
    }
    assert_eq!(rig.issue("bob", minute).err(), Some(IssueError::Full(10)));
    rig.pass(60_000);
    assert_eq!(rig.identify(&first.token).err(), Some(no_more(Ended::Expired, &first.facts)), "it is still known");
    for _ in 0..10 {
        rig.issue("bob", minute).unwrap();
    }
    assert_eq!(rig.issue("bob", minute).err(), Some(IssueError::CallerFull(10)));
    assert_eq!(rig.issue("ann", minute).err(), Some(IssueError::Full(10)));
}

#[test]
fn what_is_remembered_of_expired_tokens_is_bounded_too() {
    let rig = Rig::new(Terms { tokens: 10, ..Terms::default() });
    for _ in 0..100 {
        rig.issue("ann", Duration::from_secs(1)).unwrap();
        rig.pass(1000);
    }
    assert!(rig.registry.state().view.tokens().count() <= 21);
}

#[test]
fn of_a_caller_no_more_tokens_are_known_than_it_may_have() {
    let mut rig = Rig::new(Terms { caller_tokens: 10, ..Terms::default() });
    let of_bob = rig.issue("bob", Duration::from_secs(1)).unwrap();
    let mut last = None;
    for at in 0..100 {
        let issued = rig.issue("ann", Duration::from_secs(1)).unwrap();
        if at % 2 == 0 {
            rig.runtime.block_on(rig.registry.give_back(&issued.facts)).unwrap();
        }
        last = Some(issued);
        rig.pass(1000);
    }
    // Those that live are never forgotten for another.
    let alive: Vec<_> = (0..10).map(|_| rig.issue("eve", HOUR).unwrap()).collect();
    assert_eq!(rig.issue("eve", HOUR).err(), Some(IssueError::CallerFull(10)));
    let last = last.unwrap();
    for _ in 0..2 {
        let known = |subject: &str| {
            let target = caller_target(subject);
            rig.registry.state().view.concerned(&target).count()
        };
        assert_eq!((known("ann"), known("bob"), known("eve")), (10, 1, 10));
        assert!(rig.registry.revocations().len() <= 5, "what was revoked of those that are forgotten goes with them");
        assert_eq!(rig.identify(&last.token).err(), Some(no_more(Ended::Expired, &last.facts)));
        assert_eq!(rig.identify(&of_bob.token).err(), Some(no_more(Ended::Expired, &of_bob.facts)));
        assert!(alive.iter().all(|issued| rig.identify(&issued.token).is_ok()));
        rig.reopen();
    }
}

#[test]
fn a_token_that_is_forgotten_while_it_is_let_in_is_refused() {
    let rig = Rig::new(Terms { caller_tokens: 1, ..Terms::default() });
    let second = Duration::from_secs(1);
    let issued = rig.issue("ann", second).unwrap();
    // It was found; before it is let in, it is revoked, expires, and is forgotten with its revocation.
    let holder = Arc::new(Holder::of(&issued.facts, None));
    rig.runtime.block_on(rig.registry.give_back(&issued.facts)).unwrap();
    rig.pass(1000);
    rig.issue("ann", second).unwrap();
    assert!(rig.registry.revocations().is_empty());
    assert_eq!(rig.registry.state().admit(&holder, &Lease::new(None)), Err(Ended::Expired));
}

#[test]
fn what_runs_with_a_token_that_is_forgotten_is_ended_by_its_name() {
    let rig = Rig::new(Terms { caller_tokens: 1, ..Terms::default() });
    let second = Duration::from_secs(1);
    let issued = rig.issue("ann", second).unwrap();
    let running = enter(rig.identify(&issued.token).ok().unwrap(), "one", SessionId::new()).unwrap();
    rig.pass(1000);
    rig.issue("ann", second).unwrap();
    let target = Target::Token(issued.facts.id);
    assert!(rig.registry.state().view.token_called(issued.facts.id).is_none(), "it is forgotten");
    assert_eq!(running.lease.ended(), None, "it runs on for its grace");
    assert_eq!(rig.revoke(target.clone(), None).unwrap().streams, 1);
    assert_eq!(running.lease.ended(), Some(Ended::revoked("offboarded")));
    drop(running);
    rig.pass(3_600_000);
    assert_eq!(rig.revoke(target, None).err(), Some(RevokeError::NoToken(issued.facts.id)));
}

#[test]
fn tokens_of_one_caller_share_what_they_tell_of_it() {
    let mut rig = Rig::new(Terms::default());
    let staff = Caller { groups: vec!["staff".into()], ..caller("idp", "ann") };
    for caller in [&staff, &staff, &caller("idp", "ann"), &caller("idp", "bob"), &caller("idp", "ann")] {
        let issue = Issue { caller: caller.clone().into(), ..issue() };
        rig.runtime.block_on(rig.registry.issue(issue)).unwrap();
    }
    for _ in 0..2 {
        let tokens = rig.registry.tokens();
        let told: BTreeSet<_> = tokens.iter().map(|(facts, _)| Arc::as_ptr(&facts.caller)).collect();
        assert_eq!((tokens.len(), told.len()), (5, 3), "one of the others, and two ways in which ann is told");
        rig.reopen();
    }
}

#[test]
fn an_order_about_one_token_looks_at_no_other() {
    let rig = Rig::new(Terms { caller_tokens: 2000, ..Terms::default() });
    let all: Vec<_> = (0..2000).map(|at| rig.issue(["ann", "bob"][at % 2], HOUR).unwrap()).collect();
    let looked_at = |target: &Target| rig.registry.state().view.concerned(target).count();
    assert_eq!(looked_at(&Target::Token(all[0].facts.id)), 1);
    assert_eq!(looked_at(&caller_target("ann")), 1000);
    assert_eq!(looked_at(&Target::Everything), 2000);
    let blast = rig.runtime.block_on(rig.registry.give_back(&all[0].facts)).unwrap();
    assert_eq!((blast.tokens, blast.callers), (1, 1));
    assert_eq!(rig.registry.revision(), 0, "nobody looks whether anything that was asked ends with it");
    assert_eq!(rig.revoke(caller_target("ann"), None).unwrap().tokens, 999);
    assert_eq!(rig.registry.revision(), 1);
}

#[test]
fn one_caller_can_not_take_the_tokens_of_all() {
    let mut rig = Rig::new(Terms { tokens: 10, caller_tokens: 3, ..Terms::default() });
    for _ in 0..2 {
        while rig.issue("ann", HOUR).is_ok() {}
        assert_eq!(rig.issue("ann", HOUR).err(), Some(IssueError::CallerFull(3)));
        assert_eq!(rig.registry.tokens().iter().filter(|(facts, _)| facts.caller.subject == "ann").count(), 3);
        rig.issue("bob", HOUR).unwrap();
        rig.reopen();
    }
}

#[test]
fn a_token_whose_first_issue_nobody_heard_of_is_the_one_that_was_handed_out() {
    let mut rig = Rig::new(Terms::default());
    let issue = issue();
    let lost = rig.runtime.block_on(rig.registry.issue(issue.clone())).unwrap();
    let heard = rig.runtime.block_on(rig.registry.issue(issue)).unwrap();
    for _ in 0..2 {
        assert!(rig.identify(&heard.token).is_ok());
        assert_eq!(rig.identify(&lost.token).err(), Some(Unidentified::Unknown));
        assert_eq!(rig.registry.tokens().len(), 1);
        rig.reopen();
    }
}

#[test]
fn a_clock_that_is_ahead_makes_nothing_younger_than_a_revocation() {
    let rig = Rig::new(Terms::default());
    let now = rig.registry.now_ms();
    let ahead = |rig: &Rig| {
        rig.registry.admit(Admission {
            credential: Credential::Direct,
            digest: digest("ahead"),
            twin: None,
            caller: caller("idp", "ann").into(),
            scope: Arc::new(Scope::on(["one"])),
            issued_ms: Some(now + 30_000),
            expires_ms: None,
        })
    };
    let running = ahead(&rig).ok().unwrap();
    let issue = Issue { proven_ms: Some(now + 30_000), ..issue() };
    let issued = rig.runtime.block_on(rig.registry.issue(issue)).unwrap();
    assert_eq!(issued.facts.proven_ms, Some(now));
    rig.pass(1);
    rig.revoke(Target::Everything, Some(rig.registry.now_ms())).unwrap();
    assert!(running.lease.ended().is_some() && rig.identify(&issued.token).is_err());
}

#[test]
fn a_credential_is_revoked_in_every_form_that_its_signature_has() {
    let rig = Rig::new(Terms::default());
    let admit = |value: &str, twin: &str| {
        rig.registry.admit(Admission {
            credential: Credential::Direct,
            digest: digest(value),
            twin: Some(digest(twin)),
            caller: caller("idp", "ann").into(),
            scope: Arc::new(Scope::on(["one"])),
            issued_ms: None,
            expires_ms: None,
        })
    };
    let running = admit("other form", "found").ok().unwrap();
    rig.revoke(Target::Credential(digest("found")), None).unwrap();
    assert!(running.lease.ended().is_some());
    assert!(admit("found", "other form").is_err() && admit("other form", "found").is_err());
    assert!(admit("another", "its twin").is_ok());
}

#[test]
fn what_was_asked_in_a_session_that_is_revoked_may_not_go_on() {
    let rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    let session = SessionId::new();
    let _running = enter(rig.identify(&issued.token).ok().unwrap(), "one", session).unwrap();
    let asked = rig.registry.now_ms();
    rig.pass(10);
    rig.revoke(rig.registry.session(session).unwrap(), None).unwrap();
    let revoked = |session, at| rig.registry.is_revoked(&caller("idp", "ann"), "one", session, at);
    assert!(revoked(session, asked) && !revoked(session, rig.registry.now_ms() + 1));
    assert!(revoked(SessionId::new(), asked), "nor in another of its caller there, by a proof that is as old");
    assert!(!rig.registry.is_revoked(&caller("idp", "ann"), "two", session, asked), "elsewhere it may");
    assert!(!rig.registry.is_revoked(&caller("idp", "bob"), "one", SessionId::new(), asked), "as others may");
}

#[test]
fn a_name_is_known_by_its_tokens_and_by_what_it_runs() {
    let rig = Rig::new(Terms::default());
    assert!(rig.registry.callers_called("ann").is_empty());
    rig.issue("ann", Duration::from_secs(60)).unwrap();
    assert_eq!(Vec::from_iter(rig.registry.callers_called("ann")), ["idp"]);
    rig.pass(60_000);
    assert!(rig.registry.callers_called("ann").is_empty());
    let _running = rig.direct("ann").ok().unwrap();
    assert_eq!(Vec::from_iter(rig.registry.callers_called("ann")), ["idp"]);
}

#[tokio::test(start_paused = true)]
async fn many_that_are_asked_for_at_once_find_no_place_twice() {
    let log = Arc::new(Slow::default());
    let terms = Terms { tokens: 7, caller_tokens: 5, ..Terms::default() };
    let shared = Arc::clone(&log) as Arc<dyn ControlLog>;
    let registry = Registry::open_at(shared, terms, Arc::new(|| 1_000_000)).unwrap();
    let by = |subject: &str| Issue { caller: caller("idp", subject).into(), ..issue() };
    let many = |subject: &'static str| join_all((0..50).map(move |_| by(subject)).map(|issue| registry.issue(issue)));
    let refused = |told: &[Result<Issued, IssueError>], why: IssueError| {
        told.iter().filter(|told| told.as_ref().is_err_and(|error| *error == why)).count()
    };

    // Nobody waits for them any more, or they can't be kept: their places are free again.
    assert!(tokio::time::timeout(Duration::from_secs(1), many("ann")).await.is_err(), "the log takes its time");
    log.kept.broken.store(true, Ordering::Relaxed);
    log.syncs.add_permits(50);
    assert_eq!(refused(&many("ann").await, IssueError::CallerFull(5)), 0);
    log.kept.broken.store(false, Ordering::Relaxed);

    let (ann, bob, ()) = tokio::join!(many("ann"), many("bob"), async { log.syncs.add_permits(100) });
    assert_eq!(refused(&ann, IssueError::CallerFull(5)), 45);
    assert_eq!(refused(&bob, IssueError::Full(7)), 48, "of all too");
    assert_eq!(registry.tokens().len(), 7);
    assert_eq!(registry.state().to_come.of(&("idp".into(), "ann".into())), (0, 0));
}
