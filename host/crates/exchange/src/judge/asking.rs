//! Questions to people that policies raise, and how far a body had come when they did.
//!
//! What must hold: a question about an answer is put when all that had come of it by then can be shown; what one set of
//! policies decided, or had asked about, and has not left, does not leave under another.

use std::sync::Arc;

use model::Question;
use tokio::sync::watch;

use super::{Judge, Seat, seats};
use crate::{ports::PolicySet, twin::Twin};

/// A policy wants a person to decide before what is pending goes on.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) policy: String,
    pub(crate) digest: model::Digest,
    pub(crate) question: Question,
}

/// How far a body has come, in bytes as they came.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were read.
    pub(super) came: u64,
    /// Bytes that have left the flow.
    pub(super) left: u64,
    /// Bytes that were read when a question was raised last.
    asked: u64,
}

impl Judge {
    /// A policy asks about what has come so far; a question that was raised already is raised once.
    pub(super) fn ask(&mut self, seat: usize, question: Question) {
        self.progress.asked = self.progress.came;
        let (policy, digest) = (self.seats[seat].id().to_owned(), self.seats[seat].tally.digest);
        if !self.asking.iter().any(|asking| asking.policy == policy && asking.question == question) {
            self.asking.push(Asking { policy, digest, question });
        }
    }

    /// Questions since the last call.
    pub(crate) fn asking(&mut self) -> Vec<Asking> {
        std::mem::take(&mut self.asking)
    }

    /// Whether there are any.
    pub(crate) fn asks(&self) -> bool {
        !self.asking.is_empty()
    }

    /// Whether all that had come when a question was raised last has left: nothing of it waits for what follows it.
    pub(crate) fn has_let_go(&self) -> bool {
        self.progress.left >= self.progress.asked && !self.bytes.keeps()
    }

    /// The first policy by which those of a set that guard this connection differ from those that judge now: one that is
    /// new, another version, or gone.
    pub(crate) fn changed_by(&self, set: &PolicySet) -> Option<String> {
        let next = seats(set, &self.about.connection, &self.secrets);
        let version = |seat: &Seat| (seat.id().to_owned(), seat.policy.info().digest);
        let mut now = self.seats.iter();
        let other = next.iter().find(|seat| now.next().map(version) != Some(version(seat)));
        other.or_else(|| now.next()).map(|seat| seat.id().to_owned())
    }

    /// Whether those that judge now are the policies that a set has for the exchange, whatever else it has.
    pub(crate) fn is_of(&self, set: &PolicySet) -> bool {
        set.digest == self.set.digest || self.changed_by(set).is_none()
    }

    /// Has whoever looks at the policies next take up the set in force, be it that it was seen already.
    pub(crate) fn leave_to_be_taken_up(&self, policies: &mut watch::Receiver<Arc<PolicySet>>) {
        let other = policies.borrow().digest != self.set.digest;
        if other {
            policies.mark_changed();
        }
    }

    /// Whether bytes that have left the flow are kept here, so that what leaves may end in the middle of an event.
    pub(crate) fn keeps_bytes(&self) -> bool {
        self.bytes.keeps()
    }

    /// Whether something was asked about by those that judge now, or decided in a way that can't be taken back, and has not
    /// left.
    pub(crate) fn has_kept(&self, flow: &Twin) -> bool {
        self.asks() || flow.keeps_decided() || (!self.raw && self.bytes.keeps())
    }
}
