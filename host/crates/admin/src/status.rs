//! What the host is and how it is.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::Control;

/// `GET /v1/status`.
pub(crate) async fn status(State(control): State<Arc<Control>>) -> Json<Value> {
    let host = &control.host;
    let set = control.policies.borrow().clone();
    Json(json!({
        "version": host.version,
        "phase": control.phase.borrow().as_str(),
        "proxy": host.proxy,
        "started_ms": host.started_ms,
        "uptime_seconds": host.started.elapsed().as_secs(),
        "connections": host.connections.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "policy_set": {
            "generation": set.generation,
            "digest": set.digest,
            "policies": set.policies.len(),
            "degraded": !set.problems.is_empty(),
        },
        "approvals": { "pending": control.approvals.pending() },
        "store": {
            "durability": host.durability,
            "status": control.store.status(),
            "lost": control.store.recovery().lost(),
        },
    }))
}
