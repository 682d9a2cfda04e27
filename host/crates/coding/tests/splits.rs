//! The output does not depend on where the network cut the input, nor on how much is pulled at a time; and no bytes make
//! a decoder panic or run for ever.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use coding::Limits;
use proptest::prelude::*;
use support::{ALL, Pack, cut, unpack, unpacked};

fn packs() -> impl Strategy<Value = Vec<Pack>> {
    prop::collection::vec(prop::sample::select(&ALL[..]), 1..=coding::MOST_CODINGS)
}

fn header(packs: &[Pack]) -> String {
    packs.iter().map(|pack| pack.name()).collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn a_split_changes_nothing(
        message in prop::collection::vec(any::<u8>(), 0..2000),
        repeated in 1usize..8,
        packs in packs(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        room in 1usize..3000,
    ) {
        let message = message.repeat(repeated);
        let packed = packs.iter().fold(message.clone(), |message, pack| pack.whole(&message));
        let pieces = cut(&packed, &cuts);
        prop_assert_eq!(unpack(&header(&packs), &pieces, Limits::default(), room), Ok(message));
    }

    #[test]
    fn a_fault_is_one_wherever_it_is_split(
        message in "[a-z ]{0,400}",
        packs in packs(),
        at in any::<usize>(),
        flip in 1u8..=255,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut packed = packs.iter().fold(message.into_bytes(), |message, pack| pack.whole(&message));
        let at = at % packed.len();
        packed[at] ^= flip;
        let whole = unpacked(&header(&packs), &packed);
        let split = unpack(&header(&packs), &cut(&packed, &cuts), Limits::default(), 100);
        // Which of two faults is met first may depend on the cut; whether there is one may not.
        prop_assert_eq!(whole.ok(), split.ok());
    }

    #[test]
    fn any_bytes_come_to_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        packs in packs(),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let limits = Limits { decode_bytes: 1 << 20, ..Limits::default() };
        let whole = unpack(&header(&packs), &[&bytes], limits, 4096);
        let split = unpack(&header(&packs), &cut(&bytes, &cuts), limits, 77);
        prop_assert_eq!(whole.ok(), split.ok());
    }
}

#[test]
fn every_single_split() {
    let message = b"data: {\"content\":\"078-05-1120\"}\n\n".repeat(3);
    for pack in ALL {
        let packed = pack.whole(&message);
        for at in 0..=packed.len() {
            let pieces = [&packed[..at], &packed[at..]];
            assert_eq!(unpack(pack.name(), &pieces, Limits::default(), 7), Ok(message.clone()), "{pack:?} at {at}");
        }
        let bytes: Vec<&[u8]> = packed.chunks(1).collect();
        assert_eq!(unpack(pack.name(), &bytes, Limits::default(), 1), Ok(message.clone()), "{pack:?} byte by byte");
    }
}
