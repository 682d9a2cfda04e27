//! One scan of a window: which matches are settled, and from where on the text must be kept back.
//!
//! Three steps, each of which most text never reaches: one pass of the automaton over the text says where a pattern may
//! match and what its end leaves undecided; the exact engines look at those stretches; and the kept tail is the text from
//! the first place at which a match may still begin or grow.
//!
//! What must hold: a scan that begins where an earlier one let go finds what one scan of the whole text finds. So the tail
//! never begins inside of what the search for a pattern has passed over, such as a match.

use std::cell::OnceCell;

use model::{Hit, Scan};
use regex_automata::util::look::LookMatcher;

use super::{
    Patterns,
    automaton::{Memo, Stretch},
    exact::Outcome,
    set::PatternSet,
};

/// Steps that the search for the beginning of the tail may take, in longest matches; beyond, it settles for more tail.
const PROBE_BUDGET: usize = 32;

/// Longest tail, in longest matches: matches of different patterns that overlap one another in a chain end there.
const TAIL: usize = 2;

/// Stretches that a scan leaves room for, for the next.
const USUAL: usize = 1 << 10;

/// No place.
const NOWHERE: usize = usize::MAX;

/// What a scan works with. One per scan at a time, used again.
#[derive(Debug)]
pub(super) struct Scratch {
    memo: Memo,
    stretches: Vec<Stretch>,
    /// For each pattern, the first place at which a match may still begin or grow.
    open: Vec<usize>,
    /// What the searches passed over, beginning and end: the tail must not begin inside.
    passed: Vec<(usize, usize)>,
    ends: Vec<usize>,
}

impl Scratch {
    pub(super) fn new(memo: Memo) -> Self {
        Self { memo, stretches: Vec::new(), open: Vec::new(), passed: Vec::new(), ends: Vec::new() }
    }

    /// Gives back what an unusual text needed.
    fn rest(&mut self) {
        self.stretches.clear();
        self.stretches.shrink_to(USUAL);
        self.passed.clear();
        self.passed.shrink_to(USUAL);
    }
}

/// The text of a scan.
struct Text<'a> {
    /// The character before it, and nothing else.
    before: &'a str,
    pending: &'a str,
    /// `before` and `pending` in one, made when a pattern must see both.
    joined: OnceCell<String>,
}

impl Text<'_> {
    /// What to search for matches that begin at `from` or later, and how much further in that text they are. Nothing but
    /// assertions sees the character before a match.
    fn seen(&self, from: usize, looking: bool) -> (&str, usize) {
        if from > 0 || self.before.is_empty() || !looking {
            return (self.pending, 0);
        }
        let joined = self.joined.get_or_init(|| [self.before, self.pending].concat());
        (joined, self.before.len())
    }
}

/// See [`Patterns::scan`]. Only patterns of `wanted` are looked at.
pub(super) fn scan(patterns: &Patterns, before: &str, pending: &str, last: bool, wanted: PatternSet) -> Scan {
    let mut scratch = patterns.pool.get();
    let scratch = &mut *scratch;
    scratch.stretches.clear();
    let swept = patterns.automaton.sweep(&mut scratch.memo, pending.as_bytes(), &mut scratch.stretches);
    scratch.stretches.retain(|stretch| wanted.contains(stretch.pattern));
    let undecided = if last { PatternSet::default() } else { swept.undecided.intersect(wanted) };
    if scratch.stretches.is_empty() && undecided.is_empty() {
        return Scan::default();
    }
    let before = &before[before.floor_char_boundary(before.len().saturating_sub(1))..];
    let text = Text { before, pending, joined: OnceCell::new() };
    scratch.open.clear();
    scratch.open.resize(patterns.exact.len(), NOWHERE);
    patterns.open(scratch, &text, swept.quiet, undecided);
    let hits = patterns.settle(scratch, &text, undecided);
    let keep = patterns.tail(scratch, pending.len());
    scratch.rest();
    Scan { hits, keep }
}

impl Patterns {
    /// Finds for each pattern of `undecided` the first place from `from` on at which a match may still begin or grow.
    fn open(&self, scratch: &mut Scratch, text: &Text<'_>, from: usize, mut undecided: PatternSet) {
        let pending = text.pending.as_bytes();
        let longest = undecided.iter().map(|pattern| self.reach(pattern)).max().unwrap_or(0);
        let mut budget = PROBE_BUDGET * longest;
        for at in from.max(pending.len().saturating_sub(longest))..pending.len() {
            if undecided.is_empty() {
                return;
            }
            if !text.pending.is_char_boundary(at) || !self.automaton.begins_with(pending[at]) {
                continue;
            }
            let (mut found, steps) = self.automaton.probe(&mut scratch.memo, &pending[at..]);
            if steps > budget {
                found = undecided;
            }
            budget = budget.saturating_sub(steps);
            for pattern in found.intersect(undecided).iter() {
                if pending.len() - at <= self.reach(pattern) && (budget == 0 || self.may_begin(pattern, text, at)) {
                    scratch.open[pattern] = at;
                    undecided.remove(pattern);
                }
            }
        }
    }

    /// How many bytes before the end of the text a match may begin that the text leaves undecided.
    fn reach(&self, pattern: usize) -> usize {
        // One that is as long as it may be is decided, unless it must know the next character.
        self.exact[pattern].max_length - usize::from(!self.automaton.is_looking(pattern))
    }

    /// Whether the assertions at the beginning of the pattern hold at this place.
    fn may_begin(&self, pattern: usize, text: &Text<'_>, at: usize) -> bool {
        let looks = self.prefix_looks[pattern];
        if looks.is_empty() {
            return true;
        }
        let (seen, shift) = text.seen(at, true);
        LookMatcher::new().matches_set(looks, seen.as_bytes(), at + shift)
    }

    /// Finds the matches that no further text can change, and moves the open places behind them.
    fn settle(&self, scratch: &mut Scratch, text: &Text<'_>, undecided: PatternSet) -> Vec<Hit> {
        let mut hits = Vec::new();
        scratch.passed.clear();
        let mut stretches = std::mem::take(&mut scratch.stretches);
        stretches.sort_by_key(|stretch| (stretch.pattern, stretch.start));
        for group in stretches.chunk_by(|one, other| one.pattern == other.pattern) {
            self.settle_one(scratch, text, group, undecided, &mut hits);
        }
        scratch.stretches = stretches;
        hits.sort_by_key(|hit| (hit.start, hit.end, hit.pattern));
        hits
    }

    /// [`Self::settle`] for one pattern.
    fn settle_one(
        &self,
        scratch: &mut Scratch,
        text: &Text<'_>,
        stretches: &[Stretch],
        undecided: PatternSet,
        hits: &mut Vec<Hit>,
    ) {
        let Some(pattern) = stretches.first().map(|stretch| stretch.pattern) else {
            return;
        };
        let exact = &self.exact[pattern];
        let looking = self.automaton.is_looking(pattern);
        let mut from = 0;
        for stretch in stretches {
            from = from.max(stretch.start);
            let (seen, shift) = text.seen(from, looking);
            while let Some(found) = exact.leftmost(seen, from + shift, stretch.end + shift) {
                let start = found.start() - shift;
                if start >= scratch.open[pattern] {
                    return;
                }
                match exact.judge(seen, found, &mut scratch.ends) {
                    Outcome::Hit(end) => {
                        from = end - shift;
                        hits.push(Hit { pattern: u32::try_from(pattern).unwrap_or(u32::MAX), start, end: from });
                    }
                    Outcome::Miss(next) => from = next - shift,
                }
                // Only what lies near the end can meet the tail.
                if from + TAIL * self.longest >= text.pending.len() {
                    scratch.passed.push((start, from));
                }
                if scratch.open[pattern] < from {
                    scratch.open[pattern] = NOWHERE;
                    let only: PatternSet = [pattern].into_iter().collect();
                    self.open(scratch, text, from, only.intersect(undecided));
                }
            }
        }
    }

    /// The bytes to keep.
    fn tail(&self, scratch: &mut Scratch, length: usize) -> usize {
        let mut cut = scratch.open.iter().copied().min().unwrap_or(NOWHERE).min(length);
        if cut == length {
            return 0;
        }
        scratch.passed.sort_unstable();
        for (start, end) in scratch.passed.iter().rev() {
            if *start < cut && cut < *end && length - start <= TAIL * self.longest {
                cut = *start;
            }
        }
        length - cut
    }
}
