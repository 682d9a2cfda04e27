//! The frame: how one entry looks on disk, in the journal and in the segments alike. Pure.
//!
//! ```text
//!  0  u32       length of the whole frame          all numbers little-endian
//!  4  u8        version: 1, or 2 for an entry whose payload is squeezed
//!  5  u8        kind: 1 entry, 2 event, 3 mark, 4 control
//!  6  u16       zero
//!  8  [u8; 16]  exchange; zero unless it is an entry
//! 24  u64       entry: its number in the exchange; event: its number in the store; control: its number in the log; mark: what is durable
//! 32  …         payload: postcard; empty for marks; squeezed: u32 its length, then one LZ4 block
//!  …  [u8; 32]  BLAKE3 of everything before
//! ```
//!
//! What must hold: [`read`] gives back only bytes whose hash agrees, and never panics whatever it is given. The hash is over
//! the bytes as they are stored, so that what is squeezed need not be made whole to be verified.

use std::{borrow::Cow, cell::RefCell};

use lz4_flex::block::{self, CompressTable};
use model::ExchangeId;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

const PLAIN: u8 = 1;
const SQUEEZED: u8 = 2;
/// Where a frame has its version.
const VERSION_AT: usize = 4;
const HEAD: usize = 32;
const HASH: usize = 32;

/// Bytes of a payload that is squeezed: a shorter one gains little, and a longer one would keep its thread for too long.
const SQUEEZABLE: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;
/// Bytes of the length before a block.
const LENGTH: usize = 4;

thread_local! {
    /// What squeezes the payloads of this thread that are shorter than 64 KiB: what it takes for one is used again.
    static SQUEEZER: RefCell<Squeezer> = RefCell::default();
}

/// Bytes of a frame with an empty payload: no frame is shorter.
pub(crate) const LEAST: usize = HEAD + HASH;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `model::Entry`.
    Entry,
    /// A `model::Event`.
    Event,
    /// Nothing but the position up to which the journal was durable when the mark was made; in the control log the number of
    /// the first event that was not.
    Mark,
    /// A `model::ControlEvent`; only in the control log.
    Control,
}

/// One frame, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whose it is; the nil id unless it is an entry.
    pub(crate) exchange: ExchangeId,
    /// Its number.
    pub(crate) number: u64,
    /// The content, as it is stored.
    payload: &'a [u8],
    squeezed: bool,
    /// Its hash.
    pub(crate) hash: &'a [u8; HASH],
    /// All of it.
    pub(crate) bytes: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the frame as it would be if nothing was squeezed: as it claims, which only [`Frame::decode`] verifies.
    pub(crate) fn whole_bytes(&self) -> u64 {
        match self.payload.first_chunk::<LENGTH>() {
            Some(length) if self.squeezed => LEAST as u64 + u64::from(u32::from_le_bytes(*length)),
            _ => self.bytes.len() as u64,
        }
    }

    /// What was written.
    ///
    /// # Errors
    /// What is wrong with the payload, for messages.
    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        let payload = if self.squeezed { Cow::Owned(expand(self.payload)?) } else { Cow::Borrowed(self.payload) };
        postcard::from_bytes(&payload).map_err(|error| error.to_string())
    }
}

/// Why no frame begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The bytes end inside the frame.
    Short,
    /// The head is not one.
    Head,
    /// The hash doesn't agree.
    Hash,
}

impl Flaw {
    /// For messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Short => "it ends too early",
            Self::Head => "its head is not one",
            Self::Hash => "its hash doesn't agree",
        }
    }
}

/// Appends a frame to `out`.
///
/// # Errors
/// When the payload can't be encoded or the frame is longer than a length can tell; what `out` holds is then lost.
pub(crate) fn write(
    out: &mut Vec<u8>,
    kind: Kind,
    exchange: ExchangeId,
    number: u64,
    payload: &impl Serialize,
) -> Result<(), postcard::Error> {
    let start = out.len();
    begin(out, kind, exchange, number);
    *out = postcard::to_extend(payload, std::mem::take(out))?;
    if kind == Kind::Entry {
        squeeze(out, start);
    }
    finish(out, start).ok_or(postcard::Error::SerializeBufferFull)
}

/// Squeezes the payload of the frame that begins at `start`, where that is worth it.
fn squeeze(out: &mut Vec<u8>, start: usize) {
    let payload = start + HEAD;
    let length = out.len() - payload;
    if !SQUEEZABLE.contains(&length) {
        return;
    }
    if length >= usize::from(u16::MAX) {
        let block = block::compress(&out[payload..]);
        return put(out, start, &block);
    }
    SQUEEZER.with_borrow_mut(|squeezer| {
        if let Some(block) = squeezer.squeeze(&out[payload..]) {
            put(out, start, block);
        }
    });
}

/// Puts a block into the place of the payload of which it was made, where that is worth it.
fn put(out: &mut Vec<u8>, start: usize, block: &[u8]) {
    let payload = start + HEAD;
    let length = out.len() - payload;
    // Reading it costs too: an eighth at least must be gained.
    if LENGTH + block.len() > length - length / 8 {
        return;
    }
    out.truncate(payload);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(block);
    out[start + VERSION_AT] = SQUEEZED;
}

/// What squeezing works with.
#[derive(Default)]
struct Squeezer {
    table: CompressTable,
    /// Room for a block.
    block: Vec<u8>,
}

impl Squeezer {
    /// One LZ4 block of a payload that is shorter than 64 KiB.
    fn squeeze(&mut self, payload: &[u8]) -> Option<&[u8]> {
        let room = block::get_maximum_output_size(payload.len());
        if self.block.len() < room {
            self.block.resize(room, 0);
        }
        // There is always room; if there were none, the payload would stay as it is.
        let length = block::compress_into_with_table(payload, &mut self.block, &mut self.table).ok()?;
        self.block.get(..length)
    }
}

fn expand(payload: &[u8]) -> Result<Vec<u8>, String> {
    let (length, block) = payload.split_first_chunk::<LENGTH>().ok_or("it has no length")?;
    let length = u32::from_le_bytes(*length) as usize;
    // More was never squeezed: nobody makes room for what a length merely says.
    if length > *SQUEEZABLE.end() {
        return Err(format!("it claims {length} bytes"));
    }
    let whole = block::decompress(block, length).map_err(|error| error.to_string())?;
    if whole.len() == length { Ok(whole) } else { Err(format!("it has {} bytes and claims {length}", whole.len())) }
}

/// Appends a mark: everything before `durable` was on the disk when it was made.
pub(crate) fn write_mark(out: &mut Vec<u8>, durable: u64) {
    let start = out.len();
    begin(out, Kind::Mark, ExchangeId(Uuid::nil()), durable);
    let fits = finish(out, start);
    debug_assert!(fits.is_some(), "a mark has the least length");
}

fn begin(out: &mut Vec<u8>, kind: Kind, exchange: ExchangeId, number: u64) {
    let kind = match kind {
        Kind::Entry => 1,
        Kind::Event => 2,
        Kind::Mark => 3,
        Kind::Control => 4,
    };
    out.extend_from_slice(&[0, 0, 0, 0, PLAIN, kind, 0, 0]);
    out.extend_from_slice(exchange.0.as_bytes());
    out.extend_from_slice(&number.to_le_bytes());
}

fn finish(out: &mut Vec<u8>, start: usize) -> Option<()> {
    let length = u32::try_from(out.len() - start + HASH).ok()?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let hash = blake3::hash(&out[start..]);
    out.extend_from_slice(hash.as_bytes());
    Some(())
}

/// The frame at the beginning of `bytes`, its hash verified.
///
/// # Errors
/// [`Flaw`] when there is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Frame<'_>, Flaw> {
    let frame = peek(bytes)?;
    let hashed = &frame.bytes[..frame.bytes.len() - HASH];
    if blake3::hash(hashed) != *frame.hash {
        return Err(Flaw::Hash);
    }
    Ok(frame)
}

/// The frame at the beginning of `bytes`, its hash not verified: only for bytes that never left this process.
///
/// # Errors
/// [`Flaw`] when there is none.
pub(crate) fn peek(bytes: &[u8]) -> Result<Frame<'_>, Flaw> {
    let head: &[u8; HEAD] = bytes.first_chunk().ok_or(Flaw::Short)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let squeezed = head[VERSION_AT] == SQUEEZED;
    let kind = match (head[VERSION_AT], head[5], head[6], head[7]) {
        (PLAIN | SQUEEZED, 1, 0, 0) => Kind::Entry,
        (PLAIN, 2, 0, 0) => Kind::Event,
        (PLAIN, 3, 0, 0) => Kind::Mark,
        (PLAIN, 4, 0, 0) => Kind::Control,
        _ => return Err(Flaw::Head),
    };
    if length < LEAST {
        return Err(Flaw::Head);
    }
    let bytes = bytes.get(..length).ok_or(Flaw::Short)?;
    let (rest, hash) = bytes.split_last_chunk().ok_or(Flaw::Short)?;
    let mut id = [0; 16];
    id.copy_from_slice(&head[8..24]);
    let mut number = [0; 8];
    number.copy_from_slice(&head[24..32]);
    Ok(Frame {
        kind,
        exchange: ExchangeId(Uuid::from_bytes(id)),
        number: u64::from_le_bytes(number),
        payload: &rest[HEAD..],
        squeezed,
        hash,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write(&mut out, Kind::Entry, ExchangeId(Uuid::from_u128(77)), number, &payload).unwrap();
        out.split_off(6)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, id: u128, payload: Vec<u8>, event: bool, after: Vec<u8>) {
            let kind = if event { Kind::Event } else { Kind::Entry };
            let exchange = ExchangeId(Uuid::from_u128(id));
            let mut bytes = Vec::new();
            write(&mut bytes, kind, exchange, number, &payload).unwrap();
            let length = bytes.len();
            bytes.extend_from_slice(&after);
            let frame = read(&bytes).unwrap();
            prop_assert_eq!((frame.kind, frame.exchange, frame.number), (kind, exchange, number));
            prop_assert_eq!(frame.decode::<Vec<u8>>().unwrap(), payload);
            prop_assert_eq!(frame.bytes.len(), length);
        }

        /// What repeats itself is squeezed, what does not stays as it is; both are read, and a flipped bit of either is told.
        #[test]
        fn what_is_squeezed_is_read(unit in prop::collection::vec(any::<u8>(), 1..3000), times in 1_usize..200, bit: prop::sample::Index) {
            let payload = unit.repeat(times);
            let mut bytes = entry(3, &payload);
            let frame = read(&bytes).unwrap();
            prop_assert_eq!(frame.decode::<Vec<u8>>().unwrap(), payload.clone());
            prop_assert!(frame.bytes.len() <= LEAST + payload.len() + 4);
            if times > 7 && SQUEEZABLE.contains(&payload.len()) {
                prop_assert!(frame.bytes.len() < payload.len() / 2 + LEAST, "{} of {}", frame.bytes.len(), payload.len());
            }
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&bytes).is_err());
        }

        /// Behind a good hash too: whoever can write the files can make one.
        #[test]
        fn nothing_makes_decoding_panic(length in 0_u32..3 << 20, block in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            begin(&mut bytes, Kind::Entry, ExchangeId(Uuid::nil()), 0);
            bytes[VERSION_AT] = SQUEEZED;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&block);
            finish(&mut bytes, 0).unwrap();
            let told = read(&bytes).unwrap().decode::<Vec<u8>>();
            prop_assert!(length as usize <= *SQUEEZABLE.end() || told.unwrap_err().contains("it claims"));
        }

        #[test]
        fn nothing_makes_reading_panic(bytes: Vec<u8>) {
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn a_plausible_head_makes_no_frame(length in 0_u32..200, version in 0_u8..4, kind in 0_u8..5, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend_from_slice(&[version, kind, 0, 0]);
            bytes.extend_from_slice(&rest);
            prop_assert!(read(&bytes).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = entry(3, b"some words of a prompt");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_shorter_length_is_noticed() {
        let bytes = entry(3, b"some words of a prompt");
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]).unwrap_err(), Flaw::Short, "length {length}");
        }
    }

    #[test]
    fn only_entries_are_squeezed() {
        for (kind, squeezed) in [(Kind::Entry, true), (Kind::Event, false), (Kind::Control, false)] {
            let mut bytes = Vec::new();
            write(&mut bytes, kind, ExchangeId(Uuid::nil()), 0, &vec![7_u8; 5000]).unwrap();
            assert_eq!(read(&bytes).unwrap().decode::<Vec<u8>>().unwrap(), vec![7; 5000], "{kind:?}");
            assert_eq!((bytes.len() < 500, bytes[VERSION_AT] == SQUEEZED), (squeezed, squeezed), "{kind:?}");
            bytes[VERSION_AT] = SQUEEZED;
            assert_eq!(peek(&bytes).is_ok(), squeezed, "{kind:?}");
        }
    }

    #[test]
    fn a_mark_tells_its_position() {
        let mut bytes = Vec::new();
        write_mark(&mut bytes, 12345);
        assert_eq!(bytes.len(), LEAST);
        let frame = read(&bytes).unwrap();
        assert_eq!((frame.kind, frame.number), (Kind::Mark, 12345));
    }
}
