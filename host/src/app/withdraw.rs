//! Where revocations and questions to people meet: what callers asked who are revoked is cancelled, also where nobody
//! waits for it.
//!
//! What must hold: a question from before a revocation does not outlive it, whatever was done to the system's clock: the
//! registry goes by it, the desk does not. So what counts is how long ago something was asked.

use approvals::{Approval, Approvals};
use identity::{Access, Registry};

/// Cancels with every revocation, until it is dropped.
pub(super) async fn keep(registry: Registry, access: Access, approvals: Approvals) {
    let mut changes = registry.changes();
    while changes.changed().await.is_ok() {
        access.settle();
        withdraw(&registry, &approvals);
    }
}

fn withdraw(registry: &Registry, approvals: &Approvals) {
    // Read before the ages are, which are in whole milliseconds: nothing seems to have been asked later than it was.
    let now_ms = registry.now_ms();
    let gone = |approval: &Approval, age_ms: u64| {
        let Approval { caller, connection, session, .. } = approval;
        registry.is_revoked(caller, connection, *session, now_ms.saturating_sub(age_ms + 1))
    };
    approvals.withdraw(gone, "its caller's credentials were revoked");
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use approvals::State;
    use exchange::ports::{About, Ask, ControlLog, Desk, Recorder, Ticket};
    use identity::Order;
    use model::{AskedHead, Caller, Digest, Direction, ExchangeId, Question, SessionId, Target};
    use store::{Store, StoreConfig};

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn ask(session: SessionId) -> Ask {
        let caller = Caller { issuer: "idp".into(), subject: "ann".into(), ..Caller::default() };
        let about = About::begun(ExchangeId::new(), session, caller, "openai", "openai-chat");
        let question = Question {
            title: "May this go on?".into(),
            summary: String::new(),
            approvers: Vec::new(),
            timeout_seconds: 600,
            remember_key: String::new(),
        };
        let (method, target, headers) = Default::default();
        let head = AskedHead { direction: Direction::Request, method, target, headers };
        Ask {
            about: Arc::new(about),
            policy: ("approve".into(), Digest::default()),
            question,
            shown: Arc::from(&b"hello"[..]),
            head: head.into(),
            bound_to: Digest::default(),
        }
    }

    #[tokio::test]
    async fn a_question_goes_with_its_session_whatever_was_done_to_the_clock() {
        for [before_ms, after_ms] in [[HOUR_MS, 0], [0, HOUR_MS]] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(&StoreConfig::new(dir.path())).unwrap();
            // The wall clock, which the test sets; the desk's goes on as it began.
            let wall = Arc::new(AtomicU64::new(crate::app::now_ms() + before_ms));
            let read = Arc::clone(&wall);
            let clock = Arc::new(move || read.load(Ordering::Relaxed));
            let log: Arc<dyn ControlLog> = store.clone();
            let registry = Registry::open_at(log, identity::Terms::default(), clock).unwrap();
            let recorder: Arc<dyn Recorder> = store.clone();
            let desk = Approvals::new(approvals::Terms::default(), recorder);
            let session = SessionId::new();
            let state = |ticket: &dyn Ticket| desk.approval(ticket.approvals()[0]).map(|approval| approval.state);

            let earlier = desk.ask(vec![ask(session)]).await.unwrap();
            wall.store(crate::app::now_ms() + after_ms, Ordering::Relaxed);
            let target = Target::Session {
                session,
                token: None,
                issuer: "idp".into(),
                subject: "ann".into(),
                connection: "openai".into(),
            };
            let order = Order { target, issued_before_ms: None, reason: "INC-1".into(), by: "ops".into() };
            registry.revoke(order).await.unwrap();
            withdraw(&registry, &desk);
            assert_eq!(state(&*earlier), Some(State::Cancelled));

            // Who comes back with something newer is asked anew, and keeps the question.
            wall.fetch_add(HOUR_MS, Ordering::Relaxed);
            let later = desk.ask(vec![ask(session)]).await.unwrap();
            withdraw(&registry, &desk);
            assert_eq!(state(&*later), Some(State::Pending));
        }
    }
}
