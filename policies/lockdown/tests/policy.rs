//! Nothing passes, by any hook, at any time.

#![expect(clippy::panic, reason = "a test that can't go on fails")]

use lockdown::Lockdown;
use policy_sdk::{
    Chunk, Direction, Head, Hooks, Policy as _, Refusal, Request, ToolCall, Verdict,
    rig::{self, End, Rig},
};

fn rig(json: &str) -> Rig<Lockdown> {
    Rig::new(json).expect("valid settings")
}

fn refusal(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Block(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_text_passes_at_any_split() {
    for rig in [rig(""), rig("").of_user(), rig("").of(Direction::Response, "reasoning", "assistant")] {
        rig.every_split_ends("harmless", "", |end| matches!(end, End::Blocked(refusal) if refusal.code == "lockdown"));
    }
}

#[test]
fn every_hook_on_the_path_is_asked_for_and_blocks() {
    let rig = rig("");
    assert_eq!(rig.plan().hooks(), Hooks::all() - Hooks::AUDIT);
    let plan = rig.plan().as_raw();
    assert!(!plan.only_on_hit && plan.directions.is_empty() && plan.channels.is_empty() && plan.speakers.is_empty());

    let mut policy = rig.instance();
    let request = Request { model: String::new(), parts: Vec::new(), tools: Vec::new(), parameters: "{}".to_owned() };
    let call = ToolCall { id: String::new(), name: "x".to_owned(), input: "{}".to_owned() };
    let head = Head {
        direction: Direction::Request,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        status: 0,
        headers: Vec::new(),
    };
    let chunk = Chunk { direction: Direction::Response, pending: vec![0], fresh: 0, last: false };
    let mut resumed = rig::exchange();
    resumed.resumed = true;
    for verdict in [
        policy.open(&rig::exchange()).expect("answers"),
        policy.open(&resumed).expect("answers"),
        policy.on_request(&request).expect("answers").verdict,
        policy.on_tool_call(&call).expect("answers").verdict,
        policy.on_head(&head).expect("answers").verdict,
        policy.on_body(&chunk).expect("answers").verdict,
    ] {
        assert_eq!(refusal(verdict).code, "lockdown");
    }
}

#[test]
fn the_operators_words_and_the_incident() {
    let open = |json: &str| refusal(rig(json).instance().open(&rig::exchange()).expect("answers"));
    let told = open(r#"{"message": "Stopped.", "incident": "INC-4711"}"#);
    assert_eq!((told.message.as_str(), told.detail.as_str()), ("Stopped. (reference: INC-4711)", "lockdown: INC-4711"));
    let told = open("");
    assert!(told.message.starts_with("The operator has stopped all traffic"));
    assert_eq!(told.detail, "lockdown");
}

#[test]
fn wrong_settings_are_named_with_their_place() {
    let problem = |json: &str| Rig::<Lockdown>::new(json).err().expect("must be refused").remove(0).path;
    assert_eq!(problem(r#"{"message": " "}"#), "/message");
    assert_eq!(problem(r#"{"incident": 4711}"#), "/incident");
    assert_eq!(problem(r#"{"reason": "x"}"#), "/reason");
}
