//! The desk with time that the test moves and a record that can be read, or be made to fail.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use exchange::ports::Tape;

use super::*;
use crate::reference::{ask, operator, terms};

/// A record of events in memory.
#[derive(Default)]
struct Notes {
    events: Mutex<Vec<(ApprovalId, String)>>,
    fails: AtomicBool,
}

impl Notes {
    fn of(&self, id: ApprovalId) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|(of, _)| *of == id).map(|(_, state)| state.clone()).collect()
    }
}

impl Recorder for Notes {
    fn open(&self, _: model::record::Opened) -> Result<Box<dyn Tape>, RecordError> {
        Err(RecordError("no exchanges here".to_owned()))
    }

    fn event(&self, event: Event) -> BoxFuture<'_, Result<(), RecordError>> {
        Box::pin(async move {
            // As a disk: not at once.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.fails.load(Ordering::Relaxed) {
                return Err(RecordError("the disk is full".to_owned()));
            }
            if let Event::Approval { approval, state, .. } = event {
                self.events.lock().unwrap().push((approval, state));
            }
            Ok(())
        })
    }

    fn keyed_hash(&self, _: &[u8]) -> [u8; 16] {
        [0; 16]
    }
}

fn desk() -> (Approvals, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (Approvals::new(terms(), Arc::clone(&notes) as Arc<dyn Recorder>), notes)
}

#[tokio::test(start_paused = true)]
async fn an_approval_wakes_the_exchange_and_is_on_record_first() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    assert_eq!(notes.of(id), ["pending"]);
    let waits = tokio::spawn(async move { (ticket.decided().await, ticket) });
    desk.decide(id, Decision::Approve, &operator(), "fine").await.unwrap();
    assert_eq!(notes.of(id)[..2], ["pending", "approved"]);
    let (ruling, _ticket) = waits.await.unwrap();
    assert_eq!((ruling.state, ruling.by.as_str(), ruling.reason.as_str()), (RulingState::Approved, "admin", "fine"));
    assert_eq!(notes.of(id), ["pending", "approved", "consumed"]);
    assert_eq!(desk.approval(id).unwrap().state, State::Consumed);
}

#[tokio::test(start_paused = true)]
async fn nobody_decides_and_it_expires_by_itself() {
    let (desk, notes) = desk();
    let keeper = desk.clone();
    let kept = tokio::spawn(async move { keeper.keep().await });
    let mut ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    assert_eq!(ticket.decided().await.state, RulingState::Expired);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(notes.of(id), ["pending", "expired"]);
    let decided = desk.decide(id, Decision::Approve, &operator(), "").await;
    assert_eq!(decided, Err(DecideError::Wrong(Wrong::NotPending(State::Expired))));
    kept.abort();
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_can_not_be_recorded_does_not_count() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    notes.fails.store(true, Ordering::Relaxed);
    let decided = desk.decide(id, Decision::Approve, &operator(), "").await;
    assert!(matches!(decided, Err(DecideError::Record(_))));
    assert_eq!(desk.approval(id).unwrap().state, State::Pending);
    notes.fails.store(false, Ordering::Relaxed);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    notes.fails.store(true, Ordering::Relaxed);
    assert_eq!(ticket.decided().await.state, RulingState::Cancelled, "its use could not be recorded");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_can_not_be_recorded_is_not_asked() {
    let (desk, notes) = desk();
    notes.fails.store(true, Ordering::Relaxed);
    assert!(desk.ask(ask("text", "")).await.is_err());
    assert_eq!(desk.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_its_question_along_unless_it_leaves_it() {
    let (desk, _) = desk();
    let ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    drop(ticket);
    assert_eq!(desk.approval(id).unwrap().state, State::Cancelled);

    let mut ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    let waited = tokio::time::timeout(Duration::from_secs(1), ticket.decided()).await;
    assert!(waited.is_err(), "nobody has decided");
    ticket.leave();
    assert_eq!(desk.approval(id).unwrap().state, State::Pending);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    let mut again = desk.ask(ask("text", "")).await.unwrap();
    assert_eq!(again.approval(), id);
    assert_eq!(again.decided().await.state, RulingState::Approved);
    let mut third = desk.ask(ask("text", "")).await.unwrap();
    assert_ne!(third.approval(), id);
    desk.decide(third.approval(), Decision::Deny, &operator(), "no").await.unwrap();
    assert_eq!(third.decided().await.state, RulingState::Denied);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_wait_for_one_approval_one_goes_on() {
    let (desk, _) = desk();
    let mut one = desk.ask(ask("text", "")).await.unwrap();
    let mut two = desk.ask(ask("text", "")).await.unwrap();
    assert_eq!(one.approval(), two.approval());
    desk.decide(one.approval(), Decision::Approve, &operator(), "").await.unwrap();
    let (first, second) = tokio::join!(one.decided(), two.decided());
    let mut states = [first.state, second.state].map(|state| state == RulingState::Approved);
    states.sort_unstable();
    assert_eq!(states, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn waiting_may_be_broken_off_and_taken_up_again() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(ask("text", "")).await.unwrap();
    let id = ticket.approval();
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    // Broken off while the use is being recorded.
    assert!(tokio::time::timeout(Duration::from_millis(1), ticket.decided()).await.is_err());
    assert_eq!(ticket.decided().await.state, RulingState::Approved);
    assert_eq!(notes.of(id), ["pending", "approved", "consumed"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_revoked_caller_asked_is_taken_back_whether_it_waits_or_not() {
    let (desk, notes) = desk();
    let keeper = desk.clone();
    let keeping = tokio::spawn(async move { keeper.keep().await });
    let mut waits = desk.ask(ask("one", "")).await.unwrap();
    let left = desk.ask(ask("two", "")).await.unwrap();
    let ids = [waits.approval(), left.approval()];
    left.leave();
    let unmoved = desk.ask(ask("three", "")).await.unwrap();
    let approved = ids[1];
    desk.decide(approved, Decision::Approve, &operator(), "fine").await.unwrap();
    desk.withdraw(|approval| ids.contains(&approval.id), "revoked");
    let ruling = waits.decided().await;
    assert_eq!((ruling.state, ruling.reason.as_str()), (RulingState::Cancelled, "revoked"));
    for id in ids {
        assert_eq!(desk.approval(id).unwrap().state, State::Cancelled);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.of(approved), ["pending", "approved", "cancelled"], "and that is on record");
    assert_eq!(desk.approval(unmoved.approval()).unwrap().state, State::Pending);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_being_decided_for_a_revoked_caller_is_withdrawn_too() {
    let (desk, notes) = desk();
    let keeper = desk.clone();
    let keeping = tokio::spawn(async move { keeper.keep().await });
    let mut ticket = desk.ask(ask("one", "")).await.unwrap();
    let id = ticket.approval();
    let admin = operator();
    let deciding = desk.decide(id, Decision::Approve, &admin, "fine");
    tokio::pin!(deciding);
    // The decision is on its way into the record.
    assert!(tokio::time::timeout(Duration::ZERO, &mut deciding).await.is_err());
    desk.withdraw(|approval| approval.id == id, "revoked");
    let told = deciding.await.unwrap_err();
    assert_eq!(told, DecideError::Wrong(Wrong::NotPending(State::Cancelled)), "its approver hears of it");
    let ruling = ticket.decided().await;
    assert_eq!((ruling.state, ruling.reason.as_str()), (RulingState::Cancelled, "revoked"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.of(id), ["pending", "approved", "cancelled"]);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn what_was_remembered_of_a_revoked_caller_is_asked_again() {
    let (desk, _notes) = desk();
    let mut first = desk.ask(ask("one", "key")).await.unwrap();
    let id = first.approval();
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    assert_eq!(first.decided().await.state, RulingState::Approved);
    let known = desk.ask(ask("one", "key")).await.unwrap();
    assert_eq!(known.approval(), id, "the same request is asked once for the session");
    desk.withdraw(|approval| approval.id == id, "revoked");
    let again = desk.ask(ask("one", "key")).await.unwrap();
    assert_ne!(again.approval(), id, "nothing is remembered");
    assert_eq!(desk.approval(again.approval()).unwrap().state, State::Pending);
}
