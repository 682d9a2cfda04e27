//! For how long keys are believed and when they are fetched. Pure: time is an argument.
//!
//! What must hold: two fetches of one issuer never begin within `interval`; keys older than `stale_after` check
//! nothing; a token that no key of the set signed waits for a fetch only while its key may be newer than the set. That
//! may be so, too, where a key fits: an issuer that names no keys, or gives the next one the same name, rotates as well.

use std::{sync::Arc, time::Duration};

use super::{Fits, Key, KeySet};
use crate::jwt::{Algorithm, Fault};

/// How an issuer's keys are kept fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The least time between two fetches.
    pub interval: Duration,
    /// The age at which they are fetched again while they are still believed.
    pub refresh: Duration,
    /// The age at which they are believed no longer.
    pub stale_after: Duration,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            refresh: Duration::from_secs(300),
            stale_after: Duration::from_secs(3600),
        }
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// On a clock that only goes on.
    pub(crate) steady: Duration,
    /// Seconds since 1970; may jump.
    pub(crate) unix: u64,
}

/// What a token needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'t> {
    pub(crate) kid: Option<&'t str>,
    pub(crate) algorithm: Algorithm,
    /// When it was issued, as it says itself, plus the leeway: seconds since 1970.
    pub(crate) issued: u64,
    /// When it was first looked at.
    pub(crate) seen: Duration,
}

/// What the cache knows about it.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// The key; and what becomes of a token that it did not sign: refused, or none where it waits.
    Key(T, Option<Fault>),
    /// Not known before the next fetch ends.
    Wait,
    /// Refused.
    Refuse(Fault),
}

/// One issuer's keys.
#[derive(Debug)]
pub(crate) struct Cache {
    terms: Freshness,
    held: Option<Held>,
    /// When the last fetch began, and whether it failed.
    last: Option<Attempt>,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    /// When the fetch that brought them began: what it brought may be that old.
    begun: Now,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    begun: Now,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done,
    Failed,
}

impl Cache {
    /// Nothing yet.
    pub(crate) fn new(terms: Freshness) -> Self {
        Self { terms, held: None, last: None }
    }

    /// The key for a token; `with` takes it out of the set.
    pub(crate) fn look<T>(&self, want: &Want<'_>, now: Now, with: impl FnOnce(&Key) -> T) -> Answer<T> {
        let Some(held) =
            self.held.as_ref().filter(|held| now.steady.saturating_sub(held.begun.steady) < self.terms.stale_after)
        else {
            return self.out_of_reach(now).map_or(Answer::Wait, Answer::Refuse);
        };
        let fits = held.keys.fit(want.kid, want.algorithm);
        // Keys that were fetched after the token was made, or after it came here, are the last word about it.
        let last_word = held.begun.unix > want.issued || held.begun.steady >= want.seen;
        let unsigned = if last_word { Some(fits.fault()) } else { self.out_of_reach(now) };
        match fits {
            Fits::One(key) => Answer::Key(with(key), unsigned),
            Fits::None | Fits::Several => unsigned.map_or(Answer::Wait, Answer::Refuse),
        }
    }

    /// Waiting is worth it while a fetch runs or may begin; not while the issuer is known to be out of reach.
    fn out_of_reach(&self, now: Now) -> Option<Fault> {
        let last = self.last?;
        let failed = last.state == State::Failed && now.steady < last.begun.steady + self.terms.interval;
        failed.then_some(Fault::KeysStale)
    }

    /// When the next fetch may begin: at once for the first, never sooner than the interval allows. `wanted`: a token
    /// waits for it; else it is not begun before the keys need it.
    pub(crate) fn due(&self, wanted: bool) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        let allowed = last.begun.steady + self.terms.interval;
        match &self.held {
            Some(held) if !wanted && last.state == State::Done => allowed.max(held.begun.steady + self.terms.refresh),
            _ => allowed,
        }
    }

    /// A fetch begins.
    pub(crate) fn begin(&mut self, now: Now) {
        self.last = Some(Attempt { begun: now, state: State::Running });
    }

    /// The fetch that runs has ended: with these keys, or with none.
    pub(crate) fn end(&mut self, keys: Option<KeySet>) {
        let Some(last) = &mut self.last else { return };
        last.state = if keys.is_some() { State::Done } else { State::Failed };
        if let Some(keys) = keys {
            self.held = Some(Held { keys: Arc::new(keys), begun: last.begun });
        }
    }

    /// Seconds since the keys in force were fetched; none when there are none.
    pub(crate) fn age(&self, now: Now) -> Option<Duration> {
        self.held.as_ref().map(|held| now.steady.saturating_sub(held.begun.steady))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EPOCH: u64 = 1_700_000_000;

    fn at(seconds: u64) -> Now {
        Now { steady: Duration::from_secs(seconds), unix: EPOCH + seconds }
    }

    fn keys(kids: &[&str]) -> KeySet {
        let key = |kid: &&str| json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid});
        let set = json!({ "keys": kids.iter().map(key).collect::<Vec<_>>() });
        KeySet::read(set.to_string().as_bytes()).unwrap()
    }

    /// A token that was issued and came in at these seconds.
    fn look(cache: &Cache, kid: &str, issued: u64, seen: u64, now: Now) -> &'static str {
        let want = Want {
            kid: Some(kid),
            algorithm: Algorithm::EdDsa,
            issued: EPOCH + issued,
            seen: Duration::from_secs(seen),
        };
        match cache.look(&want, now, |_| ()) {
            Answer::Key((), _) => "key",
            Answer::Wait => "wait",
            Answer::Refuse(fault) => fault.word(),
        }
    }

    fn fetched(kids: &[&str], begun: u64) -> Cache {
        let mut cache = Cache::new(Freshness::default());
        cache.begin(at(begun));
        cache.end(Some(keys(kids)));
        cache
    }

    #[test]
    fn the_first_token_waits_for_the_first_fetch() {
        let mut cache = Cache::new(Freshness::default());
        assert_eq!(cache.due(false), Duration::ZERO);
        assert_eq!(look(&cache, "a", 0, 1, at(1)), "wait");
        cache.begin(at(1));
        assert_eq!(look(&cache, "a", 0, 1, at(1)), "wait");
        cache.end(Some(keys(&["a"])));
        assert_eq!(look(&cache, "a", 0, 1, at(2)), "key");
    }

    #[test]
    fn a_new_key_costs_a_wait_and_no_refusal() {
        let mut cache = fetched(&["old"], 100);
        // Rotated at 110; a token signed with the new key comes at once.
        assert_eq!(look(&cache, "new", 110, 110, at(110)), "wait");
        assert_eq!(cache.due(true), Duration::from_secs(130));
        cache.begin(at(130));
        cache.end(Some(keys(&["old", "new"])));
        assert_eq!(look(&cache, "new", 110, 110, at(131)), "key");
        assert_eq!(look(&cache, "old", 90, 131, at(131)), "key");
    }

    #[test]
    fn an_old_token_with_an_unknown_key_is_refused_at_once() {
        let cache = fetched(&["new"], 100);
        assert_eq!(look(&cache, "retired", 50, 110, at(110)), "key", "the fault's word for no key");
        let want = Want {
            kid: Some("retired"),
            algorithm: Algorithm::EdDsa,
            issued: EPOCH + 50,
            seen: Duration::from_secs(110),
        };
        assert!(matches!(cache.look(&want, at(110), |_| ()), Answer::Refuse(Fault::Key)));
    }

    #[test]
    fn one_fetch_is_the_last_word_for_who_waited_for_it() {
        let mut cache = fetched(&["a"], 100);
        let want =
            Want { kid: Some("x"), algorithm: Algorithm::EdDsa, issued: EPOCH + 5000, seen: Duration::from_secs(110) };
        assert!(matches!(cache.look(&want, at(110), |_| ()), Answer::Wait));
        cache.begin(at(130));
        cache.end(Some(keys(&["a"])));
        assert!(matches!(cache.look(&want, at(131), |_| ()), Answer::Refuse(Fault::Key)));
    }

    #[test]
    fn a_key_that_fits_and_did_not_sign_may_have_a_successor_of_the_same_name_or_none() {
        for kid in [Some("a"), None] {
            let mut cache = fetched(&["a"], 100);
            let unsigned = |cache: &Cache, issued: u64, now: u64| {
                let seen = Duration::from_secs(110);
                let want = Want { kid, algorithm: Algorithm::EdDsa, issued: EPOCH + issued, seen };
                match cache.look(&want, at(now), |_| ()) {
                    Answer::Key((), unsigned) => unsigned,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(unsigned(&cache, 50, 110), Some(Fault::Signature), "it was made before the keys were fetched");
            assert_eq!(unsigned(&cache, 140, 110), None, "it waits");
            cache.begin(at(130));
            assert_eq!(unsigned(&cache, 140, 131), None, "while they are fetched");
            cache.end(None);
            assert_eq!(unsigned(&cache, 140, 131), Some(Fault::KeysStale), "nobody can tell");
            cache.begin(at(160));
            cache.end(Some(keys(&["a"])));
            assert_eq!(unsigned(&cache, 5000, 161), Some(Fault::Signature), "it waited, whatever it says of itself");
        }
    }

    #[test]
    fn fetches_keep_their_distance_whatever_is_wanted() {
        let mut cache = Cache::new(Freshness::default());
        let mut begun = Vec::new();
        for second in 0..1000 {
            let now = at(second);
            let unknown = second % 3 == 0;
            if now.steady >= cache.due(unknown) {
                cache.begin(now);
                begun.push(second);
                cache.end((second % 2 == 0).then(|| keys(&["a"])));
            }
        }
        assert!(begun.len() > 20);
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= 30), "{begun:?}");
    }

    #[test]
    fn keys_are_refreshed_ahead_and_while_nobody_asks() {
        let mut cache = fetched(&["a"], 100);
        assert_eq!(cache.due(false), Duration::from_secs(400));
        assert_eq!(look(&cache, "a", 90, 500, at(500)), "key", "an old set still serves while it is fetched again");
        cache.begin(at(400));
        cache.end(None);
        assert_eq!(cache.due(false), Duration::from_secs(430), "a fetch that failed is tried again");
    }

    #[test]
    fn an_outage_is_bridged_until_the_keys_are_stale_and_then_nothing_passes() {
        let mut cache = fetched(&["a"], 100);
        for begun in (400..3700).step_by(30) {
            cache.begin(at(begun));
            cache.end(None);
            assert_eq!(look(&cache, "a", 90, begun, at(begun)), "key");
        }
        assert_eq!(look(&cache, "a", 90, 3699, at(3699)), "key");
        assert_eq!(
            look(&cache, "b", 3690, 3690, at(3690)),
            "keys_stale",
            "an unknown key in an outage is not waited for"
        );
        cache.begin(at(3700));
        cache.end(None);
        assert_eq!(look(&cache, "a", 90, 3700, at(3700)), "keys_stale");
        assert_eq!(look(&cache, "a", 90, 3729, at(3729)), "keys_stale");
        cache.begin(at(3730));
        assert_eq!(look(&cache, "a", 90, 3730, at(3731)), "wait");
        cache.end(Some(keys(&["a"])));
        assert_eq!(look(&cache, "a", 90, 3730, at(3732)), "key");
    }

    #[test]
    fn a_wall_clock_that_jumps_makes_no_key_older_or_younger() {
        let cache = fetched(&["a"], 100);
        for unix in [0, EPOCH - 86_400, EPOCH + 86_500] {
            let now = Now { steady: Duration::from_secs(200), unix };
            assert_eq!(look(&cache, "a", 0, 200, now), "key");
            assert_eq!(cache.age(now), Some(Duration::from_secs(100)));
        }
    }

    #[test]
    fn an_issuer_that_withdraws_all_keys_is_believed() {
        let mut cache = fetched(&["a"], 100);
        cache.begin(at(400));
        cache.end(Some(keys(&[])));
        let want =
            Want { kid: Some("a"), algorithm: Algorithm::EdDsa, issued: EPOCH + 90, seen: Duration::from_secs(401) };
        assert!(matches!(cache.look(&want, at(401), |_| ()), Answer::Refuse(Fault::Key)));
    }
}
