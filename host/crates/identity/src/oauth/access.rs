//! Requests for access, around the pure book: kept in the control log before they count.
//!
//! What must hold: an event is durable before it is in the book; events come into the book in the order of the log; no
//! lock is held over an await but the one that keeps this order.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use exchange::ports::{ControlLog, RecordError};
use model::{
    Caller, ControlEvent, Decider, Scope, TokenId,
    control::{AccessDecided, AccessRequested, TokenIssued},
};
use thiserror::Error;

use crate::{
    grants::{AccessBook, AccessDecision, AccessError, AccessState, AccessTerms, Asked, Asking, Grants, Standing},
    registry::{Clock, Registry},
};

/// Why a request or a decision was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AccessFault {
    /// It can't be.
    #[error(transparent)]
    Wrong(#[from] AccessError),
    /// It could not be kept, so it does not count.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The task that keeps it was stopped.
    #[error("the host is stopping")]
    Stopping,
}

/// All requests for access, for the token endpoint and for those who decide. Clones share it.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    book: Mutex<AccessBook>,
    log: Arc<dyn ControlLog>,
    grants: Arc<Grants>,
    clock: Clock,
    /// Whose revocations end what callers asked.
    registry: Registry,
    /// Of these, so many are in the book; changed under its lock.
    settled: AtomicU64,
    /// Held from a change to its event's place in the book.
    changing: tokio::sync::Mutex<()>,
}

/// A request as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessView {
    /// What was asked.
    pub asked: AccessRequested,
    /// Where it stands.
    pub state: AccessState,
    /// What was decided.
    pub decided: Option<AccessDecided>,
}

impl AccessView {
    fn of((asked, state, decided): Standing<'_>) -> Self {
        Self { asked: asked.clone(), state, decided: decided.cloned() }
    }
}

impl Access {
    /// The requests that the log holds, by the clock and the revocations of this registry.
    ///
    /// # Errors
    /// [`RecordError`] when it can't be read.
    pub fn open(
        log: Arc<dyn ControlLog>,
        grants: Arc<Grants>,
        terms: AccessTerms,
        registry: Registry,
    ) -> Result<Self, RecordError> {
        let (clock, settled) = (registry.clock(), AtomicU64::new(registry.revision()));
        let mut book = AccessBook::new(terms);
        log.replay()?.iter().for_each(|event| book.apply(event));
        book.forget(clock());
        let (book, changing) = (Mutex::new(book), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { book, log, grants, clock, registry, settled, changing })))
    }

    /// The book as it stands after every revocation.
    fn book(&self) -> MutexGuard<'_, AccessBook> {
        // Changed by whole steps that don't panic half-way.
        let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.0.registry.revision();
        if self.0.settled.swap(revision, Ordering::Relaxed) != revision {
            self.0.registry.revocations().iter().for_each(|revoked| book.revoke(revoked));
        }
        book
    }

    /// Ends what callers asked who were revoked since: also where the revocation is lifted before anybody asks.
    pub fn settle(&self) {
        drop(self.book());
    }

    /// Asks; the same request that is open already has its id again.
    ///
    /// # Errors
    /// [`AccessFault`], and nothing is asked.
    pub async fn ask(&self, asking: Asking) -> Result<TokenId, AccessFault> {
        self.carry_out(move |this| {
            let mut book = this.book();
            let now = (this.0.clock)();
            book.forget(now);
            Ok(match book.ask(TokenId::new(), &asking, now)? {
                Asked::New(asked) => (asked.id, Some(ControlEvent::AccessRequested(*asked))),
                Asked::Open(id) => (id, None),
            })
        })
        .await
    }

    /// Decides, by the grant's approvers as they are now. A grant that is gone gives nothing any more.
    ///
    /// # Errors
    /// [`AccessFault`]; the request then stands as it stood.
    pub async fn decide(
        &self,
        id: TokenId,
        approved: bool,
        decider: Decider,
        reason: String,
    ) -> Result<AccessView, AccessFault> {
        self.carry_out(move |this| {
            let now = (this.0.clock)();
            let book = this.book();
            let grant = book.get(id, now).map(|(asked, ..)| asked.grant.clone()).unwrap_or_default();
            let approval = this.0.grants.named(&grant).and_then(|grant| grant.approval.as_ref());
            let approvers = approval.map(|approval| approval.approvers.as_slice()).unwrap_or_default();
            let decision = AccessDecision { approved, decider: &decider, approvers, reason: &reason };
            Ok((id, Some(ControlEvent::AccessDecided(book.decide(id, &decision, now)?))))
        })
        .await?;
        self.get(id).ok_or(AccessFault::Wrong(AccessError::Unknown(id)))
    }

    /// One change, on its own task: what is begun is ended even when nobody waits for it any more.
    async fn carry_out<F>(&self, change: F) -> Result<TokenId, AccessFault>
    where
        F: FnOnce(&Self) -> Result<(TokenId, Option<ControlEvent>), AccessError> + Send + 'static,
    {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let _one_after_the_other = this.0.changing.lock().await;
            let (id, event) = change(&this)?;
            if let Some(event) = event {
                this.0.log.append(event.clone()).await?;
                this.book().apply(&event);
            }
            Ok(id)
        });
        task.await.unwrap_or(Err(AccessFault::Stopping))
    }

    /// A request.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<AccessView> {
        self.book().get(id, (self.0.clock)()).map(AccessView::of)
    }

    /// All requests, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<AccessView> {
        self.book().list((self.0.clock)()).map(AccessView::of).collect()
    }

    /// Whether an approved request of this caller for exactly this waits to be used.
    pub(super) fn is_approved(&self, caller: &Caller, grant: &str, scope: &Scope) -> bool {
        self.list().iter().any(|AccessView { asked, state, .. }| {
            *state == AccessState::Approved
                && (&asked.caller.issuer, &asked.caller.subject) == (&caller.issuer, &caller.subject)
                && asked.grant == grant
                && asked.scope == *scope
        })
    }

    /// Takes an approved request of this caller for exactly this, or the one that is meant: only the first who does has
    /// it, until it is dropped.
    pub(super) fn claim(&self, caller: &Caller, grant: &str, scope: &Scope, meant: Option<TokenId>) -> Option<Claimed> {
        let asked = self.book().claim(caller, grant, scope, meant, (self.0.clock)())?;
        Some(Claimed { access: self.clone(), asked, used: false })
    }
}

/// A request that was claimed. Dropped with no token issued for it (also where who asked for one went away meanwhile),
/// it can be claimed again.
pub(super) struct Claimed {
    access: Access,
    pub(super) asked: AccessRequested,
    used: bool,
}

impl Claimed {
    /// A token was issued for it.
    pub(super) fn used(mut self, issued: &TokenIssued) {
        self.used = true;
        self.access.book().apply(&ControlEvent::TokenIssued(issued.clone()));
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.used {
            self.access.book().give_back(self.asked.id);
        }
    }
}
