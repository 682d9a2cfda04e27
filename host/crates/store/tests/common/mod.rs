//! Exchanges to record in tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use model::{
    Attribute, Caller, Channel, Digest, Direction, Entry, Event, ExchangeId, Generation, Outcome, PartId, SessionId,
    Usage,
    record::{Chunk, Closed, EditRecord, Judged, JudgedVerdict, Opened, Request, ResponseHead, SetRef},
};
use store::{ExchangeSummary, Limits, SessionFilter, Store, StoreConfig};

pub(crate) fn open(path: &Path) -> Arc<Store> {
    Store::open(&StoreConfig::new(path)).unwrap()
}

/// A folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        if file.path().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

/// Limits that bring every rotation within reach of a small test.
pub(crate) fn small() -> Limits {
    Limits {
        journal_bytes: 64 << 10,
        segment_bytes: 128 << 10,
        commit_interval: Duration::from_millis(5),
        commit_bytes: 32 << 10,
        rows_in_memory: 3,
        cache_bytes: 4 << 20,
        sealed_open: 2,
        ..Limits::default()
    }
}

pub(crate) fn opened(session: SessionId) -> Opened {
    Opened {
        exchange: ExchangeId::new(),
        session,
        at_ms: 1_700_000_000_000,
        caller: Caller {
            subject: "ada".into(),
            issuer: "token".into(),
            groups: vec!["staff".into()],
            claims: "{}".into(),
        }
        .into(),
        connection: "openai".into(),
        dialect: "openai-chat".into(),
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        headers: vec![Attribute { name: "accept".into(), value: "*/*".into() }],
        set: SetRef { generation: Generation(3), digest: Digest([9; 32]) },
    }
}

pub(crate) fn request(body: Vec<u8>) -> Entry {
    Entry::Request(Request { at: 120, model: "gpt".into(), streaming: true, body, forwarded: true })
}

pub(crate) fn masked() -> Entry {
    Entry::Judged(Judged {
        at: 200,
        policy: "mask".into(),
        digest: Digest([4; 32]),
        generation: Generation(3),
        direction: Direction::Response,
        hook: "on-text".into(),
        part: Some((PartId(0), Channel::Content)),
        verdict: JudgedVerdict::Allow,
        edits: vec![EditRecord { start: 3, end: 14, by: "[SSN_1]".into(), reason: "pii.ssn".into(), was: [1; 16] }],
        notes: vec![],
        shadow: false,
    })
}

pub(crate) fn head() -> Entry {
    Entry::ResponseHead(ResponseHead { at: 300, status: 200, headers: vec![] })
}

pub(crate) fn chunk(at: u64, data: &[u8]) -> Entry {
    Entry::Chunk(Chunk { at, data: data.to_vec() })
}

pub(crate) fn closed(outcome: Outcome) -> Entry {
    Entry::Closed(Closed {
        at: 900,
        outcome,
        detail: "as it should".into(),
        usage: Usage { input_tokens: 5, output_tokens: 7 },
        policies: vec![],
    })
}

/// Checks that every session's sums are those of its exchanges.
pub(crate) fn sums_agree(store: &Store) {
    for told in store.sessions(&SessionFilter::default()).unwrap() {
        let all = store.session_page(told.session, None, 0).unwrap().exchanges;
        let count = |counts: &dyn Fn(&ExchangeSummary) -> bool| all.iter().filter(|one| counts(one)).count() as u64;
        let sum = |of: &dyn Fn(&ExchangeSummary) -> u64| all.iter().map(of).sum::<u64>();
        let mut expected = told.clone();
        expected.started_ms = all.iter().map(|one| one.started_ms).min().unwrap();
        expected.last_ms = all.iter().map(|one| one.started_ms + one.duration_us / 1000).max().unwrap();
        expected.exchanges = all.len() as u64;
        expected.closed = count(&|one| one.outcome.is_some());
        expected.completed = count(&|one| one.outcome == Some(Outcome::Completed));
        expected.blocked = count(&|one| one.outcome == Some(Outcome::Blocked));
        expected.masked = count(&|one| one.masked > 0);
        expected.asked = count(&|one| one.asked > 0);
        expected.request_bytes = sum(&|one| one.request_bytes);
        expected.response_bytes = sum(&|one| one.response_bytes);
        expected.input_tokens = sum(&|one| u64::from(one.usage.input_tokens));
        expected.output_tokens = sum(&|one| u64::from(one.usage.output_tokens));
        assert_eq!(told, expected);
    }
}

pub(crate) fn started(at_ms: u64) -> Event {
    Event::Started { at_ms, version: "0.1.0".into() }
}

/// Bytes that differ at every place, so that no mix-up goes unseen.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let noise = |at: u64| {
        let mixed = at.wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 32)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
    };
    (0..length as u64).map(noise).collect()
}
