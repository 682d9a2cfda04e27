//! The registry: which tokens there are, what is revoked, who uses what right now.
//!
//! ```text
//!   identify ──▶ admit ──▶ lease, account ──▶ enter (session, connection, limits) ──▶ the exchange runs ──▶ dropped
//!                                                                                        │
//!   revoke ──▶ the view ──▶ every lease that it concerns ends ───────────────────────────┘ is cut
//!         └──▶ the control log ──▶ durable ──▶ answered: so many tokens, so many streams
//! ```
//!
//! What must hold: nobody is let in between a revocation and its leases' ends (both are one step under one lock); a
//! revocation is answered only when it is durable; a token is good only when its issue is durable, and as long as its
//! grant gives it; no token is kept, only its hash.

mod limits;
mod orders;
mod reserved;
mod running;
mod unkept;
mod view;

#[cfg(test)]
pub(crate) mod forgetful;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use exchange::ports::{ControlLog, Credential, Ended, Identified, Lease, Presented, RecordError, Unidentified};
use model::{
    Caller, ControlEvent, Digest, Scope, SessionId, TokenId,
    control::{CALLER_TOKENS_KEPT, Origin, Revoked, TokenExchanged, TokenIssued},
};
use thiserror::Error;
use tokio::sync::watch;

pub use self::{
    limits::{Limits, Rate},
    orders::{Affected, Blast, LiftError, Order, RevokeError},
};
use self::{
    reserved::Reserved,
    running::{State, Stay},
    view::{Holder, Place, owner},
};
use crate::{Grants, digest, new_token};

/// What every token that was issued here begins with: scanners for leaked secrets know it by that.
const TOKEN_PREFIX: &str = "pct_";

/// How many bytes a presented credential may have; IdP tokens with many groups are long.
pub(crate) const CREDENTIAL_BYTES: usize = 16 << 10;

/// What the registry goes by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Tokens that may be alive (not expired) at the same time.
    pub tokens: usize,
    /// Of these, of one caller, so that one can't deny tokens to all. No more of its tokens are known either: with more,
    /// those are forgotten that have expired.
    pub caller_tokens: usize,
    /// Sessions that are remembered for being revoked by name.
    pub sessions: usize,
    /// For how long an exchange may run on after its credential has expired; a revocation waits for nothing.
    pub grace: Duration,
    /// What one caller may use.
    pub caller: Limits,
    /// What one token that was issued here may use.
    pub token: Limits,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            tokens: 100_000,
            caller_tokens: CALLER_TOKENS_KEPT,
            sessions: 10_000,
            grace: Duration::from_secs(300),
            caller: Limits::default(),
            token: Limits::default(),
        }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, from whoever knows.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Tokens, revocations, and who uses what. Clones share it.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    log: Arc<dyn ControlLog>,
    terms: Terms,
    clock: Clock,
    state: Mutex<State>,
    /// Counts revocations that may end what somebody asked, for those who must act on them.
    revoked: watch::Sender<u64>,
    /// Held by revocations for reading and by lifts for writing while they come into the log, so that it has a lift and
    /// what is revoked anew on the sides of each other on which the view has them. Revocations commute, and share a
    /// sync.
    lifting: tokio::sync::RwLock<()>,
}

/// A credential whose owner is known.
#[derive(Clone, Debug)]
pub struct Admission {
    /// What kind.
    pub credential: Credential,
    /// SHA-256 of what was presented.
    pub digest: Digest,
    /// SHA-256 of its twin, where its signature can be written in another way: who revokes one means both.
    pub twin: Option<Digest>,
    /// Whose it is.
    pub caller: Arc<Caller>,
    /// What it may be used for.
    pub scope: Arc<Scope>,
    /// When its owner proved who it is (`iat`); none: nobody knows, so it counts as issued before any time.
    pub issued_ms: Option<u64>,
    /// From when on it is worth nothing; none: never.
    pub expires_ms: Option<u64>,
}

/// What a token is asked for.
#[derive(Clone, Debug)]
pub struct Issue {
    /// What it will be called; the id of the request for access that it was given for, where there was one.
    pub id: TokenId,
    /// Whose it will be.
    pub caller: Arc<Caller>,
    /// What it may be used for.
    pub scope: Scope,
    /// For how long.
    pub lifetime: Duration,
    /// The grant or the person that it goes back to.
    pub by: String,
    /// SHA-256 of the client certificate that must come with it.
    pub certificate: Option<Digest>,
    /// When the caller proved who it is; none: now.
    pub proven_ms: Option<u64>,
    /// What it is issued for, where that is another credential: the token ends with it.
    pub origin: Option<Origin>,
}

/// A token, for the one moment in which it is known.
pub struct Issued {
    /// What is to be presented. Not kept anywhere.
    pub token: String,
    /// What is kept.
    pub facts: Arc<TokenIssued>,
}

/// Why no token was issued.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IssueError {
    /// The caller is revoked, or what it showed.
    #[error("the caller is revoked, or what it showed")]
    Revoked,
    /// There are as many as there may be.
    #[error("{0} tokens are alive, and no more may be")]
    Full(usize),
    /// The caller has as many as one may.
    #[error("the caller has {0} tokens that have not expired, and may have no more")]
    CallerFull(usize),
    /// It could not be kept, so it is not good.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Registry {
    /// A registry from what the log holds.
    ///
    /// # Errors
    /// [`RecordError`] when the log can't be read: a revocation may be missing.
    pub fn open(log: Arc<dyn ControlLog>, terms: Terms) -> Result<Self, RecordError> {
        Self::open_at(log, terms, Arc::new(now_ms))
    }

    /// As [`Registry::open`], with another clock.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open_at(log: Arc<dyn ControlLog>, terms: Terms, clock: Clock) -> Result<Self, RecordError> {
        let mut state = State::new(terms);
        for event in log.replay()? {
            state.view.fold(&event);
        }
        state.view.prune(clock());
        let (state, revoked) = (Mutex::new(state), watch::Sender::new(0));
        let inner = Inner { log, terms, clock, state, revoked, lifting: tokio::sync::RwLock::default() };
        Ok(Self(Arc::new(inner)))
    }

    /// The same, without the tokens that these grants do not give any more. For the start, before anybody is let in: what
    /// is issued later is issued by them.
    #[must_use]
    pub fn held_to(self, grants: &Grants) -> Self {
        let lost = self.state().view.outgrow(|facts| grants.give(facts), self.now_ms());
        if lost > 0 {
            tracing::warn!(tokens = lost, "tokens are not let in any more: no grant of this configuration gives them");
        }
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Changed by whole steps that don't panic half-way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry's clock, for what must agree with it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Arc::clone(&self.0.clock)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, by the registry's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        (self.0.clock)()
    }

    /// Issues a token. It is good as soon as this is ready, and not before.
    ///
    /// # Errors
    /// [`IssueError`]; no token is good then.
    pub async fn issue(&self, issue: Issue) -> Result<Issued, IssueError> {
        let now = self.now_ms();
        let token = format!("{TOKEN_PREFIX}{}", new_token());
        let lifetime = u64::try_from(issue.lifetime.as_millis()).unwrap_or(u64::MAX);
        let facts = TokenIssued {
            at_ms: now,
            id: issue.id,
            digest: digest(&token),
            caller: issue.caller,
            scope: issue.scope,
            expires_ms: now.saturating_add(lifetime),
            by: issue.by,
            certificate: issue.certificate,
            // A clock that is ahead of this one makes nothing younger than it is here.
            proven_ms: issue.proven_ms.map(|proven| proven.min(now)),
        };
        let place = self.reserve(&facts, issue.origin)?;
        let event = match issue.origin {
            Some(origin) => ControlEvent::TokenExchanged(Box::new(TokenExchanged { token: facts.clone(), origin })),
            None => ControlEvent::TokenIssued(facts.clone()),
        };
        self.0.log.append(event.clone()).await?;
        self.state().view.fold(&event);
        // Not before: between the two its place would be anybody's.
        drop(place);
        Ok(Issued { token, facts: Arc::new(facts) })
    }

    /// A place for a token that is to be written, given back when it is dropped.
    fn reserve(&self, facts: &TokenIssued, origin: Option<Origin>) -> Result<Reserved, IssueError> {
        let Terms { tokens, caller_tokens, .. } = self.0.terms;
        let mut state = self.state();
        state.view.prune(facts.at_ms);
        state.view.make_room(tokens.saturating_mul(2));
        if state.view.ended(&Holder::of(facts, origin)).is_some() {
            return Err(IssueError::Revoked);
        }
        let owner = owner(facts);
        let (all, own) = state.view.alive(&owner);
        let (all_to_come, own_to_come) = state.to_come.of(&owner);
        if own + own_to_come >= caller_tokens {
            return Err(IssueError::CallerFull(caller_tokens));
        }
        if all + all_to_come >= tokens {
            return Err(IssueError::Full(tokens));
        }
        state.to_come.begin(owner.clone());
        Ok(Reserved { registry: self.clone(), owner })
    }

    /// Whether a credential has the form of a token that was issued here.
    #[must_use]
    pub fn is_token(credential: &str) -> bool {
        credential.starts_with(TOKEN_PREFIX)
    }

    /// The caller behind a token that was issued here.
    ///
    /// # Errors
    /// [`Unidentified`].
    pub fn identify(&self, presented: Presented<'_>) -> Result<Identified, Unidentified> {
        if !Self::is_token(presented.credential) || presented.credential.len() > CREDENTIAL_BYTES {
            return Err(Unidentified::Unknown);
        }
        let digest = digest(presented.credential);
        let (facts, origin) = {
            let state = self.state();
            let facts = state.view.token(&digest).cloned().ok_or(Unidentified::Unknown)?;
            let origin = state.view.origin(facts.id);
            (facts, origin)
        };
        if facts.certificate.is_some() && facts.certificate != presented.certificate {
            return Err(Unidentified::WrongCertificate);
        }
        let (caller, scope) = (Arc::clone(&facts.caller), Arc::new(facts.scope.clone()));
        self.let_in(Holder::of(&facts, origin), caller, scope, Some(facts.expires_ms))
    }

    /// Lets in whoever is known, unless its credential has ended; every way to be identified ends here.
    ///
    /// # Errors
    /// [`Unidentified::Ended`].
    pub fn admit(&self, admission: Admission) -> Result<Identified, Unidentified> {
        let Admission { credential, digest, twin, caller, scope, issued_ms, expires_ms } = admission;
        let (issuer, subject) = (caller.issuer.clone(), caller.subject.clone());
        let holder = Holder { credential, digest, twin, origin: None, issuer, subject, issued_ms };
        self.let_in(holder, caller, scope, expires_ms)
    }

    fn let_in(
        &self,
        mut holder: Holder,
        caller: Arc<Caller>,
        scope: Arc<Scope>,
        expires_ms: Option<u64>,
    ) -> Result<Identified, Unidentified> {
        let now = self.now_ms();
        holder.issued_ms = holder.issued_ms.map(|issued| issued.min(now));
        let until = match expires_ms {
            Some(expires) if expires <= now => return Err(Unidentified::Ended(Ended::Expired, caller)),
            Some(expires) => Instant::now().checked_add(Duration::from_millis(expires - now) + self.0.terms.grace),
            None => None,
        };
        let credential = holder.credential;
        let holder = Arc::new(holder);
        let lease = Lease::new(until);
        let admitted = self.state().admit(&holder, &lease);
        let key = admitted.map_err(|ended| Unidentified::Ended(ended, Arc::clone(&caller)))?;
        let account = Box::new(Stay::new(self.clone(), key, holder));
        Ok(Identified { caller, credential, scope, lease, account })
    }

    /// A token that was issued here and is good, by what is presented: for introspection.
    #[must_use]
    pub fn introspect(&self, credential: &str) -> Option<Arc<TokenIssued>> {
        let facts = self.unexpired(credential)?;
        let state = self.state();
        state.view.ended(&state.view.holder(&facts)).is_none().then_some(facts)
    }

    /// A token that was issued here and has not expired, by what is presented; also one that is revoked.
    #[must_use]
    pub fn unexpired(&self, credential: &str) -> Option<Arc<TokenIssued>> {
        let facts = self.state().view.token(&digest(credential)).cloned()?;
        (facts.expires_ms > self.now_ms()).then_some(facts)
    }

    /// A token by its name, and what ended it.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<(Arc<TokenIssued>, Option<Arc<Revoked>>)> {
        let state = self.state();
        let facts = state.view.token_called(id)?;
        Some((Arc::clone(facts), state.view.ended(&state.view.holder(facts)).cloned()))
    }

    /// Every token that has not expired, the one that expires first first, and what ended it.
    #[must_use]
    pub fn tokens(&self) -> Vec<(Arc<TokenIssued>, Option<Arc<Revoked>>)> {
        let (state, now) = (self.state(), self.now_ms());
        let alive = state.view.tokens().filter(|facts| facts.expires_ms > now);
        alive.map(|facts| (Arc::clone(facts), state.view.ended(&state.view.holder(facts)).cloned())).collect()
    }

    /// Callers of this name that are known now, by whoever vouches for them: those of tokens that have not expired, and
    /// of exchanges that run.
    #[must_use]
    pub fn callers_called(&self, subject: &str) -> BTreeSet<String> {
        self.issuers_of(|known| known == subject)
    }

    /// Who vouches for the callers that are known now, whatever the configuration says of them.
    #[must_use]
    pub fn issuers(&self) -> BTreeSet<String> {
        self.issuers_of(|_| true)
    }

    fn issuers_of(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let (state, now) = (self.state(), self.now_ms());
        let tokens = state.view.tokens().filter(|facts| facts.expires_ms > now).map(|facts| &facts.caller);
        let tokens = tokens.map(|caller| (caller.issuer.as_str(), caller.subject.as_str()));
        let known = tokens.chain(state.callers()).filter(|(_, subject)| wanted(subject));
        known.map(|(issuer, _)| issuer.to_owned()).collect()
    }

    /// How many revocations came into force since the start that may end what somebody asked: whoever follows them has
    /// missed none while it stays.
    #[must_use]
    pub(crate) fn revision(&self) -> u64 {
        *self.0.revoked.borrow()
    }

    /// Changes with every revocation that may end what somebody asked: those of one credential end no question.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.revoked.subscribe()
    }

    /// Whether what a caller asked at `asked_ms` in a session on a connection may not go on by itself: it is revoked
    /// there, or was for what it held when it asked.
    #[must_use]
    pub fn is_revoked(&self, caller: &Caller, connection: &str, session: SessionId, asked_ms: u64) -> bool {
        let (issuer, subject) = (caller.issuer.clone(), caller.subject.clone());
        let credential = Credential::Direct;
        let digest = Digest::default();
        let holder = Holder { credential, digest, twin: None, origin: None, issuer, subject, issued_ms: None };
        let place = Place { connection: connection.into() };
        let state = self.state();
        // Who asks after a revocation of what was issued before some time was let in with something newer.
        let concerns = |revoked: &Arc<Revoked>| revoked.issued_before_ms.is_none() || asked_ms <= revoked.at_ms;
        let ended = state.view.ends(&holder).chain(state.view.ends_at(&holder, &place)).any(concerns);
        ended || state.view.session_ended(connection, session).any(|revoked| asked_ms <= revoked.at_ms)
    }

    /// Every revocation in force, oldest first.
    #[must_use]
    pub fn revocations(&self) -> Vec<Arc<Revoked>> {
        self.state().view.revocations()
    }
}

fn proven(facts: &TokenIssued) -> u64 {
    facts.proven_ms.unwrap_or(facts.at_ms)
}

/// Milliseconds since 1970-01-01T00:00:00Z, by the system.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
