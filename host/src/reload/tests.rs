//! The watch, with real folders. Files that are no policies serve as well as policies here: each is a problem of the next
//! set, and nothing needs a compiler.

use std::{fs, os::unix::fs::symlink, sync::Mutex};

use engine::{
    Runtime, RuntimeConfig,
    load::{CompileConfig, Compiler, LoaderConfig},
};
use exchange::ports::{RecordError, Tape};
use futures_util::future::BoxFuture;
use model::record::Opened;

use super::*;

/// Longer than any machine takes; a watch that misses an event fails by it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Record(Mutex<Vec<Event>>);

impl Recorder for Record {
    fn open(&self, _: Opened) -> Result<Box<dyn Tape>, RecordError> {
        Err(RecordError("no exchanges here".into()))
    }

    fn event(&self, event: Event) -> BoxFuture<'_, Result<(), RecordError>> {
        self.0.lock().unwrap().push(event);
        Box::pin(std::future::ready(Ok(())))
    }

    fn keyed_hash(&self, _: &[u8]) -> [u8; 16] {
        [0; 16]
    }
}

struct Watched {
    home: tempfile::TempDir,
    set: watch::Receiver<Arc<PolicySet>>,
    record: Arc<Record>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    /// Watches `home/policies`, made by `prepare`. Looks only when there is an event, unless `rescan` says otherwise.
    async fn start(rescan: Duration, prepare: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path());
        let runtime = Runtime::new(RuntimeConfig { memories: 1, pool: false, ..RuntimeConfig::default() }).unwrap();
        let compiler = Arc::new(Compiler::new(CompileConfig::default(), &runtime, None));
        let config = LoaderConfig { grace: Duration::ZERO, ..LoaderConfig::new(home.path().join("policies")) };
        let mut loader = Loader::new(runtime, compiler, config);
        let first = loader.scan(Instant::now()).await.set.unwrap();
        let (publish, set) = watch::channel(first);
        let (record, stop) = (Arc::new(Record::default()), CancellationToken::new());
        let times = Times { settle: Duration::from_millis(5), rescan };
        let recorder: Arc<dyn Recorder> = record.clone();
        let task = tokio::spawn(watch(loader, publish, recorder, times, stop.clone()));
        Self { home, set, record, stop, task }
    }

    fn policies(&self) -> PathBuf {
        self.home.path().join("policies")
    }

    /// Waits for a set whose problems are about these files.
    async fn problems(&mut self, files: &[&str]) {
        let is =
            |set: &Arc<PolicySet>| set.problems.iter().map(|problem| problem.file.as_str()).eq(files.iter().copied());
        let found = tokio::time::timeout(PATIENCE, self.set.wait_for(is)).await.is_ok();
        assert!(found, "expected {files:?}, found {:?}", self.set.borrow().problems);
    }

    async fn stop(self) -> Vec<Event> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap();
        std::mem::take(&mut self.record.0.lock().unwrap())
    }
}

const NEVER: Duration = Duration::from_secs(3600);

fn plain(home: &Path) {
    fs::create_dir(home.join("policies")).unwrap();
}

#[tokio::test]
async fn what_happens_in_the_folder_is_seen_published_and_recorded() {
    let mut watched = Watched::start(NEVER, plain).await;
    fs::write(watched.policies().join("a.wasm"), b"nonsense").unwrap();
    watched.problems(&["a.wasm"]).await;
    fs::rename(watched.policies().join("a.wasm"), watched.policies().join("b.wasm")).unwrap();
    watched.problems(&["b.wasm"]).await;
    fs::remove_file(watched.policies().join("b.wasm")).unwrap();
    watched.problems(&[]).await;
    let generation = watched.set.borrow().generation;
    let events = watched.stop().await;
    let recorded: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::SetPublished { set, .. } => set.generation,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(recorded.is_sorted() && recorded.last() == Some(&generation), "{recorded:?}");
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let mut watched = Watched::start(NEVER, plain).await;
    let (old, new) = (watched.home.path().join("old"), watched.home.path().join("new"));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("a.wasm"), b"nonsense").unwrap();
    fs::rename(watched.policies(), &old).unwrap();
    fs::rename(&new, watched.policies()).unwrap();
    watched.problems(&["a.wasm"]).await;
    fs::write(watched.policies().join("b.wasm"), b"nonsense").unwrap();
    watched.problems(&["a.wasm", "b.wasm"]).await;
    watched.stop().await;
}

#[tokio::test]
async fn the_swap_of_a_mounted_config_map_is_seen() {
    let mut watched = Watched::start(NEVER, |home| {
        let policies = home.join("policies");
        fs::create_dir_all(policies.join("..1")).unwrap();
        fs::write(policies.join("..1/a.wasm"), b"one").unwrap();
        symlink("..1", policies.join("..data")).unwrap();
        symlink("..data/a.wasm", policies.join("a.wasm")).unwrap();
    })
    .await;
    watched.problems(&["a.wasm"]).await;
    let policies = watched.policies();
    fs::create_dir(policies.join("..2")).unwrap();
    fs::write(policies.join("..2/a.wasm"), b"<html>").unwrap();
    symlink("..2", policies.join("..data_tmp")).unwrap();
    fs::rename(policies.join("..data_tmp"), policies.join("..data")).unwrap();
    let html = |set: &Arc<PolicySet>| set.problems.iter().any(|problem| problem.message.contains("HTML"));
    tokio::time::timeout(PATIENCE, watched.set.wait_for(html)).await.unwrap().unwrap();
    watched.stop().await;
}

#[tokio::test]
async fn a_folder_that_goes_away_is_a_problem_and_its_return_is_seen() {
    let mut watched = Watched::start(NEVER, plain).await;
    fs::remove_dir(watched.policies()).unwrap();
    let folder = watched.policies().display().to_string();
    watched.problems(&[folder.as_str()]).await;
    fs::create_dir(watched.policies()).unwrap();
    watched.problems(&[]).await;
    fs::write(watched.policies().join("a.wasm"), b"nonsense").unwrap();
    watched.problems(&["a.wasm"]).await;
    watched.stop().await;
}

#[tokio::test]
async fn what_no_event_tells_the_next_look_finds() {
    let mut watched = Watched::start(Duration::from_millis(20), |home| {
        plain(home);
        fs::create_dir(home.join("elsewhere")).unwrap();
        fs::write(home.join("elsewhere/a"), b"one").unwrap();
        symlink("../elsewhere/a", home.join("policies/a.wasm")).unwrap();
    })
    .await;
    watched.problems(&["a.wasm"]).await;
    fs::write(watched.home.path().join("elsewhere/a"), b"<html>").unwrap();
    let html = |set: &Arc<PolicySet>| set.problems.iter().any(|problem| problem.message.contains("HTML"));
    tokio::time::timeout(PATIENCE, watched.set.wait_for(html)).await.unwrap().unwrap();
    watched.stop().await;
}

/// No watch can be had where a user has as many as the system gives: then the folder is polled, not looked at without a pause.
#[tokio::test]
async fn without_a_watch_nothing_nudges() {
    let (nudge, mut nudges) = mpsc::channel(1);
    nudge.try_send(()).unwrap();
    drop(nudge);
    nudged(&mut nudges, Duration::from_millis(1)).await;
    let again = tokio::time::timeout(Duration::from_millis(100), nudged(&mut nudges, Duration::from_millis(1))).await;
    assert!(again.is_err(), "a watch that is gone told of an event");
}

#[test]
fn reading_is_no_news() {
    let folder = Path::new("/gate/policies");
    let event = |kind: EventKind, path: &str| notify::Event::new(kind).add_path(PathBuf::from(path));
    let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
    let created = EventKind::Create(notify::event::CreateKind::Any);
    for (event, expected) in [
        (event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/gate/policies/a.wasm"), false),
        (event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "/gate/policies/a.wasm"), false),
        (event(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/gate/policies/a.wasm"), true),
        (event(data, "/gate/policies/a.wasm"), true),
        (event(data, "/gate/host.log"), false),
        (event(created, "/gate/policies"), true),
        (event(created, "/gate/..data"), true),
        (notify::Event::new(EventKind::Other), true),
        (event(EventKind::Other, "/gate/x").set_flag(notify::event::Flag::Rescan), true),
    ] {
        assert_eq!(matters(&event, folder), expected, "{event:?}");
    }
}
