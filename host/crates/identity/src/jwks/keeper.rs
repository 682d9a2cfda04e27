//! Around the cache: one task per issuer fetches, everybody else looks and at most waits.
//!
//! What must hold: only [`Keeper::keep`] fetches, so a fetch is never doubled; who waits is bounded in time and, over
//! all issuers, in number, since anybody can write a token that waits; no lock is held over an await.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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

/// Time for a whole fetch: the issuer's metadata, then its keys.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);
/// The longest that the task sleeps without looking at the clock again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What a fetch brings.
pub(crate) struct Fetched<M> {
    /// The keys.
    pub(crate) keys: KeySet,
    /// What else the issuer says of itself; none where it was not asked, or did not say.
    pub(crate) about: Option<M>,
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
    /// How many wait.
    waiting: AtomicUsize,
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
            waiting: AtomicUsize::new(0),
        }
    }

    fn now(&self) -> Now {
        Now { steady: self.origin.elapsed(), unix: (self.clock)() / 1000 }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Changed by whole steps that don't panic half-way, so what a panic elsewhere left is sound.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the issuer is fetched.
    pub(crate) fn source(&self) -> &F {
        &self.fetch
    }

    /// What the issuer said of itself when it last did.
    pub(crate) fn about(&self) -> Option<Arc<F::About>> {
        self.about.load_full()
    }

    /// The age of the keys in force.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.cache().age(self.now())
    }

    /// Whether a key of the issuer signed a token, as `holds` says; waits for a fetch where its key may be newer than the
    /// set at hand, if one of `places` is free: a token that waits holds its request, and with it the place of another.
    pub(crate) async fn signed(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        issued: u64,
        places: &Semaphore,
        holds: impl Fn(&DecodingKey) -> bool,
    ) -> Result<(), Fault> {
        let want = Want { kid, algorithm, issued, seen: self.now().steady };
        let mut ended = self.ended.subscribe();
        if let Some(answer) = self.look(&want, &holds) {
            return answer;
        }
        // Whole turns of the fetch fit in it, so that a rotation right after a fetch refuses nobody.
        let patience = Instant::now() + self.freshness.interval + FETCH_DEADLINE;
        let _place = places.try_acquire().map_err(|_| Fault::Busy)?;
        let _waits = Waits::begin(&self.waiting);
        loop {
            self.wanted.notify_one();
            match timeout_at(patience, ended.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Fault::KeysStale),
            }
            if let Some(answer) = self.look(&want, &holds) {
                return answer;
            }
        }
    }

    fn look(&self, want: &Want<'_>, holds: impl Fn(&DecodingKey) -> bool) -> Option<Result<(), Fault>> {
        // The key is taken out of the lock before it is used: that takes its time.
        let answer = self.cache().look(want, self.now(), |key| key.decoding.clone());
        match answer {
            Answer::Key(key, _) if holds(&key) => Some(Ok(())),
            Answer::Key(_, unsigned) => unsigned.map(Err),
            Answer::Refuse(fault) => Some(Err(fault)),
            Answer::Wait => None,
        }
    }

    /// Fetches at the start, ahead of need, and when a token waits. Runs until it is dropped.
    pub(crate) async fn keep(&self) {
        loop {
            let waited_for = self.waiting.load(Ordering::SeqCst) > 0;
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
                if let Some(about) = about {
                    self.about.store(Some(Arc::new(about)));
                }
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

/// One that waits; when it is dropped, it waits no more.
struct Waits<'k>(&'k AtomicUsize);

impl<'k> Waits<'k> {
    fn begin(waiting: &'k AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use futures_util::{FutureExt, future::join_all};
    use serde_json::json;

    use super::*;

    /// An issuer that has one key, and after its rotation another too; and how often it was asked for them.
    #[derive(Clone, Default)]
    struct Rotating(Arc<AtomicBool>, Arc<AtomicUsize>);

    impl Fetch for Rotating {
        type About = ();

        fn fetch(&self) -> BoxFuture<'_, Result<Fetched<()>, String>> {
            let key = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid});
            self.1.fetch_add(1, Ordering::Relaxed);
            let mut keys = vec![key("old")];
            if self.0.load(Ordering::Relaxed) {
                keys.push(key("new"));
            }
            let keys = KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).map_err(|error| error.to_string());
            async move { Ok(Fetched { keys: keys?, about: None }) }.boxed()
        }
    }

    /// A keeper that has the old key, and whose issuer rotates right after.
    async fn rotated() -> Arc<Keeper<Rotating>> {
        let issuer = Rotating::default();
        let clock: Clock = Arc::new(|| 1_700_000_000_000);
        let keeper = Arc::new(Keeper::new("idp".into(), issuer.clone(), Freshness::default(), clock));
        let kept = Arc::clone(&keeper);
        tokio::spawn(async move { kept.keep().await });
        key(&keeper, &Semaphore::new(1), "old").await.unwrap();
        // What comes later was not there when the keys were.
        sleep(Duration::from_secs(1)).await;
        issuer.0.store(true, Ordering::Relaxed);
        keeper
    }

    async fn key(keeper: &Keeper<Rotating>, places: &Semaphore, kid: &str) -> Result<(), Fault> {
        keeper.signed(Some(kid), Algorithm::EdDsa, 1_700_000_000, places, |_| true).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_rotated_in_under_the_same_name_costs_a_wait_and_bad_signatures_no_fetch_more() {
        let (keeper, places) = (rotated().await, Arc::new(Semaphore::new(16)));
        // Only a key of the second fetch signed the good one; no key at all the others.
        let fetches = Arc::clone(&keeper.source().1);
        let good = keeper
            .signed(Some("old"), Algorithm::EdDsa, 1_700_000_000, &places, |_| fetches.load(Ordering::Relaxed) == 2);
        let began = Instant::now();
        assert_eq!(good.await, Ok(()));
        assert!(began.elapsed() <= keeper.freshness.interval, "{:?}", began.elapsed());
        // The last fetch came before all of these.
        sleep(Duration::from_secs(1)).await;
        let flood = (0..2000).map(|_| {
            let (keeper, places) = (Arc::clone(&keeper), Arc::clone(&places));
            let issued = 1_700_000_000;
            tokio::spawn(async move { keeper.signed(Some("old"), Algorithm::EdDsa, issued, &places, |_| false).await })
        });
        let answers: Vec<_> = join_all(flood).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Err(Fault::Signature)).count(), 16);
        assert_eq!(answers.iter().filter(|answer| **answer == Err(Fault::Busy)).count(), 2000 - 16);
        assert_eq!(keeper.source().1.load(Ordering::Relaxed), 3, "one for all of them");
        assert_eq!(key(&keeper, &places, "old").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_tokens_as_there_are_places_wait_for_a_key_that_was_rotated_in() {
        let (keeper, places) = (rotated().await, Semaphore::new(300));
        let answers = join_all((0..300).map(|_| key(&keeper, &places, "new"))).await;
        assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|answer| answer.is_err()));
        assert_eq!((places.available_permits(), keeper.waiting.load(Ordering::SeqCst)), (300, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn forged_tokens_wait_in_their_places_only_and_keep_nobody_out_whose_key_is_known() {
        let (keeper, places) = (rotated().await, Arc::new(Semaphore::new(16)));
        // All name one key, or each another one: what is counted is who waits.
        let forged = (0..2000).map(|at| if at % 2 == 0 { "forged".to_owned() } else { format!("forged-{at}") });
        let began = Instant::now();
        let flood: Vec<_> = forged
            .map(|kid| {
                let (keeper, places) = (Arc::clone(&keeper), Arc::clone(&places));
                tokio::spawn(async move { (key(&keeper, &places, &kid).await, began.elapsed()) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(places.available_permits(), 0);
        assert_eq!(key(&keeper, &places, "new").await, Err(Fault::Busy));
        assert_eq!(key(&keeper, &places, "old").await, Ok(()));
        assert_eq!(began.elapsed(), Duration::ZERO, "both at once");
        let answers: Vec<_> = join_all(flood).await.into_iter().map(Result::unwrap).collect();
        let busy = answers.iter().filter(|answer| answer.0 == Err(Fault::Busy)).collect::<Vec<_>>();
        assert_eq!(busy.len(), 2000 - 16);
        assert!(busy.iter().all(|answer| answer.1 == Duration::ZERO), "who finds no place is told so at once");
        assert_eq!(answers.iter().filter(|answer| answer.0 == Err(Fault::Key)).count(), 16);
        assert_eq!(key(&keeper, &places, "new").await, Ok(()));
    }
}
