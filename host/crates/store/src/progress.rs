//! How far something of the queue has come, how far it is wanted, and who waits for that.

use exchange::ports::RecordError;
use tokio::sync::oneshot;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Written,
    Durable,
    Ingested,
}

impl Goal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Durable => "durable",
            Self::Ingested => "readable",
        }
    }
}

pub(crate) type Told = Result<(), RecordError>;

#[derive(Default)]
pub(crate) struct Waiters(pub(crate) Vec<(u64, oneshot::Sender<Told>)>);

impl Waiters {
    pub(crate) fn reached(&mut self, position: u64) -> Vec<oneshot::Sender<Told>> {
        self.0.extract_if(.., |(wanted, _)| *wanted <= position).map(|(_, waiter)| waiter).collect()
    }
}

/// One progress: how far it is, how far somebody wants it, and who.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) at: u64,
    pub(crate) goal: u64,
    pub(crate) waiters: Waiters,
}

impl Progress {
    pub(crate) fn wanted(&self) -> bool {
        self.goal > self.at
    }
}

/// Tells them that they have what they waited for.
pub(crate) fn tell(waiters: Vec<oneshot::Sender<Told>>) {
    for waiter in waiters {
        // Whoever went away needs no answer.
        let _gone = waiter.send(Ok(()));
    }
}
