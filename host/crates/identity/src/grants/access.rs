//! Access that a person must agree to, just in time: asked → approved → issued, or denied, or lapsed.
//!
//! ```text
//!            AccessRequested        AccessDecided            TokenIssued (same id)
//!   nothing ────────────────▶ asked ──────────────▶ approved ────────────────────▶ used
//!                               │  └─ AccessDecided ─▶ denied      │
//!                               ├─ time ─▶ lapsed ◀─ time ─────────┤
//!                               └─ Revoked ─▶ revoked ◀─ Revoked ──┘
//! ```
//!
//! Pure: the book is nothing but control events, folded in their order, and time is an argument (milliseconds since
//! 1970). What must hold: nobody decides about their own request; a decision stands; an approval is used once, by who
//! asked, for what was asked; what a caller asked who was revoked since leads to nothing.

use std::collections::BTreeMap;

use model::{
    Caller, Decider, Scope, TokenId,
    control::{AccessDecided, AccessRequested, ControlEvent, Revoked},
};
use thiserror::Error;

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct AccessTerms {
    /// Requests open at once.
    pub open: usize,
    /// Of these, by one caller.
    pub open_per_caller: usize,
}

impl Default for AccessTerms {
    fn default() -> Self {
        Self { open: 1000, open_per_caller: 10 }
    }
}

/// The longest reason, in bytes.
const REASON_BYTES: usize = 2048;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessState {
    /// Nobody has decided.
    Asked,
    /// A token can be had for it.
    Approved,
    /// No token.
    Denied,
    /// A token was had for it.
    Used,
    /// Nobody decided, or nobody came for the token, in time.
    Lapsed,
    /// Who asked was revoked before there was a token.
    Revoked,
}

impl AccessState {
    /// As people and machines read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
        }
    }
}

/// Why something can't be done with a request.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AccessError {
    /// A bound of [`AccessTerms`] is reached.
    #[error("too many requests for access are open")]
    Full,
    /// The reason is missing or too long.
    #[error("a request for access needs a reason of at most {REASON_BYTES} bytes")]
    Reason,
    /// There is no such request, or it lapsed long ago.
    #[error("there is no request for access {0}")]
    Unknown(TokenId),
    /// It is decided already, or too old.
    #[error("the request is {0} already")]
    Closed(&'static str),
    /// The caller's own request, or not a member of a group that may decide.
    #[error("{0} may not decide this")]
    NotAllowed(String),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub scope: Scope,
    /// For how long, in milliseconds.
    pub lifetime_ms: u64,
    /// Why.
    pub reason: String,
    /// By which grant.
    pub grant: String,
    /// How long the question stays open, in milliseconds.
    pub timeout_ms: u64,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is a new one: the event to keep, and then to [`apply`](AccessBook::apply).
    New(Box<AccessRequested>),
    /// It is open already, under this id.
    Open(TokenId),
}

/// A decision to take.
#[derive(Clone, Debug)]
pub struct AccessDecision<'d> {
    /// Whether it is given.
    pub approved: bool,
    /// By whom.
    pub decider: &'d Decider,
    /// Groups that may decide, as the grant has them now.
    pub approvers: &'d [String],
    /// Why.
    pub reason: &'d str,
}

#[derive(Clone, Debug)]
struct Open {
    asked: AccessRequested,
    decided: Option<AccessDecided>,
    used: bool,
    revoked: bool,
}

impl Open {
    fn state(&self, now_ms: u64) -> AccessState {
        match &self.decided {
            _ if self.used => AccessState::Used,
            Some(decided) if !decided.approved => AccessState::Denied,
            _ if self.revoked => AccessState::Revoked,
            // Both a question and its answer are good for the same time, counted from the question.
            _ if now_ms >= self.asked.expires_ms => AccessState::Lapsed,
            Some(_) => AccessState::Approved,
            None => AccessState::Asked,
        }
    }

    fn standing(&self, now_ms: u64) -> Standing<'_> {
        (&self.asked, self.state(now_ms), self.decided.as_ref())
    }

    fn is_of(&self, caller: &Caller) -> bool {
        self.asked.caller.issuer == caller.issuer && self.asked.caller.subject == caller.subject
    }
}

/// A request, where it stands, and what was decided.
pub type Standing<'b> = (&'b AccessRequested, AccessState, Option<&'b AccessDecided>);

/// All requests that still matter.
#[derive(Debug, Default)]
pub struct AccessBook {
    terms: AccessTerms,
    open: BTreeMap<TokenId, Open>,
}

impl AccessBook {
    /// No requests.
    #[must_use]
    pub fn new(terms: AccessTerms) -> Self {
        Self { terms, open: BTreeMap::new() }
    }

    /// Folds an event into the book; those that say nothing about requests change nothing.
    pub fn apply(&mut self, event: &ControlEvent) {
        match event {
            ControlEvent::AccessRequested(asked) => {
                let new = || Open { asked: asked.clone(), decided: None, used: false, revoked: false };
                self.open.entry(asked.id).or_insert_with(new);
            }
            ControlEvent::AccessDecided(decided) => {
                if let Some(open) = self.open.get_mut(&decided.id) {
                    // The first decision stands.
                    open.decided.get_or_insert_with(|| decided.clone());
                }
            }
            ControlEvent::TokenIssued(token) => self.used(token.id),
            ControlEvent::TokenExchanged(exchanged) => self.used(exchanged.token.id),
            ControlEvent::Revoked(revoked) => self.revoke(revoked),
            // A lift lets who asked ask again; one that gives a token back asks for nothing with it.
            ControlEvent::Lifted(_) | ControlEvent::GivenBack(_) | ControlEvent::Alert(_) => {}
        }
    }

    fn used(&mut self, id: TokenId) {
        if let Some(open) = self.open.get_mut(&id) {
            open.used = true;
        }
    }

    /// Ends what those asked whom a revocation concerns.
    pub fn revoke(&mut self, revoked: &Revoked) {
        for open in self.open.values_mut() {
            open.revoked |= revoked.ends(&open.asked);
        }
    }

    /// Forgets what lapsed long ago.
    pub fn forget(&mut self, now_ms: u64) {
        const KEPT_MS: u64 = 3_600_000;
        self.open.retain(|_, open| now_ms < open.asked.expires_ms.saturating_add(KEPT_MS));
    }

    /// A request; the same one that is open already, for the same reason and time, is not asked again.
    ///
    /// # Errors
    /// [`AccessError`], and nothing has changed.
    pub fn ask(&self, id: TokenId, asking: &Asking, now_ms: u64) -> Result<Asked, AccessError> {
        let same = |open: &&Open| {
            open.is_of(&asking.caller)
                && open.asked.grant == asking.grant
                && open.asked.scope == asking.scope
                && (open.asked.lifetime_ms, &open.asked.reason) == (asking.lifetime_ms, &asking.reason)
                && open.state(now_ms) == AccessState::Asked
        };
        if let Some(open) = self.open.values().find(same) {
            return Ok(Asked::Open(open.asked.id));
        }
        if asking.reason.trim().is_empty() || asking.reason.len() > REASON_BYTES {
            return Err(AccessError::Reason);
        }
        let live = || self.open.values().filter(|open| open.state(now_ms) == AccessState::Asked);
        let own = live().filter(|open| open.is_of(&asking.caller)).count();
        if live().count() >= self.terms.open || own >= self.terms.open_per_caller {
            return Err(AccessError::Full);
        }
        Ok(Asked::New(Box::new(AccessRequested {
            at_ms: now_ms,
            id,
            caller: asking.caller.clone(),
            scope: asking.scope.clone(),
            lifetime_ms: asking.lifetime_ms,
            reason: asking.reason.clone(),
            grant: asking.grant.clone(),
            expires_ms: now_ms.saturating_add(asking.timeout_ms),
        })))
    }

    /// A decision: the event to keep, and then to [`apply`](Self::apply).
    ///
    /// # Errors
    /// [`AccessError`], and nothing has changed.
    pub fn decide(
        &self,
        id: TokenId,
        decision: &AccessDecision<'_>,
        now_ms: u64,
    ) -> Result<AccessDecided, AccessError> {
        let open = self.open.get(&id).ok_or(AccessError::Unknown(id))?;
        match open.state(now_ms) {
            AccessState::Asked => {}
            closed => return Err(AccessError::Closed(closed.as_str())),
        }
        let decider = decision.decider;
        if decider.name == open.asked.caller.subject || !decider.is_one_of(decision.approvers) {
            return Err(AccessError::NotAllowed(decider.name.clone()));
        }
        Ok(AccessDecided {
            at_ms: now_ms,
            id,
            approved: decision.approved,
            by: decider.name.clone(),
            reason: decision.reason.to_owned(),
        })
    }

    /// Takes an approved request of this caller for exactly this, where one is `meant` that one and no other: only the
    /// first who does has it. The token to issue has its id; where none could be issued, it is
    /// [given back](Self::give_back).
    pub fn claim(
        &mut self,
        caller: &Caller,
        grant: &str,
        scope: &Scope,
        meant: Option<TokenId>,
        now_ms: u64,
    ) -> Option<AccessRequested> {
        let fits = |open: &&mut Open| {
            meant.is_none_or(|id| open.asked.id == id)
                && open.is_of(caller)
                && open.asked.grant == grant
                && open.asked.scope == *scope
                && open.state(now_ms) == AccessState::Approved
        };
        let open = self.open.values_mut().find(fits)?;
        open.used = true;
        Some(open.asked.clone())
    }

    /// No token was issued for a request that was [claimed](Self::claim).
    pub fn give_back(&mut self, id: TokenId) {
        if let Some(open) = self.open.get_mut(&id) {
            open.used = false;
        }
    }

    /// A request, where it stands, and what was decided.
    #[must_use]
    pub fn get(&self, id: TokenId, now_ms: u64) -> Option<Standing<'_>> {
        self.open.get(&id).map(|open| open.standing(now_ms))
    }

    /// All requests, oldest first.
    pub fn list(&self, now_ms: u64) -> impl Iterator<Item = Standing<'_>> {
        self.open.values().map(move |open| open.standing(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use model::{
        Digest, Target,
        control::{Lifted, Origin, TokenExchanged, TokenIssued, living},
    };

    use super::*;

    fn caller(subject: &str) -> Caller {
        Caller { subject: subject.into(), issuer: "https://idp".into(), ..Caller::default() }
    }

    fn asking(subject: &str, connection: &str) -> Asking {
        Asking {
            caller: caller(subject),
            scope: Scope::on([connection]),
            lifetime_ms: 60_000,
            reason: "incident".into(),
            grant: "night".into(),
            timeout_ms: 600_000,
        }
    }

    fn asked(book: &AccessBook, asking: &Asking, now_ms: u64) -> AccessRequested {
        match book.ask(TokenId::new(), asking, now_ms).unwrap() {
            Asked::New(asked) => *asked,
            Asked::Open(id) => panic!("{id} is open already"),
        }
    }

    fn ask(book: &mut AccessBook, asking: &Asking, now_ms: u64) -> TokenId {
        let asked = asked(book, asking, now_ms);
        let id = asked.id;
        book.apply(&ControlEvent::AccessRequested(asked));
        id
    }

    fn decide(book: &mut AccessBook, id: TokenId, name: &str, approved: bool, now_ms: u64) -> Result<(), AccessError> {
        let decider = Decider { name: name.into(), groups: Some(vec!["approvers".into()]) };
        let approvers = ["approvers".to_owned()];
        let decision = AccessDecision { approved, decider: &decider, approvers: &approvers, reason: "ok" };
        let decided = book.decide(id, &decision, now_ms)?;
        book.apply(&ControlEvent::AccessDecided(decided));
        Ok(())
    }

    fn issued(id: TokenId) -> ControlEvent {
        ControlEvent::TokenIssued(TokenIssued {
            at_ms: 3,
            id,
            digest: Digest::default(),
            caller: caller("ann").into(),
            scope: Scope::on(["openai"]),
            expires_ms: 9,
            by: "night".into(),
            certificate: None,
            proven_ms: None,
        })
    }

    fn exchanged(id: TokenId) -> ControlEvent {
        let token = issued(id).issued().unwrap().clone();
        let origin = Origin { digest: Digest::default(), twin: None };
        ControlEvent::TokenExchanged(Box::new(TokenExchanged { token, origin }))
    }

    /// Whether a token could be had now; none is.
    fn approved(book: &mut AccessBook, subject: &str, connection: &str, now_ms: u64) -> bool {
        let claimed = book.claim(&caller(subject), "night", &Scope::on([connection]), None, now_ms);
        if let Some(asked) = &claimed {
            let again = book.claim(&caller(subject), "night", &Scope::on([connection]), None, now_ms);
            assert!(again.is_none(), "claimed twice");
            book.give_back(asked.id);
        }
        claimed.is_some()
    }

    #[test]
    fn what_is_approved_is_used_once_by_who_asked_for_what_was_asked() {
        let mut book = AccessBook::default();
        let id = ask(&mut book, &asking("ann", "openai"), 1);
        assert!(!approved(&mut book, "ann", "openai", 1));
        decide(&mut book, id, "bob", true, 2).unwrap();
        assert!(approved(&mut book, "ann", "openai", 2));
        assert!(!approved(&mut book, "bob", "openai", 2));
        assert!(!approved(&mut book, "ann", "other", 2));
        let other_ann = Caller { issuer: "https://other".into(), ..caller("ann") };
        assert!(book.claim(&other_ann, "night", &Scope::on(["openai"]), None, 2).is_none(), "another issuer's ann");
        assert!(book.claim(&caller("ann"), "day", &Scope::on(["openai"]), None, 2).is_none());
        book.apply(&issued(id));
        assert!(!approved(&mut book, "ann", "openai", 3));
        assert_eq!(book.get(id, 3).unwrap().1, AccessState::Used);
    }

    #[test]
    fn a_request_for_another_time_or_another_reason_is_another_one() {
        let mut book = AccessBook::default();
        let first = asking("ann", "openai");
        let id = ask(&mut book, &first, 1);
        assert!(matches!(book.ask(TokenId::new(), &first, 2), Ok(Asked::Open(open)) if open == id));
        let longer = Asking { lifetime_ms: first.lifetime_ms * 100, ..first.clone() };
        let other = Asking { reason: "another incident".into(), ..first };
        for another in [longer, other] {
            let asked = asked(&book, &another, 2);
            assert_eq!((asked.lifetime_ms, &asked.reason), (another.lifetime_ms, &another.reason));
        }
    }

    #[test]
    fn nobody_decides_about_their_own_and_only_approvers_decide() {
        let mut book = AccessBook::default();
        let id = ask(&mut book, &asking("ann", "openai"), 1);
        assert_eq!(decide(&mut book, id, "ann", true, 2), Err(AccessError::NotAllowed("ann".into())));
        for (name, groups, good) in [
            ("ann", None, false),
            ("eve", Some(vec!["staff".to_owned()]), false),
            ("eve", Some(Vec::new()), false),
            ("op", None, true),
        ] {
            let decider = Decider { name: name.into(), groups };
            let approvers = ["approvers".to_owned()];
            let decision = AccessDecision { approved: true, decider: &decider, approvers: &approvers, reason: "" };
            assert_eq!(book.decide(id, &decision, 2).is_ok(), good, "{name}");
        }
        assert!(!approved(&mut book, "ann", "openai", 3));
    }

    #[test]
    fn what_a_revoked_caller_asked_is_over_and_what_it_asks_later_is_not() {
        let revoked = |target, issued_before_ms| {
            let (reason, by) = (String::new(), "op".to_owned());
            ControlEvent::Revoked(Revoked { at_ms: 5, target, issued_before_ms, reason, by, until_ms: None })
        };
        let ann = Target::Caller { issuer: "https://idp".into(), subject: "ann".into() };
        for target in [ann.clone(), Target::Issuer("https://idp".into()), Target::Everything] {
            let mut book = AccessBook::default();
            let (asked, given) = (ask(&mut book, &asking("ann", "a"), 1), ask(&mut book, &asking("ann", "b"), 1));
            decide(&mut book, given, "bob", true, 2).unwrap();
            book.apply(&revoked(target, Some(5)));
            assert!(!approved(&mut book, "ann", "b", 6), "an approval of before");
            assert_eq!(decide(&mut book, asked, "bob", true, 6), Err(AccessError::Closed("revoked")));
            assert_eq!(book.get(given, 6).unwrap().1, AccessState::Revoked);
            let later = ask(&mut book, &asking("ann", "a"), 6);
            decide(&mut book, later, "bob", true, 7).unwrap();
            assert!(approved(&mut book, "ann", "a", 7), "who proved anew may ask anew");
        }
        let mut book = AccessBook::default();
        let others = ask(&mut book, &asking("eve", "a"), 1);
        book.apply(&revoked(ann, None));
        assert_eq!(book.get(others, 6).unwrap().1, AccessState::Asked, "of another");
    }

    #[test]
    fn what_a_revocation_ended_stays_ended_when_that_was_lifted_and_the_book_is_read_anew() {
        let ann = Target::Caller { issuer: "https://idp".into(), subject: "ann".into() };
        for target in [ann, Target::Issuer("https://idp".into()), Target::Everything] {
            let mut book = AccessBook::default();
            let [given, open] = ["a", "b"].map(|on| asked(&book, &asking("ann", on), 1));
            let (id, by, reason) = (given.id, "bob".into(), String::new());
            let decided = AccessDecided { at_ms: 2, id, approved: true, by, reason };
            let (reason, by) = (String::new(), "op".to_owned());
            let lifted = Lifted { at_ms: 6, target: target.clone(), reason: reason.clone(), by: by.clone() };
            let revoked = Revoked { at_ms: 5, target, issued_before_ms: None, reason, by, until_ms: None };
            let mut events = vec![
                ControlEvent::AccessRequested(given),
                ControlEvent::AccessRequested(open.clone()),
                ControlEvent::AccessDecided(decided),
                ControlEvent::Revoked(revoked),
                ControlEvent::Lifted(lifted),
            ];
            for _ in 0..2 {
                book = AccessBook::default();
                events.iter().for_each(|event| book.apply(event));
                assert!(!approved(&mut book, "ann", "a", 7));
                assert!(decide(&mut book, open.id, "bob", true, 7).is_err());
                events = living(events, 7);
            }
        }
    }

    #[test]
    fn what_was_used_stays_used_when_its_token_has_expired_and_the_book_is_read_anew() {
        const LATER: u64 = 2 * 3_600_000;
        let asking = Asking { timeout_ms: 12 * LATER, ..asking("ann", "openai") };
        let asked = asked(&AccessBook::default(), &asking, 1);
        let (id, by, reason) = (asked.id, "bob".into(), String::new());
        let decided = AccessDecided { at_ms: 2, id, approved: true, by, reason };
        let other = issued(TokenId::new());
        for used in [issued(id), exchanged(id)] {
            let (asked, decided) = (asked.clone(), decided.clone());
            let events =
                vec![ControlEvent::AccessRequested(asked), ControlEvent::AccessDecided(decided), other.clone(), used];
            let left = living(events, LATER);
            assert_eq!(left.len(), 3, "a token that no request tells of is forgotten");
            let mut book = AccessBook::default();
            left.iter().for_each(|event| book.apply(event));
            assert_eq!(book.get(id, LATER).unwrap().1, AccessState::Used);
            assert!(!approved(&mut book, "ann", "openai", LATER));
            assert_eq!(living(left, 14 * LATER), [], "and all of it goes together");
        }
    }

    #[test]
    fn a_decision_stands() {
        let mut book = AccessBook::default();
        let id = ask(&mut book, &asking("ann", "openai"), 1);
        decide(&mut book, id, "bob", false, 2).unwrap();
        assert_eq!(decide(&mut book, id, "eve", true, 3), Err(AccessError::Closed("denied")));
        let forged = AccessDecided { at_ms: 4, id, approved: true, by: "eve".into(), reason: String::new() };
        book.apply(&ControlEvent::AccessDecided(forged));
        assert!(!approved(&mut book, "ann", "openai", 5));
    }

    #[test]
    fn questions_and_answers_lapse() {
        let mut book = AccessBook::default();
        let (first, second) = (ask(&mut book, &asking("ann", "a"), 0), ask(&mut book, &asking("ann", "b"), 0));
        decide(&mut book, first, "bob", true, 599_999).unwrap();
        assert!(approved(&mut book, "ann", "a", 599_999));
        assert!(!approved(&mut book, "ann", "a", 600_000));
        assert_eq!(decide(&mut book, second, "bob", true, 600_000), Err(AccessError::Closed("lapsed")));
        book.forget(600_000);
        assert!(book.get(second, 600_000).is_some());
        book.forget(600_000 + 3_600_000);
        assert!(book.get(second, 0).is_none());
    }

    #[test]
    fn open_requests_are_bounded_and_not_doubled() {
        let mut book = AccessBook::new(AccessTerms { open: 3, open_per_caller: 2 });
        let id = ask(&mut book, &asking("ann", "a"), 1);
        assert_eq!(book.ask(TokenId::new(), &asking("ann", "a"), 1), Ok(Asked::Open(id)));
        ask(&mut book, &asking("ann", "b"), 1);
        assert_eq!(book.ask(TokenId::new(), &asking("ann", "c"), 1), Err(AccessError::Full));
        ask(&mut book, &asking("bob", "a"), 1);
        assert_eq!(book.ask(TokenId::new(), &asking("eve", "a"), 1), Err(AccessError::Full));
        assert!(book.ask(TokenId::new(), &asking("eve", "a"), 700_000).is_ok(), "what lapsed makes room");
        let silent = Asking { reason: " ".into(), ..asking("eve", "a") };
        assert_eq!(AccessBook::default().ask(TokenId::new(), &silent, 1), Err(AccessError::Reason));
    }

    #[test]
    fn folding_the_events_again_gives_the_same_book() {
        let mut book = AccessBook::default();
        let asked = asked(&book, &asking("ann", "openai"), 1);
        let decided = AccessDecided { at_ms: 2, id: asked.id, approved: true, by: "bob".into(), reason: String::new() };
        let id = asked.id;
        let events = [ControlEvent::AccessRequested(asked), ControlEvent::AccessDecided(decided), issued(id)];
        let mut states = Vec::new();
        for event in &events {
            book.apply(event);
            states.push(book.get(id, 3).unwrap().1);
        }
        assert_eq!(states, [AccessState::Asked, AccessState::Approved, AccessState::Used]);
        events.iter().for_each(|event| book.apply(event));
        assert_eq!(book.get(id, 3).unwrap().1, AccessState::Used, "an event told twice changes nothing");
    }
}
