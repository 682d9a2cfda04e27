//! What is long is read page by page, and comes back whole; and lists are in the order in which things began.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use std::time::Duration;

use common::{chunk, closed, head, open, opened, pattern, request, small};
use exchange::ports::{Recorder, Safety};
use model::{Entry, ExchangeId, Outcome, SessionId};
use store::{
    Cursor, ExchangeFilter, ExchangeRecord, PAGE_BYTES, SessionFilter, Store, StoreConfig, StoreError, TimedEntry,
};
use tempfile::tempdir;

/// Pages of an exchange, from `from` on to the last.
fn pages(store: &Store, exchange: ExchangeId, from: Option<Cursor>, bytes: u64) -> Vec<ExchangeRecord> {
    let mut pages = vec![store.exchange_page(exchange, from, bytes).unwrap()];
    while let Some(next) = pages.last().unwrap().next {
        pages.push(store.exchange_page(exchange, Some(next), bytes).unwrap());
    }
    pages
}

/// All entries of pages, the last of which alone tells the root.
fn whole(pages: Vec<ExchangeRecord>) -> (Vec<TimedEntry>, String) {
    let root = pages.last().unwrap().root.clone().unwrap();
    assert!(pages.iter().rev().skip(1).all(|page| page.root.is_none() && page.next.is_some()));
    (pages.into_iter().flat_map(|page| page.entries).collect(), root)
}

/// Bytes of a page's bodies.
fn bodies(page: &ExchangeRecord) -> u64 {
    let body = |timed: &TimedEntry| match &timed.entry {
        Entry::Request(request) => request.body.len() as u64,
        Entry::Chunk(chunk) => chunk.data.len() as u64,
        _ => 0,
    };
    page.entries.iter().map(body).sum()
}

/// Over many segments, with pages that begin anywhere in what a segment has in one piece, by whoever opens the store next.
#[tokio::test]
async fn an_exchange_is_read_in_pages_wherever_they_are_cut() {
    let folder = tempdir().unwrap();
    let store = Store::open(&StoreConfig { limits: small(), ..StoreConfig::new(folder.path()) }).unwrap();
    let (long, brief) = (opened(SessionId::new()), opened(SessionId::new()));
    let ids = [long.exchange, brief.exchange];
    let mut tape = store.open(long).unwrap();
    tape.append(request(pattern(100_000, 1))).unwrap();
    for at in 0..60 {
        tape.append(chunk(at, &pattern(9000, at))).unwrap();
        tape.append(chunk(at, b"tick")).unwrap();
        tape.keep(Safety::Written).await.unwrap();
    }
    let mut short = store.open(brief).unwrap();
    for entry in [request(b"hello".to_vec()), head(), chunk(400, b"so"), closed(Outcome::Completed)] {
        short.append(entry).unwrap();
    }
    store.settle().await.unwrap();
    // It still runs when its first page is read.
    let first = store.exchange_page(ids[0], None, 20_000).unwrap();
    assert!(first.next.is_some() && first.root.is_none());
    tape.append(chunk(61, b"more")).unwrap();
    tape.append(closed(Outcome::Completed)).unwrap();
    store.settle().await.unwrap();

    let all = store.exchange(ids[0]).unwrap();
    let (rest, root) = whole(pages(&store, ids[0], first.next, 20_000));
    assert_eq!([first.entries, rest].concat(), all.entries);
    assert_eq!(Some(root), all.root);
    store.close().await.unwrap();
    drop((tape, short, store));

    let store = Store::open_read_only(folder.path()).unwrap();
    for exchange in ids {
        let all = store.exchange(exchange).unwrap();
        for bytes in [1, 150, 10_000, 33_333, 1 << 20] {
            let pages = pages(&store, exchange, None, bytes);
            assert!(pages.iter().all(|page| page.entries.len() == 1 || bodies(page) <= bytes), "{bytes}");
            assert!(bytes > 1 || pages.len() == all.entries.len(), "an entry is never too long for a page of its own");
            for next in pages.iter().filter_map(|page| page.next) {
                assert_eq!(next.to_string().parse(), Ok(next));
            }
            assert_eq!(whole(pages), (all.entries.clone(), all.root.clone().unwrap()), "{bytes}");
        }
    }
    let wrong: Cursor = format!("1-70-0-{}", "0".repeat(64)).parse().unwrap();
    assert!(matches!(store.exchange_page(ids[0], Some(wrong), 1000), Err(StoreError::Corrupt { .. })));
    store.verify().unwrap();
}

/// 40 MiB that take no room in the store are no 40 MiB in memory for whoever looks.
#[tokio::test]
async fn what_was_squeezed_fills_no_page_beyond_its_bound() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let first = opened(SessionId::new());
    let exchange = first.exchange;
    let mut tape = store.open(first).unwrap();
    for at in 0..40 {
        tape.append(chunk(at, &vec![b'a'; (1 << 20) - 100])).unwrap();
        tape.keep(Safety::Written).await.unwrap();
    }
    tape.append(closed(Outcome::Completed)).unwrap();
    store.settle().await.unwrap();
    let pages = pages(&store, exchange, None, PAGE_BYTES);
    assert!(pages[0].summary.record_bytes < PAGE_BYTES, "{}", pages[0].summary.record_bytes);
    assert!(pages.len() >= 10 && pages.iter().all(|page| bodies(page) <= PAGE_BYTES), "{} pages", pages.len());
    assert_eq!(whole(pages).0.len(), 42);
}

#[tokio::test]
async fn a_session_is_read_in_pages() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let session = SessionId::new();
    let mut all = Vec::new();
    for at in 0..5 {
        let first = opened(if at == 2 { SessionId::new() } else { session });
        all.push(first.exchange);
        store.open(first).unwrap().append(closed(Outcome::Completed)).unwrap();
    }
    all.remove(2);
    store.settle().await.unwrap();
    for limit in [0, 1, 2, 3, 4, 5] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.session_page(session, after, limit).unwrap();
            assert!(limit == 0 || page.exchanges.len() <= limit, "{limit}");
            assert_eq!(page.summary, store.session(session).unwrap());
            found.extend(page.exchanges.iter().map(|exchange| exchange.exchange));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "{limit}");
    }
}

/// A clock that was ahead by two hours for one run, and is set right before the next one begins.
#[tokio::test]
async fn lists_are_in_the_order_in_which_things_began_wherever_the_clock_was() {
    let folder = tempdir().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ahead = (now + Duration::from_secs(7200)).as_secs();
    let of_then = |count| uuid::Uuid::new_v7(uuid::Timestamp::from_unix_time(ahead, 0, count, 42));
    // Made by the process before this one.
    let (exchange, session) = (ExchangeId(of_then((1 << 42) - 1)), SessionId(of_then((1 << 42) - 2)));
    let mut began = vec![exchange];
    let mut sessions = vec![session];
    let record = |store: &Store, exchange, session| {
        let first = model::record::Opened { exchange, ..opened(session) };
        store.open(first).unwrap().append(closed(Outcome::Completed)).unwrap();
    };
    let store = open(folder.path());
    record(&store, exchange, session);
    store.close().await.unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(folder.path());
        for _ in 0..2 {
            let (exchange, session) = (ExchangeId::new(), SessionId::new());
            record(&store, exchange, session);
            began.push(exchange);
            sessions.push(session);
        }
        store.settle().await.unwrap();
        let listed = store.exchanges(&ExchangeFilter::default()).unwrap();
        let listed: Vec<_> = listed.iter().rev().map(|exchange| exchange.exchange).collect();
        assert_eq!(listed, began);
        let listed = store.sessions(&SessionFilter::default()).unwrap();
        assert_eq!(listed.iter().rev().map(|session| session.session).collect::<Vec<_>>(), sessions);
        store.close().await.unwrap();
    }
}
