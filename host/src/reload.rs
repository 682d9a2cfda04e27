//! Watches the policy folder and publishes a new policy set when it changes.
//!
//! Events of the file system only say "look": which of them come differs between editors, mounts and kernels, and some
//! are lost. What is there is what a scan finds (`engine::load`). A scan follows each event after a short quiet, and
//! besides every few seconds whether or not anything happened.
//!
//! What must hold: the set in force is replaced whole, by one that is complete; each set is recorded; whatever happens to
//! the folder or to the watching of it, this goes on until it is told to stop.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::load::{Change, ChangeKind, Loader, ScanOutcome, folder::FolderId};
use exchange::ports::{PolicySet, Recorder};
use model::Event;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::app::now_ms;

/// A folder that is written to without a pause is looked at all the same.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// How often a folder is looked at that the system can't watch.
const POLL: Duration = Duration::from_secs(1);
/// How long a new set waits to be recorded. A gate that must close does not wait for a store that is stuck; with such a
/// store nothing passes the gate anyway.
const RECORD_WAIT: Duration = Duration::from_secs(1);

/// When the folder is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Quiet after an event.
    pub(crate) settle: Duration,
    /// Between two looks when there are no events.
    pub(crate) rescan: Duration,
}

/// Keeps the published set in step with the loader's folder, until it is told to stop.
pub(crate) async fn watch(
    mut loader: Loader,
    publish: watch::Sender<Arc<PolicySet>>,
    recorder: Arc<dyn Recorder>,
    times: Times,
    stop: CancellationToken,
) {
    let (mut eyes, mut events) = Eyes::new(loader.folder());
    loop {
        eyes = eyes.refreshed().await;
        // Watched first, looked at then: what happens in between is an event already.
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = loader.scan(Instant::now()) => outcome,
        };
        let again = next_look(&outcome, &eyes, times);
        proclaim(outcome, &publish, &*recorder).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(again.into()) => {}
            () = loader.finished() => {}
            () = nudged(&mut events, times.settle) => {}
        }
    }
}

fn next_look(outcome: &ScanOutcome, eyes: &Eyes, times: Times) -> Instant {
    let pause = if eyes.watching() { times.rescan } else { times.rescan.min(POLL) };
    let regular = Instant::now() + pause;
    outcome.look_again.map_or(regular, |time| time.min(regular))
}

/// Waits until something has happened and then nothing for a while. Never ready where there is no watch that could tell.
async fn nudged(events: &mut mpsc::Receiver<()>, quiet: Duration) {
    match events.recv().await {
        Some(()) => settle(events, quiet).await,
        None => std::future::pending().await,
    }
}

/// Waits until nothing has happened for a while.
async fn settle(events: &mut mpsc::Receiver<()>, quiet: Duration) {
    let end = Instant::now() + MAX_SETTLE;
    while Instant::now() < end && tokio::time::timeout(quiet, events.recv()).await.is_ok_and(|event| event.is_some()) {}
}

/// Tells people, the record and the exchanges of a new set.
async fn proclaim(outcome: ScanOutcome, publish: &watch::Sender<Arc<PolicySet>>, recorder: &dyn Recorder) {
    let Some(set) = outcome.set else { return };
    // Polled first, so the record of the set stands before that of any exchange it judges; it is not waited for until the
    // set is in force.
    let recorded = tokio::time::timeout(RECORD_WAIT, recorder.event(published(&set, now_ms())));
    let in_force = async { publish.send_replace(Arc::clone(&set)) };
    match tokio::join!(biased; recorded, in_force).0 {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(generation = %set.generation, %error, "a policy set is in force unrecorded"),
        Err(_late) => tracing::error!(generation = %set.generation, "a policy set is in force and not recorded yet"),
    }
    for change in &outcome.changes {
        tell(change);
    }
    tracing::info!(
        generation = %set.generation,
        digest = %set.digest.short(),
        policies = set.policies.len(),
        problems = set.problems.len(),
        "policy set published"
    );
}

/// Tells people of a change.
pub(crate) fn tell(change: &Change) {
    match change.kind {
        ChangeKind::Wrong(_) | ChangeKind::Bound { stands_in: true, .. } => tracing::warn!("{change}"),
        // What guarded guards no more: whoever meant it can pass over a line, whoever did not must see it.
        ChangeKind::Unbound { .. } => tracing::warn!("{change}: in force no more"),
        ChangeKind::Bound { .. } | ChangeKind::Mended => tracing::info!("{change}"),
    }
}

/// What the record keeps of a published set.
pub(crate) fn published(set: &PolicySet, at_ms: u64) -> Event {
    let policies = set.policies.iter().map(|policy| {
        let info = policy.info();
        (info.id.clone(), info.digest, info.mode.as_str().to_owned())
    });
    let problem =
        |problem: &exchange::ports::Problem| format!("{}: {}: {}", problem.file, problem.stage, problem.message);
    Event::SetPublished {
        at_ms,
        set: set.set_ref(),
        policies: policies.collect(),
        problems: set.problems.iter().map(problem).collect(),
    }
}

/// The system's watch on the folder and on the one it stands in.
struct Eyes {
    folder: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// The folder that is watched; the path may have come to lead to another.
    watched: Option<FolderId>,
    /// Whether the lack of a watch has been told.
    told: bool,
}

impl Eyes {
    /// Events come as mere nudges; more than one that is not yet seen says nothing new.
    fn new(folder: &Path) -> (Self, mpsc::Receiver<()>) {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let (nudge, nudges) = mpsc::channel(1);
        let own = folder.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.as_ref().is_ok_and(|event| !matters(event, &own)) {
                return;
            }
            // Full: a look is due anyway. Closed: nobody looks any more.
            let _ = nudge.try_send(());
        });
        let watcher =
            watcher.inspect_err(|error| tracing::warn!(%error, "the policy folder is polled, not watched")).ok();
        (Self { folder, told: watcher.is_none(), watcher, watched: None }, nudges)
    }

    fn watching(&self) -> bool {
        self.watched.is_some()
    }

    /// Watches the folder that the path leads to now. Asks the file system, which may be slow.
    async fn refreshed(mut self) -> Self {
        let folder = self.folder.clone();
        let refreshed = tokio::task::spawn_blocking(move || {
            self.refresh();
            self
        });
        match refreshed.await {
            Ok(eyes) => eyes,
            // The runtime is going down, or notify panicked: polling needs neither.
            Err(_) => Self { folder, watcher: None, watched: None, told: true },
        }
    }

    fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let now = FolderId::of(&self.folder).ok();
        if now.is_some() && now == self.watched {
            return;
        }
        if self.watched.take().is_some() {
            // The old folder may be gone, and its watch with it.
            let _ = watcher.unwatch(&self.folder);
        }
        if let Some(parent) = self.folder.parent() {
            // Not being told when the folder itself is replaced costs time until the next look, nothing else.
            let _ = watcher.unwatch(parent);
            let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        match watcher.watch(&self.folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched = now;
                self.told = false;
            }
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(%error, folder = %self.folder.display(), "the policy folder is polled, not watched");
            }
            Err(_) => {}
        }
    }
}

/// Whether an event may mean that the folder holds something else now. Reading is an event too, and a scan reads.
fn matters(event: &notify::Event, folder: &Path) -> bool {
    if event.need_rescan() || event.paths.is_empty() {
        return true;
    }
    let inside = event.paths.iter().any(|path| path == folder || path.parent() == Some(folder));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => inside,
        EventKind::Access(_) => false,
        // Beside the folder, or on the way to it: only names count (a link that is swapped), not what is written there.
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => inside,
    }
}

#[cfg(test)]
mod tests;
