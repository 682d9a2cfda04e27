//! Patterns of a plan, and the relay's side of a stream.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use model::{CONTEXT_BYTES, Hit};
use patterns::{PatternSpec, Patterns};

pub(crate) fn spec(regex: &str, check: &str, max_length: u32) -> PatternSpec {
    PatternSpec { id: format!("{regex} {check}"), regex: regex.to_owned(), check: check.to_owned(), max_length }
}

pub(crate) fn compile(specs: &[PatternSpec]) -> Patterns {
    Patterns::compile(specs).unwrap()
}

/// What personal data and secrets look like.
pub(crate) fn menu() -> Vec<PatternSpec> {
    vec![
        spec(r"(?-u:\b)\d{3}-\d{2}-\d{4}(?-u:\b)", "ssn", 11),
        spec(r"\b(?:\d[ -]?){12,18}\d\b", "luhn", 37),
        spec(r"[a-z0-9.]{1,20}@[a-z0-9-]{1,20}\.[a-z]{2,8}", "", 60),
        spec("AKIA[A-Z0-9]{6}", "", 10),
        spec("(?i)пароль", "", 20),
        spec(r"secret\s{1,3}word", "", 20),
    ]
}

/// Shows what was kept with what comes, releases the rest; the hits, as the whole text counts.
pub(crate) fn flow(patterns: &Patterns, text: &str, cuts: &[usize]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut released = 0;
    for (index, cut) in cuts.iter().copied().chain([text.len()]).enumerate() {
        let last = index == cuts.len();
        let before = &text[text.floor_char_boundary(released_before(released))..released];
        let pending = &text[released..cut];
        let scan = patterns.scan(before, pending, last);
        assert!(!last || scan.keep == 0, "keeps {} at the end", scan.keep);
        let kept = pending.len() - scan.keep;
        assert!(pending.is_char_boundary(kept), "cuts a character");
        for hit in scan.hits {
            assert!(hit.end <= kept || hit.start >= kept, "{hit:?} crosses {kept}");
            if hit.end <= kept {
                hits.push(Hit { start: hit.start + released, end: hit.end + released, ..hit });
            }
        }
        released += kept;
    }
    hits.sort_by_key(|hit| (hit.start, hit.end, hit.pattern));
    hits
}

fn released_before(released: usize) -> usize {
    released.saturating_sub(CONTEXT_BYTES)
}

/// The text cut at every character gives what the whole gives, which is this.
pub(crate) fn everywhere(patterns: &Patterns, text: &str) -> Vec<Hit> {
    let whole = patterns.find(text, &[]);
    let every: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    assert_eq!(flow(patterns, text, &every), whole, "one character at a time: {text:?}");
    for cut in every {
        assert_eq!(flow(patterns, text, &[cut]), whole, "cut at {cut}: {text:?}");
    }
    whole
}

/// What the hits cover.
pub(crate) fn covered<'t>(text: &'t str, hits: &[Hit]) -> Vec<&'t str> {
    hits.iter().map(|hit| &text[hit.start..hit.end]).collect()
}
