//! The desk with time that the test moves and a record that can be read, or be made to fail.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use exchange::ports::Tape;

use super::*;
use crate::reference::{ask, operator, terms, the_one};

/// A record of events in memory.
#[derive(Default)]
struct Notes {
    events: Mutex<Vec<(ApprovalId, String)>>,
    /// When the last was, as it says.
    at_ms: Mutex<u64>,
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
            if let Event::Approval { approval, state, at_ms, .. } = event {
                self.events.lock().unwrap().push((approval, state));
                *self.at_ms.lock().unwrap() = at_ms;
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

fn id_of(ticket: &dyn Ticket) -> ApprovalId {
    ticket.approvals()[0]
}

/// What comes of it in the end.
async fn ruling_of(ticket: &mut dyn Ticket) -> Ruling {
    the_one(ticket.decided(Duration::from_secs(3600)).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_approval_wakes_the_exchange_and_is_on_record_first() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    assert_eq!(notes.of(id), ["pending"]);
    let waits = tokio::spawn(async move { (ruling_of(&mut *ticket).await, ticket) });
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
    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    assert_eq!(ruling_of(&mut *ticket).await.state, RulingState::Expired);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(notes.of(id), ["pending", "expired"]);
    let decided = desk.decide(id, Decision::Approve, &operator(), "").await;
    assert_eq!(decided, Err(DecideError::Wrong(Wrong::NotPending(State::Expired))));
    kept.abort();
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_can_not_be_recorded_does_not_count() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    notes.fails.store(true, Ordering::Relaxed);
    let decided = desk.decide(id, Decision::Approve, &operator(), "").await;
    assert!(matches!(decided, Err(DecideError::Record(_))));
    assert_eq!(desk.approval(id).unwrap().state, State::Pending);
    notes.fails.store(false, Ordering::Relaxed);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    notes.fails.store(true, Ordering::Relaxed);
    assert_eq!(ruling_of(&mut *ticket).await.state, RulingState::Cancelled, "its use could not be recorded");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_can_not_be_recorded_is_not_asked() {
    let (desk, notes) = desk();
    notes.fails.store(true, Ordering::Relaxed);
    assert!(desk.ask(vec![ask("text", "")]).await.is_err());
    assert_eq!(desk.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_its_question_along_unless_it_leaves_it() {
    let (desk, _) = desk();
    let ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    drop(ticket);
    assert_eq!(desk.approval(id).unwrap().state, State::Cancelled);

    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    assert_eq!(ticket.decided(Duration::from_secs(1)).await, None, "nobody has decided");
    ticket.leave();
    assert_eq!(desk.approval(id).unwrap().state, State::Pending);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    let mut again = desk.ask(vec![ask("text", "")]).await.unwrap();
    assert_eq!(id_of(&*again), id);
    assert_eq!(ruling_of(&mut *again).await.state, RulingState::Approved);
    let mut third = desk.ask(vec![ask("text", "")]).await.unwrap();
    assert_ne!(id_of(&*third), id);
    desk.decide(id_of(&*third), Decision::Deny, &operator(), "no").await.unwrap();
    assert_eq!(ruling_of(&mut *third).await.state, RulingState::Denied);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_more_is_taken_back_also_where_it_was_left_open_or_decided() {
    let (desk, _) = desk();
    let left = desk.ask(vec![ask("one", "")]).await.unwrap();
    let id = id_of(&*left);
    left.leave();
    let [again, other] = [desk.ask(vec![ask("one", "")]).await.unwrap(), desk.ask(vec![ask("one", "")]).await.unwrap()];
    assert_eq!((id_of(&*again), id_of(&*other)), (id, id));
    again.withdraw("other policies");
    assert_eq!(desk.approval(id).unwrap().state, State::Pending, "another waits");
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    other.withdraw("other policies");
    let closed = desk.approval(id).unwrap();
    assert_eq!((closed.state, closed.reason.as_str()), (State::Cancelled, "other policies"));
    let late = desk.decide(id, Decision::Approve, &operator(), "").await;
    assert_eq!(late, Err(DecideError::Wrong(Wrong::NotPending(State::Cancelled))));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_wait_for_one_approval_one_goes_on() {
    let (desk, _) = desk();
    let mut one = desk.ask(vec![ask("text", "")]).await.unwrap();
    let mut two = desk.ask(vec![ask("text", "")]).await.unwrap();
    assert_eq!(id_of(&*one), id_of(&*two));
    desk.decide(id_of(&*one), Decision::Approve, &operator(), "").await.unwrap();
    let (first, second) = tokio::join!(ruling_of(&mut *one), ruling_of(&mut *two));
    let mut states = [first.state, second.state].map(|state| state == RulingState::Approved);
    states.sort_unstable();
    assert_eq!(states, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_is_decided_is_had_however_short_the_wait_is() {
    let (desk, notes) = desk();
    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let id = id_of(&*ticket);
    assert_eq!(ticket.decided(Duration::ZERO).await, None);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    // To record the use takes longer than that.
    let rulings = ticket.decided(Duration::ZERO).await.unwrap();
    assert_eq!(the_one(rulings).state, RulingState::Approved);
    assert_eq!(notes.of(id), ["pending", "approved", "consumed"]);
}

#[tokio::test(start_paused = true)]
async fn one_question_too_many_takes_the_others_back() {
    let (desk, _) = desk();
    let asks = (0..=terms().pending).map(|number| ask(&number.to_string(), "")).collect();
    assert!(desk.ask(asks).await.is_err());
    assert_eq!(desk.pending(), 0);
    assert!(desk.ask(Vec::new()).await.is_err(), "nothing is approved that was not asked");
}

#[tokio::test(start_paused = true)]
async fn what_a_revoked_caller_asked_is_taken_back_whether_it_waits_or_not() {
    let (desk, notes) = desk();
    let keeper = desk.clone();
    let keeping = tokio::spawn(async move { keeper.keep().await });
    let mut waits = desk.ask(vec![ask("one", "")]).await.unwrap();
    let left = desk.ask(vec![ask("two", "")]).await.unwrap();
    let ids = [id_of(&*waits), id_of(&*left)];
    left.leave();
    let unmoved = desk.ask(vec![ask("three", "")]).await.unwrap();
    let approved = ids[1];
    desk.decide(approved, Decision::Approve, &operator(), "fine").await.unwrap();
    desk.withdraw(|approval, _| ids.contains(&approval.id), "revoked");
    let ruling = ruling_of(&mut *waits).await;
    assert_eq!((ruling.state, ruling.reason.as_str()), (RulingState::Cancelled, "revoked"));
    for id in ids {
        assert_eq!(desk.approval(id).unwrap().state, State::Cancelled);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.of(approved), ["pending", "approved", "cancelled"], "and that is on record");
    assert_eq!(desk.approval(id_of(&*unmoved)).unwrap().state, State::Pending);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_being_decided_for_a_revoked_caller_is_withdrawn_too() {
    let (desk, notes) = desk();
    let keeper = desk.clone();
    let keeping = tokio::spawn(async move { keeper.keep().await });
    let mut ticket = desk.ask(vec![ask("one", "")]).await.unwrap();
    let id = id_of(&*ticket);
    let admin = operator();
    let deciding = desk.decide(id, Decision::Approve, &admin, "fine");
    tokio::pin!(deciding);
    // The decision is on its way into the record.
    assert!(tokio::time::timeout(Duration::ZERO, &mut deciding).await.is_err());
    desk.withdraw(|approval, _| approval.id == id, "revoked");
    let told = deciding.await.unwrap_err();
    assert_eq!(told, DecideError::Wrong(Wrong::NotPending(State::Cancelled)), "its approver hears of it");
    let ruling = ruling_of(&mut *ticket).await;
    assert_eq!((ruling.state, ruling.reason.as_str()), (RulingState::Cancelled, "revoked"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.of(id), ["pending", "approved", "cancelled"]);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn what_was_remembered_of_a_revoked_caller_is_asked_again() {
    let (desk, _notes) = desk();
    let mut first = desk.ask(vec![ask("one", "key")]).await.unwrap();
    let id = id_of(&*first);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    assert_eq!(ruling_of(&mut *first).await.state, RulingState::Approved);
    let known = desk.ask(vec![ask("one", "key")]).await.unwrap();
    assert_eq!(id_of(&*known), id, "the same request is asked once for the session");
    desk.withdraw(|approval, _| approval.id == id, "revoked");
    let again = desk.ask(vec![ask("one", "key")]).await.unwrap();
    assert_ne!(id_of(&*again), id, "nothing is remembered");
    assert_eq!(desk.approval(id_of(&*again)).unwrap().state, State::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_closes_records_what_became_of_every_question() {
    let (desk, notes) = desk();
    let mut waits = desk.ask(vec![ask("waits", "")]).await.unwrap();
    let left = desk.ask(vec![ask("left", "")]).await.unwrap();
    let gone = desk.ask(vec![ask("gone", "")]).await.unwrap();
    let ids = [&waits, &left, &gone].map(|ticket| id_of(&**ticket));
    left.leave();
    drop(gone);
    desk.close().await;
    for id in ids {
        assert_eq!(notes.of(id), ["pending", "cancelled"]);
    }
    assert_eq!(ruling_of(&mut *waits).await.state, RulingState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_is_stopped_while_it_records_loses_no_end_of_a_question() {
    let (desk, notes) = desk();
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let ticket = desk.ask(vec![ask(text, "")]).await.unwrap();
        ids.push(id_of(&*ticket));
        ticket.leave();
    }
    desk.withdraw(|_, _| true, "revoked");
    // The first of them is on its way into the record when the keeper is dropped.
    assert!(tokio::time::timeout(Duration::from_millis(1), desk.keep()).await.is_err());
    desk.close().await;
    for id in ids {
        assert_eq!(notes.of(id), ["pending", "cancelled"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_use_of_an_approval_is_on_record_however_many_hang_up_meanwhile() {
    let (desk, notes) = desk();
    let mut held = desk.ask(vec![ask("held", "")]).await.unwrap();
    let id = id_of(&*held);
    for number in 0..=1000 {
        drop(desk.ask(vec![ask(&number.to_string(), "")]).await.unwrap());
    }
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    assert_eq!(ruling_of(&mut *held).await.state, RulingState::Approved);
    assert_eq!(notes.of(id), ["pending", "approved", "consumed"]);
}

#[tokio::test(start_paused = true)]
async fn the_use_of_what_is_remembered_is_on_record_when_its_question_is_forgotten() {
    let (desk, notes) = desk();
    let mut first = desk.ask(vec![ask("text", "key")]).await.unwrap();
    let id = id_of(&*first);
    desk.decide(id, Decision::Approve, &operator(), "").await.unwrap();
    assert_eq!(ruling_of(&mut *first).await.state, RulingState::Approved);
    for number in 0..=1000 {
        drop(desk.ask(vec![ask(&number.to_string(), "")]).await.unwrap());
    }
    assert!(desk.approval(id).is_none());
    let mut again = desk.ask(vec![ask("text", "key")]).await.unwrap();
    assert_eq!((id_of(&*again), ruling_of(&mut *again).await.state), (id, RulingState::Approved));
    assert_eq!(notes.of(id), ["pending", "approved", "consumed", "consumed"]);
}

#[tokio::test(start_paused = true)]
async fn times_are_told_and_recorded_by_the_clock_as_it_is_now() {
    let minute = 60_000;
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let notes = Arc::new(Notes::default());
    // The system's clock was two hours behind when the host began, and was set right.
    let clock = Clock::at(wall() - 120 * minute);
    let desk = Approvals::at(terms(), Arc::clone(&notes) as Arc<dyn Recorder>, clock);
    let mut ticket = desk.ask(vec![ask("text", "")]).await.unwrap();
    let told = desk.list().remove(0);
    assert!(told.asked_at_ms.abs_diff(wall()) < minute && told.expires_at_ms.abs_diff(wall()) < minute, "{told:?}");
    assert!((1..=terms().default_timeout_ms).contains(&told.left_ms), "{told:?}");
    assert!(notes.at_ms.lock().unwrap().abs_diff(wall()) < minute);
    assert_eq!(ruling_of(&mut *ticket).await.state, RulingState::Expired, "in its time");
    assert_eq!(desk.approval(told.id).unwrap().left_ms, 0);
}
