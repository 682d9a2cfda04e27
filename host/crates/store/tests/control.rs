//! Revocations and kill -9: what was acknowledged is there, whenever the process dies.
//!
//! The binary starts itself again as the process that is killed. `PORTCULLIS_LONG=1` kills it two hundred times instead of
//! twenty.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod common;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use exchange::ports::ControlLog;
use model::{
    Caller, ControlEvent, Digest, Scope, Target, TokenId,
    control::{Lifted, Origin, Revoked, TokenExchanged, TokenIssued},
};
use store::{Durability, EventRecord, Store, StoreConfig, StoreError, check};
use tempfile::tempdir;

const FOLDER: &str = "PORTCULLIS_TEST_CONTROL_FOLDER";

fn subject(number: u64) -> Target {
    Target::Caller { issuer: "idp".into(), subject: number.to_string() }
}

fn revoked(number: u64) -> ControlEvent {
    ControlEvent::Revoked(Revoked {
        at_ms: number,
        target: subject(number),
        issued_before_ms: None,
        reason: format!("offboarded {number}"),
        by: "ann".into(),
        until_ms: None,
    })
}

fn issued(expires_ms: u64) -> ControlEvent {
    ControlEvent::TokenIssued(TokenIssued {
        at_ms: 1,
        id: TokenId::new(),
        digest: Digest([3; 32]),
        caller: Caller { subject: "ada".into(), issuer: "idp".into(), ..Caller::default() }.into(),
        scope: Scope::on(["openai"]),
        expires_ms,
        by: "grant".into(),
        certificate: None,
        proven_ms: Some(1),
    })
}

/// Revokes one caller after the other, with tokens in between that make the log turn over, and says so each time.
#[tokio::test]
async fn child_revokes() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = common::open(&folder);
    let known = store.replay().unwrap().len() as u64;
    println!("opened with {known}");
    for number in known.. {
        // Expired ones: they are left behind when the log goes on in a new file.
        let tokens = (0..50).map(|_| store.append(issued(2)));
        futures_util::future::join_all(tokens).await;
        store.append(revoked(number)).await.unwrap();
        println!("revoked {number}");
    }
}

#[test]
fn every_acknowledged_revocation_survives_kill_9() {
    let rounds = if env::var_os("PORTCULLIS_LONG").is_some() { 200 } else { 20 };
    let folder = tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_revokes", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed right after an acknowledgement, a different one each time.
        let mut left = 1 + round * 7 % 11;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            if let Some(number) = line.rsplit_once("revoked ").and_then(|(_, number)| number.parse::<u64>().ok()) {
                acknowledged = acknowledged.max(number + 1);
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open_read_only(folder.path()).unwrap();
        let mut replayed = store.replay().unwrap();
        replayed.retain(|event| matches!(event, ControlEvent::Revoked(_)));
        assert!(replayed.len() as u64 >= acknowledged, "round {round}: {} of {acknowledged}", replayed.len());
        let expected: Vec<_> = (0..replayed.len() as u64).map(revoked).collect();
        assert_eq!(replayed, expected, "round {round}");
    }
    assert!(acknowledged > rounds);
}

#[tokio::test]
async fn what_is_alive_comes_back_in_order_and_history_has_all() {
    let folder = tempdir().unwrap();
    let token = issued(u64::MAX);
    let of = issued(u64::MAX).issued().unwrap().clone();
    let origin = Origin { digest: Digest([4; 32]), twin: Some(Digest([5; 32])) };
    let exchanged = ControlEvent::TokenExchanged(Box::new(TokenExchanged { token: of, origin }));
    let said = [
        token.clone(),
        exchanged.clone(),
        revoked(1),
        revoked(2),
        ControlEvent::Lifted(Lifted { at_ms: 9, target: subject(1), reason: String::new(), by: "bob".into() }),
    ];
    {
        let store = common::open(folder.path());
        assert_eq!(store.replay().unwrap(), []);
        for event in &said {
            store.append(event.clone()).await.unwrap();
        }
        store.settle().await.unwrap();
        let mut history = store.events(None, 100).unwrap();
        history.sort_by_key(|record| record.number);
        let control = |record: &EventRecord| match &record.event {
            model::Event::Control(event) => Some(event.clone()),
            _ => None,
        };
        assert_eq!(history.iter().filter_map(control).collect::<Vec<_>>(), said);
        store.close().await.unwrap();
        assert!(store.append(revoked(3)).await.is_err(), "closed");
    }
    for _ in 0..3 {
        let store = common::open(folder.path());
        assert_eq!(store.replay().unwrap(), [token.clone(), exchanged.clone(), revoked(2)]);
    }
}

#[tokio::test]
async fn it_is_kept_whatever_the_durability_of_the_record() {
    for durability in [Durability::Bounded, Durability::Off] {
        let folder = tempdir().unwrap();
        let config = StoreConfig { durability, ..StoreConfig::new(folder.path()) };
        Store::open(&config).unwrap().append(revoked(1)).await.unwrap();
        assert_eq!(Store::open(&config).unwrap().replay().unwrap(), [revoked(1)]);
    }
}

#[tokio::test]
async fn an_event_beyond_its_bound_is_refused_and_nothing_else() {
    let folder = tempdir().unwrap();
    let store = common::open(folder.path());
    let mut long = revoked(1);
    if let ControlEvent::Revoked(revoked) = &mut long {
        revoked.reason = "x".repeat(100_000);
    }
    assert!(store.append(long).await.unwrap_err().0.contains("the log takes"));
    store.append(revoked(2)).await.unwrap();
    assert_eq!(store.replay().unwrap(), [revoked(2)]);
}

/// The one file of a control log.
fn log_of(folder: &Path) -> PathBuf {
    fs::read_dir(folder.join("control")).unwrap().next().unwrap().unwrap().path()
}

/// Bytes of a header, and of a mark.
const LEAST: usize = 64;

/// Whatever is left of the file: none, its header, its header and zeros, the mark that it was begun with, an older one.
#[tokio::test]
async fn a_log_that_lost_an_acknowledged_revocation_lets_nobody_start_but_by_order() {
    for durability in [Durability::Strict, Durability::Off] {
        let image = tempdir().unwrap();
        let config = |path: &Path| StoreConfig { durability, ..StoreConfig::new(path) };
        let older = {
            let store = Store::open(&config(image.path())).unwrap();
            store.append(revoked(1)).await.unwrap();
            store.close().await.unwrap();
            fs::read(log_of(image.path())).unwrap()
        };
        let store = Store::open(&config(image.path())).unwrap();
        store.append(revoked(2)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let whole = fs::read(log_of(image.path())).unwrap();
        let zeroed = |from: usize| [&whole[..from], &vec![0; whole.len() - from]].concat();
        let begun = {
            let fresh = tempdir().unwrap();
            drop(common::open(fresh.path()));
            fs::read(log_of(fresh.path())).unwrap()[..2 * LEAST].to_vec()
        };
        let (newest, first) =
            (log_of(image.path()).file_name().unwrap().to_owned(), "control-0000000000000000.log".into());
        let cases = [
            None,
            Some((&newest, whole[..LEAST].to_vec())),
            Some((&newest, zeroed(LEAST))),
            Some((&first, begun)),
            Some((&first, older)),
        ];
        for (case, left) in cases.into_iter().enumerate() {
            let folder = tempdir().unwrap();
            common::copy(image.path(), folder.path());
            fs::remove_file(log_of(folder.path())).unwrap();
            if let Some((name, left)) = &left {
                fs::write(folder.path().join("control").join(name), left).unwrap();
            }
            let refused = Store::open(&config(folder.path())).err().unwrap().to_string();
            assert!(refused.contains("control is damaged") || refused.contains("control-"), "{case}: {refused}");
            assert!(refused.contains("control.begin-anew"), "{case}: {refused}");
            let verified = Store::open_read_only(folder.path()).unwrap().verify();
            assert!(matches!(verified, Err(StoreError::Corrupt { .. })), "{case}: {verified:?}");
            // An older log is only told by who reads the record too.
            assert_eq!(check(folder.path()).len(), usize::from(case < 3), "{case}");

            let order = folder.path().join("control.begin-anew");
            fs::write(&order, "").unwrap();
            let store = Store::open(&config(folder.path())).unwrap();
            let known = if case == 4 { vec![revoked(1)] } else { vec![] };
            assert_eq!(store.replay().unwrap(), known, "{case}");
            store.append(revoked(3)).await.unwrap();
            store.close().await.unwrap();
            drop(store);
            assert!(!order.exists(), "{case}: it is good for one start");
            assert_eq!(
                Store::open(&config(folder.path())).unwrap().replay().unwrap(),
                [known, vec![revoked(3)]].concat()
            );
        }
    }
}
