//! Native matching of the patterns that a policy declares in its plan.

use exchange::ports::Scan;
use model::Hit;

/// One pattern of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSpec {
    /// Its id, as the policy names it.
    pub id: String,
    /// Syntax of the `regex` crate.
    pub regex: String,
    /// Empty, or the name of a check that a match must pass: see [`Patterns::compile`].
    pub check: String,
    /// Bytes of the longest match that must be found when it comes in pieces.
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
#[derive(Debug)]
pub struct Patterns {
    ids: Vec<String>,
    exact: Vec<regex::Regex>,
}

impl Patterns {
    /// Compiles the patterns of a plan.
    ///
    /// # Errors
    /// The first pattern that can't be taken, and why.
    pub fn compile(specs: &[PatternSpec]) -> Result<Self, PatternProblem> {
        let mut exact = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            exact.push(
                regex::Regex::new(&spec.regex)
                    .map_err(|error| PatternProblem { index, message: error.to_string() })?,
            );
        }
        Ok(Self { ids: specs.iter().map(|spec| spec.id.clone()).collect(), exact })
    }

    /// Finds matches in a window; see [`exchange::ports::Policy::scan`].
    #[must_use]
    pub fn scan(&self, _before: &str, pending: &str, _last: bool) -> Scan {
        Scan { hits: self.find(pending, &[]), keep: 0 }
    }

    /// Finds matches in a text that is whole. `which`: indices of patterns; empty: all.
    #[must_use]
    pub fn find(&self, text: &str, which: &[u32]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = (0u32..)
            .zip(&self.exact)
            .filter(|(pattern, _)| which.is_empty() || which.contains(pattern))
            .flat_map(|(pattern, exact)| {
                exact.find_iter(text).map(move |found| Hit { pattern, start: found.start(), end: found.end() })
            })
            .collect();
        hits.sort_by_key(|hit| (hit.start, hit.pattern));
        hits
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
}
