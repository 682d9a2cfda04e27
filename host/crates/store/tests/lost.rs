//! Files that are missing, or of another day: what was recorded and is gone is told, and what is left is read.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use std::{fs, path::Path, sync::Arc, time::Duration};

use common::{chunk, closed, copy, opened, pattern, small};
use exchange::ports::{Recorder, Safety};
use model::{ExchangeId, Outcome, SessionId};
use redb::TableDefinition;
use store::{ExchangeFilter, Limits, Store, StoreConfig, StoreError};
use tempfile::{TempDir, tempdir};

fn open(folder: &Path, limits: Limits) -> Result<Arc<Store>, StoreError> {
    Store::open(&StoreConfig { limits, ..StoreConfig::new(folder) })
}

async fn record(store: &Store) -> ExchangeId {
    let first = opened(SessionId::new());
    let exchange = first.exchange;
    let mut tape = store.open(first).unwrap();
    tape.append(chunk(1, &pattern(20_000, 7))).unwrap();
    tape.append(closed(Outcome::Completed)).unwrap();
    tape.keep(Safety::Durable).await.unwrap();
    exchange
}

fn segment(folder: &Path, number: u32) -> std::path::PathBuf {
    folder.join(format!("segment-{number:06}.redb"))
}

/// Records until the segment of this number is begun, and closes.
async fn grow(folder: &Path, number: u32) {
    let store = open(folder, small()).unwrap();
    while !segment(folder, number).exists() {
        record(&store).await;
        store.settle().await.unwrap();
    }
    record(&store).await;
    store.close().await.unwrap();
}

/// A store of four segments, and the same as it was while the second one was written.
async fn of_two_days() -> (TempDir, TempDir) {
    let (today, yesterday) = (tempdir().unwrap(), tempdir().unwrap());
    grow(today.path(), 2).await;
    copy(today.path(), yesterday.path());
    grow(today.path(), 4).await;
    (today, yesterday)
}

fn copied(image: &Path) -> TempDir {
    let folder = tempdir().unwrap();
    copy(image, folder.path());
    folder
}

/// Opens it; what it says at once is lost, and what verifying it says.
fn told(folder: &Path) -> (Vec<String>, Option<String>) {
    let store = Store::open_read_only(folder).unwrap();
    (store.recovery().lost(), store.verify().err().map(|error| error.to_string()))
}

#[tokio::test]
async fn a_segment_that_is_missing_or_older_is_told_also_when_the_index_is_made_again() {
    let (today, yesterday) = of_two_days().await;
    let index = |folder: &TempDir| folder.path().join("index.redb");
    let whole = copied(today.path());
    assert_eq!(told(whole.path()), (vec![], None));
    fs::remove_file(index(&whole)).unwrap();
    assert_eq!(told(whole.path()), (vec![], None), "nothing is missing where all is there");

    for number in 1..=3 {
        let name = format!("segment-{number:06}.redb");
        for empty in [false, true] {
            let folder = copied(today.path());
            fs::remove_file(segment(folder.path(), number)).unwrap();
            if empty {
                fs::write(segment(folder.path(), number), b"").unwrap();
            }
            let (lost, _) = told(folder.path());
            assert!(lost.len() == 1 && lost[0].contains(&name), "with the index: {lost:?}");
            fs::remove_file(index(&folder)).unwrap();
            for _ in 0..2 {
                let (lost, wrong) = told(folder.path());
                assert!(lost.len() == 1 && lost[0].contains(&name), "{lost:?}");
                assert!(wrong.unwrap().contains(&name));
            }
        }
    }

    // A restore over the folder: the index of that day is older than the segments, and so made again.
    let folder = copied(today.path());
    copy(yesterday.path(), folder.path());
    let (lost, wrong) = told(folder.path());
    assert!(lost.len() == 1 && lost[0].contains("segment-000002.redb: "), "{lost:?}");
    assert!(wrong.unwrap().contains("segment-000002.redb is damaged"));
    let (_, wrong) = told(folder.path());
    assert!(wrong.unwrap().contains("segment-000002.redb is damaged"), "as long as it is so");
    open(folder.path(), small()).unwrap();
}

#[tokio::test]
async fn segments_of_before_that_do_not_say_where_they_begin_are_read_as_they_are() {
    let (today, _) = of_two_days().await;
    for number in 1..=4 {
        let database = redb::Database::open(segment(today.path(), number)).unwrap();
        let transaction = database.begin_write().unwrap();
        let state: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
        for key in ["begin", "journal"] {
            assert!(transaction.open_table(state).unwrap().remove(key).unwrap().is_some(), "{number}: {key}");
        }
        transaction.commit().unwrap();
    }
    assert_eq!(told(today.path()), (vec![], None));
    fs::remove_file(today.path().join("index.redb")).unwrap();
    assert_eq!(told(today.path()), (vec![], None));
    grow(today.path(), 5).await;
    assert_eq!(told(today.path()), (vec![], None));
    fs::remove_file(segment(today.path(), 3)).unwrap();
    assert!(told(today.path()).0[0].contains("segment-000003.redb"), "a number that is left out is told all the same");
}

#[tokio::test]
async fn a_newest_segment_that_is_lost_tells_the_way_out() {
    let (today, _) = of_two_days().await;
    fs::remove_file(segment(today.path(), 4)).unwrap();
    for refused in [open(today.path(), small()), Store::open_read_only(today.path())] {
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains("Restore it; if it is lost, remove index.redb"), "{refused}");
    }
    fs::remove_file(today.path().join("index.redb")).unwrap();
    open(today.path(), small()).unwrap();
}

#[tokio::test]
async fn a_copy_without_the_key_is_read_and_verified() {
    let folder = tempdir().unwrap();
    // Nothing is committed while it is copied.
    let store = open(folder.path(), idle()).unwrap();
    let exchange = record(&store).await;
    let live = copied(folder.path());
    store.close().await.unwrap();
    for copy in [live, copied(folder.path())] {
        let key = copy.path().join("key");
        fs::remove_file(&key).unwrap();
        let store = Store::open_read_only(copy.path()).unwrap();
        assert_eq!(store.exchange(exchange).unwrap().entries.len(), 3);
        assert_eq!(store.verify().unwrap().exchanges, 1);
        assert!(!store.has_key() && !key.exists(), "none is made");
        drop(store);
        let refused = open(copy.path(), small()).err().unwrap().to_string();
        assert!(refused.contains("key is damaged: it is missing"), "nothing is recorded there: {refused}");
    }
    // One that is there and is not what was made is no key.
    drop(store);
    fs::write(folder.path().join("key"), [1; 48]).unwrap();
    assert!(Store::open_read_only(folder.path()).is_err());
}

/// With nothing ingested but where somebody waits for it.
fn idle() -> Limits {
    let limits = Limits { commit_interval: Duration::from_secs(3600), commit_bytes: usize::MAX, ..small() };
    Limits { segment_bytes: 1 << 30, ..limits }
}

#[tokio::test]
async fn a_journal_that_is_missing_after_an_unclean_stop_is_told() {
    let live = tempdir().unwrap();
    let store = open(live.path(), idle()).unwrap();
    for _ in 0..2 {
        record(&store).await;
    }
    let first = copied(live.path());
    // The journal goes on in other files, and the first ones go.
    for _ in 0..8 {
        record(&store).await;
    }
    store.settle().await.unwrap();
    record(&store).await;
    // By then those are gone.
    store.settle().await.unwrap();
    record(&store).await;
    let later = copied(live.path());
    store.close().await.unwrap();
    assert_eq!(told(copied(live.path()).path()), (vec![], None), "a store that was closed needs none");

    for (image, exchanges) in [(&first, 0), (&later, 11)] {
        assert_eq!(told(copied(image.path()).path()), (vec![], None));
        for left in [None, Some(0), Some(64), Some(100_000)] {
            let folder = copied(image.path());
            let journal = folder.path().join("journal");
            for file in fs::read_dir(&journal).unwrap().map(|file| file.unwrap().path()) {
                match left {
                    None => fs::remove_file(file).unwrap(),
                    Some(zeros) => fs::write(file, vec![0; zeros]).unwrap(),
                }
            }
            for _ in 0..2 {
                let (lost, wrong) = told(folder.path());
                assert!(lost.len() == 1 && lost[0].contains("journal/damaged-journal-"), "{left:?}: {lost:?}");
                assert!(wrong.unwrap().contains("damaged-journal-"), "{left:?}");
            }
            let store = Store::open_read_only(folder.path()).unwrap();
            assert_eq!(store.exchanges(&ExchangeFilter::default()).unwrap().len(), exchanges, "what is left is read");
            drop(store);
            // Somebody knows what is lost.
            fs::read_dir(&journal).unwrap().for_each(|file| fs::remove_file(file.unwrap().path()).unwrap());
            assert_eq!(told(folder.path()), (vec![], None));
            open(folder.path(), small()).unwrap();
        }
    }
}
