//! What operators do by mistake, and would notice late: it is said at its place, with the way out.

use super::*;

#[test]
fn an_upstream_that_repeats_what_sdks_ask_for_is_told() {
    let folder = Folder::new();
    let said = |dialect: &str, prefix: &str, upstream: &str| {
        let text = ISSUE.replace("\"/\"", &format!("\"{prefix}\"")).replace("https://api.example.com", upstream);
        folder.said(&text.replace("dialect = \"openai\"", &format!("dialect = \"{dialect}\"")))
    };
    for (dialect, prefix, upstream, repeated) in [
        ("openai", "/", "https://api.example.com/v1", Some("`/v1/…` goes to `/v1/v1/…`")),
        ("openai", "/local", "http://127.0.0.1:11434/v1/", Some("`/local/v1/…` goes to `/v1/v1/…`")),
        ("anthropic", "/", "https://api.example.com/a/v1", Some("`/v1/…` goes to `/a/v1/v1/…`")),
        ("gemini", "/", "https://g.example.com/v1beta", Some("`/v1beta/…` goes to")),
        ("ollama", "/", "http://127.0.0.1:11434/api", Some("`/api/…` goes to")),
        ("openai", "/v1", "https://api.example.com/v1", None),
        ("openai", "/", "https://api.example.com", None),
        ("openai", "/", "https://api.example.com/v1/engine", None),
        ("raw", "/", "https://api.example.com/v1", None),
    ] {
        let said = said(dialect, prefix, upstream);
        assert!(said.starts_with("accepted"), "{dialect} {prefix} {upstream}: {said}");
        assert_eq!(said.contains("P0106"), repeated.is_some(), "{dialect} {prefix} {upstream}: {said}");
        assert!(repeated.is_none_or(|repeated| said.contains(repeated)), "{said}");
    }
    // What is recommended is none of these.
    assert!(!said("openai", "/", "ftp://api.example.com").contains("/v1"));
}

#[test]
fn a_secret_that_no_header_can_carry_is_refused_with_the_way_out() {
    for (value, wanted) in [("\u{feff}sk-upstream", "byte order mark"), ("schlüssel-0123456789", "outside ASCII")] {
        for name in ["openai", "demo-token"] {
            let folder = Folder::new();
            folder.secret(name, value, 0o600);
            let said = folder.said(ISSUE);
            assert!(said.starts_with("error[P0110]") && said.contains(wanted), "{name}: {said}");
            assert!(!said.contains("0123456789"), "no secret is told: {said}");
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_told_with_both_names() {
    let folder = Folder::new();
    let [one, other] = ["127.0.0.1", "::1"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
    fs::write(folder.0.path().join("tls.pem"), one.cert.pem()).unwrap();
    let tls = "[listen]\ntls = { certificate = \"./tls.pem\", key = \"./secrets/tls-key\" }\n";
    for (key, fits) in [(&one.signing_key, true), (&other.signing_key, false)] {
        folder.secret("tls-key", &key.serialize_pem(), 0o600);
        let said = folder.said(&ISSUE.replace("[listen]\n", tls));
        assert_eq!(said.starts_with("accepted"), fits, "{said}");
        assert_eq!(said.contains("P0110") && said.contains("is not that of the certificate"), !fits, "{said}");
    }
}

#[test]
fn a_file_that_is_not_utf8_says_where() {
    let folder = Folder::new();
    fs::write(folder.file(), b"[listen]\naddress = \"\xff\"\n").unwrap();
    for problems in
        [crate::config::load(&folder.file()).unwrap_err(), crate::config::whereabouts(&folder.file()).unwrap_err()]
    {
        let said = folder.shown(&problems);
        assert!(said.contains("P0100") && said.contains("UTF-8") && said.contains("portcullis.toml:2:12"), "{said}");
    }
}

#[test]
fn a_word_in_the_wrong_case_is_known_again() {
    let rule =
        "[[connection.endpoint]]\npath = \"/v1/x\"\nmethods = [\"post\"]\nview = \"json\"\n[[token]]\nname = \"demo\"";
    let said = Folder::new().said(&ISSUE.replace("[[token]]\nname = \"demo\"", rule));
    assert!(said.contains("did you mean `POST`?"), "{said}");
}

#[test]
fn a_secret_that_is_pasted_into_the_file_is_not_repeated() {
    let with = |from: &str, to: &str| Folder::new().said(&ISSUE.replace(from, to));
    for said in [
        with("file = \"./secrets/openai\"", "value = \"sk-live-0123\""),
        with("file = \"./secrets/openai\"", "file = \"./secrets/openai\", key = [\"sk-live-0123\"]"),
        with("value_file = \"./secrets/demo-token\"", "value = \"sk-live-0123\""),
    ] {
        assert!(said.contains("unknown key") && !said.contains("sk-live"), "{said}");
    }
}

#[test]
fn a_secret_in_the_place_of_its_files_name_is_not_repeated() {
    let secret = ["sk-live-0123", "9f86d081884c7d659a2feaa0c55ad015"];
    for (secret, (from, to)) in secret.iter().flat_map(|secret| {
        [
            ("file = \"./secrets/openai\"", format!("file = \"{secret}\"")),
            ("file = \"./secrets/openai\"", format!("env = \"{secret}\"")),
            ("value_file = \"./secrets/demo-token\"", format!("value_file = '{secret}'")),
        ]
        .map(|place| (secret, place))
    }) {
        let folder = Folder::new();
        let said = folder.said(&ISSUE.replace(from, &to));
        assert!(said.contains("P0110") && said.contains("looks like the secret itself"), "{said}");
        assert!(!said.contains(secret) && said.contains("name the file"), "{said}");
    }
    let folder = Folder::new();
    let said = folder.said(&ISSUE.replace("file = \"./secrets/openai\"", "file = \"./secrets/sk-none\""));
    assert!(said.contains("secrets/sk-none"), "{said}");
}

#[test]
fn what_anybody_may_change_is_told() {
    let folder = Folder::new();
    fs::write(folder.file(), ISSUE).unwrap();
    let set = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let policies = folder.0.path().join("policies");
    for (folder_mode, file_mode, expected) in [(0o755, 0o644, [false, false]), (0o777, 0o666, [true, true])] {
        set(&policies, folder_mode);
        set(&folder.file(), file_mode);
        let (_, problems) = crate::config::load(&folder.file()).unwrap();
        let said = folder.shown(&problems);
        let told = ["may change the policies", "may change the configuration"].map(|what| said.contains(what));
        assert_eq!(told, expected, "{said}");
        assert_eq!(said.contains("P0111") && said.contains("chmod o-w"), expected[0], "{said}");
    }
}
