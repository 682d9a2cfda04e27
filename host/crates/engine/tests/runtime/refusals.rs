//! What is not put in force: each refusal names its stage and what is wrong.

use engine::PolicySpec;

use crate::{
    guests::{Guest, PlanOf, Record},
    rig::{prepare_with, refused, runtime, spec},
};

#[tokio::test]
async fn settings_that_do_not_fit_the_schema() {
    let mut guest = Guest::new();
    guest.describe(r#"{"properties":{"words":{"items":{"type":"string"}}}}"#);
    let spec = PolicySpec { settings_json: r#"{"words":["a",1]}"#.to_owned(), ..spec() };
    let error = prepare_with(&runtime(), guest, spec).await.err().unwrap();
    assert_eq!(error.stage, "settings");
    assert!(error.message.contains("/words/1"), "{error}");
}

#[tokio::test]
async fn settings_that_the_policy_refuses() {
    let mut guest = Guest::new();
    let problem = Record::default().text(&mut guest, "/words/2").text(&mut guest, "is empty");
    let answer = Record::default().word(1).list(&mut guest, &[problem]);
    let answer = guest.record(&answer);
    guest.configure = Some(format!("(i32.const {answer})"));
    let error = refused(guest).await;
    assert_eq!((error.stage, error.message.as_str()), ("configure", "/words/2: is empty"));
}

#[tokio::test]
async fn a_name_that_would_forge_a_line() {
    for name in ["a\nb", "\u{1b}[2J", &"n".repeat(513)] {
        let mut guest = Guest::new();
        guest.name(name, "");
        let error = refused(guest).await;
        assert_eq!(error.stage, "instantiate");
        assert!(error.message.contains("its name"), "{error}");
    }
}

#[tokio::test]
async fn a_pattern_that_is_declared_twice() {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { patterns: &[("same", "a", ""), ("same", "b", "")], ..PlanOf::default() });
    assert!(refused(guest).await.message.contains("`same` twice"));
}

#[tokio::test]
async fn a_pattern_that_is_none() {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { patterns: &[("good", "a", ""), ("bad", "(", "")], ..PlanOf::default() });
    let error = refused(guest).await;
    assert_eq!(error.stage, "configure");
    assert!(error.message.contains("`bad`"), "{error}");
}

#[tokio::test]
async fn a_plan_that_could_never_lead_to_a_call() {
    let mut guest = Guest::new();
    guest.plan(&PlanOf { only_on_hit: true, ..PlanOf::default() });
    assert!(refused(guest).await.message.contains("only-on-hit"));
}

#[tokio::test]
async fn a_hook_that_traps_on_harmless_input() {
    let error = refused(Guest::new().on_text("unreachable")).await;
    assert_eq!(error.stage, "trial");
    assert!(error.message.contains("on-text") && error.message.contains("unreachable"), "{error}");
    assert!(error.message.contains("an exception that nothing caught"), "the same in every language: {error}");
}
