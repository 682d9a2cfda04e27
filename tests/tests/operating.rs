//! A host in the hands of its operator: what it says of its own state, and what can still be ordered when something is
//! missing.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use scenarios::rig::{Channel, Durability, Host, Setup, Told, Upstream, json_head, policies, request, whole, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The connections of strangers, made anew as soon as the host closes one.
async fn crowd(host: &Host, most: usize) {
    let address = host.client().address;
    let one = async || loop {
        let Ok(stream) = TcpStream::connect(address).await else { continue };
        let _closed = stream.readable().await;
    };
    futures_util::future::join_all((0..most).map(|_| one())).await;
}

/// A request of 24 MiB that has come in part, and the rest of it: in a crowd a new connection may have to wait for long.
async fn begun(host: &Host) -> (TcpStream, Vec<u8>) {
    let client = host.client();
    let body = request(&"a b".repeat(8 << 20), false);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{{",
        client.token,
        body.len()
    );
    let mut stream = TcpStream::connect(client.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    (stream, body[1..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_with_no_credential_leaves_files_for_the_store_the_policies_and_the_operator() {
    let upstream = upstream().await;
    let mut host = Setup::new().open_files(400).limits("head_deadline = \"1s\"").start(upstream.address).await;
    assert!(host.log_text().contains("client_connections = 54"), "{}", host.log_text());
    let noted = host.cli().run(&["check"]);
    assert_eq!(noted.code, Some(0), "{}", noted.stdout);
    let requests = [begun(&host).await, begun(&host).await, begun(&host).await];
    let ordered = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        host.install_shipped("00-lockdown.wasm", "lockdown");
        host.until_policy("00-lockdown").await;
        std::fs::remove_file(host.folder().join("00-lockdown.wasm")).unwrap();
        host.until_set("the gate is open again", |set| policies(set).next().is_none()).await;
        // The store's file becomes full.
        for (mut stream, rest) in requests {
            let mut answer = String::new();
            within("the host reads", stream.write_all(&rest)).await.unwrap();
            within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    };
    tokio::select! {
        () = ordered => {}
        () = crowd(&host, 450) => unreachable!("the crowd never leaves"),
    }
    assert!(readiness(&host).await.contains("[+] store ok"));
    assert!(!host.log_text().contains("Too many open files"), "{}", host.log_text());
    assert_eq!(host.stop().await, Some(0), "it ends in order");
}

/// What `readyz?verbose` says.
async fn readiness(host: &Host) -> String {
    let mut reply = host.operator().send("GET", "/readyz?verbose", &[], b"").await;
    String::from_utf8(reply.rest().await).unwrap()
}

async fn upstream() -> Upstream {
    Upstream::answering(|_| {
        let body = whole(Channel::Content, "fine");
        vec![json_head(200, body.len()), body]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_made_anew_takes_no_policy_out_of_force() {
    let upstream = Upstream::start().await;
    let host = Setup::new()
        .folder("removal_grace = \"100ms\"\nrescan = \"100ms\"")
        .policy("10-mask.wasm", "mask")
        .start(upstream.address)
        .await;
    let away = host.home().join("away");
    std::fs::rename(host.folder(), &away).unwrap();
    host.until_set("a degraded set", |set| set["degraded"] == true).await;
    let told = host.cli().run(&["check"]);
    assert!(told.stdout.contains("put it back") && !told.stdout.contains("mkdir"), "{}", told.stdout);
    std::fs::create_dir(host.folder()).unwrap();
    let empty = |set: &serde_json::Value| set["problems"][0]["message"].as_str().unwrap_or_default().contains("empty");
    host.until_set("the empty folder as a problem", empty).await;
    // Ten times the grace.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let set = host.look("/v1/policies").await;
    assert_eq!(policies(&set).collect::<Vec<_>>(), ["10-mask"], "{set}");
    assert!(readiness(&host).await.contains("[-] policies degraded"));
    std::fs::remove_dir(host.folder()).unwrap();
    std::fs::rename(&away, host.folder()).unwrap();
    host.until_set("the set as it was", |set| set["degraded"] == false).await;
    // What is deleted goes, and nobody overlooks it.
    std::fs::remove_file(host.folder().join("10-mask.wasm")).unwrap();
    host.until_set("no policy", |set| policies(set).next().is_none()).await;
    assert!(readiness(&host).await.contains("[!] policies there are no policies"));
    within("the log", async {
        let warned = |line: &str| line.contains("WARN") && line.contains("- 10-mask");
        while !host.log_text().lines().any(warned) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_reached_while_its_configuration_is_not_in_order() {
    let upstream = upstream().await;
    let mut host = Setup::new().start(upstream.address).await;
    host.client().whole(&request("hello", false)).await;
    // A misspelt key, a secret and a variable that are not there, and no folder.
    let wrong = "[store]\npath = \"./store\"\ndurabilty = \"strict\"\n[policies]\nfolder = \"./gone\"\n\
                 [[connection]]\nname = \"a\"\nupstream = \"https://a.example\"\ndialect = \"openai\"\n\
                 credential = { header = \"x-key\", env = \"NOT_HERE\" }\n\
                 [[token]]\nname = \"rig\"\nvalue_file = \"./gone\"\nconnections = [\"a\"]\n";
    host.rewrite("portcullis.toml", wrong);
    let cli = host.cli();
    assert_eq!(cli.run(&["check"]).code, Some(1));
    assert_eq!(cli.json(&["sessions", "list"])["sessions"].as_array().map(Vec::len), Some(1));
    let told = cli.run(&["revoke", "--caller", "rig", "--reason", "INC-1", "--yes"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401);
    assert_eq!(cli.run(&["approvals", "list"]).code, Some(0));
    // What is no TOML says nothing; with both places named it is not asked.
    host.rewrite("portcullis.toml", "[control\naddress = ");
    assert_eq!(cli.run(&["sessions", "list"]).code, Some(1));
    let (control, token) = (format!("http://{}", host.control()), host.home().join("store/admin.token"));
    let token = token.display().to_string();
    let named = ["sessions", "list", "--control", &control, "--token-file", &token, "--config", "portcullis.toml"];
    let told = Told::by(&named, host.home());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    // A copy of a store, without its token, where no host is.
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    std::fs::remove_file(host.home().join("store/admin.token")).unwrap();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    host.rewrite("portcullis.toml", &format!("[control]\naddress = \"{nowhere}\"\n{wrong}"));
    assert_eq!(host.cli().json(&["sessions", "list"])["sessions"].as_array().map(Vec::len), Some(1));
    let told = host.cli().run(&["revoke", "--caller", "rig", "--yes"]);
    assert!(told.code == Some(1) && told.stderr.contains("is it running"), "{}", told.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_sessions_says_what_it_leaves_out_and_what_nobody_has() {
    let upstream = upstream().await;
    let both = Setup::new().connection("openai", "/", "openai", "").connection("other", "/other", "openai", "");
    let mut host = both.start(upstream.address).await;
    let client = host.client();
    for path in ["/v1/chat/completions", "/other/v1/chat/completions"] {
        let json = [("content-type", "application/json")];
        assert_eq!(client.send("POST", path, &json, &request("hello", false)).await.status, 200);
    }
    for running in [true, false] {
        if !running {
            assert_eq!(host.stop().await, Some(0), "it ends in order");
        }
        let cli = host.cli();
        let list = |more: &[&str]| cli.run(&[&["sessions", "list"], more].concat());
        let rows = |told: &Told| told.stdout.lines().filter(|line| line.contains("rig")).count();
        assert_eq!(rows(&list(&[])), 2, "{}", list(&[]).stdout);
        assert!(!list(&[]).stdout.contains("--limit") && !list(&["--limit", "2"]).stdout.contains("--limit"));
        let cut = list(&["--limit", "1"]);
        assert!(rows(&cut) == 1 && cut.stdout.contains("more than 1: --limit"), "{}", cut.stdout);
        let both = cli.json(&["sessions", "list"])["sessions"].clone();
        let [newest, oldest] = [0, 1].map(|at| both[at]["session"].as_str().unwrap().replace('-', ""));
        assert!(cut.stdout.contains(&format!("--before {newest}")), "{}", cut.stdout);
        let next = list(&["--limit", "1", "--before", &newest]);
        assert!(next.stdout.contains(&oldest) && !next.stdout.contains("--before"), "{}", next.stdout);
        assert_eq!(rows(&list(&["--caller", "token|rig"])), 2);
        assert_eq!(rows(&list(&["--caller", "https://idp.example|rig"])), 0);
        assert_eq!(rows(&list(&["--connection", "other"])), 1);
        let misspelt = list(&["--connection", "othre"]);
        assert!(
            misspelt.code == Some(1) && misspelt.stderr.contains("other"),
            "{}{}",
            misspelt.stdout,
            misspelt.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_nobody_is_said_at_the_start_by_readyz_and_by_check() {
    let upstream = upstream().await;
    let host = Setup::new()
        .durability(Durability::Off)
        .policy_with("10-mask.wasm", "mask", "mode = \"shadow\"\n")
        .policy_with("20-block.wasm", "block", "mode = \"off\"\n[settings]\nwords = [\"x\"]\n")
        .start(upstream.address)
        .await;
    let ready = readiness(&host).await;
    let warned: String = host.log_text().lines().filter(|line| line.contains("WARN")).collect();
    let checked = host.cli().run(&["check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    for said in [&warned, &checked.stdout] {
        for wanted in ["no policy has mode = \"enforce\"", "10-mask has mode = \"shadow\"", "nothing is recorded"] {
            assert!(said.contains(wanted), "{wanted} is missing in: {said}");
        }
    }
    assert!(checked.stdout.contains("20-block has mode = \"off\""), "{}", checked.stdout);
    for wanted in [
        "[!] store off: nothing is recorded",
        "[!] policies no policy has mode = \"enforce\": no verdict counts; policy 10-mask has mode = \"shadow\"",
    ] {
        assert!(ready.contains(wanted), "{wanted} is missing in: {ready}");
    }
    // One that enforces is one in force, also where it is open.
    host.put("20-block.toml", b"on_failure = \"open\"\n[settings]\nwords = [\"x\"]\n");
    host.until_policy("20-block").await;
    let ready = readiness(&host).await;
    assert!(ready.contains("20-block has on_failure = \"open\"") && !ready.contains("no policy"), "{ready}");
    let checked = host.cli().run(&["check"]).stdout;
    assert!(checked.contains("20-block has on_failure = \"open\"") && !checked.contains("no policy"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_no_policy_judges_is_said_at_the_start_by_readyz_and_by_check() {
    let upstream = upstream().await;
    let host = Setup::new()
        .connection("openai", "/", "openai", "")
        .connection("second", "/second", "openai", "")
        .connection("bytes", "/bytes", "raw", "")
        .policy_with("10-mask.wasm", "mask", "connections = [\"openai\", \"bytes\"]\n")
        .start(upstream.address)
        .await;
    let warned: String = host.log_text().lines().filter(|line| line.contains("WARN")).collect();
    let checked = host.cli().run(&["check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    for said in [&warned, &checked.stdout, &readiness(&host).await] {
        for wanted in ["connection second: no policy in force guards it", "connection bytes speaks raw"] {
            assert!(said.contains(wanted), "{wanted} is missing in: {said}");
        }
        assert!(!said.contains("connection openai:"), "{said}");
    }
    // One that looks at bytes, on all of them.
    host.install_shipped("20-lockdown.wasm", "lockdown");
    host.until_policy("20-lockdown").await;
    let ready = readiness(&host).await;
    assert!(ready.contains("[+] policies ok"), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_can_not_be_loaded_at_the_start_is_a_warning_that_says_what_blocks() {
    let upstream = upstream().await;
    let no_policy = scenarios::rig::repository().join("Cargo.toml");
    let host = Setup::new().component("20-x.wasm", &no_policy, None).start(upstream.address).await;
    let log = host.log_text();
    let warned = |what: &str| log.lines().any(|line| line.contains("WARN") && line.contains(what));
    assert!(warned("! 20-x.wasm: validate") && warned("+ 20-x") && warned("blocks: it could not be loaded"), "{log}");
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_neither_callers_nor_operators() {
    // Half as much again as a pipe holds: each of them is told in a line of 200 bytes.
    const STRANGERS: usize = 500;
    let upstream = upstream().await;
    let mut host = Setup::new().unread_log().start(upstream.address).await;
    for number in 0..STRANGERS {
        let stranger = host.caller(&format!("wrong-key-of-a-stranger-{number:03}"));
        assert_eq!(stranger.whole(&request("hello", false)).await.0.status, 401);
    }
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 200);
    let told = host.cli().run(&["revoke", "--caller", "rig", "--reason", "INC-1", "--yes"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401);
    assert!(readiness(&host).await.contains("[+] store ok"));
    assert_eq!(host.stop().await, Some(0), "it ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_for_programs_is_json_from_its_first_line_to_its_last() {
    let upstream = upstream().await;
    let weak = "[[token]]\nname = \"weak\"\nvalue_file = \"./weak\"\nconnections = [\"openai\"]\n";
    let mut host = Setup::new().json_log().file("weak", "abc").tables(weak).start(upstream.address).await;
    assert_eq!(host.stop().await, Some(0), "it ends in order");
    // And one that does not come up.
    host.rewrite("portcullis.toml", "[listen]\nadress = \"127.0.0.1:0\"\n");
    let told = host.cli().run(&["serve", "--log-format", "json"]);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    let log = host.log_text() + &told.stderr;
    let parsed =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<_> = log.lines().map(parsed).collect();
    let has = |code: &str, level: &str, place: &str| {
        let here = |event: &&serde_json::Value| event["code"] == code && event["level"] == level;
        events.iter().find(here).is_some_and(|event| event["place"].as_str().is_some_and(|at| at.ends_with(place)))
    };
    assert!(has("P0102", "ERROR", "portcullis.toml:2:1"), "{log}");
    assert!(events.iter().any(|event| event["code"] == "P0111" && event["help"].is_string()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_the_log_that_is_not_understood_is_told() {
    let upstream = upstream().await;
    let host = Setup::new().environment("PORTCULLIS_LOG", "info,exchange=lots").start(upstream.address).await;
    let log = host.log_text();
    assert!(log.contains("WARN") && log.contains("PORTCULLIS_LOG is not understood"), "{log}");
}

#[test]
fn a_configuration_that_is_found_counts_only_where_nobody_else_may_have_written_it() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("portcullis-demo");
    std::fs::create_dir(&demo).unwrap();
    for file in [folder.path().join("portcullis.toml"), demo.join("portcullis.toml")] {
        std::fs::write(&file, "no configuration").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    for (command, way_out) in [("serve", "--config portcullis.toml"), ("check", "--config"), ("demo", "--dir DIR")] {
        let told = Told::by(&[command], folder.path());
        assert_eq!(told.code, Some(1), "{command}: {}", told.stderr);
        assert!(told.stderr.contains("may be written by other users (mode 0666)"), "{command}: {}", told.stderr);
        assert!(told.stderr.contains(way_out), "{command}: {}", told.stderr);
    }
    // What is named is read, and found to be none.
    let named = Told::by(&["check", "--config", "portcullis.toml"], folder.path());
    assert!(named.code == Some(1) && !named.stderr.contains("other users"), "{}{}", named.stdout, named.stderr);
}
