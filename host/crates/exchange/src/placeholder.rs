//! Placeholders such as `[EMAIL_1]`: the same value gets the same one within a session, so that a conversation keeps
//! its sense although the values are gone. Kept in memory only, and only as a keyed hash of each value.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use model::SessionId;

/// The hash of a value that `Recorder::keyed_hash` makes.
type Hash = [u8; 16];

/// Values in one session that get placeholders of their own; further ones share one that says so.
const MOST_PER_SESSION: usize = 10_000;

/// Values in all sessions. Every token that is issued has sessions of its own, so the number of sessions alone bounds no
/// memory: these take some 30 MB, and less than 100 MB where each value is of a kind of its own.
const MOST_VALUES: usize = 500_000;

/// Bounds of what is remembered.
#[derive(Clone, Copy)]
struct Most {
    sessions: usize,
    values: usize,
    per_session: usize,
}

/// The placeholders of all sessions. Bounded: the session that rested longest is forgotten first, and then begins anew.
pub(crate) struct Placeholders {
    most: Most,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Session>,
    /// The sessions by their last use.
    rested: BTreeMap<u64, SessionId>,
    /// Uses so far.
    uses: u64,
    /// Values of all sessions.
    values: usize,
}

#[derive(Default)]
struct Session {
    last_use: u64,
    /// Each kind once: the values have its place.
    kinds: HashMap<Box<str>, Kind>,
    numbers: HashMap<(u32, Hash), u32>,
}

struct Kind {
    place: u32,
    /// The number that was given last.
    last: u32,
}

impl Placeholders {
    /// `sessions`: how many are remembered.
    pub(crate) fn new(sessions: usize) -> Self {
        Self::within(Most { sessions, values: MOST_VALUES, per_session: MOST_PER_SESSION })
    }

    fn within(most: Most) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// The placeholder for a value of this kind. `kind` is cleaned to upper-case ASCII letters, digits and `_`.
    pub(crate) fn of(&self, session: SessionId, kind: &str, value: Hash) -> String {
        let kind = clean(kind);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.touch(session);
        let number = state.number(session, &kind, value, self.most.per_session);
        state.make_room(self.most);
        number.map_or_else(|| format!("[{kind}_MORE]"), |number| format!("[{kind}_{number}]"))
    }
}

/// What would stand for a value of this kind, with no number given to it.
pub(crate) fn unnumbered(kind: &str) -> String {
    format!("[{}]", clean(kind))
}

impl State {
    /// The session is the one that was used last.
    fn touch(&mut self, id: SessionId) {
        self.uses += 1;
        let session = self.sessions.entry(id).or_default();
        self.rested.remove(&session.last_use);
        session.last_use = self.uses;
        self.rested.insert(self.uses, id);
    }

    /// The number of a value, a new one where it has none; none where there is no place for more.
    fn number(&mut self, id: SessionId, kind: &str, value: Hash, most: usize) -> Option<u32> {
        let Session { kinds, numbers, .. } = self.sessions.entry(id).or_default();
        let known = kinds.get(kind).and_then(|kind| numbers.get(&(kind.place, value)));
        if known.is_some() || numbers.len() >= most {
            return known.copied();
        }
        let place = u32::try_from(kinds.len()).ok()?;
        let kind = kinds.entry(kind.into()).or_insert(Kind { place, last: 0 });
        kind.last += 1;
        numbers.insert((kind.place, value), kind.last);
        self.values += 1;
        Some(kind.last)
    }

    /// Forgets sessions until the bounds are kept: never the one that was used last, which keeps its own.
    fn make_room(&mut self, most: Most) {
        while self.sessions.len() > most.sessions.max(1) || (self.values > most.values && self.sessions.len() > 1) {
            let Some((_, longest)) = self.rested.pop_first() else { return };
            self.values -= self.sessions.remove(&longest).map_or(0, |session| session.numbers.len());
        }
    }
}

fn clean(kind: &str) -> String {
    let kind: String = kind
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(32)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if kind.is_empty() { "VALUE".into() } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { sessions: 3, values: 6, per_session: 4 };

    fn hash(number: u32) -> Hash {
        let mut hash = [0; 16];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn a_value_keeps_its_placeholder_within_a_session() {
        let placeholders = Placeholders::new(2);
        let (one, other) = (SessionId::new(), SessionId::new());
        assert_eq!(placeholders.of(one, "email", [1; 16]), "[EMAIL_1]");
        assert_eq!(placeholders.of(one, "email", [2; 16]), "[EMAIL_2]");
        assert_eq!(placeholders.of(one, "email", [1; 16]), "[EMAIL_1]");
        assert_eq!(placeholders.of(one, "phone", [1; 16]), "[PHONE_1]");
        assert_eq!(placeholders.of(other, "email", [2; 16]), "[EMAIL_1]");
    }

    #[test]
    fn a_kind_cannot_break_out_of_its_brackets() {
        assert_eq!(Placeholders::new(2).of(SessionId::new(), "a]\n[b", [0; 16]), "[AB_1]");
        assert_eq!(Placeholders::new(2).of(SessionId::new(), "", [0; 16]), "[VALUE_1]");
    }

    #[test]
    fn a_session_with_too_many_values_has_one_placeholder_for_the_rest() {
        let (placeholders, one) = (Placeholders::within(MOST), SessionId::new());
        let texts: Vec<_> = (0..6).map(|number| placeholders.of(one, "n", hash(number))).collect();
        assert_eq!(texts, ["[N_1]", "[N_2]", "[N_3]", "[N_4]", "[N_MORE]", "[N_MORE]"]);
        assert_eq!(placeholders.of(one, "n", hash(3)), "[N_4]", "what has one keeps it");
    }

    #[test]
    fn the_session_that_rested_longest_is_forgotten_first() {
        let placeholders = Placeholders::within(MOST);
        let [first, second, third, fourth] = std::array::from_fn(|_| SessionId::new());
        for session in [first, second, third] {
            assert_eq!(placeholders.of(session, "n", hash(1)), "[N_1]");
        }
        assert_eq!(placeholders.of(first, "n", hash(2)), "[N_2]", "it began first, and is used still");
        placeholders.of(fourth, "n", hash(1));
        assert_eq!(placeholders.of(first, "n", hash(2)), "[N_2]");
        assert_eq!(placeholders.of(second, "n", hash(2)), "[N_1]", "it was forgotten, and begins anew");
    }

    #[test]
    fn all_values_together_are_bounded_whatever_the_number_of_sessions() {
        let placeholders = Placeholders::within(Most { sessions: 1000, ..MOST });
        let (busy, mut most) = (SessionId::new(), 0);
        for number in 0..200 {
            // A token of its own for every few values, beside a session that goes on.
            let session = SessionId::new();
            (0..4).for_each(|value| drop(placeholders.of(session, "n", hash(value))));
            let text = placeholders.of(busy, &format!("kind{}", number % 2), hash(0));
            assert_eq!(text, format!("[KIND{}_1]", number % 2));
            let state = placeholders.state.lock().unwrap();
            let counted: usize = state.sessions.values().map(|session| session.numbers.len()).sum();
            assert_eq!((state.values, state.rested.len()), (counted, state.sessions.len()));
            most = most.max(counted);
        }
        assert!(most <= MOST.values, "{most}");
    }
}
