//! Native matching of the patterns that a policy declares in its plan, in text that comes in pieces.
//!
//! It stands between the relay, which holds the text that has not been released, and the policy, which is shown the hits.
//! What must hold: a text gives the same hits wherever it is cut, so long as what [`Patterns::scan`] says is kept and shown
//! again; no more is kept than could still become part of a match; time and memory are bounded whatever the text.
//!
//! ```text
//!   window ─▶ automaton: one pass ─▶ exact: matches ─▶ check: luhn, iban, … ─▶ hits
//!                  └▶ what the end leaves undecided ─▶ keep
//! ```
//!
//! A later form of the text (normalised, stripped of invisible characters) can be matched by scanning that form and mapping
//! the offsets of the result: nothing outside `scan` looks at the text.

mod automaton;
mod check;
mod exact;
mod scan;
mod set;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::{Hit, Scan};
use regex_automata::{
    MatchKind, meta,
    nfa::thompson::{self, NFA, WhichCaptures},
    util::{look::LookSet, pool::Pool, prefilter::Prefilter, syntax},
};

use automaton::{Automaton, Memo};
use check::Check;
use exact::Exact;
use scan::Scratch;
use set::PatternSet;

/// Patterns of one plan.
pub const MAX_PATTERNS: usize = 256;
/// Bytes of one regular expression.
pub const MAX_REGEX_BYTES: usize = 16 << 10;
/// Bytes of the longest match that a pattern may ask for.
pub const MAX_LENGTH: u32 = 16 << 10;
/// The same for a pattern with a check, which may be tried at every place of the text.
pub const MAX_CHECKED_LENGTH: u32 = 512;
/// Memory of one compiled pattern.
const NFA_BYTES: usize = 4 << 20;
/// Memory of all compiled patterns of a plan.
const PLAN_NFA_BYTES: usize = 32 << 20;
/// Memory that the exact engine of one pattern may use to remember states.
const LAZY_DFA_BYTES: usize = 1 << 20;

/// One pattern of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSpec {
    /// Its id, as the policy names it.
    pub id: String,
    /// Syntax of the `regex` crate.
    pub regex: String,
    /// Empty, or the name of a check that a match must pass: `luhn`, `iban`, `ssn`, `entropy:BITS`.
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
    exact: Vec<Exact>,
    /// For each pattern, the assertions that hold where a match begins.
    prefix_looks: Vec<LookSet>,
    automaton: Arc<Automaton>,
    pool: Pool<Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>,
    /// The longest of the `max_length`s.
    longest: usize,
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
        let mut plan = Compiling::default();
        for (index, spec) in specs.iter().enumerate() {
            plan.add(spec).map_err(|message| PatternProblem { index, message })?;
        }
        let prefilter = Prefilter::from_hirs_prefix(MatchKind::LeftmostFirst, &plan.hirs);
        let automaton = Arc::new(Automaton::new(plan.nfas, prefilter));
        let shared = Arc::clone(&automaton);
        Ok(Self {
            ids: specs.iter().map(|spec| spec.id.clone()).collect(),
            longest: plan.exact.iter().map(|exact| exact.max_length).max().unwrap_or(0),
            exact: plan.exact,
            prefix_looks: plan.prefix_looks,
            automaton,
            pool: Pool::new(Box::new(move || Scratch::new(Memo::new(&shared)))),
        })
    }

    /// Finds matches in a window. `before` is released text that stands directly before `pending` (its last character is
    /// what counts, and whether there is any); `last` says that nothing follows.
    ///
    /// The hits are those that no further text can change: in order of their beginning, and not overlapping within one
    /// pattern. The `keep` bytes at the end must be shown again, with what follows; none of the hits crosses into them.
    #[must_use]
    pub fn scan(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.scan_for(before, pending, last, (0..self.ids.len()).collect())
    }

    /// Finds matches in a text that is whole. `which`: indices of patterns; empty: all.
    #[must_use]
    pub fn find(&self, text: &str, which: &[u32]) -> Vec<Hit> {
        let named = which.iter().filter_map(|pattern| usize::try_from(*pattern).ok());
        let wanted = if which.is_empty() {
            (0..self.ids.len()).collect()
        } else {
            named.filter(|pattern| *pattern < self.ids.len()).collect()
        };
        self.scan_for("", text, true, wanted).hits
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

    fn scan_for(&self, before: &str, pending: &str, last: bool, wanted: PatternSet) -> Scan {
        if self.is_empty() || pending.is_empty() {
            Scan::default()
        } else {
            scan::scan(self, before, pending, last, wanted)
        }
    }
}

/// The patterns of a plan that have been taken so far.
#[derive(Default)]
struct Compiling {
    hirs: Vec<regex_syntax::hir::Hir>,
    nfas: Vec<NFA>,
    exact: Vec<Exact>,
    prefix_looks: Vec<LookSet>,
    nfa_bytes: usize,
}

impl Compiling {
    fn add(&mut self, spec: &PatternSpec) -> Result<(), String> {
        if self.exact.len() == MAX_PATTERNS {
            return Err(format!("a plan may have {MAX_PATTERNS} patterns; join some with |"));
        }
        if spec.id.is_empty() {
            return Err("the pattern needs an id".to_owned());
        }
        let check = Check::parse(&spec.check)?;
        if spec.regex.len() > MAX_REGEX_BYTES {
            return Err(format!("the regex has {} bytes; {MAX_REGEX_BYTES} are allowed", spec.regex.len()));
        }
        let hir = syntax::parse(&spec.regex).map_err(|error| error.to_string())?;
        let max_length = max_length(spec, check, hir.properties().minimum_len())?;
        let nfa = self.nfa(&hir)?;
        let config = meta::Config::new()
            .nfa_size_limit(Some(NFA_BYTES))
            .which_captures(WhichCaptures::Implicit)
            .hybrid_cache_capacity(LAZY_DFA_BYTES);
        let regex = meta::Builder::new().configure(config).build_from_hir(&hir).map_err(too_big)?;
        self.prefix_looks.push(automaton::prefix_looks(&nfa));
        self.nfas.push(nfa);
        self.exact.push(Exact { regex, check, max_length });
        self.hirs.push(hir);
        Ok(())
    }

    /// Compiles for the automaton, within what the plan has left.
    fn nfa(&mut self, hir: &regex_syntax::hir::Hir) -> Result<NFA, String> {
        let config = thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(NFA_BYTES));
        let nfa = NFA::compiler().configure(config).build_from_hir(hir).map_err(too_big)?;
        self.nfa_bytes += nfa.memory_usage();
        if self.nfa_bytes > PLAN_NFA_BYTES {
            return Err(format!(
                "the patterns of this plan are too big together: over {PLAN_NFA_BYTES} bytes compiled"
            ));
        }
        Ok(nfa)
    }
}

/// The bound of a match, if it is one that the pattern can keep.
fn max_length(spec: &PatternSpec, check: Check, shortest: Option<usize>) -> Result<usize, String> {
    let most = if check == Check::None { MAX_LENGTH } else { MAX_CHECKED_LENGTH };
    if spec.max_length == 0 || spec.max_length > most {
        let with = if check == Check::None { String::new() } else { format!(" with check {:?}", spec.check) };
        return Err(format!("max-length is {}; a pattern{with} may have 1 to {most}", spec.max_length));
    }
    let max_length = usize::try_from(spec.max_length).map_err(|error| error.to_string())?;
    match shortest {
        None => Err("the regex can never match".to_owned()),
        Some(0) => Err("the regex matches the empty text, and so everywhere; let it ask for a character".to_owned()),
        Some(shortest) if shortest > max_length => {
            Err(format!("the shortest match has {shortest} bytes, but max-length is {max_length}"))
        }
        Some(_) => Ok(max_length),
    }
}

/// The message of a regex that compiles to too much, with the way out.
fn too_big(error: impl std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}; bounded repetitions such as {{1,1000}} and Unicode classes (\\w, \\d) are what costs most")
}
