//! The index: what is known of exchanges and sessions without reading their entries, and the control events.
//!
//! Every value carries a hash over its key and itself, verified on every read. Everything here can be made again from
//! the segments.

use std::{fs, io, ops::Bound, path::Path};

use model::{ExchangeId, SessionId};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    StoreError,
    database::{Db, Fault},
    seal,
    summary::{Row, SessionSummary},
};

const EXCHANGES: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("exchanges");
const SESSIONS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("sessions");
/// Session, then exchange.
const SESSION_EXCHANGES: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("session-exchanges");
/// Frames, by their number.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
/// The one key of the table `STATE`.
const SELF: &str = "index";
/// Those of format 1 know no packs; those of format 2 have sums of sessions without exchanges that did not end.
const FORMAT: u64 = 3;
/// Its file in the store's folder.
pub(crate) const FILE: &str = "index.redb";

/// The index database.
pub(crate) struct Index {
    db: Db,
}

/// How far the index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Position of the journal up to which everything is in the index.
    pub(crate) ingested: u64,
    /// How often the store was opened for recording.
    pub(crate) run: u64,
    /// The number of the next event.
    pub(crate) next_event: u64,
    /// How many exchanges there are: a list that has lost some can't agree with it.
    pub(crate) exchanges: u64,
}

/// What one commit changes.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    pub(crate) rows: Vec<&'a Row>,
    pub(crate) sessions: Vec<&'a SessionSummary>,
    pub(crate) began: Vec<(SessionId, ExchangeId)>,
    pub(crate) events: &'a [(u64, Vec<u8>)],
    pub(crate) meta: Meta,
}

impl Index {
    /// Whether a file is an index of an older format, which is made again from the segments.
    pub(crate) fn is_older(file: &Path, cache_bytes: usize) -> Result<bool, StoreError> {
        let found = Db::open(file, cache_bytes)?.read(format)?;
        Ok((1..FORMAT).contains(&found))
    }

    /// Looks whether a file could be opened as a host does that starts, and changes nothing.
    pub(crate) fn check(file: &Path, cache_bytes: usize) -> Result<(), StoreError> {
        let Some(db) = Db::look_at(file, cache_bytes)? else { return Ok(()) };
        let index = Self { db };
        if !(1..FORMAT).contains(&index.db.read(format)?) {
            index.meta()?;
        }
        Ok(())
    }

    /// Opens the index; makes it where it is missing.
    pub(crate) fn open(file: &Path, cache_bytes: usize) -> Result<(Self, Meta), StoreError> {
        let index = Self { db: Db::open(file, cache_bytes)? };
        index.db.write(|transaction| {
            transaction.open_table(EXCHANGES)?;
            transaction.open_table(SESSIONS)?;
            transaction.open_table(SESSION_EXCHANGES)?;
            transaction.open_table(EVENTS)?;
            let mut meta = transaction.open_table(META)?;
            if meta.get("format")?.is_none() {
                meta.insert("format", FORMAT)?;
                let state = index.seal(SELF.as_bytes(), &Meta::default())?;
                transaction.open_table(STATE)?.insert(SELF, state.as_slice())?;
            }
            Ok(())
        })?;
        let meta = index.meta()?;
        Ok((index, meta))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.db.path()
    }

    /// How far it is.
    pub(crate) fn meta(&self) -> Result<Meta, StoreError> {
        self.db.read(|transaction| {
            let found = format(transaction)?;
            if found != FORMAT {
                return Err(StoreError::Format { path: self.path().to_owned(), found, known: FORMAT }.into());
            }
            let state = transaction.open_table(STATE)?.get(SELF)?;
            let state = state.and_then(|state| seal::unseal(SELF.as_bytes(), state.value()));
            Ok(state.ok_or_else(|| self.corrupt(None, "the hash of its own state doesn't agree"))?)
        })
    }

    /// Writes changes in one transaction.
    pub(crate) fn store(&self, changes: &Changes<'_>) -> Result<(), StoreError> {
        self.db.write(|transaction| {
            let mut exchanges = transaction.open_table(EXCHANGES)?;
            for row in &changes.rows {
                let key = row.summary.exchange.0.as_bytes();
                exchanges.insert(key, self.seal(key, row)?.as_slice())?;
            }
            let mut sessions = transaction.open_table(SESSIONS)?;
            for session in &changes.sessions {
                let key = session.session.0.as_bytes();
                sessions.insert(key, self.seal(key, session)?.as_slice())?;
            }
            let mut began = transaction.open_table(SESSION_EXCHANGES)?;
            for (session, exchange) in &changes.began {
                began.insert(&pair(*session, *exchange), ())?;
            }
            let mut events = transaction.open_table(EVENTS)?;
            for (number, frame) in changes.events {
                events.insert(number, frame.as_slice())?;
            }
            let state = self.seal(SELF.as_bytes(), &changes.meta)?;
            transaction.open_table(STATE)?.insert(SELF, state.as_slice())?;
            Ok(())
        })
    }

    /// The row of an exchange.
    pub(crate) fn row(&self, exchange: ExchangeId) -> Result<Option<Row>, StoreError> {
        self.db.read(|transaction| {
            let key = exchange.0.as_bytes();
            let value = transaction.open_table(EXCHANGES)?.get(key)?;
            value.map(|value| self.unseal(key, value.value())).transpose()
        })
    }

    /// One session.
    pub(crate) fn session(&self, session: SessionId) -> Result<Option<SessionSummary>, StoreError> {
        self.db.read(|transaction| {
            let key = session.0.as_bytes();
            let value = transaction.open_table(SESSIONS)?.get(key)?;
            value.map(|value| self.unseal(key, value.value())).transpose()
        })
    }

    /// Shows every exchange before `before`, the newest first, until `visit` says stop.
    pub(crate) fn exchanges(
        &self,
        before: Option<ExchangeId>,
        mut visit: impl FnMut(Row) -> Next,
    ) -> Result<(), StoreError> {
        self.db.read(|transaction| {
            let table = transaction.open_table(EXCHANGES)?;
            let before = before.map_or([0xff; 16], |before| *before.0.as_bytes());
            for value in table.range::<&[u8; 16]>(..&before)?.rev() {
                let (key, value) = value?;
                if visit(self.unseal(key.value(), value.value())?) == Next::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Shows every exchange of a session before `before`, the newest first, until `visit` says stop.
    pub(crate) fn session_exchanges(
        &self,
        session: SessionId,
        before: Option<ExchangeId>,
        mut visit: impl FnMut(Row) -> Next,
    ) -> Result<(), StoreError> {
        self.db.read(|transaction| {
            let table = transaction.open_table(SESSION_EXCHANGES)?;
            let rows = transaction.open_table(EXCHANGES)?;
            let first = pair(session, ExchangeId(uuid::Uuid::nil()));
            let last = pair(session, before.unwrap_or(ExchangeId(uuid::Uuid::max())));
            for value in table.range::<&[u8; 32]>(&first..&last)?.rev() {
                if visit(self.row_of_pair(&rows, value?.0.value())?) == Next::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Shows every exchange of a session behind `after`, the oldest first, until `visit` says stop.
    pub(crate) fn session_exchanges_after(
        &self,
        session: SessionId,
        after: Option<ExchangeId>,
        mut visit: impl FnMut(Row) -> Next,
    ) -> Result<(), StoreError> {
        self.db.read(|transaction| {
            let table = transaction.open_table(SESSION_EXCHANGES)?;
            let rows = transaction.open_table(EXCHANGES)?;
            let after = pair(session, after.unwrap_or(ExchangeId(uuid::Uuid::nil())));
            let last = pair(session, ExchangeId(uuid::Uuid::max()));
            for value in table.range::<&[u8; 32]>((Bound::Excluded(&after), Bound::Included(&last)))? {
                if visit(self.row_of_pair(&rows, value?.0.value())?) == Next::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The row of the exchange in a pair of session and exchange.
    fn row_of_pair(
        &self,
        rows: &impl ReadableTable<&'static [u8; 16], &'static [u8]>,
        pair: &[u8; 32],
    ) -> Result<Row, Fault> {
        let mut key = [0; 16];
        key.copy_from_slice(&pair[16..]);
        let Some(value) = rows.get(&key)? else {
            let exchange = ExchangeId(uuid::Uuid::from_bytes(key));
            return Err(self.corrupt(Some(exchange), "its summary is missing").into());
        };
        self.unseal(&key, value.value())
    }

    /// Shows every session before `before`, the newest first, until `visit` says stop.
    pub(crate) fn sessions(
        &self,
        before: Option<SessionId>,
        mut visit: impl FnMut(SessionSummary) -> Next,
    ) -> Result<(), StoreError> {
        self.db.read(|transaction| {
            let table = transaction.open_table(SESSIONS)?;
            let before = before.map_or([0xff; 16], |before| *before.0.as_bytes());
            for value in table.range::<&[u8; 16]>(..&before)?.rev() {
                let (key, value) = value?;
                if visit(self.unseal(key.value(), value.value())?) == Next::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The newest event frames before number `before`, the newest first.
    pub(crate) fn events(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.db.read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let before = before.map_or(Bound::Unbounded, Bound::Excluded);
            let newest = table.range::<u64>((Bound::Unbounded, before))?.rev().take(limit);
            newest
                .map(|event| event.map(|(number, frame)| (number.value(), frame.value().to_vec())).map_err(Fault::from))
                .collect()
        })
    }

    /// The last exchange and the last session of the lists.
    pub(crate) fn newest(&self) -> Result<Vec<uuid::Uuid>, StoreError> {
        self.db.read(|transaction| {
            let mut newest = Vec::new();
            for table in [EXCHANGES, SESSIONS] {
                let table = transaction.open_table(table)?;
                newest.extend(table.last()?.map(|(key, _)| uuid::Uuid::from_bytes(*key.value())));
            }
            Ok(newest)
        })
    }

    fn seal(&self, key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
        seal::seal(key, value).map_err(|error| self.corrupt(None, format!("a summary can't be encoded: {error}")))
    }

    fn unseal<T: DeserializeOwned>(&self, key: &[u8; 16], sealed: &[u8]) -> Result<T, Fault> {
        let about = ExchangeId(uuid::Uuid::from_bytes(*key));
        seal::unseal(key, sealed)
            .ok_or_else(|| self.corrupt(Some(about), "the hash of its summary doesn't agree").into())
    }

    /// The error for something in it that doesn't agree.
    pub(crate) fn corrupt(&self, exchange: Option<ExchangeId>, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { file: self.path().to_owned(), exchange, entry: None, what: what.into() }
    }
}

/// Whether there is no index: redb would take an empty file for a new database.
pub(crate) fn is_missing(file: &Path) -> Result<bool, StoreError> {
    match fs::metadata(file) {
        Ok(found) => Ok(found.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StoreError::io("look at", file)(error)),
    }
}

/// Whether a visit goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    On,
    Stop,
}

fn format(transaction: &ReadTransaction) -> Result<u64, Fault> {
    match transaction.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        meta => Ok(meta?.get("format")?.map_or(0, |format| format.value())),
    }
}

fn pair(session: SessionId, exchange: ExchangeId) -> [u8; 32] {
    let mut pair = [0; 32];
    pair[..16].copy_from_slice(session.0.as_bytes());
    pair[16..].copy_from_slice(exchange.0.as_bytes());
    pair
}
