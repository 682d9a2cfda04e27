//! What is asked, of whom, and what is asked only once.

#![expect(clippy::panic, reason = "a test that can't go on fails")]

use approve::Approve;
use policy_sdk::{
    Direction, Hooks, Policy as _, Question, ToolCall, Verdict,
    rig::{End, Rig},
};

fn rig(json: &str) -> Rig<Approve> {
    Rig::<Approve>::new(json).expect("valid settings").of_user()
}

fn problem(json: &str) -> String {
    Rig::<Approve>::new(json).err().expect("must be refused").remove(0).path
}

fn question(rig: &Rig<Approve>, text: &str) -> Question {
    match rig.run(&[text]).end {
        End::Asked(question) => question,
        other => panic!("{other:?}"),
    }
}

fn about(json: &str, name: &str, input: &str) -> Verdict {
    let call = ToolCall { id: "1".to_owned(), name: name.to_owned(), input: input.to_owned() };
    rig(json).instance().on_tool_call(&call).expect("answers").verdict
}

#[test]
fn with_no_settings_export_delete_and_reset_are_asked_about_at_every_split() {
    for word in ["export", "Delete", "RESET"] {
        let text = format!("please {word} everything");
        rig("").every_split_ends(&text, "please ", |end| matches!(end, End::Asked(_)));
    }
    let text = "undeleted exports, resetting";
    rig("").every_split(text, text);
}

#[test]
fn a_word_beside_letters_of_its_script_is_a_part_of_another() {
    let text = "J'ai exporté le fichier, des données exportées";
    rig("").every_split(text, text);
    rig("").every_split_ends("exporté: EXPORT", "exporté: ", |end| matches!(end, End::Asked(_)));
    rig("").every_split_ends("请reset它", "请", |end| matches!(end, End::Asked(_)));
    let asked = question(&rig(""), "exporté, then delete");
    assert_eq!(asked.title, "May this go on? (delete)");
}

#[test]
fn only_what_a_user_says() {
    let text = "You can delete files.";
    rig("").of(Direction::Response, "content", "assistant").every_split(text, text);
    rig("").of(Direction::Request, "content", "system").every_split(text, text);
}

#[test]
fn clean_text_costs_no_call_and_tools_are_not_watched() {
    assert_eq!(rig("").plan().hooks(), Hooks::TEXT);
    assert_eq!(rig("").run(&["what is the weather?"]).calls, 0);
    assert_eq!(rig(r#"{"words": [], "tools": ["x"]}"#).plan().hooks(), Hooks::TOOLS);
}

#[test]
fn the_approver_is_told_what_and_where() {
    let text = format!("{}please delete, then export: delete!{}", "é".repeat(500), "ü".repeat(500));
    let asked = question(&rig(""), &text);
    assert_eq!(asked.title, "May this go on? (delete, export)");
    assert!(asked.summary.starts_with("The request contains: delete, export\nspeaker: user, channel: content\n\n… é"));
    assert!(asked.summary.contains("please delete, then export"));
    assert!(asked.summary.ends_with("ü …"));
    assert!(asked.summary.len() < 700);
    assert!(asked.approvers.is_empty());
    assert_eq!(asked.timeout_seconds, 0);
}

#[test]
fn the_operators_words_and_people() {
    let json = r#"{"title": "Data may leave: {found}", "summary": "See runbook 7.", "approvers": ["dpo"], "timeout-seconds": 90}"#;
    let asked = question(&rig(json), "export it");
    assert_eq!(asked.title, "Data may leave: export");
    assert!(asked.summary.starts_with("See runbook 7.\n\nThe request contains: export"));
    assert_eq!((asked.approvers, asked.timeout_seconds), (vec!["dpo".to_owned()], 90));
}

#[test]
fn nothing_is_remembered_unless_the_operator_says_so() {
    let key = |json: &str, text: &str| question(&rig(json), text).remember_key;
    assert_eq!(key("", "export it"), "");
    assert_eq!(key(r#"{"remember": "never"}"#, "export it"), "");
    assert_ne!(key(r#"{"remember": "request"}"#, "export it"), "");
}

#[test]
fn tool_calls_by_glob() {
    let json = r#"{"tools": ["*delete*", "shell"], "words": []}"#;
    assert_eq!(about(json, "search", "{}"), Verdict::Allow);
    let Verdict::Ask(asked) = about(json, "files_delete", r#"{"path": "/"}"#) else { panic!("must ask") };
    assert_eq!(asked.title, "May this go on? (files_delete)");
    assert!(asked.summary.contains(r#"{"path": "/"}"#));
    assert_eq!(asked.remember_key, "", "an approved call is approved once");
    let remembering = r#"{"tools": ["shell"], "words": [], "remember": "request"}"#;
    let Verdict::Ask(asked) = about(remembering, "shell", "{}") else { panic!("must ask") };
    assert_eq!(asked.remember_key, "", "whatever the operator says");
    let Verdict::Ask(long) = about(json, "shell", &"é".repeat(3_000)) else { panic!("must ask") };
    assert!(long.summary.len() < 2_100 && long.summary.ends_with(" …"));
}

#[test]
fn own_patterns_have_names() {
    let rig = rig(r#"{"words": [], "patterns": [{"name": "bulk", "regex": "(?i)all (?:customers|users)"}]}"#);
    assert_eq!(question(&rig, "list ALL customers").title, "May this go on? (bulk)");
}

#[test]
fn wrong_settings_are_named_with_their_place() {
    assert_eq!(problem(r#"{"words": [""]}"#), "/words/0");
    assert_eq!(problem(r#"{"tools": ["a", ""]}"#), "/tools/1");
    assert_eq!(problem(r#"{"patterns": [{"name": "x", "regex": ""}]}"#), "/patterns/0/regex");
    assert_eq!(problem(r#"{"patterns": [{"name": "a", "regex": "a"}, {"name": "x", "regex": "("}]}"#), "/patterns/1");
    assert_eq!(problem(r#"{"title": " "}"#), "/title");
    assert_eq!(problem(r#"{"words": []}"#), "");
    for no_more in ["always", "text", "words"] {
        assert_eq!(problem(&format!(r#"{{"remember": "{no_more}"}}"#)), "/remember");
    }
    assert_eq!(problem(r#"{"timeout-seconds": -1}"#), "/timeout-seconds");
}

#[test]
fn the_schema_names_every_setting() {
    let schema = Approve::describe().settings_schema;
    for name in [
        "words",
        "patterns",
        "tools",
        "directions",
        "speakers",
        "title",
        "summary",
        "approvers",
        "timeout-seconds",
        "remember",
    ] {
        assert!(schema.contains(&format!("\"{name}\"")), "{name}");
    }
}
