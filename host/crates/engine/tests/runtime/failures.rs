//! After a failure: a fresh instance, which knows that it takes over; and who waits for a place in a full pool.

use std::{sync::Arc, time::Duration};

use engine::{Runtime, RuntimeConfig};
use exchange::ports::FailureKind;
use futures_util::FutureExt;
use model::Verdict;

use crate::{
    guests::{Guest, Record},
    rig::{NOW, about, on_now, prepare, prepare_with, spec, window},
};

/// `exchange.streaming`, behind nine strings and lists; the trial at load is no stream.
const STREAMING: &str = "(i32.load8_u offset=72 (local.get $exchange))";
/// `exchange.resumed`, which follows.
const RESUMED: &str = "(i32.load8_u offset=73 (local.get $exchange))";

/// Does `body` on part [`NOW`], and blocks from `open` when it is resumed.
fn tells_resumed(body: &str) -> Guest {
    let mut guest = on_now(body);
    let refusal = Record::default().text(&mut guest, "resumed").text(&mut guest, "").text(&mut guest, "");
    let block = guest.verdict(2, &refusal);
    let allow = guest.verdict(0, &Record::default());
    guest.open = Some(format!("(select (i32.const {block}) (i32.const {allow}) {RESUMED})"));
    guest
}

#[tokio::test]
async fn the_next_call_takes_a_fresh_instance_that_resumes() {
    let policy = prepare(tells_resumed("unreachable")).await.unwrap();
    let mut guest = policy.guest(&about());
    assert_eq!(guest.on_text(window(0, "text")).await.unwrap().verdict, Verdict::Allow);
    assert_eq!(guest.on_text(window(NOW, "text")).await.unwrap_err().kind, FailureKind::Trap);
    let verdict = guest.on_text(window(0, "text")).await.unwrap().verdict;
    assert!(matches!(verdict, Verdict::Block(refusal) if refusal.code == "resumed"));
}

#[tokio::test]
async fn what_open_asks_is_asked_although_the_hook_behind_it_fails() {
    let mut guest = on_now("(if (i32.eqz (global.get $resumed)) (then unreachable))");
    let question = Record::default().text(&mut guest, "May it?").words(&[0, 0, 0, 0, 60, 0, 0]);
    let (ask, allow) = (guest.verdict(3, &question), guest.verdict(0, &Record::default()));
    guest.define("(global $resumed (mut i32) (i32.const 0))");
    guest.open = Some(format!(
        "(global.set $resumed {RESUMED}) (select (i32.const {allow}) (i32.const {ask}) (global.get $resumed))"
    ));
    let policy = prepare(guest).await.unwrap();
    let mut guest = policy.guest(&about());
    assert_eq!(guest.on_text(window(NOW, "text")).await.unwrap_err().kind, FailureKind::Trap);
    let verdict = guest.on_text(window(NOW, "text")).await.unwrap().verdict;
    assert!(matches!(verdict, Verdict::Ask(question) if question.title == "May it?"));
    assert_eq!(guest.on_text(window(NOW, "text")).await.unwrap().verdict, Verdict::Allow, "once");
    assert_eq!(guest.owed(), None);

    let mut guest = policy.guest(&about());
    assert!(guest.on_text(window(NOW, "text")).await.is_err());
    assert_eq!(guest.owed().map(|question| question.title).as_deref(), Some("May it?"), "no other call may come");
    assert_eq!(guest.owed(), None, "once");
}

#[tokio::test]
async fn who_comes_after_an_open_that_failed_takes_over_from_nobody() {
    let mut guest = on_now("");
    let allow = guest.verdict(0, &Record::default());
    guest.open = Some(format!("(if (i32.gt_u {STREAMING} {RESUMED}) (then unreachable)) (i32.const {allow})"));
    let policy = prepare(guest).await.unwrap();
    let mut guest = policy.guest(&about());
    for _ in 0..2 {
        assert_eq!(guest.on_text(window(NOW, "text")).await.unwrap_err().kind, FailureKind::Trap);
        assert_eq!(guest.open().await.unwrap_err().kind, FailureKind::Trap);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_instance() {
    let policy = prepare(tells_resumed("(loop $again (br $again))")).await.unwrap();
    let mut guest = policy.guest(&about());
    assert_eq!(guest.open().await, Ok(Verdict::Allow));
    // Polled once: the guest runs until its first tick, gives way, and is dropped there.
    assert!(guest.on_text(window(NOW, "text")).now_or_never().is_none());
    assert!(matches!(guest.open().await, Ok(Verdict::Block(_))));
}

#[tokio::test]
async fn instances_share_nothing() {
    let mut guest = Guest::new();
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    let mut guest = guest.on_text(&format!(
        "(if (global.get $used) (then unreachable)) (global.set $used (i32.const 1)) (i32.const {allow})"
    ));
    guest.define("(global $used (mut i32) (i32.const 0))");
    let policy = prepare(guest).await.unwrap();
    for _ in 0..3 {
        assert!(policy.guest(&about()).on_text(window(0, "text")).await.is_ok());
    }
    let mut guest = policy.guest(&about());
    guest.on_text(window(0, "text")).await.unwrap();
    assert_eq!(guest.on_text(window(0, "text")).await.unwrap_err().kind, FailureKind::Trap);
}

#[tokio::test]
async fn who_finds_the_pool_full_waits_and_is_served() {
    for pool in [true, false] {
        let config = RuntimeConfig { memories: 1, wait_for_slot: Duration::from_secs(60), pool };
        let runtime = Runtime::new(config).unwrap();
        let policy = prepare_with(&runtime, on_now(""), spec()).await.unwrap();
        let mut first = policy.guest(&about());
        first.open().await.unwrap();
        let mut second = policy.guest(&about());
        let mut waiting = second.open();
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        assert_eq!(waiting.await, Ok(Verdict::Allow));
    }
}

#[tokio::test]
async fn who_waits_too_long_fails() {
    let config = RuntimeConfig { memories: 1, wait_for_slot: Duration::from_millis(1), pool: true };
    let runtime = Runtime::new(config).unwrap();
    let policy = prepare_with(&runtime, on_now(""), spec()).await.unwrap();
    let mut first = policy.guest(&about());
    first.open().await.unwrap();
    let failure = policy.guest(&about()).open().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Instance);
    assert!(Arc::strong_count(&runtime) > 1);
}
