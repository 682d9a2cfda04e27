//! Issuers, grants and the token endpoint: the documented tables, and what is said of wrong ones.

use ::identity::{Algorithm, Freshness, Issuer, LIFETIME};

use super::*;

/// A configuration whose static token has an end, as one must where there are issuers.
const BASE: &str = r#"
[policies]
folder = "./policies"
[[connection]]
name = "openai"
upstream = "https://api.example.com"
dialect = "openai"
credential = { header = "authorization", file = "./secrets/openai" }
[[token]]
name = "demo"
value_file = "./secrets/demo-token"
connections = ["openai"]
expires = 2099-12-31
"#;

/// As `host/docs/identity.md` has them, with files that are there.
const IDENTITY: &str = r#"
[[issuer]]
url = "https://login.example.com/realms/acme"
audiences = ["portcullis"]
algorithms = ["RS256", "ES256"]
groups = ["groups", "/realm_access/roles"]
shown = ["email"]
parties = ["cli"]
types = ["jwt", "at+jwt"]
leeway = "30s"
longest = "24h"
keys_interval = "30s"
keys_refresh = "5m"
keys_stale_after = "1h"
jwks = "https://login.example.com/keys"

[oauth]
url = "https://gate.example.com"
clients = ["portcullis"]
login = { issuer = "https://login.example.com/realms/acme", client_id = "gate", client_secret_file = "./secrets/oidc", scopes = ["groups"] }

[[grant]]
name = "staff"
issuer = "https://login.example.com/realms/acme"
groups = ["staff"]
subjects = ["u-*"]
claims = { email_verified = ["true"], "/realm_access/roles" = "dev*" }
connections = ["openai"]
models = ["gpt-4*"]
operations = ["openai-chat"]
lifetime = "10m"
direct = false
bound = true
approval = { approvers = ["leads"], timeout = "20m" }

[listen]
tls = { certificate = "./tls.pem", key = "./secrets/tls-key", client_ca = "./tls.pem" }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.secret("oidc", "the-gates-own-secret\n", 0o600);
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.0.path().join("tls.pem"), identity.cert.pem()).unwrap();
    folder.secret("tls-key", &identity.signing_key.serialize_pem(), 0o600);
    folder
}

#[test]
fn the_documented_identity_is_taken() {
    let (config, problems) =
        folder().parse(&format!("{BASE}{IDENTITY}")).map_err(|problems| problems.render(false)).unwrap();
    assert_eq!(codes(&problems), [Code::NotEnforced], "{problems}");
    let issuer = &config.issuers[0];
    assert_eq!(
        (issuer.url.as_str(), &issuer.audiences[..]),
        ("https://login.example.com/realms/acme", &["portcullis".to_owned()][..])
    );
    assert_eq!(issuer.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!((issuer.groups.len(), issuer.shown[0].as_str()), (2, "email"));
    assert_eq!(issuer.freshness, Freshness::default());
    let grant = &config.grants[0];
    assert_eq!((grant.name.as_str(), grant.who.groups[0].as_str()), ("staff", "staff"));
    assert_eq!(grant.who.claims.len(), 2);
    assert_eq!(
        (&grant.scope.models[..], &grant.scope.operations[..]),
        (&["gpt-4*".to_owned()][..], &["openai-chat".to_owned()][..])
    );
    assert_eq!((grant.lifetime, grant.bound, grant.direct), (Duration::from_secs(600), true, false));
    assert_eq!(grant.approval.as_ref().unwrap().timeout, Duration::from_secs(1200));
    let login = config.oauth.as_ref().unwrap().login.as_ref().unwrap();
    assert_eq!((login.client_id.as_str(), &login.scopes[..]), ("gate", &["groups".to_owned()][..]));
    assert!(!format!("{config:?}").contains("the-gates-own-secret"));
}

#[test]
fn what_is_not_said_is_what_is_usual() {
    let text = r#"
[[issuer]]
url = "http://127.0.0.1:8180"
audiences = "urn:gate"
[[grant]]
name = "builds"
issuer = "http://127.0.0.1:8180"
connections = ["*"]
direct = true
"#;
    let (config, problems) = folder().parse(&format!("{BASE}{text}")).map_err(|found| found.render(false)).unwrap();
    assert!(problems.is_empty(), "{problems}");
    let usual = Issuer::new("http://127.0.0.1:8180", ["urn:gate"]);
    assert_eq!(format!("{:?}", config.issuers[0]), format!("{usual:?}"));
    let grant = &config.grants[0];
    assert_eq!((&grant.scope, grant.lifetime), (&model::Scope::on(["*"]), LIFETIME));
    assert!(config.oauth.is_none());
}

#[test]
fn everything_that_is_wrong_with_identity_is_said_at_once() {
    let said = folder().said(&format!(
        "{BASE}{}",
        r#"
[[issuer]]
url = "http://login.example.com"
audiences = ["portcullis"]
[[issuer]]
url = "https://ann:hunter2@login.example.com"
audiences = ["portcullis"]
[[issuer]]
url = "https://idp.example.com"
audiences = []
algorithms = ["HS256"]
groups = [""]
keys_stale_after = "1m"
tls_ca = "./none.pem"
[[issuer]]
url = "https://good.example.com"
audiences = ["portcullis"]
[oauth]
url = "http://gate.example.com/path"
login = { issuer = "https://good.example.com", client_secret_file = "./secrets/none", client_id = "gate" }
[[grant]]
name = "staff"
issuer = "https://good.exmaple.com"
connections = ["opnai", "open*", "x*"]
operations = ["openai-chats"]
models = ["gpt-*-mini", ""]
lifetime = "1s"
direct = "yes"
[[grant]]
name = "staff"
issuer = "https://good.example.com"
connections = ["openai"]
claims = { email_verified = true }
approval = { timeout = "5m" }
[[grant]]
name = "both"
issuer = "https://good.example.com"
connections = ["openai"]
direct = true
approval = { approvers = ["leads"] }
"#
    ));
    assert!(!said.contains("hunter2"), "a password must not be in a message:\n{said}");
    snapshot("identity_wrong", &said);
}

#[test]
fn a_grant_that_nobody_can_use_is_a_warning() {
    let text = IDENTITY.split("[oauth]").next().unwrap();
    let grant =
        "[[grant]]\nname = \"staff\"\nissuer = \"https://login.example.com/realms/acme\"\nconnections = [\"openai\"]\n";
    snapshot("identity_warning", &folder().said(&format!("{BASE}{text}{grant}")));
}

#[test]
fn that_groups_of_approvers_hold_nobody_is_a_warning() {
    let approvals = "[approvals]\napprovers = [\"security\", \"dpo\"]\n";
    snapshot("approvers_warning", &folder().said(&format!("{BASE}{approvals}{IDENTITY}")));
}

#[test]
fn the_documentation_names_every_key_of_identity_with_its_default() {
    let documentation = include_str!("../../../docs/configuration.md");
    let bounds = crate::config::issuer::BOUNDS.into_iter().chain(crate::config::grant::BOUNDS);
    for bound in bounds.chain(crate::config::signals::BOUNDS) {
        let row = format!("| `{}` | {} |", bound.key, bound.default_text().trim_matches('"'));
        assert!(documentation.contains(&row), "missing in configuration.md: {row}");
    }
    let keys = IDENTITY.lines().chain(SIGNALS.lines()).filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    for key in keys {
        assert!(documentation.contains(&format!("| `{key}` |")), "missing in configuration.md: {key}");
    }
}

/// As `host/docs/signals.md` has it, with a file that is there.
const SIGNALS: &str = r#"
[[signals]]
issuer = "https://login.example.com/realms/acme"
audiences = ["https://gate.example.com/ssf"]
authorization_file = "./secrets/ssf"
events = ["session-revoked", "account-disabled"]
formats = ["iss_sub", "opaque"]
about = ["https://login.example.com/realms/acme", "token"]
jwks = "https://login.example.com/ssf-keys"
leeway = "30s"
oldest = "168h"
"#;

#[test]
fn the_documented_signals_are_taken() {
    let folder = folder();
    folder.secret("ssf", "Bearer what-the-stream-has\n", 0o600);
    let (config, problems) =
        folder.parse(&format!("{BASE}{IDENTITY}{SIGNALS}")).map_err(|problems| problems.render(false)).unwrap();
    assert_eq!(codes(&problems), [Code::NotEnforced], "{problems}");
    let signals = &config.signals[0];
    assert_eq!(signals.authorization, Some(digest("Bearer what-the-stream-has")));
    assert_eq!((signals.events.len(), signals.formats.len(), signals.about.len()), (2, 2, 2));

    let least = "[[signals]]\nissuer = \"https://login.example.com/realms/acme\"\naudiences = [\"ssf\"]\n";
    let (config, _) = folder.parse(&format!("{BASE}{IDENTITY}{least}")).unwrap();
    let usual = ::identity::Transmitter::new("https://login.example.com/realms/acme", ["ssf"]);
    assert_eq!(format!("{:?}", config.signals[0]), format!("{usual:?}"));
}

#[test]
fn signals_that_can_not_be_meant_are_refused() {
    let said = |change: (&str, &str)| {
        let signals = SIGNALS.replace(change.0, change.1);
        assert_ne!(signals, SIGNALS, "{change:?}");
        folder().said(&format!("{BASE}{IDENTITY}{}", signals.replace("authorization_file = \"./secrets/ssf\"\n", "")))
    };
    for (change, expected) in [
        (("session-revoked", "session-revokd"), "session-revoked"),
        (("\"opaque\"", "\"phone\""), "phone"),
        (
            ("acme\", \"token\"", "acme\", \"https://else.example.com\""),
            "no issuer is named `https://else.example.com`",
        ),
        (("https://login.example.com/ssf-keys", "http://login.example.com/ssf-keys"), "can't be used"),
        (("https://login.example.com/ssf-keys", "https://ann:hunter2@login.example.com/k"), "user information"),
        (("[\"https://gate.example.com/ssf\"]", "[]"), "audiences"),
        (("formats = [\"iss_sub\", \"opaque\"]", "formats = []"), "`formats` is empty"),
    ] {
        let said = said(change);
        assert!(said.contains(expected) && !said.contains("hunter2"), "{change:?}: {said}");
    }
    let missing = folder().said(&format!("{BASE}{IDENTITY}{SIGNALS}"));
    assert!(missing.contains("secrets/ssf"), "a secret that is not there: {missing}");
}

/// People read an empty list as nobody; as a filter that is left out it would be everybody.
#[test]
fn a_list_that_narrows_is_not_empty() {
    let narrowing = [
        ("[[grant]]\nname = \"staff\"", "claims"),
        ("[[grant]]\nname = \"staff\"", "groups"),
        ("[[grant]]\nname = \"staff\"", "subjects"),
        ("[[grant]]\nname = \"staff\"", "models"),
        ("[[grant]]\nname = \"staff\"", "operations"),
        ("[[issuer]]", "parties"),
        ("[[token]]", "models"),
        ("[[token]]", "operations"),
    ];
    for (table, key) in narrowing {
        let all = format!("{BASE}{IDENTITY}");
        let mut lines: Vec<&str> = all.lines().collect();
        let table = table.lines().next_back().unwrap();
        let at = lines.iter().position(|line| *line == table).unwrap();
        let written = lines[at..].iter().position(|line| line.starts_with(key)).filter(|_| !table.contains("token"));
        if let Some(line) = written {
            lines.remove(at + line);
        }
        let empty = if key == "claims" { "claims = {}".to_owned() } else { format!("{key} = []") };
        lines.insert(at + 1, &empty);
        let said = folder().said(&lines.join("\n"));
        assert!(
            said.contains("P0106") && said.contains(&format!("leave `{key}` out for all")),
            "{table} {key}: {said}"
        );
        lines.remove(at + 1);
        let said = folder().said(&lines.join("\n"));
        assert!(said.starts_with("accepted"), "{table} {key}: {said}");
    }
}

#[test]
fn a_list_with_a_usual_content_is_not_empty_and_says_so_at_its_place() {
    let all = format!("{BASE}{IDENTITY}");
    for (key, usual) in [("types", "jwt, at+jwt"), ("algorithms", "RS256")] {
        let mut lines: Vec<&str> = all.lines().filter(|line| !line.starts_with(key)).collect();
        let at = lines.iter().position(|line| *line == "[[issuer]]").unwrap();
        let empty = format!("{key} = []");
        lines.insert(at + 1, &empty);
        let said = folder().said(&lines.join("\n"));
        assert!(said.contains(&format!("leave `{key}` out for the usual: {usual}")), "{said}");
        assert!(said.contains(&format!("portcullis.toml:{}:", at + 2)), "{said}");
        assert!(!said.contains("can't be used"), "one error is enough: {said}");
    }
}

#[test]
fn a_group_of_a_grant_is_a_whole_name() {
    let all = format!("{BASE}{IDENTITY}");
    for pattern in ["team-*", "*"] {
        let said = folder().said(&all.replace("groups = [\"staff\"]", &format!("groups = [\"{pattern}\"]")));
        assert!(said.contains("P0106") && said.contains("is no pattern: a group is named whole"), "{said}");
    }
    let by_claim = all.replace("claims = {", "claims = { groups = [\"team-*\"],");
    assert!(folder().said(&by_claim).starts_with("accepted"), "the way out that is told is one");
}

#[test]
fn a_certificate_of_the_listener_that_is_out_of_its_time_is_a_warning() {
    let folder = folder();
    let with = |from: i32, to: i32| {
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(folder.0.path().join("tls.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        folder.secret("tls-key", &key.serialize_pem(), 0o600);
        folder.said(&format!("{BASE}{IDENTITY}"))
    };
    let said = with(2019, 2020);
    assert!(said.starts_with("accepted"), "it stops nobody: {said}");
    assert!(said.contains("P0110") && said.contains("has expired (2020-01-01T00:00:00Z)"), "{said}");
    assert!(with(2098, 2099).contains("is not valid before 2098-01-01T00:00:00Z"));
    assert!(!with(2019, 2099).contains("P0110"));
}

#[test]
fn a_grant_that_is_bound_to_certificates_needs_a_listener_that_asks_for_them() {
    let said = folder().said(&format!("{BASE}{IDENTITY}").replace(", client_ca = \"./tls.pem\"", ""));
    assert!(said.contains("error[P0103]: nobody can use this grant") && said.contains("client_ca"), "{said}");
}

#[test]
fn a_password_in_a_url_is_shown_nowhere() {
    let with = "https://ann:hunter2@";
    let gate = |url: &str| format!("{BASE}{IDENTITY}").replace("https://gate.example.com", url);
    let named = |key: &str| format!("{BASE}{IDENTITY}").replace(key, &key.replace("https://", with));
    let hook = format!(
        "{BASE}[[webhook]]\nname = \"soc\"\nurl = \"{with}soc.example.com/x\"\nsecret_file = \"./secrets/oidc\"\n"
    );
    for (text, wanted) in [
        (gate("https://ann:hunter2@gate.example.com"), "user information"),
        (gate("https://ann:hun/ter2@gate.example.com/x"), "P0109"),
        (named("login = { issuer = \"https://login"), "no issuer is named `https://…@login"),
        (named("[[grant]]\nname = \"staff\"\nissuer = \"https://login"), "no issuer is named `https://…@login"),
        // Named by others as it is written, and by none of them shown.
        (named("url = \"https://login"), "user information"),
        (hook, "user information"),
    ] {
        let said = folder().said(&text);
        assert!(said.contains(wanted) && said.contains('*'), "{wanted}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("ter2"), "{said}");
    }
}
