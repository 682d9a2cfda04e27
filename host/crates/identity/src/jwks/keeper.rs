//! Around the cache: one task per issuer fetches, everybody else looks and at most waits.
//!
//! What must hold: only [`Keeper::keep`] fetches, so a fetch is never doubled; who waits is counted and bounded in time;
//! the lock is never held over an await.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use jsonwebtoken::DecodingKey;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    KeySet,
    cache::{Answer, Cache, Freshness, Now, Want},
};
use crate::{
    jwt::{Algorithm, Fault},
    registry::Clock,
};

/// Tokens of one issuer that wait for its keys at once.
const WAITING: usize = 256;
/// Time for a whole fetch: the issuer's metadata, then its keys.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);
/// The longest that the task sleeps without looking at the clock again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What a fetch brings.
pub(crate) struct Fetched<M> {
    /// The keys.
    pub(crate) keys: KeySet,
    /// What else the issuer says of itself.
    pub(crate) about: M,
}

/// How one issuer is fetched. The error is a sentence for the log.
pub(crate) trait Fetch: Send + Sync {
    /// What the issuer says of itself besides its keys.
    type About: Send + Sync;

    /// Fetches; bounded in time by the caller.
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched<Self::About>, String>>;
}

/// One issuer's keys, kept.
pub(crate) struct Keeper<F: Fetch> {
    /// For the log.
    issuer: String,
    fetch: F,
    freshness: Freshness,
    cache: Mutex<Cache>,
    about: arc_swap::ArcSwapOption<F::About>,
    origin: Instant,
    clock: Clock,
    /// A token waits.
    wanted: Notify,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
}

impl<F: Fetch> Keeper<F> {
    pub(crate) fn new(issuer: String, fetch: F, freshness: Freshness, clock: Clock) -> Self {
        Self {
            issuer,
            fetch,
            freshness,
            cache: Mutex::new(Cache::new(freshness)),
            about: arc_swap::ArcSwapOption::empty(),
            origin: Instant::now(),
            clock,
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(WAITING),
        }
    }

    fn now(&self) -> Now {
        Now { steady: self.origin.elapsed(), unix: (self.clock)() / 1000 }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Changed by whole steps that don't panic half-way, so what a panic elsewhere left is sound.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the issuer said of itself at the last fetch that succeeded.
    pub(crate) fn about(&self) -> Option<Arc<F::About>> {
        self.about.load_full()
    }

    /// The age of the keys in force.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.cache().age(self.now())
    }

    /// The key that must have signed a token; waits for a fetch where the key may be newer than the set at hand.
    pub(crate) async fn key(&self, kid: Option<&str>, algorithm: Algorithm, issued: u64) -> Result<DecodingKey, Fault> {
        let want = Want { kid, algorithm, issued, seen: self.now().steady };
        let mut ended = self.ended.subscribe();
        if let Some(answer) = self.look(&want) {
            return answer;
        }
        // Whole turns of the fetch fit in it, so that a rotation right after a fetch refuses nobody.
        let patience = Instant::now() + self.freshness.interval + FETCH_DEADLINE;
        let _place = self.waiting.try_acquire().map_err(|_| Fault::Busy)?;
        loop {
            self.wanted.notify_one();
            match timeout_at(patience, ended.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Fault::KeysStale),
            }
            if let Some(answer) = self.look(&want) {
                return answer;
            }
        }
    }

    fn look(&self, want: &Want<'_>) -> Option<Result<DecodingKey, Fault>> {
        match self.cache().look(want, self.now(), |key| key.decoding.clone()) {
            Answer::Key(key) => Some(Ok(key)),
            Answer::Refuse(fault) => Some(Err(fault)),
            Answer::Wait => None,
        }
    }

    /// Fetches at the start, ahead of need, and when a token waits. Runs until it is dropped.
    pub(crate) async fn keep(&self) {
        loop {
            let waited_for = self.waiting.available_permits() < WAITING;
            let due = self.cache().due(waited_for);
            let now = self.now();
            if due > now.steady {
                let pause = (due - now.steady).min(LOOK_AGAIN);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = self.wanted.notified() => {}
                }
                continue;
            }
            self.cache().begin(now);
            self.turn().await;
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    async fn turn(&self) {
        let fetched = match timeout(FETCH_DEADLINE, self.fetch.fetch()).await {
            Ok(fetched) => fetched,
            Err(_) => Err("it took too long".to_owned()),
        };
        match fetched {
            Ok(Fetched { keys, about }) => {
                tracing::debug!(issuer = %self.issuer, keys = keys.len(), "the keys of an issuer are fresh");
                self.about.store(Some(Arc::new(about)));
                self.cache().end(Some(keys));
            }
            Err(error) => {
                self.cache().end(None);
                let age = self.age().map(|age| age.as_secs());
                tracing::warn!(issuer = %self.issuer, %error, age, "the keys of an issuer could not be fetched");
            }
        }
    }
}
