//! A token that was exchanged for another credential ends with it.

use super::{super::forgetful::Slow, *};

#[test]
fn what_was_exchanged_ends_with_what_was_shown_for_it_or_with_its_twin() {
    for ended in [shown("ann").digest, shown("ann").twin.unwrap()] {
        let mut rig = Rig::new(Terms::default());
        let (ann, bob) = (rig.issue("ann", HOUR).unwrap(), rig.issue("bob", HOUR).unwrap());
        let running = enter(rig.identify(&ann.token).ok().unwrap(), "one", SessionId::new()).unwrap();
        let target = Target::Credential(ended);
        let blast = rig.revoke(target.clone(), None).unwrap();
        assert_eq!((blast.tokens, blast.streams, blast.callers), (1, 1, 1));
        assert!(running.lease.ended().is_some());
        assert_eq!(rig.issue("ann", HOUR).err(), Some(IssueError::Revoked), "nor a new one for it");
        for _ in 0..2 {
            assert_eq!(rig.identify(&ann.token).err(), Some(no_more(Ended::revoked("offboarded"), &ann.facts)));
            assert!(rig.registry.introspect(&ann.token).is_none() && rig.identify(&bob.token).is_ok());
            assert!(rig.registry.token(ann.facts.id).unwrap().1.is_some());
            rig.reopen();
        }
        rig.lift(target).unwrap();
        assert!(rig.identify(&ann.token).is_ok());
    }
}

#[tokio::test]
async fn one_whose_issue_is_being_written_is_not_missed() {
    let log = Arc::new(Slow::default());
    let shared = Arc::clone(&log) as Arc<dyn ControlLog>;
    let registry = Registry::open_at(shared, Terms::default(), Arc::new(|| 1_000_000)).unwrap();
    let issue = Issue { origin: Some(shown("ann")), ..issue() };
    let revoked = registry.revoke(order(Target::Credential(shown("ann").digest), None));
    let (issued, revoked, ()) = tokio::join!(registry.issue(issue), revoked, async { log.syncs.add_permits(2) });
    assert_eq!(revoked.unwrap().tokens, 0, "it was not known yet");
    let presented = Presented { credential: &issued.unwrap().token, certificate: None };
    assert!(registry.identify(presented).is_err());
}
