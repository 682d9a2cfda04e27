//! From the patterns of a plan to what finds them.

use std::sync::Arc;

use regex_automata::{
    MatchKind, meta,
    nfa::thompson::{self, NFA, WhichCaptures},
    util::{look::LookSet, pool::Pool, prefilter::Prefilter, syntax},
};
use regex_syntax::hir::Hir;

use crate::{
    MAX_CHECKED_LENGTH, MAX_LENGTH, MAX_PATTERNS, MAX_REGEX_BYTES, PatternProblem, PatternSpec, Patterns,
    automaton::{self, Automaton, Memo},
    check::Check,
    exact::Exact,
    rewrite,
    scan::{Engine, Scratch},
    way,
};

/// Memory of one compiled pattern.
const NFA_BYTES: usize = 4 << 20;
/// Memory of all compiled patterns of a plan.
const PLAN_NFA_BYTES: usize = 32 << 20;
/// Memory that the exact engine of one pattern may use to remember states.
const LAZY_DFA_BYTES: usize = 1 << 20;

/// What a check begins with when its pattern is looked for in decoded text.
const DECODED: &str = "decoded:";

/// Compiles the patterns of a plan.
pub(crate) fn compile(specs: &[PatternSpec]) -> Result<Patterns, PatternProblem> {
    let mut plan = Compiling::default();
    for (index, spec) in specs.iter().enumerate() {
        plan.add(index, spec).map_err(|message| PatternProblem { index, message })?;
    }
    Ok(Patterns {
        ids: specs.iter().map(|spec| spec.id.clone()).collect(),
        plain: plan.plain.finish(),
        folded: plan.folded.finish(),
        decoded: plan.decoded.finish(),
        long: way::here,
    })
}

/// The patterns of a plan that have been taken so far.
#[derive(Default)]
struct Compiling {
    plain: Group,
    /// Those that must be written otherwise to match folded text.
    folded: Group,
    decoded: Group,
    nfa_bytes: usize,
}

/// Patterns that are looked for together.
#[derive(Default)]
struct Group {
    members: Vec<u32>,
    hirs: Vec<Hir>,
    nfas: Vec<NFA>,
    exact: Vec<Exact>,
    prefix_looks: Vec<LookSet>,
}

impl Compiling {
    fn add(&mut self, index: usize, spec: &PatternSpec) -> Result<(), String> {
        if index == MAX_PATTERNS {
            return Err(format!("a plan may have {MAX_PATTERNS} patterns; join some with |"));
        }
        if spec.id.is_empty() {
            return Err("the pattern needs an id".to_owned());
        }
        let decoded = spec.check.strip_prefix(DECODED);
        let check = Check::parse(decoded.unwrap_or(&spec.check))?;
        if spec.regex.len() > MAX_REGEX_BYTES {
            return Err(format!("the regex has {} bytes; {MAX_REGEX_BYTES} are allowed", spec.regex.len()));
        }
        let hir = syntax::parse(&spec.regex).map_err(|error| error.to_string())?;
        let max_length = max_length(spec, check, hir.properties().minimum_len())?;
        let member = u32::try_from(index).map_err(|error| error.to_string())?;
        let budget = &mut self.nfa_bytes;
        if decoded.is_some() {
            let hir = rewrite::within_text(rewrite::folded(&hir).as_ref().unwrap_or(&hir));
            return self.decoded.add(member, hir, check, max_length, budget);
        }
        if let Some(folded) = rewrite::folded(&hir) {
            self.folded.add(member, folded, check, max_length, budget)?;
        }
        self.plain.add(member, hir, check, max_length, budget)
    }
}

impl Group {
    fn add(
        &mut self,
        member: u32,
        hir: Hir,
        check: Check,
        max_length: usize,
        nfa_bytes: &mut usize,
    ) -> Result<(), String> {
        let config = thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(NFA_BYTES));
        let nfa = NFA::compiler().configure(config).build_from_hir(&hir).map_err(too_big)?;
        *nfa_bytes += nfa.memory_usage();
        if *nfa_bytes > PLAN_NFA_BYTES {
            return Err(format!(
                "the patterns of this plan are too big together: over {PLAN_NFA_BYTES} bytes compiled"
            ));
        }
        let config = meta::Config::new()
            .nfa_size_limit(Some(NFA_BYTES))
            .which_captures(WhichCaptures::Implicit)
            .hybrid_cache_capacity(LAZY_DFA_BYTES);
        let regex = meta::Builder::new().configure(config).build_from_hir(&hir).map_err(too_big)?;
        self.members.push(member);
        self.prefix_looks.push(automaton::prefix_looks(&nfa));
        self.nfas.push(nfa);
        self.exact.push(Exact { regex, check, max_length });
        self.hirs.push(hir);
        Ok(())
    }

    fn finish(self) -> Option<Engine> {
        let prefilter = Prefilter::from_hirs_prefix(MatchKind::LeftmostFirst, &self.hirs);
        let shortest = self.hirs.iter().filter_map(|hir| hir.properties().minimum_len()).min()?;
        let automaton = Arc::new(Automaton::new(self.nfas, prefilter));
        let shared = Arc::clone(&automaton);
        Some(Engine {
            all: (0..self.members.len()).collect(),
            members: self.members,
            longest: self.exact.iter().map(|exact| exact.max_length).max()?,
            shortest,
            exact: self.exact,
            prefix_looks: self.prefix_looks,
            automaton,
            pool: Pool::new(Box::new(move || Scratch::new(Memo::new(&shared)))),
        })
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
