//! Handles of metrics by what they are labelled with, so that counting makes no text and looks up no label.
//!
//! What must hold: the number of handles is bounded; what comes beyond the bound is counted together.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use model::{Mode, Outcome};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use crate::families::Families;

/// Values of one label. Connections and policies are an operator's, dialects and codes are the program's: there are far
/// fewer.
const MOST: usize = 1000;
/// Stands for all that are too many.
const OTHER: &str = "other";

/// What was looked up once, by name.
pub(crate) struct Cache<T>(RwLock<HashMap<Box<str>, Arc<T>>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Cache<T> {
    /// The handles of this name; `make` makes them when they are wanted for the first time.
    pub(crate) fn get(&self, name: &str, make: impl FnOnce(&str) -> T) -> Arc<T> {
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(found);
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = if known.len() < MOST || known.contains_key(name) { name } else { OTHER };
        if let Some(found) = known.get(name) {
            return Arc::clone(found);
        }
        let made = Arc::new(make(name));
        known.insert(name.into(), Arc::clone(&made));
        made
    }
}

#[derive(Default)]
pub(crate) struct Handles {
    pub(crate) connections: Cache<ConnectionHandles>,
    pub(crate) policies: Cache<PolicyHandles>,
    pub(crate) refused: Cache<Counter>,
    pub(crate) approvals: Cache<Counter>,
}

pub(crate) struct ConnectionHandles {
    name: String,
    pub(crate) running: Gauge,
    pub(crate) seconds: Histogram,
    pub(crate) judge_request: Histogram,
    pub(crate) judge_response: Histogram,
    pub(crate) record: Histogram,
    pub(crate) upstream: Histogram,
    pub(crate) input_tokens: Counter,
    pub(crate) output_tokens: Counter,
    pub(crate) answers: Cache<Counter>,
    dialects: Cache<Outcomes>,
}

impl ConnectionHandles {
    pub(crate) fn new(families: &Families, name: &str) -> Self {
        let connection = || ("connection", name.to_owned());
        let judge =
            |direction: &str| families.judge.get_or_create_owned(&[connection(), ("direction", direction.to_owned())]);
        let tokens = |kind: &str| families.tokens.get_or_create_owned(&[connection(), ("kind", kind.to_owned())]);
        Self {
            name: name.to_owned(),
            running: families.running.get_or_create_owned(&[connection()]),
            seconds: families.seconds.get_or_create_owned(&[connection()]),
            judge_request: judge("request"),
            judge_response: judge("response"),
            record: families.record.get_or_create_owned(&[connection()]),
            upstream: families.upstream.get_or_create_owned(&[connection()]),
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            answers: Cache::default(),
            dialects: Cache::default(),
        }
    }

    /// What counts the ends of exchanges of a dialect.
    pub(crate) fn outcomes(&self, families: &Families, dialect: &str) -> Arc<Outcomes> {
        self.dialects.get(dialect, |dialect| Outcomes::new(families, &self.name, dialect))
    }
}

/// Exchanges of one connection and dialect, by how they ended.
pub(crate) struct Outcomes([Counter; 7]);

impl Outcomes {
    fn new(families: &Families, connection: &str, dialect: &str) -> Self {
        Self(
            [
                Outcome::Completed,
                Outcome::Blocked,
                Outcome::Denied,
                Outcome::Cancelled,
                Outcome::UpstreamError,
                Outcome::Failed,
                Outcome::Revoked,
            ]
            .map(|outcome| {
                families.exchanges.get_or_create_owned(&[
                    ("connection", connection.to_owned()),
                    ("dialect", dialect.to_owned()),
                    ("outcome", outcome.as_str().to_owned()),
                ])
            }),
        )
    }

    pub(crate) fn of(&self, outcome: Outcome) -> &Counter {
        let [completed, blocked, denied, cancelled, upstream_error, failed, revoked] = &self.0;
        match outcome {
            Outcome::Completed => completed,
            Outcome::Blocked => blocked,
            Outcome::Denied => denied,
            Outcome::Cancelled => cancelled,
            Outcome::UpstreamError => upstream_error,
            Outcome::Failed => failed,
            Outcome::Revoked => revoked,
        }
    }
}

pub(crate) struct PolicyHandles {
    name: String,
    pub(crate) calls: Counter,
    pub(crate) enforced: Verdicts,
    pub(crate) shadow: Verdicts,
    failures: Cache<Counter>,
}

/// What a policy said, in one mode.
pub(crate) struct Verdicts {
    pub(crate) blocks: Counter,
    pub(crate) holds: Counter,
    pub(crate) edits: Counter,
}

impl PolicyHandles {
    pub(crate) fn new(families: &Families, name: &str) -> Self {
        let verdicts = |mode: Mode| {
            let labels = [("policy", name.to_owned()), ("mode", mode.as_str().to_owned())];
            Verdicts {
                blocks: families.blocks.get_or_create_owned(&labels),
                holds: families.holds.get_or_create_owned(&labels),
                edits: families.edits.get_or_create_owned(&labels),
            }
        };
        Self {
            name: name.to_owned(),
            calls: families.calls.get_or_create_owned(&[("policy", name.to_owned())]),
            enforced: verdicts(Mode::Enforce),
            shadow: verdicts(Mode::Shadow),
            failures: Cache::default(),
        }
    }

    pub(crate) fn failures(&self, families: &Families, kind: &str) -> Arc<Counter> {
        self.failures.get(kind, |kind| {
            families.failures.get_or_create_owned(&[("policy", self.name.clone()), ("kind", kind.to_owned())])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_handles_is_bounded() {
        let cache = Cache::<String>::default();
        for n in 0..10 * MOST {
            cache.get(&format!("name {n}"), str::to_owned);
        }
        assert_eq!(*cache.get("name 0", str::to_owned), "name 0");
        assert_eq!(*cache.get("name 5000", str::to_owned), OTHER);
        assert!(cache.0.read().unwrap().len() <= MOST + 1);
    }
}
