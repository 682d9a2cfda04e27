//! The entries of an exchange, page by page.
//!
//! What must hold: an entry is given only after its hash and its place were verified, and the root only when those of all
//! entries were; anything else is an error that names file, exchange and entry. What one look keeps in memory is bounded
//! by its page and its longest entry, however long the exchange is, and however well it was squeezed.

use std::{fmt, path::PathBuf, str::FromStr};

use model::{Digest, Entry, ExchangeId};
use serde::{Deserialize, Serialize};

use crate::{
    ExchangeSummary, Store, StoreError,
    frame::{self, Flaw, Frame, Kind},
    segments::Segments,
    summary::{self, Row},
};

/// Bytes of entries in one page, but for its first entry, which may be longer.
pub const PAGE_BYTES: u64 = 4 << 20;
/// Stored bytes that are read at once.
const READ_BYTES: u64 = 1 << 20;

/// An exchange with its entries, or with a page of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRecord {
    /// What is known of it in short.
    pub summary: ExchangeSummary,
    /// Its entries, in order.
    pub entries: Vec<TimedEntry>,
    /// BLAKE3 over the hashes of its frames, one after the other: what evidence of it refers to. Told with the last page.
    pub root: Option<String>,
    /// Where the next page begins; none: this is the last.
    pub next: Option<Cursor>,
}

/// An entry and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedEntry {
    /// Microseconds since the exchange was opened.
    pub at_us: u64,
    /// What happened.
    pub entry: Entry,
}

/// Where a page of an exchange begins: what is known of all that comes before. To be handed back as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cursor {
    /// Number of the first entry.
    entry: u64,
    /// Where in the exchange's frames it begins.
    offset: u64,
    /// Which of the segments that hold the exchange has it.
    part: u64,
    /// The root of the entries before.
    root: [u8; 32],
}

impl Store {
    /// An exchange with all its entries, each one verified. For one that is known to be short: they are all in memory.
    ///
    /// # Errors
    /// [`StoreError::UnknownExchange`]; [`StoreError::Corrupt`] when what is stored is not what was recorded.
    pub fn exchange(&self, exchange: ExchangeId) -> Result<ExchangeRecord, StoreError> {
        self.exchange_page(exchange, None, u64::MAX)
    }

    /// An exchange with its entries from `from` on, each one verified: at most `bytes` of them, and at least one.
    ///
    /// # Errors
    /// As [`Store::exchange`].
    pub fn exchange_page(
        &self,
        exchange: ExchangeId,
        from: Option<Cursor>,
        bytes: u64,
    ) -> Result<ExchangeRecord, StoreError> {
        let row = self.index().row(exchange)?.ok_or(StoreError::UnknownExchange(exchange))?;
        let mut page = Page {
            exchange,
            file: PathBuf::new(),
            at: from.unwrap_or_default(),
            entries: Vec::new(),
            room: bytes,
            full: false,
        };
        page.read(self.segments(), &row, self.limits().entry_bytes as u64)?;
        let (root, next) = if page.full {
            (None, Some(page.at))
        } else {
            page.agree(&row)?;
            (Some(Digest(row.root).to_string()), None)
        };
        Ok(ExchangeRecord { summary: row.told(self.run()), entries: page.entries, root, next })
    }

    /// Reads all of an exchange, and keeps nothing of it.
    pub(crate) fn verify_exchange(&self, exchange: ExchangeId) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            from = self.exchange_page(exchange, from, PAGE_BYTES)?.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

/// A page while it is read.
struct Page {
    exchange: ExchangeId,
    file: PathBuf,
    /// Behind what was taken.
    at: Cursor,
    entries: Vec<TimedEntry>,
    /// Bytes that there is room for.
    room: u64,
    /// There are more entries than there is room for.
    full: bool,
}

impl Page {
    /// Takes entries until there is no room, or no more of them. No frame is longer than `longest`.
    fn read(&mut self, segments: &Segments, row: &Row, longest: u64) -> Result<(), StoreError> {
        // Read, and not taken yet.
        let mut ahead = Vec::new();
        while let Some(segment) = self.segment(row) {
            let read = self.at.offset.saturating_add(ahead.len() as u64);
            let left = row.summary.record_bytes.saturating_sub(read);
            if left == 0 {
                break;
            }
            let place = row.place.filter(|_| self.at.part == 0);
            let (file, more) = segments.frames(segment, self.exchange, place, read, left.min(READ_BYTES))?;
            self.file = file;
            ahead.extend_from_slice(&more);
            let taken = self.take(&ahead)?;
            ahead.drain(..taken);
            if self.full {
                return Ok(());
            }
            // No frame goes on in another segment.
            if !ahead.is_empty() && (more.is_empty() || ahead.len() as u64 > longest) {
                break;
            }
            self.at.part += u64::from(more.is_empty());
        }
        if ahead.is_empty() { Ok(()) } else { Err(self.corrupt(Flaw::Short.as_str())) }
    }

    fn segment(&self, row: &Row) -> Option<u32> {
        row.segments.get(usize::try_from(self.at.part).ok()?).copied()
    }

    /// Takes the whole frames of `bytes`, as far as there is room; tells how many bytes these are.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, StoreError> {
        let mut taken = 0;
        loop {
            let frame = match frame::read(&bytes[taken..]) {
                Ok(frame) => frame,
                Err(Flaw::Short) => return Ok(taken),
                Err(flaw) => return Err(self.corrupt(flaw.as_str())),
            };
            let whole = frame.whole_bytes();
            if whole > self.room && !self.entries.is_empty() {
                self.full = true;
                return Ok(taken);
            }
            self.take_frame(&frame)?;
            self.room = self.room.saturating_sub(whole);
            taken += frame.bytes.len();
        }
    }

    fn take_frame(&mut self, frame: &Frame<'_>) -> Result<(), StoreError> {
        if frame.kind != Kind::Entry || frame.exchange != self.exchange {
            return Err(self.corrupt("it belongs to something else"));
        }
        if frame.number != self.at.entry {
            return Err(self.corrupt(&format!("entry {} is in its place", frame.number)));
        }
        let entry: Entry = frame.decode().map_err(|error| self.corrupt(&format!("it can't be decoded: {error}")))?;
        self.at.entry += 1;
        self.at.offset += frame.bytes.len() as u64;
        self.at.root = summary::extend_root(&self.at.root, frame.hash);
        self.entries.push(TimedEntry { at_us: summary::at(&entry), entry });
        Ok(())
    }

    fn agree(&self, row: &Row) -> Result<(), StoreError> {
        if self.at.entry != row.summary.entries || self.at.offset != row.summary.record_bytes {
            return Err(self.corrupt(&format!("it is missing: the index counts {} entries", row.summary.entries)));
        }
        if self.at.root != row.root {
            return Err(self.corrupt("the hash over all entries doesn't agree with the index"));
        }
        Ok(())
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt {
            file: self.file.clone(),
            exchange: Some(self.exchange),
            entry: Some(self.at.entry),
            what: what.to_owned(),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.entry, self.offset, self.part, Digest(self.root))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('-');
            let mut number = || parts.next()?.parse::<u64>().ok();
            let (entry, offset, part) = (number()?, number()?, number()?);
            let root = parts.next()?.parse::<Digest>().ok()?.0;
            parts.next().is_none().then_some(Self { entry, offset, part, root })
        };
        parse().ok_or("it is not where a page of an exchange begins")
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
