//! The store: opened, joined, closed.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use aws_lc_rs::hmac;
use serde::Serialize;

use crate::{
    Damage, Durability, Limits, Recovery, StoreConfig, StoreError,
    ahead::Ahead,
    control::Control,
    fill::Fill,
    folder::{self, Folder, JOURNAL},
    index::{self, Index, Meta},
    ingest::{self, Ingest},
    journal::Journal,
    medium::{Disk, Medium},
    numbered,
    progress::Goal,
    queue::Queue,
    recover,
    segments::{self, Segments},
    writer,
};

/// The store, open. Dropped, it closes as [`Store::close`] does, without telling what went wrong.
pub struct Store {
    limits: Limits,
    recovery: Recovery,
    run: u64,
    next_event: AtomicU64,
    sink: Sink,
    threads: Mutex<Vec<JoinHandle<()>>>,
    control: Control,
    segments: Arc<Segments>,
    index: Arc<Index>,
    /// The lock goes last.
    folder: Folder,
}

/// Where entries go.
pub(crate) enum Sink {
    /// To the disk.
    Queue(Arc<Queue>),
    /// Nowhere: durability `off`.
    Nowhere,
    /// The store is open for reading only: an error.
    Closed,
}

/// How far a store is. Positions count bytes of entries since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Why nothing more is recorded; none while all is well.
    pub failed: Option<String>,
    /// Why no token and no revocation is kept; none while all is well.
    pub control_failed: Option<String>,
    /// Taken from the path.
    pub appended: u64,
    /// In the operating system's hands.
    pub written: u64,
    /// On the disk.
    pub durable: u64,
    /// Readable.
    pub ingested: u64,
}

impl Store {
    /// Opens the store for recording and reading; takes over what the last process left. Blocks.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it; others when files can't be made, read or understood.
    pub fn open(config: &StoreConfig) -> Result<Arc<Self>, StoreError> {
        Self::open_on(config, Arc::new(Disk))
    }

    /// Opens the store for reading, when no host has it open. What a host that died left is taken over first. Blocks.
    ///
    /// # Errors
    /// As [`Store::open`]; also when there is no store, or it is another user's, whose host could not open what is made here.
    pub fn open_read_only(path: &Path) -> Result<Arc<Self>, StoreError> {
        if !path.join(JOURNAL).is_dir() {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no store");
            return Err(StoreError::io("open", path)(missing));
        }
        folder::is_own(path)?;
        let (mut store, ..) = Self::prepare(Folder::open_to_read(path)?, Limits::default())?;
        // One past the last run: everything that is still open was interrupted.
        store.run += 1;
        Ok(Arc::new(store))
    }

    pub(crate) fn open_on(config: &StoreConfig, medium: Arc<dyn Medium>) -> Result<Arc<Self>, StoreError> {
        let (mut store, mut ingest, position) = Self::prepare(Folder::open(&config.path)?, config.limits)?;
        store.index.newest()?.into_iter().for_each(model::id::go_on_behind);
        ingest.begin_run()?;
        store.run = ingest.meta().run;
        match config.durability {
            Durability::Off => store.sink = Sink::Nowhere,
            durability => store.start(durability, ingest, position, Arc::clone(&medium))?,
        }
        store.control.start(medium)?;
        store.segments.keep_known()?;
        Ok(Arc::new(store))
    }

    /// Everything but the threads.
    fn prepare(folder: Folder, limits: Limits) -> Result<(Self, Ingest, u64), StoreError> {
        if !segments::are_begun(&folder.path)? {
            Control::make_first(&folder.control())?;
        }
        let (segments, fill) = Segments::open(&folder.path, limits)?;
        let segments = Arc::new(segments);
        let (index, meta, known, lost) = whole_index(&folder, &segments, limits, fill)?;
        if meta.ingested > fill.ingested {
            return Err(newest_is_lost(&folder.path, fill, meta));
        }
        let index = Arc::new(index);
        let mut ingest = Ingest::new(Arc::clone(&segments), Arc::clone(&index), limits, fill, meta)?;
        // Before anything is written: it may have the room that recovery needs.
        Ahead::remove(&folder.journal())?;
        let (mut recovery, position) = recover::recover(&folder.journal(), &mut ingest, known)?;
        recover::tell(&[], &lost);
        recovery.damaged.extend(lost);
        let meta = ingest.meta();
        let store = Self {
            limits,
            recovery,
            run: meta.run,
            next_event: AtomicU64::new(meta.next_event),
            sink: Sink::Closed,
            threads: Mutex::default(),
            control: Control::reading(folder.control(), Arc::clone(&segments.known().control)),
            segments,
            index,
            folder,
        };
        Ok((store, ingest, position))
    }

    fn start(
        &mut self,
        durability: Durability,
        ingest: Ingest,
        position: u64,
        medium: Arc<dyn Medium>,
    ) -> Result<(), StoreError> {
        let folder = self.folder.journal();
        let known = self.segments.known().clone();
        let journal = Journal::begin(&folder, medium, known, self.limits.journal_bytes, position)?;
        let queue = Arc::new(Queue::new(durability, self.limits, position, journal.file()));
        self.sink = Sink::Queue(Arc::clone(&queue));
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        let journal = Arc::new(Mutex::new(journal));
        let written = Arc::clone(&journal);
        threads.push(writer::spawn("writer", &queue, move |queue| writer::write(queue, &written))?);
        threads.push(writer::spawn("syncer", &queue, move |queue| writer::sync(queue, &journal))?);
        threads.push(writer::spawn("ingest", &queue, move |queue| {
            ingest::run(queue, ingest, &folder);
        })?);
        Ok(())
    }

    /// What was found when the store was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// How far it is, and whether it has failed.
    #[must_use]
    pub fn status(&self) -> Status {
        let record = match &self.sink {
            Sink::Queue(queue) => queue.status(),
            Sink::Nowhere | Sink::Closed => Status::default(),
        };
        Status { control_failed: self.control.failed(), ..record }
    }

    /// Ready when everything recorded so far can be read.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the store has failed; [`StoreError::Late`] when it is too slow for `keep_deadline`, or closes.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let Sink::Queue(queue) = &self.sink else { return Ok(()) };
        let late = match queue.reach(Goal::Ingested, queue.appended()).await {
            Ok(()) => return Ok(()),
            Err(error) => StoreError::Late(error.0),
        };
        Err(queue.status().failed.map_or(late, StoreError::Failed))
    }

    /// Takes nothing more, brings everything taken into the databases, and ends the threads. Takes as long as the disk
    /// does: put a deadline around it where that matters; the journal has what was acknowledged in any case.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the store has failed, before or while closing: what is in the journal then is taken
    /// over by the next one who opens the store.
    pub async fn close(self: &Arc<Self>) -> Result<(), StoreError> {
        let store = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || store.finish()).await;
        closed.map_err(|error| StoreError::Failed(error.to_string()))?
    }

    /// As [`Store::close`]; blocks. Does nothing the second time.
    fn finish(&self) -> Result<(), StoreError> {
        self.control.close();
        let queue = match &self.sink {
            Sink::Queue(queue) => queue,
            // Nothing else is committed there.
            Sink::Nowhere => return self.segments.keep_known(),
            Sink::Closed => return Ok(()),
        };
        queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let none = threads.is_empty();
        for thread in threads.drain(..) {
            // A panic of it has failed the queue.
            let _panicked = thread.join();
        }
        if let Some(cause) = queue.status().failed {
            return Err(StoreError::Failed(cause));
        }
        if none {
            return Ok(());
        }
        // Before the files go: one that is missing is told otherwise.
        self.segments.journal_ends()?;
        for (_, path) in numbered::JOURNAL.files(&self.folder.journal())? {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn next_event(&self) -> &AtomicU64 {
        &self.next_event
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Whether it has the key of the hashes of masked values; one that was opened for reading only need not.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.folder.key.is_some()
    }

    pub(crate) fn key(&self) -> Option<&hmac::Key> {
        self.folder.key.as_ref()
    }

    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }
}

/// Nobody but who knows the store can tell whether the newest segment is gone for good.
fn newest_is_lost(folder: &Path, fill: Fill, meta: Meta) -> StoreError {
    let what = format!(
        "the newest segment ends at {}, the index at {}: a segment is missing, or an older copy is in its place. Restore it; if it \
         is lost, remove {}, which is made again from what is there, without what is lost",
        fill.ingested,
        meta.ingested,
        index::FILE
    );
    StoreError::Corrupt { file: folder.to_owned(), exchange: None, entry: None, what }
}

/// The index, with all that the segments have, but for what the journal has too and is shown it again; the position from which on
/// the journal was not looked at yet; and what is found to be lost. One that is missing or empty, or of an older format, or
/// older than the segments, is made again: what it lacks would vanish, and numbers of events would be given out twice.
fn whole_index(
    folder: &Folder,
    segments: &Arc<Segments>,
    limits: Limits,
    fill: Fill,
) -> Result<(Index, Meta, u64, Vec<Damage>), StoreError> {
    let file = folder.path.join(index::FILE);
    let mut known = fill.ingested;
    if !index::is_missing(&file)? && !Index::is_older(&file, limits.cache_bytes)? {
        let (index, meta) = Index::open(&file, limits.cache_bytes)?;
        known = meta.ingested;
        if known >= fill.ingested || recover::covers(&folder.journal(), known, fill.ingested)? {
            return Ok((index, meta, known, segments.left_out()?));
        }
    }
    let lost = make_index(&file, segments, limits, fill)?;
    let (index, meta) = Index::open(&file, limits.cache_bytes)?;
    Ok((index, meta, known, lost))
}

/// Makes the index aside and renames it, so that one with its proper name is always whole. Where the old one was lost,
/// or removed because it was damaged, everything in it comes back from the segments.
fn make_index(file: &Path, segments: &Arc<Segments>, limits: Limits, fill: Fill) -> Result<Vec<Damage>, StoreError> {
    let aside = file.with_extension("new");
    if aside.exists() {
        fs::remove_file(&aside).map_err(StoreError::io("remove", &aside))?;
    }
    if fill.ingested > 0 {
        tracing::warn!("there is no index, or an old one: it is made again from the segments");
    }
    let (index, meta) = Index::open(&aside, limits.cache_bytes)?;
    let mut lost = Ingest::new(Arc::clone(segments), Arc::new(index), limits, fill, meta)?.rebuild()?;
    // What is left agrees with itself: nobody else finds it.
    lost.extend(segments.gaps()?);
    fs::rename(&aside, file).map_err(StoreError::io("rename", &aside))?;
    file.parent().map_or(Ok(()), folder::sync)?;
    Ok(lost)
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!(%error, events = self.next_event.load(Ordering::Relaxed), "the store was not closed in order");
        }
    }
}
