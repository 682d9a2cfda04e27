//! Around the cache: one task per issuer fetches, everybody else looks and at most waits.
//!
//! What must hold: only [`Keeper::keep`] fetches, so a fetch is never doubled; who waits is bounded in time, and what
//! is waited for in number: one key costs one place, however many tokens name it; no lock is held over an await.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use jsonwebtoken::DecodingKey;
use tokio::{
    sync::{Notify, watch},
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

/// Keys of one issuer that are waited for at once, by their names. Any number of tokens waits for one: each is a
/// request that is held anyway.
const WAITED_FOR: usize = 1024;
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
    waited_for: Mutex<HashMap<Option<String>, usize>>,
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
            waited_for: Mutex::default(),
        }
    }

    fn now(&self) -> Now {
        Now { steady: self.origin.elapsed(), unix: (self.clock)() / 1000 }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
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
        let _place = Place::take(&self.waited_for, kid).ok_or(Fault::Busy)?;
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
            let waited_for = !lock(&self.waited_for).is_empty();
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Changed by whole steps that don't panic half-way, so what a panic elsewhere left is sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that waits for a key; when it is dropped, it waits no more.
struct Place<'k> {
    waited_for: &'k Mutex<HashMap<Option<String>, usize>>,
    kid: Option<String>,
}

impl<'k> Place<'k> {
    /// None where too many other keys are waited for.
    fn take(waited_for: &'k Mutex<HashMap<Option<String>, usize>>, kid: Option<&str>) -> Option<Self> {
        let kid = kid.map(str::to_owned);
        let mut all = lock(waited_for);
        if all.len() >= WAITED_FOR && !all.contains_key(&kid) {
            return None;
        }
        *all.entry(kid.clone()).or_default() += 1;
        Some(Self { waited_for, kid })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut waiters) = lock(self.waited_for).entry(self.kid.take()) {
            *waiters.get_mut() -= 1;
            if *waiters.get() == 0 {
                waiters.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::{FutureExt, future::join_all};
    use serde_json::json;

    use super::*;

    /// An issuer that has one key, and after its rotation another too.
    #[derive(Clone, Default)]
    struct Rotating(Arc<AtomicBool>);

    impl Fetch for Rotating {
        type About = ();

        fn fetch(&self) -> BoxFuture<'_, Result<Fetched<()>, String>> {
            let key = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid});
            let mut keys = vec![key("old")];
            if self.0.load(Ordering::Relaxed) {
                keys.push(key("new"));
            }
            let keys = KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).map_err(|error| error.to_string());
            async move { Ok(Fetched { keys: keys?, about: () }) }.boxed()
        }
    }

    /// A keeper that has the old key, and whose issuer rotates right after.
    async fn rotated() -> Arc<Keeper<Rotating>> {
        let issuer = Rotating::default();
        let clock: Clock = Arc::new(|| 1_700_000_000_000);
        let keeper = Arc::new(Keeper::new("idp".into(), issuer.clone(), Freshness::default(), clock));
        let kept = Arc::clone(&keeper);
        tokio::spawn(async move { kept.keep().await });
        keeper.key(Some("old"), Algorithm::EdDsa, 1_700_000_000).await.unwrap();
        // What comes later was not there when the keys were.
        sleep(Duration::from_secs(1)).await;
        issuer.0.store(true, Ordering::Relaxed);
        keeper
    }

    async fn key(keeper: &Keeper<Rotating>, kid: &str) -> Result<(), Fault> {
        keeper.key(Some(kid), Algorithm::EdDsa, 1_700_000_000).await.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_tokens_waits_for_a_key_that_was_rotated_in() {
        let keeper = rotated().await;
        let answers = join_all((0..WAITED_FOR + 300).map(|_| key(&keeper, "new"))).await;
        assert!(
            answers.iter().all(Result::is_ok),
            "none is refused: {:?}",
            answers.iter().find(|answer| answer.is_err())
        );
        assert!(lock(&keeper.waited_for).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn three_hundred_forged_tokens_with_one_unknown_key_keep_no_honest_one_out() {
        let keeper = rotated().await;
        let forged = (0..300).map(|at| format!("forged-{}", at % 2));
        let all = forged.chain((0..300).map(|_| "new".to_owned()));
        let answers = join_all(all.map(|kid| {
            let keeper = Arc::clone(&keeper);
            async move { key(&keeper, &kid).await }
        }))
        .await;
        assert!(answers[..300].iter().all(|answer| *answer == Err(Fault::Key)));
        assert!(answers[300..].iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_waited_for_are_bounded() {
        let keeper = rotated().await;
        let places: Vec<_> =
            (0..WAITED_FOR).map(|at| Place::take(&keeper.waited_for, Some(&at.to_string())).unwrap()).collect();
        assert_eq!(key(&keeper, "new").await, Err(Fault::Busy));
        assert!(Place::take(&keeper.waited_for, Some("7")).is_some(), "one more for the same");
        drop(places);
        assert_eq!(key(&keeper, "new").await, Ok(()));
    }
}
