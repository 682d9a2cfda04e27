//! What goes in comes out: exchanges, sessions, events, filters, modes, files.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use common::{chunk, closed, head, masked, open, opened, pattern, request, small, started, sums_agree};
use exchange::ports::{Recorder, Safety};
use model::{Entry, ExchangeId, Outcome, SessionId};
use redb::{ReadableTable, TableDefinition};
use store::{Durability, ExchangeFilter, SessionFilter, State, Store, StoreConfig, StoreError};
use tempfile::tempdir;

/// Records one exchange; gives its id and its entries.
async fn record(
    store: &Store,
    session: SessionId,
    body: Vec<u8>,
    chunks: u64,
    end: Outcome,
) -> (ExchangeId, Vec<Entry>) {
    let first = opened(session);
    let exchange = first.exchange;
    let mut entries = vec![Entry::Opened(first.clone()), request(body), masked(), head()];
    entries.extend((0..chunks).map(|at| chunk(400 + at, &pattern(200, at))));
    entries.push(closed(end));
    let mut tape = store.open(first).unwrap();
    for entry in &entries[1..] {
        tape.append(entry.clone()).unwrap();
    }
    tape.keep(Safety::Durable).await.unwrap();
    (exchange, entries)
}

fn entries(store: &Store, exchange: ExchangeId) -> Vec<Entry> {
    store.exchange(exchange).unwrap().entries.into_iter().map(|timed| timed.entry).collect()
}

#[tokio::test]
async fn an_exchange_comes_back_as_it_was_recorded() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let session = SessionId::new();
    let (exchange, recorded) = record(&store, session, b"hello".to_vec(), 3, Outcome::Completed).await;
    store.settle().await.unwrap();

    assert_eq!(entries(&store, exchange), recorded);
    let summary = store.exchange(exchange).unwrap().summary;
    assert_eq!((summary.state, summary.outcome), (State::Closed, Some(Outcome::Completed)));
    assert_eq!((summary.session, summary.caller.as_str(), summary.model.as_str()), (session, "ada", "gpt"));
    assert_eq!((summary.masked, summary.chunks, summary.response_bytes, summary.request_bytes), (1, 3, 600, 5));
    assert_eq!((summary.status, summary.entries, summary.duration_us), (Some(200), recorded.len() as u64, 900));

    store.close().await.unwrap();
    drop(store);
    let again = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(entries(&again, exchange), recorded);
    assert!(again.recovery().journals == 0, "closed in order, nothing is left to recover");
    assert!(again.open(opened(session)).is_err());
}

/// Three exchanges: two of one session (completed, blocked), one of another.
async fn three(store: &Store) -> ([SessionId; 2], [ExchangeId; 3]) {
    let (one, two) = (SessionId::new(), SessionId::new());
    let (a, _) = record(store, one, vec![], 1, Outcome::Completed).await;
    let (b, _) = record(store, one, vec![], 1, Outcome::Blocked).await;
    let (c, _) = record(store, two, vec![], 1, Outcome::Completed).await;
    store.settle().await.unwrap();
    ([one, two], [a, b, c])
}

#[tokio::test]
async fn filters() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let ([one, _], [a, b, c]) = three(&store).await;
    let ids = |change: &dyn Fn(&mut ExchangeFilter)| {
        let mut filter = ExchangeFilter::default();
        change(&mut filter);
        store.exchanges(&filter).unwrap().iter().map(|exchange| exchange.exchange).collect::<Vec<_>>()
    };
    assert_eq!(ids(&|_| ()), [c, b, a]);
    assert_eq!(ids(&|filter| filter.limit = 2), [c, b]);
    assert_eq!(ids(&|filter| filter.before = Some(b)), [a]);
    assert_eq!(ids(&|filter| filter.session = Some(one)), [b, a]);
    assert_eq!(ids(&|filter| (filter.session, filter.before) = (Some(one), Some(b))), [a]);
    assert_eq!(ids(&|filter| filter.outcome = Some(Outcome::Blocked)), [b]);
    assert_eq!(ids(&|filter| filter.caller = Some("eve".into())), []);
    assert_eq!(ids(&|filter| (filter.connection, filter.limit) = (Some("openai".into()), 1)), [c]);
    assert_eq!(ids(&|filter| filter.connection = Some("other".into())), []);
    assert_eq!(ids(&|filter| filter.until = Some(1_700_000_000_000)), []);
    assert_eq!(ids(&|filter| filter.since = Some(1_700_000_000_000)), [c, b, a]);
    assert_eq!(ids(&|filter| filter.since = Some(u64::MAX)), []);
}

#[tokio::test]
async fn sessions() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let ([one, two], [a, b, _]) = three(&store).await;
    let sessions = store.sessions(&SessionFilter::default()).unwrap();
    assert_eq!(sessions.iter().map(|s| (s.session, s.exchanges)).collect::<Vec<_>>(), [(two, 1), (one, 2)]);
    let older = SessionFilter { before: Some(two), ..SessionFilter::default() };
    assert_eq!(store.sessions(&older).unwrap().len(), 1);
    let of_another = SessionFilter { issuer: Some("https://idp".into()), ..SessionFilter::default() };
    assert!(store.sessions(&of_another).unwrap().is_empty(), "the same name by another issuer is somebody else");
    let strangers = SessionFilter { caller: Some("eve".into()), ..SessionFilter::default() };
    assert_eq!(store.sessions(&strangers).unwrap(), []);

    let session = store.session_page(one, None, 0).unwrap();
    assert_eq!((session.summary.closed, session.summary.completed, session.summary.blocked), (2, 1, 1));
    assert_eq!((session.summary.masked, session.summary.input_tokens), (2, 10));
    assert_eq!(session.exchanges.iter().map(|exchange| exchange.exchange).collect::<Vec<_>>(), [a, b]);
    assert!(matches!(store.session(SessionId::new()), Err(StoreError::UnknownSession(_))));
    assert!(matches!(store.exchange(ExchangeId::new()), Err(StoreError::UnknownExchange(_))));
}

/// Beside others of many sessions, so that what is known of it is forgotten and read again.
#[tokio::test]
async fn a_session_tells_of_what_runs_and_of_what_never_ended() {
    let folder = tempdir().unwrap();
    let config = StoreConfig { limits: small(), ..StoreConfig::new(folder.path()) };
    let store = Store::open(&config).unwrap();
    let first = opened(SessionId::new());
    let (session, began) = (first.session, first.at_ms);
    let mut tape = store.open(first).unwrap();
    tape.append(request(b"hello".to_vec())).unwrap();
    tape.append(masked()).unwrap();
    for second in 1..=5 {
        tape.append(chunk(second * 1_000_000, b"tick\n")).unwrap();
        tape.keep(Safety::Written).await.unwrap();
        for _ in 0..4 {
            record(&store, SessionId::new(), vec![], 1, Outcome::Completed).await;
        }
        store.settle().await.unwrap();
        let active = SessionFilter { since: Some(began + second * 1000), ..SessionFilter::default() };
        let [told] = &store.sessions(&active).unwrap()[..] else { panic!("second {second}") };
        assert_eq!((told.session, told.last_ms), (session, began + second * 1000));
        assert_eq!((told.request_bytes, told.response_bytes, told.masked), (5, second * 5, 1));
        assert_eq!((told.exchanges, told.closed), (1, 0));
        sums_agree(&store);
    }
    let told = store.session(session).unwrap();
    store.close().await.unwrap();
    drop((tape, store));

    let store = Store::open(&config).unwrap();
    assert_eq!(store.session(session).unwrap(), told, "it was interrupted");
    record(&store, session, vec![], 1, Outcome::Blocked).await;
    store.settle().await.unwrap();
    let more = store.session(session).unwrap();
    assert_eq!((more.exchanges, more.closed, more.blocked, more.response_bytes), (2, 1, 1, 225));
    sums_agree(&store);
    store.close().await.unwrap();
    drop(store);

    fs::remove_file(folder.path().join("index.redb")).unwrap();
    let store = open(folder.path());
    assert_eq!(store.session(session).unwrap(), more);
    sums_agree(&store);
}

#[tokio::test]
async fn events_are_numbered_over_restarts() {
    let folder = tempdir().unwrap();
    for run in 0..3 {
        let store = open(folder.path());
        store.event(started(run)).await.unwrap();
        store.event(started(run + 100)).await.unwrap();
        store.close().await.unwrap();
    }
    let store = Store::open_read_only(folder.path()).unwrap();
    let events = store.events(None, 10).unwrap();
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    assert_eq!(events[0].event, started(102));
    let number = |events: Vec<store::EventRecord>| events.iter().map(|event| event.number).collect::<Vec<_>>();
    assert_eq!(number(store.events(None, 2).unwrap()), [5, 4]);
    assert_eq!(number(store.events(Some(4), 3).unwrap()), [3, 2, 1]);
    assert_eq!(number(store.events(Some(0), 3).unwrap()), [0; 0]);
    assert_eq!(store.verify().unwrap().events, 6);
}

#[tokio::test]
async fn a_tape_that_is_dropped_closes_as_cancelled() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let first = opened(SessionId::new());
    let exchange = first.exchange;
    let mut tape = store.open(first).unwrap();
    tape.append(request(b"never answered".to_vec())).unwrap();
    tape.keep(Safety::Written).await.unwrap();
    store.settle().await.unwrap();
    let so_far = store.exchange(exchange).unwrap();
    assert_eq!((so_far.summary.state, so_far.summary.outcome, so_far.entries.len()), (State::Running, None, 2));
    drop(tape);
    store.settle().await.unwrap();
    let record = store.exchange(exchange).unwrap();
    assert_eq!((record.summary.state, record.summary.outcome), (State::Closed, Some(Outcome::Cancelled)));
    assert_eq!(record.entries.len(), 3);
}

#[tokio::test]
async fn a_tape_opens_and_closes_once() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let first = opened(SessionId::new());
    let mut tape = store.open(first.clone()).unwrap();
    assert!(tape.append(Entry::Opened(first)).is_err());
    tape.append(closed(Outcome::Denied)).unwrap();
    assert!(tape.append(head()).is_err());
    assert!(tape.append(closed(Outcome::Denied)).is_err());
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused_and_the_exchange_goes_on() {
    let folder = tempdir().unwrap();
    let mut config = StoreConfig::new(folder.path());
    config.limits.entry_bytes = 4096;
    let store = Store::open(&config).unwrap();
    let first = opened(SessionId::new());
    let exchange = first.exchange;
    let mut tape = store.open(first).unwrap();
    assert!(tape.append(request(pattern(5000, 1))).unwrap_err().0.contains("the store takes 4096"));
    tape.append(closed(Outcome::Failed)).unwrap();
    store.settle().await.unwrap();
    assert_eq!(store.exchange(exchange).unwrap().summary.outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn large_bodies_span_pieces() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    for length in [31 << 10, (31 << 10) - 100, (62 << 10) + 1, 5 << 20] {
        let (exchange, recorded) = record(&store, SessionId::new(), pattern(length, 5), 2, Outcome::Completed).await;
        store.settle().await.unwrap();
        assert_eq!(entries(&store, exchange), recorded);
    }
}

/// One long exchange beside many short ones, over many journal files and segments, with few summaries in memory.
#[tokio::test]
async fn rotation_across_many_small_segments() {
    let folder = tempdir().unwrap();
    let store = Store::open(&StoreConfig { limits: small(), ..StoreConfig::new(folder.path()) }).unwrap();
    let first = opened(SessionId::new());
    let (long, mut long_entries) = (first.exchange, vec![Entry::Opened(first.clone())]);
    let mut tape = store.open(first).unwrap();
    let mut all = Vec::new();
    for round in 0..120 {
        let entry = chunk(round, &pattern(9000, round));
        long_entries.push(entry.clone());
        tape.append(entry).unwrap();
        all.push(record(&store, SessionId::new(), pattern(3000, round), 4, Outcome::Completed).await);
        if round % 10 == 0 {
            store.settle().await.unwrap();
            let (exchange, recorded) = &all[all.len() / 2];
            assert_eq!(entries(&store, *exchange), *recorded);
            sums_agree(&store);
        }
    }
    tape.append(closed(Outcome::Completed)).unwrap();
    long_entries.push(closed(Outcome::Completed));
    store.settle().await.unwrap();
    assert_eq!(entries(&store, long), long_entries);
    sums_agree(&store);

    let names = |prefix: &str| {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter(|name| name.starts_with(prefix)).count()
    };
    assert!(names("segment-") > 8, "{} segments", names("segment-"));
    let journals = fs::read_dir(folder.path().join("journal")).unwrap().count();
    assert!(journals <= 2, "{journals} journal files are left although everything is ingested");
    assert_eq!(store.verify().unwrap().exchanges, 121);

    store.close().await.unwrap();
    drop((tape, store));
    let again = Store::open_read_only(folder.path()).unwrap();
    for (exchange, recorded) in all.iter().chain([&(long, long_entries)]) {
        assert_eq!(entries(&again, *exchange), *recorded);
    }
    assert_eq!(again.verify().unwrap().exchanges, 121);
}

#[tokio::test]
async fn bounded_mode_records_the_same() {
    let folder = tempdir().unwrap();
    let config = StoreConfig { durability: Durability::Bounded, ..StoreConfig::new(folder.path()) };
    let store = Store::open(&config).unwrap();
    let (exchange, recorded) = record(&store, SessionId::new(), pattern(3 << 20, 1), 3, Outcome::Completed).await;
    let status = store.status();
    assert!(status.durable == status.appended, "3 MiB are more than the window, so keep waited for all: {status:?}");
    store.settle().await.unwrap();
    assert_eq!(entries(&store, exchange), recorded);
}

#[tokio::test]
async fn off_records_nothing() {
    let folder = tempdir().unwrap();
    let config = StoreConfig { durability: Durability::Off, ..StoreConfig::new(folder.path()) };
    let store = Store::open(&config).unwrap();
    record(&store, SessionId::new(), vec![], 3, Outcome::Completed).await;
    store.event(started(1)).await.unwrap();
    store.settle().await.unwrap();
    assert!(store.exchanges(&ExchangeFilter::default()).unwrap().is_empty());
    store.close().await.unwrap();
}

#[tokio::test]
async fn two_openings_are_refused() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let refused = Store::open(&StoreConfig::new(folder.path())).err().unwrap();
    let own = std::process::id();
    assert!(matches!(refused, StoreError::InUse { pid: Some(pid), .. } if pid == own), "{refused}");
    assert!(refused.to_string().contains(&format!("is in use by process {own}")));
    assert!(matches!(Store::open_read_only(folder.path()), Err(StoreError::InUse { .. })));
    drop(store);
    open(folder.path());
}

#[test]
fn a_host_that_starts_waits_for_who_just_reads() {
    let folder = tempdir().unwrap();
    drop(open(folder.path()));
    let reader = Store::open_read_only(folder.path()).unwrap();
    let reading = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        drop(reader);
    });
    open(folder.path());
    reading.join().unwrap();
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let folder = tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(folder.path());
    record(&store, SessionId::new(), vec![], 1, Outcome::Completed).await;
    let mut left = vec![folder.path().to_owned()];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
        seen += 1;
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()));
        }
    }
    assert_eq!(seen, 9, "folder, lock, key, index, segment, journal folder and file, control folder and file");
}

#[tokio::test]
async fn an_index_that_is_lost_is_made_again() {
    let folder = tempdir().unwrap();
    let config = StoreConfig { limits: small(), ..StoreConfig::new(folder.path()) };
    let store = Store::open(&config).unwrap();
    let first = opened(SessionId::new());
    let mut tape = store.open(first.clone()).unwrap();
    let mut all = Vec::new();
    for at in 0..60 {
        tape.append(chunk(at, &pattern(4000, at))).unwrap();
        all.push(record(&store, SessionId::new(), pattern(3000, at), 2, Outcome::Completed).await);
        store.event(started(at)).await.unwrap();
    }
    store.settle().await.unwrap();
    let (exchanges, sessions) = (ExchangeFilter::default(), SessionFilter::default());
    store.close().await.unwrap();
    drop((tape, store));
    let told = |store: &Store| {
        let records: Vec<_> = all.iter().map(|(exchange, _)| store.exchange(*exchange).unwrap()).collect();
        let lists = (store.exchanges(&exchanges).unwrap(), store.sessions(&sessions).unwrap());
        (records, lists, store.events(None, 100).unwrap(), store.verify().unwrap())
    };
    let before = told(&Store::open_read_only(folder.path()).unwrap());
    assert_eq!((before.3.exchanges, before.3.events), (61, 60));
    assert!(before.1.0.iter().any(|one| one.exchange == first.exchange && one.state == State::Interrupted));

    fs::remove_file(folder.path().join("index.redb")).unwrap();
    fs::write(folder.path().join("index.new"), b"half of one").unwrap();
    let store = Store::open(&config).unwrap();
    assert_eq!(told(&store), before);
    store.event(started(7)).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(store.events(None, 1).unwrap()[0].number, 60);
}

/// An empty one, and one of before the last run: no exchange vanishes, and no number of an event is given out twice.
#[tokio::test]
async fn an_index_that_is_empty_or_older_than_the_segments_is_made_again() {
    for empty in [true, false] {
        let folder = tempdir().unwrap();
        let index = folder.path().join("index.redb");
        let mut left = Vec::new();
        for run in 0..3 {
            let store = open(folder.path());
            record(&store, SessionId::new(), vec![], 1, Outcome::Completed).await;
            store.event(started(run)).await.unwrap();
            store.close().await.unwrap();
            drop(store);
            if run == 0 && !empty {
                left = fs::read(&index).unwrap();
            }
        }
        fs::write(&index, left).unwrap();
        let store = open(folder.path());
        let verified = store.verify().unwrap();
        assert_eq!((verified.exchanges, verified.events), (3, 3), "empty: {empty}");
        store.event(started(3)).await.unwrap();
        store.settle().await.unwrap();
        let events: Vec<_> = store.events(None, 9).unwrap().into_iter().map(|told| (told.number, told.event)).collect();
        assert_eq!(events, (0..4).rev().map(|run| (run, started(run))).collect::<Vec<_>>(), "empty: {empty}");
    }
}

#[tokio::test]
async fn a_store_of_an_older_format_is_read_and_goes_on_in_this_one() {
    for format in [1, 2] {
        let folder = tempdir().unwrap();
        let store = open(folder.path());
        // Too long for a pack, which the first format does not know; and nothing to squeeze, which neither knows.
        let (old, before) = record(&store, SessionId::new(), pattern(9000, 1), 2, Outcome::Completed).await;
        store.close().await.unwrap();
        drop(store);
        made_older(folder.path(), format);

        let store = open(folder.path());
        assert_eq!(
            store.sessions(&SessionFilter::default()).unwrap().len(),
            1,
            "sums of format {format} are made again"
        );
        sums_agree(&store);
        let (new, after) = record(&store, SessionId::new(), b"short".to_vec(), 2, Outcome::Completed).await;
        store.settle().await.unwrap();
        assert_eq!((entries(&store, old), entries(&store, new)), (before, after));
        assert!(
            folder.path().join("segment-000002.redb").exists(),
            "nothing is written to a segment of format {format}"
        );
        store.close().await.unwrap();
        drop(store);
        assert_eq!(Store::open_read_only(folder.path()).unwrap().verify().unwrap().exchanges, 2);
        fs::remove_file(folder.path().join("index.redb")).unwrap();
        assert_eq!(open(folder.path()).verify().unwrap().exchanges, 2);
    }
}

#[tokio::test]
async fn a_pack_whose_count_is_wrong_is_told_also_when_the_index_is_made_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    three(&store).await;
    store.close().await.unwrap();
    drop(store);
    {
        let database = redb::Database::open(folder.path().join("segment-000001.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        let packs: TableDefinition<'_, &[u8; 12], &[u8]> = TableDefinition::new("packs");
        {
            let mut packs = transaction.open_table(packs).unwrap();
            let (key, mut pack) =
                packs.first().unwrap().map(|(key, pack)| (*key.value(), pack.value().to_vec())).unwrap();
            let count = pack.len() - 4;
            pack[count] ^= 1;
            packs.insert(&key, pack.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
    assert!(open(folder.path()).verify().is_err());
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    for again in [false, true] {
        let store = Store::open_read_only(folder.path()).unwrap();
        assert_eq!(store.recovery().lost().is_empty(), again, "who makes the index finds it");
        let told = store.verify().unwrap_err().to_string();
        assert!(told.contains("segment-000001.redb is damaged: ") && told.contains("pack"), "{told}");
    }
}

/// Makes a store with one segment one of an older format, whose index had other sums of sessions.
fn made_older(folder: &Path, format: u64) {
    for file in ["index.redb", "segment-000001.redb"] {
        let database = redb::Database::open(folder.join(file)).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
        transaction.open_table(meta).unwrap().insert("format", format).unwrap();
        if file == "index.redb" {
            let sessions: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("sessions");
            assert!(transaction.delete_table(sessions).unwrap());
        } else if format == 1 {
            let packs: TableDefinition<'_, &[u8; 12], &[u8]> = TableDefinition::new("packs");
            assert!(transaction.delete_table(packs).unwrap());
        }
        transaction.commit().unwrap();
    }
}

#[tokio::test]
async fn what_repeats_itself_takes_less_room_and_is_read_as_it_was() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let event = b"data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}}]}\n\n";
    let mut told = Vec::new();
    for data in [event.repeat(400), pattern(event.len() * 400, 5)] {
        let (exchange, before) = record(&store, SessionId::new(), data.clone(), 2, Outcome::Completed).await;
        store.settle().await.unwrap();
        assert_eq!(entries(&store, exchange), before);
        told.push((store.exchange(exchange).unwrap().summary.record_bytes, before.len(), data.len() as u64));
    }
    let [(events, ..), (noise, _, bytes)] = told[..] else { panic!("{told:?}") };
    assert!(events * 20 < noise && noise > bytes, "{told:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_changed_key_is_refused() {
    let folder = tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("key");
    let mut key = fs::read(&path).unwrap();
    key[5] ^= 4;
    fs::write(&path, key).unwrap();
    let refused = Store::open(&StoreConfig::new(folder.path())).err().unwrap();
    assert!(refused.to_string().contains("the hash of the key"), "{refused}");
}

#[tokio::test]
async fn a_lost_key_is_made_anew_only_by_order() {
    let folder = tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("key");
    fs::remove_file(&path).unwrap();
    let refused = Store::open(&StoreConfig::new(folder.path())).err().unwrap().to_string();
    assert!(refused.contains("it is missing") && refused.contains("key.begin-anew"), "{refused}");
    assert_eq!(store::check(folder.path()).len(), 1);
    let order = folder.path().join("key.begin-anew");
    fs::write(&order, "").unwrap();
    drop(open(folder.path()));
    assert!(path.exists() && !order.exists());
    fs::write(&order, "").unwrap();
    drop(open(folder.path()));
    assert!(!order.exists(), "it was not needed, and counts for no later loss");
    assert!(store::check(folder.path()).is_empty());
}

#[tokio::test]
async fn a_damaged_index_tells_the_way_out_once() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    three(&store).await;
    assert!(store::check(folder.path()).is_empty(), "nobody looks at it while it is open");
    store.close().await.unwrap();
    drop(store);
    let index = folder.path().join("index.redb");
    let whole = fs::read(&index).unwrap();
    for damaged in [whole[..whole.len() / 2].to_vec(), whole[..4096].to_vec(), pattern(whole.len(), 3)] {
        fs::write(&index, damaged).unwrap();
        // It is all in the text. What takes a repair, as a file of a host that was killed does, only a start tells.
        let checked = store::check(folder.path());
        let refused = Store::open_read_only(folder.path()).err().unwrap();
        for said in checked.iter().chain([&refused]) {
            assert!(std::error::Error::source(said).is_none());
            let said = said.to_string();
            assert!(said.contains("index.redb") && said.contains("remove it while no host runs"), "{said}");
        }
    }
    assert_eq!(store::check(folder.path()).len(), 1, "what is no database at all is told by a check too");
    fs::remove_file(&index).unwrap();
    assert_eq!(Store::open_read_only(folder.path()).unwrap().verify().unwrap().exchanges, 3);
}

#[tokio::test]
async fn the_keyed_hash_belongs_to_the_installation() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let (a, b) = (open(one.path()), open(two.path()));
    let hash = a.keyed_hash(b"078-05-1120");
    assert_eq!(hash, a.keyed_hash(b"078-05-1120"));
    assert_ne!(hash, a.keyed_hash(b"078-05-1121"));
    assert_ne!(hash, b.keyed_hash(b"078-05-1120"));
    drop(a);
    assert_eq!(hash, open(one.path()).keyed_hash(b"078-05-1120"));
}

#[tokio::test]
async fn a_closed_store_takes_nothing() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let mut tape = store.open(opened(SessionId::new())).unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(tape.append(head()).is_err());
    assert!(tape.keep(Safety::Durable).await.is_err());
    assert!(store.open(opened(SessionId::new())).is_err());
    assert!(store.event(started(1)).await.is_err());
}
