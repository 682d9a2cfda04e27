//! Where recorded sessions are read: from the running host, or from the store of one that does not run.
//!
//! What must hold: a store is let go of before anything that was read is shown, and between two pages. Whoever reads it keeps a
//! host from starting, and showing takes as long as a reader likes. No more than a page is in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use model::{ExchangeId, SessionId};
use serde::{Deserialize, de::DeserializeOwned};
use store::{
    Cursor, EventRecord, ExchangeRecord, PAGE_BYTES, SessionFilter, SessionRecord, SessionSummary, Store, StoreError,
};

use crate::{
    cli::host::{HostArgs, Place, Unanswered, warn},
    config,
};

/// What an id means; the first page of it.
pub(super) enum Found {
    Session(Box<SessionRecord>),
    Exchange(Box<ExchangeRecord>),
}

/// Exchanges in one page of a session, and of which entries are read from a store at one time.
const PAGE_EXCHANGES: usize = 1000;
/// How long a store is left alone between two looks at it: a host that wants to start tries every 10 ms to have it.
const LET_GO: Duration = Duration::from_millis(30);
/// How long a store that is in use is asked for again: a host that starts has it before it answers.
const IN_USE: Duration = Duration::from_secs(5);

/// The records of one host.
pub(super) struct Records {
    place: Place,
    /// Whether its store was read already.
    looked: AtomicBool,
}

#[derive(Deserialize)]
struct Status {
    connections: Vec<String>,
}

#[derive(Deserialize)]
struct SessionList {
    sessions: Vec<SessionSummary>,
}

#[derive(Deserialize)]
struct EventList {
    events: Vec<EventRecord>,
}

impl Records {
    pub(super) fn open(host: &HostArgs) -> anyhow::Result<Self> {
        Ok(Self { place: host.place()?, looked: AtomicBool::new(false) })
    }

    /// Sessions, the newest first.
    pub(super) async fn sessions(&self, filter: SessionFilter) -> anyhow::Result<Vec<SessionSummary>> {
        let path = format!("/v1/sessions?{}", query(&filter));
        self.ask(&path, |SessionList { sessions }| sessions, move |store| store.sessions(&filter)).await
    }

    /// Control events before number `before`, the newest first.
    pub(super) async fn events(&self, before: Option<u64>, limit: usize) -> anyhow::Result<Vec<EventRecord>> {
        let before_this = before.map_or_else(String::new, |before| format!("&before={before}"));
        let path = format!("/v1/events?limit={limit}{before_this}");
        self.ask(&path, |EventList { events }| events, move |store| store.events(before, limit)).await
    }

    /// That a connection is one of the host's, as far as that can be known.
    pub(super) async fn check_connection(&self, name: &str) -> anyhow::Result<()> {
        let known = match self.place.get("/v1/status").await {
            Ok(Status { connections }) => Some(connections),
            Err(_) => self.place.config.as_deref().and_then(|file| config::policies(file)?.1),
        };
        match known {
            Some(known) if !known.iter().any(|other| other == name) => {
                bail!("no connection is named `{name}`; there are: {}", known.join(", "))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A page of a session: its exchanges behind `after`, the oldest first.
    pub(super) async fn session(&self, id: SessionId, after: Option<ExchangeId>) -> anyhow::Result<SessionRecord> {
        let behind = after.map_or_else(String::new, |after| format!("&after={after}"));
        let path = format!("/v1/sessions/{id}?limit={PAGE_EXCHANGES}{behind}");
        self.ask(&path, |page| page, move |store| store.session_page(id, after, PAGE_EXCHANGES)).await
    }

    /// A page of an exchange.
    pub(super) async fn exchange(&self, id: ExchangeId, from: Option<Cursor>) -> anyhow::Result<ExchangeRecord> {
        let look = move |store: &Store| store.exchange_page(id, from, PAGE_BYTES);
        self.ask(&exchange_path(id, from), |page| page, look).await
    }

    /// What is read at one time of these exchanges, of the first from `from` on: a page of each, all but the last one to
    /// its end.
    pub(super) async fn first_of(
        &self,
        ids: &[ExchangeId],
        from: Option<Cursor>,
    ) -> anyhow::Result<Vec<ExchangeRecord>> {
        let Some(first) = ids.first() else { return Ok(Vec::new()) };
        let wanted: Vec<ExchangeId> = ids.iter().take(PAGE_EXCHANGES).copied().collect();
        let look = move |store: &Store| read_some(store, &wanted, from);
        let read = self.ask(&exchange_path(*first, from), |page| vec![page], look).await;
        read.with_context(|| format!("exchange {first}"))
    }

    /// The session, or else the exchange, of this id.
    pub(super) async fn find(&self, id: &str) -> anyhow::Result<Found> {
        let uuid: SessionId =
            id.parse().with_context(|| format!("`{id}` is not an id; `portcullis sessions list` shows them"))?;
        let no_session = match self.session(uuid, None).await {
            Ok(session) => return Ok(Found::Session(Box::new(session))),
            Err(error) if is_unknown(&error) => error,
            Err(error) => return Err(error),
        };
        match self.exchange(ExchangeId(uuid.0), None).await {
            Ok(exchange) => Ok(Found::Exchange(Box::new(exchange))),
            Err(error) if is_unknown(&error) => bail!("{no_session}, and no exchange either"),
            Err(error) => Err(error),
        }
    }

    /// Asks the host; reads the store itself, when the reason why the host gives no answer is that none runs.
    async fn ask<A, T, F>(&self, path: &str, told: fn(A) -> T, look: F) -> anyhow::Result<T>
    where
        A: DeserializeOwned,
        T: Send + 'static,
        F: Fn(&Store) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let (look, began) = (Arc::new(look), Instant::now());
        loop {
            let unanswered = match self.place.get(path).await {
                Ok(answer) => return Ok(told(answer)),
                Err(unanswered) => unanswered,
            };
            let (Unanswered::NotRunning(_), Some(store)) = (&unanswered, self.place.store.clone()) else {
                return Err(unanswered.into());
            };
            if self.looked.load(Ordering::Relaxed) {
                tokio::time::sleep(LET_GO).await;
            }
            let look = Arc::clone(&look);
            // Let go of when it was looked at.
            let open = move || Store::open_read_only(&store).map(|store| (look(&store), store.recovery().lost()));
            match tokio::task::spawn_blocking(open).await? {
                Ok((read, lost)) => {
                    // Once is enough.
                    if !self.looked.swap(true, Ordering::Relaxed) {
                        lost.iter().for_each(|lost| warn(lost));
                    }
                    return Ok(read?);
                }
                Err(StoreError::InUse { .. }) if began.elapsed() < IN_USE => {}
                Err(error) => return Err(error).context(unanswered.to_string()),
            }
        }
    }
}

/// Where the control API has a page of an exchange.
fn exchange_path(id: ExchangeId, from: Option<Cursor>) -> String {
    from.map_or_else(|| format!("/v1/exchanges/{id}"), |from| format!("/v1/exchanges/{id}?from={from}"))
}

/// Pages of exchanges, of the first from `from` on, until there are [`PAGE_BYTES`] of them, or one can't be read: it is told
/// when it is the first.
fn read_some(
    store: &Store,
    wanted: &[ExchangeId],
    mut from: Option<Cursor>,
) -> Result<Vec<ExchangeRecord>, StoreError> {
    let (mut read, mut room) = (Vec::new(), PAGE_BYTES);
    for id in wanted {
        match store.exchange_page(*id, from.take(), room) {
            Ok(page) => {
                let summary = &page.summary;
                let bodies = summary.request_bytes.saturating_add(summary.response_bytes);
                room = room.saturating_sub(bodies.max(summary.record_bytes));
                read.push(page);
            }
            Err(error) if read.is_empty() => return Err(error),
            Err(_) => break,
        }
        if room == 0 || read.last().is_some_and(|page| page.next.is_some()) {
            break;
        }
    }
    Ok(read)
}

/// Whether the host, or the store, says that there is no such thing.
fn is_unknown(error: &anyhow::Error) -> bool {
    let by_store = matches!(error.downcast_ref(), Some(StoreError::UnknownExchange(_) | StoreError::UnknownSession(_)));
    let by_host = matches!(
        error.downcast_ref(),
        Some(Unanswered::Refused { status, .. }) if *status == http::StatusCode::NOT_FOUND
    );
    by_store || by_host
}

/// The filter as the control API wants it.
fn query(filter: &SessionFilter) -> String {
    let pairs = [
        ("since_ms", filter.since.map(|since| since.to_string())),
        ("before", filter.before.map(|before| before.to_string())),
        ("issuer", filter.issuer.as_deref().map(percent)),
        ("caller", filter.caller.as_deref().map(percent)),
        ("connection", filter.connection.as_deref().map(percent)),
        ("limit", Some(filter.limit.to_string())),
    ];
    let given = pairs.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
    given.collect::<Vec<_>>().join("&")
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
