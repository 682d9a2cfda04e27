//! Which cases there are, and which of them a run of N streams takes.
//!
//! The core is every canary, cut at every place, in every form of an answer, in every encoding. As often as it fits into N
//! it is gone through from end to end; the rest of N is dealt: each dimension is a deck of its values, shuffled anew when
//! it is used up, so that each value gets its share whatever N is. All that is not in the core (spelling, escapes, grammar,
//! how bytes arrive, what the request says) is dealt in the same way.
//!
//! What must hold: a case follows from the seed and its id alone.

use std::{fmt, str::FromStr};

use super::{
    canary::{CARD, KINDS, Spelling},
    pack::ENCODINGS,
    places::{Dialect, Expects, Framing, Places},
};
use crate::rig::Dice;

/// How characters of strings are written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// Only what must be escaped.
    Needed,
    /// Every character as `\u00e9`.
    Lower,
    /// Every character as `\u00E9`.
    Upper,
    /// Every second character.
    Second,
    /// All outside of ASCII, and `\/`.
    Ascii,
}

/// How the text of an argument stands in its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrap {
    /// As a value.
    Value,
    /// Deep inside.
    Deep,
    /// As a name.
    Name,
    /// As the second value of a name.
    Twice,
    /// As a number (cards).
    Number,
    /// In no JSON.
    None,
}

/// How a text is cut into the pieces of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    /// In two, where the case says.
    Two,
    /// There and at one more place.
    Three,
    /// Each character by itself.
    Each,
    /// Word by word, as models speak. For long texts; not dealt.
    Words,
    /// Not at all.
    One,
}

/// How bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The host has read everything before a cut before it gets what follows: at the case's cut, and between events.
    Apart,
    /// An event at a time, as fast as it goes.
    Events,
    /// All at once.
    Together,
    /// A few bytes at a time.
    Dribble,
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// As everybody does.
    Usual,
    /// Lines end with CR LF.
    CrLf,
    /// Lines end with CR.
    Cr,
    /// Lines end with any of them.
    Mixed,
    /// A byte order mark comes first.
    Mark,
    /// No space behind colons; items with white space between.
    Tight,
    /// An event in several data lines; blank lines between others.
    Lines,
    /// Comments, unknown fields and ids that hold the canary too.
    Notes,
    /// The last event has no end.
    Unended,
}

impl Grammar {
    /// Whether a stream that is written so leaves byte for byte. Of events it does not where clients would not all read the
    /// same: comments with words and a mark are dropped, and the others leave in the one form that all read.
    fn stays(self, dialect: &Dialect) -> bool {
        match self {
            Self::Usual | Self::CrLf => true,
            Self::Cr | Self::Mixed | Self::Tight | Self::Lines | Self::Mark | Self::Notes | Self::Unended => {
                dialect.framing != Framing::Sse
            }
        }
    }
}

const ESCAPES: [Escape; 5] = [Escape::Needed, Escape::Lower, Escape::Upper, Escape::Second, Escape::Ascii];
const WRAPS: [Wrap; 6] = [Wrap::Value, Wrap::Deep, Wrap::Name, Wrap::Twice, Wrap::Number, Wrap::None];
const TOKENS: [Tokens; 6] = [Tokens::Two, Tokens::Three, Tokens::Two, Tokens::Three, Tokens::Each, Tokens::One];
/// Waiting for the host to have read costs more than all others, so that its share is small.
const DELIVERIES: [Delivery; 8] = [
    Delivery::Events,
    Delivery::Together,
    Delivery::Events,
    Delivery::Apart,
    Delivery::Events,
    Delivery::Together,
    Delivery::Events,
    Delivery::Dribble,
];
const GRAMMARS: [Grammar; 9] = [
    Grammar::Usual,
    Grammar::CrLf,
    Grammar::Cr,
    Grammar::Mixed,
    Grammar::Mark,
    Grammar::Tight,
    Grammar::Lines,
    Grammar::Notes,
    Grammar::Unended,
];
/// Shares of a dialect's bodies of requests: a multiple of nearly all numbers of them.
const BODIES: usize = 60;
/// Codings of requests: none, and the first codings of answers.
const REQUEST_ENCODINGS: usize = 6;
/// Bytes or characters behind the place of a cut at which it may be made, so that escapes and characters are cut too.
const NUDGES: usize = 6;

/// Names a case of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// By its place in the core, and how often that has been gone through before.
    Core(u64),
    /// By its number among those that were dealt.
    Dealt(u64),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(at) => write!(f, "c{at}"),
            Self::Dealt(at) => write!(f, "d{at}"),
        }
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| digits.parse().map_err(|_| "a case is named c123 or d123");
        match (text.strip_prefix('c'), text.strip_prefix('d')) {
            (Some(digits), _) => number(digits).map(Self::Core),
            (_, Some(digits)) => number(digits).map(Self::Dealt),
            _ => Err("a case is named c123 or d123"),
        }
    }
}

/// One stream: all that is chosen about it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The form of its answer.
    pub form: usize,
    /// What must not pass.
    pub kind: usize,
    /// How that is spelled.
    pub spelling: Spelling,
    /// Behind how many of its characters it is cut: a place in the plain spelling.
    pub cut: usize,
    /// How far behind that.
    pub nudge: usize,
    /// How the body is packed.
    pub encoding: usize,
    /// Whether each piece is packed so that it can be read.
    pub flush: bool,
    /// How strings are written, and those in arguments.
    pub escapes: [Escape; 2],
    /// How arguments hold the text.
    pub wrap: Wrap,
    /// How the text comes in pieces.
    pub tokens: Tokens,
    /// How bytes arrive.
    pub delivery: Delivery,
    /// How a stream is written.
    pub grammar: Grammar,
    /// Whether a header of the answer holds the canary too.
    pub header: bool,
    /// Whether a whole answer says how long it is.
    pub length: bool,
    /// What the request is: which body, of which kind, how spelled, escaped and packed.
    pub request: Request,
    /// For all that is chosen at random.
    pub dice: Dice,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Which of the dialect's bodies; to be taken modulo their number.
    pub body: usize,
    /// What must not go up.
    pub kind: usize,
    /// How it is spelled.
    pub spelling: Spelling,
    /// How it is written.
    pub escape: Escape,
    /// How the body is packed.
    pub encoding: usize,
}

/// All cases of a seed.
#[derive(Debug)]
pub(super) struct Matrix {
    seed: u64,
    forms: usize,
    /// Kinds, and the places at which each can be cut.
    cuts: Vec<(usize, usize)>,
    /// Ways to spell each kind.
    spellings: Vec<Vec<Spelling>>,
}

impl Matrix {
    /// The matrix of these places.
    #[must_use]
    pub(super) fn new(places: &Places, seed: u64) -> Self {
        let cuts = KINDS.iter().enumerate();
        let cuts = cuts.flat_map(|(kind, it)| (0..=it.text.chars().count()).map(move |cut| (kind, cut))).collect();
        let spellings = (0..KINDS.len()).map(|kind| Spelling::of(kind).collect()).collect();
        Self { seed, forms: places.forms.len(), cuts, spellings }
    }

    /// How many cases the core has.
    #[must_use]
    pub(super) fn core(&self) -> u64 {
        (self.forms * self.cuts.len() * ENCODINGS.len()) as u64
    }

    /// The name of the case at this place of a run of `streams`.
    #[must_use]
    pub(super) fn id(&self, streams: u64, at: u64) -> Id {
        let whole = streams / self.core() * self.core();
        if at < whole { Id::Core(at) } else { Id::Dealt(at - whole) }
    }

    /// The case of a name.
    #[must_use]
    pub(super) fn case(&self, id: Id, places: &Places) -> Case {
        let (number, dealt) = match id {
            Id::Core(at) => (at, false),
            Id::Dealt(at) => (at, true),
        };
        let mut deck = Deck { seed: self.seed ^ if dealt { 0x5eed_0000 } else { 0 }, number, dimension: 0 };
        let (form, encoding, cut) = if dealt {
            (deck.deal(self.forms), deck.deal(ENCODINGS.len()), deck.deal(self.cuts.len()))
        } else {
            let at = usize::try_from(number % self.core()).expect("the core fits");
            (at % self.forms, at / self.forms % ENCODINGS.len(), at / self.forms / ENCODINGS.len())
        };
        // The first time all is as plain as can be.
        let plain = !dealt && number < self.core();
        let (mut kind, mut cut) = self.cuts[cut];
        let escapes = [deck.of(&ESCAPES), deck.of(&ESCAPES)];
        let (wrap, tokens) = (deck.of(&WRAPS), deck.of(&TOKENS));
        let spelling = self.spelling(&mut deck, kind);
        let mut case = Case {
            form,
            kind,
            spelling: if plain { Spelling::Plain } else { spelling },
            cut,
            nudge: deck.deal(NUDGES),
            encoding,
            flush: deck.deal(3) > 0,
            escapes: if plain { [Escape::Needed; 2] } else { escapes },
            wrap: if plain && wrap == Wrap::Number { Wrap::Value } else { wrap },
            tokens: if plain { Tokens::Two } else { tokens },
            delivery: deck.of(&DELIVERIES),
            grammar: deck.of(&GRAMMARS),
            header: deck.deal(4) == 0,
            length: deck.deal(2) == 0,
            request: self.request(&mut deck),
            dice: Dice::new(deck.seed ^ number.wrapping_mul(0x9e37_79b9)),
        };
        let form = &places.forms[case.form];
        if form.number() || form.arguments && case.wrap == Wrap::Number {
            // Only a card is a number, and a number has no other spelling.
            cut = cut.min(super::canary::CARD_NUMBER.len());
            kind = CARD;
            (case.kind, case.cut, case.spelling) = (kind, cut, Spelling::Plain);
        }
        if form.arguments && case.wrap == Wrap::None {
            // There are no escapes where there is no JSON.
            case.escapes[1] = Escape::Needed;
        }
        case
    }

    /// The same case, to be filled with text that has nothing to hide; `None` where that makes no sense.
    #[must_use]
    pub(super) fn clean(&self, id: Id, places: &Places) -> Option<Case> {
        let case = self.case(id, places);
        let form = &places.forms[case.form];
        if form.number() || form.expects == Expects::Refused {
            return None;
        }
        Some(Case {
            tokens: Tokens::Words,
            wrap: if matches!(case.wrap, Wrap::Number | Wrap::None) { Wrap::Value } else { case.wrap },
            grammar: if case.grammar.stays(&places.dialects[form.dialect]) { case.grammar } else { Grammar::Usual },
            delivery: if case.delivery == Delivery::Dribble { Delivery::Together } else { case.delivery },
            ..case
        })
    }

    fn spelling(&self, deck: &mut Deck, kind: usize) -> Spelling {
        let ways = &self.spellings[kind];
        ways[deck.deal(ways.len())]
    }

    fn request(&self, deck: &mut Deck) -> Request {
        let (body, kind) = (deck.deal(BODIES), deck.deal(KINDS.len()));
        let spelling = self.spelling(deck, kind);
        Request { body, kind, spelling, escape: deck.of(&ESCAPES), encoding: deck.deal(REQUEST_ENCODINGS) }
    }
}

/// Deals values: the same for the same seed, number and order of what is asked for.
struct Deck {
    seed: u64,
    number: u64,
    dimension: u64,
}

impl Deck {
    fn deal(&mut self, size: usize) -> usize {
        self.dimension += 1;
        let (round, place) = (self.number / size as u64, self.number % size as u64);
        let salt = round.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ self.dimension.wrapping_mul(0xa076_1d64_78bd_642f);
        let mut dice = Dice::new(self.seed ^ salt);
        // A shuffled deck, as far as the place that is asked for (Fisher and Yates).
        let place = usize::try_from(place).expect("it is below a size");
        let mut deck: Vec<usize> = (0..size).collect();
        for at in 0..=place {
            let with = at + dice.below(size - at);
            deck.swap(at, with);
        }
        deck[place]
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.deal(values.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_value_gets_its_share() {
        let places = Places::read();
        let matrix = Matrix::new(&places, 1);
        let count = places.forms.len() * 18;
        let (mut forms, mut encodings, mut grammars) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for at in 0..count as u64 {
            let case = matrix.case(matrix.id(count as u64, at), &places);
            *forms.entry(case.form).or_insert(0) += 1;
            *encodings.entry(case.encoding).or_insert(0) += 1;
            *grammars.entry(format!("{:?}", case.grammar)).or_insert(0) += 1;
        }
        assert!(forms.len() == places.forms.len() && forms.values().all(|times| *times == 18));
        assert!(encodings.values().all(|times| *times == count / ENCODINGS.len()));
        assert!(grammars.values().all(|times| *times == count / GRAMMARS.len()));
    }

    #[test]
    fn the_core_is_gone_through_once() {
        let places = Places::read();
        let matrix = Matrix::new(&places, 1);
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..matrix.core() {
            assert_eq!(matrix.id(matrix.core() + 7, at), Id::Core(at));
            // Without what a number makes of it.
            let at = usize::try_from(at).unwrap();
            seen.insert((at % matrix.forms, at / matrix.forms % 9, at / matrix.forms / 9));
        }
        assert_eq!(seen.len() as u64, matrix.core());
        assert_eq!(matrix.id(matrix.core() + 7, matrix.core()), Id::Dealt(0));
        assert_eq!("c12".parse(), Ok(Id::Core(12)));
    }

    #[test]
    fn a_case_follows_from_its_name() {
        let places = Places::read();
        let matrix = Matrix::new(&places, 9);
        let case = |id| format!("{:?}", matrix.case(id, &places));
        assert_eq!(case(Id::Dealt(77)), case(Id::Dealt(77)));
        assert_ne!(case(Id::Dealt(77)), case(Id::Dealt(78)));
    }
}
