//! Guests that misbehave, in front of the whole host: each ends as its failure mode says, what it can't be trusted with
//! is never loaded, and nobody else notices.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{path::PathBuf, process::Command, sync::OnceLock};

use scenarios::rig::{
    Channel, End, Heard, Host, SSN, Setup, Upstream, entries, http_chunks, json_head, policies, repository, request,
    sse_head, streamed, whole,
};
use serde_json::Value;

/// Lines that two floods may leave in the log: a hundred for each instance that was flooded by.
const FLOOD_LINES: usize = 1_000;
/// The word that sets the guests off.
const TRIGGER: &str = "NOW";

/// A built guest.
fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    // `tests/run` has built them already.
    let folder = FOLDER.get_or_init(|| std::env::var_os("PORTCULLIS_GUESTS").map_or_else(build, PathBuf::from));
    folder.join(name).with_extension("wasm")
}

fn build() -> PathBuf {
    let output = Command::new(repository().join("tests/guests/build")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Says the word when the request asks for it, and a secret besides.
async fn upstream() -> Upstream {
    Upstream::answering(|received| {
        let request: Value = serde_json::from_slice(&received.body).unwrap();
        let asked = request["messages"][0]["content"].as_str().unwrap().to_owned();
        let said = if asked == "say it" { format!("{TRIGGER} {SSN} ok") } else { format!("fine {SSN} ok") };
        if request["stream"] == true {
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&[&streamed(Channel::Content, &said, 5)]));
            return pieces;
        }
        let body = whole(Channel::Content, &said);
        vec![json_head(200, body.len()), body]
    })
    .await
}

/// The host with `mask` and one guest after it.
async fn host(upstream: &Upstream, guest_name: &str, settings: &str) -> Host {
    let setup = Setup::new().policy("10-mask.wasm", "mask");
    setup.component("50-guest.wasm", &guest(guest_name), Some(settings)).start(upstream.address).await
}

/// Exchanges that the guest has nothing to object to go on, beside and after the one that failed.
async fn others_go_on(host: &Host) {
    for stream in [false, true] {
        let (reply, body) = host.client().whole(&request("be nice", stream)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
        let heard = if stream { Heard::stream(&body) } else { Heard::whole(&body) };
        assert_eq!(heard.text(0, "content"), "fine [SSN] ok");
    }
}

async fn closed(guest_name: &str, settings: &str) {
    let upstream = upstream().await;
    let host = host(&upstream, guest_name, settings).await;
    let (reply, body) = host.client().whole(&request("say it", false)).await;
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((reply.status, &error["error"]["code"]), (503, &"policy_failed".into()), "{error}");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    assert_eq!(entries(&record, "Closed").next().unwrap()["outcome"], "failed");
    let failed = |judged: &&Value| judged["policy"] == "50-guest" && judged["verdict"]["Failed"]["open"] == false;
    assert!(entries(&record, "Judged").any(|judged| failed(&judged)), "{record}");

    let (reply, body) = host.client().whole(&request("say it", true)).await;
    let said = String::from_utf8_lossy(&body);
    assert!(!said.contains(TRIGGER) && !said.contains("[DONE]") && said.contains("policy_failed"), "{said}");
    assert!(reply.status == 503 || reply.end == Some(End::Broken), "{} {:?}", reply.status, reply.end);
    others_go_on(&host).await;
}

async fn open(guest_name: &str, settings: &str) {
    let upstream = upstream().await;
    let host = host(&upstream, guest_name, &format!("on_failure = \"open\"\n{settings}")).await;
    let (reply, body) = host.client().whole(&request("say it", false)).await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", String::from_utf8_lossy(&body));
    assert_eq!(Heard::whole(&body).text(0, "content"), format!("{TRIGGER} [SSN] ok"), "the others still judge");
    let record = host.record(reply.header("x-request-id").unwrap()).await;
    let failed = |judged: &Value| judged["policy"] == "50-guest" && judged["verdict"]["Failed"]["open"] == true;
    assert!(entries(&record, "Judged").any(failed), "{record}");
    others_go_on(&host).await;
}

macro_rules! failures {
    ($($name:ident: $guest:literal, $settings:literal;)*) => {
        mod closed { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::closed($guest, $settings).await; }
        )* }
        mod open { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::open($guest, $settings).await; }
        )* }
    };
}
failures! {
    spins: "fail", "[settings]\nhow = \"spin\"\n";
    traps: "fail", "[settings]\nhow = \"trap\"\n";
    recurses: "fail", "[settings]\nhow = \"recurse\"\n";
    hoards: "fail", "[settings]\nhow = \"hoard\"\n";
    answers_out_of_bounds: "nonsense", "[settings]\nhow = \"out-of-bounds\"\n";
    answers_overlapping: "nonsense", "[settings]\nhow = \"overlap\"\n";
    answers_too_much: "nonsense", "[settings]\nhow = \"huge-text\"\n";
}

/// What is wrong from the start never gets into a set, and what stood before stays in force.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_trusted_is_not_loaded() {
    let upstream = upstream().await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    for name in ["start-spins", "start-traps", "wrong-version", "imports-wasi"] {
        let file = format!("60-{name}.wasm");
        host.install(&file, &guest(name), None);
        let set = host
            .until_set(&format!("a problem with {file}"), |set| {
                set["problems"].as_array().is_some_and(|all| all.iter().any(|problem| problem["file"] == file.as_str()))
            })
            .await;
        assert_eq!((&set["degraded"], policies(&set).collect::<Vec<_>>()), (&true.into(), vec!["10-mask"]), "{set}");
        others_go_on(&host).await;
    }
}

/// Thousands of lines a call, each with what would forge lines of its own: the log takes few, and each is one line.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut_and_forges_nothing() {
    let upstream = upstream().await;
    let settings = "limits = { time_per_call = \"5s\" }\n[settings]\nlines = 5000\n";
    let host = host(&upstream, "chatty", settings).await;
    for stream in [false, true] {
        let (reply, body) = host.client().whole(&request("say it", stream)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", String::from_utf8_lossy(&body));
        let heard = if stream { Heard::stream(&body) } else { Heard::whole(&body) };
        assert_eq!(heard.text(0, "content"), format!("{TRIGGER} [SSN] ok"));
    }
    others_go_on(&host).await;
    // The log says that lines are missing.
    host.logged(|line| line.contains("it writes too much")).await;
    let log = host.log_text();
    let forged = log.lines().filter(|line| line.contains("forged")).count();
    assert!((1..=FLOOD_LINES).contains(&forged), "{forged} lines of the guest");
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.trim_start().starts_with("forged")), "{log}");
}

/// What has a schema that no host could apply is refused, and the host lives on.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_an_end_is_refused() {
    let upstream = upstream().await;
    let host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let before = host.pid();
    for name in ["schema-recurses", "schema-doubles"] {
        let file = format!("60-{name}.wasm");
        host.install(&file, &guest(name), None);
        let set = host
            .until_set(&format!("a problem with {file}"), |set| {
                set["problems"].as_array().is_some_and(|all| all.iter().any(|problem| problem["file"] == file.as_str()))
            })
            .await;
        assert_eq!(policies(&set).collect::<Vec<_>>(), ["10-mask"], "{set}");
        others_go_on(&host).await;
    }
    assert_eq!(host.pid(), before);
}
