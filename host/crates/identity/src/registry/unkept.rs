//! Revocations that are in force and not in the log: those that wait for the disk, and those that it refused. Pure.
//!
//! What must hold: as long as one of a target is here, nothing of that target counts as kept; what waits outlives a
//! lift that comes into the log before it.

use std::collections::{BTreeMap, HashMap};

use model::{Target, control::Revoked};

/// Targets that are kept without looking whether anything of them still matters.
const SWEEP_LEAST: usize = 1024;

/// All of them, by what they are about and in the order in which they came into force.
#[derive(Debug)]
pub(super) struct Unkept {
    all: HashMap<Target, BTreeMap<u64, Entry>>,
    next: u64,
    /// A lift of this target is being written: what is in the log of it may be over in a moment.
    lifting: Option<Target>,
    /// Targets beyond which those are forgotten that are over.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    revoked: Revoked,
    /// The log refused it; else it waits to be written.
    refused: bool,
}

impl Default for Unkept {
    fn default() -> Self {
        Self { all: HashMap::new(), next: 0, lifting: None, sweep_at: SWEEP_LEAST }
    }
}

impl Unkept {
    /// One came into force, and waits. Answers what it is called here.
    pub(super) fn begin(&mut self, revoked: Revoked) -> u64 {
        self.sweep(revoked.at_ms);
        let key = self.next;
        self.next += 1;
        self.all.entry(revoked.target.clone()).or_default().insert(key, Entry { revoked, refused: false });
        key
    }

    /// On a full disk every token that is given back is refused: what is about one that has expired is forgotten.
    fn sweep(&mut self, now_ms: u64) {
        if self.all.len() < self.sweep_at {
            return;
        }
        self.all.retain(|_, entries| {
            entries.retain(|_, entry| !(entry.refused && entry.revoked.until_ms.is_some_and(|until| until <= now_ms)));
            !entries.is_empty()
        });
        self.sweep_at = SWEEP_LEAST.max(2 * self.all.len());
    }

    /// It is in the log, and with it all that was refused before and says no more.
    pub(super) fn kept(&mut self, target: &Target, key: u64) {
        self.settle(target, key, true);
    }

    /// The log refused it: it stays in force, and must be ordered again to be kept.
    pub(super) fn refused(&mut self, target: &Target, key: u64) {
        self.settle(target, key, false);
    }

    fn settle(&mut self, target: &Target, key: u64, kept: bool) {
        let Some(entries) = self.all.get_mut(target) else { return };
        let Some(Entry { revoked, .. }) = entries.remove(&key) else { return };
        // One that was refused stands here for all that it outdoes.
        entries.retain(|_, old| !(old.refused && revoked.covers(&old.revoked)));
        if !kept {
            entries.insert(key, Entry { revoked, refused: true });
        }
        if entries.is_empty() {
            self.all.remove(target);
        }
    }

    /// Whether anything of a target is not kept, or will not stay.
    pub(super) fn holds(&self, target: &Target) -> bool {
        self.all.contains_key(target) || self.lifting.as_ref() == Some(target)
    }

    /// The lift of a target is being written, or that has ended; one at a time.
    pub(super) fn set_lifting(&mut self, target: Option<Target>) {
        self.lifting = target;
    }

    /// A target was lifted: what was refused is over; what waits comes into the log behind the lift, and is answered.
    pub(super) fn lift(&mut self, target: &Target) -> Vec<Revoked> {
        let Some(entries) = self.all.get_mut(target) else { return Vec::new() };
        entries.retain(|_, entry| !entry.refused);
        let waiting: Vec<_> = entries.values().map(|entry| entry.revoked.clone()).collect();
        if waiting.is_empty() {
            self.all.remove(target);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(issued_before_ms: Option<u64>) -> Revoked {
        let (reason, by) = (String::new(), String::new());
        Revoked { at_ms: 1, target: Target::Everything, issued_before_ms, reason, by, until_ms: None }
    }

    #[test]
    fn what_was_refused_is_kept_only_by_one_that_says_as_much() {
        let mut unkept = Unkept::default();
        let all = unkept.begin(revoked(None));
        unkept.refused(&Target::Everything, all);
        let older = unkept.begin(revoked(Some(5)));
        unkept.kept(&Target::Everything, older);
        assert!(unkept.holds(&Target::Everything), "less was kept than was refused");
        let again = unkept.begin(revoked(None));
        unkept.kept(&Target::Everything, again);
        assert!(!unkept.holds(&Target::Everything));
    }

    #[test]
    fn the_same_that_is_refused_again_takes_no_more_room() {
        let mut unkept = Unkept::default();
        for _ in 0..10 {
            let key = unkept.begin(revoked(None));
            unkept.refused(&Target::Everything, key);
        }
        assert_eq!(unkept.all[&Target::Everything].len(), 1);
    }

    #[test]
    fn what_was_refused_of_tokens_that_have_expired_takes_no_room() {
        let mut unkept = Unkept::default();
        for at_ms in 0..10_000 {
            let target = Target::Token(model::TokenId::new());
            let key =
                unkept.begin(Revoked { at_ms, target: target.clone(), until_ms: Some(at_ms + 9), ..revoked(None) });
            unkept.refused(&target, key);
        }
        assert!(unkept.all.len() <= 2 * SWEEP_LEAST, "{}", unkept.all.len());
    }

    #[test]
    fn a_lift_ends_what_was_refused_and_not_what_waits() {
        let mut unkept = Unkept::default();
        let refused = unkept.begin(revoked(None));
        unkept.refused(&Target::Everything, refused);
        assert!(unkept.lift(&Target::Everything).is_empty() && !unkept.holds(&Target::Everything));
        let waits = unkept.begin(revoked(Some(9)));
        assert_eq!(unkept.lift(&Target::Everything), [revoked(Some(9))]);
        unkept.kept(&Target::Everything, waits);
        assert!(!unkept.holds(&Target::Everything));
    }
}
