//! The two threads that bring the queue to the disk. The syncer writes what it syncs; the writer writes what nobody wants
//! synced, so that who waits for `Written` never waits for a sync.
//!
//! What must hold: what the queue gave out is in the file, in order, before more is taken: both threads write under the
//! journal's lock, and neither syncs under it, but where the journal goes on in a new file.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{StoreError, journal::Journal, medium::JournalFile, queue::Queue};

/// Writes until the queue closes or fails.
pub(crate) fn write(queue: &Queue, journal: &Mutex<Journal>) {
    let _alarm = Alarm { queue, thread: "writer" };
    while queue.wait_to_write() {
        if let Err(error) = write_out(queue, journal) {
            return queue.fail(&error.to_string());
        }
    }
}

/// Syncs until the queue closes or fails. An error is final: after one the kernel may call lost pages clean, so that a
/// second sync would succeed and mean nothing.
pub(crate) fn sync(queue: &Queue, journal: &Mutex<Journal>) {
    let _alarm = Alarm { queue, thread: "syncer" };
    while queue.wait_for_sync() {
        if let Err(error) = write_out(queue, journal) {
            return queue.fail(&error.to_string());
        }
        let (file, position) = queue.written();
        match file.sync().and_then(|()| still_there(&file, journal)) {
            Ok(()) => queue.synced(position),
            Err(error) => return queue.fail(&format!("can't sync the journal: {error}")),
        }
    }
}

/// An error when somebody removed the file. The store itself removes one only when the journal goes on in another, and all of it
/// is in the databases.
fn still_there(file: &Arc<dyn JournalFile>, journal: &Mutex<Journal>) -> io::Result<()> {
    file.still_there().or_else(|removed| {
        let current = journal.lock().unwrap_or_else(PoisonError::into_inner).file();
        if Arc::ptr_eq(file, &current) { Err(removed) } else { Ok(()) }
    })
}

/// Writes what there is to write.
fn write_out(queue: &Queue, journal: &Mutex<Journal>) -> Result<(), StoreError> {
    // Whoever panicked here has failed the queue, which gives out nothing more.
    let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(batch) = queue.take_buffer() else {
        return Ok(());
    };
    if journal.full() {
        journal.rotate(batch.start)?;
        queue.rotated(journal.file());
    }
    journal.append(&batch.bytes)?;
    queue.wrote(batch);
    Ok(())
}

/// Fails the queue when its thread panics, so that nobody waits for a thread that is gone.
pub(crate) struct Alarm<'a> {
    /// The queue.
    pub(crate) queue: &'a Queue,
    /// The thread's name.
    pub(crate) thread: &'static str,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.fail(&format!("the {} panicked", self.thread));
        }
    }
}

/// Starts a named thread.
pub(crate) fn spawn(
    name: &'static str,
    queue: &Arc<Queue>,
    body: impl FnOnce(&Queue) + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StoreError> {
    let queue = Arc::clone(queue);
    std::thread::Builder::new()
        .name(format!("store-{name}"))
        .spawn(move || body(&queue))
        .map_err(StoreError::io("start a thread for", name))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use exchange::ports::{Recorder, Safety};
    use futures_util::FutureExt;

    use crate::{
        Store, StoreConfig,
        failing::{chunk, opened},
        store::Sink,
    };

    /// Waits for something that must happen.
    async fn until(what: &str, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happened() {
            assert!(Instant::now() < deadline, "waited for: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A deadline passed, or the caller hung up, right after the entries were handed over.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
        let Sink::Queue(queue) = store.sink() else { panic!("it records") };
        let mut tape = store.open(opened()).unwrap();
        tape.keep(Safety::Durable).await.unwrap();
        store.settle().await.unwrap();
        // Nothing else will wake it then.
        until("a writer that idles", || queue.writer_idles()).await;
        let before = store.status().written;
        tape.append(chunk(1)).unwrap();
        assert_eq!(tape.keep(Safety::Durable).now_or_never(), None, "it waits, and goes away");
        // The tape goes on and has not kept anything since.
        until("what was handed over", || store.status().written > before).await;
        let status = store.status();
        assert_eq!(status.written, status.appended);
        drop(tape);
    }
}
