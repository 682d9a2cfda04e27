//! What a segment keeps of itself: where it begins, how far it is, and how far the logs beside it were with its last commit.
//!
//! Each value lies sealed under its key. Those that came later are missing in files of before: nothing follows from that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    StoreError,
    database::{Db, Fault},
    seal,
};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
/// The format, in the table `META`.
const FORMAT_KEY: &str = "format";
/// Keys of the table `STATE`.
const FILL: &str = "fill";
const BEGIN: &str = "begin";
const CONTROL: &str = "control";
const JOURNAL: &str = "journal";
/// Segments of format 1 have no packs, those of format 2 no squeezed frames.
pub(crate) const FORMAT: u64 = 3;
/// The oldest format that is read; nothing is written to one before this.
const OLDEST_FORMAT: u64 = 1;
/// In the place of a position: no journal file need be there.
const NO_JOURNAL: u64 = u64::MAX;

/// How far the segments are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fill {
    /// Position of the journal up to which everything is stored.
    pub(crate) ingested: u64,
    /// Bytes of frames in the segment being written.
    pub(crate) bytes: u64,
}

/// What the segments know of the logs beside them. Each commit keeps it, so that a log that lost its end, or is an older one,
/// or is not there, is told.
#[derive(Clone)]
pub(crate) struct Known {
    /// Number of the next event of the control log, as far as it is durable.
    pub(crate) control: Arc<AtomicU64>,
    journal: Arc<AtomicU64>,
}

impl Default for Known {
    fn default() -> Self {
        Self { control: Arc::default(), journal: Arc::new(NO_JOURNAL.into()) }
    }
}

impl Known {
    /// A journal file that begins at `position` is there; those before it may go.
    pub(crate) fn journal_begins(&self, position: u64) {
        self.journal.store(position, Ordering::Relaxed);
    }

    /// No journal file need be there any more.
    pub(crate) fn journal_ends(&self) {
        self.journal.store(NO_JOURNAL, Ordering::Relaxed);
    }

    /// Where the newest journal file begins that must be there.
    pub(crate) fn journal(&self) -> Option<u64> {
        Some(self.journal.load(Ordering::Relaxed)).filter(|begin| *begin != NO_JOURNAL)
    }

    /// Keeps it with what else a transaction does.
    pub(crate) fn keep(&self, transaction: &WriteTransaction) -> Result<(), Fault> {
        put(transaction, CONTROL, &self.control.load(Ordering::Relaxed))?;
        put(transaction, JOURNAL, &self.journal.load(Ordering::Relaxed))
    }
}

/// All that a segment keeps of itself.
pub(crate) struct State {
    pub(crate) format: u64,
    pub(crate) fill: Fill,
    /// Position of the journal at which it begins: where the one before it ends. None: the file was made before that was kept.
    pub(crate) begin: Option<u64>,
    pub(crate) known: Known,
}

/// Begins a segment where the one before it ends.
pub(crate) fn begin(transaction: &WriteTransaction, position: u64, known: &Known) -> Result<(), Fault> {
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    put(transaction, BEGIN, &position)?;
    advance(transaction, Fill { ingested: position, bytes: 0 }, known)
}

/// Keeps how far a segment is after a commit.
pub(crate) fn advance(transaction: &WriteTransaction, fill: Fill, known: &Known) -> Result<(), Fault> {
    put(transaction, FILL, &fill)?;
    known.keep(transaction)
}

/// Reads what a segment keeps of itself.
pub(crate) fn read(segment: &Db) -> Result<State, StoreError> {
    segment.read(|transaction| {
        let format = transaction.open_table(META)?.get(FORMAT_KEY)?.map_or(0, |format| format.value());
        if !(OLDEST_FORMAT..=FORMAT).contains(&format) {
            return Err(StoreError::Format { path: segment.path().to_owned(), found: format, known: FORMAT }.into());
        }
        let states = transaction.open_table(STATE)?;
        let fill = get(&states, segment, FILL)?.ok_or_else(|| disagrees(segment))?;
        let begin = get(&states, segment, BEGIN)?;
        let control: u64 = get(&states, segment, CONTROL)?.unwrap_or(0);
        let journal: u64 = get(&states, segment, JOURNAL)?.unwrap_or(NO_JOURNAL);
        let known = Known { control: Arc::new(control.into()), journal: Arc::new(journal.into()) };
        Ok(State { format, fill, begin, known })
    })
}

fn get<T: DeserializeOwned>(
    states: &impl ReadableTable<&'static str, &'static [u8]>,
    segment: &Db,
    key: &'static str,
) -> Result<Option<T>, Fault> {
    let Some(state) = states.get(key)? else { return Ok(None) };
    let state = seal::unseal(key.as_bytes(), state.value());
    Ok(Some(state.ok_or_else(|| disagrees(segment))?))
}

fn disagrees(segment: &Db) -> StoreError {
    let what = "the hash of its own state doesn't agree".to_owned();
    StoreError::Corrupt { file: segment.path().to_owned(), exchange: None, entry: None, what }
}

fn put(transaction: &WriteTransaction, key: &str, state: &impl Serialize) -> Result<(), Fault> {
    let state = seal::seal(key.as_bytes(), state).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
    transaction.open_table(STATE)?.insert(key, state.as_slice())?;
    Ok(())
}
