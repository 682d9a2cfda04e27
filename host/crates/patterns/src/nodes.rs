//! The NFA states of all patterns in one table, as far as it takes to step them: what each reads, what it leads to, and
//! whose it is.
//!
//! What must hold: it says the same as the NFAs that it was made of, with every assertion taken as passed. A text can ask
//! for many thousand steps in each of its bytes, so that a step looks nothing up and follows no pointer.

use std::ops::Range;

use regex_automata::nfa::thompson::{NFA, State};

/// One NFA state.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Reads a byte of these, and leads on.
    Byte(Bytes),
    /// Reads a byte of one of these stretches of [`Nodes::bytes`], in order.
    Bytes(Range<u32>),
    /// Reads nothing, and leads to all of this stretch of [`Nodes::forks`].
    Fork(Range<u32>),
    /// A match ends.
    Match,
}

/// Bytes from `first` to `last`, and the state that they lead to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    first: u8,
    last: u8,
    next: u32,
}

impl Bytes {
    fn read(self, byte: u8) -> Option<u32> {
        (self.first <= byte && byte <= self.last).then_some(self.next)
    }
}

/// The states of all patterns, numbered one pattern after the other.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    /// For each state, its pattern.
    owners: Vec<u16>,
    /// For each pattern, the state with which a match begins.
    pub(crate) starts: Vec<u32>,
    bytes: Vec<Bytes>,
    forks: Vec<u32>,
}

impl Nodes {
    pub(crate) fn new(nfas: &[NFA]) -> Self {
        let mut all = Self::default();
        for (pattern, nfa) in nfas.iter().enumerate() {
            // There are at most `MAX_PATTERNS`.
            let pattern = u16::try_from(pattern).unwrap_or(u16::MAX);
            let offset = index(all.nodes.len());
            all.starts.push(offset + index(nfa.start_anchored().as_usize()));
            for state in nfa.states() {
                let node = all.node(state, offset);
                all.nodes.push(node);
                all.owners.push(pattern);
            }
        }
        all
    }

    fn node(&mut self, state: &State, offset: u32) -> Node {
        let number = |id: regex_automata::util::primitives::StateID| offset + index(id.as_usize());
        let begin = (index(self.bytes.len()), index(self.forks.len()));
        match state {
            State::ByteRange { trans } => {
                return Node::Byte(Bytes { first: trans.start, last: trans.end, next: number(trans.next) });
            }
            State::Sparse(transitions) => self.bytes.extend(transitions.transitions.iter().map(|on| Bytes {
                first: on.start,
                last: on.end,
                next: number(on.next),
            })),
            State::Dense(transitions) => {
                let next = |byte| transitions.matches_byte(byte).map(number);
                let each = |byte| next(byte).map(|next| Bytes { first: byte, last: byte, next });
                self.bytes.extend((0..=u8::MAX).filter_map(each));
            }
            State::Look { next, .. } | State::Capture { next, .. } => self.forks.push(number(*next)),
            State::Union { alternates } => self.forks.extend(alternates.iter().map(|next| number(*next))),
            State::BinaryUnion { alt1, alt2 } => self.forks.extend([number(*alt1), number(*alt2)]),
            State::Fail => {}
            State::Match { .. } => return Node::Match,
        }
        match state {
            State::Sparse(_) | State::Dense(_) => Node::Bytes(begin.0..index(self.bytes.len())),
            _ => Node::Fork(begin.1..index(self.forks.len())),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Where a byte leads from a state.
    pub(crate) fn step(&self, from: u32, byte: u8) -> Option<u32> {
        match &self.nodes[from as usize] {
            Node::Byte(bytes) => bytes.read(byte),
            Node::Bytes(stretch) => self.bytes[places(stretch)].iter().find_map(|bytes| bytes.read(byte)),
            Node::Fork(_) | Node::Match => None,
        }
    }

    /// What a state that reads nothing leads to; `None`: it reads, or ends a match.
    pub(crate) fn forks(&self, from: u32) -> Option<&[u32]> {
        match &self.nodes[from as usize] {
            Node::Fork(stretch) => Some(&self.forks[places(stretch)]),
            Node::Byte(_) | Node::Bytes(_) | Node::Match => None,
        }
    }

    pub(crate) fn is_match(&self, node: u32) -> bool {
        matches!(self.nodes[node as usize], Node::Match)
    }

    /// The pattern to which a state belongs.
    pub(crate) fn owner(&self, node: u32) -> usize {
        usize::from(self.owners[node as usize])
    }
}

/// A set of states, by their numbers. It is read in order, with no sorting: that would take most of the time of a step.
#[derive(Debug)]
pub(crate) struct NodeSet {
    /// A bit for each state.
    words: Vec<u64>,
    /// A bit for each word that holds any.
    used: Vec<u64>,
}

impl NodeSet {
    /// For states with numbers below `most`.
    pub(crate) fn new(most: usize) -> Self {
        let words = most.div_ceil(WORD);
        Self { words: vec![0; words], used: vec![0; words.div_ceil(WORD)] }
    }

    /// Puts a state in, and says whether it is new.
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let at = node as usize / WORD;
        let (before, bit) = (self.words[at], 1 << (node as usize % WORD));
        self.words[at] = before | bit;
        self.used[at / WORD] |= 1 << (at % WORD);
        before & bit == 0
    }

    /// Takes all out, and puts them at the end of `out` in order.
    pub(crate) fn drain(&mut self, out: &mut Vec<u32>) {
        for (group, used) in self.used.iter_mut().enumerate() {
            for at in bits(std::mem::take(used)).map(|bit| group * WORD + bit) {
                let word = std::mem::take(&mut self.words[at]);
                out.extend(bits(word).map(|bit| index(at * WORD + bit)));
            }
        }
    }
}

/// Bits of a word of a [`NodeSet`].
const WORD: usize = 64;

/// The places of the bits that are set, ascending.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            place
        })
    })
}

/// Far more states than the memory of a plan's compiled patterns has room for.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn places(stretch: &Range<u32>) -> Range<usize> {
    stretch.start as usize..stretch.end as usize
}
