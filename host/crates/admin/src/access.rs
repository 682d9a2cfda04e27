//! Requests for access that a grant gives only after a person agreed: listed, and decided.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use identity::AccessView;
use model::{Decider, TokenId};
use serde_json::{Value, json};

use crate::{Control, problem::Problem, said::Said};

/// Bytes of a reason, as of those who ask.
const REASON_BYTES: usize = 2048;

/// `GET /v1/access`: those that are not long over, the oldest first.
pub(crate) async fn list(State(control): State<Arc<Control>>) -> Json<Value> {
    let requests: Vec<_> = control.access.list().iter().map(shown).collect();
    Json(json!({ "requests": requests }))
}

/// `GET /v1/access/{id}`.
pub(crate) async fn show(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = parse(&id)?;
    let found = control.access.get(id);
    let view = found.ok_or_else(|| Problem::not_found(format!("there is no request for access {id}")))?;
    Ok(Json(shown(&view)))
}

/// `POST /v1/access/{id}/approve`.
pub(crate) async fn approve(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    decide(&control, &id, true, &body).await
}

/// `POST /v1/access/{id}/deny`.
pub(crate) async fn deny(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    decide(&control, &id, false, &body).await
}

async fn decide(control: &Control, id: &str, approved: bool, body: &Bytes) -> Result<Json<Value>, Problem> {
    let id = parse(id)?;
    let said = Said::read(body, REASON_BYTES)?;
    let decider = Decider::operator(said.by);
    Ok(Json(shown(&control.access.decide(id, approved, decider, said.reason).await?)))
}

fn shown(view: &AccessView) -> Value {
    let AccessView { asked, state, decided } = view;
    json!({
        "id": asked.id,
        "state": state.as_str(),
        "caller": asked.caller,
        "scope": asked.scope,
        "lifetime_ms": asked.lifetime_ms,
        "reason": asked.reason,
        "grant": asked.grant,
        "asked_ms": asked.at_ms,
        "expires_ms": asked.expires_ms,
        "decided": decided,
    })
}

fn parse(id: &str) -> Result<TokenId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not the id of a request for access")))
}
