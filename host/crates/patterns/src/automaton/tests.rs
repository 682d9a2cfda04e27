//! One pass with what it remembers, against stepping the NFAs byte by byte with nothing remembered; and what a pass costs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use regex_automata::{nfa::thompson::WhichCaptures, util::primitives::StateID};

use super::*;

fn nfa(regex: &str) -> NFA {
    let config = NFA::config().which_captures(WhichCaptures::None);
    NFA::compiler().configure(config).build(regex).unwrap()
}

/// Adds a state to a set, with all that it leads to without reading.
fn close(nfa: &NFA, from: StateID, threads: &mut BTreeSet<StateID>) {
    if threads.insert(from) {
        match nfa.state(from) {
            State::Look { next, .. } | State::Capture { next, .. } => close(nfa, *next, threads),
            State::Union { alternates } => alternates.iter().for_each(|next| close(nfa, *next, threads)),
            State::BinaryUnion { alt1, alt2 } => [alt1, alt2].into_iter().for_each(|next| close(nfa, *next, threads)),
            _ => {}
        }
    }
}

/// Where the matches of one pattern may end, and whether the end of the text leaves it undecided.
fn stepped(nfa: &NFA, text: &str) -> (Vec<usize>, bool) {
    let ends = |threads: &BTreeSet<StateID>| threads.iter().any(|at| matches!(nfa.state(*at), State::Match { .. }));
    let (mut threads, mut matched) = (BTreeSet::new(), Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        close(nfa, nfa.start_anchored(), &mut threads);
        let mut next = BTreeSet::new();
        for from in threads {
            let to = match nfa.state(from) {
                State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                State::Sparse(transitions) => transitions.matches_byte(byte),
                State::Dense(transitions) => transitions.matches_byte(byte),
                _ => None,
            };
            if let Some(to) = to {
                close(nfa, to, &mut next);
            }
        }
        threads = next;
        if ends(&threads) {
            matched.push(at + 1);
        }
    }
    let reads = |at: &StateID| matches!(nfa.state(*at), State::ByteRange { .. } | State::Sparse(_) | State::Dense(_));
    let undecided = threads.iter().any(reads) || (ends(&threads) && !nfa.look_set_any().is_empty());
    (matched, undecided)
}

const REGEXES: [&str; 9] = [
    r"\b[0-9]{3}-[0-9]{2}\b",
    "[0-9a-f]{4,12}x",
    "(?:[a-f]+[0-9])+é",
    "(?i)dead|beef[ÿ日]?",
    r"(?:\d[ -]?){5,9}",
    "a.{0,30}b",
    "^ab|b$",
    "[^0-9]{3}",
    "x[а-я]*y",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// One memo goes through all of the texts, as it does for exchange after exchange.
    #[test]
    fn a_pass_says_what_stepping_the_nfas_says(
        texts in prop::collection::vec("([0-9a-f]{1,9}|[ab ]{1,4}|[é日щx-]|deadbeef|123-45){0,12}", 1..4),
        chosen in prop::sample::subsequence(REGEXES.to_vec(), 1..6),
    ) {
        let nfas: Vec<NFA> = chosen.iter().map(|regex| nfa(regex)).collect();
        let automaton = Automaton::new(nfas.clone(), None);
        let mut memo = Memo::new(&automaton);
        for text in texts {
            let mut stretches = Vec::new();
            let swept = automaton.sweep(&mut memo, text.as_bytes(), &mut stretches);
            for (pattern, nfa) in nfas.iter().enumerate() {
                let (ends, undecided) = stepped(nfa, &text);
                prop_assert_eq!(swept.undecided.contains(pattern), undecided, "{} in {:?}", chosen[pattern], text);
                let of_it = || stretches.iter().filter(|stretch| stretch.pattern == pattern);
                prop_assert_eq!(of_it().next_back().map(|stretch| stretch.end), ends.last().copied());
                let within = |end: &usize| of_it().any(|stretch| stretch.start < *end && *end <= stretch.end);
                prop_assert!(ends.iter().all(within), "{} in {:?}: {:?}", chosen[pattern], text, stretches);
            }
        }
    }
}

/// Digits in which many matches are in progress at every place, and ever other ones.
fn digits(length: usize) -> String {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b"0123456789abcdef"[(seed >> 28) as usize])
    };
    (0..length).map(|_| next()).collect()
}

/// A pass ends once it has stepped so many NFA states, however many are in progress at once.
#[test]
fn what_a_dense_text_costs_is_bounded_by_what_is_stepped() {
    let regexes: Vec<String> = (0..8).map(|at| format!("[0-7][0-9a-f]{{{},{}}}[89]x", 30 + at, 90 + at)).collect();
    let automaton = Automaton::new(regexes.iter().map(|regex| nfa(regex)).collect(), None);
    let mut memo = Memo::new(&automaton);
    for length in [1 << 10, 8 << 10] {
        steps::take_threads();
        let text = digits(length);
        let mut stretches = Vec::new();
        let swept = automaton.sweep(&mut memo, text.as_bytes(), &mut stretches);
        let threads = steps::take_threads();
        let bound = THREADS + length;
        assert!((bound..bound + automaton.nodes()).contains(&threads), "{threads} for {length} bytes");
        assert_eq!((swept.undecided.iter().count(), stretches.len()), (8, 8), "anything may be in what is left");
    }
}

#[test]
fn a_set_of_states_is_read_in_order_and_is_empty_then() {
    let mut set = NodeSet::new(10_000);
    for node in [9_999, 64, 0, 63, 4_096, 64] {
        set.insert(node);
    }
    assert!(!set.insert(63) && set.insert(65));
    let mut listed = Vec::new();
    set.drain(&mut listed);
    set.drain(&mut listed);
    assert_eq!(listed, [0, 63, 64, 65, 4_096, 9_999]);
}
