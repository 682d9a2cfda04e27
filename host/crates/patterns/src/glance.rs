//! One pass over a text for the patterns of several plans: most text holds nothing for any of them, and is then looked at
//! once, and not by each.
//!
//! What must hold: a plan is spared only where its own look at the text as it stands would find nothing and keep nothing.

use std::sync::Arc;

use regex_automata::util::pool::Pool;

use crate::{
    MAX_PATTERNS, Patterns,
    automaton::{Automaton, Memo},
    scan::{Engine, Scratch},
    steps,
};

/// Plans that one glance can look for.
pub const MAX_PLANS: usize = u64::BITS as usize;

/// NFA states of all plans: with more, what the pass has to work out anew could take longer than it saves.
const MAX_NODES: usize = 1 << 16;

/// The patterns of several plans, all at once.
pub struct Glance {
    automaton: Arc<Automaton>,
    /// For each pattern, the bit of the plan that it belongs to.
    plans: Vec<u64>,
    /// The bits of all plans that are looked for.
    all: u64,
    pool: Pool<Scratch, Box<dyn Fn() -> Scratch + Send + Sync>>,
}

impl std::fmt::Debug for Glance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Glance").field("plans", &self.plans).finish_non_exhaustive()
    }
}

impl Glance {
    /// For plans with the numbers by which they are told, below [`MAX_PLANS`]. Those for whose patterns there is no room
    /// ([`MAX_PATTERNS`] in all, and 65,536 states of what they compile to) are left out, and never spared. `None` when fewer
    /// than two are left: each looks for itself.
    #[must_use]
    pub fn new<'p>(plans: impl IntoIterator<Item = (usize, &'p Patterns)>) -> Option<Self> {
        let (mut engines, mut bits): (Vec<&Engine>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut nodes = 0;
        for (number, patterns) in plans {
            let Some(engine) = patterns.plain.as_ref().filter(|_| number < MAX_PLANS) else { continue };
            let with = nodes + engine.automaton.nodes();
            if bits.len() + engine.members.len() <= MAX_PATTERNS && with <= MAX_NODES {
                nodes = with;
                bits.resize(bits.len() + engine.members.len(), 1 << number);
                engines.push(engine);
            }
        }
        if engines.len() < 2 {
            return None;
        }
        let automaton = Arc::new(Automaton::joined(engines.iter().map(|engine| &*engine.automaton)));
        let shared = Arc::clone(&automaton);
        let all = bits.iter().fold(0, |all, bit| all | bit);
        let pool = Pool::new(Box::new(move || Scratch::new(Memo::new(&shared))) as Box<_>);
        Some(Self { automaton, plans: bits, all, pool })
    }

    /// The plans, as bits by their numbers, none of whose patterns matches in `text` as it stands, whatever stands before
    /// it, or may begin in it; `last` says that nothing follows. See [`Patterns::scan_spared`].
    #[must_use]
    pub fn spares(&self, text: &str, last: bool) -> u64 {
        let mut scratch = self.pool.get();
        let (swept, stretches) = scratch.sweep(&self.automaton, text);
        steps::add(text.len());
        let found = stretches.iter().fold(0, |found, stretch| found | self.plans[stretch.pattern]);
        let undecided = if last { 0 } else { swept.undecided.iter().fold(0, |some, at| some | self.plans[at]) };
        scratch.rest();
        self.all & !(found | undecided)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PatternSpec;

    fn plan(regexes: &[&str]) -> Patterns {
        let spec = |regex: &&str| PatternSpec {
            id: (*regex).to_owned(),
            regex: (*regex).to_owned(),
            check: String::new(),
            max_length: 40,
        };
        Patterns::compile(&regexes.iter().map(spec).collect::<Vec<_>>()).unwrap()
    }

    fn plans() -> [Patterns; 4] {
        [
            plan(&[r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", "AKIA[A-Z0-9]{8}"]),
            plan(&["(?i)\\bexport\\b", "delete .{0,8}now"]),
            plan(&["^ab", "b$", "[а-я]{3}"]),
            plan(&[]),
        ]
    }

    fn glance(plans: &[Patterns]) -> Glance {
        Glance::new(plans.iter().enumerate()).unwrap()
    }

    #[test]
    fn clean_text_spares_all_and_a_match_its_own_plan_no_more() {
        let plans = plans();
        let glance = glance(&plans);
        assert_eq!(glance.spares("The quick red fox jumps. ", true), 0b111);
        assert_eq!(glance.spares("my ssn is 078-05-1120, yes", true), 0b110);
        assert_eq!(glance.spares("please Export it", true), 0b101);
        assert_eq!(glance.spares("please Exp", false), 0b101, "it may go on");
        assert_eq!(glance.spares("please Exp", true), 0b111);
    }

    #[test]
    fn one_plan_looks_for_itself_and_what_has_no_room_is_never_spared() {
        let plans = plans();
        assert!(Glance::new([(0, &plans[0]), (3, &plans[3])]).is_none());
        let words: Vec<String> = (0..MAX_PATTERNS - 3).map(|at| format!("word{at:03}")).collect();
        let big = plan(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let glance = Glance::new([(0, &plans[0]), (1, &big), (2, &plans[2]), (MAX_PLANS, &plans[1])]).unwrap();
        assert_eq!(glance.spares("nothing", true), 0b11);
        let vast = |end: &str| plan(&[&format!("\\w{{1,70}}{end}"), &format!("\\w{{2,71}}{end}")]);
        let (one, other) = (vast("x"), vast("y"));
        let nodes = |plan: &Patterns| plan.plain.as_ref().unwrap().automaton.nodes();
        assert!((MAX_NODES / 2..MAX_NODES).contains(&nodes(&one)), "{}", nodes(&one));
        let glance = Glance::new([(0, &plans[0]), (1, &one), (2, &other), (3, &plans[1])]).unwrap();
        assert_eq!(glance.all, 0b1011);
    }

    proptest! {
        #[test]
        fn what_is_spared_would_find_nothing(
            text in "([a-c ]|[0-9-]|Export|export|delete|now|AKIA|078-05-1120|é|abc|щит|\u{FF11}){0,12}", before in "[ab \u{FF11}]{0,2}", last: bool,
        ) {
            let plans = plans();
            let spared = glance(&plans).spares(&text, last);
            for (at, plan) in plans.iter().enumerate() {
                if spared & (1 << at) != 0 {
                    prop_assert_eq!(plan.scan_spared(&before, &text, last), plan.scan(&before, &text, last), "plan {}", at);
                }
            }
        }
    }
}
