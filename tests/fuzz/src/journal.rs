//! Files that a store finds when it opens: what a crash, a bad disk or a stranger left in its journal and in its log of
//! control events.
//!
//! An input is a list of records: a byte that says what it is, a byte for its length, its bytes. Frames get the hash that
//! they should have, so that what is behind the hash is reached too; others go in as they are.

use std::{fs, path::Path};

use store::{Store, StoreConfig};

/// See `host/docs/store.md`.
const HEADER: usize = 64;
const HASHED: usize = 32;

/// See above. Opening gives a store or says why not; what was opened once opens again, with the same in it.
pub(crate) fn run(input: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (mut journal, mut control) = (header(b"PCJRNL01"), header(b"PCCTRL01"));
    // A log of control events has a mark from the beginning.
    control.extend(frame(3, &[]));
    let mut rest = input;
    while let [kind, length, after @ ..] = rest {
        let (content, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let file = if kind & 0x80 == 0 { &mut journal } else { &mut control };
        match kind & 0x0F {
            kind @ 1..=4 => file.extend(frame(kind, content)),
            _ => file.extend_from_slice(content),
        }
    }
    for (name, bytes) in [("journal", journal), ("control", control)] {
        fs::create_dir_all(folder.path().join(name)).expect("a folder can be made");
        let path = folder.path().join(name).join(format!("{name}-{:016x}.log", 0));
        fs::write(path, bytes).expect("a file can be written");
    }
    let first = found(folder.path());
    let again = found(folder.path());
    assert!(first.is_none() || first == again, "opened with {first:?}, then with {again:?}");
}

fn header(magic: &[u8; 8]) -> Vec<u8> {
    let mut header = magic.to_vec();
    header.resize(HASHED, 0);
    let hash = blake3::hash(&header);
    header.extend_from_slice(hash.as_bytes());
    assert_eq!(header.len(), HEADER);
    header
}

/// A frame of this kind: the first bytes are its exchange and its number, the others its payload.
fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let (head, payload) = content.split_at(content.len().min(2));
    let length = u32::try_from(64 + payload.len()).unwrap_or(0);
    let mut frame = [length.to_le_bytes().as_slice(), &[1, kind, 0, 0]].concat();
    let exchange = if kind == 1 { head.first().copied().unwrap_or(0) } else { 0 };
    frame.extend_from_slice(&[exchange; 16]);
    // The last byte stands for the last number, behind which there is none.
    let number = head.get(1).map_or(0, |number| if *number == u8::MAX { u64::MAX } else { u64::from(*number) });
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(payload);
    let hash = blake3::hash(&frame);
    frame.extend_from_slice(hash.as_bytes());
    frame
}

/// What a store that opens has: how many exchanges and events; every frame of it holds what its hash says.
fn found(path: &Path) -> Option<(usize, u64)> {
    let store = Store::open(&StoreConfig::new(path)).ok()?;
    let exchanges = store.exchanges(&store::ExchangeFilter::default()).map(|all| all.len()).unwrap_or_default();
    let frames = store.verify().map_or(0, |verified| verified.exchanges);
    drop(store);
    Some((exchanges, frames))
}
