//! Control events: what belongs to no exchange, as it was recorded.
//!
//! What must hold: no hash of a credential is told. Who has the credential can make it; nobody else needs it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use model::{ControlEvent, Event};
use serde::Deserialize;
use serde_json::{Value, json};
use store::EventRecord;

use crate::{
    Control,
    problem::Problem,
    records::{parsed, read, rows},
};

/// Which events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    limit: Option<usize>,
    before: Option<u64>,
}

/// `GET /v1/events`: the newest first.
pub(crate) async fn list(
    State(control): State<Arc<Control>>,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let query = parsed(query)?;
    let limit = rows(query.limit)?;
    let events = read(&control, move |store| store.events(query.before, limit)).await?;
    Ok(Json(json!({ "events": events.iter().map(told).collect::<Vec<_>>() })))
}

/// An event as it is told: what was recorded, but for the hashes by which tokens, and what they were issued for, are known.
#[must_use]
pub fn told(record: &EventRecord) -> Value {
    let mut told = json!(record);
    let hashes: &[(&str, &str)] = match &record.event {
        Event::Control(ControlEvent::TokenIssued(_)) => &[("/event/Control/TokenIssued", "digest")],
        Event::Control(ControlEvent::TokenExchanged(_)) => {
            &[("/event/Control/TokenExchanged/token", "digest"), ("/event/Control/TokenExchanged", "origin")]
        }
        // What somebody named by its hash stays named, as among the revocations.
        Event::Control(
            ControlEvent::Revoked(_)
            | ControlEvent::GivenBack(_)
            | ControlEvent::Lifted(_)
            | ControlEvent::AccessRequested(_)
            | ControlEvent::AccessDecided(_)
            | ControlEvent::Alert(_),
        )
        | Event::Started { .. }
        | Event::SetPublished { .. }
        | Event::Approval { .. }
        | Event::Stopped { .. } => &[],
    };
    for (place, name) in hashes {
        told.pointer_mut(place).and_then(Value::as_object_mut).and_then(|place| place.remove(*name));
    }
    told
}
