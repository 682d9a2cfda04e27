//! A policy folder, a loader that looks at it, and policies to put there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use engine::{
    load::{Cache, CacheConfig, CompileConfig, Compiler, Loader, LoaderConfig, ScanOutcome},
    runtime::{Runtime, RuntimeConfig},
};
use exchange::ports::{Policy, PolicySet};

/// The grace in all tests; their time is a number that they add to.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Longest wait for anything that must happen, on debug builds with many tests at once. None passes by waiting.
const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(DEADLINE, happens).await;
    happened.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for: {what}"))
}

/// Looks again and again until there is something.
pub(crate) async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, found).await
}

/// A policy that ships: `lockdown`.
pub(crate) fn lockdown() -> Vec<u8> {
    shipped("lockdown")
}

pub(crate) fn shipped(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../../policies/dist/{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same policy in other bytes: a custom section more.
pub(crate) fn version(number: u8) -> Vec<u8> {
    let mut bytes = lockdown();
    bytes.extend([0, 5, 3, b'v', b'e', b'r', number]);
    bytes
}

/// Children that compile, as the host's own do.
pub(crate) fn children() -> CompileConfig {
    CompileConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_compile-child")),
        args: Vec::new(),
        // Debug builds, many tests at once, two processors.
        wall: Duration::from_secs(300),
        cpu_seconds: 300,
        ..CompileConfig::default()
    }
}

/// Children that do something else.
pub(crate) fn script(text: &str) -> CompileConfig {
    CompileConfig { program: PathBuf::from("/bin/sh"), args: vec!["-c".into(), text.into()], ..children() }
}

/// One engine for all tests of a process.
pub(crate) fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    let make = || Runtime::new(RuntimeConfig { memories: 8, pool: false, ..RuntimeConfig::default() }).unwrap();
    Arc::clone(RUNTIME.get_or_init(make))
}

/// A cache that all tests share, so that each policy is compiled once.
pub(crate) fn shared_cache() -> Cache {
    Cache::open(CacheConfig::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy-cache"))).unwrap()
}

pub(crate) struct Folder {
    pub(crate) home: tempfile::TempDir,
    pub(crate) loader: Loader,
    pub(crate) now: Instant,
}

impl Folder {
    /// An empty folder, not looked at yet.
    pub(crate) fn new() -> Self {
        Self::make(Compiler::new(children(), &runtime(), Some(shared_cache())), |config| config)
    }

    /// With these children and no cache.
    pub(crate) fn with(children: CompileConfig, change: impl FnOnce(LoaderConfig) -> LoaderConfig) -> Self {
        Self::make(Compiler::new(children, &runtime(), None), change)
    }

    /// With this compiler, and the usual settings changed so.
    pub(crate) fn make(compiler: Compiler, change: impl FnOnce(LoaderConfig) -> LoaderConfig) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("policies")).unwrap();
        // What a scan starts it waits for, however slow the machine: that others do not wait has a test of its own.
        let config = LoaderConfig {
            grace: GRACE,
            patience: Duration::from_secs(600),
            ..LoaderConfig::new(home.path().join("policies"))
        };
        let loader = Loader::new(runtime(), Arc::new(compiler), change(config));
        Self { home, loader, now: Instant::now() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("policies").join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// As careful programs write: beside, then moved there.
    pub(crate) fn put_whole(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let beside = self.path(&format!("{name}.tmp"));
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Looks, and expects a new set.
    pub(crate) async fn scan(&mut self) -> Arc<PolicySet> {
        self.outcome().await.set.expect("something is different")
    }

    /// Looks until there is a new set: for folders whose loader does not wait for what it starts.
    pub(crate) async fn scan_patiently(&mut self) -> Arc<PolicySet> {
        loop {
            if let Some(set) = self.outcome().await.set {
                return set;
            }
            tokio::time::timeout(Duration::from_secs(300), self.loader.finished()).await.expect("something ends");
        }
    }

    /// Looks, and expects nothing new.
    pub(crate) async fn scan_same(&mut self) {
        let outcome = self.outcome().await;
        assert!(outcome.set.is_none() && outcome.changes.is_empty(), "{:?}", outcome.changes);
    }

    pub(crate) async fn outcome(&mut self) -> ScanOutcome {
        self.loader.scan(self.now).await
    }
}

/// Ids in the order of the chain.
pub(crate) fn ids(set: &Arc<PolicySet>) -> Vec<&str> {
    set.policies.iter().map(|policy| policy.info().id.as_str()).collect()
}

/// What the set says is wrong: `file stage`.
pub(crate) fn wrong(set: &Arc<PolicySet>) -> Vec<String> {
    set.problems.iter().map(|problem| format!("{} {}", problem.file, problem.stage)).collect()
}

pub(crate) fn policy<'a>(set: &'a Arc<PolicySet>, id: &str) -> &'a Arc<dyn Policy> {
    set.policies.iter().find(|policy| policy.info().id == id).unwrap_or_else(|| panic!("no {id} in {:?}", ids(set)))
}

/// What an exchange meets first in this policy.
pub(crate) async fn opened(policy: &Arc<dyn Policy>) -> Result<model::Verdict, exchange::ports::Failure> {
    policy.guest(&about()).open().await
}

/// An exchange.
pub(crate) fn about() -> Arc<exchange::ports::About> {
    let (exchange, session) = (model::ExchangeId::new(), model::SessionId::new());
    Arc::new(exchange::ports::About::begun(exchange, session, model::Caller::default(), "test", "raw"))
}
