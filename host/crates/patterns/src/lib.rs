//! Native matching of the patterns that a policy declares in its plan, in text that comes in pieces.
//!
//! It stands between the relay, which holds the text that has not been released, and the policy, which is shown the hits.
//! What must hold: a text gives the same hits wherever it is cut, so long as what [`Patterns::scan`] says is kept and shown
//! again; no more is kept than could still become part of a match; time and memory are bounded whatever the text.
//!
//! ```text
//!   window ─┬───────▶ as it is ─┐
//!           ├─ fold ▶ folded   ─┼─▶ automaton: one pass ─▶ exact: matches ─▶ check ─▶ hits in the window
//!           └─ decode ▶ decoded ┘        └▶ what the end leaves undecided ─▶ keep
//! ```
//!
//! # Text that is spelled otherwise
//!
//! Every pattern is looked for in the text as it stands and, where that differs, in the text as it reads ([`fold`]):
//! full-width and other digits, look-alike letters, dashes and spaces in ASCII, marks and unseen characters taken out. A
//! pattern that names such characters itself is folded too. Hits cover the original, whole characters with their marks.
//! Checks see the text in which the match was found. Of one pattern's hits none lies within another; two may overlap where
//! the text reads differently than it stands. A policy that verifies a hit folds it first: `policy_sdk::Folded`.
//!
//! Tag characters (U+E0020 to U+E007E) are not seen, so they part nothing; but a model may read them as the ASCII that
//! they stand for, so where there are any, there is one reading more, of just that.
//!
//! # Text that is encoded
//!
//! A plan asks for it by the check of a pattern: `decoded:`, followed by the name of a check or by nothing. Such a pattern
//! is looked for in what encoded text says, and only there (declare another, with another id, for the text itself): in runs
//! of base64 and base64url (from any of their characters on) and of hexadecimal digits, and in text with URL, HTML and
//! JSON escapes, and in forms (`+` for a space). One level, then folded. The hit covers the encoded characters that hold the match, no more of the run; so
//! a policy takes it as it is, without verifying it. `max_length` counts the decoded bytes.

mod automaton;
mod check;
mod compile;
mod decode;
mod exact;
mod glance;
mod nodes;
mod reading;
mod rewrite;
mod scan;
mod set;
mod steps;
#[cfg(test)]
mod tests;
mod way;
mod window;

use model::{Hit, MATCH_BYTES, Scan};

pub use glance::{Glance, MAX_PLANS};
pub use way::{LONG, Way};

use scan::Engine;
use set::PatternSet;
use window::Plain;

/// Patterns of one plan.
pub const MAX_PATTERNS: usize = 256;
/// Bytes of one regular expression.
pub const MAX_REGEX_BYTES: usize = 16 << 10;
/// Bytes of the longest match that a pattern may ask for.
pub const MAX_LENGTH: u32 = 16 << 10;
const _: () = assert!(MAX_LENGTH as usize == MATCH_BYTES, "so much is shown joined where texts are joined");
/// The same for a pattern with a check, which may be tried at every place of the text.
pub const MAX_CHECKED_LENGTH: u32 = 512;
/// No place.
const NOWHERE: usize = usize::MAX;

/// One pattern of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSpec {
    /// Its id, as the policy names it.
    pub id: String,
    /// Syntax of the `regex` crate.
    pub regex: String,
    /// Empty, or the name of a check that a match must pass: `luhn`, `iban`, `ssn`, `entropy:BITS`. With `decoded:` before
    /// it, the pattern is looked for in what encoded text says.
    pub check: String,
    /// Bytes of the longest match. A longer one counts up to here, if the pattern can end there.
    pub max_length: u32,
}

/// Why a pattern can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternProblem {
    /// Which of the plan's patterns, from 0.
    pub index: usize,
    /// What is wrong with it, for the policy's author.
    pub message: String,
}

/// The patterns of one plan, compiled. Shared by all exchanges.
pub struct Patterns {
    ids: Vec<String>,
    /// Those that are looked for in text; in text that was folded, too.
    plain: Option<Engine>,
    /// Those of them that name what folds, written as it reads.
    folded: Option<Engine>,
    /// Those that are looked for in decoded text.
    decoded: Option<Engine>,
    long: Way,
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patterns").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl Patterns {
    /// Compiles the patterns of a plan.
    ///
    /// # Errors
    /// The first pattern that can't be taken, and why.
    pub fn compile(specs: &[PatternSpec]) -> Result<Self, PatternProblem> {
        compile::compile(specs)
    }

    /// The same patterns, with another way to do what takes long in [`Self::scan`]: by default that is done here and now.
    #[must_use]
    pub fn doing_what_takes_long(self, long: Way) -> Self {
        Self { long, ..self }
    }

    /// Finds matches in a window. `before` is released text that stands directly before `pending`,
    /// [`model::CONTEXT_BYTES`] of it where there is as much; `last` says that nothing follows.
    ///
    /// The hits are those that no further text can change, in order of their beginning. The `keep` bytes at the end must be
    /// shown again, with what follows; none of the hits crosses into them.
    #[must_use]
    pub fn scan(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.scan_for(before, (pending, last), None, Plain::Sought, self.long)
    }

    /// The same, where a [`Glance`] spares this plan the look at `pending` as it stands: what is left is to look at how it
    /// reads otherwise, and at what it holds encoded.
    #[must_use]
    pub fn scan_spared(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.scan_for(before, (pending, last), None, Plain::Spared, self.long)
    }

    /// Finds matches in a text that is whole. `which`: indices of patterns; empty: all.
    #[must_use]
    pub fn find(&self, text: &str, which: &[u32]) -> Vec<Hit> {
        let named = which.iter().filter_map(|pattern| usize::try_from(*pattern).ok());
        let wanted = (!which.is_empty()).then(|| named.filter(|pattern| *pattern < self.ids.len()).collect());
        // Whoever asks waits for it, and has a bound of its own.
        self.scan_for("", (text, true), wanted, Plain::Sought, way::here).hits
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Ids, in the order in which `Hit::pattern` counts them.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    fn scan_for(
        &self,
        before: &str,
        (pending, last): (&str, bool),
        wanted: Option<PatternSet>,
        plainly: Plain,
        long: Way,
    ) -> Scan {
        if self.is_empty() || pending.is_empty() {
            Scan::default()
        } else {
            window::scan(self, before, (pending, last), wanted, plainly, long)
        }
    }
}
