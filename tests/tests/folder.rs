//! Random work on the policy folder while streams run: every word that is delivered was masked, by one policy of one
//! complete set, whatever state the folder was in. 1,000 operations.

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

use scenarios::rig::{Dice, Heard, Host, SSN, Setup, Talk, Upstream, entries, policies, within};

/// Operations on the folder.
const OPERATIONS: usize = 1_000;
/// Of these, as often a deletion takes effect: it takes the grace, and then some.
const DELETED_EVERY: usize = 100;
/// Swaps of a mounted ConfigMap.
const SWAPS: usize = 40;
/// Streams that run.
const STREAMS: usize = 3;
/// Words that the streams say, all together, between two operations.
const BETWEEN: usize = 2;
/// The label that the last operation sets; the streams end when they all have shown it.
const LAST: &str = "<last>";

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

/// Deletes a policy for longer than the grace: it goes out of force, and comes back.
async fn delete(host: &Host, good: &[u8]) {
    let _ = fs::remove_file(host.folder().join("10-mask.wasm"));
    host.until_set("the deletion in force", |set| policies(set).all(|id| id != "10-mask")).await;
    host.put("10-mask.toml", settings("<back>").as_bytes());
    host.put("10-mask.wasm", good);
    host.until_policy("10-mask").await;
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
        .folder("removal_grace = \"300ms\"")
        .limits("event_bytes = \"1MiB\"")
        .policy_with("10-mask.wasm", "mask", &settings("<start>"))
        // What stays when the other is deleted.
        .policy("90-mask.wasm", "mask")
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
    for number in 0..OPERATIONS {
        operate(&host, &good, &mut dice, number);
        if number % DELETED_EVERY == 0 {
            delete(&host, &good).await;
        }
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
    for judged in entries(&record, "Judged") {
        let digest = judged["digest"].as_str().unwrap().to_owned();
        if judged["policy"] == "10-mask" {
            digests.entry(judged["generation"].as_u64().unwrap()).or_default().insert(digest.clone());
        }
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

/// A mounted ConfigMap: what policies read are links into `..data`, a link itself, which is swapped.
struct Mounted<'h> {
    host: &'h Host,
    wasm: Vec<u8>,
}

impl Mounted<'_> {
    /// Puts both policies' settings into force with one rename.
    fn swap(&self, number: usize) {
        let folder = self.host.folder();
        let data = folder.join(format!("..{number}"));
        fs::create_dir(&data).unwrap();
        for (name, pattern, label) in
            [("10-a", "078-05-1120", format!("<{number}>")), ("20-b", "so far", format!("<{number}>"))]
        {
            let text = format!(
                "[settings]\nonly = []\n[[settings.patterns]]\nname = \"own\"\nregex = \"{pattern}\"\n\
                 [settings.substitutes]\nown = {{ text = \"{label}\" }}\n"
            );
            fs::write(data.join(format!("{name}.toml")), text).unwrap();
            fs::write(data.join(format!("{name}.wasm")), &self.wasm).unwrap();
        }
        let beside = folder.join("..data_tmp");
        std::os::unix::fs::symlink(format!("..{number}"), &beside).unwrap();
        fs::rename(&beside, folder.join("..data")).unwrap();
        for file in ["10-a.wasm", "10-a.toml", "20-b.wasm", "20-b.toml"] {
            let link = folder.join(file);
            if !link.is_symlink() {
                std::os::unix::fs::symlink(format!("..data/{file}"), link).unwrap();
            }
        }
        if number > 0 {
            fs::remove_dir_all(folder.join(format!("..{}", number - 1))).unwrap();
        }
    }
}

/// Digests of the policies in force.
async fn digests(host: &Host) -> Vec<String> {
    let set = host.look("/v1/policies").await;
    set["policies"].as_array().unwrap().iter().map(|policy| policy["digest"].to_string()).collect()
}

/// Two policies that are swapped by one rename: each word was judged by one complete set, so by two policies that were in
/// force together. Where nothing must be compiled these are the two that belong together, as a rule.
#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_folder_swaps_two_policies_and_each_word_sees_one_set() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().limits("event_bytes = \"1MiB\"").start(upstream.address).await;
    let wasm = fs::read(scenarios::rig::repository().join("policies/dist/mask.wasm")).unwrap();
    let mounted = Mounted { host: &host, wasm };
    mounted.swap(0);
    host.until_set("both policies", |set| policies(set).collect::<Vec<_>>() == ["10-a", "20-b"]).await;
    // A slow compilation delays nobody, so until there is optimised code in the cache one may come before the other.
    let mut first = 1;
    while host.log_text().matches("from the cache").count() < 2 {
        let before = digests(&host).await;
        mounted.swap(first);
        first += 1;
        within("both in force", async {
            while digests(&host).await.iter().any(|digest| before.contains(digest)) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    let mut talk = Talk::begin(&host.client(), &mut upstream).await;
    for number in first..first + SWAPS {
        mounted.swap(number);
        let label = format!("<{number}>");
        within("the swap on the stream", async { while talk.word().await != label {} }).await;
        // The second policy comes into force with the first, or right behind it.
        for _ in 0..3 {
            talk.word().await;
        }
    }
    let exchange = talk.exchange();
    let heard = Heard::stream(&talk.end().await);
    assert_eq!(heard.leak(SSN), None);
    let record = host.record(&exchange).await;
    let mut written: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    for judged in entries(&record, "Judged") {
        for edit in judged["edits"].as_array().unwrap() {
            let by = (judged["policy"].as_str().unwrap().to_owned(), edit["by"].as_str().unwrap().to_owned());
            written.entry(by).or_default().insert(judged["generation"].as_u64().unwrap());
        }
    }
    // `word N is <A> , <B> `
    let text = heard.text(0, "content").to_owned();
    let (mut words, mut apart) = (0, 0);
    for word in text.split("word ").skip(1) {
        let labels: Vec<String> = word.split(['<', '>']).skip(1).step_by(2).map(|label| format!("<{label}>")).collect();
        let [a, b] = &labels[..] else { panic!("{word:?}") };
        let sets = |id: &str, label: &String| written[&(id.to_owned(), label.clone())].clone();
        assert!(!sets("10-a", a).is_disjoint(&sets("20-b", b)), "{word:?} was judged by two sets: {written:?}");
        words += 1;
        apart += usize::from(a != b);
    }
    assert!(words > 3 * SWAPS && apart * 10 <= words, "{apart} of {words} words by policies of two swaps");
}
