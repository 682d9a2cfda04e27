//! Answers that break a rule: each is a failure of kind `answer`, whatever its form.

use exchange::ports::FailureKind;

use crate::{
    guests::{Guest, Record, edit},
    rig::{NOW, judged, on_now},
};

/// A guest that answers what `make` lays out on part [`NOW`], and else allows.
fn answering(make: impl FnOnce(&mut Guest) -> u32) -> Guest {
    let mut guest = Guest::new();
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    let answer = make(&mut guest);
    guest.on_text(&format!(
        "(select (i32.const {answer}) (i32.const {allow}) (i32.eq (local.get $part) (i32.const {NOW})))"
    ))
}

async fn is_nonsense(what: &str, guest: Guest) {
    let failure = judged(guest, "aé and more").await.expect_err(what);
    assert_eq!(failure.kind, FailureKind::Answer, "{what}: {failure}");
}

fn edits(spans: &'static [(u32, u32)]) -> impl FnOnce(&mut Guest) -> u32 {
    move |guest| {
        let edits: Vec<Record> = spans.iter().map(|span| edit(guest, span.0, span.1, (0, "x"), "test")).collect();
        guest.decision((0, &Record::default()), &edits, 0, &[])
    }
}

#[tokio::test]
async fn edits_out_of_order_out_of_bounds_or_inside_a_character() {
    is_nonsense("overlapping", answering(edits(&[(0, 4), (3, 5)]))).await;
    is_nonsense("backwards", answering(edits(&[(5, 6), (0, 1)]))).await;
    is_nonsense("inside out", answering(edits(&[(4, 3)]))).await;
    is_nonsense("out of bounds", answering(edits(&[(0, 400)]))).await;
    is_nonsense("inside a character", answering(edits(&[(0, 2)]))).await;
}

#[tokio::test]
async fn more_held_back_than_allowed() {
    is_nonsense("too much", answering(|guest| guest.decision((0, &Record::default()), &[], 65, &[]))).await;
}

/// A policy that is done is shown nothing again, also not what it holds back.
#[tokio::test]
async fn something_held_back_by_one_that_is_done() {
    is_nonsense("nothing more", answering(|guest| guest.decision((1, &Record::default()), &[], 1, &[]))).await;
}

#[tokio::test]
async fn more_notes_than_allowed() {
    let guest = answering(|guest| {
        let notes: Vec<Record> = (0..65).map(|_| Record::default().words(&[0; 4])).collect();
        guest.decision((0, &Record::default()), &[], 0, &notes)
    });
    is_nonsense("notes", guest).await;
}

#[tokio::test]
async fn text_that_is_no_text_and_pointers_to_nowhere() {
    let literal = |at: fn(&mut Guest) -> (u32, u32)| {
        answering(move |guest| {
            let (at, length) = at(guest);
            let edit = Record::default().words(&[0, 1, 0, at, length, 0, 0]);
            guest.decision((0, &Record::default()), &[edit], 0, &[])
        })
    };
    is_nonsense("not UTF-8", literal(|guest| (guest.bytes(b"\xff\xfe"), 2))).await;
    is_nonsense("out of memory's bounds", literal(|_| (0xffff_fff0, 64))).await;
    is_nonsense("too long", literal(|_| (0, 100 << 10))).await;
}

#[tokio::test]
async fn a_verdict_that_does_not_exist() {
    is_nonsense("verdict 9", answering(|guest| guest.decision((9, &Record::default()), &[], 0, &[]))).await;
    is_nonsense("an answer at an odd address", on_now("(return (i32.const 4097))")).await;
}

#[tokio::test]
async fn an_error_is_told_as_the_guest_says_it() {
    let failure = judged(answering(|guest| guest.error("no idea")), "abc").await.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Refused, "no idea"));
}
