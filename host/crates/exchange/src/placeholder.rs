//! Placeholders such as `[EMAIL_1]`: the same value gets the same one within a session, so that a conversation keeps
//! its sense although the values are gone. Kept in memory only, and only as a keyed hash of each value.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use model::SessionId;

/// The hash of a value that `Recorder::keyed_hash` makes.
type Hash = [u8; 16];

/// Values in one session that get placeholders of their own; further ones share one that says so.
const MOST_PER_SESSION: usize = 10_000;

/// The placeholders of all sessions. Bounded: the oldest session is forgotten first.
pub(crate) struct Placeholders {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Session>,
    order: VecDeque<SessionId>,
}

#[derive(Default)]
struct Session {
    numbers: HashMap<(String, Hash), usize>,
    next: HashMap<String, usize>,
}

impl Placeholders {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// The placeholder for a value of this kind. `kind` is cleaned to upper-case ASCII letters, digits and `_`.
    pub(crate) fn of(&self, session: SessionId, kind: &str, value: Hash) -> String {
        let kind = clean(kind);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.sessions.contains_key(&session) {
            if state.sessions.len() >= self.most
                && let Some(oldest) = state.order.pop_front()
            {
                state.sessions.remove(&oldest);
            }
            state.order.push_back(session);
        }
        let Session { numbers, next } = state.sessions.entry(session).or_default();
        if let Some(number) = numbers.get(&(kind.clone(), value)) {
            return format!("[{kind}_{number}]");
        }
        if numbers.len() >= MOST_PER_SESSION {
            return format!("[{kind}_MORE]");
        }
        let number = next.entry(kind.clone()).or_default();
        *number += 1;
        let text = format!("[{kind}_{number}]");
        numbers.insert((kind, value), *number);
        text
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
}
