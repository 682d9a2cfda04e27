//! How often the log goes on in a new file: that is work for which revocations wait.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;
use model::{Caller, Digest, Scope, TokenId, control::TokenIssued};
use tempfile::tempdir;

use super::*;
use crate::medium::JournalFile;

/// A disk that counts the files that it makes.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Medium for Counting {
    fn create(&self, path: &Path, room: u64) -> io::Result<Arc<dyn JournalFile>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Disk.create(path, room)
    }
}

/// A token of a caller with many groups.
fn issued(bytes: usize) -> ControlEvent {
    ControlEvent::TokenIssued(TokenIssued {
        at_ms: 1,
        id: TokenId::new(),
        digest: Digest::default(),
        caller: Caller { groups: vec!["x".repeat(bytes)], ..Caller::default() }.into(),
        scope: Scope::default(),
        expires_ms: u64::MAX,
        by: String::new(),
        certificate: None,
        proven_ms: None,
    })
}

#[tokio::test]
async fn large_events_turn_the_log_no_more_often_than_its_size_doubles() {
    const EVENTS: usize = 32;
    let (folder, disk) = (tempdir().unwrap(), Arc::new(Counting::default()));
    Control::make_first(folder.path()).unwrap();
    let mut control = Control::reading(folder.path().to_owned(), Arc::default());
    control.start(Arc::clone(&disk) as Arc<dyn Medium>).unwrap();
    // 16 MiB of what stays alive, half a MiB at a time.
    for _ in 0..32 {
        let told = join_all((0..EVENTS).map(|_| control.append(issued(16 << 10)))).await;
        assert!(told.iter().all(Result::is_ok));
    }
    assert_eq!(control.replay().unwrap().len(), 32 * EVENTS);
    // For 1 MiB at the start, then with 1, 2, 4 and 8 MiB taken over.
    let made = disk.0.load(Ordering::Relaxed);
    assert!(made <= 6, "{made} files");
    control.close();
}
