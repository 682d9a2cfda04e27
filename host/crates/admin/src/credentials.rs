//! Tokens and revocations: listed, and revoked. Revoking works when little else does: it needs neither the record nor the
//! data listener.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use identity::{Blast, Order};
use model::{
    Target,
    control::{Revoked, TokenIssued},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Control,
    aim::{Aim, token_id},
    problem::Problem,
    said::Said,
};

/// Bytes of a reason.
const REASON_BYTES: usize = 2000;

/// `POST /v1/revoke`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeBody {
    target: Aim,
    #[serde(default)]
    issued_before_ms: Option<u64>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    dry_run: bool,
    /// Also where nobody here knows the target yet.
    #[serde(default)]
    unknown: bool,
}

/// `POST /v1/lift`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LiftBody {
    target: Target,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
}

/// `POST /v1/revoke`: in force at once, answered when it is durable; with `dry_run` only told.
pub(crate) async fn revoke(State(control): State<Arc<Control>>, body: Bytes) -> Result<Response, Problem> {
    let said: RevokeBody = parse(&body)?;
    let (by, reason) = signed(said.by, said.reason)?;
    let target = said.target.target(&control, said.unknown).await?;
    let order = Order { target, issued_before_ms: said.issued_before_ms, reason, by };
    let (target, before) = (order.target.clone(), order.issued_before_ms);
    let told = |blast: &Blast, dry_run: bool| {
        let mut answer = json!(blast);
        answer["target"] = json!(target);
        answer["issued_before_ms"] = json!(before);
        answer["dry_run"] = dry_run.into();
        answer
    };
    if said.dry_run {
        return Ok(Json(told(&control.registry.blast(order)?, true)).into_response());
    }
    match control.registry.revoke(order).await {
        Ok(blast) => Ok(Json(told(&blast, false)).into_response()),
        Err(error) => Err(error.into()),
    }
}

/// `POST /v1/lift`: takes back what was revoked of a target, as `GET /v1/revocations` names it.
pub(crate) async fn lift(State(control): State<Arc<Control>>, body: Bytes) -> Result<Json<Value>, Problem> {
    let said: LiftBody = parse(&body)?;
    let (by, reason) = signed(said.by, said.reason)?;
    control.registry.lift(said.target.clone(), reason, by).await?;
    Ok(Json(json!({ "lifted": said.target })))
}

/// `GET /v1/revocations`: those in force, the oldest first.
pub(crate) async fn revocations(State(control): State<Arc<Control>>) -> Json<Value> {
    Json(json!({ "revocations": control.registry.revocations().iter().map(|revoked| &**revoked).collect::<Vec<_>>() }))
}

/// `GET /v1/tokens`: those that have not expired, the one that expires first first.
pub(crate) async fn tokens(State(control): State<Arc<Control>>) -> Json<Value> {
    let tokens: Vec<_> =
        control.registry.tokens().iter().map(|(facts, ended)| shown(facts, ended.as_deref())).collect();
    Json(json!({ "tokens": tokens }))
}

/// `GET /v1/tokens/{id}`.
pub(crate) async fn token(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = token_id(&id)?;
    let found = control.registry.token(id);
    let (facts, ended) = found.ok_or_else(|| Problem::not_found(format!("there is no token {id}")))?;
    Ok(Json(shown(&facts, ended.as_deref())))
}

/// A token as it is shown: never its hash, which nobody needs who does not have the token.
fn shown(facts: &TokenIssued, ended: Option<&Revoked>) -> Value {
    json!({
        "id": facts.id,
        "caller": facts.caller,
        "scope": facts.scope,
        "issued_ms": facts.at_ms,
        "expires_ms": facts.expires_ms,
        "proven_ms": facts.proven_ms,
        "by": facts.by,
        "certificate": facts.certificate,
        "revoked": ended,
    })
}

fn parse<'b, T: Deserialize<'b>>(body: &'b Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_request(format!("the body is not as wanted: {error}")))
}

/// Who, and why.
fn signed(by: String, reason: String) -> Result<(String, String), Problem> {
    let said = Said { reason, by }.checked(REASON_BYTES)?;
    Ok((said.by, said.reason))
}
