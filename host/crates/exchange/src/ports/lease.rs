//! The standing of a credential while an exchange uses it.
//!
//! What must hold: a lease that has ended never becomes good again, and everybody who watches it is told.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use thiserror::Error;
use tokio::sync::Notify;

/// Whether a credential is still good: an answer at once, and one that comes when it is no more. Clones share it.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Standing>);

#[derive(Debug)]
struct Standing {
    ended: OnceLock<Ended>,
    told: Notify,
    until: Option<Instant>,
}

/// Why a credential is no longer good.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Ended {
    /// Somebody revoked it.
    #[error("the credential was revoked")]
    Revoked {
        /// Why; for the record, not for the caller.
        reason: Arc<str>,
    },
    /// Its time is over.
    #[error("the credential has expired")]
    Expired,
}

impl Ended {
    /// A revocation for this reason.
    pub fn revoked(reason: impl Into<Arc<str>>) -> Self {
        Self::Revoked { reason: reason.into() }
    }
}

impl Lease {
    /// Good until it is ended, and at most until then.
    #[must_use]
    pub fn new(until: Option<Instant>) -> Self {
        Self(Arc::new(Standing { ended: OnceLock::new(), told: Notify::new(), until }))
    }

    /// Ends it; the first reason stands.
    pub fn end(&self, ended: Ended) {
        // Whoever was first has told everybody already.
        if self.0.ended.set(ended).is_ok() {
            self.0.told.notify_waiters();
        }
    }

    /// Why it is no longer good; `None` while it is. Costs two loads and, where it has an end, a look at the clock.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        if self.0.until.is_some_and(|until| Instant::now() >= until) {
            self.end(Ended::Expired);
        }
        self.0.ended.get().cloned()
    }

    /// Ready when it is no longer good.
    pub async fn over(&self) -> Ended {
        loop {
            // Made before the look: what ends between the two is told to this one.
            let told = self.0.told.notified();
            if let Some(ended) = self.ended() {
                return ended;
            }
            match self.0.until {
                None => told.await,
                Some(until) => {
                    let _either_way_it_is_looked_at_again = tokio::time::timeout_at(until.into(), told).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn everybody_who_watches_is_told_the_first_reason() {
        let lease = Lease::new(None);
        let watchers: Vec<_> = (0..10)
            .map(|_| {
                let lease = lease.clone();
                tokio::spawn(async move { lease.over().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(lease.ended(), None);
        lease.end(Ended::revoked("left"));
        lease.end(Ended::Expired);
        for watcher in watchers {
            assert_eq!(watcher.await.unwrap(), Ended::revoked("left"));
        }
        assert_eq!(lease.over().now_or_never(), Some(Ended::revoked("left")), "late comers too");
    }

    #[tokio::test]
    async fn it_ends_by_itself_at_its_time() {
        let past = Lease::new(Some(Instant::now()));
        assert_eq!(past.ended(), Some(Ended::Expired));
        let soon = Lease::new(Some(Instant::now() + Duration::from_millis(5)));
        assert_eq!(soon.over().await, Ended::Expired);
    }

    #[tokio::test]
    async fn what_ends_it_between_look_and_wait_is_not_missed() {
        for _ in 0..200 {
            let lease = Lease::new(None);
            let other = lease.clone();
            let ending = tokio::task::spawn_blocking(move || other.end(Ended::Expired));
            assert_eq!(lease.over().await, Ended::Expired);
            ending.await.unwrap();
        }
    }
}
