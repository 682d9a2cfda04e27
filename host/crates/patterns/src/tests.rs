//! The matcher against the plain `regex` crate, and against itself with the text cut anywhere.

use model::{CONTEXT_BYTES, Hit};
use proptest::prelude::*;
use regex_automata::{Anchored, Input, meta};

use super::{check::Check, exact::Exact, *};

fn spec(regex: &str, check: &str, max_length: u32) -> PatternSpec {
    PatternSpec { id: regex.to_owned(), regex: regex.to_owned(), check: check.to_owned(), max_length }
}

fn compile(specs: &[PatternSpec]) -> Patterns {
    Patterns::compile(specs).unwrap_or_else(|problem| panic!("{}", problem.message))
}

fn one(regex: &str, check: &str, max_length: u32) -> Patterns {
    compile(&[spec(regex, check, max_length)])
}

fn longest(patterns: &Patterns) -> usize {
    [&patterns.plain, &patterns.decoded].into_iter().flatten().map(|engine| engine.longest).max().unwrap_or(0)
}

/// What the relay does: shows what was kept with what comes, releases the rest.
fn flow(patterns: &Patterns, text: &str, cuts: &[usize]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut released = 0_usize;
    let bound = cuts.iter().copied().chain([text.len()]);
    for (index, cut) in bound.enumerate() {
        let last = index == cuts.len();
        let before = &text[text.floor_char_boundary(released.saturating_sub(CONTEXT_BYTES + index % 70))..released];
        let pending = &text[released..cut];
        let scan = patterns.scan(before, pending, last);
        assert!(!last || scan.keep == 0, "keeps {} at the end", scan.keep);
        assert!(!text.is_ascii() || scan.keep <= 8 * longest(patterns), "keeps {}", scan.keep);
        let kept = pending.len() - scan.keep;
        assert!(pending.is_char_boundary(kept));
        for hit in &scan.hits {
            assert!(hit.end <= kept || hit.start >= kept, "{hit:?} crosses {kept}");
        }
        let settled = scan.hits.into_iter().filter(|hit| hit.end <= kept);
        hits.extend(settled.map(|hit| Hit { start: hit.start + released, end: hit.end + released, ..hit }));
        released += kept;
    }
    hits.sort_by_key(|hit| (hit.start, hit.end, hit.pattern));
    hits
}

/// Hits by definition, with no automaton: for texts in which no match is longer than the pattern's bound.
fn reference(specs: &[PatternSpec], text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (pattern, spec) in (0..).zip(specs) {
        let regex = regex::Regex::new(&spec.regex).unwrap();
        let whole = regex::Regex::new(&format!(r"\A(?:{})", spec.regex)).unwrap();
        let check = Check::parse(&spec.check).unwrap();
        let mut ends = Vec::new();
        let mut from = 0;
        while let Some(found) = regex.find_at(text, from) {
            assert!(found.len() <= spec.max_length as usize, "{found:?} is longer than its pattern's bound");
            check.ends(found.as_str(), &mut ends);
            // Only for patterns without assertions may the text be cut to look for shorter matches.
            let good = ends.iter().rev().map(|end| found.start() + end).find(|end| {
                *end == found.end()
                    || whole
                        .find(&text[found.start()..*end])
                        .is_some_and(|shorter| shorter.end() == end - found.start())
            });
            from = match good {
                Some(end) => {
                    hits.push(Hit { pattern, start: found.start(), end });
                    end
                }
                None => found.start() + check.step(found.as_str()),
            };
        }
    }
    hits.sort_by_key(|hit| (hit.start, hit.end, hit.pattern));
    hits
}

/// Patterns of all kinds, with the longest match that the texts below can give.
fn menu() -> Vec<PatternSpec> {
    vec![
        spec(r"\b\d{3}-\d{2}-\d{4}\b", "", 200),
        spec(r"(?:\d[ -]?){13,19}", "luhn", 200),
        spec(r"[\w.]+@\w+\.\w+", "", 400),
        spec(r"AKIA[A-Z0-9]{4}", "", 200),
        spec(r"(?m)^#.*$", "", 400),
        spec(r"^a+", "", 400),
        spec(r"a+b*$", "", 400),
        spec(r"a*b", "", 400),
        spec(r"ab|abc|abcd", "", 200),
        spec(r"abcd|ab", "", 200),
        spec(r"a.*?c", "", 400),
        spec(r"\bé\w*\b", "", 400),
        spec(r"\B1+\B", "", 400),
        spec(r"(?i)straße", "", 200),
        spec(r"[^\x00-\x7F]+", "", 400),
        spec(r"[a-d]{4,}", "entropy:1.5", 400),
        spec(r"\b(?:\d[ -]?){4,8}\b", "", 200),
        spec(r"-----BEGIN[\s\S]*?-----END", "", 400),
        spec(r"\b{start}ab|1\b{end}", "", 200),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ab]{1,4}", 2 => "[a-d1]{1,6}", 2 => "[0-9]{1,5}", 2 => "[ .@#\n-]{1,2}", 1 => "[éßſ٣日a]{1,3}",
        1 => Just("123-45-6789".to_owned()), 1 => Just("4111 1111 1111 1111".to_owned()), 1 => Just("AKIAAKIA12".to_owned()),
        1 => Just("-----BEGIN x".to_owned()), 1 => Just("-----END".to_owned()), 1 => Just("Straße".to_owned()),
        1 => Just("é@b.c".to_owned()),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn cut_anywhere(text: &str, cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_whole_text_gives_what_the_regex_crate_gives(text in text(), chosen in prop::sample::subsequence(menu(), 1..6)) {
        let patterns = compile(&chosen);
        let (found, expected) = (patterns.find(&text, &[]), reference(&chosen, &text));
        // Text that reads otherwise than it stands has more to be found.
        let covers = |hit: &Hit, by: &Hit| by.pattern == hit.pattern && by.start <= hit.start && hit.end <= by.end;
        prop_assert!(expected.iter().all(|hit| found.iter().any(|by| covers(hit, by))), "{:?}, not {:?}", found, expected);
        if fold::fold(&text) == text {
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_cut_text_gives_what_the_whole_gives(
        text in text(),
        chosen in prop::sample::subsequence(menu(), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let patterns = compile(&chosen);
        let cuts = cut_anywhere(&text, &cuts);
        prop_assert_eq!(flow(&patterns, &text, &cuts), patterns.find(&text, &[]));
    }

    /// Matches longer than their bound are clipped, and where they are clipped doesn't depend on the cuts either.
    #[test]
    fn short_bounds_hold_over_any_cut(
        text in text(),
        chosen in prop::sample::subsequence(menu(), 1..4),
        bound in 13_u32..24,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let short: Vec<_> = chosen.into_iter().map(|spec| PatternSpec { max_length: bound, ..spec }).collect();
        let Ok(patterns) = Patterns::compile(&short) else { return Ok(()) };
        let cuts = cut_anywhere(&text, &cuts);
        let whole = patterns.find(&text, &[]);
        let read = |hit: &Hit| fold::fold(&text[hit.start..hit.end]).len().min(hit.end - hit.start);
        prop_assert!(whole.iter().all(|hit| read(hit) <= bound as usize));
        prop_assert_eq!(flow(&patterns, &text, &cuts), whole);
    }

    #[test]
    fn char_by_char(text in text(), chosen in prop::sample::subsequence(menu(), 1..6)) {
        let patterns = compile(&chosen);
        let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        prop_assert_eq!(flow(&patterns, &text, &cuts), patterns.find(&text, &[]));
    }
}

#[test]
fn keeps_only_what_may_still_match() {
    let card = one(r"\b(?:\d[ -]?){12,18}\d\b", "luhn", 64);
    for (text, keep) in [
        ("", 0),
        ("The rain in Spain", 0),
        ("room 101", 3),
        ("a1", 0),
        ("4111 1111 ", 10),
        ("4111 1111.", 0),
        ("x 4", 1),
    ] {
        assert_eq!(card.scan("", text, false).keep, keep, "{text:?}");
    }
    assert_eq!(card.scan("a", "1", false).keep, 0, "no boundary between a and 1");
    assert_eq!(card.scan(" ", "1", false).keep, 1);
    let key = one("AKIA[A-Z0-9]{16}", "", 20);
    for (text, keep) in [("AK", 2), ("AKI ", 0), ("xAKIAABCDEFGHIJKLMNO", 19), ("xAKIAABCDEFGHIJKLMNOP.", 0)] {
        assert_eq!(key.scan("", text, false).keep, keep, "{text:?}");
    }
    assert_eq!(key.scan("", "xAKIAABCDEFGHIJKLMNOP.", false).hits.len(), 1);
    let at_the_end = key.scan("", "xAKIAABCDEFGHIJKLMNOP", false);
    assert_eq!((at_the_end.hits.len(), at_the_end.keep), (0, 20), "a mark may follow");
}

#[test]
fn what_is_kept_is_bounded() {
    let patterns = one(r"x[\s\S]*y", "", 100);
    let text = format!("x{}", "a".repeat(5000));
    for end in 1..text.len() {
        assert!(patterns.scan("", &text[..end], false).keep <= 100);
    }
    assert_eq!(patterns.scan("", &text, false).keep, 0, "the x is too far back");
}

#[test]
fn a_failed_check_hides_nothing() {
    let card = one(r"(?:\d[ -]?){13,19}", "luhn", 64);
    for number in 10..100 {
        // Digits next to the card may pass together with most of it; most of it is found anyway.
        for (text, from) in [(format!("{number} 4111 1111 1111 1111"), 3), (format!("4111 1111 1111 1111 {number}"), 0)]
        {
            let hits = card.find(&text, &[]);
            assert!(hits.iter().any(|hit| hit.end.min(from + 19) - hit.start.max(from) >= 12), "{text}: {hits:?}");
        }
    }
}

#[test]
fn finds_only_the_patterns_asked_for() {
    let patterns = compile(&[spec("a", "", 1), spec("b", "", 1)]);
    assert_eq!(patterns.find("ab", &[1]), [Hit { pattern: 1, start: 1, end: 2 }]);
    assert_eq!(patterns.find("ab", &[]).len(), 2);
    assert!(patterns.find("ab", &[7]).is_empty());
    assert!(compile(&[]).find("ab", &[]).is_empty());
    assert!(compile(&[]).is_empty());
}

#[test]
fn long_texts_and_prefilters() {
    let patterns =
        compile(&[spec("ghp_[A-Za-z0-9]{36}", "", 40), spec("p_[a-z]+!", "", 40), spec("sk-[a-z]{20}", "", 23)]);
    let filler = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let token = format!("ghp_{}", "a1".repeat(18));
    let text = format!("{filler}{token} {filler}p_abc! {filler}gh");
    let hits = patterns.find(&text, &[]);
    assert_eq!(hits.iter().map(|hit| &text[hit.start..hit.end]).collect::<Vec<_>>(), [token.as_str(), "p_abc!"]);
    assert_eq!(patterns.scan("", &text, false).keep, 2);
    for cut in text.len() - 60..text.len() {
        assert_eq!(flow(&patterns, &text, &[cut]), hits);
    }
}

#[test]
fn says_what_is_wrong_with_a_pattern() {
    for (regex, check, max_length, word) in [
        ("a(b", "", 9, "unclosed group"),
        ("a*", "", 9, "empty text"),
        ("[a&&b]", "", 9, "never match"),
        ("abcd", "", 3, "shortest match has 4"),
        ("a", "lhun", 3, "luhn"),
        ("a", "", 0, "1 to 16384"),
        ("a", "", 1 << 20, "1 to 16384"),
        ("a", "luhn", 600, "1 to 512"),
        (r"(?:\w{100}){100}", "", 16384, "limit of 4194304"),
        (r"(?-u:\xFF)", "", 9, "UTF-8"),
    ] {
        let problem = Patterns::compile(&[spec("x", "", 1), spec(regex, check, max_length)]).unwrap_err();
        assert_eq!(problem.index, 1);
        assert!(problem.message.contains(word), "{regex}: {}", problem.message);
    }
    let many: Vec<_> = (0..=MAX_PATTERNS).map(|_| spec("a", "", 1)).collect();
    assert_eq!(Patterns::compile(&many).unwrap_err().index, MAX_PATTERNS);
    assert!(Patterns::compile(&[PatternSpec { id: String::new(), ..spec("a", "", 1) }]).is_err());
}

/// Text made to need new states all the time: the pass gives up, and the exact engines find the same.
#[test]
fn text_that_needs_ever_new_states() {
    let patterns =
        compile(&[spec("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", "iban", 64), spec("[A-Z].{0,200}[0-9]!", "", 900)]);
    let mut seed = 7_u32;
    let text: String = (0..20_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b"ABCDEFGH01234567"[(seed >> 28) as usize])
        })
        .collect();
    let whole = patterns.find(&text, &[]);
    assert_eq!(flow(&patterns, &text, &[1000, 5000, 5001, 19_000]), whole);
}

/// The bytes looked at, for texts made to be looked at again and again, are at most so many times those of the text.
#[test]
fn time_is_linear_whatever_the_text() {
    const TIMES: usize = 400;
    let patterns = compile(&[
        spec(r"\b(?:\d[ -]?){12,18}\d\b", "luhn", 37),
        spec(r"(?:[a-z0-9]+\.)+[a-z]{2,8}@", "", 64),
        spec("[A-Za-z0-9+/]{20,60}", "entropy:4.5", 64),
        spec(r"x[\s\S]{0,60}y", "", 64),
        spec(r"(?:\d[ -]?){13,19}", "decoded:luhn", 64),
        spec("п[а-я]{1,20}!", "", 64),
    ]);
    let hostile = [
        "1",
        "1 ",
        "a.",
        "x",
        "aB3",
        "4111-",
        "&#",
        "%3",
        "\\u00",
        "MDc4",
        "MTEx",
        "31",
        "0\u{301}",
        "\u{200B}",
        "½",
        "１",
        "п",
        "4\u{200B}1\u{AD}",
        "\0",
        "4\u{1}1\0",
        "&#x31;",
        "\\u0031",
        "%31",
        "x１",
        "ÿÿÿ",
        "日",
    ];
    for piece in hostile {
        let text = piece.repeat(20_000_usize.div_ceil(piece.len()));
        steps::take();
        let _ = patterns.find(&text, &[]);
        let whole = steps::take();
        assert!(whole <= TIMES * text.len(), "{piece:?}: {} times", whole / text.len());
        let _ = patterns.find(&text[..text.floor_char_boundary(text.len() / 2)], &[]);
        let half = steps::take();
        assert!(whole <= 3 * half + TIMES, "{piece:?}: {half}, then {whole}");
    }
}

thread_local! {
    /// How often work was given away.
    static GIVEN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn count(work: &mut dyn FnMut()) {
    GIVEN.with(|given| given.set(given.get() + 1));
    work();
}

fn do_nothing(_: &mut dyn FnMut()) {
    GIVEN.with(|given| given.set(given.get() + 1));
}

/// What takes long is known in its middle, and finds the same in whatever way it is done.
#[test]
fn what_takes_long_is_given_away_and_nothing_else() {
    let kinds = || {
        let dense: Vec<_> = (0..20).map(|at| spec(&format!("[0-9][0-9a-f]{{{at},40}}x?"), "", 64)).collect();
        let encoded = spec("[a-z]{8,40}", "decoded:", 64);
        dense.into_iter().chain([encoded]).collect::<Vec<_>>()
    };
    let here = compile(&kinds());
    let digits: String = (0..4_000_u64).map(|at| format!("{:x}", at * at * 7_919 % 16)).collect();
    for way in [count, do_nothing] {
        let other = compile(&kinds()).doing_what_takes_long(way);
        for (text, expected) in
            [("ghijklm ".repeat(1_000), false), (digits[..40].to_owned(), false), (digits.clone(), true)]
        {
            for last in [false, true] {
                GIVEN.take();
                assert_eq!(other.scan("", &text, last), here.scan("", &text, last));
                assert_eq!(GIVEN.take() > 0, expected, "{} bytes, last: {last}", text.len());
            }
        }
        assert!(!other.find(&digits, &[]).is_empty());
        assert_eq!(GIVEN.take(), 0, "whoever asks for it waits");
    }
}

/// Kinds as `mask` ships them, whose matches may be long, and one whose match may begin wherever it begins.
fn long_ones() -> Vec<PatternSpec> {
    let begin = "-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----";
    let end = "-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----";
    vec![
        spec(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}", "", 254),
        spec(&format!("{begin}(?s:.*?){end}"), "", 16384),
        spec(&format!(r"{begin}(?:(?:\s|\\[rn])*[A-Za-z0-9+/]{{16,}}={{0,2}})*"), "", 16384),
        spec("§(?s:.*?)¶", "", 16384),
    ]
}

/// A match that is too long is not searched to its far end again from every place behind its beginning.
#[test]
fn matches_that_are_too_long_take_linear_time_too() {
    const TIMES: usize = 60;
    let begin = "-----BEGIN PRIVATE KEY-----";
    let end = "-----END PRIVATE KEY-----";
    let patterns = compile(&long_ones());
    let hostile = [
        format!("{}@b.co ", "a".repeat(1900)),
        format!("{}@b.co ", "a".repeat(260)),
        format!("{}{end}", begin.repeat(4500)),
        format!("{}{end}", begin.repeat(610)),
        format!("{}¶", "§".repeat(60_000)),
        format!("{}¶", "§".repeat(8_200)),
        format!("§{}¶", " ".repeat(17_000)),
    ];
    for piece in hostile {
        let text = piece.repeat(250_000_usize.div_ceil(piece.len()));
        steps::take();
        let hits = patterns.find(&text, &[]);
        let times = steps::take() / text.len();
        assert!(times <= TIMES, "{:?}: {times} times, {} hits", &piece[..2], hits.len());
    }
}

/// What a long match leaves undecided is not probed for again where only short ones can still reach the end.
#[test]
fn a_long_beginning_at_the_end_of_a_text_is_looked_at_a_few_times() {
    let patterns = compile(&long_ones());
    let text = format!("{}M", "-----BEGIN PRIVATE KEY-----".repeat(600));
    steps::take();
    let scan = patterns.scan("", &text, false);
    let times = steps::take() / text.len();
    assert!(scan.keep >= 16_000, "{}", scan.keep);
    assert!(times <= 12, "{times} times");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What counts is the first place at which the pattern matches with no more than `max_length` bytes, however far other
    /// matches reach.
    #[test]
    fn the_first_match_that_is_not_too_long_is_found(
        text in prop_oneof![text(), "[aé]{0,30}(x{0,9}[aé]{0,30}[bc]){0,4}"],
        which in 0_usize..6,
        max_length in 2_usize..30,
    ) {
        let regex = ["a.*?c", "[aé].{25,40}b|xa", "(?s:[aé].*)b", "x.{3,}c|[aé]b", r"\ba[\w]*\b", "é.*?[bc]|a{3}x"][which];
        let exact = Exact { regex: meta::Regex::new(regex).unwrap(), check: Check::None, max_length };
        let anchored = |start: usize| {
            let end = text.floor_char_boundary(start + max_length);
            exact.regex.search(&Input::new(&text).range(start..end).anchored(Anchored::Yes))
        };
        let starts = || text.char_indices().map(|(at, _)| at);
        for from in starts() {
            let first = starts().filter(|start| *start >= from).find_map(anchored);
            prop_assert_eq!(exact.leftmost(&text, from, text.len()), first, "from {}", from);
        }
    }
}

/// Patterns in ASCII are the same for text that was folded, and cost nothing more.
#[test]
fn only_patterns_that_name_what_folds_are_written_otherwise() {
    for regex in [
        r"(?i)\bstra(?:ss)e\s\w+",
        r"[ \x{a0}\x{2007}\x{202f}\-\x{2010}-\x{2015}\x{2212}]x",
        r"\p{Cyrillic}+",
        "日本",
        "[^\x00-\x7F]",
    ] {
        assert!(one(regex, "", 100).folded.is_none(), "{regex}");
    }
    for regex in ["пароль", "(?i)Пароль", "straße|naïve", "１{3}"] {
        assert!(one(regex, "", 100).folded.is_some(), "{regex}");
    }
}
