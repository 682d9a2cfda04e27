//! Tests on a disk that fails: full, broken, stuck.

use std::{
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use exchange::ports::{ControlLog, Recorder, Safety, Tape};
use model::{
    Caller, ControlEvent, Digest, Entry, Event, ExchangeId, Generation, Scope, SessionId, Target, TokenId,
    control::{Revoked, TokenIssued},
    record::{Chunk, Opened, SetRef},
};
use tempfile::tempdir;

use crate::{
    Durability, Limits, State, Store, StoreConfig, StoreError,
    medium::{Disk, JournalFile, Medium},
};

/// What the disk still does.
#[derive(Default)]
struct Faults {
    /// Bytes it still takes; none: all.
    room: Option<usize>,
    /// No block is free: files have what was made ahead for them, and no new one can be made.
    full: bool,
    /// Syncs that still succeed; none: all.
    syncs: Option<usize>,
    /// Calls to sync so far.
    synced: usize,
    /// Syncs wait while this is set.
    stuck: bool,
    /// Writes wait while this is set.
    stuck_writes: bool,
    /// Zeros can't be written.
    no_zeros: bool,
    /// Files that were made.
    made: usize,
}

#[derive(Clone, Default)]
struct BadDisk(Arc<(Mutex<Faults>, Condvar)>);

impl BadDisk {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn synced(&self) -> usize {
        self.0.0.lock().unwrap().synced
    }
}

impl Medium for BadDisk {
    fn create(&self, path: &Path, room: u64) -> io::Result<Arc<dyn JournalFile>> {
        let mut faults = self.0.0.lock().unwrap();
        if faults.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        faults.made += 1;
        drop(faults);
        let ahead = Mutex::new(usize::try_from(room).unwrap());
        Ok(Arc::new(BadFile { disk: self.clone(), file: Disk.create(path, room)?, ahead }))
    }
}

struct BadFile {
    disk: BadDisk,
    file: Arc<dyn JournalFile>,
    /// Bytes that were made ahead and are not used yet.
    ahead: Mutex<usize>,
}

impl JournalFile for BadFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (faults, changed) = &*self.disk.0;
        let mut faults = changed.wait_while(faults.lock().unwrap(), |faults| faults.stuck_writes).unwrap();
        let mut ahead = self.ahead.lock().unwrap();
        if faults.full && bytes.len() > *ahead {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *ahead = ahead.saturating_sub(bytes.len());
        let Some(room) = faults.room else {
            return self.file.append(bytes);
        };
        let fits = room.min(bytes.len());
        faults.room = Some(room - fits);
        // As a full disk does: some of the bytes go in.
        self.file.append(&bytes[..fits])?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn zero(&self, from: u64, zeros: &[u8]) -> io::Result<()> {
        if self.disk.0.0.lock().unwrap().no_zeros {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.zero(from, zeros)
    }

    fn sync(&self) -> io::Result<()> {
        let (faults, changed) = &*self.disk.0;
        let mut faults = changed.wait_while(faults.lock().unwrap(), |faults| faults.stuck).unwrap();
        faults.synced += 1;
        match &mut faults.syncs {
            Some(0) => {
                // The next one would succeed, as on Linux; nobody may believe it.
                faults.syncs = None;
                Err(io::Error::other("input/output error"))
            }
            Some(left) => {
                *left -= 1;
                self.file.sync()
            }
            None => self.file.sync(),
        }
    }

    fn still_there(&self) -> io::Result<()> {
        self.file.still_there()
    }
}

fn config(folder: &Path, limits: Limits) -> StoreConfig {
    StoreConfig { limits, ..StoreConfig::new(folder) }
}

pub(crate) fn opened() -> Opened {
    Opened {
        exchange: ExchangeId::new(),
        session: SessionId::new(),
        at_ms: 1,
        caller: Caller::default().into(),
        connection: "c".into(),
        dialect: "raw".into(),
        method: "POST".into(),
        path: "/".into(),
        headers: vec![],
        set: SetRef { generation: Generation(1), digest: Digest([0; 32]) },
    }
}

/// Bytes that can't be squeezed.
pub(crate) fn chunk(length: usize) -> Entry {
    let noise = (0_u64..).flat_map(|block| *blake3::hash(&block.to_le_bytes()).as_bytes());
    Entry::Chunk(Chunk { at: 1, data: noise.take(length).collect() })
}

/// Every way to record fails, with `cause`.
async fn all_fail(store: &Store, tape: &mut dyn Tape, cause: &str) {
    let refused = [
        tape.append(chunk(1)).unwrap_err(),
        tape.keep(Safety::Written).await.unwrap_err(),
        tape.keep(Safety::Durable).await.unwrap_err(),
        store.open(opened()).err().unwrap(),
        store.event(Event::Stopped { at_ms: 1 }).await.unwrap_err(),
    ];
    for error in refused {
        assert!(error.0.contains(cause), "{error}");
    }
    assert!(store.status().failed.unwrap().contains(cause));
    assert!(store.settle().await.is_err());
}

#[tokio::test]
async fn a_full_disk_fails_the_store_and_keeps_what_was_acknowledged() {
    for room in [0, 1, 63, 64, 200, 1000, 5000] {
        let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
        let store = Store::open_on(&config(folder.path(), Limits::default()), Arc::new(disk.clone())).unwrap();
        disk.set(|faults| faults.room = Some(room));
        let first = opened();
        let exchange = first.exchange;
        let mut tape = store.open(first).unwrap();
        let mut acknowledged = 0;
        while tape.append(chunk(100)).is_ok() && tape.keep(Safety::Durable).await.is_ok() {
            acknowledged += 1;
        }
        all_fail(&store, tape.as_mut(), "can't write the journal").await;
        assert!(store.close().await.is_err());
        drop((tape, store));

        let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
        assert!(store.recovery().damaged.is_empty(), "{:?}", store.recovery());
        match store.exchange(exchange) {
            Ok(record) => {
                assert!(record.entries.len() > acknowledged, "room {room}");
                assert_eq!(record.summary.state, State::Interrupted);
            }
            Err(_) => assert_eq!(acknowledged, 0, "room {room}"),
        }
    }
}

#[tokio::test]
async fn a_sync_that_failed_is_never_tried_again() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let store = Store::open_on(&StoreConfig::new(folder.path()), Arc::new(disk.clone())).unwrap();
    let mut tape = store.open(opened()).unwrap();
    tape.keep(Safety::Durable).await.unwrap();
    disk.set(|faults| faults.syncs = Some(0));
    tape.append(chunk(10)).unwrap();
    assert!(tape.keep(Safety::Durable).await.unwrap_err().0.contains("can't sync the journal"));
    let calls = disk.synced();
    all_fail(&store, tape.as_mut(), "can't sync the journal").await;
    assert!(store.close().await.is_err());
    assert_eq!(disk.synced(), calls, "one failed, and nobody asked again");
}

/// The journal, the control log, the segment: each alone, and all that there is.
#[tokio::test]
async fn what_was_removed_under_the_store_takes_nothing_more() {
    for gone in ["journal", "control", "segment-000001.redb", ""] {
        let folder = tempdir().unwrap();
        let path = folder.path().join("store");
        let store = Store::open(&StoreConfig::new(&path)).unwrap();
        let mut tape = store.open(opened()).unwrap();
        tape.keep(Safety::Durable).await.unwrap();
        store.append(revoked(1)).await.unwrap();
        store.settle().await.unwrap();
        let gone_path = path.join(gone);
        if gone_path.is_dir() {
            std::fs::remove_dir_all(&gone_path).unwrap();
        } else {
            std::fs::remove_file(&gone_path).unwrap();
        }
        if matches!(gone, "control" | "") {
            for subject in 2..4 {
                let refused = store.append(revoked(subject)).await.unwrap_err();
                assert!(refused.0.contains("somebody removed it"), "{gone}: {refused}");
            }
        }
        if matches!(gone, "journal" | "") {
            tape.append(chunk(10)).unwrap();
            tape.keep(Safety::Durable).await.unwrap_err();
            all_fail(&store, tape.as_mut(), "somebody removed it").await;
        }
        if gone.starts_with("segment") {
            tape.append(chunk(10)).unwrap();
            // The journal has it all the same.
            tape.keep(Safety::Durable).await.unwrap();
            assert!(store.settle().await.is_err());
            all_fail(&store, tape.as_mut(), "somebody removed it").await;
        }
    }
}

/// The newest journal file: its name, and whether all of it is on the disk, where room that is only reserved is not.
fn newest(journal: &Path) -> (std::path::PathBuf, bool) {
    let files = crate::numbered::JOURNAL.files(journal).unwrap();
    let (_, path) = files.last().unwrap();
    let file = std::fs::File::open(path).unwrap();
    let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap();
    (path.clone(), hole == file.metadata().unwrap().len())
}

/// Records two megabytes.
async fn much(store: &Store) {
    for _ in 0..100 {
        let mut tape = store.open(opened()).unwrap();
        tape.append(chunk(20_000)).unwrap();
        tape.keep(Safety::Durable).await.unwrap();
    }
}

#[tokio::test]
async fn a_journal_goes_on_in_zeros_as_soon_as_there_are_some_and_does_without() {
    for no_zeros in [false, true] {
        let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
        let journal = folder.path().join("journal");
        std::fs::create_dir_all(&journal).unwrap();
        std::fs::write(journal.join("ahead"), "of a process that died").unwrap();
        let store = Store::open_on(&StoreConfig::new(folder.path()), Arc::new(disk.clone())).unwrap();
        assert!(!journal.join("ahead").exists());
        let (first, made) = (newest(&journal).0, disk.0.0.lock().unwrap().made);
        disk.set(|faults| faults.no_zeros = no_zeros);
        much(&store).await;
        while !no_zeros && newest(&journal).0 == first {
            assert!(store.status().appended < 60 << 20, "it was full first");
            tokio::time::sleep(Duration::from_millis(1)).await;
            store.open(opened()).unwrap().keep(Safety::Durable).await.unwrap();
        }
        much(&store).await;
        let (path, zeros) = newest(&journal);
        assert_eq!((path != first, zeros), (!no_zeros, !no_zeros));
        // One for each file in use; one that failed is not tried again.
        let begun = || disk.0.0.lock().unwrap().made - made;
        let wanted = if no_zeros { 1 } else { 2 };
        for _ in 0..5000 {
            if begun() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(begun(), wanted);
        store.close().await.unwrap();
        assert_eq!(std::fs::read_dir(&journal).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn no_journal_no_store() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    disk.set(|faults| faults.room = Some(10));
    let failed = Store::open_on(&StoreConfig::new(folder.path()), Arc::new(disk.clone())).err().unwrap();
    assert!(failed.to_string().contains("can't begin the journal"), "{failed}");
    // The half header is no obstacle, and no damage.
    let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
    assert!(store.recovery().damaged.is_empty(), "{:?}", store.recovery());
}

#[tokio::test]
async fn a_disk_that_is_stuck_in_a_sync_fails_at_the_deadline_and_not_for_written() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits { keep_deadline: Duration::from_millis(50), ..Limits::default() };
    let store = Store::open_on(&config(folder.path(), limits), Arc::new(disk.clone())).unwrap();
    let mut tape = store.open(opened()).unwrap();
    disk.set(|faults| faults.stuck = true);
    let late = tape.keep(Safety::Durable).await.unwrap_err();
    assert!(late.0.contains("not durable within 50ms"), "{late}");
    tape.append(chunk(10)).unwrap();
    tape.keep(Safety::Written).await.unwrap();
    assert_eq!(store.status().failed, None);
    disk.set(|faults| faults.stuck = false);
    store.close().await.unwrap();
}

#[tokio::test]
async fn memory_is_bounded_while_the_disk_does_not_write() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits { buffer_bytes: 10_000, keep_deadline: Duration::from_millis(20), ..Limits::default() };
    let store = Store::open_on(&config(folder.path(), limits), Arc::new(disk.clone())).unwrap();
    disk.set(|faults| faults.stuck_writes = true);
    let mut tape = store.open(opened()).unwrap();
    let mut taken = 0;
    let refused = loop {
        match tape.append(chunk(1000)) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(refused.0.contains("bytes wait to be written"), "{refused}");
    // One buffer may be in the writer's hands, one is full, and the tape holds what the queue did not take.
    assert!((100..=190).contains(&taken), "{taken}");
    assert!(tape.keep(Safety::Written).await.is_err());
    disk.set(|faults| faults.stuck_writes = false);
    store.settle().await.ok();
    tape.keep(Safety::Written).await.unwrap();
    tape.append(chunk(1000)).unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_late_is_not_told_to_have_failed() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits { keep_deadline: Duration::from_millis(20), ..Limits::default() };
    let store = Store::open_on(&config(folder.path(), limits), Arc::new(disk.clone())).unwrap();
    disk.set(|faults| faults.stuck_writes = true);
    let tape = store.open(opened()).unwrap();
    drop(tape);
    let late = store.settle().await.unwrap_err();
    assert!(matches!(late, StoreError::Late(_)) && !late.to_string().contains("failed"), "{late}");
    assert_eq!(store.status().failed, None);
    disk.set(|faults| faults.stuck_writes = false);
    store.close().await.unwrap();
}

#[tokio::test]
async fn bounded_mode_waits_beyond_its_window_and_then_fails() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits {
        keep_deadline: Duration::from_millis(50),
        window: Duration::from_secs(3600),
        window_bytes: 5000,
        ..Limits::default()
    };
    let config = StoreConfig { durability: Durability::Bounded, ..config(folder.path(), limits) };
    let store = Store::open_on(&config, Arc::new(disk.clone())).unwrap();
    disk.set(|faults| faults.stuck = true);
    let mut tape = store.open(opened()).unwrap();
    tape.append(chunk(1000)).unwrap();
    tape.keep(Safety::Durable).await.unwrap();
    tape.append(chunk(5000)).unwrap();
    assert!(tape.keep(Safety::Durable).await.is_err(), "the window is full");
    disk.set(|faults| faults.stuck = false);
    store.close().await.unwrap();
}

#[tokio::test]
async fn bounded_mode_waits_when_the_oldest_entry_is_too_old() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits { keep_deadline: Duration::from_millis(50), window: Duration::ZERO, ..Limits::default() };
    let config = StoreConfig { durability: Durability::Bounded, ..config(folder.path(), limits) };
    let store = Store::open_on(&config, Arc::new(disk.clone())).unwrap();
    disk.set(|faults| faults.stuck = true);
    let mut tape = store.open(opened()).unwrap();
    assert!(tape.keep(Safety::Durable).await.is_err());
    disk.set(|faults| faults.stuck = false);
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_background_sync_of_bounded_mode_needs_nobody_who_waits() {
    let folder = tempdir().unwrap();
    let config = StoreConfig { durability: Durability::Bounded, ..StoreConfig::new(folder.path()) };
    let store = Store::open(&config).unwrap();
    let tape = store.open(opened()).unwrap();
    let appended = store.status().appended;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while store.status().durable < appended {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.status());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(tape);
}

fn revoked(subject: u64) -> ControlEvent {
    ControlEvent::Revoked(Revoked {
        at_ms: subject,
        target: Target::Caller { issuer: "idp".into(), subject: subject.to_string() },
        issued_before_ms: None,
        reason: "offboarded".into(),
        by: "ann".into(),
        until_ms: None,
    })
}

fn issued() -> ControlEvent {
    ControlEvent::TokenIssued(TokenIssued {
        at_ms: 1,
        id: TokenId::new(),
        digest: Digest([7; 32]),
        caller: Caller { claims: "x".repeat(3000), ..Caller::default() }.into(),
        scope: Scope::on(["one"]),
        expires_ms: u64::MAX,
        by: String::new(),
        certificate: None,
        proven_ms: None,
    })
}

#[tokio::test]
async fn a_full_disk_stops_the_record_and_not_a_revocation() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let limits = Limits { journal_bytes: 8 << 10, ..Limits::default() };
    let store = Store::open_on(&config(folder.path(), limits), Arc::new(disk.clone())).unwrap();
    disk.set(|faults| faults.full = true);
    let mut tape = store.open(opened()).unwrap();
    while tape.append(chunk(1000)).is_ok() && tape.keep(Safety::Durable).await.is_ok() {}
    all_fail(&store, tape.as_mut(), "can't").await;

    // Tokens leave the reserve alone…
    let mut tokens = 0;
    while store.append(issued()).await.is_ok() {
        tokens += 1;
    }
    assert!(tokens > 100, "{tokens}");
    // … so that it takes revocations, and still no tokens.
    for subject in 0..500 {
        ControlLog::append(&*store, revoked(subject)).await.unwrap();
    }
    assert!(store.append(issued()).await.is_err());
    assert!(store.close().await.is_err(), "the record has failed");
    drop((tape, store));

    let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
    let replayed = store.replay().unwrap();
    assert_eq!(replayed.len(), tokens + 500);
    assert_eq!(&replayed[tokens..], &(0..500).map(revoked).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_log_goes_on_in_a_new_file_with_what_is_alive() {
    let folder = tempdir().unwrap();
    let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
    store.append(revoked(1)).await.unwrap();
    let mut expired = issued();
    if let ControlEvent::TokenIssued(token) = &mut expired {
        token.expires_ms = 2;
    }
    // More than one file's room of them.
    for _ in 0..3000 {
        store.append(expired.clone()).await.unwrap();
    }
    store.append(revoked(2)).await.unwrap();
    assert_eq!(store.replay().unwrap(), [revoked(1), revoked(2)]);
    let files: Vec<_> = std::fs::read_dir(folder.path().join("control")).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].metadata().unwrap().len() < 6 << 20, "its room is bounded");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_control_log_whose_sync_failed_acknowledges_nothing_more() {
    let (folder, disk) = (tempdir().unwrap(), BadDisk::default());
    let store = Store::open_on(&StoreConfig::new(folder.path()), Arc::new(disk.clone())).unwrap();
    store.append(revoked(1)).await.unwrap();
    disk.set(|faults| faults.syncs = Some(0));
    assert!(store.append(revoked(2)).await.unwrap_err().0.contains("input/output error"));
    for _ in 0..3 {
        let refused = store.append(revoked(3)).await.unwrap_err().0;
        assert!(refused.contains("restart it, then give the order again"), "{refused}");
        assert_eq!(store.status().control_failed, Some(refused));
    }
    assert_eq!(store.status().failed, None, "the record goes on");
    drop(store);
    // What was not acknowledged may be there; what was is.
    let replayed = Store::open(&StoreConfig::new(folder.path())).unwrap().replay().unwrap();
    assert_eq!(replayed[0], revoked(1));
    assert!(replayed.len() <= 2, "{replayed:?}");
}

/// The one file of a closed control log, and its bytes.
fn control_file(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let path = std::fs::read_dir(folder.join("control")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[tokio::test]
async fn a_flipped_bit_in_an_acknowledged_revocation_lets_nobody_start() {
    let folder = tempdir().unwrap();
    let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
    for subject in 0..3 {
        store.append(revoked(subject)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let (path, bytes) = control_file(folder.path());
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The last mark is not attested by another; without it the last event counts as a tail.
    let last_mark = used - crate::frame::LEAST;
    for at in (0..last_mark).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        std::fs::write(&path, &flipped).unwrap();
        let refused = Store::open(&StoreConfig::new(folder.path())).err();
        let refused = refused.unwrap_or_else(|| unreachable!("byte {at} of {used} goes unnoticed")).to_string();
        assert!(refused.contains("control-") && refused.contains("damaged"), "byte {at}: {refused}");
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(Store::open(&StoreConfig::new(folder.path())).unwrap().replay().unwrap().len(), 3);
}

#[tokio::test]
async fn a_control_log_torn_at_any_length_keeps_what_was_acknowledged() {
    let folder = tempdir().unwrap();
    let store = Store::open(&StoreConfig::new(folder.path())).unwrap();
    store.append(revoked(0)).await.unwrap();
    let (_, first) = control_file(folder.path());
    let acknowledged = first.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    store.append(revoked(1)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let (path, bytes) = control_file(folder.path());
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for length in (acknowledged..=used).step_by(5) {
        let folder = tempdir().unwrap();
        std::fs::create_dir(folder.path().join("control")).unwrap();
        let mut torn = bytes[..length].to_vec();
        torn.resize(bytes.len(), 0);
        std::fs::write(folder.path().join("control").join(path.file_name().unwrap()), torn).unwrap();
        let replayed = Store::open(&StoreConfig::new(folder.path())).unwrap().replay().unwrap();
        assert_eq!(replayed[0], revoked(0), "length {length}");
    }
}
