//! Is it alive, is it ready, what does it measure.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{Control, Expiring, Phase, problem::Problem};
use exchange::ports::PolicySet;
use model::Guard;

/// `GET /livez`: the control thread answers.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`, `GET /readyz?verbose`: whether exchanges may be sent here.
pub(crate) async fn readyz(State(control): State<Arc<Control>>, RawQuery(query): RawQuery) -> Response {
    let checks = checks(&control);
    let ready = checks.iter().all(|check| !check.stops || check.wrong.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let short = if ready { "ok\n" } else { "not ready\n" };
    if query.as_deref() != Some("verbose") {
        return (status, short).into_response();
    }
    let lines: String = checks.iter().map(Check::lines).collect();
    (status, format!("{lines}{short}")).into_response()
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(control): State<Arc<Control>>) -> Response {
    match &control.metrics {
        Some(metrics) => ([(header::CONTENT_TYPE, metrics.content_type)], (metrics.render)()).into_response(),
        None => Problem::not_found("this host keeps no metrics").into_response(),
    }
}

struct Check {
    name: &'static str,
    wrong: Option<String>,
    /// What is as it was told to be, and protects nobody.
    note: Option<String>,
    /// Whether exchanges must not be sent here while it is wrong. A degraded set still guards with its last good
    /// policies, so it is told and stops nothing; unless every exchange ends at a policy that was never loaded.
    stops: bool,
}

impl Check {
    fn lines(&self) -> String {
        let wrong = self.wrong.iter().map(|wrong| format!("[-] {} {wrong}\n", self.name));
        let note = self.note.iter().map(|note| format!("[!] {} {note}\n", self.name));
        let lines: String = wrong.chain(note).collect();
        if lines.is_empty() { format!("[+] {} ok\n", self.name) } else { lines }
    }
}

fn checks(control: &Control) -> Vec<Check> {
    let phase = *control.phase.borrow();
    let set = Arc::clone(&control.policies.borrow());
    let problems = set.problems.len();
    let store = control.store.status();
    let shut = shut(control, &set);
    let degraded = (problems > 0).then(|| format!("degraded: {problems} file(s) not in force, see /v1/policies"));
    let listening = (phase != Phase::Ready).then(|| phase.as_str().to_owned());
    vec![
        Check { name: "listening", wrong: listening, note: None, stops: true },
        Check { name: "store", wrong: store.failed, note: record_note(control), stops: true },
        Check {
            // What is revoked is in force all the same, so exchanges may come; whoever restarts the host must know.
            name: "control log",
            wrong: store.control_failed,
            note: None,
            stops: false,
        },
        Check { name: "policies", stops: shut.is_some(), wrong: shut.or(degraded), note: unguarded(control, &set) },
        certificate(control),
    ]
}

/// An expired one stops nothing here: some callers may look at no date, and the others are refused by nobody but themselves.
fn certificate(control: &Control) -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let (wrong, note) = match control.host.certificate_expires.and_then(|expires| Expiring::of(expires, now)) {
        Some(Expiring::Expired(wrong)) => (Some(wrong), None),
        Some(Expiring::Soon(note)) => (None, Some(note)),
        None => (None, None),
    };
    Check { name: "certificate", wrong, note, stops: false }
}

/// What is not in the record, and never will be.
fn record_note(control: &Control) -> Option<String> {
    let off = (control.host.durability == "off").then(|| "off: nothing is recorded".to_owned());
    let notes: Vec<String> = off.into_iter().chain(control.store.recovery().lost()).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// That every connection is guarded by a policy that could not be loaded, so that no exchange gets through.
fn shut(control: &Control, set: &PolicySet) -> Option<String> {
    let standing: Vec<_> =
        set.policies.iter().filter(|policy| policy.stands_in()).map(|policy| policy.info()).collect();
    let guards = |connection: &String| {
        standing.iter().any(|info| info.connections.is_empty() || info.connections.contains(connection))
    };
    let mut connections = control.host.connections.iter();
    let names: Vec<_> = standing.iter().map(|info| info.id.as_str()).collect();
    (!names.is_empty() && connections.all(|(name, _)| guards(name)))
        .then(|| format!("every exchange is refused: {} could not be loaded, see /v1/policies", names.join(", ")))
}

/// What of the set guards less than one may think.
fn unguarded(control: &Control, set: &PolicySet) -> Option<String> {
    let policies = set.policies.iter().map(|policy| Guard::of(policy.info(), policy.plan()));
    let connections = control.host.connections.iter().map(|(name, family)| (name.as_str(), *family));
    let notes = model::unguarded(policies, connections);
    (!notes.is_empty()).then(|| notes.join("; "))
}
