//! In force, then in the log, then acknowledged: with a disk that takes its time.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{super::forgetful::Slow, *};

fn slow() -> (Arc<Slow>, Registry) {
    let log = Arc::new(Slow::default());
    (Arc::clone(&log), reopened(&log))
}

/// As after a crash: what the disk has.
fn reopened(log: &Arc<Slow>) -> Registry {
    Registry::open_at(Arc::clone(log) as Arc<dyn ControlLog>, Terms::default(), Arc::new(|| 1_000_000)).unwrap()
}

fn direct(registry: &Registry, subject: &str) -> Result<Identified, Unidentified> {
    registry.admit(Admission {
        credential: Credential::Direct,
        digest: digest(subject),
        twin: None,
        caller: caller("idp", subject).into(),
        scope: Arc::new(Scope::on(["one"])),
        issued_ms: Some(registry.now_ms()),
        expires_ms: None,
    })
}

/// Gives an order on a task of its own; it is in force when this is ready.
async fn begin(registry: &Registry, order: Order) -> tokio::task::JoinHandle<Result<Blast, RevokeError>> {
    let ordered = registry.clone();
    let task = tokio::spawn(async move { ordered.revoke(order).await });
    settle().await;
    task
}

/// Lets every task go as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_revocation_is_in_force_while_the_log_still_writes_another_one() {
    let (log, registry) = slow();
    let (ann, bob) = (direct(&registry, "ann").ok().unwrap(), direct(&registry, "bob").ok().unwrap());
    let first = begin(&registry, order(caller_target("ann"), None)).await;
    let second = begin(&registry, order(caller_target("bob"), None)).await;
    assert!(ann.lease.ended().is_some() && bob.lease.ended().is_some(), "no disk is waited for");
    assert!(direct(&registry, "bob").is_err());
    assert!(!first.is_finished() && !second.is_finished(), "nothing is acknowledged that is not durable");
    assert_eq!(*log.waiting.lock().unwrap(), 2, "they come into the log together, and may share its sync");
    assert!(direct(&reopened(&log), "bob").is_ok(), "and would not outlive a crash");
    log.syncs.add_permits(2);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert!(direct(&reopened(&log), "ann").is_err() && direct(&reopened(&log), "bob").is_err());
}

#[tokio::test]
async fn the_same_order_is_not_acknowledged_before_the_first_is_durable() {
    let (log, registry) = slow();
    let first = begin(&registry, order(caller_target("ann"), None)).await;
    let again = begin(&registry, order(caller_target("ann"), None)).await;
    assert!(!again.is_finished(), "it is in force, but a crash would end it");
    log.syncs.add_permits(2);
    let (first, again) = (first.await.unwrap().unwrap(), again.await.unwrap().unwrap());
    assert!(!first.already && !again.already);
    assert!(registry.revoke(order(caller_target("ann"), None)).await.unwrap().already, "now it is known and durable");
}

#[tokio::test]
async fn what_is_revoked_while_a_lift_is_written_stays_revoked_and_does_so_after_a_crash() {
    let (log, registry) = slow();
    log.syncs.add_permits(1);
    registry.revoke(order(caller_target("ann"), None)).await.unwrap();
    let lifting = registry.clone();
    let lift = tokio::spawn(async move { lifting.lift(caller_target("ann"), String::new(), String::new()).await });
    settle().await;
    let again =
        begin(&registry, Order { reason: "again".into(), ..order(caller_target("ann"), Some(2_000_000)) }).await;
    let anew = begin(&registry, order(caller_target("ann"), None)).await;
    log.syncs.add_permits(1);
    lift.await.unwrap().unwrap();
    assert!(direct(&registry, "ann").is_err(), "in force on both sides of the lift");
    log.syncs.add_permits(2);
    assert!(again.await.unwrap().is_ok() && anew.await.unwrap().is_ok());
    assert!(direct(&registry, "ann").is_err() && direct(&reopened(&log), "ann").is_err());
    let kinds: Vec<_> = log.kept.replay().unwrap().iter().map(|event| event.revoked().is_some()).collect();
    assert_eq!(kinds, [true, false, true, true], "the log has them in the order in which they count");
}

#[tokio::test]
async fn an_order_is_carried_out_to_its_end_when_nobody_waits_for_it_any_more() {
    let (log, registry) = slow();
    let gone = begin(&registry, order(caller_target("ann"), None)).await;
    gone.abort();
    settle().await;
    log.syncs.add_permits(1);
    settle().await;
    assert!(direct(&reopened(&log), "ann").is_err());
}

#[tokio::test]
async fn a_token_that_is_given_back_is_revoked_and_uses_nothing_of_what_is_held_back() {
    let (log, registry) = slow();
    log.syncs.add_permits(9);
    let issue = issue();
    let issued = registry.issue(issue).await.unwrap();
    registry.give_back(&issued.facts).await.unwrap();
    assert!(registry.introspect(&issued.token).is_none() && reopened(&log).introspect(&issued.token).is_none());
    assert!(log.kept.replay().unwrap().iter().all(|event| !event.is_essential()));
    let revocation = &registry.revocations()[0];
    assert_eq!((revocation.by.as_str(), revocation.reason.as_str()), ("ann", "given back by its holder"));
}

proptest! {
    /// Two revocations that are given at once come into the log either way; what is in force is the same.
    #[test]
    fn revocations_of_one_target_commute(times in prop::collection::vec(prop::option::of(0..9_u64), 1..5)) {
        let event = |(at, before): (usize, &Option<u64>)| ControlEvent::Revoked(Revoked {
            at_ms: 7,
            target: Target::Everything,
            issued_before_ms: *before,
            reason: at.to_string(),
            by: String::new(),
            until_ms: None,
        });
        let events: Vec<_> = times.iter().enumerate().map(event).collect();
        let folded = |events: &mut dyn Iterator<Item = &ControlEvent>| {
            let mut view = view::View::new(1);
            events.for_each(|event| view.fold(event));
            view.revocation(&Target::Everything).map(|joined| (**joined).clone())
        };
        let forth = folded(&mut events.iter());
        prop_assert_eq!(forth, folded(&mut events.iter().rev()));
    }
}

#[tokio::test]
async fn many_at_once_are_all_in_force_and_all_kept() {
    let (log, registry) = slow();
    log.syncs.add_permits(200);
    let orders = (0..200).map(|at| registry.revoke(order(caller_target(&at.to_string()), None)));
    assert!(join_all(orders).await.iter().all(Result::is_ok));
    let kept: BTreeSet<_> =
        reopened(&log).revocations().iter().map(|revoked| format!("{:?}", revoked.target)).collect();
    assert_eq!(kept.len(), 200);
}
