//! A token is worth no more than what its grant gives now.

use super::*;
use crate::{Grant, Who};

/// What the rig's tokens are issued by.
fn grant() -> Grant {
    Grant {
        name: "grant".into(),
        who: Who { issuer: "idp".into(), ..Who::default() },
        scope: Scope::on(["one", "two"]),
        lifetime: HOUR,
        direct: false,
        bound: false,
        approval: None,
    }
}

impl Rig {
    /// As after a restart with these grants.
    fn reopen_by(&mut self, grants: Vec<Grant>) {
        self.reopen();
        self.registry = self.registry.clone().held_to(&Grants::new(grants).unwrap());
    }
}

#[test]
fn a_token_is_held_to_the_grants_of_each_start() {
    let mut rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    let who = || grant().who;
    let narrow = Scope { models: vec!["gpt-4o-mini".into()], ..Scope::on(["one", "two"]) };
    let less = [
        Grant { name: "another".into(), ..grant() },
        Grant { who: Who { issuer: "another".into(), ..who() }, ..grant() },
        Grant { who: Who { subjects: vec!["bob".into()], ..who() }, ..grant() },
        Grant { who: Who { groups: vec!["staff".into()], ..who() }, ..grant() },
        Grant { scope: Scope::on(["one"]), ..grant() },
        Grant { scope: narrow, ..grant() },
        Grant { scope: Scope { operations: vec!["openai-chat".into()], ..Scope::on(["one", "two"]) }, ..grant() },
        Grant { lifetime: HOUR / 2, ..grant() },
        Grant { bound: true, ..grant() },
    ];
    let none = std::iter::once(Vec::new());
    for grants in none.chain(less.map(|grant| vec![grant])) {
        let told = format!("{grants:?}");
        rig.reopen_by(grants);
        let ended = no_more(Ended::revoked("no grant gives it any more"), &issued.facts);
        assert_eq!(rig.identify(&issued.token).err(), Some(ended), "{told}");
        assert!(rig.registry.introspect(&issued.token).is_none(), "{told}");
        assert!(rig.registry.tokens()[0].1.is_some() && rig.registry.token(issued.facts.id).unwrap().1.is_some());
        assert_eq!(Vec::from_iter(rig.registry.issuers()), ["idp"], "whoever has it can be named: {told}");
        assert!(rig.registry.revocations().is_empty());
    }
    let more = Grant {
        who: Who { subjects: vec!["an*".into()], ..who() },
        scope: Scope::on(["one", "two", "three"]),
        lifetime: 2 * HOUR,
        direct: true,
        ..grant()
    };
    for grants in [vec![more], vec![grant()]] {
        rig.reopen_by(grants);
        assert!(rig.identify(&issued.token).is_ok() && rig.registry.introspect(&issued.token).is_some());
    }
}

#[test]
fn what_is_revoked_of_a_token_with_no_grant_stays_so_when_its_grant_is_back() {
    let mut rig = Rig::new(Terms::default());
    let issued = rig.issue("ann", HOUR).unwrap();
    rig.reopen_by(Vec::new());
    let told = rig.revoke(Target::Token(issued.facts.id), None).unwrap();
    assert_eq!((told.tokens, told.already), (0, false));
    for grants in [Vec::new(), vec![grant()]] {
        rig.reopen_by(grants);
        assert_eq!(rig.identify(&issued.token).err(), Some(no_more(Ended::revoked("offboarded"), &issued.facts)));
    }
}
