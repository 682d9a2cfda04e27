//! Tokens and revocations: listed, and revoked. Revoking works when little else does: it needs neither the record nor the
//! data listener.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use identity::{Blast, Order, RevokeError};
use model::{
    Digest, SessionId, Target, TokenId,
    control::{Revoked, TokenIssued},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Control, problem::Problem, said::Said};

/// Bytes of a reason.
const REASON_BYTES: usize = 2000;

/// What is to be revoked: exactly one of these, or only a time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Aim {
    /// A token, by its id.
    token: Option<String>,
    /// A credential of any kind, by the SHA-256 of its value.
    sha256: Option<String>,
    /// A caller: `{"issuer": …, "subject": …}`; without issuer a static token, by its name.
    caller: Option<CallerAim>,
    /// A session, by its id.
    session: Option<String>,
    /// A connection, by its name.
    connection: Option<String>,
    /// An issuer.
    issuer: Option<String>,
    /// Everything.
    everything: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerAim {
    #[serde(default = "static_issuer")]
    issuer: String,
    subject: String,
}

fn static_issuer() -> String {
    identity::STATIC_ISSUER.to_owned()
}

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
    let target = target(&control, said.target).await?;
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

async fn target(control: &Control, aim: Aim) -> Result<Target, Problem> {
    let mut targets = Vec::new();
    if let Some(id) = &aim.token {
        targets.push(Target::Token(token_id(id)?));
    }
    if let Some(digest) = &aim.sha256 {
        let digest: Digest = digest.parse().map_err(Problem::bad_request)?;
        targets.push(Target::Credential(digest));
    }
    if let Some(CallerAim { issuer, subject }) = aim.caller {
        targets.push(Target::Caller { issuer, subject });
    }
    if let Some(id) = &aim.session {
        let session = id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not a session's id")))?;
        targets.push(self::session(control, session).await?);
    }
    targets.extend(aim.connection.map(Target::Connection));
    targets.extend(aim.issuer.map(Target::Issuer));
    if aim.everything {
        targets.push(Target::Everything);
    }
    let count = targets.len();
    match targets.pop() {
        Some(target) if count == 1 => Ok(target),
        _ => {
            let one = "token, sha256, caller, session, connection, issuer, everything";
            Err(Problem::bad_request(format!("`target` wants exactly one of {one}; it has {count}")))
        }
    }
}

/// What a session's revocation is about: from those that run or ran of late, else from the record.
async fn session(control: &Control, session: SessionId) -> Result<Target, Problem> {
    if let Some(target) = control.registry.session(session) {
        return Ok(target);
    }
    let store = Arc::clone(&control.store);
    let found = tokio::task::spawn_blocking(move || store.session(session)).await;
    let record =
        found.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string()))??;
    let summary = record.summary;
    let (issuer, subject, connection) = (summary.issuer, summary.caller, summary.connection);
    Ok(Target::Session { session, token: None, issuer, subject, connection })
}

fn parse<'b, T: Deserialize<'b>>(body: &'b Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_request(format!("the body is not as wanted: {error}")))
}

/// Who, and why.
fn signed(by: String, reason: String) -> Result<(String, String), Problem> {
    let said = Said { reason, by }.checked(REASON_BYTES)?;
    Ok((said.by, said.reason))
}

fn token_id(id: &str) -> Result<TokenId, Problem> {
    id.parse().map_err(|_| Problem::bad_request(format!("`{id}` is not a token's id")))
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        let (status, code) = match &error {
            RevokeError::NoToken(_) => (StatusCode::NOT_FOUND, "not_found"),
            RevokeError::NotKept { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_kept"),
            RevokeError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<identity::LiftError> for Problem {
    fn from(error: identity::LiftError) -> Self {
        let (status, code) = match &error {
            identity::LiftError::NotRevoked => (StatusCode::NOT_FOUND, "not_found"),
            identity::LiftError::Record(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_kept"),
            identity::LiftError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, error.to_string())
    }
}
