//! Exact matches of one pattern, as the `regex` crate finds them, bounded in length and checked.
//!
//! What counts as a match at a place depends on the `max_length` bytes from there on and on one character to each side,
//! and on nothing else; that is why a text gives the same matches however it is cut. Of the ways in which a pattern matches
//! at a place, the one that the pattern prefers counts, among those that are not longer than `max_length`. A match that
//! fails its check gives way to shorter ones at the same place, and then to those that begin after it.

use regex_automata::{Anchored, Input, Match, meta};

use crate::{check::Check, steps};

/// How far one search looks, in `max_length`s: far enough that each gets on by as much as it overlaps the one before, and
/// no further, for what a match reaches beyond its `max_length` is looked at in vain.
const BLOCK: usize = 2;
/// Bytes that it looks further, so that it gets on however short the matches and wide the characters are.
const MORE: usize = 8;

/// One pattern.
#[derive(Debug)]
pub(crate) struct Exact {
    pub(crate) regex: meta::Regex,
    pub(crate) check: Check,
    pub(crate) max_length: usize,
}

/// What became of a match.
pub(crate) enum Outcome {
    /// It counts, up to here.
    Hit(usize),
    /// It does not; the search goes on here.
    Miss(usize),
}

impl Exact {
    /// The first match that lies in `from..end` and is no longer than `max_length`. No match of any length may cross
    /// `end`, unless it is to be left out.
    pub(crate) fn leftmost(&self, text: &str, mut from: usize, end: usize) -> Option<Match> {
        while from < end {
            let stop = text.ceil_char_boundary(end.min(from.saturating_add(BLOCK * self.max_length + MORE)));
            // Matches that begin later may need text behind the block.
            let settled = if stop == end { end } else { text.floor_char_boundary(stop - self.max_length) };
            let found = self.regex.search(&Input::new(text).range(from..stop));
            // Its end is found first, and then, on the way back, its beginning.
            steps::add(found.map_or(stop - from, |found| found.end() - from + found.len()));
            match found {
                Some(found) if found.start() <= settled => {
                    if let Some(fitting) = self.fit(text, found) {
                        return Some(fitting);
                    }
                    from = self.skip(text, after(text, found.start()), end);
                }
                _ if stop == end => return None,
                _ => from = settled,
            }
        }
        None
    }

    /// A place from `from` on before which no match begins that is not too long. A match that is too long says that its like
    /// may begin at many places behind it; this passes over them with a few looks, each one `max_length` longer than what it
    /// may pass over: in steps that grow until a match ends within the look, and then become smaller.
    fn skip(&self, text: &str, mut from: usize, end: usize) -> usize {
        let (mut step, mut growing) = (1, true);
        while step > 0 && from < end {
            let to = text.ceil_char_boundary(end.min(from.saturating_add(step)));
            let stop = text.ceil_char_boundary(end.min(to.saturating_add(self.max_length)));
            steps::add(stop - from);
            if self.regex.is_match(Input::new(text).range(from..stop)) {
                growing = false;
            } else if stop == end {
                return end;
            } else {
                from = to;
            }
            step = if growing { 2 * step } else { step / 2 };
        }
        from
    }

    /// Decides about a match that [`Self::leftmost`] found.
    pub(crate) fn judge(&self, text: &str, found: Match, ends: &mut Vec<usize>) -> Outcome {
        let matched = &text[found.range()];
        steps::add(matched.len());
        self.check.ends(matched, ends);
        let good = ends.iter().rev().map(|length| found.start() + length).find(|end| {
            *end == found.end() || self.at(text, found.start(), *end).is_some_and(|shorter| shorter.end() == *end)
        });
        match good {
            Some(end) => Outcome::Hit(end),
            None => Outcome::Miss(found.start() + self.check.step(matched)),
        }
    }

    /// The match itself, or the best one at its place that is not too long.
    fn fit(&self, text: &str, found: Match) -> Option<Match> {
        if found.len() <= self.max_length {
            return Some(found);
        }
        self.at(text, found.start(), text.floor_char_boundary(found.start() + self.max_length))
    }

    /// The preferred match at `start` of those that don't cross `end`.
    fn at(&self, text: &str, start: usize, end: usize) -> Option<Match> {
        steps::add(end - start);
        self.regex.search(&Input::new(text).range(start..end).anchored(Anchored::Yes))
    }
}

/// The next character's beginning.
fn after(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at + 1)
}
