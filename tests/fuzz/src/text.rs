//! Text as it reads, and patterns in it.

use std::sync::LazyLock;

use fold::{Folded, fold as folded};
use patterns::{PatternSpec, Patterns};

use crate::mutate::Dice;

/// Patterns like those of the shipped policies: each kind of check, plain and in encoded text.
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let specs = [
        (r"(?-u:\b)\d{3}-\d{2}-\d{4}(?-u:\b)", "ssn", 11),
        (r"\b(?:\d[ -]?){12,18}\d\b", "luhn", 37),
        (r"[a-z0-9.]{1,20}@[a-z0-9-]{1,20}\.[a-z]{2,8}", "", 60),
        ("(?i)пароль", "", 20),
        (r"secret\s{1,3}word", "", 20),
        ("AKIA[A-Z0-9]{6}", "decoded:", 10),
        (r"\d{3}-\d{2}-\d{4}", "decoded:ssn", 11),
    ];
    let spec = |(place, (regex, check, max_length)): (usize, &(&str, &str, u32))| PatternSpec {
        id: place.to_string(),
        regex: (*regex).to_owned(),
        check: (*check).to_owned(),
        max_length: *max_length,
    };
    let specs: Vec<_> = specs.iter().enumerate().map(spec).collect();
    Patterns::compile(&specs).expect("they are patterns")
});

/// An input: text. A stream's windows have the hits that the whole text has.
pub(crate) fn patterns(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let whole = PATTERNS.find(&text, &[]);
    for hit in &whole {
        assert!(hit.start < hit.end && text.get(hit.start..hit.end).is_some(), "{hit:?} is no place in the text");
    }
    let mut dice = Dice::of(input);
    for _ in 0..3 {
        let mut cuts = dice.cuts(text.len(), 6);
        cuts.iter_mut().for_each(|cut| *cut = text.floor_char_boundary(*cut));
        assert_eq!(windows(&text, &cuts), whole, "cut at {cuts:?}");
    }
}

/// Shows what was kept with what comes, and releases the rest.
fn windows(text: &str, cuts: &[usize]) -> Vec<model::Hit> {
    let (mut hits, mut released) = (Vec::new(), 0_usize);
    for (place, cut) in cuts.iter().copied().chain([text.len()]).enumerate() {
        let last = place == cuts.len();
        let before = &text[text.floor_char_boundary(released.saturating_sub(model::CONTEXT_BYTES))..released];
        let pending = &text[released..cut];
        let scan = PATTERNS.scan(before, pending, last);
        assert!(!last || scan.keep == 0, "keeps something at the end");
        let kept = pending.len() - scan.keep;
        assert!(pending.is_char_boundary(kept), "cuts a character");
        for hit in scan.hits {
            assert!(hit.end <= kept || hit.start >= kept, "{hit:?} crosses what is kept");
            if hit.end <= kept {
                hits.push(model::Hit { start: hit.start + released, end: hit.end + released, ..hit });
            }
        }
        released += kept;
    }
    hits.sort_by_key(|hit| (hit.start, hit.end, hit.pattern));
    hits
}

/// An input: text. Folding goes piece by piece, ends, and every place of it has one in the text.
pub(crate) fn fold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let whole = folded(&text);
    assert_eq!(folded(&whole), whole, "folding twice changes something");
    let cut = text.floor_char_boundary(Dice::of(input).below(text.len() + 1));
    let (one, two) = text.split_at(cut);
    assert_eq!([folded(one), folded(two)].concat(), whole, "cut at {cut}");
    let map = Folded::new(&text);
    assert_eq!(map.text(), whole);
    let places: Vec<usize> = map.text().char_indices().map(|(at, _)| at).chain([map.text().len()]).collect();
    let mut after = 0;
    for pair in places.windows(2) {
        let span = map.span(pair[0]..pair[1]);
        assert!(text.get(span.clone()).is_some() && span.start < span.end, "{pair:?} comes from {span:?}");
        assert!(span.start >= after || span.end >= after, "places go backwards");
        after = span.start;
    }
    assert!(map.span(0..map.text().len()).end <= text.len());
}
