//! The records: sessions and exchanges.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use model::{ExchangeId, Outcome, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Cursor, ExchangeFilter, ExchangeRecord, PAGE_BYTES, SessionFilter, SessionRecord, Store, StoreError};

use crate::{Control, problem::Problem};

/// Rows of a list when the request does not say.
const ROWS: usize = 100;
/// The most rows that one answer has.
const ROWS_MOST: usize = 10_000;

/// Which sessions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionQuery {
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    issuer: Option<String>,
    caller: Option<String>,
    connection: Option<String>,
    limit: Option<usize>,
    before: Option<SessionId>,
}

/// Which exchanges of a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionPage {
    after: Option<ExchangeId>,
    limit: Option<usize>,
}

/// Which entries of an exchange.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangePage {
    from: Option<Cursor>,
}

/// Which exchanges.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeQuery {
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    caller: Option<String>,
    connection: Option<String>,
    session: Option<SessionId>,
    outcome: Option<Outcome>,
    limit: Option<usize>,
    before: Option<ExchangeId>,
}

/// `GET /v1/sessions`: the newest first.
pub(crate) async fn sessions(
    State(control): State<Arc<Control>>,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let query = parsed(query)?;
    let filter = SessionFilter {
        since: query.since_ms,
        until: query.until_ms,
        issuer: query.issuer,
        caller: query.caller,
        connection: query.connection,
        limit: rows(query.limit)?,
        before: query.before,
    };
    let sessions = read(&control, move |store| store.sessions(&filter)).await?;
    Ok(Json(json!({ "sessions": sessions })))
}

/// `GET /v1/sessions/{id}`: a session and a page of its exchanges, the oldest first.
pub(crate) async fn session(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    query: Result<Query<SessionPage>, QueryRejection>,
) -> Result<Json<SessionRecord>, Problem> {
    let id = id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not a session's id")))?;
    let SessionPage { after, limit } = parsed(query)?;
    let limit = rows(limit)?;
    read(&control, move |store| store.session_page(id, after, limit)).await.map(Json)
}

/// `GET /v1/exchanges`: the newest first.
pub(crate) async fn exchanges(
    State(control): State<Arc<Control>>,
    query: Result<Query<ExchangeQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let query = parsed(query)?;
    let filter = ExchangeFilter {
        since: query.since_ms,
        until: query.until_ms,
        caller: query.caller,
        connection: query.connection,
        session: query.session,
        outcome: query.outcome,
        limit: rows(query.limit)?,
        before: query.before,
    };
    let exchanges = read(&control, move |store| store.exchanges(&filter)).await?;
    Ok(Json(json!({ "exchanges": exchanges })))
}

/// `GET /v1/exchanges/{id}`: an exchange and a page of its entries.
pub(crate) async fn exchange(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    query: Result<Query<ExchangePage>, QueryRejection>,
) -> Result<Json<ExchangeRecord>, Problem> {
    let id = id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not an exchange's id")))?;
    let ExchangePage { from } = parsed(query)?;
    read(&control, move |store| store.exchange_page(id, from, PAGE_BYTES)).await.map(Json)
}

pub(crate) fn parsed<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

pub(crate) fn rows(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(ROWS),
        Some(rows) if (1..=ROWS_MOST).contains(&rows) => Ok(rows),
        Some(_) => Err(Problem::bad_request(format!("`limit` is 1 to {ROWS_MOST}"))),
    }
}

/// Reads what can be read already, away from the thread that serves. Whether that is all that was recorded is asked, and told,
/// before the route ([`crate::behind`]).
pub(crate) async fn read<T, F>(control: &Control, look: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
{
    let store = Arc::clone(&control.store);
    let read = tokio::task::spawn_blocking(move || look(&store)).await;
    Ok(read.map_err(|_| Problem::stopping("the host is stopping"))??)
}
