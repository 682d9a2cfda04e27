//! Where recorded sessions are read: from the running host, or from the store of one that does not run.
//!
//! What must hold: a store is let go of before anything that was read is shown. Whoever reads it keeps a host from
//! starting, and showing takes as long as a reader likes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use model::{Entry, ExchangeId, SessionId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::{
    EventRecord, ExchangeRecord, ExchangeSummary, SessionFilter, SessionRecord, SessionSummary, Store, StoreError,
};

use crate::{
    cli::host::{HostArgs, Place, Unanswered, warn},
    config,
};

/// A session and its exchanges, the oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SessionShown {
    pub(super) summary: SessionSummary,
    pub(super) exchanges: Vec<ExchangeSummary>,
}

/// An exchange and its entries.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExchangeShown {
    pub(super) summary: ExchangeSummary,
    pub(super) entries: Vec<Timed>,
}

/// An entry and when it happened, in microseconds since the exchange was opened.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Timed {
    pub(super) at_us: u64,
    pub(super) entry: Entry,
}

/// What an id means.
pub(super) enum Found {
    Session(SessionShown),
    Exchange(ExchangeShown),
}

impl From<SessionRecord> for SessionShown {
    fn from(read: SessionRecord) -> Self {
        Self { summary: read.summary, exchanges: read.exchanges }
    }
}

impl From<ExchangeRecord> for ExchangeShown {
    fn from(read: ExchangeRecord) -> Self {
        let entries = read.entries.into_iter().map(|timed| Timed { at_us: timed.at_us, entry: timed.entry });
        Self { summary: read.summary, entries: entries.collect() }
    }
}

/// Bytes of exchanges that are read from a store at one time, but for the last one; and how many exchanges at most.
const READ_BYTES: u64 = 16 << 20;
const READ_EXCHANGES: usize = 1000;
/// How long a store that is in use is asked for again: a host that starts has it before it answers.
const IN_USE: Duration = Duration::from_secs(5);

/// The records of one host.
pub(super) struct Records {
    place: Place,
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
        Ok(Self { place: host.place()? })
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

    async fn session(&self, id: SessionId) -> anyhow::Result<SessionShown> {
        let look = move |store: &Store| store.session(id).map(SessionShown::from);
        self.ask(&format!("/v1/sessions/{id}"), |session| session, look).await
    }

    async fn exchange(&self, id: ExchangeId) -> anyhow::Result<ExchangeShown> {
        let look = move |store: &Store| store.exchange(id).map(ExchangeShown::from);
        self.ask(&format!("/v1/exchanges/{id}"), |exchange| exchange, look).await
    }

    /// The first of these exchanges, with their entries: as many as are read at one time, and at least one of any.
    pub(super) async fn first_of(&self, ids: &[ExchangeId]) -> anyhow::Result<Vec<ExchangeShown>> {
        let Some(first) = ids.first() else { return Ok(Vec::new()) };
        let wanted: Vec<ExchangeId> = ids.iter().take(READ_EXCHANGES).copied().collect();
        let path = format!("/v1/exchanges/{first}");
        let read = self.ask(&path, |exchange| vec![exchange], move |store| read_some(store, &wanted)).await;
        read.with_context(|| format!("exchange {first}"))
    }

    /// The session, or else the exchange, of this id.
    pub(super) async fn find(&self, id: &str) -> anyhow::Result<Found> {
        let uuid: SessionId =
            id.parse().with_context(|| format!("`{id}` is not an id; `portcullis sessions list` shows them"))?;
        let no_session = match self.session(uuid).await {
            Ok(session) => return Ok(Found::Session(session)),
            Err(error) if is_unknown(&error) => error,
            Err(error) => return Err(error),
        };
        match self.exchange(ExchangeId(uuid.0)).await {
            Ok(exchange) => Ok(Found::Exchange(exchange)),
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
            let look = Arc::clone(&look);
            // Let go of when it was looked at.
            let open = move || Store::open_read_only(&store).map(|store| (look(&store), store.recovery().lost()));
            match tokio::task::spawn_blocking(open).await? {
                Ok((read, lost)) => {
                    lost.iter().for_each(|lost| warn(lost));
                    return Ok(read?);
                }
                Err(StoreError::InUse { .. }) if began.elapsed() < IN_USE => {}
                Err(error) => return Err(error).context(unanswered.to_string()),
            }
        }
    }
}

/// Exchanges from the first on, until there are [`READ_BYTES`] of them, or one can't be read: it is told when it is the
/// first.
fn read_some(store: &Store, wanted: &[ExchangeId]) -> Result<Vec<ExchangeShown>, StoreError> {
    let (mut read, mut bytes) = (Vec::new(), 0_u64);
    for id in wanted {
        match store.exchange(*id) {
            Ok(exchange) => {
                let summary = &exchange.summary;
                let bodies = summary.request_bytes.saturating_add(summary.response_bytes);
                bytes = bytes.saturating_add(bodies.max(summary.record_bytes));
                read.push(ExchangeShown::from(exchange));
            }
            Err(error) if read.is_empty() => return Err(error),
            Err(_) => break,
        }
        if bytes >= READ_BYTES {
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
