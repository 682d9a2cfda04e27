//! Each hook, with what it is shown and what becomes of its answer; each unit of offsets; the verdict of `open`.

use std::time::Duration;

use exchange::ports::{self, Conversation, ConversationPart, Head, Summary, Window};
use model::{Attribute, Channel, Direction, Edit, Hit, Outcome, PartId, Speaker, Substitute, Usage, Verdict};
use wasmtime::component::Component;

use crate::{
    guests::{Guest, PlanOf, Record, edit},
    rig::{NOW, about, prepare, runtime, spec, window},
};

/// A guest whose `on-text` always replaces one span.
fn editing(offsets: u32, start: u32, end: u32) -> Guest {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { offsets, ..PlanOf::default() });
    let edit = edit(&mut guest, start, end, (0, "x"), "test");
    let answer = guest.decision((0, &Record::default()), &[edit], 0, &[]);
    guest.on_text(&format!("(i32.const {answer})"))
}

#[tokio::test]
async fn it_is_known_by_what_it_says_of_itself() {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { offsets: 1, patterns: &[("n", "[0-9]+", "")], look_behind: 5, skip: 1, ..PlanOf::default() });
    let answer = guest.decision((0, &Record::default()), &[], 0, &[]);
    let policy = prepare(guest.on_text(&format!("(i32.const {answer})"))).await.unwrap();
    assert_eq!((policy.info().name.as_str(), policy.info().version.as_str()), ("by-hand", "1.2.3"));
    let plan = policy.plan();
    assert!(plan.hooks.text && !plan.hooks.open && !plan.hooks.conversation);
    assert_eq!((plan.patterns.as_slice(), plan.look_behind), (&["n".to_owned()][..], 15));
    assert_eq!(policy.scan("", "ab 12 c", true).hits, [Hit { pattern: 0, start: 3, end: 5 }]);
}

#[tokio::test]
async fn edits_count_in_the_unit_of_the_plan() {
    for (unit, start, end) in [(0, 2, 6), (1, 1, 3), (2, 1, 2)] {
        let policy = prepare(editing(unit, start, end)).await.unwrap();
        let decision = policy.guest(&about()).on_text(window(0, "é😀b and more")).await.unwrap();
        let edit = Edit { start: 2, end: 6, by: Substitute::Literal("x".to_owned()), reason: "test".to_owned() };
        assert_eq!(decision.edits, [edit], "unit {unit}");
    }
}

#[tokio::test]
async fn a_window_is_shown_in_the_unit_of_the_plan() {
    // Units: before shown, fresh, start and end of the hit.
    for (unit, look_behind, before, fresh, start, end) in [(0, 1, 2, 2, 6, 7), (1, 1, 1, 1, 3, 4), (2, 1, 1, 1, 2, 3)] {
        let mut guest = Guest::new();
        guest.plan(&PlanOf { offsets: unit, patterns: &[("n", "[0-9]", "")], look_behind, ..PlanOf::default() });
        let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
        let before_bytes = if unit == 0 { before } else { 2 };
        let guest = guest.on_text(&format!(
            "(if (i32.eq (local.get $part) (i32.const {NOW})) (then
               (if (i32.ne (local.get $fresh) (i32.const {fresh})) (then unreachable))
               (if (i32.ne (local.get $before_length) (i32.const {before_bytes})) (then unreachable))
               (if (i32.ne (local.get $hits_length) (i32.const 1)) (then unreachable))
               (if (i32.ne (i32.load offset=8 (local.get $hits)) (i32.const {start})) (then unreachable))
               (if (i32.ne (i32.load offset=12 (local.get $hits)) (i32.const {end})) (then unreachable))))
             (i32.const {allow})"
        ));
        let policy = prepare(guest).await.unwrap();
        let hits = policy.scan("", "é😀1", true).hits;
        let shown = Window { before: "abé", fresh: 2, hits: &hits, ..window(NOW, "é😀1") };
        let decision = policy.guest(&about()).on_text(shown).await;
        assert_eq!(decision.map(|decision| decision.verdict), Ok(Verdict::Allow), "unit {unit}");
    }
}

#[tokio::test]
async fn a_conversation_is_judged_whole() {
    let mut guest = Guest::new();
    let edit = edit(&mut guest, 0, 5, (1, "WORD"), "test");
    let part = Record::default().word(4).list(&mut guest, &[edit]);
    let tool = Record::default().text(&mut guest, "rm");
    let note = Record::default().text(&mut guest, "seen").text(&mut guest, "yes");
    let rest = Record::default()
        .list(&mut guest, &[part])
        .list(&mut guest, &[tool])
        .text(&mut guest, r#"{"n":1}"#)
        .list(&mut guest, &[note]);
    let judged = guest.answer((0, &Record::default()), &rest);
    let allow = guest.answer((0, &Record::default()), &Record::default().words(&[0; 8]));
    // Two parts: this is no trial.
    guest.hook(
        "conversation",
        "on-request",
        "(param i32 i32 i32) (param $parts i32) (param i32 i32 i32 i32) (result i32)",
        &format!("(select (i32.const {judged}) (i32.const {allow}) (i32.eq (local.get $parts) (i32.const 2)))"),
    );
    let policy = prepare(guest).await.unwrap();
    let part = |part, text: &str| ConversationPart {
        part: PartId(part),
        channel: Channel::Content,
        speaker: Speaker::User,
        text: text.to_owned(),
    };
    let request = Conversation { parts: vec![part(2, "one"), part(4, "hello you")], ..Conversation::default() };
    let decision = policy.guest(&about()).on_request(&request).await.unwrap();
    assert_eq!(decision.edits[0].0, PartId(4));
    assert_eq!(decision.edits[0].1[0].by, Substitute::Token("WORD".to_owned()));
    assert_eq!((decision.remove_tools.as_slice(), decision.patch.as_str()), (&["rm".to_owned()][..], r#"{"n":1}"#));
    assert_eq!(decision.notes, [Attribute { name: "seen".into(), value: "yes".into() }]);
    let unknown = Conversation { parts: vec![part(2, "one"), part(3, "hello you")], ..Conversation::default() };
    assert!(policy.guest(&about()).on_request(&unknown).await.unwrap_err().message.contains("part 4"));
}

#[tokio::test]
async fn a_tool_call_is_judged() {
    let mut guest = Guest::new();
    let refusal = Record::default().text(&mut guest, "tool.no").text(&mut guest, "no").text(&mut guest, "");
    let rest = Record::default().text(&mut guest, "").words(&[0, 0]);
    let answer = guest.answer((2, &refusal), &rest);
    guest.hook(
        "tools",
        "on-tool-call",
        "(param i32 i32 i32 i32 i32 i32) (result i32)",
        &format!("(i32.const {answer})"),
    );
    let decision = prepare(guest).await.unwrap().guest(&about()).on_tool_call("id", "rm", "{}").await.unwrap();
    assert!(matches!(decision.verdict, Verdict::Block(refusal) if refusal.code == "tool.no"));
}

#[tokio::test]
async fn heads_and_bodies_are_judged() {
    let mut guest = Guest::new();
    let header = Record::default().text(&mut guest, "x-seen").text(&mut guest, "yes");
    let name = Record::default().text(&mut guest, "x-gone");
    let rest = Record::default().list(&mut guest, &[header]).list(&mut guest, &[name]).words(&[0, 0]);
    let head = guest.answer((0, &Record::default()), &rest);
    guest.hook(
        "bytes",
        "on-head",
        "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        &format!("(i32.const {head})"),
    );
    let edit = Record::default().word(0).word(1).text(&mut guest, "XY");
    let rest = Record::default().list(&mut guest, &[edit]).words(&[0, 0, 0]);
    let body = guest.answer((0, &Record::default()), &rest);
    guest.hook("bytes", "on-body", "(param i32 i32 i32 i32 i32) (result i32)", &format!("(i32.const {body})"));
    let policy = prepare(guest).await.unwrap();
    let mut guest = policy.guest(&about());
    let shown = Head {
        direction: Direction::Response,
        method: String::new(),
        path: "/".to_owned(),
        status: 200,
        headers: Vec::new(),
    };
    let decision = guest.on_head(&shown).await.unwrap();
    assert_eq!(decision.set, [Attribute { name: "x-seen".into(), value: "yes".into() }]);
    assert_eq!(decision.remove, ["x-gone"]);
    let decision = guest.on_body(Direction::Response, b"\xffabc", 0, false).await.unwrap();
    assert_eq!(decision.edits, [(0, 1, bytes::Bytes::from_static(b"XY"))]);
    assert!(guest.on_body(Direction::Response, b"", 0, false).await.is_err());
}

#[tokio::test]
async fn the_end_is_told_and_noted() {
    let mut guest = Guest::new();
    let note = Record::default().text(&mut guest, "tokens").text(&mut guest, "many");
    let list = Record::default().list(&mut guest, &[note]);
    let answer = guest.record(&list);
    guest.hook("audit", "on-end", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)", &format!("(i32.const {answer})"));
    let summary = Summary { outcome: Outcome::Completed, usage: Usage::default(), duration: Duration::from_secs(1) };
    let notes = prepare(guest).await.unwrap().guest(&about()).on_end(&summary).await.unwrap();
    assert_eq!(notes, [Attribute { name: "tokens".into(), value: "many".into() }]);
}

#[tokio::test]
async fn what_open_says_is_told_once_and_never_lost() {
    let mut guest = editing(0, 0, 1);
    let refusal = Record::default().text(&mut guest, "no").text(&mut guest, "no").text(&mut guest, "");
    let block = guest.verdict(2, &refusal);
    guest.open = Some(format!("(i32.const {block})"));
    let policy = prepare(guest).await.unwrap();
    let mut opened = policy.guest(&about());
    assert!(matches!(opened.open().await, Ok(Verdict::Block(_))));
    assert_eq!(opened.open().await, Ok(Verdict::Allow));
    let mut implicit = policy.guest(&about());
    let decision = implicit.on_text(window(0, "abc")).await.unwrap();
    assert!(matches!(decision.verdict, Verdict::Block(_)) && decision.edits.is_empty());
}

#[tokio::test]
async fn what_open_asks_about_is_edited_all_the_same() {
    let mut guest = editing(0, 0, 1);
    let question = Record::default().text(&mut guest, "May it?").words(&[0, 0, 0, 0, 60, 0, 0]);
    let ask = guest.verdict(3, &question);
    guest.open = Some(format!("(i32.const {ask})"));
    let policy = prepare(guest).await.unwrap();
    let decision = policy.guest(&about()).on_text(window(0, "abc")).await.unwrap();
    assert!(matches!(decision.verdict, Verdict::Ask(question) if question.title == "May it?"));
    assert_eq!(decision.edits.len(), 1);
}

#[tokio::test]
async fn better_code_serves_new_instances_and_those_that_run_keep_theirs() {
    let runtime = runtime();
    let answering = |text: &str| {
        let mut guest = Guest::new();
        let edit = edit(&mut guest, 0, 1, (0, text), "test");
        let answer = guest.decision((0, &Record::default()), &[edit], 0, &[]);
        let guest = guest.on_text(&format!("(i32.const {answer})"));
        Component::new(runtime.engine(), guest.build()).unwrap()
    };
    let proven = runtime.prepare(answering("a"), spec()).await.unwrap();
    let exchange = about();
    let mut running = proven.policy.guest(&exchange);
    let said = async |guest: &mut Box<dyn ports::Guest>| match &guest.on_text(window(0, "text")).await.unwrap().edits[..]
    {
        [Edit { by: Substitute::Literal(text), .. }] => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&mut running).await, "a");
    // Other code than would ever be put there, so that it can be told which one runs.
    proven.code.replace(&answering("b")).unwrap();
    assert_eq!(said(&mut running).await, "a");
    assert_eq!(said(&mut proven.policy.guest(&exchange)).await, "b");
    drop((running, proven.policy));
    assert_eq!(proven.code.replace(&answering("c")), Ok(()), "it is gone, and that is all");
}
