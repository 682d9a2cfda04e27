//! A revocation, as the responder gives it and the callers meet it: the command line against a running host, streams that
//! run, a kill -9 right after the answer. `PORTCULLIS_LONG=1` kills two hundred times.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use scenarios::rig::{
    Channel, End, Heard, Host, Reply, Setup, Turn, Upstream, entries, events, json_head, request, sse_head, within,
};

/// The rig's caller, by its token's name.
const CALLER: &str = "rig";
const STREAMS: usize = 5;

fn kills() -> usize {
    if std::env::var_os("PORTCULLIS_LONG").is_some() { 200 } else { 5 }
}

/// Streams that have said a word and go on.
async fn streams(host: &Host, upstream: &mut Upstream, count: usize) -> Vec<(Turn, Reply)> {
    let mut running = Vec::new();
    for _ in 0..count {
        let client = host.client();
        let asked = tokio::spawn(async move { client.ask(&request("hello", true)).await });
        let mut turn = upstream.turn().await;
        turn.write(&sse_head()).await;
        turn.chunk(&events(Channel::Content, &["a word. "])[1]).await;
        let mut reply = within("the head of the answer", asked).await.unwrap();
        let first = reply.chunk().await.expect("the stream runs");
        assert!(!Heard::stream(&first).text(0, "content").is_empty());
        running.push((turn, reply));
    }
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_caller_is_cut_in_mid_stream_and_stays_out() {
    let mut upstream = Upstream::start().await;
    let mut host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    let running = streams(&host, &mut upstream, STREAMS).await;
    let revoke = ["revoke", "--caller", CALLER, "--reason", "INC-4711"];

    let foreseen = host.cli().json(&[&revoke[..], &["--dry-run"]].concat());
    assert_eq!((&foreseen["streams"], &foreseen["dry_run"]), (&STREAMS.into(), &true.into()), "{foreseen}");
    let told = host.cli().json(&revoke);
    assert_eq!((&told["streams"], &told["callers"]), (&STREAMS.into(), &1.into()), "{told}");

    for (mut turn, mut reply) in running {
        let rest = reply.rest().await;
        assert_eq!(reply.end, Some(End::Broken), "a cut stream must not look complete");
        let heard = Heard::stream(&rest);
        assert_eq!(heard.error.as_ref().map(|error| error["code"].clone()), Some("revoked".into()), "{heard:?}");
        assert!(!heard.done && heard.finish.is_empty(), "{heard:?}");
        turn.dropped_by_host().await;
        let record = host.record(reply.header("x-request-id").unwrap()).await;
        assert_eq!(entries(&record, "Closed").next().unwrap()["outcome"], "revoked");
    }
    let (refused, body) = host.client().whole(&request("hello", false)).await;
    assert_eq!(refused.status, 401, "{}", String::from_utf8_lossy(&body));
    assert!(!String::from_utf8_lossy(&body).contains("INC-4711"), "callers are not told why");

    host.kill9().await;
    let host = host.restart().await;
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401, "it holds after a crash");
    assert_eq!(upstream.received().len(), STREAMS, "nothing of a revoked caller goes upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_still_comes_is_cut_too() {
    let upstream = Upstream::start().await;
    let host = Setup::new().start(upstream.address).await;
    let client = host.client();
    let begun = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"model\":",
        client.token
    );
    let asked = tokio::spawn(async move {
        let mut reply = client.send_raw(begun.as_bytes()).await;
        (reply.rest().await, reply)
    });
    let revoke = ["revoke", "--caller", CALLER, "--reason", "INC-4711"];
    let foreseen = [&revoke[..], &["--dry-run"]].concat();
    within("the exchange", async { while host.cli().json(&foreseen)["streams"] != 1 {} }).await;
    assert_eq!(host.cli().json(&revoke)["streams"], 1);
    let (told, reply) = within("the answer", asked).await.unwrap();
    assert_eq!(reply.status, 401, "{}", String::from_utf8_lossy(&told));
    assert_eq!(reply.header("connection"), Some("close"), "what was still to come is no next request");
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_was_answered_survives_a_kill() {
    for _ in 0..kills() {
        let upstream = Upstream::start().await;
        let mut host = Setup::new().start(upstream.address).await;
        let told = host.cli().run(&["revoke", "--connection", "openai", "--yes"]);
        host.kill9().await;
        assert_eq!(told.code, Some(0), "{}{}", told.stdout, told.stderr);
        let host = host.restart().await;
        assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401);
        assert_eq!(upstream.received().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_may_be_put_away_and_what_was_revoked_stays_revoked() {
    let upstream = Upstream::answering(|_| vec![json_head(200, 2), b"{}".to_vec()]).await;
    let mut host = Setup::new().start(upstream.address).await;
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 200);
    assert_eq!(host.cli().run(&["revoke", "--caller", CALLER, "--yes"]).code, Some(0));
    assert_eq!(host.stop().await, Some(0), "it ends in order");

    let (store, away) = (host.home().join("store"), host.home().join("away"));
    std::fs::create_dir(&away).unwrap();
    let recorded = |name: &str| name.starts_with("segment-") || name == "index.redb" || name == "journal";
    let names = std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let moved: Vec<String> = names.filter(|name| recorded(name)).collect();
    assert!(moved.len() >= 3, "{moved:?}");
    for name in &moved {
        std::fs::rename(store.join(name), away.join(name)).unwrap();
    }
    std::fs::create_dir(away.join("control")).unwrap();
    for entry in std::fs::read_dir(store.join("control")).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), away.join("control").join(entry.file_name())).unwrap();
    }
    let verified = host.cli().json(&["sessions", "verify", "--store", away.to_str().unwrap()]);
    assert_eq!(verified["verified"]["exchanges"], 1, "what was put away is a store too: {verified}");
    let host = host.restart().await;
    assert_eq!(host.client().whole(&request("hello", false)).await.0.status, 401);
    assert_eq!(host.cli().json(&["sessions", "list"])["sessions"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_names_nothing_or_nobody_says_so() {
    let upstream = Upstream::start().await;
    let host = Setup::new().start(upstream.address).await;
    assert_eq!(host.cli().run(&["revoke", "--reason", "x"]).code, Some(2), "a target is needed");
    assert_eq!(host.cli().run(&["revoke", "--everything", "--caller", "x"]).code, Some(2), "and only one");
    let told = host.cli().run(&["revoke", "--token", "no-token", "--yes"]);
    assert!(told.code == Some(1) && told.stderr.contains("`no-token` is not a token's id"), "{}", told.stderr);
    for (target, known) in [
        (["--caller", "token|stranger"], "`rig`"),
        (["--connection", "opnai"], "`openai`"),
        (["--issuer", "https://idp.example/"], "`token`"),
    ] {
        let told = host.cli().run(&[&["revoke", "--yes"][..], &target].concat());
        assert!(told.code == Some(1) && told.stderr.contains(known), "{target:?}: {}", told.stderr);
        assert!(told.stderr.contains("add --unknown"), "{target:?}: {}", told.stderr);
        let told = host.cli().run(&[&["revoke", "--yes", "--unknown"][..], &target].concat());
        assert!(told.code == Some(0) && told.stdout.contains("but the rule stands"), "{target:?}: {}", told.stdout);
        assert!(told.stdout.contains("how to take it back"), "{}", told.stdout);
    }
    for insisting in [&[][..], &["--unknown"]] {
        let told = host.cli().run(&[&["revoke", "--yes", "--caller", "passer-by"][..], insisting].concat());
        let known = "nobody here is known as `passer-by`";
        assert!(told.code == Some(1) && told.stderr.contains(known), "no issuer could vouch for one: {}", told.stderr);
        // Whoever insists is told how one is named that is still to come.
        assert!(told.stderr.contains("`token|rig`"), "{}", told.stderr);
        assert_eq!(told.stderr.contains("token|passer-by"), !insisting.is_empty(), "{}", told.stderr);
    }
    let told = host.cli().run(&["revoke", "--caller", CALLER, "--yes"]);
    assert!(told.stdout.contains("nothing is running with token|rig, but the rule stands"), "{}", told.stdout);
    let told = host.cli().run(&["token", "list"]);
    assert_eq!((told.code, told.stdout.trim()), (Some(0), "no token is in use"));
    let told = host.cli().run(&["token", "show", "../policies"]);
    assert!(told.code == Some(1) && told.stderr.contains("is not a token's id"), "{}", told.stderr);
}
