//! Changes that are not done when they are first seen, and changes that nobody means.

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use engine::load::{Cache, CacheConfig, Compiler, LoaderConfig};
use model::Digest;

use crate::rig::{
    Folder, GRACE, children, ids, lockdown, opened, policy, runtime, script, until, version, within, wrong,
};

const SETTINGS: &str = "order = 5\nmode = \"shadow\"\n[settings]\nincident = \"INC-1\"\n";

#[tokio::test]
async fn settings_that_shrank_to_nothing_stay_for_the_grace() {
    // As an editor leaves a file between cutting it and writing it, and as a write that was cut short leaves it.
    for nothing in ["", "\n \n", "# a comment\n", "[settings]\n", "[settings]\n[limits]"] {
        let mut folder = Folder::new();
        folder.put("stop.wasm", lockdown());
        folder.put("stop.toml", SETTINGS);
        let before = folder.scan().await;
        folder.put("stop.toml", nothing);
        folder.scan_same().await;
        folder.wait(GRACE / 2);
        folder.put("stop.toml", SETTINGS);
        folder.scan_same().await;
        folder.put("stop.toml", nothing);
        folder.scan_same().await;
        folder.wait(GRACE / 2);
        folder.scan_same().await;
        folder.wait(GRACE / 2);
        let after = folder.scan().await;
        let orders = (policy(&before, "stop").info().order, policy(&after, "stop").info().order);
        assert_eq!(orders, (5, 1000), "{nothing:?}: it was meant");
        folder.put("stop.toml", "order = 6");
        assert_eq!(policy(&folder.scan().await, "stop").info().order, 6);
    }
}

/// Writes on and on, a comment at a time, until it is dropped.
struct Writer(Arc<()>, Option<std::thread::JoinHandle<()>>);

impl Writer {
    fn start(path: &Path) -> Self {
        let alive = Arc::new(());
        let (watch, path) = (Arc::downgrade(&alive), path.to_owned());
        let thread = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            while watch.strong_count() > 0 {
                file.write_all(b"# more\n").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self(alive, Some(thread))
    }

    fn stop(mut self) {
        self.0 = Arc::default();
        self.1.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn what_is_being_written_counts_when_it_is_quiet_and_delays_nobody() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", SETTINGS);
    let before = folder.scan().await;
    // A valid beginning of something longer.
    folder.put("stop.toml", "order = 7\n");
    let writer = Writer::start(&folder.path("stop.toml"));
    for _ in 0..5 {
        let outcome = folder.outcome().await;
        assert!(outcome.set.is_none() && outcome.look_again.is_some(), "{:?}", outcome.changes);
    }
    folder.put("00-other.wasm", version(1));
    let other = folder.scan().await;
    assert_eq!(ids(&other), ["00-other", "stop"]);
    assert!(Arc::ptr_eq(policy(&before, "stop"), policy(&other, "stop")));
    writer.stop();
    assert_eq!(policy(&folder.scan().await, "stop").info().order, 7);
}

#[tokio::test]
async fn a_policy_for_a_connection_that_there_is_not_is_a_problem() {
    let known = Some(Arc::from(["openai".to_owned()]));
    let mut folder = Folder::with(children(), |config| LoaderConfig { connections: known, ..config });
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", "connections = [\"openai\"]");
    let good = folder.scan().await;
    folder.put("stop.toml", "connections = [\"opneai\"]");
    let set = folder.scan().await;
    assert_eq!(wrong(&set), ["stop.toml settings"]);
    assert!(set.problems[0].message.contains("did you mean `openai`?"), "{}", set.problems[0].message);
    assert!(Arc::ptr_eq(policy(&good, "stop"), policy(&set, "stop")), "the last good version stays");

    // At the start there is none: what it was to guard is not known, so everything is blocked.
    let known = Some(Arc::from(["openai".to_owned()]));
    let mut folder = Folder::with(children(), |config| LoaderConfig { connections: known, ..config });
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", "connections = [\"opneai\"]");
    let set = folder.scan().await;
    assert!(policy(&set, "stop").info().connections.is_empty());
    assert!(opened(policy(&set, "stop")).await.is_err());
}

/// Processes that wrote their number into a file, as far as they live.
fn alive(pids: &Path) -> usize {
    let pids = fs::read_to_string(pids).unwrap_or_default();
    pids.lines().filter(|pid| Path::new("/proc").join(pid).exists()).count()
}

#[tokio::test]
async fn only_the_version_in_force_is_optimised_and_no_draft_waits_for_that() {
    let home = tempfile::tempdir().unwrap();
    let pids = home.path().join("pids");
    let real = env!("CARGO_BIN_EXE_compile-child");
    // Whoever optimises is at it for ever.
    let children = script(&format!(
        "[ \"$PORTCULLIS_COMPILE_QUALITY\" = draft ] && exec {real}; echo $$ >> {}; exec sleep 600",
        pids.display()
    ));
    let mut folder = Folder::with(children, |config| config);
    folder.scan().await;
    for number in 0..6 {
        folder.put("p.wasm", version(number));
        let set = within("a draft, which waits for nothing", folder.scan()).await;
        assert_eq!((ids(&set), set.problems.len()), (vec!["p"], 0));
    }
    let begun = || !fs::read_to_string(&pids).unwrap_or_default().is_empty();
    until("one optimiser, for the last version", || (begun() && alive(&pids) == 1).then_some(())).await;
    folder.remove("p.wasm");
    folder.scan_same().await;
    folder.wait(GRACE);
    assert!(folder.scan().await.policies.is_empty());
    until("no optimiser for what is in no set", || (alive(&pids) == 0).then_some(())).await;
}

#[tokio::test]
async fn one_file_is_compiled_once_and_optimised_once_whoever_uses_it_with_whatever_settings() {
    let home = tempfile::tempdir().unwrap();
    let (starts, go) = (home.path().join("starts"), home.path().join("go"));
    let real = env!("CARGO_BIN_EXE_compile-child");
    // No spare ones: each that gets a file is counted.
    let children = script(&format!(
        "[ \"$PORTCULLIS_COMPILE_SPARE\" ] && exit 1; echo $PORTCULLIS_COMPILE_QUALITY >> {}; \
         [ $PORTCULLIS_COMPILE_QUALITY = draft ] || while [ ! -e {} ]; do sleep 0.01; done; exec {real}",
        starts.display(),
        go.display()
    ));
    let started = || fs::read_to_string(&starts).unwrap_or_default();
    let cache = || Cache::open(CacheConfig::new(home.path().join("cache"))).unwrap();
    let mut folder = Folder::make(Compiler::new(children, &runtime(), Some(cache())), |config| config);
    folder.scan().await;
    let mut digest = Digest::default();
    for number in 0..6 {
        for name in ["p", "q"] {
            folder.put(&format!("{name}.toml"), format!("order = {number}\n[settings]\nincident = \"INC-{number}\"\n"));
            folder.put(&format!("{name}.wasm"), lockdown());
        }
        let set = folder.scan().await;
        assert_eq!((ids(&set), set.problems.len()), (vec!["p", "q"], 0));
        digest = policy(&set, "p").info().wasm_digest;
        // The optimiser has begun before the next change comes.
        until("an optimiser that begins", || (started().lines().count() >= 2).then_some(())).await;
        assert_eq!(started(), "draft\noptimised\n", "change {number}");
    }
    fs::write(go, "").unwrap();
    let kept = async {
        let none = Arc::new(Compiler::new(script("exit 1"), &runtime(), Some(cache())));
        while none.compile(lockdown().into(), digest).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the optimised one, kept", kept).await;
}
