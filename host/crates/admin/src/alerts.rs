//! What was noticed: listed, and seen by a person.

use std::sync::Arc;

use ::alerts::Unknown;
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use model::{Alert, AlertId, Rule};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Control, problem::Problem, records::parsed, said::Said};

/// Bytes of what somebody says who has seen one.
const REASON_BYTES: usize = 4 << 10;

/// Which alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertQuery {
    since_ms: Option<u64>,
    rule: Option<Rule>,
}

/// `GET /v1/alerts`: the one that was raised last first.
pub(crate) async fn list(
    State(control): State<Arc<Control>>,
    query: Result<Query<AlertQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let query = parsed(query)?;
    let mut alerts = control.alerts.list();
    alerts.retain(|alert| {
        query.since_ms.is_none_or(|since| alert.last_ms >= since) && query.rule.is_none_or(|rule| alert.rule == rule)
    });
    Ok(Json(json!({ "alerts": alerts })))
}

/// `GET /v1/alerts/{id}`.
pub(crate) async fn show(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Result<Json<Alert>, Problem> {
    let id = parse(&id)?;
    control.alerts.alert(id).map(Json).ok_or_else(|| unknown(Unknown(id)))
}

/// `POST /v1/alerts/{id}/ack`.
pub(crate) async fn ack(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Alert>, Problem> {
    let id = parse(&id)?;
    let said = Said::read(&body, REASON_BYTES)?;
    control.alerts.ack(id, &said.by, &said.reason).map(Json).map_err(unknown)
}

fn parse(id: &str) -> Result<AlertId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not an alert's id")))
}

fn unknown(unknown: Unknown) -> Problem {
    Problem::not_found(unknown.to_string())
}
