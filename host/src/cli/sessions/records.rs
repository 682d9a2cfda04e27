//! Where recorded sessions are read: from the running host, or from the store of one that does not run.

use std::sync::Arc;

use anyhow::{Context, bail};
use model::{Entry, ExchangeId, SessionId};
use serde::{Deserialize, Serialize};
use store::{ExchangeSummary, SessionFilter, SessionSummary, Store, StoreError};
use tokio::sync::OnceCell;

use crate::cli::host::{HostArgs, Place, Unanswered};

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

/// The records of one host.
pub(super) struct Records {
    place: Place,
    /// Opened when no host answers.
    store: OnceCell<Arc<Store>>,
}

#[derive(Deserialize)]
struct SessionList {
    sessions: Vec<SessionSummary>,
}

impl Records {
    pub(super) fn open(host: &HostArgs) -> anyhow::Result<Self> {
        Ok(Self { place: host.place()?, store: OnceCell::new() })
    }

    /// Sessions, the newest first.
    pub(super) async fn sessions(&self, filter: SessionFilter) -> anyhow::Result<Vec<SessionSummary>> {
        match self.place.get(&format!("/v1/sessions?{}", query(&filter))).await {
            Ok(SessionList { sessions }) => Ok(sessions),
            Err(unanswered) => self.read(unanswered, move |store| store.sessions(&filter)).await,
        }
    }

    async fn session(&self, id: SessionId) -> anyhow::Result<SessionShown> {
        match self.place.get(&format!("/v1/sessions/{id}")).await {
            Ok(session) => Ok(session),
            Err(unanswered) => {
                let read = self.read(unanswered, move |store| store.session(id)).await?;
                Ok(SessionShown { summary: read.summary, exchanges: read.exchanges })
            }
        }
    }

    /// An exchange with its entries.
    pub(super) async fn exchange(&self, id: ExchangeId) -> anyhow::Result<ExchangeShown> {
        match self.place.get(&format!("/v1/exchanges/{id}")).await {
            Ok(exchange) => Ok(exchange),
            Err(unanswered) => {
                let read = self.read(unanswered, move |store| store.exchange(id)).await?;
                let entries = read.entries.into_iter().map(|timed| Timed { at_us: timed.at_us, entry: timed.entry });
                Ok(ExchangeShown { summary: read.summary, entries: entries.collect() })
            }
        }
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

    /// Reads the store itself, when the reason why the host gave no answer is that none runs.
    async fn read<T, F>(&self, unanswered: Unanswered, look: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    {
        let (Unanswered::NotRunning(_), Some(path)) = (&unanswered, &self.place.store) else {
            return Err(unanswered.into());
        };
        let open = || {
            let path = path.clone();
            async { Ok::<_, anyhow::Error>(tokio::task::spawn_blocking(move || Store::open_read_only(&path)).await??) }
        };
        let store = Arc::clone(self.store.get_or_try_init(open).await.context(unanswered.to_string())?);
        Ok(tokio::task::spawn_blocking(move || look(&store)).await??)
    }
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
