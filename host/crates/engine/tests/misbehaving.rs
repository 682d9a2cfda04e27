//! Guests that misbehave, through the real loader and runtime: each ends as its failure says, and a well-behaved policy in
//! the same runtime does its work meanwhile.
//!
//! The guests are those of `tests/guests`: written in Rust against the SDK where Rust can express it, by hand where not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use engine::{
    Runtime, RuntimeConfig,
    load::{Cache, CacheConfig, CompileConfig, Compiler, Loader, LoaderConfig},
};
use exchange::ports::{About, Failure, FailureKind, Policy, PolicySet, Window};
use model::{Caller, Channel, Decision, Direction, ExchangeId, Hit, PartId, SessionId, Speaker, Substitute, Verdict};

/// The folder of built guests.
fn guests() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| guests::folder().unwrap_or_else(|error| panic!("{error:#}")))
}

fn children() -> CompileConfig {
    CompileConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_compile-child")),
        args: Vec::new(),
        // Debug builds, many tests at once, two processors.
        wall: Duration::from_secs(300),
        cpu_seconds: 300,
        ..CompileConfig::default()
    }
}

/// One entry of a policy folder: the file's stem, the guest, and its settings file.
type File<'a> = (&'a str, &'a str, &'a str);

/// Loads a folder with these files, as the host does when it starts.
async fn load(files: &[File<'_>]) -> Arc<PolicySet> {
    let home = tempfile::tempdir().unwrap();
    for (id, guest, toml) in files {
        let wasm = guests().join(guest).with_extension("wasm");
        fs::copy(&wasm, home.path().join(format!("{id}.wasm"))).unwrap();
        if !toml.is_empty() {
            fs::write(home.path().join(format!("{id}.toml")), toml).unwrap();
        }
    }
    let runtime = Runtime::new(RuntimeConfig { memories: 16, ..RuntimeConfig::default() }).unwrap();
    let cache = Cache::open(CacheConfig::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests-cache"))).unwrap();
    let compiler = Arc::new(Compiler::new(children(), &runtime, Some(cache)));
    let config = LoaderConfig { patience: Duration::from_secs(300), ..LoaderConfig::new(home.path()) };
    Loader::new(runtime, compiler, config).scan(Instant::now()).await.set.unwrap()
}

fn policy<'a>(set: &'a PolicySet, id: &str) -> &'a Arc<dyn Policy> {
    let found = set.policies.iter().find(|policy| policy.info().id == id);
    found.unwrap_or_else(|| panic!("{id} is not in force: {:?}", set.problems))
}

fn about() -> Arc<About> {
    let caller = Caller {
        subject: "tester".to_owned(),
        issuer: "token".to_owned(),
        groups: Vec::new(),
        claims: "{}".to_owned(),
    };
    let begun = About::begun(ExchangeId::new(), SessionId::new(), caller, "test", "openai-chat");
    Arc::new(About { model: "NOW".into(), streaming: true, ..begun })
}

fn window(pending: &str, last: bool) -> Window<'_> {
    Window {
        direction: Direction::Response,
        channel: Channel::Content,
        speaker: Speaker::Assistant,
        part: PartId(0),
        before: "",
        pending,
        fresh: 0,
        last,
        hits: &[],
    }
}

async fn ask(policy: &Arc<dyn Policy>, text: &str) -> Result<Decision, Failure> {
    policy.guest(&about()).on_text(window(text, true)).await
}

/// What a decision makes of a text.
fn apply(text: &str, decision: &Decision) -> String {
    let mut out = String::new();
    let mut from = 0;
    for edit in &decision.edits {
        let Substitute::Literal(by) = &edit.by else { panic!("no literal: {edit:?}") };
        out.push_str(&text[from..edit.start]);
        out.push_str(by);
        from = edit.end;
    }
    out + &text[from..]
}

async fn made_of(policy: &Arc<dyn Policy>, text: &str) -> String {
    apply(text, &ask(policy, text).await.unwrap())
}

/// Asks the neighbour again and again, and says how often it answered.
async fn neighbour(policy: Arc<dyn Policy>) -> usize {
    let mut guest = policy.guest(&about());
    for call in 0.. {
        let decision = guest.on_text(window("all is well", true)).await.unwrap();
        assert_eq!(apply("all is well", &decision), "ALL IS WELL");
        if call == 200 {
            return call;
        }
        tokio::task::yield_now().await;
    }
    0
}

#[tokio::test]
async fn what_is_wrong_from_the_start_is_refused_at_load() {
    const FAIL_AT_ONCE: &str = "[settings]\nhow = \"spin\"\nat = \"configure\"";
    const CASES: [(File<'_>, &str, &str); 23] = [
        (("a", "start-spins", ""), "instantiate", "CPU time"),
        (("b", "start-traps", ""), "instantiate", "unreachable"),
        (("c", "starts-with-4gib", ""), "instantiate", ""),
        (("d", "huge-table", ""), "compile", "limit"),
        (("e", "wrong-version", ""), "imports", "portcullis:policy@0.1.0"),
        (("f", "imports-wasi", ""), "imports", "wasi:cli/environment@0.2.0"),
        (("g", "imports-foreign", ""), "imports", "acme:vault/secrets"),
        (("h", "imports-unknown", ""), "imports", "portcullis:policy/network@0.1.0"),
        (("i", "imports-clock", ""), "imports", "grants = [\"clock\"]"),
        (("j", "counter", ""), "imports", "grants = [\"state\"]"),
        (("k", "realloc-spins", ""), "configure", "CPU time"),
        (("l", "realloc-hoards", ""), "configure", ""),
        (("m", "realloc-nowhere", ""), "configure", ""),
        (("n", "bulk-spins", ""), "trial", "CPU time"),
        (("o", "post-return-spins", ""), "trial", "CPU time"),
        (("p", "endless-list", ""), "trial", ""),
        (("q", "answer-out-of-bounds", ""), "trial", ""),
        (("r", "unknown-variant", ""), "trial", ""),
        (("s", "fail", FAIL_AT_ONCE), "configure", "CPU time"),
        (("t", "fail", "[settings]\nwhen = \"\""), "trial", "unreachable"),
        (("u", "fail", "[settings]\nno-such = 1"), "configure", "no-such"),
        (("v", "schema-recurses", ""), "settings", "itself"),
        (("w", "schema-doubles", ""), "settings", "nested deeper"),
    ];
    let mut files: Vec<File<'_>> = CASES.iter().map(|(file, ..)| *file).collect();
    files.extend([("good", "upper", ""), ("small", "allow", ""), ("clock", "imports-clock", "grants = [\"clock\"]")]);
    let set = load(&files).await;
    let mut surprises = Vec::new();
    for ((id, guest, _), stage, word) in CASES {
        // What is wrong with settings is told of their file.
        let files = [format!("{id}.wasm"), format!("{id}.toml")];
        match set.problems.iter().find(|problem| files.contains(&problem.file)) {
            Some(problem) if problem.stage == stage && problem.message.contains(word) => {}
            other => surprises.push((guest, stage, other)),
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert_eq!(set.problems.len(), CASES.len(), "{:?}", set.problems);
    assert_eq!(made_of(policy(&set, "good"), "fine").await, "FINE");
    assert_eq!(made_of(policy(&set, "small"), "fine").await, "fine");
    assert_eq!(made_of(policy(&set, "clock"), "fine").await, "fine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_in_a_call_ends_as_its_failure_and_nobody_else_notices() {
    use FailureKind::{Answer, Deadline, Memory, Refused, Trap};
    const CASES: [(&str, &str, &str, FailureKind); 14] = [
        ("fail", "how = \"spin\"", "NOW", Deadline),
        ("fail", "how = \"trap\"", "NOW", Trap),
        ("fail", "how = \"recurse\"", "NOW", Trap),
        ("fail", "how = \"hoard\"", "NOW", Memory),
        ("decide", "verdict = \"err\"", "NOW", Refused),
        ("nonsense", "how = \"overlap\"", "NOW!", Answer),
        ("nonsense", "how = \"unordered\"", "NOW!", Answer),
        ("nonsense", "how = \"backwards\"", "NOW!", Answer),
        ("nonsense", "how = \"out-of-bounds\"", "NOW!", Answer),
        ("nonsense", "how = \"mid-character\"", "é NOW", Answer),
        ("nonsense", "how = \"hold-on-last\"", "NOW!", Answer),
        ("nonsense", "how = \"huge-text\"", "NOW!", Answer),
        ("nonsense", "how = \"many-edits\"", "NOW!", Answer),
        ("nonsense", "how = \"many-notes\"", "NOW!", Answer),
    ];
    let named: Vec<(String, &str, String)> = (0..)
        .zip(CASES)
        .map(|(number, (guest, settings, ..))| {
            // Enough for what is only slow in a debug build, and for a machine that does much else.
            let toml = format!("limits = {{ time_per_call = \"1s\" }}\n[settings]\n{settings}");
            (format!("p{number}"), guest, toml)
        })
        .collect();
    let mut files: Vec<File<'_>> = named.iter().map(|(id, guest, toml)| (id.as_str(), *guest, toml.as_str())).collect();
    files.push(("good", "upper", "limits = { time_per_call = \"1s\" }"));
    let set = load(&files).await;
    assert_eq!(set.problems, [], "all are harmless until their word comes");

    let good = Arc::clone(policy(&set, "good"));
    let neighbours: Vec<_> = (0..4).map(|_| tokio::spawn(neighbour(Arc::clone(&good)))).collect();
    let mut surprises = Vec::new();
    for ((id, ..), (guest, settings, text, kind)) in named.iter().zip(CASES) {
        let mut seat = policy(&set, id).guest(&about());
        seat.on_text(window("harmless", true)).await.unwrap();
        match seat.on_text(window(text, true)).await {
            Err(failure) if failure.kind == kind => {}
            other => surprises.push((guest, settings, other)),
        }
        let after = seat.on_text(window("harmless again", true)).await;
        assert_eq!(after.unwrap().verdict, Verdict::Allow, "{guest}, {settings}: the next instance works");
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    for neighbour in neighbours {
        assert_eq!(neighbour.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn too_much_hold_back_is_a_failure() {
    let toml = "limits = { hold_back = \"1KiB\" }\n[settings]\nhow = \"hold-all\"";
    let set = load(&[("nonsense", "nonsense", toml), ("hold", "hold", "[settings]\nbytes = 5")]).await;
    let mut guest = policy(&set, "nonsense").guest(&about());
    let text = "NOW".repeat(400);
    assert_eq!(guest.on_text(window(&text[..900], false)).await.unwrap().hold_back, 900);
    let failure = guest.on_text(window(&text, false)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answer, "{failure}");

    let mut guest = policy(&set, "hold").guest(&about());
    assert_eq!(guest.on_text(window("1234567", false)).await.unwrap().hold_back, 5);
    assert_eq!(guest.on_text(window("123456é", false)).await.unwrap().hold_back, 5);
    assert_eq!(guest.on_text(window("12é4567", false)).await.unwrap().hold_back, 6, "whole characters");
    assert_eq!(guest.on_text(window("1234567", true)).await.unwrap().hold_back, 0);
}

#[tokio::test]
async fn a_flood_of_log_lines_changes_nothing() {
    let toml = "limits = { time_per_call = \"5s\" }\n[settings]\nlines = 5000";
    let set = load(&[("chatty", "chatty", toml)]).await;
    assert_eq!(made_of(policy(&set, "chatty"), "talk NOW").await, "talk NOW");
}

#[tokio::test]
async fn no_exchange_sees_what_another_said() {
    let set = load(&[("leaky", "leaky", "")]).await;
    let (one, two) = (about(), about());
    let mut first = policy(&set, "leaky").guest(&one);
    let mut second = policy(&set, "leaky").guest(&two);
    for _ in 0..3 {
        let own = apply("", &first.on_text(window("secret of one", true)).await.unwrap());
        assert!(!own.contains("two"), "{own}");
        let own = apply("", &second.on_text(window("secret of two", true)).await.unwrap());
        assert!(!own.contains("one"), "{own}");
    }
    drop((first, second));
    for _ in 0..20 {
        assert_eq!(made_of(policy(&set, "leaky"), "").await, "‹›");
    }
}

#[tokio::test]
async fn state_lives_as_long_as_its_scope() {
    let of = |scope: &str| format!("grants = [\"state\"]\n[settings]\nscope = \"{scope}\"");
    let (exchange, whole) = (of("exchange"), of("policy"));
    let set = load(&[("one", "counter", &exchange), ("all", "counter", &whole)]).await;
    for expected in ["‹1›", "‹2›", "‹3›"] {
        assert_eq!(made_of(policy(&set, "one"), "").await, "‹1›", "a new exchange each time");
        assert_eq!(made_of(policy(&set, "all"), "").await, expected);
    }
    let mut guest = policy(&set, "one").guest(&about());
    for expected in ["‹1›", "‹2›"] {
        assert_eq!(apply("", &guest.on_text(window("", true)).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn callers_do_not_share_what_a_policy_keeps_for_each() {
    let set = load(&[("each", "counter", "grants = [\"state\"]\n[settings]\nscope = \"caller\"")]).await;
    for (issuer, subject, expected) in [
        ("https://idp", "ann", "‹1›"),
        ("https://idp", "ann", "‹2›"),
        ("https://idp", "bob", "‹1›"),
        ("https://other", "ann", "‹1›"),
        ("https://idp", "ann", "‹3›"),
    ] {
        let mut about = about();
        let caller = Caller { subject: subject.to_owned(), issuer: issuer.to_owned(), ..Caller::default() };
        Arc::get_mut(&mut about).unwrap().caller = caller.into();
        let mut guest = policy(&set, "each").guest(&about);
        let decision = guest.on_text(window("", true)).await.unwrap();
        assert_eq!(apply("", &decision), expected, "{subject} of {issuer}");
    }
}

#[tokio::test]
async fn each_unit_of_offsets_masks_alike() {
    let of = |unit: &str| format!("[settings]\nunit = \"{unit}\"");
    let (utf8, utf16, scalar) = (of("utf8"), of("utf16"), of("scalar"));
    let set = load(&[("utf8", "units", &utf8), ("utf16", "units", &utf16), ("scalar", "units", &scalar)]).await;
    for text in ["", "1", "a😀1é2 \u{661}日3", "😀😀9", "9😀", "é1é"] {
        let expected = text.replace(|char: char| char.is_ascii_digit(), "#");
        for unit in ["utf8", "utf16", "scalar"] {
            assert_eq!(made_of(policy(&set, unit), text).await, expected, "{unit}");
        }
    }
}

#[tokio::test]
async fn declared_patterns_reach_the_guest_as_hits() {
    let set = load(&[("find", "find", "")]).await;
    let find = policy(&set, "find");
    assert!(find.plan().only_on_hit);
    assert_eq!(find.scan("", "call 123-45", false).keep, 6);
    let text = "call 123-45-6789 now";
    let hits = find.scan("", text, true).hits;
    assert_eq!(hits, [Hit { pattern: 0, start: 5, end: 16 }]);
    let mut guest = find.guest(&about());
    let decision = guest.on_text(Window { hits: &hits, ..window(text, true) }).await.unwrap();
    assert_eq!(apply(text, &decision), "call [number] now");

    let bad = load(&[("find", "find", "[settings]\nregex = \"(\""), ("good", "upper", "")]).await;
    assert_eq!(bad.problems.len(), 1);
    assert!(bad.problems[0].message.contains("unclosed group"), "{:?}", bad.problems);
}

#[tokio::test]
async fn versions_of_one_policy_tell_themselves_apart() {
    let set = load(&[("a", "tag-1", ""), ("b", "tag-2", ""), ("c", "tag", "[settings]\ntag = \"mine\"")]).await;
    assert_eq!(made_of(policy(&set, "a"), "x").await, "‹tag-1›x");
    assert_eq!(made_of(policy(&set, "b"), "x").await, "‹tag-2›x");
    assert_eq!(made_of(policy(&set, "c"), "x").await, "‹mine›x");
}

#[tokio::test]
async fn verdicts_come_through() {
    let ask_toml = "[settings]\nverdict = \"ask\"\nat = [\"text\", \"tool\"]";
    let set = load(&[("block", "decide", ""), ("ask", "decide", ask_toml)]).await;
    let verdict = ask(policy(&set, "block"), "NOW").await.unwrap().verdict;
    assert!(matches!(verdict, Verdict::Block(refusal) if refusal.code == "test.block"));
    let mut guest = policy(&set, "ask").guest(&about());
    let decision = guest.on_tool_call("call_1", "deploy", "{\"when\":\"NOW\"}").await.unwrap();
    assert!(matches!(decision.verdict, Verdict::Ask(_)));
}
