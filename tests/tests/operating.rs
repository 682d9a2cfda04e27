//! A host in the hands of its operator: what it says of its own state, and what can still be ordered when something is
//! missing.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::time::Duration;

use scenarios::rig::{Host, Setup, Upstream, policies, within};

/// What `readyz?verbose` says.
async fn readiness(host: &Host) -> String {
    let mut reply = host.operator().send("GET", "/readyz?verbose", &[], b"").await;
    String::from_utf8(reply.rest().await).unwrap()
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
    assert!(readiness(&host).await.contains("[!] policies none in force"));
    within("the log", async {
        let warned = |line: &str| line.contains("WARN") && line.contains("- 10-mask");
        while !host.log_text().lines().any(warned) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
