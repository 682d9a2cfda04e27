//! Packs: exchanges that begin and end between two commits, many in one value. A value, and the page that holds it, costs the
//! ingest more than the few entries of a short exchange. Pure.
//!
//! ```text
//!  …  frames of the first exchange, of the second, …
//!  …  for each of them: [u8; 16] its id, u32 where its frames begin       all numbers little-endian
//! -4  u32 how many
//! ```
//!
//! What must hold: one exchange of a pack is found, or told to be missing, whatever the bytes of the others are.

use model::ExchangeId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of an exchange that goes into a pack at most.
pub(crate) const SHORT_BYTES: usize = 8 << 10;
/// Bytes of one of the directory's lines.
const LINE: usize = 20;
/// Bytes of the count.
const COUNT: usize = 4;

/// Where a pack holds an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Which pack.
    pub(crate) pack: PackId,
    /// Which of its exchanges.
    pub(crate) number: u32,
}

/// A pack of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PackId {
    /// Position of the journal up to which its commit went.
    pub(crate) commit: u64,
    /// Its number in the commit.
    pub(crate) number: u32,
}

/// Makes the packs of one commit.
pub(crate) struct Packer {
    commit: u64,
    /// Bytes of a pack at most.
    limit: usize,
    packs: Vec<(PackId, Vec<u8>)>,
    /// Of the pack at hand.
    frames: Vec<u8>,
    directory: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(commit: u64, limit: usize) -> Self {
        Self { commit, limit, packs: Vec::new(), frames: Vec::new(), directory: Vec::new() }
    }

    /// Takes all of an exchange.
    pub(crate) fn add(&mut self, exchange: ExchangeId, frames: &[&[u8]]) -> Place {
        let length: usize = frames.iter().map(|frames| frames.len()).sum();
        if self.frames.len() + length + self.directory.len() + LINE + COUNT > self.limit {
            self.seal();
        }
        let place = Place { pack: self.next(), number: (self.directory.len() / LINE) as u32 };
        self.directory.extend_from_slice(exchange.0.as_bytes());
        self.directory.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        frames.iter().for_each(|frames| self.frames.extend_from_slice(frames));
        place
    }

    /// The packs.
    pub(crate) fn finish(mut self) -> Vec<(PackId, Vec<u8>)> {
        self.seal();
        self.packs
    }

    fn next(&self) -> PackId {
        PackId { commit: self.commit, number: self.packs.len() as u32 }
    }

    fn seal(&mut self) {
        if self.directory.is_empty() {
            return;
        }
        let mut bytes = Vec::with_capacity(self.limit.max(self.frames.len() + self.directory.len() + COUNT));
        bytes.append(&mut self.frames);
        let count = (self.directory.len() / LINE) as u32;
        bytes.append(&mut self.directory);
        bytes.extend_from_slice(&count.to_le_bytes());
        self.packs.push((self.next(), bytes));
    }
}

/// A pack that was read.
pub(crate) struct Pack<'a> {
    frames: &'a [u8],
    directory: &'a [u8],
}

impl<'a> Pack<'a> {
    /// None where the end of the bytes is no directory.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (rest, count) = bytes.split_last_chunk::<COUNT>()?;
        let directory = (u32::from_le_bytes(*count) as usize).checked_mul(LINE)?;
        let (frames, directory) = rest.split_at_checked(rest.len().checked_sub(directory)?)?;
        Some(Self { frames, directory })
    }

    /// Whether the directory tells of all of the frames: one whose count is wrong has no line for the first of them.
    pub(crate) fn is_whole(&self) -> bool {
        self.line(0).is_some_and(|(_, begin)| begin == 0)
    }

    /// How many exchanges it holds.
    pub(crate) fn len(&self) -> usize {
        self.directory.len() / LINE
    }

    /// The exchange with this number; its frames are empty where the directory tells of no place in the pack.
    pub(crate) fn exchange(&self, number: usize) -> Option<(ExchangeId, &'a [u8])> {
        let (id, begin) = self.line(number)?;
        let end = self.line(number + 1).map_or(self.frames.len(), |(_, end)| end);
        Some((id, self.frames.get(begin..end).unwrap_or_default()))
    }

    fn line(&self, number: usize) -> Option<(ExchangeId, usize)> {
        let line = self.directory.get(number * LINE..)?;
        let (id, rest) = line.split_first_chunk::<16>()?;
        let begin = u32::from_le_bytes(*rest.first_chunk()?);
        Some((ExchangeId(Uuid::from_bytes(*id)), begin as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u128) -> ExchangeId {
        ExchangeId(Uuid::from_u128(number))
    }

    proptest! {
        /// Whatever is packed is found where `add` said.
        #[test]
        fn each_exchange_is_found(all in prop::collection::vec((any::<u128>(), prop::collection::vec(any::<u8>(), 1..200)), 0..40)) {
            let mut packer = Packer::new(7, 600);
            let places: Vec<Place> = all
                .iter()
                .map(|(exchange, frames)| {
                    let (front, back) = frames.split_at(frames.len() / 2);
                    packer.add(id(*exchange), &[front, back])
                })
                .collect();
            let packs = packer.finish();
            prop_assert!(packs.iter().all(|(_, pack)| pack.len() <= 600));
            let count: usize = packs.iter().map(|(_, pack)| Pack::read(pack).unwrap().len()).sum();
            prop_assert_eq!(count, all.len());
            for (place, (exchange, frames)) in places.iter().zip(&all) {
                let (_, pack) = packs.iter().find(|(pack, _)| *pack == place.pack).unwrap();
                let found = Pack::read(pack).unwrap().exchange(place.number as usize);
                prop_assert_eq!(found, Some((id(*exchange), frames.as_slice())));
            }
        }

        #[test]
        fn nothing_makes_reading_panic(bytes: Vec<u8>, count in 0_u32..30, number in 0_usize..40) {
            let mut bytes = bytes;
            bytes.extend_from_slice(&count.to_le_bytes());
            if let Some(pack) = Pack::read(&bytes) {
                pack.exchange(number);
            }
        }
    }

    #[test]
    fn a_flipped_bit_of_the_count_is_told() {
        let mut packer = Packer::new(7, 4000);
        for number in 1..=5_u8 {
            packer.add(id(number.into()), &[&[number; 70]]);
        }
        let (_, pack) = packer.finish().remove(0);
        assert!(Pack::read(&pack).unwrap().is_whole());
        for bit in 0..COUNT * 8 {
            let mut flipped = pack.clone();
            let at = pack.len() - COUNT + bit / 8;
            flipped[at] ^= 1 << (bit % 8);
            assert!(!Pack::read(&flipped).is_some_and(|pack| pack.is_whole()), "bit {bit}");
        }
    }

    #[test]
    fn one_longer_than_a_pack_has_its_own() {
        let mut packer = Packer::new(7, 100);
        let long = [1; 300];
        let places = [&[0; 10][..], &long, &[2; 10]].map(|frames| packer.add(id(1), &[frames]));
        assert_eq!(places.map(|place| place.pack.number), [0, 1, 2]);
        let packs = packer.finish();
        assert_eq!(Pack::read(&packs[1].1).unwrap().exchange(0), Some((id(1), &long[..])));
    }
}
