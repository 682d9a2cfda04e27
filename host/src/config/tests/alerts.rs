//! `[alerts]` and `[[webhook]]`: defaults, what is said, and what is wrong.

use ::alerts::{Burst, Terms};
use model::Rule;

use super::*;

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSByaWcsIDMyIGJ5dGVzIGxvbmc=";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.secret("soc", SECRET, 0o600);
    folder.secret("old", SECRET, 0o600);
    folder.secret("weak", "whsec_c2hvcnQ=", 0o600);
    folder
}

fn taken(text: &str) -> Config {
    folder().parse(&format!("{ISSUE}{text}")).map_err(|problems| problems.render(false)).unwrap().0
}

#[test]
fn nothing_said_is_every_rule_with_its_default_and_nobody_told() {
    let config = taken("");
    assert_eq!(config.alerts, Terms::default());
    assert!(config.webhooks.is_empty());
}

#[test]
fn what_is_said_of_alerts_and_webhooks_is_taken() {
    let config = taken(
        r#"
[alerts]
off = ["failed-approvals", "unusual-volume"]
quiet = "1h"
refused_credentials = { count = 3 }

[[webhook]]
name = "soc"
url = "https://soc.example.com/portcullis"
secret_file = ["./secrets/soc", "./secrets/old"]
rules = ["revoked-credentials"]
"#,
    );
    let Terms { failed_approvals, unusual_volume, quiet_ms, refused_credentials, .. } = config.alerts;
    assert_eq!((failed_approvals, unusual_volume, quiet_ms), (None, None, 3_600_000));
    assert_eq!(refused_credentials, Some(Burst { count: 3, window_ms: 300_000 }));
    let webhook = &config.webhooks[0];
    assert_eq!((webhook.secrets.len(), &webhook.rules[..]), (2, &[Rule::RevokedCredentials][..]));
    assert!(!format!("{webhook:?}").contains("c2Vjcm"));
}

#[test]
fn a_webhook_that_can_not_be_told_is_an_error() {
    let webhook = |url: &str, file: &str| {
        format!("{ISSUE}[[webhook]]\nname = \"soc\"\nurl = \"{url}\"\nsecret_file = \"./secrets/{file}\"\n")
    };
    let good = "https://soc.example.com/x";
    for (text, wanted) in [
        (webhook("http://soc.example.com/x", "soc"), "is not https"),
        (webhook("https://u:p@soc.example.com/x", "soc"), "user information"),
        (webhook("soc", "soc"), "is not a URL"),
        (webhook(good, "weak"), "24 to 64 bytes"),
        (webhook(good, "openai"), "does not begin with `whsec_`"),
        (webhook(good, "missing"), "can't read"),
        (format!("{ISSUE}[[webhook]]\nname = \"soc\"\nurl = \"{good}\"\n"), "secret_file"),
        (format!("{}rules = [\"unusual_volume\"]\n", webhook(good, "soc")), "did you mean `unusual-volume`?"),
        (format!("{}rules = []\n", webhook(good, "soc")), "leave `rules` out for all"),
        (format!("{ISSUE}[alerts]\nrefused_credentials = {{ counts = 3 }}\n"), "unknown key `counts`"),
        (format!("{ISSUE}[alerts]\noff = [\"x\"]\n"), "unknown variant `x`"),
        (format!("{ISSUE}[alerts]\nrevoked_credentials = {{ count = 0 }}\n"), "must be 1 to 1000"),
    ] {
        let said = folder().said(&text);
        assert!(said.contains(wanted) && !said.starts_with("accepted"), "{wanted}: {said}");
        assert!(!said.contains("c2Vjcm"), "no secret is told: {said}");
    }
    let twice = format!("{}{}", webhook(good, "soc"), webhook(good, "soc").replace(ISSUE, ""));
    let said = folder().said(&twice);
    assert!(said.contains("same webhook name") && said.contains("same webhook URL"), "{said}");
}
