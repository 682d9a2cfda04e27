//! Static tokens: when they end, and what they are for.

use super::*;

/// The documented configuration, with lines more in its token's table, which is the last.
fn with(lines: &str) -> String {
    format!("{ISSUE}{lines}\n")
}

#[test]
fn a_token_ends_at_a_date_or_a_time() {
    let folder = Folder::new();
    let expires = |written: &str| {
        let (config, problems) = folder.parse(&with(&format!("expires = {written}"))).unwrap();
        assert!(problems.is_empty(), "{problems}");
        config.tokens[0].expires_ms.unwrap()
    };
    assert_eq!(expires("2099-12-31"), 4_102_358_400_000);
    assert_eq!(expires("\"2099-12-31\""), 4_102_358_400_000);
    for same in ["2099-12-31T18:00:00Z", "2099-12-31 19:00:00+01:00", "\"2099-12-31T18:00:00Z\""] {
        assert_eq!(expires(same), 4_102_423_200_000, "{same}");
    }
    let (config, _) = folder.parse(ISSUE).unwrap();
    assert_eq!(config.tokens[0].expires_ms, None, "with no identity provider a token may live for ever");
}

#[test]
fn a_time_that_can_be_read_in_two_ways_is_refused() {
    let folder = Folder::new();
    for wrong in ["2099-12-31T18:00:00", "18:00:00", "\"next year\"", "\"2099-02-30\"", "4102358400", "true", "\"\""] {
        let said = folder.said(&with(&format!("expires = {wrong}")));
        assert!(said.contains("expires"), "{wrong}: {said}");
    }
}

#[test]
fn a_token_that_has_expired_is_told_and_stops_nobody() {
    let (config, problems) = Folder::new().parse(&with("expires = 2020-01-01")).unwrap();
    assert!(problems.to_string().contains("the token has expired"), "{problems}");
    assert_eq!(config.tokens[0].expires_ms, Some(1_577_836_800_000));
}

#[test]
fn a_token_with_no_end_is_refused_beside_an_identity_provider() {
    let issuer = "[[issuer]]\nurl = \"https://login.example.com\"\naudiences = [\"portcullis\"]\n";
    let said = Folder::new().said(&format!("{ISSUE}{issuer}"));
    assert!(said.contains("a static token must expire where there is an `[[issuer]]`"), "{said}");
    assert!(said.contains("for ever") && said.contains("expires = 2027-03-31") && said.contains("[[grant]]"), "{said}");
    let (config, _) = Folder::new().parse(&format!("{}{issuer}", with("expires = 2099-12-31"))).unwrap();
    assert!(config.tokens[0].expires_ms.is_some());
}

#[test]
fn a_token_is_for_models_and_operations_that_can_be_meant() {
    let (config, _) = Folder::new().parse(&with("models = [\"gpt-4*\"]\noperations = [\"openai-chat\"]")).unwrap();
    let scope = &config.tokens[0].scope;
    assert!(scope.allows_model("gpt-4o") && !scope.allows_model("o3"));
    assert!(scope.allows_operation("openai-chat") && !scope.allows_operation("openai-models"));
    let (config, _) = Folder::new().parse(ISSUE).unwrap();
    assert_eq!(config.tokens[0].scope, model::Scope::on(["openai"]));
    let said = Folder::new().said(&with("models = [\"g*t\"]\noperations = [\"openai-chatt\"]"));
    assert!(said.contains("fits nothing") && said.contains("did you mean `openai-chat`"), "{said}");
}

#[test]
fn a_value_that_the_gate_would_take_for_one_of_its_own_is_refused() {
    let folder = Folder::new();
    folder.secret("demo-token", "pct_of-an-operator-who-liked-the-form\n", 0o600);
    let said = folder.said(ISSUE);
    assert!(said.contains("P0106") && said.contains("begins like a token that the gate issues"), "{said}");
    assert!(!said.contains("liked-the-form"), "{said}");
}
