//! Which patterns may be in the middle of a match: the threads of all patterns at once, as a DFA that is built as it is used.
//!
//! The regex engines answer where a match is; they don't say whether text that is still to come could begin, lengthen or
//! complete one, which is what decides how much a stream must keep back. So this steps the same Thompson NFAs that the
//! engine compiles, laid out for it ([`crate::nodes`]), with every assertion (`\b`, `^`, `$`) taken as passed. What must hold:
//! wherever a pattern matches, this says that it may; the reverse is left to [`super::exact`].
//!
//! States are sets of NFA states. They are found as text leads to them and kept in a [`Memo`], whose size is bounded: a
//! full one is emptied. A memo belongs to one scan at a time, so that scans share nothing but the NFAs.

use std::{collections::HashMap, sync::Arc};

use regex_automata::{
    Span,
    nfa::thompson::{NFA, State},
    util::{look::LookSet, prefilter::Prefilter},
};

use crate::{
    nodes::{NodeSet, Nodes},
    set::PatternSet,
    steps,
};

/// Memory of one memo, beyond which it is emptied.
const MEMO_BYTES: usize = 2 << 20;

/// NFA states to which transitions that are not known may lead one pass over a text, besides one for every byte. Text that
/// wants more leads to ever new states, and the exact engines, one after the other, are cheaper then.
const THREADS: usize = 32 << 10;
/// What every such transition counts for besides, in as many.
const TRANSITION: usize = 32;

/// Text shorter than this is not worth a prefilter.
const PREFILTER_MIN: usize = 256;

/// No thread: outside every match. Always the first state. (A state's name is where its row begins in the tables.)
const QUIET: u32 = 0;
/// Flag of a transition: a match of some pattern ends in its target.
const MATCH: u32 = 1 << 31;
/// A transition that has not been worked out.
const UNKNOWN: u32 = u32::MAX;

/// The NFAs of all patterns and what is derived from them.
#[derive(Debug)]
pub(crate) struct Automaton {
    nfas: Vec<NFA>,
    nodes: Nodes,
    /// Bytes that no pattern tells apart have the same class.
    classes: [u8; 256],
    /// One byte of each class.
    representatives: Vec<u8>,
    /// Bytes with which a match can begin.
    begins: [bool; 256],
    prefilter: Option<Prefilter>,
    /// Patterns with assertions: a match at the end of the text stands only when the next character is known.
    looking: PatternSet,
}

/// A stretch of text, between two quiet places, in which a pattern may match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) pattern: usize,
    /// No match begins before.
    pub(crate) start: usize,
    /// Where the last one may end.
    pub(crate) end: usize,
}

/// What one pass over the text leaves.
#[derive(Debug)]
pub(crate) struct Swept {
    /// Patterns that the end of the text leaves undecided.
    pub(crate) undecided: PatternSet,
    /// No match that is undecided begins before.
    pub(crate) quiet: usize,
}

impl Automaton {
    pub(crate) fn new(nfas: Vec<NFA>, prefilter: Option<Prefilter>) -> Self {
        let mut automaton = Self::of(nfas, prefilter);
        let mut memo = Memo::new(&automaton);
        for byte in 0..=u8::MAX {
            automaton.begins[usize::from(byte)] = memo.probe(&automaton, automaton.origin(), byte) != QUIET;
        }
        automaton
    }

    /// The patterns of all of these, one after the other: for sweeps alone.
    pub(crate) fn joined<'a>(automata: impl Iterator<Item = &'a Self>) -> Self {
        Self::of(automata.flat_map(|automaton| &automaton.nfas).cloned().collect(), None)
    }

    /// Does not say yet with which bytes a match can begin.
    fn of(nfas: Vec<NFA>, prefilter: Option<Prefilter>) -> Self {
        let (classes, representatives) = byte_classes(&nfas);
        let looking = (0..nfas.len()).filter(|pattern| !nfas[*pattern].look_set_any().is_empty()).collect();
        let prefilter = prefilter.filter(Prefilter::is_fast);
        let nodes = Nodes::new(&nfas);
        Self { nfas, nodes, classes, representatives, begins: [false; 256], prefilter, looking }
    }

    /// NFA states of all patterns.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the pattern has assertions.
    pub(crate) fn is_looking(&self, pattern: usize) -> bool {
        self.looking.contains(pattern)
    }

    /// Whether a match can begin with this byte.
    pub(crate) fn begins_with(&self, byte: u8) -> bool {
        self.begins[usize::from(byte)]
    }

    /// Goes through the text once: appends to `stretches` where patterns may match (for each pattern, in order).
    pub(crate) fn sweep(&self, memo: &mut Memo, text: &[u8], stretches: &mut Vec<Stretch>) -> Swept {
        memo.latest.clear();
        memo.latest.resize(self.nfas.len(), None);
        let mut threads = THREADS + text.len();
        let mut state = QUIET;
        let mut quiet = 0;
        let mut at = 0;
        while at < text.len() {
            if state == QUIET {
                at = self.next_begin(text, at);
                quiet = at;
            }
            // The common case by itself: transitions that are known and in which nothing ends.
            let table = memo.search.as_slice();
            let mut next = UNKNOWN;
            while let Some(byte) = text.get(at) {
                next = table[state as usize + self.class(*byte)];
                if next >= MATCH {
                    break;
                }
                state = next;
                at += 1;
                if state == QUIET {
                    quiet = at;
                    if self.prefilter.is_some() {
                        break;
                    }
                }
            }
            if next < MATCH {
                continue;
            }
            let Some(byte) = text.get(at) else { break };
            if next == UNKNOWN {
                if threads == 0 {
                    return self.give_up(memo, quiet, text.len(), stretches);
                }
                next = memo.work_out(self, state, *byte, true);
                let stepped = TRANSITION + memo.state(self, next & !MATCH).nodes.len();
                steps::add_threads(stepped);
                threads = threads.saturating_sub(stepped);
            }
            at += 1;
            state = next & !MATCH;
            if next & MATCH != 0 {
                let matched = memo.state(self, state).matched;
                memo.note(matched, quiet, at, stretches);
            }
        }
        Swept { undecided: memo.undecided(self, state), quiet }
    }

    /// Says of the rest of the text that anything may be there.
    fn give_up(&self, memo: &mut Memo, quiet: usize, end: usize, stretches: &mut Vec<Stretch>) -> Swept {
        let all: PatternSet = (0..self.nfas.len()).collect();
        memo.note(all, quiet, end, stretches);
        Swept { undecided: all, quiet }
    }

    /// The patterns that `text`, if a match begins at its beginning, leaves undecided at its end; and the steps taken. It
    /// ends where none of `sought` can go on.
    pub(crate) fn probe(&self, memo: &mut Memo, text: &[u8], sought: PatternSet) -> (PatternSet, usize) {
        let mut state = self.origin();
        for (steps, byte) in text.iter().enumerate() {
            if memo.state(self, state).growing.intersect(sought).is_empty() {
                return (PatternSet::default(), steps);
            }
            state = memo.probe(self, state, *byte) & !MATCH;
        }
        (memo.undecided(self, state), text.len())
    }

    /// The first place from `at` on where a match may begin, as far as a prefilter says.
    fn next_begin(&self, text: &[u8], at: usize) -> usize {
        let Some(prefilter) = &self.prefilter else { return at };
        // The end may cut a literal off, and a shorter one behind its beginning must not hide that.
        let whole = text.len().saturating_sub(prefilter.max_needle_len());
        if whole.saturating_sub(at) < PREFILTER_MIN {
            return at;
        }
        let found = prefilter.find(text, Span::from(at..text.len()));
        found.map_or(whole, |found| found.start.min(whole)).max(at)
    }

    /// The state with one thread at the beginning of every pattern: the second in each memo.
    fn origin(&self) -> u32 {
        // There are at most 256 classes.
        u32::try_from(self.representatives.len()).unwrap_or(QUIET)
    }

    fn class(&self, byte: u8) -> usize {
        usize::from(self.classes[usize::from(byte)])
    }
}

/// The assertions that every match of this NFA begins with.
pub(crate) fn prefix_looks(nfa: &NFA) -> LookSet {
    let mut looks = LookSet::empty();
    let mut at = nfa.start_anchored();
    loop {
        match nfa.state(at) {
            State::Look { look, next } => {
                looks.set_insert(*look);
                at = *next;
            }
            State::Capture { next, .. } => at = *next,
            _ => return looks,
        }
    }
}

/// Splits the bytes into classes that all NFAs treat alike.
fn byte_classes(nfas: &[NFA]) -> ([u8; 256], Vec<u8>) {
    let mut classes = [0; 256];
    let mut representatives = vec![0];
    for byte in 1..=u8::MAX {
        let index = usize::from(byte);
        if nfas.iter().any(|nfa| nfa.byte_classes().get(byte) != nfa.byte_classes().get(byte - 1)) {
            representatives.push(byte);
        }
        // There are at most 256 classes, numbered from 0.
        classes[index] = u8::try_from(representatives.len() - 1).unwrap_or(u8::MAX);
    }
    (classes, representatives)
}

/// One state: a set of NFA states.
#[derive(Debug)]
struct Known {
    nodes: Arc<[u32]>,
    /// Patterns of which a match may go on from here.
    growing: PatternSet,
    /// Patterns of which a match ends here.
    matched: PatternSet,
}

/// The states met so far, with their transitions.
#[derive(Debug)]
pub(crate) struct Memo {
    names: HashMap<Arc<[u32]>, u32>,
    states: Vec<Known>,
    /// Transitions while matches may begin anywhere, and while one began at the beginning; one row a state.
    search: Vec<u32>,
    probe: Vec<u32>,
    bytes: usize,
    /// For each class of bytes, the NFA states of matches that have begun with one: those that join every other state.
    begun: Vec<Option<Arc<[u32]>>>,
    /// For closures: NFA states that read or match, those that were passed on the way, and those that are still to be
    /// followed.
    reached: NodeSet,
    passed: NodeSet,
    stack: Vec<u32>,
    /// Where the first two are emptied into.
    listed: Vec<u32>,
    /// For each pattern, its latest stretch.
    latest: Vec<Option<usize>>,
}

impl Memo {
    pub(crate) fn new(automaton: &Automaton) -> Self {
        let mut memo = Self {
            names: HashMap::new(),
            states: Vec::new(),
            search: Vec::new(),
            probe: Vec::new(),
            bytes: 0,
            begun: Vec::new(),
            reached: NodeSet::new(automaton.nodes.len()),
            passed: NodeSet::new(automaton.nodes.len()),
            stack: Vec::new(),
            listed: Vec::new(),
            latest: Vec::new(),
        };
        memo.clear(automaton);
        memo
    }

    /// Forgets all states but [`QUIET`] and the origin.
    fn clear(&mut self, automaton: &Automaton) {
        self.names.clear();
        self.states.clear();
        self.search.clear();
        self.probe.clear();
        self.bytes = 0;
        self.begun.clear();
        self.begun.resize(automaton.representatives.len(), None);
        self.add(automaton, Arc::new([]));
        for start in &automaton.nodes.starts {
            self.reach(automaton, *start);
        }
        let origin = self.take_reached();
        self.add(automaton, origin);
    }

    /// The transition of a match that has begun.
    fn probe(&mut self, automaton: &Automaton, state: u32, byte: u8) -> u32 {
        match self.probe[state as usize + automaton.class(byte)] {
            UNKNOWN => self.work_out(automaton, state, byte, false),
            known => known,
        }
    }

    /// Works out a transition: while matches may begin anywhere, or of one that has begun.
    #[cold]
    fn work_out(&mut self, automaton: &Automaton, state: u32, byte: u8, searching: bool) -> u32 {
        let begun = searching.then(|| self.begun(automaton, byte));
        self.step(automaton, state, byte);
        for node in begun.iter().flat_map(|nodes| nodes.iter()) {
            // What it leads to without reading is among them, too.
            self.reached.insert(*node);
        }
        let nodes = self.take_reached();
        let (target, kept) = match self.names.get(&nodes) {
            Some(name) => (*name, true),
            None => self.intern(automaton, nodes),
        };
        let silent = self.state(automaton, target).matched.is_empty();
        let target = if silent { target } else { target | MATCH };
        if kept {
            let table = if searching { &mut self.search } else { &mut self.probe };
            table[state as usize + automaton.class(byte)] = target;
        }
        target
    }

    fn state(&self, automaton: &Automaton, name: u32) -> &Known {
        &self.states[name as usize / automaton.representatives.len()]
    }

    /// Adds a state, and says whether the others are still there.
    fn intern(&mut self, automaton: &Automaton, nodes: Arc<[u32]>) -> (u32, bool) {
        let full = self.bytes >= MEMO_BYTES;
        if full {
            self.clear(automaton);
            if let Some(name) = self.names.get(&nodes) {
                return (*name, false);
            }
        }
        (self.add(automaton, nodes), !full)
    }

    fn add(&mut self, automaton: &Automaton, nodes: Arc<[u32]>) -> u32 {
        let mut state =
            Known { nodes: Arc::clone(&nodes), growing: PatternSet::default(), matched: PatternSet::default() };
        for node in nodes.iter() {
            let ends = automaton.nodes.is_match(*node);
            let patterns = if ends { &mut state.matched } else { &mut state.growing };
            patterns.insert(automaton.nodes.owner(*node));
        }
        let row = automaton.representatives.len();
        self.search.resize(self.search.len() + row, UNKNOWN);
        self.probe.resize(self.probe.len() + row, UNKNOWN);
        self.bytes += 2 * size_of::<Known>() + size_of_val(&*nodes) + 2 * row * size_of::<u32>();
        // Far below the flag: the memo is emptied long before.
        let name = u32::try_from(self.states.len() * row).unwrap_or(QUIET);
        self.states.push(state);
        self.names.insert(nodes, name);
        name
    }

    /// The NFA states of matches that have begun with this byte.
    fn begun(&mut self, automaton: &Automaton, byte: u8) -> Arc<[u32]> {
        let class = automaton.class(byte);
        if let Some(known) = &self.begun[class] {
            return Arc::clone(known);
        }
        self.step(automaton, automaton.origin(), byte);
        let nodes = self.take_reached();
        self.bytes += size_of_val(&*nodes);
        self.begun[class] = Some(Arc::clone(&nodes));
        nodes
    }

    /// Reaches what the threads of `state` become when `byte` is read.
    fn step(&mut self, automaton: &Automaton, state: u32, byte: u8) {
        let nodes = Arc::clone(&self.state(automaton, state).nodes);
        for next in nodes.iter().filter_map(|node| automaton.nodes.step(*node, byte)) {
            self.reach(automaton, next);
        }
    }

    /// Adds to `reached` every NFA state that reads a byte or matches, and that can be come to without reading any.
    fn reach(&mut self, automaton: &Automaton, from: u32) {
        self.stack.push(from);
        while let Some(at) = self.stack.pop() {
            match automaton.nodes.forks(at) {
                None => drop(self.reached.insert(at)),
                Some(forks) if self.passed.insert(at) => self.stack.extend_from_slice(forks),
                Some(_) => {}
            }
        }
    }

    /// What has been reached, as the key of a state.
    fn take_reached(&mut self) -> Arc<[u32]> {
        self.passed.drain(&mut self.listed);
        self.listed.clear();
        self.reached.drain(&mut self.listed);
        let nodes = self.listed.as_slice().into();
        self.listed.clear();
        nodes
    }

    /// Patterns that text ending in this state leaves undecided.
    fn undecided(&self, automaton: &Automaton, state: u32) -> PatternSet {
        let state = self.state(automaton, state);
        state.growing.union(state.matched.intersect(automaton.looking))
    }

    /// Lengthens the stretches of patterns that may match up to here.
    fn note(&mut self, patterns: PatternSet, quiet: usize, end: usize, stretches: &mut Vec<Stretch>) {
        for pattern in patterns.iter() {
            match self.latest[pattern].map(|index| &mut stretches[index]) {
                Some(stretch) if stretch.start == quiet => stretch.end = end,
                _ => {
                    self.latest[pattern] = Some(stretches.len());
                    stretches.push(Stretch { pattern, start: quiet, end });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
