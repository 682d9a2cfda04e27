//! The command line as people and scripts use it, on a host that runs and on the store of one that does not.

use std::{
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    process::Stdio,
    time::Duration,
};

use scenarios::rig::{
    Channel, Client, Durability, SSN, Setup, Told, Upstream, binary, bytes, delivered, entries, http_chunks, json_head,
    policies, repository, request, whole, within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[test]
fn init_writes_what_check_understands() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told::by(&["init"], folder.path());
    assert_eq!(told.code, Some(0), "{}{}", told.stdout, told.stderr);
    let config = folder.path().join("portcullis.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    // Whatever check still misses (a credential, say), it is not the form of the file.
    let told = Told::by(&["check"], folder.path());
    assert!(!told.stderr.contains("unknown key") && !told.stderr.contains("not valid TOML"), "{}", told.stderr);
    let _ = Told::by(&["init"], folder.path());
    assert_eq!(std::fs::read_to_string(&config).unwrap(), written, "init changes nothing that is there");
}

#[test]
fn check_tells_every_error_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[listen]\naddress = \"nowhere\"\n[store]\ndurability = \"stict\"\n[[connection]]\nname = \"a\"\n";
    std::fs::write(folder.path().join("portcullis.toml"), text).unwrap();
    let told = Told::by(&["check"], folder.path());
    assert_eq!(told.code, Some(1), "{}{}", told.stdout, told.stderr);
    let said = format!("{}{}", told.stdout, told.stderr);
    for wanted in ["portcullis.toml:2:11", "portcullis.toml:4:14", "did you mean `strict`?", "^"] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    assert!(said.matches("error[P").count() >= 3, "{said}");
}

#[test]
fn check_looks_at_the_policies_of_a_file_that_has_errors_too() {
    let folder = tempfile::tempdir().unwrap();
    let dist = repository().join("policies/dist");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    for name in ["mask", "block", "lockdown"] {
        std::fs::copy(dist.join(format!("{name}.wasm")), folder.path().join(format!("policies/{name}.wasm"))).unwrap();
    }
    put("policies/lockdown.toml", "connections = [\"opneai\"]\n");
    put("policies/mask.toml", "[settings]\nchannels = [\"contnet\"]\n");
    put("policies/block.toml", "[settings]\nspeakers = [\"usr\"]\n");
    let connection =
        "[[connection]]\nname = \"openai\"\nupstream = \"https://api.example.com\"\ndialect = \"openai\"\n";
    for (wrong, good) in [("[store]\ndurability = \"stict\"\n", false), ("", true)] {
        put("portcullis.toml", &format!("{wrong}{connection}"));
        let told = Told::by(&["check"], folder.path());
        let said = format!("{}{}", told.stdout, told.stderr);
        assert_eq!(told.code, Some(1), "{said}");
        assert_eq!(said.contains("did you mean `strict`?"), !good, "{said}");
        for meant in ["openai", "content", "user"] {
            assert!(said.contains(&format!("did you mean `{meant}`?")), "{meant} is missing in:\n{said}");
        }
    }
}

/// Each of these keeps `serve` from starting.
#[test]
fn check_finds_what_would_keep_a_host_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    let identity = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    put("certificate.pem", &identity().cert.pem());
    put("key.pem", &identity().signing_key.serialize_pem());
    put("not-a-folder", "");
    let listen = "[listen]\naddress = \"127.0.0.1:0\"\n";
    let control = "[control]\naddress = \"127.0.0.1:0\"\n";
    let connection = "[[connection]]\nname = \"a\"\nupstream = \"builtin:echo-1\"\ndialect = \"openai\"\n";
    let private = |path: &str| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.path().join(path));
    private("open/compiled").unwrap();
    put("open/admin.token", &"x".repeat(43));
    std::fs::set_permissions(folder.path().join("open/admin.token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    private("damaged/control").unwrap();
    put("damaged/control/control-0000000000000001.log", &"x".repeat(4096));
    private("lost/control").unwrap();
    put("lost/segment-000001.redb", "");
    let cases = [
        (format!("{listen}{control}[store]\npath = \"open\"\n{connection}"), "admin.token"),
        (format!("{listen}{control}[store]\npath = \"damaged\"\n{connection}"), "control-0000000000000001.log"),
        // A segment is made last.
        (format!("{listen}{control}[store]\npath = \"lost\"\n{connection}"), "key.begin-anew"),
        // Of RFC 5737: no machine's.
        (format!("[listen]\naddress = \"192.0.2.1:8080\"\n{control}{connection}"), "listen.address: 192.0.2.1"),
        (
            format!("{listen}tls = {{ certificate = \"certificate.pem\", key = \"key.pem\" }}\n{control}{connection}"),
            "`key.pem` is not that of the certificate",
        ),
        (
            format!(
                "{listen}{control}{connection}credential = {{ header = \"x-key\", command = [\"./no-such-command\"] }}\n"
            ),
            "no-such-command",
        ),
        (format!("{listen}{control}[store]\npath = \"not-a-folder\"\n{connection}"), "not-a-folder"),
        (
            format!("[listen]\naddress = \"127.0.0.1:18080\"\n[control]\naddress = \"0.0.0.0:18080\"\n{connection}"),
            "18080",
        ),
    ];
    for (text, wanted) in cases {
        put("portcullis.toml", &text);
        for command in ["check", "serve"] {
            let told = Told::by(&[command], folder.path());
            let said = format!("{}{}", told.stdout, told.stderr);
            assert!(told.code == Some(1) && said.contains(wanted), "{command}, {wanted}: {:?}\n{said}", told.code);
        }
    }
}

#[test]
fn a_cache_that_others_can_reach_is_told_by_check() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    let compiled = folder.path().join("portcullis-store/compiled");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&compiled).unwrap();
    let connection = "[[connection]]\nname = \"a\"\nupstream = \"builtin:echo-1\"\ndialect = \"openai\"\n";
    std::fs::write(folder.path().join("portcullis.toml"), connection).unwrap();
    assert_eq!(Told::by(&["check"], folder.path()).code, Some(0));
    std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(0o750)).unwrap();
    let told = Told::by(&["check"], folder.path());
    let said = format!("{}{}", told.stdout, told.stderr);
    assert!(told.code == Some(1) && said.contains("open to other users"), "{said}");
}

#[test]
fn a_verdict_stays_one_where_nobody_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portcullis.toml"), "[listen]\naddress = \"nowhere\"\n").unwrap();
    std::fs::write(folder.path().join("broken.wasm"), b"\0asm").unwrap();
    for arguments in [&["check"][..], &["policy", "inspect", "broken.wasm"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(binary());
        let status = command.args(arguments).current_dir(folder.path()).stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn inspect_says_whether_a_host_would_take_a_file() {
    let dist = repository().join("policies/dist");
    let told = Told::by(&["policy", "inspect", "mask.wasm", "--json"], &dist);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let found: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(found["taken"], true, "{found}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.wasm"), b"\0asm\x01\0\0\0 and no more").unwrap();
    let told = Told::by(&["policy", "inspect", "broken.wasm"], folder.path());
    assert_eq!(told.code, Some(1), "{}{}", told.stdout, told.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_shown_and_replayed() {
    let said = format!("\u{1b}[31mred\u{7} \u{9b}2J \u{202e}der {SSN}");
    let upstream = Upstream::answering(move |_| {
        let body = whole(Channel::Content, &said);
        vec![json_head(200, body.len()), body]
    })
    .await;
    let mut host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let (reply, body) = host.client().whole(&request("hello", false)).await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(policies(&host.cli().json(&["policy", "list"])).collect::<Vec<_>>(), ["10-mask"]);
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let listed = cli.json(&["sessions", "list"]);
        assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(delivered(&cli.json(&["sessions", "show", &id])).as_bytes(), body);
        let replayed = cli.run(&["sessions", "replay", &id, "--speed", "0"]);
        assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
        assert!(replayed.stdout.contains("[SSN]"), "{}", replayed.stdout);
        let digest = policy_digest(&cli.json(&["sessions", "show", &id]));
        let shown = cli.run(&["sessions", "show", &id]).stdout;
        assert!(replayed.stdout.contains(&digest) && shown.contains(&digest), "{digest}: {shown}");
        let lines = cli.run(&["sessions", "replay", &id, "--speed", "0", "--json"]).stdout;
        let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!lines.contains(raw), "control characters are escaped: {lines:?}");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(delivered(&json!({ "entries": lines })).as_bytes(), body, "the same entries, one in a line");
        assert!(lines.iter().all(|line| line["exchange"].is_string() && line["at_us"].is_u64()));
        for speed in ["1e-300", "1e-9", "-0.1", "NaN"] {
            let replayed = cli.run(&["sessions", "replay", &id, "--speed", speed]);
            assert_eq!(replayed.code, Some(2), "{speed}: {}", replayed.stderr);
            assert!(!replayed.stderr.contains("panicked"), "{}", replayed.stderr);
        }
        assert!(!replayed.stdout.contains(raw), "control characters are escaped: {:?}", replayed.stdout);
    }
}

/// The digest of the first policy that judged an exchange, as its record ends with it.
fn policy_digest(record: &Value) -> String {
    let closed = entries(record, "Closed").next().expect("it is closed");
    closed["policies"][0]["digest"].as_str().expect("a policy judged it").to_owned()
}

/// Bytes that are no text, and a character that two chunks share.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_told_the_same_whether_the_host_runs_or_not() {
    let upstream = Upstream::answering(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        [vec![head], http_chunks(&[b"price: \xe2", b"\x82\xac 5 ", &[0xff; 10]])].concat()
    })
    .await;
    let mut host = Setup::new().dialect("raw").start(upstream.address).await;
    let (reply, body) = host.client().whole(b"what does it cost? \xfe").await;
    assert_eq!(body, b"price: \xe2\x82\xac 5 \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let id = reply.header("x-request-id").unwrap().to_owned();
    let mut told = Vec::new();
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let record = cli.json(&["sessions", "show", &id]);
        let asked: Vec<_> = entries(&record, "Request").map(|request| bytes(&request["body"])).collect();
        assert_eq!(asked, [b"what does it cost? \xfe"]);
        let got: Vec<u8> = entries(&record, "Chunk").flat_map(|chunk| bytes(&chunk["data"])).collect();
        assert_eq!(got, body);
        let replayed = cli.run(&["sessions", "replay", &id, "--speed", "0"]).stdout;
        assert!(replayed.contains("cost? \\xfe\n") && replayed.contains("price: € 5 \\xff\\xff"), "{replayed}");
        told.push((record["entries"].clone(), replayed, cli.run(&["sessions", "show", &id]).stdout));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_on_a_stopped_host_does_not_keep_it_from_starting() {
    let upstream = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(60));
        let body = whole(Channel::Content, "late");
        vec![json_head(200, body.len()), body]
    })
    .await;
    let mut host = Setup::new().start(upstream.address).await;
    let (reply, _) = host.client().whole(&request("hello", false)).await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    // A thousand times slower than it was: a minute.
    let mut replay = tokio::process::Command::new(binary())
        .args(["sessions", "replay", &id, "--speed", "0.001", "--config"])
        .arg(host.home().join("portcullis.toml"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(replay.stdout.take().unwrap()).lines();
    let first = within("the replay", lines.next_line()).await.unwrap().unwrap();
    assert!(first.contains("POST"), "{first}");
    let host = host.restart().await;
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 200);
    assert!(replay.try_wait().unwrap().is_none(), "the replay goes on");
}

/// 10 MiB, of which a page has 4.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_longer_than_a_page_is_shown_and_replayed_whole() {
    let upstream = Upstream::answering(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        let texts: Vec<String> = (0..10).map(|at| format!("{at:0>1023}\n").repeat(1 << 10)).collect();
        [vec![head], http_chunks(&texts.iter().map(String::as_bytes).collect::<Vec<_>>())].concat()
    })
    .await;
    let mut host = Setup::new().dialect("raw").start(upstream.address).await;
    let (reply, body) = host.client().whole(b"tell me more").await;
    assert_eq!(body.len(), 10 << 20);
    let id = reply.header("x-request-id").unwrap().to_owned();
    let page = host.look(&format!("/v1/exchanges/{id}")).await;
    assert!(page["next"].is_string() && page["root"].is_null() && delivered(&page).len() <= 4 << 20);
    let mut told = Vec::new();
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let record = cli.json(&["sessions", "show", &id]);
        assert!(delivered(&record).as_bytes() == body && record["root"].as_str().unwrap().len() == 64);
        assert_eq!(record["summary"]["entries"], record["entries"].as_array().unwrap().len());
        let replayed = cli.run(&["sessions", "replay", &id, "--speed", "0"]).stdout;
        assert!(replayed.as_bytes().windows(body.len()).any(|part| part == body), "{} bytes", replayed.len());
        let text = cli.run(&["sessions", "show", &id]).stdout;
        assert!(text.ends_with(&format!("\nroot {}\n", record["root"].as_str().unwrap())));
        told.push((record, replayed, text));
    }
    assert!(told[0] == told[1], "whether the host runs or not");
}

/// A page has 1,000 of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_longer_than_a_page_is_shown_and_replayed_whole() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().dialect("raw").durability(Durability::Bounded).start(upstream.address).await;
    let callers = (0..6).map(|_| {
        let client = host.client();
        tokio::spawn(async move {
            for _ in 0..170 {
                assert_eq!(client.whole(b"hi").await.0.status, 200);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let session = host.look("/v1/sessions").await["sessions"][0]["session"].as_str().unwrap().to_owned();
    let page = host.look(&format!("/v1/sessions/{session}?limit=1000")).await;
    assert_eq!(
        (page["exchanges"].as_array().map(Vec::len), &page["next"]),
        (Some(1000), &page["exchanges"][999]["exchange"])
    );
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let record = cli.json(&["sessions", "show", &session]);
        let ids: Vec<_> = record["exchanges"].as_array().unwrap().iter().map(|one| one["exchange"].as_str()).collect();
        assert!(ids.is_sorted() && ids.len() == 1020 && record["summary"]["exchanges"] == 1020, "{}", ids.len());
        let text = cli.run(&["sessions", "show", &session]).stdout;
        // A table has ids without hyphens.
        assert!(ids.iter().all(|id| text.contains(&id.unwrap().replace('-', ""))));
        let lines = cli.run(&["sessions", "replay", &session, "--speed", "0", "--json"]).stdout;
        assert_eq!(lines.matches("{\"Opened\":").count(), 1020);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_go_upstream_is_not_told_as_sent() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Setup::new().start(nobody).await;
    let reply = host.client().whole(&request("hello", false)).await.0;
    assert_eq!(reply.status, 502);
    let id = reply.header("x-request-id").unwrap().to_owned();
    let record = host.cli().json(&["sessions", "show", &id]);
    assert_eq!((&record["summary"]["forwarded"], entries(&record, "Unsent").count()), (&json!(false), 1), "{record}");
    let text = host.cli().run(&["sessions", "show", &id]).stdout;
    assert!(text.contains("not sent") && !text.contains("forwarded") && !text.contains("delivered"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_the_same_whether_the_host_runs_or_not() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let reason = "left \u{1b}[2J";
    let order = json!({ "target": { "connection": "openai" }, "reason": reason, "by": "lea" });
    assert_eq!(host.order("/v1/revoke", &order).await.0, 200);
    let mut told = Vec::new();
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let mut events = cli.json(&["sessions", "events"])["events"].as_array().unwrap().clone();
        if !running {
            assert!(events.remove(0)["event"]["Stopped"].is_object());
        }
        let newest = events[0]["number"].as_u64().unwrap();
        let page = cli.json(&["sessions", "events", "--limit", "1", "--before", &newest.to_string()]);
        assert_eq!(page["events"].as_array().unwrap()[..], events[1..2], "the page after it");
        let table = cli.run(&["sessions", "events"]).stdout;
        for wanted in ["started", "policy set", "revoked", "connection openai by lea: left \\u{1b}[2J"] {
            assert!(table.contains(wanted), "{wanted} is missing in:\n{table}");
        }
        told.push(events);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_verified_when_its_host_is_stopped() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().start(upstream.address).await;
    let mark = "a-mark-in-a-prompt";
    assert_eq!(host.client().whole(&request(mark, false)).await.0.status, 200);
    let refused = host.cli().run(&["sessions", "verify"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    for wanted in ["of a host that is stopped, or a copy of one", &format!("in use by process {}", host.pid())] {
        assert!(refused.stderr.contains(wanted), "{wanted} is missing in: {}", refused.stderr);
    }

    assert_eq!(host.stop().await, Some(0), "it ends in order");
    let told = host.cli().json(&["sessions", "verify"]);
    assert_eq!((&told["good"], &told["verified"]["exchanges"]), (&json!(true), &json!(1)), "{told}");
    assert!(told["verified"]["events"].as_u64() >= Some(2), "{told}");

    let segment = host.home().join("store/segment-000001.redb");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(mark.len()).position(|window| window == mark.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let wrong = host.cli().run(&["sessions", "verify"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stdout);
    for wanted in ["WRONG", "segment-000001.redb is damaged in exchange"] {
        assert!(wrong.stdout.contains(wanted), "{wanted} is missing in: {}{}", wrong.stdout, wrong.stderr);
    }
    let json = host.cli().run(&["sessions", "verify", "--json"]);
    let said: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json.code == Some(1) && said["good"] == json!(false), "{said}");
    // What was not looked at is not wrong, and not good.
    let strangers = host.home().join("store");
    let chowned = std::os::unix::fs::chown(&strangers, Some(65534), None).is_ok();
    let cases =
        [("no-such-folder", true, "no-such-folder"), (strangers.to_str().unwrap(), chowned, "sudo -u '#65534'")];
    for (folder, _, wanted) in cases.into_iter().filter(|(_, tried, _)| *tried) {
        let told = host.cli().run(&["sessions", "verify", "--json", "--store", folder]);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{folder}");
        assert!(told.stderr.contains("nothing is verified") && told.stderr.contains(wanted), "{}", told.stderr);
    }
}

/// Of a store that a dead host left: its journal has bytes that were acknowledged, and can't be read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_told_by_every_command_and_by_the_host_as_long_as_the_file_is_there() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().start(upstream.address).await;
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 200);
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    let file = "store/journal/damaged-journal-0000000000000000.log";
    std::fs::write(host.home().join(file), "evidence").unwrap();
    let listed = host.cli().run(&["sessions", "list"]);
    assert!(listed.code == Some(0) && listed.stderr.contains(file), "{}", listed.stderr);
    for _ in 0..2 {
        let wrong = host.cli().run(&["sessions", "verify"]);
        assert!(wrong.code == Some(1) && wrong.stdout.contains(file), "{}{}", wrong.stdout, wrong.stderr);
    }
    let mut host = host.restart().await;
    let mut ready = host.operator().send("GET", "/readyz?verbose", &[], b"").await;
    let ready = String::from_utf8(ready.rest().await).unwrap();
    assert!(ready.contains("[!] store ") && ready.contains(file), "{ready}");
    assert!(host.look("/v1/status").await["store"]["lost"][0].as_str().unwrap().contains(file));
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    std::fs::remove_file(host.home().join(file)).unwrap();
    assert_eq!(host.cli().run(&["sessions", "verify"]).code, Some(0));
}

/// The disk ends what is made readable, and not what is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_failed_is_shown_with_a_word_of_what_is_missing() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().start(upstream.address).await;
    let list = ["sessions", "list", "--json"];
    let before = host.cli().run(&list);
    assert_eq!((before.code, before.stderr.as_str()), (Some(0), ""));
    std::fs::remove_file(host.home().join("store/segment-000001.redb")).unwrap();
    // It is answered, unless the store fails meanwhile.
    let _ = host.client().whole(&request("hello", false)).await;
    let listed = host.cli().run(&list);
    assert_eq!((listed.code, listed.stdout), (Some(0), before.stdout));
    assert!(listed.stderr.contains("warning: the last ") && listed.stderr.contains("failed"), "{}", listed.stderr);
    assert_eq!(host.stop().await, Some(1), "what it has taken is in the journal only");
}

#[test]
fn settings_that_a_policy_does_not_take_are_shown_in_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("10-mask.wasm");
    std::fs::copy(repository().join("policies/dist/mask.wasm"), &wasm).unwrap();
    let wrong = "[settings]\nsubstitut = { text = \"x\" }\ncanaries = [\"a-canary\", 7]\n";
    std::fs::write(folder.path().join("10-mask.toml"), wrong).unwrap();
    let told = Told::by(&["policy", "inspect", "10-mask.wasm"], folder.path());
    assert_eq!(told.code, Some(1), "{}{}", told.stdout, told.stderr);
    let said = format!("{}{}", told.stdout, told.stderr);
    for wanted in ["10-mask.toml:2:1", "^^^^^^^^^ did you mean `substitute`?", "10-mask.toml:3:25"] {
        assert!(said.contains(wanted), "{wanted} is missing in:\n{said}");
    }
    // What only the host can tell, at its place too.
    let wrong = "[settings]\nonly = [\"ssn\"]\n\n[[settings.patterns]]\nname = \"own\"\nregex = \"(\"\n";
    std::fs::write(folder.path().join("10-mask.toml"), wrong).unwrap();
    let told = Told::by(&["policy", "inspect", "10-mask.wasm"], folder.path());
    let said = format!("{}{}", told.stdout, told.stderr);
    assert!(told.code == Some(1) && said.contains("10-mask.toml:4:1") && said.contains("unclosed group"), "{said}");
}

#[test]
fn a_policy_is_inspected_for_the_connections_of_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::copy(repository().join("policies/dist/mask.wasm"), folder.path().join("10-mask.wasm")).unwrap();
    put("10-mask.toml", "connections = [\"opneai\"]\n");
    // Not in order otherwise, which is no matter here.
    put("gate.toml", "[[connection]]\nname = \"openai\"\n");
    let inspect = |more: &[&str]| {
        let told = Told::by(&[&["policy", "inspect", "10-mask.wasm"], more].concat(), folder.path());
        (told.code, format!("{}{}", told.stdout, told.stderr))
    };
    assert_eq!(inspect(&[]).0, Some(0));
    for (config, wanted) in [("gate.toml", "did you mean `openai`?"), ("none.toml", "can't read the configuration")] {
        let (code, said) = inspect(&["--config", config]);
        assert!(code == Some(1) && said.contains(wanted), "{config}: {said}");
    }
    assert_eq!(inspect(&["--control", "http://127.0.0.1:1"]).0, Some(2), "a file needs no host");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_guards_a_real_upstream_too() {
    let upstream = Upstream::answering(|_| {
        let body = whole(Channel::Content, &format!("yours is {SSN}"));
        vec![json_head(200, body.len()), body]
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, "sk-of-the-operator").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut demo = tokio::process::Command::new(binary())
        .args(["demo", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir"])
        .arg(home.path().join("demo"))
        .args(["--upstream", &format!("http://{}", upstream.address), "--upstream-key-file"])
        .arg(&key)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut banner = BufReader::new(demo.stdout.take().unwrap()).lines();
    let address = within("the banner", async {
        loop {
            let line = banner.next_line().await.unwrap().expect("the demo runs");
            if let Some((_, rest)) = line.split_once("http://")
                && let Some((address, _)) = rest.split_once("/v1 ")
            {
                return address.parse().unwrap();
            }
        }
    })
    .await;
    let client = Client { address, token: "demo".to_owned() };
    let (reply, body) = client.whole(&request(&format!("mine is {SSN}"), false)).await;
    let said = String::from_utf8(body).unwrap();
    assert!(reply.status == 200 && said.contains("yours is [SSN]"), "{said}");
    let received = upstream.received();
    assert_eq!(received[0].header("authorization"), Some("Bearer sk-of-the-operator"));
    assert!(String::from_utf8_lossy(&received[0].body).contains("mine is [SSN]"));
}

#[test]
fn each_command_teaches() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["demo", "serve", "check", "init", "policy", "sessions", "approvals"] {
        let told = Told::by(&[command, "--help"], folder.path());
        assert_eq!(told.code, Some(0), "{command}");
        assert!(told.stdout.contains("Usage: portcullis"), "{command}: {}", told.stdout);
    }
    assert_eq!(Told::by(&["nonsense"], folder.path()).code, Some(2));
}

#[test]
fn a_configuration_that_others_may_write_does_not_say_where_the_token_goes() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let text = format!("[control]\naddress = \"{}\"\n[store]\npath = \"store\"\n", listener.local_addr().unwrap());
    let put = |path: &str, text: &str, mode| {
        let path = folder.path().join(path);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(folder.path().join("store")).unwrap();
    put("store/admin.token", "secret", 0o600);
    for mode in [0o666, 0o602] {
        put("portcullis.toml", &text, mode);
        let told = Told::by(&["approvals", "list"], folder.path());
        let said = &told.stderr;
        assert!(
            told.code == Some(1) && said.contains("other users") && said.contains("--config portcullis.toml"),
            "{said}"
        );
        assert!(listener.accept().is_err(), "nobody was called");
    }
    // Nobody answers there now.
    drop(listener);
    put("portcullis.toml", &text, 0o644);
    let found = Told::by(&["approvals", "list"], folder.path());
    put("portcullis.toml", &text, 0o666);
    let named = Told::by(&["approvals", "list", "--config", "portcullis.toml"], folder.path());
    for told in [found, named] {
        assert!(told.stderr.contains("no host answers at"), "{}", told.stderr);
    }
}
