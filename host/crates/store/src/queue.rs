//! Entries on their way to the disk, and everybody who waits for them.
//!
//! Positions count the bytes of all frames ever journaled, from 0, over the store's whole life. Four of them chase each
//! other: `appended` ≥ `written` ≥ `durable`, and `written` ≥ `ingested`. What must hold: a position is published only
//! after what it promises is true; after the first failure none moves any more and everybody is told the cause.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use exchange::ports::RecordError;
use tokio::sync::oneshot;

use crate::{
    Durability, Limits,
    asleep::{Asleep, Thread},
    frame,
    medium::JournalFile,
    progress::{Goal, Progress, Told, Waiters, tell},
    store::Status,
};

/// Bytes in the buffer from which on they are written although nobody waits.
const WRITE_AT: usize = 256 << 10;
/// Capacity above which a written buffer is given back to the allocator instead of being used again.
const KEEP_CAPACITY: usize = 4 << 20;

/// Waiters that one sync has helped, from which on the next takes the time to gather more: a host that has so much to do
/// is faster when each sync, and each thread that is woken for it, does it for many.
const CROWD: usize = 4;
/// That time, at most.
const GATHER: Duration = Duration::from_millis(1);

/// Written frames, for the ingest.
pub(crate) struct Batch {
    /// Position of its first byte.
    pub(crate) start: u64,
    /// Whole frames.
    pub(crate) bytes: Vec<u8>,
}

impl Batch {
    /// Position after its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// What whoever appends does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Waits, by [`Queue::keep`], which sees to it that the writer acts when it should.
    Kept,
    /// Nothing: the writer is to write it after a while.
    Nothing,
}

struct Inner {
    buffer: Vec<u8>,
    spare: Vec<u8>,
    appended: u64,
    /// When the first entry of the buffer came.
    since: Option<Instant>,
    /// What was handed to the writer and is not durable: each buffer's end, and when its first entry came.
    unsynced: VecDeque<(u64, Instant)>,
    written: Progress,
    durable: Progress,
    ingested: Progress,
    /// `durable` as the last mark told it.
    marked: u64,
    file: Arc<dyn JournalFile>,
    batches: VecDeque<Batch>,
    batched: usize,
    batched_since: Option<Instant>,
    /// The writer sleeps until somebody wakes it, whatever comes.
    writer_idle: bool,
    /// Threads that sleep and that nobody has woken yet: to wake one that is awake costs a call to the system.
    asleep: Asleep,
    /// A sync is under way. What is wanted on the disk meanwhile waits for the next one, and so is written in one go
    /// when this one ends.
    syncing: bool,
    /// So many waiters end the syncer's gathering.
    enough: usize,
    failed: Option<RecordError>,
    closing: bool,
    writer_done: bool,
}

/// The queue. Every lock is held for a copy of a few bytes, never over a call to the disk.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    writer: Condvar,
    syncer: Condvar,
    ingester: Condvar,
    limits: Limits,
    durability: Durability,
    /// Exchanges whose record is being written; see [`crate::running`].
    pub(crate) running: AtomicUsize,
    /// It has failed or closes; `inner` knows which. For those who would ask without taking the lock.
    ended: AtomicBool,
}

impl Queue {
    /// A queue whose next frame gets `position`, written to `file`.
    pub(crate) fn new(durability: Durability, limits: Limits, position: u64, file: Arc<dyn JournalFile>) -> Self {
        let at = || Progress { at: position, goal: position, waiters: Waiters::default() };
        let inner = Inner {
            buffer: Vec::new(),
            spare: Vec::new(),
            appended: position,
            since: None,
            unsynced: VecDeque::new(),
            written: at(),
            durable: at(),
            ingested: at(),
            marked: position,
            file,
            batches: VecDeque::new(),
            batched: 0,
            batched_since: None,
            writer_idle: false,
            asleep: Asleep::default(),
            syncing: false,
            enough: usize::MAX,
            failed: None,
            closing: false,
            writer_done: false,
        };
        let inner = Mutex::new(inner);
        let (writer, syncer, ingester) = Default::default();
        let (running, ended) = Default::default();
        Self { inner, writer, syncer, ingester, limits, durability, running, ended }
    }

    /// Nobody panics while holding the lock; if somebody did, the state is still whole, since each change is one step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ------------------------------------------------------------------------- callers

    /// Whether frames are taken; else why not.
    pub(crate) fn usable(&self) -> Told {
        if self.ended.load(Ordering::Acquire) { self.lock().usable() } else { Ok(()) }
    }

    /// Takes whole frames; gives the position after them. No call to the system, but to wake a writer that idles.
    pub(crate) fn append(&self, frames: &[u8], next: Next) -> Result<u64, RecordError> {
        let mut inner = self.lock();
        inner.usable()?;
        if inner.buffer.len() >= self.limits.buffer_bytes {
            let waiting = inner.buffer.len();
            return Err(RecordError(format!("the disk is behind: {waiting} bytes wait to be written")));
        }
        inner.buffer.extend_from_slice(frames);
        inner.appended += frames.len() as u64;
        if inner.since.is_none() {
            inner.since = Some(Instant::now());
        }
        // Nobody waits within the window of bounded mode.
        let kept = next == Next::Kept && self.durability == Durability::Strict;
        if (inner.writer_idle && !kept)
            || (inner.buffer.len() >= WRITE_AT && inner.buffer.len() - frames.len() < WRITE_AT)
        {
            inner.writer_idle = false;
            self.wake(&mut inner, Thread::Writer);
        }
        Ok(inner.appended)
    }

    /// Nobody waits for what was appended after all: the writer is to write it after a while.
    pub(crate) fn nudge(&self) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.writer_idle) {
            self.wake(&mut inner, Thread::Writer);
        }
    }

    /// Ready when everything before `position` is as safe as `goal` says, or, in bounded mode, when little enough is not.
    pub(crate) async fn keep(&self, goal: Goal, position: u64) -> Told {
        if self.durability == Durability::Bounded && self.within_window()? {
            return Ok(());
        }
        self.reach(goal, position).await
    }

    /// Ready when everything before `position` has come as far as `goal` says.
    pub(crate) async fn reach(&self, goal: Goal, position: u64) -> Told {
        if self.would_wake(goal) {
            // First all that is ready hands over its own: then one thread wakes once, for many (decision 0014).
            tokio::task::yield_now().await;
        }
        let Some(told) = self.wait_for(goal, position)? else {
            return Ok(());
        };
        match tokio::time::timeout(self.limits.keep_deadline, told).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) => Err(RecordError("the store was closed".to_owned())),
            Err(_) => {
                let waited = self.limits.keep_deadline;
                Err(RecordError(format!("the disk is behind: not {} within {waited:?}", goal.as_str())))
            }
        }
    }

    /// Everything appended so far.
    pub(crate) fn appended(&self) -> u64 {
        self.lock().appended
    }

    fn within_window(&self) -> Result<bool, RecordError> {
        let inner = self.lock();
        inner.usable()?;
        let oldest = inner.unsynced.front().map(|(_, since)| *since).or(inner.since);
        let young = oldest.is_none_or(|oldest| oldest.elapsed() <= self.limits.window);
        Ok(young && inner.appended - inner.durable.at <= self.limits.window_bytes)
    }

    /// Whether one more who waits may wake a thread: not where the syncer is at work, or gathers and has not enough.
    fn would_wake(&self, goal: Goal) -> bool {
        let inner = self.lock();
        goal != Goal::Durable || inner.wants_sync(1)
    }

    fn wait_for(&self, goal: Goal, position: u64) -> Result<Option<oneshot::Receiver<Told>>, RecordError> {
        let mut inner = self.lock();
        inner.usable()?;
        if inner.progress(goal).at >= position {
            return Ok(None);
        }
        let (tell, told) = oneshot::channel();
        let progress = inner.progress(goal);
        progress.waiters.0.push((position, tell));
        progress.goal = progress.goal.max(position);
        if goal == Goal::Durable {
            // Who syncs writes first what is still in memory; the writer has nothing to do with it.
            if inner.wants_sync(0) {
                self.wake(&mut inner, Thread::Syncer);
            }
            return Ok(Some(told));
        }
        inner.written.goal = inner.written.goal.max(position);
        if inner.written.wanted() {
            inner.writer_idle = false;
            self.wake(&mut inner, Thread::Writer);
        } else if goal == Goal::Ingested {
            self.wake(&mut inner, Thread::Ingester);
        }
        Ok(Some(told))
    }

    // -------------------------------------------------------------------------- writer

    /// Returns when it is time to write; false when the store closes or has failed.
    pub(crate) fn wait_to_write(&self) -> bool {
        let mut inner = self.lock();
        loop {
            if inner.failed.is_some() {
                return false;
            }
            // What the syncer has taken and not written yet is not done.
            if inner.closing && inner.written.at == inner.appended {
                inner.writer_done = true;
                self.syncer.notify_all();
                self.ingester.notify_all();
                return false;
            }
            let wait = self.time_to_write(&inner);
            match wait {
                Some(Duration::ZERO) => return true,
                Some(wait) => {
                    inner = self.sleep(Thread::Writer, inner, Some(wait));
                }
                None => {
                    inner.writer_idle = inner.buffer.is_empty();
                    inner = self.sleep(Thread::Writer, inner, None);
                    inner.writer_idle = false;
                }
            }
        }
    }

    /// Whether the writer sleeps until somebody wakes it.
    #[cfg(test)]
    pub(crate) fn writer_idles(&self) -> bool {
        self.lock().writer_idle
    }

    /// What there is to write. Whoever takes it writes it before anybody takes more.
    pub(crate) fn take_buffer(&self) -> Option<Batch> {
        let mut inner = self.lock();
        (inner.failed.is_none() && self.may_write(&inner)).then(|| inner.swap())
    }

    /// Whether something waits to be written, and may be: the ingest is not too far behind.
    fn may_write(&self, inner: &Inner) -> bool {
        let backlog = inner.written.at - inner.ingested.at;
        !inner.buffer.is_empty() && (backlog < self.limits.backlog_bytes || inner.closing)
    }

    /// Zero: now. None: when somebody wakes the writer.
    fn time_to_write(&self, inner: &Inner) -> Option<Duration> {
        if !self.may_write(inner) {
            return None;
        }
        if inner.written.wanted() || inner.closing || inner.buffer.len() >= WRITE_AT {
            return Some(Duration::ZERO);
        }
        let age = inner.since.map_or(Duration::ZERO, |since| since.elapsed());
        Some(self.limits.linger.saturating_sub(age))
    }

    /// The journal goes on in a new file; everything in the old one is durable.
    pub(crate) fn rotated(&self, file: Arc<dyn JournalFile>) {
        let mut inner = self.lock();
        inner.file = file;
        let written = inner.written.at;
        let told = inner.advance_durable(written);
        drop(inner);
        tell(told);
    }

    /// `batch` is in the operating system's hands.
    pub(crate) fn wrote(&self, batch: Batch) {
        let mut inner = self.lock();
        inner.written.at = batch.end();
        let told = inner.written.waiters.reached(batch.end());
        if self.durability == Durability::Bounded {
            inner.durable.goal = inner.durable.goal.max(batch.end());
        }
        inner.batched += batch.bytes.len();
        inner.batched_since.get_or_insert_with(Instant::now);
        inner.batches.push_back(batch);
        if inner.durable.wanted() {
            self.wake(&mut inner, Thread::Syncer);
        }
        if inner.closing {
            self.wake(&mut inner, Thread::Writer);
        }
        self.wake_ingester(&mut inner);
        drop(inner);
        tell(told);
    }

    // -------------------------------------------------------------------------- syncer

    /// Returns when somebody wants something on the disk, or the last of it goes there; false when the store closes or
    /// has failed.
    pub(crate) fn wait_for_sync(&self) -> bool {
        let mut inner = self.lock();
        loop {
            if inner.failed.is_some() {
                return false;
            }
            let behind = inner.written.at > inner.durable.at;
            if (inner.durable.wanted() && (behind || self.may_write(&inner))) || (inner.writer_done && behind) {
                inner.syncing = true;
                return true;
            }
            if inner.writer_done {
                return false;
            }
            inner = self.sleep(Thread::Syncer, inner, None);
        }
    }

    /// What to sync: the file, and the position that is durable afterwards.
    pub(crate) fn written(&self) -> (Arc<dyn JournalFile>, u64) {
        let inner = self.lock();
        (Arc::clone(&inner.file), inner.written.at)
    }

    /// Everything before `position` is on the disk.
    pub(crate) fn synced(&self, position: u64) {
        let told = self.lock().advance_durable(position);
        let crowded = told.len() >= CROWD;
        tell(told);
        let mut inner = self.lock();
        if crowded {
            // Still as if it synced: what comes meanwhile wakes nobody, and is written in one go.
            inner = self.gather(inner);
        }
        inner.syncing = false;
    }

    /// Waits until half of the exchanges that run wait for the next sync, so that one half has its turn while the other
    /// is synced; but not for long, since some may wait for something else.
    fn gather<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let until = Instant::now() + GATHER;
        inner.enough = self.running.load(Ordering::Relaxed) / 2;
        while inner.durable.waiters.0.len() < inner.enough && inner.usable().is_ok() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.sleep(Thread::Syncer, inner, Some(left));
        }
        inner.enough = usize::MAX;
        inner
    }

    // -------------------------------------------------------------------------- ingest

    /// Written frames, as soon as enough have come, waited long enough, or are wanted. None when the store closes (after
    /// the last ones) or has failed.
    pub(crate) fn take_batches(&self) -> Option<VecDeque<Batch>> {
        let mut inner = self.lock();
        loop {
            if inner.failed.is_some() || (inner.writer_done && inner.batches.is_empty()) {
                return None;
            }
            if let Some(since) = inner.batched_since {
                let wait = self.limits.commit_interval.saturating_sub(since.elapsed());
                let wanted = inner.ingested.wanted() && inner.written.at >= inner.ingested.goal;
                let full = inner.batched >= self.limits.commit_bytes;
                if wait.is_zero() || wanted || full || inner.writer_done {
                    inner.batched = 0;
                    inner.batched_since = None;
                    return Some(std::mem::take(&mut inner.batches));
                }
                inner = self.sleep(Thread::Ingester, inner, Some(wait));
            } else {
                inner = self.sleep(Thread::Ingester, inner, None);
            }
        }
    }

    /// Everything before `position` is committed to the databases; `used` are buffers to use again.
    pub(crate) fn ingested(&self, position: u64, used: VecDeque<Batch>) {
        let mut inner = self.lock();
        inner.ingested.at = position;
        let told = inner.ingested.waiters.reached(position);
        let reusable = |batch: &Batch| batch.bytes.capacity() <= KEEP_CAPACITY;
        if inner.spare.capacity() == 0
            && let Some(mut batch) = used.into_iter().find(reusable)
        {
            batch.bytes.clear();
            inner.spare = batch.bytes;
        }
        self.wake(&mut inner, Thread::Writer);
        if inner.durable.wanted() {
            self.wake(&mut inner, Thread::Syncer);
        }
        drop(inner);
        tell(told);
    }

    // ----------------------------------------------------------------------- life cycle

    /// Ends the store's service: everybody is told `cause`, now and later. The first cause stays.
    pub(crate) fn fail(&self, cause: &str) {
        let mut inner = self.lock();
        if inner.failed.is_some() {
            return;
        }
        tracing::error!(cause, "the store has failed: nothing more is recorded until it is opened anew");
        let cause = RecordError(cause.to_owned());
        inner.failed = Some(cause.clone());
        self.ended.store(true, Ordering::Release);
        let goals = [Goal::Written, Goal::Durable, Goal::Ingested];
        let all = goals.map(|goal| inner.progress(goal).waiters.reached(u64::MAX));
        drop(inner);
        self.wake_all();
        for waiter in all.into_iter().flatten() {
            // Whoever went away needs no answer.
            let _gone = waiter.send(Err(cause.clone()));
        }
    }

    /// Takes nothing more; what was taken goes its way.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.ended.store(true, Ordering::Release);
        self.wake_all();
    }

    /// How far everything is.
    pub(crate) fn status(&self) -> Status {
        let inner = self.lock();
        Status {
            failed: inner.failed.as_ref().map(|error| error.0.clone()),
            control_failed: None,
            appended: inner.appended,
            written: inner.written.at,
            durable: inner.durable.at,
            ingested: inner.ingested.at,
        }
    }

    /// Wakes a thread, if it sleeps.
    fn wake(&self, inner: &mut Inner, thread: Thread) {
        if std::mem::take(inner.asleep.of(thread)) {
            self.bell(thread).notify_one();
        }
    }

    /// The ingester that waits for its time, and for nobody who wants anything, sleeps on.
    fn wake_ingester(&self, inner: &mut Inner) {
        let begun = inner.batches.len() == 1;
        let full = inner.batched >= self.limits.commit_bytes;
        if begun || full || inner.ingested.wanted() || inner.writer_done {
            self.wake(inner, Thread::Ingester);
        }
    }

    /// Gives the lock away until somebody wakes `thread`, or `wait` is over.
    fn sleep<'a>(
        &self,
        thread: Thread,
        mut inner: MutexGuard<'a, Inner>,
        wait: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        *inner.asleep.of(thread) = true;
        let bell = self.bell(thread);
        let mut inner = match wait {
            Some(wait) => bell.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0,
            None => bell.wait(inner).unwrap_or_else(PoisonError::into_inner),
        };
        *inner.asleep.of(thread) = false;
        inner
    }

    fn bell(&self, thread: Thread) -> &Condvar {
        match thread {
            Thread::Writer => &self.writer,
            Thread::Syncer => &self.syncer,
            Thread::Ingester => &self.ingester,
        }
    }

    fn wake_all(&self) {
        self.writer.notify_all();
        self.syncer.notify_all();
        self.ingester.notify_all();
    }
}

impl Inner {
    fn usable(&self) -> Result<(), RecordError> {
        match &self.failed {
            Some(cause) => Err(cause.clone()),
            None if self.closing => Err(RecordError("the store was closed".to_owned())),
            None => Ok(()),
        }
    }

    /// Whether the syncer is to be woken for those who wait for it, and so many more.
    fn wants_sync(&self, more: usize) -> bool {
        !self.syncing || self.durable.waiters.0.len() + more >= self.enough
    }

    fn progress(&mut self, goal: Goal) -> &mut Progress {
        match goal {
            Goal::Written => &mut self.written,
            Goal::Durable => &mut self.durable,
            Goal::Ingested => &mut self.ingested,
        }
    }

    /// Takes the buffer and leaves an empty one. A mark goes with it when more has become durable since the last one:
    /// after a crash it tells damage from a tail that was never acknowledged.
    fn swap(&mut self) -> Batch {
        if self.durable.at > self.marked {
            let before = self.buffer.len();
            frame::write_mark(&mut self.buffer, self.durable.at);
            self.appended += (self.buffer.len() - before) as u64;
            self.marked = self.durable.at;
        }
        let spare = std::mem::take(&mut self.spare);
        let bytes = std::mem::replace(&mut self.buffer, spare);
        self.unsynced.extend(self.since.take().map(|since| (self.appended, since)));
        Batch { start: self.appended - bytes.len() as u64, bytes }
    }

    fn advance_durable(&mut self, position: u64) -> Vec<oneshot::Sender<Told>> {
        self.durable.at = self.durable.at.max(position);
        while self.unsynced.front().is_some_and(|(end, _)| *end <= self.durable.at) {
            self.unsynced.pop_front();
        }
        self.durable.waiters.reached(self.durable.at)
    }
}
