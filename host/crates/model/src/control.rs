//! Control events: what changes who may do what. A host's view of tokens and revocations is nothing but these, folded
//! in their order; so is the view of another host that receives them.
//!
//! What must hold: folding the same events in the same order gives the same view; new kinds and new fields go at the
//! end, for the store keeps them by number.

mod requests;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Alert, AlertId, Caller, Digest, Scope, SessionId, TokenId};

/// Something changed in who may do what. Times are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlEvent {
    /// A token was issued.
    TokenIssued(TokenIssued),
    /// Credentials ended before their time.
    Revoked(Revoked),
    /// A revocation was taken back.
    Lifted(Lifted),
    /// Somebody asked for access.
    AccessRequested(AccessRequested),
    /// A person decided about it.
    AccessDecided(AccessDecided),
    /// An alert was raised, or stands otherwise than before: all of it as it stands now.
    Alert(Alert),
    /// A holder gave its own token back: revoked like any other, but anybody with tokens may make as many of these as
    /// of tokens, so they have no part in what is held back for operators.
    GivenBack(Revoked),
    /// A token was issued for another credential.
    TokenExchanged(Box<TokenExchanged>),
}

/// A token that Portcullis issued. Never the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// When.
    pub at_ms: u64,
    /// What it is called.
    pub id: TokenId,
    /// SHA-256 of the token. It is kept, and told to nobody: what is read of what was told has none.
    #[serde(default)]
    pub digest: Digest,
    /// Whose it is. Shared: a caller may have many tokens, and many groups.
    pub caller: Arc<Caller>,
    /// What it may be used for.
    pub scope: Scope,
    /// From when on it is worth nothing.
    pub expires_ms: u64,
    /// The grant or the person that it goes back to.
    pub by: String,
    /// SHA-256 of the client certificate that must come with it (RFC 8705), where it is bound to one.
    pub certificate: Option<Digest>,
    /// When the caller proved who it is to the issuer (`iat` of the token that was exchanged), where that is known:
    /// revocations of what was issued before a time go by this.
    pub proven_ms: Option<u64>,
}

/// A token that was issued for another credential (RFC 8693), and ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenExchanged {
    /// The token.
    pub token: TokenIssued,
    /// What it was issued for: kept, and told to nobody, as the token's own hash is.
    #[serde(default)]
    pub origin: Origin,
}

/// A credential for which a token was issued. Never the credential itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// SHA-256 of what was presented.
    pub digest: Digest,
    /// SHA-256 of its twin, where its signature can be written in another way.
    pub twin: Option<Digest>,
}

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One token that was issued here.
    Token(TokenId),
    /// One credential of any kind, by the SHA-256 of what is presented, and every token that was issued for it.
    Credential(Digest),
    /// Everything of one caller.
    Caller {
        /// Who vouches for it; `token` for a static token.
        issuer: String,
        /// Its subject; the name of a static token.
        subject: String,
    },
    /// What the holder of one session may do on its connection.
    Session {
        /// Which session.
        session: SessionId,
        /// The token that alone is meant, in logs of before; none: whatever its caller brings.
        token: Option<TokenId>,
        /// The caller's issuer.
        issuer: String,
        /// The caller's subject.
        subject: String,
        /// The connection.
        connection: String,
    },
    /// Everything on one connection, by its name.
    Connection(String),
    /// Everybody for whom one issuer vouches.
    Issuer(String),
    /// Every credential there is.
    Everything,
}

/// Credentials ended before their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// When.
    pub at_ms: u64,
    /// What.
    pub target: Target,
    /// Only what was issued before this; none: also what is issued later, until it is lifted.
    pub issued_before_ms: Option<u64>,
    /// Why; for operators and the record, not for callers.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// From when on nothing is left that it could be about; none: never.
    pub until_ms: Option<u64>,
}

/// A revocation was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// When.
    pub at_ms: u64,
    /// What may be used again.
    pub target: Target,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub by: String,
}

/// Somebody asked for access that a grant gives only after a person agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequested {
    /// When.
    pub at_ms: u64,
    /// What the request is called: the token that it leads to has this name.
    pub id: TokenId,
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub scope: Scope,
    /// For how long, in milliseconds.
    pub lifetime_ms: u64,
    /// Why.
    pub reason: String,
    /// The grant.
    pub grant: String,
    /// When the question lapses.
    pub expires_ms: u64,
}

/// A person decided about a request for access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDecided {
    /// When.
    pub at_ms: u64,
    /// About which request.
    pub id: TokenId,
    /// Whether it is given.
    pub approved: bool,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl ControlEvent {
    /// Takes access away at the word of who answers for it, so it must be kept even when the disk is full.
    #[must_use]
    pub fn is_essential(&self) -> bool {
        match self {
            Self::Revoked(_) => true,
            Self::AccessDecided(decided) => !decided.approved,
            Self::TokenIssued(_)
            | Self::TokenExchanged(_)
            | Self::Lifted(_)
            | Self::AccessRequested(_)
            | Self::Alert(_)
            | Self::GivenBack(_) => false,
        }
    }

    /// The token that it issues.
    #[must_use]
    pub fn issued(&self) -> Option<&TokenIssued> {
        match self {
            Self::TokenIssued(token) => Some(token),
            Self::TokenExchanged(exchanged) => Some(&exchanged.token),
            Self::Revoked(_)
            | Self::GivenBack(_)
            | Self::Lifted(_)
            | Self::AccessRequested(_)
            | Self::AccessDecided(_)
            | Self::Alert(_) => None,
        }
    }

    /// What it revokes, whoever did.
    #[must_use]
    pub fn revoked(&self) -> Option<&Revoked> {
        match self {
            Self::Revoked(revoked) | Self::GivenBack(revoked) => Some(revoked),
            Self::TokenIssued(_)
            | Self::TokenExchanged(_)
            | Self::Lifted(_)
            | Self::AccessRequested(_)
            | Self::AccessDecided(_)
            | Self::Alert(_) => None,
        }
    }

    /// When.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        match self {
            Self::TokenIssued(issued) => issued.at_ms,
            Self::TokenExchanged(exchanged) => exchanged.token.at_ms,
            Self::Revoked(revoked) | Self::GivenBack(revoked) => revoked.at_ms,
            Self::Lifted(lifted) => lifted.at_ms,
            Self::AccessRequested(requested) => requested.at_ms,
            Self::AccessDecided(decided) => decided.at_ms,
            Self::Alert(alert) => alert.last_ms,
        }
    }
}

impl Revoked {
    /// Whether all that `other` ends is ended by this one too: then the other need not be kept.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let before = |revoked: &Self| revoked.issued_before_ms.unwrap_or(u64::MAX);
        let until = |revoked: &Self| revoked.until_ms.unwrap_or(u64::MAX);
        self.target == other.target && before(self) >= before(other) && until(self) >= until(other)
    }

    /// Whether it ends a request for access that is there when it comes: of a caller whom it concerns, as far as the
    /// caller had no more than what it ends when it asked.
    #[must_use]
    pub fn ends(&self, asked: &AccessRequested) -> bool {
        let Caller { issuer, subject, .. } = &asked.caller;
        let concerned = match &self.target {
            Target::Caller { issuer: of, subject: who } => (of, who) == (issuer, subject),
            Target::Issuer(of) => of == issuer,
            Target::Everything => true,
            // These end a credential or a way, and not who asks.
            Target::Token(_) | Target::Credential(_) | Target::Session { .. } | Target::Connection(_) => false,
        };
        concerned && (self.issued_before_ms.is_none() || asked.at_ms <= self.at_ms)
    }
}

/// Time for which a fact is kept after it has ended, so that clocks that disagree a little don't matter.
const LEEWAY_MS: u64 = 3_600_000;

/// Tokens of one caller beyond which none is kept that has expired: anybody may be issued one after the other, each for
/// some seconds.
pub const CALLER_TOKENS_KEPT: usize = 1000;

/// Time for which an alert is kept after it was last seen.
pub const ALERT_KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Alerts that are kept: the newest.
pub const ALERTS_KEPT: usize = 1000;

/// Those of `events` that still matter at `now_ms`, in their order: folding them gives the view that folding all of them
/// gives, but for what has expired, and for requests for access that ended with a revocation which is over.
#[must_use]
pub fn living(events: Vec<ControlEvent>, now_ms: u64) -> Vec<ControlEvent> {
    let over = |end: u64| end.saturating_add(LEEWAY_MS) < now_ms;
    let mut strongest: HashMap<Target, Vec<Revoked>> = HashMap::new();
    for event in &events {
        match event {
            ControlEvent::Revoked(revoked) | ControlEvent::GivenBack(revoked) => {
                let kept = strongest.entry(revoked.target.clone()).or_default();
                if !kept.iter().any(|old| old.covers(revoked)) {
                    kept.retain(|old| !revoked.covers(old));
                    kept.push(revoked.clone());
                }
            }
            ControlEvent::Lifted(lifted) => {
                strongest.remove(&lifted.target);
            }
            ControlEvent::TokenIssued(_)
            | ControlEvent::TokenExchanged(_)
            | ControlEvent::AccessRequested(_)
            | ControlEvent::AccessDecided(_)
            | ControlEvent::Alert(_) => {}
        }
    }
    let kept = |revoked: &Revoked| {
        !revoked.until_ms.is_some_and(over) && strongest.get(&revoked.target).is_some_and(|kept| kept.contains(revoked))
    };
    let open = requests::open(&events, |asked| over(asked.expires_ms), kept);
    let known = known(&events, over, now_ms);
    // That a request was used is told by its token, and counts for as long as the request.
    let matters = |id: &TokenId| known.contains(id) || open.contains(id);
    // What was revoked of a token alone goes with it: nobody is let in by one that nobody knows.
    let issued = events.iter().filter_map(ControlEvent::issued).map(|token| token.id);
    let gone: HashSet<TokenId> = issued.filter(|id| !matters(id)).collect();
    let left = |revoked: &Revoked| !matches!(&revoked.target, Target::Token(id) if gone.contains(id));
    let alerts = standing(&events, now_ms);
    let mut events = events;
    let mut places = 0..events.len();
    events.retain(|event| {
        let place = places.next();
        match event {
            ControlEvent::TokenIssued(token) => matters(&token.id),
            ControlEvent::TokenExchanged(exchanged) => matters(&exchanged.token.id),
            ControlEvent::Revoked(revoked) | ControlEvent::GivenBack(revoked) => kept(revoked) && left(revoked),
            ControlEvent::Lifted(_) => false,
            ControlEvent::AccessRequested(requested) => open.contains(&requested.id),
            ControlEvent::AccessDecided(decided) => open.contains(&decided.id),
            ControlEvent::Alert(alert) => alerts.get(&alert.id).is_some_and(|last| Some(*last) == place),
        }
    });
    events
}

/// Tokens that are not `over`; of a caller who has too many of them, only the last of those that have expired.
fn known(events: &[ControlEvent], over: impl Fn(u64) -> bool, now_ms: u64) -> HashSet<TokenId> {
    let mut by_caller: HashMap<(&str, &str), Vec<(u64, TokenId)>> = HashMap::new();
    for token in events.iter().filter_map(ControlEvent::issued).filter(|token| !over(token.expires_ms)) {
        let caller = (token.caller.issuer.as_str(), token.caller.subject.as_str());
        by_caller.entry(caller).or_default().push((token.expires_ms, token.id));
    }
    let last = by_caller.into_values().flat_map(|mut own| {
        own.sort_unstable_by_key(|token| Reverse(*token));
        own.into_iter()
            .enumerate()
            .filter(move |(at, (expires_ms, _))| *at < CALLER_TOKENS_KEPT || *expires_ms > now_ms)
    });
    last.map(|(_, (_, id))| id).collect()
}

/// Where the last word about each alert stands that is worth keeping.
fn standing(events: &[ControlEvent], now_ms: u64) -> HashMap<AlertId, usize> {
    let mut last: HashMap<AlertId, (u64, usize)> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        if let ControlEvent::Alert(alert) = event {
            last.insert(alert.id, (alert.last_ms, at));
        }
    }
    let mut last: Vec<_> = last.into_iter().collect();
    last.retain(|(_, (last_ms, _))| last_ms.saturating_add(ALERT_KEPT_MS) >= now_ms);
    last.sort_unstable_by_key(|&(id, (last_ms, _))| Reverse((last_ms, id)));
    last.truncate(ALERTS_KEPT);
    last.into_iter().map(|(id, (_, at))| (id, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(target: Target, issued_before_ms: Option<u64>, until_ms: Option<u64>) -> ControlEvent {
        let (reason, by) = ("left".to_owned(), "ann".to_owned());
        ControlEvent::Revoked(Revoked { at_ms: 1, target, issued_before_ms, reason, by, until_ms })
    }

    fn lifted(target: Target) -> ControlEvent {
        ControlEvent::Lifted(Lifted { at_ms: 2, target, reason: String::new(), by: String::new() })
    }

    #[test]
    fn what_was_lifted_or_outdone_is_forgotten() {
        let one = || Target::Connection("one".into());
        let two = || Target::Issuer("two".into());
        let events = vec![
            revoked(one(), Some(5), None),
            revoked(two(), None, None),
            revoked(one(), None, None),
            revoked(one(), Some(9), None),
            lifted(two()),
        ];
        assert_eq!(living(events.clone(), 10), [revoked(one(), None, None)]);
        let again: Vec<_> = events.into_iter().chain([revoked(two(), Some(7), None)]).collect();
        assert_eq!(living(again, 10), [revoked(one(), None, None), revoked(two(), Some(7), None)]);
    }

    #[test]
    fn what_has_ended_is_forgotten_after_its_leeway() {
        let token = Target::Token(TokenId::new());
        let events = vec![revoked(token.clone(), None, Some(1000)), revoked(Target::Everything, Some(1000), None)];
        assert_eq!(living(events.clone(), 1000 + LEEWAY_MS).len(), 2);
        let left = living(events, 1001 + LEEWAY_MS);
        assert!(matches!(&left[..], [ControlEvent::Revoked(left)] if left.target == Target::Everything), "{left:?}");
    }

    fn issued(subject: &str, expires_ms: u64) -> ControlEvent {
        ControlEvent::TokenIssued(TokenIssued {
            at_ms: 1,
            id: TokenId::new(),
            digest: Digest::default(),
            caller: Caller { subject: subject.into(), issuer: "idp".into(), ..Caller::default() }.into(),
            scope: Scope::default(),
            expires_ms,
            by: String::new(),
            certificate: None,
            proven_ms: None,
        })
    }

    #[test]
    fn expired_tokens_of_a_caller_are_kept_up_to_their_bound_with_what_was_revoked_of_them() {
        const NOW: u64 = 1_000_000;
        let kept = CALLER_TOKENS_KEPT as u64;
        let id = |event: &ControlEvent| event.issued().unwrap().id;
        let expired: Vec<_> = (0..3 * kept).map(|at| issued("ann", at)).collect();
        let others = issued("bob", 0);
        let alive: Vec<_> = (0..7).map(|at| issued("ann", NOW + 1 + at)).collect();
        let revoked = |of: &ControlEvent| revoked(Target::Token(id(of)), None, Some(NOW));
        let (lost, last) = (revoked(&expired[0]), revoked(expired.last().unwrap()));
        let mut events = [expired.as_slice(), &[others.clone(), lost, last.clone()], &alive].concat();
        let left = living(events.clone(), NOW);
        let first = expired.len() - CALLER_TOKENS_KEPT + alive.len();
        let expected = [&expired[first..], &[others, last], &alive].concat();
        assert!(left == expected, "{} of {}", left.len(), expected.len());
        // All that are alive, however many they are.
        events.extend((0..2 * kept).map(|_| issued("eve", NOW + 1)));
        assert_eq!(living(events, NOW).len(), left.len() + 2 * CALLER_TOKENS_KEPT);
    }

    #[test]
    fn of_an_alert_the_last_word_is_kept_and_of_alerts_the_newest() {
        let alert = |id, count, last_ms| {
            let subject = crate::Subject::caller("token", "ann");
            let mut alert = Alert::new(id, crate::Rule::UnusualVolume, subject, String::new(), last_ms);
            alert.count = count;
            ControlEvent::Alert(alert)
        };
        let (one, two) = (AlertId::new(), AlertId::new());
        let events = vec![alert(one, 1, 5), alert(two, 1, 6), alert(one, 2, 7)];
        assert_eq!(living(events, 8), [alert(two, 1, 6), alert(one, 2, 7)]);
        assert_eq!(living(vec![alert(one, 1, 5)], 6 + ALERT_KEPT_MS), []);
        let many: Vec<_> = (0..ALERTS_KEPT as u64 + 9).map(|at| alert(AlertId::new(), 1, at)).collect();
        assert_eq!(living(many.clone(), 0), many[9..]);
        assert!(!many[0].is_essential());
    }

    #[test]
    fn only_what_takes_access_away_is_essential() {
        let decided = |approved| {
            ControlEvent::AccessDecided(AccessDecided {
                at_ms: 1,
                id: TokenId::new(),
                approved,
                by: String::new(),
                reason: String::new(),
            })
        };
        assert!(revoked(Target::Everything, None, None).is_essential());
        assert!(decided(false).is_essential() && !decided(true).is_essential());
        assert!(!lifted(Target::Everything).is_essential());
    }

    #[test]
    fn a_token_that_was_given_back_lives_on_as_revoked_and_uses_no_reserve() {
        let token = Target::Token(TokenId::new());
        let ControlEvent::Revoked(revoked) = revoked(token.clone(), None, Some(1000)) else { unreachable!() };
        let given_back = ControlEvent::GivenBack(revoked);
        assert!(!given_back.is_essential() && given_back.revoked().is_some());
        assert_eq!(living(vec![given_back.clone()], 1000).first(), Some(&given_back));
        assert_eq!(living(vec![given_back.clone(), lifted(token)], 1000), []);
        assert_eq!(living(vec![given_back], 1001 + LEEWAY_MS), []);
    }
}
