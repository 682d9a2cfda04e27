//! What a folder does to the set in force.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::load::{Cache, CacheConfig, Compiler, Loader, LoaderConfig};
use exchange::ports::FailureKind;
use model::{Generation, Mode, Verdict};

use crate::rig::{
    Folder, GRACE, children, ids, lockdown, opened, policy, runtime, script, shared_cache, shipped, wrong,
};

const SETTINGS: &str = "order = 5\n[settings]\nincident = \"INC-1\"\n";

#[tokio::test]
async fn policies_come_go_and_change() {
    let mut folder = Folder::new();
    let empty = folder.scan().await;
    assert_eq!((empty.generation, ids(&empty).len(), empty.problems.len()), (Generation(1), 0, 0));
    folder.scan_same().await;

    folder.put("20-stop.wasm", lockdown());
    folder.put("10-mask.wasm", shipped("mask"));
    let outcome = folder.outcome().await;
    let two = outcome.set.unwrap();
    assert_eq!((two.generation, ids(&two)), (Generation(2), vec!["10-mask", "20-stop"]));
    let line = outcome.changes[0].to_string();
    assert!(line.starts_with("+ 10-mask ") && line.contains("(enforce, ") && line.ends_with(" ms)"), "{line}");
    assert!(matches!(opened(policy(&two, "20-stop")).await, Ok(Verdict::Allow | Verdict::Block(_))));
    folder.scan_same().await;

    folder.put("20-stop.toml", SETTINGS);
    let moved = folder.scan().await;
    assert_eq!(ids(&moved), ["20-stop", "10-mask"], "the settings say an order");
    assert!(Arc::ptr_eq(policy(&two, "10-mask"), policy(&moved, "10-mask")), "what did not change is the same");
    assert_ne!(two.digest, moved.digest);

    folder.put("20-stop.toml", "mode = \"shadow\"");
    assert_eq!(policy(&folder.scan().await, "20-stop").info().mode, Mode::Shadow);
    folder.put("20-stop.toml", "mode = \"off\"");
    assert_eq!(ids(&folder.scan().await), ["10-mask"]);
    folder.scan_same().await;
    folder.put("20-stop.toml", SETTINGS);
    let back = folder.scan().await;
    assert!(Arc::ptr_eq(policy(&moved, "20-stop"), policy(&back, "20-stop")), "equal digests are the same policy");
    assert_eq!(back.digest, moved.digest);
    assert!(back.generation > moved.generation);
}

#[tokio::test]
async fn each_rule_of_a_shipped_policy_guards_alone() {
    let mut folder = Folder::new();
    let alone = [
        ("10-models", "block", "models = { deny = [\"m\"] }"),
        ("20-tools", "block", "tools = { deny = [\"shell\"] }"),
        ("30-size", "block", "max-request-bytes = 10"),
        ("40-asked", "approve", "tools = [\"shell\"]"),
    ];
    for (file, name, rule) in alone {
        folder.put(&format!("{file}.wasm"), shipped(name));
        folder.put(&format!("{file}.toml"), format!("[settings]\nwords = []\n{rule}\n"));
    }
    let set = folder.scan().await;
    assert_eq!(ids(&set), alone.map(|(file, ..)| file), "{:?}", set.problems);
    assert!(set.problems.is_empty(), "{:?}", set.problems);
}

#[tokio::test]
async fn a_bad_file_leaves_the_last_good_version_in_force() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    let good = folder.scan().await;
    let html: &[u8] = b"<html>404</html>";
    for (bad, stage) in [(html, "validate"), (b"", "validate"), (&lockdown()[..5000], "validate")] {
        folder.put("stop.wasm", bad);
        let set = folder.scan().await;
        assert!(Arc::ptr_eq(policy(&good, "stop"), policy(&set, "stop")));
        assert_eq!(wrong(&set), [format!("stop.wasm {stage}")]);
        folder.scan_same().await;
    }
    folder.put("stop.wasm", lockdown());
    let outcome = folder.outcome().await;
    let mended = outcome.set.unwrap();
    assert!(mended.problems.is_empty() && Arc::ptr_eq(policy(&good, "stop"), policy(&mended, "stop")));
    assert_eq!(outcome.changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["= stop.wasm: in order again"]);

    // A policy that refuses its settings, settings that do not fit its schema, and settings that are none.
    for (bad, stage) in [
        ("[settings]\nmessage = \" \"", "configure"),
        ("[settings]\nmesage = \"x\"", "settings"),
        ("mode = \"enforced\"", "settings"),
        ("[limits\n", "settings"),
    ] {
        folder.put("stop.toml", bad);
        let set = folder.scan().await;
        assert!(Arc::ptr_eq(policy(&good, "stop"), policy(&set, "stop")), "{bad}");
        assert!(wrong(&set)[0].ends_with(stage) && set.problems.len() == 1, "{bad}: {:?}", set.problems);
    }
}

#[tokio::test]
async fn a_partial_write_is_nothing_until_it_is_complete() {
    let mut folder = Folder::new();
    folder.scan().await;
    let whole = lockdown();
    folder.put("stop.wasm", &whole[..whole.len() / 2]);
    let half = folder.scan().await;
    assert!(half.policies.is_empty(), "a copy in progress blocks nothing");
    assert_eq!(wrong(&half), ["stop.wasm validate"]);
    assert!(half.problems[0].message.contains("truncated"), "{}", half.problems[0].message);
    folder.put("stop.wasm", &whole);
    let set = folder.scan().await;
    assert_eq!((ids(&set), set.problems.len()), (vec!["stop"], 0));
}

#[tokio::test]
async fn a_deleted_policy_goes_after_the_grace() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    let before = folder.scan().await;
    folder.remove("stop.wasm");
    let outcome = folder.outcome().await;
    assert!(outcome.set.is_none());
    assert_eq!(outcome.look_again, Some(folder.now + GRACE));

    // What comes back within the grace was never away.
    folder.wait(GRACE / 2);
    folder.put_whole("stop.wasm", lockdown());
    folder.scan_same().await;
    folder.remove("stop.wasm");
    folder.scan_same().await;
    folder.wait(GRACE / 2);
    folder.scan_same().await;
    folder.wait(GRACE / 2);
    let outcome = folder.outcome().await;
    assert!(outcome.set.unwrap().policies.is_empty());
    let expected = format!("- stop {}", policy(&before, "stop").info().digest.short());
    assert_eq!(outcome.changes[0].to_string(), expected);
}

#[tokio::test]
async fn deleted_settings_stay_for_the_grace_and_then_the_defaults_count() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", SETTINGS);
    let before = folder.scan().await;
    folder.remove("stop.toml");
    folder.scan_same().await;
    folder.put("stop.toml", SETTINGS);
    folder.scan_same().await;
    folder.remove("stop.toml");
    folder.scan_same().await;
    folder.wait(GRACE);
    let after = folder.scan().await;
    assert_eq!((policy(&before, "stop").info().order, policy(&after, "stop").info().order), (5, 1000));
}

#[tokio::test]
async fn a_required_policy_outlives_its_files() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", "required = true");
    let before = folder.scan().await;
    folder.remove("stop.wasm");
    let set = folder.scan().await;
    assert!(Arc::ptr_eq(policy(&before, "stop"), policy(&set, "stop")));
    assert_eq!(wrong(&set), ["stop.toml settings"]);
    folder.remove("stop.toml");
    folder.scan_same().await;
    folder.wait(GRACE);
    let set = folder.scan().await;
    assert_eq!((ids(&set), wrong(&set)), (vec!["stop"], vec!["stop.wasm read".to_owned()]));
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", "required = false");
    assert!(folder.scan().await.problems.is_empty());
    folder.remove("stop.wasm");
    folder.scan().await;
    folder.wait(GRACE);
    assert!(folder.scan().await.policies.is_empty());
}

#[tokio::test]
async fn a_required_policy_outlives_its_files_also_when_its_settings_go_first() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", "order = 5\nrequired = true");
    let before = folder.scan().await;
    // Emptied settings count as deleted ones.
    for gone in [true, false] {
        if gone {
            folder.remove("stop.toml");
        } else {
            folder.put("stop.toml", "");
        }
        folder.outcome().await;
        folder.wait(GRACE);
        let set = folder.outcome().await.set.unwrap_or_else(|| Arc::clone(folder.loader.current().unwrap()));
        assert!(Arc::ptr_eq(policy(&before, "stop"), policy(&set, "stop")), "with its order, and required");
        assert_eq!(wrong(&set), ["stop.toml read"]);
    }
    folder.remove("stop.toml");
    folder.remove("stop.wasm");
    folder.outcome().await;
    folder.wait(GRACE);
    let set = folder.scan().await;
    assert_eq!((ids(&set), wrong(&set)), (vec!["stop"], vec!["stop.wasm read".to_owned()]));
    folder.put("stop.toml", "required = false");
    folder.outcome().await;
    folder.wait(GRACE);
    assert_eq!(ids(&folder.scan().await), [""; 0]);
}

#[tokio::test]
async fn what_is_bad_at_the_start_is_blocked_until_it_is_mended() {
    let mut folder = Folder::new();
    folder.put("a-bad.wasm", "nonsense");
    folder.put("b-open.wasm", "nonsense");
    folder.put("b-open.toml", "on_failure = \"open\"");
    folder.put("c-shadow.wasm", "nonsense");
    folder.put("c-shadow.toml", "mode = \"shadow\"");
    folder.put("d-typo.wasm", lockdown());
    folder.put("d-typo.toml", "on_failur = \"open\"");
    folder.put("e-one.wasm", "nonsense");
    folder.put("e-one.toml", "order = 3\nconnections = [\"one\"]");
    folder.put("f-absent.toml", "required = true");
    fs::create_dir(folder.path("g-folder.wasm")).unwrap();
    folder.put("h-good.wasm", lockdown());
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["e-one", "a-bad", "d-typo", "f-absent", "g-folder", "h-good"]);
    assert_eq!(set.problems.len(), 7);
    assert_eq!(policy(&set, "e-one").info().connections, ["one"]);
    for id in ["a-bad", "d-typo", "e-one", "f-absent", "g-folder"] {
        let failure = opened(policy(&set, id)).await.expect_err("it blocks");
        assert_eq!(failure.kind, FailureKind::Instance);
        assert!(failure.message.contains(id), "{failure}");
        assert!(policy(&set, id).plan().hooks.open && policy(&set, id).plan().hooks.body);
    }
    folder.scan_same().await;

    folder.put("a-bad.wasm", lockdown());
    folder.put("e-one.toml", "on_failure = \"open\"");
    folder.remove("f-absent.toml");
    folder.scan().await;
    folder.wait(GRACE);
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["a-bad", "d-typo", "g-folder", "h-good"]);
    assert_eq!(policy(&set, "a-bad").info().name, "lockdown");
}

#[tokio::test]
async fn what_can_not_be_read_at_the_start_blocks_no_more_than_its_settings_say() {
    let mut folder = Folder::new();
    for (id, settings) in [
        ("a-off", "mode = \"off\""),
        ("b-shadow", "mode = \"shadow\""),
        ("c-open", "on_failure = \"open\""),
        ("d-one", "connections = [\"one\"]\nrequired = true"),
        ("e-empty", ""),
        ("f g", "on_failure = \"open\""),
    ] {
        symlink("/nowhere/x.wasm", folder.path(&format!("{id}.wasm"))).unwrap();
        folder.put(&format!("{id}.toml"), settings);
    }
    folder.put("h-open.toml", "required = true\non_failure = \"open\"");
    folder.put("i-one.toml", "required = true\nconnections = [\"one\"]");
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["d-one", "e-empty", "i-one"]);
    assert_eq!(set.problems.len(), 8, "all are told");
    assert_eq!(
        (policy(&set, "d-one").info().connections.as_slice(), set.policies.len()),
        (["one".to_owned()].as_slice(), 3)
    );
    assert_eq!(policy(&set, "i-one").info().connections, ["one"]);
    folder.put("e-empty.toml", "mode = \"off\"");
    assert_eq!(ids(&folder.scan().await), ["d-one", "i-one"]);
    folder.put("d-one.toml", "connections = [\"two\"]\nrequired = true");
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["d-one", "i-one"]);
    assert_eq!(policy(&set, "d-one").info().connections, ["two"]);
    folder.remove("d-one.wasm");
    folder.remove("d-one.toml");
    folder.outcome().await;
    folder.wait(GRACE);
    assert_eq!(ids(&folder.scan().await), ["d-one", "i-one"], "it is required");
}

#[tokio::test]
async fn settings_let_a_required_policy_go_whose_file_is_gone() {
    for released in ["required = false", "mode = \"off\"", "required = true\nmode = \"off\""] {
        let mut folder = Folder::new();
        folder.put("stop.wasm", lockdown());
        folder.put("stop.toml", "required = true");
        folder.scan().await;
        folder.remove("stop.wasm");
        folder.remove("stop.toml");
        folder.outcome().await;
        folder.wait(GRACE);
        assert_eq!(ids(&folder.scan().await), ["stop"]);
        // An editor cuts a file before it writes it anew.
        folder.put("stop.toml", "");
        folder.outcome().await;
        folder.wait(GRACE * 2);
        folder.outcome().await;
        folder.put("stop.toml", released);
        folder.outcome().await;
        folder.wait(GRACE);
        assert_eq!(ids(&folder.scan().await), [""; 0], "{released}");
    }
}

#[tokio::test]
async fn code_that_can_not_be_read_for_a_while_is_in_force_again_with_its_settings() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", SETTINGS);
    folder.scan().await;
    folder.remove("stop.wasm");
    symlink("/nowhere/x.wasm", folder.path("stop.wasm")).unwrap();
    folder.put("stop.toml", "mode = \"off\"");
    assert_eq!(ids(&folder.scan().await), [""; 0]);
    folder.remove("stop.wasm");
    folder.put("stop.wasm", lockdown());
    folder.put("stop.toml", SETTINGS);
    assert_eq!(ids(&folder.scan().await), ["stop"]);
}

#[tokio::test]
async fn a_folder_that_is_missing_at_the_start_blocks_everything_until_it_is_there() {
    let mut folder = Folder::new();
    let away = folder.home.path().join("away");
    fs::rename(folder.home.path().join("policies"), &away).unwrap();
    let set = folder.scan().await;
    assert_eq!((set.policies.len(), set.problems.len()), (1, 1));
    assert!(opened(&set.policies[0]).await.is_err());
    fs::write(away.join("bad.wasm"), "nonsense").unwrap();
    fs::rename(&away, folder.home.path().join("policies")).unwrap();
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["bad"], "what is bad is still bad at the start");
    assert!(opened(policy(&set, "bad")).await.is_err());
}

#[tokio::test]
async fn a_folder_that_goes_away_keeps_everything_in_force() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    let before = folder.scan().await;
    let away = folder.home.path().join("away");
    fs::rename(folder.home.path().join("policies"), &away).unwrap();
    let set = folder.scan().await;
    assert!(Arc::ptr_eq(policy(&before, "stop"), policy(&set, "stop")));
    assert_eq!(set.problems.len(), 1);
    folder.wait(GRACE * 10);
    folder.scan_same().await;
    fs::rename(&away, folder.home.path().join("policies")).unwrap();
    assert!(folder.scan().await.problems.is_empty());
}

#[tokio::test]
async fn a_folder_that_was_unmounted_is_not_an_empty_folder() {
    // Another file system, to stand in the folder's place: on most machines /dev/shm is one.
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (on_disk, link) = (home.path().join("on-disk"), home.path().join("policies"));
    fs::create_dir(&on_disk).unwrap();
    let device = |path: &std::path::Path| engine::load::folder::FolderId::of(path).unwrap().device;
    if device(&on_disk) == device(elsewhere.path()) {
        return;
    }
    fs::write(elsewhere.path().join("stop.wasm"), lockdown()).unwrap();
    symlink(elsewhere.path(), &link).unwrap();
    let compiler = Arc::new(Compiler::new(children(), &runtime(), Some(shared_cache())));
    // However slow the machine, a scan waits for what it starts.
    let patience = Duration::from_secs(600);
    let config = LoaderConfig { grace: Duration::ZERO, patience, ..LoaderConfig::new(&link) };
    let mut loader = Loader::new(runtime(), compiler, config);
    let before = loader.scan(Instant::now()).await.set.unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&on_disk, &link).unwrap();
    let set = loader.scan(Instant::now()).await.set.unwrap();
    assert!(Arc::ptr_eq(policy(&before, "stop"), policy(&set, "stop")));
    assert!(set.problems[0].message.contains("unmounted"), "{:?}", set.problems);
    // With something in it, it is a folder like any other.
    fs::write(on_disk.join("other.wasm"), lockdown()).unwrap();
    loader.scan(Instant::now()).await;
    assert_eq!(ids(loader.current().unwrap()), ["other"]);
}

#[tokio::test]
async fn an_empty_folder_in_the_place_of_the_one_that_was_takes_nothing_out_of_force() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    let before = folder.scan().await;
    let (policies, away) = (folder.home.path().join("policies"), folder.home.path().join("away"));
    fs::rename(&policies, &away).unwrap();
    fs::create_dir(&policies).unwrap();
    let set = folder.scan().await;
    assert!(set.problems[0].message.contains("empty"), "{:?}", set.problems);
    folder.wait(GRACE * 10);
    folder.scan_same().await;
    // Its number in the file system may be the same again, once it was removed.
    for _ in 0..2 {
        fs::remove_dir(&policies).unwrap();
        folder.outcome().await;
        fs::create_dir(&policies).unwrap();
        folder.outcome().await;
        folder.wait(GRACE * 10);
        folder.scan_same().await;
    }
    assert!(Arc::ptr_eq(policy(&before, "stop"), policy(folder.loader.current().unwrap(), "stop")));
    // The one that was is no stranger, and what is deleted in it is deleted.
    fs::remove_dir(&policies).unwrap();
    fs::rename(&away, &policies).unwrap();
    assert!(folder.scan().await.problems.is_empty());
    folder.remove("stop.wasm");
    folder.outcome().await;
    folder.wait(GRACE * 2);
    assert!(folder.scan().await.policies.is_empty());
}

#[tokio::test]
async fn a_mounted_config_map_is_swapped_whole() {
    let mut folder = Folder::new();
    for (version_folder, settings) in [("..1", "order = 1"), ("..2", "order = 2")] {
        fs::create_dir(folder.path(version_folder)).unwrap();
        fs::write(folder.path(version_folder).join("stop.wasm"), lockdown()).unwrap();
        fs::write(folder.path(version_folder).join("stop.toml"), settings).unwrap();
    }
    symlink("..1", folder.path("..data")).unwrap();
    symlink("..data/stop.wasm", folder.path("stop.wasm")).unwrap();
    symlink("..data/stop.toml", folder.path("stop.toml")).unwrap();
    assert_eq!(policy(&folder.scan().await, "stop").info().order, 1);
    symlink("..2", folder.path("..data_tmp")).unwrap();
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    assert_eq!(policy(&folder.scan().await, "stop").info().order, 2);
    // A link that leads nowhere is not a deletion.
    fs::remove_dir_all(folder.path("..2")).unwrap();
    let set = folder.scan().await;
    assert_eq!((ids(&set), set.problems.len()), (vec!["stop"], 1));
    folder.wait(GRACE * 2);
    folder.scan_same().await;
}

#[tokio::test]
async fn pipes_devices_giants_and_strange_names_are_named_and_change_nothing() {
    let mut folder = Folder::new();
    folder.put("stop.wasm", lockdown());
    folder.scan().await;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("pipe.wasm"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    symlink("/dev/zero", folder.path("zero.wasm")).unwrap();
    fs::File::create(folder.path("giant.wasm")).unwrap().set_len(1 << 40).unwrap();
    folder.put("two words.wasm", lockdown());
    folder.put("fast.cwasm", "machine code");
    folder.put(".stop.wasm.swp", "litter");
    folder.put("lonely.toml", "order = 1");
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["stop"]);
    let expected = [
        "fast.cwasm validate",
        "giant.wasm read",
        "lonely.toml settings",
        "pipe.wasm read",
        "two words.wasm read",
        "zero.wasm read",
    ];
    assert_eq!(wrong(&set), expected);
    // Also in the place of a policy that is in force.
    folder.remove("stop.wasm");
    fs::rename(folder.path("pipe.wasm"), folder.path("stop.wasm")).unwrap();
    folder.wait(GRACE * 2);
    assert_eq!(ids(&folder.scan().await), ["stop"]);
}

#[tokio::test]
async fn more_policies_than_the_host_takes_are_named_and_displace_nothing() {
    let mut folder = Folder::new();
    folder.put("zz-stop.wasm", lockdown());
    folder.scan().await;
    for number in 0..300 {
        folder.put(&format!("x{number:03}.wasm"), "");
    }
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["zz-stop"]);
    assert!(
        set.problems.iter().any(|problem| problem.message.contains("45 policies beyond the 256")),
        "{:?}",
        set.problems[0]
    );
}

#[tokio::test]
async fn imports_are_checked_before_anything_is_compiled() {
    let mut folder = Folder::with(script("echo must not run >&2; exit 1"), |config| config);
    folder.scan().await;
    let wasi = r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#;
    folder.put("wasi.wasm", wat::parse_str(wasi).unwrap());
    let set = folder.scan().await;
    assert_eq!(wrong(&set), ["wasi.wasm imports"]);
    assert!(set.problems[0].message.contains("wasi:cli/environment@0.2.0"));
}

#[tokio::test]
async fn a_slow_compilation_delays_nobody_and_is_published_when_it_is_done() {
    let home = tempfile::tempdir().unwrap();
    let gate = home.path().join("gate");
    let real = env!("CARGO_BIN_EXE_compile-child");
    let wait = script(&format!("while [ ! -e {} ]; do sleep 0.01; done; exec {real}", gate.display()));
    let mut folder = Folder::with(wait, |config| LoaderConfig { patience: Duration::from_millis(10), ..config });
    folder.scan().await;
    folder.put("slow.wasm", lockdown());
    folder.scan_same().await;
    folder.put("off.wasm", "nonsense");
    assert_eq!(wrong(&folder.scan_patiently().await), ["off.wasm validate"], "others go on");
    fs::write(&gate, "").unwrap();
    assert_eq!(ids(&folder.scan_patiently().await), ["slow"]);
}

#[tokio::test]
async fn newer_content_takes_the_place_of_what_is_still_compiling() {
    let never = script("exec sleep 600");
    let mut folder = Folder::with(never, |config| LoaderConfig { patience: Duration::from_millis(10), ..config });
    folder.scan().await;
    folder.put("p.wasm", lockdown());
    folder.scan_same().await;
    folder.put("p.wasm", "nonsense");
    let set = folder.scan_patiently().await;
    assert_eq!((ids(&set).len(), wrong(&set)), (0, vec!["p.wasm validate".to_owned()]));
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let mark = home.path().join("mark");
    let real = env!("CARGO_BIN_EXE_compile-child");
    let second = script(&format!("if [ -e {0} ]; then exec {real}; fi; : > {0}; kill -KILL $$", mark.display()));
    let mut folder = Folder::with(second, |config| config);
    folder.scan().await;
    folder.put("p.wasm", lockdown());
    let outcome = folder.outcome().await;
    assert_eq!(wrong(&outcome.set.unwrap()), ["p.wasm compile"]);
    assert!(outcome.look_again.is_some());
    let set = folder.scan().await;
    assert_eq!((ids(&set), set.problems.len()), (vec!["p"], 0));
}

#[tokio::test]
async fn what_was_warmed_needs_no_compiler_when_it_is_dropped_in() {
    let home = tempfile::tempdir().unwrap();
    let cache = || Some(Cache::open(CacheConfig::new(home.path().join("cache"))).unwrap());
    Arc::new(Compiler::new(children(), &runtime(), cache())).warm(&lockdown()).await.unwrap();
    let no_compiler = Arc::new(Compiler::new(script("exit 1"), &runtime(), cache()));
    fs::create_dir(home.path().join("policies")).unwrap();
    let config = LoaderConfig { patience: GRACE * 100, ..LoaderConfig::new(home.path().join("policies")) };
    let mut loader = Loader::new(runtime(), no_compiler, config);
    loader.scan(Instant::now()).await;
    fs::write(home.path().join("policies/00-lockdown.wasm"), lockdown()).unwrap();
    let outcome = loader.scan(Instant::now()).await;
    assert_eq!(ids(&outcome.set.unwrap()), ["00-lockdown"]);
    assert!(outcome.changes[0].to_string().contains("from the cache in "), "{}", outcome.changes[0]);
}
