//! The log of control events: tokens, revocations, decisions about access. Apart from the journal, because a revocation must
//! be kept when nothing else can be: a disk that is full stops the journal, not this.
//!
//! ```text
//!  append ─▶ channel ─▶ control thread ─▶ control/control-….log, synced ─▶ acknowledged
//!                             └ when its room ends: the living events into a new file, which takes its place
//! ```
//!
//! What must hold: an acknowledged event is on the disk; events that take access away find room on a full disk, in what the
//! others leave them (`CONTROL_RESERVE`); after an error of the disk nothing more is acknowledged; whatever the events are,
//! what is written anew grows no faster than what comes in, for revocations wait meanwhile.

mod file;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use exchange::ports::RecordError;
use model::{ControlEvent, control::living};
use tokio::sync::{mpsc, oneshot};

use self::file::{Contents, ControlFile};
use crate::{
    StoreError, anew, folder,
    medium::{Disk, Medium},
    segments,
};

/// Room that a file begins with beside what it takes over.
const ROOM: usize = 1 << 20;
/// Room that only events may use that take access away: more than a thousand of them.
const CONTROL_RESERVE: usize = 512 << 10;
/// Bytes of the smallest log.
pub(crate) const LEAST_BYTES: usize = ROOM + CONTROL_RESERVE;
/// Bytes of one event. A full reserve is many of them in any case.
const EVENT_BYTES: usize = 64 << 10;
/// Events that wait to be written; beyond, who brings one waits.
const WAITING: usize = 1024;
/// After a try to make room that failed, events that may be refused are refused at once for so long: a flood of them must
/// not keep revocations waiting.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Before a log is read a second time that may have been written to.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Room for the mark after the last event.
const MARK_BYTES: usize = crate::frame::LEAST;

/// What helps where the log has failed.
const WAY_OUT: &str =
    "the control log keeps nothing more until the host is restarted: restart it, then give the order again";

type Told = Result<(), RecordError>;
type Waiting = (ControlEvent, oneshot::Sender<Told>);

/// The log, open for writing or only for reading.
pub(crate) struct Control {
    folder: PathBuf,
    /// The events before this number were acknowledged; the segments keep it.
    known: Arc<AtomicU64>,
    /// Held while a file takes another's place, and while one is read.
    turning: Arc<Mutex<()>>,
    intake: Mutex<Option<mpsc::Sender<Waiting>>>,
    /// Why nothing more is kept.
    failed: Arc<OnceLock<RecordError>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Reads the control log of a store as a host does that starts, and changes nothing. A host may have it open, so what the
/// record knows of it is not asked. Blocks.
///
/// # Errors
/// [`StoreError`] when an acknowledged event can't be read: a revocation may be missing, so no host would start.
pub(crate) fn check_control_log(store: &Path) -> Result<(), StoreError> {
    let folder = folder::control_of(store);
    if !folder.exists() || (file::is_missing(&folder)? && !segments::are_begun(store)?) {
        return Ok(());
    }
    // A host that runs may take a file's place, or be in the middle of a write, while it is read.
    file::read(&folder, 0)
        .or_else(|_| {
            std::thread::sleep(LOOK_AGAIN);
            file::read(&folder, 0)
        })
        .map(drop)
}

impl Control {
    /// Makes the first log of a store in which nothing was ever recorded: from then on one that is missing was lost.
    pub(crate) fn make_first(folder: &Path) -> Result<(), StoreError> {
        if file::is_missing(folder)? { begin(folder, &Disk, 0, Vec::new()).map(drop) } else { Ok(()) }
    }

    /// For reading only. The events before number `known` were acknowledged.
    pub(crate) fn reading(folder: PathBuf, known: Arc<AtomicU64>) -> Self {
        let (turning, intake, failed, thread) = Default::default();
        Self { folder, known, turning, intake, failed, thread }
    }

    /// Opens the log: reads all of it, and goes on in a new file with what is still alive. Blocks.
    ///
    /// # Errors
    /// When an acknowledged event can't be read, or a file not be made.
    pub(crate) fn start(&mut self, medium: Arc<dyn Medium>) -> Result<(), StoreError> {
        let contents = self.read_to_begin()?;
        if contents.torn > 0 {
            tracing::warn!(bytes = contents.torn, "the end of the control log was never acknowledged, and is dropped");
        }
        let file = begin(&self.folder, medium.as_ref(), contents.next, contents.events)?;
        self.known.fetch_max(file.next(), Ordering::Relaxed);
        anew::done(&self.folder)?;
        let (intake, waiting) = mpsc::channel(WAITING);
        let writer = Writer {
            folder: self.folder.clone(),
            known: Arc::clone(&self.known),
            medium,
            file,
            turning: Arc::clone(&self.turning),
            failed: Arc::clone(&self.failed),
            full_since: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-control".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(StoreError::io("start the control thread of", &self.folder))?;
        *lock(&self.intake) = Some(intake);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    fn read(&self) -> Result<Contents, StoreError> {
        file::read(&self.folder, self.known.load(Ordering::Relaxed))
    }

    /// What a host begins with. Less than was acknowledged only where that is ordered; then as much as can be read.
    fn read_to_begin(&self) -> Result<Contents, StoreError> {
        let error = match self.read() {
            Err(error @ StoreError::Corrupt { .. }) if anew::is_ordered(&self.folder) => error,
            read => return read,
        };
        tracing::warn!(%error, "acknowledged control events are given up, as was ordered");
        let known = self.known.load(Ordering::Relaxed);
        match file::read(&self.folder, 0) {
            Ok(older) => Ok(Contents { next: older.next.max(known), ..older }),
            Err(_) => {
                file::put_aside(&self.folder)?;
                Ok(Contents { next: known, ..Contents::default() })
            }
        }
    }

    /// Every event that is still alive.
    pub(crate) fn replay(&self) -> Result<Vec<ControlEvent>, StoreError> {
        let _no_file_goes_meanwhile = lock(&self.turning);
        let contents = self.read()?;
        Ok(living(contents.events, now_ms()))
    }

    /// Ready when the event is on the disk.
    pub(crate) async fn append(&self, event: ControlEvent) -> Told {
        let intake = lock(&self.intake).clone().ok_or_else(closed)?;
        let (tell, told) = oneshot::channel();
        intake.send((event, tell)).await.map_err(|_| closed())?;
        told.await.map_err(|_| closed())?
    }

    /// Why nothing more is kept; none while all is well, and after it was closed.
    pub(crate) fn failed(&self) -> Option<String> {
        let panicked = || lock(&self.thread).as_ref().is_some_and(JoinHandle::is_finished);
        let cause = self.failed.get().map(|cause| cause.0.clone());
        cause.or_else(|| panicked().then(|| format!("the control thread panicked; {WAY_OUT}")))
    }

    /// Takes nothing more; what was taken is written. Blocks.
    pub(crate) fn close(&self) {
        lock(&self.intake).take();
        if let Some(thread) = lock(&self.thread).take() {
            // Those who wait for a thread that panicked were told that the log is closed.
            let _panicked = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> RecordError {
    RecordError("the control log is closed".to_owned())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A file with those of `events` that are alive.
fn begin(folder: &Path, medium: &dyn Medium, next: u64, events: Vec<ControlEvent>) -> Result<ControlFile, StoreError> {
    ControlFile::make(folder, medium, next, &living(events, now_ms()))
}

/// The control thread.
struct Writer {
    folder: PathBuf,
    known: Arc<AtomicU64>,
    medium: Arc<dyn Medium>,
    file: ControlFile,
    turning: Arc<Mutex<()>>,
    failed: Arc<OnceLock<RecordError>>,
    /// The last try to go on in a new file failed then.
    full_since: Option<Instant>,
}

impl Writer {
    /// Writes until nobody can bring an event any more.
    fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut group = Vec::new();
        while waiting.blocking_recv_many(&mut group, WAITING) > 0 {
            // First what takes access away: it needs no new file, and must not wait for one.
            let (essential, others): (Vec<_>, Vec<_>) = group.drain(..).partition(|(event, _)| event.is_essential());
            for group in [essential, others] {
                if !group.is_empty() {
                    self.keep(group);
                }
            }
        }
    }

    /// Keeps a group of events with one sync, and tells those who wait for it.
    fn keep(&mut self, group: Vec<Waiting>) {
        let mut frames = Vec::new();
        let mut taken = Vec::new();
        for (event, tell) in group {
            let before = frames.len();
            let number = self.file.next() + taken.len() as u64;
            match self.fit(&mut frames, number, &event, taken.is_empty()) {
                Ok(()) => taken.push(tell),
                Err(Unfit::Refused(error)) => {
                    frames.truncate(before);
                    answer(tell, Err(error));
                }
                Err(Unfit::Later) => {
                    frames.truncate(before);
                    self.write(&std::mem::take(&mut frames), std::mem::take(&mut taken));
                    self.keep(vec![(event, tell)]);
                }
            }
        }
        self.write(&frames, taken);
    }

    /// Puts an event's frame behind those that will be written with it, if there is room; makes room if it is the first.
    fn fit(&mut self, frames: &mut Vec<u8>, number: u64, event: &ControlEvent, first: bool) -> Result<(), Unfit> {
        if let Some(failed) = self.failed.get() {
            return Err(Unfit::Refused(failed.clone()));
        }
        let before = frames.len();
        file::write(frames, number, event).map_err(|error| Unfit::refused(&error))?;
        let length = frames.len() - before;
        if length > EVENT_BYTES {
            return Err(Unfit::refused(&format!("the event has {length} bytes; the log takes {EVENT_BYTES}")));
        }
        let kept_back = if event.is_essential() { MARK_BYTES } else { MARK_BYTES + CONTROL_RESERVE };
        if frames.len() + kept_back <= self.file.room() {
            return Ok(());
        }
        if !first {
            return Err(Unfit::Later);
        }
        if !event.is_essential() && self.full_since.is_some_and(|since| since.elapsed() < FULL_PAUSE) {
            return Err(Unfit::refused(&"the disk is full: what is left is for revocations and denials"));
        }
        self.turn().map_err(|error| Unfit::refused(&error))?;
        frames.clear();
        file::write(frames, self.file.next(), event).map_err(|error| Unfit::refused(&error))
    }

    /// Goes on in a new file.
    fn turn(&mut self) -> Result<(), StoreError> {
        let turning = Arc::clone(&self.turning);
        let _nobody_reads_meanwhile = lock(&turning);
        let contents = file::read(&self.folder, self.file.next())?;
        let begun = begin(&self.folder, self.medium.as_ref(), self.file.next(), contents.events);
        match begun {
            Ok(file) => {
                (self.file, self.full_since) = (file, None);
                Ok(())
            }
            Err(error) => {
                self.full_since = Some(Instant::now());
                // The new file may have taken the old one's place already: what is appended to the old one would be lost.
                if !file::is_newest(&self.folder, &self.file.path) {
                    self.fail(&io::Error::other(error.to_string()));
                }
                Err(error)
            }
        }
    }

    fn write(&mut self, frames: &[u8], waiting: Vec<oneshot::Sender<Told>>) {
        if waiting.is_empty() {
            return;
        }
        let told = match self.file.append(frames, waiting.len() as u64) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(&error)),
        };
        if told.is_ok() {
            self.known.fetch_max(self.file.next(), Ordering::Relaxed);
        }
        for tell in waiting {
            answer(tell, told.clone());
        }
        if told.is_ok()
            && let Err(error) = self.file.attest()
        {
            self.fail(&error);
        }
    }

    /// Ends the log's service. What an error left in the file is not known, and what a second sync says means nothing.
    fn fail(&mut self, error: &io::Error) -> RecordError {
        let cause = RecordError(format!("can't write {}: {error}; {WAY_OUT}", self.file.path.display()));
        tracing::error!(%cause, "the control log has failed: no token is issued and no revocation is kept");
        self.failed.get_or_init(|| cause).clone()
    }
}

/// Why an event is not written with those before it.
enum Unfit {
    /// Never.
    Refused(RecordError),
    /// Those before it must be written first.
    Later,
}

impl Unfit {
    fn refused(error: &dyn std::fmt::Display) -> Self {
        Self::Refused(RecordError(error.to_string()))
    }
}

fn answer(tell: oneshot::Sender<Told>, told: Told) {
    // Whoever went away needs no answer.
    let _gone = tell.send(told);
}

#[cfg(test)]
mod tests;
