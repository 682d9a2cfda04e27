//! One policy's seat in the chain of one exchange: its guest, and how often it was called.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::{FailureMode, Generation, Mode, Question, Verdict, record::PolicyTally};

use super::track::Place;
use crate::ports::{About, Failure, FailureKind, Guest, Policy};

/// Calls of one hook before a failure counts: the second is on a fresh instance.
const TRIES: usize = 2;

/// Failures by time in one exchange after which a policy that may fail is called no more in it: an exchange has any number
/// of messages, and each would wait for as long again.
const LATE: u32 = 3;

/// A policy at work in this exchange.
pub(crate) struct Seat {
    pub(crate) policy: Arc<dyn Policy>,
    guest: Option<Box<dyn Guest>>,
    /// The policy wants no more of this exchange.
    pub(crate) done: bool,
    /// How often it used up its time.
    late: u32,
    pub(crate) tally: PolicyTally,
    /// The policy's place in its set; the host's own has none.
    pub(crate) place_in_set: Option<usize>,
    /// The policy came into force in the middle of the exchange.
    pub(crate) resumed: bool,
}

impl Seat {
    pub(crate) fn new(policy: Arc<dyn Policy>, place_in_set: Option<usize>, generation: Generation) -> Self {
        let info = policy.info();
        let tally = PolicyTally {
            policy: info.id.as_str().into(),
            digest: info.digest,
            generation,
            calls: 0,
            cleared: 0,
            edits: 0,
        };
        Self { policy, guest: None, done: false, late: 0, tally, place_in_set, resumed: false }
    }

    pub(crate) fn id(&self) -> &str {
        &self.policy.info().id
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.policy.info().mode == Mode::Shadow
    }

    pub(crate) fn fails_open(&self) -> bool {
        self.policy.info().on_failure == FailureMode::Open
    }

    /// It failed, and that is let pass. Whether it is called no more for that.
    pub(crate) fn passed_over(&mut self, failure: &Failure) -> bool {
        self.late += u32::from(failure.kind == FailureKind::Deadline);
        self.done |= self.late >= LATE;
        self.done
    }

    /// What it asked as it was opened, where that was not put yet.
    pub(crate) fn owed(&mut self) -> Option<Question> {
        self.guest.as_mut()?.owed()
    }

    /// Its place on a new track.
    pub(crate) fn place(&self, seat: usize) -> Place {
        Place { seat, shadow: self.is_shadow(), look_behind: self.policy.plan().look_behind }
    }

    /// Calls a hook; after a failure once more, on a fresh instance. `with` is what the hook is shown.
    pub(crate) async fn call<C: Sync + ?Sized, T>(
        &mut self,
        about: &Arc<About>,
        with: &C,
        hook: for<'g> fn(&'g mut dyn Guest, &'g C) -> BoxFuture<'g, Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let guest = self.guest.get_or_insert_with(|| {
            if self.resumed == about.resumed {
                return self.policy.guest(about);
            }
            self.policy.guest(&Arc::new(About { resumed: self.resumed, ..About::clone(about) }))
        });
        let mut tried = 1;
        loop {
            self.tally.calls = self.tally.calls.saturating_add(1);
            match hook(guest.as_mut(), with).await {
                Err(failure) if tried < TRIES => {
                    tracing::debug!(policy = %self.policy.info().id, %failure, "a call failed and is tried once more");
                    tried += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether a verdict leaves the way of an exchange as it is, and need not be told.
pub(crate) fn is_quiet(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allow)
}
