//! What goes on beside the exchanges for as long as the host runs: each thing is a task of its own.
//!
//! What must hold: one that ends before it was told to (a panic) takes the host with it, in order: a host without the task
//! that swaps its policies, or that withdraws what was revoked, must not look as if it had it.

use std::{collections::HashMap, future::Future, pin::pin};

use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

/// Tasks by their names.
pub(super) struct Keepers {
    tasks: JoinSet<()>,
    names: HashMap<task::Id, &'static str>,
    /// Tells all of them to end.
    stop: CancellationToken,
}

impl Keepers {
    /// None so far; each ends when `stop` is.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), names: HashMap::new(), stop }
    }

    /// One that ends when it is told to, and not before.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.tasks.spawn(task).id(), name);
    }

    /// One that may be dropped wherever it is when it is told to end, and may have nothing to do.
    pub(super) fn keep(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            if stop.run_until_cancelled(task).await.is_some() {
                stop.cancelled().await;
            }
        });
    }

    /// Serves. When a keeper is lost meanwhile, the intake is closed and what runs is brought to its end: its name.
    pub(super) async fn beside(&mut self, serving: impl Future, intake: &CancellationToken) -> Option<&'static str> {
        let mut serving = pin!(serving);
        let lost = tokio::select! {
            _over = &mut serving => return None,
            lost = self.lost() => lost,
        };
        tracing::error!("{lost} ended, and this host does not go on without it: it stops");
        intake.cancel();
        serving.await;
        Some(lost)
    }

    /// The next that ends, which none does before all are told to.
    async fn lost(&mut self) -> &'static str {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => self.name(id),
            Some(Err(error)) => self.name(error.id()),
            None => std::future::pending().await,
        }
    }

    fn name(&self, id: task::Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or_default()
    }

    /// Tells all of them to end, and waits until they have.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            if let Err(error) = ended {
                tracing::error!("{} failed while this host stopped", self.name(error.id()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn a_keeper_that_panics_ends_the_host_in_order_and_is_named() {
        let (intake, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut keepers = Keepers::new(stop.clone());
        keepers.keep("the good one", std::future::pending());
        keepers.keep("the idle one", async {});
        keepers.keep("the bad one", async { panic!("a mistake") });
        let drained = Arc::new(AtomicBool::new(false));
        let (closed, over) = (intake.clone(), Arc::clone(&drained));
        let serving = async move {
            closed.cancelled().await;
            task::yield_now().await;
            over.store(true, Ordering::Relaxed);
        };
        assert_eq!(keepers.beside(serving, &intake).await, Some("the bad one"));
        assert!(drained.load(Ordering::Relaxed) && !stop.is_cancelled(), "it drains with the others there");
        keepers.end().await;
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ends_before_it_is_told_to_is_lost() {
        let (intake, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut keepers = Keepers::new(stop);
        keepers.spawn("the short one", async {});
        let serving = intake.clone().cancelled_owned();
        assert_eq!(keepers.beside(serving, &intake).await, Some("the short one"));
    }

    #[tokio::test]
    async fn keepers_that_are_told_to_end_are_not_lost() {
        let (intake, stop) = (CancellationToken::new(), CancellationToken::new());
        let mut keepers = Keepers::new(stop.clone());
        keepers.keep("one", std::future::pending());
        keepers.spawn("another", async move { stop.cancelled().await });
        assert_eq!(keepers.beside(async {}, &intake).await, None);
        keepers.end().await;
        assert!(!intake.is_cancelled());
    }
}
