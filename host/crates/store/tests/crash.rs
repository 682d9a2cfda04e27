//! The process dies, the power goes, the disk fills, bits flip: what was acknowledged is there, and nothing is wrong in
//! silence. Children are this very binary, run again with a folder in its environment.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod common;

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{chunk, closed, copy, masked, opened, pattern, request, small, started, sums_agree};
use exchange::ports::{Recorder, Safety};
use model::{Entry, ExchangeId, Outcome, SessionId};
use store::{ExchangeFilter, Limits, State, Store, StoreConfig, StoreError};
use tempfile::{TempDir, tempdir, tempdir_in};

const FOLDER: &str = "STORE_TEST_FOLDER";
const CHILD: &str = "STORE_TEST_CHILD";

// ------------------------------------------------------------------------------- kill -9

/// The `number`th entry of an exchange: nothing else need be known to check it.
fn expected(exchange: ExchangeId, number: u64) -> Entry {
    let seed = exchange.0.as_u128() as u64;
    match number {
        1 => request(pattern(700, seed)),
        2 => masked(),
        10 => closed(Outcome::Completed),
        _ => chunk(number, &pattern(100 + (seed % 900) as usize, seed ^ number)),
    }
}

/// Records exchanges until it is killed; says `EXCHANGE ENTRIES` for each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_records_until_killed() {
    let large = child("records in large journals");
    let journal_bytes = if large.is_some() { 3 << 20 } else { small().journal_bytes };
    let Some(folder) = large.or_else(|| child("records")) else { return };
    println!("opening");
    let limits = Limits { commit_interval: Duration::from_millis(3), journal_bytes, ..small() };
    let store = Store::open(&StoreConfig { limits, ..StoreConfig::new(&folder) }).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6_u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            loop {
                let first = opened(SessionId::new());
                let exchange = first.exchange;
                let mut tape = store.open(first).unwrap();
                for number in 1..=10 {
                    tape.append(expected(exchange, number)).unwrap();
                    let safety = if (number + task) % 3 == 0 { Safety::Durable } else { Safety::Written };
                    if number % 2 == 0 {
                        tape.keep(safety).await.unwrap();
                        println!("{exchange} {}", number + 1);
                    }
                }
            }
        });
    }
    tasks.join_next().await;
}

#[test]
fn every_acknowledged_entry_survives_kill_9() {
    const ROUNDS: usize = 30;
    let folder = tempdir().unwrap();
    let mut acknowledged: HashMap<ExchangeId, u64> = HashMap::new();
    for round in 0..ROUNDS {
        // Large ones are made ahead, once a megabyte is recorded; small ones go on in the next one again and again.
        let large = round % 2 == 1;
        let kind = if large { "records in large journals" } else { "records" };
        let (mut child, lines) = spawn(kind, "child_records_until_killed", folder.path());
        // Some die at once, in the midst of recovery; the others at another place each time.
        let enough = match round {
            _ if round % 3 == 0 => 0,
            _ if large => acknowledged.len() + 200 + round * 13,
            _ => 1 + round * 13,
        };
        let mut killed = false;
        for line in lines.lines() {
            let line = line.unwrap();
            if let Some((exchange, entries)) = line.split_once(' ')
                && let (Ok(exchange), Ok(entries)) = (exchange.parse::<ExchangeId>(), entries.parse::<u64>())
            {
                let known = acknowledged.entry(exchange).or_default();
                *known = entries.max(*known);
            } else if !line.contains("opening") {
                continue;
            }
            if !killed && (enough == 0 || acknowledged.len() >= enough) {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "round {round}: the child ended by itself");
        if round % 5 == 4 {
            check_acknowledged(folder.path(), &acknowledged);
        }
    }
    assert!(acknowledged.len() > 100, "{} exchanges", acknowledged.len());
    check_acknowledged(folder.path(), &acknowledged);
}

fn check_acknowledged(folder: &Path, acknowledged: &HashMap<ExchangeId, u64>) {
    let store = Store::open_read_only(folder).unwrap();
    assert!(store.recovery().damaged.is_empty(), "{:?}", store.recovery());
    for (exchange, entries) in acknowledged {
        let record = store.exchange(*exchange).unwrap();
        assert!(record.entries.len() as u64 >= *entries, "{exchange}: {} of {entries}", record.entries.len());
        for (number, timed) in record.entries.iter().enumerate().skip(1) {
            assert_eq!(timed.entry, expected(*exchange, number as u64), "{exchange}, entry {number}");
        }
        let whole = record.entries.len() == 11;
        assert_eq!(record.summary.state, if whole { State::Closed } else { State::Interrupted });
        assert_eq!(record.summary.outcome, whole.then_some(Outcome::Completed));
    }
    let listed = store.exchanges(&ExchangeFilter::default()).unwrap().len() as u64;
    assert_eq!(store.verify().unwrap().exchanges, listed);
    sums_agree(&store);
}

// ---------------------------------------------------------------------------- two processes

/// Holds the store until it is killed.
#[test]
fn child_holds() {
    let Some(folder) = child("holds") else { return };
    let _store = Store::open(&StoreConfig::new(&folder)).unwrap();
    println!("holding");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    let folder = tempdir().unwrap();
    let (mut child, lines) = spawn("holds", "child_holds", folder.path());
    lines.lines().find(|line| line.as_ref().unwrap().contains("holding")).unwrap().unwrap();
    let refused = Store::open(&StoreConfig::new(folder.path())).err().unwrap();
    assert!(matches!(refused, StoreError::InUse { pid: Some(pid), .. } if pid == child.id()), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    common::open(folder.path());
}

// ------------------------------------------------------------------------------- full disk

/// Records until the disk is full (here: no file may grow beyond a bound); says how much was acknowledged.
#[tokio::test]
async fn child_fills_the_disk() {
    let Some(folder) = child("fills") else { return };
    let limits = Limits { journal_bytes: 1 << 20, ..Limits::default() };
    let store = Store::open(&StoreConfig { limits, ..StoreConfig::new(&folder) }).unwrap();
    for _ in 0..10_000 {
        let first = opened(SessionId::new());
        let exchange = first.exchange;
        let Ok(mut tape) = store.open(first) else { break };
        if tape.append(request(pattern(20_000, exchange.0.as_u128() as u64))).is_err() {
            break;
        }
        if tape.keep(Safety::Durable).await.is_err() {
            break;
        }
        println!("{exchange} 2");
    }
    let failed = store.status().failed.unwrap();
    assert!(store.event(started(1)).await.is_err());
    println!("failed: {failed}");
}

#[test]
fn a_full_disk_fails_closed_and_loses_nothing() {
    let folder = tempdir().unwrap();
    let binary = env::current_exe().unwrap();
    // A file beyond 8192 blocks of 512 bytes (or 1024, as the shell has it) is refused; the signal is ignored.
    let limited = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, binary.to_str().unwrap(), "--exact", "child_fills_the_disk", "--nocapture"])
        .env(CHILD, "fills")
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("failed: "), "the disk never was full: {said}");
    let acknowledged: Vec<ExchangeId> =
        said.lines().filter_map(|line| line.strip_suffix(" 2")?.rsplit(' ').next()?.parse().ok()).collect();
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let store = common::open(folder.path());
    for exchange in acknowledged {
        let body = pattern(20_000, exchange.0.as_u128() as u64);
        assert_eq!(store.exchange(exchange).unwrap().entries[1].entry, request(body));
    }
}

// --------------------------------------------------------------------- torn tails, flipped bits

/// In memory where there is such a folder: these tests open stores hundreds of times.
fn quick_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempdir_in(memory).unwrap() } else { tempdir().unwrap() }
}

/// Limits with which nothing is ingested before the store is closed.
fn idle() -> Limits {
    let limits = Limits { commit_interval: Duration::from_secs(3600), journal_bytes: 16 << 10, ..small() };
    Limits { commit_bytes: usize::MAX, ..limits }
}

/// A store as a crash leaves it, everything still in its journal: the exchanges and their entries.
async fn crashed(folder: &Path) -> Vec<(ExchangeId, Vec<Entry>)> {
    crashed_with(folder, 20).await
}

/// The same, with chunks of this length at least.
async fn crashed_with(folder: &Path, length: usize) -> Vec<(ExchangeId, Vec<Entry>)> {
    let live = quick_folder();
    let store = Store::open(&StoreConfig { limits: idle(), ..StoreConfig::new(live.path()) }).unwrap();
    let mut truth = Vec::new();
    for at in 0..4_u64 {
        let first = opened(SessionId::new());
        let mut entries = vec![Entry::Opened(first.clone())];
        let mut tape = store.open(first.clone()).unwrap();
        for number in 1..4 {
            let entry = chunk(number, &pattern(length + at as usize, number));
            entries.push(entry.clone());
            tape.append(entry).unwrap();
        }
        tape.append(closed(Outcome::Completed)).unwrap();
        entries.push(closed(Outcome::Completed));
        tape.keep(Safety::Durable).await.unwrap();
        truth.push((first.exchange, entries));
    }
    copy(live.path(), folder);
    truth
}

#[tokio::test]
async fn an_index_that_is_behind_its_segment_takes_what_is_there() {
    let folder = quick_folder();
    let before = quick_folder();
    let truth = crashed(before.path()).await;
    copy(before.path(), folder.path());
    let recovered = read_all(folder.path()).unwrap();
    assert_eq!(recovered, truth);

    // As if it had died between the two commits: the segment has them, the index doesn't.
    fs::copy(before.path().join("index.redb"), folder.path().join("index.redb")).unwrap();
    copy(&before.path().join("journal"), &folder.path().join("journal"));
    assert_eq!(read_all(folder.path()).unwrap(), truth);
    let store = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(store.verify().unwrap().exchanges, truth.len() as u64);
    sums_agree(&store);
    drop(store);

    // The power went between the two, and took what was in the journal and not synced: half of it, and all.
    for kept in [2, usize::MAX] {
        fs::copy(before.path().join("index.redb"), folder.path().join("index.redb")).unwrap();
        copy(&before.path().join("journal"), &folder.path().join("journal"));
        let (path, mut bytes) = (journal(folder.path()), fs::read(journal(before.path())).unwrap());
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[64 + used / kept..].fill(0);
        fs::write(path, bytes).unwrap();
        assert_eq!(read_all(folder.path()).unwrap(), truth);
    }
}

fn journal(folder: &Path) -> PathBuf {
    let files = journals(folder);
    assert_eq!(files.len(), 1);
    files[0].clone()
}

/// All files in the journal's folder, those kept as evidence first, the oldest first.
fn journals(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("journal")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

/// Writes bytes that are no frame behind the last one of a journal file.
fn tear(journal: &Path) {
    let mut bytes = fs::read(journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[end..end + 86].fill(0xab);
    fs::write(journal, bytes).unwrap();
}

/// Opens it for reading; gives how much was torn and how much is damaged.
fn found(folder: &Path, exchanges: usize) -> (usize, usize) {
    let store = Store::open_read_only(folder).unwrap();
    assert_eq!(store.verify().unwrap().exchanges, exchanges as u64);
    (store.recovery().torn.len(), store.recovery().damaged.len())
}

#[tokio::test]
async fn a_torn_end_is_told_once_wherever_the_next_process_dies() {
    let image = quick_folder();
    let truth = crashed(image.path()).await;
    let (whole, torn) = (quick_folder(), quick_folder());
    copy(image.path(), whole.path());
    copy(image.path(), torn.path());
    tear(&journal(torn.path()));
    let evidence = fs::read(journal(torn.path())).unwrap();
    let name = journal(torn.path()).file_name().unwrap().to_owned();

    // It opens the store, begins a journal file, and dies before it takes anything into the databases.
    let (died, live) = (quick_folder(), quick_folder());
    copy(torn.path(), live.path());
    let store = Store::open(&StoreConfig { limits: idle(), ..StoreConfig::new(live.path()) }).unwrap();
    assert_eq!((store.recovery().torn.len(), store.recovery().damaged.len()), (1, 0));
    copy(live.path(), died.path());
    drop(store);
    assert_eq!(found(died.path(), truth.len()), (0, 0));
    assert!(journals(died.path()).is_empty(), "nothing is evidence of damage");

    // It dies between the databases' commits of the position after the torn end.
    assert_eq!(found(whole.path(), truth.len()), (0, 0));
    assert_eq!(found(torn.path(), truth.len()), (1, 0));
    fs::copy(torn.path().join("segment-000001.redb"), whole.path().join("segment-000001.redb")).unwrap();
    fs::write(whole.path().join("journal").join(&name), &evidence).unwrap();
    assert_eq!(found(whole.path(), truth.len()), (1, 0));
    assert_eq!(found(whole.path(), truth.len()), (0, 0));

    // It dies before it removes the file.
    fs::write(torn.path().join("journal").join(&name), &evidence).unwrap();
    assert_eq!(found(torn.path(), truth.len()), (0, 0));
    assert!(journals(torn.path()).is_empty());
}

#[tokio::test]
async fn a_damaged_file_is_kept_once_and_what_comes_after_it_is_no_damage() {
    let image = quick_folder();
    let truth = crashed_with(image.path(), 3000).await;
    let files = journals(image.path());
    assert!(files.len() > 1, "{files:?}");
    let mut bytes = fs::read(&files[0]).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[end - 40] ^= 1;
    fs::write(&files[0], &bytes).unwrap();

    // It dies with the file under two names.
    let folder = quick_folder();
    copy(image.path(), folder.path());
    let first = &journals(folder.path())[0];
    let aside = first.with_file_name(format!("damaged-{}", first.file_name().unwrap().to_str().unwrap()));
    fs::hard_link(first, &aside).unwrap();
    {
        let store = Store::open_read_only(folder.path()).unwrap();
        assert_eq!((store.recovery().torn.len(), store.recovery().damaged.len()), (0, 1), "{:?}", store.recovery());
        check_prefixes(&store, &truth);
    }
    assert_eq!(journals(folder.path()), [aside.as_path()]);
    // It dies before it removes the name in the journal.
    fs::write(first, &bytes).unwrap();
    assert!(Store::open_read_only(folder.path()).unwrap().recovery().damaged.is_empty());
    assert_eq!(journals(folder.path()), [aside.as_path()]);
    assert_eq!(fs::read(&aside).unwrap(), bytes);

    // It dies when it is done with the first file, and with no other.
    let folder = quick_folder();
    copy(image.path(), folder.path());
    let later: Vec<_> = journals(folder.path()).split_off(1);
    let later: Vec<_> = later.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    later.iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
    let told = Store::open_read_only(folder.path()).unwrap().recovery().clone();
    assert_eq!(told.torn.len() + told.damaged.len(), 1);
    later.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
    let store = Store::open_read_only(folder.path()).unwrap();
    assert_eq!((store.recovery().torn.len(), store.recovery().damaged.len()), (0, 0), "{:?}", store.recovery());
    check_prefixes(&store, &truth);
}

/// Every exchange that can be read is right as far as it goes; gives how many entries there are in all.
fn check_prefixes(store: &Store, truth: &[(ExchangeId, Vec<Entry>)]) -> usize {
    let mut count = 0;
    for (exchange, entries) in truth {
        match store.exchange(*exchange) {
            Ok(record) => {
                let found: Vec<Entry> = record.entries.into_iter().map(|timed| timed.entry).collect();
                assert_eq!(found, entries[..found.len()]);
                count += found.len();
            }
            Err(StoreError::UnknownExchange(_) | StoreError::Corrupt { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    count
}

#[tokio::test]
async fn a_tail_torn_at_every_length_loses_only_what_was_torn() {
    let image = quick_folder();
    let truth = crashed(image.path()).await;
    let bytes = fs::read(journal(image.path())).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut least = usize::MAX;
    // The last two entries and the mark between them and the rest.
    for length in (end - 330..=end).rev() {
        let folder = quick_folder();
        copy(image.path(), folder.path());
        let mut torn = bytes[..length].to_vec();
        if length % 2 == 0 {
            torn.resize(bytes.len(), 0);
        }
        fs::write(journal(folder.path()), torn).unwrap();
        let store = Store::open_read_only(folder.path()).unwrap();
        let entries = check_prefixes(&store, &truth);
        assert!(entries <= least, "fewer bytes, more entries: {length}");
        assert!(least == usize::MAX || least - entries <= 1, "one byte less, more than one entry less: {length}");
        assert!(store.recovery().damaged.is_empty(), "{:?}", store.recovery());
        least = entries;
        if length == end {
            assert_eq!(entries, 20);
            assert!(store.recovery().torn.is_empty());
        }
    }
    assert!(least < 19);
}

#[tokio::test]
async fn a_bit_flipped_anywhere_in_the_journal_is_told() {
    let image = quick_folder();
    let truth = crashed(image.path()).await;
    let bytes = fs::read(journal(image.path())).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut damaged = 0;
    for at in (0..end).step_by(7) {
        let folder = quick_folder();
        copy(image.path(), folder.path());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(journal(folder.path()), flipped).unwrap();
        let store = Store::open_read_only(folder.path()).unwrap();
        let recovery = store.recovery();
        assert!(recovery.torn.len() + recovery.damaged.len() == 1, "byte {at}: {recovery:?}");
        check_prefixes(&store, &truth);
        if let Some(damage) = recovery.damaged.first() {
            damaged += 1;
            assert!(damage.file.file_name().unwrap().to_str().unwrap().starts_with("damaged-journal-"));
            assert!(damage.file.exists(), "it is kept");
        }
        // What can't be read whole says so.
        let whole = truth.iter().filter(|(exchange, _)| store.exchange(*exchange).is_ok()).count();
        assert!(whole >= 2, "byte {at}: more is lost than the exchange that was hit");
        let lost = recovery.damaged.len();
        assert!(lost == 0 || store.verify().is_err());
        drop(store);
        let again = Store::open_read_only(folder.path()).unwrap();
        assert!(again.recovery().damaged.is_empty(), "found once, then put aside");
        assert_eq!((again.recovery().evidence.len(), again.recovery().lost().len()), (lost, lost), "byte {at}");
        assert!(lost == 0 || again.verify().is_err(), "byte {at}: told as long as the file is there");
    }
    assert!(damaged > 50, "{damaged}: bytes that a mark attests are damage, not a torn tail");
}

/// Reads all that there is; the first error ends it.
fn read_all(folder: &Path) -> Result<Vec<(ExchangeId, Vec<Entry>)>, StoreError> {
    let store = Store::open_read_only(folder)?;
    let mut all = Vec::new();
    for summary in store.exchanges(&ExchangeFilter::default())? {
        let record = store.exchange(summary.exchange)?;
        assert_eq!(record.summary, summary);
        all.push((summary.exchange, record.entries.into_iter().map(|timed| timed.entry).collect()));
    }
    all.reverse();
    store.verify()?;
    Ok(all)
}

#[tokio::test]
async fn a_bit_flipped_anywhere_in_the_databases_is_told_or_changes_nothing() {
    let image = quick_folder();
    let mut truth = Vec::new();
    {
        let store = Store::open(&StoreConfig {
            limits: Limits { segment_bytes: 40_000, ..small() },
            ..StoreConfig::new(image.path())
        })
        .unwrap();
        for at in 0..60_u64 {
            let first = opened(SessionId::new());
            let mut tape = store.open(first.clone()).unwrap();
            let entries = [request(pattern(500, at)), chunk(1, &pattern(900, at)), closed(Outcome::Completed)];
            for entry in &entries {
                tape.append(entry.clone()).unwrap();
            }
            tape.keep(Safety::Durable).await.unwrap();
            let mut all = vec![Entry::Opened(first.clone())];
            all.extend(entries);
            truth.push((first.exchange, all));
            if at % 7 == 0 {
                store.settle().await.unwrap();
            }
        }
        store.close().await.unwrap();
    }
    assert_eq!(read_all(image.path()).unwrap(), truth);

    let folder = quick_folder();
    let mut told = 0;
    for file in ["index.redb", "segment-000001.redb", "segment-000002.redb"] {
        let pristine = fs::read(image.path().join(file)).unwrap();
        let used: Vec<usize> = (0..pristine.len()).filter(|at| pristine[*at] != 0).collect();
        for at in used.iter().step_by((used.len() / 100).max(1)) {
            // Opening may write, so each try gets fresh files.
            copy(image.path(), folder.path());
            let mut flipped = pristine.clone();
            flipped[*at] ^= 1 << (at % 8);
            fs::write(folder.path().join(file), flipped).unwrap();
            match read_all(folder.path()) {
                Ok(found) => assert!(found == truth, "{file}, byte {at}: wrong in silence"),
                Err(error) => {
                    told += 1;
                    // A list may tell of one that a search through a flipped tree does not find.
                    let lost = matches!(error, StoreError::UnknownExchange(_)) && file == "index.redb";
                    let named = error.to_string().contains(file) || error.to_string().contains("newest segment");
                    assert!(named || lost, "{file}, byte {at}: {error}");
                }
            }
        }
    }
    assert!(told > 50, "{told} of 300 flips were in bytes that matter");
}

// -------------------------------------------------------------------------------- children

/// The folder, in a child of this kind; none in the parent, where a child's test has nothing to do.
fn child(kind: &str) -> Option<PathBuf> {
    if env::var(CHILD).ok()? == kind { env::var_os(FOLDER).map(PathBuf::from) } else { None }
}

fn spawn(kind: &str, test: &str, folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, kind)
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::stdout().flush().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}
