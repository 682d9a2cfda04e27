//! Children that compile, and children that go wrong.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::load::{Cache, CacheConfig, CompileConfig, Compiled, Compiler, Refused};
use model::Digest;

use crate::rig::{children, lockdown, runtime, script, until, within};

async fn compile_with(config: CompileConfig, cache: Option<Cache>, wasm: &[u8]) -> Result<Compiled, Refused> {
    let compiler = Arc::new(Compiler::new(config, &runtime(), cache));
    compiler.compile(wasm.into(), Digest([wasm.len() as u8; 32])).await
}

/// Optimises a file, as happens behind a draft of it.
async fn optimise(home: &Path, wasm: &[u8]) {
    let compiler = Arc::new(Compiler::new(children(), &runtime(), Some(cache(home))));
    compiler.optimise(wasm, Digest([wasm.len() as u8; 32])).await.unwrap();
}

async fn refusal(config: CompileConfig, wasm: &[u8]) -> Refused {
    match compile_with(config, None, wasm).await {
        Ok(_) => panic!("it was compiled"),
        Err(refused) => refused,
    }
}

fn cache(home: &Path) -> Cache {
    Cache::open(CacheConfig::new(home.join("cache"))).unwrap()
}

fn entry(home: &Path) -> PathBuf {
    let entries = fs::read_dir(home.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<PathBuf> = entries.filter(|path| path.file_name().unwrap() != "key").collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

/// A component that is valid, small for what it costs, and costs seconds.
fn bomb(functions: usize, steps: usize) -> Vec<u8> {
    let mut body = String::new();
    for step in 0..steps {
        // Every local stays alive to the end, and each step needs several: hard work for the register allocator.
        let (a, b, c) = (step % 97, (step * 31) % 89, (step * 17) % 83);
        let _ = write!(body, "(local.set {a} (i64.add (i64.mul (local.get {b}) (local.get {c})) (i64.const {step})))");
        if step % 50 == 0 {
            let _ = write!(body, "(if (i64.eqz (local.get {b})) (then (local.set {c} (i64.const 1))))");
        }
    }
    let locals = "i64 ".repeat(97);
    let function = format!("(func (result i64) (local {locals}) {body} (local.get 0))");
    wat::parse_str(format!("(component (core module {}))", function.repeat(functions))).unwrap()
}

#[tokio::test]
async fn a_shipped_policy_compiles_once_and_then_comes_from_the_cache() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let draft = compile_with(children(), Some(cache(home.path())), &lockdown()).await.unwrap();
        assert!(!draft.cached, "a draft is not kept");
    }
    optimise(home.path(), &lockdown()).await;
    let again = compile_with(children(), Some(cache(home.path())), &lockdown()).await.unwrap();
    assert!(again.cached);
    // From the cache no child is needed.
    let alone = compile_with(script("exit 1"), Some(cache(home.path())), &lockdown()).await.unwrap();
    assert!(alone.cached);
}

#[tokio::test]
async fn an_entry_of_the_cache_that_was_tampered_with_is_compiled_anew() {
    let home = tempfile::tempdir().unwrap();
    optimise(home.path(), &lockdown()).await;
    let path = entry(home.path());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    let anew = compile_with(children(), Some(cache(home.path())), &lockdown()).await.unwrap();
    assert!(!anew.cached);
    optimise(home.path(), &lockdown()).await;
    assert!(compile_with(children(), Some(cache(home.path())), &lockdown()).await.unwrap().cached, "and kept again");
}

#[tokio::test]
async fn what_is_invalid_is_refused_by_the_child_with_the_reason() {
    let invalid = wat::parse_str("(component (core module (func (result i32))))").unwrap();
    let refused = refusal(children(), &invalid).await;
    assert_eq!((refused.stage, refused.passing), ("validate", false));
    assert!(refused.message.contains("type mismatch"), "{refused}");

    let nonsense = wat::parse_str(r#"(module (@custom "component-type:x" "nonsense"))"#).unwrap();
    assert!(refusal(children(), &nonsense).await.message.contains("no component can be made"));

    let small = CompileConfig { wasm_bytes: 100, ..children() };
    assert!(refusal(small, &lockdown()).await.message.contains("larger than 100 bytes"));
}

#[tokio::test]
async fn a_compile_bomb_ends_at_its_limit_of_cpu_time() {
    let refused = refusal(CompileConfig { cpu_seconds: 1, ..children() }, &bomb(400, 6_000)).await;
    assert_eq!((refused.stage, refused.passing), ("compile", false));
    assert!(refused.message.contains("more than 1 s of CPU time"), "{refused}");
}

#[tokio::test]
async fn a_compile_bomb_ends_at_its_limit_of_memory() {
    let refused = refusal(CompileConfig { memory_bytes: 150 << 20, ..children() }, &bomb(2, 100_000)).await;
    assert_eq!(refused.stage, "compile");
    assert!(refused.message.contains("memory"), "{refused}");
}

#[tokio::test]
async fn a_compile_bomb_ends_by_the_clock() {
    let refused = refusal(CompileConfig { wall: Duration::from_millis(300), ..children() }, &bomb(40, 6_000)).await;
    assert!(refused.message.contains("longer than 0.3 s"), "{refused}");
}

#[tokio::test]
async fn children_that_misbehave_fail_the_file_and_nothing_else() {
    for (text, expected) in [
        ("cat > /dev/null", "answered nothing"),
        ("cat > /dev/null; echo this is no machine code", "can't be loaded"),
        ("cat > /dev/null; echo first >&2; echo the last word >&2; exit 1", "the last word"),
        ("cat > /dev/null; echo half; exit 7", "the compiler failed"),
        ("exit 0", "answered nothing"),
        ("kill -ABRT $$", "crashed"),
        ("cat > /dev/null; echo compile >&2; echo because >&2; exit 3", "because"),
    ] {
        let refused = refusal(script(text), &lockdown()).await;
        assert!(refused.message.contains(expected), "{text}: {refused}");
        assert!(!refused.passing, "{text}: {refused}");
    }
}

#[tokio::test]
async fn a_child_that_writes_without_end_is_cut_off() {
    let refused = refusal(CompileConfig { output_bytes: 100_000, ..script("cat /dev/zero") }, &lockdown()).await;
    assert!(refused.message.contains("more than 100000 bytes"), "{refused}");
    let chatter = CompileConfig { wall: Duration::from_secs(5), ..script("cat /dev/zero >&2") };
    let refused = refusal(chatter, &lockdown()).await;
    assert_eq!(refused.stage, "compile");
}

#[tokio::test]
async fn children_that_never_end_are_killed() {
    for text in ["exec sleep 600", "cat > /dev/null; exec >&- 2>&-; exec sleep 600"] {
        let begun = Instant::now();
        let refused = refusal(CompileConfig { wall: Duration::from_millis(300), ..script(text) }, &lockdown()).await;
        assert!(refused.message.contains("longer than 0.3 s"), "{text}: {refused}");
        assert!(begun.elapsed() < Duration::from_secs(300), "{text}");
    }
}

#[tokio::test]
async fn circumstances_are_not_held_against_the_file() {
    let killed = refusal(script("kill -KILL $$"), &lockdown()).await;
    assert!(killed.passing && killed.message.contains("killed from outside"), "{killed}");
    let missing = CompileConfig { program: PathBuf::from("/nowhere/portcullis"), ..children() };
    let missing = refusal(missing, &lockdown()).await;
    assert!(missing.passing && missing.message.contains("can't be started"), "{missing}");
}

#[tokio::test]
async fn a_compilation_that_nobody_waits_for_any_more_ends() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pid");
    // The shell's own id, which `exec` hands on.
    let config = script(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let compiling = tokio::spawn(async move { compile_with(config, None, &lockdown()).await.map(|_| ()) });
    let pid = || fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    let pid = until("a child that runs", pid).await;
    compiling.abort();
    let _ = compiling.await;
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    // Gone, or dead and not yet reaped.
    let alive = || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        rustix::process::test_kill_process(process).is_ok() && !state.contains(") Z ")
    };
    until("the child's end", || (!alive()).then_some(())).await;
}

#[tokio::test]
async fn a_spare_child_makes_the_next_draft_and_only_one_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let starts = home.path().join("starts");
    let real = env!("CARGO_BIN_EXE_compile-child");
    let counted = script(&format!("echo >> {}; exec {real}", starts.display()));
    let started = || fs::read(&starts).map_or(0, |lines| lines.len());
    let compiler = Arc::new(Compiler::new(counted, &runtime(), None));
    compiler.keep_spare();
    compiler.keep_spare();
    compiler.compile(lockdown().into(), Digest([1; 32])).await.unwrap();
    assert_eq!(started(), 1);
    compiler.compile(lockdown().into(), Digest([1; 32])).await.unwrap();
    assert_eq!(started(), 2, "without a spare one is started");
}

#[tokio::test]
async fn a_spare_child_that_died_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let (mark, real) = (home.path().join("mark"), env!("CARGO_BIN_EXE_compile-child"));
    let second = script(&format!("if [ -e {0} ]; then exec {real}; fi; : > {0}; exit 0", mark.display()));
    let compiler = Arc::new(Compiler::new(second, &runtime(), None));
    compiler.keep_spare();
    until("a spare child's mark", || mark.exists().then_some(())).await;
    // From the mark to its end it takes a moment; one that ends in between is worth another try.
    let compiled = async {
        while let Err(refused) = compiler.compile(lockdown().into(), Digest([1; 32])).await {
            assert!(refused.message.contains("answered nothing"), "{refused}");
        }
    };
    within("a child in its place", compiled).await;
}

#[tokio::test]
async fn a_small_file_waits_for_no_large_ones() {
    let home = tempfile::tempdir().unwrap();
    let (starts, free) = (home.path().join("starts"), home.path().join("free"));
    let real = env!("CARGO_BIN_EXE_compile-child");
    let text =
        format!("if [ -e {1} ]; then exec {real}; fi; echo >> {0}; exec sleep 600", starts.display(), free.display());
    let held = CompileConfig { wall: Duration::from_secs(600), ..script(&text) };
    let compiler = Arc::new(Compiler::new(held, &runtime(), None));
    let mut large = tokio::task::JoinSet::new();
    for number in 0..8 {
        let compiler = Arc::clone(&compiler);
        large.spawn(async move { compiler.compile(vec![0; 2 << 20].into(), Digest([number; 32])).await.is_ok() });
    }
    until("all places of large ones taken", || fs::read(&starts).is_ok_and(|lines| lines.len() == 4).then_some(()))
        .await;
    fs::write(&free, "").unwrap();
    let small = compiler.compile(lockdown().into(), Digest([9; 32]));
    assert!(within("a place of its own", small).await.is_ok());
    assert!(large.try_join_next().is_none(), "the others hold theirs");
}
