//! The read side: lists, sessions, events, and all of it to be verified; the entries of an exchange are in `pages.rs`.
//! What must hold: a list is in the order of its ids, which is the order in which they were made. These calls read files:
//! keep them off the threads that carry exchanges.

use std::path::PathBuf;

use model::{Event, ExchangeId, Outcome, SessionId};
use serde::{Deserialize, Serialize};

use crate::{
    Damage, ExchangeSummary, Recovery, SessionSummary, Store, StoreError,
    frame::{self, Kind},
    index::Next,
    recover::EVIDENCE,
    segments::Stored,
    store::Sink,
    summary::Row,
};

/// How long before it was recorded an exchange's id may have been made.
const ID_AGE_MS: u64 = 60 * 60 * 1000;

/// Which exchanges to list. An empty filter lists all.
#[derive(Clone, Debug, Default)]
pub struct ExchangeFilter {
    /// Only those begun at or after: milliseconds since 1970-01-01T00:00:00Z.
    pub since: Option<u64>,
    /// Only those begun before.
    pub until: Option<u64>,
    /// Only of this caller, by subject.
    pub caller: Option<String>,
    /// Only on this connection.
    pub connection: Option<String>,
    /// Only of this session.
    pub session: Option<SessionId>,
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
    /// At most so many; 0: no bound.
    pub limit: usize,
    /// Only those before this one in the list: the last one of the page before.
    pub before: Option<ExchangeId>,
}

/// Which sessions to list. An empty filter lists all.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those with activity at or after: milliseconds since 1970-01-01T00:00:00Z.
    pub since: Option<u64>,
    /// Only those begun before.
    pub until: Option<u64>,
    /// Only of callers for whom this issuer vouches.
    pub issuer: Option<String>,
    /// Only of this caller, by subject.
    pub caller: Option<String>,
    /// Only on this connection.
    pub connection: Option<String>,
    /// At most so many; 0: no bound.
    pub limit: usize,
    /// Only those before this one in the list.
    pub before: Option<SessionId>,
}

/// A session with its exchanges, or with a page of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// What is known of it in short.
    pub summary: SessionSummary,
    /// Its exchanges, the oldest first.
    pub exchanges: Vec<ExchangeSummary>,
    /// Behind which one the next page begins; none: this is the last.
    pub next: Option<ExchangeId>,
}

/// A control event and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its number in the store, from 0, in the order in which they came.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// How much was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Exchanges, with each of their entries.
    pub exchanges: u64,
    /// Control events of the history.
    pub events: u64,
    /// Segments that are sealed, with each of their pages.
    pub segments: u64,
}

impl Store {
    /// Exchanges, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the index can't be read or is damaged.
    pub fn exchanges(&self, filter: &ExchangeFilter) -> Result<Vec<ExchangeSummary>, StoreError> {
        let mut found = Vec::new();
        let visit = |row: Row| {
            if filter.since.is_some_and(|since| older(row.summary.exchange, since)) {
                return Next::Stop;
            }
            let summary = row.told(self.run());
            if filter.lets(&summary) {
                found.push(summary);
            }
            if filter.limit > 0 && found.len() >= filter.limit { Next::Stop } else { Next::On }
        };
        match filter.session {
            Some(session) => self.index().session_exchanges(session, filter.before, visit)?,
            None => self.index().exchanges(filter.before, visit)?,
        }
        Ok(found)
    }

    /// Sessions, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the index can't be read or is damaged.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionSummary>, StoreError> {
        let mut found = Vec::new();
        self.index().sessions(filter.before, |session| {
            if filter.lets(&session) {
                found.push(session);
            }
            if filter.limit > 0 && found.len() >= filter.limit { Next::Stop } else { Next::On }
        })?;
        Ok(found)
    }

    /// A session.
    ///
    /// # Errors
    /// [`StoreError::UnknownSession`], or another one when the index can't be read or is damaged.
    pub fn session(&self, session: SessionId) -> Result<SessionSummary, StoreError> {
        self.index().session(session)?.ok_or(StoreError::UnknownSession(session))
    }

    /// A session with its exchanges behind `after`, at most `limit` of them (0: no bound).
    ///
    /// # Errors
    /// As [`Store::session`].
    pub fn session_page(
        &self,
        session: SessionId,
        after: Option<ExchangeId>,
        limit: usize,
    ) -> Result<SessionRecord, StoreError> {
        let summary = self.session(session)?;
        let (mut exchanges, mut more) = (Vec::new(), false);
        self.index().session_exchanges_after(session, after, |row| {
            more = limit > 0 && exchanges.len() == limit;
            if more {
                return Next::Stop;
            }
            exchanges.push(row.told(self.run()));
            Next::On
        })?;
        let next = exchanges.last().filter(|_| more).map(|last: &ExchangeSummary| last.exchange);
        Ok(SessionRecord { summary, exchanges, next })
    }

    /// The newest control events before number `before`, at most `limit`, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the index can't be read or is damaged.
    pub fn events(&self, before: Option<u64>, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let events = self.index().events(before, limit)?.into_iter().map(|(number, bytes)| {
            let frame = frame::read(&bytes).ok().filter(|frame| frame.kind == Kind::Event && frame.number == number);
            let event = frame.and_then(|frame| frame.decode().ok());
            let file = || self.index().path().to_owned();
            let what = "the hash of a control event doesn't agree".to_owned();
            let event =
                event.ok_or_else(|| StoreError::Corrupt { file: file(), exchange: None, entry: Some(number), what })?;
            Ok(EventRecord { number, event })
        });
        events.collect()
    }

    /// Verifies everything that can be read: each exchange, each session, each event, the control log, and the sealed
    /// segments' pages; that what the segments hold is listed, and that each goes on where the one before ends; and that nothing is
    /// known to be lost ([`Recovery::lost`]).
    /// Gives how much that was. Reads the whole store.
    ///
    /// # Errors
    /// The first [`StoreError`] that comes up.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_lost()?;
        self.verify_chain()?;
        let exchanges = self.verify_exchanges()?;
        self.verify_listed()?;
        self.sessions(&SessionFilter::default())?;
        let events = self.verify_events()?;
        self.control().replay()?;
        let segments = self.segments().verify_sealed()?;
        Ok(Verified { exchanges, events, segments })
    }

    fn verify_lost(&self) -> Result<(), StoreError> {
        let known = |file: &PathBuf, what: String| {
            Err(StoreError::Corrupt { file: file.clone(), exchange: None, entry: None, what })
        };
        let Recovery { damaged, evidence, .. } = self.recovery();
        match (damaged.first(), evidence.first()) {
            (Some(damage), _) => known(&damage.file, damage.told()),
            (None, Some(file)) => known(file, EVIDENCE.to_owned()),
            (None, None) => Ok(()),
        }
    }

    /// That each segment goes on where the one before ends.
    fn verify_chain(&self) -> Result<(), StoreError> {
        match self.segments().gaps()?.first() {
            Some(gap) => {
                let (file, what) = (gap.file.clone(), gap.told());
                Err(StoreError::Corrupt { file, exchange: None, entry: None, what })
            }
            None => Ok(()),
        }
    }

    /// That the index lists every exchange of the segments.
    fn verify_listed(&self) -> Result<(), StoreError> {
        // While somebody records, the index is behind the segments now and then.
        if matches!(self.sink(), Sink::Queue(_)) {
            return Ok(());
        }
        for number in self.segments().numbers()? {
            self.segments().each(number, |stored| match stored {
                Stored::Lost(Damage { file, what, .. }) => {
                    Err(StoreError::Corrupt { file, exchange: None, entry: None, what })
                }
                Stored::Frames(events, ..) if events.0.is_nil() => Ok(()),
                Stored::Frames(exchange, ..) => match self.index().row(exchange)? {
                    Some(_) => Ok(()),
                    None => {
                        let what = format!("it does not list what segment-{number:06}.redb holds of it");
                        Err(self.index().corrupt(Some(exchange), what))
                    }
                },
            })?;
        }
        Ok(())
    }

    fn verify_exchanges(&self) -> Result<u64, StoreError> {
        let expected = self.index().meta()?.exchanges;
        let (mut count, mut before) = (0, None);
        loop {
            let page = self.exchanges(&ExchangeFilter { before, limit: VERIFY_PAGE, ..ExchangeFilter::default() })?;
            for summary in &page {
                self.verify_exchange(summary.exchange).map_err(|error| match error {
                    StoreError::UnknownExchange(lost) => {
                        self.index().corrupt(Some(lost), "it lists an exchange that it does not find")
                    }
                    error => error,
                })?;
                count += 1;
            }
            before = page.last().map(|summary| summary.exchange);
            if page.len() < VERIFY_PAGE {
                break;
            }
        }
        // What was recorded meanwhile makes it more.
        if count < expected {
            let what = format!("it lists {count} exchanges and counts {expected}");
            return Err(self.index().corrupt(None, what));
        }
        Ok(count)
    }

    fn verify_events(&self) -> Result<u64, StoreError> {
        let (mut count, mut before) = (0, None);
        loop {
            let page = self.events(before, VERIFY_PAGE)?;
            count += page.len() as u64;
            before = page.last().map(|event| event.number);
            if page.len() < VERIFY_PAGE {
                return Ok(count);
            }
        }
    }
}

/// Exchanges, or events, that `verify` looks at between two looks at the index.
const VERIFY_PAGE: usize = 1000;

impl ExchangeFilter {
    fn lets(&self, exchange: &ExchangeSummary) -> bool {
        self.since.is_none_or(|since| exchange.started_ms >= since)
            && self.until.is_none_or(|until| exchange.started_ms < until)
            && self.caller.as_ref().is_none_or(|caller| *caller == exchange.caller)
            && self.connection.as_ref().is_none_or(|connection| *connection == exchange.connection)
            && self.session.is_none_or(|session| session == exchange.session)
            && self.outcome.is_none_or(|outcome| exchange.outcome == Some(outcome))
    }
}

impl SessionFilter {
    fn lets(&self, session: &SessionSummary) -> bool {
        self.since.is_none_or(|since| session.last_ms >= since)
            && self.until.is_none_or(|until| session.started_ms < until)
            && self.issuer.as_ref().is_none_or(|issuer| *issuer == session.issuer)
            && self.caller.as_ref().is_none_or(|caller| *caller == session.caller)
            && self.connection.as_ref().is_none_or(|connection| *connection == session.connection)
    }
}

/// Whether the id tells that the exchange, and so every one further down the list, began before `since`.
fn older(exchange: ExchangeId, since: u64) -> bool {
    let Some(made) = exchange.0.get_timestamp() else {
        return false;
    };
    let (seconds, nanos) = made.to_unix();
    let made = seconds.saturating_mul(1000) + u64::from(nanos / 1_000_000);
    made.saturating_add(ID_AGE_MS) < since
}
