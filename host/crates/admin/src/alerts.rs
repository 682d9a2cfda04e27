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

use crate::{Control, problem::Problem};

/// Bytes of the name of whoever has seen an alert.
const BY_BYTES: usize = 256;
/// Bytes of what they say about it.
const REASON_BYTES: usize = 4 << 10;
/// Who has seen it when the request does not say: whoever holds the control token.
const OPERATOR: &str = "admin";

/// Which alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertQuery {
    since_ms: Option<u64>,
    rule: Option<Rule>,
}

/// What somebody says who has seen one; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    reason: String,
    by: String,
}

/// `GET /v1/alerts`: the one that was raised last first.
pub(crate) async fn list(
    State(control): State<Arc<Control>>,
    query: Result<Query<AlertQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
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
    let said: Said = if body.is_empty() {
        Said::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("the body is not as wanted: {error}")))?
    };
    if said.by.len() > BY_BYTES || said.reason.len() > REASON_BYTES {
        return Err(Problem::bad_request(format!("`by` has at most {BY_BYTES} bytes, `reason` {REASON_BYTES}")));
    }
    let by = if said.by.is_empty() { OPERATOR } else { &said.by };
    control.alerts.ack(id, by, &said.reason).map(Json).map_err(unknown)
}

fn parse(id: &str) -> Result<AlertId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not an alert's id")))
}

fn unknown(unknown: Unknown) -> Problem {
    Problem::not_found(unknown.to_string())
}
