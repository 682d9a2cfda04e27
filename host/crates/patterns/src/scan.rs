//! One scan of one reading of a window: which matches are settled, and from where on the text is undecided.
//!
//! Two steps, each of which most text never reaches: one pass of the automaton over the text says where a pattern may
//! match and what its end leaves undecided; and the exact engines look at those stretches. [`super::window`] makes hits
//! and a kept tail of it.
//!
//! What must hold: a scan that begins where an earlier one let go finds what one scan of the whole text finds. So it says
//! what the search for a pattern has passed over, such as a match: no tail may begin inside.

use std::{cell::OnceCell, sync::Arc};

use model::Hit;
use regex_automata::util::{
    look::{LookMatcher, LookSet},
    pool::Pool,
};

use crate::{
    NOWHERE,
    automaton::{Automaton, Memo, Stretch, Swept},
    exact::{Exact, Outcome},
    set::PatternSet,
    steps,
    way::{LONG, Way, by},
};

/// Steps that the search for the beginning of the tail may take, in longest matches; beyond, it settles for more tail.
const PROBE_BUDGET: usize = 32;

/// Longest tail, in longest matches: matches of different patterns that overlap one another in a chain end there.
const TAIL: usize = 8;

/// Stretches that a scan leaves room for, for the next.
const USUAL: usize = 1 << 10;

/// Patterns that are looked for together, and what finds them.
pub(crate) struct Engine {
    /// For each pattern, which of the plan's it is.
    pub(crate) members: Vec<u32>,
    /// All of them.
    pub(crate) all: PatternSet,
    pub(crate) exact: Vec<Exact>,
    /// For each pattern, the assertions that hold where a match begins.
    pub(crate) prefix_looks: Vec<LookSet>,
    pub(crate) automaton: Arc<Automaton>,
    pub(crate) pool: Pool<Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>,
    /// The longest of the patterns' `max_length`s.
    pub(crate) longest: usize,
    /// Bytes of the shortest match of any.
    pub(crate) shortest: usize,
}

/// What a scan of a reading leaves, in its offsets.
#[derive(Debug)]
pub(crate) struct Look {
    /// Matches that no further text can change; `pattern` counts the engine's.
    pub(crate) hits: Vec<Hit>,
    /// The first place at which a match may still begin or grow, or [`NOWHERE`].
    pub(crate) open: usize,
    /// What the searches passed over near the end, matches included.
    pub(crate) passed: Vec<(usize, usize)>,
    /// Whether it took long.
    pub(crate) was_long: bool,
}

impl Look {
    const NOTHING: Self = Self { hits: Vec::new(), open: NOWHERE, passed: Vec::new(), was_long: false };
}

/// What a scan works with. One per scan at a time, used again.
#[derive(Debug)]
pub(crate) struct Scratch {
    memo: Memo,
    stretches: Vec<Stretch>,
    /// For each pattern, the first place at which a match may still begin or grow.
    open: Vec<usize>,
    /// What the searches passed over, beginning and end: the tail must not begin inside.
    passed: Vec<(usize, usize)>,
    ends: Vec<usize>,
}

impl Scratch {
    pub(crate) fn new(memo: Memo) -> Self {
        Self { memo, stretches: Vec::new(), open: Vec::new(), passed: Vec::new(), ends: Vec::new() }
    }

    /// Goes through a text once.
    pub(crate) fn sweep(&mut self, automaton: &Automaton, text: &str) -> (Swept, &[Stretch]) {
        self.stretches.clear();
        let swept = automaton.sweep(&mut self.memo, text.as_bytes(), &mut self.stretches);
        (swept, &self.stretches)
    }

    /// Gives back what an unusual text needed.
    pub(crate) fn rest(&mut self) {
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

impl Engine {
    /// Looks for the patterns of `wanted`. Of `before` only the last character counts; `last`: nothing follows. What takes
    /// long is done the way `long`.
    pub(crate) fn look(&self, before: &str, (pending, last): (&str, bool), wanted: PatternSet, long: Way) -> Look {
        let mut scratch = self.pool.get();
        let scratch = &mut *scratch;
        let (swept, _) = scratch.sweep(&self.automaton, pending);
        steps::add(pending.len());
        scratch.stretches.retain(|stretch| wanted.contains(stretch.pattern));
        let undecided = if last { PatternSet::default() } else { swept.undecided.intersect(wanted) };
        if scratch.stretches.is_empty() && undecided.is_empty() {
            return Look::NOTHING;
        }
        let was_long = self.work(&scratch.stretches, undecided, pending.len()) >= LONG;
        let mut rest = || self.decide(scratch, before, pending, swept.quiet, undecided);
        let look = if was_long { by(long, rest) } else { rest() };
        scratch.rest();
        Look { was_long, ..look }
    }

    /// Bytes that there are to look at behind the pass, for each pattern that must look at them.
    fn work(&self, stretches: &[Stretch], undecided: PatternSet, length: usize) -> usize {
        let stretches: usize = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        stretches + undecided.iter().map(|pattern| length.min(self.exact[pattern].max_length)).sum::<usize>()
    }

    /// The rest of [`Self::look`], behind the pass.
    fn decide(&self, scratch: &mut Scratch, before: &str, pending: &str, quiet: usize, undecided: PatternSet) -> Look {
        let before = &before[before.floor_char_boundary(before.len().saturating_sub(1))..];
        let text = Text { before, pending, joined: OnceCell::new() };
        scratch.open.clear();
        scratch.open.resize(self.exact.len(), NOWHERE);
        self.open(scratch, &text, quiet, undecided);
        let hits = self.settle(scratch, &text, undecided);
        let open = scratch.open.iter().copied().min().unwrap_or(NOWHERE);
        let passed = scratch.passed.iter().copied().filter(|(start, _)| self.is_near(pending, *start)).collect();
        Look { hits, open, passed, was_long: false }
    }

    /// Whether a place is so near the end of the text that what begins there may reach into the tail.
    pub(crate) fn is_near(&self, text: &str, at: usize) -> bool {
        text.len() - at <= TAIL * self.longest
    }

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
            // Those that still reach from here to the end: a long one that is found leaves the short ones the end alone.
            let left = pending.len() - at;
            let sought: PatternSet = undecided.iter().filter(|pattern| left <= self.reach(*pattern)).collect();
            if sought.is_empty() {
                continue;
            }
            let (mut found, steps) = self.automaton.probe(&mut scratch.memo, &pending[at..], sought);
            steps::add(steps);
            if steps > budget {
                found = sought;
            }
            budget = budget.saturating_sub(steps);
            for pattern in found.intersect(sought).iter() {
                if budget == 0 || self.may_begin(pattern, text, at) {
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
}
