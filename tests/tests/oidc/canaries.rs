//! Canaries: every kind of credential, used in every way, with the log at its most talkative; then all that the host
//! wrote, said or sent on is searched for each of them.

use std::{fs, path::Path};

use openid_provider::GATE_SECRET;
use scenarios::rig::{Client, Host, Reply, Setup, Upstream, request};
use serde_json::json;

use super::{
    rig::{Gate, STREAM_SECRET, talkative},
    signals::push,
};

const JSON: (&str, &str) = ("content-type", "application/json");
/// What is no secret: it proves that the search finds what is there.
const MARK: &str = "mark-7f1d-of-a-prompt";

const STATIC: &str = "canary-static-91c3e2d4f5a60718293a4b5c6d7e8f90";
const FROM_FILE: &str = "canary-file-0a1b2c3d4e5f60718293a4b5c6d7e8f9";
const FROM_ENVIRONMENT: &str = "canary-environment-1b2c3d4e5f60718293a4b5c6";
const FROM_COMMAND: &str = "canary-command-2c3d4e5f60718293a4b5c6d7e8f9";
/// Of the webhook: as it is written, and the bytes that it is.
const WEBHOOK: [&str; 2] = ["Y2FuYXJ5LW9mLXRoZS13ZWJob29rLTAxMjM0NTY3", "canary-of-the-webhook-01234567"];
const UNKNOWN: &str = "canary-unknown-3d4e5f60718293a4b5c6d7e8f90a";

/// The ways by which the host's own credentials come, and each one's.
const SOURCES: [(&str, &str, &str); 3] = [
    ("file", r#"file = "./up-file""#, FROM_FILE),
    ("environment", r#"env = "CANARY_UPSTREAM""#, FROM_ENVIRONMENT),
    ("command", r#"command = ["cat", "./up-command"]"#, FROM_COMMAND),
];

/// What was seen of the host, by where.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    async fn reply(&mut self, place: &str, mut reply: Reply) -> u16 {
        let mut bytes = format!("{:?}", reply.headers).into_bytes();
        bytes.extend(reply.rest().await);
        self.add(format!("the answer to {place}"), bytes);
        reply.status
    }

    /// All files below a folder, but for the one in which the host keeps the control token for its operator.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files(&path);
            } else if path.file_name().is_some_and(|name| name != "admin.token") {
                self.add(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }

    fn places_of(&self, text: &str) -> Vec<&str> {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.iter().filter(|(_, bytes)| holds(bytes)).map(|(place, _)| place.as_str()).collect()
    }
}

fn tables(upstream: &Upstream) -> String {
    let mut text = String::new();
    for (name, source, _) in SOURCES {
        text.push_str(&format!(
            "[[connection]]\nname = \"{name}\"\npath_prefix = \"/{name}/\"\nupstream = \"http://{}\"\n\
             dialect = \"openai\"\ncredential = {{ header = \"authorization\", {source} }}\n",
            upstream.address
        ));
    }
    // Nobody listens there.
    text.push_str("[[connection]]\nname = \"gone\"\npath_prefix = \"/gone/\"\nupstream = \"http://127.0.0.1:9\"\n");
    text.push_str("dialect = \"openai\"\ncredential = { header = \"x-api-key\", file = \"./up-file\" }\n");
    text.push_str("[[token]]\nname = \"canary\"\nvalue_file = \"./canary\"\nexpires = 2099-12-31\n");
    text.push_str("connections = [\"openai\", \"file\", \"environment\", \"command\", \"gone\"]\n");
    text.push_str(&format!("[[webhook]]\nname = \"soc\"\nurl = \"http://{}/hook\"\n", upstream.address));
    text.push_str("secret_file = \"./webhook\"\n");
    text
}

/// Every credential that a caller may hold, good and bad, in every header, on every connection.
async fn ask_everything(host: &Host, seen: &mut Seen, credentials: &[&str]) {
    let client = host.caller("");
    let mut statuses = Vec::new();
    for credential in credentials {
        let bearer = format!("Bearer {credential}");
        for header in [("authorization", bearer.as_str()), ("x-api-key", credential), ("api-key", credential)] {
            for path in ["", "/file", "/environment", "/command", "/gone"] {
                for (streamed, route) in
                    [(true, "/v1/chat/completions"), (false, "/v1/chat/completions"), (false, "/v2/x")]
                {
                    let path = format!("{path}{route}");
                    let reply = client.send_plain("POST", &path, &[header, JSON], &request(MARK, streamed)).await;
                    statuses.push(seen.reply(&path, reply).await);
                }
            }
        }
        let headers = [("authorization", bearer.as_str()), JSON];
        let reply = client.send_plain("POST", "/v1/chat/completions", &headers, b"{not json").await;
        seen.reply("nonsense", reply).await;
    }
    for expected in [200, 401, 502] {
        assert!(statuses.contains(&expected), "{expected} is missing: nothing was shown");
    }
}

/// What the control listener and the command line tell.
async fn look_everywhere(host: &Host, seen: &mut Seen) {
    let paths = ["/v1/status", "/v1/policies", "/v1/sessions", "/v1/exchanges", "/v1/approvals", "/v1/tokens"];
    for path in paths.into_iter().chain(["/v1/revocations", "/v1/access", "/v1/alerts", "/v1/events"]) {
        seen.add(path, host.look(path).await.to_string());
    }
    let metrics = host.operator().send("GET", "/metrics", &[], b"").await;
    assert_eq!(seen.reply("metrics", metrics).await, 200);
    let unknown = Client { address: host.control(), token: UNKNOWN.to_owned() };
    for path in ["/metrics", "/readyz", "/v1/tokens"] {
        let reply = unknown.send("GET", path, &[], b"").await;
        seen.reply(path, reply).await;
    }
    for record in host.records(10_000).await {
        seen.add("a record", record.to_string());
    }
    let sessions = host.look("/v1/sessions").await;
    let session = sessions["sessions"][0]["session"].as_str().expect("a session was kept").to_owned();
    for command in [
        &["check"][..],
        &["sessions", "list"],
        &["sessions", "list", "--json"],
        &["sessions", "show", &session],
        &["sessions", "show", &session, "--json"],
        &["sessions", "replay", &session],
        &["sessions", "events"],
        &["sessions", "events", "--json"],
        &["token", "list"],
        &["token", "list", "--json"],
        &["approvals", "list"],
        &["alerts", "list"],
        &["revoke", "--caller", "canary", "--dry-run", "--json"],
    ] {
        let told = host.cli().run(command);
        seen.add(format!("{command:?}"), format!("{}{}", told.stdout, told.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_stands_in_anything_that_the_host_leaves_behind() {
    let upstream = talkative().await;
    let setup = Setup::new().policy("10-mask.wasm", "mask").file("canary", STATIC).file("up-file", FROM_FILE);
    let setup = setup.file("up-command", FROM_COMMAND).environment("CANARY_UPSTREAM", FROM_ENVIRONMENT);
    let setup = setup.file("webhook", &format!("whsec_{}", WEBHOOK[0]));
    let setup = setup.environment("PORTCULLIS_LOG", "trace").tables(&tables(&upstream));
    let mut gate = Gate::with(setup, "", &upstream).await;
    let mut seen = Seen::default();
    let (issued, direct) = (gate.token("").await, gate.provider.token().await);
    let admin = fs::read_to_string(gate.host.home().join("store/admin.token")).unwrap().trim().to_owned();

    ask_everything(&gate.host, &mut seen, &[STATIC, &issued, &direct, UNKNOWN, &format!("{direct}x"), "pct_canary"])
        .await;
    for wrong in [UNKNOWN, &direct[..direct.len() - 3], &issued] {
        seen.add("a refused exchange", format!("{:?}", gate.exchange(wrong, "").await));
    }
    let (_, told) = gate.form("/oauth/introspect", &format!("token={issued}")).await;
    seen.add("introspection", told.to_string());
    let disabled = gate.event("c1", "risc/event-type/account-purged", json!({})).await;
    for (event, shown) in [(disabled.as_str(), UNKNOWN), (&direct, STREAM_SECRET), (&disabled, STREAM_SECRET)] {
        seen.add("an event", format!("{:?}", push(&gate.host, "/ssf/events", event, shown).await));
    }
    look_everywhere(&gate.host, &mut seen).await;
    let (status, told) = gate.host.order("/v1/revoke", &json!({ "target": { "everything": true } })).await;
    assert_eq!(status, 200);
    seen.add("a revocation", told.to_string());
    ask_refused(&gate.host, &mut seen, &[STATIC, &issued, &direct]).await;

    let limits = fs::read_to_string(format!("/proc/{}/limits", gate.host.pid())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"], "not even by who may raise it");
    assert!(!gate.host.abort().await, "a core file was written");
    for file in fs::read_dir(gate.host.home()).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("core"), "{name}");
    }
    seen.add("the log", gate.host.log_text());
    seen.files(&gate.host.home().join("store"));
    let in_store = |place: &&str| place.contains("/store/");
    assert!(seen.places_of(MARK).iter().any(in_store), "the search sees what is recorded");
    assert!(seen.places_of(MARK).contains(&"a record"), "also where a file has it squeezed");
    assert!(seen.places_of("signals:http").contains(&"the log"), "and what is logged");

    let bearer = STREAM_SECRET.trim_start_matches("Bearer ");
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let mut canaries =
        vec![STATIC.to_owned(), issued["pct_".len()..].to_owned(), signature(&direct), signature(&disabled)];
    canaries.extend([admin, GATE_SECRET.to_owned(), bearer.to_owned(), UNKNOWN.to_owned()]);
    canaries.extend(WEBHOOK.map(str::to_owned));
    canaries.extend(SOURCES.map(|(_, _, secret)| secret.to_owned()));
    for canary in &canaries {
        assert!(canary.len() > 16, "{canary}");
        assert_eq!(seen.places_of(canary), [""; 0], "{canary}");
    }
    assert_sent_on(&upstream, &canaries);
}

async fn ask_refused(host: &Host, seen: &mut Seen, credentials: &[&str]) {
    for credential in credentials {
        let reply = host.caller(credential).ask(&request(MARK, true)).await;
        assert_eq!(seen.reply("what is revoked", reply).await, 401);
    }
}

/// A caller's credential never goes upstream, and the host's own goes on its own connection only, in its own header.
fn assert_sent_on(upstream: &Upstream, canaries: &[String]) {
    let received = upstream.received();
    for (name, _, secret) in SOURCES {
        let sent =
            received.iter().filter(|request| request.header("authorization") == Some(&format!("Bearer {secret}")));
        assert!(sent.count() > 0, "the credential from {name} was used");
    }
    for request in received {
        let own = request.header("authorization").map(str::to_owned);
        let headers = request.headers.iter().filter(|(name, _)| name != "authorization");
        let rest =
            format!("{} {:?} {}", request.line, headers.collect::<Vec<_>>(), String::from_utf8_lossy(&request.body));
        for canary in canaries {
            assert!(!rest.contains(canary.as_str()), "{canary} in {rest}");
        }
        let known = SOURCES.map(|(_, _, secret)| format!("Bearer {secret}"));
        assert!(own.as_ref().is_none_or(|own| known.contains(own)), "{own:?}");
    }
}
