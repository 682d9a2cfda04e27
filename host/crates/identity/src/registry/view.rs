//! The view: every token and every revocation, folded from control events. Pure: no clock, no I/O.
//!
//! What must hold: the same events give the same view; a token is found at once; a revocation is never forgotten before
//! everything that it could be about is over; what one caller is issued takes no more room than `caller_tokens` tokens,
//! whatever their lifetime, and an order about one of them takes no longer for the others.
//!
//! A token is forgotten only when it has expired. Nothing needs it then: it is refused as an unknown one is, its exchanges
//! were cut when it was revoked, the record has its issue and its end, and that it used up a request for access is kept by
//! the log for as long as the request (`model::control::living`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use exchange::ports::Credential;
use model::{
    Caller, CompactString, ControlEvent, Digest, SessionId, Target, TokenId,
    control::{Origin, Revoked, TokenIssued},
};

use super::proven;

/// Time for which an expired token is still known as expired, rather than unknown.
pub(super) const REMEMBERED_MS: u64 = 3_600_000;

/// Issuer and subject.
pub(super) type Owner = (String, String);

/// Whose credential it is, as revocations see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// What kind of credential.
    pub(crate) credential: Credential,
    /// SHA-256 of what was presented.
    pub(crate) digest: Digest,
    /// SHA-256 of the other text that is as good, where the signature of what was presented allows one.
    pub(crate) twin: Option<Digest>,
    /// What it was issued for, where that was another credential.
    pub(crate) origin: Option<Origin>,
    /// The caller's issuer.
    pub(crate) issuer: String,
    /// The caller's subject.
    pub(crate) subject: String,
    /// When the caller proved who it is; none: it was never issued at any time that is known, so before any time.
    pub(crate) issued_ms: Option<u64>,
}

impl Holder {
    /// Of a token that was issued here.
    pub(crate) fn of(facts: &TokenIssued, origin: Option<Origin>) -> Self {
        Self {
            credential: Credential::Issued(facts.id),
            digest: facts.digest,
            twin: None,
            origin,
            issuer: facts.caller.issuer.clone(),
            subject: facts.caller.subject.clone(),
            issued_ms: Some(proven(facts)),
        }
    }

    /// The token, where one was issued here.
    pub(crate) fn token(&self) -> Option<TokenId> {
        match self.credential {
            Credential::Issued(id) => Some(id),
            Credential::Static | Credential::Direct => None,
        }
    }

    /// By what its credential is revoked: its own hash, that of what it was issued for, and those of their twins.
    fn digests(&self) -> impl Iterator<Item = Digest> + use<> {
        let origin = self.origin.map(|origin| origin.digest);
        let twin = self.origin.and_then(|origin| origin.twin);
        [Some(self.digest), self.twin, origin, twin].into_iter().flatten()
    }
}

/// Where an exchange goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The connection's name.
    pub(crate) connection: CompactString,
}

/// What one caller has; there is none without a token.
#[derive(Debug)]
struct Own {
    /// As its last token tells it: those that tell the same share it.
    caller: Arc<Caller>,
    /// Its tokens, the one that expires first first.
    known: BTreeSet<(u64, TokenId)>,
    /// How many of them had not expired when it was last looked at.
    alive: usize,
}

/// Tokens and revocations as they stand.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Tokens of one caller beyond which those are forgotten that have expired.
    caller_tokens: usize,
    tokens: HashMap<Digest, Arc<TokenIssued>>,
    by_id: HashMap<TokenId, Digest>,
    /// What those were issued for that were exchanged.
    origins: HashMap<TokenId, Origin>,
    by_expiry: BTreeSet<(u64, TokenId)>,
    /// Of these, those that had not expired when it was last looked at.
    alive: BTreeSet<(u64, TokenId)>,
    by_caller: HashMap<Owner, Own>,
    /// One for each target: later ones are joined to it.
    revoked: HashMap<Target, Arc<Revoked>>,
    /// Those that have an end, the one that ends first first.
    by_end: BTreeSet<(u64, Target)>,
    /// Those of whole connections and of sessions, which are looked at when it is known where an exchange goes.
    sessions: HashMap<String, Vec<Arc<Revoked>>>,
    /// Tokens that no grant gives any more, and what is said of them. From no event: with other grants, after the next
    /// start, they may be good again.
    outgrown: HashMap<TokenId, Arc<Revoked>>,
}

impl View {
    /// Nothing yet.
    pub(crate) fn new(caller_tokens: usize) -> Self {
        Self { caller_tokens, ..Self::default() }
    }

    /// Takes an event.
    pub(crate) fn fold(&mut self, event: &ControlEvent) {
        match event {
            ControlEvent::TokenIssued(issued) => self.issue(issued),
            ControlEvent::TokenExchanged(exchanged) => {
                self.issue(&exchanged.token);
                self.origins.insert(exchanged.token.id, exchanged.origin);
            }
            ControlEvent::Revoked(revoked) | ControlEvent::GivenBack(revoked) => self.revoke(revoked),
            ControlEvent::Lifted(lifted) => self.unrevoke(&lifted.target),
            ControlEvent::AccessRequested(_) | ControlEvent::AccessDecided(_) | ControlEvent::Alert(_) => {}
        }
    }

    /// Ends the tokens that are not `given` any more. Answers how many of them had not expired.
    pub(crate) fn outgrow(&mut self, given: impl Fn(&TokenIssued) -> bool, now_ms: u64) -> usize {
        let revoked = |facts: &TokenIssued| Revoked {
            at_ms: now_ms,
            target: Target::Token(facts.id),
            issued_before_ms: None,
            reason: "no grant gives it any more".into(),
            by: "the configuration".into(),
            until_ms: Some(facts.expires_ms),
        };
        let lost = self.tokens().filter(|facts| !given(facts));
        let lost: HashMap<_, _> = lost.map(|facts| (facts.id, Arc::new(revoked(facts)))).collect();
        self.outgrown = lost;
        self.outgrown.values().filter(|revoked| revoked.until_ms.is_some_and(|until| until > now_ms)).count()
    }

    fn issue(&mut self, issued: &TokenIssued) {
        // One of this name that was issued before was never handed out: who asked for it had gone, and asked again.
        self.forget(issued.id);
        let (owner, place) = (owner(issued), (issued.expires_ms, issued.id));
        let none = || Own { caller: Arc::clone(&issued.caller), known: BTreeSet::new(), alive: 0 };
        let own = self.by_caller.entry(owner.clone()).or_insert_with(none);
        if own.caller != issued.caller {
            own.caller = Arc::clone(&issued.caller);
        }
        own.known.insert(place);
        own.alive += 1;
        let facts = TokenIssued { caller: Arc::clone(&own.caller), ..issued.clone() };
        self.by_id.insert(issued.id, issued.digest);
        self.by_expiry.insert(place);
        self.alive.insert(place);
        self.tokens.insert(issued.digest, Arc::new(facts));
        self.make_room_of(&owner, issued.at_ms);
    }

    /// Forgets those of a caller that expired longest ago where it has more than it may.
    fn make_room_of(&mut self, owner: &Owner, now_ms: u64) {
        while let Some(own) = self.by_caller.get(owner)
            && own.known.len() > self.caller_tokens
            && let Some((expires, id)) = own.known.first().copied()
            && expires <= now_ms
        {
            self.let_go(id);
        }
    }

    /// Forgets a token that has expired, and what was revoked of it alone.
    fn let_go(&mut self, id: TokenId) {
        self.forget(id);
        self.unrevoke(&Target::Token(id));
    }

    /// Forgets a token.
    fn forget(&mut self, id: TokenId) {
        let Some(facts) = self.by_id.remove(&id).and_then(|digest| self.tokens.remove(&digest)) else { return };
        self.origins.remove(&id);
        self.outgrown.remove(&id);
        let (owner, place) = (owner(&facts), (facts.expires_ms, id));
        self.by_expiry.remove(&place);
        let was_alive = self.alive.remove(&place);
        let Some(own) = self.by_caller.get_mut(&owner) else { return };
        own.known.remove(&place);
        own.alive -= usize::from(was_alive);
        if own.known.is_empty() {
            self.by_caller.remove(&owner);
        }
    }

    fn revoke(&mut self, revoked: &Revoked) {
        let joined = match self.revoked.get(&revoked.target) {
            // Two for one target that each end something else: together they end both, and at most more than that.
            // Which of them comes first makes no difference: two that are given at once may come into the log either
            // way.
            Some(old) => {
                let said = |revoked: &Revoked| (revoked.at_ms, revoked.reason.clone(), revoked.by.clone());
                let last = if said(revoked) >= said(old) { revoked } else { &**old };
                Revoked {
                    issued_before_ms: old.issued_before_ms.zip(revoked.issued_before_ms).map(|(a, b)| a.max(b)),
                    until_ms: old.until_ms.zip(revoked.until_ms).map(|(a, b)| a.max(b)),
                    ..last.clone()
                }
            }
            None => revoked.clone(),
        };
        self.unrevoke(&revoked.target);
        if let Some(until_ms) = joined.until_ms {
            self.by_end.insert((until_ms, joined.target.clone()));
        }
        self.revoked.insert(revoked.target.clone(), Arc::new(joined));
        self.index_sessions(&revoked.target);
    }

    /// Forgets what is revoked of a target.
    fn unrevoke(&mut self, target: &Target) {
        let Some(old) = self.revoked.remove(target) else { return };
        if let Some(until_ms) = old.until_ms {
            self.by_end.remove(&(until_ms, target.clone()));
        }
        self.index_sessions(target);
    }

    /// Brings the list of a session's connection up to date.
    fn index_sessions(&mut self, target: &Target) {
        let Target::Session { connection, .. } = target else { return };
        let all = self.sessions.entry(connection.clone()).or_default();
        all.retain(|revoked| revoked.target != *target);
        all.extend(self.revoked.get(target).cloned());
        if all.is_empty() {
            self.sessions.remove(connection);
        }
    }

    /// Forgets what is over at `now_ms`.
    pub(crate) fn prune(&mut self, now_ms: u64) {
        while let Some((expires, id)) = self.alive.first().copied()
            && expires <= now_ms
        {
            self.alive.pop_first();
            let owner = self.token_called(id).map(|facts| owner(facts));
            if let Some(own) = owner.and_then(|owner| self.by_caller.get_mut(&owner)) {
                own.alive -= 1;
            }
        }
        while let Some((expires, id)) = self.by_expiry.first().copied()
            && expires.saturating_add(REMEMBERED_MS) <= now_ms
        {
            self.let_go(id);
        }
        while let Some((until_ms, target)) = self.by_end.first().cloned()
            && until_ms.saturating_add(REMEMBERED_MS) <= now_ms
        {
            self.unrevoke(&target);
        }
    }

    /// Tokens that are known, expired ones included for a while.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Arc<TokenIssued>> {
        self.by_expiry.iter().filter_map(|(_, id)| self.by_id.get(id)).filter_map(|digest| self.tokens.get(digest))
    }

    /// How many of them have not expired, and how many of those this caller has; as of the last time that it was
    /// pruned.
    pub(crate) fn alive(&self, owner: &Owner) -> (usize, usize) {
        (self.alive.len(), self.by_caller.get(owner).map_or(0, |own| own.alive))
    }

    /// Forgets those that expired longest ago where there are more than `most` of all.
    pub(crate) fn make_room(&mut self, most: usize) {
        while self.tokens.len() > most
            && let Some((expires, id)) = self.by_expiry.first().copied()
            && !self.alive.contains(&(expires, id))
        {
            self.let_go(id);
        }
    }

    /// Tokens among which are all that a revocation of this target ends: no more than its own, where it names a token or a
    /// caller.
    pub(crate) fn concerned(&self, target: &Target) -> Box<dyn Iterator<Item = &Arc<TokenIssued>> + '_> {
        match target {
            Target::Token(id) | Target::Session { token: Some(id), .. } => Box::new(self.token_called(*id).into_iter()),
            Target::Caller { issuer, subject } | Target::Session { token: None, issuer, subject, .. } => {
                let own = self.by_caller.get(&(issuer.clone(), subject.clone()));
                let known = own.into_iter().flat_map(|own| &own.known);
                Box::new(known.filter_map(|(_, id)| self.token_called(*id)))
            }
            Target::Credential(_) | Target::Connection(_) | Target::Issuer(_) | Target::Everything => {
                Box::new(self.tokens())
            }
        }
    }

    /// The token with this hash.
    pub(crate) fn token(&self, digest: &Digest) -> Option<&Arc<TokenIssued>> {
        self.tokens.get(digest)
    }

    /// The token with this name.
    pub(crate) fn token_called(&self, id: TokenId) -> Option<&Arc<TokenIssued>> {
        self.tokens.get(self.by_id.get(&id)?)
    }

    /// Whose a token is, as revocations see it.
    pub(crate) fn holder(&self, facts: &TokenIssued) -> Holder {
        Holder::of(facts, self.origin(facts.id))
    }

    /// What a token was issued for, where that was another credential.
    pub(crate) fn origin(&self, id: TokenId) -> Option<Origin> {
        self.origins.get(&id).copied()
    }

    /// Every revocation in force, oldest first.
    pub(crate) fn revocations(&self) -> Vec<Arc<Revoked>> {
        let mut all: Vec<_> = self.revoked.values().cloned().collect();
        all.sort_by_key(|revoked| revoked.at_ms);
        all
    }

    /// The revocation of a target.
    pub(crate) fn revocation(&self, target: &Target) -> Option<&Arc<Revoked>> {
        self.revoked.get(target)
    }

    /// What ended a credential wherever it is used.
    pub(crate) fn ended(&self, holder: &Holder) -> Option<&Arc<Revoked>> {
        self.ends(holder).next().or_else(|| self.outgrown.get(&holder.token()?))
    }

    /// What ended a credential's use at one place.
    pub(crate) fn ended_at(&self, holder: &Holder, place: &Place) -> Option<&Arc<Revoked>> {
        self.ends_at(holder, place).next()
    }

    /// What ended a session by its name.
    pub(crate) fn session_ended(&self, connection: &str, id: SessionId) -> impl Iterator<Item = &Arc<Revoked>> {
        let there = self.sessions.get(connection).into_iter().flatten();
        there.filter(move |revoked| matches!(revoked.target, Target::Session { session, .. } if session == id))
    }

    /// All that ended a credential wherever it is used.
    pub(crate) fn ends(&self, holder: &Holder) -> impl Iterator<Item = &Arc<Revoked>> {
        // Nothing is looked up where nothing is revoked.
        let targets = if self.revoked.is_empty() { Vec::new() } else { targets(holder) };
        targets.into_iter().filter_map(|target| self.revoked.get(&target)).filter(|revoked| is_before(revoked, holder))
    }

    /// All that ended a credential's use at one place.
    pub(crate) fn ends_at(&self, holder: &Holder, place: &Place) -> impl Iterator<Item = &Arc<Revoked>> {
        // As in `ends`: no name is made for a look where nothing is revoked.
        let target = || Target::Connection(place.connection.to_string());
        let connection = if self.revoked.is_empty() { None } else { self.revoked.get(&target()) };
        let sessions = self.sessions.get(place.connection.as_str()).into_iter().flatten();
        connection.into_iter().chain(sessions).filter(|revoked| hits(revoked, holder, Some(place)))
    }
}

/// What a credential is revoked by wherever it is used.
fn targets(holder: &Holder) -> Vec<Target> {
    let token = holder.token().map(Target::Token);
    let caller = Target::Caller { issuer: holder.issuer.clone(), subject: holder.subject.clone() };
    let issuer = Target::Issuer(holder.issuer.clone());
    let credentials = holder.digests().map(Target::Credential);
    token.into_iter().chain(credentials).chain([caller, issuer, Target::Everything]).collect()
}

/// Whose a token is, as tokens are counted.
pub(super) fn owner(facts: &TokenIssued) -> Owner {
    (facts.caller.issuer.clone(), facts.caller.subject.clone())
}

fn is_before(revoked: &Revoked, holder: &Holder) -> bool {
    match (revoked.issued_before_ms, holder.issued_ms) {
        (None, _) | (Some(_), None) => true,
        (Some(before), Some(issued)) => issued < before,
    }
}

/// Whether a revocation ends what a holder does at a place; none: wherever it is.
pub(crate) fn hits(revoked: &Revoked, holder: &Holder, place: Option<&Place>) -> bool {
    let same_caller = |issuer: &str, subject: &str| holder.issuer == issuer && holder.subject == subject;
    let target = match &revoked.target {
        Target::Token(id) => holder.credential == Credential::Issued(*id),
        Target::Credential(digest) => holder.digests().any(|known| known == *digest),
        Target::Caller { issuer, subject } => same_caller(issuer, subject),
        Target::Issuer(issuer) => holder.issuer == *issuer,
        Target::Everything => true,
        Target::Connection(connection) => place.is_some_and(|place| place.connection == *connection),
        Target::Session { token, issuer, subject, connection, .. } => {
            let held = match token {
                Some(id) => holder.credential == Credential::Issued(*id),
                // Whatever its caller brings.
                None => same_caller(issuer, subject),
            };
            held && place.is_some_and(|place| place.connection == *connection)
        }
    };
    target && is_before(revoked, holder)
}
