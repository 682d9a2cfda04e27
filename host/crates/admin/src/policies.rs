//! The policy set in force.

use std::sync::Arc;

use axum::{Json, extract::State};
use model::PolicyInfo;
use serde_json::{Value, json};

use crate::Control;

/// `GET /v1/policies`: the set in force, in the order of the chain, and what could not be taken.
pub(crate) async fn policies(State(control): State<Arc<Control>>) -> Json<Value> {
    let set = control.policies.borrow().clone();
    let policies: Vec<Value> = set.policies.iter().map(|policy| shown(policy.info())).collect();
    let problems: Vec<Value> = set
        .problems
        .iter()
        .map(|problem| json!({ "file": problem.file, "stage": problem.stage, "message": problem.message }))
        .collect();
    Json(json!({
        "generation": set.generation,
        "digest": set.digest,
        "degraded": !set.problems.is_empty(),
        "policies": policies,
        "problems": problems,
    }))
}

fn shown(info: &PolicyInfo) -> Value {
    let limits = &info.limits;
    json!({
        "id": info.id,
        "name": info.name,
        "version": info.version,
        "summary": info.summary,
        "digest": info.digest,
        "wasm_digest": info.wasm_digest,
        "order": info.order,
        "mode": info.mode,
        "on_failure": info.on_failure,
        "connections": info.connections,
        "limits": {
            "time_per_call_ms": limits.time_per_call.as_millis() as u64,
            "memory_bytes": limits.memory_bytes,
            "hold_back_bytes": limits.hold_back_bytes,
            "answer_bytes": limits.answer_bytes,
        },
    })
}
