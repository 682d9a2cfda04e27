//! Before every route that tells records: whether all that was recorded can be read.
//!
//! What must hold: a store that is slow, or has failed, is read all the same, since whoever looks has a reason to; and no answer
//! leaves out in silence what the store has taken and can't show.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use store::Status;

use crate::Control;

/// The header of an answer that lacks what was recorded last: how much that is and why, for people.
pub const BEHIND: HeaderName = HeaderName::from_static("portcullis-behind");

/// Lets a request through when all that was recorded can be read, or has waited long enough for that.
pub(crate) async fn settled(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    // Before it is looked up: what can be read by then may only be more.
    let behind = match control.store.settle().await {
        Ok(()) => None,
        Err(_) => told(&control.store.status()),
    };
    let mut response = next.run(request).await;
    if let Some(behind) = behind.and_then(|behind| HeaderValue::try_from(behind).ok()) {
        response.headers_mut().insert(BEHIND, behind);
    }
    response
}

/// What is missing; none where it was readable in the end. ASCII, since it is the value of a header.
fn told(status: &Status) -> Option<String> {
    // What a store that has failed did not write is in no record.
    let (to, why) = match status.failed {
        Some(_) => (status.written, "can be read when the host was started again: its store has failed"),
        None => (status.appended, "can't be read yet: the store is behind"),
    };
    let bytes = to.saturating_sub(status.ingested);
    (bytes > 0).then(|| format!("the last {bytes} bytes of the records {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_was_taken_and_is_not_readable() {
        let late = Status { appended: 500, written: 300, durable: 200, ingested: 100, ..Status::default() };
        assert_eq!(told(&late).unwrap(), "the last 400 bytes of the records can't be read yet: the store is behind");
        let failed = Status { failed: Some("no room in /störe".to_owned()), ..late };
        let said = told(&failed).unwrap();
        assert!(said.contains("the last 200 bytes") && said.contains("started again") && said.is_ascii(), "{said}");
        assert_eq!(told(&Status { ingested: 300, ..failed }), None, "it failed, and all that it kept is told");
        assert_eq!(told(&Status::default()), None);
    }
}
