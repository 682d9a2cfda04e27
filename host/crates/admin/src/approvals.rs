//! Questions to people: listed, and decided.

use std::sync::Arc;

use ::approvals::{Approval, Decision};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use model::{ApprovalId, Decider};
use serde_json::{Value, json};

use crate::{Control, problem::Problem, said::Said};

/// Bytes of a reason.
const REASON_BYTES: usize = 4 << 10;

/// `GET /v1/approvals`: open ones first, then closed ones. What would go on is long, headers and all, and told of each by
/// itself.
pub(crate) async fn list(State(control): State<Arc<Control>>) -> Json<Value> {
    let mut approvals = json!(control.approvals.list());
    let members = approvals.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
    members.for_each(|approval| ["shown", "headers"].iter().for_each(|long| drop(approval.remove(*long))));
    Json(json!({ "approvals": approvals }))
}

/// `GET /v1/approvals/{id}`.
pub(crate) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Approval>, Problem> {
    let id = parse(&id)?;
    let approval = control.approvals.approval(id);
    approval.map(Json).ok_or_else(|| Problem::not_found(format!("there is no approval {id}")))
}

/// `POST /v1/approvals/{id}/approve`.
pub(crate) async fn approve(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Approval>, Problem> {
    decide(&control, &id, Decision::Approve, &body).await
}

/// `POST /v1/approvals/{id}/deny`.
pub(crate) async fn deny(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Approval>, Problem> {
    decide(&control, &id, Decision::Deny, &body).await
}

async fn decide(control: &Control, id: &str, decision: Decision, body: &Bytes) -> Result<Json<Approval>, Problem> {
    let id = parse(id)?;
    let said = Said::read(body, REASON_BYTES)?;
    let decider = Decider::operator(said.by);
    Ok(Json(control.approvals.decide(id, decision, &decider, &said.reason).await?))
}

fn parse(id: &str) -> Result<ApprovalId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not an approval's id")))
}
