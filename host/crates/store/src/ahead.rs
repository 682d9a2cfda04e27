//! The next journal file, made while the one before is written: room that is zeros on the disk.
//!
//! Where room is only reserved, the first write to a block also changes what the file system notes of the file, and a sync has
//! to bring that to the disk too: with zeros it takes a third of the time (decision 0020). What must hold: the file has no
//! journal's name before it is one; what goes wrong here fails nothing, since a journal can do without it; and its writing
//! leaves the disk to others for half of the time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use crate::{
    StoreError, folder,
    medium::{JournalFile, Medium},
    room,
};

/// Its name until it has a journal's.
const NAME: &str = "ahead";
/// Bytes that are written and synced at a time: what somebody else's sync may have to wait for.
const STEP: usize = 1 << 20;

/// A file that is being made, or is there. Dropped, it is removed, unless it was taken.
pub(crate) struct Ahead {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Nobody wants it any more.
    stop: AtomicBool,
    made: OnceLock<Arc<dyn JournalFile>>,
}

impl Ahead {
    /// Begins to make a file of `bytes` in `folder`.
    pub(crate) fn begin(folder: &Path, medium: Arc<dyn Medium>, bytes: u64) -> Self {
        let (path, shared) = (Self::path(folder), Arc::<Shared>::default());
        let (name, told) = (path.clone(), Arc::clone(&shared));
        let body = move || match make(&name, medium.as_ref(), bytes, &told.stop) {
            Ok(Some(file)) => {
                // It is set once, here.
                let _first = told.made.set(file);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "no journal file is made ahead: syncs take longer");
                // Others need the room that it took.
                discard(&name);
            }
        };
        let thread = thread::Builder::new().name("store-ahead".to_owned()).spawn(body);
        let thread =
            thread.inspect_err(|error| tracing::warn!(%error, "no journal file is made ahead: no thread")).ok();
        Self { path, shared, thread }
    }

    /// Whether it is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.shared.made.get().is_some()
    }

    /// The file, with a journal's name and header; none when it is not there, or can't have them.
    pub(crate) fn take(self, path: &Path, header: &[u8]) -> Option<Arc<dyn JournalFile>> {
        let file = self.shared.made.get()?;
        let named = (|| {
            file.append(header)?;
            file.sync()?;
            if path.try_exists()? { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(&self.path, path) }
        })();
        match named {
            Ok(()) => Some(Arc::clone(file)),
            Err(error) => {
                tracing::warn!(%error, "the journal file that was made ahead is of no use");
                None
            }
        }
    }

    /// Where it is while it is made.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    /// Removes what a process that died had made.
    pub(crate) fn remove(folder: &Path) -> Result<(), StoreError> {
        folder::remove(&Self::path(folder))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of it has been told, and has made nothing.
            let _panicked = thread.join();
        }
        // One that was taken has another name.
        discard(&self.path);
    }
}

fn discard(path: &Path) {
    if let Err(error) = folder::remove(path) {
        tracing::warn!(%error, "a journal file that was made ahead stays");
    }
}

/// Whether a file of `bytes` leaves as much again for the databases, and saves anything.
fn is_worth_it(folder: &Path, bytes: u64) -> io::Result<bool> {
    let folder = fs::File::open(folder)?;
    Ok(room::free(&folder)? >= bytes.saturating_mul(2) && room::stays(&folder)?)
}

/// None when it was stopped, or is not worth it.
fn make(path: &Path, medium: &dyn Medium, bytes: u64, stop: &AtomicBool) -> io::Result<Option<Arc<dyn JournalFile>>> {
    if !is_worth_it(path.parent().unwrap_or(path), bytes)? {
        return Ok(None);
    }
    let file = medium.create(path, bytes)?;
    let zeros = vec![0; STEP];
    let mut at = 0;
    while at < bytes {
        if stop.load(Ordering::Acquire) {
            return Ok(None);
        }
        let begun = Instant::now();
        let left = usize::try_from(bytes - at).unwrap_or(STEP);
        let step = &zeros[..left.min(STEP)];
        file.zero(at, step)?;
        file.sync()?;
        at += step.len() as u64;
        thread::park_timeout(begun.elapsed());
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use rustix::fs::SeekFrom;
    use tempfile::tempdir;

    use super::*;
    use crate::medium::Disk;

    /// Waits until it is there, or its thread has ended without.
    fn end(ahead: &Ahead) {
        let thread = ahead.thread.as_ref().unwrap();
        while !thread.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_file_made_ahead_is_all_zeros_and_takes_what_is_appended_at_its_beginning() {
        let folder = tempdir().unwrap();
        let bytes = 2 * STEP as u64 + 100;
        let ahead = Ahead::begin(folder.path(), Arc::new(Disk), bytes);
        end(&ahead);
        assert!(ahead.is_ready());
        // Room that is only reserved is a hole for who asks.
        let made = File::open(folder.path().join(NAME)).unwrap();
        assert_eq!(rustix::fs::seek(&made, SeekFrom::Hole(0)).unwrap(), bytes);
        let path = folder.path().join("log");
        let file = ahead.take(&path, b"head").unwrap();
        file.append(b"frame").unwrap();
        file.sync().unwrap();
        file.still_there().unwrap();
        let mut expected = b"headframe".to_vec();
        expected.resize(usize::try_from(bytes).unwrap(), 0);
        assert_eq!(fs::read(&path).unwrap(), expected);
        assert!(!folder.path().join(NAME).exists());
    }

    #[test]
    fn one_that_nobody_took_goes_and_one_that_has_a_name_already_is_not_written_over() {
        let folder = tempdir().unwrap();
        let name = folder.path().join(NAME);
        let dropped = Ahead::begin(folder.path(), Arc::new(Disk), 64 << 20);
        while !name.exists() {
            thread::yield_now();
        }
        drop(dropped);
        assert!(!name.exists());
        let path = folder.path().join("log");
        fs::write(&path, "evidence").unwrap();
        let ahead = Ahead::begin(folder.path(), Arc::new(Disk), 10);
        end(&ahead);
        assert!(ahead.take(&path, b"head").is_none());
        assert_eq!(fs::read(&path).unwrap(), b"evidence");
        assert!(!name.exists());
    }

    #[test]
    fn a_file_that_would_leave_too_little_room_is_not_made() {
        let folder = tempdir().unwrap();
        assert!(is_worth_it(folder.path(), 1).unwrap());
        let ahead = Ahead::begin(folder.path(), Arc::new(Disk), u64::MAX / 2);
        end(&ahead);
        assert!(!ahead.is_ready() && !folder.path().join(NAME).exists());
    }

    #[test]
    fn what_is_in_its_place_is_no_obstacle_for_the_journal() {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(NAME), "of a process that died").unwrap();
        let ahead = Ahead::begin(folder.path(), Arc::new(Disk), 10);
        end(&ahead);
        // What is of no use takes no room either.
        assert!(!ahead.is_ready() && !folder.path().join(NAME).exists());
    }
}
