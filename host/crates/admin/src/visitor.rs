//! Who is at the other end of a connection: a stranger, until it has shown the token.
//!
//! What must hold: strangers keep nobody out. One has its answer within a time and then no connection any more, and where
//! no place is left the one that came first makes room.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// Time in which a stranger has asked and has taken its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever has a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    known: Arc<AtomicBool>,
    gone: CancellationToken,
}

impl Visitor {
    /// It has shown the token.
    pub(crate) fn come_in(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Whether it has shown the token.
    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Its connection is over, or has to be.
    pub(crate) fn leave(&self) {
        self.gone.cancel();
    }

    /// Returns when its connection has to end: a stranger's time is over, or its place is needed.
    pub(crate) async fn overdue(&self) {
        let stays = tokio::select! {
            () = self.gone.cancelled() => false,
            () = tokio::time::sleep(PATIENCE) => self.is_known(),
        };
        if stays {
            pending::<()>().await;
        }
    }
}

/// Strangers, the one that came first in front.
#[derive(Debug, Default)]
pub(crate) struct Strangers(VecDeque<Visitor>);

impl Strangers {
    /// One more.
    pub(crate) fn welcome(&mut self) -> Visitor {
        self.0.retain(|visitor| !visitor.is_known() && !visitor.gone.is_cancelled());
        let visitor = Visitor::default();
        self.0.push_back(visitor.clone());
        visitor
    }

    /// The one that came first leaves, if there is one.
    pub(crate) fn make_room(&mut self) {
        let mut strangers = std::iter::from_fn(|| self.0.pop_front());
        if let Some(first) = strangers.find(|visitor| !visitor.is_known() && !visitor.gone.is_cancelled()) {
            first.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_its_time_and_who_is_known_has_more() {
        let (stranger, known) = (Visitor::default(), Visitor::default());
        known.come_in();
        assert!(timeout(PATIENCE / 2, stranger.overdue()).await.is_err());
        assert!(timeout(PATIENCE * 2, stranger.overdue()).await.is_ok());
        assert!(timeout(PATIENCE * 100, known.overdue()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_stranger_that_came_first_makes_room() {
        let mut strangers = Strangers::default();
        let [gone, known, first, second] = std::array::from_fn(|_| strangers.welcome());
        gone.leave();
        known.come_in();
        strangers.make_room();
        assert!(first.gone.is_cancelled() && !known.gone.is_cancelled() && !second.gone.is_cancelled());
        strangers.make_room();
        assert!(second.gone.is_cancelled());
        strangers.make_room();
        assert!(!known.gone.is_cancelled());
    }
}
