//! What the settings choose, and what happens where hits overlap.

use mask::Mask;
use policy_sdk::{
    Direction, Hooks, Policy as _,
    rig::{End, Rig},
};

fn rig(json: &str) -> Rig<Mask> {
    Rig::new(json).expect("valid settings")
}

fn problem(json: &str) -> (String, String) {
    let problem = Rig::<Mask>::new(json).err().expect("must be refused").remove(0);
    (problem.path, problem.message)
}

#[test]
fn with_no_settings_the_label_comes_in_place_of_the_number() {
    rig("").every_split("my ssn is 078-05-1120", "my ssn is [SSN]");
    rig("").of_user().every_split("my ssn is 078-05-1120", "my ssn is [SSN]");
    rig("").of(Direction::Response, "tool-input", "assistant").every_split("078-05-1120!", "[SSN]!");
}

#[test]
fn the_plan_asks_for_text_on_hits_and_for_nothing_else() {
    let rig = rig("");
    assert_eq!(rig.plan().hooks(), Hooks::TEXT);
    let plan = rig.plan().as_raw();
    assert!(plan.only_on_hit && plan.directions.is_empty() && plan.channels.is_empty() && plan.speakers.is_empty());
    assert_eq!(plan.patterns.len(), mask::recognisers::ALL.len());
}

#[test]
fn several_values_in_one_text() {
    rig("").every_split(
        "jane@example.org, 078-05-1120 and 4111 1111 1111 1111 from 203.0.113.7",
        "[EMAIL], [SSN] and [CARD] from [IP]",
    );
}

#[test]
fn tokens_are_the_same_for_the_same_value() {
    rig(r#"{"substitute": "token"}"#)
        .every_split("a@b.example c@d.example a@b.example", "[EMAIL_1] [EMAIL_2] [EMAIL_1]");
}

#[test]
fn a_substitute_by_kind_and_by_name() {
    let rig =
        rig(r#"{"substitute": {"text": "***"}, "substitutes": {"email": "token", "ssn": {"text": "XXX-XX-XXXX"}}}"#);
    rig.every_split("a@b.example 078-05-1120 203.0.113.7", "[EMAIL_1] XXX-XX-XXXX ***");
}

#[test]
fn only_except_directions_and_channels_choose() {
    rig(r#"{"only": ["ssn"]}"#).every_split("a@b.example 078-05-1120", "a@b.example [SSN]");
    rig(r#"{"except": ["email", "ssn"]}"#).every_split("a@b.example 078-05-1120", "a@b.example 078-05-1120");
    let request = || rig(r#"{"directions": ["request"]}"#);
    request().every_split("078-05-1120", "078-05-1120");
    request().of_user().every_split("078-05-1120", "[SSN]");
    let content = || rig(r#"{"channels": ["content"]}"#);
    content().every_split("078-05-1120", "[SSN]");
    content().of(Direction::Response, "reasoning", "assistant").every_split("078-05-1120", "078-05-1120");
}

#[test]
fn own_patterns_come_first() {
    let rig = rig(r#"{"patterns": [
            {"name": "employee", "regex": "EMP-[0-9]{6}", "max-length": 10},
            {"name": "staff-mail", "regex": "[a-z]+@corp\\.example"},
            {"name": "member", "regex": "[0-9]{8}", "check": "luhn"}
        ], "substitutes": {"employee": {"text": "<employee>"}}}"#);
    rig.every_split("EMP-123456 wrote to jo@corp.example", "<employee> wrote to [STAFF_MAIL]");
    rig.every_split("79927398 and 79927399", "[MEMBER] and 79927399");
}

#[test]
fn all_that_overlapping_hits_cover_goes() {
    let rig = rig(r#"{"only": ["email"], "patterns": [
            {"name": "one", "regex": "abcd"}, {"name": "two", "regex": "cdef"}, {"name": "three", "regex": "abc"}
        ]}"#);
    rig.every_split("-abcdef-", "-[ONE]-");
    rig.every_split("-cdef-abc-", "-[TWO]-[THREE]-");
    rig.every_split("abcdcdef", "[ONE][TWO]");
}

#[test]
fn of_two_that_find_the_same_the_earlier_names_it() {
    rig("").every_split("sk-ant-api03-AbCdEfGhIjKlMnOpQrSt", "[ANTHROPIC_KEY]");
    let outcome = rig("").run(&["call +1 415-555-2671"]);
    assert_eq!((outcome.text.as_str(), outcome.reasons), ("call [PHONE]", vec!["mask.phone".to_owned()]));
}

#[test]
fn it_never_stops_an_exchange() {
    assert_eq!(rig("").run(&["078-05-1120"]).end, End::Complete);
}

#[test]
fn wrong_settings_are_named_with_their_place() {
    assert_eq!(problem(r#"{"only": ["ssn", "sssn"]}"#).0, "/only/1");
    assert!(problem(r#"{"only": ["sssn"]}"#).1.contains("api-key"));
    assert_eq!(problem(r#"{"substitutes": {"emial": "token"}}"#).0, "/substitutes/emial");
    assert_eq!(problem(r#"{"substitute": "tokens"}"#).0, "/substitute");
    assert_eq!(problem(r#"{"patterns": [{"name": "ssn", "regex": "x"}]}"#).0, "/patterns/0/name");
    assert_eq!(problem(r#"{"patterns": [{"name": "x", "regex": ""}]}"#).0, "/patterns/0/regex");
    assert_eq!(problem(r#"{"patterns": [{"name": "x", "regex": "x", "max-length": 0}]}"#).0, "/patterns/0/max-length");
    assert_eq!(problem(r#"{"patterns": [{"name": "x"}]}"#).0, "/patterns/0");
    assert_eq!(problem(r#"{"patterns": [{"name": "x", "regex": "x*"}]}"#).0, "/patterns/0");
    assert_eq!(problem(r#"{"only": ["ssn"], "except": ["ssn"]}"#).0, "");
    assert_eq!(problem(r#"{"colour": 1}"#).0, "/colour");
    assert_eq!(problem(r#"{"canaries": ["long enough", "short"]}"#).0, "/canaries/1");
    assert_eq!(problem(r#"{"patterns": [{"name": "canary", "regex": "x"}]}"#).0, "/patterns/0/name");
}

#[test]
fn the_schema_names_every_setting() {
    let schema = Mask::describe().settings_schema;
    for name in [
        "only",
        "except",
        "directions",
        "channels",
        "substitute",
        "substitutes",
        "patterns",
        "max-length",
        "canaries",
        "decode",
    ] {
        assert!(schema.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn the_context_of_a_value_counts_wherever_it_is_cut() {
    rig("").every_split(
        "Chrome/120.0.0.0 Version:   10.1.2.3 号/10.1.2.3",
        "Chrome/120.0.0.0 Version:   10.1.2.3 号/[IP]",
    );
}

#[test]
fn canaries_go_in_every_spelling() {
    let rig = rig(r#"{"only": ["ssn"], "canaries": ["Blue-Heron/42?", "Blue-Heron/42?x"]}"#);
    for (text, expected) in [
        ("say Blue-Heron/42? now", "say [CANARY] now"),
        ("say Blue-Heron/42?x now", "say [CANARY] now"),
        ("say ?24/noreH-eulB now", "say [CANARY] now"),
        ("say Ｂｌｕｅ-Heron/42? now", "say [CANARY] now"),
        ("say Blue%2DHeron%2F42%3F now", "say [CANARY] now"),
        ("say Blue-Heron&#x2f;42? now", "say [CANARY] now"),
        (r"say Blue\u002dHeron\/42? now", "say [CANARY] now"),
        ("say 426c75652d4865726f6e2f34323f now", "say [CANARY] now"),
        ("say blue-heron/42? now", "say blue-heron/42? now"),
    ] {
        rig.every_split(text, expected);
    }
    // Base64 of it behind none, one and two other bytes.
    for text in ["Qmx1ZS1IZXJvbi80Mj8=", "eEJsdWUtSGVyb24vNDI/eQ==", "eHhCbHVlLUhlcm9uLzQyP3l5"] {
        let outcome = rig.run(&["say ", text, " now"]);
        assert!(outcome.text.contains("[CANARY]") && outcome.text.len() < 4 + 3 + "[CANARY]".len() + 8, "{outcome:?}");
    }
}

#[test]
fn a_canary_is_counted_in_characters_as_the_schema_says() {
    let schema: serde_json::Value = serde_json::from_str(&Mask::describe().settings_schema).expect("a schema");
    let items = &schema["properties"]["canaries"]["items"];
    assert_eq!((items["minLength"].as_u64(), items["maxLength"].as_u64()), (Some(8), Some(120)));
    for character in ["x", "é", "青", "🦀"] {
        let of = |count: usize| format!(r#"{{"only": ["ssn"], "canaries": ["{}"]}}"#, character.repeat(count));
        for count in [8, 120] {
            rig(&of(count)).every_split(&format!("say {} now", character.repeat(count)), "say [CANARY] now");
        }
        for count in [7, 121] {
            assert_eq!(problem(&of(count)).0, "/canaries/0", "{count} of {character}");
        }
    }
}

#[test]
fn a_canary_goes_as_forms_write_it() {
    let rig = rig(r#"{"only": ["ssn"], "canaries": ["correct horse battery"]}"#);
    rig.every_split("q=correct+horse+battery&x=1", "q=[CANARY]&x=1");
    rig.every_split("q=%63orrect+horse%20battery+1", "q=[CANARY]+1");
    rig.every_split("1+2, correct-horse+battery", "1+2, correct-horse+battery");
}

#[test]
fn encoded_text_is_looked_into_where_the_settings_say_so() {
    let (ssn, card) = ("my number is MDc4LTA1LTExMjA= ok", "card 34313131313131313131313131313131 ok");
    rig("").every_split(ssn, ssn);
    let rig = rig(r#"{"decode": true}"#);
    assert!(rig.run(&[ssn]).text.starts_with("my number is [SSN]"), "{:?}", rig.run(&[ssn]));
    rig.every_split(card, "card [CARD] ok");
    rig.every_split("mail jane%40example.org now", "mail [EMAIL] now");
    rig.every_split("ssn 078&#45;05&#45;1120 now", "ssn [SSN] now");
}
