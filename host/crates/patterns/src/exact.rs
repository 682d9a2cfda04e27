//! Exact matches of one pattern, as the `regex` crate finds them, bounded in length and checked.
//!
//! What counts as a match at a place depends on the `max_length` bytes from there on and on one character to each side,
//! and on nothing else; that is why a text gives the same matches however it is cut. Of the ways in which a pattern matches
//! at a place, the one that the pattern prefers counts, among those that are not longer than `max_length`. A match that
//! fails its check gives way to shorter ones at the same place, and then to those that begin after it.

use regex_automata::{Anchored, Input, Match, meta};

use crate::{check::Check, steps};

/// How far one search looks, in `max_length`s: enough that blocks overlap little, and little enough that a greedy pattern
/// doesn't run through all of a long text again for every match.
const BLOCK: usize = 8;

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
            let stop = text.ceil_char_boundary(end.min(from.saturating_add(BLOCK * self.max_length)));
            // Matches that begin later may need text behind the block.
            let settled = if stop == end { end } else { text.floor_char_boundary(stop - self.max_length) };
            let found = self.regex.search(&Input::new(text).range(from..stop));
            steps::add(found.map_or(stop, |found| found.end()) - from);
            match found {
                Some(found) if found.start() <= settled => {
                    if let Some(fitting) = self.fit(text, found) {
                        return Some(fitting);
                    }
                    from = after(text, found.start());
                }
                _ if stop == end => return None,
                _ => from = settled,
            }
        }
        None
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
