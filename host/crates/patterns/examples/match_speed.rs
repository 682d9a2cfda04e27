//! How long native matching takes, in nanoseconds a call: `cargo run --release -p patterns --example match_speed`.
//!
//! The figures are for the event of a stream (20 new bytes) and for 4 KiB and 1 MiB at once, with the patterns of a typical
//! policy, on clean text, on text with hits, and on text in another script.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on stops")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use patterns::{PatternSpec, Patterns};

/// How long each case is repeated.
const WHILE: Duration = Duration::from_millis(200);
/// How long one measurement takes, at least: eight calls.
const BATCH: Duration = Duration::from_micros(100);

const PROSE: &str = "The quick brown fox jumps over the lazy dog, and then it goes on to read what the model had to say about \
                     streams, policies and gates; nothing of it is secret. ";
const GREEK: &str = "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί, και μετά συνεχίζει να διαβάζει. ";

fn spec(regex: &str, check: &str, max_length: u32) -> PatternSpec {
    PatternSpec { id: regex.to_owned(), regex: regex.to_owned(), check: check.to_owned(), max_length }
}

fn personal() -> Vec<PatternSpec> {
    vec![
        spec(r"\b\d{3}-\d{2}-\d{4}\b", "ssn", 11),
        spec(r"\b(?:\d[ -]?){12,18}\d\b", "luhn", 37),
        spec(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b", "", 254),
        spec(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b", "iban", 68),
        spec(r"(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b", "", 24),
        spec(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b", "", 15),
    ]
}

fn secrets() -> Vec<PatternSpec> {
    let prefixes = [
        "AKIA",
        "ASIA",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "sk-",
        "sk-ant-",
        "xoxb-",
        "xoxp-",
        "AIza",
        "ya29.",
        "npm_",
        "pypi-",
        "dop_v1_",
        "shpat_",
        "sq0atp-",
        "rk_live_",
        "sk_live_",
        "pk_live_",
        "SG.",
        "key-",
        "hf_",
        "dckr_pat_",
        "lin_api_",
        "EAAC",
        "glsa_",
        "hvs.",
    ];
    let mut specs: Vec<_> = prefixes
        .iter()
        .map(|prefix| spec(&format!(r"\b{}[A-Za-z0-9_-]{{16,80}}", prefix.replace('.', r"\.")), "", 100))
        .collect();
    specs.push(spec(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----", "", 8192));
    specs
}

/// Text in these characters that leads the automaton to ever new states.
fn noise(characters: &[u8; 32], length: usize) -> String {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(characters[(seed >> 27) as usize])
    };
    (0..length).map(|_| next()).collect()
}

/// Nanoseconds a call: of the quickest batch, so that a busy machine disturbs little.
fn time(mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < WHILE {
        let (start, mut calls) = (Instant::now(), 0.0);
        while start.elapsed() < BATCH {
            for _ in 0..8 {
                call();
            }
            calls += 8.0;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / calls);
    }
    best
}

fn report(name: &str, bytes: usize, nanoseconds: f64) {
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    println!("  {name:<44} {nanoseconds:>12.0} ns  {:>8.0} MB/s", bytes / nanoseconds * 1e3);
}

fn measure(title: &str, specs: &[PatternSpec]) {
    let start = Instant::now();
    let patterns = Patterns::compile(specs).unwrap();
    println!("{title}: {} patterns, compiled in {:.1} ms", specs.len(), start.elapsed().as_secs_f64() * 1e3);
    let scan = |name: &str, before: &str, text: &str, last: bool| {
        report(name, text.len(), time(|| drop(black_box(patterns.scan(before, black_box(text), last)))));
    };
    scan("an event, 20 bytes of prose", "so ", "the quick brown fox ", false);
    scan("an event, ends within a word", "so ", "the quick brown foxe", false);
    scan("an event, ends within a number", "so ", "please call 555-123-", false);
    scan("an event, 20 bytes of Greek", "α", "γρήγορη α", false);
    scan("an event with a key in it", " ", "the key AKIAABCDEFGHIJKLMNOP, it is secret", false);
    let held = format!("-----BEGIN PRIVATE KEY-----\n{}", "MIIEvQIBADANBgkqhkiG9w0BAQ\n".repeat(80));
    scan("an event, 2 KiB of a private key held", " ", &held, false);
    for (size, text) in [("4 KiB", PROSE.repeat(27)), ("1 MiB", PROSE.repeat(6900))] {
        scan(&format!("{size} of prose, streamed"), "", &text, false);
        scan(&format!("{size} of prose, whole"), "", &text, true);
    }
    scan("4 KiB of Greek", "", &GREEK.repeat(25), true);
    scan("4 KiB of digits", "", &"4929 1234 5678 ".repeat(270), true);
    scan("4 KiB of base64", "", &"AKIAq0ghp_Zm9vYmFyYmF6cXV4Cg2Ft".repeat(132), true);
    scan("256 KiB of noise", "", &noise(b"ABCDEFGHKLMNPQRSTUVWXYZ012345678", 256 << 10), true);
    scan("1 KiB of hexadecimal digits", "", &noise(b"0123456789abcdef0123456789abcdef", 1 << 10), false);
    scan(
        "4 KiB with a hit in each line",
        "",
        &format!("{PROSE} mail a.b@example.com or 123-45-6789\n").repeat(20),
        true,
    );
}

fn main() {
    measure("personal data", &personal());
    measure("secrets", &secrets());
    let all: Vec<_> = personal().into_iter().chain(secrets()).collect();
    measure("all", &all);
}
