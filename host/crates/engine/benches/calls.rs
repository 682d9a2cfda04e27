//! What a policy costs, call by call: `cargo bench -p engine --bench calls`.
//!
//! The shipped `mask` (Rust), and the policies of `examples/policies` in C and JavaScript where they have been built, are
//! loaded as the host does it. For each: a fresh instance up to its first answer, a call of `on-text` on that instance, and
//! native matching that clears the text with no call. Median and 99th percentile of many measurements.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on stops")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    Runtime, RuntimeConfig,
    load::{CompileConfig, Compiler, Loader, LoaderConfig},
};
use exchange::ports::{About, Policy, Window};
use model::{Caller, Channel, Direction, ExchangeId, PartId, SessionId, Speaker};

/// Measurements of each case.
const TIMES: usize = 2_000;
/// Before them.
const WARM_UP: usize = 200;
/// A secret that every one of the policies masks.
const SECRET: &str = "ssn 078-05-1120 ";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("| policy | case | p50 | p99 |\n|---|---|--:|--:|");
    for (name, wasm) in policies() {
        let Some(policy) = load(&wasm).await else {
            println!("| {name} | not loaded | | |");
            continue;
        };
        for size in [32, 4096] {
            let (clean, hit) = (text(size, ""), text(size, SECRET));
            row(&name, &format!("fresh instance, first call, {size} B"), fresh(&*policy, &hit).await);
            row(&name, &format!("call, {size} B"), calls(&*policy, &hit).await);
            row(&name, &format!("native matching of clean text, {size} B"), scans(&*policy, &clean));
        }
    }
}

/// Policies by language; the second and third only where `examples/policies/build` has made them.
fn policies() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let files = [
        ("mask (Rust)", "policies/dist/mask.wasm"),
        ("ssn-guard (C)", "examples/policies/c/ssn_guard.wasm"),
        ("ssn-guard (JavaScript)", "examples/policies/javascript/ssn_guard.wasm"),
    ];
    let files = files.map(|(name, file)| (name.to_owned(), root.join(file)));
    files.into_iter().filter(|(_, file)| file.is_file()).collect()
}

async fn load(wasm: &Path) -> Option<Arc<dyn Policy>> {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(wasm, folder.path().join("10-policy.wasm")).unwrap();
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_compile-child"));
    let children = CompileConfig { program, args: Vec::new(), ..CompileConfig::default() };
    let compiler = Arc::new(Compiler::new(children, &runtime, None));
    let config = LoaderConfig { patience: Duration::from_secs(120), ..LoaderConfig::new(folder.path()) };
    let set = Loader::new(runtime, compiler, config).scan(Instant::now()).await.set?;
    set.problems.iter().for_each(|problem| eprintln!("{}: {}", problem.stage, problem.message));
    set.policies.first().cloned()
}

/// Text of this many bytes with `secret` in its middle.
fn text(size: usize, secret: &str) -> String {
    let filler = "the quick brown fox jumps over the lazy dog ".repeat(size / 44 + 1);
    let half = (size - secret.len()) / 2;
    let mut text = [&filler[..half], secret, &filler[..size - secret.len() - half]].concat();
    text.truncate(size);
    text
}

async fn fresh(policy: &dyn Policy, text: &str) -> Vec<Duration> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..WARM_UP + TIMES {
        let scan = policy.scan("", text, true);
        let about = about();
        let begin = Instant::now();
        let mut guest = policy.guest(&about);
        guest.open().await.unwrap();
        guest.on_text(Window { hits: &scan.hits, ..window(text) }).await.unwrap();
        times.push(begin.elapsed());
    }
    times.split_off(WARM_UP)
}

async fn calls(policy: &dyn Policy, text: &str) -> Vec<Duration> {
    let scan = policy.scan("", text, true);
    let mut guest = policy.guest(&about());
    guest.open().await.unwrap();
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..WARM_UP + TIMES {
        let begin = Instant::now();
        guest.on_text(Window { hits: &scan.hits, ..window(text) }).await.unwrap();
        times.push(begin.elapsed());
    }
    times.split_off(WARM_UP)
}

fn scans(policy: &dyn Policy, text: &str) -> Vec<Duration> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..WARM_UP + TIMES {
        let begin = Instant::now();
        std::hint::black_box(policy.scan("", std::hint::black_box(text), true));
        times.push(begin.elapsed());
    }
    times.split_off(WARM_UP)
}

fn row(name: &str, case: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    println!("| {name} | {case} | {:.2} µs | {:.2} µs |", at(50), at(99));
}

fn window(pending: &str) -> Window<'_> {
    Window {
        direction: Direction::Response,
        channel: Channel::Content,
        speaker: Speaker::Assistant,
        part: PartId(0),
        before: "",
        pending,
        fresh: 0,
        last: true,
        hits: &[],
    }
}

fn about() -> Arc<About> {
    let caller =
        Caller { subject: "bench".to_owned(), issuer: "token".to_owned(), groups: Vec::new(), claims: "{}".to_owned() };
    let begun = About::begun(ExchangeId::new(), SessionId::new(), caller, "bench", "openai-chat");
    Arc::new(About { model: "echo-1".into(), streaming: true, ..begun })
}
