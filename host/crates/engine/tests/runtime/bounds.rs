//! Guests that take more than is theirs, wherever they take it: each is stopped, and nobody else notices.

use std::time::Duration;

use engine::PolicySpec;
use exchange::ports::FailureKind;
use model::{PolicyLimits, Verdict};

use crate::{
    guests::{Guest, Record},
    rig::{NOW, about, judged, on_now, prepare, prepare_with, refused, runtime, spec, window},
};

const SPIN: &str = "(loop $again (br $again))";

async fn ends(guest: Guest, kind: FailureKind) {
    let failure = judged(guest, "some text").await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
}

#[tokio::test]
async fn a_spin_in_a_call_ends() {
    ends(on_now(SPIN), FailureKind::Deadline).await;
}

#[tokio::test]
async fn a_spin_of_bulk_operations_ends() {
    let fill = "(loop $again (memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536)) (br $again))";
    ends(on_now(fill), FailureKind::Deadline).await;
}

#[tokio::test]
async fn a_spin_after_the_answer_ends() {
    let mut guest = on_now("(global.set $bad (i32.const 1))");
    guest.define(&format!(
        "(global $bad (mut i32) (i32.const 0))
         (func (export \"cabi_post_portcullis:policy/text@0.1.0#on-text\") (param i32)
           (if (global.get $bad) (then {SPIN})))"
    ));
    ends(guest, FailureKind::Deadline).await;
}

#[tokio::test]
async fn a_spin_where_arguments_are_put_ends() {
    let mut guest = Guest::new();
    guest.realloc = "(loop $again (br $again))";
    let error = refused(guest).await;
    assert_eq!(error.stage, "configure");
    assert!(error.message.starts_with("deadline"), "{error}");
}

#[tokio::test]
async fn a_spin_at_the_start_ends() {
    let mut guest = Guest::new();
    guest.start = "(func $boot (loop $again (br $again))) (start $boot)";
    let error = refused(guest).await;
    assert_eq!(error.stage, "instantiate");
    assert!(error.message.starts_with("deadline"), "{error}");
}

#[tokio::test]
async fn a_hoard_of_memory_ends() {
    let hoard = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    ends(on_now(hoard), FailureKind::Memory).await;
    let mut guest = Guest::new();
    guest.memory_pages = 1_000;
    assert!(refused(guest).await.message.starts_with("memory"));
}

#[tokio::test]
async fn endless_recursion_ends() {
    let mut guest = on_now("(call $down)");
    guest.define("(func $down (call $down) (call $down))");
    ends(guest, FailureKind::Trap).await;
}

/// A guest that answers with so many edits on part [`NOW`].
fn editing(count: u32) -> Guest {
    let mut guest = Guest::new();
    let gone = guest.bytes(b"[GONE]");
    let edits: Vec<_> = (0..count).map(|at| Record::default().words(&[at, at + 1, 0, gone, 6, gone, 6])).collect();
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    let answer = guest.decision((0, &Record::default()), &edits, 0, &[]);
    guest.on_text(&format!(
        "(select (i32.const {answer}) (i32.const {allow}) (i32.eq (local.get $part) (i32.const {NOW})))"
    ))
}

/// The more a call is shown, the more it may answer.
#[tokio::test]
async fn an_answer_may_be_as_large_as_what_is_shown_calls_for() {
    const EDITS: u32 = 1500;
    let policy = prepare(editing(EDITS)).await.unwrap();
    let (little, much) = ("x".repeat(EDITS as usize), "x".repeat(1 << 20));
    let failure = policy.guest(&about()).on_text(window(NOW, &little)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answer, "{failure}");
    assert!(failure.message.contains("larger than 65536 bytes"), "{failure}");
    let mut guest = policy.guest(&about());
    let decision = guest.on_text(window(NOW, &much)).await.unwrap();
    assert_eq!(decision.edits.len(), EDITS as usize);
    let failure = guest.on_text(window(NOW, &little)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answer, "the next call is bounded anew: {failure}");
}

/// However long a call may take, it gives way at every tick, and is gone when nobody waits for it any more.
#[tokio::test]
async fn a_long_call_that_nobody_waits_for_ends() {
    let limits = PolicyLimits { time_per_call: Duration::from_secs(10), ..spec().limits };
    let policy = prepare_with(&runtime(), on_now(SPIN), PolicySpec { limits, ..spec() }).await.unwrap();
    let much = "x".repeat(1 << 20);
    let mut guest = policy.guest(&about());
    let gives_way = async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        ended = guest.on_text(window(NOW, &much)) => panic!("it may take 10 s: {ended:?}"),
        () = gives_way => {}
    }
    assert_eq!(guest.on_text(window(0, "text")).await.unwrap().verdict, Verdict::Allow, "on an instance of its own");
}

#[tokio::test]
async fn others_are_served_while_one_spins() {
    // One thread serves both: the spinning guest must give way.
    let policy = prepare(on_now(SPIN)).await.unwrap();
    let (mut bad, mut good) = (policy.guest(&about()), policy.guest(&about()));
    let ended = std::sync::atomic::AtomicBool::new(false);
    let spin = async {
        let failure = bad.on_text(window(NOW, "text")).await.unwrap_err();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        failure
    };
    let serve = async {
        for _ in 0..100 {
            assert_eq!(good.on_text(window(0, "text")).await.unwrap().verdict, Verdict::Allow);
        }
        !ended.load(std::sync::atomic::Ordering::Relaxed)
    };
    let (failure, served_first) = tokio::join!(spin, serve);
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert!(served_first);
}
