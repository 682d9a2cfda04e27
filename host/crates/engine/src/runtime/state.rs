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
/// Keys of one policy.
const KEYS: usize = 65_536;
/// Bytes that one policy's values take, with what it takes to keep them.
const POLICY_BYTES: usize = 16 << 20;
/// What a key costs besides its bytes and its value's: an entry of a map, two allocations.
const ENTRY_BYTES: usize = 128;
/// What an owner costs besides its keys: an entry, its name, a map of its own.
const OWNER_BYTES: usize = 512;
/// The least time between two sweeps of a shelf that is full.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
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
    keys: usize,
    swept: Option<Instant>,
}

struct Entry {
    value: String,
    until: Instant,
}

/// Bytes that are counted for a key and its value.
fn cost(key: &str, value: &str) -> usize {
    key.len() + value.len() + ENTRY_BYTES
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

    pub(super) fn forget_exchange(&self, policy: &str, exchange: ExchangeId) {
        if let Some(shelf) = self.lock().get_mut(policy) {
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
        self.bytes += cost(&key, &value);
        self.keys += 1;
        let bytes = &mut self.bytes;
        let keys = self.owners.entry(owner).or_insert_with(|| {
            *bytes += OWNER_BYTES;
            HashMap::new()
        });
        keys.insert(key, Entry { value, until: now + ttl });
        Ok(())
    }

    fn fits(&self, owner: &Owner, key: &str, value: &str) -> bool {
        let keys = self.owners.get(owner);
        let freed = keys.and_then(|keys| keys.get(key)).map(|entry| cost(key, &entry.value));
        let room = freed.is_some() || (self.keys < KEYS && keys.is_none_or(|keys| keys.len() < KEYS_PER_SCOPE));
        let new = cost(key, value) + if keys.is_none() { OWNER_BYTES } else { 0 };
        room && self.bytes - freed.unwrap_or(0) + new <= POLICY_BYTES
    }

    fn remove(&mut self, owner: &Owner, key: &str) {
        let Some(keys) = self.owners.get_mut(owner) else { return };
        if let Some(entry) = keys.remove(key) {
            self.bytes -= cost(key, &entry.value);
            self.keys -= 1;
        }
        if keys.is_empty() {
            self.owners.remove(owner);
            self.bytes -= OWNER_BYTES;
        }
    }

    fn forget(&mut self, owner: &Owner) {
        let Some(keys) = self.owners.remove(owner) else { return };
        self.bytes -= OWNER_BYTES + keys.iter().map(|(key, entry)| cost(key, &entry.value)).sum::<usize>();
        self.keys -= keys.len();
    }

    /// Takes away what has expired. It looks at everything, so not at every call that finds no room.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_PAUSE) {
            return;
        }
        self.swept = Some(now);
        let (mut bytes, mut count) = (0, 0);
        self.owners.retain(|_, keys| {
            keys.retain(|key, entry| {
                let alive = now < entry.until;
                if !alive {
                    bytes += cost(key, &entry.value);
                    count += 1;
                }
                alive
            });
            if keys.is_empty() {
                bytes += OWNER_BYTES;
            }
            !keys.is_empty()
        });
        self.bytes -= bytes;
        self.keys -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(state: &State, owner: &Owner, key: &str, value: &str, now: Instant) -> Result<(), StateProblem> {
        state.set("p", owner.clone(), key.to_owned(), value.to_owned(), 10, now)
    }

    /// Keys and bytes that are counted.
    fn counted(state: &State) -> (usize, usize) {
        let policies = state.lock();
        (policies["p"].keys, policies["p"].bytes)
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
        assert_eq!(stored, (POLICY_BYTES - 100) / (VALUE_BYTES + ENTRY_BYTES));
    }

    #[test]
    fn nothing_is_free_and_keys_are_counted() {
        let (state, now) = (State::default(), Instant::now());
        let mut stored = 0_usize;
        'full: loop {
            let owner = Owner::Exchange(ExchangeId::new());
            for at in 0..KEYS_PER_SCOPE {
                if put(&state, &owner, &at.to_string(), "", now).is_err() {
                    break 'full;
                }
                stored += 1;
            }
        }
        assert_eq!(stored, KEYS);
        let alone = State::default();
        let mut owners = 0;
        while put(&alone, &Owner::Exchange(ExchangeId::new()), "", "", now).is_ok() {
            owners += 1;
        }
        assert_eq!(owners, POLICY_BYTES / (OWNER_BYTES + ENTRY_BYTES));
        let later = now + Duration::from_secs(20);
        put(&alone, &Owner::Policy, "", "", later).unwrap();
        assert_eq!(counted(&alone), (1, OWNER_BYTES + ENTRY_BYTES));
    }

    #[test]
    fn what_is_forgotten_is_no_longer_counted() {
        let (state, now) = (State::default(), Instant::now());
        let exchange = ExchangeId::new();
        for key in ["", "k"] {
            put(&state, &Owner::Exchange(exchange), key, "v", now).unwrap();
        }
        state.forget_exchange("another", exchange);
        assert_eq!(state.get("p", &Owner::Exchange(exchange), "k", now).as_deref(), Some("v"));
        state.forget_exchange("p", exchange);
        assert_eq!(state.get("p", &Owner::Exchange(exchange), "k", now), None);
        assert_eq!(counted(&state), (0, 0));
        put(&state, &Owner::Policy, "k", "v", now).unwrap();
        state.remove("p", &Owner::Policy, "k");
        assert_eq!(counted(&state), (0, 0));
    }
}
