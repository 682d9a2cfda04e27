//! Which events were carried out: one that comes again is acknowledged and does nothing.
//!
//! What must hold: bounded, whatever comes; an event is known by its transmitter, its `jti` and what it says, so that
//! one that only borrows the `jti` of another is not lost.

use std::collections::{BTreeSet, HashMap};

use model::Digest;

/// Events that are remembered.
const EVENTS: usize = 20_000;

/// Events that were carried out, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What each said, and when it was told.
    said: HashMap<Digest, (Digest, u64)>,
    by_time: BTreeSet<(u64, Digest)>,
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It was carried out.
    Same,
    /// Another one was, which had the same name.
    Other,
}

impl Seen {
    /// What is known of an event by its name and what it says.
    pub(super) fn look(&self, name: &Digest, says: &Digest) -> Known {
        match self.said.get(name) {
            None => Known::New,
            Some((said, _)) if said == says => Known::Same,
            Some(_) => Known::Other,
        }
    }

    /// Remembers one that was carried out and told at `issued`, and forgets those that are too old to be taken again.
    pub(super) fn remember(&mut self, name: Digest, says: Digest, issued: u64, oldest: u64) {
        if self.said.insert(name, (says, issued)).is_none() {
            self.by_time.insert((issued, name));
        }
        while let Some((issued, name)) = self.by_time.first().copied()
            && (issued < oldest || self.by_time.len() > EVENTS)
        {
            self.by_time.pop_first();
            self.said.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    #[test]
    fn an_event_is_known_by_its_name_and_what_it_says() {
        let mut seen = Seen::default();
        let (name, says) = (digest("a"), digest("1"));
        assert_eq!(seen.look(&name, &says), Known::New);
        seen.remember(name, says, 10, 0);
        assert_eq!(seen.look(&name, &says), Known::Same);
        assert_eq!(seen.look(&name, &digest("2")), Known::Other);
        assert_eq!(seen.look(&digest("b"), &says), Known::New);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut seen = Seen::default();
        let name = |at: u64| digest(at.to_string());
        for at in 0..=EVENTS as u64 {
            seen.remember(name(at), name(at), at, 0);
        }
        assert_eq!((seen.said.len(), seen.by_time.len()), (EVENTS, EVENTS));
        assert_eq!(seen.look(&name(0), &name(0)), Known::New);
        assert_eq!(seen.look(&name(1), &name(1)), Known::Same);
        seen.remember(name(1), name(1), 1, 100);
        assert_eq!(seen.said.len(), seen.by_time.len());
        assert_eq!((seen.look(&name(99), &name(99)), seen.look(&name(100), &name(100))), (Known::New, Known::Same));
    }
}
