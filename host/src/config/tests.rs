//! What people see when a configuration is wrong, and what the host gets when it is right.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use ::identity::digest;
use model::{EndpointRule, Family, OnBlock, Restore, View};

use super::{BUILT_IN, Config, Durability, Limits, Problems, Source, parse, problem::Code};

mod alerts;
mod identity;
mod pitfalls;
mod token;

/// A folder with the files that configurations name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        fs::create_dir(dir.path().join("secrets")).unwrap();
        let folder = Self(dir);
        folder.secret("openai", "sk-upstream-0123456789\n", 0o600);
        folder.secret("demo-token", "a-token-that-is-long-enough\n", 0o600);
        folder
    }

    fn secret(&self, name: &str, value: &str, mode: u32) {
        let path = self.0.path().join("secrets").join(name);
        fs::write(&path, value).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("portcullis.toml")
    }

    fn parse(&self, text: &str) -> Result<(Config, Problems), Problems> {
        parse(&self.file(), text.to_owned())
    }

    fn shown(&self, problems: &Problems) -> String {
        problems.render(false).replace(&self.0.path().display().to_string(), "DIR")
    }

    /// What is said of a configuration, errors and warnings.
    fn said(&self, text: &str) -> String {
        match self.parse(text) {
            Ok((_, problems)) => format!("accepted\n{}", self.shown(&problems)),
            Err(problems) => self.shown(&problems),
        }
    }
}

fn codes(problems: &Problems) -> Vec<Code> {
    problems.sorted().iter().map(|problem| problem.code).collect()
}

fn snapshot(name: &str, said: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, said));
}

const ISSUE: &str = r#"
[listen]
address = "127.0.0.1:8080"
[control]
address = "127.0.0.1:9440"
[store]
path = "./portcullis-store"
durability = "strict"
[policies]
folder = "./policies"
[[connection]]
name = "openai"
path_prefix = "/"
upstream = "https://api.example.com"
dialect = "openai"
credential = { header = "authorization", file = "./secrets/openai" }
[[token]]
name = "demo"
value_file = "./secrets/demo-token"
connections = ["openai"]
"#;

#[test]
fn the_documented_configuration_is_taken() {
    let folder = Folder::new();
    let (config, problems) = folder.parse(ISSUE).unwrap();
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.store.path, folder.0.path().join("portcullis-store"));
    assert_eq!(config.store.durability, Durability::Strict);
    assert_eq!(config.limits, Limits::default());
    let route = &config.connections[0];
    assert_eq!(route.connection.upstream.authority, "api.example.com");
    assert!(route.connection.upstream.tls && !route.built_in);
    assert_eq!((route.connection.family, route.connection.on_block), (Family::Openai, OnBlock::Error));
    let credential = route.credential.as_ref().unwrap();
    assert_eq!(credential.value.as_ref().unwrap().as_bytes(), b"Bearer sk-upstream-0123456789");
    assert_eq!(config.tokens[0].digest, digest("a-token-that-is-long-enough"));
}

#[test]
fn a_credential_comes_from_a_file_the_environment_or_a_command() {
    let folder = Folder::new();
    let with = |written: &str| {
        let credential = "credential = { header = \"authorization\", file = \"./secrets/openai\" }";
        folder.parse(&ISSUE.replace(credential, &format!("credential = {{ {written} }}")))
    };
    let taken = |written: &str| with(written).unwrap().0.connections[0].credential.clone().unwrap();
    let file = taken("header = 'x-api-key', file = './secrets/openai', refresh = '5s'");
    assert!(matches!(&file.source, Source::File(path) if path.ends_with("secrets/openai")));
    assert_eq!(file.refresh, Duration::from_secs(5));
    assert_eq!(file.value.unwrap().as_bytes(), b"sk-upstream-0123456789");
    // A variable that is there wherever tests run.
    let env = taken("header = 'x-api-key', env = 'PATH'");
    assert_eq!(env.source, Source::Environment("PATH".into()));
    assert_eq!(env.value.unwrap().to_str().unwrap(), std::env::var("PATH").unwrap());
    let command = taken("header = 'authorization', command = ['vault', 'read', '-field=key']");
    let arguments = vec!["read".into(), "-field=key".into()];
    assert_eq!(command.source, Source::Command { program: "vault".into(), arguments });
    assert_eq!((command.prefix.as_str(), command.value), ("Bearer ", None));
    let script = taken("header = 'authorization', command = ['./secrets/fetch']");
    assert!(matches!(script.source, Source::Command { program, .. } if program.is_absolute()));
    for wrong in [
        "header = 'authorization'",
        "header = 'authorization', command = []",
        "header = 'authorization', file = './secrets/openai', env = 'PATH'",
        "header = 'authorization', env = 'NO_SUCH_VARIABLE_ANYWHERE'",
        "header = 'authorization', env = ''",
        "header = 'content-length', env = 'PATH'",
    ] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn no_secret_is_in_a_debug_form() {
    let (config, _) = Folder::new().parse(ISSUE).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("sk-upstream") && !shown.contains("long-enough"), "{shown}");
}

#[test]
fn every_setting_has_its_place() {
    let folder = Folder::new();
    let text = r#"
        [listen]
        address = "[::1]:0"
        [control]
        address = "127.0.0.1:0"
        hosts = ["gate.internal"]
        [store]
        durability = "bounded"
        loss_window = "250ms"
        [policies]
        settle = "5ms"
        rescan = "1m"
        removal_grace = 0
        [approvals]
        default_timeout = "10m"
        wait = 5
        heartbeat = "1s"
        approvers = ["security"]
        pending = 7
        [limits]
        head_bytes = "16 KiB"
        body_bytes = 1048576
        upstream_connect = "1500ms"
        json_depth = 32
        zstd_window = "1 MiB"
        decode_ratio = 50
        decode_bytes = "64 MiB"
        [[connection]]
        name = "local"
        path_prefix = "/local/"
        upstream = "http://127.0.0.1:11434/v1/"
        dialect = "raw"
        on_block = "refusal"
        accept_encoding = "zstd"
        restore = "text"
        caller_headers = ["OpenAI-Organization"]
        credential = { header = "X-Api-Key", file = "secrets/openai" }
        [[connection]]
        name = "demo"
        upstream = "builtin:echo-1"
        dialect = "openai"
        [[token]]
        name = "ann"
        value_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        connections = ["local", "demo"]
        models = ["echo-*"]
        operations = ["openai-chat", "raw"]
        groups = ["staff"]
        expires = 2099-12-31T18:00:00+01:00
    "#;
    let (config, problems) = folder.parse(text).map_err(|problems| problems.render(false)).unwrap();
    assert_eq!(codes(&problems), [Code::NotEnforced], "{problems}");
    assert_eq!(config.store.durability, Durability::Bounded);
    assert_eq!(config.store.loss_window, Duration::from_millis(250));
    assert_eq!(config.policies.rescan, Duration::from_secs(60));
    assert_eq!(config.policies.removal_grace, Duration::ZERO);
    assert_eq!((config.approvals.wait, config.approvals.pending), (Duration::from_secs(5), 7));
    assert_eq!((config.limits.head_bytes, config.limits.body_bytes, config.limits.json_depth), (16 << 10, 1 << 20, 32));
    assert_eq!(config.limits.upstream_connect, Duration::from_millis(1500));
    let local = &config.connections[0];
    assert_eq!((&*local.connection.path_prefix, &*local.connection.upstream.base_path), ("/local", "/v1"));
    assert_eq!(local.connection.on_block, OnBlock::Refusal);
    assert_eq!((local.connection.restore, config.connections[1].connection.restore), (Restore::Text, Restore::Off));
    assert_eq!(local.accept_encoding, "zstd, gzip");
    assert_eq!(local.connection.caller_headers, ["openai-organization"]);
    assert_eq!(config.connections[1].accept_encoding, "identity");
    assert_eq!(
        (config.limits.zstd_window, config.limits.decode_ratio, config.limits.decode_bytes),
        (1 << 20, 50, 64 << 20)
    );
    let value = local.credential.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(value.as_bytes(), b"sk-upstream-0123456789");
    assert!(config.connections[1].built_in);
    assert_eq!(config.connections[1].connection.upstream.authority, BUILT_IN);
    let token = &config.tokens[0];
    assert_eq!((&token.groups[..], token.expires_ms), (&["staff".to_owned()][..], Some(4_102_419_600_000)));
    assert_eq!((&token.scope.models[..], token.scope.operations.len()), (&["echo-*".to_owned()][..], 2));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let said = Folder::new().said(
        r#"[listen]
address = "localhost"
adress = "127.0.0.1:8080"
[store]
durability = "strickt"
[policies]
folder = "./polices"
[limits]
head_bytes = "many"
body_bytes = "1 B"
json_depth = "64"
drain = true
[conection]
[[connection]]
name = "open ai"
upstream = "ftp://api.example.com"
dialect = "opanai"
credential = { header = "authorization", file = "./secrets/none" }
[[connection]]
name = "other"
upstream = "https://user:pass@api.example.com/?q"
path_prefix = "//x"
[[token]]
name = "demo"
connections = ["othr", "elsewhere"]
[[token]]
value_file = "./secrets/demo-token"
value_sha256 = "00"
"#,
    );
    assert!(!said.contains("user:pass@"), "the part that may hold a password must not be in a message:\n{said}");
    snapshot("everything_wrong", &said);
}

/// The documented configuration with rules for endpoints.
fn with_endpoints(dialect: &str, rules: &str) -> String {
    let connection = ISSUE.replace("dialect = \"openai\"", &format!("dialect = \"{dialect}\""));
    connection.replace("[[token]]", &format!("{rules}\n[[token]]"))
}

#[test]
fn rules_allow_endpoints() {
    let rules = r#"
        [[connection.endpoint]]
        path = "/v1/rerank"
        methods = ["POST", "GET"]
        view = "json"
        [[connection.endpoint]]
        path = "/v1/files/*"
        methods = "GET"
        view = ["sse", "text"]
    "#;
    for dialect in ["http", "openai"] {
        let (config, problems) = Folder::new().parse(&with_endpoints(dialect, rules)).unwrap();
        assert!(problems.is_empty(), "{problems}");
        let endpoints = &config.connections[0].connection.endpoints;
        let rule = |path: &str, methods: &[&str], views: &[View]| EndpointRule {
            path: path.into(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            views: views.to_vec(),
        };
        assert_eq!(endpoints[0], rule("/v1/rerank", &["POST", "GET"], &[View::Json]));
        assert_eq!(endpoints[1], rule("/v1/files/*", &["GET"], &[View::Sse, View::Text]));
        assert_eq!(endpoints.len(), 2);
    }
}

#[test]
fn rules_that_can_not_be_meant_are_refused() {
    let rule = |path: &str, methods: &str, view: &str| {
        format!("[[connection.endpoint]]\npath = \"{path}\"\nmethods = {methods}\nview = {view}\n")
    };
    let said = |dialect: &str, rules: &str| Folder::new().said(&with_endpoints(dialect, rules));
    for path in ["", "v1", "//", "/a//b", "/a/../b", "/a*", "/*/b", "*", "/a/**", "/a%2Fb", "/a?b", "/a b"] {
        let said = said("http", &rule(path, "\"GET\"", "\"json\""));
        assert!(said.starts_with("error[P0106]"), "{path}: {said}");
    }
    for path in ["/", "/*", "/a", "/a/", "/v1/models/m:generateContent"] {
        let said = said("http", &rule(path, "\"GET\"", "\"json\""));
        assert!(said.starts_with("accepted"), "{path}: {said}");
    }
    for (methods, view, code) in [
        ("\"TRACE\"", "\"json\"", "P0104"),
        ("\"get\"", "\"json\"", "P0104"),
        ("[]", "\"json\"", "P0103"),
        ("\"GET\"", "[]", "P0103"),
        ("\"GET\"", "\"jsn\"", "P0104"),
        ("\"GET\"", "7", "P0105"),
    ] {
        let said = said("http", &rule("/a", methods, view));
        assert!(said.starts_with(&format!("error[{code}]")), "{methods} {view}: {said}");
    }
    assert!(said("http", "").starts_with("error[P0103]"), "with no rule nothing can pass");
    assert!(said("raw", &rule("/a", "\"GET\"", "\"json\"")).starts_with("error[P0106]"), "a rule that does nothing");
    let misspelt = rule("/a", "\"GET\"", "\"json\"") + "veiw = \"text\"\n";
    assert!(said("http", &misspelt).starts_with("error[P0102]"));
}

#[test]
fn the_same_name_prefix_or_value_twice_is_an_error() {
    let second = "[[connection]]\nname = \"openai\"\nupstream = \"http://127.0.0.1:1\"\ndialect = \"raw\"\n\
        [[token]]\nname = \"demo\"\nvalue_file = \"secrets/demo-token\"\nconnections = [\"openai\"]\n";
    snapshot("twice", &Folder::new().said(&format!("{ISSUE}{second}")));
}

#[test]
fn what_should_not_stay_so_is_a_warning() {
    let folder = Folder::new();
    folder.secret("openai", "sk-upstream", 0o644);
    folder.secret("demo-token", "short", 0o600);
    let text = ISSUE.replace("127.0.0.1", "0.0.0.0").replace("https://", "http://");
    snapshot("warnings", &folder.said(&text));
}

#[test]
fn a_broken_file_has_all_its_syntax_errors_and_no_guesses() {
    let said = Folder::new().said("[listen\naddress = \"127.0.0.1:8080\"\n[store]\ndurability = strict\npath = \"x\n");
    snapshot("syntax", &said);
}

#[test]
fn an_empty_file_needs_a_connection() {
    snapshot("empty", &Folder::new().said(""));
}

#[test]
fn a_file_that_is_not_there_says_how_to_make_one() {
    let path = PathBuf::from("no-such-folder/portcullis.toml");
    snapshot("absent", &super::load(&path).unwrap_err().render(false));
}

#[test]
fn upstream_urls_that_two_readers_could_read_differently_are_refused() {
    let folder = Folder::new();
    for url in [
        "",
        "api.example.com",
        "file:///etc/passwd",
        "https://",
        "https://:443",
        "https://a b",
        "https://h/%2e%2e",
        "https://h/../x",
        "https://h//x",
        "https://h/?",
        "https://h/#x",
        "https://u@h",
        "https://h:0",
        "https://h:99999",
        "https://h\\@x",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "HTTPS://h",
        "unix:/x",
    ] {
        let text = ISSUE.replace("https://api.example.com", &url.replace('\\', "\\\\"));
        let said = folder.said(&text);
        assert!(said.starts_with("error[P0109]"), "{url}: {said}");
    }
}

#[test]
fn secret_files_that_hold_no_single_secret_are_refused() {
    for value in ["", " \n", "two\nlines", "nul\0", &"x".repeat(20 << 10)] {
        let folder = Folder::new();
        folder.secret("openai", value, 0o600);
        let said = folder.said(ISSUE);
        assert!(said.starts_with("error[P0110]"), "{value:?}: {said}");
    }
}

#[test]
fn what_would_be_reached_by_nobody_is_an_error() {
    let folder = Folder::new();
    for host in ["ops.example.com:21031", "https://ops.example.com", "", "a b", "ops..com"] {
        let said = folder.said(&ISSUE.replace("[control]\n", &format!("[control]\nhosts = [\"{host}\"]\n")));
        assert!(said.contains("P0106") && said.contains("no port, and no URL"), "{host}: {said}");
    }
    let at = |prefix: &str| ISSUE.replace("path_prefix = \"/\"", &format!("path_prefix = \"{prefix}\""));
    let oauth = "[oauth]\nurl = \"https://gate.example.com\"\n";
    let signals = "[[signals]]\nissuer = \"token\"\naudiences = [\"a\"]\nabout = [\"token\"]\n";
    for (prefix, table, own) in
        [("/oauth", oauth, "[oauth]"), ("/oauth/x", oauth, "[oauth]"), ("/ssf", signals, "[[signals]]")]
    {
        let said = folder.said(&format!("{}{table}", at(prefix)));
        assert!(said.contains(&format!("taken by `{own}`")), "{prefix}: {said}");
        assert!(folder.said(&at(prefix)).starts_with("accepted"), "{prefix}");
    }
    assert!(!folder.said(&format!("{}{oauth}", at("/oauthority"))).contains("taken by"));
}

#[test]
fn a_key_that_others_may_read_is_told_and_the_built_in_model_needs_no_encryption() {
    let folder = Folder::new();
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.0.path().join("tls.pem"), identity.cert.pem()).unwrap();
    for (mode, open) in [(0o600, false), (0o644, true)] {
        folder.secret("tls-key", &identity.signing_key.serialize_pem(), mode);
        let said =
            folder.said(&ISSUE.replace(
                "[listen]\n",
                "[listen]\ntls = { certificate = \"./tls.pem\", key = \"./secrets/tls-key\" }\n",
            ));
        assert!(said.starts_with("accepted"), "{said}");
        assert_eq!(said.contains("P0111") && said.contains("private key"), open, "{mode:o}: {said}");
    }
    let built_in = ISSUE.replace("https://api.example.com", "builtin:echo-1");
    let said = folder.said(&built_in);
    assert!(built_in != ISSUE && said.starts_with("accepted") && !said.contains("P0112"), "{said}");
}

#[test]
fn problems_name_line_and_column_from_one() {
    let problems = Folder::new().parse("\n[listen]\n  adress = 1\n[[connection]]").unwrap_err();
    let first = problems.sorted()[0];
    assert_eq!(problems.position(first), Some((3, 3)));
}

#[test]
fn the_documentation_names_every_bound_with_its_default() {
    let documentation = include_str!("../../docs/configuration.md");
    for bound in Limits::bounds() {
        let row = format!("| `{}` | {} |", bound.key, bound.default_text().trim_matches('"'));
        assert!(documentation.contains(&row), "missing in configuration.md: {row}");
    }
    for (word, _) in Durability::ALL {
        assert!(documentation.contains(&format!("`{word}`")));
    }
}

#[test]
fn what_may_come_whole_can_be_recorded() {
    let entry = store::StoreConfig::new("").limits.entry_bytes as u64;
    for bound in Limits::bounds().iter().filter(|bound| ["body_bytes", "event_bytes"].contains(&bound.key)) {
        assert!(*bound.range.end() < entry, "{}: masking may add to it", bound.key);
    }
}
