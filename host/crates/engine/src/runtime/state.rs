//! What policies keep beyond an instance: the `state` grant. In memory, per policy id, bounded.
//!
//! What must hold: one policy never sees another's values, one exchange, session or caller never another's; nobody can
//! make it grow without bound, and a crowd of keys under one caller leaves room for the others.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::{ExchangeId, SessionId};

/// Bytes of a key.
const KEY_BYTES: usize = 256;
/// Bytes of a value.
const VALUE_BYTES: usize = 64 << 10;
/// Keys of one exchange, one session, one caller, or of the policy itself.
const KEYS_PER_SCOPE: usize = 1_024;
/// Bytes of keys and values of one policy.
const POLICY_BYTES: usize = 16 << 20;
/// How long a value lives that was set with no time of its own.
const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

/// Whose values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// This exchange's.
    Exchange(ExchangeId),
    /// This session's.
    Session(SessionId),
    /// This caller's: issuer and subject.
    Caller(String, String),
    /// The policy's own.
    Policy,
}

/// Why it was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateProblem {
    /// The key, the value or the sum.
    TooLarge,
    /// No room.
    TooMany,
    /// There is no such owner now, or the value is no number.
    Unavailable,
}

/// The values of all policies. Lives as long as the host: a new version of a policy finds what the old one left.
#[derive(Default)]
pub(super) struct State {
    policies: Mutex<HashMap<String, Shelf>>,
}

#[derive(Default)]
struct Shelf {
    owners: HashMap<Owner, HashMap<String, Entry>>,
    bytes: usize,
}

struct Entry {
    value: String,
    until: Instant,
}

impl State {
    pub(super) fn get(&self, policy: &str, owner: &Owner, key: &str, now: Instant) -> Option<String> {
        let policies = self.lock();
        let entry = policies.get(policy)?.owners.get(owner)?.get(key)?;
        (now < entry.until).then(|| entry.value.clone())
    }

    pub(super) fn set(
        &self,
        policy: &str,
        owner: Owner,
        key: String,
        value: String,
        ttl_seconds: u32,
        now: Instant,
    ) -> Result<(), StateProblem> {
        self.lock().entry(policy.to_owned()).or_default().set(owner, key, value, ttl_seconds, now)
    }

    pub(super) fn remove(&self, policy: &str, owner: &Owner, key: &str) {
        if let Some(shelf) = self.lock().get_mut(policy) {
            shelf.remove(owner, key);
        }
    }

    pub(super) fn add(
        &self,
        policy: &str,
        owner: Owner,
        key: String,
        delta: i64,
        ttl_seconds: u32,
        now: Instant,
    ) -> Result<i64, StateProblem> {
        let mut policies = self.lock();
        let shelf = policies.entry(policy.to_owned()).or_default();
        let old = match shelf.owners.get(&owner).and_then(|keys| keys.get(&key)) {
            Some(entry) if now < entry.until => entry.value.parse().map_err(|_| StateProblem::Unavailable)?,
            Some(_) | None => 0_i64,
        };
        let new = old.checked_add(delta).ok_or(StateProblem::TooLarge)?;
        shelf.set(owner, key, new.to_string(), ttl_seconds, now)?;
        Ok(new)
    }

    pub(super) fn forget_exchange(&self, exchange: ExchangeId) {
        for shelf in self.lock().values_mut() {
            shelf.forget(&Owner::Exchange(exchange));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shelf>> {
        // Every change is complete before anything in it could panic, so what a dead thread left is whole.
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn set(
        &mut self,
        owner: Owner,
        key: String,
        value: String,
        ttl_seconds: u32,
        now: Instant,
    ) -> Result<(), StateProblem> {
        if key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
            return Err(StateProblem::TooLarge);
        }
        if !self.fits(&owner, &key, &value) {
            self.sweep(now);
            if !self.fits(&owner, &key, &value) {
                return Err(StateProblem::TooMany);
            }
        }
        let ttl = if ttl_seconds == 0 { DEFAULT_TTL } else { Duration::from_secs(u64::from(ttl_seconds)) };
        self.remove(&owner, &key);
        self.bytes += key.len() + value.len();
        self.owners.entry(owner).or_default().insert(key, Entry { value, until: now + ttl });
        Ok(())
    }

    fn fits(&self, owner: &Owner, key: &str, value: &str) -> bool {
        let keys = self.owners.get(owner);
        let freed = keys.and_then(|keys| keys.get(key)).map(|entry| key.len() + entry.value.len());
        let room = freed.is_some() || keys.is_none_or(|keys| keys.len() < KEYS_PER_SCOPE);
        room && self.bytes - freed.unwrap_or(0) + key.len() + value.len() <= POLICY_BYTES
    }

    fn remove(&mut self, owner: &Owner, key: &str) {
        let Some(keys) = self.owners.get_mut(owner) else { return };
        if let Some(entry) = keys.remove(key) {
            self.bytes -= key.len() + entry.value.len();
        }
        if keys.is_empty() {
            self.owners.remove(owner);
        }
    }

    fn forget(&mut self, owner: &Owner) {
        for (key, entry) in self.owners.remove(owner).into_iter().flatten() {
            self.bytes -= key.len() + entry.value.len();
        }
    }

    fn sweep(&mut self, now: Instant) {
        let mut freed = 0;
        self.owners.retain(|_, keys| {
            keys.retain(|key, entry| {
                let alive = now < entry.until;
                if !alive {
                    freed += key.len() + entry.value.len();
                }
                alive
            });
            !keys.is_empty()
        });
        self.bytes -= freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(state: &State, owner: &Owner, key: &str, value: &str, now: Instant) -> Result<(), StateProblem> {
        state.set("p", owner.clone(), key.to_owned(), value.to_owned(), 10, now)
    }

    #[test]
    fn values_are_each_owners_own_and_expire() {
        let (state, now) = (State::default(), Instant::now());
        let (one, two) = (Owner::Session(SessionId::new()), Owner::Session(SessionId::new()));
        put(&state, &one, "k", "v", now).unwrap();
        assert_eq!(state.get("p", &one, "k", now).as_deref(), Some("v"));
        assert_eq!(state.get("p", &two, "k", now), None);
        assert_eq!(state.get("q", &one, "k", now), None);
        assert_eq!(state.get("p", &one, "k", now + Duration::from_secs(10)), None);
        state.remove("p", &one, "k");
        assert_eq!(state.get("p", &one, "k", now), None);
    }

    #[test]
    fn counters_count_and_never_wrap() {
        let (state, now) = (State::default(), Instant::now());
        let add = |delta| state.add("p", Owner::Policy, "n".to_owned(), delta, 0, now);
        assert_eq!(add(2), Ok(2));
        assert_eq!(add(-5), Ok(-3));
        assert_eq!(add(i64::MIN), Err(StateProblem::TooLarge));
        put(&state, &Owner::Policy, "n", "seven", now).unwrap();
        assert_eq!(state.add("p", Owner::Policy, "n".to_owned(), 1, 0, now), Err(StateProblem::Unavailable));
    }

    #[test]
    fn quotas_hold_and_expired_values_make_room() {
        let (state, now) = (State::default(), Instant::now());
        let big = "x".repeat(VALUE_BYTES);
        assert_eq!(put(&state, &Owner::Policy, "k", &format!("{big}x"), now), Err(StateProblem::TooLarge));
        assert_eq!(put(&state, &Owner::Policy, &"k".repeat(257), "", now), Err(StateProblem::TooLarge));
        for at in 0..KEYS_PER_SCOPE {
            put(&state, &Owner::Policy, &at.to_string(), "", now).unwrap();
        }
        assert_eq!(put(&state, &Owner::Policy, "more", "", now), Err(StateProblem::TooMany));
        put(&state, &Owner::Policy, "7", "again", now).unwrap();
        let session = Owner::Session(SessionId::new());
        put(&state, &session, "another owner has room", "", now).unwrap();
        put(&state, &Owner::Policy, "more", "", now + Duration::from_secs(10)).unwrap();
        let mut stored = 0;
        while put(&state, &session, &stored.to_string(), &big, now).is_ok() {
            stored += 1;
        }
        assert_eq!(stored, POLICY_BYTES / VALUE_BYTES - 1);
    }

    #[test]
    fn what_is_forgotten_is_no_longer_counted() {
        let (state, now) = (State::default(), Instant::now());
        let exchange = ExchangeId::new();
        put(&state, &Owner::Exchange(exchange), "k", "v", now).unwrap();
        state.forget_exchange(exchange);
        assert_eq!(state.get("p", &Owner::Exchange(exchange), "k", now), None);
        assert_eq!(state.lock()["p"].bytes, 0);
    }
}
