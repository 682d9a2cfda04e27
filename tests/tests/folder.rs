//! Random work on the policy folder while streams run: every word that is delivered was masked, by one policy of one
//! complete set, whatever state the folder was in. `PORTCULLIS_LONG=1` does 1,000 operations.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use scenarios::rig::{Dice, Heard, Host, SSN, Setup, Talk, Upstream, entries, within};

/// Streams that run.
const STREAMS: usize = 3;
/// Words that the streams say, all together, between two operations.
const BETWEEN: usize = 2;
/// The label that the last operation sets; the streams end when they all have shown it.
const LAST: &str = "<last>";

fn operations() -> usize {
    if std::env::var_os("PORTCULLIS_LONG").is_some() { 1_000 } else { 60 }
}

fn settings(label: &str) -> String {
    format!("order = 10\n[settings]\nsubstitute = {{ text = \"{label}\" }}\n")
}

/// One thing that editors, copies and deployments do to a folder.
fn operate(host: &Host, good: &[u8], dice: &mut Dice, number: usize) {
    let folder = host.folder();
    let label = settings(&format!("<{number}>"));
    let (wasm, toml) = (folder.join("10-mask.wasm"), folder.join("10-mask.toml"));
    match dice.below(12) {
        0..3 => host.put("10-mask.toml", label.as_bytes()),
        3 => in_parts(&toml, label.as_bytes(), dice),
        4 => in_parts(&wasm, good, dice),
        5 => host.put("10-mask.wasm", good),
        6 => host.put("10-mask.toml", b"order = \"ten\"\nonfailure = \"open\""),
        7 => host.put("10-mask.wasm", &good[..dice.below(good.len())]),
        8 => {
            let _ = fs::remove_file(&wasm);
            host.put("10-mask.wasm", good);
        }
        9 => {
            let _ = fs::remove_file(&toml);
            host.put("10-mask.toml", label.as_bytes());
        }
        10 => {
            let link = folder.join("30-link.wasm");
            let _ = fs::remove_file(&link);
            let target =
                if dice.below(2) == 0 { host.home().join("elsewhere.wasm") } else { Path::new("/dev/zero").to_owned() };
            std::os::unix::fs::symlink(target, link).unwrap();
        }
        _ => {
            host.put(".10-mask.toml.swp", b"\0\0");
            host.put("10-mask.toml~", b"mode = \"off\"");
            let _ = fs::create_dir(folder.join("40-folder.wasm"));
        }
    }
}

/// Writes a file as a copy does: made empty, then filled bit by bit.
fn in_parts(path: &Path, bytes: &[u8], dice: &mut Dice) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    let (first, second) = bytes.split_at(dice.below(bytes.len()));
    file.write_all(first).unwrap();
    file.flush().unwrap();
    std::thread::yield_now();
    file.write_all(second).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_on_the_folder_lets_a_word_through() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new()
        .folder("removal_grace = \"60s\"")
        .limits("event_bytes = \"1MiB\"")
        .policy_with("10-mask.wasm", "mask", &settings("<start>"))
        .start(upstream.address)
        .await;
    let good = fs::read(host.folder().join("10-mask.wasm")).unwrap();
    fs::write(host.home().join("elsewhere.wasm"), &good).unwrap();
    let said = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut talk = Talk::begin(&host.client(), &mut upstream).await;
        let (said, over) = (Arc::clone(&said), Arc::clone(&over));
        streams.push(tokio::spawn(async move {
            let mut labels = BTreeSet::new();
            loop {
                let label = talk.word().await;
                let ended = label == LAST;
                labels.insert(label);
                said.fetch_add(1, Ordering::Relaxed);
                if ended && over.load(Ordering::Acquire) {
                    break;
                }
            }
            (talk, labels)
        }));
    }
    let mut dice = Dice::new(4_711);
    for number in 0..operations() {
        operate(&host, &good, &mut dice, number);
        let goal = said.load(Ordering::Relaxed) + BETWEEN;
        within("words between two operations", async {
            while said.load(Ordering::Relaxed) < goal {
                assert!(!streams.iter().any(tokio::task::JoinHandle::is_finished), "a stream ended");
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
        })
        .await;
    }
    host.put("10-mask.wasm", &good);
    host.put("10-mask.toml", settings(LAST).as_bytes());
    over.store(true, Ordering::Release);
    for stream in streams {
        let (talk, labels) = within("the last label on every stream", stream).await.unwrap();
        judged(&host, talk, &labels).await;
    }
}

/// What was delivered holds no secret; each label is one that a file had; and the record says, edit by edit, the same
/// policy for the same set.
async fn judged(host: &Host, talk: Talk, labels: &BTreeSet<String>) {
    let exchange = talk.exchange();
    assert_eq!(Heard::stream(&talk.end().await).leak(SSN), None);
    let known =
        |label: &String| label == "[SSN]" || (label.starts_with('<') && label.ends_with('>') && !label.contains(' '));
    assert!(labels.iter().all(known), "{labels:?}");
    let record = host.record(&exchange).await;
    let mut digests: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for judged in entries(&record, "Judged").filter(|judged| judged["policy"] == "10-mask") {
        let digest = judged["digest"].as_str().unwrap().to_owned();
        digests.entry(judged["generation"].as_u64().unwrap()).or_default().insert(digest.clone());
        for edit in judged["edits"].as_array().unwrap() {
            written.entry(digest.clone()).or_default().insert(edit["by"].as_str().unwrap().to_owned());
        }
    }
    assert!(digests.len() > 1, "the streams saw no other set: {digests:?}");
    assert!(digests.values().all(|policies| policies.len() == 1), "a set has one version of a policy: {digests:?}");
    assert!(written.values().all(|labels| labels.len() == 1), "a version has one label: {written:?}");
    let on_record: BTreeSet<String> = written.into_values().flatten().collect();
    assert!(labels.is_subset(&on_record), "delivered {labels:?}, on record {on_record:?}");
}
