//! Which requests for access still matter, where those events are picked that are worth keeping.
//!
//! What must hold: what a revocation ended stays ended, and what was used stays used. Where nothing is kept any more that
//! tells of it, the request goes too.

use std::collections::{HashMap, HashSet};

use super::{AccessRequested, ControlEvent, Revoked};
use crate::{Target, TokenId};

/// Requests of `events` that are worth keeping: those that are not `over`, and that no revocation has ended, unless one
/// that did is `kept` behind them.
pub(super) fn open(
    events: &[ControlEvent],
    over: impl Fn(&AccessRequested) -> bool,
    kept: impl Fn(&Revoked) -> bool,
) -> HashSet<TokenId> {
    let mut revocations: HashMap<&Target, Vec<(usize, &Revoked)>> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        if let ControlEvent::Revoked(revoked) = event {
            revocations.entry(&revoked.target).or_default().push((place, revoked));
        }
    }
    let lives = |place: usize, asked: &AccessRequested| {
        let targets = targets(asked);
        let concerned = targets.iter().filter_map(|target| revocations.get(target)).flatten();
        let mut ends = concerned.filter(|(at, revoked)| *at > place && revoked.ends(asked)).peekable();
        ends.peek().is_none() || ends.any(|(_, revoked)| kept(revoked))
    };
    let asked = events.iter().enumerate().filter_map(|(place, event)| match event {
        ControlEvent::AccessRequested(asked) => Some((place, asked)),
        _ => None,
    });
    asked.filter(|(place, asked)| !over(asked) && lives(*place, asked)).map(|(_, asked)| asked.id).collect()
}

/// All by which it can end.
fn targets(asked: &AccessRequested) -> [Target; 3] {
    let (issuer, subject) = (asked.caller.issuer.clone(), asked.caller.subject.clone());
    [Target::Issuer(issuer.clone()), Target::Caller { issuer, subject }, Target::Everything]
}

#[cfg(test)]
mod tests {
    use super::{
        super::{AccessDecided, Lifted, living},
        *,
    };
    use crate::{Caller, Scope};

    /// Asked and approved.
    fn approved(at_ms: u64) -> [ControlEvent; 2] {
        let asked = AccessRequested {
            at_ms,
            id: TokenId::new(),
            caller: Caller { issuer: "idp".into(), subject: "ann".into(), ..Caller::default() },
            scope: Scope::on(["openai"]),
            lifetime_ms: 1,
            reason: "night".into(),
            grant: "night".into(),
            expires_ms: 1_000_000,
        };
        let (id, by, reason) = (asked.id, "bob".into(), String::new());
        let decided = AccessDecided { at_ms, id, approved: true, by, reason };
        [ControlEvent::AccessRequested(asked), ControlEvent::AccessDecided(decided)]
    }

    fn revoked(at_ms: u64, target: &Target, issued_before_ms: Option<u64>) -> ControlEvent {
        let (target, reason, by) = (target.clone(), String::new(), String::new());
        ControlEvent::Revoked(Revoked { at_ms, target, issued_before_ms, reason, by, until_ms: None })
    }

    fn lifted(target: &Target) -> ControlEvent {
        let (target, reason, by) = (target.clone(), String::new(), String::new());
        ControlEvent::Lifted(Lifted { at_ms: 9, target, reason, by })
    }

    fn ann() -> Target {
        Target::Caller { issuer: "idp".into(), subject: "ann".into() }
    }

    #[test]
    fn what_a_revocation_ended_goes_when_it_is_lifted_and_stays_beside_one_that_stands() {
        for target in [ann(), Target::Issuer("idp".into()), Target::Everything] {
            let [asked, decided] = approved(1);
            let mut events = vec![asked, decided, revoked(5, &target, None)];
            assert_eq!(living(events.clone(), 6), events, "it tells what became of the request");
            events.push(lifted(&target));
            assert_eq!(living(events, 9), []);
        }
        let bob = Target::Caller { issuer: "idp".into(), subject: "bob".into() };
        for target in [bob, Target::Issuer("other".into()), Target::Connection("openai".into())] {
            let [asked, decided] = approved(1);
            let events = vec![asked.clone(), decided.clone(), revoked(5, &target, None), lifted(&target)];
            assert_eq!(living(events, 9), [asked, decided], "of another");
        }
    }

    #[test]
    fn one_that_was_lifted_ends_nothing_that_was_asked_after_it() {
        let ([asked, decided], before) = (approved(6), Some(5));
        let events = vec![revoked(5, &ann(), before), asked.clone(), decided.clone(), lifted(&ann())];
        assert_eq!(living(events, 9), [asked, decided]);
        // By a clock that went back: not asked with anything newer than what is ended.
        let [asked, decided] = approved(6);
        let events = vec![asked.clone(), decided.clone(), revoked(5, &ann(), before), lifted(&ann())];
        assert_eq!(living(events, 9), [asked, decided]);
    }

    #[test]
    fn a_revocation_that_is_outdone_ended_what_was_asked_before_it_all_the_same() {
        let [asked, decided] = approved(2);
        let first = revoked(1, &ann(), None);
        let events = vec![first.clone(), asked.clone(), decided.clone(), revoked(3, &ann(), Some(3))];
        assert_eq!(living(events, 9), [first], "nothing behind the request would tell");
        let last = revoked(4, &ann(), None);
        let events = vec![asked.clone(), decided.clone(), revoked(3, &ann(), Some(3)), last.clone()];
        assert_eq!(living(events, 9), [asked, decided, last]);
    }
}
