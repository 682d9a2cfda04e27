//! What guests may import: each grant at work, and refused where it is not given.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use engine::{Grants, PolicySpec};
use model::SessionId;
use tracing::{Event, Metadata, Subscriber, span};

use crate::{
    guests::{Guest, PlanOf, Record},
    rig::{NOW, about, about_in, on_now, prepare, prepare_with, refused, runtime, spec, window},
};

fn granted(name: &str) -> PolicySpec {
    let mut grants = Grants::default();
    assert!(grants.add(name));
    PolicySpec { grants, ..spec() }
}

/// Counts a word up in a scope (1: session, 3: policy), and holds back as many bytes.
fn counting(scope: u32) -> Guest {
    let mut guest = Guest::new();
    let key = guest.bytes(b"n");
    let result = guest.words(&[0; 4]);
    let result = result.next_multiple_of(8);
    let answer = guest.decision((0, &Record::default()), &[], 0, &[]);
    let mut guest = guest.on_text(&format!(
        "(call $add (i32.const {scope}) (i32.const {key}) (i32.const 1) (i64.const 1) (i32.const 0) (i32.const {result}))
         (if (i32.load8_u (i32.const {result})) (then unreachable))
         (if (i32.eqz (local.get $last)) (then
           (i32.store offset=52 (i32.const {answer}) (i32.wrap_i64 (i64.load offset=8 (i32.const {result}))))))
         (i32.const {answer})"
    ));
    guest.import("state", "add", "(param i32 i32 i32 i64 i32 i32)", "$add");
    guest
}

#[tokio::test]
async fn an_import_that_is_not_granted_is_refused_by_name() {
    let error = refused(counting(1)).await;
    assert_eq!(error.stage, "imports");
    assert!(error.message.contains("portcullis:policy/state@0.1.0"), "{error}");
}

#[tokio::test]
async fn state_outlives_the_instance_within_its_scope() {
    let runtime = runtime();
    let (one, two) = (SessionId::new(), SessionId::new());
    let policy = prepare_with(&runtime, counting(1), granted("state")).await.unwrap();
    let held = async |policy: &Arc<dyn exchange::ports::Policy>, session| {
        policy.guest(&about_in(session)).on_text(window(0, "some text")).await.unwrap().hold_back
    };
    assert_eq!(held(&policy, one).await, 1);
    assert_eq!(held(&policy, one).await, 2);
    assert_eq!(held(&policy, two).await, 1);
    // A new version finds what the old one left; its trial counted nothing.
    let newer = prepare_with(&runtime, counting(1), granted("state")).await.unwrap();
    assert_eq!(held(&newer, one).await, 3);
}

#[tokio::test]
async fn what_an_exchange_kept_goes_with_it() {
    let runtime = runtime();
    let policy = prepare_with(&runtime, counting(0), granted("state")).await.unwrap();
    let (one, two) = (about(), about());
    let held = async |exchange: &Arc<exchange::ports::About>| {
        policy.guest(exchange).on_text(window(0, "some text")).await.unwrap().hold_back
    };
    assert_eq!((held(&one).await, held(&one).await, held(&two).await), (1, 2, 1));
    policy.over(one.exchange);
    assert_eq!((held(&one).await, held(&two).await), (1, 2), "and nothing of another exchange");
}

#[tokio::test]
async fn the_clock_tells_the_time() {
    // Before 2020, or far in the future: no.
    let mut guest = on_now(
        "(if (i64.lt_u (i64.sub (call $now) (i64.const 1577836800000)) (i64.const 3000000000000)) (then) (else unreachable))",
    );
    guest.import("clock", "now-ms", "(result i64)", "$now");
    let policy = prepare_with(&runtime(), guest, granted("clock")).await.unwrap();
    assert!(policy.guest(&about()).on_text(window(NOW, "text")).await.is_ok());
}

#[tokio::test]
async fn scan_finds_declared_patterns_in_any_text() {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { offsets: 2, patterns: &[("n", "[0-9]+", "")], ..PlanOf::default() });
    let result = guest.words(&[0, 0]);
    let text = guest.bytes("é 12 345".as_bytes());
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    let mut guest = guest.on_text(&format!(
        "(call $find (i32.const 0) (i32.const 0) (i32.const {text}) (i32.const 9) (i32.const {result}))
         (if (i32.ne (i32.load offset=4 (i32.const {result})) (i32.const 2)) (then unreachable))
         (if (i32.ne (i32.load offset=8 (i32.load (i32.const {result}))) (i32.const 2)) (then unreachable))
         (i32.const {allow})"
    ));
    guest.import("scan", "find", "(param i32 i32 i32 i32 i32)", "$find");
    prepare_with(&runtime(), guest, granted("scan")).await.unwrap();
}

/// Counts what policies write.
struct Counter(Arc<AtomicU32>);

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "portcullis::policy"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut() {
    let mut guest = Guest::new();
    let line = guest.bytes(b"a line\n");
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    let mut guest = guest.on_text(&format!(
        "(local $left i32) (local.set $left (i32.const 1000))
         (if (i32.eq (local.get $part) (i32.const {NOW})) (then
           (loop $again
             (call $write (i32.const 2) (i32.const {line}) (i32.const 7))
             (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
         (i32.const {allow})"
    ));
    guest.import("log", "write", "(param i32 i32 i32)", "$write");
    let policy = prepare(guest).await.unwrap();
    let lines = Arc::new(AtomicU32::new(0));
    let _guard = tracing::subscriber::set_default(Counter(Arc::clone(&lines)));
    assert!(policy.guest(&about()).on_text(window(NOW, "text")).await.is_ok());
    // A hundred, and one that says that the rest is dropped.
    assert_eq!(lines.load(Ordering::Relaxed), 101);
}
